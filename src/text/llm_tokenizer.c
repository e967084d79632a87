#include "text/llm_tokenizer.h"

#include "base/utf8.h"
#include "text/bpe.h"
#include "text/llm_tokenizer_read.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct {
    char *text;
    size_t n;
    int32_t id;
    bool left, right; /* takes the white space before or behind it away */
} added_token;

struct bqb_llm_tokenizer {
    bqb_bpe *bpe;
    bqb_pieces_rule rule;
    bool nfc, whole; /* whole: a piece that is a token is that token, whatever the merges would make of it */
    added_token *added;
    size_t n_added, size;
    bool starts[256]; /* bytes that an added token begins with */
};

bqb_status bqb_llm_tokenizer_make(bqb_llm_tokenizer **out, const bqb_llm_vocabulary *v, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_llm_tokenizer *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, path, sizeof *t);
    t->rule = v->rule;
    t->nfc = v->nfc;
    t->whole = v->whole;
    bqb_status s = bqb_bpe_new(&t->bpe, v->lists.token, v->lists.n_tokens, v->lists.merge, v->lists.n_merges, "", path, err);
    if (!s && !(t->added = bqb_calloc(v->lists.n_added, sizeof *t->added))) s = bqb_fail_nomem(err, path, v->lists.n_added * sizeof *t->added);
    if (!s) t->size = bqb_bpe_size(t->bpe);
    for (size_t i = 0; i < v->lists.n_added && !s; i++) {
        const bqb_added_token *a = &v->lists.added[i];
        if (a->id < 0 || a->id >= BQB_LLM_TOKENS || !a->n)
            s = bqb_fail(err, BQB_EFORMAT, "%s: the added token \"%.*s\" has no text or an impossible id", path, a->n < 40 ? (int)a->n : 40, a->s);
        else if (!(t->added[i].text = bqb_strndup(a->s, a->n))) s = bqb_fail_nomem(err, path, a->n);
        if (s) break;
        t->added[i].n = a->n;
        t->added[i].id = (int32_t)a->id;
        t->added[i].left = a->left;
        t->added[i].right = a->right;
        t->n_added++;
        t->starts[(uint8_t)a->s[0]] = true;
        if ((size_t)a->id >= t->size) t->size = (size_t)a->id + 1;
    }
    if (s) bqb_llm_tokenizer_close(t);
    else *out = t;
    return s;
}

void bqb_llm_tokenizer_close(bqb_llm_tokenizer *t) {
    if (!t) return;
    bqb_bpe_close(t->bpe);
    for (size_t i = 0; i < t->n_added; i++) free(t->added[i].text);
    free(t->added);
    free(t);
}

size_t bqb_llm_tokenizer_size(const bqb_llm_tokenizer *t) { return t->size; }

bqb_status bqb_llm_tokenizer_fits(const bqb_llm_tokenizer *t, size_t rows, const char *llm, bqb_err *err) {
    size_t n = bqb_llm_tokenizer_size(t);
    if (n <= rows) return BQB_OK;
    return bqb_fail(err, BQB_EFORMAT, "%s: the tokenizer has %zu tokens, but the weights have rows for %zu: they do not belong together", llm, n, rows);
}

int32_t bqb_llm_tokenizer_added(const bqb_llm_tokenizer *t, const char *text) {
    for (size_t i = 0; i < t->n_added; i++)
        if (!strcmp(t->added[i].text, text)) return t->added[i].id;
    return -1;
}

bqb_status bqb_ids_add(bqb_ids *ids, int32_t id, bqb_err *err) {
    int32_t *grown = bqb_grow(ids->id, ids->n, &ids->cap, sizeof *grown, 64);
    if (!grown) return bqb_fail_nomem(err, "tokens", (ids->n + 1) * sizeof *grown);
    ids->id = grown;
    ids->id[ids->n++] = id;
    return BQB_OK;
}

/* ---- from text to tokens ---- */

typedef struct {
    const bqb_llm_tokenizer *t;
    bqb_ids *ids;
    int32_t *word; /* room for the tokens of a piece */
    uint32_t *work;
    char *seen; /* the piece as the vocabulary writes it */
    size_t room;
} encoder;

static bqb_status make_room(encoder *e, size_t n, bqb_err *err) {
    if (n <= e->room) return BQB_OK;
    free(e->word);
    free(e->work);
    free(e->seen);
    e->room = n < 256 ? 256 : 2 * n;
    e->word = bqb_calloc(e->room, sizeof *e->word);
    e->work = bqb_calloc(BQB_BPE_WORK(e->room), sizeof *e->work);
    e->seen = bqb_calloc(2 * e->room, 1);
    if (e->word && e->work && e->seen) return BQB_OK;
    e->room = 0;
    return bqb_fail_nomem(err, "tokens", 32 * n);
}

/* The piece as a token of its own, or BQB_BPE_NONE. */
static int32_t whole_piece(const encoder *e, const char *s, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++) len += bqb_utf8_put(e->seen + len, bqb_bpe_seen((uint8_t)s[i]));
    return bqb_bpe_find(e->t->bpe, e->seen, len);
}

static bqb_status encode_piece(encoder *e, const char *s, size_t n, bqb_err *err) {
    bqb_status st = make_room(e, n, err);
    if (st) return st;
    int32_t whole = e->t->whole ? whole_piece(e, s, n) : BQB_BPE_NONE;
    if (whole != BQB_BPE_NONE) return bqb_ids_add(e->ids, whole, err);
    size_t k = bqb_bpe_word(e->t->bpe, e->word, s, n, e->work);
    for (size_t i = 0; i < k && !st; i++)
        st = e->word[i] == BQB_BPE_NONE ? bqb_fail(err, BQB_EFORMAT, "the vocabulary lacks a byte of \"%.*s\"", n < 40 ? (int)n : 40, s)
                                        : bqb_ids_add(e->ids, e->word[i], err);
    return st;
}

/* Text without added tokens. */
static bqb_status encode_plain(encoder *e, const char *s, size_t n, bqb_err *err) {
    char *composed = NULL;
    bqb_status st = BQB_OK;
    if (e->t->nfc && n) {
        utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, (utf8proc_uint8_t **)&composed,
                                            UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (len == UTF8PROC_ERROR_NOMEM) return bqb_fail_nomem(err, "tokens", n);
        if (len >= 0) s = composed, n = (size_t)len;
    }
    for (size_t at = 0; at < n && !st;) {
        size_t k = bqb_piece(e->t->rule, s + at, n - at);
        st = encode_piece(e, s + at, k, err);
        at += k;
    }
    free(composed);
    return st;
}

/* The longest added token at s, or NULL. */
static const added_token *added_at(const bqb_llm_tokenizer *t, const char *s, size_t n) {
    const added_token *best = NULL;
    if (!t->starts[(uint8_t)*s]) return NULL;
    for (size_t i = 0; i < t->n_added; i++) {
        const added_token *a = &t->added[i];
        if (a->n <= n && (!best || a->n > best->n) && !memcmp(s, a->text, a->n)) best = a;
    }
    return best;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bqb_status encode_all(encoder *e, const char *s, size_t n, bool added, bqb_err *err) {
    bqb_status st = BQB_OK;
    size_t from = 0;
    for (size_t at = 0; added && at < n && !st;) {
        const added_token *a = added_at(e->t, s + at, n - at);
        if (!a) {
            at++;
            continue;
        }
        size_t end = at;
        while (a->left && end > from && is_space(s[end - 1])) end--;
        st = encode_plain(e, s + from, end - from, err);
        if (!st) st = bqb_ids_add(e->ids, a->id, err);
        at += a->n;
        while (a->right && at < n && is_space(s[at])) at++;
        from = at;
    }
    return st ? st : encode_plain(e, s + from, n - from, err);
}

bqb_status bqb_llm_tokenizer_encode(const bqb_llm_tokenizer *t, bqb_ids *ids, const char *text, size_t n_bytes, bool added,
                                    bqb_err *err) {
    encoder e = {.t = t, .ids = ids};
    bqb_buf mended = {.max = 3 * n_bytes + 1};
    bqb_status s = BQB_OK;
    if (bqb_utf8_check(text, n_bytes) < n_bytes) {
        s = bqb_utf8_mend(&mended, text, n_bytes, err);
        text = mended.data;
        n_bytes = mended.len;
    }
    if (!s) s = encode_all(&e, text, n_bytes, added, err);
    bqb_buf_free(&mended);
    free(e.word);
    free(e.work);
    free(e.seen);
    return s;
}

/* ---- from tokens to bytes ---- */

bqb_status bqb_llm_tokenizer_decode(const bqb_llm_tokenizer *t, bqb_buf *out, int32_t id, bool added, bqb_err *err) {
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == id) return added ? bqb_buf_puts(out, t->added[i].text, err) : BQB_OK;
    const char *s = id < 0 ? NULL : bqb_bpe_token(t->bpe, (size_t)id);
    if (!s) return bqb_fail(err, BQB_EINVAL, "token %d is not in the vocabulary", (int)id);
    bqb_status st = BQB_OK;
    for (size_t n = strlen(s), at = 0; at < n && !st;) {
        uint32_t c;
        size_t size = bqb_utf8_next(s + at, n - at, &c, NULL);
        int byte = bqb_bpe_byte(c);
        char b = (char)(uint8_t)byte;
        st = byte >= 0 ? bqb_buf_append(out, &b, 1, err) : bqb_buf_append(out, s + at, size, err);
        at += size;
    }
    return st;
}
