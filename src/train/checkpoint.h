/* All that training needs to go on, in one safetensors file: the weights and
 * both moments as blocks, and as metadata the number of steps done, the best
 * recall so far and the settings. Random numbers and the place in the epoch
 * follow from the step (see batch.h). */
#ifndef BQB_TRAIN_CHECKPOINT_H
#define BQB_TRAIN_CHECKPOINT_H

#include "model/clip.h"

typedef struct {
    uint64_t step;      /* steps done */
    uint64_t validated; /* the step of the last held-out measurement, UINT64_MAX when there is none */
    double best;        /* best held-out mean recall, -1 when there is none */
    char *settings;     /* JSON; owned after a read, borrowed for a write */
} bqb_checkpoint;

/* Written whole or not at all (see bqb_outfile). mom and var: [bqb_clip_float_count]. */
bqb_status bqb_checkpoint_write(const char *path, bqb_clip *m, const float *mom, const float *var,
                                const bqb_checkpoint *c, bqb_err *err);

/* The settings alone, to open the right model with. free(c->settings). */
bqb_status bqb_checkpoint_peek(bqb_checkpoint *c, const char *path, bqb_err *err);

/* Fill the model and the moments. BQB_EFORMAT when the file is of another model. */
bqb_status bqb_checkpoint_read(const char *path, bqb_clip *m, float *mom, float *var, bqb_err *err);

#endif
