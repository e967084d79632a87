/* bqb annotate: fill in what is not known of the stickers. */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/annotate_labels.h"
#include "cli/named.h"
#include "cli/output.h"
#include "library/annotate.h"
#include "library/embed_words.h"
#include "library/id_set.h"
#include "library/labeller.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bqb annotate [OPTION…] [ID-or-PATH…|-]\n\n"
    "Fill in what is not known of the stickers: of those named (a folder: all below it; -: names\n"
    "from standard input), or of all. Without --ocr, --emotion or --style: all three. What\n"
    "somebody said of a sticker stays believed. What is done is kept when it is stopped; the same\n"
    "command goes on from there.\n\n"
    "--ocr reads the words on them, of an animation those of three frames, with Tesseract\n"
    "(Debian: tesseract-ocr, tesseract-ocr-chi-sim). Stickers that were read before, or whose\n"
    "words somebody said, are passed over. So are, once they are named, those that Tesseract\n"
    "crashes on or takes more than a minute for; --again tries them anew.\n\n"
    "--emotion and --style let the model guess, from the vectors that the library has of its\n"
    "pictures and, for emotions, from what is written of them. Guesses of before, by any model,\n"
    "give way; where none is sure enough nothing is said.";

/* ---- which stickers ---- */

static int add_file(void *ctx, const char *path, const bqb_file *f) {
    bqb_id_set *l = ctx;
    (void)path;
    if (f->missing) return 0;
    return bqb_id_set_add(l, f->sticker);
}

/* The stickers below a folder; one that holds none is a mistake. */
static bqb_status add_folder(bqb_id_set *l, bqb_catalogue *c, const char *name, bqb_err *err) {
    size_t before = l->n;
    char *real = realpath(name, NULL);
    char *beginning = real ? bqb_asprintf("%s%s", real, strcmp(real, "/") ? "/" : "") : NULL;
    bqb_status s = beginning ? bqb_catalogue_each_file(c, beginning, add_file, l, err) : bqb_fail_errno(err, "%s", name);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, name, l->cap * sizeof *l->id);
    if (!s && l->n == before) s = bqb_fail(err, BQB_ENOTFOUND, "%s: no sticker of the library lies below this folder", name);
    free(beginning);
    free(real);
    return s;
}

/* Each sticker that is meant, once, rising. */
static bqb_status find_all(bqb_id_set *l, bqb_catalogue *c, char **words, int n_words, bqb_err *err) {
    cli_names names = {0};
    bqb_status s = cli_names_read(&names, words, n_words, err);
    for (size_t i = 0; i < names.n && !s; i++) {
        const char *name = names.name[i];
        bqb_file f = {.missing = false};
        if (bqb_is_dir(name)) s = add_folder(l, c, name, err);
        else s = bqb_find_named(&f.sticker, c, name, err);
        if (!s && f.sticker && add_file(l, name, &f)) s = bqb_fail_nomem(err, name, l->cap * sizeof *l->id);
    }
    cli_names_free(&names);
    if (!s) bqb_id_set_sort(l);
    return s;
}

/* ---- the words on them ---- */

static void print_read(const bqb_read_report *r) {
    printf("%zu read: %zu with words, %zu without", r->words + r->blank, r->words, r->blank);
    printf("; %zu passed over, %zu skipped\n", r->already, r->skipped);
}

static json_t *json_of_read(const bqb_read_report *r) {
    json_t *o = json_object();
    const struct {
        const char *name;
        size_t n;
    } figures[] = {{"asked", r->asked}, {"already", r->already}, {"words", r->words}, {"blank", r->blank},
                   {"skipped", r->skipped}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        cli_json_set(o, figures[i].name, json_integer((json_int_t)figures[i].n));
    return o;
}

/* Puts its report into json, or prints it where that is NULL. */
static bqb_status annotate_ocr(bqb_catalogue *c, const bqb_id_set *ids, bool again, size_t threads, json_t *json,
                               bqb_err *err) {
    cli_screen shown = {.told = 0};
    bqb_read_report report;
    bqb_read_options o = {.again = again, .threads = (int)threads, .skip = cli_screen_skipped, .progress = cli_progress_show,
                          .ctx = &shown};
    cli_stopping_takes_time(true);
    bqb_status s = bqb_library_read(c, ids->id, ids->n, &o, &report, err);
    cli_stopping_takes_time(false);
    cli_progress_end(&shown.bar);
    if (*o.advice) fprintf(stderr, "bqb: %s\n", o.advice);
    if (s && s != BQB_ECANCEL && !report.asked) return s; /* nothing was tried: nothing to report */
    if (json) cli_json_set(json, "ocr", json_of_read(&report));
    else print_read(&report);
    return s;
}

int cli_annotate(const cli_env *env, int argc, char **argv) {
    bool ocr = false, again = false, json = false;
    size_t threads = 0;
    cli_label_wish labels = {.min_score = BQB_LABEL_MIN_SCORE};
    int n_names;
    const cli_option options[] = {
        {"ocr", 0, CLI_FLAG, &ocr, NULL, "the words on them"},
        {"emotion", 0, CLI_FLAG, &labels.emotion, NULL, "what they feel, as the model guesses"},
        {"style", 0, CLI_FLAG, &labels.style, NULL, "how they are drawn, as the model guesses"},
        {"min-score", 0, CLI_FLOAT, &labels.min_score, "P", "how likely a guess must be to be made, 0 to 1 (default: 0.6)"},
        {"model", 0, CLI_STRING, &labels.model, "DIR", "the model that guesses (default: the bundled one)"},
        {"again", 0, CLI_FLAG, &again, NULL, "read also what was read before, or whose words somebody said"},
        {"threads", 0, CLI_SIZE, &threads, "N", "pictures at a time, 1 to 64 (default: the processors)"},
        {"json", 0, CLI_FLAG, &json, NULL, "the report as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_names);
    if (status >= 0) return status;
    bool everything = !ocr && !labels.emotion && !labels.style;
    if (everything) ocr = labels.emotion = labels.style = true;
    if (labels.min_score < 0 || labels.min_score > 1) return cli_usage_error(argv[0], "--min-score is from 0 to 1");
    if (threads > 64) return cli_usage_error(argv[0], "--threads is at most 64");

    bqb_catalogue *c = NULL;
    bqb_id_set ids = {0};
    bqb_err err;
    bqb_status s = cli_open_to_change(&c, env, &err);
    if (!s) s = find_all(&ids, c, argv + 1, n_names, &err);
    json_t *report = json && !s ? json_object() : NULL;
    bqb_sticker_id none = 0;
    bqb_id_set which = {.id = ids.id || !n_names ? ids.id : &none, .n = ids.n}; /* an empty list is not all */
    if (!s) cli_catch_interrupts();
    if (!s && ocr) s = annotate_ocr(c, &which, again, threads, report, &err);
    if (everything && s == BQB_EUNSUPPORTED) { /* nothing here to read with: the rest can be done all the same */
        fprintf(stderr, "bqb: %s\n", err.msg);
        s = BQB_OK;
    }
    cli_progress bar = {0};
    if (!s) s = bqb_embed_words_by(c, cli_model_dir(labels.model), cli_progress_show, &bar, NULL, &err);
    cli_progress_end(&bar);
    if (!s && (labels.emotion || labels.style)) s = cli_annotate_labels(c, which.id, which.n, &labels, report, &err);
    bqb_catalogue_close(c);
    bqb_id_set_free(&ids);
    status = report ? cli_json_print(report) : 0;
    return s ? cli_fail(&err) : status;
}
