/* Which stickers have the words of the query in what is said of them. */
#ifndef BQB_SEARCH_LEXICAL_H
#define BQB_SEARCH_LEXICAL_H

#include "library/catalogue.h"

typedef struct {
    bqb_sticker_id id;
    double score;
} bqb_word_hit;

/* Every sticker, not missing, rising by id, that shares a unit with the query (bqb_units) or one that reading takes for
 * it; except those that have nothing but common ones where thousands have rarer ones.
 * score, 0 … 1 and comparable across queries: how well its texts answer the query (search/wordfit.h). Every text has a
 * weight: given captions and words on the picture 1, lines read off it by the belief in them, labels less, the file's
 * name less still. A unit or pair weighs ln(1 + stickers / (stickers that have it + 0.5)).
 * 1: a value of a field, with full weight, is the query and nothing more.
 * The 200 with the rarest grams are looked at closely; each of the others has no more than the least of these.
 * Free *out with free(). */
bqb_status bqb_lexical(bqb_word_hit **out, size_t *n, bqb_catalogue *c, const char *query, bqb_err *err);

#endif
