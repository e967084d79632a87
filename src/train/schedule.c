#include "train/schedule.h"

#include <math.h>

double bqb_schedule_lr(double base, uint64_t step, uint64_t warmup, uint64_t total) {
    if (step < warmup) return base * (double)(step + 1) / (double)warmup;
    if (step >= total) return 0;
    return base * 0.5 * (1 + cos(3.14159265358979323846 * (double)(step - warmup) / (double)(total - warmup)));
}

uint64_t bqb_schedule_warmup(uint64_t total) { return total < 1000 ? total / 10 : 100; }

double bqb_vector_norm(const float *v, size_t n) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}
