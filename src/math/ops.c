/* Choosing among the builds of ops_simd.c, and what a step hands to one of them. */
#include "math/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const bqb_ops bqb_ops_generic;
#if defined(__x86_64__)
extern const bqb_ops bqb_ops_avx2, bqb_ops_avx512;
#endif

const bqb_ops *bqb_ops_plain(void) { return &bqb_ops_generic; }

size_t bqb_ops_all(const bqb_ops *out[4]) {
    size_t n = 0;
    out[n++] = &bqb_ops_generic;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[n++] = &bqb_ops_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        out[n++] = &bqb_ops_avx512;
#endif
    return n;
}

const bqb_ops *bqb_ops_best(void) {
    const bqb_ops *all[4];
    size_t n = bqb_ops_all(all);
    const char *want = getenv("BQB_ISA");
    for (size_t i = 0; want && i < n; i++)
        if (!strcmp(all[i]->name, want)) return all[i];
    return all[n - 1];
}

bqb_adamw_step bqb_adamw_step_at(double lr, double weight_decay, double beta1, double beta2, uint64_t step) {
    return (bqb_adamw_step){(float)(lr * weight_decay), (float)(lr / (1 - pow(beta1, (double)step))), (float)(1 / sqrt(1 - pow(beta2, (double)step)))};
}
