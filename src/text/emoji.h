/* What emoji are called: so that 😭 in a query finds what is said in words. */
#ifndef BQB_TEXT_EMOJI_H
#define BQB_TEXT_EMOJI_H

#include "base/mem.h"

/* How many names the emoji that the text begins with has (0: it begins with none), and its length in bytes with the
 * selectors, skin tones and joined signs that belong to it. The longest known emoji counts. */
size_t bqb_emoji_at(const char *text, size_t n_bytes, size_t *length);

/* Append text with every known emoji replaced by one of its names, set off by spaces: the which-th, or its last when
 * it has fewer. *most (may be NULL): how many names the emoji with most of them has, 0 when there is no emoji; then
 * the text is appended as it is. Names: everyday ones first (data/aliases.tsv), then Unicode's. */
bqb_status bqb_emoji_words(bqb_buf *out, const char *text, size_t which, size_t *most, bqb_err *err);

#endif
