#include "library/export.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/table.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 64 << 20 };

/* *told is set when the file cannot be read, which is no reason to stop. */
static bqb_status copy(const char *from, const char *dir, const char *name, bool *told, bqb_skipped_fn skipped,
                       void *ctx, bqb_err *err) {
    char *bytes, *to;
    size_t size;
    bqb_err why;
    *told = bqb_file_read(&bytes, &size, from, MAX_FILE, &why) != BQB_OK;
    if (*told) {
        if (skipped) skipped(ctx, from, why.msg);
        return BQB_OK;
    }
    to = bqb_path_join(dir, name);
    bqb_status s = to ? bqb_file_write(to, bytes, size, err) : bqb_fail_nomem(err, name, strlen(name));
    free(to);
    free(bytes);
    return s;
}

static const bqb_field columns[] = {BQB_CAPTION, BQB_EMOTION, BQB_EMOTION_LABEL, BQB_STYLE, BQB_OCR};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static bqb_status export_one(bqb_catalogue *c, bqb_sticker_id id, const char *dir, bqb_outfile *tsv, bool *told,
                             bqb_skipped_fn skipped, void *ctx, bqb_err *err) {
    bqb_sticker t;
    bqb_annotated a = {0};
    char name[128], digits[BQB_SHORT_ID_SIZE], *path = NULL;
    bqb_status s = bqb_catalogue_get_sticker(c, id, &t, err);
    if (!s) s = bqb_catalogue_short_id(c, t.sha256, digits, err);
    if (!s) s = bqb_catalogue_path_of(c, id, &path, NULL, err);
    if (!s) s = bqb_catalogue_get_annotation(c, id, &a, err);
    if (!s) {
        snprintf(name, sizeof name, "images/%s.%s", digits, strcmp(t.format, "jpeg") ? t.format : "jpg");
        s = copy(path, dir, name, told, skipped, ctx, err);
    }
    if (!s && !*told) s = bqb_outfile_printf(tsv, err, "%s", name);
    for (int i = 0; i < N_COLUMNS && !s && !*told; i++) {
        s = bqb_outfile_write(tsv, "\t", 1, err);
        if (!s && a.field[columns[i]]) s = bqb_table_write_cell(tsv, a.field[columns[i]], err);
    }
    if (!s && !*told) s = bqb_outfile_write(tsv, "\n", 1, err);
    bqb_annotated_free(&a);
    free(path);
    return s;
}

bqb_status bqb_library_export(bqb_catalogue *c, const char *dir, bqb_skipped_fn skipped, bqb_progress_fn progress,
                              void *ctx, bqb_export_report *report, bqb_err *err) {
    bqb_sticker_id *id = NULL;
    size_t n = 0;
    bqb_outfile tsv = {0};
    *report = (bqb_export_report){0};
    char *table = bqb_path_join(dir, "captions.tsv"), *images = bqb_path_join(dir, "images");
    bqb_status s = table && images ? BQB_OK : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && bqb_is_file(table)) s = bqb_fail(err, BQB_EINVAL, "%s is there already; choose another folder", table);
    if (!s) s = bqb_catalogue_list_shown(c, &id, &n, err);
    if (!s) s = bqb_make_dirs(images, err);
    if (!s) s = bqb_outfile_open(&tsv, table, err);
    if (!s) s = bqb_outfile_printf(&tsv, err, "file");
    for (int i = 0; i < N_COLUMNS && !s; i++) s = bqb_outfile_printf(&tsv, err, "\t%s", bqb_field_name(columns[i]));
    if (!s) s = bqb_outfile_write(&tsv, "\n", 1, err);
    for (size_t i = 0; i < n && !s; i++) {
        bool told = false;
        s = export_one(c, id[i], dir, &tsv, &told, skipped, ctx, err);
        if (!s) ++*(told ? &report->skipped : &report->written);
        if (!s && progress && progress(ctx, "export", i + 1, n)) s = bqb_fail(err, BQB_ECANCEL, "stopped");
    }
    if (!s) s = bqb_outfile_commit(&tsv, err);
    bqb_outfile_abort(&tsv);
    free(id);
    free(table);
    free(images);
    return s;
}
