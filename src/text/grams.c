#include "text/grams.h"

#include "base/utf8.h"
#include "text/variants.h"

#include <stdlib.h>
#include <string.h>
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

/* The form of a character that stands for itself whatever is beside it, 0 when that needs a closer look.
 * Most of what is on stickers is of this kind, and normalising it by the book takes twenty times as long. */
static uint32_t plain_form(uint32_t cp) {
    if (cp < 0x20) return ' ';
    if (cp < 0x7F) return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    if (cp >= 0x4E00 && cp <= 0x9FFF) return bqb_simplified(cp);
    if (cp > 0xFF00 && cp < 0xFF5F) return plain_form(cp - 0xFEE0);
    if (cp == 0x3000) return ' ';
    return cp == 0x3001 || cp == 0x3002 || (cp >= 0x3008 && cp <= 0x3011) ? cp : 0; /* 、。《》「」【】 */
}

/* Fold a text of plain characters alone; *plain false, and out as it was, when there are others. */
static bqb_status fold_plain(bqb_buf *out, const char *text, size_t n, bool *plain, bqb_err *err) {
    size_t start = out->len;
    bool space = false;
    *plain = true;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0; i < n && !s;) {
        uint32_t cp;
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        cp = plain_form(cp);
        if (!cp) {
            out->data[out->len = start] = 0;
            *plain = false;
            return BQB_OK;
        }
        if (cp == ' ') {
            space = true;
            continue;
        }
        char utf8[5];
        size_t k = 0;
        if (space && out->len > start) utf8[k++] = ' ';
        k += bqb_utf8_put(utf8 + k, cp);
        s = bqb_buf_append(out, utf8, k, err);
        space = false;
    }
    return s;
}

bqb_status bqb_text_fold(bqb_buf *out, const char *text, size_t n_bytes, bqb_err *err) {
    bqb_buf valid = {.max = MAX_FOLDED};
    utf8proc_uint8_t *folded = NULL;
    bool plain;
    bqb_status s = fold_plain(out, text, n_bytes, &plain, err);
    if (s || plain) return s;
    s = clean(&valid, text, n_bytes, err);
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

/* FNV-1a, with the top bit set: no character has it. */
static uint32_t word_id(const char *word, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)word[i]) * 16777619u;
    return h | 0x80000000u;
}

static bqb_status add_unit(bqb_units *u, bqb_unit unit, bqb_err *err) {
    bqb_unit *p = bqb_grow(u->unit, u->n, &u->cap, sizeof *p, 64);
    if (!p) return bqb_fail_nomem(err, "words", (u->n + 1) * sizeof *p);
    u->unit = p;
    p[u->n++] = unit;
    return BQB_OK;
}

bqb_status bqb_units_read(bqb_units *u, const char *text, size_t n_bytes, bqb_err *err) {
    u->n = u->folded.len = 0;
    u->folded.max = MAX_FOLDED;
    bqb_status s = bqb_text_fold(&u->folded, text, n_bytes, err);
    const char *t = u->folded.data;
    bqb_gap gap = BQB_GAP_BREAK;
    size_t len = u->folded.len;
    for (size_t i = 0, k = 0; !s && i < len; i += k) {
        uint32_t cp;
        k = bqb_utf8_next(t + i, len - i, &cp, NULL);
        kind what = kind_of(cp);
        if (what == SEPARATOR) {
            if (cp != ' ') gap = BQB_GAP_BREAK;
            else if (gap == BQB_GAP_NONE) gap = BQB_GAP_SPACE;
            continue;
        }
        bqb_unit unit = {.id = cp, .start = (uint32_t)i, .gap = gap, .kind = what == IDEOGRAPH ? BQB_UNIT_IDEOGRAPH : BQB_UNIT_SYMBOL};
        for (size_t more; what == LETTER && i + k < len; k += more) { /* the whole word */
            more = bqb_utf8_next(t + i + k, len - i - k, &cp, NULL);
            if (kind_of(cp) != LETTER) break;
        }
        unit.n_bytes = (uint32_t)k;
        if (what == LETTER) {
            unit.kind = BQB_UNIT_WORD;
            unit.id = word_id(t + i, k);
        }
        s = add_unit(u, unit, err);
        gap = BQB_GAP_NONE;
    }
    return s;
}

void bqb_units_free(bqb_units *u) {
    free(u->unit);
    bqb_buf_free(&u->folded);
    *u = (bqb_units){0};
}

enum { MAX_WHOLE = 60, MIN_PARTED = 4, PART = 3 };

/* The words' parts, by which a misspelt one is found. */
static int give_parts(const char *word, size_t n, size_t at, bqb_any_gram_fn fn, void *ctx) {
    char part[1 + PART] = {BQB_PART_MARK};
    for (size_t i = 0; n >= MIN_PARTED && i + PART <= n; i++) {
        memcpy(part + 1, word + i, PART);
        int stop = fn(ctx, BQB_GRAM_PART, at, part, sizeof part);
        if (stop) return stop;
    }
    return 0;
}

static int give_whole(const bqb_units *u, bqb_any_gram_fn fn, void *ctx) {
    char whole[1 + MAX_WHOLE] = {BQB_WHOLE_MARK};
    size_t n = 1;
    for (size_t i = 0; i < u->n; i++) {
        if (n + u->unit[i].n_bytes > sizeof whole) return 0;
        memcpy(whole + n, u->folded.data + u->unit[i].start, u->unit[i].n_bytes);
        n += u->unit[i].n_bytes;
    }
    return u->n ? fn(ctx, BQB_GRAM_WHOLE, 0, whole, n) : 0;
}

bqb_status bqb_units_grams(const bqb_units *u, bqb_any_gram_fn fn, void *ctx, bqb_err *err) {
    int stop = 0;
    for (size_t i = 0; i < u->n && !stop; i++) {
        const bqb_unit *x = &u->unit[i];
        const char *text = u->folded.data + x->start;
        stop = fn(ctx, BQB_GRAM_UNIT, i, text, x->n_bytes);
        if (x->kind == BQB_UNIT_WORD && !stop) stop = give_parts(text, x->n_bytes, i, fn, ctx);
        if (!stop && i && x->kind == BQB_UNIT_IDEOGRAPH && x[-1].kind == BQB_UNIT_IDEOGRAPH && x->gap != BQB_GAP_BREAK) {
            char pair[8]; /* spaces may stand between the two */
            memcpy(pair, u->folded.data + x[-1].start, x[-1].n_bytes);
            memcpy(pair + x[-1].n_bytes, text, x->n_bytes);
            stop = fn(ctx, BQB_GRAM_PAIR, i - 1, pair, x[-1].n_bytes + x->n_bytes);
        }
    }
    if (!stop) stop = give_whole(u, fn, ctx);
    return stop ? bqb_fail(err, BQB_ECANCEL, "stopped") : BQB_OK;
}

typedef struct {
    bqb_gram_fn fn;
    void *ctx;
} plain_grams;

static int give_plain(void *ctx, bqb_gram_kind what, size_t at, const char *token, size_t n) {
    const plain_grams *p = ctx;
    (void)at;
    return what == BQB_GRAM_UNIT || what == BQB_GRAM_PAIR ? p->fn(p->ctx, token, n) : 0;
}

bqb_status bqb_grams(const char *text, size_t n_bytes, bqb_gram_fn fn, void *ctx, bqb_err *err) {
    bqb_units u = {0};
    bqb_status s = bqb_units_read(&u, text, n_bytes, err);
    if (!s) s = bqb_units_grams(&u, give_plain, &(plain_grams){fn, ctx}, err);
    bqb_units_free(&u);
    return s;
}
