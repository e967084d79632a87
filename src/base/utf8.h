/* UTF-8, checked. */
#ifndef BQB_BASE_UTF8_H
#define BQB_BASE_UTF8_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BQB_UTF8_BAD = 0xFFFD };

/* Decode one code point from s[0 … n-1], n > 0. Returns the bytes it took.
 * Overlong forms, surrogates, values above U+10FFFF and cut sequences give
 * *cp = U+FFFD and take one byte (as Python's errors="replace" does for a lone
 * byte); *ok, if not NULL, says which. */
size_t bqb_utf8_next(const char *s, size_t n, uint32_t *cp, bool *ok);

/* Bytes written to out[4] (1 … 4); a value that is no scalar is written as U+FFFD. */
size_t bqb_utf8_put(char *out, uint32_t cp);

/* Offset of the first bad byte, or n when all is well. */
size_t bqb_utf8_check(const char *s, size_t n);

/* Whether s ends with `end`; of ASCII letters either case will do. */
bool bqb_ends_with(const char *s, const char *end);

/* Code points in s, bad bytes counting one each. */
size_t bqb_utf8_count(const char *s, size_t n);

/* What may steer a terminal or break a line in two: the control characters of ASCII and Latin-1 (tab, line ends,
 * escape), line and paragraph separators, and what turns the direction of writing for good. */
bool bqb_is_control(uint32_t cp);

/* Append s with U+FFFD for every bad byte: at most 3·n bytes. BQB_ENOMEM, BQB_ELIMIT. */
bqb_status bqb_utf8_mend(bqb_buf *out, const char *s, size_t n, bqb_err *err);

#endif
