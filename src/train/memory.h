/* How much memory a training run takes, and how much there is. */
#ifndef BQB_TRAIN_MEMORY_H
#define BQB_TRAIN_MEMORY_H

#include "base/ram.h"
#include "model/clip.h"

typedef struct {
    bqb_clip_plan plan;
    double frames;    /* of a picture, on the average of the data set: 1 … plan.frames */
    bool average;     /* a moving average of the weights is kept */
    bool decoding;    /* pictures are decoded for every batch */
} bqb_memory_plan;

typedef struct {
    double model;       /* weights, gradients, moments, their average */
    double activations; /* with features and logits */
    double batches;     /* the batch in use and the next one */
    double total;
} bqb_memory_bytes;

bqb_status bqb_memory_needed(bqb_memory_bytes *out, const bqb_clip_config *c, const bqb_memory_plan *p, bqb_err *err);

/* What would fit into `bytes`, as options for people: " --batch 32; or --chunk 16, …"; "" when nothing would. */
void bqb_memory_advice(char *out, size_t size, const bqb_clip_config *c, const bqb_memory_plan *p, double bytes);

/* Bytes that measuring holds at once: the features [D] of all pictures and of the texts of one kind of query,
 * and the ranks and ten best of every text that is asked. */
double bqb_measure_bytes(size_t pictures, size_t texts_at_once, size_t texts, size_t D);

#endif
