/* One score from what a sticker shows and what is said of it. */
#ifndef BQB_SEARCH_FUSION_H
#define BQB_SEARCH_FUSION_H

#include "search/scan.h"

#include <stdbool.h>

/* What a sticker is judged by. */
typedef enum {
    BQB_PART_PICTURE, /* the query's words against the picture: cosine */
    BQB_PART_TEXT,    /* the query's words against the text of the picture, by the text tower: cosine */
    BQB_PART_WORDS,   /* the query's words in the annotation: bqb_lexical, 0 … 1 */
    BQB_PART_LIKE,    /* the query's pictures against the picture: cosine */
    BQB_PART_UNLIKE,  /* what the result should not be like, against the picture: the largest cosine */
    BQB_PARTS
} bqb_part;
const char *bqb_part_name(bqb_part p); /* "picture" "text" "words" "like" "unlike" */

/* Why a sticker stands where it does: one part of it. The gains add up to the sum that ranks. */
typedef struct {
    bool asked;  /* the query has this part */
    bool known;  /* and so has the sticker; else the part is neutral: z and gain are 0 */
    double raw, z, weight, gain;
} bqb_reason;

/* A cosine means something only beside the others that the same query got, so it
 * is counted in standard deviations above their mean, z = (cosine - mean) / sd
 * (sd at least 0.01, so that a handful of stickers cannot blow up noise). */
double bqb_fusion_z(double cosine, const bqb_spread *spread);

/* What a part's z is worth in the sum; of BQB_PART_WORDS: what the score is worth, in deviations. Half of the
 * query's words outrank the likeness of unrelated pictures, all of them every likeness; one common character
 * hardly moves anything. Fitted: docs/library.md. */
double bqb_fusion_weight(bqb_part p);

/* raw, z, weight and gain of one part that is asked and known. What the result should be unlike only takes away:
 * its z counts where it is above 0. spread is not read for BQB_PART_WORDS, whose z is the raw score. trust multiplies
 * the weight: bqb_trust where words are held against pictures, else 1. */
bqb_reason bqb_fusion_reason(bqb_part p, double raw, const bqb_spread *spread, double trust);

/* The z that the best of n stickers most likely has when none has to do with the query (the mode of the
 * largest of n normal numbers); 0 for n below 2. */
double bqb_fusion_chance(size_t n);

/* Does the best answer fit, or is it only the nearest? It fits when somewhere stands about a third of the query's
 * words (lexical 0.28) or when the best picture stands further out of the n stickers than chance explains; what a
 * model says whose trust is below a half proves nothing. A no means nothing in a library of whose stickers most have
 * no words. Measured: docs/library.md. */
bool bqb_fusion_fits(double best_z, size_t n, double best_lexical, double trust);

/* For people: 0 … 1, rising; 0.5 stands four deviations out of the library. */
double bqb_fusion_score(double sum);

#endif
