#include "test.h"

#include "base/rand.h"
#include "train/rank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

/* Five pictures on a line, three texts; scores by hand:
 *   q0 = 1: 5 4 3 2 1      q1 = -1: -5 … -1       q2 = 0: all the same */
static const float gallery[5] = {5, 4, 3, 2, 1}, queries[3] = {1, -1, 0};

TEST(rank_by_hand) {
    const size_t first[] = {0, 1, 3, 4};
    const uint32_t right[] = {2, 0, 1, 3};
    bqb_place p[3];
    uint32_t top[3 * 7];
    bqb_err err = {0};
    CHECK_OK(bqb_rank(p, top, 7, queries, 3, gallery, 5, 1, first, right, 2, NULL, NULL, &err), err);
    CHECK(p[0].better == 2 && p[0].tied_wrong == 0 && p[0].tied_right == 1);
    CHECK(p[1].better == 3 && p[1].tied_wrong == 0 && p[1].tied_right == 1); /* 1 of {0,1} is the better one */
    CHECK(p[2].better == 0 && p[2].tied_wrong == 4 && p[2].tied_right == 1);
    CHECK(bqb_place_rank(&p[0]) == 3 && bqb_place_rank(&p[1]) == 4 && bqb_place_rank(&p[2]) == 3);
    const uint32_t want[21] = {0, 1, 2, 3, 4, UINT32_MAX, UINT32_MAX, 4, 3, 2, 1, 0, UINT32_MAX, UINT32_MAX,
                               0, 1, 2, 3, 4, UINT32_MAX, UINT32_MAX};
    CHECK(memcmp(top, want, sizeof want) == 0);
    bqb_recall r = bqb_recall_of(p, 3);
    CHECK(near(r.r1, 100.0 * (0 + 0 + 0.2) / 3)); /* five tied: a fifth of a hit */
    CHECK(near(r.r5, 100) && near(r.r10, 100) && near(r.mr, (r.r1 + 200) / 3));
    CHECK(r.median == 3 && r.n == 3);
}

TEST(place_hits_are_those_of_random_order) {
    /* 2 better, 3 wrong and 2 right tied: of 5 tied in random order, is a right one among the first k-2? */
    bqb_place p = {2, 3, 2};
    CHECK(bqb_place_hit(&p, 1) == 0 && bqb_place_hit(&p, 2) == 0);
    CHECK(near(bqb_place_hit(&p, 3), 2.0 / 5));
    CHECK(near(bqb_place_hit(&p, 4), 1 - 3.0 / 5 * 2 / 4));
    CHECK(near(bqb_place_hit(&p, 5), 1 - 3.0 / 5 * 2 / 4 * 1 / 3));
    CHECK(near(bqb_place_hit(&p, 6), 1) && near(bqb_place_hit(&p, 1000), 1));
    CHECK(near(bqb_place_rank(&p), 1 + 2 + 3.0 / 3));
    bqb_place alone = {0, 0, 1};
    CHECK(bqb_place_hit(&alone, 1) == 1 && bqb_place_rank(&alone) == 1);
    CHECK(bqb_recall_of(NULL, 0).n == 0);
}

/* A model that gives the same to everything scores as chance, not 100. */
TEST(rank_of_a_constant_model_is_chance) {
    enum { N = 200, D = 8 };
    static float same[N * D];
    static size_t first[N + 1];
    static uint32_t right[N];
    static bqb_place p[N];
    for (size_t i = 0; i < N * D; i++) same[i] = (float)sqrt(1.0 / D);
    for (size_t i = 0; i < N; i++) {
        first[i] = i;
        right[i] = (uint32_t)i;
    }
    first[N] = N;
    bqb_err err = {0};
    CHECK_OK(bqb_rank(p, NULL, 0, same, N, same, N, D, first, right, 2, NULL, NULL, &err), err);
    bqb_recall r = bqb_recall_of(p, N);
    CHECK(near(r.r1, 0.5) && near(r.r10, 5) && near(r.median, 100.5));
}

/* Against counting in f64, past every SIMD width and block. Returns places that differ. */
static size_t places_off(size_t Q, size_t G, size_t D, bool plant) {
    float *q = malloc(Q * D * sizeof *q), *g = malloc(G * D * sizeof *g);
    size_t *first = malloc((Q + 1) * sizeof *first), off = 0;
    uint32_t *right = malloc(Q * sizeof *right), *top = malloc(Q * sizeof *top);
    bqb_place *p = malloc(Q * sizeof *p);
    bqb_rand r = bqb_rand_seed(Q + G, D);
    for (size_t i = 0; i < Q * D; i++) q[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < G * D; i++) g[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < Q; i++) {
        first[i] = i;
        right[i] = (uint32_t)bqb_rand_below(&r, G);
    }
    first[Q] = Q;
    bqb_err err = {0};
    CHECK_OK(bqb_rank(p, top, 1, q, Q, g, G, D, first, right, 2, NULL, NULL, &err), err);
    if (plant) g[D - 1] += 100; /* only the last dimension of one picture, after the fact */
    for (size_t i = 0; i < Q; i++) {
        uint32_t better = 0;
        double own = 0, best = -1e30;
        size_t best_at = 0;
        for (size_t d = 0; d < D; d++) own += (double)q[i * D + d] * (double)g[right[i] * D + d];
        for (size_t k = 0; k < G; k++) {
            double s = 0;
            for (size_t d = 0; d < D; d++) s += (double)q[i * D + d] * (double)g[k * D + d];
            better += k != right[i] && s > own;
            if (s > best) {
                best = s;
                best_at = k;
            }
        }
        off += better != p[i].better || top[i] != best_at;
    }
    free(q);
    free(g);
    free(first);
    free(right);
    free(top);
    free(p);
    return off;
}

TEST(rank_equals_counting) {
    CHECK(places_off(1, 1, 1, false) == 0);
    CHECK(places_off(37, 53, 19, false) == 0);
    CHECK(places_off(130, 301, 67, false) == 0);
    CHECK(places_off(37, 53, 19, true) > 10); /* planted */
}

TEST(rank_refuses_nonsense) {
    const size_t none[] = {0, 0}, one[] = {0, 1};
    const uint32_t right[] = {5};
    bqb_place p;
    bqb_err err = {0};
    CHECK(bqb_rank(&p, NULL, 0, queries, 1, gallery, 5, 1, none, right, 1, NULL, NULL, &err) == BQB_EINVAL);
    CHECK(bqb_rank(&p, NULL, 0, queries, 1, gallery, 5, 1, one, right, 1, NULL, NULL, &err) == BQB_EINVAL);
    /* A model of no numbers must not score at all. */
    const float bad[] = {1, NAN, INFINITY, 3e38f, 2};
    const size_t range[] = {0, 1};
    const uint32_t fine[] = {0};
    for (size_t k = 1; k < 4; k++) {
        CHECK(bqb_rank(&p, NULL, 0, bad + k, 1, gallery, 5, 1, range, fine, 1, NULL, NULL, &err) == BQB_EINVAL);
        CHECK(bqb_rank(&p, NULL, 0, gallery, 1, bad, 1 + k, 1, range, fine, 1, NULL, NULL, &err) == BQB_EINVAL);
        CHECK(bqb_rank_plain(&p, NULL, 0, bad + k, 1, gallery, 5, 1, range, fine, &err) == BQB_EINVAL);
    }
}

/* Fast against plain, bit for bit. `kind` 0: random; 1: every third row the
 * same and others one bit beside it, so that everything is decided by the last
 * bit; 2: huge numbers; 3: all one row. Returns how many differ. */
static size_t fast_off(size_t Q, size_t G, size_t D, size_t n_top, int kind, bool plant) {
    float *q = malloc(Q * D * sizeof *q), *g = malloc(G * D * sizeof *g);
    size_t *first = malloc((Q + 1) * sizeof *first), off = 0, n = 0;
    uint32_t *right = malloc(3 * Q * sizeof *right);
    uint32_t *top[2] = {malloc(Q * n_top * sizeof **top), malloc(Q * n_top * sizeof **top)};
    bqb_place *p[2] = {malloc(Q * sizeof **p), malloc(Q * sizeof **p)};
    bqb_rand r = bqb_rand_seed(Q * G + (size_t)kind, D);
    for (size_t i = 0; i < Q * D; i++) q[i] = (float)bqb_rand_normal(&r) * (kind == 2 ? 1e17f : 1);
    for (size_t i = 0; i < G * D; i++) g[i] = (float)bqb_rand_normal(&r) * (kind == 2 ? 1e17f : 1);
    for (size_t i = 1; i < G && kind; i++) {
        if (kind != 3 && i % 3 == 2) continue;
        if (kind == 2 && i % 5) continue;
        memcpy(g + i * D, g, D * sizeof *g);
        if (kind == 1 && i % 3 == 1) g[i * D + i % D] = nextafterf(g[i * D + i % D], i % 2 ? 9 : -9);
    }
    for (size_t i = 0; i < Q; i++) {
        first[i] = n;
        uint32_t at = (uint32_t)bqb_rand_below(&r, G);
        for (size_t k = 0; k < 1 + i % 3 && at < G; k++, at += 1 + (uint32_t)(G / 7)) right[n++] = at;
    }
    first[Q] = n;
    bqb_err err = {0};
    CHECK_OK(bqb_rank(p[0], top[0], n_top, q, Q, g, G, D, first, right, 2, NULL, NULL, &err), err);
    if (plant) g[(G / 2) * D] += 1e-5f; /* one number's last digits */
    CHECK_OK(bqb_rank_plain(p[1], top[1], n_top, q, Q, g, G, D, first, right, &err), err);
    for (size_t i = 0; i < Q; i++) {
        off += memcmp(&p[0][i], &p[1][i], sizeof **p) != 0;
        off += memcmp(top[0] + i * n_top, top[1] + i * n_top, n_top * sizeof **top) != 0;
        off += p[0][i].tied_right == 0;
    }
    free(q);
    free(g);
    free(first);
    free(right);
    for (int k = 0; k < 2; k++) {
        free(top[k]);
        free(p[k]);
    }
    return off;
}

TEST(rank_fast_is_plain) {
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 5, 2}, {9, 1100, 17}, {300, 70, 64}, {37, 2100, 100}};
    for (int kind = 0; kind < 4; kind++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            CHECK(fast_off(shapes[k][0], shapes[k][1], shapes[k][2], 10, kind, false) == 0);
    CHECK(fast_off(37, 2100, 100, 10, 3, true) > 10); /* planted */
}
