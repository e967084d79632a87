/* The picture tower: CLIP's vision transformer (class token, pre-norm), forward
 * and backward. Only the class token of the last block is used, so that block
 * computes its queries, projection and MLP for that row alone. */
#include "image/decode.h"
#include "model/prenorm.h"

#include <string.h>

struct bqb_vit_saved {
    bqb_sequences seq;
    void *patches;              /* [F*K, 3PP] dt */
    const uint16_t *keep;
    size_t K;
    float *embedded;            /* [R,C] before ln_pre */
    float *mean_pre, *rstd_pre;
    bqb_prenorm_saved *block;
    float *cls;                 /* [F,C] into ln_post */
    float *post;                /* [F,C] after it */
    float *mean_post, *rstd_post;
};

/* Only a trace wants every row of the last block. */
static bqb_prenorm_stack blocks_of(const bqb_layout_map *map, const bqb_clip_config *c, bool whole) {
    return (bqb_prenorm_stack){.block = {.width = c->v_width, .mlp = c->v_mlp, .heads = c->v_heads, .eps = c->v_eps,
                                         .act = c->v_act, .rows = BQB_ROWS_ALL},
                               .last = whole ? BQB_ROWS_ALL : BQB_ROWS_FIRST, .n = c->v_layers, .w = map->v_block};
}

/* One frame's patches as rows [K, 3*P*P], in the order of the convolution's weights. */
static void cut_patches(float *out, const float *pixels, const uint16_t *keep, size_t K, size_t R, size_t P) {
    size_t grid = R / P;
    for (size_t k = 0; k < K; k++) {
        size_t patch = keep ? keep[k] : k, y0 = patch / grid * P, x0 = patch % grid * P;
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

static size_t patches_of(const bqb_clip_config *c) {
    return c->resolution / c->patch * (c->resolution / c->patch);
}

/* What a pass over F frames of K patches keeps; blocks zeroed. NULL: out of memory. */
static bqb_vit_saved *begin(bqb_pass *p, const bqb_clip_config *c, const uint16_t *keep, size_t K, size_t F) {
    bqb_vit_saved *v = bqb_pass_take(p, 1, sizeof *v);
    bqb_prenorm_saved *block = bqb_pass_take(p, c->v_layers, sizeof *block);
    uint32_t *start = equal_starts(p, F, K + 1);
    if (p->no_memory) return NULL;
    memset(block, 0, c->v_layers * sizeof *block);
    *v = (bqb_vit_saved){.seq = {.n = F, .start = start}, .block = block, .keep = keep, .K = K};
    p->ragged = false;
    return v;
}

/* From pixels to the first block's input [R,C]. `learns`: what its gradient needs stays in v. */
static float *embed(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, bqb_vit_saved *v,
                    const bqb_frames *frames, bool learns) {
    size_t C = c->v_width, P = c->patch, F = v->seq.n, K = v->K, R = F * (K + 1), in = 3 * P * P;
    size_t size = 3 * c->resolution * c->resolution;
    float *x = BQB_TAKE(p, R * C);
    bqb_arena_mark before = bqb_arena_save(p->arena);
    v->embedded = BQB_TAKE(p, R * C);
    v->mean_pre = BQB_TAKE(p, R);
    v->rstd_pre = BQB_TAKE(p, R);
    v->patches = BQB_TAKE_DT(p, F * K * in);
    bqb_arena_mark scratch = bqb_arena_save(p->arena);
    float *cut = p->num == BQB_NUM_F32 ? v->patches : BQB_TAKE(p, F * K * in);
    float *conv = BQB_TAKE(p, F * K * C), *one = frames->pixels ? NULL : BQB_TAKE(p, size);
    if (p->no_memory) return x;
    for (size_t f = 0; f < F; f++) {
        const float *pixels = frames->pixels ? frames->pixels + f * size : one;
        if (!frames->pixels) bqb_image_normalise(one, frames->rgb + f * size, 1, c->resolution);
        cut_patches(cut + f * K * in, pixels, v->keep ? v->keep + f * K : NULL, K, c->resolution, P);
    }
    if (p->num == BQB_NUM_BF16) p->ops->to_bf16(v->patches, cut, F * K * in);
    const void *w = p->num == BQB_NUM_F32 ? (const void *)(p->weights + map->conv) : (const void *)(p->half + map->conv);
    bqb_gemm_linear(p->gemm, conv, BQB_NUM_F32, v->patches, w, p->num, NULL, BQB_ACT_NONE, false, F * K, C, in);
    add_positions(v->embedded, conv, p->weights + map->cls, p->weights + map->v_pos, v->keep, K, F, C);
    bqb_norm_fwd(p, x, BQB_NUM_F32, v->mean_pre, v->rstd_pre, v->embedded, &map->ln_pre, c->v_eps, R, C);
    bqb_arena_release(p->arena, learns ? scratch : before);
    return x;
}

/* From the class tokens [F,C] into the shared space. */
static void finish(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, bqb_vit_saved *v, float *cls,
                   float *feature) {
    size_t C = c->v_width, F = v->seq.n;
    v->cls = cls;
    v->post = BQB_TAKE(p, F * C);
    v->mean_post = BQB_TAKE(p, F);
    v->rstd_post = BQB_TAKE(p, F);
    if (p->no_memory) return;
    bqb_norm_fwd(p, v->post, BQB_NUM_F32, v->mean_post, v->rstd_post, v->cls, &map->ln_post, c->v_eps, F, C);
    bqb_project_fwd(p, feature, v->post, map->v_proj, F, C, c->embed);
}

/* The pass; NULL: out of memory. `tape`: what backward needs is kept. */
static bqb_vit_saved *forward(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                              const bqb_frames *frames, bool tape, const bqb_trace *trace) {
    size_t C = c->v_width, F = frames->n, K = frames->keep ? frames->n_keep : patches_of(c);
    bqb_vit_saved *v = begin(p, c, frames->keep, K, F);
    if (!v) return NULL;
    float *x = embed(p, map, c, v, frames, tape && !p->frozen);
    if (p->no_memory) return NULL;
    bqb_trace_copy(trace, 0, x, F * (K + 1) * C);
    const bqb_prenorm_stack blocks = blocks_of(map, c, trace != NULL);
    x = bqb_prenorm_stack_fwd(p, &blocks, v->block, x, &v->seq, 0, c->v_layers, tape, trace);
    float *cls = trace ? BQB_TAKE(p, F * C) : x;
    if (p->no_memory) return NULL;
    if (trace) bqb_rows_take(cls, x, &v->seq, BQB_ROWS_FIRST, C);
    finish(p, map, c, v, cls, feature);
    return p->no_memory ? NULL : v;
}

void bqb_vit_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                 const bqb_frames *frames, bqb_vit_saved **saved, const bqb_trace *trace) {
    bqb_vit_saved *v = forward(p, map, c, feature, frames, saved != NULL, trace);
    if (saved && v) *saved = v;
}

void bqb_vit_features(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *before,
                      const bqb_frames *frames) {
    const bqb_vit_saved *v = forward(p, map, c, feature, frames, false, NULL);
    if (before && v) memcpy(before, v->post, frames->n * c->v_width * sizeof *before);
}

void bqb_vit_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk,
                   const bqb_frames *frames) {
    size_t F = frames->n;
    bqb_vit_saved *v = begin(p, c, NULL, patches_of(c), F);
    if (!v) return;
    float *x = embed(p, map, c, v, frames, false);
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    x = bqb_prenorm_stack_fwd(p, &blocks, v->block, x, &v->seq, 0, p->frozen, false, NULL);
    if (!p->no_memory) memcpy(trunk, x, F * (p->frozen < c->v_layers ? v->K + 1 : 1) * c->v_width * sizeof *trunk);
}

void bqb_vit_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *trunk,
                 size_t F, bqb_vit_saved **saved) {
    bqb_vit_saved *v = begin(p, c, NULL, patches_of(c), F);
    if (!v) return;
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    float *cls = bqb_prenorm_stack_fwd(p, &blocks, v->block, trunk, &v->seq, p->frozen, c->v_layers, saved != NULL, NULL);
    finish(p, map, c, v, cls, feature);
    if (saved) *saved = v;
}

void bqb_vit_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                 const bqb_vit_saved *v) {
    size_t C = c->v_width, P = c->patch, F = v->seq.n, K = v->K, R = F * (K + 1), in = 3 * P * P;
    float *dx = BQB_TAKE(p, F * C);
    if (p->no_memory) return;
    bqb_project_bwd(p, dx, dfeature, v->post, map->v_proj, F, C, c->embed);
    bqb_norm_bwd(p, dx, true, dx, v->cls, v->mean_post, v->rstd_post, &map->ln_post, F, C);
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    dx = bqb_prenorm_stack_bwd(p, &blocks, v->block, dx, &v->seq);
    if (p->frozen) return;
    float *dconv = BQB_TAKE(p, F * K * C);
    if (p->no_memory) return;
    bqb_norm_bwd(p, dx, true, dx, v->embedded, v->mean_pre, v->rstd_pre, &map->ln_pre, R, C);
    add_positions_bwd(dconv, p->grad + map->cls, p->grad + map->v_pos, dx, v->keep, K, F, C);
    const void *d = bqb_to_dt(p, dconv, F * K * C);
    if (!p->no_memory) bqb_gemm_outer(p->gemm, p->grad + map->conv, d, v->patches, p->num, F * K, C, in);
}
