/* Contact sheets: many stickers on one PNG, to be looked at. */
#ifndef BQB_IMAGE_SHEET_H
#define BQB_IMAGE_SHEET_H

#include "base/err.h"

/* One cell: a file, or pixels [height,width,C] with C = 3 or 4 (alpha not
 * premultiplied). Everything is borrowed for the call. */
typedef struct {
    const char *path;      /* or NULL */
    const uint8_t *pixels; /* where path is NULL */
    size_t width, height, C;
    const char *caption; /* UTF-8, up to style.caption_lines lines under the picture; or NULL */
} bqb_sheet_cell;

/* Zero-initialise for the defaults in brackets. */
typedef struct {
    size_t columns;       /* [as many as make the sheet about square] */
    size_t side;          /* of a picture's square, pixels, 16 to 1024 [160]; larger pictures are shrunk */
    size_t frames;        /* of an animation shown side by side, 1 to 16 [1] */
    size_t caption_lines; /* kept free under each picture [2 if any cell has a caption] */
    const char *font;     /* Pango description [a CJK sans, 11 px] */
    const char *title;    /* one line on top [none] */
} bqb_sheet_style;

/* Write the cells, row by row, to a PNG at `path` (replaced in one step), on
 * white. A file that cannot be decoded leaves its message in its cell: a sheet
 * is where one wants to see that. style may be NULL. BQB_ELIMIT: over 100 million pixels. */
bqb_status bqb_image_sheet(const char *path, const bqb_sheet_cell *cells, size_t n,
                           const bqb_sheet_style *style, bqb_err *err);

/* Write pixels [height,width,C], C = 1, 3 or 4, as a PNG (replaced in one step). */
bqb_status bqb_png_write(const char *path, const uint8_t *pixels, size_t width, size_t height, size_t C,
                         bqb_err *err);

#endif
