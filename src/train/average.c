#include "train/average.h"

#include "base/thread.h"

enum { PART = 1 << 18 }; /* floats that a thread takes at once */

typedef struct {
    float *a, *b;
    const float *weights;
    size_t n;
    float rest;
} work;

double bqb_average_decay(double decay, uint64_t step) {
    double early = (1 + (double)step) / (10 + (double)step);
    return early < decay ? early : decay;
}

static size_t part_length(const work *w, size_t i) { return w->n - i * PART < PART ? w->n - i * PART : PART; }

static void update_part(void *ctx, size_t i, int worker) {
    (void)worker;
    const work *w = ctx;
    float *a = w->a + i * PART;
    const float *x = w->weights + i * PART;
    for (size_t k = 0, n = part_length(w, i); k < n; k++) a[k] += w->rest * (x[k] - a[k]);
}

static void swap_part(void *ctx, size_t i, int worker) {
    (void)worker;
    const work *w = ctx;
    float *a = w->a + i * PART, *b = w->b + i * PART;
    for (size_t k = 0, n = part_length(w, i); k < n; k++) {
        float x = a[k];
        a[k] = b[k];
        b[k] = x;
    }
}

void bqb_average_update(float *average, const float *weights, size_t n, double decay, uint64_t step, int threads) {
    work w = {.a = average, .weights = weights, .n = n, .rest = (float)(1 - bqb_average_decay(decay, step))};
    bqb_parallel_for((n + PART - 1) / PART, threads, update_part, &w);
}

void bqb_average_swap(float *a, float *b, size_t n, int threads) {
    work w = {.a = a, .b = b, .n = n};
    bqb_parallel_for((n + PART - 1) / PART, threads, swap_part, &w);
}
