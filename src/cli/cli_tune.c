/* bqb tune: what a language model needs to answer with stickers. */
#include "cli/cli.h"

#include "base/words.h"
#include "chat/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bqb tune --llm LLM [--data DATA] --out ADAPTER [OPTION…]\n"
    "       bqb tune --resume --out ADAPTER [OPTION…]\n\n"
    "Teach a language model to answer with stickers, without changing it: five tokens and two small maps\n"
    "are trained, as in the paper. LLM is a Hugging Face folder or a GGUF file (Llama, Qwen2, Qwen3). DATA is\n"
    "what `bqb train` takes; without it the library is learnt from. ADAPTER becomes a folder of a few MB that\n"
    "fits this LLM and this StickerCLIP alone, with checkpoint.safetensors and log.jsonl. Half of the lessons\n"
    "ask in words, a quarter with a picture, a quarter with both; the share --talk of all is ordinary\n"
    "conversation, in which no sticker is wanted.\n"
    "Ctrl-C writes the checkpoint and ends; --resume goes on exactly where it stopped.";

int cli_tune(const cli_env *env, int argc, char **argv) {
    bqb_tune_options o;
    bqb_tune_unset(&o);
    cli_list data = {0};
    const char *library = NULL;
    bool at_once = false;
    const cli_option options[] = {
        {"llm", 0, CLI_STRING, &o.llm, "LLM", "language model: a Hugging Face folder or a GGUF file ($BQB_LLM)"},
        {"data", 'd', CLI_LIST, &data, "DATA", "captions.tsv, its folder or a MUGE set to learn from; may be repeated"},
        {"library", 'L', CLI_STRING, &library, "LIB", "learn from this library (the one before the command)"},
        {"out", 'o', CLI_STRING, &o.out, "DIR", "folder for the adapter, its checkpoint and log"},
        {"model", 'm', CLI_STRING, &o.model, "MODEL", "StickerCLIP's folder ($BQB_MODEL, else the bundled one)"},
        {"resume", 0, CLI_FLAG, &o.resume, NULL, "go on with the run in --out; settings are remembered"},
        {"valid", 0, CLI_STRING, &o.valid, "DATA", "held-out stickers to measure on"},
        {"valid-every", 0, CLI_SIZE, &o.valid_every, "STEPS", "steps between measurements; 0: only at the end (500)"},
        {"valid-limit", 0, CLI_SIZE, &o.valid_limit, "N", "held-out stickers used at most (300)"},
        {"steps", 0, CLI_SIZE, &o.steps, "N", "steps in all (1000)"},
        {"batch", 'b', CLI_SIZE, &o.batch, "N", "lessons in a step (64)"},
        {"lr", 0, CLI_FLOAT, &o.lr, "X", "highest learning rate (3e-4)"},
        {"warmup", 0, CLI_SIZE, &o.warmup, "STEPS", "steps of linear warm-up before the cosine (100, at most a tenth)"},
        {"beta1", 0, CLI_FLOAT, &o.beta1, "X", "AdamW beta 1 (0.9)"},
        {"beta2", 0, CLI_FLOAT, &o.beta2, "X", "AdamW beta 2 (0.95)"},
        {"eps", 0, CLI_FLOAT, &o.eps, "X", "AdamW epsilon (1e-8)"},
        {"wd", 0, CLI_FLOAT, &o.weight_decay, "X", "weight decay (0)"},
        {"clip-norm", 0, CLI_FLOAT, &o.clip_norm, "X", "longest gradient; 0: no limit (1)"},
        {"talk", 0, CLI_FLOAT, &o.talk, "P", "share of lessons that are ordinary conversation (0.2)"},
        {"pret", 0, CLI_FLOAT, &o.pret, "P", "share of requests that begin with [PRET] (0.5)"},
        {"rounds", 0, CLI_FLOAT, &o.rounds, "P", "share of lessons behind one or two earlier rounds (0.25)"},
        {"at-once", 0, CLI_FLAG, &at_once, NULL, "answers begin with the sticker: for models that say anything before it"},
        {"system", 0, CLI_TEXT, &o.system, "TEXT", "what stands before every conversation (nothing)"},
        {"context", 0, CLI_SIZE, &o.context, "N", "tokens of a lesson, at most (256)"},
        {"seed", 's', CLI_SIZE, &o.seed, "N", "of the start, order, wordings (1)"},
        {"precision", 0, CLI_STRING, &o.precision, "P", "f32, bf16 or auto: bf16 if the processor has it (auto)"},
        {"threads", 't', CLI_SIZE, &o.threads, "N", "processors to use (all)"},
        {"save-every", 0, CLI_SIZE, &o.save_every, "STEPS", "steps between checkpoints; 0: only by time (0)"},
        {"save-minutes", 0, CLI_FLOAT, &o.save_minutes, "M", "minutes between checkpoints; 0: only by steps (5)"},
        {"cache", 0, CLI_STRING, &o.cache, "DIR", "folder for the features of pictures (--out)"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("tune", "\"%s\" is no option", argv[1]);
    if (at_once) o.at_once = 1;
    if (!o.out) return cli_usage_error("tune", "--out is needed");
    if (!o.llm && !o.resume) o.llm = getenv("BQB_LLM");
    if (!o.llm && !o.resume) return cli_usage_error("tune", "--llm is needed");
    if (library && data.n) return cli_usage_error("tune", "either --data or --library");
    if (!data.n && !o.resume) data.item[data.n++] = library ? library : env->library;
    else if (library) data.item[data.n++] = library;
    o.data = data.n ? data.item : NULL;
    o.n_data = data.n;
    if (!o.resume || cli_model_named(o.model)) o.model = cli_model_dir(o.model);
    cli_progress bar = {0};
    o.say = cli_progress_say;
    o.progress = cli_progress_show;
    o.ctx = &bar;
    cli_catch_interrupts();
    bqb_err err = {0};
    bqb_tune_result r = {0};
    bqb_status st = bqb_tune(&o, &r, &err);
    cli_progress_end(&bar);
    if (st) return cli_fail(&err);
    if (r.sequences_per_s > 0)
        fprintf(stderr, "%s: %" PRIu64 " %s, loss of words %.3f, of stickers %.3f, %.3g lessons/s", o.out, r.steps, bqb_word(r.steps, "step", "steps"), (double)r.words,
                (double)r.stickers, r.sequences_per_s);
    else fprintf(stderr, "%s: already at step %" PRIu64 ", nothing to do", o.out, r.steps);
    if (r.mr >= 0) fprintf(stderr, ", held-out MR %.1f", r.mr);
    fputc('\n', stderr);
    return 0;
}
