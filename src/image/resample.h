/* The reference resampler: cubic convolution in two passes over 8-bit samples,
 * the same to the last bit as Pillow's, on which published checkpoints were trained.
 *
 * One axis, n samples to m: output i is centred on c = (i + 0.5) * n/m in input
 * samples (pixel centres at x + 0.5); with s = max(n/m, 1) it is the sum over the
 * input samples x in [int(c - 2s + 0.5), int(c + 2s + 0.5)) inside the picture of
 * w(x) * in[x], w(x) = cubic((x + 0.5 - c) / s), divided by the sum of the w(x);
 *   cubic(d) = (a+2)|d|^3 - (a+3)|d|^2 + 1        |d| < 1
 *            = a|d|^3 - 5a|d|^2 + 8a|d| - 4a      1 <= |d| < 2,   a = -0.5.
 * Weights are rounded to 22 fractional bits, sums rounded and clamped to 0 … 255.
 * The horizontal pass comes first and its result is 8-bit; an axis that keeps
 * its length is not filtered.
 * Source: R. Keys, "Cubic convolution interpolation", 1981; the rest was measured. */
#ifndef BQB_IMAGE_RESAMPLE_H
#define BQB_IMAGE_RESAMPLE_H

#include "base/err.h"

#define BQB_CUBIC_A (-0.5)

enum { BQB_RESAMPLE_SIDE = 1 << 20 }; /* the longest side taken */

/* a * b / 255, rounded, for a and b in 0 … 255. */
static inline uint8_t bqb_mul255(unsigned a, unsigned b) {
    unsigned p = a * b + 128;
    return (uint8_t)((p + (p >> 8)) >> 8);
}

/* Resize in [in_h,in_w,C] to out [out_h,out_w,C], C = 1, 3 or 4, every side from
 * 1 to BQB_RESAMPLE_SIDE. Channels are independent: premultiply alpha first.
 * BQB_EINVAL outside these, BQB_ENOMEM. Any thread. */
bqb_status bqb_resample(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w, size_t in_h,
                        size_t C, bqb_err *err);

/* The same without this processor's own instructions: what others run. */
bqb_status bqb_resample_portable(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w,
                                 size_t in_h, size_t C, bqb_err *err);

/* The same written as the definition reads, for any C and any a; what the
 * fast one is tested against. */
bqb_status bqb_resample_plain(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w,
                              size_t in_h, size_t C, double a, bqb_err *err);

/* Alpha, on n RGBA pixels [n,4]; in place is fine. Products are divided by 255
 * and rounded; the way back cuts fractions off and clamps, and leaves pixels of
 * alpha 0 and 255 as they are. */
void bqb_alpha_premultiply(uint8_t *out, const uint8_t *rgba, size_t n);
void bqb_alpha_unpremultiply(uint8_t *out, const uint8_t *rgba, size_t n);

/* rgba [n,4] from n pixels of C channels: gray (1), RGB (3), RGBA (4, a copy). */
void bqb_alpha_add(uint8_t *rgba, const uint8_t *px, size_t n, size_t C);

/* rgb [n,3] from rgba [n,4]: over white, or with alpha forgotten. In place is fine. */
void bqb_alpha_over_white(uint8_t *rgb, const uint8_t *rgba, size_t n);
void bqb_alpha_drop(uint8_t *rgb, const uint8_t *rgba, size_t n);

#endif
