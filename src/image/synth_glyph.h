/* Pictures of subjects by several hands, and the letters of several fonts:
 * drawn once by libvips, kept for the life of the object (at most 160×160 pixels
 * a subject and hand). Any thread. */
#ifndef BQB_IMAGE_SYNTH_GLYPH_H
#define BQB_IMAGE_SYNTH_GLYPH_H

#include "image/synth_data.h"

enum { GLYPH_EM = 96, GLYPH_FONTS = 8 };

/* One letter at GLYPH_EM pixels to the em: its ink, where the ink begins
 * relative to the pen and the line's top, and how far the pen moves on. */
typedef struct {
    mask ink;
    float x, y, advance;
} letter;

typedef struct glyphs glyphs;

/* Hand 0 is the colour emoji font; each folder of art below art[0 … n_art-1] that
 * holds pictures named by code point (1f600.svg) or by English name
 * (grinning-face.svg) is another. BQB_ENOTFOUND names the Debian package whose font is missing,
 * or the art folder in which no subject was found. d must outlive the result. */
bqb_status glyphs_open(glyphs **out, const synth_data *d, const char *const *art, size_t n_art, bqb_err *err);
void glyphs_close(glyphs *g);

size_t glyphs_hands(const glyphs *g);
bool glyphs_has(const glyphs *g, size_t subject, size_t hand);

/* The subject's picture cut to its ink; borrowed. A picture that cannot be read is replaced by hand 0's. */
bqb_status glyphs_sprite(glyphs *g, size_t subject, size_t hand, const canvas **out, bqb_err *err);

bqb_status glyphs_letter(glyphs *g, size_t font, uint32_t cp, const letter **out, bqb_err *err);
bool glyphs_font_is_brush(size_t font); /* a written hand rather than a printed one */

#endif
