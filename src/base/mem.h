/* Memory: checked allocation, growing buffers with a maximum, and an arena. */
#ifndef BQB_BASE_MEM_H
#define BQB_BASE_MEM_H

#include "base/err.h"

/* n * size bytes, zeroed; NULL when the product overflows or memory is out.
 * n * size = 0 gives a valid pointer. Free with free(). */
void *bqb_calloc(size_t n, size_t size);

/* The same, not zeroed, aligned to 64 bytes (a cache line and the widest vector). Free with free(). */
void *bqb_alloc_aligned(size_t n, size_t size);

/* Room for item n of a growing array of items of `size` bytes: where n has reached *cap that doubles, or becomes
 * `first`. Returns the array, moved or not; NULL when memory is out, with everything as it was. */
void *bqb_grow(void *items, size_t n, size_t *cap, size_t size, size_t first);

/* A copy of n bytes of s with a NUL after it. Free with free(). */
char *bqb_strndup(const char *s, size_t n);
char *bqb_strdup(const char *s);

/* printf into fresh memory; NULL when memory is out. Free with free(). */
char *bqb_asprintf(const char *fmt, ...) BQB_PRINTF(1, 2);

/* A growing byte buffer that refuses to pass max bytes (BQB_ELIMIT). After any
 * successful append data[len] is 0, so that text needs no extra step.
 * Zero-initialise with the maximum set: bqb_buf b = {.max = 1 << 20}; */
typedef struct {
    char *data;
    size_t len, cap, max;
} bqb_buf;

bqb_status bqb_buf_append(bqb_buf *b, const void *bytes, size_t n, bqb_err *err);
bqb_status bqb_buf_puts(bqb_buf *b, const char *s, bqb_err *err);
bqb_status bqb_buf_printf(bqb_buf *b, bqb_err *err, const char *fmt, ...) BQB_PRINTF(3, 4);
void bqb_buf_free(bqb_buf *b);

/* An arena: memory for one pass, given back all at once. Chunks are kept
 * across resets, so that the second pass allocates nothing. One thread at a time. */
typedef struct bqb_arena bqb_arena;
bqb_arena *bqb_arena_new(void);
void bqb_arena_free(bqb_arena *a);

/* size bytes, aligned to 64, not zeroed, valid until the next reset (or a
 * bqb_arena_release to an earlier mark); NULL when memory is out. */
void *bqb_arena_take(bqb_arena *a, size_t n, size_t size);
void bqb_arena_reset(bqb_arena *a);

/* Stack discipline for scratch memory: everything taken after a mark is given
 * back by releasing to it. */
typedef struct {
    size_t chunk, used, taken;
} bqb_arena_mark;
bqb_arena_mark bqb_arena_save(const bqb_arena *a);
void bqb_arena_release(bqb_arena *a, bqb_arena_mark mark);

/* Bytes held now, used or not. */
size_t bqb_arena_size_bytes(const bqb_arena *a);

/* The most bytes that were taken at once since the last reset. */
size_t bqb_arena_peak_bytes(const bqb_arena *a);

#endif
