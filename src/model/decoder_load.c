/* A decoder's tensors by name, and where a file holds them under Hugging Face's or GGUF's names. */
#include "model/decoder_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- every tensor by its name ---- */

int bqb_decoder_each_tensor(bqb_decoder *m, bqb_decoder_tensor_fn fn, void *ctx) {
    const bqb_decoder_config *c = &m->config;
    size_t C = c->width, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    bool normed = c->family == BQB_QWEN3;
    int stop = fn(ctx, &(bqb_decoder_tensor){"model.embed_tokens.weight", c->vocab, C, &m->embed, NULL});
    if (!stop && !c->tied) stop = fn(ctx, &(bqb_decoder_tensor){"lm_head.weight", c->vocab, C, &m->head, NULL});
    if (!stop) stop = fn(ctx, &(bqb_decoder_tensor){"model.norm.weight", 0, C, NULL, &m->norm});
    for (size_t l = 0; l < c->layers && !stop; l++) {
        bqb_decoder_block *b = &m->block[l];
        const struct {
            const char *part;
            bool there;
            bqb_decoder_tensor t;
        } parts[] = {{"input_layernorm.weight", true, {NULL, 0, C, NULL, &b->norm1}},
                     {"self_attn.q_proj.weight", true, {NULL, q, C, &b->q, NULL}},
                     {"self_attn.k_proj.weight", true, {NULL, kv, C, &b->k, NULL}},
                     {"self_attn.v_proj.weight", true, {NULL, kv, C, &b->v, NULL}},
                     {"self_attn.q_proj.bias", m->biased, {NULL, 0, q, NULL, &b->q_bias}},
                     {"self_attn.k_proj.bias", m->biased, {NULL, 0, kv, NULL, &b->k_bias}},
                     {"self_attn.v_proj.bias", m->biased, {NULL, 0, kv, NULL, &b->v_bias}},
                     {"self_attn.q_norm.weight", normed, {NULL, 0, c->head_dim, NULL, &b->q_norm}},
                     {"self_attn.k_norm.weight", normed, {NULL, 0, c->head_dim, NULL, &b->k_norm}},
                     {"self_attn.o_proj.weight", true, {NULL, C, q, &b->o, NULL}},
                     {"post_attention_layernorm.weight", true, {NULL, 0, C, NULL, &b->norm2}},
                     {"mlp.gate_proj.weight", true, {NULL, c->mlp, C, &b->gate, NULL}},
                     {"mlp.up_proj.weight", true, {NULL, c->mlp, C, &b->up, NULL}},
                     {"mlp.down_proj.weight", true, {NULL, C, c->mlp, &b->down, NULL}}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts && !stop; i++) {
            char name[128];
            bqb_decoder_tensor t = parts[i].t;
            snprintf(name, sizeof name, "model.layers.%zu.%s", l, parts[i].part);
            t.name = name;
            if (parts[i].there) stop = fn(ctx, &t);
        }
    }
    return stop;
}

/* ---- out of a file ---- */

/* Parts of names, as Hugging Face and as GGUF write them. */
static const char *const names[][2] = {
    {"self_attn.q_proj", "attn_q"},        {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},        {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},         {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},         {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},   {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},         {"lm_head", "output"},
};

/* "model.layers.2.mlp.up_proj.weight" is "blk.2.ffn_up.weight" in a GGUF file. */
const char *bqb_decoder_gguf_name(char out[128], const char *name) {
    size_t layer = 0;
    int at = 0;
    bool in_block = sscanf(name, "model.layers.%zu.%n", &layer, &at) == 1 && at;
    const char *part = name + at, *kind = strrchr(part, '.');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i][0]) != (size_t)(kind - part) || memcmp(names[i][0], part, (size_t)(kind - part))) continue;
        if (in_block) snprintf(out, 128, "blk.%zu.%s%s", layer, names[i][1], kind);
        else snprintf(out, 128, "%s%s", names[i][1], kind);
    }
    return out;
}

typedef struct {
    bqb_decoder *m;
    const char *path;
    float *small; /* where the next f32 copy goes */
    bqb_err *err;
    bqb_status status;
} loader;

/* A tensor of either kind of file; a vector has one row. */
typedef struct {
    bool there, known;
    const char *type;
    bqb_row_kind kind;
    size_t rows, cols, n_dims, bytes;
    const void *data;
} found;

static found find_hf(const bqb_safetensors *st, const char *name) {
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!t) return (found){0};
    found f = {.there = true, .type = bqb_dtype_name(t->dtype), .n_dims = t->n_dims, .data = t->data,
               .rows = t->n_dims == 2 ? t->dim[0] : 1, .cols = t->n_dims ? t->dim[t->n_dims - 1] : 1,
               .bytes = t->n * bqb_dtype_size_bytes(t->dtype)};
    f.known = t->dtype == BQB_F32 || t->dtype == BQB_F16 || t->dtype == BQB_BF16;
    f.kind = t->dtype == BQB_F32 ? BQB_ROW_F32 : t->dtype == BQB_F16 ? BQB_ROW_F16 : BQB_ROW_BF16;
    return f;
}

static found find_gguf(const bqb_gguf *g, const char *name) {
    const bqb_gguf_tensor *t = bqb_gguf_tensor_find(g, name);
    if (!t) return (found){0};
    found f = {.there = true, .type = bqb_gguf_type_name(t->type), .n_dims = t->n_dims, .data = t->data, .cols = t->dim[0],
               .rows = t->n_dims == 2 ? t->dim[1] : 1, .bytes = t->bytes};
    while (f.kind < BQB_ROW_KINDS && strcmp(f.type, bqb_row_kind_name(f.kind))) f.kind++;
    f.known = f.kind < BQB_ROW_KINDS && f.cols % bqb_row_block(f.kind) == 0;
    return f;
}

static found look(const loader *l, const char *name) {
    return l->m->gguf ? find_gguf(l->m->gguf, name) : find_hf(l->m->file, name);
}

/* rows 0: a vector of cols numbers. */
static found find(loader *l, size_t rows, size_t cols, const char *name) {
    if (l->status) return (found){0};
    found f = look(l, name);
    if (!f.there) l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: holds no tensor \"%s\"", l->path, name);
    else if (!f.known)
        l->status = bqb_fail(l->err, BQB_EUNSUPPORTED, "%s: \"%s\" is in format %s; known are F32, F16, BF16 and, from GGUF, Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K",
                             l->path, name, f.type);
    else if (f.n_dims != (rows ? 2 : 1) || f.cols != cols || (rows && f.rows != rows))
        l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: \"%s\" is %zu × %zu, the configuration says %zu × %zu", l->path, name, f.rows,
                             f.cols, rows ? rows : 1, cols);
    else if (f.rows * bqb_row_bytes(f.kind, f.cols) > f.bytes)
        l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: \"%s\" is cut short", l->path, name);
    return f;
}

static float *vector(loader *l, size_t n, const char *name) {
    found f = find(l, 0, n, name);
    if (l->status) return NULL;
    float *to = l->small;
    l->small += n;
    l->m->mul.rows->load[f.kind](to, f.data, n);
    return to;
}

static int load_tensor(void *ctx, const bqb_decoder_tensor *t) {
    loader *l = ctx;
    char other[128];
    const char *name = l->m->gguf ? bqb_decoder_gguf_name(other, t->name) : t->name;
    if (t->vector) *t->vector = vector(l, t->cols, name);
    else {
        found f = find(l, t->rows, t->cols, name);
        if (!l->status) *t->matrix = (bqb_matrix){.kind = f.kind, .rows = t->rows, .cols = t->cols, .data = f.data};
    }
    return l->status != BQB_OK;
}

/* Before memory is asked for: whether the file goes as far as the configuration says, and holds nothing that would be left out. */
static bqb_status look_around(const loader *l) {
    const bqb_decoder *m = l->m;
    char hf[128], other[128];
    snprintf(hf, sizeof hf, "model.layers.%zu.input_layernorm.weight", m->config.layers - 1);
    const char *last = m->gguf ? bqb_decoder_gguf_name(other, hf) : hf;
    if (!look(l, last).there)
        return bqb_fail(l->err, BQB_EFORMAT, "%s: the configuration says %zu layers, but there is no tensor \"%s\"", l->path, m->config.layers, last);
    static const char *const unknown[] = {"model.layers.0.self_attn.o_proj.bias", "model.layers.0.mlp.gate_proj.bias", "model.layers.0.mlp.down_proj.bias"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (look(l, m->gguf ? bqb_decoder_gguf_name(other, unknown[i]) : unknown[i]).there)
            return bqb_fail(l->err, BQB_EUNSUPPORTED, "%s: \"%s\": only queries, keys and values can have biases", l->path, unknown[i]);
    return BQB_OK;
}

bqb_status bqb_decoder_load(bqb_decoder *m, const char *path, bqb_err *err) {
    const bqb_decoder_config *c = &m->config;
    bqb_status s = look_around(&(loader){.m = m, .path = path, .err = err});
    if (s) return s;
    size_t per = 2 * c->width + (c->heads + 2 * c->kv_heads + 2) * c->head_dim, n = c->layers * per + c->width + c->head_dim;
    m->block = bqb_calloc(c->layers, sizeof *m->block);
    m->small = bqb_calloc(n, sizeof *m->small);
    if (!m->block || !m->small) return bqb_fail_nomem(err, path, n * sizeof *m->small);
    loader l = {.m = m, .path = path, .small = m->small, .err = err};
    m->biased = look(&l, m->gguf ? "blk.0.attn_q.bias" : "model.layers.0.self_attn.q_proj.bias").there;
    bqb_decoder_each_tensor(m, load_tensor, &l);
    if (c->tied) m->head = m->embed;
    if (l.status) return l.status;
    if (m->gguf && look(&l, "rope_freqs.weight").there) { /* how much slower each pair turns */
        const float *slower = vector(&l, c->head_dim / 2, "rope_freqs.weight");
        for (size_t i = 0; slower && i < c->head_dim / 2; i++) m->turn[i] /= (double)slower[i];
    }
    return l.status;
}
