/* A decoder that learns whole: its block of weights, their gradients, and the folder it is saved to. */
#include "model/decoder_internal.h"

#include "base/fs.h"
#include "base/rand.h"
#include "base/utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(const bqb_decoder_tensor *t) { return (t->rows ? t->rows : 1) * t->cols; }

/* Where the tensor of one that learns has its numbers. */
static float *numbers_of(const bqb_decoder *m, const bqb_decoder_tensor *t) {
    return t->matrix ? m->weights + ((const float *)t->matrix->data - m->weights) : *t->vector;
}

/* Matrices begin on 64 bytes. */
static size_t room_of(const bqb_decoder_tensor *t) { return (size_of(t) + 15) / 16 * 16; }

static int add_room(void *ctx, const bqb_decoder_tensor *t) {
    *(size_t *)ctx += room_of(t);
    return 0;
}

typedef struct {
    float *at;
    bqb_rand rand;
    double into_stream; /* what matrices into the residual stream start smaller by */
} filling;

static int fill(void *ctx, const bqb_decoder_tensor *t) {
    filling *f = ctx;
    size_t n = size_of(t);
    double std = 0.02 * (bqb_ends_with(t->name, "o_proj.weight") || bqb_ends_with(t->name, "down_proj.weight") ? f->into_stream : 1);
    for (size_t i = 0; i < n; i++) f->at[i] = t->rows ? (float)(std * bqb_rand_normal(&f->rand)) : bqb_ends_with(t->name, ".bias") ? 0 : 1;
    if (t->matrix) *t->matrix = (bqb_matrix){.kind = BQB_ROW_F32, .rows = t->rows, .cols = t->cols, .data = f->at};
    else *t->vector = f->at;
    f->at += room_of(t);
    return 0;
}

bqb_status bqb_decoder_new(bqb_decoder **out, const bqb_decoder_config *c, uint64_t seed, bqb_precision precision, int threads,
                           bqb_err *err) {
    *out = NULL;
    bqb_status s = bqb_decoder_config_check(c, "decoder", err);
    if (!s && !c->tied) s = bqb_fail(err, BQB_EUNSUPPORTED, "a decoder that learns whole has one embedding for input and output");
    if (s) return s;
    bqb_decoder *m = bqb_calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, "decoder", sizeof *m);
    m->config = *c;
    m->biased = c->family == BQB_QWEN2;
    s = bqb_decoder_tools(m, precision, threads, err);
    if (!s && !(m->block = bqb_calloc(c->layers, sizeof *m->block))) s = bqb_fail_nomem(err, "decoder", c->layers * sizeof *m->block);
    if (!s) {
        bqb_decoder_each_tensor(m, add_room, &m->n_weights);
        m->weights = bqb_alloc_aligned(m->n_weights, sizeof *m->weights);
        if (!m->weights) s = bqb_fail_nomem(err, "decoder", m->n_weights * sizeof *m->weights);
    }
    if (s) {
        bqb_decoder_free(m);
        return s;
    }
    memset(m->weights, 0, m->n_weights * sizeof *m->weights);
    filling f = {.at = m->weights, .rand = bqb_rand_seed(seed, 0), .into_stream = 1 / sqrt(2 * (double)c->layers)};
    bqb_decoder_each_tensor(m, fill, &f);
    m->head = m->embed;
    *out = m;
    return BQB_OK;
}

float *bqb_decoder_weights(bqb_decoder *m) { return m->weights; }
size_t bqb_decoder_weight_count(const bqb_decoder *m) { return m->n_weights; }

typedef struct {
    bqb_decoder *to;
    const bqb_decoder_tensor *t; /* of the other, while its like is looked for */
    bqb_err *err;
    bqb_status status;
    bool found;
} copying;

static int copy_to(void *ctx, const bqb_decoder_tensor *t) {
    copying *k = ctx;
    if (strcmp(t->name, k->t->name)) return 0;
    k->found = true;
    if (t->rows != k->t->rows || t->cols != k->t->cols) {
        k->status = bqb_fail(k->err, BQB_EINVAL, "\"%s\" is %zu × %zu, %zu × %zu is needed", t->name, k->t->rows ? k->t->rows : 1, k->t->cols,
                             t->rows ? t->rows : 1, t->cols);
        return 1;
    }
    float *w = numbers_of(k->to, t);
    for (size_t i = 0; i < t->rows; i++) bqb_matrix_row(&k->to->mul, w + i * t->cols, k->t->matrix, i);
    if (!t->rows) memcpy(w, *k->t->vector, t->cols * sizeof *w);
    return 1;
}

static int copy_from(void *ctx, const bqb_decoder_tensor *t) {
    copying *k = ctx;
    k->t = t;
    k->found = false;
    bqb_decoder_each_tensor(k->to, copy_to, k);
    if (!k->found && !k->status) k->status = bqb_fail(k->err, BQB_EINVAL, "\"%s\" has no place in the model", t->name);
    return k->status != BQB_OK;
}

bqb_status bqb_decoder_copy(bqb_decoder *m, bqb_decoder *from, bqb_err *err) {
    const bqb_decoder_config *a = &m->config, *b = &from->config;
    if (!m->weights) return bqb_fail(err, BQB_EINVAL, "a decoder that was opened is frozen");
    if (a->family != b->family || a->layers != b->layers || a->heads != b->heads || a->kv_heads != b->kv_heads || a->rope_theta != b->rope_theta)
        return bqb_fail(err, BQB_EINVAL, "%zu layers with %zu and %zu heads; %zu with %zu and %zu are needed", b->layers, b->heads, b->kv_heads, a->layers,
                        a->heads, a->kv_heads);
    copying k = {.to = m, .err = err};
    bqb_decoder_each_tensor(from, copy_from, &k);
    return k.status;
}

/* ---- gradients ---- */

float *bqb_decoder_grad_of(const bqb_decoder *m, const float *weight) { return m->grad + (weight - m->weights); }

void bqb_decoder_grad_matrix(bqb_decoder *m, const bqb_matrix *w, float *bias, const float *dy, const float *x, size_t n) {
    if (m->mul.no_memory) return;
    bqb_arena_mark mark = bqb_arena_save(m->mul.arena);
    const void *from = bqb_multiplier_in_num(&m->mul, dy, n * w->rows), *with = bqb_multiplier_in_num(&m->mul, x, n * w->cols);
    if (m->mul.no_memory) return;
    bqb_gemm_outer(m->mul.gemm, bqb_decoder_grad_of(m, w->data), from, with, m->mul.num, n, w->rows, w->cols);
    bqb_arena_release(m->mul.arena, mark);
    if (bias) m->mul.ops->bias_bwd[BQB_NUM_F32](bqb_decoder_grad_of(m, bias), dy, n, w->rows);
}

void bqb_decoder_grad_norm(bqb_decoder *m, float *gamma, const float *dy, const float *x, size_t n, size_t C) {
    float *g = bqb_decoder_grad_of(m, gamma);
    for (size_t i = 0; i < n && !m->mul.no_memory; i++, dy += C, x += C) {
        float r = 1.0f / sqrtf(m->mul.rows->dot[BQB_ROW_F32](x, x, C) / (float)C + m->config.eps);
        for (size_t k = 0; k < C; k++) g[k] += dy[k] * x[k] * r;
    }
}

double bqb_decoder_cross_entropy(const bqb_decoder *m, float *logits, const int32_t *next, const bqb_decoder_choice *choice, size_t n, size_t learnt) {
    size_t V = m->config.vocab;
    double loss = 0;
    for (size_t t = 0; t < n; t++, logits += V) {
        if (next[t] == -1) {
            memset(logits, 0, V * sizeof *logits);
            continue;
        }
        float one = 1, top;
        const bqb_decoder_choice alone = {.id = &next[t], .weight = &one, .n = 1}, *right = next[t] >= 0 ? &alone : &choice[-2 - next[t]];
        double wanted = 0;
        for (size_t i = 0; i < right->n; i++) wanted += (double)right->weight[i] * (double)logits[right->id[i]];
        float sum = m->mul.ops->exp_sum(logits, &top, logits, V), share = 1.0f / (sum * (float)learnt);
        loss += (log((double)sum) + (double)top - wanted) / (double)learnt;
        for (size_t v = 0; v < V; v++) logits[v] *= share;
        for (size_t i = 0; i < right->n; i++) logits[right->id[i]] -= right->weight[i] / (float)learnt;
    }
    return loss;
}

typedef struct {
    bqb_decoder *m;
    const float *grad;
    float *mom, *var;
    const bqb_adamw_config *c;
    bqb_adamw_step step;
} update;

static int update_tensor(void *ctx, const bqb_decoder_tensor *t) {
    const update *u = ctx;
    float *w = numbers_of(u->m, t);
    size_t at = (size_t)(w - u->m->weights);
    u->m->mul.ops->adamw(w, u->mom + at, u->var + at, u->grad + at, t->rows ? u->step.decay : 0, u->step.step_size, u->step.vscale, u->c->beta1,
                         u->c->beta2, u->c->eps, size_of(t));
    return 0;
}

void bqb_decoder_adamw(bqb_decoder *m, const float *grad, float *mom, float *var, const bqb_adamw_config *c, uint64_t step) {
    update u = {m, grad, mom, var, c, bqb_adamw_step_at((double)c->lr, (double)c->weight_decay, (double)c->beta1, (double)c->beta2, step)};
    bqb_decoder_each_tensor(m, update_tensor, &u);
}

/* ---- saving ---- */

typedef struct {
    bqb_tensor *t;
    size_t n, room;
    bool bf16, no_memory;
} saving;

static int add_tensor(void *ctx, const bqb_decoder_tensor *t) {
    saving *s = ctx;
    size_t n = size_of(t);
    bqb_tensor *list = bqb_grow(s->t, s->n, &s->room, sizeof *list, 64);
    char *name = bqb_strdup(t->name);
    uint16_t *half = s->bf16 ? bqb_calloc(n, sizeof *half) : NULL;
    const float *w = t->matrix ? t->matrix->data : *t->vector;
    if (list) s->t = list;
    if (!list || !name || (s->bf16 && !half)) {
        free(name);
        free(half);
        s->no_memory = true;
        return 1;
    }
    for (size_t i = 0; half && i < n; i++) half[i] = bqb_f32_to_bf16(w[i]);
    s->t[s->n++] = (bqb_tensor){.name = name, .dtype = s->bf16 ? BQB_BF16 : BQB_F32, .n_dims = t->rows ? 2 : 1,
                                .dim = {t->rows ? t->rows : t->cols, t->rows ? t->cols : 0}, .n = n, .data = half ? (const void *)half : w};
    return 0;
}

static bqb_status save_config(const bqb_decoder_config *c, const char *dir, bool bf16, bqb_err *err) {
    static const char *const classes[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    json_t *ends = json_array();
    for (size_t i = 0; i < c->n_end; i++) json_array_append_new(ends, json_integer(c->end[i]));
    json_t *o = json_pack("{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b, s:s, s:s, s:o}", "model_type",
                          bqb_decoder_family_name(c->family), "architectures", classes[c->family], "vocab_size", (json_int_t)c->vocab,
                          "hidden_size", (json_int_t)c->width, "intermediate_size", (json_int_t)c->mlp, "num_hidden_layers",
                          (json_int_t)c->layers, "num_attention_heads", (json_int_t)c->heads, "num_key_value_heads", (json_int_t)c->kv_heads,
                          "head_dim", (json_int_t)c->head_dim, "max_position_embeddings", (json_int_t)c->context, "rms_norm_eps",
                          (double)c->eps, "rope_theta", c->rope_theta, "tie_word_embeddings", 1, "hidden_act", "silu", "torch_dtype",
                          bf16 ? "bfloat16" : "float32", "eos_token_id", ends);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL, *path = bqb_path_join(dir, "config.json");
    bqb_status s = text && path ? bqb_file_write(path, text, strlen(text), err) : bqb_fail_nomem(err, dir, 1024);
    free(text);
    free(path);
    json_decref(o);
    return s;
}

bqb_status bqb_decoder_save(const bqb_decoder *m, const char *dir, bool bf16, bqb_err *err) {
    saving s = {.bf16 = bf16};
    char *path = bqb_path_join(dir, "model.safetensors");
    bqb_decoder shown = *m; /* the visit takes pointers it could write through; it does not */
    bqb_decoder_each_tensor(&shown, add_tensor, &s);
    static const char *const metadata[] = {"format", "pt", NULL};
    bqb_status st = s.no_memory || !path ? bqb_fail_nomem(err, dir, m->n_weights * 2) : bqb_safetensors_write(path, s.t, s.n, metadata, err);
    if (!st) st = save_config(&m->config, dir, bf16, err);
    for (size_t i = 0; i < s.n; i++) {
        free((char *)(uintptr_t)s.t[i].name);
        if (bf16) free((void *)(uintptr_t)s.t[i].data);
    }
    free(s.t);
    free(path);
    return st;
}
