/* What every trainer does with a step: the learning rate, linear warm-up, then half a cosine to zero, as the
 * reference does; and how long a gradient is. */
#ifndef BQB_TRAIN_SCHEDULE_H
#define BQB_TRAIN_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

/* Of step 0 … total-1: base * (step+1) / warmup while step < warmup, then
 * base * (1 + cos(π (step-warmup) / (total-warmup))) / 2. */
double bqb_schedule_lr(double base, uint64_t step, uint64_t warmup, uint64_t total);

/* The paper's 100 steps of warm-up, or a tenth of a run that is shorter than 1,000. */
uint64_t bqb_schedule_warmup(uint64_t total);

/* |v|, added up in f64: of a gradient, or of weights that must be numbers. */
double bqb_vector_norm(const float *v, size_t n);

#endif
