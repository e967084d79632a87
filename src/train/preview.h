/* A batch as the towers are about to see it, on a contact sheet for people. */
#ifndef BQB_TRAIN_PREVIEW_H
#define BQB_TRAIN_PREVIEW_H

#include "model/clip.h"

/* A PNG: the first frame of up to 64 pairs, left-out patches in grey, and below
 * each its tokens. The batch has rgb; R, patch: the picture tower's. */
bqb_status bqb_preview_write(const char *path, const bqb_clip_batch *batch, const bqb_tokenizer *tok, size_t R,
                             size_t patch, bqb_err *err);

#endif
