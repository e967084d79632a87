/* Which rows of the scan a query allows. */
#ifndef BQB_SEARCH_FILTER_H
#define BQB_SEARCH_FILTER_H

#include "library/id_set.h"
#include "library/vectors.h"

/* Stickers whose believed emotion (either field) is `emotion`, whose style is
 * `style`, and that are animated, where asked. *any: nothing was asked, and the
 * set is empty. A value matches as a whole or as one part of "惊讶/震惊",
 * folded (bqb_text_fold).
 * Errors: BQB_ENOTFOUND when no sticker has the value: the message lists what is near it and the most frequent. */
bqb_status bqb_filter(bqb_id_set *out, bool *any, bqb_catalogue *c, const char *emotion, const char *style,
                      bool animated, bqb_err *err);

/* Stickers in which one of these stands: words that all stand in one believed field (caption, words on the picture,
 * label), whatever their order; of an emoji, also by one of its names.
 * Errors: BQB_EINVAL (one has no letters at all), of the catalogue. */
bqb_status bqb_filter_with_words(bqb_id_set *out, bqb_catalogue *c, const char *const *words, size_t n, bqb_err *err);

/* Bits for bqb_scan: [(v->n + 63) / 64] words, one bit a row whose sticker is in the set (NULL: all are) and not in
 * `without`. Free with free(). */
bqb_status bqb_filter_rows(uint64_t **bits, size_t *n_rows, const bqb_vectors *v, const bqb_id_set *s,
                           const bqb_id_set *without, bqb_err *err);

#endif
