/* Learning rate: linear warm-up, then half a cosine to zero, as the reference does. */
#ifndef BQB_TRAIN_SCHEDULE_H
#define BQB_TRAIN_SCHEDULE_H

#include <stdint.h>

/* Of step 0 … total-1: base * (step+1) / warmup while step < warmup, then
 * base * (1 + cos(π (step-warmup) / (total-warmup))) / 2. */
double bqb_schedule_lr(double base, uint64_t step, uint64_t warmup, uint64_t total);

/* The paper's 100 steps of warm-up, or a tenth of a run that is shorter than 1,000. */
uint64_t bqb_schedule_warmup(uint64_t total);

#endif
