/* StickerCLIP against the reference implementation: activations, embeddings,
 * loss, every gradient, four optimiser steps; from both key-name families.
 * Shapes and names come from the fixtures, so that another set runs as well. */
#include "file/safetensors.h"
#include "golden.h"
#include "model/clip_internal.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Relative to the largest entry of the expected array. f32: what the reference
 * promises between machines. bf16 keeps 8 bits: 2^-8 a rounding, some of them in a row
 * (other shapes than these were measured up to 0.03 in the gradients). */
static const double ACTIVATION_F32 = 1e-4, GRADIENT_F32 = 1e-3, ACTIVATION_BF16 = 4e-2, GRADIENT_BF16 = 1e-1;

typedef struct {
    bqb_safetensors *act, *grad, *after;
    bqb_clip_config config;
    bqb_clip *clip;
    size_t F, N, L, T; /* frames in all, pairs, tokens of a text, tokens of a frame */
    int32_t *tokens;
    uint8_t *frames; /* of each picture */
    float *pixels;
    bqb_err err;
} fixture;

static void close_fixture(fixture *f) {
    bqb_clip_free(f->clip);
    bqb_safetensors_close(f->act);
    bqb_safetensors_close(f->grad);
    bqb_safetensors_close(f->after);
    free(f->tokens);
    free(f->frames);
    free(f->pixels);
}

/* Element i of a tensor of any integer type. */
static int64_t whole(const bqb_tensor *t, size_t i) {
    size_t size = bqb_dtype_size_bytes(t->dtype);
    bool sign = t->dtype == BQB_I8 || t->dtype == BQB_I16 || t->dtype == BQB_I32 || t->dtype == BQB_I64;
    uint8_t bytes[8];
    memcpy(bytes, (const char *)t->data + i * size, size);
    uint64_t x = 0;
    for (size_t k = size; k-- > 0;) x = x << 8 | bytes[k];
    if (sign && size < 8 && x >> (8 * size - 1)) x |= UINT64_MAX << (8 * size);
    return (int64_t)x;
}

static bool is_whole(const bqb_tensor *t) { return t->dtype >= BQB_I8 && t->dtype <= BQB_U64; }

/* tokens [N,L]; pixels [N, any split of frames and channels, R, R]. */
static bool read_batch(fixture *f) {
    const bqb_tensor *ids = bqb_safetensors_find(f->act, "tokens");
    if (!CHECK_MSG(ids && ids->n_dims == 2 && ids->n && is_whole(ids), "tokens are not [N,L] of integers"))
        return false;
    size_t n_pixels, frame = 3 * f->config.resolution * f->config.resolution,
                     grid = f->config.resolution / f->config.patch;
    f->N = ids->dim[0];
    f->L = ids->dim[1];
    f->T = grid * grid + 1;
    f->tokens = malloc(ids->n * sizeof *f->tokens);
    for (size_t i = 0; i < ids->n; i++) f->tokens[i] = (int32_t)whole(ids, i);
    f->pixels = golden_values(f->act, "pixels", &n_pixels);
    f->F = n_pixels / frame;
    size_t each = f->F / f->N;
    if (!CHECK_MSG(f->pixels && each && each < 256 && n_pixels == each * f->N * frame,
                   "%zu pixels are no frames for %zu pictures", n_pixels, f->N))
        return false;
    f->frames = malloc(f->N);
    memset(f->frames, (int)each, f->N);
    return true;
}

static bool open_fixture(fixture *f, const char *config, const char *weights, bqb_precision precision) {
    memset(f, 0, sizeof *f);
    bool ok =
        CHECK_OK(bqb_clip_config_read(&f->config, golden_path(config), &f->err), f->err) &&
        CHECK_OK(bqb_clip_new(&f->clip, &f->config, golden_path(weights), 0, precision, 0, &f->err),
                 f->err) &&
        CHECK_OK(bqb_safetensors_open(&f->act, golden_path("clip_activations.safetensors"), &f->err),
                 f->err) &&
        CHECK_OK(bqb_safetensors_open(&f->grad, golden_path("clip_grad.safetensors"), &f->err), f->err) &&
        CHECK_OK(bqb_safetensors_open(&f->after, golden_path("clip_after_4_steps.safetensors"), &f->err),
                 f->err);
    ok = ok && read_batch(f);
    if (!ok) close_fixture(f);
    return ok;
}

static bqb_clip_batch batch_of(const fixture *f) {
    return (bqb_clip_batch){.pixels = f->pixels, .frames = f->frames, .ids = f->tokens, .N = f->N, .L = f->L};
}

static double worst;

static void compare(const fixture *f, const char *name, const float *got, size_t n_got, double tolerance) {
    size_t n;
    float *want = golden_values(f->act, name, &n);
    if (!want || !CHECK_MSG(n == n_got, "%s has %zu entries, expected %zu", name, n_got, n)) {
        free(want);
        return;
    }
    double d = golden_distance(got, want, n);
    if (d > worst) worst = d;
    CHECK_MSG(d <= tolerance, "%s differs by %.2e of its largest entry, tolerance %.0e", name, d, tolerance);
    free(want);
}

/* The activations of one tower, of those layers that the fixture has. */
static void compare_layers(fixture *f, bool image, double tolerance) {
    size_t layers = image ? f->config.v_layers : f->config.t_layers, found = 0;
    size_t n = image ? f->F * f->T * f->config.v_width : f->N * f->L * f->config.t_width;
    float **rows = calloc(layers + 1, sizeof *rows);
    for (size_t i = 0; i <= layers; i++) rows[i] = malloc(n * sizeof(float));
    if (image) CHECK_OK(bqb_clip_trace_images(f->clip, rows, f->pixels, f->F, &f->err), f->err);
    else CHECK_OK(bqb_clip_trace_tokens(f->clip, rows, f->tokens, f->N, f->L, &f->err), f->err);
    for (size_t i = 0; i <= layers; i++) {
        char name[64];
        if (i) snprintf(name, sizeof name, image ? "vision.block%zu" : "text.layer%zu", i - 1);
        else snprintf(name, sizeof name, image ? "vision.ln_pre" : "text.embeddings");
        if (bqb_safetensors_find(f->act, name)) {
            compare(f, name, rows[i], n, tolerance);
            found++;
        }
        free(rows[i]);
    }
    free(rows);
    CHECK_MSG(found > 0, "no activations of the %s tower among the fixtures", image ? "picture" : "text");
}

static void check_activations(const char *config, const char *weights, bqb_precision precision,
                              double tolerance) {
    fixture f;
    if (!open_fixture(&f, config, weights, precision)) return;
    worst = 0;
    compare_layers(&f, true, tolerance);
    compare_layers(&f, false, tolerance);

    size_t D = f.config.embed;
    float *img = malloc(f.N * D * sizeof *img), *txt = malloc(f.N * D * sizeof *txt),
          *logits = malloc(f.N * f.N * sizeof *logits), loss = 0;
    bqb_clip_batch b = batch_of(&f);
    CHECK_OK(bqb_clip_grad_full(f.clip, NULL, &loss, img, txt, logits, &b, &f.err), f.err);
    compare(&f, "image_embedding", img, f.N * D, tolerance);
    compare(&f, "text_embedding", txt, f.N * D, tolerance);
    compare(&f, "logits_per_text", logits, f.N * f.N, tolerance);
    compare(&f, "loss", &loss, 1, tolerance);
    CHECK_OK(bqb_clip_encode_tokens(f.clip, txt, f.tokens, f.N, f.L, &f.err), f.err);
    compare(&f, "text_embedding", txt, f.N * D, tolerance);
    CHECK_OK(bqb_clip_pack(f.clip, BQB_TOWER_TEXT, 1000, &f.err), f.err);
    memset(txt, 0, f.N * D * sizeof *txt);
    CHECK_OK(bqb_clip_encode_tokens(f.clip, txt, f.tokens, f.N, f.L, &f.err), f.err);
    compare(&f, "text_embedding", txt, f.N * D, tolerance);
    printf("  activations %s %s: largest relative error %.2e\n", weights, bqb_precision_name(precision),
           worst);

    /* Planted faults: a projection with half its columns turned round and one
     * expected number, both of which must be noticed. */
    for (size_t i = 0; i < bqb_clip_param_count(f.clip); i++) {
        const bqb_param *p = bqb_clip_param(f.clip, i);
        float *w = bqb_clip_weights(f.clip) + p->offset;
        for (size_t k = 0; !strcmp(p->name, "visual.proj") && k < p->n; k++)
            if (k % D < D / 2) w[k] = -w[k];
    }
    bqb_clip_weights_changed(f.clip);
    CHECK_OK(bqb_clip_grad_full(f.clip, NULL, &loss, img, NULL, NULL, &b, &f.err), f.err);
    size_t m;
    float *want = golden_values(f.act, "image_embedding", &m);
    CHECK_MSG(want && golden_distance(img, want, m) > tolerance, "wrong weights go unnoticed");
    want = (free(want), golden_values(f.act, "text_embedding", &m));
    if (want) {
        want[m / 2] += 0.1f;
        CHECK_MSG(golden_distance(txt, want, m) > tolerance, "a wrong expectation goes unnoticed");
    }
    free(want);
    free(img);
    free(txt);
    free(logits);
    close_fixture(&f);
}

TEST(golden_activations_ofa_f32) {
    check_activations("clip_ofa.json", "clip_ofa.safetensors", BQB_PREC_F32, ACTIVATION_F32);
}
TEST(golden_activations_hf_f32) {
    check_activations("clip_hf_config.json", "clip_hf.safetensors", BQB_PREC_F32, ACTIVATION_F32);
}
TEST(golden_activations_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16)
        printf("  this processor has no bf16 products: not compared\n");
    else check_activations("clip_ofa.json", "clip_ofa.safetensors", BQB_PREC_BF16, ACTIVATION_BF16);
}

/* The largest entry of the expected gradient of parameter i. */
static double gradient_size(const fixture *f, size_t i) {
    size_t n;
    double top = 0;
    float *want = golden_values(f->grad, bqb_clip_param(f->clip, i)->name, &n);
    for (size_t k = 0; want && k < n; k++) top = fmax(top, fabs((double)want[k]));
    free(want);
    return top;
}

/* Below this a gradient is nothing but rounding, as that of the keys' bias is: a
 * shift of every score cancels in the softmax. The smallest real one here is 1e-2 of the largest. */
static double gradient_floor(const fixture *f) {
    double top = 0;
    for (size_t i = 0; i < bqb_clip_param_count(f->clip); i++) top = fmax(top, gradient_size(f, i));
    return 1e-5 * top;
}

/* The largest relative error over all parameters; `fault`, if not NULL, names
 * one whose gradient is spoilt first (its sign flipped). */
static double gradient_error(const fixture *f, const float *grad, const char *fault, bool report,
                             double tolerance) {
    double most = 0, least = gradient_floor(f);
    for (size_t i = 0; i < bqb_clip_param_count(f->clip); i++) {
        const bqb_param *p = bqb_clip_param(f->clip, i);
        size_t n;
        float *want = golden_values(f->grad, p->name, &n);
        if (!want) return HUGE_VAL;
        if (!CHECK_MSG(n == p->n, "%s has %zu entries, expected %zu", p->name, p->n, n)) {
            free(want);
            return HUGE_VAL;
        }
        bool spoil = fault && !strcmp(fault, p->name);
        for (size_t k = 0; spoil && k < n; k++) want[k] = -want[k];
        double d = gradient_size(f, i) < least ? 0 : golden_distance(grad + p->offset, want, n);
        if (report)
            CHECK_MSG(d <= tolerance, "gradient of %s differs by %.2e, tolerance %.0e", p->name, d,
                      tolerance);
        if (d > most) most = d;
        free(want);
    }
    return most;
}

static void check_gradients(bqb_precision precision, double tolerance) {
    fixture f;
    if (!open_fixture(&f, "clip_ofa.json", "clip_ofa.safetensors", precision)) return;
    float *grad = calloc(bqb_clip_float_count(f.clip), sizeof *grad), loss;
    bqb_clip_batch b = batch_of(&f);
    CHECK_OK(bqb_clip_grad(f.clip, grad, &loss, &b, &f.err), f.err);
    double d = gradient_error(&f, grad, NULL, true, tolerance);
    printf("  gradients %s: largest relative error %.2e\n", bqb_precision_name(precision), d);
    double least = gradient_floor(&f);
    for (size_t i = 0; i < bqb_clip_param_count(f.clip); i++) {
        const bqb_param *p = bqb_clip_param(f.clip, i);
        if (gradient_size(&f, i) < least) continue;
        CHECK_MSG(gradient_error(&f, grad, p->name, false, tolerance) > tolerance,
                  "a gradient of %s with its sign flipped goes unnoticed", p->name);
    }
    free(grad);
    close_fixture(&f);
}

TEST(golden_gradients_f32) { check_gradients(BQB_PREC_F32, GRADIENT_F32); }
TEST(golden_gradients_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16)
        printf("  this processor has no bf16 products: not compared\n");
    else check_gradients(BQB_PREC_BF16, GRADIENT_BF16);
}

/* The schedule, written out from the fixture: linear warm-up, then a half cosine. */
static double rate(double base, size_t step, size_t warmup, size_t total) {
    if (step < warmup) return base * (double)(step + 1) / (double)warmup;
    return 0.5 * (1 + cos(3.14159265358979 * (double)(step - warmup) / (double)(total - warmup))) * base;
}

/* Four steps; how far the weights end from the reference's, relative to how far they moved. */
static double train_four(double lr_factor, bool report) {
    fixture f;
    if (!open_fixture(&f, "clip_ofa.json", "clip_ofa.safetensors", BQB_PREC_F32)) return HUGE_VAL;
    json_t *o = json_load_file(golden_path("clip_train.json"), 0, NULL);
    json_t *log = json_object_get(o, "log");
    size_t n = bqb_clip_float_count(f.clip);
    float *grad = calloc(n, sizeof *grad), *mom = calloc(n, sizeof *mom), *var = calloc(n, sizeof *var);
    bqb_adamw_config c = {.beta1 = (float)json_number_value(json_object_get(o, "beta1")),
                          .beta2 = (float)json_number_value(json_object_get(o, "beta2")),
                          .eps = (float)json_number_value(json_object_get(o, "eps")),
                          .weight_decay = (float)json_number_value(json_object_get(o, "weight_decay"))};
    bqb_clip_batch b = batch_of(&f);
    if (report) CHECK(json_array_size(log) > 0);
    for (size_t i = 0; i < json_array_size(log); i++) {
        json_t *want = json_array_get(log, i);
        double lr = rate(json_number_value(json_object_get(o, "base_lr")), i,
                         (size_t)json_integer_value(json_object_get(o, "warmup")),
                         (size_t)json_integer_value(json_object_get(o, "total_steps")));
        float loss;
        memset(grad, 0, n * sizeof *grad);
        CHECK_OK(bqb_clip_grad(f.clip, grad, &loss, &b, &f.err), f.err);
        c.lr = (float)(lr * lr_factor);
        bqb_clip_adamw(f.clip, grad, mom, var, &c, i + 1);
        if (!report) continue;
        CHECK_MSG(fabs(lr - json_number_value(json_object_get(want, "lr"))) < 1e-9, "step %zu: rate %g", i,
                  lr);
        CHECK_MSG(fabs((double)loss - json_number_value(json_object_get(want, "loss"))) < 2e-4,
                  "step %zu: loss %g", i, (double)loss);
        CHECK_MSG(fabs((double)*bqb_clip_logit_scale(f.clip) -
                       json_number_value(json_object_get(want, "logit_scale"))) < 1e-5,
                  "step %zu: logit scale %.7g", i, (double)*bqb_clip_logit_scale(f.clip));
    }
    double most = 0, least = gradient_floor(&f);
    for (size_t i = 0; i < bqb_clip_param_count(f.clip); i++) {
        const bqb_param *p = bqb_clip_param(f.clip, i);
        size_t m;
        float *want = golden_values(f.after, p->name, &m);
        if (!want || !CHECK_MSG(m == p->n, "%s has %zu entries, expected %zu", p->name, p->n, m)) {
            free(want);
            continue;
        }
        /* AdamW turns even a gradient of pure rounding into a full step: nothing to compare there. */
        double d = gradient_size(&f, i) < least ? 0 : golden_distance(bqb_clip_weights(f.clip) + p->offset, want, m);
        if (report) CHECK_MSG(d <= 2e-3, "%s after the steps differs by %.2e", p->name, d);
        if (d > most) most = d;
        free(want);
    }
    json_decref(o);
    free(grad);
    free(mom);
    free(var);
    close_fixture(&f);
    return most;
}

TEST(golden_adamw_four_steps) {
    double d = train_four(1.0, true);
    printf("  weights after 4 steps: largest relative error %.2e\n", d);
    CHECK_MSG(train_four(1.5, false) > 4 * d && train_four(1.5, false) > 2e-3,
              "a learning rate that is wrong by half goes unnoticed");
}

/* Saved under Hugging Face names and read back: the same numbers. */
TEST(golden_save_and_open) {
    fixture f;
    if (!open_fixture(&f, "clip_ofa.json", "clip_ofa.safetensors", BQB_PREC_F32)) return;
    char dir[512];
    snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
    bqb_clip *again = NULL;
    CHECK_OK(bqb_clip_save(f.clip, dir, false, golden_path("vocab.txt"), &f.err), f.err);
    if (CHECK_OK(bqb_clip_open(&again, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 0, &f.err), f.err)) {
        bool same = true;
        for (size_t i = 0; i < bqb_clip_param_count(again); i++) {
            const bqb_param *p = bqb_clip_param(again, i);
            same = same && !memcmp(bqb_clip_weights(again) + p->offset, bqb_clip_weights(f.clip) + p->offset,
                                   p->n * sizeof(float));
        }
        CHECK(same);
        CHECK(strlen(bqb_clip_id(again)) == 64);
    }
    bqb_clip_free(again);
    close_fixture(&f);
}
