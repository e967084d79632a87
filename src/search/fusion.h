/* One score from what a sticker shows and what is said of it. */
#ifndef BQB_SEARCH_FUSION_H
#define BQB_SEARCH_FUSION_H

#include "search/scan.h"

#include <stdbool.h>

/* A cosine means something only beside the others that the same query got, so it
 * is counted in standard deviations above their mean, z = (cosine - mean) / sd
 * (sd at least 0.01, so that a handful of stickers cannot blow up noise). */
double bqb_fusion_z(float cosine, const bqb_spread *spread);

/* z of the query's text and of its picture (0 for what there is not) and the
 * lexical score 0 … 1, which is worth up to BQB_LEXICAL_WEIGHT deviations:
 * half of the query's words outrank the likeness of unrelated pictures, all of
 * them every likeness; one common character hardly moves anything. Fitted: docs/library.md. */
#define BQB_LEXICAL_WEIGHT 9.0
double bqb_fusion_sum(double z_text, double z_picture, double lexical);

/* The z that the best of n stickers most likely has when none has to do with the query (the mode of the
 * largest of n normal numbers); 0 for n below 2. */
double bqb_fusion_chance(size_t n);

/* Does the best answer fit, or is it only the nearest? It fits when somewhere stands about a third of the query's
 * words (lexical 0.28) or when the best picture stands further out of the n stickers than chance explains. A no means
 * nothing in a library of whose stickers most have no words. Measured: docs/library.md. */
bool bqb_fusion_fits(double best_z, size_t n, double best_lexical);

/* For people: 0 … 1, rising; 0.5 stands four deviations out of the library. */
double bqb_fusion_score(double sum);

#endif
