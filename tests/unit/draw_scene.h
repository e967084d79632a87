/* Drawn scenes with glyphs under them, for the tests of looking and splitting. */
#ifndef DRAW_SCENE_H
#define DRAW_SCENE_H

#include <stddef.h>
#include <stdint.h>

enum { SCENE = 192, GLYPHS = 7 };

/* rgb out [192,192,3]: shapes by `seed`, under them seven glyphs by `words`, the
 * one numbered `other` (0 … 6; -1: none) being another. */
void scene_draw(uint8_t *rgb, uint64_t seed, uint64_t words, int other);

/* DIR/NAME from pixels [frames,h,w,3]; the extension says the format ("a.jpg", "b.gif"). */
void scene_save(const char *dir, const char *name, const uint8_t *rgb, size_t w, size_t h, size_t frames);

#endif
