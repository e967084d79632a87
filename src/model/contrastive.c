/* The loss over all pairs of a batch. The logits are made in blocks of rows that
 * stay near the processor: once to know every column's softmax, once more for the
 * gradient. So a batch of thousands needs no [N,N] memory; a batch that is one
 * block computes them once. */
#include "model/clip_internal.h"

#include <math.h>
#include <string.h>

enum { BLOCK_FLOATS = 1 << 20 };

typedef struct {
    bqb_pass *p;
    const bqb_pairs *g;
    const float *img, *txt;
    float scale;
    size_t N, D, from, n; /* the block is rows from … from+n-1 */
    float *x, *turned;    /* [n,N] logits, and [N,n] */
    float *d, *e;         /* [n,N] gradient, room for a row or a column */
    float *top, *sum;     /* [N] of every column: its maximum, sum of exp(z - maximum) */
    float *share;         /* [N] 1 / positives of a row, which are as many as of its column */
} work;

static bool positive(const bqb_pairs *g, size_t i, size_t k) {
    return i == k || (g->text_group && g->text_group[i] == g->text_group[k]) ||
           (g->image_group && g->image_group[i] == g->image_group[k]);
}

static bool alone(const bqb_pairs *g) { return !g->text_group && !g->image_group; }

static void count_positives(work *w) {
    for (size_t i = 0; i < w->N; i++) {
        size_t count = alone(w->g);
        for (size_t k = 0; !alone(w->g) && k < w->N; k++) count += positive(w->g, i, k);
        w->share[i] = 1.0f / (float)count;
    }
}

static bqb_product block(size_t M, size_t N, size_t K, int64_t ar, int64_t ac, int64_t br, int64_t bc) {
    return (bqb_product){.outer = 1, .inner = 1, .M = (int64_t)M, .N = (int64_t)N, .K = (int64_t)K,
                         .a = {.row = ar, .col = ac}, .b = {.row = br, .col = bc}, .c = {.row = (int64_t)N, .col = 1}};
}

static void block_logits(work *w) {
    size_t N = w->N, n = w->n;
    int64_t k = (int64_t)w->D;
    bqb_product dot = block(n, N, w->D, k, 1, 1, k);
    bqb_gemm_run(w->p->gemm, &dot, w->x, w->txt + w->from * w->D, w->img, NULL);
    for (size_t i = 0; i < n * N; i++) w->x[i] *= w->scale;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < N; j++) w->turned[j * n + i] = w->x[i * N + j];
}

/* Take the block's rows into every column's maximum and sum. */
static void add_columns(work *w) {
    for (size_t j = 0; j < w->N; j++) {
        float top, sum = w->p->ops->exp_sum(w->e, &top, w->turned + j * w->n, w->n);
        if (!w->from) w->top[j] = top, w->sum[j] = sum;
        else if (top > w->top[j]) {
            w->sum[j] = w->sum[j] * expf(w->top[j] - top) + sum;
            w->top[j] = top;
        } else w->sum[j] += sum * expf(top - w->top[j]);
    }
}

/* d = softmax of the rows + softmax of the columns - their targets. Returns the
 * block's part of the two sums of cross-entropies, but for the columns' logarithms. */
static double block_gradient(work *w) {
    size_t N = w->N, n = w->n;
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        float *d = w->d + i * N, top, sum = w->p->ops->exp_sum(d, &top, w->x + i * N, N), inverse = 1.0f / sum;
        loss += log((double)sum) + (double)top;
        for (size_t k = 0; k < N; k++) d[k] *= inverse;
    }
    for (size_t j = 0; j < N; j++) {
        float top;
        w->p->ops->exp_sum(w->e, &top, w->turned + j * n, n);
        float part = expf(top - w->top[j]) / w->sum[j];
        for (size_t i = 0; i < n; i++) w->d[i * N + j] += w->e[i] * part;
    }
    for (size_t i = 0; i < n; i++) {
        size_t own = w->from + i, first = alone(w->g) ? own : 0, end = alone(w->g) ? own + 1 : N;
        for (size_t k = first; k < end; k++) {
            if (!positive(w->g, own, k)) continue;
            float target = w->share[own] + w->share[k];
            w->d[i * N + k] -= target;
            loss -= (double)target * (double)w->x[i * N + k];
        }
    }
    return loss;
}

void bqb_contrastive(bqb_pass *p, float *loss, float *dimg, float *dtxt, float *dscale, float *logits,
                     const float *img, const float *txt, const bqb_pairs *pairs, float log_scale, size_t N, size_t D) {
    work w = {.p = p, .g = pairs, .img = img, .txt = txt, .scale = expf(log_scale), .N = N, .D = D};
    size_t rows = pairs->block ? pairs->block : BLOCK_FLOATS / N;
    if (rows < 1) rows = 1;
    if (rows > N) rows = N;
    w.x = BQB_TAKE(p, rows * N);
    w.turned = BQB_TAKE(p, rows * N);
    w.d = BQB_TAKE(p, rows * N);
    w.e = BQB_TAKE(p, rows);
    w.top = BQB_TAKE(p, N);
    w.sum = BQB_TAKE(p, N);
    w.share = BQB_TAKE(p, N);
    if (p->no_memory) return;
    count_positives(&w);
    for (; w.from < N; w.from += rows) {
        w.n = w.from + rows < N ? rows : N - w.from;
        block_logits(&w);
        add_columns(&w);
    }
    double sum = 0, ds = 0;
    for (size_t j = 0; j < N; j++) sum += log((double)w.sum[j]) + (double)w.top[j];
    float part = 0.5f / (float)N;
    int64_t n = (int64_t)N, k = (int64_t)D;
    for (w.from = 0; w.from < N; w.from += rows) {
        w.n = w.from + rows < N ? rows : N - w.from;
        if (rows < N) block_logits(&w);
        if (logits) memcpy(logits + w.from * N, w.x, w.n * N * sizeof *logits);
        sum += block_gradient(&w);
        for (size_t i = 0; i < w.n * N; i++) {
            w.d[i] *= part;
            ds += (double)w.d[i] * (double)w.x[i];
            w.d[i] *= w.scale;
        }
        bqb_product to_txt = block(w.n, D, N, n, 1, k, 1), to_img = block(N, D, w.n, 1, n, k, 1);
        to_img.accumulate = w.from > 0;
        bqb_gemm_run(p->gemm, &to_txt, dtxt + w.from * D, w.d, img, NULL);
        bqb_gemm_run(p->gemm, &to_img, dimg, w.d, txt + w.from * D, NULL);
    }
    *loss = (float)(sum * (double)part);
    *dscale = (float)ds;
}
