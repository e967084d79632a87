/* Whole pictures prepared for reading: one gray layer in which text is dark on light, enlarged, in a border. */
#ifndef BQB_IMAGE_TEXT_LAYER_H
#define BQB_IMAGE_TEXT_LAYER_H

#include "base/err.h"

typedef enum {
    BQB_LAYER_GRAY,      /* brightness */
    BQB_LAYER_INVERTED,  /* its opposite */
    BQB_LAYER_LIGHT,     /* what is nearly white becomes dark, all else white */
    BQB_LAYERS
} bqb_text_layer_kind;

typedef struct {
    uint8_t *px; /* [h,w], owned */
    size_t w, h;
    size_t border; /* how wide a border stands around the picture */
} bqb_text_layer;

/* rgb in [h,w,3], any size from 1 x 1 to 4096 x 4096. The layer is enlarged or reduced to about `height`
 * rows (at most 4 times as large, at most 1.6 million pixels), in a plain border. BQB_EINVAL, BQB_ENOMEM. */
bqb_status bqb_text_layer_new(bqb_text_layer *out, const uint8_t *rgb, size_t w, size_t h, bqb_text_layer_kind kind,
                              size_t height, bqb_err *err);
void bqb_text_layer_free(bqb_text_layer *l);

/* rgb out [n,3] from rgba [n,4]: laid over white or, where most of what can be seen is itself nearly white
 * and would vanish there, over gray. */
void bqb_text_lay(uint8_t *rgb, const uint8_t *rgba, size_t n);

/* The layer at the picture's own size: gray out [h,w]. */
bqb_status bqb_text_layer_plain(uint8_t *gray, const uint8_t *rgb, size_t w, size_t h, bqb_text_layer_kind kind,
                                bqb_err *err);

#endif
