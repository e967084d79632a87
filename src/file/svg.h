/* Drawing charts as SVG text: what the training curve and the data-set chart share. */
#ifndef BQB_FILE_SVG_H
#define BQB_FILE_SVG_H

#include "base/mem.h"

#include <stdint.h>

/* Stands at the head of every picture, so that bqb knows its own and replaces no other. */
#define BQB_SVG_MARK "<!-- drawn by bqb -->"

/* The head of a picture on white, and its end. Fonts have Chinese. */
bqb_status bqb_svg_begin(bqb_buf *b, int width, int height, bqb_err *err);
bqb_status bqb_svg_end(bqb_buf *b, bqb_err *err);

typedef enum { BQB_SVG_START, BQB_SVG_MIDDLE, BQB_SVG_END_AT } bqb_svg_anchor;

/* One line of text at (x, y), its base line; style is further attributes ("" for
 * none). Any bytes: what may not stand in XML becomes U+FFFD. At most max_chars
 * characters (0: all), the last being "…" where it was cut. */
bqb_status bqb_svg_text(bqb_buf *b, double x, double y, bqb_svg_anchor anchor, const char *style, const char *text, size_t max_chars,
                        bqb_err *err);

/* A distance between grid lines, 1, 2 or 5 times a power of ten, that cuts span > 0 into four to ten. */
double bqb_svg_tick(double span);

#endif
