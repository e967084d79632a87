#include "text/pieces.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <utf8proc.h>

const char *bqb_pieces_expression(bqb_pieces_rule r) {
#define LATER(digits)                                                                                                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    static const char *const expressions[BQB_PIECES_RULES] = {
        [BQB_PIECES_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        [BQB_PIECES_LLAMA3] = LATER("\\p{N}{1,3}"),
        [BQB_PIECES_QWEN2] = LATER("\\p{N}")};
    return expressions[r];
}

typedef enum { SPACE, LINE, LETTER, DIGIT, OTHER, NOTHING } kind; /* LINE: CR and LF */

static kind kind_of(uint32_t c) {
    if (c < 0x80) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
        if (c >= '0' && c <= '9') return DIGIT;
        if (c == '\r' || c == '\n') return LINE;
        return c == ' ' || (c >= '\t' && c <= '\f') ? SPACE : OTHER;
    }
    if (c == 0x85) return SPACE;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    if (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO) return LETTER;
    if (cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO) return DIGIT;
    return cat >= UTF8PROC_CATEGORY_ZS && cat <= UTF8PROC_CATEGORY_ZP ? SPACE : OTHER;
}

typedef struct {
    const char *s;
    size_t n;
} text;

/* The character at byte i; its bytes are added to *i. */
static uint32_t next(const text *t, size_t *i) {
    uint32_t c;
    *i += bqb_utf8_next(t->s + *i, t->n - *i, &c, NULL);
    return c;
}

static kind kind_at(const text *t, size_t i) { return i < t->n ? kind_of(next(t, &i)) : NOTHING; }

/* Where a run of at most `most` characters of one kind ends. */
static size_t run(const text *t, size_t i, kind k, size_t most) {
    while (most-- && kind_at(t, i) == k) next(t, &i);
    return i;
}

/* Bytes of 's 't 'm 'd 're 've 'll here, or 0. Regardless of case ſ is an s, too. */
static size_t contraction(const text *t, bool any_case) {
    static const char *const tails[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (t->n < 2 || t->s[0] != '\'') return 0;
    for (size_t k = 0; k < sizeof tails / sizeof *tails; k++) {
        size_t i = 1;
        const char *p = tails[k];
        for (; *p && i < t->n; p++) {
            uint32_t c = next(t, &i);
            if (any_case && c == 0x17F) c = 's';
            if (any_case && c >= 'A' && c <= 'Z') c += 32;
            if (c != (uint32_t)*p) break;
        }
        if (!*p) return i;
    }
    return 0;
}

/* A run of white space: up to its last line end, else all but the last character where something follows. */
static size_t spaces(const text *t, bool lines_apart) {
    size_t i = 0, last = 0, line = 0;
    for (kind k; (k = kind_at(t, i)) == SPACE || k == LINE;) {
        last = i;
        next(t, &i);
        if (k == LINE) line = i;
    }
    if (lines_apart && line) return line;
    return i < t->n && last > 0 ? last : i;
}

static size_t piece_gpt2(const text *t) {
    size_t fixed = contraction(t, false);
    if (fixed) return fixed;
    size_t i = t->s[0] == ' ';
    kind k = kind_at(t, i);
    if (k == LETTER || k == DIGIT || k == OTHER) return run(t, i, k, t->n);
    return spaces(t, false);
}

static size_t piece_later(const text *t, size_t digits) {
    size_t fixed = contraction(t, true), i = 0;
    if (fixed) return fixed;
    kind k = kind_at(t, 0);
    if (k == LETTER) return run(t, 0, LETTER, t->n);
    if (k == DIGIT) return run(t, 0, DIGIT, digits);
    next(t, &i);
    if (k != LINE && kind_at(t, i) == LETTER) return run(t, i, LETTER, t->n);
    i = t->s[0] == ' ';
    if (kind_at(t, i) == OTHER) return run(t, run(t, i, OTHER, t->n), LINE, t->n);
    return spaces(t, true);
}

size_t bqb_piece(bqb_pieces_rule r, const char *s, size_t n) {
    text t = {s, n};
    if (!n) return 0;
    if (r == BQB_PIECES_GPT2) return piece_gpt2(&t);
    return piece_later(&t, r == BQB_PIECES_LLAMA3 ? 3 : 1);
}
