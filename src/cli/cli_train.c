/* bqb train: StickerCLIP out of a list of stickers. */
#include "cli/cli.h"

#include "base/words.h"
#include "cli/output.h"
#include "cli/spare.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb train --data DATA --init MODEL --out DIR [OPTION…]\n"
    "       bqb train --data DATA --from-scratch CONFIG.json --vocab FILE --out DIR [OPTION…]\n"
    "       bqb train --settings train.json --out DIR [OPTION…]\n"
    "       bqb train --resume --out DIR [OPTION…]\n\n"
    "Train StickerCLIP on annotated stickers: pictures and words are drawn together by a\n"
    "symmetric contrastive loss. DATA is a captions.tsv or its folder, the folder of a bqb library, or a\n"
    "SPLIT_imgs.tsv of MUGE or Chinese-CLIP with its SPLIT_texts.jsonl, or a folder with LMDB\n"
    "databases of Chinese-CLIP or Sticker820K. The defaults are the paper's fine-tuning. DIR becomes a model folder, with last/, best/, checkpoint.safetensors, log.csv, valid.csv, curve.svg, train.json.\n"
    "Ctrl-C writes the checkpoint and ends; --resume goes on exactly where it stopped.";

int cli_train(const cli_env *env, int argc, char **argv) {
    bqb_train_options o;
    bqb_train_unset(&o);
    cli_list data = {0};
    const cli_option options[] = {
        {"data", 'd', CLI_LIST, &data, "DATA", "captions.tsv, its folder, a library or a MUGE set to learn from; may be repeated"},
        {"out", 'o', CLI_STRING, &o.out, "DIR", "folder for the model, checkpoints and logs"},
        {"init", 0, CLI_STRING, &o.init, "MODEL", "model folder to start from"},
        {"from-scratch", 0, CLI_STRING, &o.config, "CONFIG", "config.json of a model to start at random"},
        {"vocab", 0, CLI_STRING, &o.vocab, "FILE", "vocab.txt, tokenizer.json, or vocab.json beside merges.txt, for --from-scratch"},
        {"settings", 0, CLI_STRING, &o.settings, "FILE", "a train.json: its settings, where no option says otherwise"},
        {"resume", 0, CLI_FLAG, &o.resume, NULL, "go on with the run in --out; settings are remembered"},
        {"valid", 0, CLI_STRING, &o.valid, "DATA", "held-out stickers to measure recall on"},
        {"valid-every", 0, CLI_SIZE, &o.valid_every, "STEPS", "steps between measurements; 0: only at the end (500)"},
        {"valid-limit", 0, CLI_SIZE, &o.valid_limit, "N", "held-out stickers used at most (1000)"},
        {"patience", 0, CLI_SIZE, &o.patience, "N", "stop after N measurements without gain; 0: never (0)"},
        {"epochs", 'e', CLI_SIZE, &o.epochs, "N", "passes over the data (5)"},
        {"steps", 0, CLI_SIZE, &o.steps, "N", "steps in all, instead of --epochs"},
        {"batch", 'b', CLI_SIZE, &o.batch, "N", "pairs in a step (64)"},
        {"lr", 0, CLI_FLOAT, &o.lr, "X", "highest learning rate (2e-5)"},
        {"warmup", 0, CLI_SIZE, &o.warmup, "STEPS", "steps of linear warm-up before the cosine (100, at most a tenth)"},
        {"wd", 0, CLI_FLOAT, &o.weight_decay, "X", "weight decay (0.001)"},
        {"beta1", 0, CLI_FLOAT, &o.beta1, "X", "AdamW beta 1 (0.9)"},
        {"beta2", 0, CLI_FLOAT, &o.beta2, "X", "AdamW beta 2 (0.98)"},
        {"eps", 0, CLI_FLOAT, &o.eps, "X", "AdamW epsilon (1e-6)"},
        {"clip-norm", 0, CLI_FLOAT, &o.clip_norm, "X", "longest gradient; 0: no limit (0)"},
        {"frames", 0, CLI_SIZE, &o.frames, "1|3", "3: mean of three frames; 1: a random one of them (3)"},
        {"ema", 0, CLI_FLOAT, &o.ema, "DECAY", "keep, measure and save a moving average of the weights; 0: off (0)"},
        {"field-drop", 0, CLI_FLOAT, &o.field_drop, "P", "leave each field out with probability P (0)"},
        {"short", 0, CLI_FLOAT, &o.short_rate, "P", "with probability P a short query of queries.tsv (0)"},
        {"mask-ratio", 0, CLI_FLOAT, &o.mask_ratio, "P", "share of picture patches left out, as in FLIP (0)"},
        {"augment", 0, CLI_STRING, &o.augment, "on|off|rand", "on: crops, slight changes of colour; rand: RandAugment (on)"},
        {"duplicates", 0, CLI_STRING, &o.duplicates, "HOW", "equal texts or pictures in a batch are positive or negative (negative)"},
        {"freeze", 0, CLI_STRING, &o.freeze, "WHAT", "image, text, image:N, text:N: towers or N lower blocks, by commas"},
        {"chunk", 0, CLI_SIZE, &o.chunk, "N", "gradient caching in passes of N: large batches in little memory; 0: off (0)"},
        {"recompute", 0, CLI_FLAG, &o.recompute, NULL, "keep less for the way back, compute it again: less memory"},
        {"context", 0, CLI_SIZE, &o.context, "N", "tokens a text is cut to (the model's)"},
        {"drop-alpha", 0, CLI_FLAG, &o.drop_alpha, NULL, "ignore transparency instead of laying it on white"},
        {"seed", 's', CLI_SIZE, &o.seed, "N", "of weights, order, words, crops (1)"},
        {"precision", 0, CLI_STRING, &o.precision, "P", "f32, bf16 or auto: bf16 if the processor has it (auto)"},
        {"threads", 't', CLI_SIZE, &o.threads, "N", "processors to use (all)"},
        {"save-every", 0, CLI_SIZE, &o.save_every, "STEPS", "steps between checkpoints; 0: only by time (0)"},
        {"save-minutes", 0, CLI_FLOAT, &o.save_minutes, "M", "minutes between checkpoints; 0: only by steps (10)"},
        {"cache", 0, CLI_STRING, &o.cache, "DIR", "folder for decoded pictures (--out)"},
        {"cache-max", 0, CLI_FLOAT, &o.cache_max_gib, "GIB", "larger caches are not made; 0: none (32)"},
        {"preview", 0, CLI_STRING, &o.preview, "PNG", "draw the first batch as the model would see it, and end; --out is not touched"},
        {"half", 0, CLI_FLAG, &o.half, NULL, "write models as f16"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("train", "\"%s\" is no option", argv[1]);
    if (!o.out && (!o.preview || o.resume)) return cli_usage_error("train", "--out is needed");
    if (!data.n && !o.resume && !o.settings) return cli_usage_error("train", "--data is needed");
    if (!o.resume && !o.settings && !o.init && !(o.config && o.vocab))
        return cli_usage_error("train", "a start is needed: --init MODEL, or --from-scratch CONFIG and --vocab FILE");
    if ((status = cli_spare(env, "train", "preview", o.preview, CLI_DRAWING)) >= 0) return status;
    if ((status = cli_spare_folder("train", "out", o.out)) >= 0) return status;
    o.data = data.n ? data.item : NULL;
    o.n_data = data.n;
    cli_progress bar = {0};
    o.say = cli_progress_say;
    o.progress = cli_progress_show;
    o.ctx = &bar;
    cli_catch_interrupts();
    bqb_err err = {0};
    bqb_train_result r = {0};
    bqb_status st = bqb_train(&o, &r, &err);
    cli_progress_end(&bar);
    if (st) return cli_fail(&err);
    if (o.preview) {
        fprintf(stderr, "%s: the first batch as the model would see it\n", o.preview);
        return 0;
    }
    if (r.pairs_per_s > 0)
        fprintf(stderr, "%s: %" PRIu64 " %s, loss %.3f, %.3g pairs/s", o.out, r.steps, bqb_word(r.steps, "step", "steps"), (double)r.loss, r.pairs_per_s);
    else fprintf(stderr, "%s: already at step %" PRIu64 ", nothing to do", o.out, r.steps);
    if (r.early) fputs(", stopped early", stderr);
    if (r.last >= 0) fprintf(stderr, ", held-out MR %.1f (best %.1f)", r.last, r.best);
    fputc('\n', stderr);
    return 0;
}
