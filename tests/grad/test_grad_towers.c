/* Whole towers and the whole loss, of odd sizes, against the plain network in
 * double: forward within rounding, and central differences for every parameter
 * of the small towers, a sample of every tensor elsewhere. */
#include "grad/gradcheck.h"
#include "grad/plain.h"
#include "model/clip_internal.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* f32 through a few layers: sums of up to a hundred roundings of 6e-8, some of them in a row.
 * bf16 is not compared here: one rounding of 2^-8 in the wrong place exceeds the twentieth that
 * grad_close must see; tests/golden holds it. */
static const double FORWARD = 2e-5, BACKWARD = 2e-4;

static const bqb_clip_config TINY = {.resolution = 6,
                                     .patch = 2,
                                     .v_width = 6,
                                     .v_layers = 2,
                                     .v_heads = 3,
                                     .v_mlp = 10,
                                     .v_eps = 1e-5f,
                                     .v_act = BQB_ACT_QUICK_GELU,
                                     .vocab = 11,
                                     .t_width = 6,
                                     .t_layers = 2,
                                     .t_heads = 2,
                                     .t_mlp = 7,
                                     .t_positions = 9,
                                     .t_types = 2,
                                     .t_eps = 1e-12f,
                                     .t_act = BQB_ACT_GELU,
                                     .context = 8,
                                     .embed = 5};

static const bqb_clip_config ODD = {.resolution = 15,
                                    .patch = 5,
                                    .v_width = 24,
                                    .v_layers = 3,
                                    .v_heads = 3,
                                    .v_mlp = 41,
                                    .v_eps = 1e-5f,
                                    .v_act = BQB_ACT_QUICK_GELU,
                                    .vocab = 37,
                                    .t_width = 33,
                                    .t_layers = 2,
                                    .t_heads = 3,
                                    .t_mlp = 65,
                                    .t_positions = 21,
                                    .t_types = 3,
                                    .t_eps = 1e-12f,
                                    .t_act = BQB_ACT_GELU,
                                    .context = 20,
                                    .embed = 17};

typedef struct {
    bqb_clip_config config;
    bqb_layout_map map;
    float *weights;
    double *wide;
    plain_model plain;
} model;

/* Weights large enough that every nonlinearity bends, gains around 1. */
static void random_weights(float *w, const bqb_param *param, size_t n_params, uint64_t seed) {
    for (size_t i = 0; i < n_params; i++) {
        const bqb_param *p = &param[i];
        bqb_rand r = bqb_rand_seed(seed, i);
        bool gain = p->n_dims == 1 && strstr(p->name, "weight");
        double size = p->n_dims < 2 ? 0.3 : 1.2 / sqrt((double)(p->n / p->dim[0]));
        if (strstr(p->name, "embedding")) size = 0.7;
        grad_fill(&r, w + p->offset, NULL, p->n, size, BQB_NUM_F32);
        for (size_t k = 0; gain && k < p->n; k++) w[p->offset + k] += 1;
        if (!strcmp(p->name, "logit_scale")) w[p->offset] = 1.5f;
    }
}

static bool model_new(model *m, const bqb_clip_config *c, uint64_t seed) {
    bqb_err err;
    memset(m, 0, sizeof *m);
    m->config = *c;
    if (!CHECK_OK(bqb_layout_new(&m->map, c, &err), err)) return false;
    m->weights = GRAD_FLOATS(m->map.n_floats);
    m->wide = GRAD_DOUBLES(m->map.n_floats);
    random_weights(m->weights, m->map.param, m->map.n_params, seed);
    for (size_t i = 0; i < m->map.n_floats; i++) m->wide[i] = (double)m->weights[i];
    m->plain = (plain_model){
        .config = &m->config, .param = m->map.param, .n_params = m->map.n_params, .weights = m->wide};
    return true;
}

static void model_free(model *m) {
    bqb_layout_free(&m->map);
    free(m->weights);
    free(m->wide);
}

/* Compare the gradient of every parameter, or of `most` random elements of it.
 * `all_n` weights are perturbed in `wide`, which the loss reads. */
static void check_parameters(const char *what, const bqb_param *param, size_t n_params, const float *grad,
                             double *wide, grad_loss loss, void *ctx, const char *prefix, size_t most) {
    bqb_rand r = bqb_rand_seed(77, 0);
    double top = 0;
    for (size_t i = 0; i < n_params; i++)
        for (size_t k = 0; k < param[i].n; k++) top = fmax(top, fabs((double)grad[param[i].offset + k]));
    for (size_t i = 0; i < n_params; i++) {
        const bqb_param *p = &param[i];
        if (prefix && strncmp(p->name, prefix, strlen(prefix))) continue;
        size_t n = p->n < most ? p->n : most;
        float *got = GRAD_FLOATS(n);
        double *want = GRAD_DOUBLES(n);
        for (size_t k = 0; k < n; k++) {
            size_t at = p->offset + (n == p->n ? k
                                     : k == 0  ? 0
                                     : k == 1  ? p->n - 1
                                               : bqb_rand_below(&r, p->n));
            want[k] = grad_numeric(wide + at, loss, ctx);
            got[k] = grad[at];
        }
        char name[192];
        snprintf(name, sizeof name, "%s %s", what, p->name);
        /* Entries a thousandth of the largest gradient are differences of larger ones. */
        grad_close(name, got, want, n, BACKWARD, top * 1e-3);
        free(got);
        free(want);
    }
}

/* --- the picture tower alone --- */

typedef struct {
    const model *m;
    const float *pixels;
    const uint16_t *keep;
    size_t n_keep, F;
    double *dfeature, *feature;
} pictures;

static double pictures_loss(void *ctx) {
    const pictures *t = ctx;
    size_t R = t->m->config.resolution, D = t->m->config.embed;
    double sum = 0;
    for (size_t f = 0; f < t->F; f++) {
        plain_vit(t->feature + f * D, &t->m->plain, t->pixels + f * 3 * R * R,
                  t->keep ? t->keep + f * t->n_keep : NULL, t->n_keep);
        for (size_t d = 0; d < D; d++) sum += t->feature[f * D + d] * t->dfeature[f * D + d];
    }
    return sum;
}

static void check_vit(const bqb_clip_config *c, size_t F, size_t n_keep, size_t most) {
    model m;
    if (!model_new(&m, c, 5)) return;
    bqb_rand r = bqb_rand_seed(10, F);
    size_t n = F * 3 * c->resolution * c->resolution, D = c->embed, grid = c->resolution / c->patch;
    float *pixels = GRAD_FLOATS(n), *dfeature = GRAD_FLOATS(F * D), *feature = GRAD_FLOATS(F * D),
          *again = GRAD_FLOATS(F * D);
    uint16_t *keep = n_keep ? grad_take(F * n_keep, sizeof *keep) : NULL;
    pictures t = {.m = &m,
                  .pixels = pixels,
                  .keep = keep,
                  .n_keep = n_keep,
                  .F = F,
                  .dfeature = GRAD_DOUBLES(F * D),
                  .feature = GRAD_DOUBLES(F * D)};
    grad_fill(&r, pixels, NULL, n, 1, BQB_NUM_F32);
    grad_fill(&r, dfeature, t.dfeature, F * D, 1, BQB_NUM_F32);
    for (size_t f = 0; f < F && keep; f++) { /* n_keep patches, rising */
        size_t left = n_keep, k = 0;
        for (size_t patch = 0; patch < grid * grid; patch++)
            if (bqb_rand_below(&r, grid * grid - patch) < left)
                keep[f * n_keep + k++] = (uint16_t)patch, left--;
    }
    bqb_pass p;
    if (grad_pass_open(&p, BQB_NUM_F32)) {
        char what[96];
        snprintf(what, sizeof what, "vit width %zu, %zu frames, keep %zu", c->v_width, F, n_keep);
        bqb_vit_saved *saved = NULL;
        p.weights = m.weights;
        p.grad = GRAD_FLOATS(m.map.n_floats);
        pictures_loss(&t);
        bqb_frames frames = {.pixels = pixels, .keep = keep, .n_keep = n_keep, .n = F};
        bqb_vit_fwd(&p, &m.map, c, again, &frames, NULL, NULL);
        grad_close(what, again, t.feature, F * D, FORWARD, 0);
        bqb_vit_fwd(&p, &m.map, c, feature, &frames, &saved, NULL);
        grad_close(what, feature, t.feature, F * D, FORWARD, 0);
        bqb_vit_bwd(&p, &m.map, c, dfeature, saved);
        check_parameters(what, m.map.param, m.map.n_params, p.grad, m.wide, pictures_loss, &t, "visual.",
                         most);
        double other = 0;
        for (size_t i = m.map.word; i < m.map.n_floats; i++) other += fabs((double)p.grad[i]);
        CHECK_MSG(other == 0, "%s: the picture tower wrote gradients of the text tower", what);
        free(p.grad);
        grad_pass_close(&p);
    }
    void *all[] = {pixels, dfeature, feature, again, keep, t.dfeature, t.feature};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    model_free(&m);
}

TEST(grad_picture_tower) {
    bqb_clip_config c = TINY;
    check_vit(&c, 1, 0, SIZE_MAX);
    check_vit(&c, 3, 0, SIZE_MAX);
    check_vit(&c, 4, 1, SIZE_MAX); /* one patch of nine, a different one each */
    check_vit(&c, 3, 4, SIZE_MAX);
    c.v_layers = 1;
    check_vit(&c, 2, 5, SIZE_MAX);
    c.patch = 6; /* one patch in all */
    c.v_act = BQB_ACT_GELU;
    check_vit(&c, 2, 0, SIZE_MAX);
    c = ODD;
    check_vit(&c, 2, 0, 12);
    check_vit(&c, 5, 7, 12);
}

/* --- the text tower alone --- */

typedef struct {
    const model *m;
    const int32_t *ids;
    bqb_sequences seq;
    double *dfeature, *feature;
} texts;

static double texts_loss(void *ctx) {
    const texts *t = ctx;
    size_t D = t->m->config.embed;
    double sum = 0;
    for (size_t i = 0; i < t->seq.n; i++) {
        const int32_t *ids = t->ids + t->seq.start[i];
        size_t len = t->seq.start[i + 1] - t->seq.start[i];
        if (t->m->config.t_kind == BQB_TEXT_CAUSAL) plain_causal(t->feature + i * D, &t->m->plain, ids, len, len - 1);
        else plain_bert(t->feature + i * D, &t->m->plain, ids, len);
        for (size_t d = 0; d < D; d++) sum += t->feature[i * D + d] * t->dfeature[i * D + d];
    }
    return sum;
}

/* Prefixes of the text towers' parameters. */
static const char *const TEXT_NAMES[] = {"bert.",        "token_embedding", "positional_embedding",
                                         "transformer.", "ln_final",        "text_projection"};

static void check_text(const bqb_clip_config *c, const uint32_t *start, size_t S, size_t most) {
    model m;
    if (!model_new(&m, c, 6)) return;
    bqb_rand r = bqb_rand_seed(11, S);
    size_t D = c->embed, R = start[S];
    float *dfeature = GRAD_FLOATS(S * D), *feature = GRAD_FLOATS(S * D), *again = GRAD_FLOATS(S * D);
    int32_t *ids = grad_take(R, sizeof *ids);
    for (size_t i = 0; i < R; i++)
        ids[i] = (int32_t)bqb_rand_below(&r, c->vocab - 1); /* the last one is never read */
    texts t = {.m = &m,
               .ids = ids,
               .seq = {.n = S, .start = start},
               .dfeature = GRAD_DOUBLES(S * D),
               .feature = GRAD_DOUBLES(S * D)};
    grad_fill(&r, dfeature, t.dfeature, S * D, 1, BQB_NUM_F32);
    bqb_pass p;
    if (grad_pass_open(&p, BQB_NUM_F32)) {
        char what[96];
        snprintf(what, sizeof what, "%s width %zu, %zu texts", c->t_kind ? "causal" : "bert", c->t_width, S);
        bqb_text_saved *saved = NULL;
        p.weights = m.weights;
        p.grad = GRAD_FLOATS(m.map.n_floats);
        texts_loss(&t);
        bqb_text_fwd(&p, &m.map, c, again, ids, &t.seq, NULL, NULL);
        grad_close(what, again, t.feature, S * D, FORWARD, 0);
        bqb_text_fwd(&p, &m.map, c, feature, ids, &t.seq, &saved, NULL);
        grad_close(what, feature, t.feature, S * D, FORWARD, 0);
        bqb_text_bwd(&p, &m.map, c, dfeature, saved);
        for (size_t i = 0; i < sizeof TEXT_NAMES / sizeof *TEXT_NAMES; i++)
            check_parameters(what, m.map.param, m.map.n_params, p.grad, m.wide, texts_loss, &t, TEXT_NAMES[i], most);
        double other = 0;
        for (size_t i = 0; i < m.map.word; i++) other += fabs((double)p.grad[i]);
        for (size_t i = 0; i < c->t_width; i++)
            other += fabs((double)p.grad[m.map.word + (c->vocab - 1) * c->t_width + i]);
        CHECK_MSG(other == 0, "%s: gradients where nothing was read", what);
        free(p.grad);
        grad_pass_close(&p);
    }
    void *all[] = {dfeature, feature, again, ids, t.dfeature, t.feature};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    model_free(&m);
}

TEST(grad_text_tower) {
    static const uint32_t one[] = {0, 1}, equal[] = {0, 4, 8, 12}, mixed[] = {0, 1, 8, 10, 12, 21},
                          longer[] = {0, 20, 40, 60, 80, 95, 96, 97};
    bqb_clip_config c = TINY;
    check_text(&c, one, 1, SIZE_MAX);
    check_text(&c, equal, 3, SIZE_MAX);
    check_text(&c, mixed, 5, SIZE_MAX);
    c.t_layers = 1;
    c.t_act = BQB_ACT_QUICK_GELU;
    check_text(&c, mixed, 5, SIZE_MAX);
    check_text(&ODD, longer, 7, 6); /* rows enough for products in two parts */
}

static bqb_clip_config causal(const bqb_clip_config *like, size_t eos) {
    bqb_clip_config c = *like;
    c.t_kind = BQB_TEXT_CAUSAL;
    c.t_types = 0;
    c.t_eps = 1e-5f;
    c.t_act = BQB_ACT_QUICK_GELU;
    c.t_eos = eos;
    return c;
}

TEST(grad_causal_text_tower) {
    static const uint32_t one[] = {0, 1}, equal[] = {0, 4, 8, 12}, mixed[] = {0, 1, 8, 10, 12, 21},
                          longer[] = {0, 20, 40, 60, 80, 95, 96, 97};
    bqb_clip_config c = causal(&TINY, 5);
    check_text(&c, one, 1, SIZE_MAX);
    check_text(&c, equal, 3, SIZE_MAX);
    check_text(&c, mixed, 5, SIZE_MAX);
    c.t_layers = 1;
    c.t_act = BQB_ACT_GELU;
    check_text(&c, mixed, 5, SIZE_MAX);
    c = causal(&ODD, 5);
    check_text(&c, longer, 7, 6);
}

/* --- both towers and the loss --- */

typedef struct {
    plain_model plain;
    const bqb_clip_batch *b;
} whole;

static double whole_loss(void *ctx) {
    const whole *t = ctx;
    return plain_clip_loss(&t->plain, t->b, 0, NULL, NULL);
}

static void check_clip(const bqb_clip_config *c, const char *name, const uint8_t *frames,
                       const size_t *lengths, size_t N, size_t n_keep, const uint32_t *group, int threads,
                       size_t most) {
    bqb_err err;
    bqb_clip *m;
    if (!CHECK_OK(bqb_clip_new(&m, c, NULL, 1, BQB_PREC_F32, threads, &err), err)) return;
    size_t P = 0, D = c->embed, L = c->context, grid = c->resolution / c->patch,
           floats = bqb_clip_float_count(m);
    for (size_t i = 0; i < N; i++) P += frames ? frames[i] : 3;
    size_t n = P * 3 * c->resolution * c->resolution;
    bqb_rand r = bqb_rand_seed(12, N);
    random_weights(bqb_clip_weights(m), bqb_clip_param(m, 0), bqb_clip_param_count(m), 9);
    bqb_clip_weights_changed(m);
    float *pixels = GRAD_FLOATS(n), *grad = GRAD_FLOATS(floats), *img = GRAD_FLOATS(N * D),
          *txt = GRAD_FLOATS(N * D), loss = 0;
    double *wide = GRAD_DOUBLES(floats), *wimg = GRAD_DOUBLES(N * D), *wtxt = GRAD_DOUBLES(N * D);
    uint16_t *keep = n_keep ? grad_take(P * n_keep, sizeof *keep) : NULL;
    int32_t *ids = grad_take(N * L, sizeof *ids);
    grad_fill(&r, pixels, NULL, n, 1, BQB_NUM_F32);
    for (size_t f = 0; keep && f < P; f++)
        for (size_t k = 0, first = bqb_rand_below(&r, grid * grid - n_keep + 1); k < n_keep; k++)
            keep[f * n_keep + k] = (uint16_t)(first + k);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < lengths[i]; k++)
            ids[i * L + k] = 1 + (int32_t)bqb_rand_below(&r, c->vocab - 1);
    for (size_t i = 0; i < N && c->t_kind == BQB_TEXT_CAUSAL; i++) {
        int32_t end = (int32_t)(c->t_eos == 2 ? c->vocab - 1 : c->t_eos);
        for (size_t k = 0; k < L; k++) { /* what follows the end must not matter: anything, even another end */
            int32_t *id = ids + i * L + k;
            if (k >= lengths[i]) *id = (int32_t)(k % c->vocab);
            else if (*id == end) *id = 1;
            if (k + 1 == lengths[i] || k + 1 == L) *id = end;
        }
    }
    for (size_t i = 0; i < floats; i++) wide[i] = (double)bqb_clip_weights(m)[i];
    bqb_clip_batch b = {
        .pixels = pixels, .frames = frames, .keep = keep, .n_keep = n_keep, .ids = ids, .N = N, .L = L,
        .text_group = group, .image_group = group ? group + N : NULL};
    whole t = {.plain = {.config = c,
                         .param = bqb_clip_param(m, 0),
                         .n_params = bqb_clip_param_count(m),
                         .weights = wide},
               .b = &b};
    double want = plain_clip_loss(&t.plain, &b, 0, wimg, wtxt);
    CHECK_OK(bqb_clip_grad_full(m, grad, &loss, img, txt, NULL, &b, &err), err);
    char what[128];
    snprintf(what, sizeof what, "%s, %zu pairs, %zu frames, %d threads", name, N, P, threads);
    grad_close(what, &loss, &want, 1, FORWARD, 1e-2);
    grad_close(what, img, wimg, N * D, FORWARD, 0);
    grad_close(what, txt, wtxt, N * D, FORWARD, 0);
    check_parameters(what, bqb_clip_param(m, 0), bqb_clip_param_count(m), grad, wide, whole_loss, &t, NULL,
                     most);
    void *all[] = {pixels, grad, img, txt, wide, wimg, wtxt, keep, ids};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    bqb_clip_free(m);
}

TEST(grad_whole_model) {
    static const uint8_t mix[] = {1, 3, 2, 1, 3}, stills[] = {1, 1, 1};
    static const size_t lengths[] = {8, 1, 3, 8, 5};
    static const uint32_t groups[] = {3, 1, 3, 0, 7, 1, 2, 3, 9, 9}; /* of the texts, then of the pictures */
    check_clip(&TINY, "tiny, frames mixed", mix, lengths, 5, 0, NULL, 1, 20);
    check_clip(&TINY, "tiny, three frames each", NULL, lengths, 2, 0, NULL, 2, 60);
    check_clip(&TINY, "tiny, masked", mix, lengths, 5, 4, NULL, 3, 20);
    check_clip(&TINY, "tiny, stills", stills, lengths, 3, 0, NULL, 2, 20);
    check_clip(&TINY, "tiny, equal pairs", mix, lengths, 5, 0, groups, 2, 8);
    check_clip(&ODD, "odd, masked, frames mixed", mix, lengths, 5, 5, NULL, 2, 4);
    bqb_clip_config c = causal(&TINY, 4);
    check_clip(&c, "tiny, causal", mix, lengths, 5, 0, NULL, 2, 20);
    c.t_eos = 2;
    check_clip(&c, "tiny, causal, ended by the highest id", stills, lengths, 3, 0, NULL, 2, 8);
    c = causal(&ODD, 30);
    check_clip(&c, "odd, causal", mix, lengths, 5, 5, NULL, 2, 4);
}
