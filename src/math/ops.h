/* The engine's kernels other than matrix products: forward and gradient side by side.
 *
 * One source (ops_simd.c) is compiled for several instruction sets; bqb_ops_best
 * picks at run time. The plain build is the contract, the others are tested against it.
 *
 * Kernels run on the calling thread, allocate nothing and cannot fail. Arrays are
 * row-major, contiguous and do not overlap unless said otherwise. Activations
 * come in two formats; a kernel that reads or writes them stands in a pair,
 * indexed by bqb_num: ops->gelu_fwd[BQB_NUM_BF16](…). `void *` arguments are of
 * that format, everything else is f32. bf16 is rounded to nearest even. */
#ifndef BQB_MATH_OPS_H
#define BQB_MATH_OPS_H

#include "math/matmul.h"

#include <string.h>

typedef struct {
    const char *name; /* "generic", "avx2", "avx512" */

    /* y[n] = x[n], changing the format. */
    void (*to_bf16)(uint16_t *y, const float *x, size_t n);
    void (*from_bf16)(float *y, const uint16_t *x, size_t n);

    /* y[n] += x[n] */
    void (*add)(float *y, const float *x, size_t n);

    /* LayerNorm over rows: y[n,:] = (x[n,:] - mean[n]) * rstd[n] * gamma + beta.
     *   y     out [N,C] in the format      mean, rstd  out [N], kept for the gradient
     *   x     in  [N,C]                    eps         in > 0, added to the variance */
    void (*layernorm_fwd[2])(void *y, float *mean, float *rstd, const float *x, const float *gamma,
                             const float *beta, float eps, size_t N, size_t C);
    /*   dx += , or = when `set`;  dgamma [C] +=, dbeta [C] +=, both skipped when NULL.
     *   dy    in [N,C] f32; may be dx itself when `set` */
    void (*layernorm_bwd)(float *dx, bool set, float *dgamma, float *dbeta, const float *dy, const float *x,
                          const float *mean, const float *rstd, const float *gamma, size_t N, size_t C);

    /* p[n,:] = softmax(scale * s[n,:]) over T entries.
     *   s  in [N,T] f32      p  out [N,T] in the format; may be s itself for f32 */
    void (*softmax_fwd[2])(void *p, const float *s, float scale, size_t N, size_t T);
    /* ds[n,:] = scale * p[n,:] * (dp[n,:] - p[n,:]·dp[n,:]); dp in f32; ds in the format, may be dp for f32 */
    void (*softmax_bwd[2])(void *ds, const float *dp, const void *p, float scale, size_t N, size_t T);

    /* GELU (erf form) and QuickGELU x·sigmoid(1.702x); dx = dy * act'(x), may be dy itself. */
    void (*gelu_fwd[2])(void *y, const void *x, size_t n);
    void (*gelu_bwd[2])(void *dx, const void *dy, const void *x, size_t n);
    void (*quick_gelu_fwd[2])(void *y, const void *x, size_t n);
    void (*quick_gelu_bwd[2])(void *dx, const void *dy, const void *x, size_t n);

    /* Gradient of a bias: db[c] += sum over n of dy[n,c]. */
    void (*bias_bwd[2])(float *db, const void *dy, size_t N, size_t C);

    /* Unit rows: y[n,:] = x[n,:] * rnorm[n], rnorm[n] = 1 / max(|x[n,:]|, 1e-12); y may be x. */
    void (*l2norm_fwd)(float *y, float *rnorm, const float *x, size_t N, size_t D);
    /* dx[n,:] = rnorm[n] * (dy[n,:] - y[n,:] (y[n,:]·dy[n,:])); dx may be dy. */
    void (*l2norm_bwd)(float *dx, const float *dy, const float *y, const float *rnorm, size_t N, size_t D);

    /* Sum of exp(x[i] - max) over n entries, and e[i] itself: for cross-entropy. Returns the sum, *max out. */
    float (*exp_sum)(float *e, float *max, const float *x, size_t n);

    /* One AdamW update of n parameters; see bqb_adamw_config. `decay`, `step_size` and `vscale` as bqb_adamw_step_at says. */
    void (*adamw)(float *w, float *m, float *v, const float *g, float decay, float step_size, float vscale,
                  float beta1, float beta2, float eps, size_t n);
} bqb_ops;

/* to[n] = x[n] in a format of activations. */
static inline void bqb_store(const bqb_ops *ops, bqb_num num, void *to, const float *x, size_t n) {
    if (num == BQB_NUM_F32) memcpy(to, x, n * sizeof *x);
    else ops->to_bf16(to, x, n);
}

/* What all parameters share in a step of AdamW: decay lr*wd, step_size lr/(1-beta1^step), vscale 1/sqrt(1-beta2^step).
 * step counts from 1. Rounds once. */
typedef struct {
    float decay, step_size, vscale;
} bqb_adamw_step;
bqb_adamw_step bqb_adamw_step_at(double lr, double weight_decay, double beta1, double beta2, uint64_t step);

const bqb_ops *bqb_ops_plain(void);
const bqb_ops *bqb_ops_best(void); /* $BQB_ISA=generic|avx2|avx512 asks for a lesser one */

/* Every set this CPU can run, plain first; returns how many. For tests. */
size_t bqb_ops_all(const bqb_ops *out[4]);

#endif
