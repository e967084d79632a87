/* How StickerLLM does: whether it answers with a sticker where one is wanted and only there, which one, and
 * whether the language model is still what it was. Source of the questions: Sticker820K, arXiv:2306.06870, §5. */
#ifndef BQB_CHAT_TRIAL_H
#define BQB_CHAT_TRIAL_H

#include "chat/lessons.h"
#include "chat/tune_pictures.h"
#include "train/rank.h"

/* All borrowed. */
typedef struct {
    bqb_decoder *m;
    bqb_decoder *const *team; /* [n_team] of bqb_decoder_share, or NULL: questions are shared out */
    size_t n_team;
    const bqb_sticker_parts *parts;
    const bqb_lessons *lessons;
    bqb_lesson_form form;
    const bqb_dataset *ds;
    const bqb_tune_pictures *pictures;
    uint64_t seed;            /* of wordings with a choice in them */
} bqb_trial;

/* What is asked for in words: the whole annotation in its fixed order, the caption, or as when learning. */
typedef enum { BQB_WANT_FULL, BQB_WANT_CAPTION, BQB_WANT_DRAWN } bqb_want;

typedef struct {
    bqb_task task;
    bqb_want want;
    bool test, pret; /* wordings that were never trained on; with [PRET] */
    size_t n;        /* questions: pictures and wordings in turn, from the first */
} bqb_question;

typedef struct {
    size_t n, answered; /* asked; whose greedy answer holds [RET] */
    uint32_t *item;     /* [n] number among the pictures */
    float *query;       /* [n,D] unit, at [RET]; where none came, at one put where the answer begins. Talk: 0 */
} bqb_answers;

/* Pictures without the words that are wanted are passed over. Free after errors, too. */
bqb_status bqb_trial_ask(bqb_answers *a, const bqb_trial *t, const bqb_question *q, bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_answers_free(bqb_answers *a);

/* How well queries [n,D] find the pictures `item` [n] among all, by their targets. threads 0: all processors. */
bqb_status bqb_trial_rank(bqb_recall *out, const bqb_tune_pictures *p, const float *query, const uint32_t *item, size_t n, int threads, bqb_err *err);

/* The words of picture i in fresh memory, "" when there are none; of BQB_WANT_DRAWN the whole annotation's. NULL: out of memory. */
char *bqb_trial_words(const bqb_trial *t, bqb_want want, size_t i);

/* The language model alone, and the same text through the adapter. */
typedef struct {
    size_t n_tokens, n_texts;
    double before, after; /* perplexity over the old vocabulary */
    double open;          /* with the five new tokens among the choices: what they take away */
    size_t n_changed;     /* logits of the old vocabulary whose bits differ */
} bqb_unchanged;

/* Over ordinary conversation of the test side, and the lines of a text file (NULL: none). */
bqb_status bqb_trial_unchanged(bqb_unchanged *u, const bqb_trial *t, const char *prose, bqb_err *err);

#endif
