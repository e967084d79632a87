/* The loss over all pairs of a batch. The logits are made in blocks of rows that
 * stay near the processor: once to know every column's softmax, once more for the
 * gradient (and once between, where pairs have several right answers). So a batch
 * of thousands needs no [N,N] memory; a batch that is one block computes them once. */
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
    float *top, *sum;     /* [N] of every column: its maximum, sum of exp(z - maximum); of one with several
                             positives over its negatives alone */
    double *pull;         /* [N] of such a column: see several_columns */
    uint32_t *count;      /* [N] positives of a row, which are as many as of its column */
    bool several;         /* some row has more than one */
} work;

/* In the place of a logit that is to count as nothing. */
static const float NOTHING = -1e30f;

static bool positive(const bqb_pairs *g, size_t i, size_t k) {
    return i == k || (g->text_group && g->text_group[i] == g->text_group[k]) ||
           (g->image_group && g->image_group[i] == g->image_group[k]);
}

static bool alone(const bqb_pairs *g) { return !g->text_group && !g->image_group; }

static void count_positives(work *w) {
    for (size_t i = 0; i < w->N; i++) {
        w->count[i] = alone(w->g);
        for (size_t k = 0; !alone(w->g) && k < w->N; k++) w->count[i] += positive(w->g, i, k);
        w->several |= w->count[i] > 1;
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
    for (size_t j = 0; j < N && w->several; j++)
        for (size_t i = 0; i < n && w->count[j] > 1; i++)
            if (positive(w->g, w->from + i, j)) w->turned[j * n + i] = NOTHING;
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

/* One positive of several, with logit x, against the negatives alone, whose softmax has
 * maximum top and sum: loss = log(1 + q), q = sum·exp(top - x). Its own derivative is
 * -q/(1+q), and that of a negative z is exp(z - top)·pull. */
typedef struct {
    double loss, own, pull;
} against;

static against against_negatives(const work *w, size_t i, float x, float top, float sum) {
    if (w->count[i] == w->N) return (against){0};
    double t = (double)x - (double)top, q = (double)sum * exp(-t), share = 1.0 / w->count[i];
    return (against){.loss = share * log1p(q), .own = -share * q / (1 + q), .pull = share / (exp(t) + (double)sum)};
}

/* The row's gradient into d and its loss, where it has several positives. */
static double several_row(work *w, float *d, size_t i, const float *x) {
    size_t N = w->N;
    for (size_t k = 0; k < N; k++) d[k] = positive(w->g, i, k) ? NOTHING : x[k];
    float top, sum = w->p->ops->exp_sum(d, &top, d, N);
    double loss = 0, pull = 0;
    for (size_t k = 0; k < N; k++)
        if (positive(w->g, i, k)) pull += against_negatives(w, i, x[k], top, sum).pull;
    for (size_t k = 0; k < N; k++) {
        if (!positive(w->g, i, k)) {
            d[k] *= (float)pull;
            continue;
        }
        against a = against_negatives(w, i, x[k], top, sum);
        loss += a.loss;
        d[k] = (float)a.own;
    }
    return loss;
}

/* Sum up, for columns with several positives, how each of them pulls at the negatives. */
static void several_columns(work *w) {
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->N; k++)
            if (w->count[k] > 1 && positive(w->g, w->from + i, k))
                w->pull[k] += against_negatives(w, k, w->x[i * w->N + k], w->top[k], w->sum[k]).pull;
}

/* Column j's part of the gradient, within the block. Returns its part of the loss,
 * without the logarithm of a softmax with one positive. */
static double column_gradient(work *w, size_t j) {
    size_t N = w->N, n = w->n;
    bool several = w->count[j] > 1;
    double loss = 0;
    float top;
    w->p->ops->exp_sum(w->e, &top, w->turned + j * n, n);
    float part = expf(top - w->top[j]) * (several ? (float)w->pull[j] : 1 / w->sum[j]);
    for (size_t i = 0; i < n; i++) {
        float *d = w->d + i * N + j, x = w->x[i * N + j];
        if (several && positive(w->g, w->from + i, j)) {
            against a = against_negatives(w, j, x, w->top[j], w->sum[j]);
            *d += (float)a.own;
            loss += a.loss;
        } else *d += w->e[i] * part;
    }
    if (!several && j >= w->from && j < w->from + n) {
        size_t own = (j - w->from) * N + j;
        w->d[own] -= 1;
        loss -= (double)w->x[own];
    }
    return loss;
}

/* d = gradients of the rows' and the columns' cross-entropies. Returns the block's
 * part of both sums, but for the logarithms of columns with one positive. */
static double block_gradient(work *w) {
    size_t N = w->N;
    double loss = 0;
    for (size_t i = 0; i < w->n; i++) {
        size_t own = w->from + i;
        float *d = w->d + i * N, *x = w->x + i * N, top;
        if (w->count[own] > 1) {
            loss += several_row(w, d, own, x);
            continue;
        }
        float sum = w->p->ops->exp_sum(d, &top, x, N), inverse = 1.0f / sum;
        loss += log((double)sum) + (double)top - (double)x[own];
        for (size_t k = 0; k < N; k++) d[k] *= inverse;
        d[own] -= 1;
    }
    for (size_t j = 0; j < N; j++) loss += column_gradient(w, j);
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
    w.pull = bqb_pass_take(p, N, sizeof *w.pull);
    w.count = bqb_pass_take(p, N, sizeof *w.count);
    if (p->no_memory) return;
    count_positives(&w);
    for (; w.from < N; w.from += rows) {
        w.n = w.from + rows < N ? rows : N - w.from;
        block_logits(&w);
        add_columns(&w);
    }
    double sum = 0, ds = 0;
    for (size_t j = 0; j < N; j++) {
        w.pull[j] = 0;
        if (w.count[j] == 1) sum += log((double)w.sum[j]) + (double)w.top[j];
    }
    for (w.from = 0; w.from < N && w.several; w.from += rows) {
        w.n = w.from + rows < N ? rows : N - w.from;
        if (rows < N) block_logits(&w);
        several_columns(&w);
    }
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
