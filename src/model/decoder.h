/* Language models of the Llama, Qwen2 and Qwen3 families: a stack of causal blocks
 * with rotary positions, grouped-query attention, SwiGLU and RMSNorm. Frozen: the
 * weights stay mapped, in the format they are stored in. Definition: docs/MODEL.md.
 *
 * Letters: n tokens at a time, C width, H query heads, G key-and-value heads, d their
 * width, V vocabulary. A model is for one caller at a time. */
#ifndef BQB_MODEL_DECODER_H
#define BQB_MODEL_DECODER_H

#include "base/err.h"
#include "math/rows.h"
#include "model/clip.h"

typedef enum { BQB_LLAMA, BQB_QWEN2, BQB_QWEN3, BQB_DECODER_FAMILIES } bqb_decoder_family;
const char *bqb_decoder_family_name(bqb_decoder_family f); /* "llama" "qwen2" "qwen3" */

enum { BQB_DECODER_ENDS = 8 };

typedef struct {
    bqb_decoder_family family;
    size_t vocab, width, layers, heads, kv_heads, head_dim, mlp;
    size_t context;       /* positions that it was trained for */
    float eps;            /* of every RMSNorm */
    double rope_theta;
    double rope_factor;   /* positions are stretched by this; 1: not */
    bool rope_llama3;     /* only the slow ones, the rest gradually, by the next three */
    double rope_low, rope_high, rope_original;
    bool rope_neighbours; /* pairs are (2i, 2i + 1), not (i, i + d/2): Llama as GGUF files hold it */
    bool tied;            /* the output embedding is the input embedding */
    int32_t bos;          /* -1: none */
    int32_t end[BQB_DECODER_ENDS]; /* tokens that end an answer */
    size_t n_end;
} bqb_decoder_config;

/* config.json of a Hugging Face folder. Errors: BQB_EFORMAT; BQB_EUNSUPPORTED
 * names another family, activation, stretching of positions or sliding window. */
bqb_status bqb_decoder_config_read(bqb_decoder_config *c, const char *path, bqb_err *err);

/* Add the tokens that end an answer by generation_config.json, where instruction-tuned models name theirs. BQB_EFORMAT. */
bqb_status bqb_decoder_config_more_ends(bqb_decoder_config *c, const char *path, bqb_err *err);

/* The same from a GGUF file's keys. The vocabulary is as large as the embedding. */
struct bqb_gguf;
bqb_status bqb_decoder_config_gguf(bqb_decoder_config *c, const struct bqb_gguf *g, bqb_err *err);

/* Of a language model that is not opened: a GGUF file, or a folder with config.json and perhaps generation_config.json.
 * Errors: of these; BQB_EFORMAT where a file is no GGUF file. */
bqb_status bqb_decoder_config_of(bqb_decoder_config *c, const char *path, bqb_err *err);

/* Whether sizes fit each other and memory could ever hold them. */
bqb_status bqb_decoder_config_check(const bqb_decoder_config *c, const char *name, bqb_err *err);

/* Whether a path holds a language model, of a known family or not: a GGUF file, or a folder whose config.json counts layers at its top. */
bool bqb_is_decoder(const char *path);

typedef struct bqb_decoder bqb_decoder;

/* path: a Hugging Face folder, or a GGUF file (F32, F16, BF16, Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K). threads 0: all processors. In BQB_PREC_BF16 many tokens at
 * once are multiplied in bf16 and keys and values kept in it; a single token always
 * meets the weights in f32. Errors: of the config and of the weights file; BQB_EFORMAT
 * names a tensor that is missing or has another shape, BQB_EUNSUPPORTED one in another format. */
bqb_status bqb_decoder_open(bqb_decoder **out, const char *path, bqb_precision precision, int threads, bqb_err *err);
void bqb_decoder_free(bqb_decoder *m);

/* The same model for another caller at the same time: weights are m's, which must outlive it and not learn meanwhile;
 * products and scratch memory are its own, on `threads` processors. */
bqb_status bqb_decoder_share(bqb_decoder **out, bqb_decoder *m, int threads, bqb_err *err);
const bqb_decoder_config *bqb_decoder_get_config(const bqb_decoder *m);
const char *bqb_decoder_name(const bqb_decoder *m); /* the last part of its path; "(new)" of one that was not opened */

/* 64 hex digits that tell language models from each other: sizes, the tensors' names, shapes and formats, and a
 * few bytes of each. Cheap for a file of any size. Weights that learn change it. Borrowed until the next call. */
const char *bqb_decoder_id(bqb_decoder *m);

/* What a conversation's tokens have left behind: keys and values of every layer. */
typedef struct bqb_decoder_past bqb_decoder_past;

/* Bytes that it takes with room for `positions` tokens. */
typedef struct {
    double parameters;  /* numbers, not bytes */
    double weights;     /* mapped: they come into memory as they are read, and give way where it is short */
    double past;        /* keys and values */
    double activations; /* all else, at most */
    double total;
    size_t matrices[BQB_ROW_KINDS]; /* how many are stored in each format */
} bqb_decoder_bytes;
void bqb_decoder_memory(bqb_decoder_bytes *out, bqb_decoder *m, size_t positions);

/* BQB_ENOMEM where that is more than the machine, the control group or ulimit allows (base/ram.h), with the
 * parts; $BQB_MEMORY=any lets all pass. name: the model as the user knows it. For whoever opens, before bqb_decoder_past_new. */
bqb_status bqb_decoder_fits(bqb_decoder *m, size_t positions, const char *name, bqb_err *err);

/* Room for `positions` tokens. Bytes: 2·layers·G·d numbers a token. */
bqb_status bqb_decoder_past_new(bqb_decoder_past **out, const bqb_decoder *m, size_t positions, bqb_err *err);
void bqb_decoder_past_free(bqb_decoder_past *p);
size_t bqb_decoder_past_count(const bqb_decoder_past *p);
void bqb_decoder_past_cut(bqb_decoder_past *p, size_t n); /* forget all but the first n */

/* rows[n,C] = input embeddings of n tokens. BQB_EINVAL: an id outside the vocabulary. */
bqb_status bqb_decoder_embed(bqb_decoder *m, float *rows, const int32_t *ids, size_t n, bqb_err *err);

/* Take n tokens in after those of the past, which grows by them.
 *   hidden  out [n,C] after the last RMSNorm; or, where only_last, [1,C] of the last token
 *   rows    in  [n,C] input embeddings; unchanged
 *   layers  out [layers] pointers to [n,C], the rows after each block, or NULL
 * BQB_ELIMIT: no room is left in the past (nothing has happened then). The same
 * tokens give the same numbers in one call or in several but for rounding. */
bqb_status bqb_decoder_run(bqb_decoder *m, bqb_decoder_past *past, float *hidden, bool only_last, const float *rows,
                           size_t n, float **layers, bqb_err *err);

/* logits[n,V] of hidden[n,C]. */
bqb_status bqb_decoder_logits(bqb_decoder *m, float *logits, const float *hidden, size_t n, bqb_err *err);

/* --- for learning what stands around a frozen model --- */

/* What a pass keeps so that the gradient can go back through it. */
typedef struct bqb_decoder_tape bqb_decoder_tape;
void bqb_decoder_tape_free(bqb_decoder_tape *t);

/* As bqb_decoder_run over all n rows, in one part, keeping a tape. What stands in the past
 * already is taken as fixed: it is read, but no gradient goes there. So of tokens that
 * hold nothing that learns, and come first, run() makes the past once and for all. */
bqb_status bqb_decoder_forward(bqb_decoder *m, bqb_decoder_past *past, bqb_decoder_tape **tape, float *hidden, const float *rows,
                               size_t n, bqb_err *err);

/* drows[n,C] = gradient of the input rows, from dhidden[n,C]. The past must hold what it
 * held after forward (later tokens may follow). The model's own weights get none. */
bqb_status bqb_decoder_backward(bqb_decoder *m, const bqb_decoder_past *past, float *drows, const float *dhidden,
                                const bqb_decoder_tape *tape, bqb_err *err);

/* dhidden[n,C] = dlogits[n,V] · head. */
bqb_status bqb_decoder_logits_back(bqb_decoder *m, float *dhidden, const float *dlogits, size_t n, bqb_err *err);

/* --- a decoder that learns whole --- */

/* Random weights by seed, in one f32 block: matrices N(0, 0.02), those into the residual stream smaller by
 * sqrt(2·layers), norms 1, biases 0. The config's family decides what there is; it must be tied. */
bqb_status bqb_decoder_new(bqb_decoder **out, const bqb_decoder_config *c, uint64_t seed, bqb_precision precision, int threads,
                           bqb_err *err);

/* The block, NULL of one that was opened; its floats. */
float *bqb_decoder_weights(bqb_decoder *m);
size_t bqb_decoder_weight_count(const bqb_decoder *m);

/* The weights of another decoder with the same config, opened or new. BQB_EINVAL names what differs. */
bqb_status bqb_decoder_copy(bqb_decoder *m, bqb_decoder *from, bqb_err *err);

/* Mean cross-entropy of ids[1 … n-1], each from what came before it; skip (NULL: none) marks tokens that
 * are not learnt. The gradient of every weight is added to grad [weight_count] (NULL: only the loss). */
bqb_status bqb_decoder_learn(bqb_decoder *m, float *grad, float *loss, const int32_t *ids, const bool *skip, size_t n, bqb_err *err);

/* The same over many documents, which lie one after another: document i ends before ids[end[i]]. Each begins
 * at position 0 and sees itself alone, so that short ones cost what they hold. None is longer than `context`.
 * They are shared out to the decoder's threads in parts of whole documents; gradients are added in a fixed order, so that the
 * same call with as many threads gives the same bits. loss is the mean over all tokens learnt; what the threads
 * need stays for the next call (their activations and a block of gradients each). */
bqb_status bqb_decoder_learn_batch(bqb_decoder *m, float *grad, double *loss, const int32_t *ids, const bool *skip, const size_t *end,
                                   size_t n_docs, bqb_err *err);

/* The same, where after some tokens not one is right but several are, each with a weight; they add up to 1. */
typedef struct {
    size_t at;           /* after ids[at]; rising from one to the next */
    const int32_t *id;   /* [n] */
    const float *weight; /* [n] */
    size_t n;
} bqb_decoder_choice;
bqb_status bqb_decoder_learn_choices(bqb_decoder *m, float *grad, double *loss, const int32_t *ids, const bool *skip, const size_t *end,
                                     size_t n_docs, const bqb_decoder_choice *choice, size_t n_choices, bqb_err *err);

/* One AdamW update; norms and biases are not decayed. step counts from 1. */
void bqb_decoder_adamw(bqb_decoder *m, const float *grad, float *mom, float *var, const bqb_adamw_config *c, uint64_t step);

/* config.json and model.safetensors (bf16 or f32) under Hugging Face's names into a folder that is there. */
bqb_status bqb_decoder_save(const bqb_decoder *m, const char *dir, bool bf16, bqb_err *err);

#endif
