/* Base64 (RFC 4648). */
#ifndef BQB_FILE_BASE64_H
#define BQB_FILE_BASE64_H

#include "base/mem.h"

/* Append the bytes that n characters of text stand for. Both alphabets are
 * read (+/ and -_), padding may be missing; anything else is BQB_EFORMAT with
 * the byte position. BQB_ELIMIT when out would pass its maximum. After an error
 * out holds what it held before. */
bqb_status bqb_base64_decode(bqb_buf *out, const char *text, size_t n, bqb_err *err);

/* Append the text (alphabet +/, padded) of n bytes. */
bqb_status bqb_base64_encode(bqb_buf *out, const void *bytes, size_t n, bqb_err *err);

#endif
