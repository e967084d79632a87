/* The kernels, written plainly. The Makefile compiles this file once for every
 * instruction set with BQB_ISA set to its name; the compiler vectorises the
 * loops marked SIMD. Sums inside a REDUCE loop may be reordered, nothing else. */
#include "math/ops.h"
#include "math/simd.h"

#include <math.h>
#include <string.h>

static inline float load_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

static inline uint16_t store_bf16(float x) {
    uint32_t u = bits_of(x);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

/* Abramowitz and Stegun 7.1.26: |error| < 1.5e-7, the size of f32 rounding. */
static inline float erf_approx(float x) {
    float a = fabsf(x), t = 1.0f / (1.0f + 0.3275911f * a);
    float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    return copysignf(1.0f - p * exp_approx(-a * a), x);
}

/* The largest of n, -INFINITY of none. In lanes, because a compiler may not
 * reorder maxima by itself: NaN and the two zeros make them depend on the order. */
static inline float largest(const float *x, size_t n) {
    enum { LANES = 16 };
    float lane[LANES], top = -INFINITY;
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++) lane[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES) {
        SIMD for (size_t k = 0; k < LANES; k++) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
    }
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    for (size_t k = 0; k < LANES; k++) top = lane[k] > top ? lane[k] : top;
    return top;
}

#define T float
#define LOAD(p, i) ((p)[i])
#define STORE(p, i, x) ((p)[i] = (x))
#define F(name) name##_f32
#include "math/ops_typed.h"
#undef T
#undef LOAD
#undef STORE
#undef F

#define T uint16_t
#define LOAD(p, i) load_bf16((p)[i])
#define STORE(p, i, x) ((p)[i] = store_bf16(x))
#define F(name) name##_bf16
#include "math/ops_typed.h"

static void to_bf16(uint16_t *y, const float *x, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) y[i] = store_bf16(x[i]);
}

static void from_bf16(float *y, const uint16_t *x, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) y[i] = load_bf16(x[i]);
}

static void add(float *y, const float *x, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void layernorm_bwd(float *dx, bool set, float *dgamma, float *dbeta, const float *dy, const float *x,
                          const float *mean, const float *rstd, const float *gamma, size_t N, size_t C) {
    for (size_t n = 0; n < N; n++, dx += C, dy += C, x += C) {
        float m = mean[n], r = rstd[n], sum = 0, dot = 0;
        REDUCE(+ : sum, dot) for (size_t c = 0; c < C; c++) {
            float g = dy[c] * gamma[c];
            sum += g;
            dot += g * (x[c] - m);
        }
        sum /= (float)C;
        dot *= r * r / (float)C;
        if (dgamma) {
            SIMD for (size_t c = 0; c < C; c++) dgamma[c] += dy[c] * (x[c] - m) * r;
        }
        if (dbeta) {
            SIMD for (size_t c = 0; c < C; c++) dbeta[c] += dy[c];
        }
        if (set) {
            SIMD for (size_t c = 0; c < C; c++) dx[c] = r * (dy[c] * gamma[c] - sum - (x[c] - m) * dot);
        } else {
            SIMD for (size_t c = 0; c < C; c++) dx[c] += r * (dy[c] * gamma[c] - sum - (x[c] - m) * dot);
        }
    }
}

static void l2norm_fwd(float *y, float *rnorm, const float *x, size_t N, size_t D) {
    for (size_t n = 0; n < N; n++, x += D, y += D) {
        float sum = 0;
        REDUCE(+ : sum) for (size_t d = 0; d < D; d++) sum += x[d] * x[d];
        float norm = sqrtf(sum), r = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
        SIMD for (size_t d = 0; d < D; d++) y[d] = x[d] * r;
        rnorm[n] = r;
    }
}

static void l2norm_bwd(float *dx, const float *dy, const float *y, const float *rnorm, size_t N, size_t D) {
    for (size_t n = 0; n < N; n++, dx += D, dy += D, y += D) {
        float dot = 0, r = rnorm[n];
        REDUCE(+ : dot) for (size_t d = 0; d < D; d++) dot += y[d] * dy[d];
        SIMD for (size_t d = 0; d < D; d++) dx[d] = r * (dy[d] - y[d] * dot);
    }
}

static float exp_sum(float *e, float *max, const float *x, size_t n) {
    float top = largest(x, n), sum = 0;
    REDUCE(+ : sum) for (size_t i = 0; i < n; i++) {
        e[i] = exp_approx(x[i] - top);
        sum += e[i];
    }
    *max = top;
    return sum;
}

static void adamw(float *w, float *m, float *v, const float *g, float decay, float step_size, float vscale,
                  float beta1, float beta2, float eps, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) {
        float mi = beta1 * m[i] + (1.0f - beta1) * g[i];
        float vi = beta2 * v[i] + (1.0f - beta2) * g[i] * g[i];
        w[i] = w[i] * (1.0f - decay) - step_size * mi / (sqrtf(vi) * vscale + eps);
        m[i] = mi;
        v[i] = vi;
    }
}

extern const bqb_ops PASTE(bqb_ops_, BQB_ISA);
const bqb_ops PASTE(bqb_ops_, BQB_ISA) = {
    .name = STRING(BQB_ISA),
    .to_bf16 = to_bf16,
    .from_bf16 = from_bf16,
    .add = add,
    .layernorm_fwd = {layernorm_fwd_f32, layernorm_fwd_bf16},
    .layernorm_bwd = layernorm_bwd,
    .softmax_fwd = {softmax_fwd_f32, softmax_fwd_bf16},
    .softmax_bwd = {softmax_bwd_f32, softmax_bwd_bf16},
    .gelu_fwd = {gelu_fwd_f32, gelu_fwd_bf16},
    .gelu_bwd = {gelu_bwd_f32, gelu_bwd_bf16},
    .quick_gelu_fwd = {quick_gelu_fwd_f32, quick_gelu_fwd_bf16},
    .quick_gelu_bwd = {quick_gelu_bwd_f32, quick_gelu_bwd_bf16},
    .bias_bwd = {bias_bwd_f32, bias_bwd_bf16},
    .l2norm_fwd = l2norm_fwd,
    .l2norm_bwd = l2norm_bwd,
    .exp_sum = exp_sum,
    .adamw = adamw,
};
