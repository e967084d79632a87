/* What both towers share: a worker's pass, layers over the parameter block,
 * attention. Rows are tokens; sequences lie one after another without padding.
 *
 * Sizes: R rows, C width, H heads, M MLP width, S sequences.
 * "dt" marks activations in the pass's number format, everything else is f32. */
#ifndef BQB_MODEL_TOWER_H
#define BQB_MODEL_TOWER_H

#include "base/mem.h"
#include "math/ops.h"
#include "model/layout.h"

/* One worker's tools for one pass over some rows. */
typedef struct {
    const bqb_ops *ops;
    bqb_gemm *gemm;
    bqb_arena *arena;
    bqb_num num;           /* format of activations and of the weights in products */
    const float *weights;  /* the block */
    const uint16_t *half;  /* the block in bf16, when num is bf16 */
    bqb_packed *const *packed; /* layers' weights re-ordered, by number; NULL: as they lie in the block */
    float *grad;           /* this worker's gradient block, NULL outside training */
    bool ragged;           /* hardly two passes have as many rows: texts; see bqb_linear_fwd */
    size_t frozen;         /* the tower's embedding and this many lower blocks do not learn; 0: all learns */
    bool checkpoint;       /* keep only the blocks' inputs for backward, which computes the rest once more */
    bool no_memory;        /* an allocation failed: results are worthless */
} bqb_pass;

/* size * n bytes from the arena; on failure sets no_memory and returns NULL. */
void *bqb_pass_take(bqb_pass *p, size_t n, size_t size_bytes);
#define BQB_TAKE(p, n) bqb_pass_take((p), (n), sizeof(float))      /* f32 */
#define BQB_TAKE_DT(p, n) bqb_pass_take((p), (n), bqb_num_size_bytes((p)->num))

/* y[R,out] (+)= act(x[R,in] · wᵀ + b); y's format is given. */
void bqb_linear_fwd(bqb_pass *p, void *y, bqb_num y_num, const void *x, const bqb_linear *l, bqb_act act,
                    bool accumulate, size_t R);

/* dw += dyᵀ·x, db += sum of dy; dx[R,in] = dy · w in dx's format, NULL: not wanted. */
void bqb_linear_bwd(bqb_pass *p, void *dx, bqb_num dx_num, const void *dy, const void *x, const bqb_linear *l,
                    size_t R);

void bqb_norm_fwd(bqb_pass *p, void *y, bqb_num y_num, float *mean, float *rstd, const float *x, const bqb_norm *n,
                  float eps, size_t R, size_t C);
void bqb_norm_bwd(bqb_pass *p, float *dx, bool set, const float *dy, const float *x, const float *mean,
                  const float *rstd, const bqb_norm *n, size_t R, size_t C);

void bqb_act_fwd(bqb_pass *p, void *y, const void *x, bqb_act act, size_t n);
void bqb_act_bwd(bqb_pass *p, void *dx, const void *dy, const void *x, bqb_act act, size_t n);

/* y[N,D] = x[N,C] · w[C,D], both f32 even in a bf16 pass: the last step into the
 * shared space is small, and cosines are taken from it. Backward: dw +=, dx =. */
void bqb_project_fwd(bqb_pass *p, float *y, const float *x, size_t w, size_t N, size_t C, size_t D);
void bqb_project_bwd(bqb_pass *p, float *dx, const float *dy, const float *x, size_t w, size_t N, size_t C, size_t D);

/* dt copy of f32 rows: x itself when the pass computes in f32. */
const void *bqb_to_dt(bqb_pass *p, const float *x, size_t n);

/* Sequence s: rows start[s] … start[s+1]-1, of which the first keys[s] can be
 * seen (the rest are padding, kept only to compare with a padded reference);
 * keys NULL: all. */
typedef struct {
    size_t n;
    const uint32_t *start; /* [n+1] */
    const uint32_t *keys;  /* [n] or NULL */
} bqb_sequences;

/* Which rows of a sequence ask. All of them see the whole sequence, but for
 * causal ones, which see themselves and what came before. */
typedef enum { BQB_ROWS_ALL, BQB_ROWS_FIRST, BQB_ROWS_LAST, BQB_ROWS_CAUSAL } bqb_rows;

/* How many rows ask: one a sequence, or all. */
size_t bqb_rows_count(const bqb_sequences *s, bqb_rows rows);

/* Multi-head self-attention over packed qkv rows.
 *   out    out [asking rows, C] dt
 *   probs  out dt, kept for the gradient: bqb_attention_probs elements; NULL: not kept
 *   qkv    in  [R, 3C] dt */
size_t bqb_attention_probs(const bqb_sequences *s, size_t heads, bqb_rows rows);
void bqb_attention_fwd(bqb_pass *p, void *out, void *probs, const void *qkv, const bqb_sequences *s, size_t C,
                       size_t heads, bqb_rows rows);

/*   dqkv  out [R, 3C] dt, every element written
 *   dout  in  as out
 * Not for padded sequences. */
void bqb_attention_bwd(bqb_pass *p, void *dqkv, const void *dout, const void *probs, const void *qkv,
                       const bqb_sequences *s, size_t C, size_t heads, bqb_rows rows);

/* The first or last row of each sequence, gathered; and the gradient put back (added). */
void bqb_rows_take(float *out, const float *x, const bqb_sequences *s, bqb_rows rows, size_t C);
void bqb_rows_add(float *dx, const float *dout, const bqb_sequences *s, bqb_rows rows, size_t C);

/* Activations after the embedding and after every block, for golden checks:
 * rows[0] … rows[layers], each [R,C] f32; NULL entries are skipped. */
typedef struct {
    float **rows;
} bqb_trace;

/* Copy x [n] to entry i, where that is wanted; t may be NULL. */
void bqb_trace_copy(const bqb_trace *t, size_t i, const float *x, size_t n);

/* --- the picture tower (vit.c) --- */

typedef struct bqb_vit_saved bqb_vit_saved; /* what forward keeps for backward, in the arena */

/* F = n frames, as one of two:
 *   pixels  [F,3,R,R] f32 normalised       rgb  [F,R,R,3] u8
 *   keep    [F,n_keep] patch numbers, or NULL for all */
typedef struct {
    const float *pixels;
    const uint8_t *rgb;
    const uint16_t *keep;
    size_t n_keep, n;
} bqb_frames;

/* feature[F,D] = projected, un-normalised class token of F frames.
 *   saved   out, NULL: inference. Nothing is kept of p->frozen lower blocks
 *   trace   NULL, or where to copy activations (then every row of the last block is computed) */
void bqb_vit_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                 const bqb_frames *frames, bqb_vit_saved **saved, const bqb_trace *trace);
/* Inference, and before[F,C] the same before the projection; NULL: not wanted. */
void bqb_vit_features(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *before,
                      const bqb_frames *frames);
void bqb_vit_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                 const bqb_vit_saved *saved);

/* The same in two parts, cut above the p->frozen lower blocks (at least 1): what they
 * give, trunk[F, T or 1, C] f32 (one row a frame where no block learns), and the
 * rest from there. `trunk` is kept for backward and may be written to. */
void bqb_vit_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk,
                   const bqb_frames *frames);
void bqb_vit_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *trunk,
                 size_t F, bqb_vit_saved **saved);

/* --- the text tower: BERT's (bert.c) or CLIP's own (causal.c), by the config (text_tower.c) --- */

typedef struct bqb_text_saved bqb_text_saved; /* of either kind */

/* feature[S,D] of S texts. ids are packed like the rows: ids[start[s] …]. BERT's feature is
 * its sequence's first row, the causal one's the last: sequences end with the end token there.
 * In two parts, as the picture tower: trunk[R or S, C]. */
#define BQB_TEXT_TOWER(kind)                                                                                    \
    void bqb_##kind##_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,     \
                          const int32_t *ids, const bqb_sequences *s, bqb_text_saved **saved,                   \
                          const bqb_trace *trace);                                                              \
    void bqb_##kind##_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c,                     \
                          const float *dfeature, const bqb_text_saved *saved);                                  \
    void bqb_##kind##_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk,     \
                            const int32_t *ids, const bqb_sequences *s);                                        \
    void bqb_##kind##_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,     \
                          float *trunk, const bqb_sequences *s, bqb_text_saved **saved)
BQB_TEXT_TOWER(text);
BQB_TEXT_TOWER(bert);
BQB_TEXT_TOWER(causal);

#endif
