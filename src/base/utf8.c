#include "base/utf8.h"

#include <string.h>

size_t bqb_utf8_next(const char *s, size_t n, uint32_t *cp, bool *ok) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)s;
    size_t len = u[0] < 0x80 ? 1 : u[0] >= 0xC2 && u[0] < 0xE0 ? 2
               : (u[0] & 0xF0) == 0xE0 ? 3 : u[0] >= 0xF0 && u[0] < 0xF5 ? 4 : 0;
    uint32_t c = len <= 1 ? u[0] : u[0] & (0xFFu >> (len + 1));
    bool good = len != 0 && len <= n;
    for (size_t i = 1; good && i < len; i++) {
        good = (u[i] & 0xC0) == 0x80;
        c = c << 6 | (u[i] & 0x3F);
    }
    good = good && c >= least[len] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
    *cp = good ? c : BQB_UTF8_BAD;
    if (ok) *ok = good;
    return good ? len : 1;
}

size_t bqb_utf8_put(char *out, uint32_t cp) {
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) cp = BQB_UTF8_BAD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00u >> len & 0xF0) | cp);
    return len;
}

size_t bqb_utf8_check(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint32_t cp;
        bool ok;
        size_t k = bqb_utf8_next(s + i, n - i, &cp, &ok);
        if (!ok) return i;
        i += k;
    }
    return n;
}

size_t bqb_utf8_count(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; count++) {
        uint32_t cp;
        i += bqb_utf8_next(s + i, n - i, &cp, NULL);
    }
    return count;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool bqb_ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end), same = 0;
    if (n < m) return false;
    while (same < m && lower(s[n - m + same]) == lower(end[same])) same++;
    return same == m;
}

bool bqb_is_control(uint32_t cp) {
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

bqb_status bqb_utf8_mend(bqb_buf *out, const char *s, size_t n, bqb_err *err) {
    bqb_status st = BQB_OK;
    for (size_t i = 0; i < n && !st;) {
        uint32_t cp;
        char put[4];
        i += bqb_utf8_next(s + i, n - i, &cp, NULL);
        st = bqb_buf_append(out, put, bqb_utf8_put(put, cp), err);
    }
    return st;
}
