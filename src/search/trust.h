/* How far a model can be trusted with the stickers of one library. */
#ifndef BQB_SEARCH_TRUST_H
#define BQB_SEARCH_TRUST_H

#include "library/vectors.h"

/* 0.1 … 1. A library that says something of its stickers is its own examination: how far does a sticker's picture
 * stand out of the others for its own words (in standard deviations, mu, the mean over up to 64 stickers against 256
 * others; library/familiar.h)? For normal scores the best weight of a z is the mu of the right answer, so the weight of what the model
 * sees follows it: (mu - 0.3) / 1.7, within these bounds. Two stickers' worth of trust are lent, so a library without words
 * gets 1. texts may be NULL. The bundled model: 1 on drawn stickers (mu 2.5), 0.1 on real stickers (mu 0.4).
 * Deterministic, does not allocate more than one row; 1 when memory is out. */
double bqb_trust(const bqb_vectors *pictures, const bqb_vectors *texts);

#endif
