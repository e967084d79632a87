#define _GNU_SOURCE
#include "train/dataset.h"

#include "base/fs.h"
#include "file/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMED = 5, NOTES_MAX = 1 << 16 };

typedef struct {
    const char *file;
    size_t sample;
} file_entry;

struct bqb_dataset {
    bqb_table **tables; /* two for each: captions, queries (NULL when there are none) */
    size_t n_tables;
    bqb_sample *sample;
    size_t n, cap;
    const char **query;
    size_t n_queries, query_cap;
    uint64_t hash, times;
    size_t left_out;
    size_t n_missing, n_empty, n_unnamed, n_broken;
    bqb_buf notes;
};

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) { /* FNV-1a */
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static bqb_status hash_file(uint64_t *h, const char *path, bqb_err *err) {
    bqb_map m;
    bqb_status s = bqb_map_open(&m, path, err);
    if (s) return s;
    *h = hash_bytes(*h, m.data, m.size);
    bqb_map_close(&m);
    return BQB_OK;
}

static bqb_status add_sample(bqb_dataset *ds, bqb_sample s, bqb_err *err) {
    if (ds->n == ds->cap) {
        size_t cap = ds->cap ? 2 * ds->cap : 1024;
        bqb_sample *grown = realloc(ds->sample, cap * sizeof *grown);
        if (!grown) return bqb_fail_nomem(err, "sticker list", cap * sizeof *grown);
        ds->sample = grown;
        ds->cap = cap;
    }
    ds->sample[ds->n++] = s;
    return BQB_OK;
}

static bqb_status add_query(bqb_dataset *ds, const char *q, bqb_err *err) {
    if (ds->n_queries == ds->query_cap) {
        size_t cap = ds->query_cap ? 2 * ds->query_cap : 1024;
        const char **grown = realloc(ds->query, cap * sizeof *grown);
        if (!grown) return bqb_fail_nomem(err, "query list", cap * sizeof *grown);
        ds->query = grown;
        ds->query_cap = cap;
    }
    ds->query[ds->n_queries++] = q;
    return BQB_OK;
}

static void note(bqb_dataset *ds, size_t nth, const char *fmt, const char *a, const char *b) {
    if (nth <= NAMED) bqb_buf_printf(&ds->notes, NULL, "  %s: %s%s\n", a, fmt, b);
}

/* A sticker's text must not be empty: neutral labels alone describe nothing. */
static bqb_status has_text(bool *yes, bqb_buf *scratch, const bqb_annotation *a, bqb_err *err) {
    scratch->len = 0;
    bqb_status s = bqb_annotation_text(scratch, a, NULL, err);
    *yes = scratch->len > 0;
    return s;
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

    const char *base = bqb_path_base(path);
    char *dir = bqb_strndup(path, (size_t)(base - path));
    if (!dir) return bqb_fail_nomem(err, path, strlen(path));
    bqb_buf scratch = {.max = 1 << 24};
    bqb_status s = BQB_OK;
    for (size_t r = 0; r < bqb_table_rows(t) && !s; r++) {
        bqb_sample x = {.file = bqb_table_cell(t, r, file_at)};
        for (size_t f = 0; f < BQB_FIELDS; f++)
            if (field_at[f] != SIZE_MAX) x.note.field[f] = bqb_table_cell(t, r, field_at[f]);
        if (!*x.file) {
            ds->n_unnamed++;
            continue;
        }
        bool text = false;
        s = has_text(&text, &scratch, &x.note, err);
        if (s) break;
        if (!text) {
            note(ds, ++ds->n_empty, "no text", x.file, "");
            continue;
        }
        char *full = bqb_path_join(dir, x.file);
        if (!full) {
            s = bqb_fail_nomem(err, x.file, strlen(x.file));
            break;
        }
        struct stat st;
        int bad = stat(full, &st);
        if (bad || !S_ISREG(st.st_mode)) {
            note(ds, ++ds->n_missing, "", full, bad ? strerror(errno) : "not a regular file");
            free(full);
            continue;
        }
        int64_t size = (int64_t)st.st_size, time[2] = {(int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec};
        ds->hash = hash_bytes(ds->hash, &size, sizeof size);
        ds->times = hash_bytes(ds->times, time, sizeof time);
        x.path = full;
        s = add_sample(ds, x, err);
        if (s) free(full);
    }
    bqb_buf_free(&scratch);
    free(dir);
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
            s = add_query(ds, q, err);
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
    ds->n_broken += n;
    bqb_buf_printf(&ds->notes, NULL, "  %s: %zu broken line%s, the first is line %zu\n", path, n,
                   n == 1 ? "" : "s", bqb_table_broken_line(t));
}

static bqb_status add_table(bqb_dataset *ds, size_t k, const char *given, bqb_err *err) {
    char *path = bqb_is_dir(given) ? bqb_path_join(given, "captions.tsv") : bqb_strdup(given);
    char *dir = NULL, *queries = NULL;
    bqb_status s = path ? BQB_OK : bqb_fail_nomem(err, given, strlen(given));
    size_t first = ds->n;
    if (!s) s = hash_file(&ds->hash, path, err);
    if (!s) s = bqb_table_open(&ds->tables[2 * k], path, err);
    if (!s) s = read_captions(ds, ds->tables[2 * k], path, err);
    if (!s) {
        note_broken(ds, ds->tables[2 * k], path);
        dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path));
        queries = dir ? bqb_path_join(dir, "queries.tsv") : NULL;
        if (!queries) s = bqb_fail_nomem(err, path, strlen(path));
    }
    if (!s && bqb_is_file(queries)) {
        s = hash_file(&ds->hash, queries, err);
        if (!s) s = bqb_table_open(&ds->tables[2 * k + 1], queries, err);
        if (!s) s = read_queries(ds, ds->tables[2 * k + 1], first, queries, err);
        if (!s) note_broken(ds, ds->tables[2 * k + 1], queries);
    }
    free(queries);
    free(dir);
    free(path);
    return s;
}

bqb_status bqb_dataset_open(bqb_dataset **out, const char *const *tables, size_t n_tables, bqb_err *err) {
    *out = NULL;
    if (!n_tables) return bqb_fail(err, BQB_EINVAL, "no captions.tsv was given");
    bqb_dataset *ds = bqb_calloc(1, sizeof *ds);
    if (!ds) return bqb_fail_nomem(err, "data set", sizeof *ds);
    ds->notes.max = NOTES_MAX;
    ds->hash = 0xcbf29ce484222325u;
    ds->tables = bqb_calloc(2 * n_tables, sizeof *ds->tables);
    ds->n_tables = n_tables;
    bqb_status s = ds->tables ? bqb_buf_puts(&ds->notes, "", err)
                              : bqb_fail_nomem(err, "data set", n_tables * sizeof *ds->tables);
    for (size_t k = 0; k < n_tables && !s; k++) s = add_table(ds, k, tables[k], err);
    ds->left_out = ds->n_missing + ds->n_empty + ds->n_unnamed + ds->n_broken;
    if (!s && !ds->n)
        s = bqb_fail(err, BQB_EFORMAT,
                     "%s: no sticker to use (%zu missing files, %zu without text, %zu without a name, "
                     "%zu broken lines)",
                     tables[0], ds->n_missing, ds->n_empty, ds->n_unnamed, ds->n_broken);
    if (!s && ds->left_out)
        s = bqb_buf_printf(&ds->notes, err,
                           "  left out: %zu missing files, %zu without text, %zu without a name, "
                           "%zu broken lines\n",
                           ds->n_missing, ds->n_empty, ds->n_unnamed, ds->n_broken);
    if (s) {
        bqb_dataset_close(ds);
        return s;
    }
    *out = ds;
    return BQB_OK;
}

void bqb_dataset_close(bqb_dataset *ds) {
    if (!ds) return;
    for (size_t i = 0; i < ds->n; i++) free((void *)(uintptr_t)ds->sample[i].path);
    for (size_t k = 0; ds->tables && k < 2 * ds->n_tables; k++) bqb_table_close(ds->tables[k]);
    free(ds->tables);
    free(ds->sample);
    free(ds->query);
    bqb_buf_free(&ds->notes);
    free(ds);
}

size_t bqb_dataset_count(const bqb_dataset *ds) { return ds->n; }
const bqb_sample *bqb_dataset_at(const bqb_dataset *ds, size_t i) { return &ds->sample[i]; }
size_t bqb_dataset_query_count(const bqb_dataset *ds) { return ds->n_queries; }
const char *bqb_dataset_query(const bqb_dataset *ds, size_t q) { return ds->query[q]; }
uint64_t bqb_dataset_hash(const bqb_dataset *ds) { return ds->hash; }
uint64_t bqb_dataset_stamp(const bqb_dataset *ds) { return hash_bytes(ds->hash, &ds->times, sizeof ds->times); }
size_t bqb_dataset_left_out(const bqb_dataset *ds) { return ds->left_out; }
const char *bqb_dataset_notes(const bqb_dataset *ds) { return ds->notes.data; }
