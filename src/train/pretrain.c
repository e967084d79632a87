#include "train/pretrain.h"

#include "base/clock.h"
#include "base/fs.h"
#include "train/out_folder.h"
#include "train/pretrain_keep.h"
#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DOCUMENT = 1 << 20 };

/* A batch of whole documents. */
typedef struct {
    bqb_ids ids;
    bool *skip; /* [skip_room] */
    size_t skip_room;
    size_t *end, n, cap;
} pack;

typedef struct {
    const bqb_pretrain_options *o;
    bqb_llm_tokenizer *tok;
    bqb_decoder *m;
    float *grad, *mom, *var;
    pack batch, held;
    bqb_pretrain_place at;
    double loss, valid, saved_at, busy_s;
    uint64_t busy_tokens;
    int32_t open, close, end, assistant; /* <|im_start|>, <|im_end|>, <|endoftext|>; the token of that word */
    bool *is_mark;     /* [V] after which the message before is recalled; NULL: none */
    uint32_t *met;     /* [V] documents that hold the token, of the first ones */
    bqb_decoder_choice *choice;
    int32_t *choice_id;
    float *choice_weight;
    size_t n_choices;
    int lock;
} training;

static void tell(const training *t, const char *line) {
    if (t->o->say) t->o->say(t->o->ctx, line);
}

/* ---- documents ---- */

static bqb_status add_document(training *t, pack *p, bool held_out, uint64_t i, bqb_err *err) {
    bqb_buf text = {.max = MAX_DOCUMENT};
    size_t first = p->ids.n;
    bqb_status s = t->o->source(t->o->source_ctx, held_out, i, &text, err);
    if (!s) s = bqb_llm_tokenizer_encode(t->tok, &p->ids, text.data ? text.data : "", text.len, true, err);
    bqb_buf_free(&text);
    if (!s) s = bqb_ids_add(&p->ids, t->end, err);
    if (s) return s;
    if (p->ids.n - first > t->o->context) p->ids.n = first + t->o->context;
    size_t *grown = bqb_grow(p->end, p->n, &p->cap, sizeof *grown, 256);
    if (!grown) return bqb_fail_nomem(err, "documents", (p->n + 1) * sizeof *grown);
    p->end = grown;
    p->end[p->n++] = p->ids.n;
    return BQB_OK;
}

/* Marks what is not learnt: all up to "<|im_start|>assistant\n" and from "<|im_end|>" to the next; of documents without such messages nothing. */
static bqb_status mark(training *t, pack *p, bqb_err *err) {
    if (!t->o->answers) return BQB_OK;
    if (p->ids.n > p->skip_room) {
        free(p->skip);
        p->skip_room = 2 * p->ids.n;
        p->skip = bqb_calloc(p->skip_room, sizeof *p->skip);
        if (!p->skip) return bqb_fail_nomem(err, "documents", p->skip_room);
    }
    const int32_t *id = p->ids.id;
    for (size_t d = 0, i = 0; d < p->n; d++) {
        bool said = id[i] != t->open, plain = said;
        for (size_t first = i; i < p->end[d]; i++) {
            p->skip[i] = !said;
            if (plain) continue;
            if (id[i] == t->close) said = false;
            /* <|im_start|> assistant \n: what comes after is said. */
            if (i >= first + 2 && id[i - 2] == t->open && id[i - 1] == t->assistant) said = true;
        }
    }
    return BQB_OK;
}

static bqb_status fill_batch(training *t, bqb_err *err) {
    bqb_status s = BQB_OK;
    t->batch.ids.n = t->batch.n = 0;
    while (t->batch.ids.n < t->o->batch && !s) s = add_document(t, &t->batch, false, t->at.document++, err);
    return s ? s : mark(t, &t->batch, err);
}

enum { COUNTED = 4000, CHOICES = 4096, CHOICE_TOKENS = 1 << 18 };

/* Which tokens are marks, and how rare each token is. */
static bqb_status begin_recall(training *t, bqb_err *err) {
    if (!t->o->recall) return BQB_OK;
    size_t V = bqb_llm_tokenizer_size(t->tok);
    t->is_mark = bqb_calloc(V, sizeof *t->is_mark);
    t->met = bqb_calloc(V, sizeof *t->met);
    t->choice = bqb_calloc(CHOICES, sizeof *t->choice);
    t->choice_id = bqb_calloc(CHOICE_TOKENS, sizeof *t->choice_id);
    t->choice_weight = bqb_calloc(CHOICE_TOKENS, sizeof *t->choice_weight);
    uint64_t *seen = bqb_calloc(V, sizeof *seen);
    if (!t->is_mark || !t->met || !t->choice || !t->choice_id || !t->choice_weight || !seen) {
        free(seen);
        return bqb_fail_nomem(err, "recall", V * 16);
    }
    bqb_ids marks = {0};
    bqb_status s = bqb_llm_tokenizer_encode(t->tok, &marks, t->o->recall, strlen(t->o->recall), false, err);
    for (size_t i = 0; i < marks.n && !s; i++) t->is_mark[marks.id[i]] = true;
    free(marks.id);
    pack p = {0};
    for (uint64_t d = 0; d < COUNTED && !s; d++) {
        p.ids.n = p.n = 0;
        s = add_document(t, &p, false, d, err);
        for (size_t i = 0; i < p.ids.n && !s; i++)
            if (seen[p.ids.id[i]] != d + 1) seen[p.ids.id[i]] = d + 1, t->met[p.ids.id[i]]++;
    }
    free(p.ids.id);
    free(p.end);
    free(seen);
    return s;
}

/* The tokens of the last message before ids[at] in its document, each by how rare it is. */
static void add_choice(training *t, const int32_t *id, size_t first, size_t at, size_t *used) {
    size_t end = at, begin, n = 0;
    while (end > first && id[end] != t->close) end--;
    for (begin = end; begin > first && id[begin] != t->open; begin--) {}
    begin += 3; /* <|im_start|> user \n */
    if (begin >= end || t->n_choices == CHOICES || *used + (end - begin) > CHOICE_TOKENS) return;
    double total = 0;
    for (size_t i = begin; i < end; i++) {
        double w = log((double)COUNTED / (1 + (double)t->met[id[i]]));
        if (w < 1) continue; /* as good as everywhere */
        t->choice_id[*used + n] = id[i];
        t->choice_weight[*used + n++] = (float)w;
        total += w;
    }
    if (!n) return;
    for (size_t i = 0; i < n; i++) t->choice_weight[*used + i] /= (float)total;
    t->choice[t->n_choices++] = (bqb_decoder_choice){at, t->choice_id + *used, t->choice_weight + *used, n};
    *used += n;
}

static void find_choices(training *t, const pack *p) {
    size_t used = 0;
    t->n_choices = 0;
    for (size_t d = 0, first = 0; d < p->n && t->is_mark; first = p->end[d++]) {
        bool said = false;
        for (size_t i = first + 2; i < p->end[d]; i++) {
            if (p->ids.id[i - 2] == t->open) said = p->ids.id[i - 1] == t->assistant;
            if (said && t->is_mark[p->ids.id[i]]) add_choice(t, p->ids.id, first, i, &used);
        }
    }
}

static void free_pack(pack *p) {
    free(p->ids.id);
    free(p->skip);
    free(p->end);
}

/* ---- measuring and keeping ---- */

static bqb_status measure(training *t, bqb_err *err) {
    if (!t->o->held_out) return BQB_OK;
    bqb_status s = BQB_OK;
    while (t->held.n < t->o->held_out && !s) s = add_document(t, &t->held, true, t->held.n, err);
    if (!s) s = mark(t, &t->held, err);
    if (!s) s = bqb_decoder_learn_batch(t->m, NULL, &t->valid, t->held.ids.id, t->held.skip, t->held.end, t->held.n, err);
    if (!s) s = bqb_pretrain_line(t->o, "valid.csv", err, "%" PRIu64 ",%.5f,%.4f\n", t->at.step, t->valid, exp(t->valid));
    char line[160];
    snprintf(line, sizeof line, "step %" PRIu64 ": loss %.3f, held-out perplexity %.3f, %.0f tokens/s", t->at.step, t->loss, exp(t->valid),
             t->busy_s > 0 ? (double)t->busy_tokens / t->busy_s : 0);
    if (!s) tell(t, line);
    return s;
}

static bqb_status keep(training *t, bqb_err *err) {
    bqb_status s = bqb_pretrain_save(t->o, t->m, t->mom, t->var, &t->at, err);
    if (!s) s = bqb_decoder_save(t->m, t->o->out, !t->o->f32, err);
    t->saved_at = bqb_now_s();
    return s;
}

/* ---- steps ---- */

static bqb_status take_step(training *t, bqb_err *err) {
    const bqb_pretrain_options *o = t->o;
    double began = bqb_now_s(), lr = bqb_schedule_lr(o->lr, t->at.step, o->warmup, o->steps);
    size_t n = bqb_decoder_weight_count(t->m);
    bqb_pretrain_place before = t->at;
    memset(t->grad, 0, n * sizeof *t->grad);
    bqb_status s = fill_batch(t, err);
    if (!s) find_choices(t, &t->batch);
    if (!s)
        s = bqb_decoder_learn_choices(t->m, t->grad, &t->loss, t->batch.ids.id, t->batch.skip, t->batch.end, t->batch.n, t->choice, t->n_choices, err);
    double norm = s ? 0 : bqb_vector_norm(t->grad, n);
    if (!s && !(isfinite(t->loss) && isfinite(norm)))
        s = bqb_fail(err, BQB_EFORMAT, "step %" PRIu64 ": the loss is no number; try a lower learning rate", t->at.step + 1);
    if (s) {
        t->at = before;
        return s;
    }
    if (o->clip_norm > 0 && norm > o->clip_norm)
        for (size_t i = 0; i < n; i++) t->grad[i] *= (float)(o->clip_norm / norm);
    bqb_adamw_config c = {.lr = (float)lr, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = (float)o->weight_decay};
    bqb_decoder_adamw(t->m, t->grad, t->mom, t->var, &c, ++t->at.step);
    t->at.tokens += t->batch.ids.n;
    double took = bqb_now_s() - began;
    t->busy_s += took;
    t->busy_tokens += t->batch.ids.n;
    return bqb_pretrain_line(o, "log.csv", err, "%" PRIu64 ",%.5f,%.6g,%" PRIu64 ",%.0f\n", t->at.step, t->loss, lr, t->at.tokens,
                             (double)t->batch.ids.n / took);
}

static bqb_status run(training *t, bqb_err *err) {
    const bqb_pretrain_options *o = t->o;
    bqb_status s = BQB_OK;
    while (t->at.step < o->steps && !s) {
        s = take_step(t, err);
        if (s) break;
        bool last = t->at.step == o->steps;
        if (last || (o->valid_every && t->at.step % o->valid_every == 0)) s = measure(t, err);
        if (!s && (last || bqb_now_s() - t->saved_at > 60 * o->save_minutes)) s = keep(t, err);
        if (!s && !last && o->progress && o->progress(o->ctx, "training", t->at.step, o->steps)) {
            s = keep(t, err);
            if (!s) s = bqb_fail(err, BQB_ECANCEL, "stopped after step %" PRIu64 "; --resume goes on", t->at.step);
        }
    }
    return s;
}

/* ---- beginning ---- */

static bqb_status make_model(training *t, bqb_err *err) {
    const bqb_pretrain_options *o = t->o;
    t->open = bqb_llm_tokenizer_added(t->tok, "<|im_start|>");
    t->close = bqb_llm_tokenizer_added(t->tok, "<|im_end|>");
    t->end = bqb_llm_tokenizer_added(t->tok, "<|endoftext|>");
    bqb_decoder_config c = {.family = BQB_LLAMA, .vocab = bqb_llm_tokenizer_size(t->tok), .width = o->width, .layers = o->layers, .heads = o->heads,
                            .kv_heads = o->kv_heads, .head_dim = o->heads ? o->width / o->heads : 0, .mlp = o->mlp, .context = o->context, .eps = 1e-5f,
                            .rope_theta = 10000, .rope_factor = 1, .tied = true, .bos = -1, .n_end = 2,
                            .end = {t->close, t->end}};
    bqb_status s = bqb_decoder_new(&t->m, &c, o->seed, o->precision, o->threads, err);
    if (s) return s;
    if (o->init && !o->resume) {
        bqb_decoder *from = NULL;
        s = bqb_decoder_open(&from, o->init, BQB_PREC_F32, 1, err);
        if (!s) s = bqb_decoder_copy(t->m, from, err);
        bqb_decoder_free(from);
        if (s) return s;
    }
    bqb_ids word = {0};
    s = bqb_llm_tokenizer_encode(t->tok, &word, "assistant", 9, false, err);
    t->assistant = !s && word.n == 1 ? word.id[0] : -1;
    free(word.id);
    if (!s && o->answers && t->assistant < 0) s = bqb_fail(err, BQB_EUNSUPPORTED, "the vocabulary has no token \"assistant\"; without it answers cannot be told");
    if (s) return s;
    size_t n = bqb_decoder_weight_count(t->m);
    t->grad = bqb_calloc(n, sizeof *t->grad);
    t->mom = bqb_calloc(n, sizeof *t->mom);
    t->var = bqb_calloc(n, sizeof *t->var);
    return t->grad && t->mom && t->var ? BQB_OK : bqb_fail_nomem(err, "optimiser", 3 * n * sizeof *t->grad);
}

static bqb_status begin(training *t, bqb_err *err) {
    const bqb_pretrain_options *o = t->o;
    if (!o->steps || !o->batch || !o->heads || o->context < 2 || !(o->lr > 0))
        return bqb_fail(err, BQB_EINVAL, "steps, batch, heads, context and learning rate must be above 0");
    bqb_status s = bqb_make_dirs(o->out, err);
    if (!s) s = bqb_out_lock(&t->lock, o->out, "training", err);
    if (!s && bqb_pretrain_begun(o) != o->resume)
        s = o->resume ? bqb_fail(err, BQB_ENOTFOUND, "%s: there is no checkpoint to go on from", o->out)
                      : bqb_fail(err, BQB_EINVAL, "%s holds a training already; --resume goes on with it", o->out);
    if (!s) s = bqb_pretrain_tokenizer(&t->tok, o, err);
    if (!s) s = make_model(t, err);
    if (!s) s = begin_recall(t, err);
    if (!s && o->resume) s = bqb_pretrain_load(o, t->m, t->mom, t->var, &t->at, err);
    if (!s) s = bqb_out_log(o->out, "log.csv", "step,loss,lr,tokens,tokens_per_s", o->resume, t->at.step, bqb_csv_step, err);
    if (!s) s = bqb_out_log(o->out, "valid.csv", "step,loss,perplexity", o->resume, t->at.step, bqb_csv_step, err);
    t->saved_at = bqb_now_s();
    char line[160];
    if (!s) {
        snprintf(line, sizeof line, "%zu weights, vocabulary of %zu", bqb_decoder_weight_count(t->m), bqb_llm_tokenizer_size(t->tok));
        tell(t, line);
    }
    return s;
}

bqb_status bqb_pretrain(const bqb_pretrain_options *o, bqb_pretrain_result *result, bqb_err *err) {
    training t = {.o = o, .lock = -1, .valid = NAN};
    bqb_status s = begin(&t, err);
    if (!s) s = run(&t, err);
    *result = (bqb_pretrain_result){t.at.step, t.at.document, t.at.tokens, t.loss, t.valid, t.busy_s > 0 ? (double)t.busy_tokens / t.busy_s : 0};
    if (t.lock >= 0) close(t.lock);
    bqb_decoder_free(t.m);
    bqb_llm_tokenizer_close(t.tok);
    free(t.grad);
    free(t.mom);
    free(t.var);
    free(t.is_mark);
    free(t.met);
    free(t.choice);
    free(t.choice_id);
    free(t.choice_weight);
    free_pack(&t.batch);
    free_pack(&t.held);
    return s;
}
