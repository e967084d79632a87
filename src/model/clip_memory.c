/* How much memory a training step takes, from the sizes alone: what vit.c, bert.c,
 * causal.c, prenorm.c and attention.c ask their arena for, added up in the same order.
 * tests/unit/test_clip_memory.c holds it to what the arenas really gave. */
#include "model/clip_internal.h"

/* One tower's blocks over a pass of S sequences of T rows. */
typedef struct {
    double C, M, H, S, T, e; /* e: bytes of an activation in the pass's format */
    bool post;               /* BERT's block, which keeps its sums before LayerNorm */
    size_t layers, frozen;
    bool checkpoint;
} pass_size;

static double larger(double a, double b) { return a > b ? a : b; }

/* Attention's scores and their gradient, a slice at a time. */
static double slice_bytes(const pass_size *z) {
    enum { SLICE = 96 * 1024 };
    double all = z->S * z->H * z->T * z->T;
    return larger(all < SLICE ? all : SLICE, z->T * z->T) * (4 + z->e);
}

/* What a learning block keeps of R rows of which Q ask, without its output. */
static double kept_bytes(const pass_size *z, double Q) {
    double R = z->S * z->T, C = z->C, half = z->e == 2 ? 2 : 0;
    double common = 3 * R * C * z->e + z->H * Q * z->T * z->e + Q * C * z->e + 2 * Q * z->M * z->e + 8 * Q;
    if (z->post) return common + R * C * half + 3 * 4 * Q * C + Q * C * half + 8 * Q;
    return common + R * C * z->e + 8 * R + 4 * Q * C + Q * C * z->e;
}

/* Scratch of a frozen block's forward. */
static double passing_bytes(const pass_size *z) {
    double R = z->S * z->T, C = z->C, half = z->e == 2 ? 2 : 0;
    double common = 3 * R * C * z->e + R * C * z->e + R * z->M * z->e + slice_bytes(z);
    return common + (z->post ? 3 * 4 * R * C + 2 * R * C * half + 16 * R : 2 * R * C * z->e + 16 * R);
}

/* Scratch of a learning block's backward; with checkpoints its activations too. */
static double backward_bytes(const pass_size *z, double Q) {
    double R = z->S * z->T, C = z->C, half = z->e == 2 ? 2 : 0;
    return Q * z->M * z->e + 4 * R * C + 2 * Q * C * half + Q * C * z->e + 3 * R * C * z->e +
           slice_bytes(z) + (z->checkpoint ? kept_bytes(z, Q) : 0);
}

/* Bytes that a pass keeps from forward to backward, and the most that it has on top of them meanwhile. */
typedef struct {
    double kept, scratch;
} pass_bytes;

/* input: of the first block, with what its own gradient needs when nothing is frozen; embed: scratch to get there. */
static pass_bytes pass_of(const pass_size *z, double input, double embed, bool whole_frozen) {
    double R = z->S * z->T, C = z->C;
    size_t learning = z->layers - z->frozen;
    pass_bytes b = {.kept = input + 64 * (double)z->layers * 2 + 4 * z->S * C * 3};
    if (whole_frozen) {
        b.scratch = larger(embed, passing_bytes(z));
        return b;
    }
    for (size_t i = z->frozen; i < z->layers; i++) {
        double Q = i + 1 < z->layers ? R : z->S, keep = kept_bytes(z, Q);
        b.kept += 4 * Q * C + (z->checkpoint ? 0 : keep);
        b.scratch = larger(b.scratch, (z->checkpoint ? keep : 0) + slice_bytes(z));
    }
    if (z->frozen) b.scratch = larger(b.scratch, passing_bytes(z));
    b.scratch = larger(b.scratch, embed);
    double back = 0;
    if (learning) back = 4 * R * C + larger(backward_bytes(z, z->S), learning > 1 ? backward_bytes(z, R) : 0);
    if (!z->frozen) back = larger(back, 4 * R * C + embed);
    b.scratch = larger(b.scratch, back + 4 * z->S * C);
    return b;
}

/* Of one worker: `n` sequences in passes of `most`. Caching keeps nothing between them. */
static pass_bytes tower_bytes(pass_size z, double n, double most, double per_sequence, double input_row, double embed_row,
                          bool chunk, bool whole_frozen) {
    z.S = n < most ? n : most;
    double R = z.S * z.T, passes = n / z.S;
    pass_bytes b = pass_of(&z, z.S * per_sequence + R * input_row, R * embed_row, whole_frozen);
    if (chunk || whole_frozen) return (pass_bytes){.scratch = b.kept + b.scratch};
    return (pass_bytes){.kept = passes * b.kept, .scratch = b.scratch};
}

static pass_bytes image_bytes(const bqb_clip_config *c, const bqb_clip_plan *p, double frames) {
    size_t side = c->resolution / c->patch, K = p->n_keep ? p->n_keep : side * side;
    double C = (double)c->v_width, in = 3.0 * (double)(c->patch * c->patch), e = p->precision == BQB_PREC_BF16 ? 2 : 4;
    bool whole = p->frozen.towers & BQB_TOWER_IMAGE;
    pass_size z = {.C = C, .M = (double)c->v_mlp, .H = (double)c->v_heads, .T = 1 + (double)K, .e = e,
                   .layers = c->v_layers, .frozen = whole ? c->v_layers : p->frozen.v_blocks, .checkpoint = p->checkpoint};
    double most = BQB_PASS_ROWS / (K + 1) ? (double)(BQB_PASS_ROWS / (K + 1)) : 1;
    if (p->chunk && (double)p->chunk < most) most = (double)p->chunk;
    double own = 4 * C + 8 + in * e, scratch = 4 * C + (e == 2 ? 4 * in : 0);
    double pixels = 12.0 * (double)(c->resolution * c->resolution) / (double)(K + 1) / most;
    if (p->image_trunk) own = scratch = pixels = 0;
    if (whole && p->image_trunk) return (pass_bytes){0};
    double input = 4 * C + (z.frozen ? 0 : own), embed = scratch + pixels + (z.frozen ? own : 0);
    return tower_bytes(z, frames, most, 0, input, embed, p->chunk, whole);
}

static pass_bytes text_bytes(const bqb_clip_config *c, const bqb_clip_plan *p, double texts) {
    double C = (double)c->t_width, T = (double)p->L, most = p->L < BQB_PASS_ROWS ? (double)(BQB_PASS_ROWS / p->L) : 1;
    bool whole = p->frozen.towers & BQB_TOWER_TEXT, causal = c->t_kind == BQB_TEXT_CAUSAL;
    pass_size z = {.C = C, .M = (double)c->t_mlp, .H = (double)c->t_heads, .T = T, .post = !causal,
                   .e = p->precision == BQB_PREC_BF16 ? 2 : 4, .layers = c->t_layers,
                   .frozen = whole ? c->t_layers : p->frozen.t_blocks, .checkpoint = p->checkpoint};
    if (p->chunk && (double)p->chunk < most) most = (double)p->chunk;
    double own = p->text_trunk || causal ? 0 : 4 * C + 8;
    if (whole && p->text_trunk) return (pass_bytes){0};
    double input = 4 * C + 4 + (z.frozen ? 0 : own);
    return tower_bytes(z, texts, most, 4 * (double)c->embed * 2, input, z.frozen ? own : 0, p->chunk, whole);
}

bqb_status bqb_clip_train_bytes(bqb_clip_bytes *out, const bqb_clip_config *c, const bqb_clip_plan *p, bqb_err *err) {
    bqb_layout_map map;
    bqb_status s = bqb_layout_new(&map, c, err);
    if (s) return s;
    double n = (double)map.n_floats, N = (double)p->N, F = (double)p->frames, P = N * F, D = (double)c->embed;
    bqb_layout_free(&map);
    if (!p->N || !p->frames || !p->L || p->threads < 1 || p->frozen.v_blocks > c->v_layers || p->frozen.t_blocks > c->t_layers)
        return bqb_fail(err, BQB_EINVAL, "a step of %zu pairs of %zu frames and %zu tokens on %d threads", p->N, p->frames,
                        p->L, p->threads);
    double workers = (double)p->threads < N ? (double)p->threads : N;
    pass_bytes image = image_bytes(c, p, P / workers), text = text_bytes(c, p, N / workers);
    /* What both towers keep waits together for the loss; a picture tower that keeps nothing is done before the texts. */
    double active = image.kept + text.kept + text.scratch;
    active = larger(active, image.scratch + (image.kept > 0 ? image.kept + text.kept : 0));
    double block = N * N < 1048576 ? N * N : larger(1048576, N);
    bool bf16 = p->precision == BQB_PREC_BF16;
    *out = (bqb_clip_bytes){
        .weights = (uint64_t)(n * (bf16 ? 6 : 4)),
        .gradients = (uint64_t)(n * 4 * workers),
        .moments = (uint64_t)(n * 8),
        .activations = (uint64_t)(active * workers),
        .loss = (uint64_t)(4 * (2 * (P + N) * D + 4 * N * D + 3 * block + 8 * N)),
    };
    out->total = out->weights + out->gradients + out->moments + out->activations + out->loss;
    return BQB_OK;
}
