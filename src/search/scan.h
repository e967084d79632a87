/* The nearest vectors, exactly. */
#ifndef BQB_SEARCH_SCAN_H
#define BQB_SEARCH_SCAN_H

#include "library/vectors.h"

typedef struct {
    size_t row;
    float score; /* dot product with the query: cosine, as both are unit vectors */
} bqb_hit;

/* How the scores of all allowed rows lie. */
typedef struct {
    double mean, sd;
    size_t n;
} bqb_spread;

/* The score of one row: products of f32 query and f16 row, summed in f32 in a fixed order. */
float bqb_scan_row(const bqb_vectors *v, size_t row, const float *query);

/* The k best rows, best first, equal scores by rising row; returns how many.
 *   out     out [k]
 *   spread  out, may be NULL
 *   query   in  [v->dim] unit
 *   allow   in  bit row%64 of word row/64 set: the row takes part; NULL: all do
 * Plain: every row by bqb_scan_row. */
size_t bqb_scan_plain(bqb_hit *out, size_t k, bqb_spread *spread, const bqb_vectors *v, const float *query,
                      const uint64_t *allow);

/* Every row's score by int8, -infinity where not allowed, and how far it may be from bqb_scan_row's (0: it is that).
 *   score, doubt  out [v->n]
 * threads 0: all processors. Errors: BQB_ENOMEM. */
bqb_status bqb_scan_all(float *score, float *doubt, bqb_spread *spread, const bqb_vectors *v, const float *query,
                        const uint64_t *allow, int threads, bqb_err *err);

/* The same hits with the same scores, faster: every row by int8, then, by
 * bqb_scan_row, those whose int8 score could belong to the k best given what
 * rounding may have cost. The spread is that of the int8 scores.
 * threads 0: all processors. Errors: BQB_ENOMEM. */
bqb_status bqb_scan(bqb_hit *out, size_t k, size_t *n_out, bqb_spread *spread, const bqb_vectors *v,
                    const float *query, const uint64_t *allow, int threads, bqb_err *err);

#endif
