#include "chat/trial.h"

#include "base/fs.h"
#include "base/thread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MOST = 24, TEXT_MOST = 256, AT_ONCE = 64, PROSE_MAX = 16 << 20 };

char *bqb_trial_words(const bqb_trial *t, bqb_want want, size_t i) {
    bqb_annotation a = bqb_dataset_at(t->ds, t->pictures->sample[i])->note;
    for (bqb_field f = 0; f < BQB_FIELDS; f++)
        if (want == BQB_WANT_CAPTION && f != BQB_CAPTION) a.field[f] = NULL;
    bqb_buf b = {.max = 1 << 20};
    char *copy = bqb_annotation_text(&b, &a, NULL, NULL) ? NULL : bqb_strndup(b.data ? b.data : "", b.len);
    bqb_buf_free(&b);
    return copy;
}

/* ---- one answer ---- */

typedef struct {
    const bqb_trial *t;
    const bqb_question *q;
    bqb_answers *a;
    size_t first;
    bool came[AT_ONCE];
    bqb_status status[AT_ONCE];
    bqb_err err[AT_ONCE];
} asking;

/* What an answer is made in. */
typedef struct {
    bqb_decoder *m;
    const bqb_trial *t;
    bqb_decoder_past *past;
    float *rows, *hidden, *logits;
} answering;

static bqb_status put(answering *a, int32_t id, bqb_err *err) {
    bqb_status s = bqb_stickerllm_embed(a->m, a->t->parts, a->rows, &id, 1, err);
    return s ? s : bqb_decoder_run(a->m, a->past, a->hidden, true, a->rows, 1, NULL, err);
}

static int32_t likeliest(const answering *a, size_t V) {
    int32_t best = 0;
    for (size_t v = 1; v < V; v++)
        if (a->logits[v] > a->logits[best]) best = (int32_t)v;
    return a->logits[V + BQB_TOKEN_RET] > a->logits[best] ? (int32_t)(V + BQB_TOKEN_RET) : best;
}

/* Greedily up to [RET], the end, or ANSWER_MOST tokens; what is never generated is never the likeliest.
 *   feature  [F] of the picture in the question
 *   query    out [D] at [RET]; where none came, at one put where the answer begins. NULL: not wanted then */
static bqb_status answer(answering *a, bool *came, float *query, const bqb_lesson *prompt, const float *feature, bqb_err *err) {
    size_t n = prompt->ids.n, C = bqb_decoder_get_config(a->m)->width, V = bqb_decoder_get_config(a->m)->vocab;
    int32_t ret = (int32_t)(V + BQB_TOKEN_RET);
    bqb_status s = bqb_stickerllm_embed(a->m, a->t->parts, a->rows, prompt->ids.id, n, err);
    if (!s && prompt->img >= 0) bqb_stickerllm_picture(a->t->parts, a->rows + (size_t)prompt->img * C, feature);
    if (!s) s = bqb_decoder_run(a->m, a->past, a->hidden, true, a->rows, n, NULL, err);
    *came = false;
    for (size_t k = 0; k < ANSWER_MOST && !s && !*came; k++) {
        s = bqb_stickerllm_logits(a->m, a->t->parts, a->logits, a->hidden, 1, err);
        int32_t id = s ? ret : likeliest(a, V);
        if (s || bqb_chat_ends(a->t->form.tok, a->t->form.format, bqb_decoder_get_config(a->m), id)) break;
        s = put(a, id, err);
        *came = id == ret;
    }
    if (!s && !*came && query) {
        bqb_decoder_past_cut(a->past, n);
        s = put(a, ret, err);
    }
    if (!s && query) bqb_stickerllm_query(a->t->parts, query, a->hidden);
    return s;
}

static bqb_status answer_alone(asking *j, bqb_decoder *m, size_t k, bqb_err *err) {
    const bqb_trial *t = j->t;
    const bqb_question *q = j->q;
    size_t i = j->a->item[j->first + k], C = bqb_decoder_get_config(m)->width, V = bqb_decoder_get_config(m)->vocab;
    bqb_rand r = bqb_rand_seed(t->seed, j->first + k);
    bqb_annotation note = bqb_dataset_at(t->ds, t->pictures->sample[i])->note;
    char *words = q->want == BQB_WANT_DRAWN || q->task == BQB_TASK_TALK ? NULL : bqb_trial_words(t, q->want, i);
    if (words) note = (bqb_annotation){{words}}; /* the caption is then all there is to ask for */
    bqb_lesson prompt;
    answering a = {.m = m, .t = t};
    size_t which = (j->first + k) % bqb_lessons_count(t->lessons, q->task, q->test);
    bqb_status s = bqb_lessons_make(&prompt, t->lessons, &t->form, q->task, q->test, which, &note, q->pret, true, &r, err);
    if (!s) {
        a.rows = bqb_calloc(prompt.ids.n * C, sizeof(float));
        a.hidden = bqb_calloc(C, sizeof(float));
        a.logits = bqb_calloc(V + BQB_STICKER_TOKENS, sizeof(float));
        s = a.rows && a.hidden && a.logits ? bqb_decoder_past_new(&a.past, m, prompt.ids.n + ANSWER_MOST + 1, err)
                                           : bqb_fail_nomem(err, "an answer", prompt.ids.n * C * sizeof(float));
    }
    float *query = q->task == BQB_TASK_TALK ? NULL : j->a->query + (j->first + k) * t->parts->D;
    if (!s) s = answer(&a, &j->came[k], query, &prompt, t->pictures->altered + i * t->pictures->F, err);
    bqb_lesson_free(&prompt);
    bqb_decoder_past_free(a.past);
    free(a.rows);
    free(a.hidden);
    free(a.logits);
    free(words);
    return s;
}

static void answer_one(void *ctx, size_t k, int worker) {
    asking *j = ctx;
    j->status[k] = answer_alone(j, j->t->n_team ? j->t->team[worker] : j->t->m, k, &j->err[k]);
}

/* ---- many ---- */

/* The pictures that questions are about, in turn. */
static bqb_status choose_items(bqb_answers *a, const bqb_trial *t, const bqb_question *q, bqb_err *err) {
    a->item = bqb_calloc(q->n, sizeof *a->item);
    a->query = bqb_calloc(q->n * t->parts->D, sizeof *a->query);
    if (!a->item || !a->query) return bqb_fail_nomem(err, "answers", q->n * t->parts->D * sizeof *a->query);
    bool round = q->task == BQB_TASK_TALK || q->want == BQB_WANT_DRAWN; /* the pictures may come again; else each comes once */
    for (size_t i = 0; a->n < q->n && (round || i < t->pictures->n); i++) {
        const bqb_annotation *note = &bqb_dataset_at(t->ds, t->pictures->sample[i % t->pictures->n])->note;
        bool has = q->want != BQB_WANT_CAPTION || (note->field[BQB_CAPTION] && *note->field[BQB_CAPTION]);
        if (has || round) a->item[a->n++] = (uint32_t)(i % t->pictures->n);
    }
    return BQB_OK;
}

bqb_status bqb_trial_ask(bqb_answers *a, const bqb_trial *t, const bqb_question *q, bqb_progress_fn progress, void *ctx, bqb_err *err) {
    *a = (bqb_answers){0};
    asking *j = bqb_calloc(1, sizeof *j);
    bqb_status s = j ? choose_items(a, t, q, err) : bqb_fail_nomem(err, "answers", sizeof *j);
    for (size_t at = 0; at < a->n && !s; at += AT_ONCE) {
        size_t here = a->n - at < AT_ONCE ? a->n - at : AT_ONCE;
        *j = (asking){.t = t, .q = q, .a = a, .first = at};
        bqb_parallel_for(here, t->n_team ? (int)t->n_team : 1, answer_one, j);
        for (size_t k = 0; k < here && !s; k++) {
            if (j->status[k]) s = bqb_fail(err, j->status[k], "%s", j->err[k].msg);
            a->answered += j->came[k];
        }
        if (!s && progress && progress(ctx, "asking the language model", at + here, a->n)) s = bqb_fail(err, BQB_ECANCEL, "stopped while asking the language model");
    }
    free(j);
    return s;
}

void bqb_answers_free(bqb_answers *a) {
    free(a->item);
    free(a->query);
    *a = (bqb_answers){0};
}

bqb_status bqb_trial_rank(bqb_recall *out, const bqb_tune_pictures *p, const float *query, const uint32_t *item, size_t n, int threads, bqb_err *err) {
    bqb_place *place = bqb_calloc(n, sizeof *place);
    size_t *first = bqb_calloc(n + 1, sizeof *first); /* each query has one right picture */
    bqb_status s = place && first ? BQB_OK : bqb_fail_nomem(err, "ranks", n * sizeof *place);
    for (size_t i = 0; i <= n && !s; i++) first[i] = i;
    if (!s) s = bqb_rank(place, NULL, 0, query, n, p->target, p->n, p->D, first, item, threads, NULL, NULL, err);
    if (!s) *out = bqb_recall_of(place, n);
    free(place);
    free(first);
    return s;
}

/* ---- unchanged? ---- */

/* Minus the logarithm of the chance of `right` among the first n. */
static double surprise(const float *logits, size_t n, int32_t right) {
    double top = (double)logits[0], sum = 0;
    for (size_t v = 1; v < n; v++) top = fmax(top, (double)logits[v]);
    for (size_t v = 0; v < n; v++) sum += exp((double)logits[v] - top);
    return log(sum) + top - (double)logits[right];
}

/* One text by both ways; before, after and open are sums for now. */
static bqb_status compare(bqb_unchanged *u, const bqb_trial *t, const int32_t *ids, size_t n, bqb_err *err) {
    size_t C = bqb_decoder_get_config(t->m)->width, V = bqb_decoder_get_config(t->m)->vocab, W = V + BQB_STICKER_TOKENS;
    float *block = n < 2 ? NULL : bqb_calloc(2 * n * C + n * (V + W), sizeof *block);
    if (n < 2) return BQB_OK;
    if (!block) return bqb_fail_nomem(err, "logits", n * (V + W) * sizeof *block);
    float *rows = block, *hidden = rows + n * C, *plain = hidden + n * C, *with = plain + n * V;
    bqb_status s = BQB_OK;
    for (int adapted = 0; adapted < 2 && !s; adapted++) {
        bqb_decoder_past *past = NULL;
        s = adapted ? bqb_stickerllm_embed(t->m, t->parts, rows, ids, n, err) : bqb_decoder_embed(t->m, rows, ids, n, err);
        if (!s) s = bqb_decoder_past_new(&past, t->m, n, err);
        if (!s) s = bqb_decoder_run(t->m, past, hidden, false, rows, n, NULL, err);
        if (!s) s = adapted ? bqb_stickerllm_logits(t->m, t->parts, with, hidden, n, err) : bqb_decoder_logits(t->m, plain, hidden, n, err);
        bqb_decoder_past_free(past);
    }
    for (size_t i = 0; i + 1 < n && !s; i++) {
        const float *a = plain + i * V, *b = with + i * W;
        for (size_t v = 0; v < V; v++) u->n_changed += memcmp(a + v, b + v, sizeof *a) != 0;
        u->before += surprise(a, V, ids[i + 1]);
        u->after += surprise(b, V, ids[i + 1]);
        u->open += surprise(b, W, ids[i + 1]);
        u->n_tokens++;
    }
    u->n_texts += !s;
    free(block);
    return s;
}

static bqb_status compare_talk(bqb_unchanged *u, const bqb_trial *t, bqb_err *err) {
    static const bqb_annotation nothing = {{0}};
    bqb_rand r = bqb_rand_seed(t->seed, 0);
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < bqb_lessons_count(t->lessons, BQB_TASK_TALK, true) && !s; k++) {
        bqb_lesson l;
        s = bqb_lessons_make(&l, t->lessons, &t->form, BQB_TASK_TALK, true, k, &nothing, false, false, &r, err);
        if (!s) s = compare(u, t, l.ids.id, l.ids.n < TEXT_MOST ? l.ids.n : TEXT_MOST, err);
        bqb_lesson_free(&l);
    }
    return s;
}

static bqb_status compare_prose(bqb_unchanged *u, const bqb_trial *t, const char *path, bqb_err *err) {
    char *text = NULL;
    bqb_status s = bqb_file_read(&text, NULL, path, PROSE_MAX, err);
    for (const char *line = text; !s && *line;) {
        size_t n = strcspn(line, "\n");
        bqb_ids ids = {0};
        s = bqb_chat_text(&ids, t->form.tok, line, n, err);
        if (!s) s = compare(u, t, ids.id, ids.n < TEXT_MOST ? ids.n : TEXT_MOST, err);
        free(ids.id);
        line += n + (line[n] == '\n');
    }
    free(text);
    return s;
}

bqb_status bqb_trial_unchanged(bqb_unchanged *u, const bqb_trial *t, const char *prose, bqb_err *err) {
    *u = (bqb_unchanged){0};
    bqb_status s = compare_talk(u, t, err);
    if (!s && prose) s = compare_prose(u, t, prose, err);
    double n = u->n_tokens ? (double)u->n_tokens : 1;
    u->before = exp(u->before / n);
    u->after = exp(u->after / n);
    u->open = exp(u->open / n);
    return s;
}
