/* All pieces lie one after another in one array of places; a place holds a token, and knows its
 * neighbours. Each pair of neighbours knows how often it is seen and at which places it began; a heap gives
 * the most frequent pair. Counts there may be too high, as other merges take places away: then the pair goes
 * back with what it has. Only pairs with the newest token ever gain, so nothing else has to be put into the
 * heap again. */
#include "text/bpe_learn.h"
#include "base/fs.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/pieces.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { BYTES = 256, NONE = -1 };
#define NO_PLACE UINT32_MAX

typedef struct {
    size_t at, n; /* bytes in the text of all pieces */
    uint64_t count;
} piece;

typedef struct {
    size_t at, n; /* bytes of a token in `spelling` */
    int32_t left, right;
} token;

typedef struct {
    int32_t left, right;
    uint64_t count;
    uint32_t *place; /* where it began, rising; some are no longer true */
    size_t n, cap;
} pair;

typedef struct {
    uint64_t count;
    int32_t left, right;
    uint32_t pair;
} candidate;

/* An open hash table of numbers (index + 1; 0: free). What a number stands for, its owner knows. */
typedef struct {
    uint32_t *slot;
    size_t cap, n;
} table;

struct bqb_bpe_learner {
    size_t longest;
    bqb_buf text; /* different pieces */
    piece *pieces;
    size_t n_pieces, cap_pieces;
    table by_text;

    bqb_buf spelling;
    token *tokens;
    size_t n_tokens, cap_tokens;

    int32_t *id; /* [n_places], NONE where it has become part of the one before */
    uint32_t *prev, *next, *of;
    size_t n_places;

    pair *pairs;
    size_t n_pairs, cap_pairs;
    table by_pair;
    candidate *heap;
    size_t n_heap, cap_heap;
};

bqb_status bqb_bpe_learner_new(bqb_bpe_learner **out, size_t longest, bqb_err *err) {
    *out = NULL;
    if (!longest) return bqb_fail(err, BQB_EINVAL, "tokens of at most 0 bytes; at least 1 is needed");
    bqb_bpe_learner *l = bqb_calloc(1, sizeof *l);
    if (!l) return bqb_fail_nomem(err, "tokenizer", sizeof *l);
    l->longest = longest;
    l->text.max = BQB_BPE_LEARN_BYTES;
    l->spelling.max = SIZE_MAX;
    *out = l;
    return BQB_OK;
}

void bqb_bpe_learner_free(bqb_bpe_learner *l) {
    if (!l) return;
    for (size_t i = 0; i < l->n_pairs; i++) free(l->pairs[i].place);
    bqb_buf_free(&l->text);
    bqb_buf_free(&l->spelling);
    free(l->pieces);
    free(l->by_text.slot);
    free(l->tokens);
    free(l->id);
    free(l->prev);
    free(l->next);
    free(l->of);
    free(l->pairs);
    free(l->by_pair.slot);
    free(l->heap);
    free(l);
}

/* ---- tables ---- */

static uint64_t hash_bytes(const char *s, size_t n) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 1099511628211u;
    return h ^ (h >> 29);
}

static uint64_t hash_pair(int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

static uint64_t hash_of(const bqb_bpe_learner *l, const table *t, uint32_t i) {
    if (t == &l->by_text) return hash_bytes(l->text.data + l->pieces[i].at, l->pieces[i].n);
    return hash_pair(l->pairs[i].left, l->pairs[i].right);
}

/* Room for one more; at most half full. */
static bqb_status table_grow(bqb_bpe_learner *l, table *t, bqb_err *err) {
    if (2 * (t->n + 1) <= t->cap) return BQB_OK;
    size_t cap = t->cap ? 2 * t->cap : 1024;
    uint32_t *slot = bqb_calloc(cap, sizeof *slot);
    if (!slot) return bqb_fail_nomem(err, "tokenizer", cap * sizeof *slot);
    for (size_t k = 0; k < t->cap; k++) {
        if (!t->slot[k]) continue;
        size_t i = hash_of(l, t, t->slot[k] - 1) & (cap - 1);
        while (slot[i]) i = (i + 1) & (cap - 1);
        slot[i] = t->slot[k];
    }
    free(t->slot);
    t->slot = slot;
    t->cap = cap;
    return BQB_OK;
}

/* ---- taking texts in ---- */

static bqb_status add_piece(bqb_bpe_learner *l, const char *s, size_t n, bqb_err *err) {
    bqb_status st = table_grow(l, &l->by_text, err);
    if (st) return st;
    size_t i = hash_bytes(s, n) & (l->by_text.cap - 1);
    for (uint32_t k; (k = l->by_text.slot[i]) != 0; i = (i + 1) & (l->by_text.cap - 1)) {
        piece *p = &l->pieces[k - 1];
        if (p->n == n && !memcmp(l->text.data + p->at, s, n)) return p->count++, BQB_OK;
    }
    piece *grown = bqb_grow(l->pieces, l->n_pieces, &l->cap_pieces, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "tokenizer", l->n_pieces * sizeof *grown);
    l->pieces = grown;
    grown[l->n_pieces] = (piece){l->text.len, n, 1};
    st = bqb_buf_append(&l->text, s, n, err);
    if (st) return st;
    l->by_text.slot[i] = (uint32_t)++l->n_pieces;
    l->by_text.n++;
    return BQB_OK;
}

bqb_status bqb_bpe_learner_add(bqb_bpe_learner *l, const char *text, size_t n_bytes, bqb_err *err) {
    bqb_buf whole = {.max = SIZE_MAX};
    utf8proc_uint8_t *composed = NULL;
    bqb_status st = bqb_utf8_mend(&whole, text, n_bytes, err);
    if (!st && whole.len) {
        utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)whole.data, (utf8proc_ssize_t)whole.len,
                                          &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (n < 0) st = bqb_fail_nomem(err, "tokenizer", whole.len);
        const char *s = (const char *)composed;
        for (size_t at = 0, k; !st && at < (size_t)n; at += k) {
            k = bqb_piece(BQB_PIECES_QWEN2, s + at, (size_t)n - at);
            st = add_piece(l, s + at, k, err);
        }
    }
    free(composed);
    bqb_buf_free(&whole);
    return st;
}

/* ---- the pairs ---- */

/* The heap's order: more first, then the lower ids. */
static bool before(const candidate *a, const candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void sink(candidate *heap, size_t n, size_t i) {
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(&heap[k + 1], &heap[k])) k++;
        if (!before(&heap[k], &heap[i])) return;
        candidate c = heap[i];
        heap[i] = heap[k];
        heap[k] = c;
    }
}

static bqb_status push(bqb_bpe_learner *l, uint32_t p, bqb_err *err) {
    candidate *heap = bqb_grow(l->heap, l->n_heap, &l->cap_heap, sizeof *heap, 1024);
    if (!heap) return bqb_fail_nomem(err, "tokenizer", l->n_heap * sizeof *heap);
    l->heap = heap;
    size_t i = l->n_heap++;
    heap[i] = (candidate){l->pairs[p].count, l->pairs[p].left, l->pairs[p].right, p};
    for (size_t up; i && before(&heap[i], &heap[up = (i - 1) / 2]); i = up) {
        candidate c = heap[i];
        heap[i] = heap[up];
        heap[up] = c;
    }
    return BQB_OK;
}

/* A slot of by_pair: the pair's, or a free one. */
static size_t pair_slot(const bqb_bpe_learner *l, int32_t left, int32_t right) {
    size_t i = hash_pair(left, right) & (l->by_pair.cap - 1);
    for (uint32_t k; (k = l->by_pair.slot[i]) != 0; i = (i + 1) & (l->by_pair.cap - 1))
        if (l->pairs[k - 1].left == left && l->pairs[k - 1].right == right) break;
    return i;
}

/* Whether two tokens may become one. */
static bool may_join(const bqb_bpe_learner *l, int32_t left, int32_t right) {
    const token *a = &l->tokens[left], *b = &l->tokens[right];
    if (a->n + b->n > l->longest) return false;
    char s[8];
    const char *first = l->spelling.data + a->at, *second = l->spelling.data + b->at;
    bool whole = bqb_utf8_check(first, a->n) == a->n && bqb_utf8_check(second, b->n) == b->n;
    if (whole) return true;
    if (a->n + b->n > 4) return false;
    memcpy(s, first, a->n);
    memcpy(s + a->n, second, b->n);
    /* a part of one character: only its first byte, if any, is no continuation */
    for (size_t i = 1; i < a->n + b->n; i++)
        if ((s[i] & 0xC0) != 0x80) return false;
    return (s[0] & 0x80) != 0;
}

/* One more place where a pair begins. Pairs that may not join are not kept. */
static bqb_status gain(bqb_bpe_learner *l, uint32_t at, uint32_t to, bqb_err *err) {
    if (!may_join(l, l->id[at], l->id[to])) return BQB_OK;
    bqb_status s = table_grow(l, &l->by_pair, err);
    if (s) return s;
    size_t slot = pair_slot(l, l->id[at], l->id[to]);
    if (!l->by_pair.slot[slot]) {
        pair *grown = bqb_grow(l->pairs, l->n_pairs, &l->cap_pairs, sizeof *grown, 1024);
        if (!grown) return bqb_fail_nomem(err, "tokenizer", l->n_pairs * sizeof *grown);
        l->pairs = grown;
        grown[l->n_pairs++] = (pair){.left = l->id[at], .right = l->id[to]};
        l->by_pair.slot[slot] = (uint32_t)l->n_pairs;
        l->by_pair.n++;
    }
    pair *p = &l->pairs[l->by_pair.slot[slot] - 1];
    uint32_t *place = bqb_grow(p->place, p->n, &p->cap, sizeof *place, 4);
    if (!place) return bqb_fail_nomem(err, "tokenizer", p->n * sizeof *place);
    p->place = place;
    place[p->n++] = at;
    p->count += l->pieces[l->of[at]].count;
    return BQB_OK;
}

static void lose(bqb_bpe_learner *l, uint32_t at, uint32_t to) {
    if (!l->by_pair.cap) return;
    uint32_t k = l->by_pair.slot[pair_slot(l, l->id[at], l->id[to])];
    if (k) l->pairs[k - 1].count -= l->pieces[l->of[at]].count;
}

static bqb_status add_token(bqb_bpe_learner *l, int32_t left, int32_t right, const char *bytes, size_t n,
                            bqb_err *err) {
    token *grown = bqb_grow(l->tokens, l->n_tokens, &l->cap_tokens, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "tokenizer", l->n_tokens * sizeof *grown);
    l->tokens = grown;
    grown[l->n_tokens++] = (token){l->spelling.len, n, left, right};
    return bqb_buf_append(&l->spelling, bytes, n, err);
}

/* Every byte of every piece becomes a place. Pieces by their bytes, so that the order of texts does not
 * matter. */
static bqb_status lay_out(bqb_bpe_learner *l, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int b = 0; b < BYTES && !s; b++) s = add_token(l, NONE, NONE, &(char){(char)b}, 1, err);
    if (s) return s;
    size_t n = l->n_places = l->text.len;
    l->id = bqb_calloc(n, sizeof *l->id);
    l->prev = bqb_calloc(n, sizeof *l->prev);
    l->next = bqb_calloc(n, sizeof *l->next);
    l->of = bqb_calloc(n, sizeof *l->of);
    if (!l->id || !l->prev || !l->next || !l->of) return bqb_fail_nomem(err, "tokenizer", 16 * n);
    for (size_t p = 0; p < l->n_pieces; p++) {
        const piece *w = &l->pieces[p];
        for (size_t i = w->at; i < w->at + w->n; i++) {
            l->id[i] = (uint8_t)l->text.data[i];
            l->of[i] = (uint32_t)p;
            l->prev[i] = i > w->at ? (uint32_t)i - 1 : NO_PLACE;
            l->next[i] = i + 1 < w->at + w->n ? (uint32_t)i + 1 : NO_PLACE;
        }
    }
    for (size_t i = 0; i < n && !s; i++)
        if (l->next[i] != NO_PLACE) s = gain(l, (uint32_t)i, l->next[i], err);
    for (size_t p = 0; p < l->n_pairs && !s; p++) s = push(l, (uint32_t)p, err);
    return s;
}

/* The pair becomes a token at all its places, from the left; a place that a merge to its left has taken is
 * passed over. */
static bqb_status merge(bqb_bpe_learner *l, uint32_t which, bqb_err *err) {
    pair p = l->pairs[which];
    l->pairs[which].place = NULL;
    l->pairs[which].count = l->pairs[which].n = l->pairs[which].cap = 0;
    int32_t joined = (int32_t)l->n_tokens;
    size_t fresh = l->n_pairs, n = l->tokens[p.left].n + l->tokens[p.right].n;
    char *bytes = bqb_calloc(n, 1);
    bqb_status s = bytes ? BQB_OK : bqb_fail_nomem(err, "tokenizer", n);
    if (!s) {
        memcpy(bytes, l->spelling.data + l->tokens[p.left].at, l->tokens[p.left].n);
        memcpy(bytes + l->tokens[p.left].n, l->spelling.data + l->tokens[p.right].at, l->tokens[p.right].n);
        s = add_token(l, p.left, p.right, bytes, n, err);
    }
    for (size_t i = 0; i < p.n && !s; i++) {
        uint32_t at = p.place[i], to = l->next[at];
        if (l->id[at] != p.left || to == NO_PLACE || l->id[to] != p.right) continue;
        uint32_t left = l->prev[at], right = l->next[to];
        if (left != NO_PLACE) lose(l, left, at);
        if (right != NO_PLACE) lose(l, to, right);
        l->id[at] = joined;
        l->id[to] = NONE;
        l->next[at] = right;
        if (right != NO_PLACE) l->prev[right] = at;
        if (left != NO_PLACE) s = gain(l, left, at, err);
        if (right != NO_PLACE && !s) s = gain(l, at, right, err);
    }
    l->pairs[which].count = 0; /* "aaa": the pair that overlaps what was merged was taken off, too */
    for (size_t k = fresh; k < l->n_pairs && !s; k++) s = push(l, (uint32_t)k, err);
    free(bytes);
    free(p.place);
    return s;
}

static bqb_status learn(bqb_bpe_learner *l, size_t size, bqb_progress_fn progress, void *ctx, bqb_err *err) {
    bqb_status s = lay_out(l, err);
    while (!s && l->n_heap && l->n_tokens < size) {
        candidate best = l->heap[0];
        l->heap[0] = l->heap[--l->n_heap];
        sink(l->heap, l->n_heap, 0);
        uint64_t count = l->pairs[best.pair].count;
        if (count < 2) continue;
        if (count < best.count) {
            s = push(l, best.pair, err);
            continue;
        }
        s = merge(l, best.pair, err);
        if (!s && progress && l->n_tokens % 64 == 0 && progress(ctx, "learning tokens", l->n_tokens, size))
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
    }
    return s;
}

/* ---- writing ---- */

/* Append a token as the file has it, each byte as a character that can be seen. */
static bool put_seen(bqb_buf *out, const bqb_bpe_learner *l, int32_t id) {
    const token *t = &l->tokens[id];
    bool ok = true;
    for (size_t i = 0; i < t->n && ok; i++) {
        char c[4];
        ok = !bqb_buf_append(out, c, bqb_utf8_put(c, bqb_bpe_seen((uint8_t)l->spelling.data[t->at + i])),
                             NULL);
    }
    return ok;
}

static json_t *model_json(const bqb_bpe_learner *l) {
    json_t *vocab = json_object(), *merges = json_array();
    bqb_buf name = {.max = SIZE_MAX}; /* "token", then, of a merged one, "left right" */
    bool bad = !vocab || !merges;
    for (size_t i = 0; i < l->n_tokens && !bad; i++) {
        const token *t = &l->tokens[i];
        name.len = 0;
        bad = !put_seen(&name, l, (int32_t)i) ||
              json_object_set_new(vocab, name.data, json_integer((json_int_t)i));
        name.len = 0;
        if (t->left == NONE || bad) continue;
        bad = !put_seen(&name, l, t->left) || bqb_buf_puts(&name, " ", NULL) ||
              !put_seen(&name, l, t->right) || json_array_append_new(merges, json_string(name.data));
    }
    bqb_buf_free(&name);
    json_t *model = bad ? NULL
                        : json_pack("{s:s,s:b,s:b,s:O,s:O}", "type", "BPE", "byte_fallback", 0,
                                    "ignore_merges", 0, "vocab", vocab, "merges", merges);
    json_decref(vocab);
    json_decref(merges);
    return model;
}

static json_t *added_json(const bqb_bpe_learner *l, const char *const *added, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++) {
        json_t *o =
            json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)(l->n_tokens + i), "content",
                      added[i], "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
        if (json_array_append_new(list, o)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bqb_status write_json(const bqb_bpe_learner *l, const char *path, const char *const *added,
                             size_t n_added, bqb_err *err) {
    json_t *cut = json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                            bqb_pieces_expression(BQB_PIECES_QWEN2), "behavior", "Isolated", "invert", 0);
    json_t *bytes = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                              0, "use_regex", 0);
    json_t *o = json_pack("{s:s,s:n,s:n,s:o,s:{s:s},s:{s:s,s:[o,O]},s:n,s:o,s:o}", "version", "1.0",
                          "truncation", "padding", "added_tokens", added_json(l, added, n_added),
                          "normalizer", "type", "NFC", "pre_tokenizer", "type", "Sequence", "pretokenizers",
                          cut, bytes, "post_processor", "decoder", bytes, "model", model_json(l));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    bqb_status s =
        text ? bqb_file_write(path, text, strlen(text), err) : bqb_fail_nomem(err, path, l->spelling.len);
    free(text);
    json_decref(o);
    return s;
}

bqb_status bqb_bpe_learner_write(bqb_bpe_learner *l, const char *path, size_t size, const char *const *added,
                                 size_t n_added, size_t *learnt, bqb_progress_fn progress, void *ctx,
                                 bqb_err *err) {
    if (size < BYTES || size > BQB_BPE_LEARN_TOKENS)
        return bqb_fail(err, BQB_EINVAL, "a vocabulary of %zu tokens; %d to %d can be learnt", size, BYTES,
                        BQB_BPE_LEARN_TOKENS);
    bqb_status s = learn(l, size, progress, ctx, err);
    if (!s) s = write_json(l, path, added, n_added, err);
    if (!s && learnt) *learnt = l->n_tokens;
    return s;
}
