/* What the frozen part of the picture tower gives for every frame of a data set,
 * computed once and mapped while training: then a step costs only the blocks that learn.
 * Of use where pictures do not change from step to step (no augmentation, no masking).
 *
 * The file: trunks bf16 [rows,width] of one frame after another, in the order of the pixel
 * cache, then a footer of eight u64: magic, version, rows, width, frames, key, 0, 0. */
#ifndef BQB_TRAIN_TRUNK_H
#define BQB_TRAIN_TRUNK_H

#include "model/clip.h"
#include "train/pixels.h"

typedef struct bqb_trunk bqb_trunk;

/* What the trunks depend on: the frozen weights of the picture tower, how they are
 * computed, the pictures. A name for the file. */
uint64_t bqb_trunk_key(bqb_clip *m, const bqb_dataset *ds, bool drop_alpha);

/* Bytes of the file. 0: nothing of the picture tower is frozen, or the pixels are not cached. */
uint64_t bqb_trunk_bytes(const bqb_clip *m, const bqb_pixels *px, size_t n_pictures);

/* Map the file at `path`, or build it where it is absent, of another key or cut. */
bqb_status bqb_trunk_open(bqb_trunk **out, bqb_clip *m, const bqb_pixels *px, size_t n_pictures, const char *path,
                          uint64_t key, bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_trunk_close(bqb_trunk *t);

/* Of frame f (below what bqb_pixels_view says) of picture i; [rows,width] bf16, borrowed. */
const void *bqb_trunk_frame(const bqb_trunk *t, size_t i, size_t f);

#endif
