/* How a style changes what is drawn: the figure (subject and cues on a
 * transparent layer), the background under it, and the finished frame. */
#ifndef BQB_IMAGE_SYNTH_STYLE_H
#define BQB_IMAGE_SYNTH_STYLE_H

#include "image/synth_letter.h"

typedef enum {
    STYLE_FLAT, STYLE_DIECUT, STYLE_SKETCH, STYLE_PIXEL, STYLE_NEON, STYLE_PHOTO, STYLE_MEME, STYLE_WATERCOLOUR,
    STYLE_COMIC, STYLE_PAPERCUT, STYLE_CHALK, STYLE_INK, STYLE_GLITCH, STYLE_RETRO, STYLES
} style_kind;

/* STYLES when no code draws a style of this id. */
style_kind style_parse(const char *id);

typedef enum {
    GROUND_WHITE, GROUND_CLEAR, GROUND_COLOUR, GROUND_GRADIENT, GROUND_RAYS, GROUND_DOTS, GROUND_STRIPES,
    GROUND_OWN, /* the style's own: board, paper, night … */
    GROUNDS
} ground_kind;

/* The style's own background if it has one, else one of those it goes well with. */
ground_kind style_ground(style_kind k, bqb_rand *rand);

bqb_status style_background(canvas *c, style_kind k, ground_kind ground, colour tint, uint32_t seed, bqb_err *err);
bqb_status style_figure(canvas *c, style_kind k, uint32_t seed, bqb_err *err);
void style_frame(canvas *c, style_kind k, uint32_t seed);
void style_words(word_look *look, style_kind k, ground_kind ground, colour tint, bqb_rand *rand);

#endif
