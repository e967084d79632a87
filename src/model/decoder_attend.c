/* Attention over what came before: token by token as fast as keys and values are read, or many
 * tokens at once as products, shared out by heads and by blocks of tokens. */
#include "model/decoder_internal.h"

#include "base/thread.h"

#include <math.h>
#include <string.h>

enum {
    FEW = 4,       /* tokens, as few as matrix.c takes row by row */
    ALONE = 4096,  /* heads × positions not worth a second thread */
    BLOCK = 64,    /* tokens of a product */
    LONG = 8192,   /* positions; beyond them blocks are smaller */
    LONG_BLOCK = 16,
    STEP = 128,    /* products come in multiples of so many positions: few kinds of them are prepared */
};

typedef struct {
    bqb_decoder *m;
    const bqb_decoder_past *past;
    const char *k, *v; /* the layer's */
    float *out;        /* [n,H,d] */
    const float *q;    /* [n,H,d] */
    float *scratch;    /* [threads,room] */
    size_t n, room;
    size_t block, blocks; /* of many tokens */
} attention;

/* Where head h's keys or values begin within a position's. */
static size_t head_at(const attention *a, size_t h) {
    const bqb_decoder_config *c = &a->m->config;
    return h / (c->heads / c->kv_heads) * c->head_dim * bqb_num_size_bytes(a->m->mul.num);
}

static void attend_token(void *ctx, size_t i, int worker) {
    const attention *a = ctx;
    const bqb_multiplier *mul = &a->m->mul;
    const bqb_decoder_config *c = &a->m->config;
    size_t t = i / c->heads, h = i % c->heads, d = c->head_dim, sees = a->past->n + t + 1;
    size_t step = a->past->row * bqb_num_size_bytes(mul->num), from = head_at(a, h);
    bqb_row_kind kind = mul->num == BQB_NUM_F32 ? BQB_ROW_F32 : BQB_ROW_BF16;
    float *q = a->scratch + (size_t)worker * a->room, *score = q + a->room - sees;
    mul->rows->prepare[kind](q, a->q + (t * c->heads + h) * d, d);
    mul->rows->product[kind](score, a->k + from, step, sees, q, d);
    mul->ops->softmax_fwd[BQB_NUM_F32](score, score, 1.0f / sqrtf((float)d), 1, sees);
    mul->rows->mix[kind](a->out + (t * c->heads + h) * d, score, a->v + from, step, sees, d);
}

/* A thread's scratch for many tokens: queries, scores, weights, what comes out. */
typedef struct {
    char *q, *prob;
    float *score, *out;
} desk;

static size_t in_floats(size_t n, bqb_num num) { return (n * bqb_num_size_bytes(num) + 63) / 64 * 16; }

static size_t desk_floats(const attention *a, size_t positions) {
    size_t d = a->m->config.head_dim, B = a->block;
    bqb_num num = a->m->mul.num;
    return in_floats(B * d, num) + in_floats(B * positions, num) + in_floats(B * positions, BQB_NUM_F32) + in_floats(B * d, BQB_NUM_F32);
}

static desk desk_of(const attention *a, size_t positions, int worker) {
    size_t d = a->m->config.head_dim, B = a->block;
    float *at = a->scratch + (size_t)worker * a->room;
    desk k = {.q = (char *)at};
    k.out = at + in_floats(B * d, a->m->mul.num);
    k.score = k.out + in_floats(B * d, BQB_NUM_F32);
    k.prob = a->m->mul.num == BQB_NUM_F32 ? (char *)k.score : (char *)(k.score + in_floats(B * positions, BQB_NUM_F32));
    return k;
}

static size_t round_up(const attention *a, size_t positions) {
    size_t n = (positions + STEP - 1) / STEP * STEP;
    return n < a->past->room ? n : a->past->room;
}

/* One head of one block. Rows past the last token are zero and thrown away. */
static void attend_block(void *ctx, size_t i, int worker) {
    const attention *a = ctx;
    bqb_multiplier *mul = &a->m->mul;
    const bqb_decoder_config *c = &a->m->config;
    size_t h = i % c->heads, first = i / c->heads * a->block, d = c->head_dim, B = a->block, size = bqb_num_size_bytes(mul->num);
    size_t n = a->n - first < B ? a->n - first : B, all = round_up(a, a->past->n + first + n), Q = c->heads * d;
    desk k = desk_of(a, all, worker);
    for (size_t t = 0; t < n; t++) bqb_store(mul->ops, mul->num, k.q + t * d * size, a->q + (first + t) * Q + h * d, d);
    memset(k.q + n * d * size, 0, (B - n) * d * size);
    bqb_product scores = {.outer = 1, .inner = 1, .M = (int64_t)B, .N = (int64_t)all, .K = (int64_t)d,
                          .a = {.type = mul->num, .row = (int64_t)d, .col = 1}, .b = {.type = mul->num, .row = 1, .col = (int64_t)a->past->row},
                          .c = {.row = (int64_t)all, .col = 1}};
    bqb_gemm_enter(mul->own[worker]);
    bqb_gemm_run(mul->own[worker], &scores, k.score, k.q, a->k + head_at(a, h), NULL);
    for (size_t t = 0; t < B; t++) { /* what a token may not see weighs nothing */
        size_t sees = t < n ? a->past->n + first + t + 1 : 0;
        char *p = k.prob + t * all * size;
        if (sees) mul->ops->softmax_fwd[mul->num](p, k.score + t * all, 1.0f / sqrtf((float)d), 1, sees);
        memset(p + sees * size, 0, (all - sees) * size);
    }
    bqb_product sums = {.outer = 1, .inner = 1, .M = (int64_t)B, .N = (int64_t)d, .K = (int64_t)all,
                        .a = {.type = mul->num, .row = (int64_t)all, .col = 1}, .b = {.type = mul->num, .row = (int64_t)a->past->row, .col = 1},
                        .c = {.row = (int64_t)d, .col = 1}};
    bqb_gemm_run(mul->own[worker], &sums, k.out, k.prob, a->v + head_at(a, h), NULL);
    for (size_t t = 0; t < n; t++) memcpy(a->out + (first + t) * Q + h * d, k.out + t * d, d * sizeof *k.out);
}

void bqb_decoder_attend(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *out, const float *q, size_t n) {
    size_t size = bqb_num_size_bytes(m->mul.num), at = layer * past->room * past->row * size, all = past->n + n;
    size_t H = m->config.heads;
    attention a = {.m = m, .past = past, .k = past->k + at, .v = past->v + at, .out = out, .q = q, .n = n};
    int threads = n <= FEW && n * H * all < ALONE ? 1 : m->mul.threads;
    bqb_arena_mark mark = bqb_arena_save(m->mul.arena);
    if (n <= FEW) a.room = (bqb_row_prepared(m->config.head_dim) + all + 31) / 16 * 16;
    else {
        size_t most = round_up(&a, all);
        a.block = all > LONG || n <= LONG_BLOCK ? LONG_BLOCK : BLOCK;
        a.blocks = (n + a.block - 1) / a.block;
        a.room = desk_floats(&a, most);
        /* Positions that a product takes in without their being there yet weigh 0: they have to be numbers. */
        memset(past->v + at + all * past->row * size, 0, (most - all) * past->row * size);
    }
    a.scratch = bqb_decoder_take(m, (size_t)threads * a.room);
    if (a.scratch && n <= FEW) bqb_parallel_for(n * H, threads, attend_token, &a);
    else if (a.scratch) {
        bqb_parallel_for(H * a.blocks, threads, attend_block, &a);
        bqb_gemm_enter(m->mul.gemm);
    }
    bqb_arena_release(m->mul.arena, mark);
}
