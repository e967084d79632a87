#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int product(size_t *out, size_t n, size_t size) {
    return !__builtin_mul_overflow(n, size, out);
}

void *bqb_calloc(size_t n, size_t size) {
    size_t total;
    if (!product(&total, n, size)) return NULL;
    return calloc(total ? total : 1, 1);
}

void *bqb_alloc_aligned(size_t n, size_t size) {
    size_t total;
    if (!product(&total, n, size) || total > SIZE_MAX - 64) return NULL;
    total = (total + 63) & ~(size_t)63;
    return aligned_alloc(64, total ? total : 64);
}

void *bqb_grow(void *items, size_t n, size_t *cap, size_t size, size_t first) {
    size_t want = *cap ? 2 * *cap : first, bytes;
    if (n < *cap) return items;
    if (want < *cap || !product(&bytes, want, size)) return NULL;
    void *grown = realloc(items, bytes);
    if (grown) *cap = want;
    return grown;
}

char *bqb_strndup(const char *s, size_t n) {
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *bqb_strdup(const char *s) { return bqb_strndup(s, strlen(s)); }

char *bqb_asprintf(const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *s = n < 0 ? NULL : malloc((size_t)n + 1);
    if (s) vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

static bqb_status reserve(bqb_buf *b, size_t extra, bqb_err *err) {
    if (extra > b->max || b->len > b->max - extra)
        return bqb_fail(err, BQB_ELIMIT, "buffer would grow past its maximum of %zu bytes", b->max);
    size_t need = b->len + extra + 1;
    if (need <= b->cap) return BQB_OK;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need) cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data) return bqb_fail_nomem(err, "buffer", cap);
    b->data = data;
    b->cap = cap;
    return BQB_OK;
}

bqb_status bqb_buf_append(bqb_buf *b, const void *bytes, size_t n, bqb_err *err) {
    bqb_status s = reserve(b, n, err);
    if (s) return s;
    if (n) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
    return BQB_OK;
}

bqb_status bqb_buf_puts(bqb_buf *b, const char *s, bqb_err *err) {
    return bqb_buf_append(b, s, strlen(s), err);
}

bqb_status bqb_buf_printf(bqb_buf *b, bqb_err *err, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    bqb_status s = n < 0 ? bqb_fail(err, BQB_EINVAL, "text cannot be formatted")
                         : reserve(b, (size_t)n, err);
    if (!s) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return s;
}

void bqb_buf_free(bqb_buf *b) {
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

/* Chunks double in size, so a pass of any size needs few of them. */
enum { MAX_CHUNKS = 48 };
static const size_t FIRST_CHUNK = (size_t)1 << 20;

struct bqb_arena {
    char *chunk[MAX_CHUNKS];
    size_t size[MAX_CHUNKS];
    size_t n_chunks, cur, used; /* cur: the chunk that is being filled */
    size_t taken, peak;         /* bytes, of all chunks */
};

bqb_arena *bqb_arena_new(void) { return calloc(1, sizeof(bqb_arena)); }

void bqb_arena_free(bqb_arena *a) {
    if (!a) return;
    for (size_t i = 0; i < a->n_chunks; i++) free(a->chunk[i]);
    free(a);
}

static void count(bqb_arena *a, size_t bytes) {
    a->taken += bytes;
    if (a->taken > a->peak) a->peak = a->taken;
}

void *bqb_arena_take(bqb_arena *a, size_t n, size_t size) {
    size_t total;
    if (!product(&total, n, size) || total > SIZE_MAX - 64) return NULL;
    total = (total + 63) & ~(size_t)63;
    while (a->cur < a->n_chunks) {
        if (total <= a->size[a->cur] - a->used) {
            void *p = a->chunk[a->cur] + a->used;
            a->used += total;
            count(a, total);
            return p;
        }
        if (a->cur + 1 == a->n_chunks) break;
        a->cur++;
        a->used = 0;
    }
    if (a->n_chunks == MAX_CHUNKS) return NULL;
    size_t want = a->n_chunks ? a->size[a->n_chunks - 1] * 2 : FIRST_CHUNK;
    if (want > ((size_t)1 << 28)) want = (size_t)1 << 28;
    if (want < total) want = total;
    char *chunk = bqb_alloc_aligned(want, 1);
    if (!chunk) return NULL;
    a->cur = a->n_chunks++;
    a->chunk[a->cur] = chunk;
    a->size[a->cur] = want;
    a->used = total;
    count(a, total);
    return chunk;
}

void bqb_arena_reset(bqb_arena *a) { a->cur = a->used = a->taken = a->peak = 0; }

bqb_arena_mark bqb_arena_save(const bqb_arena *a) {
    return (bqb_arena_mark){.chunk = a->cur, .used = a->used, .taken = a->taken};
}

void bqb_arena_release(bqb_arena *a, bqb_arena_mark mark) {
    a->cur = mark.chunk;
    a->used = mark.used;
    a->taken = mark.taken;
}

size_t bqb_arena_peak_bytes(const bqb_arena *a) { return a->peak; }

size_t bqb_arena_size_bytes(const bqb_arena *a) {
    size_t total = 0;
    for (size_t i = 0; i < a->n_chunks; i++) total += a->size[i];
    return total;
}
