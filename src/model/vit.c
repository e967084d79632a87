/* The picture tower: CLIP's vision transformer (class token, pre-norm), forward
 * and backward. Only the class token of the last block is used, so that block
 * computes its queries, projection and MLP for that row alone. */
#include "model/tower.h"

#include <string.h>

typedef struct {
    const float *x;             /* [R,C] input of the block */
    void *h1;                   /* [R,C] dt */
    float *mean1, *rstd1;       /* [R] */
    void *qkv, *probs;          /* [R,3C] dt */
    void *attn;                 /* [Q,C] dt; Q = R, or S in the last block */
    float *mid;                 /* [Q,C] after attention */
    void *h2;                   /* [Q,C] dt */
    float *mean2, *rstd2;       /* [Q] */
    void *up, *act;             /* [Q,M] dt, before and after the activation */
    float *out;                 /* [Q,C] */
    bool first_only;
} block_saved;

struct bqb_vit_saved {
    bqb_sequences seq;
    void *patches;              /* [F*K, 3PP] dt */
    const uint16_t *keep;
    size_t K;
    float *embedded;            /* [R,C] before ln_pre */
    float *mean_pre, *rstd_pre;
    block_saved *block;
    float *cls;                 /* [F,C] into ln_post */
    float *post;                /* [F,C] after it */
    float *mean_post, *rstd_post;
};

/* Forward of one block. In training (keep) everything stays in `b`; otherwise
 * the scratch memory goes back to the arena and only `out` remains. */
static void block_fwd(bqb_pass *p, const bqb_block *w, const bqb_clip_config *c, block_saved *b, const float *x,
                      float *out, const bqb_sequences *s, bool keep) {
    size_t C = c->v_width, M = c->v_mlp, R = s->start[s->n], Q = b->first_only ? s->n : R;
    b->x = x;
    b->out = out;
    b->h1 = BQB_TAKE_DT(p, R * C);
    b->mean1 = BQB_TAKE(p, R);
    b->rstd1 = BQB_TAKE(p, R);
    b->qkv = BQB_TAKE_DT(p, R * 3 * C);
    b->probs = keep ? BQB_TAKE_DT(p, bqb_attention_probs(s, c->v_heads, b->first_only)) : NULL;
    b->attn = BQB_TAKE_DT(p, Q * C);
    b->mid = keep ? BQB_TAKE(p, Q * C) : out;
    b->h2 = BQB_TAKE_DT(p, Q * C);
    b->mean2 = BQB_TAKE(p, Q);
    b->rstd2 = BQB_TAKE(p, Q);
    b->up = keep ? BQB_TAKE_DT(p, Q * M) : NULL;
    b->act = BQB_TAKE_DT(p, Q * M);
    if (p->no_memory) return;

    bqb_norm_fwd(p, b->h1, p->num, b->mean1, b->rstd1, x, &w->ln1, c->v_eps, R, C);
    bqb_linear_fwd(p, b->qkv, p->num, b->h1, &w->qkv, BQB_ACT_NONE, false, R);
    bqb_attention_fwd(p, b->attn, b->probs, b->qkv, s, C, c->v_heads, b->first_only);
    if (b->first_only) bqb_first_rows(b->mid, x, s, C);
    else if (b->mid != x) memcpy(b->mid, x, R * C * sizeof *x);
    bqb_linear_fwd(p, b->mid, BQB_NUM_F32, b->attn, &w->proj, BQB_ACT_NONE, true, Q);
    bqb_norm_fwd(p, b->h2, p->num, b->mean2, b->rstd2, b->mid, &w->ln2, c->v_eps, Q, C);
    if (keep) {
        bqb_linear_fwd(p, b->up, p->num, b->h2, &w->fc1, BQB_ACT_NONE, false, Q);
        bqb_act_fwd(p, b->act, b->up, c->v_act, Q * M);
        memcpy(out, b->mid, Q * C * sizeof *out);
    } else bqb_linear_fwd(p, b->act, p->num, b->h2, &w->fc1, c->v_act, false, Q);
    bqb_linear_fwd(p, out, BQB_NUM_F32, b->act, &w->fc2, BQB_ACT_NONE, true, Q);
}

/* dx holds d(out) [Q,C] on entry. Returns d(x) [R,C]: dx itself, or new memory after a first_only block. */
static float *block_bwd(bqb_pass *p, const bqb_block *w, const bqb_clip_config *c, const block_saved *b, float *dx,
                        const bqb_sequences *s) {
    size_t C = c->v_width, M = c->v_mlp, R = s->start[s->n], Q = b->first_only ? s->n : R;
    float *full = b->first_only ? BQB_TAKE(p, R * C) : dx;
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    void *wide = BQB_TAKE_DT(p, Q * M);
    float *dh = BQB_TAKE(p, R * C);
    const void *d = bqb_to_dt(p, dx, Q * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, wide, p->num, d, b->act, &w->fc2, Q);
    bqb_act_bwd(p, wide, wide, b->up, c->v_act, Q * M);
    bqb_linear_bwd(p, dh, BQB_NUM_F32, wide, b->h2, &w->fc1, Q);
    bqb_norm_bwd(p, dx, false, dh, b->mid, b->mean2, b->rstd2, &w->ln2, Q, C);

    d = bqb_to_dt(p, dx, Q * C);
    void *dattn = BQB_TAKE_DT(p, Q * C);
    void *dqkv = BQB_TAKE_DT(p, R * 3 * C);
    if (p->no_memory) return dx;
    bqb_linear_bwd(p, dattn, p->num, d, b->attn, &w->proj, Q);
    bqb_attention_bwd(p, dqkv, dattn, b->probs, b->qkv, s, C, c->v_heads, b->first_only);
    bqb_linear_bwd(p, dh, BQB_NUM_F32, dqkv, b->h1, &w->qkv, R);
    bqb_norm_bwd(p, full, b->first_only, dh, b->x, b->mean1, b->rstd1, &w->ln1, R, C);
    if (b->first_only) bqb_first_rows_add(full, dx, s, C);
    bqb_arena_release(p->arena, mark);
    return full;
}

/* Patches as rows [F*K, 3*P*P], in the order of the convolution's weights. */
static void cut_patches(float *out, const float *pixels, const uint16_t *keep, size_t K, size_t F, size_t R, size_t P) {
    size_t grid = R / P;
    for (size_t f = 0; f < F; f++, pixels += 3 * R * R)
        for (size_t k = 0; k < K; k++) {
            size_t patch = keep ? keep[f * K + k] : k, y0 = patch / grid * P, x0 = patch % grid * P;
            for (size_t ch = 0; ch < 3; ch++)
                for (size_t y = 0; y < P; y++, out += P)
                    memcpy(out, pixels + (ch * R + y0 + y) * R + x0, P * sizeof *out);
        }
}

/* x[f,0] = class + pos[0]; x[f,1+k] = conv[f,k] + pos[1 + patch] */
static void add_positions(float *x, const float *conv, const float *cls, const float *pos, const uint16_t *keep,
                          size_t K, size_t F, size_t C) {
    for (size_t f = 0; f < F; f++) {
        for (size_t i = 0; i < C; i++) x[i] = cls[i] + pos[i];
        x += C;
        for (size_t k = 0; k < K; k++, x += C, conv += C) {
            const float *at = pos + (1 + (keep ? keep[f * K + k] : k)) * C;
            for (size_t i = 0; i < C; i++) x[i] = conv[i] + at[i];
        }
    }
}

static void add_positions_bwd(float *dconv, float *dcls, float *dpos, const float *dx, const uint16_t *keep, size_t K,
                              size_t F, size_t C) {
    for (size_t f = 0; f < F; f++) {
        for (size_t i = 0; i < C; i++) dcls[i] += dx[i], dpos[i] += dx[i];
        dx += C;
        for (size_t k = 0; k < K; k++, dx += C, dconv += C) {
            float *at = dpos + (1 + (keep ? keep[f * K + k] : k)) * C;
            for (size_t i = 0; i < C; i++) at[i] += dx[i];
            memcpy(dconv, dx, C * sizeof *dx);
        }
    }
}

static uint32_t *equal_starts(bqb_pass *p, size_t n, size_t len) {
    uint32_t *start = bqb_pass_take(p, n + 1, sizeof *start);
    for (size_t i = 0; start && i <= n; i++) start[i] = (uint32_t)(i * len);
    return start;
}

void bqb_vit_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                 const float *pixels, const uint16_t *keep, size_t n_keep, size_t F, bqb_vit_saved **saved,
                 const bqb_trace *trace) {
    size_t C = c->v_width, P = c->patch, grid = c->resolution / P, K = keep ? n_keep : grid * grid;
    size_t T = K + 1, R = F * T, in = 3 * P * P;
    bqb_vit_saved *v = bqb_pass_take(p, 1, sizeof *v);
    if (!v) return;
    memset(v, 0, sizeof *v);
    v->seq = (bqb_sequences){.n = F, .start = equal_starts(p, F, T)};
    v->block = bqb_pass_take(p, c->v_layers, sizeof *v->block);
    v->keep = keep;
    v->K = K;
    float *x = BQB_TAKE(p, R * C);
    v->embedded = BQB_TAKE(p, R * C);
    v->mean_pre = BQB_TAKE(p, R);
    v->rstd_pre = BQB_TAKE(p, R);
    v->patches = BQB_TAKE_DT(p, F * K * in);
    bqb_arena_mark mark = bqb_arena_save(p->arena);
    float *cut = p->num == BQB_NUM_F32 ? v->patches : BQB_TAKE(p, F * K * in);
    float *conv = BQB_TAKE(p, F * K * C);
    if (p->no_memory) return;
    memset(v->block, 0, c->v_layers * sizeof *v->block);

    cut_patches(cut, pixels, keep, K, F, c->resolution, P);
    if (p->num == BQB_NUM_BF16) p->ops->to_bf16(v->patches, cut, F * K * in);
    const void *w = p->num == BQB_NUM_F32 ? (const void *)(p->weights + map->conv) : (const void *)(p->half + map->conv);
    bqb_gemm_linear(p->gemm, conv, BQB_NUM_F32, v->patches, w, p->num, NULL, BQB_ACT_NONE, false, F * K, C, in);
    add_positions(v->embedded, conv, p->weights + map->cls, p->weights + map->v_pos, keep, K, F, C);
    bqb_arena_release(p->arena, mark);
    bqb_norm_fwd(p, x, BQB_NUM_F32, v->mean_pre, v->rstd_pre, v->embedded, &map->ln_pre, c->v_eps, R, C);
    bqb_trace_copy(trace, 0, x, R * C);

    for (size_t i = 0; i < c->v_layers && !p->no_memory; i++) {
        block_saved *b = &v->block[i];
        b->first_only = i + 1 == c->v_layers && !trace;
        float *out = saved || b->first_only ? BQB_TAKE(p, (b->first_only ? F : R) * C) : x;
        mark = bqb_arena_save(p->arena);
        block_fwd(p, &map->v_block[i], c, b, x, out, &v->seq, saved != NULL);
        if (!saved) bqb_arena_release(p->arena, mark);
        x = out;
        if (!p->no_memory) bqb_trace_copy(trace, i + 1, x, R * C);
    }
    v->cls = trace ? BQB_TAKE(p, F * C) : x;
    v->post = BQB_TAKE(p, F * C);
    v->mean_post = BQB_TAKE(p, F);
    v->rstd_post = BQB_TAKE(p, F);
    if (p->no_memory) return;
    if (trace) bqb_first_rows(v->cls, x, &v->seq, C);
    bqb_norm_fwd(p, v->post, BQB_NUM_F32, v->mean_post, v->rstd_post, v->cls, &map->ln_post, c->v_eps, F, C);
    bqb_project_fwd(p, feature, v->post, map->v_proj, F, C, c->embed);
    if (saved) *saved = v;
}

void bqb_vit_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                 const bqb_vit_saved *v) {
    size_t C = c->v_width, P = c->patch, F = v->seq.n, K = v->K, R = F * (K + 1), in = 3 * P * P;
    float *dx = BQB_TAKE(p, F * C);
    if (p->no_memory) return;
    bqb_project_bwd(p, dx, dfeature, v->post, map->v_proj, F, C, c->embed);
    bqb_norm_bwd(p, dx, true, dx, v->cls, v->mean_post, v->rstd_post, &map->ln_post, F, C);
    for (size_t i = c->v_layers; i-- > 0 && !p->no_memory;)
        dx = block_bwd(p, &map->v_block[i], c, &v->block[i], dx, &v->seq);
    float *dconv = BQB_TAKE(p, F * K * C);
    if (p->no_memory) return;
    bqb_norm_bwd(p, dx, true, dx, v->embedded, v->mean_pre, v->rstd_pre, &map->ln_pre, R, C);
    add_positions_bwd(dconv, p->grad + map->cls, p->grad + map->v_pos, dx, v->keep, K, F, C);
    const void *d = bqb_to_dt(p, dconv, F * K * C);
    if (!p->no_memory) bqb_gemm_outer(p->gemm, p->grad + map->conv, d, v->patches, p->num, F * K, C, in);
}
