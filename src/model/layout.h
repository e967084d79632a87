/* Where every parameter of a StickerCLIP lies in its one block, and what it is
 * called in the two key-name families (for a causal text tower, OpenAI's own
 * names take the place of OFA's). Shapes and names: docs/MODEL.md. */
#ifndef BQB_MODEL_LAYOUT_H
#define BQB_MODEL_LAYOUT_H

#include "model/clip.h"

/* Offsets into the block, in floats. */
typedef struct {
    size_t w, b; /* w [out,in], b [out] */
    size_t out, in;
    size_t number; /* among all layers of the model */
} bqb_linear;

typedef struct {
    size_t g, b;
} bqb_norm;

/* One transformer block of either tower. `qkv` is the three projections stacked: [3C,C]. */
typedef struct {
    bqb_norm ln1, ln2;
    bqb_linear qkv, proj, fc1, fc2;
} bqb_block;

/* A parameter under its Hugging Face name: where `parts` is 3, the rows are
 * split over q_proj, k_proj and v_proj; `transposed` says the file holds [D,C]. */
typedef struct {
    char *name, *hf[3];
    size_t parts;
    bool transposed;
    int tower; /* BQB_TOWER_…; both for the logit scale */
} bqb_param_names;

typedef struct {
    bqb_param *param;
    bqb_param_names *names;
    size_t n_params, n_floats, n_linear;

    size_t conv, cls, v_pos; /* [W,3*P*P], [W], [T,W] */
    bqb_norm ln_pre, ln_post;
    size_t v_proj; /* [W,D] */
    bqb_block *v_block;

    size_t word, t_pos, t_type; /* t_type: BERT only */
    bqb_norm t_ln;              /* of the embeddings; causal: after the last block */
    size_t t_proj; /* [C,D] */
    bqb_block *t_block;

    size_t logit_scale;
} bqb_layout_map;

/* Everything is owned by the map. BQB_EINVAL when the config makes no network
 * (a width that its heads do not divide, a size of 0 or beyond reason). */
bqb_status bqb_layout_new(bqb_layout_map *map, const bqb_clip_config *c, bqb_err *err);
void bqb_layout_free(bqb_layout_map *map);

/* Fill the parameters of these towers from opened weights of either family. */
struct bqb_safetensors;
bqb_status bqb_layout_load(const bqb_layout_map *map, float *block, int towers, const struct bqb_safetensors *st,
                           bqb_err *err);

/* Write the block: Hugging Face names, or OFA's when `ofa`; f32, or f16 when
 * `half`: a weight that f16 cannot hold is BQB_EINVAL, named. safetensors, or,
 * where the path ends in .pt, a PyTorch checkpoint with "module." before OFA's names. */
bqb_status bqb_layout_save(const bqb_layout_map *map, const float *block, const char *path, bool half, bool ofa,
                           bqb_err *err);

/* The tensors of the Hugging Face form one by one, without making them: *at, zeroed for the first, is
 * moved to the next in the order of names (strcmp); false after the last. */
typedef struct {
    const char *name; /* borrowed from the map */
    size_t param, part, n;
} bqb_layout_at;
bool bqb_layout_next(const bqb_layout_map *map, bqb_layout_at *at);

/* Its element e, 0 … n-1. */
float bqb_layout_element(const bqb_layout_map *map, const float *block, const bqb_layout_at *at, size_t e);

/* A start for training from nothing, random by seed but not shapeless (init.c): small
 * transformers that start with the structure that others only learn from millions
 * of pictures need far fewer of them. LayerNorm 1/0, biases 0, logit scale ln(1/0.07). */
bqb_status bqb_layout_init(const bqb_layout_map *map, const bqb_clip_config *c, float *block, uint64_t seed,
                           bqb_err *err);

#endif
