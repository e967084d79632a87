/* Which of many hashes of 128 bits lie within a few bits (BQB_HASH_NEAR at most) of a
 * given one: all of them, without looking at each.
 *
 * The bits are cut into eight pieces of 16. Hashes that differ in at most 24
 * bits differ by at most 3 in the first piece or by at most 2 in one of the
 * others, else there were 4 + 7·3 = 25. So every piece has a table of who has
 * which value there, and of each table only the values that are so near are
 * looked up: 1,656 in all, of half a million; 24 of them for 8 bits. Few hashes are simply gone through.
 * Source: Norouzi, Punjani, Fleet, Fast search in Hamming space with multi-index
 * hashing, 2012; thresholds of unequal size as in Qin et al., GPH, 2018. */
#ifndef BQB_IMAGE_NEAR_H
#define BQB_IMAGE_NEAR_H

#include "base/err.h"
#include "image/fingerprint.h"

typedef struct {
    uint64_t hash[2];
    uint32_t owner; /* whatever the caller wants to be told */
} bqb_near_key;

typedef struct bqb_near bqb_near;

/* The keys are copied: 24 bytes each, and 32 more in the tables. Errors: BQB_ENOMEM, BQB_ELIMIT (2^32 keys). */
bqb_status bqb_near_new(bqb_near **out, const bqb_near_key *keys, size_t n, bqb_err *err);
void bqb_near_free(bqb_near *ix);

typedef struct {
    uint32_t owner, bits; /* bits: how many differ */
} bqb_near_hit;

/* A growing list. Zero-initialise; free item. */
typedef struct {
    bqb_near_hit *item;
    size_t n, cap;
} bqb_near_hits;

/* Append the keys that differ from this hash in at most `bits` bits, up to BQB_HASH_NEAR; an owner may be appended several times. Those in
 * which some piece is equal come first, and once `most` were appended (0: never) the search
 * ends. Any number of threads at once on one index. */
bqb_status bqb_near_find(const bqb_near *ix, const uint64_t hash[2], int bits, size_t most, bqb_near_hits *hits, bqb_err *err);

/* By rising owner, each once, with its fewest bits. */
void bqb_near_settle(bqb_near_hits *hits);

#endif
