/* Learning from many documents at once is learning from each by itself. */
#include "model/decoder.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DOCS = 40, LONGEST = 60 };

static bqb_decoder *make(int threads, bqb_precision precision) {
    bqb_decoder *m = NULL;
    bqb_err err = {0};
    bqb_decoder_config c = {.family = BQB_LLAMA, .vocab = 61, .width = 24, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 40, .context = LONGEST,
                            .eps = 1e-5f, .rope_theta = 100, .rope_factor = 1, .tied = true, .bos = -1, .end = {7}, .n_end = 1};
    CHECK_OK(bqb_decoder_new(&m, &c, 3, precision, threads, &err), err);
    return m;
}

typedef struct {
    int32_t ids[DOCS * LONGEST];
    bool skip[DOCS * LONGEST];
    size_t end[DOCS], n;
} documents;

/* 1,200 tokens: three parts; one document of a single token, one of the longest. */
static void fill(documents *d) {
    *d = (documents){0};
    for (size_t i = 0; i < DOCS; i++) {
        size_t n = i == 5 ? 1 : i == 9 ? LONGEST : 10 + i * 7 % 43;
        for (size_t t = 0; t < n; t++, d->n++) d->ids[d->n] = (int32_t)((i * 11 + t * t * 3 + t) % 61), d->skip[d->n] = t % 7 == 3;
        d->end[i] = d->n;
    }
}

/* The same by bqb_decoder_learn: each document weighs as many tokens as it teaches. */
static double one_by_one(bqb_decoder *m, float *grad, const documents *d) {
    size_t n = bqb_decoder_weight_count(m), learnt = 0;
    float *own = calloc(n, sizeof *own);
    double total = 0;
    for (size_t i = 0, start = 0; i < DOCS; start = d->end[i++]) {
        size_t teaches = 0;
        for (size_t t = start + 1; t < d->end[i]; t++) teaches += !d->skip[t];
        if (!teaches) continue;
        bqb_err err = {0};
        float loss = NAN;
        memset(own, 0, n * sizeof *own);
        CHECK_OK(bqb_decoder_learn(m, own, &loss, d->ids + start, d->skip + start, d->end[i] - start, &err), err);
        for (size_t k = 0; k < n; k++) grad[k] += own[k] * (float)teaches;
        total += (double)loss * (double)teaches;
        learnt += teaches;
    }
    for (size_t k = 0; k < n; k++) grad[k] /= (float)learnt;
    free(own);
    return total / (double)learnt;
}

static double difference(const float *a, const float *b, size_t n) {
    double d = 0, size = 0;
    for (size_t i = 0; i < n; i++) d += pow((double)a[i] - (double)b[i], 2), size += pow((double)b[i], 2);
    return sqrt(d / size);
}

TEST(decoder_learns_from_many_documents) {
    static documents d;
    fill(&d);
    bqb_decoder *m = make(3, BQB_PREC_F32), *half = make(2, BQB_PREC_BF16);
    if (!m || !half) return;
    size_t n = bqb_decoder_weight_count(m);
    float *want = calloc(n, sizeof *want), *got = calloc(n, sizeof *got), *again = calloc(n, sizeof *again);
    bqb_err err = {0};
    double loss = one_by_one(m, want, &d), loss2 = 0, only = 0;
    CHECK_OK(bqb_decoder_learn_batch(m, got, &loss2, d.ids, d.skip, d.end, DOCS, &err), err);
    CHECK_MSG(fabs(loss - loss2) < 1e-5, "loss %g, one by one %g", loss2, loss);
    CHECK_MSG(difference(got, want, n) < 1e-5, "gradient differs by %g", difference(got, want, n));
    /* The same call, the same bits; without gradient, the same loss. */
    CHECK_OK(bqb_decoder_learn_batch(m, again, &loss2, d.ids, d.skip, d.end, DOCS, &err), err);
    CHECK(!memcmp(got, again, n * sizeof *got));
    CHECK_OK(bqb_decoder_learn_batch(m, NULL, &only, d.ids, d.skip, d.end, DOCS, &err), err);
    CHECK(only == loss2);
    /* In bf16 it is about the same. */
    memset(again, 0, n * sizeof *again);
    CHECK_OK(bqb_decoder_learn_batch(half, again, &loss2, d.ids, d.skip, d.end, DOCS, &err), err);
    CHECK_MSG(fabs(loss - loss2) < 1e-2 && difference(again, want, n) < 0.05, "bf16: loss %g, gradient differs by %g", loss2, difference(again, want, n));
    /* Of two tokens that are as right as each other the loss is the mean of both; a choice of one is none. */
    int32_t *other = malloc(sizeof d.ids), pair[2] = {d.ids[1], 42};
    float halves[2] = {0.5f, 0.5f}, all = 1;
    memcpy(other, d.ids, sizeof d.ids);
    size_t two[1] = {2};
    double first = 0, second = 0, mean = 0;
    other[1] = 42;
    bqb_decoder_choice choose = {0, pair, halves, 2};
    float *ga = calloc(n, sizeof *ga), *gb = calloc(n, sizeof *gb), *gm = calloc(n, sizeof *gm);
    CHECK_OK(bqb_decoder_learn_batch(m, ga, &first, d.ids, NULL, two, 1, &err), err);
    CHECK_OK(bqb_decoder_learn_batch(m, gb, &second, other, NULL, two, 1, &err), err);
    CHECK_OK(bqb_decoder_learn_choices(m, gm, &mean, d.ids, NULL, two, 1, &choose, 1, &err), err);
    CHECK_MSG(fabs(mean - (first + second) / 2) < 1e-5, "%g and %g, chosen from %g", first, second, mean);
    for (size_t k = 0; k < n; k++) ga[k] = (ga[k] + gb[k]) / 2;
    CHECK_MSG(first != second && difference(gm, ga, n) < 1e-5 && difference(gb, ga, n) > 1e-2, "differs by %g", difference(gm, ga, n));
    choose = (bqb_decoder_choice){0, pair, &all, 1};
    CHECK_OK(bqb_decoder_learn_choices(m, NULL, &mean, other, NULL, two, 1, &choose, 1, &err), err);
    CHECK(mean == first);
    pair[0] = 61;
    CHECK(bqb_decoder_learn_choices(m, NULL, &mean, other, NULL, two, 1, &choose, 1, &err) == BQB_EINVAL);
    free(other);
    free(ga);
    free(gb);
    free(gm);
    /* Planted: documents that see each other are noticed. */
    size_t joined[DOCS] = {0};
    memcpy(joined, d.end, sizeof joined);
    joined[0] = d.end[1];
    memmove(joined + 1, joined + 2, (DOCS - 2) * sizeof *joined);
    memset(again, 0, n * sizeof *again);
    CHECK_OK(bqb_decoder_learn_batch(m, again, &loss2, d.ids, d.skip, joined, DOCS - 1, &err), err);
    CHECK(difference(again, want, n) > 1e-3);
    /* One that shares the weights goes without taking along what learning left. */
    bqb_decoder *other_caller = NULL;
    CHECK_OK(bqb_decoder_share(&other_caller, m, 1, &err), err);
    bqb_decoder_free(other_caller);
    memset(again, 0, n * sizeof *again);
    CHECK_OK(bqb_decoder_learn_batch(m, again, &loss2, d.ids, d.skip, d.end, DOCS, &err), err);
    CHECK(!memcmp(again, got, n * sizeof *again));
    /* What cannot be. */
    size_t long_one[1] = {LONGEST + 1}, empty[2] = {10, 10};
    CHECK(bqb_decoder_learn_batch(m, got, &loss2, d.ids, d.skip, long_one, 1, &err) == BQB_EINVAL);
    CHECK(bqb_decoder_learn_batch(m, got, &loss2, d.ids, d.skip, empty, 2, &err) == BQB_EINVAL);
    d.ids[30] = 61;
    CHECK(bqb_decoder_learn_batch(m, got, &loss2, d.ids, d.skip, d.end, DOCS, &err) == BQB_EINVAL && strstr(err.msg, "61"));
    free(want);
    free(got);
    free(again);
    bqb_decoder_free(m);
    bqb_decoder_free(half);
}
