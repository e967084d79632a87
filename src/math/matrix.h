/* Products with a matrix of weights that stays as it is stored (mapped, perhaps in
 * few bits): W [rows,cols] in one of the formats of rows.h. */
#ifndef BQB_MATH_MATRIX_H
#define BQB_MATH_MATRIX_H

#include "base/mem.h"
#include "math/ops.h"
#include "math/rows.h"

typedef struct {
    bqb_row_kind kind;
    size_t rows, cols;
    const void *data; /* borrowed; row after row without gaps */
} bqb_matrix;

/* What products are made with; one caller at a time. */
typedef struct {
    const bqb_ops *ops;
    const bqb_rows_ops *rows;
    bqb_gemm *gemm;    /* with all threads */
    bqb_arena *arena;  /* scratch is given back before a call returns */
    bqb_num num;       /* format of many-rowed products; few rows are always multiplied in f32 */
    int threads;
    bool no_memory;    /* an allocation failed: results are worthless */
} bqb_multiplier;

/* y[n,rows] (+)= x[n,cols] · Wᵀ + bias. Few rows (a token being generated) go through
 * the weights once, as they are stored: as fast as memory gives them. Many are
 * multiplied by oneDNN, a part of W at a time unpacked for it where its format is not num.
 *   bias  [rows] f32 or NULL
 * A failure of oneDNN stays in gemm (bqb_gemm_status). */
void bqb_matrix_mul(bqb_multiplier *m, float *y, const float *x, const bqb_matrix *w, const float *bias, bool accumulate,
                    size_t n);

/* dx[n,cols] (+)= dy[n,rows] · W: the gradient of the input. */
void bqb_matrix_back(bqb_multiplier *m, float *dx, const float *dy, const bqb_matrix *w, bool accumulate, size_t n);

/* Row i as f32 [cols]: an embedding. */
void bqb_matrix_row(const bqb_multiplier *m, float *out, const bqb_matrix *w, size_t i);

#endif
