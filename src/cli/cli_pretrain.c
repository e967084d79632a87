/* bqb pretrain: a small language model from nothing. */
#include "cli/cli.h"

#include "chat/corpus.h"
#include "train/pretrain.h"
#include "train/pretrain_text.h"
#include "train/schedule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb pretrain --out DIR [OPTION…]\n\n"
    "Train a small language model of the Llama family from nothing, on conversations that bqb makes\n"
    "up (docs/mini-lm.md), or on your own text. DIR holds config.json, model.safetensors and\n"
    "tokenizer.json afterwards, as `bqb chat --llm DIR` reads them, beside log.csv and valid.csv.\n"
    "Ctrl-C writes a checkpoint; --resume goes on, and comes to the same numbers.";

static const uint64_t HELD_OUT = (uint64_t)1 << 40;

static bqb_status made_up(void *ctx, bool held_out, uint64_t i, bqb_buf *out, bqb_err *err) {
    return bqb_corpus_document(ctx, out, held_out ? HELD_OUT + i : i, err);
}

int cli_pretrain(const cli_env *env, int argc, char **argv) {
    (void)env;
    const char *precision = "auto";
    cli_list text = {0};
    size_t threads = 0, warmup = SIZE_MAX;
    bqb_pretrain_options o = {.vocab = 4096, .vocab_documents = 60000, .width = 256, .layers = 6, .heads = 4, .kv_heads = 2, .mlp = 512, .context = 512,
                              .steps = 3000, .batch = 8192, .lr = 1.5e-3, .weight_decay = 0.1, .clip_norm = 1, .seed = 1, .held_out = 500,
                              .valid_every = 250, .save_minutes = 5, .say = cli_progress_say, .progress = cli_progress_show};
    const cli_option options[] = {
        {"out", 'o', CLI_STRING, &o.out, "DIR", "where the model and the checkpoint go"},
        {"text", 0, CLI_LIST, &text, "FILE", "learn from this instead; documents end at <|endoftext|>, else at empty lines; may be repeated"},
        {"init", 0, CLI_STRING, &o.init, "DIR", "start from this model and its tokenizer, of the same sizes (random weights)"},
        {"answers", 0, CLI_FLAG, &o.answers, NULL, "of conversations learn only what the assistant says"},
        {"recall", 0, CLI_STRING, &o.recall, "MARKS", "after any of these tokens in an answer all words of the message before it are right, rare ones most"},
        {"tokenizer", 0, CLI_STRING, &o.tokenizer, "FILE", "tokenizer.json to use (one is learnt)"},
        {"vocab", 0, CLI_SIZE, &o.vocab, "N", "tokens of the vocabulary that is learnt (4096)"},
        {"width", 0, CLI_SIZE, &o.width, "N", "numbers a token is in the model (256)"},
        {"layers", 0, CLI_SIZE, &o.layers, "N", "blocks (6)"},
        {"heads", 0, CLI_SIZE, &o.heads, "N", "of attention; they share out the width (4)"},
        {"kv-heads", 0, CLI_SIZE, &o.kv_heads, "N", "heads of keys and values (2)"},
        {"mlp", 0, CLI_SIZE, &o.mlp, "N", "width inside the perceptrons (512)"},
        {"context", 0, CLI_SIZE, &o.context, "N", "tokens of the longest document; the rest is cut (512)"},
        {"steps", 0, CLI_SIZE, &o.steps, "N", "updates (3000)"},
        {"batch", 'b', CLI_SIZE, &o.batch, "N", "tokens an update, of whole documents (8192)"},
        {"lr", 0, CLI_FLOAT, &o.lr, "X", "highest learning rate (0.0015)"},
        {"warmup", 0, CLI_SIZE, &warmup, "N", "steps in which it rises (100, a tenth of a short run)"},
        {"wd", 0, CLI_FLOAT, &o.weight_decay, "X", "weight decay (0.1)"},
        {"clip-norm", 0, CLI_FLOAT, &o.clip_norm, "X", "gradients longer than this are shortened; 0: never (1)"},
        {"seed", 's', CLI_U64, &o.seed, "S", "of weights and documents (1)"},
        {"valid", 0, CLI_SIZE, &o.held_out, "N", "held-out documents for the perplexity (500)"},
        {"valid-every", 0, CLI_SIZE, &o.valid_every, "N", "steps between measurements (250)"},
        {"save-minutes", 0, CLI_FLOAT, &o.save_minutes, "X", "between checkpoints (5)"},
        {"precision", 0, CLI_STRING, &precision, "P", "of products: f32, bf16, or auto: bf16 where the processor has it (auto)"},
        {"resume", 0, CLI_FLAG, &o.resume, NULL, "go on from DIR's checkpoint, with the same settings"},
        {"threads", 't', CLI_SIZE, &threads, "N", "processors to use (all)"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("pretrain", "\"%s\" is no option", argv[1]);
    if (!o.out) return cli_usage_error("pretrain", "--out is needed");
    if (threads > 1024) return cli_usage_error("pretrain", "--threads %zu is more than 1024", threads);
    if (!strcmp(precision, "auto")) o.precision = bqb_precision_best();
    else if (!strcmp(precision, "bf16")) o.precision = BQB_PREC_BF16;
    else if (strcmp(precision, "f32")) return cli_usage_error("pretrain", "--precision %s: auto, f32 or bf16 is needed", precision);
    o.threads = (int)threads;
    o.warmup = warmup == SIZE_MAX ? (size_t)bqb_schedule_warmup(o.steps) : warmup;

    bqb_err err = {0};
    bqb_corpus *corpus = NULL;
    bqb_text_documents *documents = NULL;
    bqb_pretrain_result r = {0};
    cli_progress progress = {0};
    o.ctx = &progress;
    cli_catch_interrupts();
    bqb_status s;
    if (text.n) {
        s = bqb_text_documents_open(&documents, text.item, text.n, &err);
        o.source = bqb_text_document;
        o.source_ctx = documents;
        if (!s && o.vocab_documents > bqb_text_documents_count(documents, false)) o.vocab_documents = bqb_text_documents_count(documents, false);
    } else {
        s = bqb_corpus_open(&corpus, NULL, o.seed, &err);
        o.source = made_up;
        o.source_ctx = corpus;
    }
    if (!s) s = bqb_pretrain(&o, &r, &err);
    cli_progress_end(&progress);
    bqb_corpus_close(corpus);
    bqb_text_documents_close(documents);
    if (s) return cli_fail(&err);
    printf("%s: %llu steps, %llu documents, %llu tokens, loss %.3f", o.out, (unsigned long long)r.steps, (unsigned long long)r.documents,
           (unsigned long long)r.tokens, r.loss);
    if (!isnan(r.valid)) printf(", held-out perplexity %.3f", exp(r.valid));
    putchar('\n');
    return 0;
}
