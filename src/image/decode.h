/* Stickers from files: bounded decoding, the three frames, and the squash to the tower's square.
 *
 * Decoding is libvips'; the resampler is our own, exact to rounding with the
 * reference. As in the reference, colour profiles, gamma and the EXIF orientation
 * are not applied, CMYK is the plain product (255-C)(255-K)/255, and 16-bit samples
 * keep their high byte. The decoder is chosen by the file's first bytes, never
 * by its name, from PNG (animated too), JPEG, GIF, WebP, and AVIF and HEIC
 * (first picture) where libvips was built with them, and Telegram's TGS and WebM
 * where bqb was built with librlottie and libvpx (movie.h); nothing else is ever tried.
 *
 * A damaged or cut file is refused, but for an animated GIF or PNG and WebM: of these the
 * whole frames before the cut are used. Besides the limits below, all frames
 * together may have 10 * max_pixels pixels, as may all scans of a JPEG, of which
 * there may be 100. The clock is looked at between frames and strips of rows, so
 * one call into a decoder (an AVIF, a frame of WebP) may overrun it.
 * Functions may be called from any number of threads at once. Nothing is written
 * to stderr, but by the AV1 decoder about a damaged AVIF. */
#ifndef BQB_IMAGE_DECODE_H
#define BQB_IMAGE_DECODE_H

#include "base/err.h"

#include <stdbool.h>

/* Start libvips once per process, before any other image call: untrusted
 * loaders blocked (but SVG, which we draw with), its cache off, its own threads
 * at 1 (we run pictures in parallel), its log silent. Any thread, again is fine. */
bqb_status bqb_image_init(bqb_err *err);

typedef struct {
    size_t max_pixels; /* width * height of one frame; 0 = 100 million */
    size_t max_frames; /* 0 = 2000; libvips itself reads 4,096 of a GIF */
    int timeout_ms;    /* of processor time for one decode; 0 = 10,000 */
    bool drop_alpha;   /* ignore transparency, as the reference does; else composite on white */
} bqb_image_limits;

typedef struct {
    char format[8]; /* "png" "jpeg" "gif" "webp" "avif" "tgs" "webm" …, by content, never by name */
    size_t width, height, frames;
    bool alpha;
    int duration_ms; /* of one loop; 0 for a still */
} bqb_image_info;

/* Where a still or animation is read frame by frame, full size; bqb_image_frames
 * and the thumbnails are built on it. */
typedef struct bqb_image_reader bqb_image_reader;

/* Header only; data is borrowed until close. Errors as bqb_image_probe. */
bqb_status bqb_image_open(bqb_image_reader **out, const void *data, size_t size, const char *name,
                          const bqb_image_limits *lim, bqb_err *err);
void bqb_image_close(bqb_image_reader *r);
const bqb_image_info *bqb_image_info_of(const bqb_image_reader *r);
size_t bqb_image_channels(const bqb_image_reader *r); /* 1 gray, 3 RGB, 4 RGBA (alpha not premultiplied) */

/* How long a frame is shown; as in browsers, 10 ms and less mean 100 ms. 0 for a still. */
int bqb_image_delay_ms(const bqb_image_reader *r, size_t frame);

/* Frame `frame` as 8-bit [height,width,C], borrowed until the next call. Frames
 * are read in rising order (BQB_EINVAL otherwise); the same one again is free.
 * After another error only closing makes sense. One thread at a time per reader. */
bqb_status bqb_image_read(bqb_image_reader *r, const uint8_t **pixels, size_t frame, bqb_err *err);

/* Header only. `name` is for messages. BQB_EFORMAT: not a picture, broken;
 * BQB_ELIMIT: larger than lim (may be NULL) allows. */
bqb_status bqb_image_probe(bqb_image_info *info, const void *data, size_t size, const char *name,
                           const bqb_image_limits *lim, bqb_err *err);

/* Frames 0, (n-1)/2 and n-1, each squashed to R×R (bicubic, a = -0.5):
 * rgb out [3,R,R,3]; a still is decoded once and repeated. info may be NULL. */
bqb_status bqb_image_frames(uint8_t *rgb, bqb_image_info *info, const void *data, size_t size,
                            const char *name, size_t R, const bqb_image_limits *lim, bqb_err *err);

/* The same in several sizes at once, each as bqb_image_frames gives it: decoded once. square in [n]. */
typedef struct {
    uint8_t *rgb; /* out [3,R,R,3] */
    size_t R;
} bqb_image_square;
bqb_status bqb_image_squares(const bqb_image_square *square, size_t n, bqb_image_info *info, const void *data, size_t size,
                             const char *name, const bqb_image_limits *lim, bqb_err *err);

/* One size from a file (mapped; over 64 MiB is BQB_ELIMIT). */
bqb_status bqb_image_frames_file(uint8_t *rgb, bqb_image_info *info, const char *path, size_t R,
                                 const bqb_image_limits *lim, bqb_err *err);

/* CLIP normalisation: u8 [n,R,R,3] -> f32 [n,3,R,R], (x/255 - mean)/std.
 * mean 0.48145466 0.4578275 0.40821073, std 0.26862954 0.26130258 0.27577711. */
void bqb_image_normalise(float *chw, const uint8_t *rgb, size_t n, size_t R);

#endif
