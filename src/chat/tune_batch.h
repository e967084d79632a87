/* Batches of special-token tuning: which stickers, which task, which words. Everything is a function of
 * (seed, step), so that any step can be made again at any time. */
#ifndef BQB_CHAT_TUNE_BATCH_H
#define BQB_CHAT_TUNE_BATCH_H

#include "chat/lessons.h"
#include "chat/tune_pictures.h"

typedef struct {
    const bqb_lessons *lessons;
    bqb_lesson_form form;
    const bqb_dataset *ds;
    const bqb_tune_pictures *pictures;
    uint64_t seed;
    size_t batch;  /* sequences in a step */
    size_t most;   /* tokens of a sequence; a longer one gives way to another wording */
    double talk;   /* share of ordinary conversation; the rest is the paper's mixture of requests */
    double pret;   /* share of the requests with [PRET] */
    double rounds; /* share of lessons behind one or two earlier rounds, where they fit */
    int threads;
} bqb_tune_batch_options;

/* All borrowed until the next make or free. Zero-initialise. */
typedef struct {
    bqb_sticker_batch view;
    uint32_t *alike;     /* [B] for bqb_sticker_how */
    size_t n_tokens;     /* of all sequences */
    bqb_lesson *lesson;  /* [B] */
    int32_t *numbers;    /* ids, labels, length, img, ret */
    float *query, *target;
} bqb_tune_batch;

/* The batch of a step, from 0. In an epoch every sticker has its turn once. BQB_ELIMIT names a sticker whose words do
 * not fit. Free after errors, too. */
bqb_status bqb_tune_batch_make(bqb_tune_batch *b, const bqb_tune_batch_options *o, uint64_t step, bqb_err *err);
void bqb_tune_batch_free(bqb_tune_batch *b);

/* Share of the queries [B,D] at [RET] whose own sticker (or one alike) is the nearest of the batch; -1: there is none. */
double bqb_tune_batch_recall(const bqb_tune_batch *b, const float *ret, size_t D);

#endif
