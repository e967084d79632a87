/* Near copies among results: one of a group is shown. */
#ifndef BQB_SEARCH_FOLDING_H
#define BQB_SEARCH_FOLDING_H

#include "search/parts.h"

/* Leave of e[n], best first, at most q->n: of a group of near copies (library/likeness.h) the
 * first, or its keeper in that place; and with q->fold > 0 nothing that resembles a better one by that cosine,
 * unless it is known to be the same picture with other words. e[].folded says how many are
 * behind each: the others of its group, and those left out by the cosine. With
 * q->apart only the cosine folds, and hidden stickers are results like others. */
bqb_status bqb_fold(bqb_entrant *e, size_t *n, bqb_catalogue *c, const bqb_parts *p, const bqb_search_query *q, bqb_err *err);

#endif
