/* SVG that we drew ourselves, as a PNG. */
#ifndef BQB_IMAGE_SVG_PNG_H
#define BQB_IMAGE_SVG_PNG_H

#include "base/err.h"

/* Render n bytes of SVG at `scale` times its size into a PNG at path (replaced in
 * one step). BQB_EUNSUPPORTED: this libvips cannot read SVG. */
bqb_status bqb_svg_to_png(const char *path, const char *svg, size_t n, double scale, bqb_err *err);

#endif
