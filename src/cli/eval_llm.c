#include "cli/eval_llm.h"

#include "base/data.h"
#include "base/thread.h"
#include "chat/trial.h"
#include "cli/output.h"
#include "model/adapter.h"
#include "train/rank.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for to measure recall: each with the language model and with StickerCLIP's own towers. */
static const struct {
    const char *name;
    bqb_question q; /* n: all pictures */
} recalls[] = {
    {"words: whole annotation", {.task = BQB_TASK_TEXT, .want = BQB_WANT_FULL}},
    {"the same, wordings never learnt", {.task = BQB_TASK_TEXT, .want = BQB_WANT_FULL, .test = true}},
    {"words: caption", {.task = BQB_TASK_TEXT, .want = BQB_WANT_CAPTION}},
    {"picture, altered", {.task = BQB_TASK_PICTURE}},
    {"picture, altered, and caption", {.task = BQB_TASK_BOTH, .want = BQB_WANT_CAPTION}},
    {"picture, altered, and annotation", {.task = BQB_TASK_BOTH, .want = BQB_WANT_FULL}},
};
enum { N_RECALLS = sizeof recalls / sizeof *recalls };

/* triggers[task][test side][with PRET] of requests; disturbed[test side] of talk. */
typedef struct {
    bqb_recall llm[N_RECALLS], towers[N_RECALLS];
    double came[N_RECALLS]; /* percent of those questions that were answered with a sticker */
    size_t asked[BQB_TASK_TALK][2][2], answered[BQB_TASK_TALK][2][2], talked[2], disturbed[2];
    bqb_unchanged unchanged;
} findings;

typedef struct {
    const cli_llm_trial *o;
    bqb_trial t;
    bqb_decoder *m, **team;
    bqb_llm_tokenizer *tok;
    bqb_clip *clip;
    bqb_adapter *adapter;
    bqb_lessons *lessons;
    bqb_dataset *ds;
    bqb_tune_pictures pictures;
    cli_progress bar;
} opened;

/* ---- opening ---- */

static bqb_status open_adapter(opened *e, bqb_err *err) {
    const char *given = e->o->adapter ? e->o->adapter : getenv("BQB_ADAPTER");
    char *own = bqb_adapter_beside(e->o->llm);
    bqb_status s = own ? bqb_adapter_open(&e->adapter, given ? given : own, e->m, e->clip, err) : bqb_fail_nomem(err, e->o->llm, 0);
    free(own);
    return s;
}

static bqb_status open_all(opened *e, bqb_err *err) {
    const cli_llm_trial *o = e->o;
    size_t n_team = o->threads ? o->threads : (size_t)bqb_cpu_count();
    char *chat = NULL;
    bqb_status s = bqb_data_path(&chat, "chat", err);
    if (!s) s = bqb_lessons_open(&e->lessons, chat, err);
    free(chat);
    if (!s) s = bqb_dataset_open(&e->ds, o->data->item, o->data->n, err);
    if (!s) s = bqb_decoder_open(&e->m, o->llm, o->precision, 1, err);
    if (!s) s = bqb_llm_tokenizer_of(&e->tok, o->llm, err);
    if (!s) s = bqb_llm_tokenizer_fits(e->tok, bqb_decoder_get_config(e->m)->vocab, o->llm, err);
    if (!s) s = bqb_clip_open(&e->clip, cli_model_dir(o->model), BQB_TOWER_BOTH, o->precision, (int)o->threads, err);
    if (!s) s = open_adapter(e, err);
    if (!s && !(e->team = calloc(n_team, sizeof(*e->team)))) s = bqb_fail_nomem(err, "a team", n_team * sizeof(*e->team));
    for (size_t k = 0; k < n_team && !s; k++, e->t.n_team++) s = bqb_decoder_share(&e->team[k], e->m, 1, err);
    bqb_tune_pictures_options po = {.limit = o->limit, .seed = 11, .drop_alpha = o->drop_alpha, .threads = (int)o->threads};
    if (!s) s = bqb_tune_pictures_open(&e->pictures, e->ds, e->clip, &po, cli_progress_show, &e->bar, err);
    cli_progress_end(&e->bar);
    if (s) return s;
    e->t = (bqb_trial){.m = e->m, .team = e->team, .n_team = n_team, .parts = &e->adapter->parts, .lessons = e->lessons, .ds = e->ds, .pictures = &e->pictures, .seed = 7,
                       .form = {.tok = e->tok, .format = bqb_chat_format_of(e->tok), .vocab = bqb_decoder_get_config(e->m)->vocab, .system = e->adapter->info.system}};
    return BQB_OK;
}

static void close_all(opened *e) {
    for (size_t k = 0; k < e->t.n_team; k++) bqb_decoder_free(e->team[k]);
    free(e->team);
    bqb_tune_pictures_close(&e->pictures);
    bqb_dataset_close(e->ds);
    bqb_adapter_close(e->adapter);
    bqb_llm_tokenizer_close(e->tok);
    bqb_decoder_free(e->m);
    bqb_clip_free(e->clip);
    bqb_lessons_close(e->lessons);
}

/* ---- recall ---- */

static bqb_status rank(bqb_recall *r, const opened *e, const float *query, const bqb_answers *a, bqb_err *err) {
    return bqb_trial_rank(r, &e->pictures, query, a->item, a->n, (int)e->o->threads, err);
}

/* The same questions to the towers: words by the text tower, pictures by the picture tower, both by the sum of the two. */
static bqb_status by_towers(float *query, const opened *e, const bqb_question *q, const bqb_answers *a, bqb_err *err) {
    size_t D = e->pictures.D, n = a->n;
    const char **words = calloc(n ? n : 1, sizeof *words);
    float *text = calloc(n * D + 1, sizeof *text);
    bqb_status s = words && text ? BQB_OK : bqb_fail_nomem(err, "queries", n * D * sizeof *text);
    bool picture = q->task != BQB_TASK_TEXT, said = q->task != BQB_TASK_PICTURE;
    for (size_t i = 0; i < n && !s && said; i++)
        if (!(words[i] = bqb_trial_words(&e->t, q->want, a->item[i]))) s = bqb_fail_nomem(err, "words", 64);
    if (!s && said) s = bqb_clip_encode_texts(e->clip, text, words, n, err);
    for (size_t i = 0; i < n && !s; i++) {
        double sum = 0;
        for (size_t d = 0; d < D; d++) {
            query[i * D + d] = text[i * D + d] + (picture ? e->pictures.view[a->item[i] * D + d] : 0);
            sum += (double)query[i * D + d] * (double)query[i * D + d];
        }
        for (size_t d = 0; d < D; d++) query[i * D + d] /= (float)sqrt(sum > 0 ? sum : 1);
    }
    for (size_t i = 0; words && i < n; i++) free((char *)(uintptr_t)words[i]);
    free(words);
    free(text);
    return s;
}

static bqb_status find_recall(findings *f, opened *e, size_t k, bqb_err *err) {
    bqb_question q = recalls[k].q;
    q.n = e->pictures.n;
    bqb_answers a;
    bqb_status s = bqb_trial_ask(&a, &e->t, &q, cli_progress_show, &e->bar, err);
    float *query = s ? NULL : calloc(a.n * e->pictures.D + 1, sizeof *query);
    if (!s && !query) s = bqb_fail_nomem(err, "queries", a.n * e->pictures.D * sizeof *query);
    if (!s && a.n) {
        f->came[k] = 100 * (double)a.answered / (double)a.n;
        s = rank(&f->llm[k], e, a.query, &a, err);
        if (!s) s = by_towers(query, e, &q, &a, err);
        if (!s) s = rank(&f->towers[k], e, query, &a, err);
    }
    free(query);
    bqb_answers_free(&a);
    return s;
}

/* ---- triggers ---- */

static bqb_status find_trigger(size_t *asked, size_t *answered, opened *e, bqb_question q, bqb_err *err) {
    bqb_answers a;
    q.want = BQB_WANT_DRAWN;
    q.n = e->o->asks;
    bqb_status s = bqb_trial_ask(&a, &e->t, &q, cli_progress_show, &e->bar, err);
    *asked = a.n;
    *answered = a.answered;
    bqb_answers_free(&a);
    return s;
}

static bqb_status find_all(findings *f, opened *e, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < N_RECALLS && !s; k++) s = find_recall(f, e, k, err);
    for (int test = 0; test < 2 && !s; test++) {
        for (int task = 0; task < BQB_TASK_TALK; task++)
            for (int pret = 0; pret < 2 && !s; pret++)
                s = find_trigger(&f->asked[task][test][pret], &f->answered[task][test][pret], e, (bqb_question){.task = (bqb_task)task, .test = test, .pret = pret}, err);
        if (!s) s = find_trigger(&f->talked[test], &f->disturbed[test], e, (bqb_question){.task = BQB_TASK_TALK, .test = test}, err);
    }
    if (!s) s = bqb_trial_unchanged(&f->unchanged, &e->t, e->o->prose, err);
    cli_progress_end(&e->bar);
    return s;
}

/* ---- reports ---- */

static double percent(size_t part, size_t whole) { return whole ? 100 * (double)part / (double)whole : 0; }

static void print_table(const findings *f, const opened *e) {
    printf("%-33s %7s  %-32s  %s\n", "recall", "", "language model", "StickerCLIP's towers");
    printf("%-33s %7s  %6s %6s %6s %6s %4s  %6s %6s %6s %6s %4s\n", "asked with", "queries", "R@1", "R@5", "R@10", "MR", "med", "R@1", "R@5", "R@10", "MR", "med");
    for (size_t k = 0; k < N_RECALLS; k++) {
        const bqb_recall *a = &f->llm[k], *b = &f->towers[k];
        if (a->n) printf("%-33s %7zu  %6.2f %6.2f %6.2f %6.2f %4g  %6.2f %6.2f %6.2f %6.2f %4g\n", recalls[k].name, a->n, a->r1, a->r5, a->r10, a->mr, a->median, b->r1, b->r5, b->r10, b->mr, b->median);
    }
    printf("\n%-33s %23s   %23s\n", "answered with a sticker, percent", "wordings learnt", "wordings never learnt");
    printf("%-33s %11s %11s   %11s %11s\n", "asked", "plainly", "with [PRET]", "plainly", "with [PRET]");
    for (int task = 0; task < BQB_TASK_TALK; task++) {
        printf("%-33s", task == BQB_TASK_TEXT ? "for a sticker, in words" : task == BQB_TASK_PICTURE ? "with a picture" : "with both");
        for (int test = 0; test < 2; test++) {
            for (int pret = 0; pret < 2; pret++) printf(" %11.2f", percent(f->answered[task][test][pret], f->asked[task][test][pret]));
            printf("%s", test ? "\n" : "  ");
        }
    }
    printf("%-33s %11.2f %11s   %11.2f\n", "for something else", percent(f->disturbed[0], f->talked[0]), "", percent(f->disturbed[1], f->talked[1]));
    const bqb_unchanged *u = &f->unchanged;
    printf("\nperplexity on %zu tokens of %zu ordinary texts: %.6f before, %.6f after; %zu logits differ (%.4f with the five new tokens among the choices)\n", u->n_tokens,
           u->n_texts, u->before, u->after, u->n_changed, u->open);
    printf("%zu stickers, %zu questions of each kind; %s with the adapter for %s\n", e->pictures.n, e->o->asks, bqb_decoder_name(e->m), e->adapter->info.llm);
}

static json_t *recall_json(const bqb_recall *r) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "r1", r->r1, "r5", r->r5, "r10", r->r10, "mr", r->mr, "median", r->median);
}

static int print_json(const findings *f, const opened *e) {
    json_t *recall = json_array(), *trigger = json_array();
    for (size_t k = 0; k < N_RECALLS; k++)
        json_array_append_new(recall, json_pack("{s:s, s:s, s:b, s:I, s:f, s:o, s:o}", "query", recalls[k].name, "task", bqb_task_name(recalls[k].q.task), "learnt_wordings",
                                                !recalls[k].q.test, "queries", (json_int_t)f->llm[k].n, "answered", f->came[k], "llm", recall_json(&f->llm[k]), "towers",
                                                recall_json(&f->towers[k])));
    for (int test = 0; test < 2; test++) {
        for (int task = 0; task < BQB_TASK_TALK; task++)
            for (int pret = 0; pret < 2; pret++)
                json_array_append_new(trigger, json_pack("{s:s, s:b, s:b, s:I, s:I}", "task", bqb_task_name((bqb_task)task), "learnt_wordings", !test, "pret", pret, "asked",
                                                         (json_int_t)f->asked[task][test][pret], "answered", (json_int_t)f->answered[task][test][pret]));
        json_array_append_new(trigger, json_pack("{s:s, s:b, s:b, s:I, s:I}", "task", bqb_task_name(BQB_TASK_TALK), "learnt_wordings", !test, "pret", 0, "asked",
                                                 (json_int_t)f->talked[test], "answered", (json_int_t)f->disturbed[test]));
    }
    const bqb_unchanged *u = &f->unchanged;
    json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o, s:{s:I, s:I, s:f, s:f, s:f, s:I}}", "llm", bqb_decoder_name(e->m), "llm_id", bqb_decoder_id(e->m), "stickers",
                          (json_int_t)e->pictures.n, "recall", recall, "trigger", trigger, "perplexity", "tokens", (json_int_t)u->n_tokens, "texts", (json_int_t)u->n_texts, "before",
                          u->before, "after", u->after, "with_new_tokens", u->open, "logits_changed", (json_int_t)u->n_changed);
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(o);
    return text ? 0 : 1;
}

int cli_eval_llm(const cli_llm_trial *o) {
    bqb_err err = {0};
    findings f = {0};
    opened e = {.o = o};
    bqb_status s = open_all(&e, &err);
    if (!s) cli_tell_notes("stickers", bqb_dataset_notes(e.ds));
    if (!s) s = find_all(&f, &e, &err);
    cli_progress_end(&e.bar);
    int status = 0;
    if (!s && !o->json) print_table(&f, &e);
    else if (!s && print_json(&f, &e)) s = bqb_fail(&err, BQB_ENOMEM, "the JSON could not be made");
    if (s) status = cli_fail(&err);
    close_all(&e);
    return status;
}
