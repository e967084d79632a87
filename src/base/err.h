/* Building errors: every function that fails ends with `return bqb_fail(err, code, ...)`. */
#ifndef BQB_BASE_ERR_H
#define BQB_BASE_ERR_H

#include "bqb.h"

#if defined(__GNUC__)
#define BQB_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BQB_PRINTF(f, a)
#endif

/* Write code and message (cut to fit, always terminated, position -1) into
 * err, which may be NULL. Control characters and bytes that are not UTF-8
 * become '?'. Returns code, so that it can be returned. */
bqb_status bqb_fail(bqb_err *err, bqb_status code, const char *fmt, ...) BQB_PRINTF(3, 4);

/* The same with a byte or line position. */
bqb_status bqb_fail_at(bqb_err *err, bqb_status code, int64_t pos, const char *fmt, ...)
    BQB_PRINTF(4, 5);

/* BQB_EIO with the reason that errno holds appended: "NAME: No space left on device". */
bqb_status bqb_fail_errno(bqb_err *err, const char *fmt, ...) BQB_PRINTF(2, 3);

/* BQB_ENOMEM: "WHAT: out of memory (N bytes)". */
bqb_status bqb_fail_nomem(bqb_err *err, const char *what, size_t size_bytes);

/* Put "PREFIX: " before the message that err holds; for adding a file name on the way up. */
void bqb_err_prefix(bqb_err *err, const char *prefix);

#endif
