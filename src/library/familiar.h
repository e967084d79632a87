/* Does a model know pictures like these? One that has never seen their kind puts
 * labels on them all the same, and with confidence. */
#ifndef BQB_LIBRARY_FAMILIAR_H
#define BQB_LIBRARY_FAMILIAR_H

#include <stddef.h>

/* How far x stands out of x[n], which it may be one of, in their standard deviations; NaN where these are all one. */
double bqb_stands_out(double x, const float *of, size_t n);

/* mu: how far a sticker's picture stands out of others for its own words, by their products, on average. 0 is chance; a picture
 * is then nearer to its own words than to another sticker's with probability Phi(mu / sqrt 2), for normal products.
 *   picture, text  in [n,D] unit rows, one sticker a row
 *   others         in [m,D] unit rows, pictures, these or more
 * Texts for which all others are alike do not count; 0 when none does. Bundled model: 2.5 on drawn stickers, 0.45 on real ones; 30 stickers
 * tell. Search measures it on the vectors that it has mapped (search/trust.h). 0 when memory is out. */
double bqb_familiarity(const float *picture, const float *text, size_t n, const float *others, size_t m, size_t D);

/* The probabilities of classes whose features have these products with a sticker's: softmax in place, in f64. */
void bqb_softmax_f64(double *x, size_t n);

#endif
