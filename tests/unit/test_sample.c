#include "chat/sample.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How often each of n tokens is chosen out of `tries`. */
static void count(size_t *times, const bqb_sampling *o, const float *logits, size_t n, size_t tries) {
    bqb_sampler *s = NULL;
    bqb_err err = {0};
    memset(times, 0, n * sizeof *times);
    if (!CHECK_OK(bqb_sampler_new(&s, o, n, &err), err)) return;
    for (size_t i = 0; i < tries; i++) {
        float copy[64];
        memcpy(copy, logits, n * sizeof *copy);
        int32_t id = bqb_sampler_choose(s, copy);
        if (CHECK(id >= 0 && (size_t)id < n)) times[id]++;
    }
    bqb_sampler_free(s);
}

TEST(sample_by_probability) {
    enum { TRIES = 20000 };
    float logits[5] = {0, 1, 2, -1, 3};
    size_t times[5];
    bqb_sampling o = {.temperature = 1, .top_p = 1, .repetition = 1, .seed = 5};
    count(times, &o, logits, 5, TRIES);
    double sum = 0;
    for (int i = 0; i < 5; i++) sum += exp((double)logits[i]);
    for (int i = 0; i < 5; i++) CHECK(fabs((double)times[i] / TRIES - exp((double)logits[i]) / sum) < 0.02);
    o.top_k = 2;
    count(times, &o, logits, 5, TRIES);
    CHECK(!times[0] && !times[1] && !times[3] && times[2] > 0 && times[4] > 2 * times[2]);
    o.top_k = 0;
    o.top_p = 0.7; /* the best alone has 0.64: one more is needed */
    count(times, &o, logits, 5, TRIES);
    CHECK(!times[0] && !times[1] && !times[3] && times[2] && times[4]);
    o.top_p = 0.6;
    count(times, &o, logits, 5, 100);
    CHECK(times[4] == 100);
    o = (bqb_sampling){.temperature = 0, .top_p = 1, .repetition = 1};
    count(times, &o, logits, 5, 3);
    CHECK(times[4] == 3);
    /* The same seed says the same. */
    o = bqb_sampling_defaults();
    size_t again[5];
    count(times, &o, logits, 5, 50);
    count(again, &o, logits, 5, 50);
    CHECK(!memcmp(times, again, sizeof times));
}

TEST(sample_selects_like_a_sort) {
    bqb_rand r = bqb_rand_seed(9, 0);
    for (size_t k = 1; k <= 40; k += 3) {
        float logits[60];
        size_t times[60];
        for (size_t i = 0; i < 60; i++) logits[i] = (float)bqb_rand_below(&r, 30) / 10; /* with ties */
        bqb_sampling o = {.temperature = 10, .top_k = k, .top_p = 1, .repetition = 1, .seed = k};
        count(times, &o, logits, 60, 4000);
        for (size_t i = 0; i < 60; i++) {
            size_t better = 0;
            for (size_t j = 0; j < 60; j++) better += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
            CHECK_MSG((times[i] > 0) == (better < k), "k %zu: token %zu, %zu better, chosen %zu times", k, i, better, times[i]);
        }
    }
}

TEST(sample_minds_what_was_said_and_forbidden) {
    bqb_sampling o = {.temperature = 0, .top_p = 1, .repetition = 2};
    bqb_sampler *s = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_sampler_new(&s, &o, 4, &err), err)) return;
    float a[4] = {3, 2, -1, -1.5f}, b[4];
    memcpy(b, a, sizeof a);
    CHECK(bqb_sampler_choose(s, b) == 0);
    bqb_sampler_saw(s, 0);
    bqb_sampler_saw(s, 99);
    memcpy(b, a, sizeof a);
    CHECK(bqb_sampler_choose(s, b) == 1); /* 3 / 2 < 2 */
    bqb_sampler_forbid(s, 1, true);
    bqb_sampler_forbid(s, 0, true);
    bqb_sampler_saw(s, 2);
    memcpy(b, a, sizeof a);
    CHECK(bqb_sampler_choose(s, b) == 3); /* -1 · 2 < -1.5 */
    bqb_sampler_new_answer(s);
    bqb_sampler_forbid(s, 0, false);
    memcpy(b, a, sizeof a);
    CHECK(bqb_sampler_choose(s, b) == 0);
    for (int i = 0; i < 4; i++) b[i] = NAN;
    CHECK(bqb_sampler_choose(s, b) == -1);
    bqb_sampler_free(s);

    static const bqb_sampling bad[] = {{-1, 0, 1, 1, 0}, {NAN, 0, 1, 1, 0}, {1, 0, 0, 1, 0}, {1, 0, 1.5, 1, 0}, {1, 0, 1, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(bqb_sampler_new(&s, &bad[i], 4, &err) == BQB_EINVAL && !s);
}
