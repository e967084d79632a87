#include "model/tower.h"

#include <string.h>

void *bqb_pass_take(bqb_pass *p, size_t n, size_t size_bytes) {
    void *m = p->no_memory ? NULL : bqb_arena_take(p->arena, n, size_bytes);
    if (!m) p->no_memory = true;
    return m;
}

static const void *weight(const bqb_pass *p, size_t offset) {
    return p->num == BQB_NUM_F32 ? (const void *)(p->weights + offset) : (const void *)(p->half + offset);
}

/* Products are prepared for their number of rows, a millisecond and 100 KB each.
 * Texts of random lengths would ask for a new number nearly every time, so their
 * rows go in two parts: a multiple of ROW_STEP, and the rest. */
enum { ROW_STEP = 64 };

static size_t first_part(const bqb_pass *p, size_t R) { return p->ragged && R > ROW_STEP ? R / ROW_STEP * ROW_STEP : R; }

static const void *row(const void *x, size_t r, size_t cols, bqb_num num) {
    return (const char *)x + r * cols * bqb_num_size_bytes(num);
}

static void linear_part(bqb_pass *p, void *y, bqb_num y_num, const void *x, const bqb_linear *l, bqb_act act,
                        bool accumulate, size_t R) {
    if (p->packed && p->packed[l->number])
        bqb_gemm_linear_packed(p->gemm, y, y_num, x, p->packed[l->number], p->weights + l->b, act, accumulate, R);
    else bqb_gemm_linear(p->gemm, y, y_num, x, weight(p, l->w), p->num, p->weights + l->b, act, accumulate, R,
                         l->out, l->in);
}

void bqb_linear_fwd(bqb_pass *p, void *y, bqb_num y_num, const void *x, const bqb_linear *l, bqb_act act,
                    bool accumulate, size_t R) {
    size_t n = first_part(p, R);
    linear_part(p, y, y_num, x, l, act, accumulate, n);
    linear_part(p, (char *)y + n * l->out * bqb_num_size_bytes(y_num), y_num, row(x, n, l->in, p->num), l, act,
                accumulate, R - n);
}

static void linear_part_bwd(bqb_pass *p, void *dx, bqb_num dx_num, const void *dy, const void *x, const bqb_linear *l,
                            size_t R) {
    bqb_gemm_outer(p->gemm, p->grad + l->w, dy, x, p->num, R, l->out, l->in);
    if (dx) bqb_gemm_back(p->gemm, dx, dx_num, dy, weight(p, l->w), p->num, false, R, l->out, l->in);
}

void bqb_linear_bwd(bqb_pass *p, void *dx, bqb_num dx_num, const void *dy, const void *x, const bqb_linear *l,
                    size_t R) {
    size_t n = first_part(p, R);
    p->ops->bias_bwd[p->num](p->grad + l->b, dy, R, l->out);
    linear_part_bwd(p, dx, dx_num, dy, x, l, n);
    void *rest = dx ? (char *)dx + n * l->in * bqb_num_size_bytes(dx_num) : NULL;
    linear_part_bwd(p, rest, dx_num, row(dy, n, l->out, p->num), row(x, n, l->in, p->num), l, R - n);
}

void bqb_norm_fwd(bqb_pass *p, void *y, bqb_num y_num, float *mean, float *rstd, const float *x, const bqb_norm *n,
                  float eps, size_t R, size_t C) {
    p->ops->layernorm_fwd[y_num](y, mean, rstd, x, p->weights + n->g, p->weights + n->b, eps, R, C);
}

void bqb_norm_bwd(bqb_pass *p, float *dx, bool set, const float *dy, const float *x, const float *mean,
                  const float *rstd, const bqb_norm *n, size_t R, size_t C) {
    p->ops->layernorm_bwd(dx, set, p->grad + n->g, p->grad + n->b, dy, x, mean, rstd, p->weights + n->g, R, C);
}

void bqb_act_fwd(bqb_pass *p, void *y, const void *x, bqb_act act, size_t n) {
    (act == BQB_ACT_GELU ? p->ops->gelu_fwd : p->ops->quick_gelu_fwd)[p->num](y, x, n);
}

void bqb_act_bwd(bqb_pass *p, void *dx, const void *dy, const void *x, bqb_act act, size_t n) {
    (act == BQB_ACT_GELU ? p->ops->gelu_bwd : p->ops->quick_gelu_bwd)[p->num](dx, dy, x, n);
}

static bqb_layout plain_rows(size_t cols) {
    return (bqb_layout){.type = BQB_NUM_F32, .row = (int64_t)cols, .col = 1};
}

static bqb_layout turned_rows(size_t cols) {
    return (bqb_layout){.type = BQB_NUM_F32, .row = 1, .col = (int64_t)cols};
}

void bqb_project_fwd(bqb_pass *p, float *y, const float *x, size_t w, size_t N, size_t C, size_t D) {
    bqb_product g = {.outer = 1, .inner = 1, .M = (int64_t)N, .N = (int64_t)D, .K = (int64_t)C,
                     .a = plain_rows(C), .b = plain_rows(D), .c = plain_rows(D)};
    bqb_gemm_run(p->gemm, &g, y, x, p->weights + w, NULL);
}

void bqb_project_bwd(bqb_pass *p, float *dx, const float *dy, const float *x, size_t w, size_t N, size_t C, size_t D) {
    bqb_gemm_outer(p->gemm, p->grad + w, x, dy, BQB_NUM_F32, N, C, D);
    bqb_product g = {.outer = 1, .inner = 1, .M = (int64_t)N, .N = (int64_t)C, .K = (int64_t)D,
                     .a = plain_rows(D), .b = turned_rows(D), .c = plain_rows(C)};
    bqb_gemm_run(p->gemm, &g, dx, dy, p->weights + w, NULL);
}

const void *bqb_to_dt(bqb_pass *p, const float *x, size_t n) {
    if (p->num == BQB_NUM_F32) return x;
    uint16_t *h = bqb_pass_take(p, n, sizeof *h);
    if (h) p->ops->to_bf16(h, x, n);
    return h;
}

size_t bqb_rows_count(const bqb_sequences *s, bqb_rows rows) {
    return rows == BQB_ROWS_FIRST || rows == BQB_ROWS_LAST ? s->n : s->start[s->n];
}

static size_t chosen_row(const bqb_sequences *s, size_t i, bqb_rows rows) {
    return rows == BQB_ROWS_LAST ? s->start[i + 1] - 1 : s->start[i];
}

void bqb_rows_take(float *out, const float *x, const bqb_sequences *s, bqb_rows rows, size_t C) {
    for (size_t i = 0; i < s->n; i++) memcpy(out + i * C, x + chosen_row(s, i, rows) * C, C * sizeof *x);
}

void bqb_rows_add(float *dx, const float *dout, const bqb_sequences *s, bqb_rows rows, size_t C) {
    for (size_t i = 0; i < s->n; i++) {
        float *to = dx + chosen_row(s, i, rows) * C;
        for (size_t c = 0; c < C; c++) to[c] += dout[i * C + c];
    }
}

void bqb_trace_copy(const bqb_trace *t, size_t i, const float *x, size_t n) {
    if (t && t->rows[i]) memcpy(t->rows[i], x, n * sizeof *x);
}
