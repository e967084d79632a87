/* A decoder's weights under their Hugging Face names. */
#include "model/decoder_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    bqb_decoder *m;
    const char *dir;
    float *small, *end; /* where the next f32 copy goes */
    bqb_err *err;
    bqb_status status;
} loader;

static const bqb_tensor *find(loader *l, size_t rows, size_t cols, const char *name) {
    if (l->status) return NULL;
    const bqb_tensor *t = bqb_safetensors_find(l->m->file, name);
    size_t dims = rows ? 2 : 1;
    if (!t) l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: the weights hold no \"%s\"", l->dir, name);
    else if (t->n_dims != dims || t->dim[dims - 1] != cols || (rows && t->dim[0] != rows))
        l->status = bqb_fail(l->err, BQB_EFORMAT, "%s: \"%s\" has another shape than config.json says (%zu%s%zu)", l->dir, name,
                             rows ? rows : cols, rows ? " × " : " of ", cols);
    else if (t->dtype != BQB_F32 && t->dtype != BQB_F16 && t->dtype != BQB_BF16)
        l->status = bqb_fail(l->err, BQB_EUNSUPPORTED, "%s: \"%s\" is %s; F32, F16 and BF16 are known", l->dir, name,
                             bqb_dtype_name(t->dtype));
    return l->status ? NULL : t;
}

static const char *name_of(char out[128], size_t layer, const char *part) {
    snprintf(out, 128, "model.layers.%zu.%s", layer, part);
    return out;
}

static bqb_matrix matrix(loader *l, size_t rows, size_t cols, const char *name) {
    const bqb_tensor *t = find(l, rows, cols, name);
    if (!t) return (bqb_matrix){0};
    bqb_row_kind kind = t->dtype == BQB_F32 ? BQB_ROW_F32 : t->dtype == BQB_F16 ? BQB_ROW_F16 : BQB_ROW_BF16;
    return (bqb_matrix){.kind = kind, .rows = rows, .cols = cols, .data = t->data};
}

static float *vector(loader *l, size_t n, const char *name) {
    const bqb_tensor *t = find(l, 0, n, name);
    if (!t) return NULL;
    float *to = l->small;
    l->small += n;
    l->status = bqb_tensor_to_f32(to, t, 0, n, l->err);
    return to;
}

static float *vector_if(loader *l, bool there, size_t n, const char *name) { return there ? vector(l, n, name) : NULL; }

static void load_block(loader *l, size_t i) {
    const bqb_decoder_config *c = &l->m->config;
    size_t C = c->width, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    char name[128];
    bqb_decoder_block *b = &l->m->block[i];
    bool biased = bqb_safetensors_find(l->m->file, name_of(name, i, "self_attn.q_proj.bias")) != NULL;
    b->q = matrix(l, q, C, name_of(name, i, "self_attn.q_proj.weight"));
    b->k = matrix(l, kv, C, name_of(name, i, "self_attn.k_proj.weight"));
    b->v = matrix(l, kv, C, name_of(name, i, "self_attn.v_proj.weight"));
    b->o = matrix(l, C, q, name_of(name, i, "self_attn.o_proj.weight"));
    b->gate = matrix(l, c->mlp, C, name_of(name, i, "mlp.gate_proj.weight"));
    b->up = matrix(l, c->mlp, C, name_of(name, i, "mlp.up_proj.weight"));
    b->down = matrix(l, C, c->mlp, name_of(name, i, "mlp.down_proj.weight"));
    b->norm1 = vector(l, C, name_of(name, i, "input_layernorm.weight"));
    b->norm2 = vector(l, C, name_of(name, i, "post_attention_layernorm.weight"));
    b->q_bias = vector_if(l, biased, q, name_of(name, i, "self_attn.q_proj.bias"));
    b->k_bias = vector_if(l, biased, kv, name_of(name, i, "self_attn.k_proj.bias"));
    b->v_bias = vector_if(l, biased, kv, name_of(name, i, "self_attn.v_proj.bias"));
    b->q_norm = vector_if(l, c->family == BQB_QWEN3, c->head_dim, name_of(name, i, "self_attn.q_norm.weight"));
    b->k_norm = vector_if(l, c->family == BQB_QWEN3, c->head_dim, name_of(name, i, "self_attn.k_norm.weight"));
}

bqb_status bqb_decoder_load(bqb_decoder *m, const char *dir, bqb_err *err) {
    const bqb_decoder_config *c = &m->config;
    size_t per = 2 * c->width + (c->heads + 2 * c->kv_heads + 2) * c->head_dim;
    m->block = bqb_calloc(c->layers, sizeof *m->block);
    m->small = bqb_calloc(c->layers * per + c->width, sizeof *m->small);
    if (!m->block || !m->small) return bqb_fail_nomem(err, dir, (c->layers * per + c->width) * sizeof *m->small);
    loader l = {.m = m, .dir = dir, .small = m->small, .err = err};
    m->embed = matrix(&l, c->vocab, c->width, "model.embed_tokens.weight");
    m->head = m->embed;
    if (!c->tied) m->head = matrix(&l, c->vocab, c->width, "lm_head.weight");
    m->norm = vector(&l, c->width, "model.norm.weight");
    for (size_t i = 0; i < c->layers && !l.status; i++) load_block(&l, i);
    return l.status;
}
