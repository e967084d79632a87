/* Ranks, exactly: the place of the right item for every query, R@1, R@5, R@10,
 * their mean (MR), median rank. For galleries of any size.
 *
 * Ties. A model that gives every picture the same score must not look good, so
 * places are counted as if tied items stood in random order: with b items
 * strictly better, t wrong items tied and c right items tied, a hit within k
 * counts as its probability, 1 - C(t, k-b) / C(t+c, k-b), and the rank is its
 * expectation, 1 + b + t / (c+1). */
#ifndef BQB_TRAIN_RANK_H
#define BQB_TRAIN_RANK_H

#include "base/err.h"

typedef struct {
    uint32_t better;     /* wrong items with a higher score than the best right one */
    uint32_t tied_wrong; /* wrong items with the same score */
    uint32_t tied_right; /* right items with that score, at least 1 */
} bqb_place;

/* The score of two rows: their dot product in f32, summed in one fixed order,
 * so that equal rows tie bit for bit wherever they stand. */
float bqb_rank_score(const float *a, const float *b, size_t D);

/* places out [Q]; top, when not NULL, out [Q,n_top] items best first (ties: the
 * lower number first; UINT32_MAX where the gallery is shorter).
 *   q      in [Q,D], g in [G,D] f32 rows
 *   first  in [Q+1], right in [first[Q]]: right[first[i] … first[i+1]-1] are the
 *          right items of query i, rising, at least one each
 * Scores are those of bqb_rank_score. BQB_EINVAL: a row that is not finite (a
 * broken model must not pass for one that ties with everything), or so large
 * that scores would overflow; a query without a right item. Plain: every one of them, one after another. */
bqb_status bqb_rank_plain(bqb_place *places, uint32_t *top, size_t n_top, const float *q, size_t Q, const float *g,
                          size_t G, size_t D, const size_t *first, const uint32_t *right, bqb_err *err);

/* The same numbers, faster: blocks of products by oneDNN, and bqb_rank_score
 * wherever rounding could change an order. Besides its results it needs half
 * a megabyte a thread. threads 0: all processors. */
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

#endif
