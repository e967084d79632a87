#include "model/stickerllm.h"

#include "model/clip_internal.h"
#include "model/decoder_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_LEARNT = -100 };

const char *bqb_sticker_token_name(bqb_sticker_token t) {
    static const char *const names[BQB_STICKER_TOKENS] = {"[IMG]", "[/IMG]", "[RET]", "[/RET]", "[PRET]"};
    return (unsigned)t < BQB_STICKER_TOKENS ? names[t] : "";
}

bqb_status bqb_sticker_parts_new(bqb_sticker_parts *p, size_t C, size_t F, size_t D, bqb_err *err) {
    size_t n = 2 * BQB_STICKER_TOKENS * C + C * F + C + D * C + 1;
    *p = (bqb_sticker_parts){.C = C, .F = F, .D = D, .n_floats = n, .ops = bqb_ops_best(), .rows = bqb_rows_best(), .floats = bqb_calloc(n, sizeof(float))};
    if (!p->floats) return bqb_fail_nomem(err, "the trained parts", n * sizeof(float));
    p->embed_new = p->floats;
    p->head_new = p->embed_new + BQB_STICKER_TOKENS * C;
    p->vis_weight = p->head_new + BQB_STICKER_TOKENS * C;
    p->vis_bias = p->vis_weight + C * F;
    p->txt_proj = p->vis_bias + C;
    p->log_scale = p->txt_proj + D * C;
    return BQB_OK;
}

void bqb_sticker_parts_free(bqb_sticker_parts *p) {
    free(p->floats);
    *p = (bqb_sticker_parts){0};
}

static float dot(const bqb_sticker_parts *p, const float *a, const float *b, size_t n) { return p->rows->dot[BQB_ROW_F32](a, b, n); }
static void add_scaled(const bqb_sticker_parts *p, float *y, float a, const float *x, size_t n) { p->rows->add[BQB_ROW_F32](y, a, x, n); }

/* ---- forward, piece by piece ---- */

bqb_status bqb_stickerllm_embed(bqb_decoder *m, const bqb_sticker_parts *parts, float *rows, const int32_t *ids, size_t n, bqb_err *err) {
    size_t V = m->config.vocab, C = parts->C;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= V + BQB_STICKER_TOKENS)
            return bqb_fail(err, BQB_EINVAL, "token %d is not among the model's %zu and the %d for stickers", (int)ids[i], V, BQB_STICKER_TOKENS);
        if ((size_t)ids[i] < V) bqb_matrix_row(&m->mul, rows + i * C, &m->embed, (size_t)ids[i]);
        else memcpy(rows + i * C, parts->embed_new + ((size_t)ids[i] - V) * C, C * sizeof *rows);
    }
    return BQB_OK;
}

void bqb_stickerllm_picture(const bqb_sticker_parts *parts, float *row, const float *feature) {
    for (size_t c = 0; c < parts->C; c++) row[c] = parts->vis_bias[c] + dot(parts, parts->vis_weight + c * parts->F, feature, parts->F);
}

bqb_status bqb_stickerllm_logits(bqb_decoder *m, const bqb_sticker_parts *parts, float *logits, const float *hidden, size_t n, bqb_err *err) {
    size_t V = m->config.vocab, W = V + BQB_STICKER_TOKENS, C = parts->C;
    bqb_status s = bqb_decoder_logits(m, logits, hidden, n, err);
    for (size_t i = n; !s && i-- > 0;) { /* from the last: rows move up to make room */
        memmove(logits + i * W, logits + i * V, V * sizeof *logits);
        for (size_t k = 0; k < BQB_STICKER_TOKENS; k++) logits[i * W + V + k] = dot(parts, hidden + i * C, parts->head_new + k * C, C);
    }
    return s;
}

/* out[D] = txt_proj · hidden, not yet of unit length. */
static void project(const bqb_sticker_parts *parts, float *out, const float *hidden) {
    for (size_t d = 0; d < parts->D; d++) out[d] = dot(parts, parts->txt_proj + d * parts->C, hidden, parts->C);
}

void bqb_stickerllm_query(const bqb_sticker_parts *parts, float *out, const float *hidden) {
    float rnorm;
    project(parts, out, hidden);
    parts->ops->l2norm_fwd(out, &rnorm, out, 1, parts->D);
}

/* ---- the gradient of a batch ---- */

/* One sequence: what was computed of it and is needed on the way back. */
typedef struct {
    bqb_decoder_past *past;
    bqb_decoder_tape *tape; /* of tokens first … length-1; NULL: nothing learns there */
    float *hidden, *dhidden; /* [length,C] */
    size_t length, first;
} sequence;

typedef struct {
    bqb_decoder *m;
    const bqb_sticker_parts *p;
    bqb_sticker_parts *g;
    const bqb_sticker_batch *b;
    sequence *seq;
    bool whole;
} work;

/* The first token that learns: a new one, or a picture. */
static size_t first_learning(const work *w, size_t i, size_t length) {
    const int32_t *ids = w->b->ids + i * w->b->L;
    for (size_t t = 0; t < length; t++)
        if ((size_t)ids[t] >= w->m->config.vocab || (int32_t)t == w->b->img[i]) return t;
    return length;
}

static bqb_status check(const work *w, bqb_err *err) {
    const bqb_sticker_batch *b = w->b;
    for (size_t i = 0; i < b->B; i++) {
        int32_t n = b->length[i];
        if (n < 1 || (size_t)n > b->L) return bqb_fail(err, BQB_EINVAL, "sequence %zu has length %d of at most %zu", i, (int)n, b->L);
        if (b->img[i] >= n || b->ret[i] >= n) return bqb_fail(err, BQB_EINVAL, "sequence %zu has a picture or [RET] behind its end", i);
    }
    return BQB_OK;
}

static bqb_status run_forward(work *w, size_t i, bqb_err *err) {
    sequence *q = &w->seq[i];
    size_t C = w->p->C;
    q->length = (size_t)w->b->length[i];
    q->hidden = bqb_calloc(q->length * C, sizeof *q->hidden);
    q->dhidden = bqb_calloc(q->length * C, sizeof *q->dhidden);
    float *rows = bqb_calloc(q->length * C, sizeof *rows);
    bqb_status s = q->hidden && q->dhidden && rows ? bqb_decoder_past_new(&q->past, w->m, q->length, err)
                                                   : bqb_fail_nomem(err, "a sequence", 3 * q->length * C * sizeof *rows);
    if (!s) s = bqb_stickerllm_embed(w->m, w->p, rows, w->b->ids + i * w->b->L, q->length, err);
    if (!s && w->b->img[i] >= 0) bqb_stickerllm_picture(w->p, rows + (size_t)w->b->img[i] * C, w->b->query + i * w->p->F);
    q->first = s || w->whole ? 0 : first_learning(w, i, q->length);
    if (!s && q->first) s = bqb_decoder_run(w->m, q->past, q->hidden, false, rows, q->first, NULL, err);
    if (!s && q->first < q->length)
        s = bqb_decoder_forward(w->m, q->past, &q->tape, q->hidden + q->first * C, rows + q->first * C, q->length - q->first, err);
    free(rows);
    return s;
}

/* Cross-entropy of one sequence's labels, each weighing 1/n_all; into dhidden and the new head rows. */
static bqb_status learn_words(work *w, size_t i, double *loss, size_t n_all, bqb_err *err) {
    sequence *q = &w->seq[i];
    const int32_t *label = w->b->labels + i * w->b->L;
    size_t V = w->m->config.vocab, W = V + BQB_STICKER_TOKENS, C = w->p->C, n = 0;
    for (size_t t = 0; t + 1 < q->length; t++) n += label[t + 1] != NOT_LEARNT;
    if (!n) return BQB_OK;
    float *h = bqb_calloc(n * C, sizeof *h), *z = bqb_calloc(n * W, sizeof *z), *dz = bqb_calloc(n * V, sizeof *dz), *e = bqb_calloc(W, sizeof *e);
    bqb_status s = h && z && dz && e ? BQB_OK : bqb_fail_nomem(err, "logits", 2 * n * W * sizeof *z);
    n = 0;
    for (size_t t = 0; t + 1 < q->length && !s; t++)
        if (label[t + 1] != NOT_LEARNT) memcpy(h + n++ * C, q->hidden + t * C, C * sizeof *h);
    if (!s) s = bqb_stickerllm_logits(w->m, w->p, z, h, n, err);
    size_t k = 0;
    for (size_t t = 0; t + 1 < q->length && !s; t++) {
        int32_t right = label[t + 1];
        if (right == NOT_LEARNT) continue;
        if (right < 0 || (size_t)right >= W) {
            s = bqb_fail(err, BQB_EINVAL, "label %d is no token", (int)right);
            break;
        }
        float top, sum = w->m->mul.ops->exp_sum(e, &top, z + k * W, W), share = 1.0f / (sum * (float)n_all);
        *loss += (log((double)sum) + (double)top - (double)z[k * W + (size_t)right]) / (double)n_all;
        for (size_t v = 0; v < W; v++) {
            float d = e[v] * share - (v == (size_t)right ? 1.0f / (float)n_all : 0);
            if (v < V) {
                dz[k * V + v] = d;
                continue;
            }
            add_scaled(w->p, w->g->head_new + (v - V) * C, d, h + k * C, C);
            add_scaled(w->p, q->dhidden + t * C, d, w->p->head_new + (v - V) * C, C);
        }
        k++;
    }
    if (!s) s = bqb_decoder_logits_back(w->m, h, dz, n, err);
    k = 0;
    for (size_t t = 0; t + 1 < q->length && !s; t++)
        if (label[t + 1] != NOT_LEARNT) add_scaled(w->p, q->dhidden + t * C, 1, h + k++ * C, C);
    free(h);
    free(z);
    free(dz);
    free(e);
    return s;
}

/* The contrastive loss over all sequences with a [RET]. */
static bqb_status learn_stickers(work *w, bqb_sticker_loss *loss, float *ret, bqb_err *err) {
    size_t B = w->b->B, D = w->p->D, C = w->p->C, n = 0;
    float *block = bqb_calloc(5 * B * D + B, sizeof *block);
    if (!block) return bqb_fail_nomem(err, "queries", 5 * B * D * sizeof *block);
    float *query = block, *img = query + B * D, *dquery = img + B * D, *dimg = dquery + B * D, *rnorm = dimg + B * D;
    for (size_t i = 0; i < B; i++) {
        if (w->b->ret[i] < 0) continue;
        project(w->p, query + n * D, w->seq[i].hidden + (size_t)w->b->ret[i] * C);
        memcpy(img + n * D, w->b->target + i * D, D * sizeof *img);
        n++;
    }
    w->m->mul.ops->l2norm_fwd(query, rnorm, query, n, D);
    loss->n_stickers = n;
    bqb_pass pass = {.ops = w->m->mul.ops, .gemm = w->m->mul.gemm, .arena = w->m->mul.arena, .num = BQB_NUM_F32};
    float dscale = 0;
    bqb_gemm_enter(pass.gemm);
    if (n) bqb_contrastive(&pass, &loss->stickers, dimg, dquery, &dscale, NULL, img, query, &(bqb_pairs){0}, *w->p->log_scale, n, D);
    w->m->mul.no_memory |= pass.no_memory;
    bqb_status s = bqb_decoder_finish(w->m, err);
    if (!s) {
        *w->g->log_scale += dscale;
        w->m->mul.ops->l2norm_bwd(dquery, dquery, query, rnorm, n, D);
    }
    size_t k = 0;
    for (size_t i = 0; i < B && !s; i++) {
        if (ret) memset(ret + i * D, 0, D * sizeof *ret);
        if (w->b->ret[i] < 0) continue;
        if (ret) memcpy(ret + i * D, query + k * D, D * sizeof *ret);
        size_t at = (size_t)w->b->ret[i] * C;
        for (size_t d = 0; d < D; d++) {
            add_scaled(w->p, w->g->txt_proj + d * C, dquery[k * D + d], w->seq[i].hidden + at, C);
            add_scaled(w->p, w->seq[i].dhidden + at, dquery[k * D + d], w->p->txt_proj + d * C, C);
        }
        k++;
    }
    free(block);
    return s;
}

/* Back through the model to the rows that learn. */
static bqb_status run_backward(work *w, size_t i, bqb_err *err) {
    sequence *q = &w->seq[i];
    size_t C = w->p->C, V = w->m->config.vocab, F = w->p->F;
    if (!q->tape) return BQB_OK;
    float *dx = bqb_calloc((q->length - q->first) * C, sizeof *dx);
    if (!dx) return bqb_fail_nomem(err, "a sequence", q->length * C * sizeof *dx);
    bqb_status s = bqb_decoder_backward(w->m, q->past, dx, q->dhidden + q->first * C, q->tape, err);
    for (size_t t = q->first; t < q->length && !s; t++) {
        const float *d = dx + (t - q->first) * C;
        size_t id = (size_t)w->b->ids[i * w->b->L + t];
        if ((int32_t)t == w->b->img[i]) {
            add_scaled(w->p, w->g->vis_bias, 1, d, C);
            for (size_t c = 0; c < C; c++) add_scaled(w->p, w->g->vis_weight + c * F, d[c], w->b->query + i * F, F);
        } else if (id >= V) add_scaled(w->p, w->g->embed_new + (id - V) * C, 1, d, C);
    }
    free(dx);
    return s;
}

bqb_status bqb_stickerllm_grad(bqb_decoder *m, const bqb_sticker_parts *parts, bqb_sticker_parts *grad, bqb_sticker_loss *loss,
                               float *ret, const bqb_sticker_batch *batch, bool whole, bqb_err *err) {
    work w = {.m = m, .p = parts, .g = grad, .b = batch, .whole = whole, .seq = bqb_calloc(batch->B, sizeof *w.seq)};
    bqb_status s = w.seq ? check(&w, err) : bqb_fail_nomem(err, "a batch", batch->B * sizeof *w.seq);
    *loss = (bqb_sticker_loss){0};
    double words = 0;
    for (size_t i = 0; i < batch->B && !s; i++) {
        for (size_t t = 1; t < (size_t)batch->length[i]; t++) loss->n_words += batch->labels[i * batch->L + t] != NOT_LEARNT;
        s = run_forward(&w, i, err);
    }
    for (size_t i = 0; i < batch->B && !s; i++) s = learn_words(&w, i, &words, loss->n_words, err);
    loss->words = (float)words;
    if (!s) s = learn_stickers(&w, loss, ret, err);
    for (size_t i = 0; i < batch->B && !s; i++) s = run_backward(&w, i, err);
    for (size_t i = 0; w.seq && i < batch->B; i++) {
        bqb_decoder_past_free(w.seq[i].past);
        bqb_decoder_tape_free(w.seq[i].tape);
        free(w.seq[i].hidden);
        free(w.seq[i].dhidden);
    }
    free(w.seq);
    return s;
}
