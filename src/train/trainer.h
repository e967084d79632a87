/* Training StickerCLIP: a folder of checkpoints, logs and models out of a list of stickers. */
#ifndef BQB_TRAIN_TRAINER_H
#define BQB_TRAIN_TRAINER_H

#include "model/clip.h"

#include <stdint.h>

/* Unset: NULL, SIZE_MAX, NaN, false. Unset settings take the value of the file
 * `settings`, then the checkpoint's when resuming, then their default (those of the paper). */
typedef struct {
    const char *const *data; /* captions.tsv files or their folders */
    size_t n_data;
    const char *out;         /* folder; made when absent */
    const char *valid;       /* held-out stickers, or NULL */
    const char *init;        /* model folder to start from, or */
    const char *config;      /* config.json of a model to start at random, and */
    const char *vocab;       /* its vocab.txt, tokenizer.json or vocab.json */
    const char *cache;       /* folder for the pixel caches; NULL: out */
    const char *settings;    /* JSON file with the names of train.json, for what is unset here; or NULL */
    bool resume, half, drop_alpha;
    size_t threads;          /* 0 = all processors */

    size_t batch, epochs, steps, warmup, seed, frames;
    double lr, weight_decay, beta1, beta2, eps, clip_norm;
    double ema;              /* decay of the weights' moving average; 0: none */
    double field_drop, short_rate, mask_ratio;
    const char *augment;     /* "on", "off" or "rand" */
    const char *duplicates;  /* "positive" or "negative": what equal texts and pictures in a batch are to the loss */
    const char *freeze;      /* "image", "text", "image:6", "image:6,text:4": towers or their lower blocks; or NULL */
    size_t chunk;            /* of gradient caching; 0: none. See bqb_clip_save_memory */
    bool recompute;          /* activation checkpointing */
    const char *preview;     /* PNG of the first batch, instead of training; or NULL */
    const char *precision;   /* "auto", "f32" or "bf16" */
    size_t context;          /* tokens a text is cut to; 0: the model's */
    size_t valid_every, valid_limit, save_every;
    size_t patience;         /* measurements without gain that end the run; 0: never */
    double save_minutes, cache_max_gib;

    /* Lines for people; may be NULL. */
    void (*say)(void *ctx, const char *line);
    bqb_progress_fn progress;
    void *ctx;
} bqb_train_options;

void bqb_train_unset(bqb_train_options *o);

typedef struct {
    uint64_t steps;      /* done, those before a resume included */
    uint64_t epochs;
    float loss;          /* of the last step */
    double best, last;   /* held-out mean recall in percent, -1 when there is none */
    bool early;          /* ended by patience */
    double pairs_per_s;
} bqb_train_result;

/* Files in `out`: see docs/training.md. Stopped by the progress function: the
 * checkpoint is written, BQB_ECANCEL. A loss or gradient that is no number:
 * BQB_EFORMAT names the step, the last checkpoint stays. Resuming with other
 * data or settings that would change the result: BQB_EINVAL names them. */
bqb_status bqb_train(const bqb_train_options *options, bqb_train_result *result, bqb_err *err);

#endif
