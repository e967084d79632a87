/* Recall of a model: features of a gallery and of queries of every kind, and
 * how well each finds the other (train/rank.h says how it is counted). */
#ifndef BQB_TRAIN_EVALUATE_H
#define BQB_TRAIN_EVALUATE_H

#include "train/gallery.h"
#include "train/rank.h"

/* What is asked: the whole annotation, one field alone, or the short queries. */
typedef enum {
    BQB_ASK_FULL = BQB_FIELDS, /* below it: the bqb_field of that number */
    BQB_ASK_SHORT,
    BQB_ASKS
} bqb_ask;
const char *bqb_ask_name(bqb_ask a);
bqb_ask bqb_ask_parse(const char *name); /* BQB_ASKS when it is none */

/* The queries of one kind over a gallery, and how the model does. */
typedef struct {
    size_t n, left_out;  /* queries; pictures that have none of this kind */
    char **text;         /* [n] owned */
    uint32_t *target;    /* [n] in the gallery */
    bqb_recall to_image; /* strict: only the query's own picture is right */
    bqb_recall to_text;  /* strict: from each picture to any of its own queries */
    bqb_recall to_image_or_near, to_text_or_near; /* its near-duplicates, their queries, are right, too */
    bqb_recall any;      /* any picture with exactly this query is right, and each distinct query is asked once */
    bqb_place *place;    /* [n] strict, text to picture */
    uint32_t *top;       /* [n,10] gallery items, best first; UINT32_MAX past the end */
} bqb_ask_result;

/* n = 0 when no picture has such a query: nothing is measured then. */
bqb_status bqb_ask_run(bqb_ask_result *r, bqb_ask ask, bqb_clip *m, const bqb_tokenizer *tok, const bqb_gallery *g,
                       bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_ask_free(bqb_ask_result *r);

/* Its two halves: the texts and their pictures in gallery order; and the rest,
 * given the texts' features q [n,D]. r is freed by whoever collected, also after an error. */
bqb_status bqb_ask_collect(bqb_ask_result *r, bqb_ask ask, const bqb_gallery *g, bqb_err *err);
bqb_status bqb_ask_measure(bqb_ask_result *r, const bqb_gallery *g, const float *q, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);

#endif
