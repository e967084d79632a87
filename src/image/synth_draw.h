/* A small painter for synthetic stickers: premultiplied 8-bit RGBA canvases,
 * antialiased shapes, affine copies, and the per-pixel effects that styles are
 * made of. Coordinates are pixels, y down, pixel centres at +0.5. Nothing here
 * can fail but canvas_new; everything is deterministic; any thread, one canvas each. */
#ifndef BQB_IMAGE_SYNTH_DRAW_H
#define BQB_IMAGE_SYNTH_DRAW_H

#include "base/rand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* w*h pixels, 4 bytes each: r, g, b times alpha, then alpha. */
typedef struct {
    int w, h;
    uint8_t *px;
} canvas;

/* One byte a pixel: how much of it is covered. */
typedef struct {
    int w, h;
    uint8_t *px;
} mask;

/* Not premultiplied. */
typedef struct {
    uint8_t r, g, b, a;
} colour;

typedef struct {
    float x, y;
} point;

/* Where a copy goes: its centre, scale per axis, clockwise turn in radians, and
 * a horizontal shear. Negative sx mirrors. */
typedef struct {
    float cx, cy, sx, sy, turn, shear;
    float alpha; /* 0 … 1 */
} placing;

bool canvas_new(canvas *c, int w, int h); /* transparent; false when memory is out */
void canvas_free(canvas *c);
void canvas_clear(canvas *c);
void canvas_copy(canvas *to, const canvas *from); /* the same size */
bool mask_new(mask *m, int w, int h);
void mask_free(mask *m);

static inline colour rgb(unsigned hex) {
    return (colour){(uint8_t)(hex >> 16), (uint8_t)(hex >> 8), (uint8_t)hex, 255};
}
colour colour_mix(colour a, colour b, float t);
colour colour_alpha(colour c, float alpha);
colour colour_hsv(float hue_degrees, float saturation, float value);

/* Source-over onto one pixel / everywhere. */
void paint_pixel(canvas *c, int x, int y, colour k, float coverage);
void paint_fill(canvas *c, colour k);
void paint_over(canvas *to, const canvas *from);
void paint_copy(canvas *to, const canvas *from, placing at);
void paint_mask(canvas *to, const mask *from, placing at, colour k);
void mask_add(mask *to, const mask *from, placing at); /* the larger of both */

/* Shapes. */
void paint_ellipse(canvas *c, float cx, float cy, float rx, float ry, float turn, colour k);
void paint_ring(canvas *c, float cx, float cy, float r, float width, colour k);
void paint_line(canvas *c, float x0, float y0, float x1, float y1, float width, colour k);
void paint_polygon(canvas *c, const point *p, size_t n, float grow, colour k); /* n <= 64 */
void paint_round_box(canvas *c, float x0, float y0, float x1, float y1, float radius, colour k);
void paint_heart(canvas *c, float cx, float cy, float size, float turn, colour k);
void paint_star(canvas *c, float cx, float cy, float r_out, float r_in, int tips, float turn, colour k);
void paint_drop(canvas *c, float cx, float cy, float size, float turn, colour k);

/* Fields. */
void canvas_blur(canvas *c, int radius);
void mask_blur(mask *m, int radius);
void mask_of_alpha(mask *m, const canvas *c); /* the same size */
/* Distance in pixels from each pixel to the covered region (0 inside), up to
 * `reach`; dist is [w*h]. Chamfer, within 8 % of Euclid. */
void mask_distance(float *dist, const mask *m, float reach);
/* Smallest box that holds every pixel with alpha > 8; all zero when none. */
void canvas_bounds(const canvas *c, int *x0, int *y0, int *x1, int *y1);

/* Smooth value noise in [0,1], `cell` pixels between its knots. */
float noise_at(uint32_t seed, float x, float y, float cell);

#endif
