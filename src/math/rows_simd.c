/* The kernels of rows.h. The Makefile compiles this file once for every instruction set, as ops_simd.c. */
#include "math/rows.h"
#include "math/simd.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__F16C__)
#include <immintrin.h>
#endif

/* Numbers unpacked at once; a multiple of every block. */
enum { STEP = 256 };

#if defined(__F16C__)
static inline float from_f16(uint16_t h) { return _cvtsh_ss(h); }
#else
/* Half precision without branches: the product moves the exponent's bias, and makes denormals normal. */
static inline float from_f16(uint16_t h) {
    uint32_t size = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    float x = float_of(size) * 0x1p112f;
    return float_of(((h & 0x7c00) == 0x7c00 ? size | 0x7f800000u : bits_of(x)) | sign);
}
#endif

static inline uint16_t u16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

static inline void unpack_f32(float *out, const uint8_t *row, size_t n) { memcpy(out, row, 4 * n); }

static inline void unpack_f16(float *out, const uint8_t *row, size_t n) {
    size_t done = 0;
#if defined(__F16C__)
    for (; done + 8 <= n; done += 8)
        _mm256_storeu_ps(out + done, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(row + 2 * done))));
#endif
    SIMD for (size_t i = done; i < n; i++) out[i] = from_f16(u16_at(row + 2 * i));
}

static inline void unpack_bf16(float *out, const uint8_t *row, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) out[i] = float_of((uint32_t)u16_at(row + 2 * i) << 16);
}

static inline void unpack_q8_0(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 32; b++, row += 34, out += 32) {
        float d = from_f16(u16_at(row));
        SIMD for (size_t i = 0; i < 32; i++) out[i] = d * (float)(int8_t)row[2 + i];
    }
}

/* Factor j of 8 of a Q4_K block, and the factor of its minimum: six bits each. */
static inline void factors_q4_k(const uint8_t *f, size_t j, uint8_t *scale, uint8_t *least) {
    if (j < 4) {
        *scale = f[j] & 63;
        *least = f[j + 4] & 63;
        return;
    }
    *scale = (uint8_t)((f[j + 4] & 15) | (f[j - 4] >> 6 << 4));
    *least = (uint8_t)((f[j + 4] >> 4) | (f[j] >> 6 << 4));
}

static inline void unpack_q4_k(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 256; b++, row += 144) {
        float d = from_f16(u16_at(row)), dmin = from_f16(u16_at(row + 2));
        const uint8_t *q = row + 16;
        for (size_t j = 0; j < 8; j += 2, q += 32, out += 64) {
            uint8_t scale, least, scale2, least2;
            factors_q4_k(row + 4, j, &scale, &least);
            factors_q4_k(row + 4, j + 1, &scale2, &least2);
            float s = d * scale, m = dmin * least, s2 = d * scale2, m2 = dmin * least2;
            SIMD for (size_t i = 0; i < 32; i++) out[i] = s * (float)(q[i] & 15) - m;
            SIMD for (size_t i = 0; i < 32; i++) out[32 + i] = s2 * (float)(q[i] >> 4) - m2;
        }
    }
}

static inline void unpack_q6_k(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 256; b++, row += 210) {
        float d = from_f16(u16_at(row + 208));
        for (size_t half = 0; half < 2; half++, out += 128) {
            const uint8_t *low = row + 64 * half, *high = row + 128 + 32 * half;
            const int8_t *factor = (const int8_t *)row + 192 + 8 * half;
            for (size_t k = 0; k < 4; k++) { /* quarters of the half */
                const uint8_t *l = low + 32 * (k & 1);
                float s[2] = {d * factor[2 * k], d * factor[2 * k + 1]};
                for (size_t part = 0; part < 2; part++) {
                    SIMD for (size_t i = 16 * part; i < 16 * part + 16; i++) {
                        int q = (l[i] >> (k < 2 ? 0 : 4) & 15) | (high[i] >> 2 * k & 3) << 4;
                        out[32 * k + i] = s[part] * (float)(q - 32);
                    }
                }
            }
        }
    }
}

static inline void unpack_q4_0(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 32; b++, row += 18, out += 32) {
        float d = from_f16(u16_at(row));
        SIMD for (size_t i = 0; i < 16; i++) out[i] = d * (float)((row[2 + i] & 15) - 8);
        SIMD for (size_t i = 0; i < 16; i++) out[16 + i] = d * (float)((row[2 + i] >> 4) - 8);
    }
}

static inline uint32_t u32_at(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, 4);
    return w;
}

static inline void unpack_q5_0(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 32; b++, row += 22, out += 32) {
        float d = from_f16(u16_at(row));
        uint32_t fifth = u32_at(row + 2);
        SIMD for (uint32_t i = 0; i < 16; i++) out[i] = d * (float)((int)((row[6 + i] & 15u) | (fifth >> i & 1) << 4) - 16);
        SIMD for (uint32_t i = 0; i < 16; i++) out[16 + i] = d * (float)((int)((uint32_t)row[6 + i] >> 4 | (fifth >> (16 + i) & 1) << 4) - 16);
    }
}

static inline void unpack_q5_k(float *out, const uint8_t *row, size_t n) {
    for (size_t b = 0; b < n / 256; b++, row += 176) {
        float d = from_f16(u16_at(row)), dmin = from_f16(u16_at(row + 2));
        const uint8_t *fifth = row + 16, *q = row + 48;
        for (size_t j = 0; j < 8; j += 2, q += 32, out += 64) {
            uint8_t scale, least, scale2, least2;
            factors_q4_k(row + 4, j, &scale, &least);
            factors_q4_k(row + 4, j + 1, &scale2, &least2);
            float s = d * scale, m = dmin * least, s2 = d * scale2, m2 = dmin * least2;
            SIMD for (size_t i = 0; i < 32; i++) out[i] = s * (float)((q[i] & 15) | (fifth[i] >> j & 1) << 4) - m;
            SIMD for (size_t i = 0; i < 32; i++) out[32 + i] = s2 * (float)((q[i] >> 4) | (fifth[i] >> (j + 1) & 1) << 4) - m2;
        }
    }
}

/* The three uses of each format. */
#define KIND(kind, block, bytes)                                                                                  \
    static void load_##kind(float *out, const void *row, size_t n) { unpack_##kind(out, row, n); }                \
    static float dot_##kind(const void *row, const float *x, size_t n) {                                          \
        const uint8_t *at = row;                                                                                  \
        float w[STEP], sum = 0;                                                                                   \
        for (size_t i = 0; i < n; i += STEP, at += STEP / (block) * (bytes)) {                                    \
            size_t k = n - i < STEP ? n - i : STEP;                                                               \
            unpack_##kind(w, at, k);                                                                              \
            REDUCE(+ : sum) for (size_t j = 0; j < k; j++) sum += w[j] * x[i + j];                                \
        }                                                                                                         \
        return sum;                                                                                               \
    }                                                                                                             \
    static void add_##kind(float *y, float a, const void *row, size_t n) {                                        \
        const uint8_t *at = row;                                                                                  \
        float w[STEP];                                                                                            \
        for (size_t i = 0; i < n; i += STEP, at += STEP / (block) * (bytes)) {                                    \
            size_t k = n - i < STEP ? n - i : STEP;                                                               \
            unpack_##kind(w, at, k);                                                                              \
            SIMD for (size_t j = 0; j < k; j++) y[i + j] += a * w[j];                                             \
        }                                                                                                         \
    }
KIND(f32, 1, 4)
KIND(f16, 1, 2)
KIND(bf16, 1, 2)
KIND(q8_0, 32, 34)
KIND(q4_k, 256, 144)
KIND(q6_k, 256, 210)
KIND(q4_0, 32, 18)
KIND(q5_0, 32, 22)
KIND(q5_k, 256, 176)

#define MIX_FEW(kind)                                                                                                   \
    static void mix_few_##kind(float *y, const float *a, const uint8_t *rows, size_t step, size_t count, size_t n) {     \
        if (n) memset(y, 0, n * sizeof *y);                                                                              \
        for (size_t r = 0; n && r < count; r++) add_##kind(y, a[r], rows + r * step, n);                                 \
    }
MIX_FEW(f32)
MIX_FEW(bf16)

#if defined(__AVX512F__) || defined(__AVX2__)
#include "math/rows_wide.h"
#else
#define PRODUCT(kind)                                                                                                  \
    static void prepare_##kind(float *p, const float *x, size_t n) { memcpy(p, x, n * sizeof *p); }                    \
    static void product_##kind(float *out, const void *rows, size_t step, size_t count, const float *p, size_t n) {    \
        for (size_t r = 0; r < count; r++) out[r] = dot_##kind((const uint8_t *)rows + r * step, p, n);                \
    }
PRODUCT(f32)
PRODUCT(f16)
PRODUCT(bf16)
PRODUCT(q8_0)
PRODUCT(q4_k)
PRODUCT(q6_k)
PRODUCT(q4_0)
PRODUCT(q5_0)
PRODUCT(q5_k)
#define MIX(kind)                                                                                                  \
    static void mix_##kind(float *y, const float *a, const void *rows, size_t step, size_t count, size_t n) {      \
        mix_few_##kind(y, a, rows, step, count, n);                                                                \
    }
MIX(f32)
MIX(bf16)
#endif

static void rmsnorm(float *y, const float *x, const float *gamma, float eps, size_t N, size_t C) {
    for (size_t n = 0; n < N; n++, x += C, y += C) {
        float sum = 0;
        REDUCE(+ : sum) for (size_t c = 0; c < C; c++) sum += x[c] * x[c];
        float r = 1.0f / sqrtf(sum / (float)C + eps);
        SIMD for (size_t c = 0; c < C; c++) y[c] = x[c] * r * gamma[c];
    }
}

static void rmsnorm_bwd(float *dx, bool add, const float *dy, const float *x, const float *gamma, float eps, size_t N, size_t C) {
    for (size_t n = 0; n < N; n++, x += C, dx += C, dy += C) {
        float sum = 0, dot = 0;
        REDUCE(+ : sum, dot) for (size_t c = 0; c < C; c++) {
            sum += x[c] * x[c];
            dot += dy[c] * gamma[c] * x[c];
        }
        float r = 1.0f / sqrtf(sum / (float)C + eps), k = dot * r * r / (float)C;
        if (add) {
            SIMD for (size_t c = 0; c < C; c++) dx[c] += r * (dy[c] * gamma[c] - x[c] * k);
        } else {
            SIMD for (size_t c = 0; c < C; c++) dx[c] = r * (dy[c] * gamma[c] - x[c] * k);
        }
    }
}

static void silu_mul(float *y, const float *x, size_t n) {
    SIMD for (size_t i = 0; i < n; i++) y[i] = y[i] / (1.0f + exp_approx(-y[i])) * x[i];
}

static void silu_mul_bwd(float *dg, float *du, const float *dy, const float *g, const float *u, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + expf(-g[i])), d = dy[i], by_gate = d * u[i] * s * (1.0f + g[i] * (1.0f - s));
        du[i] = d * g[i] * s;
        dg[i] = by_gate;
    }
}

#define EACH(name) {name##_f32, name##_f16, name##_bf16, name##_q8_0, name##_q4_k, name##_q6_k, name##_q4_0, name##_q5_0, name##_q5_k}
extern const bqb_rows_ops PASTE(bqb_rows_, BQB_ISA);
const bqb_rows_ops PASTE(bqb_rows_, BQB_ISA) = {
    .name = STRING(BQB_ISA),
    .load = EACH(load),
    .dot = EACH(dot),
    .add = EACH(add),
    .prepare = EACH(prepare),
    .product = EACH(product),
    .mix = {mix_f32, NULL, mix_bf16},
    .rmsnorm = rmsnorm,
    .rmsnorm_bwd = rmsnorm_bwd,
    .silu_mul = silu_mul,
    .silu_mul_bwd = silu_mul_bwd,
};
