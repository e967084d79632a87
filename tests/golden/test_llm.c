/* Tiny language models of each family (llm/) against PyTorch: every block, the last
 * hidden state, logits, and what they say when the likeliest token is taken each time.
 * Shapes come from the fixture, so that another set runs as well. */
#include "base/fs.h"
#include "gguf_write.h"
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

/* model: another file of the same weights, or NULL. */
static bool open_fixture(fixture *f, const char *name, const char *model, bqb_precision precision) {
    char file[128];
    memset(f, 0, sizeof *f);
    snprintf(file, sizeof file, "llm/%s", name);
    bool ok = CHECK_OK(bqb_decoder_open(&f->m, model ? model : golden_path(file), precision, 2, &f->err), f->err);
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
    if (!golden_has(config) || !open_fixture(&f, name, NULL, precision)) return;
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
    f.m->n_turned = 0;
    CHECK_MSG(error_of(&f, f.T, 0) > tolerance && error_of(&f, 1, 0) > tolerance, "%s: wrong positions go unnoticed", name);
    for (size_t i = 0; i < half; i++) f.m->turn[i] /= 1.5;
    f.m->n_turned = 0;
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

/* ---- the same weights as a GGUF file ---- */

static const char *const names[][2] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"}, {"mlp.down_proj", "ffn_down"}, {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"}, {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}};

/* A tensor's name there: "model.layers.2.mlp.up_proj.weight" is "blk.2.ffn_up.weight". */
static void gguf_name(char out[96], const char *hf) {
    size_t layer = 0;
    int at = 0;
    bool in_block = sscanf(hf, "model.layers.%zu.%n", &layer, &at) == 1 && at;
    const char *dot = strrchr(hf, '.'), *part = hf + at;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i][0]) == (size_t)(dot - part) && !memcmp(names[i][0], part, (size_t)(dot - part))) {
            if (in_block) snprintf(out, 96, "blk.%zu.%s%s", layer, names[i][1], dot);
            else snprintf(out, 96, "%s%s", names[i][1], dot);
            return;
        }
    CHECK_MSG(false, "no name for %s", hf);
}

/* Llama's queries and keys are written with each head's halves interleaved. */
static void interleave(float *x, size_t rows, size_t cols, size_t d) {
    float *copy = malloc(rows * cols * sizeof *copy);
    memcpy(copy, x, rows * cols * sizeof *copy);
    for (size_t r = 0; r < rows; r++) {
        size_t head = r / d, i = r % d, to = head * d + (i < d / 2 ? 2 * i : 2 * (i - d / 2) + 1);
        memcpy(x + to * cols, copy + r * cols, cols * sizeof *x);
    }
    free(copy);
}

static size_t quantise(uint8_t *out, const float *x, size_t n) {
    for (size_t b = 0; b < n / 32; b++) {
        float top = 0;
        for (size_t i = 0; i < 32; i++) top = fmaxf(top, fabsf(x[32 * b + i]));
        uint16_t d = bqb_f32_to_f16(top / 127);
        memcpy(out + 34 * b, &d, 2);
        for (size_t i = 0; i < 32; i++) out[34 * b + 2 + i] = (uint8_t)(int8_t)lrintf(top > 0 ? x[32 * b + i] / bqb_f16_to_f32(d) : 0);
    }
    return n / 32 * 34;
}

static bool write_gguf(const char *path, const char *family, bool q8) {
    char file[128], key[96];
    bqb_err err = {0};
    bqb_decoder_config c;
    bqb_safetensors *st = NULL;
    snprintf(file, sizeof file, "llm/%s/config.json", family);
    bool ok = CHECK_OK(bqb_decoder_config_read(&c, golden_path(file), &err), err);
    snprintf(file, sizeof file, "llm/%s", family);
    if (!ok || !CHECK_OK(bqb_safetensors_open_folder(&st, golden_path(file), &err), err)) return false;
    gguf_writer w = gguf_begin();
    gguf_text(&w, "general.architecture", family);
    const struct {
        const char *name;
        size_t value;
    } sizes[] = {{"embedding_length", c.width}, {"block_count", c.layers}, {"feed_forward_length", c.mlp}, {"attention.head_count", c.heads},
                 {"attention.head_count_kv", c.kv_heads}, {"attention.key_length", c.head_dim}, {"context_length", c.context}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "%s.%s", family, sizes[i].name);
        gguf_u32(&w, key, (uint32_t)sizes[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", family);
    gguf_f32(&w, key, c.eps);
    snprintf(key, sizeof key, "%s.rope.freq_base", family);
    gguf_f32(&w, key, (float)c.rope_theta);
    for (size_t i = 0; i < bqb_safetensors_count(st); i++) {
        const bqb_tensor *t = bqb_safetensors_at(st, i);
        size_t rows = t->n_dims == 2 ? t->dim[0] : 0, cols = t->dim[t->n_dims - 1];
        float *x = malloc(t->n * sizeof *x);
        uint8_t *q = malloc(t->n * sizeof *x);
        CHECK_OK(bqb_tensor_to_f32(x, t, 0, t->n, &err), err);
        if (c.family == BQB_LLAMA && (strstr(t->name, "q_proj") || strstr(t->name, "k_proj"))) interleave(x, rows, cols, c.head_dim);
        gguf_name(key, t->name);
        if (rows && q8) gguf_tensor(&w, key, 8, rows, cols, q, quantise(q, x, t->n));
        else gguf_tensor(&w, key, 0, rows, cols, x, t->n * sizeof *x);
        free(x);
        free(q);
    }
    bqb_buf out = {.max = 1 << 26};
    gguf_end(&w, &out);
    ok = CHECK_OK(bqb_file_write(path, out.data, out.len, &err), err);
    bqb_buf_free(&out);
    bqb_safetensors_close(st);
    return ok;
}

TEST(golden_llm_from_gguf) {
    char path[1100];
    snprintf(path, sizeof path, "%s/model.gguf", test_tmp_dir());
    for (int i = 0; i < 6; i++) {
        const char *family = (const char *[]){"llama", "qwen2", "qwen3"}[i / 2];
        char config[64];
        bool q8 = i % 2;
        fixture f;
        snprintf(config, sizeof config, "llm/%s/config.json", family);
        if (!golden_has(config) || !write_gguf(path, family, q8) || !open_fixture(&f, family, path, BQB_PREC_F32)) continue;
        double whole = error_of(&f, f.T, 0), single = error_of(&f, 1, 0), tolerance = q8 ? 6e-2 : TOLERANCE[0];
        printf("  %s from GGUF, %s: %.1e, token by token %.1e\n", family, q8 ? "Q8_0" : "F32", whole, single);
        CHECK(whole >= 0 && whole <= tolerance && single >= 0 && single <= tolerance && (!q8 || whole > TOLERANCE[0]));
        if (!q8) { /* planted: pairs of the other kind */
            f.m->config.rope_neighbours = !f.m->config.rope_neighbours;
            CHECK_MSG(error_of(&f, f.T, 0) > tolerance, "%s: the other pairs go unnoticed", family);
        }
        close_fixture(&f);
    }
}
