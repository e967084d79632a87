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

#endif
