/* A set of stickers in figures: the data-set table of a paper. */
#ifndef BQB_TRAIN_FIGURES_H
#define BQB_TRAIN_FIGURES_H

#include "library/catalogue.h"
#include "train/dataset.h"

enum { BQB_BINS = 24 };

/* How some number is distributed. Quantiles are by nearest rank. */
typedef struct {
    size_t n;
    double mean;
    uint64_t min, p10, p25, median, p75, p90, max;
    /* The histogram: n_bins (0 when n is 0) of bin_width from bin_from on; the
     * last also counts everything larger. bin_width is 1, 2 or 5 times a power of ten. */
    uint64_t bin_from, bin_width;
    size_t n_bins, bin[BQB_BINS];
} bqb_numbers;

/* v [n] is sorted by it. */
void bqb_numbers_of(bqb_numbers *out, uint64_t *v, size_t n);

/* How often each value of a label occurs: most frequent first, then by name. */
typedef struct {
    struct {
        char *name;
        size_t n;
    } *item;
    size_t n;
} bqb_tally;

typedef struct {
    size_t stickers, animated;
    size_t left_out, unreadable;  /* of a data set: not among the stickers; among them, without format, size, frames */
    uint64_t bytes;
    size_t with_field[BQB_FIELDS];
    size_t queries;
    bqb_numbers caption, ocr, query; /* in characters, of those that there are */
    bqb_numbers frames;              /* of the animated ones */
    bqb_numbers width, height, size_bytes;
    bqb_tally format, label[BQB_FIELDS]; /* label: of emotion, emotion_label and style */
} bqb_figures;

/* Every sticker that the library shows. */
bqb_status bqb_figures_of_library(bqb_figures *f, bqb_catalogue *c, bqb_err *err);

/* Every sticker of a data set; the pictures' headers are read. threads 0: all processors. */
bqb_status bqb_figures_of_dataset(bqb_figures *f, const bqb_dataset *ds, int threads, bqb_progress_fn progress, void *ctx,
                                  bqb_err *err);
void bqb_figures_free(bqb_figures *f); /* after errors, too */

#endif
