/* A decoder that learns whole: each tensor's gradient against central differences, that it
 * learns, and that what it saves opens again as the same model. */
#include "base/rand.h"
#include "model/decoder_internal.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_decoder_config small(bqb_decoder_family family) {
    return (bqb_decoder_config){.family = family, .vocab = 61, .width = 24, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 40,
                                .context = 64, .eps = 1e-5f, .rope_theta = 100, .rope_factor = 1, .tied = true, .bos = -1, .end = {7}, .n_end = 1};
}

static bqb_decoder *make(bqb_decoder_family family, bqb_err *err) {
    bqb_decoder *m = NULL;
    bqb_decoder_config c = small(family);
    if (!CHECK_OK(bqb_decoder_new(&m, &c, 3, BQB_PREC_F32, 2, err), *err)) return NULL;
    /* Away from the start, where norms are 1 and biases 0, and with gradients of everything. */
    bqb_rand r = bqb_rand_seed(4, 0);
    for (size_t i = 0; i < bqb_decoder_weight_count(m); i++) bqb_decoder_weights(m)[i] += 0.15f * (float)bqb_rand_normal(&r);
    return m;
}

enum { N = 17 };

typedef struct {
    bqb_decoder *m;
    const int32_t *ids;
    const bool *skip;
    float *grad, *way;
    bqb_rand rand;
    size_t checked;
    double worst;
    bool planted;
} checking;

static double loss_at(checking *k, float *w, const float *was, size_t n, double step) {
    bqb_err err = {0};
    float loss = NAN;
    for (size_t i = 0; i < n; i++) w[i] = was[i] + (float)step * k->way[i];
    CHECK_OK(bqb_decoder_learn(k->m, NULL, &loss, k->ids, k->skip, N, &err), err);
    return (double)loss;
}

static int check_tensor(void *ctx, const bqb_decoder_tensor *t) {
    checking *k = ctx;
    size_t n = (t->rows ? t->rows : 1) * t->cols;
    float *w = k->m->weights + ((t->matrix ? (const float *)t->matrix->data : *t->vector) - k->m->weights), *was = malloc(n * sizeof *was);
    const float *g = k->grad + (w - k->m->weights);
    memcpy(was, w, n * sizeof *was);
    double got = 0, size = 0;
    for (size_t i = 0; i < n; i++) size += (double)g[i] * (double)g[i];
    for (size_t i = 0; i < n; i++) { /* along the gradient and a random direction: the derivative is never tiny */
        k->way[i] = g[i] / (float)sqrt(size) + 0.3f * (float)bqb_rand_normal(&k->rand) / (float)sqrt((double)n);
        got += (double)g[i] * (double)k->way[i];
    }
    if (k->planted) got = -got;
    double h = 2e-2, want = (8 * (loss_at(k, w, was, n, h / 2) - loss_at(k, w, was, n, -h / 2)) - (loss_at(k, w, was, n, h) - loss_at(k, w, was, n, -h))) / (6 * h);
    double d = fabs(got - want) / sqrt(size);
    if (!k->planted) CHECK_MSG(size > 0 && d < 2e-2, "%s: along a direction %g, expected %g", t->name, got, want);
    if (d > k->worst) k->worst = d;
    k->checked++;
    memcpy(w, was, n * sizeof *was);
    free(was);
    return k->planted; /* one is enough to show that it is noticed */
}

TEST(decoder_gradient_of_every_tensor) {
    int32_t ids[N];
    bool skip[N] = {0};
    for (int i = 0; i < N; i++) ids[i] = (i * i * 5 + 3 * i) % 61, skip[i] = i % 6 == 4;
    for (bqb_decoder_family family = 0; family < BQB_DECODER_FAMILIES; family++) {
        bqb_err err = {0};
        checking k = {.m = make(family, &err), .ids = ids, .skip = skip, .rand = bqb_rand_seed(8, 0)};
        if (!k.m) continue;
        size_t n = bqb_decoder_weight_count(k.m);
        float loss, *half = calloc(n, sizeof *half);
        k.grad = calloc(n, sizeof *k.grad);
        k.way = calloc(n, sizeof *k.way);
        CHECK_OK(bqb_decoder_learn(k.m, k.grad, &loss, ids, skip, N, &err), err);
        bqb_decoder_each_tensor(k.m, check_tensor, &k);
        CHECK(k.checked == 2 + 2 * (family == BQB_LLAMA ? 9u : family == BQB_QWEN2 ? 12u : 11u));
        printf("  %s: %zu tensors, at most %.1e\n", bqb_decoder_family_name(family), k.checked, k.worst);
        /* Gradients are added. */
        memcpy(half, k.grad, n * sizeof *half);
        CHECK_OK(bqb_decoder_learn(k.m, k.grad, &loss, ids, skip, N, &err), err);
        double most = 0;
        for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)k.grad[i] - 2 * (double)half[i]));
        CHECK(most < 1e-5);
        memcpy(k.grad, half, n * sizeof *half);
        k.planted = true;
        k.worst = 0;
        bqb_decoder_each_tensor(k.m, check_tensor, &k);
        CHECK_MSG(k.worst > 0.5, "a turned gradient goes unnoticed");
        free(half);
        free(k.grad);
        free(k.way);
        bqb_decoder_free(k.m);
    }
}

TEST(decoder_learns_and_is_saved) {
    enum { LEN = 24, STEPS = 150 };
    for (int bf16 = 0; bf16 < 2; bf16++) {
        bqb_decoder *m = NULL, *again = NULL;
        bqb_decoder_config c = small(bf16 ? BQB_QWEN3 : BQB_LLAMA);
        bqb_err err = {0};
        if (!CHECK_OK(bqb_decoder_new(&m, &c, 1, BQB_PREC_F32, 2, &err), err)) return;
        size_t n = bqb_decoder_weight_count(m);
        float *grad = calloc(n, sizeof *grad), *mom = calloc(n, sizeof *mom), *var = calloc(n, sizeof *var), first = 0, loss = 0;
        int32_t ids[LEN];
        for (int i = 0; i < LEN; i++) ids[i] = (i * 7 + i / 3) % 61;
        bqb_adamw_config o = {.lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.01f};
        for (uint64_t step = 1; step <= STEPS; step++) {
            memset(grad, 0, n * sizeof *grad);
            if (!CHECK_OK(bqb_decoder_learn(m, grad, &loss, ids, NULL, LEN, &err), err)) break;
            if (step == 1) first = loss;
            bqb_decoder_adamw(m, grad, mom, var, &o, step);
        }
        CHECK_MSG(first > 3.5f && first < 4.5f && loss < 0.2f, "loss %g, then %g", (double)first, (double)loss);
        const char *dir = test_tmp_dir();
        CHECK_OK(bqb_decoder_save(m, dir, bf16, &err), err);
        if (CHECK_OK(bqb_decoder_open(&again, dir, BQB_PREC_F32, 2, &err), err)) {
            float rows[2][LEN * 24], logits[2][61];
            bqb_decoder *two[2] = {m, again};
            for (int k = 0; k < 2; k++) {
                bqb_decoder_past *past = NULL;
                float hidden[24];
                CHECK_OK(bqb_decoder_past_new(&past, two[k], LEN, &err), err);
                CHECK_OK(bqb_decoder_embed(two[k], rows[k], ids, LEN - 1, &err), err);
                CHECK_OK(bqb_decoder_run(two[k], past, hidden, true, rows[k], LEN - 1, NULL, &err), err);
                CHECK_OK(bqb_decoder_logits(two[k], logits[k], hidden, 1, &err), err);
                bqb_decoder_past_free(past);
            }
            double most = 0;
            for (int v = 0; v < 61; v++) most = fmax(most, fabs((double)logits[0][v] - (double)logits[1][v]));
            CHECK_MSG(most <= (bf16 ? 0.3 : 0), "saved and opened again, logits differ by %g", most);
            for (int v = 0; v < 61; v++) CHECK(logits[1][v] <= logits[1][ids[LEN - 1]]); /* it says what it learnt */
            CHECK(bqb_decoder_get_config(again)->end[0] == 7 && bqb_decoder_get_config(again)->n_end == 1);
            CHECK(bqb_decoder_learn(again, grad, &loss, ids, NULL, LEN, &err) == BQB_EINVAL && !bqb_decoder_weights(again));
        }
        bqb_decoder_free(again);
        bqb_decoder_free(m);
        free(grad), free(mom), free(var);
    }
}
