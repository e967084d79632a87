/* Zero-shot classification: the classes are the labels that the data holds, each
 * put into words by a few templates; a picture's class is that of the nearest
 * words (model/prompts.h). */
#ifndef BQB_TRAIN_ZEROSHOT_H
#define BQB_TRAIN_ZEROSHOT_H

#include "train/gallery.h"

enum { BQB_ZEROSHOT_CLASSES = 512 };

typedef struct {
    bqb_field field;
    size_t n, left_out; /* pictures with such a label; without, or with one that says nothing */
    size_t n_classes;
    char **label;       /* [n_classes] the most frequent first, equally frequent ones by their bytes */
    size_t *count;      /* [n_classes] pictures */
    uint32_t *picture;  /* [n] in the gallery */
    uint32_t *truth;    /* [n] class */
    uint32_t *chosen;   /* [n] class; of tied ones the first */
    uint32_t *confusion;/* [n_classes,n_classes] pictures of class row that were put into class column */
    double *accuracy;   /* [n_classes] top-1, percent */
    double top1, top3, macro; /* percent: of all pictures; the mean over classes of top-1. Ties as in rank.h. */
} bqb_zeroshot;

/* n = 0 when no picture has such a label. BQB_ELIMIT: more than
 * BQB_ZEROSHOT_CLASSES labels (that is not a classification). */
bqb_status bqb_zeroshot_run(bqb_zeroshot *z, bqb_field field, bqb_clip *m, const bqb_gallery *g,
                            bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_zeroshot_free(bqb_zeroshot *z);

/* Its two halves: the classes; and the rest, given features of the classes
 * [n_classes,D]. z is freed by whoever collected, also after an error. */
bqb_status bqb_zeroshot_collect(bqb_zeroshot *z, bqb_field field, const bqb_gallery *g, bqb_err *err);
bqb_status bqb_zeroshot_measure(bqb_zeroshot *z, const bqb_gallery *g, const float *classes, int threads, bqb_err *err);

#endif
