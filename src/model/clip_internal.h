/* The inside of a bqb_clip, for the files that make it up. */
#ifndef BQB_MODEL_CLIP_INTERNAL_H
#define BQB_MODEL_CLIP_INTERNAL_H

#include "model/tower.h"

/* One worker's own tools; made when first used. */
typedef struct {
    bqb_gemm *gemm;
    bqb_arena *arena;
    float *grad; /* [n_floats], training only; worker 0 uses the caller's block */
    bqb_status status;
    bqb_err err;
} bqb_worker;

/* Floats from … from+n-1 of the block. */
typedef struct {
    size_t from, n;
} bqb_run;

struct bqb_clip {
    bqb_clip_config config;
    bqb_layout_map map;
    float *weights;
    uint16_t *half; /* bf16 copy of the block, NULL in f32 */
    int towers;
    bqb_packed **packed;  /* [n_linear] for encoding; dropped when the weights change */
    size_t encoded[2];    /* rows encoded with these weights, pictures and texts */
    bqb_precision precision;
    int threads;
    bqb_clip_frozen frozen; /* v_blocks and t_blocks are all of a tower's where it is frozen whole */
    bqb_run *learn;         /* [n_learn] what learns, rising */
    size_t n_learn;
    size_t chunk;           /* see bqb_clip_save_memory */
    bool checkpoint;
    bqb_worker *worker; /* [threads + 1]; the last one's products use every thread */
    const bqb_ops *ops;
    bqb_tokenizer *tokenizer;
    char *dir;
    char id[65];
};

/* Make the worker ready and start a pass on it: its arena is empty afterwards.
 * A failure is kept in the worker. */
bqb_status bqb_worker_begin(bqb_clip *m, bqb_worker *w, bqb_pass *p, bool keep_arena);

/* What went wrong in the pass, if anything; also kept in the worker. */
bqb_status bqb_worker_end(bqb_clip *m, bqb_worker *w, const bqb_pass *p);

/* The first failure among all workers, and forget them. */
bqb_status bqb_workers_status(bqb_clip *m, bqb_err *err);

bqb_status bqb_check_tower(const bqb_clip *m, int tower, bqb_err *err);

/* Tokens of a row before its trailing padding, at least 1. BQB_EINVAL names a bad id. */
bqb_status bqb_check_tokens(const bqb_clip *m, uint32_t *len, const int32_t *ids, size_t N, size_t L, bqb_err *err);

/* Rows that one pass works on at once: enough to keep a product busy, few
 * enough to stay near the processor. */
enum { BQB_PASS_ROWS = 1600 };

/* Which pairs of a batch count as right for each other; see bqb_clip_batch. Each right
 * answer is held against the wrong ones alone: a row's loss is the mean over its
 * positives k of -log(exp(x_k) / (exp(x_k) + sum of exp(x_j) over its negatives j)). A
 * target spread evenly over the positives would do nothing for equal texts: their
 * features are equal, too, and the plain loss then has the same gradient. */
typedef struct {
    const uint32_t *text_group, *image_group; /* [N], or NULL */
    size_t block;                             /* rows of logits at once; 0: a few MB of them */
} bqb_pairs;

/* Symmetric contrastive loss of N pairs of unit rows, and its gradients.
 *   loss    out  mean of the image-to-text and text-to-image cross-entropies
 *   dimg, dtxt  out [N,D]     dscale  out, of the log of the scale
 *   logits  out [N,N] text by image; NULL: not wanted
 * Source: CLIP, arXiv:2103.00020, fig. 3. */
void bqb_contrastive(bqb_pass *p, float *loss, float *dimg, float *dtxt, float *dscale, float *logits,
                     const float *img, const float *txt, const bqb_pairs *pairs, float log_scale, size_t N, size_t D);

/* Whether one row alone is worth every processor: for a small tower, waiting for
 * the others costs more than they save. */
bool bqb_worth_wide(const bqb_clip *m, int tower);

/* Re-order a tower's weights for encoding once `rows` more rows make it worth the copy. */
bqb_status bqb_clip_pack(bqb_clip *m, int tower, size_t rows, bqb_err *err);
void bqb_clip_unpack(bqb_clip *m);

/* For golden checks: the activations of one tower over padded rows.
 *   rows [1 + layers] pointers to [F or N, T, C]; see bqb_trace */
bqb_status bqb_clip_trace_images(bqb_clip *m, float **rows, const float *pixels, size_t F, bqb_err *err);
bqb_status bqb_clip_trace_tokens(bqb_clip *m, float **rows, const int32_t *ids, size_t N, size_t L, bqb_err *err);

/* For golden checks and training statistics: both unit embeddings, the logits
 * and the loss of a batch; any output may be NULL. grad NULL: forward only. */
bqb_status bqb_clip_grad_full(bqb_clip *m, float *grad, float *loss, float *img, float *txt, float *logits,
                              const bqb_clip_batch *batch, bqb_err *err);

#endif
