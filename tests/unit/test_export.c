/* Exports that are stopped, repeated, or asked for what is not there. */
#include "library/export.h"
#include "library_help.h"
#include "test.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    uint64_t stop; /* after so many; 0: never */
    size_t skipped;
} watcher;

static int watch(void *ctx, const char *what, uint64_t done, uint64_t total) {
    watcher *w = ctx;
    CHECK_STR(what, "export");
    CHECK(total == 4);
    return w->stop && done == w->stop;
}

static void skip(void *ctx, const char *path, const char *reason) {
    (void)path;
    ((watcher *)ctx)->skipped += *reason != 0;
}

static const char *make_library(void) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "in/红.png", 255, 0, 0);
    help_png(dir, "in/绿.png", 0, 255, 0);
    help_png(dir, "in/蓝.png", 0, 0, 255);
    help_png(dir, "in/白.png", 255, 255, 255);
    help_import(dir, help_path(dir, "in"), &e, &r);
    return dir;
}

static bool there(const char *dir, const char *name) { return bqb_is_file(help_path(dir, name)); }

TEST(export_that_is_stopped_does_not_look_whole) {
    const char *dir = make_library();
    static const char *const table[] = {"captions.tsv", "train_texts.jsonl"};
    for (int f = BQB_EXPORT_FOLDER; f <= BQB_EXPORT_MUGE; f++) {
        bqb_err err = {0};
        watcher w = {.stop = 2};
        bqb_export_report r;
        bqb_export_options o = {.format = (bqb_export_format)f, .skipped = skip, .progress = watch, .ctx = &w};
        bqb_catalogue *c = help_open(dir);
        char out[512], name[64];
        snprintf(out, sizeof out, "%s", help_path(dir, f ? "muge" : "folder"));
        CHECK(bqb_library_export(c, out, &o, &r, &err) == BQB_ECANCEL && r.written == 2);
        CHECK(there(out, "UNFINISHED.txt") && !there(out, table[f]));
        w.stop = 0;
        CHECK_OK(bqb_library_export(c, out, &o, &r, &err), err);
        CHECK(r.written == 4 && !w.skipped && !there(out, "UNFINISHED.txt") && there(out, table[f]));

        /* Now it is whole: only by force, and then it is not whole before it is. */
        CHECK(bqb_library_export(c, out, &o, &r, &err) == BQB_EINVAL && there(out, table[f]));
        o.force = true;
        w.stop = 1;
        CHECK(bqb_library_export(c, out, &o, &r, &err) == BQB_ECANCEL);
        snprintf(name, sizeof name, "%s", table[f]);
        CHECK(there(out, "UNFINISHED.txt") && !there(out, name));
        bqb_catalogue_close(c);
    }
}

TEST(export_needs_what_it_is_asked_for) {
    const char *dir = make_library();
    bqb_err err = {0};
    bqb_export_report r;
    bqb_catalogue *c = help_open(dir);
    bqb_export_options vectors = {.format = BQB_EXPORT_CLIP_RETRIEVAL}, split = {.format = BQB_EXPORT_MUGE, .split = "../a"}, all = {.n = 0};
    CHECK(bqb_library_export(c, help_path(dir, "a"), &vectors, &r, &err) == BQB_EINVAL && strstr(err.msg, "model"));
    CHECK(bqb_library_export(c, help_path(dir, "a"), &split, &r, &err) == BQB_EINVAL && strstr(err.msg, "../a"));
    CHECK(!bqb_is_dir(help_path(dir, "a"))); /* nothing was begun */
    CHECK(bqb_library_export(c, help_path(dir, "lib"), &all, &r, &err) == BQB_EINVAL && strstr(err.msg, "is a library"));
    CHECK(bqb_export_format_parse("muge") == BQB_EXPORT_MUGE && bqb_export_format_parse("parquet") == BQB_EXPORT_FORMATS);
    CHECK_STR(bqb_export_format_name(BQB_EXPORT_CLIP_RETRIEVAL), "clip-retrieval");
    bqb_catalogue_close(c);
}

TEST(export_finds_another_file_of_the_same_content) {
    const char *dir = make_library();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report imported;
    bqb_err err = {0};
    watcher w = {0};
    bqb_export_report r;
    bqb_export_options o = {.skipped = skip, .progress = watch, .ctx = &w};
    help_png(dir, "copy/红.png", 255, 0, 0);
    help_import(dir, help_path(dir, "copy"), &e, &imported);
    help_png(dir, "in/红.png", 1, 2, 3); /* no longer what was imported, and nobody has said so */
    unlink(help_path(dir, "in/绿.png"));
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_library_export(c, help_path(dir, "out"), &o, &r, &err), err);
    CHECK_MSG(r.written == 3 && r.skipped == 1 && w.skipped == 1, "%zu written, %zu skipped", r.written, r.skipped);
    bqb_catalogue_close(c);
}
