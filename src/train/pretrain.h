/* Training a small language model from nothing: a folder with tokenizer, checkpoints, logs and the model, out of a source of documents. */
#ifndef BQB_TRAIN_PRETRAIN_H
#define BQB_TRAIN_PRETRAIN_H

#include "base/mem.h"
#include "model/decoder.h"

/* Append document i to out, added tokens (<|im_end|>) written out. held_out: of those that are only measured on. The same i must
 * give the same text. Documents have no end; a source of few begins again. */
typedef bqb_status (*bqb_document_fn)(void *ctx, bool held_out, uint64_t i, bqb_buf *out, bqb_err *err);

typedef struct {
    bqb_document_fn source;
    void *source_ctx;
    const char *out;        /* folder; made when absent */
    const char *init;       /* model folder to start from, with its tokenizer, or NULL: random weights */
    const char *tokenizer;  /* tokenizer.json to use; NULL: learn one of `vocab` tokens */
    bool answers;           /* learn only what the assistant says, not the other messages */
    const char *recall;     /* marks; after one of them in an answer any token of the message before it is right, rare ones most; or NULL */
    size_t vocab;           /* the added tokens among them */
    size_t vocab_documents; /* that it is learnt from */
    size_t width, layers, heads, kv_heads, mlp, context;
    size_t steps, batch;    /* batch: tokens a step, of whole documents */
    size_t warmup;          /* steps */
    double lr, weight_decay, clip_norm;
    uint64_t seed;          /* of the weights */
    size_t held_out;        /* documents to measure on; 0: never */
    size_t valid_every;     /* steps */
    double save_minutes;    /* between checkpoints */
    bool resume;
    int threads;            /* 0: all processors */
    bqb_precision precision; /* of the products */
    bool f32;               /* save in f32 instead of bf16 */
    void (*say)(void *ctx, const char *line); /* lines for people, may be NULL, as the next */
    bqb_progress_fn progress;
    void *ctx;
} bqb_pretrain_options;

typedef struct {
    uint64_t steps, documents, tokens;
    double loss;        /* of the last step */
    double valid;       /* mean loss over tokens of the held-out documents; NaN: not measured */
    double tokens_per_s;
} bqb_pretrain_result;

/* Files in `out`: tokenizer.json; config.json and model.safetensors (as of the last measurement or checkpoint); checkpoint.safetensors;
 * log.csv (step, loss, lr, tokens, tokens_per_s), valid.csv (step, loss, perplexity). Stopped by the progress function: the checkpoint
 * is written, BQB_ECANCEL. Resumed, the same numbers come out as without a stop. Without resume a folder that holds a checkpoint
 * is BQB_EINVAL, as is resuming with settings that would change the result; a loss that is no number is BQB_EFORMAT. */
bqb_status bqb_pretrain(const bqb_pretrain_options *o, bqb_pretrain_result *result, bqb_err *err);

#endif
