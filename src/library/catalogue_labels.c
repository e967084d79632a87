/* Which labels there are, and who gave them. */
#include "library/catalogue_db.h"

#include <stdlib.h>

bqb_status bqb_catalogue_each_given(bqb_catalogue *c, bqb_field f, bqb_value_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_GIVEN, &st, err);
    if (s) return s;
    bind_text(st, 1, bqb_field_name(f));
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        const char *value = (const char *)sqlite3_column_text(st, 0);
        if (!value || !fn(ctx, value, (size_t)sqlite3_column_int64(st, 1))) continue;
        s = bqb_fail(err, BQB_ECANCEL, "stopped");
        break;
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_count_origins(bqb_catalogue *c, bqb_origin_counts *out, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *out = (bqb_origin_counts){0};
    bqb_status s = bqb_db_prepare(c, ANNOTATION_ORIGINS, &st, err);
    while (!s && !(s = bqb_db_step(c, st, &row, err)) && row) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        bqb_field f = name ? bqb_field_parse(name, strlen(name)) : BQB_FIELDS;
        int origin = sqlite3_column_int(st, 1);
        if (f != BQB_FIELDS && origin >= BQB_EDITED && origin < BQB_ORIGINS)
            out->n[f][origin - BQB_EDITED] = (uint64_t)sqlite3_column_int64(st, 2);
    }
    return s;
}

void bqb_annotated_leave_out(bqb_annotated *a, bqb_origin origin) {
    for (int f = 0; f < BQB_FIELDS; f++) {
        if (!a->field[f] || a->origin[f] != origin) continue;
        free(a->field[f]);
        a->field[f] = NULL;
    }
}
