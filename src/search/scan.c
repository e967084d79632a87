#include "search/scan.h"

#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16 };

/* IEEE half to single by moving the bits and multiplying by 2^112: exact for
 * every finite value, subnormals too, and a loop of it vectorises. */
static inline float half_value(uint16_t h) {
    uint32_t bits = ((uint32_t)h & 0x7FFF) << 13 | ((uint32_t)h & 0x8000) << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f * 0x1p112f;
}

/* Sixteen running sums, added up in order: one result whatever the vector width. */
float bqb_scan_row(const bqb_vectors *v, size_t row, const float *query) {
    const uint16_t *x = v->f16 + row * v->dim;
    float lane[LANES] = {0}, sum = 0;
    size_t d = 0;
    for (; d + LANES <= v->dim; d += LANES)
        for (size_t i = 0; i < LANES; i++) lane[i] += query[d + i] * half_value(x[d + i]);
    for (size_t i = 0; d + i < v->dim; i++) lane[i] += query[d + i] * half_value(x[d + i]);
    for (size_t i = 0; i < LANES; i++) sum += lane[i];
    return sum;
}

/* ---- the k best so far: a heap with the worst on top ---- */

static bool better(bqb_hit a, bqb_hit b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

static void sift_down(bqb_hit *h, size_t n) {
    for (size_t i = 0;;) {
        size_t worst = i, left = 2 * i + 1;
        if (left < n && better(h[worst], h[left])) worst = left;
        if (left + 1 < n && better(h[worst], h[left + 1])) worst = left + 1;
        if (worst == i) return;
        bqb_hit t = h[i];
        h[i] = h[worst];
        h[worst] = t;
        i = worst;
    }
}

static void offer(bqb_hit *h, size_t *n, size_t k, bqb_hit x) {
    if (!(x.score == x.score)) return; /* NaN is no score */
    if (*n < k) {
        size_t i = (*n)++;
        for (h[i] = x; i && better(h[(i - 1) / 2], h[i]); i = (i - 1) / 2) {
            bqb_hit t = h[i];
            h[i] = h[(i - 1) / 2];
            h[(i - 1) / 2] = t;
        }
    } else if (k && better(x, h[0])) {
        h[0] = x;
        sift_down(h, k);
    }
}

static int best_first(const void *a, const void *b) {
    const bqb_hit *x = a, *y = b;
    return better(*x, *y) ? -1 : better(*y, *x);
}

static bool allowed(const uint64_t *allow, size_t row) { return !allow || (allow[row / 64] >> (row % 64) & 1); }

typedef struct {
    double sum, sum_sq;
    size_t n;
} tally;

static void spread_of(bqb_spread *out, const tally *t) {
    double n = t->n ? (double)t->n : 1, mean = t->sum / n, var = t->sum_sq / n - mean * mean;
    *out = (bqb_spread){.mean = mean, .sd = var > 0 ? sqrt(var) : 0, .n = t->n};
}

size_t bqb_scan_plain(bqb_hit *out, size_t k, bqb_spread *spread, const bqb_vectors *v, const float *query,
                      const uint64_t *allow) {
    size_t n = 0;
    tally t = {0};
    for (size_t row = 0; row < v->n; row++) {
        if (!allowed(allow, row)) continue;
        float score = bqb_scan_row(v, row, query);
        t.sum += (double)score;
        t.sum_sq += (double)score * (double)score;
        t.n++;
        offer(out, &n, k, (bqb_hit){row, score});
    }
    qsort(out, n, sizeof *out, best_first);
    if (spread) spread_of(spread, &t);
    return n;
}

/* ---- int8 first ---- */

/* 12 bits for the query: with 8 for the row, 8,192 products fit an int32. */
enum { QUERY_MAX = 2047, MAX_DIM = 8192, CHUNK = 8192 };

#define DOT_BODY                                                                                                \
    int32_t sum = 0;                                                                                            \
    for (size_t d = 0; d < n; d++) sum += (int32_t)q[d] * (int32_t)x[d];                                        \
    return sum;

static int32_t dot_any(const int16_t *q, const int8_t *x, size_t n) { DOT_BODY }

#if defined(__x86_64__)
__attribute__((target("avx2"))) static int32_t dot_avx2(const int16_t *q, const int8_t *x, size_t n) { DOT_BODY }
__attribute__((target("avx512f,avx512bw,avx512vl"))) static int32_t dot_avx512(
    const int16_t *q, const int8_t *x, size_t n) {
    DOT_BODY
}
#endif

typedef int32_t (*dot_fn)(const int16_t *, const int8_t *, size_t);

static dot_fn best_dot(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return dot_avx512;
    if (__builtin_cpu_supports("avx2")) return dot_avx2;
#endif
    return dot_any;
}

typedef struct {
    const bqb_vectors *v;
    const uint64_t *allow;
    int16_t *q;          /* [stride] query ~ q_scale * q */
    float q_scale, q_err;/* |query - q_scale * q| */
    float *score;        /* [n] by int8; -inf where not allowed */
    dot_fn dot;
    tally *part;         /* [chunks] */
} pass;

static void score_chunk(void *ctx, size_t i, int worker) {
    (void)worker;
    pass *p = ctx;
    const bqb_vectors *v = p->v;
    size_t end = (i + 1) * CHUNK < v->n ? (i + 1) * CHUNK : v->n;
    tally t = {0};
    for (size_t row = i * CHUNK; row < end; row++) {
        if (!allowed(p->allow, row)) {
            p->score[row] = -INFINITY;
            continue;
        }
        float s = (float)p->dot(p->q, v->i8 + row * v->stride, v->stride) * v->scale[row] * p->q_scale;
        p->score[row] = s;
        t.sum += (double)s;
        t.sum_sq += (double)s * (double)s;
        t.n++;
    }
    p->part[i] = t;
}

/* How far the int8 score of a row may be from bqb_scan_row's:
 * |q·x - q̂·x̂| <= |q||x - x̂| + |q - q̂||x̂|, and the rounding of both sums. */
static float doubt(const pass *p, size_t row) { return p->v->err[row] * 1.01f + p->q_err * 1.1f + 1e-5f; }

static void quantise_query(pass *p, const float *query, size_t dim) {
    float most = 0;
    for (size_t d = 0; d < dim; d++)
        if (fabsf(query[d]) > most) most = fabsf(query[d]);
    p->q_scale = most / QUERY_MAX;
    double lost_sq = 0;
    for (size_t d = 0; d < dim; d++) {
        long q = most > 0 ? lrintf(query[d] / p->q_scale) : 0;
        p->q[d] = (int16_t)(q > QUERY_MAX ? QUERY_MAX : q < -QUERY_MAX ? -QUERY_MAX : q);
        double e = (double)query[d] - (double)p->q_scale * (double)p->q[d];
        lost_sq += e * e;
    }
    p->q_err = (float)sqrt(lost_sq);
}

/* Of a sound unit query: a wild one would make the bound above meaningless. */
static bool suits(const bqb_vectors *v, const float *query) {
    double sum = 0;
    for (size_t d = 0; d < v->dim; d++) sum += (double)query[d] * (double)query[d];
    return v->dim <= MAX_DIM && sum < 1.02;
}

/* By int8 into p->score; p->q and p->part are freed by the caller. */
static bqb_status score_all(pass *p, bqb_spread *spread, const float *query, int threads, bqb_err *err) {
    size_t chunks = (p->v->n + CHUNK - 1) / CHUNK;
    tally all = {0};
    p->dot = best_dot();
    p->q = bqb_calloc(p->v->stride, sizeof *p->q);
    p->part = bqb_calloc(chunks, sizeof *p->part);
    if (!p->q || !p->part) return bqb_fail_nomem(err, "scan", p->v->stride * sizeof *p->q);
    quantise_query(p, query, p->v->dim);
    bqb_parallel_for(chunks, threads ? threads : bqb_cpu_count(), score_chunk, p);
    for (size_t i = 0; i < chunks; i++) {
        all.sum += p->part[i].sum;
        all.sum_sq += p->part[i].sum_sq;
        all.n += p->part[i].n;
    }
    if (spread) spread_of(spread, &all);
    return BQB_OK;
}

enum { FEW = 1000 }; /* rows that are not worth two passes */

bqb_status bqb_scan(bqb_hit *out, size_t k, size_t *n_out, bqb_spread *spread, const bqb_vectors *v,
                    const float *query, const uint64_t *allow, int threads, bqb_err *err) {
    size_t n = 0;
    if (k > v->n) k = v->n;
    if (v->n < FEW || !suits(v, query)) {
        *n_out = bqb_scan_plain(out, k, spread, v, query, allow);
        return BQB_OK;
    }
    pass p = {.v = v, .allow = allow};
    p.score = bqb_calloc(v->n, sizeof *p.score);
    bqb_hit *floor_heap = bqb_calloc(k, sizeof *floor_heap);
    bqb_status s = p.score && floor_heap ? BQB_OK : bqb_fail_nomem(err, "scan", v->n * sizeof *p.score);
    if (!s) s = score_all(&p, spread, query, threads, err);
    if (!s) {
        /* What k rows reach at the least; who cannot reach that is out. */
        for (size_t row = 0; row < v->n; row++)
            if (p.score[row] > -INFINITY) offer(floor_heap, &n, k, (bqb_hit){row, p.score[row] - doubt(&p, row)});
        float least = n == k && k ? floor_heap[0].score : -INFINITY;
        n = 0;
        for (size_t row = 0; row < v->n; row++)
            if (p.score[row] > -INFINITY && p.score[row] + doubt(&p, row) >= least)
                offer(out, &n, k, (bqb_hit){row, bqb_scan_row(v, row, query)});
        qsort(out, n, sizeof *out, best_first);
        *n_out = n;
    }
    free(p.q);
    free(p.score);
    free(p.part);
    free(floor_heap);
    return s;
}

bqb_status bqb_scan_all(float *score, float *doubts, bqb_spread *spread, const bqb_vectors *v, const float *query,
                        const uint64_t *allow, int threads, bqb_err *err) {
    if (v->n < FEW || !suits(v, query)) {
        tally t = {0};
        for (size_t row = 0; row < v->n; row++) {
            doubts[row] = 0;
            score[row] = allowed(allow, row) ? bqb_scan_row(v, row, query) : -INFINITY;
            if (!allowed(allow, row)) continue;
            t.sum += (double)score[row];
            t.sum_sq += (double)score[row] * (double)score[row];
            t.n++;
        }
        if (spread) spread_of(spread, &t);
        return BQB_OK;
    }
    pass p = {.v = v, .allow = allow, .score = score};
    bqb_status s = score_all(&p, spread, query, threads, err);
    for (size_t row = 0; row < v->n && !s; row++) doubts[row] = doubt(&p, row);
    free(p.q);
    free(p.part);
    return s;
}
