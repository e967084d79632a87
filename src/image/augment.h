/* Changing pictures at random for training, in the manner of RandAugment
 * (arXiv:1909.13719): a few operations with a strength each, drawn by the
 * caller, and a crop. Never a mirror image: there are words on stickers. */
#ifndef BQB_IMAGE_AUGMENT_H
#define BQB_IMAGE_AUGMENT_H

#include "base/rand.h"

/* A crop of a frame, stretched back to R×R (bilinear), and its colours changed:
 * out [R,R,3], not rgb [R,R,3] itself. The whole frame with gain 1 and offset 0 is the frame. */
typedef struct {
    float x, y, size;         /* in pixels; 0 ≤ x, x + size ≤ R */
    float gain[3], offset[3]; /* value' = clamp(value * gain + offset, 0, 255) */
} bqb_crop;
void bqb_crop_frame(uint8_t *out, const uint8_t *rgb, size_t R, const bqb_crop *c);

/* Level runs from -1 to 1; 0 changes nothing but for the first two, which know no level.
 * Sharpness, colour, contrast and brightness are factors 1 + 0.6 level. */
typedef enum {
    BQB_AUG_AUTOCONTRAST, /* each channel stretched to 0 … 255 */
    BQB_AUG_EQUALIZE,     /* each channel's histogram made even */
    BQB_AUG_BRIGHTNESS,   /* against black */
    BQB_AUG_CONTRAST,     /* against the mean grey */
    BQB_AUG_COLOUR,       /* against the picture in grey */
    BQB_AUG_SHARPNESS,    /* against the picture smoothed */
    BQB_AUG_ROTATE,       /* 15° level, about the middle; what comes in from outside is white */
    BQB_AUG_SHEAR_X,      /* 0.15 level */
    BQB_AUG_SHEAR_Y,
    BQB_AUG_SHIFT_X,      /* 0.05 level of the width: words often stand at the edge */
    BQB_AUG_SHIFT_Y,
    BQB_AUGS
} bqb_aug;

enum { BQB_AUG_STEPS = 2 };
typedef struct {
    bqb_crop crop;
    bqb_aug op[BQB_AUG_STEPS];
    float level[BQB_AUG_STEPS];
} bqb_augment;

/* Operations and levels at random; the crop is the caller's. */
void bqb_augment_draw(bqb_augment *a, bqb_rand *r);

/* The operations in order, then the crop. What moves pixels is one resampling
 * together with the crop, after what changes colours.
 *   out      out [R,R,3]
 *   scratch  [2,R,R,3]
 *   rgb      in  [R,R,3]
 * R up to 4096, else nothing is written. Any thread. */
void bqb_augment_frame(uint8_t *out, uint8_t *scratch, const uint8_t *rgb, size_t R, const bqb_augment *a);

/* One operation that changes colours (up to sharpness): out [R,R,3], not rgb itself. */
void bqb_augment_colours(uint8_t *out, const uint8_t *rgb, size_t R, bqb_aug op, float level);

const char *bqb_aug_name(bqb_aug op);

#endif
