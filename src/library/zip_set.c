#include "library/zip_set.h"

#include "base/fs.h"
#include "file/table.h"
#include "file/zip_name.h"
#include "image/sniff.h"
#include "library/telegram_set.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PICTURE = 64 << 20, MAX_TABLE = 64 << 20, MAX_SET = 1 << 20, MAX_NAME = 1 << 18, MAX_GROWTH = 64 };
#define LEAST_TOTAL ((uint64_t)256 << 20)

bool bqb_is_zip(const char *path) {
    char head[4] = {0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return false;
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    return n == 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4));
}

/* An entry under its readable name. */
typedef struct {
    const char *name;
    const bqb_zip_entry *entry;
    bool is_set; /* JSON of a Telegram set, which was read */
} item;

/* What a table says of a name. */
typedef struct {
    const char *name;
    bqb_annotation note;
    bqb_own_cells own;
    size_t order;
    bool used;
} row;

typedef struct {
    bqb_zip *z;
    const bqb_zip_reader *r;
    bqb_arena *names;
    bqb_buf bytes;
    item *item; /* in name order */
    size_t n, others;
    bqb_table **table; /* stay open: rows borrow their cells */
    size_t n_tables, cap_tables;
    row *row;          /* in name order */
    size_t n_rows, cap_rows;
    uint64_t left;     /* bytes that may still be unpacked */
} reading;

static void skip(const reading *g, const char *name, const char *reason) {
    if (g->r->skip) g->r->skip(g->r->ctx, name, reason);
}

/* Some part of the name begins with a point, or it is macOS's shadow of another file. */
static bool is_hidden(const char *name) {
    return *name == '.' || strstr(name, "/.") || !strncmp(name, "__MACOSX/", 9);
}

static const char *keep(reading *g, const char *text, size_t n) {
    char *copy = bqb_arena_take(g->names, n + 1, 1);
    if (!copy) return NULL;
    memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

static int by_name_only(const void *a, const void *b) { return strcmp(((const item *)a)->name, ((const item *)b)->name); }

static int by_name(const void *a, const void *b) {
    const item *x = a, *y = b;
    int d = strcmp(x->name, y->name);
    return d ? d : (x->entry->offset > y->entry->offset) - (x->entry->offset < y->entry->offset);
}

/* The files with a name that we take. */
static bqb_status list_items(reading *g, bqb_err *err) {
    bqb_buf name = {.max = MAX_NAME};
    bqb_status s = BQB_OK;
    g->item = bqb_calloc(bqb_zip_count(g->z), sizeof *g->item);
    if (!g->item) return bqb_fail_nomem(err, "entries", bqb_zip_count(g->z) * sizeof *g->item);
    for (size_t i = 0; i < bqb_zip_count(g->z) && !s; i++) {
        const bqb_zip_entry *e = bqb_zip_at(g->z, i);
        name.len = 0;
        if ((s = bqb_zip_name(&name, e, err))) break;
        const char *problem = bqb_zip_name_problem(name.data);
        if (problem) {
            skip(g, name.data, problem);
            continue;
        }
        if (name.data[name.len - 1] == '/' || is_hidden(name.data)) continue;
        const char *copy = keep(g, name.data, name.len);
        if (copy) g->item[g->n++] = (item){copy, e, false};
        else s = bqb_fail_nomem(err, "names", name.len);
    }
    bqb_buf_free(&name);
    if (s) return s;
    if (g->n) qsort(g->item, g->n, sizeof *g->item, by_name);
    size_t m = 0;
    for (size_t i = 0; i < g->n; i++)
        if (m && !strcmp(g->item[m - 1].name, g->item[i].name))
            skip(g, g->item[i].name, "the name is there twice; the first is taken");
        else g->item[m++] = g->item[i];
    g->n = m;
    return BQB_OK;
}

static bool is_table(const item *it) { return !strcmp(bqb_path_base(it->name), "captions.tsv"); }

/* Unpack into g->bytes. What cannot be is told: then *got is false. */
static bqb_status unpack(reading *g, const item *it, size_t max, bool *got, bqb_err *err) {
    bqb_err why;
    *got = false;
    if (it->entry->size > g->left) {
        skip(g, it->name, "it is left packed: the archive holds far more than its size promises");
        return BQB_OK;
    }
    g->bytes.len = 0;
    g->bytes.max = max;
    bqb_status s = bqb_zip_read(g->z, it->entry, &g->bytes, &why);
    if (s == BQB_ENOMEM) {
        if (err) *err = why;
        return s;
    }
    g->left -= it->entry->size; /* also for what was damaged: it cost as much */
    if (s == BQB_ELIMIT) skip(g, it->name, is_table(it) ? "it is larger than a table may be (64 MiB)" : "it is larger than a sticker may be (64 MiB)");
    else if (s == BQB_EUNSUPPORTED) skip(g, it->name, it->entry->method == UINT16_MAX ? "it is encrypted" : "it is compressed by a method other than deflate");
    else if (s) skip(g, it->name, "it is damaged");
    *got = !s;
    return BQB_OK;
}

/* ---- captions.tsv ---- */

/* FOLDER/NAME without "./" and doubled slashes; NULL for what is not below the archive's top, or no memory. */
static const char *join(reading *g, const char *folder, size_t n_folder, const char *name) {
    char joined[4096];
    size_t n = n_folder, length = strlen(name);
    if (n_folder + length + 1 > sizeof joined || !bqb_zip_name_is_safe(name)) return NULL;
    memcpy(joined, folder, n_folder);
    for (size_t i = 0; i < length;) {
        size_t part = strcspn(name + i, "/\\");
        if (part && !(part == 1 && name[i] == '.')) {
            memcpy(joined + n, name + i, part);
            n += part;
            if (name[i + part]) joined[n++] = '/';
        }
        i += part + (name[i + part] != 0);
    }
    return keep(g, joined, n);
}

static bqb_status add_row(reading *g, const char *name, const bqb_annotation *note, bqb_err *err) {
    row *rows = bqb_grow(g->row, g->n_rows, &g->cap_rows, sizeof *rows, 256);
    if (!rows) return bqb_fail_nomem(err, "captions", 2 * g->cap_rows * sizeof *rows);
    g->row = rows;
    rows[g->n_rows] = (row){.name = name, .note = *note, .order = g->n_rows};
    g->n_rows++;
    return BQB_OK;
}

static bqb_status take_rows(reading *g, const bqb_table *t, const item *it, bqb_err *err) {
    size_t folder = (size_t)(bqb_path_base(it->name) - it->name), file = bqb_table_find(t, "file");
    if (file == SIZE_MAX) {
        skip(g, it->name, "its header line has no column \"file\"");
        return BQB_OK;
    }
    char problem[BQB_TABLE_PROBLEM];
    if (bqb_table_problem(problem, t)) skip(g, it->name, problem);
    const bqb_own_columns own = bqb_own_columns_of(t);
    for (size_t i = 0; i < bqb_table_rows(t); i++) {
        const char *name = join(g, it->name, folder, bqb_table_cell(t, i, file));
        if (!name) {
            char reason[80];
            snprintf(reason, sizeof reason, "line %zu names no file of the archive", bqb_table_line(t, i));
            skip(g, it->name, reason);
            continue;
        }
        bqb_annotation note = {{0}};
        for (size_t c = 0; c < bqb_table_columns(t); c++) {
            const char *column = bqb_table_column(t, c);
            bqb_field f = bqb_field_parse(column, strlen(column));
            if (f != BQB_FIELDS) note.field[f] = bqb_table_cell(t, i, c);
        }
        bqb_status s = add_row(g, name, &note, err);
        if (s) return s;
        bqb_err why;
        bqb_own_cells *cells = &g->row[g->n_rows - 1].own;
        *cells = bqb_own_cells_at(t, i, &own);
        if (!bqb_own_cells_check(cells, &note, bqb_table_line(t, i), &why)) skip(g, it->name, why.msg);
    }
    return BQB_OK;
}

/* ---- Telegram's sets ---- */

typedef struct {
    reading *g;
    const item *json;
} set_reading;

/* Files of that name beside the JSON. */
static bqb_status take_sticker(void *ctx, const char *stem, const bqb_annotation *note, bqb_err *err) {
    set_reading *set = ctx;
    reading *g = set->g;
    char name[4096];
    bqb_annotation kept = {{0}};
    bqb_status s = BQB_OK;
    int folder = (int)(bqb_path_base(set->json->name) - set->json->name);
    for (size_t i = 0; bqb_telegram_extensions[i] && !s; i++) {
        int n = snprintf(name, sizeof name, "%.*s%s%s", folder, set->json->name, stem, bqb_telegram_extensions[i]);
        item key = {.name = name};
        const item *it = n < (int)sizeof name ? bsearch(&key, g->item, g->n, sizeof key, by_name_only) : NULL;
        if (!it) continue;
        for (int f = 0; f < BQB_FIELDS && !s; f++)
            if (note->field[f] && !(kept.field[f] = keep(g, note->field[f], strlen(note->field[f])))) s = bqb_fail_nomem(err, "captions", 1);
        if (!s) s = add_row(g, it->name, &kept, err);
    }
    return s;
}

/* Of JSON of other kinds nothing is said. */
static bqb_status read_sets(reading *g, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < g->n && !s; i++) {
        item *it = &g->item[i];
        size_t n = strlen(it->name);
        bool got = false;
        bqb_err why;
        if (n < 5 || strcmp(it->name + n - 5, ".json") != 0 || it->entry->size > MAX_SET) continue;
        if ((s = unpack(g, it, MAX_SET, &got, err)) || !got) continue;
        set_reading set = {g, it};
        s = bqb_telegram_set_each(g->bytes.data, g->bytes.len, take_sticker, &set, &why);
        it->is_set = !s;
        if (s == BQB_EFORMAT || s == BQB_ELIMIT) s = BQB_OK;
        if (s) s = bqb_fail(err, s, "%s", why.msg);
    }
    return s;
}

static int by_row(const void *a, const void *b) {
    const row *x = a, *y = b;
    int d = strcmp(x->name, y->name);
    return d ? d : (x->order > y->order) - (x->order < y->order);
}

static bqb_status read_tables(reading *g, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < g->n && !s; i++) {
        bool got = false;
        bqb_err why;
        if (!is_table(&g->item[i])) continue;
        s = unpack(g, &g->item[i], MAX_TABLE, &got, err);
        if (s || !got) continue;
        bqb_table **tables = bqb_grow(g->table, g->n_tables, &g->cap_tables, sizeof *tables, 4), *t = NULL;
        if (!tables) return bqb_fail_nomem(err, "tables", g->n_tables * sizeof *tables);
        g->table = tables;
        bqb_status bad = bqb_table_parse(&t, g->bytes.data, g->bytes.len, bqb_path_base(g->item[i].name), &why);
        if (bad == BQB_ENOMEM) return bqb_fail(err, bad, "%s", why.msg);
        if (bad) {
            skip(g, g->item[i].name, why.msg);
            continue;
        }
        tables[g->n_tables++] = t;
        s = take_rows(g, t, &g->item[i], err);
    }
    return s;
}

/* The first row of a name, or NULL; all of its rows now count as used. */
static const row *find_row(reading *g, const char *name) {
    size_t lo = 0, hi = g->n_rows;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(g->row[mid].name, name) < 0) lo = mid + 1;
        else hi = mid;
    }
    for (size_t i = lo; i < g->n_rows && !strcmp(g->row[i].name, name); i++) g->row[i].used = true;
    return lo < g->n_rows && g->row[lo].used ? &g->row[lo] : NULL;
}

/* ---- pictures ---- */

static bqb_status take_picture(reading *g, const item *it, bqb_err *err) {
    bool got;
    const row *said = find_row(g, it->name);
    int says = bqb_extension_says(it->name);
    if (says < 0 && !said) {
        g->others++;
        return BQB_OK;
    }
    bqb_status s = unpack(g, it, MAX_PICTURE, &got, err);
    if (s || !got) return s;
    const uint8_t *data = (const uint8_t *)g->bytes.data;
    if (bqb_sniff(data, g->bytes.len) == BQB_PICTURE_NONE) {
        char reason[120];
        snprintf(reason, sizeof reason, "found %s, needed a picture", bqb_sniff_other(data, g->bytes.len));
        if (says > 0 || said) skip(g, it->name, reason);
        else g->others++;
        return BQB_OK;
    }
    bqb_zip_sticker x = {.name = it->name, .listed = said != NULL, .data = data, .size = g->bytes.len};
    if (said) {
        x.note = said->note;
        x.own = said->own;
    }
    return g->r->sticker(g->r->ctx, &x, err);
}

static bqb_status read_all(reading *g, bqb_err *err) {
    bqb_status s = list_items(g, err);
    if (!s) s = read_tables(g, err);
    if (!s) s = read_sets(g, err); /* what a table says comes first */
    if (!s && g->n_rows) qsort(g->row, g->n_rows, sizeof *g->row, by_row);
    for (size_t i = 0; i < g->n && !s; i++) {
        if (!is_table(&g->item[i]) && !g->item[i].is_set) s = take_picture(g, &g->item[i], err);
        if (!s && g->r->progress && g->r->progress(g->r->ctx, "unpack", i + 1, g->n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while unpacking");
    }
    for (size_t i = 0; i < g->n_rows && !s; i++)
        if (!g->row[i].used) skip(g, g->row[i].name, "captions.tsv names it, but it is not in the archive");
    return s;
}

bqb_status bqb_zip_set_each(const char *path, const bqb_zip_reader *r, size_t *others, bqb_err *err) {
    reading g = {.r = r, .names = bqb_arena_new()};
    if (!g.names) return bqb_fail_nomem(err, path, 1);
    bqb_status s = bqb_zip_open_any(&g.z, path, err);
    if (!s) {
        uint64_t size = bqb_zip_size_bytes(g.z);
        g.left = size > LEAST_TOTAL / MAX_GROWTH ? size * MAX_GROWTH : LEAST_TOTAL;
        s = read_all(&g, err);
    }
    if (others) *others = g.others;
    for (size_t i = 0; i < g.n_tables; i++) bqb_table_close(g.table[i]);
    free(g.table);
    free(g.row);
    free(g.item);
    bqb_buf_free(&g.bytes);
    bqb_arena_free(g.names);
    bqb_zip_close(g.z);
    return s;
}
