/* An OpenAI-style CLIP (clip_openai/) against PyTorch: where a text ends, both
 * embeddings, the loss, every gradient; and its folder, read and written again.
 * Shapes and names come from the fixture, so that another set runs as well. */
#include "base/fs.h"
#include "file/safetensors.h"
#include "golden.h"
#include "model/clip_internal.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in test_clip.c. */
static const double ACTIVATION[2] = {1e-4, 4e-2}, GRADIENT[2] = {1e-3, 1e-1};

typedef struct {
    bqb_safetensors *want;
    bqb_clip *m;
    size_t N, L;
    int32_t *ids, *end;
    float *pixels;
    uint8_t *frames;
    bqb_err err;
} fixture;

static void close_fixture(fixture *f) {
    bqb_clip_free(f->m);
    bqb_safetensors_close(f->want);
    free(f->ids);
    free(f->end);
    free(f->pixels);
    free(f->frames);
}

static int32_t *whole(const bqb_safetensors *st, const char *name) {
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!CHECK_MSG(t && (t->dtype == BQB_I32 || t->dtype == BQB_I64), "%s is not among the fixtures as I32 or I64", name))
        return NULL;
    int32_t *x = malloc((t->n + 1) * sizeof *x);
    for (size_t i = 0; i < t->n; i++) {
        int64_t wide = 0;
        if (t->dtype == BQB_I64) memcpy(&wide, (const char *)t->data + 8 * i, 8);
        memcpy(&x[i], (const char *)t->data + 4 * i, 4);
        if (t->dtype == BQB_I64) x[i] = (int32_t)wide;
    }
    return x;
}

static bool open_fixture(fixture *f, bqb_precision precision) {
    memset(f, 0, sizeof *f);
    bool ok = CHECK_OK(bqb_clip_open(&f->m, golden_path("clip_openai"), BQB_TOWER_BOTH, precision, 0, &f->err), f->err) &&
              CHECK_OK(bqb_safetensors_open(&f->want, golden_path("clip_openai/expected.safetensors"), &f->err), f->err);
    const bqb_tensor *ids = ok ? bqb_safetensors_find(f->want, "input_ids") : NULL;
    ok = ok && CHECK(ids && ids->n_dims == 2);
    if (ok) {
        size_t n, R = bqb_clip_get_config(f->m)->resolution;
        f->N = ids->dim[0];
        f->L = ids->dim[1];
        f->ids = whole(f->want, "input_ids");
        f->end = whole(f->want, "end_index");
        f->pixels = golden_values(f->want, "pixel_values", &n);
        f->frames = malloc(f->N);
        memset(f->frames, 1, f->N);
        ok = f->ids && f->end && f->pixels && CHECK(n == f->N * 3 * R * R);
    }
    if (!ok) close_fixture(f);
    return ok;
}

static bqb_clip_batch batch_of(const fixture *f) {
    return (bqb_clip_batch){.pixels = f->pixels, .frames = f->frames, .ids = f->ids, .N = f->N, .L = f->L};
}

static double error_of(const fixture *f, const char *name, const float *got, size_t n_got) {
    size_t n;
    float *want = golden_values(f->want, name, &n);
    double d = want && CHECK_MSG(n == n_got, "%s has %zu entries, expected %zu", name, n_got, n)
                   ? golden_distance(got, want, n)
                   : HUGE_VAL;
    free(want);
    return d;
}

static void check_embeddings(bqb_precision precision) {
    fixture f;
    if (!open_fixture(&f, precision)) return;
    size_t D = bqb_clip_get_config(f.m)->embed;
    float *img = malloc(f.N * D * sizeof *img), *txt = malloc(f.N * D * sizeof *txt), loss = 0;
    uint32_t *len = calloc(f.N, sizeof *len);
    CHECK_OK(bqb_check_tokens(f.m, len, f.ids, f.N, f.L, &f.err), f.err);
    for (size_t i = 0; i < f.N; i++) CHECK((int32_t)len[i] - 1 == f.end[i]);
    bqb_clip_batch b = batch_of(&f);
    CHECK_OK(bqb_clip_grad_full(f.m, NULL, &loss, img, txt, NULL, &b, &f.err), f.err);
    double tolerance = ACTIVATION[precision], d[] = {error_of(&f, "image_embedding", img, f.N * D),
                                                     error_of(&f, "text_embedding", txt, f.N * D),
                                                     error_of(&f, "loss", &loss, 1), 0};
    CHECK_OK(bqb_clip_encode_tokens(f.m, txt, f.ids, f.N, f.L, &f.err), f.err);
    d[3] = error_of(&f, "text_embedding", txt, f.N * D);
    for (size_t i = 0; i < 4; i++) CHECK_MSG(d[i] <= tolerance, "embedding or loss %zu differs by %.2e", i, d[i]);
    printf("  clip_openai %s: pictures %.1e, texts %.1e, loss %.1e\n", bqb_precision_name(precision), d[0], d[1], d[2]);

    /* Planted faults, each of which must be noticed: texts that end one token early, and
     * weights with a sign turned in either tower. */
    for (size_t i = 0; i < f.N; i++)
        if (f.end[i]) f.ids[i * f.L + (size_t)f.end[i] - 1] = f.ids[i * f.L + (size_t)f.end[i]];
    CHECK_OK(bqb_clip_encode_tokens(f.m, txt, f.ids, f.N, f.L, &f.err), f.err);
    CHECK_MSG(error_of(&f, "text_embedding", txt, f.N * D) > tolerance, "another end token goes unnoticed");
    free(f.ids);
    f.ids = whole(f.want, "input_ids");
    b = batch_of(&f);
    for (size_t i = 0; i < bqb_clip_param_count(f.m); i++) {
        const bqb_param *p = bqb_clip_param(f.m, i);
        float *w = bqb_clip_weights(f.m) + p->offset;
        if (!strcmp(p->name, "visual.proj") || !strcmp(p->name, "text_projection"))
            for (size_t k = 0; k < p->n; k++)
                if (k % D < D / 2) w[k] = -w[k];
    }
    bqb_clip_weights_changed(f.m);
    CHECK_OK(bqb_clip_grad_full(f.m, NULL, &loss, img, txt, NULL, &b, &f.err), f.err);
    CHECK_MSG(error_of(&f, "image_embedding", img, f.N * D) > tolerance, "a wrong picture tower goes unnoticed");
    CHECK_MSG(error_of(&f, "text_embedding", txt, f.N * D) > tolerance, "a wrong text tower goes unnoticed");
    free(img);
    free(txt);
    free(len);
    close_fixture(&f);
}

TEST(golden_clip_openai_f32) {
    if (golden_has("clip_openai/config.json")) check_embeddings(BQB_PREC_F32);
}
TEST(golden_clip_openai_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16) printf("  this processor has no bf16 products: not compared\n");
    else if (golden_has("clip_openai/config.json")) check_embeddings(BQB_PREC_BF16);
}

/* Part k of parameter i as its Hugging Face tensor: rows of the parameter, or turned round. */
static float *part_of(const bqb_layout_map *map, const float *block, size_t i, size_t k, size_t *n) {
    const bqb_param *p = &map->param[i];
    *n = p->n / map->names[i].parts;
    float *x = malloc(*n * sizeof *x);
    bqb_layout_at at = {.param = i, .part = k, .n = *n};
    for (size_t e = 0; e < *n; e++) x[e] = bqb_layout_element(map, block, &at, e);
    return x;
}

/* Errors of all gradients, and those that a flipped sign makes; both in the order of the tensors. */
static void check_gradients(bqb_precision precision) {
    fixture f;
    if (!open_fixture(&f, precision)) return;
    const bqb_layout_map *map = &f.m->map;
    float *grad = calloc(bqb_clip_float_count(f.m), sizeof *grad), loss;
    bqb_clip_batch b = batch_of(&f);
    CHECK_OK(bqb_clip_grad(f.m, grad, &loss, &b, &f.err), f.err);
    double worst = 0, least = 0, tolerance = GRADIENT[precision];
    size_t compared = 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < map->n_params; i++)
            for (size_t k = 0; k < map->names[i].parts; k++) {
                char name[256];
                size_t n, n_want;
                snprintf(name, sizeof name, "grad.%s", map->names[i].hf[k]);
                float *want = golden_values(f.want, name, &n_want), *got = part_of(map, grad, i, k, &n);
                double top = 0;
                if (want && CHECK_MSG(n == n_want, "%s has %zu entries, expected %zu", name, n, n_want)) {
                    for (size_t e = 0; e < n; e++) top = fmax(top, fabs((double)want[e]));
                    if (round == 0) least = fmax(least, 1e-5 * top);
                    /* Below: nothing but rounding, as of the keys' bias, which cancels in the softmax. */
                    else if (top >= least) {
                        double d = golden_distance(got, want, n);
                        CHECK_MSG(d <= tolerance, "%s differs by %.2e, tolerance %.0e", name, d, tolerance);
                        worst = fmax(worst, d);
                        for (size_t e = 0; e < n; e++) want[e] = -want[e];
                        CHECK_MSG(golden_distance(got, want, n) > tolerance, "%s with its sign flipped goes unnoticed", name);
                        compared++;
                    }
                }
                free(want);
                free(got);
            }
    CHECK(compared > 0);
    printf("  clip_openai gradients %s: %zu tensors, largest relative error %.2e\n", bqb_precision_name(precision), compared,
           worst);
    free(grad);
    close_fixture(&f);
}

TEST(golden_clip_openai_gradients_f32) {
    if (golden_has("clip_openai/config.json")) check_gradients(BQB_PREC_F32);
}
TEST(golden_clip_openai_gradients_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16) printf("  this processor has no bf16 products: not compared\n");
    else if (golden_has("clip_openai/config.json")) check_gradients(BQB_PREC_BF16);
}

static void same_file(const char *a, const char *b) {
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bqb_err err;
    CHECK_OK(bqb_file_read(&x, &n, a, 1 << 26, &err), err);
    CHECK_OK(bqb_file_read(&y, &m, b, 1 << 26, &err), err);
    CHECK_MSG(n == m && !memcmp(x, y, n), "%s and %s differ", a, b);
    free(x);
    free(y);
}

/* Every tensor of a is in b with the same bits; returns how many. */
static size_t same_tensors(const char *a, const char *b) {
    bqb_safetensors *x = NULL, *y = NULL;
    bqb_err err;
    size_t n = 0;
    if (CHECK_OK(bqb_safetensors_open(&x, a, &err), err) && CHECK_OK(bqb_safetensors_open(&y, b, &err), err))
        for (n = 0; n < bqb_safetensors_count(x); n++) {
            const bqb_tensor *t = bqb_safetensors_at(x, n), *u = bqb_safetensors_find(y, t->name);
            CHECK_MSG(u && u->dtype == t->dtype && u->n == t->n && u->n_dims == t->n_dims &&
                          !memcmp(u->data, t->data, t->n * bqb_dtype_size_bytes(t->dtype)),
                      "%s is not the same after writing", t->name);
        }
    bqb_safetensors_close(x);
    bqb_safetensors_close(y);
    return n;
}

/* Written as a folder of the same kind, and written once more from there: the same bits, the same id. */
TEST(golden_clip_openai_round_trip) {
    if (!golden_has("clip_openai/config.json")) return;
    fixture f;
    if (!open_fixture(&f, BQB_PREC_F32)) return;
    char once[512], twice[512];
    snprintf(once, sizeof once, "%s/once", test_tmp_dir());
    snprintf(twice, sizeof twice, "%s/twice", test_tmp_dir());
    bqb_clip *again = NULL;
    CHECK_OK(bqb_clip_save(f.m, once, false, NULL, &f.err), f.err);
    if (CHECK_OK(bqb_clip_open(&again, once, BQB_TOWER_BOTH, BQB_PREC_F32, 0, &f.err), f.err)) {
        CHECK_OK(bqb_clip_save(again, twice, false, NULL, &f.err), f.err);
        CHECK(!memcmp(bqb_clip_weights(again), bqb_clip_weights(f.m), bqb_clip_float_count(f.m) * sizeof(float)));
        CHECK(bqb_clip_get_config(again)->t_eos == bqb_clip_get_config(f.m)->t_eos &&
              bqb_clip_get_config(again)->context == bqb_clip_get_config(f.m)->context);
        static const char *const files[] = {"config.json", "model.safetensors", "vocab.json", "merges.txt"};
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            char a[600], b[600];
            snprintf(a, sizeof a, "%s/%s", once, files[i]);
            snprintf(b, sizeof b, "%s/%s", twice, files[i]);
            same_file(a, b);
            if (i == 1) {
                CHECK(same_tensors(golden_path("clip_openai/model.safetensors"), a) > 0);
                CHECK(same_tensors(a, golden_path("clip_openai/model.safetensors")) > 0);
            }
            snprintf(b, sizeof b, "clip_openai/%s", files[i]);
            if (i > 1) same_file(a, golden_path(b));
        }
    }
    bqb_clip_free(again);
    close_fixture(&f);
}
