/* The gradient of a batch of special-token tuning. Sequences are independent but for the contrastive loss: all go
 * forward, then that loss, then all go back, each time shared out over a team. What a sequence adds to the
 * gradient is a few rows, kept with it and summed in the batch's order: the team's size changes no bit. */
#include "base/thread.h"
#include "model/clip_internal.h"
#include "model/decoder_internal.h"
#include "model/stickerllm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOT_LEARNT = -100,
    STEP = 16, /* tokens of a pass are a multiple of this, so that products come in few kinds: each has to be prepared */
};

/* One sequence: what was computed of it and is needed on the way back. */
typedef struct {
    bqb_decoder_past *past;
    bqb_decoder_tape *tape;         /* of tokens first … padded-1; NULL: nothing learns there, or it is made again */
    float *rows, *hidden, *dhidden; /* [padded,C] */
    size_t length, padded, first;   /* first = padded: nothing learns */
    float *dembed, *dhead, *dimage; /* [5,C], [5,C], [C]: its part of the gradient */
    double words;                   /* sum of its labels' cross-entropies */
    bqb_status status;
    bqb_err err;
} sequence;

typedef struct {
    bqb_decoder *m;
    const bqb_sticker_parts *p;
    bqb_sticker_parts *g;
    const bqb_sticker_batch *b;
    const bqb_sticker_how *how;
    sequence *seq;
    size_t n_words;
} work;

static size_t rounded(size_t n) { return (n + STEP - 1) / STEP * STEP; }

static void add_scaled(const work *w, float *y, float a, const float *x, size_t n) { w->p->rows->add[BQB_ROW_F32](y, a, x, n); }

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
        for (int32_t t = 1; t < n; t++) {
            int32_t label = b->labels[i * b->L + (size_t)t];
            if (label != NOT_LEARNT && (label < 0 || (size_t)label >= w->m->config.vocab + BQB_STICKER_TOKENS))
                return bqb_fail(err, BQB_EINVAL, "label %d is no token", (int)label);
        }
    }
    return BQB_OK;
}

/* ---- forward ---- */

static bqb_status take_room(const work *w, sequence *q, bqb_decoder *m, bqb_err *err) {
    size_t C = w->p->C, n = q->padded * C;
    q->rows = bqb_calloc(n, sizeof *q->rows);
    q->hidden = bqb_calloc(n, sizeof *q->hidden);
    q->dhidden = bqb_calloc(n, sizeof *q->dhidden);
    q->dembed = bqb_calloc((2 * BQB_STICKER_TOKENS + 1) * C, sizeof *q->dembed);
    if (!q->rows || !q->hidden || !q->dhidden || !q->dembed) return bqb_fail_nomem(err, "a sequence", 3 * n * sizeof *q->rows);
    q->dhead = q->dembed + BQB_STICKER_TOKENS * C;
    q->dimage = q->dhead + BQB_STICKER_TOKENS * C;
    return bqb_decoder_past_new(&q->past, m, q->padded, err);
}

static bqb_status run_forward(work *w, size_t i, bqb_decoder *m, bqb_err *err) {
    sequence *q = &w->seq[i];
    size_t C = w->p->C;
    q->length = (size_t)w->b->length[i];
    q->padded = rounded(q->length); /* what is appended comes after all that counts, and is seen by none of it */
    bqb_status s = take_room(w, q, m, err);
    if (!s) s = bqb_stickerllm_embed(m, w->p, q->rows, w->b->ids + i * w->b->L, q->length, err);
    if (!s && w->b->img[i] >= 0) bqb_stickerllm_picture(w->p, q->rows + (size_t)w->b->img[i] * C, w->b->query + i * w->p->F);
    size_t first = first_learning(w, i, q->length);
    q->first = w->how->whole ? 0 : first == q->length ? q->padded : first / STEP * STEP;
    if (!s && q->first) s = bqb_decoder_run(m, q->past, q->hidden, false, q->rows, q->first, NULL, err);
    if (!s && q->first < q->padded)
        s = bqb_decoder_forward(m, q->past, &q->tape, q->hidden + q->first * C, q->rows + q->first * C, q->padded - q->first, err);
    if (!s && w->how->recompute) {
        bqb_decoder_tape_free(q->tape);
        q->tape = NULL;
        bqb_decoder_past_cut(q->past, q->first);
    }
    return s;
}

/* Cross-entropy of one sequence's labels, each weighing 1/n_words; into dhidden and the new head rows. */
static bqb_status learn_words(work *w, size_t i, bqb_decoder *m, bqb_err *err) {
    sequence *q = &w->seq[i];
    const int32_t *label = w->b->labels + i * w->b->L;
    size_t V = m->config.vocab, W = V + BQB_STICKER_TOKENS, C = w->p->C, n = 0, k = 0;
    for (size_t t = 0; t + 1 < q->length; t++) n += label[t + 1] != NOT_LEARNT;
    if (!n) return BQB_OK;
    float *h = bqb_calloc(n * C, sizeof *h), *z = bqb_calloc(n * W, sizeof *z), *dz = bqb_calloc(n * V, sizeof *dz);
    float each = 1.0f / (float)w->n_words;
    bqb_status s = h && z && dz ? BQB_OK : bqb_fail_nomem(err, "logits", 2 * n * W * sizeof *z);
    for (size_t t = 0; t + 1 < q->length && !s; t++)
        if (label[t + 1] != NOT_LEARNT) memcpy(h + k++ * C, q->hidden + t * C, C * sizeof *h);
    if (!s) s = bqb_stickerllm_logits(m, w->p, z, h, n, err);
    k = 0;
    for (size_t t = 0; t + 1 < q->length && !s; t++) {
        if (label[t + 1] == NOT_LEARNT) continue;
        float *e = z + k * W, top, right = e[label[t + 1]], sum = m->mul.ops->exp_sum(e, &top, e, W), share = each / sum;
        q->words += log((double)sum) + (double)top - (double)right;
        for (size_t v = 0; v < V; v++) dz[k * V + v] = e[v] * share;
        if ((size_t)label[t + 1] < V) dz[k * V + (size_t)label[t + 1]] -= each;
        for (size_t v = 0; v < BQB_STICKER_TOKENS; v++) {
            float d = e[V + v] * share - ((size_t)label[t + 1] == V + v ? each : 0);
            add_scaled(w, q->dhead + v * C, d, h + k * C, C);
            add_scaled(w, q->dhidden + t * C, d, w->p->head_new + v * C, C);
        }
        k++;
    }
    if (!s) s = bqb_decoder_logits_back(m, h, dz, n, err);
    k = 0;
    for (size_t t = 0; t + 1 < q->length && !s; t++)
        if (label[t + 1] != NOT_LEARNT) add_scaled(w, q->dhidden + t * C, 1, h + k++ * C, C);
    free(h);
    free(z);
    free(dz);
    return s;
}

/* ---- the stickers ---- */

/* The contrastive loss over all sequences with a [RET]. */
static bqb_status learn_stickers(work *w, bqb_sticker_loss *loss, float *ret, bqb_err *err) {
    size_t B = w->b->B, D = w->p->D, C = w->p->C, n = 0;
    bqb_decoder *m = w->m;
    float *block = bqb_calloc(B * (4 * D + 2 * C + 1), sizeof *block);
    uint32_t *alike = bqb_calloc(B, sizeof *alike);
    if (!block || !alike) {
        free(block);
        free(alike);
        return bqb_fail_nomem(err, "queries", B * (4 * D + 2 * C + 1) * sizeof *block);
    }
    float *query = block, *img = query + B * D, *dquery = img + B * D, *dimg = dquery + B * D, *h = dimg + B * D, *dh = h + B * C, *rnorm = dh + B * C;
    for (size_t i = 0; i < B; i++) {
        if (w->b->ret[i] < 0) continue;
        memcpy(h + n * C, w->seq[i].hidden + (size_t)w->b->ret[i] * C, C * sizeof *h);
        memcpy(img + n * D, w->b->target + i * D, D * sizeof *img);
        alike[n++] = w->how->alike ? w->how->alike[i] : 0;
    }
    loss->n_stickers = n;
    bqb_pass pass = {.ops = m->mul.ops, .gemm = m->mul.gemm, .arena = m->mul.arena, .num = BQB_NUM_F32};
    bqb_pairs pairs = {.image_group = w->how->alike ? alike : NULL};
    float dscale = 0;
    bqb_gemm_enter(pass.gemm);
    if (n) {
        bqb_gemm_linear(pass.gemm, query, BQB_NUM_F32, h, w->p->txt_proj, BQB_NUM_F32, NULL, BQB_ACT_NONE, false, n, D, C);
        m->mul.ops->l2norm_fwd(query, rnorm, query, n, D);
        bqb_contrastive(&pass, &loss->stickers, dimg, dquery, &dscale, NULL, img, query, &pairs, *w->p->log_scale, n, D);
        m->mul.ops->l2norm_bwd(dquery, dquery, query, rnorm, n, D);
        bqb_gemm_outer(pass.gemm, w->g->txt_proj, dquery, h, BQB_NUM_F32, n, D, C);
        bqb_gemm_back(pass.gemm, dh, BQB_NUM_F32, dquery, w->p->txt_proj, BQB_NUM_F32, false, n, D, C);
    }
    m->mul.no_memory |= pass.no_memory;
    bqb_status s = bqb_decoder_finish(m, err);
    if (!s) *w->g->log_scale += dscale;
    n = 0;
    for (size_t i = 0; i < B && !s; i++) {
        if (ret) memset(ret + i * D, 0, D * sizeof *ret);
        if (w->b->ret[i] < 0) continue;
        if (ret) memcpy(ret + i * D, query + n * D, D * sizeof *ret);
        add_scaled(w, w->seq[i].dhidden + (size_t)w->b->ret[i] * C, 1, dh + n++ * C, C);
    }
    free(block);
    free(alike);
    return s;
}

/* ---- backward ---- */

/* Back through the model to the rows that learn. */
static bqb_status run_backward(work *w, size_t i, bqb_decoder *m, bqb_err *err) {
    sequence *q = &w->seq[i];
    size_t C = w->p->C, V = m->config.vocab, n = q->padded - q->first;
    if (!n) return BQB_OK;
    float *dx = bqb_calloc(n * C, sizeof *dx);
    bqb_status s = dx ? BQB_OK : bqb_fail_nomem(err, "a sequence", n * C * sizeof *dx);
    if (!s && !q->tape) s = bqb_decoder_forward(m, q->past, &q->tape, q->hidden + q->first * C, q->rows + q->first * C, n, err);
    if (!s) s = bqb_decoder_backward(m, q->past, dx, q->dhidden + q->first * C, q->tape, err);
    bqb_decoder_tape_free(q->tape);
    q->tape = NULL;
    for (size_t t = q->first; t < q->length && !s; t++) {
        size_t id = (size_t)w->b->ids[i * w->b->L + t];
        float *to = (int32_t)t == w->b->img[i] ? q->dimage : id >= V ? q->dembed + (id - V) * C : NULL;
        if (to) add_scaled(w, to, 1, dx + (t - q->first) * C, C);
    }
    free(dx);
    return s;
}

/* What the sequences add to the gradient, in their order. */
static bqb_status sum_up(work *w, bqb_err *err) {
    size_t B = w->b->B, C = w->p->C, F = w->p->F, n = 0;
    float *block = bqb_calloc(B * (C + F), sizeof *block), *dimage = block, *image = block + B * C;
    if (!block) return bqb_fail_nomem(err, "pictures", B * (C + F) * sizeof *block);
    for (size_t i = 0; i < B; i++) {
        const sequence *q = &w->seq[i];
        add_scaled(w, w->g->embed_new, 1, q->dembed, BQB_STICKER_TOKENS * C);
        add_scaled(w, w->g->head_new, 1, q->dhead, BQB_STICKER_TOKENS * C);
        if (w->b->img[i] < 0) continue;
        add_scaled(w, w->g->vis_bias, 1, q->dimage, C);
        memcpy(dimage + n * C, q->dimage, C * sizeof *dimage);
        memcpy(image + n++ * F, w->b->query + i * F, F * sizeof *image);
    }
    bqb_gemm_enter(w->m->mul.gemm);
    if (n) bqb_gemm_outer(w->m->mul.gemm, w->g->vis_weight, dimage, image, BQB_NUM_F32, n, C, F);
    free(block);
    return bqb_decoder_finish(w->m, err);
}

/* ---- the whole ---- */

static bqb_decoder *hands(const work *w, int worker) { return w->how->n_team ? w->how->team[worker] : w->m; }

static void forward_one(void *ctx, size_t i, int worker) {
    work *w = ctx;
    sequence *q = &w->seq[i];
    q->status = run_forward(w, i, hands(w, worker), &q->err);
    if (!q->status) q->status = learn_words(w, i, hands(w, worker), &q->err);
}

static void backward_one(void *ctx, size_t i, int worker) {
    work *w = ctx;
    w->seq[i].status = run_backward(w, i, hands(w, worker), &w->seq[i].err);
}

static bqb_status all(work *w, bqb_parallel_fn fn, bqb_err *err) {
    bqb_parallel_for(w->b->B, w->how->n_team ? (int)w->how->n_team : 1, fn, w);
    for (size_t i = 0; i < w->b->B; i++)
        if (w->seq[i].status) return bqb_fail(err, w->seq[i].status, "%s", w->seq[i].err.msg);
    return BQB_OK;
}

bqb_status bqb_stickerllm_grad(bqb_decoder *m, const bqb_sticker_parts *parts, bqb_sticker_parts *grad, bqb_sticker_loss *loss,
                               float *ret, const bqb_sticker_batch *batch, const bqb_sticker_how *how, bqb_err *err) {
    static const bqb_sticker_how plainly = {0};
    work w = {.m = m, .p = parts, .g = grad, .b = batch, .how = how ? how : &plainly, .seq = bqb_calloc(batch->B, sizeof *w.seq)};
    bqb_status s = w.seq ? check(&w, err) : bqb_fail_nomem(err, "a batch", batch->B * sizeof *w.seq);
    *loss = (bqb_sticker_loss){0};
    for (size_t i = 0; i < batch->B && !s; i++)
        for (size_t t = 1; t < (size_t)batch->length[i]; t++) w.n_words += batch->labels[i * batch->L + t] != NOT_LEARNT;
    if (!s) s = all(&w, forward_one, err);
    double words = 0;
    for (size_t i = 0; i < batch->B && !s; i++) words += w.seq[i].words;
    loss->n_words = w.n_words;
    loss->words = w.n_words ? (float)(words / (double)w.n_words) : 0;
    if (!s) s = learn_stickers(&w, loss, ret, err);
    if (!s) s = all(&w, backward_one, err);
    if (!s) s = sum_up(&w, err);
    for (size_t i = 0; w.seq && i < batch->B; i++) {
        sequence *q = &w.seq[i];
        bqb_decoder_past_free(q->past);
        bqb_decoder_tape_free(q->tape);
        free(q->rows);
        free(q->hidden);
        free(q->dhidden);
        free(q->dembed);
    }
    free(w.seq);
    return s;
}

double bqb_stickerllm_grad_bytes(const bqb_decoder_config *c, size_t B, size_t L, size_t taped, size_t n_team, bool recompute) {
    double n = (double)rounded(L), t = (double)rounded(taped), C = (double)c->width, Q = (double)(c->heads * c->head_dim), KV = (double)(c->kv_heads * c->head_dim);
    double normed = c->family == BQB_QWEN3 ? Q + KV : 0;
    double tape = (double)c->layers * t * (2 * C + Q + normed + 2 * (double)c->mlp + (double)c->heads * n) + t * C;
    double past = 2 * (double)c->layers * n * KV, rows = 3 * n * C;
    double pass = n * (4 * C + 4 * Q + 4 * KV + 4 * (double)c->mlp + n), logits = 3 * 64 * (double)c->vocab; /* of one at a time; an answer's tokens */
    double team = n_team ? (double)n_team : 1;
    return 4 * ((double)B * (rows + past + (recompute ? 0 : tape)) + team * (pass + logits + (recompute ? tape : 0)));
}
