#include "base/err.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names in messages come from hostile files: a message keeps no control
 * characters, which a terminal might obey, and no invalid UTF-8, which JSON could not carry. */
static void make_plain(char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool ok;
        size_t k = bqb_utf8_next(s + i, n - i, &cp, &ok);
        if (!ok || bqb_is_control(cp)) memset(s + i, '?', k);
        i += k;
    }
}

static void set(bqb_err *err, bqb_status code, int64_t pos, const char *fmt, va_list args) {
    if (!err) return;
    err->code = code;
    err->pos = pos;
    vsnprintf(err->msg, sizeof err->msg, fmt, args);
    make_plain(err->msg);
}

bqb_status bqb_fail(bqb_err *err, bqb_status code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    set(err, code, -1, fmt, args);
    va_end(args);
    return code;
}

bqb_status bqb_fail_at(bqb_err *err, bqb_status code, int64_t pos, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    set(err, code, pos, fmt, args);
    va_end(args);
    return code;
}

bqb_status bqb_fail_errno(bqb_err *err, const char *fmt, ...) {
    int saved = errno;
    va_list args;
    va_start(args, fmt);
    set(err, BQB_EIO, -1, fmt, args);
    va_end(args);
    if (err) {
        size_t n = strlen(err->msg);
        snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror(saved));
    }
    return BQB_EIO;
}

bqb_status bqb_fail_nomem(bqb_err *err, const char *what, size_t size_bytes) {
    return bqb_fail(err, BQB_ENOMEM, "%s: out of memory (%zu bytes)", what, size_bytes);
}

void bqb_err_prefix(bqb_err *err, const char *prefix) {
    if (!err) return;
    char old[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    old[sizeof old - 1] = 0;
    int n = snprintf(err->msg, sizeof err->msg, "%s: ", prefix);
    if (n < 0 || (size_t)n >= sizeof err->msg) return;
    snprintf(err->msg + n, sizeof err->msg - (size_t)n, "%s", old);
    make_plain(err->msg);
}
