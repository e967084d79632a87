/* StickerCLIP: a ViT and a text transformer that meet in one space. Definition: docs/MODEL.md.
 *
 * Sizes: N pictures, F frames, R resolution, T tokens, D shared dimension,
 * L context length (tokens of a text, [CLS] and [SEP] included).
 *
 * Parameters live in one f32 block, named and ordered by the OFA/StickerCLIP
 * key names; gradients and optimiser state are blocks of the same layout. */
#ifndef BQB_MODEL_CLIP_H
#define BQB_MODEL_CLIP_H

#include "base/err.h"
#include "math/matmul.h"
#include "text/tokenizer.h"

#include <stdbool.h>

/* How a text is read: BERT (Chinese-CLIP), or the causal transformer of OpenAI's CLIP. */
typedef enum { BQB_TEXT_BERT, BQB_TEXT_CAUSAL } bqb_text_kind;

typedef struct {
    /* picture tower */
    size_t resolution, patch, v_width, v_layers, v_heads, v_mlp;
    float v_eps;
    bqb_act v_act; /* CLIP: QuickGELU */
    /* text tower */
    size_t vocab, t_width, t_layers, t_heads, t_mlp, t_positions, t_types;
    float t_eps;
    bqb_act t_act; /* BERT: GELU */
    bqb_text_kind t_kind;
    size_t t_bos, t_eos, t_pad; /* causal only: ids as config.json has them; t_eos is what a text ends with, 2: the highest id is */
    size_t context; /* tokens a text is cut to; 64 (causal: t_positions) unless config.json says "context_length" */
    size_t embed;   /* D */
} bqb_clip_config;

typedef enum { BQB_PREC_F32 = BQB_NUM_F32, BQB_PREC_BF16 = BQB_NUM_BF16 } bqb_precision;

/* bf16 where the CPU has bf16 dot products, else f32. */
bqb_precision bqb_precision_best(void);
const char *bqb_precision_name(bqb_precision p);

typedef struct {
    const char *name;    /* OFA key: "visual.conv1.weight"; of a causal tower OpenAI's */
    size_t offset, n;    /* into the block, in floats */
    size_t n_dims, dim[4];
    bool decay;          /* false when the name has bn, ln, bias or logit_scale */
    bool frozen;         /* see bqb_clip_freeze */
} bqb_param;

typedef struct bqb_clip bqb_clip;

enum { BQB_TOWER_IMAGE = 1, BQB_TOWER_TEXT = 2, BQB_TOWER_BOTH = 3 };

/* Open a model folder: Hugging Face (config.json with model_type chinese_clip, or
 * clip) or OFA key names; f32, f16 or bf16; safetensors in one file or shards, or a
 * PyTorch checkpoint (bqb_weights_open_folder); vocab.txt, or for clip vocab.json and
 * merges.txt, when the text tower is wanted. A missing or misshapen tensor is named with both
 * shapes. `towers`: only these are read; using another is BQB_EINVAL.
 * Precision and threads (0 = all processors) hold for encode and train. */
bqb_status bqb_clip_open(bqb_clip **out, const char *dir, int towers, bqb_precision precision,
                         int threads, bqb_err *err);

/* The same from config and weights files with no tokenizer (golden fixtures,
 * benchmarks); weights NULL: a start from nothing by seed (docs/MODEL.md, 9). */
bqb_status bqb_clip_new(bqb_clip **out, const bqb_clip_config *config, const char *weights, uint64_t seed,
                        bqb_precision precision, int threads, bqb_err *err);
void bqb_clip_free(bqb_clip *m);

/* config.json of any kind (Hugging Face's two, or the OFA form with "vision_width"). */
bqb_status bqb_clip_config_read(bqb_clip_config *c, const char *path, bqb_err *err);

/* The file of the vocabulary in a folder of such a model, in fresh memory (bqb_tokenizer_find). */
char *bqb_clip_vocabulary(const bqb_clip_config *c, const char *dir);

/* The config of a safetensors file or PyTorch checkpoint with OFA key names, from
 * the shapes of its tensors. What they do not show is the published models': heads
 * 64 wide (16 of them in ViT-H and wider), QuickGELU and GELU, 64 tokens. */
bqb_status bqb_clip_config_infer(bqb_clip_config *c, const char *weights, bqb_err *err);

/* Write a Hugging Face folder of the model's own kind: config.json, model.safetensors
 * (f32, or f16 when half; BQB_EINVAL where a weight is too large for it), the vocabulary
 * copied from vocab_path (see bqb_tokenizer_copy; NULL: from where the model was opened). */
bqb_status bqb_clip_save(const bqb_clip *m, const char *dir, bool half, const char *vocab_path, bqb_err *err);

const bqb_clip_config *bqb_clip_get_config(const bqb_clip *m);
const bqb_tokenizer *bqb_clip_tokenizer(const bqb_clip *m); /* NULL when it has none */
bqb_precision bqb_clip_precision(const bqb_clip *m);
int bqb_clip_threads(const bqb_clip *m);

/* 64 hex digits over config and weights: which model made an embedding. Weights that were changed have
 * the id that their file will have when bqb_clip_save writes it in f32. Borrowed. */
const char *bqb_clip_id(bqb_clip *m);

/* Parameters: n_params descriptions, one block of n_floats. After writing to
 * the block call bqb_clip_weights_changed, which refreshes the bf16 copies. */
size_t bqb_clip_param_count(const bqb_clip *m);
const bqb_param *bqb_clip_param(const bqb_clip *m, size_t i);
size_t bqb_clip_float_count(const bqb_clip *m);
float *bqb_clip_weights(bqb_clip *m);
void bqb_clip_weights_changed(bqb_clip *m);
float *bqb_clip_logit_scale(bqb_clip *m); /* the log of the scale, inside the block */

/* Encoding. Outputs are unit rows [N,D].
 *   rgb     in [N,3,R,R,3] u8, the three frames of every picture; equal frames are computed once
 *   ids     in [N,L] as bqb_tokenizer_encode writes them (padding by its pad id)
 * Rows are shared out over the model's threads; not for two callers at once. */
bqb_status bqb_clip_encode_images(bqb_clip *m, float *out, const uint8_t *rgb, size_t N, bqb_err *err);

/* Encode pictures, and give what comes before the projection as well: before[N,C], C = v_width,
 * the mean over the frames, not of unit length (what StickerLLM's vis_embedding reads); NULL: not wanted. */
bqb_status bqb_clip_image_features(bqb_clip *m, float *out, float *before, const uint8_t *rgb, size_t N, bqb_err *err);
bqb_status bqb_clip_encode_tokens(bqb_clip *m, float *out, const int32_t *ids, size_t N, size_t L, bqb_err *err);
bqb_status bqb_clip_encode_texts(bqb_clip *m, float *out, const char *const *texts, size_t N, bqb_err *err);

/* What learns. A frozen parameter gets no gradient (its part of grad is not touched)
 * and bqb_clip_adamw leaves it alone, decay included. Nothing is computed backwards
 * below the lowest block that learns, nor kept for it. */
typedef struct {
    int towers;                /* BQB_TOWER_…: towers that do not learn at all */
    size_t v_blocks, t_blocks; /* else the embedding and this many lower blocks do not; 0: all learns */
} bqb_clip_frozen;

/* BQB_EINVAL: more blocks than the tower has. Holds until the next call; {0} undoes it. */
bqb_status bqb_clip_freeze(bqb_clip *m, const bqb_clip_frozen *frozen, bqb_err *err);
bqb_clip_frozen bqb_clip_get_frozen(const bqb_clip *m);
size_t bqb_clip_learning_count(const bqb_clip *m); /* floats that learn */

/* How a step saves memory by computing more.
 *   chunk       0: the activations of the whole batch are kept. Else gradient caching
 *               (GradCache, Gao et al., arXiv:2101.06983): the features of the whole batch
 *               first, keeping nothing, the loss and its gradient for every feature, then
 *               pass by pass forward again and backward. The gradient is that of the whole
 *               batch, at a third more arithmetic. A pass takes at most `chunk` frames or
 *               texts, and never more than it would without; SIZE_MAX: as many.
 *   checkpoint  of every block keep only its input, and compute the rest again on
 *               the way back
 * Where passes are cut as without (chunk 0 or large), both give the same bits as without. */
void bqb_clip_save_memory(bqb_clip *m, size_t chunk, bool checkpoint);

/* One training step's mathematics, without the optimiser: forward, symmetric
 * contrastive loss over the N pairs, backward. The gradient of every parameter
 * is *added* to grad [n_floats] (zero it first).
 *   pixels  in  [P,3,R,R] f32 normalised frames, all pictures' frames one after another; or
 *   rgb     in  [P,R,R,3] u8, the same not yet normalised: a quarter of the memory; or
 *   image_trunk in [P] where each frame's trunk lies; see bqb_clip_trunk_images
 *   frames  in  [N] how many of those belong to each picture (1 for a still, else 3);
 *               NULL: three each. A picture's feature is the mean over its frames.
 *   keep    in  [P,K] patch numbers (0 … (R/patch)²-1, rising) that each frame keeps
 *               (FLIP masking); NULL: all. Not together with image_trunk.
 *   ids     in  [N,L]
 *   text_trunk  in [N] where each text's trunk lies, or NULL: computed from ids
 *   trunk   in  format of the trunks
 *   text_group, image_group  in [N] numbers of the caller's choosing, or NULL: all
 *               differ. Pairs i and k whose texts have the same number, or whose
 *               pictures have, are right answers for each other, not wrong ones; see
 *               bqb_pairs. With all numbers different: the plain loss.
 *   loss    out mean of the two cross-entropies
 * Bit-identical for the same inputs, threads and machine. */
typedef struct {
    const float *pixels;
    const uint8_t *frames;
    const uint16_t *keep;
    size_t n_keep;
    const int32_t *ids;
    size_t N, L;
    const uint32_t *text_group, *image_group;
    const uint8_t *rgb;
    const void *const *image_trunk, *const *text_trunk;
    bqb_num trunk;
} bqb_clip_batch;

bqb_status bqb_clip_grad(bqb_clip *m, float *grad, float *loss, const bqb_clip_batch *batch, bqb_err *err);

/* The trunk of a frame or text: what the frozen part of its tower gives. It depends on
 * nothing that learns, so it can be computed once and training started from it.
 * [rows,width] numbers each: of a frame 1 + (R/patch)² rows, of a text one a token (padding
 * excluded), C wide; one row where no block learns; one row of the D-wide feature
 * where the whole tower is frozen. Rows 0: nothing is frozen, there is no trunk. */
typedef struct {
    size_t rows, width; /* rows of a text: the most there can be, L */
} bqb_clip_trunk_shape;
bqb_clip_trunk_shape bqb_clip_image_trunk_shape(const bqb_clip *m);
bqb_clip_trunk_shape bqb_clip_text_trunk_shape(const bqb_clip *m, size_t L);

/*   out  out [F,rows,width], or [N,rows,width] (rows of padding 0), in the format `num`
 *   rgb  in  [F,R,R,3] u8 frames        ids  in [N,L]
 * BQB_EINVAL when nothing of the tower is frozen. */
bqb_status bqb_clip_trunk_images(bqb_clip *m, void *out, bqb_num num, const uint8_t *rgb, size_t F, bqb_err *err);
bqb_status bqb_clip_trunk_tokens(bqb_clip *m, void *out, bqb_num num, const int32_t *ids, size_t N, size_t L,
                                 bqb_err *err);

/* The memory of a training step, from the sizes alone: to be asked before it is
 * taken. Neither the caller's batch nor oneDNN's own (some MB a kind of product) is in it. */
typedef struct {
    size_t N, frames, L;  /* pairs; frames of a picture and tokens of a text, at most */
    size_t n_keep;        /* patches that a frame keeps; 0: all */
    size_t chunk;         /* as for bqb_clip_save_memory */
    bool checkpoint;
    bqb_clip_frozen frozen;
    bool image_trunk, text_trunk; /* start from stored trunks */
    bqb_precision precision;
    int threads;
} bqb_clip_plan;

typedef struct {
    uint64_t weights;     /* with their bf16 copies */
    uint64_t gradients;   /* the caller's block and one for each further worker */
    uint64_t moments;     /* the caller's two blocks for AdamW */
    uint64_t activations; /* of all workers, at their peak */
    uint64_t loss;        /* features and logits */
    uint64_t total;
} bqb_clip_bytes;

/* BQB_EINVAL: a plan or config that makes no step. */
bqb_status bqb_clip_train_bytes(bqb_clip_bytes *out, const bqb_clip_config *c, const bqb_clip_plan *plan,
                                bqb_err *err);

/* AdamW, decoupled weight decay on the parameters whose decay is set:
 *   w -= lr*wd*w;  m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g²
 *   w -= lr * (m/(1-b1^step)) / (sqrt(v/(1-b2^step)) + eps)
 * step counts from 1; mom and var are [n_floats] blocks. Afterwards the logit
 * scale is clamped to [0, ln 100] and the bf16 copies are refreshed. */
typedef struct {
    float lr, beta1, beta2, eps, weight_decay;
} bqb_adamw_config;
void bqb_clip_adamw(bqb_clip *m, const float *grad, float *mom, float *var, const bqb_adamw_config *c,
                    uint64_t step);

#endif
