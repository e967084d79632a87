/* Animated PNG, which libvips reads as a still: its frames taken apart into
 * PNGs of their own and put together again on a canvas.
 * Source: the APNG part of the PNG specification, third edition, 11.3.4. */
#ifndef BQB_IMAGE_APNG_H
#define BQB_IMAGE_APNG_H

#include "base/mem.h"

#include <stdbool.h>

typedef struct {
    uint32_t x, y, width, height; /* inside the canvas */
    int delay_ms;
    uint8_t dispose; /* afterwards: 0 leave, 1 clear, 2 put back what was there */
    bool over;       /* blend over the canvas; else replace */
    size_t data;     /* where its first IDAT or fdAT chunk begins */
} bqb_apng_frame;

typedef struct {
    const uint8_t *file; /* borrowed */
    size_t size, width, height, n;
    bool alpha;
    bqb_apng_frame *frame; /* [n], whole ones only */
} bqb_apng;

/* False when the PNG is not animated, is broken before its second frame, or
 * has a frame outside its canvas: then it is a still. Also when there are more
 * than max_frames, with n set to a number above it. Free with bqb_apng_free. */
bool bqb_apng_parse(bqb_apng *a, const uint8_t *data, size_t size, size_t max_frames);
void bqb_apng_free(bqb_apng *a); /* accepts a zeroed one */

/* Frame i as a complete PNG of frame[i].width × height, appended to out. */
bqb_status bqb_apng_extract(bqb_buf *out, const bqb_apng *a, size_t i, bqb_err *err);

/* Draw frame i, whose pixels are rgba (not premultiplied), on the canvas
 * [height,width,4], which is clear before frame 0. `under` [height,width,4]
 * keeps what frames cover. Calls go through all frames in order. */
void bqb_apng_draw(uint8_t *canvas, uint8_t *under, const bqb_apng *a, size_t i, const uint8_t *rgba);

#endif
