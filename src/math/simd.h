/* What the kernels' sources share: each is compiled once for every instruction set, with
 * BQB_ISA set to its name. SIMD marks loops to vectorise; sums in a REDUCE loop may be reordered. */
#ifndef BQB_MATH_SIMD_H
#define BQB_MATH_SIMD_H

#include <stdint.h>
#include <string.h>

#ifndef BQB_ISA
#define BQB_ISA generic
#endif
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define STRING_(a) #a
#define STRING(a) STRING_(a)
#define SIMD _Pragma("omp simd")
#define PRAGMA(...) _Pragma(#__VA_ARGS__)
#define REDUCE(...) PRAGMA(omp simd reduction(__VA_ARGS__))

static inline uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* e^x, relative error below 2.5e-7, for x in [-87, 88]; clamped outside, so
 * that it never gives infinity or a denormal. 2^n * p(r): r = x - n ln 2 in two parts. */
static inline float exp_approx(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounds: 1.5 * 2^23 */
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.0f + r * (1.0f + r * (0.5f + r * (0.16666667f + r * (0.041666646f + r * (0.0083333f + r * 0.0013888f)))));
    return p * float_of((uint32_t)((int32_t)n + 127) << 23);
}

#endif
