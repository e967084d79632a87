/* The pictures of a data set as unit features, with those among them that are
 * nearly the same. */
#ifndef BQB_TRAIN_GALLERY_H
#define BQB_TRAIN_GALLERY_H

#include "model/texts.h"
#include "train/pixels.h"

/* The gallery: unit features of up to `limit` readable pictures (0: all), in
 * the data set's order. */
typedef struct {
    const bqb_dataset *ds;
    uint32_t *sample; /* [n] number in the data set */
    float *feature;   /* [n,D] */
    size_t n, D, n_unreadable;
    bqb_buf notes;    /* the first unreadable ones, as lines for people */
    size_t *near_first; /* [n+1] into near: every picture's near-duplicates, rising, without itself */
    uint32_t *near;
    size_t n_near, n_crowded; /* pictures that have one; pictures whose annotation too many share to look */
} bqb_gallery;

/* Near-duplicates: a cosine of the pictures' features of at least BQB_NEAR *and*
 * the same annotation, whole. The model alone does not decide: one that sees
 * all pictures as alike gains nothing where their annotations differ. An
 * annotation that more than BQB_NEAR_SHARED pictures share says too little, and
 * they count as different. */
#define BQB_NEAR 0.94f
enum { BQB_NEAR_SHARED = 256 };

bqb_status bqb_gallery_open(bqb_gallery *g, bqb_clip *m, const bqb_dataset *ds, const bqb_pixels *px, size_t limit,
                            bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_gallery_close(bqb_gallery *g);

/* Fill in the near-duplicates, given sample and feature; bqb_gallery_open does. */
bqb_status bqb_gallery_find_near(bqb_gallery *g, bqb_err *err);

/* Pictures under a text (an annotation, a name, a label), and in the order of their texts, then of their numbers. Borrows. */
typedef struct {
    const char *text;
    uint32_t item; /* in the gallery */
} bqb_under_text;
void bqb_sort_by_text(bqb_under_text *u, size_t n);

#endif
