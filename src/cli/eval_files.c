#include "cli/eval_report.h"

#include "file/muge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bqb_status cli_eval_write_predictions(const char *path, const cli_evaluation *e, bqb_err *err) {
    const bqb_ask_result *r = &e->answer[0].r;
    const bqb_gallery *g = e->g;
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    for (size_t i = 0; i < r->n && !s; i++) {
        const char *ids[10];
        size_t n = 0;
        for (; n < 10 && r->top[10 * i + n] != UINT32_MAX; n++)
            ids[n] = bqb_dataset_at(g->ds, g->sample[r->top[10 * i + n]])->file;
        char text_id[24];
        snprintf(text_id, sizeof text_id, "%zu", i);
        s = bqb_muge_write_prediction(&f, text_id, ids, n, err);
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

bqb_status cli_eval_write_score(const char *path, const cli_evaluation *e, bqb_err *err) {
    const bqb_recall *r = &e->answer[0].r.to_image;
    bqb_buf b = {.max = 4096};
    bqb_status s = bqb_muge_score(&b, r->r1, r->r5, r->r10, err);
    if (!s) s = bqb_buf_puts(&b, "\n", err);
    if (!s) s = bqb_file_write(path, b.data, b.len, err);
    bqb_buf_free(&b);
    return s;
}

/* ---- confusion ---- */

static bqb_status csv_cell(bqb_outfile *f, const char *text, bqb_err *err) {
    bqb_status s = bqb_outfile_write(f, "\"", 1, err);
    for (; *text && !s; text++) s = bqb_outfile_write(f, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, err);
    return s ? s : bqb_outfile_write(f, "\"", 1, err);
}

static bqb_status write_matrix(const char *path, const bqb_zeroshot *z, bqb_err *err) {
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    if (!s) s = bqb_outfile_printf(&f, err, "right\\chosen,pictures,accuracy");
    for (size_t c = 0; c < z->n_classes && !s; c++) {
        s = bqb_outfile_write(&f, ",", 1, err);
        if (!s) s = csv_cell(&f, z->label[c], err);
    }
    for (size_t k = 0; k < z->n_classes && !s; k++) {
        s = bqb_outfile_write(&f, "\n", 1, err);
        if (!s) s = csv_cell(&f, z->label[k], err);
        if (!s) s = bqb_outfile_printf(&f, err, ",%zu,%.2f", z->count[k], z->accuracy[k]);
        for (size_t c = 0; c < z->n_classes && !s; c++)
            s = bqb_outfile_printf(&f, err, ",%u", (unsigned)z->confusion[k * z->n_classes + c]);
    }
    if (!s) s = bqb_outfile_write(&f, "\n", 1, err);
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

bqb_status cli_eval_write_confusion(const char *dir, const cli_evaluation *e, bqb_err *err) {
    bqb_status s = bqb_make_dirs(dir, err);
    for (size_t k = 0; k < e->n_zeroshots && !s; k++) {
        if (!e->zeroshot[k].n) continue;
        char *path = bqb_asprintf("%s/confusion-%s.csv", dir, bqb_field_name(e->zeroshot[k].field));
        s = path ? write_matrix(path, &e->zeroshot[k], err) : bqb_fail_nomem(err, dir, 0);
        free(path);
    }
    return s;
}
