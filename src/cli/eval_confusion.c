#include "cli/eval_report.h"

#include "base/fs.h"

#include <stdlib.h>

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
