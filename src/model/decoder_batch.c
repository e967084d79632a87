/* Learning from many documents: parts of them go through the decoder on threads of their own. */
#include "model/decoder_internal.h"

#include "base/thread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What rows need on their way through. */
typedef struct {
    size_t room;
    float *rows, *hidden, *logits, *dhidden;
    int32_t *next;
    bqb_decoder_past *past;
} desk;

/* A decoder with tools of its own around the same weights. */
struct bqb_decoder_worker {
    bqb_decoder *m;
    desk desk;
    float *grad; /* [n_weights] */
    double loss;
    bqb_err err;
    bqb_status status;
};

static void desk_free(desk *d) {
    free(d->rows);
    free(d->hidden);
    free(d->logits);
    free(d->dhidden);
    free(d->next);
    bqb_decoder_past_free(d->past);
    *d = (desk){0};
}

static bqb_status desk_room(desk *d, const bqb_decoder *m, size_t n, bqb_err *err) {
    size_t C = m->config.width, V = m->config.vocab;
    if (n <= d->room) return BQB_OK;
    desk_free(d);
    *d = (desk){.room = n, .rows = bqb_calloc(n * C, sizeof(float)), .hidden = bqb_calloc(n * C, sizeof(float)),
                .logits = bqb_calloc(n * V, sizeof(float)), .dhidden = bqb_calloc(n * C, sizeof(float)), .next = bqb_calloc(n, sizeof(int32_t))};
    if (d->rows && d->hidden && d->logits && d->dhidden && d->next) {
        bqb_status s = bqb_decoder_past_new(&d->past, m, n, err);
        if (!s) return BQB_OK;
    }
    desk_free(d);
    return bqb_fail_nomem(err, "a lesson", n * (3 * C + V) * sizeof(float));
}

void bqb_decoder_crew_free(bqb_decoder *m) {
    for (size_t i = 0; i < m->n_crew; i++) {
        desk_free(&m->crew[i].desk);
        if (m->crew[i].m) bqb_arena_free(m->crew[i].m->tapes);
        bqb_decoder_free(m->crew[i].m);
        free(m->crew[i].grad);
    }
    free(m->crew);
    m->crew = NULL;
    m->n_crew = 0;
}

static bqb_status backward(bqb_decoder *m, desk *d, bqb_decoder_tape *tape, const int32_t *ids, size_t n, bqb_err *err) {
    size_t C = m->config.width;
    bqb_gemm_enter(m->mul.gemm);
    bqb_decoder_grad_matrix(m, &m->head, NULL, d->logits, d->hidden, n);
    bqb_status s = bqb_decoder_logits_back(m, d->dhidden, d->logits, n, err);
    if (!s) s = bqb_decoder_backward(m, d->past, d->rows, d->dhidden, tape, err);
    float *embed = bqb_decoder_grad_of(m, m->embed.data);
    for (size_t t = 0; t < n && !s; t++) m->mul.ops->add(embed + (size_t)ids[t] * C, d->rows + t * C, C);
    return s;
}

/* ids and d->next [n] → share of the loss; the gradient is added to m->grad, where there is one. */
static bqb_status learn_rows(bqb_decoder *m, desk *d, double *loss, const int32_t *ids, const bqb_decoder_choice *choice, size_t n, size_t learnt,
                             bqb_err *err) {
    bqb_decoder_tape *tape = NULL;
    d->past->n = 0;
    bqb_status s = bqb_decoder_embed(m, d->rows, ids, n, err);
    if (!s) s = bqb_decoder_forward(m, d->past, &tape, d->hidden, d->rows, n, err);
    if (!s) s = bqb_decoder_logits(m, d->logits, d->hidden, n, err);
    if (!s) *loss += bqb_decoder_cross_entropy(m, d->logits, d->next, choice, n, learnt);
    if (!s && m->grad) {
        d->past->n = 0;
        s = backward(m, d, tape, ids, n, err);
    }
    bqb_decoder_tape_free(tape);
    return s;
}

static bqb_status check_ids(const bqb_decoder *m, const int32_t *ids, size_t n, bqb_err *err) {
    size_t V = m->config.vocab;
    if (!m->weights) return bqb_fail(err, BQB_EINVAL, "a decoder that was opened is frozen");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= V) return bqb_fail(err, BQB_EINVAL, "token %d is not among the model's %zu", (int)ids[i], V);
    return BQB_OK;
}

bqb_status bqb_decoder_learn(bqb_decoder *m, float *grad, float *loss, const int32_t *ids, const bool *skip, size_t n, bqb_err *err) {
    bqb_status s = check_ids(m, ids, n, err);
    if (s) return s;
    if (n < 2) return bqb_fail(err, BQB_EINVAL, "%zu tokens: the second is the first that can be learnt", n);
    desk d = {0};
    double sum = 0;
    size_t learnt = 0;
    s = desk_room(&d, m, n - 1, err);
    for (size_t t = 0; t + 1 < n && !s; t++) {
        d.next[t] = skip && skip[t + 1] ? -1 : ids[t + 1];
        learnt += d.next[t] >= 0;
    }
    m->grad = grad;
    if (!s) s = learn_rows(m, &d, &sum, ids, NULL, n - 1, learnt, err);
    m->grad = NULL;
    *loss = (float)sum;
    desk_free(&d);
    return s;
}

/* ---- many documents ---- */

static bqb_status make_crew(bqb_decoder *m, bqb_err *err) {
    size_t n = (size_t)m->mul.threads;
    if (m->crew) return BQB_OK;
    bqb_status s = BQB_OK;
    if (!(m->crew = bqb_calloc(n, sizeof *m->crew))) return bqb_fail_nomem(err, "decoder", n * sizeof *m->crew);
    for (size_t i = 0; i < n && !s; i++) {
        struct bqb_decoder_worker *w = &m->crew[m->n_crew++];
        s = bqb_decoder_share(&w->m, m, 1, err);
        if (s) break;
        w->m->tapes = bqb_arena_new();
        w->grad = bqb_calloc(m->n_weights, sizeof *w->grad);
        if (!w->m->tapes || !w->grad) s = bqb_fail_nomem(err, "decoder", m->n_weights * sizeof *w->grad);
    }
    if (s) bqb_decoder_crew_free(m);
    return s;
}

typedef struct {
    bqb_decoder *m;
    const int32_t *ids;
    const bool *skip;
    const size_t *end;
    const bqb_decoder_choice *choice;
    size_t n_docs, learnt, n_choices;
    bool grad;
} batch;

/* The end of the part that begins with document `doc`. A document longer than a part is one by itself. */
static size_t part_end(const batch *b, size_t doc) {
    size_t start = doc ? b->end[doc - 1] : 0, to = doc + 1;
    while (to < b->n_docs && b->end[to] - start <= BQB_DECODER_PART) to++;
    return to;
}

static bqb_status learn_part(const batch *b, struct bqb_decoder_worker *w, size_t doc, size_t to) {
    size_t start = doc ? b->end[doc - 1] : 0, n = b->end[to - 1] - start;
    bqb_status s = desk_room(&w->desk, w->m, n > BQB_DECODER_PART ? n : BQB_DECODER_PART, &w->err);
    if (s) return s;
    size_t *end = bqb_calloc(to - doc, sizeof *end);
    if (!end) return bqb_fail_nomem(&w->err, "a lesson", (to - doc) * sizeof *end);
    for (size_t i = doc, t = start; i < to; i++) {
        end[i - doc] = b->end[i] - start;
        for (; t < b->end[i]; t++)
            w->desk.next[t - start] = t + 1 == b->end[i] || (b->skip && b->skip[t + 1]) ? -1 : b->ids[t + 1];
    }
    for (size_t c = 0; c < b->n_choices; c++) {
        size_t at = b->choice[c].at;
        if (at >= start && at < start + n && w->desk.next[at - start] >= 0) w->desk.next[at - start] = (int32_t)(-2 - (int64_t)c);
    }
    w->m->docs = &(bqb_decoder_docs){end, to - doc};
    s = learn_rows(w->m, &w->desk, &w->loss, b->ids + start, b->choice, n, b->learnt, &w->err);
    w->m->docs = NULL;
    free(end);
    return s;
}

/* Every n_crew-th part is this worker's. */
static void take_parts(void *ctx, size_t who, int thread) {
    (void)thread;
    const batch *b = ctx;
    struct bqb_decoder_worker *w = &b->m->crew[who];
    w->loss = 0;
    w->status = BQB_OK;
    w->m->grad = b->grad ? w->grad : NULL;
    if (b->grad) memset(w->grad, 0, b->m->n_weights * sizeof *w->grad);
    for (size_t doc = 0, part = 0; doc < b->n_docs && !w->status; part++) {
        size_t to = part_end(b, doc);
        if (part % b->m->n_crew == who) w->status = learn_part(b, w, doc, to);
        doc = to;
    }
}

bqb_status bqb_decoder_learn_batch(bqb_decoder *m, float *grad, double *loss, const int32_t *ids, const bool *skip, const size_t *end,
                                   size_t n_docs, bqb_err *err) {
    return bqb_decoder_learn_choices(m, grad, loss, ids, skip, end, n_docs, NULL, 0, err);
}

bqb_status bqb_decoder_learn_choices(bqb_decoder *m, float *grad, double *loss, const int32_t *ids, const bool *skip, const size_t *end,
                                     size_t n_docs, const bqb_decoder_choice *choice, size_t n_choices, bqb_err *err) {
    *loss = 0;
    batch b = {.m = m, .ids = ids, .skip = skip, .end = end, .n_docs = n_docs, .choice = choice, .n_choices = n_choices, .grad = grad != NULL};
    if (!n_docs) return BQB_OK;
    bqb_status s = check_ids(m, ids, end[n_docs - 1], err);
    for (size_t i = 0, start = 0; i < n_docs && !s; start = end[i++]) {
        if (end[i] <= start || end[i] - start > m->config.context)
            s = bqb_fail(err, BQB_EINVAL, "document %zu has %zu tokens; 1 to %zu can be learnt from", i + 1, end[i] - start, m->config.context);
        for (size_t t = start + 1; t < end[i]; t++) b.learnt += !(skip && skip[t]);
    }
    for (size_t c = 0; c < n_choices && !s; c++) s = check_ids(m, choice[c].id, choice[c].n, err);
    if (!s) s = make_crew(m, err);
    if (s || !b.learnt) return s;
    bqb_parallel_for(m->n_crew, (int)m->n_crew, take_parts, &b);
    for (size_t i = 0; i < m->n_crew; i++) {
        struct bqb_decoder_worker *w = &m->crew[i];
        if (w->status && !s) {
            s = w->status;
            if (err) *err = w->err;
        }
        *loss += w->loss;
        if (grad && !s) m->mul.ops->add(grad, w->grad, m->n_weights);
    }
    return s;
}
