#include "test.h"

#include "base/rand.h"
#include "image/near.h"

#include <stdlib.h>
#include <string.h>

static void flip(uint64_t h[2], bqb_rand *r, size_t times) {
    for (size_t i = 0; i < times; i++) {
        size_t b = bqb_rand_below(r, 128);
        h[b / 64] ^= (uint64_t)1 << (b % 64);
    }
}

/* Hashes in heaps, so that many are near; every query as by going through all. */
static void against_plain(size_t n, size_t heap, int bits) {
    bqb_rand r = bqb_rand_seed(n, 3);
    bqb_near_key *key = calloc(n, sizeof *key);
    bqb_near *ix = NULL;
    bqb_err err = {0};
    for (size_t i = 0; i < n; i++) {
        if (i % heap) memcpy(key[i].hash, key[i - i % heap].hash, sizeof key[i].hash);
        else key[i].hash[0] = bqb_rand_u64(&r), key[i].hash[1] = bqb_rand_u64(&r);
        if (i % heap) flip(key[i].hash, &r, bqb_rand_below(&r, 40));
        key[i].owner = (uint32_t)(i / 2); /* two keys each */
    }
    CHECK_OK(bqb_near_new(&ix, key, n, &err), err);
    size_t found = 0;
    for (size_t q = 0; q < 200; q++) {
        bqb_near_hits hits = {0};
        size_t at = q * (n / 200), want = 0;
        CHECK_OK(bqb_near_find(ix, key[at].hash, bits, 0, &hits, &err), err);
        bqb_near_settle(&hits);
        for (size_t o = 0; o < (n + 1) / 2; o++) {
            int best = 1000;
            for (size_t i = 2 * o; i < 2 * o + 2 && i < n; i++) {
                int d = bqb_hash_distance(key[i].hash, key[at].hash);
                if (d < best) best = d;
            }
            if (best > bits) continue;
            CHECK(want < hits.n && hits.item[want].owner == o && hits.item[want].bits == (uint32_t)best);
            want++;
        }
        CHECK_MSG(want == hits.n, "%zu of %zu", want, hits.n);
        found += want;
        free(hits.item);
    }
    CHECK(found > (bits ? 400 : 199)); /* there was something to find */
    bqb_near_free(ix);
    free(key);
}

TEST(near_finds_what_going_through_all_finds) {
    against_plain(900, 10, BQB_HASH_NEAR);
    for (int bits = 0; bits <= BQB_HASH_NEAR; bits += 8) against_plain(9000, 25, bits); /* by the tables */
    against_plain(9000, 25, 7);
    against_plain(9000, 25, 19);
}

/* The worst pairs for the tables: 24 bits apart, as evenly over the pieces as can be. */
TEST(near_finds_what_is_as_far_apart_as_may_be) {
    enum { N = 5000 };
    bqb_rand r = bqb_rand_seed(7, 7);
    bqb_near_key *key = calloc(N, sizeof *key);
    bqb_near *ix = NULL;
    bqb_err err = {0};
    for (size_t i = 0; i < N; i++) {
        key[i].hash[0] = bqb_rand_u64(&r);
        key[i].hash[1] = bqb_rand_u64(&r);
        key[i].owner = (uint32_t)i;
    }
    CHECK_OK(bqb_near_new(&ix, key, N, &err), err);
    for (int apart = 24; apart <= 25; apart++)
        for (size_t extra = 0; extra < 8; extra++) { /* three bits a piece; one of them has one bit more when it is 25 */
            bqb_near_hits hits = {0};
            uint64_t q[2] = {key[extra].hash[0], key[extra].hash[1]};
            for (size_t p = 0; p < 8; p++)
                q[p / 4] ^= (apart == 25 && p == extra ? (uint64_t)0xF : (uint64_t)0x7) << (16 * (p % 4) + p);
            CHECK(bqb_hash_distance(q, key[extra].hash) == apart);
            CHECK_OK(bqb_near_find(ix, q, BQB_HASH_NEAR, 0, &hits, &err), err);
            bool there = false;
            for (size_t i = 0; i < hits.n; i++) there |= hits.item[i].owner == extra;
            CHECK(there == (apart == 24));
            free(hits.item);
        }
    bqb_near_free(ix);
    free(key);
}

TEST(near_ends_when_told) {
    enum { N = 6000 };
    bqb_near_key *key = calloc(N, sizeof *key); /* all the same */
    for (size_t few = 0; few < 2; few++) {
        bqb_near *ix = NULL;
        bqb_near_hits hits = {0};
        CHECK(!bqb_near_new(&ix, key, few ? 1000 : N, NULL));
        CHECK(!bqb_near_find(ix, key[0].hash, BQB_HASH_NEAR, 100, &hits, NULL) && hits.n == 100);
        bqb_near_settle(&hits);
        CHECK(hits.n == 1 && hits.item[0].owner == 0 && hits.item[0].bits == 0);
        free(hits.item);
        bqb_near_free(ix);
    }
    bqb_near *none = NULL;
    bqb_near_hits hits = {0};
    CHECK(!bqb_near_new(&none, NULL, 0, NULL) && !bqb_near_find(none, key[0].hash, BQB_HASH_NEAR, 0, &hits, NULL) && !hits.n);
    bqb_near_settle(&hits);
    bqb_near_free(none);
    free(key);
}
