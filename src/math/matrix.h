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
    bqb_gemm **own;    /* [threads] of one thread each, for what is shared out */
    bqb_arena *arena;  /* scratch is given back before a call returns */
    bqb_num num;       /* format of many-rowed products; few rows are always multiplied in f32 */
    int threads;
    bool no_memory;    /* an allocation failed: results are worthless */
} bqb_multiplier;

/* threads 0: all processors. close() frees what open() made, and accepts a zeroed one. */
bqb_status bqb_multiplier_open(bqb_multiplier *m, bqb_num num, int threads, bqb_err *err);
void bqb_multiplier_close(bqb_multiplier *m);

/* The first failure of a product since the last call, or that memory was out; forgets it, and empties the arena. what: for the message. */
bqb_status bqb_multiplier_finish(bqb_multiplier *m, const char *what, bqb_err *err);

/* x[n] in m->num: x itself, or a copy in the arena; NULL: no memory, which is kept in m. */
const void *bqb_multiplier_in_num(bqb_multiplier *m, const float *x, size_t n);

/* y[n,rows] (+)= x[n,cols] · Wᵀ + bias. Few rows (a token being generated) go through
 * the weights once, as they are stored: as fast as memory gives them. Many are
 * multiplied by oneDNN: each thread takes parts of W, which it unpacks where the format is not num.
 *   bias  [rows] f32 or NULL
 * Failures stay in m until bqb_multiplier_finish. */
void bqb_matrix_mul(bqb_multiplier *m, float *y, const float *x, const bqb_matrix *w, const float *bias, bool accumulate,
                    size_t n);

/* dx[n,cols] (+)= dy[n,rows] · W: the gradient of the input. */
void bqb_matrix_back(bqb_multiplier *m, float *dx, const float *dy, const bqb_matrix *w, bool accumulate, size_t n);

/* Row i as f32 [cols]: an embedding. */
void bqb_matrix_row(const bqb_multiplier *m, float *out, const bqb_matrix *w, size_t i);

#endif
