/* Special-token tuning on the frozen qwen2 fixture (llm/tuning.safetensors) against PyTorch:
 * both losses, the rows at [RET], the gradient of everything that is trained; and that
 * going through what comes before the first trained token without a tape changes nothing. */
#include "base/rand.h"
#include "golden.h"
#include "model/decoder_internal.h"
#include "model/stickerllm.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LOSS[2] = {1e-5, 2e-2}, GRADIENT[2] = {1e-3, 1e-1};

typedef struct {
    bqb_decoder *m;
    bqb_safetensors *want;
    bqb_sticker_parts parts, grad;
    bqb_sticker_batch batch;
    int32_t *ids, *labels, *length, *img, *ret;
    float *query, *target;
    bqb_err err;
} fixture;

static int32_t *whole_numbers(const fixture *f, const char *name) {
    const bqb_tensor *t = bqb_safetensors_find(f->want, name);
    if (!CHECK_MSG(t && t->dtype == BQB_I32, "%s is not among the fixtures as I32", name)) return NULL;
    int32_t *x = malloc(t->n * sizeof *x);
    memcpy(x, t->data, t->n * sizeof *x);
    return x;
}

static bool fill(const fixture *f, float *to, size_t n, const char *name) {
    size_t got;
    float *x = golden_values(f->want, name, &got);
    bool ok = x && CHECK_MSG(got == n, "%s has %zu entries, expected %zu", name, got, n);
    if (ok) memcpy(to, x, n * sizeof *to);
    free(x);
    return ok;
}

static void close_fixture(fixture *f) {
    bqb_decoder_free(f->m);
    bqb_safetensors_close(f->want);
    bqb_sticker_parts_free(&f->parts);
    bqb_sticker_parts_free(&f->grad);
    free(f->ids), free(f->labels), free(f->length), free(f->img), free(f->ret), free(f->query), free(f->target);
}

/* target[b,:] = unit(vis_proj · the sticker's feature): frozen, so made once. */
static float *make_targets(const fixture *f, size_t B, size_t F, size_t D) {
    size_t n;
    float *feature = golden_values(f->want, "target_image_feature", &n), *proj = golden_values(f->want, "vis_proj.weight", NULL);
    float *out = malloc(B * D * sizeof *out);
    for (size_t b = 0; b < B && feature && proj; b++) {
        double sum = 0;
        for (size_t d = 0; d < D; d++) {
            double x = 0;
            for (size_t k = 0; k < F; k++) x += (double)proj[d * F + k] * (double)feature[b * F + k];
            out[b * D + d] = (float)x;
            sum += x * x;
        }
        for (size_t d = 0; d < D; d++) out[b * D + d] /= (float)sqrt(sum);
    }
    free(feature);
    free(proj);
    return out;
}

static bool open_fixture(fixture *f, bqb_precision precision) {
    memset(f, 0, sizeof *f);
    if (!CHECK_OK(bqb_decoder_open(&f->m, golden_path("llm/qwen2"), precision, 2, &f->err), f->err) ||
        !CHECK_OK(bqb_safetensors_open(&f->want, golden_path("llm/tuning.safetensors"), &f->err), f->err)) {
        close_fixture(f);
        return false;
    }
    const bqb_tensor *vis = bqb_safetensors_find(f->want, "vis_embedding.weight"), *proj = bqb_safetensors_find(f->want, "txt_proj.weight"),
                     *ids = bqb_safetensors_find(f->want, "input_ids");
    bool ok = CHECK(vis && proj && ids && vis->n_dims == 2 && proj->n_dims == 2 && ids->n_dims == 2);
    if (ok) {
        size_t C = vis->dim[0], F = vis->dim[1], D = proj->dim[0], B = ids->dim[0], L = ids->dim[1];
        ok = CHECK(C == bqb_decoder_get_config(f->m)->width && proj->dim[1] == C) &&
             CHECK_OK(bqb_sticker_parts_new(&f->parts, C, F, D, &f->err), f->err) && CHECK_OK(bqb_sticker_parts_new(&f->grad, C, F, D, &f->err), f->err) &&
             fill(f, f->parts.embed_new, 5 * C, "embed_new") && fill(f, f->parts.head_new, 5 * C, "head_new") &&
             fill(f, f->parts.vis_weight, C * F, "vis_embedding.weight") && fill(f, f->parts.vis_bias, C, "vis_embedding.bias") &&
             fill(f, f->parts.txt_proj, D * C, "txt_proj.weight") && fill(f, f->parts.log_scale, 1, "logit_scale");
        f->ids = whole_numbers(f, "input_ids");
        f->labels = whole_numbers(f, "labels");
        f->length = whole_numbers(f, "lengths");
        f->img = whole_numbers(f, "img_index");
        f->ret = whole_numbers(f, "ret_index");
        f->query = golden_values(f->want, "query_image_feature", NULL);
        f->target = make_targets(f, B, F, D);
        f->batch = (bqb_sticker_batch){.B = B, .L = L, .ids = f->ids, .labels = f->labels, .length = f->length, .img = f->img, .ret = f->ret,
                                       .query = f->query, .target = f->target};
    }
    if (!ok) close_fixture(f);
    return ok;
}

static bool run(fixture *f, bqb_sticker_loss *loss, float *ret, bool whole) {
    memset(f->grad.floats, 0, f->grad.n_floats * sizeof(float));
    return CHECK_OK(bqb_stickerllm_grad(f->m, &f->parts, &f->grad, loss, ret, &f->batch, &(bqb_sticker_how){.whole = whole}, &f->err), f->err);
}

/* The largest error of all gradients; and of each, for the report. */
static double gradient_error(const fixture *f, bool report) {
    const bqb_sticker_parts *g = &f->grad;
    const struct {
        const char *name;
        const float *got;
        size_t n;
    } parts[] = {{"grad.embed_new", g->embed_new, 5 * g->C}, {"grad.head_new", g->head_new, 5 * g->C}, {"grad.vis_embedding.weight", g->vis_weight, g->C * g->F},
                 {"grad.vis_embedding.bias", g->vis_bias, g->C}, {"grad.txt_proj.weight", g->txt_proj, g->D * g->C}, {"grad.logit_scale", g->log_scale, 1}};
    double worst = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n;
        float *want = golden_values(f->want, parts[i].name, &n);
        double d = want && CHECK(n == parts[i].n) ? golden_distance(parts[i].got, want, n) : HUGE_VAL;
        if (report) printf("    %s %.1e\n", parts[i].name + 5, d);
        worst = fmax(worst, d);
        free(want);
    }
    return worst;
}

static double value_error(const fixture *f, const char *name, const float *got, size_t n) {
    size_t n_want;
    float *want = golden_values(f->want, name, &n_want);
    double d = want && CHECK(n == n_want) ? golden_distance(got, want, n) : HUGE_VAL;
    free(want);
    return d;
}

static void check_tuning(bqb_precision precision) {
    fixture f;
    if (!golden_has("llm/tuning.safetensors") || !open_fixture(&f, precision)) return;
    bqb_sticker_loss loss, short_loss;
    size_t n_ret = f.batch.B * f.parts.D;
    float *ret = malloc(n_ret * sizeof *ret), *whole = malloc(f.grad.n_floats * sizeof *whole);
    if (run(&f, &loss, ret, true)) {
        double d[] = {value_error(&f, "ce_loss", &loss.words, 1), value_error(&f, "contrastive_loss", &loss.stickers, 1),
                      value_error(&f, "ret_embedding", ret, n_ret)}, g = gradient_error(&f, true);
        printf("  tuning %s: losses %.1e %.1e, rows at [RET] %.1e, gradients %.1e\n", bqb_precision_name(precision), d[0], d[1], d[2], g);
        CHECK(d[0] <= LOSS[precision] && d[1] <= LOSS[precision] && d[2] <= (precision ? 4e-2 : 1e-4) && g <= GRADIENT[precision]);
        memcpy(whole, f.grad.floats, f.grad.n_floats * sizeof *whole);
        /* Without a tape up to the first trained token. */
        if (run(&f, &short_loss, ret, false)) {
            double same = golden_distance(f.grad.floats, whole, f.grad.n_floats);
            printf("  from the first trained token on: gradients differ by %.1e\n", same);
            CHECK(same <= (precision ? 4e-2 : 1e-5) && fabs((double)(loss.words - short_loss.words)) < 1e-3 * fabs((double)loss.words));
        }
        /* Planted: a sign, a place. */
        f.grad.txt_proj[f.grad.C / 2] *= -1;
        for (size_t i = 0; i < f.grad.C; i++) f.grad.vis_bias[i] *= -1;
        CHECK_MSG(gradient_error(&f, false) > GRADIENT[precision], "a turned gradient goes unnoticed");
        f.ret[1]--;
        if (run(&f, &loss, ret, false)) CHECK_MSG(gradient_error(&f, false) > GRADIENT[precision], "another place of [RET] goes unnoticed");
        f.ret[1]++;
        f.ids[0] = (int32_t)bqb_decoder_get_config(f.m)->vocab + 5;
        CHECK(bqb_stickerllm_grad(f.m, &f.parts, &f.grad, &loss, NULL, &f.batch, NULL, &f.err) == BQB_EINVAL && strstr(f.err.msg, "token"));
    }
    free(ret);
    free(whole);
    close_fixture(&f);
}

TEST(golden_llm_tuning_f32) { check_tuning(BQB_PREC_F32); }
TEST(golden_llm_tuning_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16) printf("  this processor has no bf16 products: not compared\n");
    else check_tuning(BQB_PREC_BF16);
}

/* Along random directions, the gradient of the input rows against central differences: every family, and
 * with tokens before that are fixed. */
static void check_direction(const char *family) {
    enum { BEFORE = 5, N = 9, TRIES = 6 };
    char config[64];
    bqb_decoder *m = NULL;
    bqb_decoder_past *past = NULL;
    bqb_decoder_tape *tape = NULL;
    bqb_err err = {0};
    snprintf(config, sizeof config, "llm/%s", family);
    if (!golden_has("llm/qwen3/config.json") || !CHECK_OK(bqb_decoder_open(&m, golden_path(config), BQB_PREC_F32, 2, &err), err)) return;
    size_t C = bqb_decoder_get_config(m)->width, n = N * C;
    bqb_rand r = bqb_rand_seed(11, 0);
    float *rows = malloc((BEFORE * C + n) * sizeof *rows), *moved = malloc(n * sizeof *moved), *hidden = malloc((BEFORE * C + n) * sizeof *hidden);
    float *way = malloc(n * sizeof *way), *weight = malloc(n * sizeof *weight), *dx = malloc(n * sizeof *dx);
    for (size_t i = 0; i < BEFORE * C + n; i++) rows[i] = (float)bqb_rand_normal(&r) * 0.1f;
    for (size_t i = 0; i < n; i++) weight[i] = (float)bqb_rand_normal(&r);
    bool ok = CHECK_OK(bqb_decoder_past_new(&past, m, BEFORE + N, &err), err) &&
              CHECK_OK(bqb_decoder_run(m, past, hidden, false, rows, BEFORE, NULL, &err), err) &&
              CHECK_OK(bqb_decoder_forward(m, past, &tape, hidden, rows + BEFORE * C, N, &err), err) &&
              CHECK_OK(bqb_decoder_backward(m, past, dx, weight, tape, &err), err);
    double worst = 0, planted = 0;
    for (int t = 0; t < TRIES && ok; t++) {
        double want = 0, got = 0, wrong = 0;
        for (size_t i = 0; i < n; i++) way[i] = (float)bqb_rand_normal(&r);
        for (int side = -1; side <= 1 && ok; side += 2) {
            for (size_t i = 0; i < n; i++) moved[i] = rows[BEFORE * C + i] + (float)side * 2e-4f * way[i];
            bqb_decoder_past_cut(past, BEFORE);
            ok = CHECK_OK(bqb_decoder_run(m, past, hidden, false, moved, N, NULL, &err), err);
            for (size_t i = 0; i < n; i++) want += side * (double)weight[i] * (double)hidden[i] / 4e-4;
        }
        double size = 0;
        for (size_t i = 0; i < n; i++) {
            got += (double)dx[i] * (double)way[i];
            wrong += (double)dx[i] * (double)way[i] * (i < C ? -1 : 1); /* the first token's turned round */
            size += (double)dx[i] * (double)dx[i];
        }
        worst = fmax(worst, fabs(got - want) / sqrt(size));
        planted = fmax(planted, fabs(wrong - want) / sqrt(size));
    }
    printf("  %s: along %d directions the gradient differs by %.1e\n", family, TRIES, worst);
    CHECK_MSG(worst < 2e-2, "%s: %.2e", family, worst);
    CHECK_MSG(planted > 0.1, "%s: a turned gradient goes unnoticed (%.2e)", family, planted);
    bqb_decoder_tape_free(tape);
    bqb_decoder_past_free(past);
    bqb_decoder_free(m);
    free(rows), free(moved), free(hidden), free(way), free(weight), free(dx);
}

TEST(golden_llm_input_gradient) {
    check_direction("llama");
    check_direction("qwen2");
    check_direction("qwen3");
}
