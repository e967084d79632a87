/* Training batches: which stickers, which words, which pixels. Everything is a
 * function of (seed, step), so that any step can be made again at any time. */
#ifndef BQB_TRAIN_BATCH_H
#define BQB_TRAIN_BATCH_H

#include "model/clip.h"
#include "text/tokenizer.h"
#include "train/pixels.h"
#include "train/trunk.h"

typedef enum {
    BQB_AUGMENT_OFF,
    BQB_AUGMENT_ON,  /* crops of 0.9 … 1.0 of the area, slight changes of colour */
    BQB_AUGMENT_RAND /* such crops, and two operations of image/augment.h at random */
} bqb_batch_augment;

typedef struct {
    uint64_t seed;
    size_t batch;      /* pairs; cut to the number of stickers */
    size_t context;    /* tokens a text is cut to */
    size_t n_patches;  /* of one frame; for mask_ratio */
    size_t frames;     /* 3: the mean of all three; 1: one of them at random */
    double field_drop; /* each field is left out with this probability, one stays */
    double short_rate; /* one of the sticker's short queries instead of its fields */
    double mask_ratio; /* share of patches left out (FLIP, arXiv 2212.00794) */
    bqb_batch_augment augment;
    const uint32_t *alike; /* [stickers] the same number for what is the same picture (train/copies.h), borrowed: batches
                              then tell the loss which texts and pictures are (text_group, image_group); NULL: they do not */
    int threads;       /* for decoding where there is no cache */
} bqb_batch_options;

/* Patches that a frame keeps. */
size_t bqb_batch_kept(const bqb_batch_options *o);

typedef struct bqb_batcher bqb_batcher;

/* The data set, pixels and tokenizer are borrowed. Stickers whose picture is
 * known to be unreadable take no part. BQB_EINVAL: an option out of its range;
 * BQB_EFORMAT: fewer than two stickers, or all with one text. */
bqb_status bqb_batcher_new(bqb_batcher **out, const bqb_dataset *ds, const bqb_pixels *px, const bqb_tokenizer *tok,
                           const bqb_batch_options *options, bqb_err *err);
void bqb_batcher_free(bqb_batcher *b);

/* Pictures start from these instead of pixels; borrowed. Before the first batch is got.
 * BQB_EINVAL where pictures are augmented or masked. */
bqb_status bqb_batcher_set_trunk(bqb_batcher *b, const bqb_trunk *trunk, bqb_err *err);

size_t bqb_batcher_size(const bqb_batcher *b);            /* pairs in every batch */
size_t bqb_batcher_usable(const bqb_batcher *b);          /* stickers that take part */
size_t bqb_batcher_steps_per_epoch(const bqb_batcher *b); /* the last, incomplete batch is left out */

/* The batch of a step (from 0), borrowed until the next call. The batch of
 * step + 1 is then made in the background. */
bqb_status bqb_batcher_get(bqb_batcher *b, uint64_t step, const bqb_clip_batch **out, bqb_err *err);

/* The data set's number of every pair of the batch that was got last. */
const uint32_t *bqb_batcher_samples(const bqb_batcher *b);

#endif
