/* How well what is said of one sticker answers the words of a query. */
#ifndef BQB_SEARCH_WORDFIT_H
#define BQB_SEARCH_WORDFIT_H

#include "base/err.h"
#include "text/grams.h"

#include <stdbool.h>

/* A query is judged by its first units (bqb_units). */
enum { BQB_QUERY_UNITS = 64 };

/* The query's units and their neighbourhoods (pair i: units i and i + 1), each with its weight >= 0: how rare it is. */
typedef struct bqb_wordfit bqb_wordfit;
bqb_status bqb_wordfit_new(bqb_wordfit **out, const char *query, bqb_err *err);
void bqb_wordfit_free(bqb_wordfit *f);
const bqb_units *bqb_wordfit_units(const bqb_wordfit *f);
size_t bqb_wordfit_count(const bqb_wordfit *f); /* units that are looked at */
void bqb_wordfit_weigh(bqb_wordfit *f, const double *unit, const double *pair);

/* Of one sticker: begin, add each text with its weight 0 … 1 and whether it is whole, score.
 *
 *   unit(i)   the highest weight of a text in which unit i stands; a character that reading takes for it
 *             (bqb_confusions) and a word spelt like it count in part
 *   pair(i)   the highest weight of a text in which units i and i + 1 stand side by side; in part where one
 *             unit is between them, is missing between them, or is another
 *   cover     (sum of unit weights * unit(i) + sum of pair weights * pair(i)) / (sum of all weights)
 *   line      the highest of: a text's weight * its own cover * share of the text's units that the query has
 *   text      the same of the texts that are whole, not one line of several
 *   score     0.85 cover + 0.1 line + 0.05 text; 0 … 1: 1 is a whole text of weight 1 that is the query */
void bqb_wordfit_begin(bqb_wordfit *f);
bqb_status bqb_wordfit_add(bqb_wordfit *f, const char *text, size_t n_bytes, double weight, bool whole, bqb_err *err);
double bqb_wordfit_score(const bqb_wordfit *f);

#endif
