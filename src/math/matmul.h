/* Matrix products through oneDNN. This header and matmul.c are the only place
 * that knows oneDNN; both its 2.x and 3.x interfaces are spoken there. */
#ifndef BQB_MATH_MATMUL_H
#define BQB_MATH_MATMUL_H

#include "base/err.h"

#include <stdbool.h>

/* The two number formats that the engine computes with. Sums are always f32. */
typedef enum { BQB_NUM_F32, BQB_NUM_BF16 } bqb_num;

static inline size_t bqb_num_size_bytes(bqb_num t) { return t == BQB_NUM_F32 ? 4 : 2; }

typedef enum { BQB_ACT_NONE, BQB_ACT_QUICK_GELU, BQB_ACT_GELU } bqb_act;

/* One kind of product, repeated over `outer` × `inner` pairs of matrices:
 *   C[M,N] (+)= act(A[M,K] · B[K,N] + bias[N])
 * A matrix's element (r,c) of pair (o,i) lies at o*outer + i*inner + r*row + c*col
 * elements from its start, so that a transpose or a head inside packed rows is
 * only a matter of strides. C's col is 1. Zero the struct before filling it: it is a cache key. */
typedef struct {
    bqb_num type;
    int64_t outer, inner, row, col;
} bqb_layout;

typedef struct {
    int64_t outer, inner, M, N, K;
    bqb_layout a, b, c;
    bqb_act act;
    bool bias;       /* bias is f32 */
    bool accumulate; /* C +=; not together with act */
    bool packed;     /* B comes from a bqb_packed; its layout is not read */
} bqb_product;

/* Prepared products, kept by kind. Not for two threads at once: each worker
 * has its own. `threads` is how many processors one product may use. */
typedef struct bqb_gemm bqb_gemm;
bqb_status bqb_gemm_new(bqb_gemm **out, int threads, bqb_err *err);
void bqb_gemm_free(bqb_gemm *g);

/* Call once on every thread before it uses g: a thread that has just been
 * started does not know yet how many processors oneDNN may use from it. */
void bqb_gemm_enter(const bqb_gemm *g);

/* Compute one product; `bias` NULL unless p->bias. A failure (out of memory, a
 * product that this oneDNN or CPU cannot do) is kept in g and makes the rest of
 * the pass do nothing: ask once at its end with bqb_gemm_status. */
void bqb_gemm_run(bqb_gemm *g, const bqb_product *p, void *c, const void *a, const void *b, const float *bias);

/* The first failure since the last call, and forget it. */
bqb_status bqb_gemm_status(bqb_gemm *g, bqb_err *err);

/* Shorthands over plain row-major arrays of one type `t`; `ct` is C's.
 *   linear:  C[M,N] = act(A[M,K] · W[N,K]ᵀ + bias)       a layer forward
 *   back:    C[M,K] = A[M,N] · W[N,K]                    its input's gradient
 *   outer:   C[N,K] += A[M,N]ᵀ · B[M,K], C f32           its weight's gradient */
void bqb_gemm_linear(bqb_gemm *g, void *c, bqb_num ct, const void *a, const void *w, bqb_num t, const float *bias,
                     bqb_act act, bool accumulate, size_t M, size_t N, size_t K);
void bqb_gemm_back(bqb_gemm *g, void *c, bqb_num ct, const void *a, const void *w, bqb_num t, bool accumulate,
                   size_t M, size_t N, size_t K);
void bqb_gemm_outer(bqb_gemm *g, float *c, const void *a, const void *b, bqb_num t, size_t M, size_t N, size_t K);

/* A layer's weights W[N,K] copied once into the order in which this processor's
 * products read them; worth it where they are used many times unchanged. Owned
 * by the caller; may be read by several workers. M is the usual number of rows. */
typedef struct bqb_packed bqb_packed;
bqb_status bqb_gemm_pack(bqb_packed **out, bqb_gemm *g, const void *w, bqb_num t, size_t M, size_t N, size_t K,
                         bqb_err *err);
void bqb_packed_free(bqb_packed *w);

/* bqb_gemm_linear with such weights. */
void bqb_gemm_linear_packed(bqb_gemm *g, void *c, bqb_num ct, const void *a, const bqb_packed *w, const float *bias,
                            bqb_act act, bool accumulate, size_t M);

/* Whether this CPU multiplies bf16 natively, so that it is the faster choice. */
bool bqb_gemm_has_bf16(void);

/* "2.6.3": for reports. */
const char *bqb_gemm_library_version(void);

#endif
