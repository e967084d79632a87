#define _GNU_SOURCE
#include "library/vectors.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "file/safetensors.h"
#include "library/id_set.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* File and memory have one layout: this head, then id, f16, i8, scale and err,
 * each from a multiple of 64 bytes, with room for `room` rows. Machine order: a cache does not travel.
 *
 * New rows are written behind the n that there are, into the file that others may have mapped: they know of n rows
 * and look no further. Then the state changes in one write; a state that was written in part does not fit its check. */
typedef struct {
    uint64_t generation, n, check;
} state;

typedef struct {
    char magic[8];
    char uid[32], model[64], kind[16];
    uint64_t room, dim, size;
    state now;
    uint8_t zero[88];
} head;
_Static_assert(sizeof(head) == 256, "sections start at multiples of 64");

static const char magic[8] = "bqbvec2";

static uint64_t check_of(const state *t) { return (t->generation * 0x9E3779B97F4A7C15u) ^ (t->n * 0xC2B2AE3D27D4EB4Fu) ^ 0x62716200u; }

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

/* Room for stickers to come. */
static size_t spare(size_t n) { return 64 + n / 8; }

static bqb_status block_new(holder *h, layout *l, size_t n, size_t room, size_t dim, bqb_err *err) {
    if (!lay_out(l, n + room, dim)) return bqb_fail(err, BQB_ELIMIT, "%zu vectors of %zu numbers do not fit in memory", n, dim);
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
    bqb_status s = block_new(h, &l, n, 0, dim, err);
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

/* The first row of a sticker with this number or a larger one. */
static size_t row_from(const bqb_vectors *v, bqb_sticker_id id) {
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->id[mid] < id) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

size_t bqb_vectors_row(const bqb_vectors *v, bqb_sticker_id id) {
    size_t row = row_from(v, id);
    return row < v->n && v->id[row] == id ? row : SIZE_MAX;
}

/* What is wanted of a cache. */
typedef struct {
    const char *path, *uid, *model, *kind;
} wanted;

static state state_of(uint64_t generation, size_t n) {
    state t = {.generation = generation, .n = n};
    t.check = check_of(&t);
    return t;
}

static void fill_head(head *out, const wanted *w, size_t room, size_t dim, size_t size, state now) {
    memset(out, 0, sizeof *out);
    memcpy(out->magic, magic, sizeof magic);
    memcpy(out->uid, w->uid, 32);
    memcpy(out->model, w->model, strnlen(w->model, sizeof out->model));
    memcpy(out->kind, w->kind, strnlen(w->kind, sizeof out->kind));
    out->room = room;
    out->dim = dim;
    out->size = size;
    out->now = now;
}

/* Is this the head of a sound cache of `size` bytes of that model and kind? */
static bool is_ours(const head *got, size_t size, const wanted *w, layout *l) {
    head want;
    fill_head(&want, w, (size_t)got->room, (size_t)got->dim, size, got->now);
    return !memcmp(got, &want, sizeof want) && got->now.check == check_of(&got->now) && got->now.n <= got->room &&
           lay_out(l, (size_t)got->room, (size_t)got->dim) && l->size == size;
}

/* Map the cache file if it is sound, whatever its generation. */
static bool map_cache(holder *h, const wanted *w, head *got, layout *l) {
    if (!bqb_is_file(w->path) || bqb_map_open(&h->map, w->path, NULL)) return false;
    if (h->map.size >= sizeof *got) {
        memcpy(got, h->map.data, sizeof *got);
        if (is_ours(got, h->map.size, w, l)) {
            point(&h->v, (const char *)h->map.data, l, (size_t)got->now.n, (size_t)got->dim);
            return true;
        }
    }
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
    if (!s) s = block_new(h, l, n, spare(n), dim, err);
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

/* ---- adding to a cache ---- */

typedef struct {
    int64_t *id;
    uint16_t *f16;
    size_t n, cap, cap_f16, dim, most;
} new_rows;

static int take_new(void *ctx, bqb_sticker_id id, const void *f16, size_t dim) {
    new_rows *r = ctx;
    if (dim != r->dim || r->n == r->most) return 1;
    int64_t *ids = bqb_grow(r->id, r->n, &r->cap, sizeof *ids, 64);
    if (ids) r->id = ids;
    uint16_t *rows = bqb_grow(r->f16, r->n, &r->cap_f16, dim * sizeof *rows, 64);
    if (rows) r->f16 = rows;
    if (!ids || !rows) return 1;
    memcpy(r->f16 + r->n * dim, f16, dim * sizeof *rows);
    r->id[r->n++] = id;
    return 0;
}

static bool put_at(int fd, const void *bytes, size_t n, size_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const char *)bytes + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        done += (size_t)k;
    }
    return true;
}

/* Rows from … from + n - 1 of v become rows at … of the file. */
static bool write_rows(int fd, const layout *l, size_t at, const bqb_vectors *v, size_t from, size_t n) {
    size_t row = v->dim * sizeof *v->f16;
    return put_at(fd, v->id + from, n * sizeof *v->id, l->id + at * sizeof *v->id) &&
           put_at(fd, v->f16 + from * v->dim, n * row, l->f16 + at * row) &&
           put_at(fd, v->i8 + from * v->stride, n * v->stride, l->i8 + at * v->stride) &&
           put_at(fd, v->scale + from, n * sizeof *v->scale, l->scale + at * sizeof *v->scale) &&
           put_at(fd, v->err + from, n * sizeof *v->err, l->err + at * sizeof *v->err);
}

/* Under a lock, as long as the file is what it was: the rows, then, once these are safe, the state. */
static bool extend_file(const wanted *w, const head *was, const layout *l, const bqb_vectors *v, uint64_t generation) {
    int fd = open(w->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    head now;
    struct stat st;
    if (fd < 0) return false;
    bool ok = !flock(fd, LOCK_EX) && pread(fd, &now, sizeof now, 0) == (ssize_t)sizeof now && !memcmp(&now, was, sizeof now) &&
              !fstat(fd, &st) && (size_t)st.st_size == l->size;
    if (ok) ok = write_rows(fd, l, (size_t)was->now.n, v, 0, v->n) && !fdatasync(fd);
    if (ok) {
        state next = state_of(generation, (size_t)was->now.n + v->n);
        ok = put_at(fd, &next, sizeof next, offsetof(head, now));
    }
    close(fd);
    return ok;
}

/* ---- following what became of single stickers ---- */

/* What the catalogue says of the stickers that a cache may be wrong about, and of those behind its last. */
typedef struct {
    bqb_id_set touched; /* rising */
    bqb_vectors *now;   /* of both */
    bool only_more;     /* all of now comes behind the cache's last, and no other row is another */
} changes;

static bool is_row(const bqb_vectors *a, size_t row, const bqb_vectors *b, bqb_sticker_id id) {
    size_t other = bqb_vectors_row(b, id);
    if (row == SIZE_MAX || other == SIZE_MAX) return row == other;
    return !memcmp(a->f16 + row * a->dim, b->f16 + other * b->dim, a->dim * sizeof *a->f16);
}

/* Leave out what is in the cache already, as it is. */
static bqb_status keep_news(changes *ch, const bqb_vectors *cached, new_rows *r) {
    bqb_vectors *all;
    size_t n = 0, m = 0;
    bqb_status s = bqb_vectors_new(&all, r->id, r->f16, r->n, r->dim, NULL);
    if (s) return s;
    for (size_t i = 0; i < ch->touched.n; i++) {
        bqb_sticker_id id = ch->touched.id[i];
        if (!is_row(cached, bqb_vectors_row(cached, id), all, id)) ch->touched.id[n++] = id;
    }
    ch->touched.n = n;
    for (size_t i = 0; i < r->n; i++) {
        if (is_row(cached, bqb_vectors_row(cached, r->id[i]), all, r->id[i])) continue;
        r->id[m] = r->id[i];
        memmove(r->f16 + m * r->dim, r->f16 + i * r->dim, r->dim * sizeof *r->f16);
        m++;
    }
    r->n = m;
    bqb_vectors_close(all);
    return BQB_OK;
}

/* False: what changed since the cache was written cannot be told, or not be read. */
static bool find_changes(changes *ch, const bqb_vectors *cached, bqb_catalogue *c, const wanted *w, uint64_t from, uint64_t to) {
    uint64_t reshaped, after;
    char uid[33];
    int64_t last = cached->n ? cached->id[cached->n - 1] : 0;
    new_rows r = {.dim = cached->dim, .most = SIZE_MAX};
    bool ok = cached->n && from < to && !bqb_catalogue_reshaped(c, &reshaped, NULL) && reshaped <= from &&
              !bqb_catalogue_each_touched(c, from, bqb_id_set_add, &ch->touched, NULL) &&
              !bqb_catalogue_each_embedding_touched(c, w->model, w->kind, from, take_new, &r, NULL);
    while (ok && r.n && r.id[r.n - 1] > last) r.n--; /* these come again */
    ok = ok && !bqb_catalogue_each_embedding_after(c, w->model, w->kind, last, take_new, &r, NULL) &&
         !bqb_catalogue_generation(c, &after, uid, NULL) && after == to && !keep_news(ch, cached, &r) &&
         !bqb_vectors_new(&ch->now, r.id, r.f16, r.n, r.dim, NULL);
    size_t behind = 0;
    for (size_t i = 0; i < ch->touched.n; i++) behind += ch->touched.id[i] > last;
    ch->only_more = behind == ch->touched.n;
    free(r.id);
    free(r.f16);
    return ok;
}

static void forget_changes(changes *ch) {
    bqb_id_set_free(&ch->touched);
    bqb_vectors_close(ch->now);
}

/* The cache's rows but for those that were touched, and what the catalogue has now, in order: n rows in all. */
static bool write_merged(int fd, const layout *l, const bqb_vectors *cached, const changes *ch, size_t n) {
    const bqb_vectors *now = ch->now;
    size_t at = 0, i = 0, k = 0, t = 0;
    bool ok = true;
    while (ok && (i < cached->n || k < now->n || t < ch->touched.n)) { /* up to the next number at which something is different */
        int64_t next = INT64_MAX;
        if (k < now->n) next = now->id[k];
        if (t < ch->touched.n && ch->touched.id[t] < next) next = ch->touched.id[t];
        size_t end = next < INT64_MAX ? row_from(cached, next) : cached->n;
        ok = write_rows(fd, l, at, cached, i, end - i);
        at += end - i;
        i = end + (end < cached->n && cached->id[end] == next);
        if (t < ch->touched.n && ch->touched.id[t] == next) t++;
        if (k < now->n && now->id[k] == next) ok = ok && write_rows(fd, l, at++, now, k++, 1);
    }
    return ok && at == n;
}

/* A new file in the cache's place, from what is in the old one. */
static bool replace_file(const wanted *w, const bqb_vectors *cached, const changes *ch, uint64_t generation) {
    bqb_outfile o;
    layout l;
    head h;
    size_t n = cached->n + ch->now->n;
    for (size_t j = 0; j < ch->touched.n; j++) n -= bqb_vectors_row(cached, ch->touched.id[j]) != SIZE_MAX;
    if (!n || !lay_out(&l, n + spare(n), cached->dim) || bqb_outfile_open(&o, w->path, NULL)) return false;
    int fd = fileno(o.f);
    fill_head(&h, w, n + spare(n), cached->dim, l.size, state_of(generation, n));
    bool ok = !ftruncate(fd, (off_t)l.size) && put_at(fd, &h, sizeof h, 0) && write_merged(fd, &l, cached, ch, n) &&
              !bqb_outfile_commit(&o, NULL);
    bqb_outfile_abort(&o);
    return ok;
}

/* Bring a mapped cache up to date: in its file where there are only more stickers behind its last and room for them, else in one
 * that takes its place. False: it cannot be done so. */
static bool follow(holder *h, bqb_catalogue *c, const wanted *w, head *got, layout *l, uint64_t generation) {
    changes ch = {.only_more = false};
    bool ok = find_changes(&ch, &h->v, c, w, got->now.generation, generation);
    if (ok && ch.only_more && ch.now->n <= got->room - got->now.n) ok = extend_file(w, got, l, ch.now, generation);
    else if (ok) ok = replace_file(w, &h->v, &ch, generation);
    forget_changes(&ch);
    if (!ok) return false;
    bqb_map_close(&h->map);
    return map_cache(h, w, got, l) && got->now.generation == generation;
}

/* Is the cache file what the catalogue would give now, or can it be made so by adding to it? */
static bool use_cache(holder *h, bqb_catalogue *c, const wanted *w, uint64_t generation) {
    head got;
    layout l;
    for (int tries = 0; tries < 2; tries++) { /* another may be adding, too: then its work is used */
        if (!map_cache(h, w, &got, &l)) return false;
        if (got.now.generation == generation || follow(h, c, w, &got, &l, generation)) return true;
        bqb_map_close(&h->map);
    }
    return false;
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
        const wanted w = {path, uid, model, kind};
        s = bqb_catalogue_generation(c, &generation, uid, err);
        if (s || use_cache(h, c, &w, generation)) break;
        s = collect(h, &l, c, model, kind, &moved, err);
        if (!s && !moved) s = bqb_catalogue_generation(c, &after, uid, err);
        if (s || moved) continue;
        quantise_all(h, &l);
        if (after != generation) break; /* good for this search, but not to be kept */
        fill_head((head *)(void *)h->block, &w, h->v.n + spare(h->v.n), h->v.dim, l.size, state_of(generation, h->v.n));
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
