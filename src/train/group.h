/* Which pairs of a batch say or show the same: keys of what is equal, and the
 * numbers that bqb_clip_batch wants. */
#ifndef BQB_TRAIN_GROUP_H
#define BQB_TRAIN_GROUP_H

#include <stddef.h>
#include <stdint.h>

/* 64 bits of n bytes, never 0: equal bytes have equal keys, others (almost) never. Not for enemies. */
uint64_t bqb_key_of(const void *bytes, size_t n);

/* group[i] = the first k with key[k] = key[i]. */
void bqb_group_keys(uint32_t *group, const uint64_t *key, size_t n);

#endif
