#include "model/decoder_internal.h"

#include "base/thread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void angles(double *turn, const bqb_decoder_config *c) {
    for (size_t i = 0; i < c->head_dim / 2; i++) {
        double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
        turn[i] = f / c->rope_factor;
        if (!c->rope_llama3) continue;
        /* Fast pairs as they are, slow ones stretched, the rest between. */
        double turns = c->rope_original * f / (2 * acos(-1.0));
        double fast = (turns - c->rope_low) / (c->rope_high - c->rope_low);
        fast = fast < 0 ? 0 : fast > 1 ? 1 : fast;
        turn[i] = (1 - fast) * f / c->rope_factor + fast * f;
    }
}

static bqb_status open_files(bqb_decoder *m, const char *path, bqb_err *err) {
    if (bqb_is_gguf(path)) {
        bqb_status s = bqb_gguf_open(&m->gguf, path, err);
        return s ? s : bqb_decoder_config_gguf(&m->config, m->gguf, err);
    }
    bqb_status s = bqb_decoder_config_of(&m->config, path, err);
    return s ? s : bqb_safetensors_open_folder(&m->file, path, err);
}

bqb_status bqb_decoder_tools(bqb_decoder *m, bqb_precision precision, int threads, bqb_err *err) {
    m->turn = bqb_calloc(m->config.head_dim / 2, sizeof *m->turn);
    if (!m->turn) return bqb_fail_nomem(err, "decoder", m->config.head_dim * sizeof *m->turn);
    angles(m->turn, &m->config);
    return bqb_multiplier_open(&m->mul, (bqb_num)precision, threads, err);
}

bqb_status bqb_decoder_open(bqb_decoder **out, const char *path, bqb_precision precision, int threads, bqb_err *err) {
    *out = NULL;
    bqb_decoder *m = bqb_calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, path, sizeof *m);
    bqb_status s = open_files(m, path, err);
    if (!s) s = bqb_decoder_tools(m, precision, threads, err);
    if (!s) s = bqb_decoder_load(m, path, err);
    if (!s && !(m->path = bqb_strdup(path))) s = bqb_fail_nomem(err, path, strlen(path));
    if (s) bqb_decoder_free(m);
    else *out = m;
    return s;
}

bqb_status bqb_decoder_share(bqb_decoder **out, bqb_decoder *m, int threads, bqb_err *err) {
    bqb_decoder *d = *out = bqb_calloc(1, sizeof *d);
    if (!d) return bqb_fail_nomem(err, "decoder", sizeof *d);
    *d = *m;
    d->shared = true;
    d->turned = NULL;
    d->n_turned = 0;
    d->crew = NULL;
    d->n_crew = 0;
    d->tapes = NULL;
    bqb_status s = bqb_multiplier_open(&d->mul, m->mul.num, threads, err);
    if (!s) return BQB_OK;
    bqb_decoder_free(d);
    *out = NULL;
    return s;
}

void bqb_decoder_free(bqb_decoder *m) {
    if (!m) return;
    bqb_decoder_crew_free(m);
    bqb_multiplier_close(&m->mul);
    free(m->turned);
    if (m->shared) {
        free(m);
        return;
    }
    bqb_safetensors_close(m->file);
    bqb_gguf_close(m->gguf);
    free(m->block);
    free(m->small);
    free(m->weights);
    free(m->turn);
    free(m->path);
    free(m);
}

const bqb_decoder_config *bqb_decoder_get_config(const bqb_decoder *m) { return &m->config; }

/* ---- the past ---- */

bqb_status bqb_decoder_past_new(bqb_decoder_past **out, const bqb_decoder *m, size_t positions, bqb_err *err) {
    const bqb_decoder_config *c = &m->config;
    size_t row = c->kv_heads * c->head_dim, bytes = bqb_num_size_bytes(m->mul.num);
    bqb_decoder_past *p = *out = bqb_calloc(1, sizeof *p);
    if (p) {
        *p = (bqb_decoder_past){.m = m, .room = positions, .row = row};
        p->k = bqb_calloc(c->layers * positions, row * bytes);
        p->v = bqb_calloc(c->layers * positions, row * bytes);
        if (p->k && p->v) return BQB_OK;
    }
    bqb_decoder_past_free(p);
    *out = NULL;
    return bqb_fail_nomem(err, "keys and values", 2 * c->layers * positions * row * bytes);
}

void bqb_decoder_past_free(bqb_decoder_past *p) {
    if (!p) return;
    free(p->k);
    free(p->v);
    free(p);
}

size_t bqb_decoder_past_count(const bqb_decoder_past *p) { return p->n; }

void bqb_decoder_past_cut(bqb_decoder_past *p, size_t n) {
    if (n < p->n) p->n = n;
}

/* ---- one block ---- */

float *bqb_decoder_take(bqb_decoder *m, size_t n) {
    float *x = m->mul.no_memory ? NULL : bqb_arena_take(m->mul.arena, n, sizeof *x);
    if (!x) m->mul.no_memory = true;
    return x;
}

/* Cosine and sine of every pair up to `positions`, made once. */
static bool angles_to(bqb_decoder *m, size_t positions) {
    size_t half = m->config.head_dim / 2, n = m->n_turned * 2 > positions ? m->n_turned * 2 : positions;
    if (positions <= m->n_turned) return true;
    float *grown = realloc(m->turned, n * half * 2 * sizeof *grown);
    if (!grown) return false;
    m->turned = grown;
    for (float *at = grown + m->n_turned * half * 2; m->n_turned < n; m->n_turned++)
        for (size_t i = 0; i < half; i++, at += 2) {
            double angle = (double)m->n_turned * m->turn[i];
            at[0] = (float)cos(angle);
            at[1] = (float)sin(angle);
        }
    return true;
}

/* Turn the pairs of n rows' heads by their positions, from `first` on, of several documents each anew; or back again. */
void bqb_decoder_rotate(bqb_decoder *m, float *x, size_t heads, size_t n, size_t first, bool back) {
    size_t half = m->config.head_dim / 2, step = m->config.rope_neighbours ? 2 : 1, other = m->config.rope_neighbours ? 1 : half;
    size_t doc = 0, start = 0;
    if (!angles_to(m, first + n)) m->mul.no_memory = true;
    for (size_t t = 0; t < n && !m->mul.no_memory; t++) {
        while (m->docs && t == m->docs->end[doc]) start = m->docs->end[doc++];
        const float *angle = m->turned + (first + t - start) * half * 2;
        for (size_t h = 0; h < heads; h++) {
            float *head = x + (t * heads + h) * 2 * half;
            for (size_t i = 0; i < half; i++) {
                float co = angle[2 * i], si = back ? -angle[2 * i + 1] : angle[2 * i + 1];
                float *a = head + i * step, *b = a + other, u = *a, v = *b;
                *a = u * co - v * si;
                *b = v * co + u * si;
            }
        }
    }
}

/* Put n rows of keys or values behind the past's. */
static void keep(const bqb_decoder *m, const bqb_decoder_past *past, char *to, size_t layer, const float *rows, size_t n) {
    size_t at = (layer * past->room + past->n) * past->row;
    bqb_store(m->mul.ops, m->mul.num, to + at * bqb_num_size_bytes(m->mul.num), rows, n * past->row);
}

typedef struct {
    const bqb_rows_ops *ops;
    float *gate;
    const float *up;
    size_t mlp;
} gating;

static void gate_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const gating *g = ctx;
    g->ops->silu_mul(g->gate + i * g->mlp, g->up + i * g->mlp, g->mlp);
}

void bqb_decoder_pass(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *x, const bqb_decoder_saved *v, size_t n) {
    const bqb_decoder_config *c = &m->config;
    const bqb_decoder_block *b = &m->block[layer];
    const bqb_rows_ops *ops = m->mul.rows;
    size_t C = c->width, Q = c->heads * c->head_dim, KV = past->row, M = n * c->mlp;
    bqb_arena_mark mark = bqb_arena_save(m->mul.arena);
    float *h = bqb_decoder_take(m, n * C), *k = bqb_decoder_take(m, n * KV), *value = bqb_decoder_take(m, n * KV);
    float *q = v ? v->q : bqb_decoder_take(m, n * Q), *mixed = v && m->grad ? v->mixed : bqb_decoder_take(m, n * Q);
    float *gate = bqb_decoder_take(m, M), *up = v ? v->up : bqb_decoder_take(m, M);
    if (m->mul.no_memory) return;
    if (v) memcpy(v->x1, x, n * C * sizeof *x);
    ops->rmsnorm(h, x, b->norm1, c->eps, n, C);
    bqb_matrix_mul(&m->mul, q, h, &b->q, b->q_bias, false, n);
    bqb_matrix_mul(&m->mul, k, h, &b->k, b->k_bias, false, n);
    bqb_matrix_mul(&m->mul, value, h, &b->v, b->v_bias, false, n);
    if (v && b->q_norm) memcpy(v->q_raw, q, n * Q * sizeof *q);
    if (v && b->k_norm) memcpy(v->k_raw, k, n * KV * sizeof *k);
    if (b->q_norm) ops->rmsnorm(q, q, b->q_norm, c->eps, n * c->heads, c->head_dim);
    if (b->k_norm) ops->rmsnorm(k, k, b->k_norm, c->eps, n * c->kv_heads, c->head_dim);
    bqb_decoder_rotate(m, q, c->heads, n, past->n, false);
    bqb_decoder_rotate(m, k, c->kv_heads, n, past->n, false);
    keep(m, past, past->k, layer, k, n);
    keep(m, past, past->v, layer, value, n);
    if (v) bqb_decoder_attend_kept(m, past, layer, mixed, v, n);
    else bqb_decoder_attend(m, past, layer, mixed, q, n);
    bqb_matrix_mul(&m->mul, x, mixed, &b->o, NULL, true, n);
    if (v) memcpy(v->x2, x, n * C * sizeof *x);
    ops->rmsnorm(h, x, b->norm2, c->eps, n, C);
    bqb_matrix_mul(&m->mul, gate, h, &b->gate, NULL, false, n);
    bqb_matrix_mul(&m->mul, up, h, &b->up, NULL, false, n);
    if (v) memcpy(v->gate, gate, M * sizeof *gate);
    gating g = {ops, gate, up, c->mlp};
    bqb_parallel_for(n, n > 8 ? m->mul.threads : 1, gate_row, &g);
    bqb_matrix_mul(&m->mul, x, gate, &b->down, NULL, true, n);
    bqb_arena_release(m->mul.arena, mark);
}

/* ---- what callers see ---- */

bqb_status bqb_decoder_embed(bqb_decoder *m, float *rows, const int32_t *ids, size_t n, bqb_err *err) {
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= m->config.vocab)
            return bqb_fail(err, BQB_EINVAL, "token %d is not among the model's %zu", (int)ids[i], m->config.vocab);
        bqb_matrix_row(&m->mul, rows + i * m->config.width, &m->embed, (size_t)ids[i]);
    }
    return BQB_OK;
}

/* What went wrong in the products, if anything; the next call starts afresh. */
bqb_status bqb_decoder_finish(bqb_decoder *m, bqb_err *err) {
    return bqb_multiplier_finish(&m->mul, "the language model's activations", err);
}

bqb_status bqb_decoder_run(bqb_decoder *m, bqb_decoder_past *past, float *hidden, bool only_last, const float *rows, size_t n,
                           float **layers, bqb_err *err) {
    size_t C = m->config.width, old = past->n;
    if (n > past->room - past->n)
        return bqb_fail(err, BQB_ELIMIT, "%zu tokens after %zu: there is room for %zu", n, past->n, past->room);
    bqb_gemm_enter(m->mul.gemm);
    float *x = bqb_decoder_take(m, (n < BQB_DECODER_PART ? n : BQB_DECODER_PART) * C);
    for (size_t from = 0; from < n && !m->mul.no_memory; from += BQB_DECODER_PART) {
        size_t k = n - from < BQB_DECODER_PART ? n - from : BQB_DECODER_PART;
        memcpy(x, rows + from * C, k * C * sizeof *x);
        for (size_t l = 0; l < m->config.layers && !m->mul.no_memory; l++) {
            bqb_decoder_pass(m, past, l, x, NULL, k);
            if (layers && layers[l]) memcpy(layers[l] + from * C, x, k * C * sizeof *x);
        }
        if (m->mul.no_memory) break;
        if (!only_last) m->mul.rows->rmsnorm(hidden + from * C, x, m->norm, m->config.eps, k, C);
        else if (from + k == n) m->mul.rows->rmsnorm(hidden, x + (k - 1) * C, m->norm, m->config.eps, 1, C);
        past->n += k;
    }
    bqb_status s = bqb_decoder_finish(m, err);
    if (s) past->n = old;
    return s;
}

bqb_status bqb_decoder_logits(bqb_decoder *m, float *logits, const float *hidden, size_t n, bqb_err *err) {
    bqb_gemm_enter(m->mul.gemm);
    bqb_matrix_mul(&m->mul, logits, hidden, &m->head, NULL, false, n);
    return bqb_decoder_finish(m, err);
}
