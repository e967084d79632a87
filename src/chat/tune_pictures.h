/* The pictures of a data set as StickerLLM meets them, computed once by the frozen StickerCLIP:
 * what is to be found, and what is shown when a sticker is asked for with a picture.
 *
 * D of the shared space, F of a feature before the projection. */
#ifndef BQB_CHAT_TUNE_PICTURES_H
#define BQB_CHAT_TUNE_PICTURES_H

#include "model/clip.h"
#include "train/dataset.h"

typedef struct {
    size_t n, F, D;
    uint32_t *sample; /* [n] number in the data set: unreadable pictures are left out */
    uint32_t *alike;  /* [n] equal where the whole annotations are */
    float *target;    /* [n,D] unit */
    float *shown;     /* [n,F] of the picture itself */
    float *altered;   /* [n,F] of a crop of it with other light and colours: as one who asks might have it */
    float *view;      /* [n,D] unit, of the same altered picture */
    size_t n_unreadable;
    bqb_buf notes;    /* the first of those, as lines for people */
} bqb_tune_pictures;

typedef struct {
    size_t limit;       /* the first pictures only; 0: all */
    uint64_t seed;      /* of what is altered */
    bool drop_alpha;
    int threads;
    const char *cache;  /* file to keep them in; NULL: none. One of other data or another model is made anew */
} bqb_tune_pictures_options;

/* Errors: BQB_EFORMAT when fewer than two pictures can be read; BQB_ECANCEL; BQB_ENOMEM. Close after errors, too. */
bqb_status bqb_tune_pictures_open(bqb_tune_pictures *p, const bqb_dataset *ds, bqb_clip *clip, const bqb_tune_pictures_options *o,
                                  bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_tune_pictures_close(bqb_tune_pictures *p);

/* Bytes that n pictures take. */
double bqb_tune_pictures_bytes(size_t n, size_t F, size_t D);

#endif
