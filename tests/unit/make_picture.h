/* Pictures made byte by byte, good and bad, for the tests of decoding. Each
 * appends to a buffer; running out of memory or over its maximum aborts. */
#ifndef BQB_TEST_MAKE_PICTURE_H
#define BQB_TEST_MAKE_PICTURE_H

#include "base/mem.h"

void make_put(bqb_buf *b, const void *bytes, size_t n);
void make_u8(bqb_buf *b, unsigned v);
void make_le16(bqb_buf *b, size_t v);
void make_be32(bqb_buf *b, size_t v);

/* zlib data: one stored block of at most 65,535 bytes. */
void make_zlib(bqb_buf *b, const void *bytes, size_t n);

/* A PNG: signature and IHDR (colour 0 gray, 2 RGB, 4 gray + alpha, 6 RGBA), then
 * any chunks, then the picture, at most 65,535 bytes of rows with a 0 before each, and the end. */
void make_png_head(bqb_buf *b, size_t w, size_t h, unsigned bits, unsigned colour);
void make_png_chunk(bqb_buf *b, const char *type, const void *bytes, size_t n);
void make_png_data(bqb_buf *b, const void *rows, size_t n);

/* A GIF: header with 128 colours, entry i being (i, 2i, 0); then frames of the
 * top left w×h all in colour c, shown for `cs` hundredths of a second. The trailer is 0x3b. */
void make_gif_head(bqb_buf *b, size_t w, size_t h);
void make_gif_frame(bqb_buf *b, size_t w, size_t h, unsigned c, size_t cs);

#endif
