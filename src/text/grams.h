/* The units that words are matched by: single Chinese characters, pairs of
 * neighbours, and whole Latin words, so that 中关 finds 中关村 and ok finds OK. */
#ifndef BQB_TEXT_GRAMS_H
#define BQB_TEXT_GRAMS_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

/* One form for all writings of a text: NFKC (full width = half width), case
 * folded, simplified = traditional, invalid bytes as U+FFFD, control characters as spaces, runs of white
 * space as one space, none at the ends. Appended to out. */
bqb_status bqb_text_fold(bqb_buf *out, const char *text, size_t n_bytes, bqb_err *err);

/* Called for every unit, in order, repeats included; the token is borrowed and
 * not terminated. Non-zero stops with BQB_ECANCEL. */
typedef int (*bqb_gram_fn)(void *ctx, const char *token, size_t n_bytes);

/* Units of folded text: every ideograph, kana, hangul syllable, emoji or other symbol
 * by itself; every pair of neighbouring ideographs; every run of letters and digits
 * of other scripts. Punctuation and spaces separate and yield nothing.
 * `text` is folded first (limit: 1 MiB folded, BQB_ELIMIT). */
bqb_status bqb_grams(const char *text, size_t n_bytes, bqb_gram_fn fn, void *ctx, bqb_err *err);

#endif
