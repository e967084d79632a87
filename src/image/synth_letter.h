/* Words on a sticker: broken into lines, as large as their box allows. */
#ifndef BQB_IMAGE_SYNTH_LETTER_H
#define BQB_IMAGE_SYNTH_LETTER_H

#include "image/synth_glyph.h"

typedef struct {
    float x0, y0, x1, y1;
} box;

typedef struct {
    size_t font;
    colour fill, edge, shadow; /* alpha 0: none */
    float edge_width, bold;    /* pixels; bold thickens the fill */
    float jumpy;               /* 0 … 1: letters turned and shifted at random */
    float arch;                /* pixels by which a line's middle is raised */
    float shear, max_size;
    bool vertical;
} word_look;

enum { WORDS_MAX = 48 }; /* letters drawn; more are cut */

/* Draw text centred in area. rand only moves letters, by look.jumpy. size, if
 * not NULL, gets the letter size used, in pixels. */
bqb_status words_draw(canvas *to, glyphs *g, const char *text, box area, const word_look *look,
                      bqb_rand *rand, float *size, bqb_err *err);

#endif
