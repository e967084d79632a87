/* The inside of a bqb_decoder, for the files that make it up. */
#ifndef BQB_MODEL_DECODER_INTERNAL_H
#define BQB_MODEL_DECODER_INTERNAL_H

#include "file/gguf.h"
#include "file/safetensors.h"
#include "math/matrix.h"
#include "math/ops.h"
#include "model/decoder.h"

/* One block's weights. Small ones are copied to f32, the matrices stay where they are stored. */
typedef struct {
    bqb_matrix q, k, v, o, gate, up, down;
    float *q_bias, *k_bias, *v_bias; /* NULL: none */
    float *norm1, *norm2;            /* [C] */
    float *q_norm, *k_norm;          /* [d], NULL: none */
} bqb_decoder_block;

struct bqb_decoder {
    bqb_decoder_config config;
    bqb_safetensors *file; /* one of the two */
    bqb_gguf *gguf;
    bqb_matrix embed, head; /* [V,C] */
    float *norm;            /* [C] */
    bqb_decoder_block *block;
    float *small;           /* all the f32 copies */
    double *turn;           /* [d/2] angle of each pair per position */
    const bqb_ops *ops;
    bqb_multiplier mul;
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
} bqb_decoder_saved;

/* Steps that forward and backward share. */
float *bqb_decoder_take(bqb_decoder *m, size_t n); /* f32 from the pass's arena; NULL sets no_memory */
void bqb_decoder_rotate(const bqb_decoder *m, float *x, size_t heads, size_t n, size_t first, bool back);
void bqb_decoder_keep(const bqb_decoder *m, const bqb_decoder_past *past, char *to, size_t layer, const float *rows, size_t n);
bqb_status bqb_decoder_finish(bqb_decoder *m, bqb_err *err); /* what went wrong in the products; the arena is empty then */

/* Fill m's weights from its file; m->config is read, m->turn made. path is for messages. */
bqb_status bqb_decoder_load(bqb_decoder *m, const char *path, bqb_err *err);

#endif
