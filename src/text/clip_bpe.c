#include "text/clip_bpe.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const char START[] = "<|startoftext|>", END[] = "<|endoftext|>", WORD_END[] = "</w>";

struct bqb_clip_bpe {
    bqb_bpe *bpe;
    int32_t start, end;
};

static bqb_status find_special(int32_t *out, const bqb_bpe *b, const char *token, const char *path, bqb_err *err) {
    *out = bqb_bpe_find(b, token, strlen(token));
    return *out == BQB_BPE_NONE ? bqb_fail(err, BQB_EFORMAT, "%s: the vocabulary has no %s", path, token) : BQB_OK;
}

/* Around a bpe that was opened with status s. */
static bqb_status take(bqb_clip_bpe **out, bqb_bpe *bpe, bqb_status s, const char *path, bqb_err *err) {
    *out = NULL;
    if (s) return s;
    bqb_clip_bpe *t = bqb_calloc(1, sizeof *t);
    if (!t) {
        bqb_bpe_close(bpe);
        return bqb_fail_nomem(err, path, sizeof *t);
    }
    t->bpe = bpe;
    s = find_special(&t->start, t->bpe, START, path, err);
    if (!s) s = find_special(&t->end, t->bpe, END, path, err);
    if (s) bqb_clip_bpe_close(t);
    else *out = t;
    return s;
}

bqb_status bqb_clip_bpe_open(bqb_clip_bpe **out, const char *vocab_path, const char *merges_path, bqb_err *err) {
    bqb_bpe *bpe = NULL;
    bqb_status s = bqb_bpe_open(&bpe, vocab_path, merges_path, WORD_END, err);
    return take(out, bpe, s, vocab_path, err);
}

bqb_status bqb_clip_bpe_new(bqb_clip_bpe **out, const bqb_bpe_entry *token, size_t n_tokens, const bqb_bpe_merge *merge,
                            size_t n_merges, const char *path, bqb_err *err) {
    bqb_bpe *bpe = NULL;
    bqb_status s = bqb_bpe_new(&bpe, token, n_tokens, merge, n_merges, WORD_END, path, err);
    return take(out, bpe, s, path, err);
}

void bqb_clip_bpe_close(bqb_clip_bpe *t) {
    if (!t) return;
    bqb_bpe_close(t->bpe);
    free(t);
}

size_t bqb_clip_bpe_size(const bqb_clip_bpe *t) { return bqb_bpe_size(t->bpe); }
const char *bqb_clip_bpe_token(const bqb_clip_bpe *t, size_t id) { return bqb_bpe_token(t->bpe, id); }
int32_t bqb_clip_bpe_end(const bqb_clip_bpe *t) { return t->end; }

/* ---- from text to normalised characters ---- */

/* A character and the marks that belong to it are normalised together; a longer
 * heap of marks is taken in parts. Of one code point NFD makes at most 4. */
enum { MAX_RUN = 32, MAX_PARTS = 4 * MAX_RUN, QUEUE = 2 * MAX_PARTS + 8 };

/* The special tokens travel among the characters, beyond the last of them. */
enum { CHAR_START = 0x110000, CHAR_END };

typedef struct {
    const char *s;
    size_t n, at;
    uint32_t queue[QUEUE]; /* normalised, not taken yet */
    size_t head, len;
} reader;

static uint32_t look(const reader *r, size_t at, size_t *size) {
    uint32_t c;
    *size = bqb_utf8_next(r->s + at, r->n - at, &c, NULL);
    return c;
}

/* May c be composed with, or be put in order behind, what precedes it? */
static bool joins(uint32_t c) {
    if (c < 0x300) return false;
    if (c >= 0x1160 && c <= 0x11FF) return true; /* Hangul vowels and finals */
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    return cat >= UTF8PROC_CATEGORY_MN && cat <= UTF8PROC_CATEGORY_ME;
}

static int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* NFC of a run in place; returns the new length. */
static size_t compose(utf8proc_int32_t part[MAX_PARTS], const uint32_t *run, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int boundary = 0;
        utf8proc_ssize_t more = utf8proc_decompose_char((utf8proc_int32_t)run[i], part + len,
                                                        (utf8proc_ssize_t)(MAX_PARTS - len), UTF8PROC_DECOMPOSE, &boundary);
        if (more < 0 || more > (utf8proc_ssize_t)(MAX_PARTS - len)) break; /* no Unicode version comes here */
        len += (size_t)more;
    }
    for (size_t i = 1; i < len; i++) /* canonical order: stable, and starters are walls */
        for (size_t k = i; k > 0; k--) {
            int here = combining_class(part[k]);
            if (!here || combining_class(part[k - 1]) <= here) break;
            utf8proc_int32_t c = part[k];
            part[k] = part[k - 1];
            part[k - 1] = c;
        }
    utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(part, (utf8proc_ssize_t)len, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return composed > 0 ? (size_t)composed : 0;
}

static void push(reader *r, uint32_t c) { r->queue[r->len++] = c; }

/* One character at a time, so no final sigma; only İ becomes two. */
static void push_lower(reader *r, uint32_t c) {
    if (c < 0x80) push(r, c >= 'A' && c <= 'Z' ? c + 32 : c);
    else if (c == 0x130) {
        push(r, 'i');
        push(r, 0x307);
    } else push(r, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static bool at_special(const reader *r, const char *token, size_t size) {
    return r->n - r->at >= size && !memcmp(r->s + r->at, token, size);
}

/* Bring at least one more character into the queue, unless the text has ended. */
static void fill(reader *r) {
    memmove(r->queue, r->queue + r->head, (r->len - r->head) * sizeof *r->queue);
    r->len -= r->head;
    r->head = 0;
    if (at_special(r, START, sizeof START - 1)) {
        r->at += sizeof START - 1;
        push(r, CHAR_START);
        return;
    }
    if (at_special(r, END, sizeof END - 1)) {
        r->at += sizeof END - 1;
        push(r, CHAR_END);
        return;
    }
    uint32_t run[MAX_RUN];
    size_t n = 0, size;
    do {
        run[n++] = look(r, r->at, &size);
        r->at += size;
    } while (n < MAX_RUN && r->at < r->n && joins(look(r, r->at, &size)));
    if (n == 1 && (run[0] < 0x300 || (run[0] >= 0x4E00 && run[0] <= 0x9FFF))) { /* nearly all: NFC as it is */
        push_lower(r, run[0]);
        return;
    }
    utf8proc_int32_t part[MAX_PARTS];
    size_t len = compose(part, run, n);
    for (size_t i = 0; i < len; i++) push_lower(r, (uint32_t)part[i]);
}

/* Character i from here, or false beyond the end. At most 3 are ever looked at. */
static bool peek(reader *r, size_t i, uint32_t *c) {
    while (r->len - r->head <= i && r->at < r->n) fill(r);
    if (r->len - r->head <= i) return false;
    *c = r->queue[r->head + i];
    return true;
}

/* ---- from characters to words ---- */

typedef enum { SPACE, LETTER, DIGIT, SPECIAL, OTHER } kind;

static kind kind_of(uint32_t c) {
    if (c < 0x80) {
        if (c >= 'a' && c <= 'z') return LETTER;
        if (c >= '0' && c <= '9') return DIGIT;
        return c == ' ' || (c >= '\t' && c <= '\r') ? SPACE : OTHER;
    }
    if (c >= CHAR_START) return SPECIAL;
    if (c == 0x85) return SPACE;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    if (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO) return LETTER;
    if (cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO) return DIGIT;
    return cat >= UTF8PROC_CATEGORY_ZS && cat <= UTF8PROC_CATEGORY_ZP ? SPACE : OTHER;
}

enum { MAX_WORD = 2048 };

typedef struct {
    const bqb_clip_bpe *t;
    int32_t *ids;
    size_t n_ids, limit; /* room for the end is kept outside of limit */
    char word[MAX_WORD];
    size_t len;
} encoder;

static void emit(encoder *e, int32_t id) {
    if (e->n_ids < e->limit) e->ids[e->n_ids++] = id == BQB_BPE_NONE ? e->t->end : id;
}

static void end_word(encoder *e) {
    int32_t ids[MAX_WORD];
    uint32_t work[BQB_BPE_WORK(MAX_WORD)];
    size_t n = bqb_bpe_word(e->t->bpe, ids, e->word, e->len, work);
    for (size_t i = 0; i < n; i++) emit(e, ids[i]);
    e->len = 0;
}

static void add_char(encoder *e, uint32_t c) {
    if (e->len + 4 > MAX_WORD) end_word(e);
    e->len += bqb_utf8_put(e->word + e->len, c);
}

/* Characters of 's 't 'm 'd 're 've 'll from here, or 0. */
static size_t contraction(reader *r) {
    uint32_t c, d = 0;
    if (!peek(r, 0, &c) || c != '\'' || !peek(r, 1, &c)) return 0;
    if (c == 's' || c == 't' || c == 'm' || c == 'd') return 2;
    if (!peek(r, 2, &d)) return 0;
    return ((c == 'r' || c == 'v') && d == 'e') || (c == 'l' && d == 'l') ? 3 : 0;
}

static void take_word(encoder *e, reader *r) {
    uint32_t c = 0;
    size_t fixed = contraction(r);
    peek(r, 0, &c);
    kind k = kind_of(c);
    if (k == DIGIT) fixed = 1;
    for (size_t n = 0; fixed ? n < fixed : peek(r, 0, &c) && kind_of(c) == k; n++) {
        if (fixed && !peek(r, 0, &c)) break;
        add_char(e, c);
        r->head++;
        if (e->n_ids >= e->limit) return;
    }
    end_word(e);
}

size_t bqb_clip_bpe_encode(const bqb_clip_bpe *t, int32_t *ids, size_t max_ids, const char *text, size_t n_bytes) {
    assert(max_ids >= 2);
    encoder e = {.t = t, .ids = ids, .limit = max_ids - 1};
    reader r = {.s = text, .n = n_bytes};
    emit(&e, t->start);
    for (uint32_t c; e.n_ids < e.limit && peek(&r, 0, &c);) {
        kind k = kind_of(c);
        if (k == SPACE || k == SPECIAL) {
            if (k == SPECIAL) emit(&e, c == CHAR_START ? t->start : t->end);
            r.head++;
        } else take_word(&e, &r);
    }
    size_t n = e.n_ids;
    for (size_t i = n; i < max_ids; i++) ids[i] = t->end;
    return n + 1;
}
