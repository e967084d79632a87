/* The units that words are matched by: single Chinese characters, pairs of
 * neighbours, and whole Latin words, so that 中关 finds 中关村 and ok finds OK. */
#ifndef BQB_TEXT_GRAMS_H
#define BQB_TEXT_GRAMS_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* One form for all writings of a text: NFKC (full width = half width), case
 * folded, simplified = traditional, invalid bytes as U+FFFD, control characters as spaces, runs of white
 * space as one space, none at the ends. Appended to out. */
bqb_status bqb_text_fold(bqb_buf *out, const char *text, size_t n_bytes, bqb_err *err);

/* A text as a row of units: every ideograph, kana, hangul syllable, emoji or other symbol by itself,
 * every run of letters and digits of other scripts. */
typedef enum { BQB_UNIT_IDEOGRAPH, BQB_UNIT_SYMBOL, BQB_UNIT_WORD } bqb_unit_kind;
typedef enum { BQB_GAP_NONE, BQB_GAP_SPACE, BQB_GAP_BREAK } bqb_gap;
typedef struct {
    uint32_t id;             /* the character; of a word a hash with the top bit set */
    uint32_t start, n_bytes; /* where it stands in the folded text */
    bqb_unit_kind kind;
    bqb_gap gap; /* what is before it: punctuation and the beginning break, spaces do not */
} bqb_unit;

/* Zero-initialise; may be read into again and again. */
typedef struct {
    bqb_buf folded;
    bqb_unit *unit;
    size_t n, cap;
} bqb_units;

/* Limit: 1 MiB folded, BQB_ELIMIT. */
bqb_status bqb_units_read(bqb_units *u, const char *text, size_t n_bytes, bqb_err *err);
void bqb_units_free(bqb_units *u);

/* What an index holds of a text. Beside units (at: which) and pairs of neighbouring ideographs (at: the first) with no
 * more than spaces between them: every three bytes of a word of four or more, after BQB_PART_MARK, and all the units
 * together when they are short (60 bytes), after BQB_WHOLE_MARK, so that a text that is the query is found at once. */
typedef enum { BQB_GRAM_UNIT, BQB_GRAM_PAIR, BQB_GRAM_PART, BQB_GRAM_WHOLE } bqb_gram_kind;
enum { BQB_PART_MARK = 1, BQB_WHOLE_MARK = 2 };

/* Called for every gram, in order, repeats included; tokens are borrowed and not terminated. Non-zero stops with
 * BQB_ECANCEL. */
typedef int (*bqb_any_gram_fn)(void *ctx, bqb_gram_kind kind, size_t at, const char *token, size_t n_bytes);
bqb_status bqb_units_grams(const bqb_units *u, bqb_any_gram_fn fn, void *ctx, bqb_err *err);

/* Units and pairs of a text alone: after each unit comes the pair that it ends. */
typedef int (*bqb_gram_fn)(void *ctx, const char *token, size_t n_bytes);
bqb_status bqb_grams(const char *text, size_t n_bytes, bqb_gram_fn fn, void *ctx, bqb_err *err);

#endif
