/* What a sticker looks like: its frame, or three of an animation, and what two stickers are to each other. */
#ifndef BQB_IMAGE_LOOKS_H
#define BQB_IMAGE_LOOKS_H

#include "image/decode.h"
#include "image/fingerprint.h"

typedef struct {
    size_t n; /* 1: a still, or an animation whose three frames are equal; else 3; 0: none */
    bqb_look frame[3];
} bqb_looks;

/* Of the frames that bqb_image_frames gives: rgb [3,BQB_LOOK_FRAME,BQB_LOOK_FRAME,3]. Cannot fail, any thread. */
void bqb_looks_of(bqb_looks *l, const uint8_t *rgb);

/* Of a file's bytes; info may be NULL. Errors as bqb_image_frames. */
bqb_status bqb_looks_read(bqb_looks *l, bqb_image_info *info, const void *data, size_t size, const char *name, bqb_err *err);

/* The same picture in every frame, [na] and [nb] of them; flat frames must both be flat, and not all are. */
bool bqb_looks_same(const bqb_look *a, size_t na, const bqb_look *b, size_t nb);

/* The same picture saved again, or a still of an animation (of its three frames). Two
 * animations that share one frame are not. */
bool bqb_looks_same_picture(const bqb_looks *a, const bqb_looks *b);

#endif
