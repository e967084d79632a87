/* Which stickers have the words of the query in their annotation. */
#ifndef BQB_SEARCH_LEXICAL_H
#define BQB_SEARCH_LEXICAL_H

#include "library/catalogue.h"

typedef struct {
    bqb_sticker_id id;
    double score;
} bqb_word_hit;

/* Every sticker, rising by id, that has a gram of the query (bqb_grams):
 *   share  = weight of the query's grams that it has / weight of all of them,
 *            a gram weighing ln(1 + stickers / (stickers that have it + 0.5))
 *   fill   = grams matched / grams of its annotation, at most 1
 *   score  = share * (0.8 + 0.2 fill), 0 … 1
 * 1 is an annotation that is the query and nothing more. Rare grams weigh more, so
 * one common character in ten counts for little. Free *out with free(). */
bqb_status bqb_lexical(bqb_word_hit **out, size_t *n, bqb_catalogue *c, const char *query, bqb_err *err);

#endif
