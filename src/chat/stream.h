/* What a language model says, token by token, as whole characters: a token may end in the middle of one. */
#ifndef BQB_CHAT_STREAM_H
#define BQB_CHAT_STREAM_H

#include "base/mem.h"

#include <stdbool.h>

/* Zero-initialise with .text.max set; free text with bqb_buf_free. */
typedef struct {
    bqb_buf text;         /* all that may be shown: valid UTF-8 without a zero byte; grows only */
    char held[4];         /* the beginning of a character */
    size_t n_held;
    bool blank_line_ends; /* of a base model's answer */
    bool break_held;      /* a line end that may be the first of two */
    bool ended;           /* a blank line came; what follows is not taken */
} bqb_stream;

/* Bytes that can belong to no character become U+FFFD. BQB_ELIMIT, BQB_ENOMEM. */
bqb_status bqb_stream_add(bqb_stream *s, const char *bytes, size_t n, bqb_err *err);

/* The answer is over: the beginning of a character that is left becomes U+FFFD. */
bqb_status bqb_stream_end(bqb_stream *s, bqb_err *err);

#endif
