#include "library/vectors.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "file/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* File and memory have one layout: this head, then id, f16, i8, scale and err,
 * each from a multiple of 64 bytes. Machine order: a cache does not travel. */
typedef struct {
    char magic[8];
    char uid[32], model[64], kind[16];
    uint64_t generation, n, dim, size;
    uint8_t zero[104];
} head;
_Static_assert(sizeof(head) == 256, "sections start at multiples of 64");

static const char magic[8] = "bqbvec1";

typedef struct {
    bqb_vectors v;
    bqb_map map;  /* one of the two */
    char *block;
} holder;

typedef struct {
    size_t id, f16, i8, scale, err, size, stride;
} layout;

static size_t up64(size_t x) { return (x + 63) & ~(size_t)63; }

/* Where the sections are; false when it would not fit in memory at all. */
static bool lay_out(layout *l, size_t n, size_t dim) {
    if (!dim) dim = 1;
    if (dim > (1u << 20) || n > SIZE_MAX / 64 / (dim + 64)) return false;
    l->stride = up64(dim);
    l->id = sizeof(head);
    l->f16 = up64(l->id + n * sizeof(int64_t));
    l->i8 = up64(l->f16 + n * dim * sizeof(uint16_t));
    l->scale = up64(l->i8 + n * l->stride);
    l->err = up64(l->scale + n * sizeof(float));
    l->size = up64(l->err + n * sizeof(float));
    return true;
}

static void point(bqb_vectors *v, const char *block, const layout *l, size_t n, size_t dim) {
    *v = (bqb_vectors){.n = n, .dim = dim, .stride = l->stride,
                       .id = (const int64_t *)(const void *)(block + l->id),
                       .f16 = (const uint16_t *)(const void *)(block + l->f16),
                       .i8 = (const int8_t *)(const void *)(block + l->i8),
                       .scale = (const float *)(const void *)(block + l->scale),
                       .err = (const float *)(const void *)(block + l->err)};
}

/* i8 = round(row / scale), scale = max|row| / 127, and the length of what is lost by it. */
static void quantise(int8_t *i8, float *scale, float *lost, const uint16_t *f16, size_t dim) {
    float most = 0;
    for (size_t d = 0; d < dim; d++) {
        float x = fabsf(bqb_f16_to_f32(f16[d]));
        if (x > most) most = x;
    }
    float s = most / 127, inverse = most > 0 ? 127 / most : 0;
    double sum_sq = 0;
    for (size_t d = 0; d < dim; d++) {
        float x = bqb_f16_to_f32(f16[d]);
        long q = lrintf(x * inverse);
        q = q > 127 ? 127 : q < -127 ? -127 : q;
        i8[d] = (int8_t)q;
        double e = (double)x - (double)s * (double)q;
        sum_sq += e * e;
    }
    *scale = s;
    *lost = (float)(sqrt(sum_sq) * (1 + 1e-6) + 1e-9);
}

static bqb_status block_new(holder *h, layout *l, size_t n, size_t dim, bqb_err *err) {
    if (!lay_out(l, n, dim)) return bqb_fail(err, BQB_ELIMIT, "%zu vectors of %zu numbers do not fit in memory", n, dim);
    h->block = bqb_alloc_aligned(l->size, 1);
    if (!h->block) return bqb_fail_nomem(err, "vectors", l->size);
    memset(h->block, 0, l->size);
    point(&h->v, h->block, l, n, dim);
    return BQB_OK;
}

typedef struct {
    holder *h;
    const layout *l;
} quantising;

static void quantise_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const quantising *w = ctx;
    const bqb_vectors *v = &w->h->v;
    char *block = w->h->block;
    quantise((int8_t *)block + w->l->i8 + i * w->l->stride, (float *)(void *)(block + w->l->scale) + i,
             (float *)(void *)(block + w->l->err) + i, v->f16 + i * v->dim, v->dim);
}

static void quantise_all(holder *h, const layout *l) {
    quantising w = {h, l};
    bqb_parallel_for(h->v.n, h->v.n < 1000 ? 1 : bqb_cpu_count(), quantise_row, &w);
}

bqb_status bqb_vectors_new(bqb_vectors **out, const int64_t *id, const uint16_t *f16, size_t n, size_t dim,
                           bqb_err *err) {
    layout l;
    *out = NULL;
    holder *h = bqb_calloc(1, sizeof *h);
    if (!h) return bqb_fail_nomem(err, "vectors", sizeof *h);
    bqb_status s = block_new(h, &l, n, dim, err);
    if (s) {
        free(h);
        return s;
    }
    if (n) memcpy(h->block + l.id, id, n * sizeof *id);
    if (n) memcpy(h->block + l.f16, f16, n * dim * sizeof *f16);
    quantise_all(h, &l);
    *out = &h->v;
    return BQB_OK;
}

void bqb_vectors_close(bqb_vectors *v) {
    holder *h = (holder *)(void *)v; /* v is its first member */
    if (!h) return;
    bqb_map_close(&h->map);
    free(h->block);
    free(h);
}

size_t bqb_vectors_row(const bqb_vectors *v, bqb_sticker_id id) {
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->id[mid] == id) return mid;
        if (v->id[mid] < id) lo = mid + 1;
        else hi = mid;
    }
    return SIZE_MAX;
}

static void fill_head(head *out, const char *uid, const char *model, const char *kind, uint64_t generation, size_t n,
                      size_t dim, size_t size) {
    memset(out, 0, sizeof *out);
    memcpy(out->magic, magic, sizeof magic);
    memcpy(out->uid, uid, 32);
    memcpy(out->model, model, strnlen(model, sizeof out->model));
    memcpy(out->kind, kind, strnlen(kind, sizeof out->kind));
    out->generation = generation;
    out->n = n;
    out->dim = dim;
    out->size = size;
}

/* Is the cache file what the catalogue would give now? */
static bool map_cache(holder *h, const char *path, const char *uid, const char *model, const char *kind,
                      uint64_t generation) {
    head got, want;
    layout l;
    if (!bqb_is_file(path) || bqb_map_open(&h->map, path, NULL)) return false;
    if (h->map.size < sizeof got) goto stale;
    memcpy(&got, h->map.data, sizeof got);
    fill_head(&want, uid, model, kind, generation, (size_t)got.n, (size_t)got.dim, h->map.size);
    if (memcmp(&got, &want, sizeof got) || !lay_out(&l, (size_t)got.n, (size_t)got.dim) || l.size != h->map.size)
        goto stale;
    point(&h->v, (const char *)h->map.data, &l, (size_t)got.n, (size_t)got.dim);
    return true;
stale:
    bqb_map_close(&h->map);
    return false;
}

typedef struct {
    holder *h;
    const layout *l;
    size_t filled;
} filling;

static int take(void *ctx, bqb_sticker_id id, const void *f16, size_t dim) {
    filling *f = ctx;
    if (f->filled == f->h->v.n || dim != f->h->v.dim) return 1;
    memcpy(f->h->block + f->l->id + f->filled * sizeof id, &id, sizeof id);
    memcpy(f->h->block + f->l->f16 + f->filled * dim * sizeof(uint16_t), f16, dim * sizeof(uint16_t));
    f->filled++;
    return 0;
}

/* Another process may write between counting and reading: then the numbers differ and the caller tries again. */
static bqb_status collect(holder *h, layout *l, bqb_catalogue *c, const char *model, const char *kind, bool *moved,
                          bqb_err *err) {
    size_t n, dim;
    *moved = false;
    bqb_status s = bqb_catalogue_count_embeddings(c, model, kind, &dim, &n, err);
    if (!s) s = block_new(h, l, n, dim, err);
    if (s) return s;
    filling f = {.h = h, .l = l};
    s = bqb_catalogue_each_embedding(c, model, kind, take, &f, err);
    if (s == BQB_ECANCEL || (!s && f.filled != n)) {
        *moved = true;
        free(h->block);
        h->block = NULL;
        return BQB_OK;
    }
    return s;
}

bqb_status bqb_vectors_open(bqb_vectors **out, bqb_catalogue *c, const char *model, const char *kind, bqb_err *err) {
    *out = NULL;
    holder *h = bqb_calloc(1, sizeof *h);
    char *dir = bqb_path_join(bqb_catalogue_dir(c), "cache");
    char *path = dir ? bqb_asprintf("%s/%s-%.16s.vectors", dir, kind, model) : NULL;
    bqb_status s = h && path ? BQB_OK : bqb_fail_nomem(err, "vectors", sizeof *h);
    bool moved = true;
    for (int tries = 0; !s && moved && tries < 20; tries++) {
        uint64_t generation, after;
        char uid[33];
        layout l;
        s = bqb_catalogue_generation(c, &generation, uid, err);
        if (s || map_cache(h, path, uid, model, kind, generation)) break;
        s = collect(h, &l, c, model, kind, &moved, err);
        if (!s && !moved) s = bqb_catalogue_generation(c, &after, uid, err);
        if (s || moved) continue;
        quantise_all(h, &l);
        if (after != generation) break; /* good for this search, but not to be kept */
        head *to = (head *)(void *)h->block;
        fill_head(to, uid, model, kind, generation, h->v.n, h->v.dim, l.size);
        if (h->v.n && !bqb_make_dirs(dir, NULL)) (void)bqb_file_write(path, h->block, l.size, NULL);
    }
    if (!s && moved && !h->map.data && !h->block)
        s = bqb_fail(err, BQB_EIO, "%s: changes too fast to be read", bqb_catalogue_dir(c));
    free(path);
    free(dir);
    if (s) {
        if (h) bqb_vectors_close(&h->v);
        return s;
    }
    *out = &h->v;
    return BQB_OK;
}
