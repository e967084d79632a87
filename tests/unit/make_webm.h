/* A small WebM for tests, muxed by hand; its frames are coded by libvpx where bqb has that. */
#ifndef BQB_TEST_MAKE_WEBM_H
#define BQB_TEST_MAKE_WEBM_H

#include "base/mem.h"

#include <stdbool.h>

/* VP9, 32×24, 25 frames a second: frame k is of one colour, its luma 60 + 40 k, at most 4 frames. alpha: the left half
 * is clear. unknown_sizes: segment and clusters as in a live stream. Appends nothing without libvpx. */
void make_webm(bqb_buf *b, unsigned frames, bool alpha, bool unknown_sizes);

#endif
