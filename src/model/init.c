/* The start of a model that learns from nothing.
 *
 * Picture tower. Patches: a cosine transform, low frequencies first, more of
 * brightness than of colour; a random projection would throw two thirds of a
 * patch away. Positions: two-dimensional sines, so that near is similar.
 * Attention: queries are like keys, so that tokens look at their like and their
 * neighbours, and projection undoes values with the sign turned.
 *   Source: Trockman and Kolter, Mimetic Initialization of Self-Attention Layers, arXiv:2305.09828.
 * The MLP and the scale of the residual side follow CLIP's text transformer
 * (std (2C)^-0.5 and C^-0.5 (2·layers)^-0.5; arXiv:2103.00020).
 *
 * Text tower. BERT's 0.02 is meant for a width of 768; other widths keep its
 * gain: 0.02·sqrt(768/C). A causal one starts as CLIP's own does. */
#include "model/layout.h"

#include "base/mem.h"
#include "base/rand.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static void fill_normal(float *w, size_t n, double std, bqb_rand *r) {
    for (size_t i = 0; i < n; i++) w[i] = (float)(std * bqb_rand_normal(r));
}

/* Frequencies (u,v) of a P×P cosine transform in rising order of u²+v². */
typedef struct {
    size_t u, v;
} frequency;

static int by_height(const void *a, const void *b) {
    const frequency *x = a, *y = b;
    size_t hx = x->u * x->u + x->v * x->v, hy = y->u * y->u + y->v * y->v;
    if (hx != hy) return hx < hy ? -1 : 1;
    return x->u < y->u ? -1 : x->u > y->u;
}

/* Filter c of the convolution: brightness takes five eighths of the filters, two
 * colour differences share the rest. Pictures have about 1/f of their contrast at
 * frequency f, so filters grow with it and all answer about equally strongly. */
static void fill_patches(float *w, const bqb_clip_config *c, frequency *order, bqb_rand *r) {
    static const double channel[3][3] = {{0.577, 0.577, 0.577}, {0.707, 0.0, -0.707}, {-0.408, 0.816, -0.408}};
    size_t P = c->patch, C = c->v_width, used[3] = {0, 0, 0};
    for (size_t u = 0; u < P; u++)
        for (size_t v = 0; v < P; v++) order[u * P + v] = (frequency){u, v};
    qsort(order, P * P, sizeof *order, by_height);
    for (size_t k = 0; k < C; k++, w += 3 * P * P) {
        static const size_t turn[8] = {0, 1, 0, 2, 0, 0, 1, 0};
        size_t kind = turn[k % 8] == 1 && k / 8 % 2 ? 2 : turn[k % 8];
        if (used[kind] >= P * P) {
            fill_normal(w, 3 * P * P, 1.0 / sqrt(3.0 * (double)(P * P)), r);
            continue;
        }
        frequency f = order[used[kind]++];
        double height = sqrt((double)(f.u * f.u + f.v * f.v)), gain = (1.0 + height) / (double)P;
        if (gain > 0.5) gain = 0.5;
        if (kind) gain *= 1.5;
        double norm = (f.u ? sqrt(2.0) : 1.0) * (f.v ? sqrt(2.0) : 1.0) / (double)P;
        for (size_t ch = 0; ch < 3; ch++)
            for (size_t y = 0; y < P; y++)
                for (size_t x = 0; x < P; x++) {
                    double wave = cos(PI * ((double)y + 0.5) * (double)f.v / (double)P) *
                                  cos(PI * ((double)x + 0.5) * (double)f.u / (double)P);
                    w[(ch * P + y) * P + x] = (float)(channel[kind][ch] * gain * norm * wave);
                }
    }
}

/* Rows 1 … grid²: a quarter of the width each for sin and cos of column and row, at
 * wavelengths from 2 patches to 8 times the grid. Row 0, the class token's, is random. */
static void fill_positions(float *w, const bqb_clip_config *c, bqb_rand *r) {
    size_t C = c->v_width, grid = c->resolution / c->patch, quarter = C / 4;
    fill_normal(w, C, 0.02, r);
    w += C;
    for (size_t i = 0; i < grid * grid; i++, w += C) {
        fill_normal(w, C, 0.02, r);
        for (size_t k = 0; k < quarter; k++) {
            double part = quarter > 1 ? (double)k / (double)(quarter - 1) : 0.0;
            double angle = PI * pow(8.0 * (double)grid / 2.0 + 1.0, -part);
            double x = angle * (double)(i % grid), y = angle * (double)(i / grid);
            w[k] += (float)(0.4 * sin(x));
            w[quarter + k] += (float)(0.4 * cos(x));
            w[2 * quarter + k] += (float)(0.4 * sin(y));
            w[3 * quarter + k] += (float)(0.4 * cos(y));
        }
    }
}

/* n orthonormal rows of width C, n <= C (Gram-Schmidt on random rows). */
static void fill_orthonormal(double *q, size_t n, size_t C, bqb_rand *r) {
    for (size_t i = 0; i < n; i++) {
        double *row = q + i * C, length = 0;
        for (size_t k = 0; k < C; k++) row[k] = bqb_rand_normal(r);
        for (int again = 0; again < 2; again++)
            for (size_t j = 0; j < i; j++) {
                double dot = 0;
                for (size_t k = 0; k < C; k++) dot += row[k] * q[j * C + k];
                for (size_t k = 0; k < C; k++) row[k] -= dot * q[j * C + k];
            }
        for (size_t k = 0; k < C; k++) length += row[k] * row[k];
        length = sqrt(length);
        for (size_t k = 0; k < C; k++) row[k] /= length;
    }
}

/* Queries like keys: head by head the same orthonormal rows, blurred. Values Q and
 * projection -Qᵀ, so that their product is near -I. Scratch: q [C/heads, C], share [C]. */
static void fill_attention(float *block, const bqb_block *b, const bqb_clip_config *c, double *q, uint32_t *share,
                           bqb_rand *r) {
    static const double ALIKE = 0.6, UNDO = 0.4, BLUR = 0.4;
    size_t C = c->v_width, hd = C / c->v_heads;
    double noise = BLUR / sqrt((double)C);
    float *wq = block + b->qkv.w, *wk = wq + C * C, *wv = wk + C * C, *wo = block + b->proj.w;
    for (size_t h = 0; h < c->v_heads; h++) {
        fill_orthonormal(q, hd, C, r);
        for (size_t i = 0; i < hd * C; i++) {
            wq[h * hd * C + i] = (float)(sqrt(ALIKE) * q[i] + noise * bqb_rand_normal(r));
            wk[h * hd * C + i] = (float)(sqrt(ALIKE) * q[i] + noise * bqb_rand_normal(r));
        }
    }
    /* Each head turns its own share of the width, chosen at random, so that a wide tower costs no more a row. */
    for (size_t i = 0; i < C; i++) share[i] = (uint32_t)i;
    bqb_rand_shuffle(r, share, C);
    double part = 1.0 / sqrt(2.0 * (double)c->v_layers);
    for (size_t i = 0; i < C * C; i++) {
        wv[i] = (float)(noise * bqb_rand_normal(r));
        wo[i] = (float)(part * noise * bqb_rand_normal(r));
    }
    for (size_t h = 0; h < c->v_heads; h++) {
        fill_orthonormal(q, hd, hd, r);
        for (size_t i = 0; i < hd; i++)
            for (size_t k = 0; k < hd; k++) {
                size_t row = h * hd + i, col = share[h * hd + k];
                wv[row * C + col] += (float)(sqrt(UNDO) * q[i * hd + k]);
                wo[col * C + row] -= (float)(sqrt(UNDO) * q[i * hd + k]);
            }
    }
}

static bool is(const bqb_param *p, const char *part) { return strstr(p->name, part) != NULL; }

/* The text transformer of CLIP, as in its paper's code. */
static double causal_std(const bqb_param *p, const bqb_clip_config *c) {
    double width = 1.0 / sqrt((double)c->t_width), residual = 1.0 / sqrt(2.0 * (double)c->t_layers);
    if (is(p, "token_embedding")) return 0.02;
    if (is(p, "positional_embedding")) return 0.01;
    if (is(p, "out_proj") || is(p, "c_proj")) return width * residual;
    return is(p, "c_fc") ? width / sqrt(2.0) : width;
}

bqb_status bqb_layout_init(const bqb_layout_map *map, const bqb_clip_config *c, float *block, uint64_t seed,
                           bqb_err *err) {
    size_t C = c->v_width;
    double *scratch = bqb_calloc(C * C / c->v_heads, sizeof *scratch);
    uint32_t *share = bqb_calloc(C, sizeof *share);
    frequency *order = bqb_calloc(c->patch * c->patch, sizeof *order);
    if (!scratch || !share || !order) {
        free(scratch);
        free(share);
        free(order);
        return bqb_fail_nomem(err, "weights", C * C * sizeof *scratch);
    }
    double width = 1.0 / sqrt((double)C), residual = 1.0 / sqrt(2.0 * (double)c->v_layers);
    double text = 0.02 * sqrt(768.0 / (double)c->t_width);
    for (size_t i = 0; i < map->n_params; i++) {
        const bqb_param *p = &map->param[i];
        float *w = block + p->offset;
        bqb_rand r = bqb_rand_seed(seed, i);
        bool bias = is(p, "bias"), gain = p->n_dims == 1 && !bias && is(p, "weight");
        double std = map->names[i].tower == BQB_TOWER_TEXT ? (is(p, "embeddings") ? 0.02 : text) : width;
        bool causal = map->names[i].tower == BQB_TOWER_TEXT && c->t_kind == BQB_TEXT_CAUSAL;
        if (is(p, "mlp.c_fc.")) std = 1.0 / sqrt(2.0 * (double)C);
        if (is(p, "mlp.c_proj.")) std = width * residual;
        if (causal) std = causal_std(p, c);
        if (p->offset == map->t_proj) std = 1.0 / sqrt((double)c->t_width);
        if (p->offset == map->logit_scale) *w = (float)log(1.0 / 0.07);
        else if (bias || gain)
            for (size_t k = 0; k < p->n; k++) w[k] = gain ? 1.0f : 0.0f;
        else if (p->offset == map->conv) fill_patches(w, c, order, &r);
        else if (p->offset == map->v_pos) fill_positions(w, c, &r);
        else if (causal || !is(p, ".attn.")) fill_normal(w, p->n, std, &r);
    }
    for (size_t i = 0; i < c->v_layers; i++) {
        bqb_rand r = bqb_rand_seed(seed, map->n_params + i);
        fill_attention(block, &map->v_block[i], c, scratch, share, &r);
    }
    free(scratch);
    free(share);
    free(order);
    return BQB_OK;
}
