#include "text/bpe.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "file/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)
enum { MAX_TOKENS = 1 << 20, MAX_MERGES = 1 << 20, MAX_END = 15, MAX_PROBES = 1024 };
#define NO_RANK UINT32_MAX

/* Token strings lie in `text`, one after another, each with a NUL. */
struct bqb_bpe {
    char *text;
    size_t text_len;
    uint32_t *offset, *length; /* [n]; an id that is not used has offset NO_RANK */
    size_t n;
    int32_t *slot; /* open addressing: a token id or BQB_BPE_NONE */
    uint32_t slot_mask;
    int32_t *left, *right, *merged; /* [n_merges], by rank */
    size_t n_merges;
    uint32_t *pair; /* open addressing: a rank or NO_RANK */
    uint32_t pair_mask;
    int32_t byte[2][256]; /* token of a byte inside a word; of its last byte */
};

static uint32_t hash_text(const char *s, size_t n) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static uint32_t hash_pair(int32_t a, int32_t b) {
    uint64_t x = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(x >> 32);
}

int32_t bqb_bpe_find(const bqb_bpe *b, const char *token, size_t n_bytes) {
    for (uint32_t i = hash_text(token, n_bytes) & b->slot_mask;; i = (i + 1) & b->slot_mask) {
        int32_t id = b->slot[i];
        if (id == BQB_BPE_NONE) return id;
        if (b->length[id] == n_bytes && !memcmp(b->text + b->offset[id], token, n_bytes)) return id;
    }
}

static uint32_t rank_of(const bqb_bpe *b, int32_t left, int32_t right) {
    for (uint32_t i = hash_pair(left, right) & b->pair_mask;; i = (i + 1) & b->pair_mask) {
        uint32_t rank = b->pair[i];
        if (rank == NO_RANK || (b->left[rank] == left && b->right[rank] == right)) return rank;
    }
}

/* ---- tables ---- */

/* Room for tokens with ids below n_ids and `room` bytes of text, NULs included. */
static bqb_status begin_tokens(bqb_bpe *b, size_t n_tokens, size_t n_ids, size_t room, const char *path, bqb_err *err) {
    size_t slots = 64;
    while (slots < n_tokens * 2) slots *= 2;
    b->n = n_ids;
    b->slot_mask = (uint32_t)(slots - 1);
    b->text = bqb_calloc(room, 1);
    b->slot = bqb_calloc(slots, sizeof *b->slot);
    b->offset = bqb_calloc(b->n, sizeof *b->offset);
    b->length = bqb_calloc(b->n, sizeof *b->length);
    if (!b->text || !b->slot || !b->offset || !b->length) return bqb_fail_nomem(err, path, room + slots * sizeof *b->slot);
    memset(b->slot, 0xff, slots * sizeof *b->slot);
    memset(b->offset, 0xff, b->n * sizeof *b->offset);
    return BQB_OK;
}

static bqb_status put_token(bqb_bpe *b, const bqb_bpe_entry *e, const char *path, bqb_err *err) {
    if (b->offset[e->id] != NO_RANK)
        return bqb_fail(err, BQB_EFORMAT, "%s: tokens \"%.40s\" and \"%.*s\" have the same id %lld", path,
                        b->text + b->offset[e->id], e->n < 40 ? (int)e->n : 40, e->s, (long long)e->id);
    b->offset[e->id] = (uint32_t)b->text_len;
    b->length[e->id] = (uint32_t)e->n;
    memcpy(b->text + b->text_len, e->s, e->n);
    b->text[b->text_len + e->n] = 0;
    b->text_len += e->n + 1;
    uint32_t i = hash_text(e->s, e->n) & b->slot_mask;
    for (unsigned probes = 0; b->slot[i] != BQB_BPE_NONE; i = (i + 1) & b->slot_mask)
        if (++probes == MAX_PROBES)
            return bqb_fail(err, BQB_ELIMIT, "%s: more than %d tokens share a hash with \"%.*s\"", path, MAX_PROBES,
                            e->n < 40 ? (int)e->n : 40, e->s);
    b->slot[i] = (int32_t)e->id;
    return BQB_OK;
}

static bqb_status put_tokens(bqb_bpe *b, const bqb_bpe_entry *token, size_t n, const char *path, bqb_err *err) {
    size_t room = 1, n_ids = 0;
    for (size_t i = 0; i < n; i++) {
        if (token[i].id < 0 || token[i].id >= MAX_TOKENS)
            return bqb_fail(err, BQB_EFORMAT, "%s: token \"%.*s\" needs an id of 0 … %d", path, token[i].n < 40 ? (int)token[i].n : 40,
                            token[i].s, MAX_TOKENS - 1);
        if ((size_t)token[i].id >= n_ids) n_ids = (size_t)token[i].id + 1;
        room += token[i].n + 1;
    }
    if (room > UINT32_MAX) return bqb_fail(err, BQB_ELIMIT, "%s: the tokens have more than 4 GB of text", path);
    bqb_status s = begin_tokens(b, n, n_ids, room, path, err);
    for (size_t i = 0; i < n && !s; i++) s = put_token(b, &token[i], path, err);
    return s;
}

static bqb_status begin_merges(bqb_bpe *b, size_t n, const char *path, bqb_err *err) {
    size_t slots = 64;
    if (n > MAX_MERGES) return bqb_fail(err, BQB_ELIMIT, "%s: %zu merges, at most %d are allowed", path, n, MAX_MERGES);
    while (slots < n * 2) slots *= 2;
    b->pair_mask = (uint32_t)(slots - 1);
    b->left = bqb_calloc(n, sizeof *b->left);
    b->right = bqb_calloc(n, sizeof *b->right);
    b->merged = bqb_calloc(n, sizeof *b->merged);
    b->pair = bqb_calloc(slots, sizeof *b->pair);
    if (!b->left || !b->right || !b->merged || !b->pair) return bqb_fail_nomem(err, path, slots * sizeof *b->pair);
    memset(b->pair, 0xff, slots * sizeof *b->pair);
    return BQB_OK;
}

static bqb_status bad_merge(const char *path, size_t line, const char *s, size_t n, const char *why, bqb_err *err) {
    return bqb_fail_at(err, BQB_EFORMAT, (int64_t)line, "%s: line %zu: \"%.*s\" %s", path, line, n < 40 ? (int)n : 40, s,
                       why);
}

static bqb_status put_merge(bqb_bpe *b, const bqb_bpe_merge *m, const char *path, size_t line, bqb_err *err) {
    char joined[2048];
    if (m->n_left + m->n_right > sizeof joined) return bad_merge(path, line, m->left, m->n_left, "is too long", err);
    memcpy(joined, m->left, m->n_left);
    memcpy(joined + m->n_left, m->right, m->n_right);
    size_t rank = b->n_merges++;
    b->left[rank] = bqb_bpe_find(b, m->left, m->n_left);
    b->right[rank] = bqb_bpe_find(b, m->right, m->n_right);
    b->merged[rank] = bqb_bpe_find(b, joined, m->n_left + m->n_right);
    if (b->left[rank] == BQB_BPE_NONE || b->right[rank] == BQB_BPE_NONE || b->merged[rank] == BQB_BPE_NONE)
        return bad_merge(path, line, joined, m->n_left + m->n_right, "or its parts are not in the vocabulary", err);
    /* Of two equal lines the later one counts, as in the reference. */
    uint32_t i = hash_pair(b->left[rank], b->right[rank]) & b->pair_mask;
    for (unsigned probes = 0; b->pair[i] != NO_RANK; i = (i + 1) & b->pair_mask) {
        uint32_t other = b->pair[i];
        if (b->left[other] == b->left[rank] && b->right[other] == b->right[rank]) break;
        if (++probes == MAX_PROBES)
            return bqb_fail_at(err, BQB_ELIMIT, (int64_t)line, "%s: line %zu: more than %d merges share a hash", path, line,
                               MAX_PROBES);
    }
    b->pair[i] = (uint32_t)rank;
    return BQB_OK;
}

/* ---- vocab.json ---- */

static bqb_status read_vocab(bqb_bpe *b, const char *path, bqb_err *err) {
    json_t *o;
    bqb_status s = bqb_json_read(&o, path, MAX_FILE_BYTES, 2, 2 * MAX_TOKENS + 2, err);
    if (s) return s;
    size_t n = 0, count = json_object_size(o);
    bqb_bpe_entry *list = bqb_calloc(count, sizeof *list);
    const char *token;
    json_t *value;
    if (!list) s = bqb_fail_nomem(err, path, count * sizeof *list);
    else
        json_object_foreach(o, token, value)
            list[n++] = (bqb_bpe_entry){token, strlen(token), json_is_integer(value) ? json_integer_value(value) : -1};
    if (!s) s = put_tokens(b, list, n, path, err);
    free(list);
    json_decref(o);
    return s;
}

/* ---- merges.txt ---- */

static bqb_status put_merge_line(bqb_bpe *b, const char *s, size_t n, const char *path, size_t line, bqb_err *err) {
    const char *space = memchr(s, ' ', n);
    size_t first = space ? (size_t)(space - s) : 0, second = space ? n - first - 1 : 0;
    if (!first || !second || memchr(space + 1, ' ', second)) return bad_merge(path, line, s, n, "is not two tokens", err);
    return put_merge(b, &(bqb_bpe_merge){s, space + 1, first, second}, path, line, err);
}

static bqb_status read_merges(bqb_bpe *b, const char *path, bqb_err *err) {
    char *text;
    size_t size, lines = 1;
    bqb_status s = bqb_file_read(&text, &size, path, MAX_FILE_BYTES, err);
    if (s) return s;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    s = begin_merges(b, lines, path, err);
    const char *at = text, *end = text + size;
    for (size_t line = 1; at < end && !s; line++) {
        const char *next = memchr(at, '\n', (size_t)(end - at)), *stop = next ? next : end;
        size_t n = (size_t)(stop - at);
        if (n && at[n - 1] == '\r') n--;
        bool version = line == 1 && n >= 8 && !memcmp(at, "#version", 8);
        if (n && !version) s = put_merge_line(b, at, n, path, line, err);
        at = next ? next + 1 : end;
    }
    free(text);
    return s;
}

/* ---- bytes ---- */

static bool visible(uint32_t byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte != 173); }

/* Hidden are 0 … 32, 127 … 160 and 173. */
uint32_t bqb_bpe_seen(uint8_t byte) {
    if (visible(byte)) return byte;
    return byte <= 32 ? 256u + byte : byte <= 160 ? 256u + 33 + (byte - 127u) : 256u + 67;
}

int bqb_bpe_byte(uint32_t c) {
    if (c < 256) return visible(c) ? (int)c : -1;
    c -= 256;
    return c <= 32 ? (int)c : c < 67 ? (int)(c - 33 + 127) : c == 67 ? 173 : -1;
}

static void find_bytes(bqb_bpe *b, const char *end) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        char s[4 + MAX_END];
        size_t n = bqb_utf8_put(s, bqb_bpe_seen((uint8_t)byte)), more = strlen(end);
        b->byte[0][byte] = bqb_bpe_find(b, s, n);
        memcpy(s + n, end, more);
        b->byte[1][byte] = bqb_bpe_find(b, s, n + more);
    }
}

static bqb_status begin(bqb_bpe **out, const char *end, const char *path, bqb_err *err) {
    *out = NULL;
    if (strlen(end) > MAX_END) return bqb_fail(err, BQB_EINVAL, "\"%s\" is too long for the end of a word", end);
    *out = bqb_calloc(1, sizeof **out);
    return *out ? BQB_OK : bqb_fail_nomem(err, path, sizeof **out);
}

static bqb_status finish(bqb_bpe **b, const char *end, bqb_status s) {
    if (!s) find_bytes(*b, end);
    else {
        bqb_bpe_close(*b);
        *b = NULL;
    }
    return s;
}

bqb_status bqb_bpe_open(bqb_bpe **out, const char *vocab_path, const char *merges_path, const char *end,
                        bqb_err *err) {
    bqb_status s = begin(out, end, vocab_path, err);
    if (!s) s = read_vocab(*out, vocab_path, err);
    if (!s) s = read_merges(*out, merges_path, err);
    return finish(out, end, s);
}

bqb_status bqb_bpe_new(bqb_bpe **out, const bqb_bpe_entry *token, size_t n_tokens, const bqb_bpe_merge *merge,
                       size_t n_merges, const char *end, const char *path, bqb_err *err) {
    bqb_status s = begin(out, end, path, err);
    if (!s) s = put_tokens(*out, token, n_tokens, path, err);
    if (!s) s = begin_merges(*out, n_merges, path, err);
    for (size_t i = 0; i < n_merges && !s; i++) s = put_merge(*out, &merge[i], path, i + 1, err);
    return finish(out, end, s);
}

void bqb_bpe_close(bqb_bpe *b) {
    if (!b) return;
    free(b->text);
    free(b->offset);
    free(b->length);
    free(b->slot);
    free(b->left);
    free(b->right);
    free(b->merged);
    free(b->pair);
    free(b);
}

size_t bqb_bpe_size(const bqb_bpe *b) { return b->n; }

const char *bqb_bpe_token(const bqb_bpe *b, size_t id) {
    return id < b->n && b->offset[id] != NO_RANK ? b->text + b->offset[id] : NULL;
}

/* ---- one word ---- */

/* The symbols of a word as a list, and over them a tree of minima: leaf i is the
 * rank of merging the symbol that starts at i with the one behind it. */
typedef struct {
    int32_t *ids;
    uint32_t *next, *prev, *tree;
    uint32_t n, leaves;
} list;

static void set_rank(const list *l, uint32_t at, uint32_t rank) {
    uint32_t i = l->leaves + at;
    l->tree[i] = rank;
    while (i > 1) {
        i /= 2;
        uint32_t a = l->tree[2 * i], c = l->tree[2 * i + 1];
        l->tree[i] = a < c ? a : c;
    }
}

static uint32_t pair_rank(const bqb_bpe *b, const list *l, uint32_t at) {
    uint32_t next = l->next[at];
    if (next >= l->n || l->ids[at] < 0 || l->ids[next] < 0) return NO_RANK;
    return rank_of(b, l->ids[at], l->ids[next]);
}

static uint32_t first_lowest(const list *l) {
    uint32_t i = 1;
    while (i < l->leaves) i = l->tree[2 * i] == l->tree[1] ? 2 * i : 2 * i + 1;
    return i - l->leaves;
}

static void merge(const bqb_bpe *b, const list *l, uint32_t at) {
    uint32_t gone = l->next[at], next = l->next[gone];
    l->ids[at] = b->merged[l->tree[1]];
    l->next[at] = next;
    if (next < l->n) l->prev[next] = at;
    set_rank(l, gone, NO_RANK);
    set_rank(l, at, pair_rank(b, l, at));
    if (at > 0) set_rank(l, l->prev[at], pair_rank(b, l, l->prev[at]));
}

size_t bqb_bpe_word(const bqb_bpe *b, int32_t *ids, const char *word, size_t n, uint32_t *work) {
    if (!n) return 0;
    list l = {.ids = ids, .next = work, .prev = work + n, .tree = work + 2 * n, .n = (uint32_t)n, .leaves = 1};
    while (l.leaves < n) l.leaves *= 2; /* below 2n: the tree fits 4n */
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = b->byte[i + 1 == n][(uint8_t)word[i]];
        l.next[i] = i + 1;
        l.prev[i] = i - 1;
    }
    for (uint32_t i = 0; i < l.leaves; i++) l.tree[l.leaves + i] = i < n ? pair_rank(b, &l, i) : NO_RANK;
    for (uint32_t i = l.leaves - 1; i > 0; i--)
        l.tree[i] = l.tree[2 * i] < l.tree[2 * i + 1] ? l.tree[2 * i] : l.tree[2 * i + 1];
    while (l.tree[1] != NO_RANK) merge(b, &l, first_lowest(&l));
    size_t kept = 0;
    for (uint32_t i = 0; i < n; i = l.next[i]) ids[kept++] = ids[i];
    return kept;
}
