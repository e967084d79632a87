/* Laying one small picture on another until they fit best, and how they then differ.
 * Functions here are pure; any thread. */
#ifndef BQB_IMAGE_OVERLAY_H
#define BQB_IMAGE_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

enum { BQB_OVERLAY_UNITS = 64, BQB_OVERLAY_MOST = 64 };

/* 8-bit [side,side], borrowed. */
typedef struct {
    const uint8_t *p;
    size_t side;
} bqb_plane;

/* Which part of a plane: left, right, top, bottom, in 1/64 of its side; outside of it is allowed. */
typedef struct {
    float e[4];
} bqb_edges;

/* Between four pixels; x and y within 0 … side-1. */
float bqb_plane_at(bqb_plane p, float x, float y);

/* The differences d [n,n], n up to BQB_OVERLAY_MOST, of a's part and b's part, those outside b being 0, once
 * b has the light and contrast that make it most like a, within bounds: pictures
 * are saved a little lighter or paler. Returns the share outside. */
double bqb_overlay_differences(float *d, size_t n, bqb_plane a, const bqb_edges *ea, bqb_plane b, const bqb_edges *eb);

/* Move b's edges, alone and in pairs, at first by first_step, as long as n×n points then fit better.
 * Returns the sum of the squared differences; HUGE_VAL: they do not lie on each other. */
double bqb_overlay_fit(bqb_edges *eb, bqb_plane a, const bqb_edges *ea, bqb_plane b, size_t n, float first_step, float last_step);

/* Means of 2×2, signs kept: along an edge that is off by part of a pixel they cancel. */
void bqb_overlay_soften(float *d, size_t n);

/* The largest mean over a window of window×window of the sizes of the differences d [n,n]. */
double bqb_overlay_worst(const float *d, size_t n, size_t window);

#endif
