#include "file/base64.h"

#include <string.h>

/* 0 … 63, or 64 for what is no digit. */
static uint8_t digit(char c) {
    if (c >= 'A' && c <= 'Z') return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9') return (uint8_t)(c - '0' + 52);
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : 64;
}

/* A table is several times faster than the comparisons. */
static void make_table(uint8_t table[256]) {
    for (unsigned i = 0; i < 256; i++) table[i] = digit((char)i);
}

static bqb_status decode(bqb_buf *out, const char *text, size_t n, bqb_err *err) {
    uint8_t table[256], bytes[3072];
    make_table(table);
    size_t filled = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; !s && i < n; i += 4) {
        size_t k = n - i < 4 ? n - i : 4;
        uint32_t v = 0;
        for (size_t d = 0; d < 4; d++) {
            uint8_t x = d < k ? table[(uint8_t)text[i + d]] : 0;
            if (x > 63)
                return bqb_fail_at(err, BQB_EFORMAT, (int64_t)(i + d), "byte %zu is not base64", i + d);
            v = v << 6 | x;
        }
        bytes[filled] = (uint8_t)(v >> 16);
        bytes[filled + 1] = (uint8_t)(v >> 8);
        bytes[filled + 2] = (uint8_t)v;
        filled += k - 1;
        if (filled + 3 > sizeof bytes || i + 4 >= n) {
            s = bqb_buf_append(out, bytes, filled, err);
            filled = 0;
        }
    }
    return s;
}

bqb_status bqb_base64_decode(bqb_buf *out, const char *text, size_t n, bqb_err *err) {
    size_t before = out->len, padding = 0;
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=') padding++;
    size_t digits = n - padding;
    if (digits % 4 == 1 || (padding && n % 4))
        return bqb_fail_at(err, BQB_EFORMAT, (int64_t)n, "base64 of %zu characters ends too early", n);
    bqb_status s = bqb_buf_append(out, "", 0, err);
    if (!s) s = decode(out, text, digits, err);
    if (s && out->data) {
        out->len = before;
        out->data[before] = 0;
    }
    return s;
}

bqb_status bqb_base64_encode(bqb_buf *out, const void *bytes, size_t n, bqb_err *err) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0; !s && i < n; i += 3) {
        size_t k = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (k > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (k > 2 ? p[i + 2] : 0);
        char four[4];
        for (size_t d = 0; d < 4; d++) four[d] = d <= k ? alphabet[v >> (18 - 6 * d) & 63] : '=';
        s = bqb_buf_append(out, four, 4, err);
    }
    return s;
}
