#include "image/near.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECES = 8,
    VALUES = 1 << 16,
    FEW = 4096,        /* hashes that are gone through one by one */
    APART = 3,         /* bits in one piece, of BQB_HASH_NEAR in all */
    MASKS = 1 + 16 + 120 + 560,
};

struct bqb_near {
    bqb_near_key *key;
    size_t n;
    uint32_t *start[PIECES]; /* [VALUES + 1] where in list[] a value's keys begin; NULL: few */
    uint32_t *list[PIECES];  /* [n] keys by value */
    uint16_t mask[MASKS];    /* of 0, 1, 2, 3 bits */
    size_t masks_of[APART + 2]; /* where in mask[] those of so many bits begin */
};

static unsigned piece_of(const uint64_t hash[2], size_t p) { return (unsigned)(hash[p / 4] >> (16 * (p % 4))) & 0xFFFF; }

static void make_masks(bqb_near *ix) {
    size_t n = 0;
    ix->masks_of[0] = n;
    ix->mask[n++] = 0;
    ix->masks_of[1] = n;
    for (int a = 0; a < 16; a++) ix->mask[n++] = (uint16_t)(1 << a);
    ix->masks_of[2] = n;
    for (int a = 0; a < 16; a++)
        for (int b = 0; b < a; b++) ix->mask[n++] = (uint16_t)(1 << a | 1 << b);
    ix->masks_of[3] = n;
    for (int a = 0; a < 16; a++)
        for (int b = 0; b < a; b++)
            for (int c = 0; c < b; c++) ix->mask[n++] = (uint16_t)(1 << a | 1 << b | 1 << c);
    ix->masks_of[4] = n;
}

static bqb_status make_table(bqb_near *ix, size_t p, bqb_err *err) {
    uint32_t *start = bqb_calloc(VALUES + 1, sizeof *start), *list = bqb_calloc(ix->n, sizeof *list);
    ix->start[p] = start;
    ix->list[p] = list;
    if (!start || !list) return bqb_fail_nomem(err, "index of hashes", ix->n * sizeof *list);
    for (size_t i = 0; i < ix->n; i++) start[piece_of(ix->key[i].hash, p)]++;
    uint32_t at = 0;
    for (size_t v = 0; v <= VALUES; v++) at = start[v] += at;
    for (size_t i = ix->n; i-- > 0;) list[--start[piece_of(ix->key[i].hash, p)]] = (uint32_t)i;
    return BQB_OK;
}

bqb_status bqb_near_new(bqb_near **out, const bqb_near_key *keys, size_t n, bqb_err *err) {
    *out = NULL;
    if (n > UINT32_MAX) return bqb_fail(err, BQB_ELIMIT, "%zu hashes; at most %u can be searched", n, UINT32_MAX);
    bqb_near *ix = bqb_calloc(1, sizeof *ix);
    if (!ix) return bqb_fail_nomem(err, "index of hashes", sizeof *ix);
    bqb_status s = BQB_OK;
    ix->n = n;
    ix->key = bqb_calloc(n, sizeof *ix->key);
    if (!ix->key) s = bqb_fail_nomem(err, "index of hashes", n * sizeof *ix->key);
    else if (n) memcpy(ix->key, keys, n * sizeof *keys);
    make_masks(ix);
    for (size_t p = 0; p < PIECES && n > FEW && !s; p++) s = make_table(ix, p, err);
    if (s) bqb_near_free(ix);
    else *out = ix;
    return s;
}

void bqb_near_free(bqb_near *ix) {
    if (!ix) return;
    for (size_t p = 0; p < PIECES; p++) {
        free(ix->start[p]);
        free(ix->list[p]);
    }
    free(ix->key);
    free(ix);
}

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS int distance(const uint64_t a[2], const uint64_t b[2]) {
    return __builtin_popcountll(a[0] ^ b[0]) + __builtin_popcountll(a[1] ^ b[1]);
}

/* Append key i if it is near; false: no memory. */
ALWAYS bool try_key(const bqb_near *ix, size_t i, const uint64_t hash[2], int most_bits, bqb_near_hits *hits) {
    int bits = distance(ix->key[i].hash, hash);
    if (bits > most_bits) return true;
    bqb_near_hit *grown = bqb_grow(hits->item, hits->n, &hits->cap, sizeof *grown, 32);
    if (!grown) return false;
    hits->item = grown;
    hits->item[hits->n++] = (bqb_near_hit){ix->key[i].owner, (uint32_t)bits};
    return true;
}

/* Whoever is within `bits` has, in some piece, fewer differing bits than that piece's share of bits + 1. */
ALWAYS bool search(const bqb_near *ix, const uint64_t hash[2], int bits, size_t most, bqb_near_hits *hits) {
    size_t end = most ? hits->n + most : SIZE_MAX;
    if (!ix->start[0]) {
        for (size_t i = 0; i < ix->n && hits->n < end; i++)
            if (!try_key(ix, i, hash, bits, hits)) return false;
        return true;
    }
    size_t share = (size_t)(bits + 1) / PIECES, more = (size_t)(bits + 1) % PIECES; /* the first `more` have one more */
    for (size_t apart = 0; apart <= share && apart <= APART; apart++)
        for (size_t p = 0; p < (apart < share ? PIECES : more); p++) {
            const uint32_t *start = ix->start[p], *list = ix->list[p];
            unsigned value = piece_of(hash, p);
            for (size_t m = ix->masks_of[apart]; m < ix->masks_of[apart + 1]; m++)
                for (uint32_t k = start[value ^ ix->mask[m]]; k < start[(value ^ ix->mask[m]) + 1]; k++) {
                    if (!try_key(ix, list[k], hash, bits, hits)) return false;
                    if (hits->n >= end) return true;
                }
        }
    return true;
}

static bool search_any(const bqb_near *ix, const uint64_t hash[2], int bits, size_t most, bqb_near_hits *hits) {
    return search(ix, hash, bits, most, hits);
}
#if defined(__x86_64__)
__attribute__((target("popcnt"))) static bool search_popcnt(const bqb_near *ix, const uint64_t hash[2], int bits,
                                                            size_t most, bqb_near_hits *hits) {
    return search(ix, hash, bits, most, hits);
}
#endif

bqb_status bqb_near_find(const bqb_near *ix, const uint64_t hash[2], int bits, size_t most, bqb_near_hits *hits, bqb_err *err) {
    bool done;
    assert(bits >= 0 && bits <= BQB_HASH_NEAR);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt")) done = search_popcnt(ix, hash, bits, most, hits);
    else
#endif
        done = search_any(ix, hash, bits, most, hits);
    return done ? BQB_OK : bqb_fail_nomem(err, "near hashes", hits->cap * sizeof *hits->item);
}

static int by_owner(const void *a, const void *b) {
    const bqb_near_hit *x = a, *y = b;
    if (x->owner != y->owner) return x->owner < y->owner ? -1 : 1;
    return x->bits < y->bits ? -1 : x->bits > y->bits;
}

void bqb_near_settle(bqb_near_hits *hits) {
    size_t m = 0;
    if (hits->n) qsort(hits->item, hits->n, sizeof *hits->item, by_owner);
    for (size_t i = 0; i < hits->n; i++)
        if (!m || hits->item[m - 1].owner != hits->item[i].owner) hits->item[m++] = hits->item[i];
    hits->n = m;
}
