/* bqb split: train, valid and test out of annotated stickers, without leaks. */
#include "cli/cli.h"

#include "base/words.h"
#include "cli/output.h"
#include "train/split.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb split DATA… --out DIR [OPTION…]\n\n"
    "Cut stickers into DIR/train, DIR/valid and DIR/test, each with a captions.tsv (and a queries.tsv\n"
    "where DATA has short queries), so that nothing that is measured on was learnt from: of pictures\n"
    "that are the same, byte for byte or only saved again (another size, format, border), one is kept.\n"
    "The same picture with other words on it is another sticker. An animation and its still stay on\n"
    "one side. What was left out, and for what, stands in DIR/left-out.tsv, the settings in split.json.\n"
    "The same DATA and seed give the same split; each emotion is shared out like the whole.\n\n"
    "DATA is what `bqb train --data` takes: a captions.tsv or its folder, the folder of a bqb library, a\n"
    "SPLIT_imgs.tsv of MUGE, or a folder with LMDB databases.";

static int print_json(const bqb_split_report *r) {
    json_t *o = json_object();
    const struct {
        const char *key;
        size_t n;
    } rows[] = {{"stickers", r->stickers},   {"exact", r->exact},     {"near", r->near},
                {"unreadable", r->unreadable}, {"kin", r->kin},       {"train", r->n[BQB_TRAIN_SIDE]},
                {"valid", r->n[BQB_VALID_SIDE]}, {"test", r->n[BQB_TEST_SIDE]}, {"copied", r->copied}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) cli_json_set(o, rows[i].key, json_integer((json_int_t)rows[i].n));
    return cli_json_print(o);
}

static void print_report(const bqb_split_report *r) {
    printf("%8zu %s\n%8zu left out: the same file as another\n%8zu left out: the same picture as another\n", r->stickers,
           bqb_word(r->stickers, "sticker", "stickers"), r->exact, r->near);
    if (r->unreadable) printf("%8zu left out: cannot be read\n", r->unreadable);
    for (size_t k = 0; k < BQB_SIDES; k++) {
        printf("%8zu %s", r->n[k], bqb_side_name((bqb_side)k));
        if (r->queries[k]) printf(", with %zu short %s", r->queries[k], bqb_word(r->queries[k], "query", "queries"));
        putchar('\n');
    }
    if (r->kin) printf("%8zu of them %s an animation or a part of one, and %s on one side with it\n", r->kin, bqb_word(r->kin, "is", "are"),
                      bqb_word(r->kin, "stays", "stay"));
    if (r->copied) printf("%8zu %s copied or linked\n", r->copied, bqb_word(r->copied, "picture", "pictures"));
}

int cli_split(const cli_env *env, int argc, char **argv) {
    (void)env;
    const char *out = NULL, *pictures = "refer";
    double valid = 0.1, test = 0.1;
    size_t threads = 0;
    uint64_t seed = 1;
    bool json = false, keep_near = false;
    const cli_option options[] = {
        {"out", 'o', CLI_STRING, &out, "DIR", "where train/, valid/, test/, left-out.tsv and split.json go"},
        {"valid", 0, CLI_FLOAT, &valid, "SHARE", "of the stickers, for measuring while training; 0: none (0.1)"},
        {"test", 0, CLI_FLOAT, &test, "SHARE", "of the stickers, for measuring at the end; 0: none (0.1)"},
        {"seed", 's', CLI_U64, &seed, "S", "the same seed gives the same split (1)"},
        {"pictures", 0, CLI_STRING, &pictures, "HOW", "refer: tables name them where they lie; copy or link: put them into DIR (refer)"},
        {"keep-near", 0, CLI_FLAG, &keep_near, NULL, "leave out only what is the same byte for byte"},
        {"threads", 't', CLI_SIZE, &threads, "N", "processors to use (all)"},
        {"json", 0, CLI_FLAG, &json, NULL, "the report as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error("split", "which captions.tsv, library or MUGE set?");
    if (!out) return cli_usage_error("split", "--out is needed");
    if (!(valid >= 0 && test >= 0 && valid + test < 1))
        return cli_usage_error("split", "--valid %g and --test %g leave nothing to train on", valid, test);
    if (threads > 1024) return cli_usage_error("split", "--threads %zu is more than 1024", threads);
    bqb_split_options o = {.out = out, .share = {1 - valid - test, valid, test}, .seed = seed, .keep_near = keep_near,
                           .threads = (int)threads, .progress = cli_progress_show};
    if (!strcmp(pictures, "copy")) o.pictures = BQB_SPLIT_COPY;
    else if (!strcmp(pictures, "link")) o.pictures = BQB_SPLIT_LINK;
    else if (strcmp(pictures, "refer")) return cli_usage_error("split", "--pictures %s: refer, copy or link is needed", pictures);

    bqb_err err = {0};
    bqb_dataset *ds = NULL;
    cli_progress bar = {0};
    bqb_split_report r = {0};
    o.ctx = &bar;
    cli_catch_interrupts();
    bqb_status s = bqb_dataset_open(&ds, (const char *const *)argv + 1, (size_t)n_words, &err);
    if (!s) cli_tell_notes("stickers", bqb_dataset_notes(ds));
    if (!s) s = bqb_split(ds, &o, &r, &err);
    cli_progress_end(&bar);
    if (!s && r.unreadable) cli_tell_notes("pictures that cannot be read", r.notes.data);
    bqb_buf_free(&r.notes);
    bqb_dataset_close(ds);
    if (s) return cli_fail(&err);
    if (!json) print_report(&r);
    return json ? print_json(&r) : 0;
}
