#include "train/rank.h"

#include "base/mem.h"
#include "base/thread.h"
#include "math/matmul.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One product is at most QUERIES × ITEMS: its scores stay in a processor's own cache until they are counted. */
enum { QUERIES = 128, ITEMS = 1024, CHUNK = 64, LANES = 16 };

/* Sixteen sums that the compiler may keep in vectors but not reorder. */
float bqb_rank_score(const float *a, const float *b, size_t D) {
    float sum[LANES] = {0};
    size_t k = 0;
    for (; k + LANES <= D; k += LANES)
#pragma omp simd
        for (size_t l = 0; l < LANES; l++) sum[l] += a[k + l] * b[k + l];
    for (size_t l = 0; k < D; k++, l++) sum[l] += a[k] * b[k];
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}

static bool is_right(const uint32_t *right, size_t n, uint32_t item) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (right[mid] < item) lo = mid + 1;
        else hi = mid;
    }
    return lo < n && right[lo] == item;
}

/* One query while the gallery goes by. */
typedef struct {
    const float *q;
    const uint32_t *right;
    size_t n_right;
    float best; /* score of the best right item */
    bqb_place place;
    uint32_t *top; /* [n_top] best first, their scores beside them */
    float *top_score;
    size_t n_top, held;
} asked;

static void ask(asked *a, const float *g, size_t D) {
    a->best = bqb_rank_score(a->q, g + a->right[0] * D, D);
    for (size_t k = 1; k < a->n_right; k++) {
        float s = bqb_rank_score(a->q, g + a->right[k] * D, D);
        if (s > a->best) a->best = s;
    }
}

static void count(asked *a, uint32_t item, float score) {
    if (score > a->best) a->place.better++; /* never a right one */
    else if (score == a->best) {
        if (is_right(a->right, a->n_right, item)) a->place.tied_right++;
        else a->place.tied_wrong++;
    }
}

/* Items come in rising order, so that of equal scores the lower number stays in front. */
static void keep(asked *a, uint32_t item, float score) {
    if (a->held == a->n_top && !(score > a->top_score[a->held - 1])) return;
    size_t at = a->held < a->n_top ? a->held++ : a->n_top - 1;
    for (; at > 0 && score > a->top_score[at - 1]; at--) {
        a->top[at] = a->top[at - 1];
        a->top_score[at] = a->top_score[at - 1];
    }
    a->top[at] = item;
    a->top_score[at] = score;
}

typedef struct {
    bqb_place *places;
    uint32_t *top;
    size_t n_top, Q, G, D, block;
    const float *q, *g;
    const size_t *first;
    const uint32_t *right;
    double longest; /* row of g */
    float *scores;  /* [workers,QUERIES,ITEMS] */
    float *top_scores; /* [workers,QUERIES,n_top] */
    bqb_gemm **gemm;   /* [workers] */
    size_t base;
} rank_job;

static double length(const float *x, size_t D) {
    double s = 0;
    for (size_t k = 0; k < D; k++) s += (double)x[k] * (double)x[k];
    return sqrt(s);
}

/* The longest row, or an infinite or no number where one is in them. */
static double longest_row(const float *x, size_t n, size_t D) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double l = length(x + i * D, D);
        if (!(l <= most)) most = l;
        if (isnan(most)) break;
    }
    return most;
}

static bqb_status check(const rank_job *j, bqb_err *err) {
    if (j->G > UINT32_MAX - 1) return bqb_fail(err, BQB_ELIMIT, "%zu items cannot be ranked", j->G);
    for (size_t i = 0; i < j->Q; i++)
        if (j->first[i] >= j->first[i + 1]) return bqb_fail(err, BQB_EINVAL, "query %zu has no right item", i);
    for (size_t k = j->Q ? j->first[0] : 0; j->Q && k < j->first[j->Q]; k++)
        if (j->right[k] >= j->G) return bqb_fail(err, BQB_EINVAL, "right item %u of %zu", j->right[k], j->G);
    if (!(longest_row(j->q, j->Q, j->D) * j->longest < (double)FLT_MAX / 2))
        return bqb_fail(err, BQB_EINVAL, "features that are not finite, or too large, cannot be ranked");
    return BQB_OK;
}

static asked begin(const rank_job *j, size_t i, float *top_score) {
    asked a = {.q = j->q + i * j->D, .right = j->right + j->first[i], .n_right = j->first[i + 1] - j->first[i],
               .top = j->top ? j->top + i * j->n_top : NULL, .top_score = top_score, .n_top = j->top ? j->n_top : 0};
    ask(&a, j->g, j->D);
    return a;
}

static void end(const rank_job *j, size_t i, const asked *a) {
    j->places[i] = a->place;
    for (size_t k = a->held; k < a->n_top; k++) a->top[k] = UINT32_MAX;
}

bqb_status bqb_rank_plain(bqb_place *places, uint32_t *top, size_t n_top, const float *q, size_t Q, const float *g,
                          size_t G, size_t D, const size_t *first, const uint32_t *right, bqb_err *err) {
    rank_job j = {.places = places, .top = n_top ? top : NULL, .n_top = n_top, .Q = Q, .G = G, .D = D,
                  .q = q, .g = g, .first = first, .right = right, .longest = longest_row(g, G, D)};
    bqb_status s = check(&j, err);
    if (s) return s;
    float *top_score = bqb_calloc(n_top, sizeof *top_score);
    if (!top_score) return bqb_fail_nomem(err, "scores", n_top * sizeof *top_score);
    for (size_t i = 0; i < Q; i++) {
        asked a = begin(&j, i, top_score);
        for (size_t k = 0; k < G; k++) {
            float score = bqb_rank_score(a.q, g + k * D, D);
            count(&a, (uint32_t)k, score);
            if (a.n_top) keep(&a, (uint32_t)k, score);
        }
        end(&j, i, &a);
    }
    free(top_score);
    return BQB_OK;
}

/* How far two f32 sums of the same products can be apart, whatever their order
 * and with or without fused steps: both within γ |q||g| of the true one,
 * γ = D u / (1 - D u), u = 2^-24 (Higham, Accuracy and Stability, 3.1), and
 * what is lost below the smallest normal number. */
static double slack(double q, double g, size_t D) {
    double u = (double)D * 0x1p-24;
    return u < 0.5 ? 2 * (u / (1 - u) * q * g + (double)D * (double)FLT_MIN) : INFINITY;
}

static float below(double x) { return nextafterf((float)x, -INFINITY); }
static float above(double x) { return nextafterf((float)x, INFINITY); }

/* Count a block of fast scores. What is clearly better or worse needs no second look; what is not is
 * scored again in the fixed order. Comparisons are such that a fast score that is no number is looked at, too. */
static void count_block(asked *a, const float *fast, size_t n, size_t from, const rank_job *j, double margin) {
    float hi = above((double)a->best + margin), lo = below((double)a->best - margin);
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        const float *f = fast + at;
        float least = a->held < a->n_top ? -INFINITY : INFINITY;
        if (a->n_top && a->held == a->n_top) least = below((double)a->top_score[a->n_top - 1] - margin);
        uint32_t better = 0, worse = 0, lower = 0;
#pragma omp simd reduction(+ : better, worse, lower)
        for (size_t i = 0; i < m; i++) {
            better += f[i] > hi;
            worse += f[i] < lo;
            lower += f[i] < least;
        }
        a->place.better += better;
        if (better + worse == m && (lower == m || !a->n_top)) continue;
        for (size_t i = 0; i < m; i++) {
            bool close = !(f[i] > hi) && !(f[i] < lo), high = a->n_top && !(f[i] < least);
            if (!close && !high) continue;
            size_t item = from + at + i;
            float score = bqb_rank_score(a->q, j->g + item * j->D, j->D);
            if (close) count(a, (uint32_t)item, score);
            if (high) keep(a, (uint32_t)item, score);
        }
    }
}

static void rank_some(void *ctx, size_t job, int worker) {
    rank_job *j = ctx;
    asked a[QUERIES];
    double margin[QUERIES];
    float *scores = j->scores + (size_t)worker * QUERIES * ITEMS;
    float *top_scores = j->top_scores + (size_t)worker * QUERIES * j->n_top;
    bqb_gemm *gemm = j->gemm[worker];
    size_t at = j->base + job * j->block, n = j->Q - at < j->block ? j->Q - at : j->block;
    for (size_t k = 0; k < n; k++) {
        a[k] = begin(j, at + k, top_scores + k * j->n_top);
        margin[k] = slack(length(a[k].q, j->D), j->longest, j->D);
    }
    bqb_gemm_enter(gemm);
    for (size_t from = 0; from < j->G; from += ITEMS) {
        size_t m = j->G - from < ITEMS ? j->G - from : ITEMS;
        bqb_gemm_linear(gemm, scores, BQB_NUM_F32, j->q + at * j->D, j->g + from * j->D, BQB_NUM_F32, NULL,
                        BQB_ACT_NONE, false, n, m, j->D);
        for (size_t k = 0; k < n; k++) count_block(&a[k], scores + k * m, m, from, j, margin[k]);
    }
    for (size_t k = 0; k < n; k++) end(j, at + k, &a[k]);
}

/* Enough queries for a product to be worth it, and some for every worker. */
static size_t block_of(size_t Q, size_t workers) {
    size_t share = (Q + workers - 1) / workers;
    return share < 8 ? 8 : share < QUERIES ? share : QUERIES;
}

bqb_status bqb_rank(bqb_place *places, uint32_t *top, size_t n_top, const float *q, size_t Q, const float *g,
                    size_t G, size_t D, const size_t *first, const uint32_t *right, int threads,
                    bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t workers = threads > 0 ? (size_t)threads : (size_t)bqb_cpu_count();
    rank_job j = {.places = places, .top = n_top ? top : NULL, .n_top = n_top, .Q = Q, .G = G, .D = D,
                  .q = q, .g = g, .first = first, .right = right, .block = block_of(Q, workers), .longest = longest_row(g, G, D)};
    bqb_status s = check(&j, err);
    if (s || !Q) return s;
    size_t per_worker = QUERIES * (ITEMS + n_top);
    j.scores = bqb_alloc_aligned(workers * per_worker, sizeof(float));
    j.gemm = bqb_calloc(workers, sizeof(bqb_gemm *));
    if (!j.scores || !j.gemm) s = bqb_fail_nomem(err, "scores", workers * per_worker * sizeof(float));
    else j.top_scores = j.scores + workers * QUERIES * ITEMS;
    for (size_t w = 0; w < workers && !s; w++) s = bqb_gemm_new(&j.gemm[w], 1, err);
    size_t step = workers * j.block * 4;
    for (j.base = 0; j.base < Q && !s; j.base += step) {
        size_t here = Q - j.base < step ? Q - j.base : step;
        bqb_parallel_for((here + j.block - 1) / j.block, (int)workers, rank_some, &j);
        for (size_t w = 0; w < workers && !s; w++) s = bqb_gemm_status(j.gemm[w], err);
        if (!s && progress && progress(ctx, "ranking", j.base + here, Q))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while ranking");
    }
    for (size_t w = 0; j.gemm && w < workers; w++) bqb_gemm_free(j.gemm[w]);
    free(j.gemm);
    free(j.scores);
    return s;
}

double bqb_place_hit(const bqb_place *p, size_t k) {
    if (p->better >= k) return 0;
    double miss = 1;
    size_t open = k - p->better, all = (size_t)p->tied_wrong + p->tied_right;
    for (size_t i = 0; i < open && miss > 0; i++) {
        if (i >= p->tied_wrong) return 1;
        miss *= (double)(p->tied_wrong - i) / (double)(all - i);
    }
    return 1 - miss;
}

double bqb_place_rank(const bqb_place *p) {
    return 1 + (double)p->better + (double)p->tied_wrong / ((double)p->tied_right + 1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bqb_recall bqb_recall_of(const bqb_place *places, size_t n) {
    bqb_recall r = {.n = n};
    if (!n) return r;
    double *rank = bqb_calloc(n, sizeof *rank);
    for (size_t i = 0; i < n; i++) {
        r.r1 += bqb_place_hit(&places[i], 1);
        r.r5 += bqb_place_hit(&places[i], 5);
        r.r10 += bqb_place_hit(&places[i], 10);
        if (rank) rank[i] = bqb_place_rank(&places[i]);
    }
    r.r1 *= 100.0 / (double)n;
    r.r5 *= 100.0 / (double)n;
    r.r10 *= 100.0 / (double)n;
    r.mr = (r.r1 + r.r5 + r.r10) / 3;
    r.median = NAN;
    if (rank) {
        qsort(rank, n, sizeof *rank, by_value);
        r.median = n % 2 ? rank[n / 2] : (rank[n / 2 - 1] + rank[n / 2]) / 2;
    }
    free(rank);
    return r;
}
