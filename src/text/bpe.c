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

/* ---- vocab.json ---- */

static bqb_status put_token(bqb_bpe *b, const char *token, const json_t *value, const char *path, bqb_err *err) {
    size_t n = strlen(token);
    json_int_t id = json_integer_value(value);
    if (b->offset[id] != NO_RANK)
        return bqb_fail(err, BQB_EFORMAT, "%s: tokens \"%.40s\" and \"%.40s\" have the same id %lld", path,
                        b->text + b->offset[id], token, (long long)id);
    b->offset[id] = (uint32_t)b->text_len;
    b->length[id] = (uint32_t)n;
    memcpy(b->text + b->text_len, token, n + 1);
    b->text_len += n + 1;
    uint32_t i = hash_text(token, n) & b->slot_mask;
    for (unsigned probes = 0; b->slot[i] != BQB_BPE_NONE; i = (i + 1) & b->slot_mask)
        if (++probes == MAX_PROBES)
            return bqb_fail(err, BQB_ELIMIT, "%s: more than %d tokens share a hash with \"%.40s\"", path, MAX_PROBES, token);
    b->slot[i] = (int32_t)id;
    return BQB_OK;
}

static bqb_status read_vocab(bqb_bpe *b, const char *path, bqb_err *err) {
    json_t *o;
    bqb_status s = bqb_json_read(&o, path, MAX_FILE_BYTES, 2, 2 * MAX_TOKENS + 2, err);
    if (s) return s;
    size_t count = json_object_size(o), slots = 64;
    while (slots < count * 2) slots *= 2;
    size_t room = 0;
    const char *token;
    json_t *value;
    json_object_foreach(o, token, value) {
        json_int_t id = json_integer_value(value);
        room += strlen(token) + 1;
        if (!s && (!json_is_integer(value) || id < 0 || id >= MAX_TOKENS))
            s = bqb_fail(err, BQB_EFORMAT, "%s: token \"%.40s\" needs an id of 0 … %d", path, token, MAX_TOKENS - 1);
        if (!s && (size_t)id >= b->n) b->n = (size_t)id + 1;
    }
    if (s) goto done;
    b->slot_mask = (uint32_t)(slots - 1);
    b->text = bqb_calloc(room, 1);
    b->slot = bqb_calloc(slots, sizeof *b->slot);
    b->offset = bqb_calloc(b->n, sizeof *b->offset);
    b->length = bqb_calloc(b->n, sizeof *b->length);
    if (!b->text || !b->slot || !b->offset || !b->length)
        s = bqb_fail_nomem(err, path, room + slots * sizeof *b->slot);
    else {
        memset(b->slot, 0xff, slots * sizeof *b->slot);
        memset(b->offset, 0xff, b->n * sizeof *b->offset);
        json_object_foreach(o, token, value)
            if (!s) s = put_token(b, token, value, path, err);
    }
done:
    json_decref(o);
    return s;
}

/* ---- merges.txt ---- */

static bqb_status bad_merge(const char *path, size_t line, const char *s, size_t n, const char *why, bqb_err *err) {
    return bqb_fail_at(err, BQB_EFORMAT, (int64_t)line, "%s: line %zu: \"%.*s\" %s", path, line, n < 40 ? (int)n : 40, s,
                       why);
}

static bqb_status put_merge(bqb_bpe *b, const char *s, size_t n, const char *path, size_t line, bqb_err *err) {
    char joined[2048];
    const char *space = memchr(s, ' ', n);
    size_t first = space ? (size_t)(space - s) : 0, second = space ? n - first - 1 : 0;
    if (!first || !second || memchr(space + 1, ' ', second)) return bad_merge(path, line, s, n, "is not two tokens", err);
    if (n > sizeof joined) return bad_merge(path, line, s, n, "is too long", err);
    memcpy(joined, s, first);
    memcpy(joined + first, space + 1, second);
    size_t rank = b->n_merges++;
    b->left[rank] = bqb_bpe_find(b, s, first);
    b->right[rank] = bqb_bpe_find(b, space + 1, second);
    b->merged[rank] = bqb_bpe_find(b, joined, first + second);
    if (b->left[rank] == BQB_BPE_NONE || b->right[rank] == BQB_BPE_NONE || b->merged[rank] == BQB_BPE_NONE)
        return bad_merge(path, line, s, n, "or what it makes is not in the vocabulary", err);
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

static bqb_status read_merges(bqb_bpe *b, const char *path, bqb_err *err) {
    char *text;
    size_t size, lines = 1, slots = 64;
    bqb_status s = bqb_file_read(&text, &size, path, MAX_FILE_BYTES, err);
    if (s) return s;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    if (lines > MAX_MERGES) {
        free(text);
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu lines, at most %d are allowed", path, lines, MAX_MERGES);
    }
    while (slots < lines * 2) slots *= 2;
    b->pair_mask = (uint32_t)(slots - 1);
    b->left = bqb_calloc(lines, sizeof *b->left);
    b->right = bqb_calloc(lines, sizeof *b->right);
    b->merged = bqb_calloc(lines, sizeof *b->merged);
    b->pair = bqb_calloc(slots, sizeof *b->pair);
    if (!b->left || !b->right || !b->merged || !b->pair) s = bqb_fail_nomem(err, path, slots * sizeof *b->pair);
    else memset(b->pair, 0xff, slots * sizeof *b->pair);
    const char *at = text, *end = text + size;
    for (size_t line = 1; at < end && !s; line++) {
        const char *next = memchr(at, '\n', (size_t)(end - at)), *stop = next ? next : end;
        size_t n = (size_t)(stop - at);
        if (n && at[n - 1] == '\r') n--;
        bool version = line == 1 && n >= 8 && !memcmp(at, "#version", 8);
        if (n && !version) s = put_merge(b, at, n, path, line, err);
        at = next ? next + 1 : end;
    }
    free(text);
    return s;
}

/* ---- bytes ---- */

static void find_bytes(bqb_bpe *b, const char *end) {
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        char s[4 + MAX_END];
        size_t n = bqb_utf8_put(s, visible ? byte : next++), more = strlen(end);
        b->byte[0][byte] = bqb_bpe_find(b, s, n);
        memcpy(s + n, end, more);
        b->byte[1][byte] = bqb_bpe_find(b, s, n + more);
    }
}

bqb_status bqb_bpe_open(bqb_bpe **out, const char *vocab_path, const char *merges_path, const char *end,
                        bqb_err *err) {
    *out = NULL;
    if (strlen(end) > MAX_END) return bqb_fail(err, BQB_EINVAL, "\"%s\" is too long for the end of a word", end);
    bqb_bpe *b = bqb_calloc(1, sizeof *b);
    if (!b) return bqb_fail_nomem(err, vocab_path, sizeof *b);
    bqb_status s = read_vocab(b, vocab_path, err);
    if (!s) s = read_merges(b, merges_path, err);
    if (s) {
        bqb_bpe_close(b);
        return s;
    }
    find_bytes(b, end);
    *out = b;
    return BQB_OK;
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
