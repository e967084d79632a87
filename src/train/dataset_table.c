/* Stickers of a captions.tsv and the queries.tsv beside it. */
#include "train/dataset_source.h"

#include "base/words.h"
#include "file/table.h"
#include "library/origins.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *file;
    size_t sample;
} file_entry;

static void close_table(void *t) { bqb_table_close(t); }

/* What a model guessed is not to be learnt from, nor measured against; nor is what nobody can tell who says. */
static void leave_guesses_out(bqb_dataset *ds, bqb_annotation *note, const char *origins, const char *path, size_t line,
                             size_t *told) {
    bqb_who who;
    bqb_err why;
    if (bqb_origins_parse(&who, origins, note, &why) && ++*told <= 5) bqb_buf_printf(&ds->notes, NULL, "  %s: line %zu, %s\n", path, line, why.msg);
    for (int f = 0; f < BQB_FIELDS; f++)
        if (who.unknown[f] || who.origin[f] == BQB_ZERO_SHOT) note->field[f] = NULL;
}

static bqb_status read_captions(bqb_dataset *ds, const bqb_table *t, const char *path, bqb_err *err) {
    size_t file_at = bqb_table_find(t, "file"), field_at[BQB_FIELDS], n_fields = 0;
    for (size_t f = 0; f < BQB_FIELDS; f++) field_at[f] = SIZE_MAX;
    for (size_t c = 0; c < bqb_table_columns(t); c++) {
        const char *name = bqb_table_column(t, c);
        bqb_field f = bqb_field_parse(name, strlen(name));
        if (f < BQB_FIELDS && field_at[f] == SIZE_MAX) {
            field_at[f] = c;
            n_fields++;
        }
    }
    if (file_at == SIZE_MAX)
        return bqb_fail_at(err, BQB_EFORMAT, 1, "%s: the header line has no column \"file\"", path);
    if (!n_fields)
        return bqb_fail_at(err, BQB_EFORMAT, 1,
                           "%s: the header line has none of the columns caption, emotion, "
                           "emotion_label, style, ocr",
                           path);

    bqb_buf full = {.max = 1 << 16};
    size_t dir = (size_t)(bqb_path_base(path) - path);
    bqb_status s = BQB_OK;
    size_t origins_at = bqb_table_find(t, BQB_ORIGINS_COLUMN), told = 0;
    for (size_t r = 0; r < bqb_table_rows(t) && !s; r++) {
        bqb_sample x = {.file = bqb_table_cell(t, r, file_at)};
        for (size_t f = 0; f < BQB_FIELDS; f++)
            if (field_at[f] != SIZE_MAX) x.note.field[f] = bqb_table_cell(t, r, field_at[f]);
        if (origins_at != SIZE_MAX) leave_guesses_out(ds, &x.note, bqb_table_cell(t, r, origins_at), path, bqb_table_line(t, r), &told);
        full.len = 0;
        if (*x.file != '/') s = bqb_buf_append(&full, path, dir, err);
        if (!s) s = bqb_buf_puts(&full, x.file, err);
        if (!s && !(x.path = bqb_dataset_keep(ds, full.data, full.len))) s = bqb_fail_nomem(err, x.file, full.len);
        if (!s) s = bqb_dataset_add(ds, &x, NULL, NULL, err);
    }
    bqb_buf_free(&full);
    return s;
}

static int by_file(const void *a, const void *b) {
    const file_entry *x = a, *y = b;
    int c = strcmp(x->file, y->file);
    return c ? c : (x->sample > y->sample) - (x->sample < y->sample);
}

/* Short queries of the stickers from `first` on, kept together sticker by sticker. */
static bqb_status read_queries(bqb_dataset *ds, const bqb_table *t, size_t first, const char *path, bqb_err *err) {
    size_t file_at = bqb_table_find(t, "file"), query_at = bqb_table_find(t, "query");
    if (file_at == SIZE_MAX || query_at == SIZE_MAX)
        return bqb_fail_at(err, BQB_EFORMAT, 1, "%s: the header line needs the columns file and query", path);
    size_t n = ds->n - first, n_rows = bqb_table_rows(t);
    file_entry *map = bqb_calloc(n, sizeof *map), *rows = bqb_calloc(n_rows, sizeof *rows);
    bqb_status s = map && rows ? BQB_OK : bqb_fail_nomem(err, "query index", (n + n_rows) * sizeof *map);
    if (!s) {
        for (size_t i = 0; i < n; i++) map[i] = (file_entry){ds->sample[first + i].file, first + i};
        for (size_t r = 0; r < n_rows; r++) rows[r] = (file_entry){bqb_table_cell(t, r, file_at), r};
        qsort(map, n, sizeof *map, by_file);
        qsort(rows, n_rows, sizeof *rows, by_file);
    }
    /* A merge: for every sticker the rows of its name, in file order. */
    size_t r = 0;
    for (size_t i = 0; i < n && !s; i++) {
        bqb_sample *x = &ds->sample[map[i].sample];
        while (r < n_rows && strcmp(rows[r].file, x->file) < 0) r++;
        x->first_query = ds->n_queries;
        for (size_t k = r; k < n_rows && !s && !strcmp(rows[k].file, x->file); k++) {
            const char *q = bqb_table_cell(t, rows[k].sample, query_at);
            if (!*q) continue;
            s = bqb_dataset_add_query(ds, q, err);
            x->n_queries += !s;
        }
    }
    free(map);
    free(rows);
    return s;
}

static void note_broken(bqb_dataset *ds, const bqb_table *t, const char *path) {
    size_t n = bqb_table_broken(t);
    if (!n) return;
    ds->left[BQB_LEFT_BROKEN] += n;
    bqb_buf_printf(&ds->notes, NULL, "  %s: %zu %s, the first is line %zu\n", path, n, bqb_word(n, "broken line", "broken lines"),
                   bqb_table_broken_line(t));
}

static bqb_status open_table(bqb_dataset *ds, bqb_table **t, const char *path, bqb_err *err) {
    bqb_status s = bqb_dataset_mix_file(ds, path, err);
    if (!s) s = bqb_table_open(t, path, err);
    return s ? s : bqb_dataset_own(ds, *t, close_table, err);
}

bqb_status bqb_dataset_read_table(bqb_dataset *ds, const char *captions_tsv, bqb_err *err) {
    bqb_table *captions, *queries;
    size_t first = ds->n;
    bqb_status s = open_table(ds, &captions, captions_tsv, err);
    if (!s) s = read_captions(ds, captions, captions_tsv, err);
    if (s) return s;
    note_broken(ds, captions, captions_tsv);
    char *path = bqb_asprintf("%.*squeries.tsv", (int)(bqb_path_base(captions_tsv) - captions_tsv), captions_tsv);
    if (!path) return bqb_fail_nomem(err, captions_tsv, strlen(captions_tsv));
    if (bqb_is_file(path)) {
        s = open_table(ds, &queries, path, err);
        if (!s) s = read_queries(ds, queries, first, path, err);
        if (!s) note_broken(ds, queries, path);
    }
    free(path);
    return s;
}
