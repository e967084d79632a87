#include "chat/tune_batch.h"

#include "base/thread.h"
#include "train/rank.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES = 8, NOT_LEARNT = -100 };

/* Random streams: one for the order of each epoch, one for each sequence of each step. */
static bqb_rand order_rand(const bqb_tune_batch_options *o, uint64_t epoch) { return bqb_rand_seed(o->seed, 2 * epoch + 1); }
static bqb_rand sequence_rand(const bqb_tune_batch_options *o, uint64_t step, size_t k) { return bqb_rand_seed(o->seed, 2 * (step * o->batch + k)); }

/* item[B] of the pictures: an epoch after the other, each in its own order. */
static bqb_status choose_items(uint32_t *item, const bqb_tune_batch_options *o, uint64_t step, bqb_err *err) {
    size_t n = o->pictures->n;
    uint32_t *order = bqb_calloc(n, sizeof *order);
    if (!order) return bqb_fail_nomem(err, "the order of stickers", n * sizeof *order);
    uint64_t at = step * o->batch, epoch = UINT64_MAX;
    for (size_t k = 0; k < o->batch; k++, at++) {
        if (at / n != epoch) {
            epoch = at / n;
            for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
            bqb_rand r = order_rand(o, epoch);
            bqb_rand_shuffle(&r, order, n);
        }
        item[k] = order[at % n];
    }
    free(order);
    return BQB_OK;
}

typedef struct {
    bqb_tune_batch *b;
    const bqb_tune_batch_options *o;
    const uint32_t *item;
    uint64_t step;
    uint8_t *altered; /* [B] which of the two features is shown */
    bqb_status *status;
    bqb_err *err;
} making;

/* A round that came before: talk, or a request in words and what was sent. */
static bqb_status make_earlier(bqb_lesson *l, const bqb_tune_batch_options *o, bool first, bqb_rand *r, bqb_err *err) {
    bqb_lesson_form form = o->form;
    form.earlier = true;
    form.continued = !first;
    bqb_task task = bqb_rand_below(r, 2) ? BQB_TASK_TALK : BQB_TASK_TEXT;
    const bqb_sample *x = bqb_dataset_at(o->ds, o->pictures->sample[bqb_rand_below(r, o->pictures->n)]);
    return bqb_lessons_make(l, o->lessons, &form, task, false, bqb_rand_below(r, bqb_lessons_count(o->lessons, task, false)), &x->note, false, false, r, err);
}

/* One lesson behind `rounds` earlier rounds. */
static bqb_status make_lesson(bqb_lesson *l, const bqb_tune_batch_options *o, size_t rounds, bool talk, bool pret, const bqb_annotation *note, bqb_rand *r, bqb_err *err) {
    bqb_lesson_form form = o->form;
    form.continued = rounds > 0;
    bqb_task task = talk ? BQB_TASK_TALK : bqb_lessons_draw_task(r);
    size_t which = bqb_rand_below(r, bqb_lessons_count(o->lessons, task, false));
    bqb_status s = bqb_lessons_make(l, o->lessons, &form, task, false, which, note, pret, false, r, err);
    for (size_t k = rounds; k-- > 0 && !s;) {
        bqb_lesson before = {0};
        s = make_earlier(&before, o, k == 0, r, err);
        if (!s) s = bqb_lesson_prepend(l, &before, err);
        bqb_lesson_free(&before);
    }
    return s;
}

static void make_one(void *ctx, size_t k, int worker) {
    (void)worker;
    making *m = ctx;
    const bqb_tune_batch_options *o = m->o;
    bqb_lesson *l = &m->b->lesson[k];
    const bqb_sample *x = bqb_dataset_at(o->ds, o->pictures->sample[m->item[k]]);
    bqb_rand r = sequence_rand(o, m->step, k);
    bool talk = bqb_rand_unit(&r) < o->talk, pret = bqb_rand_unit(&r) < o->pret && !talk;
    m->altered[k] = (uint8_t)bqb_rand_below(&r, 2);
    size_t rounds = bqb_rand_unit(&r) < o->rounds ? 1 + bqb_rand_below(&r, 2) : 0;
    for (int t = 0; t < TRIES; t++) {
        bqb_lesson_free(l);
        m->status[k] = make_lesson(l, o, t < TRIES / 2 ? rounds : 0, talk, pret, &x->note, &r, &m->err[k]);
        if (m->status[k] || l->ids.n <= o->most) return;
    }
    m->status[k] = bqb_fail(&m->err[k], BQB_ELIMIT, "%s: its words need more than %zu tokens in %d tries; --context gives more room", x->path, o->most, TRIES);
}

static bqb_status pack(bqb_tune_batch *b, const bqb_tune_batch_options *o, const uint32_t *item, const uint8_t *altered, bqb_err *err) {
    size_t B = o->batch, L = 1, F = o->pictures->F, D = o->pictures->D;
    for (size_t k = 0; k < B; k++)
        if (b->lesson[k].ids.n > L) L = b->lesson[k].ids.n;
    free(b->numbers);
    b->numbers = bqb_calloc(B, (2 * L + 3) * sizeof *b->numbers);
    if (!b->numbers) return bqb_fail_nomem(err, "a batch", B * (2 * L + 3) * sizeof *b->numbers);
    int32_t *ids = b->numbers, *labels = ids + B * L, *length = labels + B * L, *img = length + B, *ret = img + B;
    b->n_tokens = 0;
    for (size_t k = 0; k < B; k++) {
        const bqb_lesson *l = &b->lesson[k];
        size_t i = item[k];
        memcpy(ids + k * L, l->ids.id, l->ids.n * sizeof *ids);
        memcpy(labels + k * L, l->labels.id, l->ids.n * sizeof *labels);
        for (size_t t = l->ids.n; t < L; t++) labels[k * L + t] = NOT_LEARNT;
        length[k] = (int32_t)l->ids.n;
        img[k] = l->img;
        ret[k] = l->ret;
        b->n_tokens += l->ids.n;
        memcpy(b->target + k * D, o->pictures->target + i * D, D * sizeof(float));
        memcpy(b->query + k * F, (altered[k] ? o->pictures->altered : o->pictures->shown) + i * F, F * sizeof(float));
        b->alike[k] = o->pictures->alike[i];
    }
    b->view = (bqb_sticker_batch){.B = B, .L = L, .ids = ids, .labels = labels, .length = length, .img = img, .ret = ret, .query = b->query, .target = b->target};
    return BQB_OK;
}

bqb_status bqb_tune_batch_make(bqb_tune_batch *b, const bqb_tune_batch_options *o, uint64_t step, bqb_err *err) {
    size_t B = o->batch, F = o->pictures->F, D = o->pictures->D;
    if (!b->lesson) {
        b->lesson = bqb_calloc(B, sizeof *b->lesson);
        b->alike = bqb_calloc(B, sizeof *b->alike);
        b->query = bqb_calloc(B * F, sizeof *b->query);
        b->target = bqb_calloc(B * D, sizeof *b->target);
        b->view.B = B;
    }
    uint32_t *item = bqb_calloc(B, sizeof *item);
    making m = {.b = b, .o = o, .item = item, .step = step, .altered = bqb_calloc(B, 1), .status = bqb_calloc(B, sizeof *m.status), .err = bqb_calloc(B, sizeof *m.err)};
    bool room = b->lesson && b->alike && b->query && b->target && item && m.altered && m.status && m.err;
    bqb_status s = room ? choose_items(item, o, step, err) : bqb_fail_nomem(err, "a batch", B * (F + D) * sizeof(float));
    if (!s) bqb_parallel_for(B, o->threads, make_one, &m);
    for (size_t k = 0; k < B && !s; k++)
        if (m.status[k]) s = bqb_fail(err, m.status[k], "%s", m.err[k].msg);
    if (!s) s = pack(b, o, item, m.altered, err);
    free(item);
    free(m.altered);
    free(m.status);
    free(m.err);
    return s;
}

void bqb_tune_batch_free(bqb_tune_batch *b) {
    for (size_t k = 0; b->lesson && k < b->view.B; k++) bqb_lesson_free(&b->lesson[k]);
    free(b->lesson);
    free(b->numbers);
    free(b->alike);
    free(b->query);
    free(b->target);
    *b = (bqb_tune_batch){0};
}

double bqb_tune_batch_recall(const bqb_tune_batch *b, const float *ret, size_t D) {
    size_t n = 0, hits = 0;
    for (size_t i = 0; i < b->view.B; i++) {
        if (b->view.ret[i] < 0) continue;
        size_t best = i;
        float top = bqb_rank_score(ret + i * D, b->view.target + i * D, D);
        for (size_t k = 0; k < b->view.B; k++) {
            float x = b->view.ret[k] < 0 || k == i ? -2 : bqb_rank_score(ret + i * D, b->view.target + k * D, D);
            if (x > top) best = k, top = x;
        }
        n++;
        hits += b->alike[best] == b->alike[i];
    }
    return n ? (double)hits / (double)n : -1;
}
