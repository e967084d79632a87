/* The inside of a bqb_decoder, for the files that make it up. */
#ifndef BQB_MODEL_DECODER_INTERNAL_H
#define BQB_MODEL_DECODER_INTERNAL_H

#include "file/gguf.h"
#include "file/safetensors.h"
#include "math/matrix.h"
#include "model/decoder.h"

/* One block's weights. Small ones are copied to f32, the matrices stay where they are stored. */
typedef struct {
    bqb_matrix q, k, v, o, gate, up, down;
    float *q_bias, *k_bias, *v_bias; /* NULL: none */
    float *norm1, *norm2;            /* [C] */
    float *q_norm, *k_norm;          /* [d], NULL: none */
} bqb_decoder_block;

enum { BQB_DECODER_PART = 512 }; /* tokens that go through the blocks at once: what they need stays bounded */

/* Documents that lie one after another in a pass: end[i] is where the i-th ends. Each begins at
 * position 0 and sees itself alone. */
typedef struct {
    const size_t *end;
    size_t n;
} bqb_decoder_docs;

struct bqb_decoder {
    bqb_decoder_config config;
    char *path;            /* NULL: not opened from one */
    bool shared;           /* but for mul, everything belongs to another */
    char id[65];           /* empty: not yet asked for */
    bqb_safetensors *file; /* one of the two */
    bqb_gguf *gguf;
    bqb_matrix embed, head; /* [V,C] */
    float *norm;            /* [C] */
    bool biased;            /* q, k and v have biases */
    bqb_decoder_block *block;
    float *small;           /* all the f32 copies */
    double *turn;           /* [d/2] angle of each pair per position */
    float *turned;          /* [n_turned, d/2, 2] cosine and sine at each position, as far as was needed */
    size_t n_turned;
    bqb_multiplier mul;
    float *weights;         /* [n_weights] of one that learns: everything above points into it */
    size_t n_weights;
    float *grad;            /* while one learns: where gradients are added; else NULL */
    const bqb_decoder_docs *docs; /* of the pass; NULL: all rows are one document. Only with an empty past */
    bqb_arena *tapes;       /* where the one tape lives, instead of an arena of its own; NULL */
    struct bqb_decoder_worker *crew; /* of decoder_batch.c */
    size_t n_crew;
};

struct bqb_decoder_past {
    const bqb_decoder *m;
    size_t n, room, row; /* row: G·d numbers */
    char *k, *v;         /* [layers, room, G·d] in the decoder's num */
};

/* What one block keeps of n tokens for the gradient; NULL fields are not kept. */
typedef struct {
    float *x1, *x2;      /* [n,C] into the two norms */
    float *q_raw, *k_raw; /* [n,H·d], [n,G·d] before their norms; only where there are such */
    float *q;            /* [n,H·d] rotated */
    float *prob;         /* [H,n,all] attention */
    float *gate, *up;    /* [n,M] */
    float *mixed;        /* [n,H·d] out of attention; only where weights learn */
} bqb_decoder_saved;

/* Everything but files and weights; m->config is set. */
bqb_status bqb_decoder_tools(bqb_decoder *m, bqb_precision precision, int threads, bqb_err *err);

/* Free what bqb_decoder_learn_batch left to be used again. */
void bqb_decoder_crew_free(bqb_decoder *m);

/* Steps that forward and backward share. */
float *bqb_decoder_take(bqb_decoder *m, size_t n); /* f32 from the pass's arena; NULL sets no_memory */
void bqb_decoder_rotate(bqb_decoder *m, float *x, size_t heads, size_t n, size_t first, bool back);

/* One block: x[n,C] becomes its output, keys and values go behind the past's n (which stays). v: what to
 * keep for the gradient, or NULL; then attention is _kept's, over all of the past at once in f32. */
void bqb_decoder_pass(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *x, const bqb_decoder_saved *v, size_t n);
/* out[n,H·d] of the queries q[n,H·d], which stand behind the past; its keys and values are there already. */
void bqb_decoder_attend(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *out, const float *q, size_t n);
void bqb_decoder_attend_kept(bqb_decoder *m, const bqb_decoder_past *past, size_t layer, float *out, const bqb_decoder_saved *v, size_t n);

bqb_status bqb_decoder_finish(bqb_decoder *m, bqb_err *err); /* what went wrong in the products; the arena is empty then */

/* Visit every tensor of a decoder under its Hugging Face name; rows 0 is a vector of cols numbers, and
 * one of the two pointers: to the matrix, or to the vector's. Non-zero from fn stops. */
typedef struct {
    const char *name;
    size_t rows, cols;
    bqb_matrix *matrix;
    float **vector;
} bqb_decoder_tensor;
typedef int (*bqb_decoder_tensor_fn)(void *ctx, const bqb_decoder_tensor *t);
int bqb_decoder_each_tensor(bqb_decoder *m, bqb_decoder_tensor_fn fn, void *ctx);

/* "blk.2.ffn_up.weight" of "model.layers.2.mlp.up_proj.weight": what a GGUF file calls it; in `out`, or the name itself. */
const char *bqb_decoder_gguf_name(char out[128], const char *name);

/* Mean cross-entropy over `learnt` tokens of logits[n,V], which become its gradient; next[t] is the token that follows
 * row t, -1: not learnt, -2 - c: one of choice[c]. Returns the rows' share of the mean. */
double bqb_decoder_cross_entropy(const bqb_decoder *m, float *logits, const int32_t *next, const bqb_decoder_choice *choice, size_t n, size_t learnt);

/* Where m->grad is: the gradient of a norm's gamma, of a matrix and its bias (NULL: none), from dy and the layer's input. */
void bqb_decoder_grad_norm(bqb_decoder *m, float *gamma, const float *dy, const float *x, size_t n, size_t C);
float *bqb_decoder_grad_of(const bqb_decoder *m, const float *weight);
void bqb_decoder_grad_matrix(bqb_decoder *m, const bqb_matrix *w, float *bias, const float *dy, const float *x, size_t n);

/* Fill m's weights from its file; m->config is read, m->turn made. path is for messages. */
bqb_status bqb_decoder_load(bqb_decoder *m, const char *path, bqb_err *err);

#endif
