/* Special-token tuning: StickerLLM's adapter out of a frozen language model, a frozen StickerCLIP and annotated stickers.
 * Source: Sticker820K, arXiv:2306.06870, §4. */
#ifndef BQB_CHAT_TUNE_H
#define BQB_CHAT_TUNE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Unset: NULL, SIZE_MAX, NaN, false. What is unset takes the checkpoint's value when resuming, then its default. */
typedef struct {
    const char *llm;         /* Hugging Face folder or GGUF file */
    const char *model;       /* StickerCLIP's folder */
    const char *const *data; /* what bqb_dataset_open takes */
    size_t n_data;
    const char *out;         /* the adapter's folder; made when absent */
    const char *cache;       /* folder for the features of pictures; NULL: out */
    const char *valid;       /* held-out stickers, or NULL */
    const char *system;      /* what stands before every conversation; "": nothing */
    const char *precision;   /* "auto", "f32" or "bf16" */
    bool resume;
    size_t threads;          /* 0: all processors */

    size_t steps, batch, warmup, seed, context; /* context: tokens of a sequence, at most */
    size_t at_once;          /* 1: answers begin with the sticker, without words before it */
    double lr, beta1, beta2, eps, weight_decay, clip_norm, talk, pret, rounds;
    size_t valid_every, valid_limit, save_every;
    double save_minutes;

    /* Lines for people; may be NULL. */
    void (*say)(void *ctx, const char *line);
    bqb_progress_fn progress;
    void *ctx;
} bqb_tune_options;

void bqb_tune_unset(bqb_tune_options *o);

typedef struct {
    uint64_t steps;       /* done, those before a resume included */
    float words, stickers; /* losses of the last step */
    double recall;        /* in the batch, of the last step; -1: no sticker in it */
    double mr;            /* held out, percent; -1: not measured */
    double triggered, disturbed; /* of requests, of ordinary talk: percent that was answered with a sticker; -1: not measured */
    double sequences_per_s;
} bqb_tune_result;

/* `out` becomes an adapter (model/adapter.h), with checkpoint.safetensors and log.jsonl beside it. Stopped by the
 * progress function: the checkpoint is written, BQB_ECANCEL. A loss that is no number: BQB_EFORMAT names the step.
 * Resuming with other models, data or settings that would change the result: BQB_EINVAL names them.
 * BQB_ELIMIT: it would not fit into memory. */
bqb_status bqb_tune(const bqb_tune_options *options, bqb_tune_result *result, bqb_err *err);

#endif
