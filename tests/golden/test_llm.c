/* Tiny language models of each family (llm/) against PyTorch: every block, the last
 * hidden state, logits, and what they say when the likeliest token is taken each time.
 * Shapes come from the fixture, so that another set runs as well. */
#include "golden.h"
#include "model/decoder_internal.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By precision, as in test_clip.c. */
static const double TOLERANCE[2] = {1e-4, 4e-2};

typedef struct {
    bqb_decoder *m;
    bqb_safetensors *want;
    size_t N, T, n_greedy;
    int32_t *ids, *greedy;
    bqb_err err;
} fixture;

static int32_t *ids_of(const fixture *f, const char *name, size_t *rows, size_t *cols) {
    const bqb_tensor *t = bqb_safetensors_find(f->want, name);
    if (!CHECK_MSG(t && t->dtype == BQB_I32 && t->n_dims == 2, "%s is not among the fixtures as I32 rows", name)) return NULL;
    *rows = t->dim[0];
    *cols = t->dim[1];
    int32_t *x = malloc(t->n * sizeof *x);
    memcpy(x, t->data, t->n * sizeof *x);
    return x;
}

static void close_fixture(fixture *f) {
    bqb_decoder_free(f->m);
    bqb_safetensors_close(f->want);
    free(f->ids);
    free(f->greedy);
}

static bool open_fixture(fixture *f, const char *name, bqb_precision precision) {
    char file[128];
    memset(f, 0, sizeof *f);
    snprintf(file, sizeof file, "llm/%s", name);
    bool ok = CHECK_OK(bqb_decoder_open(&f->m, golden_path(file), precision, 2, &f->err), f->err);
    snprintf(file, sizeof file, "llm/%s/expected.safetensors", name);
    ok = ok && CHECK_OK(bqb_safetensors_open(&f->want, golden_path(file), &f->err), f->err);
    size_t one;
    ok = ok && (f->ids = ids_of(f, "input_ids", &f->N, &f->T)) && (f->greedy = ids_of(f, "greedy", &one, &f->n_greedy));
    if (!ok) close_fixture(f);
    return ok;
}

/* The largest error over all sequences of hidden states, logits and every block, each sequence taken
 * in `step` tokens at a time; -1 when something failed. `shift` starts it at a later position. */
static double error_of(fixture *f, size_t step, size_t shift) {
    const bqb_decoder_config *c = bqb_decoder_get_config(f->m);
    size_t C = c->width, L = c->layers, T = f->T, all = f->N * T;
    float *rows = malloc(T * C * sizeof *rows), *hidden = malloc(all * C * sizeof *hidden);
    float *logits = malloc(all * c->vocab * sizeof *logits), *layer = malloc(L * all * C * sizeof *layer);
    float **at = calloc(L, sizeof *at);
    bool ok = true;
    for (size_t i = 0; i < f->N && ok; i++) {
        bqb_decoder_past *past = NULL;
        ok = CHECK_OK(bqb_decoder_past_new(&past, f->m, T + shift, &f->err), f->err) &&
             CHECK_OK(bqb_decoder_embed(f->m, rows, f->ids + i * T, T, &f->err), f->err);
        if (ok && shift) ok = CHECK_OK(bqb_decoder_run(f->m, past, hidden, false, rows, shift, NULL, &f->err), f->err);
        for (size_t t = 0; t < T && ok; t += step) {
            size_t n = T - t < step ? T - t : step, first = i * T + t;
            for (size_t l = 0; l < L; l++) at[l] = layer + (l * all + first) * C;
            ok = CHECK_OK(bqb_decoder_run(f->m, past, hidden + first * C, false, rows + t * C, n, at, &f->err), f->err);
        }
        if (ok) CHECK(bqb_decoder_past_count(past) == T + shift);
        bqb_decoder_past_free(past);
    }
    ok = ok && CHECK_OK(bqb_decoder_logits(f->m, logits, hidden, all, &f->err), f->err);
    double worst = ok ? 0 : -1;
    for (size_t l = 0; l < L + 2 && ok; l++) {
        char name[32] = "hidden";
        const float *got = l < L ? layer + l * all * C : l == L ? hidden : logits;
        size_t n, n_got = l <= L ? all * C : all * c->vocab;
        if (l < L) snprintf(name, sizeof name, "layer%zu", l);
        if (l > L) snprintf(name, sizeof name, "logits");
        float *want = golden_values(f->want, name, &n);
        double d = want && CHECK_MSG(n == n_got, "%s has %zu entries, expected %zu", name, n_got, n) ? golden_distance(got, want, n) : HUGE_VAL;
        if (d > worst) worst = d;
        free(want);
    }
    free(rows);
    free(hidden);
    free(logits);
    free(layer);
    free(at);
    return worst;
}

/* The likeliest token again and again: the fixture's. */
static void check_greedy(fixture *f) {
    const bqb_decoder_config *c = bqb_decoder_get_config(f->m);
    size_t start = f->T;
    int32_t *said = calloc(f->n_greedy, sizeof *said);
    float *rows = malloc(start * c->width * sizeof *rows), *hidden = malloc(c->width * sizeof *hidden), *logits = malloc(c->vocab * sizeof *logits);
    bqb_decoder_past *past = NULL;
    memcpy(said, f->greedy, start * sizeof *said);
    bool ok = CHECK_OK(bqb_decoder_past_new(&past, f->m, f->n_greedy, &f->err), f->err) &&
              CHECK_OK(bqb_decoder_embed(f->m, rows, said, start, &f->err), f->err) &&
              CHECK_OK(bqb_decoder_run(f->m, past, hidden, true, rows, start, NULL, &f->err), f->err);
    for (size_t t = start; t < f->n_greedy && ok; t++) {
        ok = CHECK_OK(bqb_decoder_logits(f->m, logits, hidden, 1, &f->err), f->err);
        for (size_t v = 0; v < c->vocab; v++)
            if (logits[v] > logits[said[t]]) said[t] = (int32_t)v;
        ok = ok && CHECK_MSG(said[t] == f->greedy[t], "token %zu is %d, expected %d", t, (int)said[t], (int)f->greedy[t]) &&
             CHECK_OK(bqb_decoder_embed(f->m, rows, said + t, 1, &f->err), f->err) &&
             CHECK_OK(bqb_decoder_run(f->m, past, hidden, true, rows, 1, NULL, &f->err), f->err);
    }
    /* One more does not fit; nothing has happened then. */
    if (ok) CHECK(bqb_decoder_run(f->m, past, hidden, true, rows, 1, NULL, &f->err) == BQB_ELIMIT && bqb_decoder_past_count(past) == f->n_greedy);
    bqb_decoder_past_free(past);
    free(said);
    free(rows);
    free(hidden);
    free(logits);
}

static void check_family(const char *name, bqb_precision precision) {
    char config[64];
    fixture f;
    snprintf(config, sizeof config, "llm/%s/config.json", name);
    if (!golden_has(config) || !open_fixture(&f, name, precision)) return;
    double tolerance = TOLERANCE[precision];
    double whole = error_of(&f, f.T, 0), single = error_of(&f, 1, 0), parts = error_of(&f, 9, 0);
    printf("  %s %s: all at once %.1e, token by token %.1e, in parts %.1e\n", name, bqb_precision_name(precision), whole, single, parts);
    CHECK_MSG(whole >= 0 && whole <= tolerance && single >= 0 && single <= tolerance && parts >= 0 && parts <= tolerance,
              "%s differs by %.2e, %.2e, %.2e", name, whole, single, parts);
    if (precision == BQB_PREC_F32) check_greedy(&f);

    /* Planted faults: tokens before the first, positions that turn at another speed, a key head for the wrong query. */
    CHECK_MSG(error_of(&f, f.T, 2) > tolerance, "%s: other tokens before go unnoticed", name);
    size_t half = f.m->config.head_dim / 2;
    for (size_t i = 0; i < half; i++) f.m->turn[i] *= 1.5;
    CHECK_MSG(error_of(&f, f.T, 0) > tolerance && error_of(&f, 1, 0) > tolerance, "%s: wrong positions go unnoticed", name);
    for (size_t i = 0; i < half; i++) f.m->turn[i] /= 1.5;
    bqb_matrix gate = f.m->block[1].gate;
    f.m->block[1].gate = f.m->block[1].up;
    f.m->block[1].up = gate;
    CHECK_MSG(error_of(&f, f.T, 0) > tolerance, "%s: gate and up exchanged go unnoticed", name);
    close_fixture(&f);
}

TEST(golden_llm_llama) { check_family("llama", BQB_PREC_F32); }
TEST(golden_llm_qwen2) { check_family("qwen2", BQB_PREC_F32); }
TEST(golden_llm_qwen3) { check_family("qwen3", BQB_PREC_F32); }
TEST(golden_llm_bf16) {
    if (bqb_precision_best() != BQB_PREC_BF16) printf("  this processor has no bf16 products: not compared\n");
    else
        for (int i = 0; i < 3; i++) check_family((const char *[]){"llama", "qwen2", "qwen3"}[i], BQB_PREC_BF16);
}
