/* Recall, exactly: features of a gallery and of queries, the place of the
 * right item for every query, R@1, R@5, R@10, their mean (MR), median rank.
 *
 * Ties. A model that gives every picture the same score must not look good, so
 * places are counted as if tied items stood in random order: with b items
 * strictly better, t wrong items tied and c right items tied, a hit within k
 * counts as its probability, 1 - C(t, k-b) / C(t+c, k-b), and the rank is its
 * expectation, 1 + b + t / (c+1). */
#ifndef BQB_TRAIN_EVALUATE_H
#define BQB_TRAIN_EVALUATE_H

#include "model/clip.h"
#include "train/pixels.h"

typedef struct {
    uint32_t better;     /* wrong items with a higher score than the best right one */
    uint32_t tied_wrong; /* wrong items with the same score */
    uint32_t tied_right; /* right items with that score, at least 1 */
} bqb_place;

/* places out [Q]; top, when not NULL, out [Q,n_top] items best first (ties: the
 * lower number first; UINT32_MAX where the gallery is shorter).
 *   q      in [Q,D], g in [G,D] f32 rows, finite
 *   first  in [Q+1], right in [first[Q]]: right[first[i] … first[i+1]-1] are the
 *          right items of query i, rising, at least one each
 * Scores of equal rows are equal bit for bit. */
bqb_status bqb_rank(bqb_place *places, uint32_t *top, size_t n_top, const float *q, size_t Q, const float *g,
                    size_t G, size_t D, const size_t *first, const uint32_t *right, int threads,
                    bqb_progress_fn progress, void *ctx, bqb_err *err);

double bqb_place_hit(const bqb_place *p, size_t k); /* probability of a hit within the first k */
double bqb_place_rank(const bqb_place *p);          /* expected rank, from 1 */

typedef struct {
    size_t n;
    double r1, r5, r10, mr; /* percent */
    double median;          /* of the expected ranks */
} bqb_recall;

bqb_recall bqb_recall_of(const bqb_place *places, size_t n);

/* What is asked: the whole annotation, one field alone, or the short queries. */
typedef enum {
    BQB_ASK_FULL = BQB_FIELDS, /* below it: the bqb_field of that number */
    BQB_ASK_SHORT,
    BQB_ASKS
} bqb_ask;
const char *bqb_ask_name(bqb_ask a);
bqb_ask bqb_ask_parse(const char *name); /* BQB_ASKS when it is none */

/* The gallery: unit features of up to `limit` readable pictures (0: all), in
 * the data set's order. */
typedef struct {
    const bqb_dataset *ds;
    uint32_t *sample; /* [n] number in the data set */
    float *feature;   /* [n,D] */
    size_t n, D, n_unreadable;
    bqb_buf notes;    /* the first unreadable ones, as lines for people */
} bqb_gallery;

bqb_status bqb_gallery_open(bqb_gallery *g, bqb_clip *m, const bqb_dataset *ds, const bqb_pixels *px, size_t limit,
                            bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_gallery_close(bqb_gallery *g);

/* Unit features of texts, [n,D]; texts of like length are encoded together. */
bqb_status bqb_embed_texts(float *out, bqb_clip *m, const bqb_wordpiece *wp, const char *const *texts, size_t n,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);

/* The queries of one kind over a gallery, and how the model does. */
typedef struct {
    size_t n, left_out;  /* queries; pictures that have none of this kind */
    char **text;         /* [n] owned */
    uint32_t *target;    /* [n] in the gallery */
    bqb_recall to_image; /* the query's own picture */
    bqb_recall to_text;  /* from each picture to any of its own queries */
    bqb_recall any;      /* as to_image, but any picture with exactly this query is right */
    uint32_t *top;       /* [n,10] gallery items, best first; UINT32_MAX past the end */
} bqb_ask_result;

/* n = 0 when no picture has such a query: nothing is measured then. */
bqb_status bqb_ask_run(bqb_ask_result *r, bqb_ask ask, bqb_clip *m, const bqb_wordpiece *wp, const bqb_gallery *g,
                       bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_ask_free(bqb_ask_result *r);

#endif
