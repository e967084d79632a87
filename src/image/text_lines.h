/* Where lines of text may stand on a picture, each cut out with nothing but its letters.
 *
 * Text is many pieces of one colour and about one height side by side. From each of several black-and-white
 * pictures (what is light, what is dark, what is lighter or darker than its surroundings, what is
 * colourful) the connected pieces are taken, those that stand in a row are joined, and what has the
 * proportions of a line is kept. It is not known whether it is text: a reader has to tell. */
#ifndef BQB_IMAGE_TEXT_LINES_H
#define BQB_IMAGE_TEXT_LINES_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    uint8_t *gray;        /* [h,w], owned: dark on white, letters about `height` pixels high */
    size_t w, h;
    float x0, y0, x1, y1; /* the letters' place, in widths and heights of the picture */
    float score;          /* how much it looks like a line; more is better */
} bqb_text_line;

enum { BQB_TEXT_LINES_MOST = 12 };
typedef struct {
    bqb_text_line line[BQB_TEXT_LINES_MOST];
    size_t n;
} bqb_text_lines;

/* The best lines, at most `most`, on rgb [h,w,3], falling by score; letters are scaled to `height`.
 * w, h: 1 … 4096. BQB_EINVAL, BQB_ENOMEM. */
bqb_status bqb_text_lines_find(bqb_text_lines *out, const uint8_t *rgb, size_t w, size_t h, size_t most, size_t height,
                               bqb_err *err);
void bqb_text_lines_free(bqb_text_lines *l);

#endif
