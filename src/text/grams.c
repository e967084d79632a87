#include "text/grams.h"

#include "base/utf8.h"
#include "text/variants.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { MAX_FOLDED = 1 << 20 };

/* utf8proc wants valid input: bad bytes become U+FFFD, controls spaces. */
static bqb_status clean(bqb_buf *out, const char *text, size_t n, bqb_err *err) {
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0; i < n && !s;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0)) cp = ' ';
        s = bqb_buf_append(out, utf8, bqb_utf8_put(utf8, cp), err);
    }
    return s;
}

bqb_status bqb_text_fold(bqb_buf *out, const char *text, size_t n_bytes, bqb_err *err) {
    bqb_buf valid = {.max = MAX_FOLDED};
    utf8proc_uint8_t *folded = NULL;
    bqb_status s = clean(&valid, text, n_bytes, err);
    if (s) goto done;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)valid.data, (utf8proc_ssize_t)valid.len, &folded,
                                      UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (n < 0) {
        s = bqb_fail(err, BQB_EFORMAT, "text cannot be normalised: %s", utf8proc_errmsg(n));
        goto done;
    }
    size_t start = out->len;
    bool space = false;
    for (size_t i = 0; i < (size_t)n && !s;) {
        uint32_t cp;
        size_t k = bqb_utf8_next((const char *)folded + i, (size_t)n - i, &cp, NULL);
        utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)cp);
        if (cat == UTF8PROC_CATEGORY_ZS || cp == ' ') space = true;
        else {
            if (space && out->len > start) s = bqb_buf_append(out, " ", 1, err);
            uint32_t simple = bqb_simplified(cp);
            char utf8[4];
            if (!s) s = simple == cp ? bqb_buf_append(out, folded + i, k, err) : bqb_buf_append(out, utf8, bqb_utf8_put(utf8, simple), err);
            space = false;
        }
        i += k;
    }
    if (!s) s = bqb_buf_append(out, "", 0, err); /* NUL even after nothing */
done:
    free(folded);
    bqb_buf_free(&valid);
    return s;
}

typedef enum { SEPARATOR, IDEOGRAPH, LETTER, SYMBOL } kind;

/* Scripts written without spaces: characters are the units there. */
static bool written_without_spaces(uint32_t c) {
    return (c >= 0x2E80 && c <= 0x2FDF) ||   /* radicals */
           c == 0x3005 || c == 0x3007 ||     /* 々 〇 */
           (c >= 0x3040 && c <= 0x30FF) ||   /* kana */
           (c >= 0x3100 && c <= 0x312F) ||   /* bopomofo */
           (c >= 0x31A0 && c <= 0x31FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
           (c >= 0xAC00 && c <= 0xD7A3) ||   /* hangul */
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

static kind kind_of(uint32_t c) {
    if (c == 0x30FB) return SEPARATOR; /* ・ */
    if (written_without_spaces(c)) return IDEOGRAPH;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return c >= 0xFE00 && c <= 0xFE0F ? SEPARATOR : LETTER; /* variation selectors */
    case UTF8PROC_CATEGORY_SO:
        return c == BQB_UTF8_BAD ? SEPARATOR : SYMBOL;
    default:
        return SEPARATOR;
    }
}

bqb_status bqb_grams(const char *text, size_t n_bytes, bqb_gram_fn fn, void *ctx, bqb_err *err) {
    bqb_buf folded = {.max = MAX_FOLDED};
    bqb_status s = bqb_text_fold(&folded, text, n_bytes, err);
    const char *t = folded.data;
    size_t word = 0, n_word = 0;    /* the run of letters that is being read */
    size_t before = 0;              /* start of the ideograph just before i, when any */
    bool pair = false;
    for (size_t i = 0, k = 0; !s && i < folded.len; i += k) {
        uint32_t cp;
        k = bqb_utf8_next(t + i, folded.len - i, &cp, NULL);
        kind what = kind_of(cp);
        int stop = 0;
        if (n_word && what != LETTER) {
            stop = fn(ctx, t + word, n_word);
            n_word = 0;
        }
        if (what == LETTER) {
            if (!n_word) word = i;
            n_word += k;
        } else if (what != SEPARATOR && !stop) stop = fn(ctx, t + i, k);
        if (what == IDEOGRAPH && pair && !stop) stop = fn(ctx, t + before, i + k - before);
        pair = what == IDEOGRAPH;
        before = i;
        if (stop) s = bqb_fail(err, BQB_ECANCEL, "stopped");
    }
    if (!s && n_word && fn(ctx, t + word, n_word)) s = bqb_fail(err, BQB_ECANCEL, "stopped");
    bqb_buf_free(&folded);
    return s;
}
