/* Animations that libvips does not know: Telegram's, drawn (TGS) and filmed (WebM).
 * Their decoders run in a process of their own (apart.h). */
#ifndef BQB_IMAGE_MOVIE_H
#define BQB_IMAGE_MOVIE_H

#include "image/apart.h"

typedef struct {
    size_t width, height, frames;
    bool alpha;
    int *delay_ms;   /* [frames], owned */
    bqb_apart_fn fn; /* gives the frames, of state; NULL: this is no movie */
    void *state;
    void (*free_state)(void *state);
    bqb_apart *apart; /* once a frame was asked for */
} bqb_movie;

/* TGS: gzipped Lottie. Source: core.telegram.org/stickers and the Lottie format.
 * Nothing is drawn yet, but the JSON is read: at most 16 MiB, 100 levels and
 * 500,000 values; a side of at most 8,192; no pictures inside, which librlottie
 * would look for on the disk. data is not used afterwards. Messages begin with name.
 * BQB_EUNSUPPORTED where bqb was built without librlottie. */
bqb_status bqb_lottie_open(bqb_movie *m, const void *data, size_t size, const char *name, bqb_err *err);

/* WebM with VP8 or VP9, the first video track, with its alpha. data is borrowed until close.
 * A file that is cut has the whole frames before the cut. BQB_EUNSUPPORTED: without libvpx, another codec. */
bqb_status bqb_webm_open(bqb_movie *m, const void *data, size_t size, const char *name, bqb_err *err);

/* RGBA [height,width,4], in rising order; messages go on from "NAME: FORMAT picture". */
bqb_status bqb_movie_read(bqb_movie *m, uint8_t *rgba, size_t frame, int timeout_ms, bqb_err *err);
void bqb_movie_close(bqb_movie *m); /* accepts a zeroed one; sets it to zero */

#endif
