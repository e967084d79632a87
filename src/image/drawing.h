/* PNGs that bqb draws (sheets, charts) say so, so that they can be told from everybody else's and drawn anew. */
#ifndef BQB_IMAGE_DRAWING_H
#define BQB_IMAGE_DRAWING_H

#include "base/err.h"

#include <stdbool.h>

/* Write an encoded PNG with a chunk tEXt Software=bqb right behind its IHDR; replaced in one step. BQB_EINVAL: no PNG. */
bqb_status bqb_drawing_write(const char *path, const void *png, size_t size, bqb_err *err);

/* Whether these bytes begin as such a PNG does. */
bool bqb_drawing_is(const void *bytes, size_t size);

#endif
