/* A decoder's weights under the names that Hugging Face and GGUF files give them. */
#include "model/decoder_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { Q, K, V, O, GATE, UP, DOWN, NORM1, NORM2, Q_NORM, K_NORM, PARTS } part;
static const char *const names[PARTS][2] = {
    [Q] = {"self_attn.q_proj", "attn_q"},
    [K] = {"self_attn.k_proj", "attn_k"},
    [V] = {"self_attn.v_proj", "attn_v"},
    [O] = {"self_attn.o_proj", "attn_output"},
    [GATE] = {"mlp.gate_proj", "ffn_gate"},
    [UP] = {"mlp.up_proj", "ffn_up"},
    [DOWN] = {"mlp.down_proj", "ffn_down"},
    [NORM1] = {"input_layernorm", "attn_norm"},
    [NORM2] = {"post_attention_layernorm", "ffn_norm"},
    [Q_NORM] = {"self_attn.q_norm", "attn_q_norm"},
    [K_NORM] = {"self_attn.k_norm", "attn_k_norm"},
};

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
        l->status = bqb_fail(l->err, BQB_EUNSUPPORTED, "%s: \"%s\" is in format %s; known are F32, F16, BF16 and, from GGUF, Q8_0, Q4_K, Q6_K",
                             l->path, name, f.type);
    else if (f.n_dims != (rows ? 2 : 1) || f.cols != cols || (rows && f.rows != rows))
        l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: \"%s\" is %zu × %zu, the configuration says %zu × %zu", l->path, name, f.rows,
                             f.cols, rows ? rows : 1, cols);
    else if (f.rows * bqb_row_bytes(f.kind, f.cols) > f.bytes)
        l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: \"%s\" is cut short", l->path, name);
    return f;
}

static const char *name_of(const loader *l, char out[128], size_t layer, part p, const char *what) {
    snprintf(out, 128, l->m->gguf ? "blk.%zu.%s.%s" : "model.layers.%zu.%s.%s", layer, names[p][l->m->gguf != NULL], what);
    return out;
}

static bqb_matrix matrix(loader *l, size_t rows, size_t cols, const char *name) {
    found f = find(l, rows, cols, name);
    return l->status ? (bqb_matrix){0} : (bqb_matrix){.kind = f.kind, .rows = rows, .cols = cols, .data = f.data};
}

static float *vector(loader *l, size_t n, const char *name) {
    found f = find(l, 0, n, name);
    if (l->status) return NULL;
    float *to = l->small;
    l->small += n;
    l->m->mul.rows->load[f.kind](to, f.data, n);
    return to;
}

static void load_block(loader *l, size_t i) {
    const bqb_decoder_config *c = &l->m->config;
    size_t C = c->width, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    bqb_decoder_block *b = &l->m->block[i];
    char name[128];
    const struct {
        bqb_matrix *to;
        part p;
        size_t rows, cols;
    } matrices[] = {{&b->q, Q, q, C}, {&b->k, K, kv, C}, {&b->v, V, kv, C}, {&b->o, O, C, q},
                    {&b->gate, GATE, c->mlp, C}, {&b->up, UP, c->mlp, C}, {&b->down, DOWN, C, c->mlp}};
    for (size_t k = 0; k < sizeof matrices / sizeof *matrices; k++)
        *matrices[k].to = matrix(l, matrices[k].rows, matrices[k].cols, name_of(l, name, i, matrices[k].p, "weight"));
    bool biased = look(l, name_of(l, name, i, Q, "bias")).there, normed = c->family == BQB_QWEN3;
    const struct {
        float **to;
        bool wanted;
        part p;
        const char *what;
        size_t n;
    } vectors[] = {{&b->norm1, true, NORM1, "weight", C}, {&b->norm2, true, NORM2, "weight", C},
                   {&b->q_bias, biased, Q, "bias", q}, {&b->k_bias, biased, K, "bias", kv}, {&b->v_bias, biased, V, "bias", kv},
                   {&b->q_norm, normed, Q_NORM, "weight", c->head_dim}, {&b->k_norm, normed, K_NORM, "weight", c->head_dim}};
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++)
        if (vectors[k].wanted) *vectors[k].to = vector(l, vectors[k].n, name_of(l, name, i, vectors[k].p, vectors[k].what));
}

bqb_status bqb_decoder_load(bqb_decoder *m, const char *path, bqb_err *err) {
    const bqb_decoder_config *c = &m->config;
    bool gguf = m->gguf != NULL;
    size_t per = 2 * c->width + (c->heads + 2 * c->kv_heads + 2) * c->head_dim, n = c->layers * per + c->width + c->head_dim;
    m->block = bqb_calloc(c->layers, sizeof *m->block);
    m->small = bqb_calloc(n, sizeof *m->small);
    if (!m->block || !m->small) return bqb_fail_nomem(err, path, n * sizeof *m->small);
    loader l = {.m = m, .path = path, .small = m->small, .err = err};
    const char *head = gguf ? "output.weight" : "lm_head.weight";
    m->embed = matrix(&l, c->vocab, c->width, gguf ? "token_embd.weight" : "model.embed_tokens.weight");
    m->head = m->embed;
    if (!(gguf ? !look(&l, head).there : c->tied)) m->head = matrix(&l, c->vocab, c->width, head);
    m->norm = vector(&l, c->width, gguf ? "output_norm.weight" : "model.norm.weight");
    for (size_t i = 0; i < c->layers && !l.status; i++) load_block(&l, i);
    if (gguf && look(&l, "rope_freqs.weight").there) { /* how much slower each pair turns */
        const float *slower = vector(&l, c->head_dim / 2, "rope_freqs.weight");
        for (size_t i = 0; slower && i < c->head_dim / 2; i++) m->turn[i] /= (double)slower[i];
    }
    return l.status;
}
