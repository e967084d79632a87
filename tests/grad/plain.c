#include "grad/plain.h"

#include "grad/gradcheck.h"
#include "test.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double plain_gelu(double x) { return 0.5 * x * erfc(-x / sqrt(2.0)); }
double plain_quick_gelu(double x) { return x / (1 + exp(-1.702 * x)); }

void plain_layernorm(double *y, const double *x, const double *gamma, const double *beta, double eps,
                     size_t N, size_t C) {
    for (size_t n = 0; n < N; n++) {
        double mean = 0, var = 0;
        for (size_t c = 0; c < C; c++) mean += x[n * C + c] / (double)C;
        for (size_t c = 0; c < C; c++) var += (x[n * C + c] - mean) * (x[n * C + c] - mean) / (double)C;
        for (size_t c = 0; c < C; c++)
            y[n * C + c] = (x[n * C + c] - mean) / sqrt(var + eps) * gamma[c] + beta[c];
    }
}

void plain_softmax(double *p, const double *s, double scale, size_t N, size_t T) {
    for (size_t n = 0; n < N; n++) {
        double top = -HUGE_VAL, sum = 0;
        for (size_t t = 0; t < T; t++) top = fmax(top, scale * s[n * T + t]);
        for (size_t t = 0; t < T; t++) sum += p[n * T + t] = exp(scale * s[n * T + t] - top);
        for (size_t t = 0; t < T; t++) p[n * T + t] /= sum;
    }
}

void plain_l2norm(double *y, const double *x, size_t N, size_t D) {
    for (size_t n = 0; n < N; n++) {
        double sq = 0;
        for (size_t d = 0; d < D; d++) sq += x[n * D + d] * x[n * D + d];
        for (size_t d = 0; d < D; d++) y[n * D + d] = x[n * D + d] / fmax(sqrt(sq), 1e-12);
    }
}

void plain_linear(double *y, const double *x, const double *w, const double *b, size_t R, size_t out,
                  size_t in) {
    for (size_t r = 0; r < R; r++)
        for (size_t o = 0; o < out; o++) {
            double sum = b ? b[o] : 0;
            for (size_t i = 0; i < in; i++) sum += x[r * in + i] * w[o * in + i];
            y[r * out + o] = sum;
        }
}

void plain_head_row(double *out, const double *qkv, size_t row, size_t keys, size_t C, size_t heads, size_t h) {
    size_t hd = C / heads;
    double *score = GRAD_DOUBLES(keys);
    const double *q = qkv + row * 3 * C + h * hd;
    for (size_t k = 0; k < keys; k++) {
        score[k] = 0;
        for (size_t d = 0; d < hd; d++) score[k] += q[d] * qkv[k * 3 * C + C + h * hd + d];
    }
    plain_softmax(score, score, 1 / sqrt((double)hd), 1, keys);
    for (size_t d = 0; d < hd; d++) {
        out[d] = 0;
        for (size_t k = 0; k < keys; k++) out[d] += score[k] * qkv[k * 3 * C + 2 * C + h * hd + d];
    }
    free(score);
}

void plain_head(double *out, const double *qkv, size_t len, size_t keys, size_t asks, size_t C, size_t heads,
                size_t h) {
    for (size_t a = 0; a < asks && a < len; a++)
        plain_head_row(out + a * (C / heads), qkv, a, keys, C, heads, h);
}

double plain_contrastive(const double *img, const double *txt, double log_scale, size_t N, size_t D,
                         const uint32_t *text_group, const uint32_t *image_group) {
    double loss = 0, scale = exp(log_scale), *right = malloc(N * sizeof *right);
    for (size_t side = 0; side < 2 && right; side++)
        for (size_t i = 0; i < N; i++) {
            const double *ask = (side ? img : txt) + i * D;
            double wrong = 0, own = 0;
            size_t n_right = 0;
            for (size_t k = 0; k < N; k++) {
                double dot = 0;
                for (size_t d = 0; d < D; d++) dot += ask[d] * ((side ? txt : img) + k * D)[d];
                if (k == i || (text_group && text_group[k] == text_group[i]) ||
                    (image_group && image_group[k] == image_group[i]))
                    right[n_right++] = exp(scale * dot);
                else wrong += exp(scale * dot);
            }
            for (size_t k = 0; k < n_right; k++) own += log((right[k] + wrong) / right[k]);
            loss += own / (double)n_right / (double)(2 * N);
        }
    free(right);
    return loss;
}

static const double *named(const plain_model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const double *named(const plain_model *m, const char *fmt, ...) {
    char name[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    static size_t last; /* they are asked for nearly in order */
    for (size_t i = 0; i < m->n_params; i++) {
        size_t at = (last + i) % m->n_params;
        if (strcmp(m->param[at].name, name)) continue;
        last = at;
        return m->weights + m->param[at].offset;
    }
    printf("  no parameter %s\n", name);
    exit(2);
}

/* All heads side by side: out[len,C] */
static void attention(double *out, const double *qkv, size_t len, size_t C, size_t heads, bool causal) {
    size_t hd = C / heads;
    double *one = GRAD_DOUBLES(len * hd);
    for (size_t h = 0; h < heads; h++) {
        for (size_t r = 0; r < len; r++) plain_head_row(one + r * hd, qkv, r, causal ? r + 1 : len, C, heads, h);
        for (size_t r = 0; r < len; r++) memcpy(out + r * C + h * hd, one + r * hd, hd * sizeof *out);
    }
    free(one);
}

static void project(double *feature, const double *x, const double *w, size_t C, size_t D) {
    for (size_t d = 0; d < D; d++) {
        feature[d] = 0;
        for (size_t c = 0; c < C; c++) feature[d] += x[c] * w[c * D + d];
    }
}

static void add(double *x, const double *y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

/* A block of the picture tower, or (image false) of a causal text tower. */
static void prenorm_block(const plain_model *m, double *x, size_t T, bool image, size_t layer) {
    const bqb_clip_config *c = m->config;
    size_t C = image ? c->v_width : c->t_width, M = image ? c->v_mlp : c->t_mlp;
    double eps = (double)(image ? c->v_eps : c->t_eps);
    bqb_act act = image ? c->v_act : c->t_act;
    char at[64];
    snprintf(at, sizeof at, "%stransformer.resblocks.%zu", image ? "visual." : "", layer);
    double *h = GRAD_DOUBLES(T * C), *qkv = GRAD_DOUBLES(T * 3 * C), *a = GRAD_DOUBLES(T * C),
           *up = GRAD_DOUBLES(T * M);
    plain_layernorm(h, x, named(m, "%s.ln_1.weight", at), named(m, "%s.ln_1.bias", at), eps, T, C);
    plain_linear(qkv, h, named(m, "%s.attn.in_proj_weight", at), named(m, "%s.attn.in_proj_bias", at), T,
                 3 * C, C);
    attention(a, qkv, T, C, image ? c->v_heads : c->t_heads, !image);
    plain_linear(h, a, named(m, "%s.attn.out_proj.weight", at), named(m, "%s.attn.out_proj.bias", at), T, C,
                 C);
    add(x, h, T * C);
    plain_layernorm(h, x, named(m, "%s.ln_2.weight", at), named(m, "%s.ln_2.bias", at), eps, T, C);
    plain_linear(up, h, named(m, "%s.mlp.c_fc.weight", at), named(m, "%s.mlp.c_fc.bias", at), T, M, C);
    for (size_t i = 0; i < T * M; i++)
        up[i] = act == BQB_ACT_GELU ? plain_gelu(up[i]) : plain_quick_gelu(up[i]);
    plain_linear(h, up, named(m, "%s.mlp.c_proj.weight", at), named(m, "%s.mlp.c_proj.bias", at), T, C, M);
    add(x, h, T * C);
    free(h);
    free(qkv);
    free(a);
    free(up);
}

void plain_vit(double *feature, const plain_model *m, const float *pixels, const uint16_t *keep,
               size_t n_keep) {
    const bqb_clip_config *c = m->config;
    size_t C = c->v_width, P = c->patch, R = c->resolution, grid = R / P, K = keep ? n_keep : grid * grid,
           T = K + 1;
    const double *conv = named(m, "visual.conv1.weight"), *pos = named(m, "visual.positional_embedding");
    double *x = GRAD_DOUBLES(T * C);
    memcpy(x, named(m, "visual.class_embedding"), C * sizeof *x);
    add(x, pos, C);
    for (size_t k = 0; k < K; k++) {
        size_t patch = keep ? keep[k] : k, py = patch / grid, px = patch % grid;
        for (size_t o = 0; o < C; o++) {
            double sum = pos[(1 + patch) * C + o];
            for (size_t ch = 0; ch < 3; ch++)
                for (size_t i = 0; i < P; i++)
                    for (size_t j = 0; j < P; j++)
                        sum += conv[((o * 3 + ch) * P + i) * P + j] *
                               (double)pixels[(ch * R + py * P + i) * R + px * P + j];
            x[(1 + k) * C + o] = sum;
        }
    }
    plain_layernorm(x, x, named(m, "visual.ln_pre.weight"), named(m, "visual.ln_pre.bias"), (double)c->v_eps,
                    T, C);
    for (size_t i = 0; i < c->v_layers; i++) prenorm_block(m, x, T, true, i);
    plain_layernorm(x, x, named(m, "visual.ln_post.weight"), named(m, "visual.ln_post.bias"),
                    (double)c->v_eps, 1, C);
    project(feature, x, named(m, "visual.proj"), C, c->embed);
    free(x);
}

static void bert_layer(const plain_model *m, double *x, size_t T, size_t layer) {
    static const char *const part[3] = {"query", "key", "value"};
    const bqb_clip_config *c = m->config;
    size_t C = c->t_width, M = c->t_mlp;
    char at[64];
    snprintf(at, sizeof at, "bert.encoder.layer.%zu", layer);
    double *h = GRAD_DOUBLES(T * C), *qkv = GRAD_DOUBLES(T * 3 * C), *a = GRAD_DOUBLES(T * C),
           *up = GRAD_DOUBLES(T * M);
    for (size_t k = 0; k < 3; k++) {
        plain_linear(h, x, named(m, "%s.attention.self.%s.weight", at, part[k]),
                     named(m, "%s.attention.self.%s.bias", at, part[k]), T, C, C);
        for (size_t r = 0; r < T; r++) memcpy(qkv + (r * 3 + k) * C, h + r * C, C * sizeof *h);
    }
    attention(a, qkv, T, C, c->t_heads, false);
    plain_linear(h, a, named(m, "%s.attention.output.dense.weight", at),
                 named(m, "%s.attention.output.dense.bias", at), T, C, C);
    add(x, h, T * C);
    plain_layernorm(x, x, named(m, "%s.attention.output.LayerNorm.weight", at),
                    named(m, "%s.attention.output.LayerNorm.bias", at), (double)c->t_eps, T, C);
    plain_linear(up, x, named(m, "%s.intermediate.dense.weight", at),
                 named(m, "%s.intermediate.dense.bias", at), T, M, C);
    for (size_t i = 0; i < T * M; i++)
        up[i] = c->t_act == BQB_ACT_GELU ? plain_gelu(up[i]) : plain_quick_gelu(up[i]);
    plain_linear(h, up, named(m, "%s.output.dense.weight", at), named(m, "%s.output.dense.bias", at), T, C,
                 M);
    add(x, h, T * C);
    plain_layernorm(x, x, named(m, "%s.output.LayerNorm.weight", at),
                    named(m, "%s.output.LayerNorm.bias", at), (double)c->t_eps, T, C);
    free(h);
    free(qkv);
    free(a);
    free(up);
}

void plain_bert(double *feature, const plain_model *m, const int32_t *ids, size_t len) {
    const bqb_clip_config *c = m->config;
    size_t C = c->t_width;
    double *x = GRAD_DOUBLES(len * C);
    for (size_t r = 0; r < len; r++) {
        add(x + r * C, named(m, "bert.embeddings.word_embeddings.weight") + (size_t)ids[r] * C, C);
        add(x + r * C, named(m, "bert.embeddings.position_embeddings.weight") + r * C, C);
        add(x + r * C, named(m, "bert.embeddings.token_type_embeddings.weight"), C);
    }
    plain_layernorm(x, x, named(m, "bert.embeddings.LayerNorm.weight"),
                    named(m, "bert.embeddings.LayerNorm.bias"), (double)c->t_eps, len, C);
    for (size_t i = 0; i < c->t_layers; i++) bert_layer(m, x, len, i);
    project(feature, x, named(m, "text_projection"), C, c->embed);
    free(x);
}

void plain_causal(double *feature, const plain_model *m, const int32_t *ids, size_t len, size_t end) {
    const bqb_clip_config *c = m->config;
    size_t C = c->t_width;
    double *x = GRAD_DOUBLES(len * C);
    for (size_t r = 0; r < len; r++) {
        memcpy(x + r * C, named(m, "token_embedding.weight") + (size_t)ids[r] * C, C * sizeof *x);
        add(x + r * C, named(m, "positional_embedding") + r * C, C);
    }
    for (size_t i = 0; i < c->t_layers; i++) prenorm_block(m, x, len, false, i);
    plain_layernorm(x, x + end * C, named(m, "ln_final.weight"), named(m, "ln_final.bias"), (double)c->t_eps, 1, C);
    project(feature, x, named(m, "text_projection"), C, c->embed);
    free(x);
}

/* Where the end token of a causal tower's text is. */
static size_t end_of(const bqb_clip_config *c, const int32_t *ids, size_t L) {
    size_t end = 0;
    if (c->t_eos == 2) {
        for (size_t i = L; i-- > 0;)
            if (ids[i] >= ids[end]) end = i;
    } else
        while (end + 1 < L && (size_t)ids[end] != c->t_eos) end++;
    return (size_t)ids[end] == c->t_eos || c->t_eos == 2 ? end : 0;
}

double plain_clip_loss(const plain_model *m, const bqb_clip_batch *b, int32_t pad, double *img_out,
                       double *txt_out) {
    const bqb_clip_config *c = m->config;
    size_t D = c->embed, frame = 0;
    double *img = GRAD_DOUBLES(b->N * D), *txt = GRAD_DOUBLES(b->N * D), *one = GRAD_DOUBLES(D);
    for (size_t n = 0; n < b->N; n++) {
        size_t frames = b->frames ? b->frames[n] : 3, len = b->L;
        for (size_t f = 0; f < frames; f++, frame++) {
            plain_vit(one, m, b->pixels + frame * 3 * c->resolution * c->resolution,
                      b->keep ? b->keep + frame * b->n_keep : NULL, b->n_keep);
            for (size_t d = 0; d < D; d++) img[n * D + d] += one[d] / (double)frames;
        }
        const int32_t *ids = b->ids + n * b->L;
        while (len > 1 && ids[len - 1] == pad) len--;
        if (c->t_kind == BQB_TEXT_CAUSAL) plain_causal(txt + n * D, m, ids, b->L, end_of(c, ids, b->L));
        else plain_bert(txt + n * D, m, ids, len);
    }
    plain_l2norm(img, img, b->N, D);
    plain_l2norm(txt, txt, b->N, D);
    double loss = plain_contrastive(img, txt, *named(m, "logit_scale"), b->N, D, b->text_group, b->image_group);
    if (img_out) memcpy(img_out, img, b->N * D * sizeof *img);
    if (txt_out) memcpy(txt_out, txt, b->N * D * sizeof *txt);
    free(img);
    free(txt);
    free(one);
    return loss;
}
