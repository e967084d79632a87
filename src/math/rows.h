/* Rows of weights as they are stored, whole numbers or fractions of few bits, and
 * their products with f32 vectors: what generating one token at a time is made of.
 *
 * Formats and their blocks:
 *   F32 F16 BF16   one number each
 *   Q8_0   32 numbers in 34 bytes: f16 scale, 32 × i8
 *   Q4_K  256 numbers in 144 bytes: f16 scale and f16 scale of the minima, 8 + 8
 *         six-bit factors of them in 12 bytes, 256 × 4 bits
 *   Q6_K  256 numbers in 210 bytes: 256 × 4 lower bits, 256 × 2 upper bits, 16 × i8 factors, f16 scale
 *   Q4_0   32 numbers in 18 bytes: f16 scale, 32 × 4 bits, less 8
 *   Q5_0   32 numbers in 22 bytes: f16 scale, 32 × the fifth bit, 32 × 4 bits, less 16
 *   Q5_K  256 numbers in 176 bytes: as Q4_K, with 256 × the fifth bit after the factors
 * Numbers are little-endian. Source: ggml, the "GGUF" specification and its quantised types.
 *
 * One source (rows_simd.c) is compiled for several instruction sets, as ops_simd.c is. */
#ifndef BQB_MATH_ROWS_H
#define BQB_MATH_ROWS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { BQB_ROW_F32, BQB_ROW_F16, BQB_ROW_BF16, BQB_ROW_Q8_0, BQB_ROW_Q4_K, BQB_ROW_Q6_K, BQB_ROW_Q4_0, BQB_ROW_Q5_0, BQB_ROW_Q5_K, BQB_ROW_KINDS } bqb_row_kind;

const char *bqb_row_kind_name(bqb_row_kind k);
size_t bqb_row_block(bqb_row_kind k);       /* numbers in a block; a row holds whole blocks */
size_t bqb_row_block_bytes(bqb_row_kind k);
size_t bqb_row_bytes(bqb_row_kind k, size_t n); /* of n numbers, a multiple of the block */
size_t bqb_row_prepared(size_t n);              /* floats of an n that is prepared for product() */

typedef struct {
    const char *name; /* as bqb_ops' */

    /* out[n] = the row's n numbers; rows may lie at any byte. */
    void (*load[BQB_ROW_KINDS])(float *out, const void *row, size_t n);

    /* Sum of row[i] * x[i]. */
    float (*dot[BQB_ROW_KINDS])(const void *row, const float *x, size_t n);

    /* y[i] += a * row[i]. */
    void (*add[BQB_ROW_KINDS])(float *y, float a, const void *row, size_t n);

    /* Many rows against one x: out[r] = the sum of row r times x; rows begin `step` bytes apart. p is x prepared:
     * bqb_row_prepared(n) floats, in the order in which this build unpacks the format. Like dot() but for rounding. */
    void (*prepare[BQB_ROW_KINDS])(float *p, const float *x, size_t n);
    void (*product[BQB_ROW_KINDS])(float *out, const void *rows, size_t step, size_t count, const float *p, size_t n);

    /* y[i] = the sum of a[r] * row r [i] over rows `step` bytes apart; F32 and BF16 only. */
    void (*mix[BQB_ROW_BF16 + 1])(float *y, const float *a, const void *rows, size_t step, size_t count, size_t n);

    /* y[n,:] = x[n,:] / sqrt(mean of squares + eps) * gamma; y may be x. Source: RMSNorm, arXiv:1910.07467. */
    void (*rmsnorm)(float *y, const float *x, const float *gamma, float eps, size_t N, size_t C);

    /* dx[n,:] (+)= gradient of rmsnorm's input. dx may be dy when not added. */
    void (*rmsnorm_bwd)(float *dx, bool add, const float *dy, const float *x, const float *gamma, float eps, size_t N, size_t C);

    /* y[i] = silu(y[i]) * x[i], silu(z) = z / (1 + e^-z). Source: SwiGLU, arXiv:2002.05202. */
    void (*silu_mul)(float *y, const float *x, size_t n);
    /* Of y = silu(g) * u: dg[i], du[i] from dy[i]; dg or du may be dy. */
    void (*silu_mul_bwd)(float *dg, float *du, const float *dy, const float *g, const float *u, size_t n);
} bqb_rows_ops;

const bqb_rows_ops *bqb_rows_plain(void);
const bqb_rows_ops *bqb_rows_best(void); /* minds $BQB_ISA as bqb_ops_best does */
size_t bqb_rows_all(const bqb_rows_ops *out[4]);

#endif
