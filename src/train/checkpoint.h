/* All that training needs to go on, in one safetensors file: the weights, both
 * moments and, where one is kept, the weights' average as blocks, and as
 * metadata the number of steps done, what was measured so far and the settings.
 * Random numbers and the place in the epoch follow from the step (see batch.h). */
#ifndef BQB_TRAIN_CHECKPOINT_H
#define BQB_TRAIN_CHECKPOINT_H

#include "file/safetensors.h"
#include "model/clip.h"

/* Held-out measurements so far. */
typedef struct {
    uint64_t step;      /* of the last one, UINT64_MAX when there is none */
    double best;        /* best mean recall, -1 when there is none */
    uint64_t best_step; /* of that */
    uint64_t stale;     /* measurements since then */
} bqb_measured;

typedef struct {
    uint64_t step; /* steps done */
    bqb_measured seen;
    char *settings; /* JSON; owned after a read, borrowed for a write */
} bqb_checkpoint;

/* Each [bqb_clip_float_count]. */
typedef struct {
    float *mom, *var;
    float *average; /* NULL: none is kept */
} bqb_train_blocks;

/* Written whole or not at all (see bqb_outfile). */
bqb_status bqb_checkpoint_write(const char *path, bqb_clip *m, const bqb_train_blocks *blocks, const bqb_checkpoint *c,
                                bqb_err *err);

/* The settings alone, to open the right model with. free(c->settings). A file
 * that was cut or never finished is BQB_EFORMAT here already. */
bqb_status bqb_checkpoint_peek(bqb_checkpoint *c, const char *path, bqb_err *err);

/* Fill the model and the blocks. BQB_EFORMAT when the file is of another model
 * or has no average where one is wanted. */
bqb_status bqb_checkpoint_read(const char *path, bqb_clip *m, const bqb_train_blocks *blocks, bqb_err *err);

/* --- for checkpoints of other kinds: blocks of floats in a safetensors file whose metadata say "kind" --- */

bqb_tensor bqb_checkpoint_block(const char *name, const float *data, size_t n);

/* Open a file of this kind. BQB_EVERSION: of the same with another number at its end; BQB_EFORMAT: "PATH: IT_IS_NOT". */
bqb_status bqb_checkpoint_open(bqb_safetensors **st, const char *path, const char *kind, const char *it_is_not, bqb_err *err);

/* A block's n floats. BQB_EFORMAT names it where it is missing or has another size. */
bqb_status bqb_checkpoint_take(float *out, const bqb_safetensors *st, const char *name, size_t n, const char *path, bqb_err *err);

#endif
