#include "file/gguf.h"

#include "base/fs.h"
#include "base/little_endian.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1 << 20, ALIGNMENT = 32, HEAD_BYTES = 24, KEY_MOST = 1 << 16 };

/* Types of values. */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64, TYPES };
static const uint8_t sizes[TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* One key. Of an array: type of its items, how many, where the first lies. */
typedef struct {
    bqb_gguf_text key;
    uint32_t type;
    bool array;
    uint64_t n;
    const uint8_t *at;
} entry;

struct bqb_gguf {
    bqb_map map;
    char *path;
    entry *key;
    size_t n_keys;
    bqb_gguf_tensor *tensor;
    uint32_t *by_name; /* [n_tensors] numbers of tensors, by name */
    size_t n_tensors;
};

/* A place in the file that never leaves it: reading past the end sets `over`. */
typedef struct {
    const uint8_t *start, *at, *end;
    bool over;
} cursor;

static const uint8_t *skip(cursor *c, uint64_t n) {
    const uint8_t *at = c->at;
    if (n > (uint64_t)(c->end - c->at)) {
        c->over = true;
        c->at = c->end;
        return NULL;
    }
    c->at += n;
    return at;
}

/* 0 past the end */
static uint64_t next(cursor *c, size_t n) {
    const uint8_t *b = skip(c, n);
    return b ? bqb_le(b, n) : 0;
}

static uint32_t next32(cursor *c) { return (uint32_t)next(c, 4); }
static uint64_t next64(cursor *c) { return next(c, 8); }

static bqb_gguf_text next_text(cursor *c) {
    uint64_t n = next64(c);
    const uint8_t *s = skip(c, n);
    return s ? (bqb_gguf_text){(const char *)s, (size_t)n} : (bqb_gguf_text){"", 0};
}

static bqb_status bad(const bqb_gguf *g, const cursor *c, const char *what, bqb_err *err) {
    return bqb_fail_at(err, BQB_EFORMAT, c->at - c->start, "%s: %s", g->path, what);
}

/* Pass over n values of a type. */
static bqb_status skip_values(const bqb_gguf *g, cursor *c, uint32_t type, uint64_t n, bqb_err *err) {
    if (type >= TYPES || type == ARRAY) return bad(g, c, "a value of an unknown type (arrays of arrays are not read)", err);
    if (type == TEXT) {
        for (uint64_t i = 0; i < n && !c->over; i++) next_text(c);
    } else if (n > UINT64_MAX / 8 || !skip(c, n * sizes[type])) c->over = true;
    return c->over ? bad(g, c, "cut short within its keys", err) : BQB_OK;
}

static bqb_status read_key(bqb_gguf *g, cursor *c, entry *e, bqb_err *err) {
    e->key = next_text(c);
    if (e->key.n > KEY_MOST) return bad(g, c, "a key of more than 64 KB", err);
    e->type = next32(c);
    e->n = 1;
    e->array = e->type == ARRAY;
    if (e->array) {
        e->type = next32(c);
        e->n = next64(c);
        if (e->n > (uint64_t)(c->end - c->at)) c->over = true; /* an item takes a byte at least */
    }
    e->at = c->at;
    return c->over ? bad(g, c, "cut short within its keys", err) : skip_values(g, c, e->type, e->n, err);
}

static int compare(bqb_gguf_text a, bqb_gguf_text b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.s, b.s, n) : 0;
    return d ? d : a.n < b.n ? -1 : a.n > b.n;
}

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return compare(x->key, y->key);
}

static bqb_status read_tensor(const bqb_gguf *g, cursor *c, bqb_gguf_tensor *t, uint64_t *offset, bqb_err *err) {
    t->name = next_text(c);
    uint32_t n = next32(c);
    if (!c->over && (n < 1 || n > BQB_GGUF_DIMS)) return bad(g, c, "a tensor with no or more than 4 dimensions", err);
    uint64_t all = 1;
    for (uint32_t d = 0; d < n && !c->over; d++) {
        uint64_t dim = next64(c);
        if (!dim || dim > UINT32_MAX || all > (UINT64_C(1) << 48) / dim) return bad(g, c, "a tensor of impossible size", err);
        t->dim[d] = (size_t)dim;
        all *= dim;
    }
    t->n_dims = n;
    t->type = next32(c);
    *offset = next64(c);
    return c->over ? bad(g, c, "cut short within its list of tensors", err) : BQB_OK;
}

/* ggml's types by its numbers: the numbers in a block of one, and its bytes; 0 where these are not known. */
static const struct {
    const char *name; /* NULL: there is none */
    uint16_t numbers, bytes;
} types[] = {
    {"F32", 1, 4},       {"F16", 1, 2},       {"Q4_0", 32, 18},   {"Q4_1", 32, 20},   {NULL, 0, 0},        {NULL, 0, 0},
    {"Q5_0", 32, 22},    {"Q5_1", 32, 24},    {"Q8_0", 32, 34},   {"Q8_1", 32, 36},   {"Q2_K", 256, 84},   {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},  {"Q5_K", 256, 176},  {"Q6_K", 256, 210}, {"Q8_K", 256, 292}, {"IQ2_XXS", 0, 0},   {"IQ2_XS", 0, 0},
    {"IQ3_XXS", 0, 0},   {"IQ1_S", 0, 0},     {"IQ4_NL", 0, 0},   {"IQ3_S", 0, 0},    {"IQ2_S", 0, 0},     {"IQ4_XS", 0, 0},
    {"I8", 1, 1},        {"I16", 1, 2},       {"I32", 1, 4},      {"I64", 1, 8},      {"F64", 1, 8},       {"IQ1_M", 0, 0},
    {"BF16", 1, 2},
};
enum { N_TYPES = sizeof types / sizeof *types };

static int shown(bqb_gguf_text t) { return (int)(t.n < 200 ? t.n : 200); }

/* How many bytes a tensor takes; 0 of a type that is not known. */
static bqb_status size_of(const bqb_gguf *g, const bqb_gguf_tensor *t, uint64_t *bytes, bqb_err *err) {
    *bytes = 0;
    if (t->type >= N_TYPES || !types[t->type].numbers) return BQB_OK;
    if (t->dim[0] % types[t->type].numbers)
        return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.*s\": rows of %zu numbers are no whole blocks of %s", g->path, shown(t->name), t->name.s, t->dim[0],
                        bqb_gguf_type_name(t->type));
    *bytes = t->dim[0] / types[t->type].numbers * (uint64_t)types[t->type].bytes; /* dim[0] < 2^32, all of them < 2^48 */
    for (size_t d = 1; d < t->n_dims; d++) *bytes *= t->dim[d];
    return BQB_OK;
}

static int by_place(const void *a, const void *b) {
    const bqb_gguf_tensor *x = *(const bqb_gguf_tensor *const *)a, *y = *(const bqb_gguf_tensor *const *)b;
    return x->data < y->data ? -1 : x->data > y->data;
}

/* Tensors in the order of their data; none may reach into the next. Of an unknown type all up to there may be its own. */
static bqb_status apart(bqb_gguf *g, bqb_err *err) {
    bqb_gguf_tensor **order = bqb_calloc(g->n_tensors, sizeof *order);
    if (!order) return bqb_fail_nomem(err, g->path, g->n_tensors * sizeof *order);
    for (size_t i = 0; i < g->n_tensors; i++) order[i] = &g->tensor[i];
    if (g->n_tensors) qsort(order, g->n_tensors, sizeof *order, by_place);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i + 1 < g->n_tensors && !s; i++) {
        size_t room = (size_t)((const uint8_t *)order[i + 1]->data - (const uint8_t *)order[i]->data);
        uint64_t bytes;
        s = size_of(g, order[i], &bytes, err);
        if (!s && (bytes > room || !room))
            s = bqb_fail(err, BQB_EFORMAT, "%s: tensors \"%.*s\" and \"%.*s\" overlap", g->path, shown(order[i]->name), order[i]->name.s,
                         shown(order[i + 1]->name), order[i + 1]->name.s);
        if (!bytes) order[i]->bytes = room;
    }
    free(order);
    return s;
}

/* Where each tensor's data lies. */
static bqb_status place(bqb_gguf *g, const uint64_t *offset, const cursor *c, bqb_err *err) {
    double said = ALIGNMENT;
    bqb_gguf_number(g, "general.alignment", &said);
    if (!(said >= 1 && said <= 1 << 20) || said != (double)(uint64_t)said)
        return bqb_fail(err, BQB_EFORMAT, "%s: general.alignment is %g", g->path, said);
    uint64_t align = (uint64_t)said, from = ((uint64_t)(c->at - c->start) + align - 1) / align * align;
    if (from > g->map.size) from = g->map.size;
    uint64_t there = g->map.size - from;
    for (size_t i = 0; i < g->n_tensors; i++) {
        bqb_gguf_tensor *t = &g->tensor[i];
        uint64_t bytes;
        bqb_status s = size_of(g, t, &bytes, err);
        if (s) return s;
        if (offset[i] % align || offset[i] >= there || bytes > there - offset[i])
            return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.*s\" lies outside the file (cut short?)", g->path, shown(t->name), t->name.s);
        t->data = g->map.data + from + offset[i];
        t->bytes = (size_t)(bytes ? bytes : there - offset[i]);
    }
    return apart(g, err);
}

static _Thread_local const bqb_gguf_tensor *sorted_tensors; /* qsort has no context */

static int by_name(const void *a, const void *b) {
    return compare(sorted_tensors[*(const uint32_t *)a].name, sorted_tensors[*(const uint32_t *)b].name);
}

static bqb_status read_all(bqb_gguf *g, bqb_err *err) {
    cursor c = {g->map.data, g->map.data, g->map.data + g->map.size, false};
    if (g->map.size < HEAD_BYTES || memcmp(g->map.data, "GGUF", 4)) return bqb_fail(err, BQB_EFORMAT, "%s: not a GGUF file", g->path);
    c.at += 4;
    uint32_t version = next32(&c);
    uint64_t tensors = next64(&c), keys = next64(&c);
    if (version >= 1 << 16) return bqb_fail(err, BQB_EUNSUPPORTED, "%s: a GGUF file of a big-endian machine", g->path);
    if (version < 2 || version > 3)
        return bqb_fail(err, BQB_EVERSION, "%s: GGUF version %" PRIu32 "; 2 and 3 are known", g->path, version);
    if (keys > MANY || tensors > MANY)
        return bqb_fail(err, BQB_ELIMIT, "%s: %" PRIu64 " keys and %" PRIu64 " tensors; at most %d of each are read", g->path, keys, tensors, MANY);
    /* A key takes 12 bytes at least, a tensor 32: a small file cannot ask for much memory. */
    if (keys > g->map.size / 12 || tensors > g->map.size / 32) return bad(g, &c, "cut short", err);
    g->key = bqb_calloc(keys, sizeof *g->key);
    g->tensor = bqb_calloc(tensors, sizeof *g->tensor);
    g->by_name = bqb_calloc(tensors, sizeof *g->by_name);
    uint64_t *offset = bqb_calloc(tensors, sizeof *offset);
    bqb_status s = g->key && g->tensor && g->by_name && offset ? BQB_OK : bqb_fail_nomem(err, g->path, tensors * sizeof *g->tensor);
    for (; g->n_keys < keys && !s; g->n_keys++) s = read_key(g, &c, &g->key[g->n_keys], err);
    if (!s && g->n_keys) qsort(g->key, g->n_keys, sizeof *g->key, by_key);
    for (; g->n_tensors < tensors && !s; g->n_tensors++) s = read_tensor(g, &c, &g->tensor[g->n_tensors], &offset[g->n_tensors], err);
    if (!s) s = place(g, offset, &c, err);
    free(offset);
    for (size_t i = 0; i < g->n_tensors; i++) g->by_name[i] = (uint32_t)i;
    sorted_tensors = g->tensor;
    if (!s && g->n_tensors) qsort(g->by_name, g->n_tensors, sizeof *g->by_name, by_name);
    for (size_t i = 1; i < g->n_tensors && !s; i++) {
        bqb_gguf_text name = g->tensor[g->by_name[i]].name;
        if (!compare(name, g->tensor[g->by_name[i - 1]].name))
            s = bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.*s\" twice", g->path, (int)(name.n < 200 ? name.n : 200), name.s);
    }
    return s;
}

bqb_status bqb_gguf_open(bqb_gguf **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_gguf *g = bqb_calloc(1, sizeof *g);
    if (!g) return bqb_fail_nomem(err, path, sizeof *g);
    g->path = bqb_strdup(path);
    bqb_status s = g->path ? bqb_map_open(&g->map, path, err) : bqb_fail_nomem(err, path, strlen(path));
    if (!s) s = read_all(g, err);
    if (s) bqb_gguf_close(g);
    else *out = g;
    return s;
}

void bqb_gguf_close(bqb_gguf *g) {
    if (!g) return;
    bqb_map_close(&g->map);
    free(g->path);
    free(g->key);
    free(g->tensor);
    free(g->by_name);
    free(g);
}

const char *bqb_gguf_path(const bqb_gguf *g) { return g->path; }

bool bqb_is_gguf(const char *path) {
    char head[4] = {0};
    FILE *f = bqb_is_file(path) ? fopen(path, "rb") : NULL;
    bool yes = f && fread(head, 1, 4, f) == 4 && !memcmp(head, "GGUF", 4);
    if (f) fclose(f);
    return yes;
}

/* ---- values ---- */

static const entry *find(const bqb_gguf *g, const char *key) {
    entry want = {.key = {key, strlen(key)}};
    return g->n_keys ? bsearch(&want, g->key, g->n_keys, sizeof want, by_key) : NULL;
}

static double number(uint32_t type, const uint8_t *at) {
    uint64_t bits = bqb_le(at, sizes[type]);
    float f;
    double d;
    switch (type) {
    case I8: return (int8_t)bits;
    case I16: return (int16_t)bits;
    case I32: return (int32_t)bits;
    case I64: return (double)(int64_t)bits;
    case F32: return memcpy(&f, at, 4), (double)f;
    case F64: return memcpy(&d, at, 8), d;
    default: return (double)bits;
    }
}

bool bqb_gguf_number(const bqb_gguf *g, const char *key, double *value) {
    const entry *e = find(g, key);
    if (!e || e->array || e->type == TEXT) return false;
    *value = number(e->type, e->at);
    return true;
}

bool bqb_gguf_text_of(const bqb_gguf *g, const char *key, bqb_gguf_text *value) {
    const entry *e = find(g, key);
    if (!e || e->array || e->type != TEXT) return false;
    *value = (bqb_gguf_text){(const char *)e->at + 8, (size_t)bqb_le(e->at, 8)};
    return true;
}

static const entry *array(const bqb_gguf *g, const char *key, bool texts) {
    const entry *e = find(g, key);
    return e && e->array && (e->type == TEXT) == texts ? e : NULL;
}

bool bqb_gguf_texts(const bqb_gguf *g, const char *key, size_t *n) {
    const entry *e = array(g, key, true);
    *n = e ? (size_t)e->n : 0;
    return e != NULL;
}

bool bqb_gguf_numbers(const bqb_gguf *g, const char *key, size_t *n) {
    const entry *e = array(g, key, false);
    *n = e ? (size_t)e->n : 0;
    return e != NULL;
}

double bqb_gguf_number_at(const bqb_gguf *g, const char *key, size_t i) {
    const entry *e = array(g, key, false);
    return e && i < e->n ? number(e->type, e->at + i * sizes[e->type]) : 0;
}

bqb_status bqb_gguf_each_text(const bqb_gguf *g, const char *key, bqb_gguf_text_fn fn, void *ctx, bqb_err *err) {
    const entry *e = array(g, key, true);
    if (!e) return bqb_fail(err, BQB_ENOTFOUND, "%s: no texts \"%s\"", g->path, key);
    const uint8_t *at = e->at;
    for (uint64_t i = 0; i < e->n; i++) {
        size_t n = (size_t)bqb_le(at, 8);
        if (fn(ctx, (size_t)i, (bqb_gguf_text){(const char *)at + 8, n})) return BQB_ECANCEL;
        at += 8 + n;
    }
    return BQB_OK;
}

/* ---- tensors ---- */

size_t bqb_gguf_tensor_count(const bqb_gguf *g) { return g->n_tensors; }
const bqb_gguf_tensor *bqb_gguf_tensor_at(const bqb_gguf *g, size_t i) { return &g->tensor[i]; }

const bqb_gguf_tensor *bqb_gguf_tensor_find(const bqb_gguf *g, const char *name) {
    bqb_gguf_text want = {name, strlen(name)};
    for (size_t lo = 0, hi = g->n_tensors; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int d = compare(want, g->tensor[g->by_name[mid]].name);
        if (!d) return &g->tensor[g->by_name[mid]];
        if (d < 0) hi = mid;
        else lo = mid + 1;
    }
    return NULL;
}

const char *bqb_gguf_type_name(uint32_t type) {
    static _Thread_local char other[24];
    if (type < N_TYPES && types[type].name) return types[type].name;
    snprintf(other, sizeof other, "type %" PRIu32, type);
    return other;
}
