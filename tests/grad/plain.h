/* The network once more, in double and as plainly as it can be written, from
 * docs/MODEL.md alone: what the engine is held against. No speed, no memory
 * plan, one sequence after another. */
#ifndef BQB_TEST_PLAIN_H
#define BQB_TEST_PLAIN_H

#include "model/clip.h"

double plain_gelu(double x);
double plain_quick_gelu(double x);

/* y[N,C]; shapes as in math/ops.h. */
void plain_layernorm(double *y, const double *x, const double *gamma, const double *beta, double eps,
                     size_t N, size_t C);
void plain_softmax(double *p, const double *s, double scale, size_t N, size_t T);
void plain_l2norm(double *y, const double *x, size_t N, size_t D);

/* y[R,out] = x[R,in] · wᵀ + b; b may be NULL */
void plain_linear(double *y, const double *x, const double *w, const double *b, size_t R, size_t out,
                  size_t in);

/* Row `row` of one head h of one sequence, which sees `keys` rows: out[C/heads]. qkv is [len,3C]. */
void plain_head_row(double *out, const double *qkv, size_t row, size_t keys, size_t C, size_t heads, size_t h);

/* One head h of one sequence of `len` rows, of which `keys` can be seen and the
 * first `asks` ask: out[asks, C/heads]. qkv is [len,3C]. */
void plain_head(double *out, const double *qkv, size_t len, size_t keys, size_t asks, size_t C, size_t heads,
                size_t h);

/* The loss of N pairs of unit rows [N,D]; groups as in bqb_clip_batch, or NULL. */
double plain_contrastive(const double *img, const double *txt, double log_scale, size_t N, size_t D,
                         const uint32_t *text_group, const uint32_t *image_group);

/* A model: the config and one block of weights in the engine's layout, found by OFA name. */
typedef struct {
    const bqb_clip_config *config;
    const bqb_param *param;
    size_t n_params;
    const double *weights;
} plain_model;

/* The projected class token of one frame pixels[3,R,R]; `keep` holds n_keep
 * patch numbers or is NULL. feature[D] */
void plain_vit(double *feature, const plain_model *m, const float *pixels, const uint16_t *keep,
               size_t n_keep);

/* The projected first row of one text of `len` tokens. feature[D] */
void plain_bert(double *feature, const plain_model *m, const int32_t *ids, size_t len);

/* The projected row `end` of one text of `len` tokens through a causal tower. feature[D] */
void plain_causal(double *feature, const plain_model *m, const int32_t *ids, size_t len, size_t end);

/* The loss of a batch; padding has id `pad`. img and txt (unit rows, [N,D]) may be NULL. */
double plain_clip_loss(const plain_model *m, const bqb_clip_batch *b, int32_t pad, double *img, double *txt);

#endif
