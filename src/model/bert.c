/* The text tower: BERT (post-norm), forward and backward, over packed rows
 * without padding. A text's feature is its first row, so the last block
 * computes its queries and MLP for that row alone. */
#include "model/tower.h"

#include <string.h>

typedef struct {
    const float *x;       /* [R,C] input, and its dt copy */
    const void *xh;
    void *qkv, *probs;    /* [R,3C] dt */
    void *attn;           /* [Q,C] dt */
    float *sum1;          /* [Q,C] attention + input, before LayerNorm */
    float *mean1, *rstd1;
    float *mid;           /* [Q,C] after it */
    const void *midh;
    void *up, *act;       /* [Q,M] dt */
    float *sum2;          /* [Q,C] */
    float *mean2, *rstd2;
    float *out;           /* [Q,C] */
    bool first_only;
} block_saved;

typedef struct {
    bqb_sequences seq;
    const int32_t *ids;
    float *embedded; /* [R,C] before LayerNorm */
    float *mean, *rstd;
    block_saved *block;
    float *cls; /* [S,C] */
} bert_saved;

static bqb_rows rows_of(const block_saved *b) { return b->first_only ? BQB_ROWS_FIRST : BQB_ROWS_ALL; }

static void block_fwd(bqb_pass *p, const bqb_block *w, const bqb_clip_config *c, block_saved *b, const float *x,
                      float *out, const bqb_sequences *s, bool keep) {
    size_t C = c->t_width, M = c->t_mlp, R = s->start[s->n], Q = b->first_only ? s->n : R;
    b->x = x;
    b->out = out;
    b->xh = bqb_to_dt(p, x, R * C);
    b->qkv = BQB_TAKE_DT(p, R * 3 * C);
    b->probs = keep ? BQB_TAKE_DT(p, bqb_attention_probs(s, c->t_heads, rows_of(b))) : NULL;
    b->attn = BQB_TAKE_DT(p, Q * C);
    b->sum1 = BQB_TAKE(p, Q * C);
    b->mean1 = BQB_TAKE(p, Q);
    b->rstd1 = BQB_TAKE(p, Q);
    b->mid = BQB_TAKE(p, Q * C);
    b->up = keep ? BQB_TAKE_DT(p, Q * M) : NULL;
    b->act = BQB_TAKE_DT(p, Q * M);
    b->sum2 = BQB_TAKE(p, Q * C);
    b->mean2 = BQB_TAKE(p, Q);
    b->rstd2 = BQB_TAKE(p, Q);
    if (p->no_memory) return;

    bqb_linear_fwd(p, b->qkv, p->num, b->xh, &w->qkv, BQB_ACT_NONE, false, R);
    bqb_attention_fwd(p, b->attn, b->probs, b->qkv, s, C, c->t_heads, rows_of(b));
    if (b->first_only) bqb_rows_take(b->sum1, x, s, BQB_ROWS_FIRST, C);
    else memcpy(b->sum1, x, R * C * sizeof *x);
    bqb_linear_fwd(p, b->sum1, BQB_NUM_F32, b->attn, &w->proj, BQB_ACT_NONE, true, Q);
    bqb_norm_fwd(p, b->mid, BQB_NUM_F32, b->mean1, b->rstd1, b->sum1, &w->ln1, c->t_eps, Q, C);
    b->midh = bqb_to_dt(p, b->mid, Q * C);
    if (p->no_memory) return;
    if (keep) {
        bqb_linear_fwd(p, b->up, p->num, b->midh, &w->fc1, BQB_ACT_NONE, false, Q);
        bqb_act_fwd(p, b->act, b->up, c->t_act, Q * M);
    } else bqb_linear_fwd(p, b->act, p->num, b->midh, &w->fc1, c->t_act, false, Q);
    memcpy(b->sum2, b->mid, Q * C * sizeof *b->mid);
    bqb_linear_fwd(p, b->sum2, BQB_NUM_F32, b->act, &w->fc2, BQB_ACT_NONE, true, Q);
    bqb_norm_fwd(p, out, BQB_NUM_F32, b->mean2, b->rstd2, b->sum2, &w->ln2, c->t_eps, Q, C);
}

/* dx holds d(out) [Q,C] on entry; returns d(x) [R,C], as in prenorm.c. bottom: nobody
 * reads d(x), and it is not computed. */
static float *block_bwd(bqb_pass *p, const bqb_block *w, const bqb_clip_config *c, const block_saved *kept, float *dx,
                        const bqb_sequences *s, bool bottom) {
    size_t C = c->t_width, M = c->t_mlp, R = s->start[s->n], Q = kept->first_only ? s->n : R;
    float *full = kept->first_only && !bottom ? BQB_TAKE(p, R * C) : dx;
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    block_saved again = *kept;
    const block_saved *b = p->checkpoint ? &again : kept;
    float *dh = BQB_TAKE(p, R * C);
    if (p->checkpoint) block_fwd(p, w, c, &again, kept->x, dh, s, true); /* its output is not read */
    void *wide = BQB_TAKE_DT(p, Q * M);
    if (p->no_memory) return dx;
    bqb_norm_bwd(p, dx, true, dx, b->sum2, b->mean2, b->rstd2, &w->ln2, Q, C);
    const void *d = bqb_to_dt(p, dx, Q * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, wide, p->num, d, b->act, &w->fc2, Q);
    bqb_act_bwd(p, wide, wide, b->up, c->t_act, Q * M);
    bqb_linear_bwd(p, dh, BQB_NUM_F32, wide, b->midh, &w->fc1, Q);
    p->ops->add(dx, dh, Q * C);
    bqb_norm_bwd(p, dx, true, dx, b->sum1, b->mean1, b->rstd1, &w->ln1, Q, C);

    d = bqb_to_dt(p, dx, Q * C);
    void *dattn = BQB_TAKE_DT(p, Q * C);
    void *dqkv = BQB_TAKE_DT(p, R * 3 * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, dattn, p->num, d, b->attn, &w->proj, Q);
    bqb_attention_bwd(p, dqkv, dattn, b->probs, b->qkv, s, C, c->t_heads, rows_of(b));
    if (bottom) bqb_linear_bwd(p, NULL, BQB_NUM_F32, dqkv, b->xh, &w->qkv, R);
    else if (b->first_only) {
        bqb_linear_bwd(p, full, BQB_NUM_F32, dqkv, b->xh, &w->qkv, R);
        bqb_rows_add(full, dx, s, BQB_ROWS_FIRST, C);
    } else {
        bqb_linear_bwd(p, dh, BQB_NUM_F32, dqkv, b->xh, &w->qkv, R);
        p->ops->add(full, dh, R * C);
    }
    bqb_arena_release(p->arena, mark);
    return full;
}

/* x = word + position + type 0 */
static void embed(float *x, const int32_t *ids, const bqb_sequences *s, const float *word, const float *pos,
                  const float *type, size_t C) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t r = s->start[i]; r < s->start[i + 1]; r++) {
            const float *w = word + (size_t)ids[r] * C, *at = pos + (r - s->start[i]) * C;
            for (size_t k = 0; k < C; k++) x[r * C + k] = w[k] + at[k] + type[k];
        }
}

static void embed_bwd(float *dword, float *dpos, float *dtype, const float *dx, const int32_t *ids,
                      const bqb_sequences *s, size_t C) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t r = s->start[i]; r < s->start[i + 1]; r++) {
            float *w = dword + (size_t)ids[r] * C, *at = dpos + (r - s->start[i]) * C;
            for (size_t k = 0; k < C; k++) {
                float d = dx[r * C + k];
                w[k] += d;
                at[k] += d;
                dtype[k] += d;
            }
        }
}

static bert_saved *begin(bqb_pass *p, const bqb_clip_config *c, const int32_t *ids, const bqb_sequences *s) {
    bert_saved *v = bqb_pass_take(p, 1, sizeof *v);
    block_saved *block = bqb_pass_take(p, c->t_layers, sizeof *block);
    if (p->no_memory) return NULL;
    memset(block, 0, c->t_layers * sizeof *block);
    *v = (bert_saved){.seq = *s, .ids = ids, .block = block};
    p->ragged = true;
    return v;
}

/* From tokens to the first block's input [R,C]. `learns`: what its gradient needs stays in v. */
static float *embed_norm(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, bert_saved *v,
                         bool learns) {
    size_t C = c->t_width, R = v->seq.start[v->seq.n];
    float *x = BQB_TAKE(p, R * C);
    bqb_arena_mark before = bqb_arena_save(p->arena);
    v->embedded = BQB_TAKE(p, R * C);
    v->mean = BQB_TAKE(p, R);
    v->rstd = BQB_TAKE(p, R);
    if (p->no_memory) return x;
    embed(v->embedded, v->ids, &v->seq, p->weights + map->word, p->weights + map->t_pos, p->weights + map->t_type, C);
    bqb_norm_fwd(p, x, BQB_NUM_F32, v->mean, v->rstd, v->embedded, &map->t_ln, c->t_eps, R, C);
    if (!learns) bqb_arena_release(p->arena, before);
    return x;
}

static float *run_blocks(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, bert_saved *v, float *x,
                         size_t from, size_t to, bool save, const bqb_trace *trace) {
    const bqb_sequences *s = &v->seq;
    size_t C = c->t_width, R = s->start[s->n];
    for (size_t i = from; i < to && !p->no_memory; i++) {
        block_saved *b = &v->block[i];
        bool keep = save && i >= p->frozen;
        b->first_only = i + 1 == c->t_layers && !trace;
        float *out = keep || b->first_only ? BQB_TAKE(p, (b->first_only ? s->n : R) * C) : x;
        if (p->no_memory) break;
        bqb_arena_mark mark = bqb_arena_save(p->arena);
        block_fwd(p, &map->t_block[i], c, b, x, out, s, keep);
        if (!keep || p->checkpoint) bqb_arena_release(p->arena, mark);
        x = out;
        if (!p->no_memory) bqb_trace_copy(trace, i + 1, x, R * C);
    }
    return x;
}

void bqb_bert_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                  const int32_t *ids, const bqb_sequences *s, bqb_text_saved **saved, const bqb_trace *trace) {
    size_t C = c->t_width;
    bert_saved *v = begin(p, c, ids, s);
    if (!v) return;
    float *x = embed_norm(p, map, c, v, saved && !p->frozen);
    if (p->no_memory) return;
    bqb_trace_copy(trace, 0, x, s->start[s->n] * C);
    x = run_blocks(p, map, c, v, x, 0, c->t_layers, saved != NULL, trace);
    v->cls = trace ? BQB_TAKE(p, s->n * C) : x;
    if (p->no_memory) return;
    if (trace) bqb_rows_take(v->cls, x, s, BQB_ROWS_FIRST, C);
    bqb_project_fwd(p, feature, v->cls, map->t_proj, s->n, C, c->embed);
    if (saved) *saved = (bqb_text_saved *)v;
}

void bqb_bert_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk,
                    const int32_t *ids, const bqb_sequences *s) {
    bert_saved *v = begin(p, c, ids, s);
    if (!v) return;
    float *x = embed_norm(p, map, c, v, false);
    x = run_blocks(p, map, c, v, x, 0, p->frozen, false, NULL);
    size_t rows = p->frozen < c->t_layers ? s->start[s->n] : s->n;
    if (!p->no_memory) memcpy(trunk, x, rows * c->t_width * sizeof *trunk);
}

void bqb_bert_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *trunk,
                  const bqb_sequences *s, bqb_text_saved **saved) {
    bert_saved *v = begin(p, c, NULL, s);
    if (!v) return;
    v->cls = run_blocks(p, map, c, v, trunk, p->frozen, c->t_layers, saved != NULL, NULL);
    if (p->no_memory) return;
    bqb_project_fwd(p, feature, v->cls, map->t_proj, s->n, c->t_width, c->embed);
    if (saved) *saved = (bqb_text_saved *)v;
}

void bqb_bert_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                  const bqb_text_saved *saved) {
    const bert_saved *v = (const bert_saved *)saved;
    size_t C = c->t_width, S = v->seq.n, R = v->seq.start[S];
    float *dx = BQB_TAKE(p, S * C);
    if (p->no_memory) return;
    bqb_project_bwd(p, dx, dfeature, v->cls, map->t_proj, S, C, c->embed);
    p->ragged = true;
    for (size_t i = c->t_layers; i-- > p->frozen && !p->no_memory;)
        dx = block_bwd(p, &map->t_block[i], c, &v->block[i], dx, &v->seq, p->frozen && i == p->frozen);
    p->ragged = false;
    if (p->no_memory || p->frozen) return;
    bqb_norm_bwd(p, dx, true, dx, v->embedded, v->mean, v->rstd, &map->t_ln, R, C);
    embed_bwd(p->grad + map->word, p->grad + map->t_pos, p->grad + map->t_type, dx, v->ids, &v->seq, C);
}
