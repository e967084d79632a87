/* Which words of a query stand in what is said of a sticker. */
#ifndef BQB_SEARCH_EXPLAIN_H
#define BQB_SEARCH_EXPLAIN_H

#include "library/catalogue.h"

/* Append the pieces of the query that stand in the text, in the query's order, each as long as possible, joined by
 * spaces, in folded form (bqb_text_fold); nothing when none does. *n_units: of how many characters and words. */
bqb_status bqb_explain_match(bqb_buf *out, size_t *n_units, const char *query, const char *text, size_t n_bytes,
                             bqb_err *err);

/* One thing that is said of a sticker and has words of the query. */
typedef struct {
    bqb_field field;
    bqb_origin origin;
    double belief;
    char *text, *match; /* owned; the match by bqb_explain_match */
    size_t n_units;
} bqb_word_reason;

typedef struct {
    bqb_word_reason *item;
    size_t n;
} bqb_word_reasons;

/* The `most` that have most of the query, best first; emoji of the query also by their names. */
bqb_status bqb_explain_words(bqb_word_reasons *out, bqb_catalogue *c, bqb_sticker_id id, const char *query, size_t most,
                             bqb_err *err);
void bqb_word_reasons_free(bqb_word_reasons *r);

#endif
