/* All embeddings of one model and kind, laid out for the scan.
 *
 * Kept mapped in LIBRARY/cache. When the catalogue's generation has moved on and
 * there are only new stickers behind all others, these are added to the file,
 * beside whoever reads it; where single ones went, came back or have another vector, it
 * is replaced by a copy that is right about them; else it is made again. It is replaced in one step. Where
 * it cannot be written (a library on a read-only disk) it lives in memory. */
#ifndef BQB_LIBRARY_VECTORS_H
#define BQB_LIBRARY_VECTORS_H

#include "library/catalogue.h"

typedef struct {
    size_t n, dim;
    size_t stride;            /* bytes from one i8 row to the next: dim rounded up to 64 */
    const int64_t *id;        /* [n] stickers, rising */
    const uint16_t *f16;      /* [n,dim] unit rows */
    const int8_t *i8;         /* [n,stride] rows ~ scale[n] * i8, zeros past dim; 64-byte aligned */
    const float *scale;       /* [n] */
    const float *err;         /* [n] |row - scale * i8|, rounded up: bounds what i8 gets wrong */
} bqb_vectors;

/* Borrowed by nobody else; close with bqb_vectors_close. No embeddings: n = 0. */
bqb_status bqb_vectors_open(bqb_vectors **out, bqb_catalogue *c, const char *model, const char *kind, bqb_err *err);

/* The same from memory (tests, benchmarks): id rising, f16 [n,dim]; both copied. */
bqb_status bqb_vectors_new(bqb_vectors **out, const int64_t *id, const uint16_t *f16, size_t n, size_t dim,
                           bqb_err *err);
void bqb_vectors_close(bqb_vectors *v);

/* The row of a sticker, or SIZE_MAX. */
size_t bqb_vectors_row(const bqb_vectors *v, bqb_sticker_id id);

#endif
