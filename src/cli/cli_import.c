/* bqb import PATH…: bring stickers into the library. */
#include "cli/cli.h"

#include "cli/importing.h"
#include "cli/output.h"
#include "library/embed_words.h"
#include "library/import.h"
#include "library/vectors.h"
#include "model/clip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb import [--model DIR] [--json] PATH…\n\n"
    "Add stickers to the library. PATH is a folder (everything below it; a captions.tsv in a\n"
    "folder annotates its pictures), a captions.tsv (header line: `file` and any of caption,\n"
    "emotion, emotion_label, style, ocr), a SPLIT_imgs.tsv of MUGE (with its SPLIT_texts.jsonl;\n"
    "the pictures are copied into the library; folders are searched for both files, too), a\n"
    "folder with LMDB databases of Chinese-CLIP or Sticker820K, or the latter's train.txt (copied\n"
    "likewise), a zip archive (likewise; archives inside a folder are left alone), or a picture.\n"
    "Without a captions.tsv the caption is the file's name, unless it says nothing (IMG_1234, a\n"
    "hash). Unchanged files are not read again; files that are gone from a named folder are no\n"
    "longer shown; moved ones are known by their content. Imports that run at once take turns.\n\n"
    "Broken files are named, counted and left out; the exit status is 1 only when nothing at\n"
    "all could be imported, a database or an archive could not be read to its end, or the library\n"
    "or the model failed.";

enum { ABSENT_TOLD = 5 };

typedef struct {
    cli_screen told; /* first: the progress function gets its bar */
    bool waited;
    size_t absent;
} screen;

/* Of the pictures that a table names and that are not there the first are told, the rest counted. */
static void tell_absent(void *ctx, const char *path) {
    screen *s = ctx;
    if (s->absent++ < ABSENT_TOLD) cli_screen_skipped(s, path, strerror(ENOENT));
}

static int tell_waiting(void *ctx) {
    screen *s = ctx;
    if (!s->waited) {
        cli_progress_end(&s->told.bar);
        fputs("another bqb is importing into this library: taking turns\n", stderr);
    }
    s->waited = true;
    return cli_interrupted();
}

json_t *cli_json_import(const bqb_import_report *r) {
    json_t *o = json_object();
    const struct {
        const char *name;
        size_t n;
    } figures[] = {{"found", r->found},       {"added", r->added},       {"already", r->already},
                   {"changed", r->changed},   {"annotated", r->annotated}, {"embedded", r->embedded},
                   {"moved", r->moved},       {"returned", r->returned}, {"gone", r->gone},
                   {"skipped", r->skipped},   {"damaged", r->damaged},   {"others", r->others},
                   {"near_copies", r->near_copies}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        cli_json_set(o, figures[i].name, json_integer((json_int_t)figures[i].n));
    return o;
}

static void print_report(const bqb_import_report *r, bool with_model) {
    printf("%zu added, %zu already there, %zu skipped\n", r->added, r->already, r->skipped);
    if (r->changed) cli_print_count(r->changed, "file had changed", "files had changed");
    if (r->annotated) cli_print_count(r->annotated, "sticker has new words", "stickers have new words");
    if (r->moved) cli_print_count(r->moved, "file has moved", "files have moved");
    if (r->returned) cli_print_count(r->returned, "file is back", "files are back");
    if (r->gone) cli_print_count(r->gone, "file is gone: its sticker is no longer shown", "files are gone: their stickers are no longer shown");
    size_t databases = r->damaged - r->damaged_archives;
    if (databases) cli_print_count(databases, "database could not be read to its end", "databases could not be read to their end");
    if (r->damaged_archives) cli_print_count(r->damaged_archives, "archive could not be read to its end", "archives could not be read to their end");
    if (r->near_copies) cli_print_count(r->near_copies, "near copy of another sticker (`bqb duplicates` shows them)", "near copies of other stickers (`bqb duplicates` shows them)");
    if (r->others) cli_print_count(r->others, "other file is no picture", "other files are no pictures");
    if (with_model && r->embedded > r->added) cli_print_count(r->embedded, "sticker got a vector", "stickers got a vector");
}

int cli_open_import_model(bqb_clip **m, const char *given) {
    bqb_err err;
    const char *dir = cli_model_dir(given);
    bqb_status s = bqb_clip_open(m, dir, BQB_TOWER_IMAGE, bqb_precision_best(), 0, &err);
    if (!s) return 0;
    if (cli_model_named(given) || (s != BQB_EIO && s != BQB_ENOTFOUND)) return cli_fail(&err);
    fprintf(stderr, "bqb: no model (%s): the stickers can be found by their words only\n", err.msg);
    return 0;
}

int cli_import(const cli_env *env, int argc, char **argv) {
    const char *model = NULL;
    bool json = false;
    int n_paths;
    const cli_option options[] = {
        {"model", 0, CLI_STRING, &model, "DIR", "the model that makes the vectors (default: the bundled one)"},
        {"json", 0, CLI_FLAG, &json, NULL, "the report as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_paths);
    if (status >= 0) return status;
    bool named = n_paths > 0;
    for (int i = 1; i <= n_paths; i++) named = named && *argv[i];
    if (!named) return cli_usage_error(argv[0], "which folder, captions.tsv or picture?");

    bqb_catalogue *c = NULL;
    bqb_clip *m = NULL;
    bqb_err err;
    if ((status = cli_open_import_model(&m, model))) return status;
    if (bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_WRITE, &err)) {
        bqb_clip_free(m);
        return cli_fail(&err);
    }
    cli_catch_interrupts();
    screen shown = {.waited = false};
    bqb_embedder embedder;
    if (m) embedder = bqb_embedder_of_clip(m);
    bqb_import_options o = {.embedder = m ? &embedder : NULL, .skip = cli_screen_skipped, .progress = cli_progress_show,
                            .waiting = tell_waiting, .absent = tell_absent, .ctx = &shown};
    bqb_import_report report;
    bqb_status s = bqb_library_import(c, (const char *const *)argv + 1, (size_t)n_paths, &o, &report, &err);
    if (!s && m) s = bqb_embed_words_by(c, cli_model_dir(model), cli_progress_show, &shown, NULL, &err);
    cli_progress_end(&shown.told.bar);
    if (shown.absent > ABSENT_TOLD)
        fprintf(stderr, "skipped %zu more pictures that tables name: no such files\n", shown.absent - ABSENT_TOLD);
    if (!s && m) { /* so that the first search need not */
        bqb_vectors *v;
        s = bqb_vectors_open(&v, c, embedder.id, "image", &err);
        if (!s) bqb_vectors_close(v);
    }
    bqb_catalogue_close(c);
    bqb_clip_free(m);
    if (json) status = cli_json_print(cli_json_import(&report));
    else {
        print_report(&report, o.embedder != NULL);
        status = 0;
    }
    if (s) return cli_fail(&err);
    if (report.damaged || (!report.added && !report.already && report.skipped)) return 1;
    return status;
}
