/* Attention, a slice at a time: scores of several short sequences, or of some
 * heads of a long one, so that a slice's scores stay in the processor's cache. */
#include "model/tower.h"

#include <math.h>
#include <string.h>

enum { SLICE_FLOATS = 96 * 1024 };

/* Sequences first … first+n-1 have equal rows and keys; heads h … h+heads-1. */
typedef struct {
    size_t first, n, head, heads;
    size_t len, keys, asks; /* asks: rows that ask */
    size_t row, out_row;    /* of the first sequence, in qkv and in out */
    size_t prob;            /* offset of the slice's probabilities */
} slice;

typedef struct {
    const bqb_sequences *seq;
    size_t heads;
    bqb_rows rows;
    slice at;
    size_t done_rows;
} walk;

static bool one_asks(bqb_rows rows) { return rows == BQB_ROWS_FIRST || rows == BQB_ROWS_LAST; }

static size_t length(const bqb_sequences *s, size_t i) { return s->start[i + 1] - s->start[i]; }

static size_t keys_of(const bqb_sequences *s, size_t i) { return s->keys ? s->keys[i] : length(s, i); }

/* The next slice, or false at the end. Probabilities lie slice after slice, in walking order. */
static bool next_slice(walk *w) {
    const bqb_sequences *s = w->seq;
    slice *a = &w->at;
    a->prob += a->n * a->heads * a->asks * a->keys;
    if (a->n && a->head + a->heads < w->heads) {
        a->head += a->heads;
        if (a->heads > w->heads - a->head) a->heads = w->heads - a->head;
        return true;
    }
    a->out_row += one_asks(w->rows) ? a->n : a->n * a->len;
    a->first += a->n;
    if (a->first >= s->n) return false;
    a->head = 0;
    a->row = s->start[a->first];
    a->len = length(s, a->first);
    a->keys = keys_of(s, a->first);
    a->asks = one_asks(w->rows) ? 1 : a->len;
    size_t per_head = a->asks * a->keys, most = SLICE_FLOATS / (per_head ? per_head : 1);
    a->n = 1;
    a->heads = w->heads;
    if (most < w->heads) a->heads = most ? most : 1;
    while (a->heads == w->heads && (a->n + 1) * w->heads <= most && a->first + a->n < s->n &&
           length(s, a->first + a->n) == a->len && keys_of(s, a->first + a->n) == a->keys)
        a->n++;
    /* A power of two, so that few kinds of product serve any number of sequences. */
    while (a->n & (a->n - 1)) a->n &= a->n - 1;
    return true;
}

static walk walk_start(const bqb_sequences *s, size_t heads, bqb_rows rows) {
    walk w = {.seq = s, .heads = heads, .rows = rows};
    return w;
}

size_t bqb_attention_probs(const bqb_sequences *s, size_t heads, bqb_rows rows) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += heads * (one_asks(rows) ? 1 : length(s, i)) * keys_of(s, i);
    return n;
}

static size_t largest_slice(const bqb_sequences *s, size_t heads, bqb_rows rows) {
    size_t most = 0;
    for (walk w = walk_start(s, heads, rows); next_slice(&w);) {
        size_t n = w.at.n * w.at.heads * w.at.asks * w.at.keys;
        if (n > most) most = n;
    }
    return most;
}

/* Layouts. Packed rows hold q, k and v of every head side by side, [R,3C]. */
static bqb_layout packed(bqb_num t, const slice *a, size_t row, size_t hd) {
    return (bqb_layout){.type = t, .outer = (int64_t)(a->len * row), .inner = (int64_t)hd, .row = (int64_t)row, .col = 1};
}

static bqb_layout asked(bqb_num t, const slice *a, size_t row, size_t hd) {
    bqb_layout l = packed(t, a, row, hd);
    l.outer = (int64_t)(a->asks * row);
    return l;
}

static bqb_layout scores(bqb_num t, const slice *a) {
    return (bqb_layout){.type = t, .outer = (int64_t)(a->heads * a->asks * a->keys),
                        .inner = (int64_t)(a->asks * a->keys), .row = (int64_t)a->keys, .col = 1};
}

static bqb_layout turned(bqb_layout l) {
    int64_t r = l.row;
    l.row = l.col;
    l.col = r;
    return l;
}

static void product(bqb_pass *p, const slice *a, size_t M, size_t N, size_t K, bqb_layout x, bqb_layout y, bqb_layout z,
                    void *c, const void *ap, const void *bp) {
    bqb_product g = {.outer = (int64_t)a->n, .inner = (int64_t)a->heads, .M = (int64_t)M, .N = (int64_t)N,
                     .K = (int64_t)K, .a = x, .b = y, .c = z};
    bqb_gemm_run(p->gemm, &g, c, ap, bp, NULL);
}

/* The row of its sequence that asks first. */
static size_t first_asking(const slice *a, bqb_rows rows) { return rows == BQB_ROWS_LAST ? a->len - 1 : 0; }

/* Row r sees the keys up to itself; what it may not see weighs exactly nothing,
 * so that the products over all keys, forward and backward, need no mask. */
static void softmax_causal(bqb_pass *p, void *prob, const float *score, float scale, const slice *a) {
    size_t e = bqb_num_size_bytes(p->num);
    char *to = prob;
    for (size_t i = 0; i < a->n * a->heads; i++)
        for (size_t r = 0; r < a->asks; r++, to += e * a->keys, score += a->keys) {
            p->ops->softmax_fwd[p->num](to, score, scale, 1, r + 1);
            memset(to + e * (r + 1), 0, e * (a->keys - r - 1));
        }
}

void bqb_attention_fwd(bqb_pass *p, void *out, void *probs, const void *qkv, const bqb_sequences *s, size_t C,
                       size_t heads, bqb_rows rows) {
    size_t hd = C / heads, e = bqb_num_size_bytes(p->num);
    float scale = 1.0f / sqrtf((float)hd);
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    size_t most = largest_slice(s, heads, rows);
    float *score = BQB_TAKE(p, most);
    void *scratch = probs ? NULL : BQB_TAKE_DT(p, most);
    if (p->no_memory) return;
    for (walk w = walk_start(s, heads, rows); next_slice(&w);) {
        const slice *a = &w.at;
        size_t at = e * (a->row * 3 * C + a->head * hd);
        const char *q = (const char *)qkv + at + e * first_asking(a, rows) * 3 * C;
        const char *k = (const char *)qkv + at + e * C, *v = k + e * C;
        char *o = (char *)out + e * (a->out_row * C + a->head * hd);
        char *prob = probs ? (char *)probs + e * a->prob : scratch;
        product(p, a, a->asks, a->keys, hd, packed(p->num, a, 3 * C, hd), turned(packed(p->num, a, 3 * C, hd)),
                scores(BQB_NUM_F32, a), score, q, k);
        if (rows == BQB_ROWS_CAUSAL) softmax_causal(p, prob, score, scale, a);
        else p->ops->softmax_fwd[p->num](prob, score, scale, a->n * a->heads * a->asks, a->keys);
        product(p, a, a->asks, hd, a->keys, scores(p->num, a), packed(p->num, a, 3 * C, hd),
                asked(p->num, a, C, hd), o, prob, v);
    }
    bqb_arena_release(p->arena, mark);
}

void bqb_attention_bwd(bqb_pass *p, void *dqkv, const void *dout, const void *probs, const void *qkv,
                       const bqb_sequences *s, size_t C, size_t heads, bqb_rows rows) {
    size_t hd = C / heads, e = bqb_num_size_bytes(p->num);
    float scale = 1.0f / sqrtf((float)hd);
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    size_t most = largest_slice(s, heads, rows);
    float *dp = BQB_TAKE(p, most);
    void *ds = BQB_TAKE_DT(p, most);
    if (p->no_memory) return;
    if (one_asks(rows)) memset(dqkv, 0, e * s->start[s->n] * 3 * C);
    for (walk w = walk_start(s, heads, rows); next_slice(&w);) {
        const slice *a = &w.at;
        size_t at = e * (a->row * 3 * C + a->head * hd);
        size_t ask = e * first_asking(a, rows) * 3 * C;
        const char *q = (const char *)qkv + at + ask, *k = (const char *)qkv + at + e * C, *v = k + e * C;
        char *dq = (char *)dqkv + at + ask, *dk = (char *)dqkv + at + e * C, *dv = dk + e * C;
        const char *d = (const char *)dout + e * (a->out_row * C + a->head * hd);
        const char *prob = (const char *)probs + e * a->prob;
        bqb_layout row = packed(p->num, a, 3 * C, hd), o = asked(p->num, a, C, hd);
        product(p, a, a->asks, a->keys, hd, o, turned(row), scores(BQB_NUM_F32, a), dp, d, v);
        product(p, a, a->keys, hd, a->asks, turned(scores(p->num, a)), o, row, dv, prob, d);
        p->ops->softmax_bwd[p->num](ds, dp, prob, scale, a->n * a->heads * a->asks, a->keys);
        product(p, a, a->asks, hd, a->keys, scores(p->num, a), row, row, dq, ds, k);
        product(p, a, a->keys, hd, a->asks, turned(scores(p->num, a)), row, row, dk, ds, q);
    }
    bqb_arena_release(p->arena, mark);
}
