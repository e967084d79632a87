/* An exponential moving average of the weights: smoother than the weights of
 * any one step, and often a few recalls better. */
#ifndef BQB_TRAIN_AVERAGE_H
#define BQB_TRAIN_AVERAGE_H

#include <stddef.h>
#include <stdint.h>

/* How much of the average stays at a step (from 1): the decay that was asked
 * for, less at the beginning, (1+step)/(10+step), so that the start is soon forgotten. */
double bqb_average_decay(double decay, uint64_t step);

/* average = d * average + (1-d) * weights, d = bqb_average_decay(decay, step). */
void bqb_average_update(float *average, const float *weights, size_t n, double decay, uint64_t step, int threads);

/* Exchange two blocks. */
void bqb_average_swap(float *a, float *b, size_t n, int threads);

#endif
