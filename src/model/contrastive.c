#include "model/clip_internal.h"

#include <math.h>
#include <string.h>

/* Cross-entropy of each row of x [N,N] against its diagonal. Adds the softmax
 * minus the diagonal to d, read along d's rows or (turned) its columns. */
static double cross_entropy(bqb_pass *p, float *d, bool turned, const float *x, float *e, size_t N) {
    double loss = 0;
    for (size_t i = 0; i < N; i++) {
        float top, sum = p->ops->exp_sum(e, &top, x + i * N, N);
        loss += log((double)sum) + (double)top - (double)x[i * N + i];
        float inverse = 1.0f / sum;
        if (turned)
            for (size_t k = 0; k < N; k++) d[k * N + i] += e[k] * inverse;
        else
            for (size_t k = 0; k < N; k++) d[i * N + k] += e[k] * inverse;
        d[i * N + i] -= 1.0f;
    }
    return loss / (double)N;
}

static bqb_product square(size_t M, size_t N, size_t K, int64_t ar, int64_t ac, int64_t br, int64_t bc) {
    return (bqb_product){.outer = 1, .inner = 1, .M = (int64_t)M, .N = (int64_t)N, .K = (int64_t)K,
                         .a = {.row = ar, .col = ac}, .b = {.row = br, .col = bc}, .c = {.row = (int64_t)N, .col = 1}};
}

void bqb_contrastive(bqb_pass *p, float *loss, float *dimg, float *dtxt, float *dscale, float *logits,
                     const float *img, const float *txt, float log_scale, size_t N, size_t D) {
    float *x = BQB_TAKE(p, N * N), *turned = BQB_TAKE(p, N * N), *d = BQB_TAKE(p, N * N), *e = BQB_TAKE(p, N);
    if (p->no_memory) return;
    int64_t n = (int64_t)N, k = (int64_t)D;
    float scale = expf(log_scale);
    bqb_product dot = square(N, N, D, k, 1, 1, k);
    bqb_gemm_run(p->gemm, &dot, x, txt, img, NULL);
    for (size_t i = 0; i < N * N; i++) x[i] *= scale;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) turned[j * N + i] = x[i * N + j];
    memset(d, 0, N * N * sizeof *d);
    double sum = cross_entropy(p, d, false, x, e, N) + cross_entropy(p, d, true, turned, e, N);
    *loss = (float)(sum / 2);
    if (logits) memcpy(logits, x, N * N * sizeof *x);

    double ds = 0;
    float share = 0.5f / (float)N;
    for (size_t i = 0; i < N * N; i++) {
        d[i] *= share;
        ds += (double)d[i] * (double)x[i];
        d[i] *= scale;
    }
    *dscale = (float)ds;
    bqb_product to_txt = square(N, D, N, n, 1, k, 1), to_img = square(N, D, N, 1, n, k, 1);
    bqb_gemm_run(p->gemm, &to_txt, dtxt, d, img, NULL);
    bqb_gemm_run(p->gemm, &to_img, dimg, d, txt, NULL);
}
