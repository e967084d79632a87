/* A pre-norm transformer block, as both CLIP towers have it:
 *   x + Attention(ln1(x)), then that + fc2(act(fc1(ln2(that)))).
 * Sizes as in tower.h; Q asking rows. */
#ifndef BQB_MODEL_PRENORM_H
#define BQB_MODEL_PRENORM_H

#include "model/tower.h"

typedef struct {
    size_t width, mlp, heads; /* C, M, H */
    float eps;
    bqb_act act;
    bqb_rows rows; /* which rows ask: the block's output has no others */
} bqb_prenorm;

/* What forward keeps for backward, in the arena. */
typedef struct {
    const float *x;       /* [R,C] input of the block */
    void *h1;             /* [R,C] dt */
    float *mean1, *rstd1; /* [R] */
    void *qkv, *probs;    /* [R,3C] dt */
    void *attn;           /* [Q,C] dt */
    float *mid;           /* [Q,C] after attention */
    void *h2;             /* [Q,C] dt */
    float *mean2, *rstd2; /* [Q] */
    void *up, *act;       /* [Q,M] dt, before and after the activation */
    float *out;           /* [Q,C] */
} bqb_prenorm_saved;

/* out [Q,C] from x [R,C]. In training (keep) everything stays in `b`, or, where p->checkpoint,
 * only x and out do; otherwise the arena is as it was, and out may be x itself when every row asks. */
void bqb_prenorm_fwd(bqb_pass *p, const bqb_prenorm *k, const bqb_block *w, bqb_prenorm_saved *b, const float *x,
                     float *out, const bqb_sequences *s, bool keep);

/* dx holds d(out) [Q,C] on entry. Where p->checkpoint, the block is first computed once more from b->x, by
 * the same kernels and so to the same bits. Returns d(x) [R,C]: dx itself, or new memory where not every row asks. */
float *bqb_prenorm_bwd(bqb_pass *p, const bqb_prenorm *k, const bqb_block *w, const bqb_prenorm_saved *b, float *dx,
                       const bqb_sequences *s);

/* A tower's blocks, one above the other: all alike, but that `last` says which rows
 * ask in the topmost one. */
typedef struct {
    bqb_prenorm block;
    bqb_rows last;
    size_t n;           /* blocks of the tower */
    const bqb_block *w; /* [n] */
} bqb_prenorm_stack;

/* Blocks from … to-1 on x. Of those that learn everything that backward needs stays in b [n] where `save`. Returns
 * the topmost one's output: x itself where nothing is kept and every row asks. */
float *bqb_prenorm_stack_fwd(bqb_pass *p, const bqb_prenorm_stack *k, bqb_prenorm_saved *b, float *x,
                             const bqb_sequences *s, size_t from, size_t to, bool save, const bqb_trace *trace);

/* From the top to the lowest block that learns: dx as in bqb_prenorm_bwd. */
float *bqb_prenorm_stack_bwd(bqb_pass *p, const bqb_prenorm_stack *k, const bqb_prenorm_saved *b, float *dx,
                             const bqb_sequences *s);

#endif
