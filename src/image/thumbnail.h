/* Stickers made small for people to look at: in a terminal, on a page, on a contact sheet. */
#ifndef BQB_IMAGE_THUMBNAIL_H
#define BQB_IMAGE_THUMBNAIL_H

#include "image/decode.h"

typedef struct {
    size_t width, height, frames;
    uint8_t *rgba;       /* [frames,height,width,4], alpha not premultiplied */
    int *delay_ms;       /* [frames]; 0 for a still */
    bqb_image_info info; /* of the file */
} bqb_thumbnail;

/* The picture shrunk to fit max_w × max_h (1 to 4096 each), aspect kept, never
 * enlarged, each side at least 1. Up to max_frames (at least 1) frames, evenly
 * over the animation and beginning with its first; the time of those left out
 * goes to the one before, so that a loop lasts as long. lim may be NULL; its
 * drop_alpha is ignored. Free with bqb_thumbnail_free. Errors as bqb_image_frames. */
bqb_status bqb_image_thumbnail(bqb_thumbnail *t, const void *data, size_t size, const char *name,
                               size_t max_w, size_t max_h, size_t max_frames, const bqb_image_limits *lim,
                               bqb_err *err);

/* The same from a file (mapped; over 64 MiB is BQB_ELIMIT). */
bqb_status bqb_image_thumbnail_file(bqb_thumbnail *t, const char *path, size_t max_w, size_t max_h,
                                    size_t max_frames, const bqb_image_limits *lim, bqb_err *err);

void bqb_thumbnail_free(bqb_thumbnail *t); /* accepts a zeroed one; sets it to zero */

#endif
