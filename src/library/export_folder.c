/* Pictures as files and a captions.tsv. */
#include "library/export_format.h"

#include "base/mem.h"
#include "file/table.h"
#include "library/origins.h"

#include <stdlib.h>
#include <string.h>

static const bqb_field columns[] = {BQB_CAPTION, BQB_EMOTION, BQB_EMOTION_LABEL, BQB_STYLE, BQB_OCR};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static bqb_status check(const bqb_export_options *o, bqb_err *err) {
    (void)o, (void)err;
    return BQB_OK;
}

typedef struct {
    bqb_outfile tsv;
    bqb_written *written;
} folder;

static bqb_status begin(bqb_exporter *x, bqb_err *err) {
    folder *f = x->state = bqb_calloc(1, sizeof *f);
    char *images = bqb_path_join(x->dir, "images");
    bqb_status s = f && images ? bqb_make_dirs(images, err) : bqb_fail_nomem(err, x->dir, sizeof *f);
    free(images);
    if (!s) s = bqb_written_open(&f->written, x->dir, err);
    if (!s) s = bqb_written_spare_table(x->report->kept_table, f->written, err);
    if (s) return s;
    bqb_outfile *tsv = &f->tsv;
    s = bqb_export_open(tsv, x->dir, "captions.tsv", err);
    if (!s) s = bqb_outfile_printf(tsv, err, "file");
    for (int i = 0; i < N_COLUMNS && !s; i++) s = bqb_outfile_printf(tsv, err, "\t%s", bqb_field_name(columns[i]));
    return s ? s : bqb_outfile_printf(tsv, err, "\t%s\t%s\t%s\n", BQB_ORIGINS_COLUMN, BQB_FILENAME_COLUMN, BQB_READING_COLUMN);
}

/* What was read, unless it is nothing that an import would take, such as a long message about why reading failed. */
static bqb_status write_reading(bqb_outfile *tsv, const bqb_export_item *item, bqb_err *err) {
    char reader[BQB_READER_SIZE], *cell;
    const char *text;
    if (!item->reading) return BQB_OK;
    cell = bqb_asprintf("%s\n%s", item->reader, item->reading);
    if (!cell) return bqb_fail_nomem(err, "reading", strlen(item->reading));
    bqb_status s = bqb_reading_parse(reader, &text, cell, NULL) ? BQB_OK : bqb_table_write_cell(tsv, cell, err);
    free(cell);
    return s;
}

static bqb_status write_origins(bqb_outfile *tsv, const bqb_export_item *item, bqb_err *err) {
    bqb_buf who = {.max = 1 << 12};
    bqb_status s = bqb_buf_puts(&who, "", err);
    if (!s) s = bqb_origins_print(&who, item->note, err);
    if (!s) s = bqb_outfile_printf(tsv, err, "\t%s\t", who.data);
    bqb_buf_free(&who);
    if (!s && item->filename) s = bqb_table_write_cell(tsv, item->filename, err);
    if (!s) s = bqb_outfile_write(tsv, "\t", 1, err);
    return s ? s : write_reading(tsv, item, err);
}

static bqb_status add(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err) {
    folder *f = x->state;
    bqb_outfile *tsv = &f->tsv;
    char name[sizeof item->name + 8];
    (void)why;
    snprintf(name, sizeof name, "images/%s", item->name);
    char *to = bqb_path_join(x->dir, name);
    bqb_status s = to ? bqb_written_add(f->written, item->name, item->sticker.sha256, err) : bqb_fail_nomem(err, name, strlen(name));
    if (!s) s = bqb_file_write_later(to, item->bytes, item->size, err);
    free(to);
    if (!s) s = bqb_outfile_printf(tsv, err, "%s", name);
    for (int i = 0; i < N_COLUMNS && !s; i++) {
        const char *text = item->note->field[columns[i]];
        s = bqb_outfile_write(tsv, "\t", 1, err);
        if (!s && text) s = bqb_table_write_cell(tsv, text, err);
    }
    if (!s) s = write_origins(tsv, item, err);
    return s ? s : bqb_outfile_write(tsv, "\n", 1, err);
}

/* What an earlier export wrote goes only when the new table no longer needs it. */
static bqb_status commit(bqb_exporter *x, bqb_err *err) {
    folder *f = x->state;
    bqb_status s = bqb_outfile_commit(&f->tsv, err);
    return s ? s : bqb_written_finish(&x->report->images, f->written, x->c, x->o->prune, x->o->left, x->o->ctx, err);
}

static void end(bqb_exporter *x) {
    folder *f = x->state;
    if (!f) return;
    bqb_outfile_abort(&f->tsv);
    bqb_written_close(f->written);
    free(f);
}

const bqb_export_writer bqb_export_folder = {true, true, check, begin, add, commit, end};
