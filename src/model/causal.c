/* The text tower of OpenAI's CLIP: a transformer whose tokens see only what came
 * before (pre-norm), forward and backward, over packed rows. A text's sequence
 * ends with its end token, which is its feature; what follows that token cannot
 * be seen from it and is never computed. So the last block computes its queries
 * and MLP for the last row alone. */
#include "model/prenorm.h"

#include <string.h>

typedef struct {
    bqb_sequences seq;
    const int32_t *ids;
    bqb_prenorm_saved *block;
    float *last; /* [S,C] into the final LayerNorm */
    float *norm; /* [S,C] after it */
    float *mean, *rstd;
} causal_saved;

/* Only a trace wants every row of the last block. */
static bqb_prenorm_stack blocks_of(const bqb_layout_map *map, const bqb_clip_config *c, bool whole) {
    return (bqb_prenorm_stack){.block = {.width = c->t_width, .mlp = c->t_mlp, .heads = c->t_heads, .eps = c->t_eps,
                                         .act = c->t_act, .rows = BQB_ROWS_CAUSAL},
                               .last = whole ? BQB_ROWS_CAUSAL : BQB_ROWS_LAST, .n = c->t_layers, .w = map->t_block};
}

static causal_saved *begin(bqb_pass *p, const bqb_clip_config *c, const int32_t *ids, const bqb_sequences *s) {
    causal_saved *v = bqb_pass_take(p, 1, sizeof *v);
    bqb_prenorm_saved *block = bqb_pass_take(p, c->t_layers, sizeof *block);
    if (p->no_memory) return NULL;
    memset(block, 0, c->t_layers * sizeof *block);
    *v = (causal_saved){.seq = {.n = s->n, .start = s->start}, .ids = ids, .block = block};
    p->ragged = true;
    return v;
}

/* x = word + position: the first block's input [R,C] */
static float *embed(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const causal_saved *v) {
    const bqb_sequences *s = &v->seq;
    size_t C = c->t_width;
    float *x = BQB_TAKE(p, s->start[s->n] * C);
    if (p->no_memory) return x;
    for (size_t i = 0; i < s->n; i++)
        for (size_t r = s->start[i]; r < s->start[i + 1]; r++) {
            const float *word = p->weights + map->word + (size_t)v->ids[r] * C;
            const float *at = p->weights + map->t_pos + (r - s->start[i]) * C;
            for (size_t k = 0; k < C; k++) x[r * C + k] = word[k] + at[k];
        }
    return x;
}

static void embed_bwd(float *dword, float *dpos, const float *dx, const int32_t *ids, const bqb_sequences *s, size_t C) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t r = s->start[i]; r < s->start[i + 1]; r++) {
            float *word = dword + (size_t)ids[r] * C, *at = dpos + (r - s->start[i]) * C;
            for (size_t k = 0; k < C; k++) {
                word[k] += dx[r * C + k];
                at[k] += dx[r * C + k];
            }
        }
}

/* From the end tokens [S,C] into the shared space. */
static void finish(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, causal_saved *v, float *last,
                   float *feature) {
    size_t C = c->t_width, S = v->seq.n;
    v->last = last;
    v->norm = BQB_TAKE(p, S * C);
    v->mean = BQB_TAKE(p, S);
    v->rstd = BQB_TAKE(p, S);
    if (p->no_memory) return;
    bqb_norm_fwd(p, v->norm, BQB_NUM_F32, v->mean, v->rstd, last, &map->t_ln, c->t_eps, S, C);
    bqb_project_fwd(p, feature, v->norm, map->t_proj, S, C, c->embed);
}

void bqb_causal_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                    const int32_t *ids, const bqb_sequences *s, bqb_text_saved **saved, const bqb_trace *trace) {
    size_t C = c->t_width;
    causal_saved *v = begin(p, c, ids, s);
    if (!v) return;
    float *x = embed(p, map, c, v);
    if (p->no_memory) return;
    bqb_trace_copy(trace, 0, x, s->start[s->n] * C);
    const bqb_prenorm_stack blocks = blocks_of(map, c, trace != NULL);
    x = bqb_prenorm_stack_fwd(p, &blocks, v->block, x, &v->seq, 0, c->t_layers, saved != NULL, trace);
    float *last = trace ? BQB_TAKE(p, s->n * C) : x;
    if (p->no_memory) return;
    if (trace) bqb_rows_take(last, x, &v->seq, BQB_ROWS_LAST, C);
    finish(p, map, c, v, last, feature);
    if (saved) *saved = (bqb_text_saved *)v;
}

void bqb_causal_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk,
                      const int32_t *ids, const bqb_sequences *s) {
    causal_saved *v = begin(p, c, ids, s);
    if (!v) return;
    float *x = embed(p, map, c, v);
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    x = bqb_prenorm_stack_fwd(p, &blocks, v->block, x, &v->seq, 0, p->frozen, false, NULL);
    size_t rows = p->frozen < c->t_layers ? s->start[s->n] : s->n;
    if (!p->no_memory) memcpy(trunk, x, rows * c->t_width * sizeof *trunk);
}

void bqb_causal_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *trunk,
                    const bqb_sequences *s, bqb_text_saved **saved) {
    causal_saved *v = begin(p, c, NULL, s);
    if (!v) return;
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    float *last = bqb_prenorm_stack_fwd(p, &blocks, v->block, trunk, &v->seq, p->frozen, c->t_layers, saved != NULL, NULL);
    finish(p, map, c, v, last, feature);
    if (saved) *saved = (bqb_text_saved *)v;
}

void bqb_causal_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                    const bqb_text_saved *saved) {
    const causal_saved *v = (const causal_saved *)saved;
    size_t C = c->t_width, S = v->seq.n;
    float *dx = BQB_TAKE(p, S * C);
    if (p->no_memory) return;
    bqb_project_bwd(p, dx, dfeature, v->norm, map->t_proj, S, C, c->embed);
    bqb_norm_bwd(p, dx, true, dx, v->last, v->mean, v->rstd, &map->t_ln, S, C);
    p->ragged = true;
    const bqb_prenorm_stack blocks = blocks_of(map, c, false);
    dx = bqb_prenorm_stack_bwd(p, &blocks, v->block, dx, &v->seq);
    p->ragged = false;
    if (p->no_memory || p->frozen) return;
    embed_bwd(p->grad + map->word, p->grad + map->t_pos, dx, v->ids, &v->seq, C);
}
