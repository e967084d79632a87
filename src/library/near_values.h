/* Labels that are nearly what somebody wrote: for messages about a label that is not there. */
#ifndef BQB_LIBRARY_NEAR_VALUES_H
#define BQB_LIBRARY_NEAR_VALUES_H

#include "library/catalogue.h"

/* How alike two texts are, 0 … 1: 1 less the characters that have to be put in,
 * taken out or replaced, by the length of the longer one. Only the first 64
 * characters count; bytes that are no UTF-8 are one character each. 1 for two empty ones. */
double bqb_text_nearness(const char *a, const char *b);

/* Append up to three values of these fields that stickers are believed to have and that are at least half like
 * `want` (folded), the likest first, to list: "开心 (12), 开怀 (3)". *known: `want` itself is such a value, folded. */
bqb_status bqb_near_values(bqb_buf *list, bool *known, bqb_catalogue *c, const bqb_field *fields, size_t n_fields,
                           const char *want, bqb_err *err);

#endif
