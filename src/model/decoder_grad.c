/* A pass through a decoder that can be gone back. Of a frozen one only the gradient of the
 * input rows is wanted, and nothing is kept for the weights'. Attention is
 * computed in f32 here, whatever keys and values are kept in. */
#include "model/decoder_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bqb_decoder_tape {
    bqb_arena *arena;
    bool borrowed;            /* the arena is the decoder's */
    bqb_decoder_saved *block; /* [layers] */
    float *x;                 /* [n,C] into the last norm */
    size_t n, first;          /* tokens, and the position of the first */
};

void bqb_decoder_tape_free(bqb_decoder_tape *t) {
    if (!t) return;
    if (t->borrowed) bqb_arena_reset(t->arena);
    else bqb_arena_free(t->arena);
    free(t);
}

/* One product over f32 rows: C[M,N] (+)= A · B, elements (r,c) of A at r*ar + c*ac, and so on; C's columns are 1 apart. */
static void product(const bqb_decoder *m, size_t M, size_t N, size_t K, float *c, size_t cr, const float *a, size_t ar, size_t ac,
                    const float *b, size_t br, size_t bc, bool add) {
    bqb_product g = {.outer = 1, .inner = 1, .M = (int64_t)M, .N = (int64_t)N, .K = (int64_t)K,
                     .a = {.row = (int64_t)ar, .col = (int64_t)ac}, .b = {.row = (int64_t)br, .col = (int64_t)bc},
                     .c = {.row = (int64_t)cr, .col = 1}, .accumulate = add};
    bqb_gemm_run(m->mul.gemm, &g, c, a, b, NULL);
}

/* The layer's first `all` keys or values as f32. */
static const float *past_rows(bqb_decoder *m, const bqb_decoder_past *past, const char *from, size_t layer, size_t all) {
    size_t at = layer * past->room * past->row;
    if (m->mul.num == BQB_NUM_F32) return (const float *)(const void *)from + at;
    float *x = bqb_decoder_take(m, all * past->row);
    if (x) m->mul.ops->from_bf16(x, (const uint16_t *)(const void *)from + at, all * past->row);
    return x;
}

/* ---- forward ---- */

/* The documents of a pass one by one, each a square of attention; or all rows at once behind the past. */
typedef struct {
    size_t from, n, all, sees; /* rows, keys and what the first row sees of them */
    size_t prob;               /* where its attention begins, in numbers from the head's */
    size_t doc;
} span;

static bool next_span(span *s, const bqb_decoder *m, size_t first, size_t n) {
    if (!m->docs) {
        *s = (span){.n = n, .all = first + n, .sees = first + 1, .doc = s->doc + 1};
        return s->doc == 1;
    }
    if (s->doc == m->docs->n) return false;
    size_t from = s->from + s->n, prob = s->prob + s->n * s->all, own = m->docs->end[s->doc] - from;
    *s = (span){.from = from, .n = own, .all = own, .sees = 1, .prob = prob, .doc = s->doc + 1};
    return true;
}

/* Numbers of attention that a head has in a pass. */
static size_t prob_size(const bqb_decoder *m, size_t first, size_t n) {
    size_t total = 0;
    for (span s = {0}; next_span(&s, m, first, n);) total += s.n * s.all;
    return total;
}

void bqb_decoder_attend_kept(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *out, const bqb_decoder_saved *v, size_t n) {
    const bqb_decoder_config *c = &m->config;
    size_t d = c->head_dim, Q = c->heads * d, KV = past->row, share = c->heads / c->kv_heads, size = prob_size(m, past->n, n);
    const float *key = past_rows(m, past, past->k, layer, past->n + n), *value = past_rows(m, past, past->v, layer, past->n + n);
    for (span s = {0}; next_span(&s, m, past->n, n);)
        for (size_t h = 0; h < c->heads && !m->mul.no_memory; h++) {
            float *prob = v->prob + h * size + s.prob;
            size_t from = s.from * KV + h / share * d, row = s.from * Q + h * d;
            product(m, s.n, s.all, d, prob, s.all, v->q + row, Q, 1, key + from, 1, KV, false);
            for (size_t t = 0; t < s.n; t++) { /* what a token may not see weighs nothing */
                size_t sees = s.sees + t;
                m->mul.ops->softmax_fwd[BQB_NUM_F32](prob + t * s.all, prob + t * s.all, 1.0f / sqrtf((float)d), 1, sees);
                memset(prob + t * s.all + sees, 0, (s.all - sees) * sizeof *prob);
            }
            product(m, s.n, d, s.all, out + row, Q, prob, s.all, 1, value + from, KV, 1, false);
        }
}

static bqb_decoder_tape *tape_new(const bqb_decoder *m, size_t n, size_t first) {
    const bqb_decoder_config *c = &m->config;
    size_t C = c->width, Q = c->heads * c->head_dim, KV = c->kv_heads * c->head_dim;
    bool learns = m->grad != NULL;
    bqb_decoder_tape *t = bqb_calloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (bqb_decoder_tape){.arena = m->tapes ? m->tapes : bqb_arena_new(), .borrowed = m->tapes != NULL, .n = n, .first = first};
    bool ok = t->arena && (t->x = bqb_arena_take(t->arena, n * C, sizeof(float))) &&
              (t->block = bqb_arena_take(t->arena, c->layers, sizeof *t->block));
    for (size_t l = 0; l < c->layers && ok; l++) {
        bqb_decoder_saved *v = &t->block[l];
        bool normed = m->block[l].q_norm != NULL;
        struct {
            float **to;
            size_t n;
        } parts[] = {{&v->x1, n * C}, {&v->x2, n * C}, {&v->q_raw, normed ? n * Q : 1}, {&v->k_raw, normed ? n * KV : 1},
                     {&v->q, n * Q}, {&v->prob, c->heads * prob_size(m, first, n)}, {&v->gate, n * c->mlp}, {&v->up, n * c->mlp},
                     {&v->mixed, learns ? n * Q : 1}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts && ok; i++)
            ok = (*parts[i].to = bqb_arena_take(t->arena, parts[i].n, sizeof(float))) != NULL;
    }
    if (ok) return t;
    bqb_decoder_tape_free(t);
    return NULL;
}

bqb_status bqb_decoder_forward(bqb_decoder *m, bqb_decoder_past *past, bqb_decoder_tape **tape, float *hidden, const float *rows,
                               size_t n, bqb_err *err) {
    size_t C = m->config.width;
    *tape = NULL;
    if (n > past->room - past->n)
        return bqb_fail(err, BQB_ELIMIT, "%zu tokens after %zu: there is room for %zu", n, past->n, past->room);
    bqb_decoder_tape *t = tape_new(m, n, past->n);
    if (!t) return bqb_fail_nomem(err, "the language model's activations", n * C * m->config.layers * sizeof(float));
    bqb_gemm_enter(m->mul.gemm);
    memcpy(t->x, rows, n * C * sizeof *rows);
    for (size_t l = 0; l < m->config.layers && !m->mul.no_memory; l++) bqb_decoder_pass(m, past, l, t->x, &t->block[l], n);
    m->mul.rows->rmsnorm(hidden, t->x, m->norm, m->config.eps, n, C);
    bqb_status s = bqb_decoder_finish(m, err);
    if (s) bqb_decoder_tape_free(t);
    else {
        past->n += n;
        *tape = t;
    }
    return s;
}

/* ---- backward ---- */

/* dq[n,H·d], dk and dv[n,G·d] of the tape's own tokens, from dout[n,H·d]. */
static void attend_back(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *dq, float *dk, float *dv, const float *dout,
                        const bqb_decoder_tape *t) {
    const bqb_decoder_config *c = &m->config;
    const bqb_decoder_saved *v = &t->block[layer];
    size_t d = c->head_dim, Q = c->heads * d, share = c->heads / c->kv_heads, KV = past->row, size = prob_size(m, t->first, t->n);
    const float *key = past_rows(m, past, past->k, layer, t->first + t->n), *value = past_rows(m, past, past->v, layer, t->first + t->n);
    float *dp = bqb_decoder_take(m, size);
    for (span s = {0}; next_span(&s, m, t->first, t->n);)
        for (size_t h = 0; h < c->heads && !m->mul.no_memory; h++) {
            const float *prob = v->prob + h * size + s.prob;
            size_t n = s.n, all = s.all, from = s.from * KV + h / share * d, row = s.from * Q + h * d, before = all - n;
            bool add = h % share > 0; /* heads that share keys add up */
            product(m, n, all, d, dp, all, dout + row, Q, 1, value + from, 1, KV, false);
            product(m, n, d, n, dv + from, KV, prob + before, 1, all, dout + row, Q, 1, add);
            m->mul.ops->softmax_bwd[BQB_NUM_F32](dp, dp, prob, 1.0f / sqrtf((float)d), n, all);
            product(m, n, d, all, dq + row, Q, dp, all, 1, key + from, KV, 1, false);
            product(m, n, d, n, dk + from, KV, dp + before, 1, all, v->q + row, Q, 1, add);
        }
}

/* The products' inputs that the tape does not hold are made again where weights learn. */
static void learn_mlp(bqb_decoder *m, const bqb_decoder_block *b, const bqb_decoder_saved *v, const float *dx, size_t n) {
    size_t M = m->config.mlp;
    bqb_arena_mark mark = bqb_arena_save(m->mul.arena);
    float *gate = bqb_decoder_take(m, n * M);
    if (!gate) return;
    memcpy(gate, v->gate, n * M * sizeof *gate);
    m->mul.rows->silu_mul(gate, v->up, n * M);
    bqb_decoder_grad_matrix(m, &b->down, NULL, dx, gate, n);
    bqb_arena_release(m->mul.arena, mark);
}

static const float *normed(bqb_decoder *m, const float *x, const float *gamma, size_t n) {
    float *h = bqb_decoder_take(m, n * m->config.width);
    if (h) m->mul.rows->rmsnorm(h, x, gamma, m->config.eps, n, m->config.width);
    return h;
}

/* dx[n,C] of the block's output becomes that of its input. */
static void block_back(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *dx, const bqb_decoder_tape *t) {
    const bqb_decoder_config *c = &m->config;
    const bqb_decoder_block *b = &m->block[layer];
    const bqb_decoder_saved *v = &t->block[layer];
    const bqb_rows_ops *ops = m->mul.rows;
    size_t n = t->n, C = c->width, Q = c->heads * c->head_dim, KV = past->row;
    bqb_arena_mark mark = bqb_arena_save(m->mul.arena);
    float *dgate = bqb_decoder_take(m, n * c->mlp), *dup = bqb_decoder_take(m, n * c->mlp), *dh = bqb_decoder_take(m, n * C);
    float *dmixed = bqb_decoder_take(m, n * Q), *dq = bqb_decoder_take(m, n * Q), *dk = bqb_decoder_take(m, n * KV), *dv = bqb_decoder_take(m, n * KV);
    if (m->mul.no_memory) return;
    if (m->grad) learn_mlp(m, b, v, dx, n);
    bqb_matrix_back(&m->mul, dgate, dx, &b->down, false, n);
    ops->silu_mul_bwd(dgate, dup, dgate, v->gate, v->up, n * c->mlp);
    bqb_matrix_back(&m->mul, dh, dgate, &b->gate, false, n);
    bqb_matrix_back(&m->mul, dh, dup, &b->up, true, n);
    if (m->grad) {
        const float *h = normed(m, v->x2, b->norm2, n);
        bqb_decoder_grad_matrix(m, &b->gate, NULL, dgate, h, n);
        bqb_decoder_grad_matrix(m, &b->up, NULL, dup, h, n);
        bqb_decoder_grad_norm(m, b->norm2, dh, v->x2, n, C);
    }
    ops->rmsnorm_bwd(dx, true, dh, v->x2, b->norm2, c->eps, n, C);
    if (m->grad) bqb_decoder_grad_matrix(m, &b->o, NULL, dx, v->mixed, n);
    bqb_matrix_back(&m->mul, dmixed, dx, &b->o, false, n);
    attend_back(m, past, layer, dq, dk, dv, dmixed, t);
    if (m->mul.no_memory) return;
    bqb_decoder_rotate(m, dq, c->heads, n, t->first, true);
    bqb_decoder_rotate(m, dk, c->kv_heads, n, t->first, true);
    if (m->grad && b->q_norm) {
        bqb_decoder_grad_norm(m, b->q_norm, dq, v->q_raw, n * c->heads, c->head_dim);
        bqb_decoder_grad_norm(m, b->k_norm, dk, v->k_raw, n * c->kv_heads, c->head_dim);
    }
    if (b->q_norm) ops->rmsnorm_bwd(dq, false, dq, v->q_raw, b->q_norm, c->eps, n * c->heads, c->head_dim);
    if (b->k_norm) ops->rmsnorm_bwd(dk, false, dk, v->k_raw, b->k_norm, c->eps, n * c->kv_heads, c->head_dim);
    bqb_matrix_back(&m->mul, dh, dq, &b->q, false, n);
    bqb_matrix_back(&m->mul, dh, dk, &b->k, true, n);
    bqb_matrix_back(&m->mul, dh, dv, &b->v, true, n);
    if (m->grad) {
        const float *h = normed(m, v->x1, b->norm1, n);
        bqb_decoder_grad_matrix(m, &b->q, b->q_bias, dq, h, n);
        bqb_decoder_grad_matrix(m, &b->k, b->k_bias, dk, h, n);
        bqb_decoder_grad_matrix(m, &b->v, b->v_bias, dv, h, n);
        bqb_decoder_grad_norm(m, b->norm1, dh, v->x1, n, C);
    }
    ops->rmsnorm_bwd(dx, true, dh, v->x1, b->norm1, c->eps, n, C);
    bqb_arena_release(m->mul.arena, mark);
}

bqb_status bqb_decoder_backward(bqb_decoder *m, const bqb_decoder_past *past, float *drows, const float *dhidden,
                                const bqb_decoder_tape *tape, bqb_err *err) {
    bqb_gemm_enter(m->mul.gemm);
    if (m->grad) bqb_decoder_grad_norm(m, m->norm, dhidden, tape->x, tape->n, m->config.width);
    m->mul.rows->rmsnorm_bwd(drows, false, dhidden, tape->x, m->norm, m->config.eps, tape->n, m->config.width);
    for (size_t l = m->config.layers; l-- > 0 && !m->mul.no_memory;) block_back(m, past, l, drows, tape);
    return bqb_decoder_finish(m, err);
}

bqb_status bqb_decoder_logits_back(bqb_decoder *m, float *dhidden, const float *dlogits, size_t n, bqb_err *err) {
    bqb_gemm_enter(m->mul.gemm);
    bqb_matrix_back(&m->mul, dhidden, dlogits, &m->head, false, n);
    return bqb_decoder_finish(m, err);
}
