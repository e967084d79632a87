#include "model/stickerllm.h"

#include "model/decoder_internal.h"

#include <stdlib.h>
#include <string.h>

const char *bqb_sticker_token_name(bqb_sticker_token t) {
    static const char *const names[BQB_STICKER_TOKENS] = {"[IMG]", "[/IMG]", "[RET]", "[/RET]", "[PRET]"};
    return (unsigned)t < BQB_STICKER_TOKENS ? names[t] : "";
}

bqb_status bqb_sticker_parts_new(bqb_sticker_parts *p, size_t C, size_t F, size_t D, bqb_err *err) {
    size_t n = 2 * BQB_STICKER_TOKENS * C + C * F + C + D * C + 1;
    *p = (bqb_sticker_parts){.C = C, .F = F, .D = D, .n_floats = n, .ops = bqb_ops_best(), .rows = bqb_rows_best(), .floats = bqb_calloc(n, sizeof(float))};
    if (!p->floats) return bqb_fail_nomem(err, "the trained parts", n * sizeof(float));
    p->embed_new = p->floats;
    p->head_new = p->embed_new + BQB_STICKER_TOKENS * C;
    p->vis_weight = p->head_new + BQB_STICKER_TOKENS * C;
    p->vis_bias = p->vis_weight + C * F;
    p->txt_proj = p->vis_bias + C;
    p->log_scale = p->txt_proj + D * C;
    return BQB_OK;
}

void bqb_sticker_parts_free(bqb_sticker_parts *p) {
    free(p->floats);
    *p = (bqb_sticker_parts){0};
}

static float dot(const bqb_sticker_parts *p, const float *a, const float *b, size_t n) { return p->rows->dot[BQB_ROW_F32](a, b, n); }

bqb_status bqb_stickerllm_embed(bqb_decoder *m, const bqb_sticker_parts *parts, float *rows, const int32_t *ids, size_t n, bqb_err *err) {
    size_t V = m->config.vocab, C = parts->C;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= V + BQB_STICKER_TOKENS)
            return bqb_fail(err, BQB_EINVAL, "token %d is not among the model's %zu and the %d for stickers", (int)ids[i], V, BQB_STICKER_TOKENS);
        if ((size_t)ids[i] < V) bqb_matrix_row(&m->mul, rows + i * C, &m->embed, (size_t)ids[i]);
        else memcpy(rows + i * C, parts->embed_new + ((size_t)ids[i] - V) * C, C * sizeof *rows);
    }
    return BQB_OK;
}

bqb_status bqb_stickerllm_begin(bqb_decoder *m, bqb_sticker_parts *parts, bqb_sticker_token t, const int32_t *ids, size_t n, bqb_err *err) {
    size_t C = parts->C;
    float *row = bqb_calloc(C, sizeof *row), *to[] = {parts->embed_new + (size_t)t * C, parts->head_new + (size_t)t * C};
    const bqb_matrix *from[] = {&m->embed, &m->head};
    bqb_status s = row ? BQB_OK : bqb_fail_nomem(err, "a token's row", C * sizeof *row);
    for (size_t side = 0; side < 2 && !s; side++) {
        if (n) memset(to[side], 0, C * sizeof *row);
        for (size_t i = 0; i < n && !s; i++) {
            if (ids[i] < 0 || (size_t)ids[i] >= m->config.vocab) s = bqb_fail(err, BQB_EINVAL, "token %d is not among the model's %zu", (int)ids[i], m->config.vocab);
            else bqb_matrix_row(&m->mul, row, from[side], (size_t)ids[i]);
            for (size_t c = 0; c < C && !s; c++) to[side][c] += row[c] / (float)n;
        }
    }
    free(row);
    return s;
}

void bqb_stickerllm_picture(const bqb_sticker_parts *parts, float *row, const float *feature) {
    for (size_t c = 0; c < parts->C; c++) row[c] = parts->vis_bias[c] + dot(parts, parts->vis_weight + c * parts->F, feature, parts->F);
}

bqb_status bqb_stickerllm_logits(bqb_decoder *m, const bqb_sticker_parts *parts, float *logits, const float *hidden, size_t n, bqb_err *err) {
    size_t V = m->config.vocab, W = V + BQB_STICKER_TOKENS, C = parts->C;
    bqb_status s = bqb_decoder_logits(m, logits, hidden, n, err);
    for (size_t i = n; !s && i-- > 0;) { /* from the last: rows move up to make room */
        memmove(logits + i * W, logits + i * V, V * sizeof *logits);
        for (size_t k = 0; k < BQB_STICKER_TOKENS; k++) logits[i * W + V + k] = dot(parts, hidden + i * C, parts->head_new + k * C, C);
    }
    return s;
}

void bqb_stickerllm_query(const bqb_sticker_parts *parts, float *out, const float *hidden) {
    float rnorm;
    for (size_t d = 0; d < parts->D; d++) out[d] = dot(parts, parts->txt_proj + d * parts->C, hidden, parts->C);
    parts->ops->l2norm_fwd(out, &rnorm, out, 1, parts->D);
}
