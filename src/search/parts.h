/* The parts of one query for every sticker of the library, and who is best by their sum. */
#ifndef BQB_SEARCH_PARTS_H
#define BQB_SEARCH_PARTS_H

#include "search/fusion.h"
#include "search/search.h"

typedef struct {
    bqb_sticker_id id;
    size_t row;                       /* of the pictures' vectors; SIZE_MAX: it has none */
    double sum;
    bqb_reason reason[BQB_PARTS];
    size_t folded;                    /* by bqb_fold */
} bqb_entrant;

typedef struct bqb_parts bqb_parts;

/* Everything that is asked, measured against everything that passes the filters. q is borrowed until the end. */
bqb_status bqb_parts_open(bqb_parts **out, bqb_catalogue *c, const bqb_search_query *q, bqb_err *err);
void bqb_parts_close(bqb_parts *p);

/* The k best by the sum of their gains (where a picture alone is asked: by its cosine), best first, equal ones the
 * older first; exactly, as if every sticker had been weighed by bqb_scan_row. Without vectors: all that have one of
 * the words. Free *out with free(). */
bqb_status bqb_parts_best(bqb_parts *p, bqb_entrant **out, size_t *n, size_t k, bqb_err *err);

/* bqb_trust of the library; 1 where no vectors are asked. */
double bqb_parts_trust(const bqb_parts *p);

/* The pictures' vectors, NULL without; how many rows pass the filters; how a part's cosines lie among these. */
const bqb_vectors *bqb_parts_vectors(const bqb_parts *p);
size_t bqb_parts_passed(const bqb_parts *p);
bool bqb_parts_passes(const bqb_parts *p, bqb_sticker_id id); /* the filters */
bqb_spread bqb_parts_spread(const bqb_parts *p, bqb_part part);

/* Whether a picture alone is asked: then the score is its cosine. */
bool bqb_parts_picture_alone(const bqb_search_query *q);

#endif
