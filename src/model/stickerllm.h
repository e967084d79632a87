/* StickerLLM: a frozen language model that has learnt five tokens and two small maps, and
 * with them to answer with stickers. Source: Sticker820K, arXiv:2306.06870, §4.
 *
 * Letters: C the language model's width, V its vocabulary, F width of a picture's feature
 * before StickerCLIP's projection, D of the shared space, B sequences of a batch. */
#ifndef BQB_MODEL_STICKERLLM_H
#define BQB_MODEL_STICKERLLM_H

#include "math/ops.h"
#include "math/rows.h"
#include "model/decoder.h"

/* The tokens in this order have the ids V … V+4. PRET asks for a sticker; RET says "here
 * is one", and its hidden state says which; IMG stands where a picture is. */
typedef enum { BQB_TOKEN_IMG, BQB_TOKEN_IMG_END, BQB_TOKEN_RET, BQB_TOKEN_RET_END, BQB_TOKEN_PRET, BQB_STICKER_TOKENS } bqb_sticker_token;
const char *bqb_sticker_token_name(bqb_sticker_token t); /* "[IMG]" "[/IMG]" "[RET]" "[/RET]" "[PRET]" */

/* Everything that is trained, in one block of floats, and a gradient block of the same form. */
typedef struct {
    size_t C, F, D, n_floats;
    const bqb_ops *ops;       /* this processor's kernels */
    const bqb_rows_ops *rows;
    float *floats;     /* owned */
    float *embed_new;  /* [5,C] rows of the input embedding */
    float *head_new;   /* [5,C] rows of the output embedding */
    float *vis_weight; /* [C,F] a picture's feature → one input embedding (vis_embedding) */
    float *vis_bias;   /* [C] */
    float *txt_proj;   /* [D,C] hidden state at RET → shared space */
    float *log_scale;  /* [1] of the contrastive logits */
} bqb_sticker_parts;

bqb_status bqb_sticker_parts_new(bqb_sticker_parts *p, size_t C, size_t F, size_t D, bqb_err *err); /* zeros */
void bqb_sticker_parts_free(bqb_sticker_parts *p);

/* A batch, padded to L. */
typedef struct {
    size_t B, L;
    const int32_t *ids, *labels; /* [B,L]; label -100: not learnt. Logits at t are held against the label at t + 1 */
    const int32_t *length;       /* [B] */
    const int32_t *img, *ret;    /* [B] places of [IMG]'s placeholder and of [RET]; -1: none */
    const float *query;          /* [B,F] picture of the question, where there is one */
    const float *target;         /* [B,D] unit: the sticker to be found, where there is a [RET] */
} bqb_sticker_batch;

typedef struct {
    float words, stickers; /* mean cross-entropy of the labels; symmetric contrastive loss over the sequences with a [RET] */
    size_t n_words, n_stickers;
} bqb_sticker_loss;

/* How a gradient is computed; of all of it zero, or NULL: by the model alone, as fast as memory allows. */
typedef struct {
    bool whole;               /* a tape of every token: without, those before the first that learns need none */
    bool recompute;           /* no tape is kept while the others go forward, but made once more on the way back */
    bqb_decoder *const *team; /* [n_team] bqb_decoder_share of the model, each of one thread: sequences are shared out */
    size_t n_team;
    const uint32_t *alike;    /* [B] stickers of equal numbers are right answers for each other; NULL: all differ */
} bqb_sticker_how;

/* Loss and gradient (added to grad) of a batch; loss = words + stickers. whole, recompute and the team's size change
 * nothing but rounding; the same ones give the same bits.
 *   ret  out [B,D] unit rows at [RET], 0 where there is none; NULL: not wanted
 * BQB_EINVAL names an id or a place outside. */
bqb_status bqb_stickerllm_grad(bqb_decoder *m, const bqb_sticker_parts *parts, bqb_sticker_parts *grad, bqb_sticker_loss *loss,
                               float *ret, const bqb_sticker_batch *batch, const bqb_sticker_how *how, bqb_err *err);

/* Bytes that a gradient of B sequences of L tokens, `taped` of them with a tape, holds at its peak: of the model and of
 * each of the team's, without the weights. */
double bqb_stickerllm_grad_bytes(const bqb_decoder_config *c, size_t B, size_t L, size_t taped, size_t n_team, bool recompute);

/* Input rows [n,C] of ids, the new ones included; a picture's feature [F] → its row [C]. */
bqb_status bqb_stickerllm_embed(bqb_decoder *m, const bqb_sticker_parts *parts, float *rows, const int32_t *ids, size_t n, bqb_err *err);
void bqb_stickerllm_picture(const bqb_sticker_parts *parts, float *row, const float *feature);

/* A new token begins as the mean of old ones: its input row, its output row. */
bqb_status bqb_stickerllm_begin(bqb_decoder *m, bqb_sticker_parts *parts, bqb_sticker_token t, const int32_t *ids, size_t n, bqb_err *err);

/* logits[n,V+5] of hidden[n,C]; the unit row in the shared space [D] of one hidden state. */
bqb_status bqb_stickerllm_logits(bqb_decoder *m, const bqb_sticker_parts *parts, float *logits, const float *hidden, size_t n, bqb_err *err);
void bqb_stickerllm_query(const bqb_sticker_parts *parts, float *out, const float *hidden);

#endif
