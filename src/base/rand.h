/* Seeded random numbers, the same on every machine.
 * xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. */
#ifndef BQB_BASE_RAND_H
#define BQB_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t s[4];
} bqb_rand;

/* Two seeds give unrelated sequences; `stream` numbers the sequences of one
 * seed (an epoch, a sticker), so that parts can be made in any order. */
bqb_rand bqb_rand_seed(uint64_t seed, uint64_t stream);

uint64_t bqb_rand_u64(bqb_rand *r);
size_t bqb_rand_below(bqb_rand *r, size_t n);           /* 0 … n-1, unbiased; n > 0 */
double bqb_rand_unit(bqb_rand *r);                      /* [0, 1) */
double bqb_rand_between(bqb_rand *r, double a, double b);
double bqb_rand_normal(bqb_rand *r);                    /* mean 0, variance 1 */
void bqb_rand_shuffle(bqb_rand *r, uint32_t *v, size_t n);

#endif
