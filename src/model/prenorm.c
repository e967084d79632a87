#include "model/prenorm.h"

#include <string.h>

static bool one_asks(const bqb_prenorm *k) { return k->rows == BQB_ROWS_FIRST || k->rows == BQB_ROWS_LAST; }

/* out NULL: all but the last product, whose result backward does not read. */
static void block_fwd(bqb_pass *p, const bqb_prenorm *k, const bqb_block *w, bqb_prenorm_saved *b, const float *x,
                      float *out, const bqb_sequences *s, bool keep) {
    size_t C = k->width, M = k->mlp, R = s->start[s->n], Q = bqb_rows_count(s, k->rows);
    b->x = x;
    b->out = out;
    b->h1 = BQB_TAKE_DT(p, R * C);
    b->mean1 = BQB_TAKE(p, R);
    b->rstd1 = BQB_TAKE(p, R);
    b->qkv = BQB_TAKE_DT(p, R * 3 * C);
    b->probs = keep ? BQB_TAKE_DT(p, bqb_attention_probs(s, k->heads, k->rows)) : NULL;
    b->attn = BQB_TAKE_DT(p, Q * C);
    b->mid = keep ? BQB_TAKE(p, Q * C) : out;
    b->h2 = BQB_TAKE_DT(p, Q * C);
    b->mean2 = BQB_TAKE(p, Q);
    b->rstd2 = BQB_TAKE(p, Q);
    b->up = keep ? BQB_TAKE_DT(p, Q * M) : NULL;
    b->act = BQB_TAKE_DT(p, Q * M);
    if (p->no_memory) return;

    bqb_norm_fwd(p, b->h1, p->num, b->mean1, b->rstd1, x, &w->ln1, k->eps, R, C);
    bqb_linear_fwd(p, b->qkv, p->num, b->h1, &w->qkv, BQB_ACT_NONE, false, R);
    bqb_attention_fwd(p, b->attn, b->probs, b->qkv, s, C, k->heads, k->rows);
    if (one_asks(k)) bqb_rows_take(b->mid, x, s, k->rows, C);
    else if (b->mid != x) memcpy(b->mid, x, R * C * sizeof *x);
    bqb_linear_fwd(p, b->mid, BQB_NUM_F32, b->attn, &w->proj, BQB_ACT_NONE, true, Q);
    bqb_norm_fwd(p, b->h2, p->num, b->mean2, b->rstd2, b->mid, &w->ln2, k->eps, Q, C);
    if (keep) {
        bqb_linear_fwd(p, b->up, p->num, b->h2, &w->fc1, BQB_ACT_NONE, false, Q);
        bqb_act_fwd(p, b->act, b->up, k->act, Q * M);
        if (out) memcpy(out, b->mid, Q * C * sizeof *out);
    } else bqb_linear_fwd(p, b->act, p->num, b->h2, &w->fc1, k->act, false, Q);
    if (out) bqb_linear_fwd(p, out, BQB_NUM_F32, b->act, &w->fc2, BQB_ACT_NONE, true, Q);
}

void bqb_prenorm_fwd(bqb_pass *p, const bqb_prenorm *k, const bqb_block *w, bqb_prenorm_saved *b, const float *x,
                     float *out, const bqb_sequences *s, bool keep) {
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    block_fwd(p, k, w, b, x, out, s, keep);
    if (!keep || p->checkpoint) bqb_arena_release(p->arena, mark);
}

float *bqb_prenorm_bwd(bqb_pass *p, const bqb_prenorm *k, const bqb_block *w, const bqb_prenorm_saved *kept,
                       float *dx, const bqb_sequences *s) {
    size_t C = k->width, M = k->mlp, R = s->start[s->n], Q = bqb_rows_count(s, k->rows);
    float *full = one_asks(k) ? BQB_TAKE(p, R * C) : dx;
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    bqb_prenorm_saved again;
    const bqb_prenorm_saved *b = p->checkpoint ? &again : kept;
    if (p->checkpoint) block_fwd(p, k, w, &again, kept->x, NULL, s, true);
    void *wide = BQB_TAKE_DT(p, Q * M);
    float *dh = BQB_TAKE(p, R * C);
    const void *d = bqb_to_dt(p, dx, Q * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, wide, p->num, d, b->act, &w->fc2, Q);
    bqb_act_bwd(p, wide, wide, b->up, k->act, Q * M);
    bqb_linear_bwd(p, dh, BQB_NUM_F32, wide, b->h2, &w->fc1, Q);
    bqb_norm_bwd(p, dx, false, dh, b->mid, b->mean2, b->rstd2, &w->ln2, Q, C);

    d = bqb_to_dt(p, dx, Q * C);
    void *dattn = BQB_TAKE_DT(p, Q * C);
    void *dqkv = BQB_TAKE_DT(p, R * 3 * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, dattn, p->num, d, b->attn, &w->proj, Q);
    bqb_attention_bwd(p, dqkv, dattn, b->probs, b->qkv, s, C, k->heads, k->rows);
    bqb_linear_bwd(p, dh, BQB_NUM_F32, dqkv, b->h1, &w->qkv, R);
    bqb_norm_bwd(p, full, one_asks(k), dh, b->x, b->mean1, b->rstd1, &w->ln1, R, C);
    if (one_asks(k)) bqb_rows_add(full, dx, s, k->rows, C);
    bqb_arena_release(p->arena, mark);
    return full;
}

static bqb_prenorm block_at(const bqb_prenorm_stack *k, size_t i) {
    bqb_prenorm block = k->block;
    if (i + 1 == k->n) block.rows = k->last;
    return block;
}

float *bqb_prenorm_stack_fwd(bqb_pass *p, const bqb_prenorm_stack *k, bqb_prenorm_saved *b, float *x,
                             const bqb_sequences *s, size_t from, size_t to, bool save, const bqb_trace *trace) {
    size_t C = k->block.width;
    for (size_t i = from; i < to && !p->no_memory; i++) {
        bqb_prenorm block = block_at(k, i);
        bool keep = save && i >= p->frozen;
        size_t Q = bqb_rows_count(s, block.rows);
        float *out = keep || one_asks(&block) ? BQB_TAKE(p, Q * C) : x;
        if (p->no_memory) break;
        bqb_prenorm_fwd(p, &block, &k->w[i], &b[i], x, out, s, keep);
        x = out;
        if (!p->no_memory) bqb_trace_copy(trace, i + 1, x, Q * C);
    }
    return x;
}

float *bqb_prenorm_stack_bwd(bqb_pass *p, const bqb_prenorm_stack *k, const bqb_prenorm_saved *b, float *dx,
                             const bqb_sequences *s) {
    for (size_t i = k->n; i-- > p->frozen && !p->no_memory;) {
        bqb_prenorm block = block_at(k, i);
        dx = bqb_prenorm_bwd(p, &block, &k->w[i], &b[i], dx, s);
    }
    return dx;
}
