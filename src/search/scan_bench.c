#include "search/scan_bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"
#include "file/safetensors.h"
#include "search/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { K = 10 };

/* Even numbers are quicker to draw than normal ones, and the scan cannot tell. */
static void draw(float *x, size_t dim, uint64_t seed, uint64_t stream) {
    bqb_rand r = bqb_rand_seed(seed, stream);
    double sum_sq = 0;
    for (size_t d = 0; d < dim; d++) {
        x[d] = (float)bqb_rand_between(&r, -1, 1);
        sum_sq += (double)x[d] * (double)x[d];
    }
    float inverse = (float)(1 / sqrt(sum_sq));
    for (size_t d = 0; d < dim; d++) x[d] *= inverse;
}

typedef struct {
    uint16_t *f16;
    int64_t *id;
    size_t dim;
    float *scratch; /* [workers,dim] */
} drawing;

static void draw_row(void *ctx, size_t i, int worker) {
    drawing *w = ctx;
    float *x = w->scratch + (size_t)worker * w->dim;
    draw(x, w->dim, 1, i);
    for (size_t d = 0; d < w->dim; d++) w->f16[i * w->dim + d] = bqb_f32_to_f16(x[d]);
    w->id[i] = (int64_t)i + 1;
}

bqb_status bqb_scan_bench(bqb_scan_figures *out, size_t n, size_t dim, int runs, int threads, bqb_err *err) {
    if (threads <= 0) threads = bqb_cpu_count();
    drawing w = {.dim = dim, .f16 = bqb_calloc(n * dim, sizeof(uint16_t)), .id = bqb_calloc(n, sizeof(int64_t)),
                 .scratch = bqb_calloc((size_t)threads * dim, sizeof(float))};
    bqb_vectors *v = NULL;
    float *query = bqb_calloc(dim, sizeof *query);
    bqb_status s = BQB_OK;
    *out = (bqb_scan_figures){.bytes = (double)n * (double)dim, .same = 1, .plain_s = INFINITY, .fast_s = INFINITY};
    if (!w.f16 || !w.id || !w.scratch || !query) s = bqb_fail_nomem(err, "vectors", n * dim * 2);
    else {
        bqb_parallel_for(n, threads, draw_row, &w);
        s = bqb_vectors_new(&v, w.id, w.f16, n, dim, err);
    }
    free(w.f16);
    free(w.id);
    for (int i = 0; i < runs && !s; i++) {
        bqb_hit plain[K], fast[K];
        size_t n_fast = 0;
        draw(query, dim, 2, (uint64_t)i);
        double t0 = bqb_now_s();
        size_t n_plain = bqb_scan_plain(plain, K, NULL, v, query, NULL);
        double t1 = bqb_now_s();
        s = bqb_scan(fast, K, &n_fast, NULL, v, query, NULL, threads, err);
        double t2 = bqb_now_s();
        out->plain_s = fmin(out->plain_s, t1 - t0);
        out->fast_s = fmin(out->fast_s, t2 - t1);
        bool same = n_plain == n_fast;
        for (size_t k = 0; same && k < n_fast; k++) same = plain[k].row == fast[k].row && plain[k].score == fast[k].score;
        if (!same) out->same = 0;
    }
    bqb_vectors_close(v);
    free(w.scratch);
    free(query);
    return s;
}
