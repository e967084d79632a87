/* The stickers that a language model's [RET] means: by a vector, not by words.
 * Source of the ranking: Sticker820K, arXiv:2306.06870: q·image + beta · q·text. */
#ifndef BQB_SEARCH_RETRIEVE_H
#define BQB_SEARCH_RETRIEVE_H

#include "search/search.h"

typedef enum { BQB_WORDS_ANY, BQB_WORDS_WITH, BQB_WORDS_WITHOUT } bqb_words_wanted;

/* Strings and arrays are borrowed. */
typedef struct {
    const float *vec;        /* [dim] unit */
    const char *model;       /* 64 hex digits: whose vectors */
    double beta;             /* of the text of the picture; a sticker that has none takes its picture for it */
    const char *said;        /* what the user wrote: stickers of which the same is said rank higher; NULL: the vector alone ranks */
    const char *common;      /* words of any request, which say nothing of what is wanted; NULL: there are none */
    const char *emotion;     /* filters; NULL: any */
    const char *style;
    bool animated;
    bqb_words_wanted words;  /* on the picture, as far as they are known */
    const bqb_sticker_id *except; /* [n_except] left out, and their near copies */
    size_t n_except;
    double least;            /* deviations above chance that an answer needs whose words were not said; -INFINITY: whatever is nearest */
    size_t n;                /* results wanted, 1 … 100 */
} bqb_retrieval;

/* The paper's default, and the least that separates answers from nonsense (docs/chat.md). */
#define BQB_RETRIEVE_BETA 0.3
extern const double bqb_retrieve_least;

/* Best first, near copies folded. An item's sum is q·image + beta · q·text. What ranks is how many deviations that stands above
 * the mean of the stickers that pass the filters, and what was said: 4 deviations times bqb_lexical of it (without runs of
 * common words), 0.7 for each unit, at most five, of a sticker's words that stand in it whole. score: bqb_fusion_score of that.
 * reason[BQB_PART_PICTURE] and [BQB_PART_TEXT] hold the two cosines, [BQB_PART_WORDS] as raw the units of its words that were said
 * whole, as gain all that was said adds.
 * fits: BQB_FITS_NOT and no items where the best is only the nearest there is: it does not stand out (nor can it where
 * the model does not know such pictures, bqb_trust), and of what was said hardly a word is said of the twenty best. Where nothing was said, or
 * most stickers have no words, there is no telling, and the best fits.
 * Errors: BQB_EINVAL (n, another width), BQB_ENOTFOUND (a filter's value), of the catalogue. */
bqb_status bqb_retrieve(bqb_search_results *out, bqb_catalogue *c, const bqb_retrieval *q, size_t dim, bqb_err *err);

#endif
