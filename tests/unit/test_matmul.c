/* Matrix products against a plain loop in double. */
#include "math/matmul.h"

#include "base/mem.h"
#include "base/rand.h"
#include "file/safetensors.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A matrix operand: `n` numbers in its format, and the same numbers as floats. */
typedef struct {
    bqb_num num;
    size_t n;
    float *f;
    uint16_t *h;
} operand;

static operand operand_new(bqb_num num, size_t n, bqb_rand *r) {
    operand o = {.num = num, .n = n, .f = bqb_alloc_aligned(n, 4), .h = bqb_alloc_aligned(n, 2)};
    for (size_t i = 0; i < n; i++) {
        o.f[i] = (float)bqb_rand_normal(r);
        o.h[i] = bqb_f32_to_bf16(o.f[i]);
        if (num) o.f[i] = bqb_bf16_to_f32(o.h[i]);
    }
    return o;
}

static void operand_free(operand *o) {
    free(o->f);
    free(o->h);
}

static void *bytes(const operand *o) { return o->num ? (void *)o->h : (void *)o->f; }

static float at(const operand *o, size_t i) { return o->num ? bqb_bf16_to_f32(o->h[i]) : o->f[i]; }

static size_t index_of(const bqb_layout *l, int64_t o, int64_t i, int64_t r, int64_t c) {
    return (size_t)(o * l->outer + i * l->inner + r * l->row + c * l->col);
}

/* Elements from a layout's start to its last element. */
static size_t extent(const bqb_layout *l, const bqb_product *p, int64_t rows, int64_t cols) {
    return index_of(l, p->outer - 1, p->inner - 1, rows - 1, cols - 1) + 1;
}

static double activate(bqb_act act, double x) {
    if (act == BQB_ACT_GELU) return 0.5 * x * erfc(-x / sqrt(2.0));
    return act == BQB_ACT_QUICK_GELU ? x / (1 + exp(-1.702 * x)) : x;
}

/* The largest error of c over its tolerance; elements between the rows must be
 * as they were. `fault` spoils what is expected of one element. */
static double error_of(const bqb_product *p, const operand *a, const operand *b, const operand *c,
                       const operand *before, const float *bias, bool fault) {
    double worst = 0;
    bool *written = bqb_calloc(c->n, 1);
    for (int64_t o = 0; o < p->outer; o++)
        for (int64_t i = 0; i < p->inner; i++)
            for (int64_t m = 0; m < p->M; m++)
                for (int64_t n = 0; n < p->N; n++) {
                    double sum = bias ? (double)bias[n] : 0, size = fabs(sum);
                    for (int64_t k = 0; k < p->K; k++) {
                        double t = (double)at(a, index_of(&p->a, o, i, m, k)) *
                                   (double)at(b, index_of(&p->b, o, i, k, n));
                        sum += t;
                        size += fabs(t);
                    }
                    size_t to = index_of(&p->c, o, i, m, n);
                    double want = activate(p->act, sum) + (p->accumulate ? (double)before->f[to] : 0);
                    if (fault && o == 0 && i == p->inner - 1 && m == p->M / 2 && n == p->N / 2)
                        want += 0.02 * fmax(1, fabs(want));
                    /* f32: K roundings of the sum of sizes at most; bf16 results: half of 2^-8 of the result.
                     */
                    double tolerance =
                        4e-7 * (size + fabs(want) + 1) * 4 + (c->num ? 0x1p-8 * fabs(want) : 0);
                    double e = fabs((double)at(c, to) - want) / tolerance;
                    worst = e <= worst ? worst : e; /* NaN counts */
                    if (e != e) worst = HUGE_VAL;
                    written[to] = true;
                }
    for (size_t k = 0; k < c->n; k++)
        if (!written[k] && memcmp(&(float){at(c, k)}, &(float){before->f[k]}, 4)) worst = HUGE_VAL;
    free(written);
    return worst;
}

static void check_product(bqb_gemm *g, const bqb_product *p, bqb_rand *r, const char *what) {
    bqb_err err;
    operand a = operand_new(p->a.type, extent(&p->a, p, p->M, p->K), r),
            b = operand_new(p->b.type, extent(&p->b, p, p->K, p->N), r),
            before = operand_new(p->c.type, extent(&p->c, p, p->M, p->N), r),
            bias = operand_new(BQB_NUM_F32, (size_t)p->N, r);
    operand c = {.num = before.num,
                 .n = before.n,
                 .f = bqb_alloc_aligned(before.n, 4),
                 .h = bqb_alloc_aligned(before.n, 2)};
    memcpy(c.f, before.f, c.n * 4);
    memcpy(c.h, before.h, c.n * 2);
    bqb_gemm_run(g, p, bytes(&c), bytes(&a), bytes(&b), p->bias ? bias.f : NULL);
    if (CHECK_OK(bqb_gemm_status(g, &err), err)) {
        double e = error_of(p, &a, &b, &c, &before, p->bias ? bias.f : NULL, false);
        CHECK_MSG(e <= 1, "%s %s→%s %lldx%lld [%lld,%lld,%lld]: %.1f times the tolerance", what,
                  p->a.type ? "bf16" : "f32", p->c.type ? "bf16" : "f32", (long long)p->outer,
                  (long long)p->inner, (long long)p->M, (long long)p->N, (long long)p->K, e);
        e = error_of(p, &a, &b, &c, &before, p->bias ? bias.f : NULL, true);
        CHECK_MSG(e > 1, "%s: a wrong element goes unnoticed", what);
    }
    operand_free(&a);
    operand_free(&b);
    operand_free(&c);
    operand_free(&before);
    operand_free(&bias);
}

static size_t formats(void) { return bqb_gemm_has_bf16() ? 2 : 1; }

static bqb_layout dense(bqb_num t, int64_t rows, int64_t cols, bool turned) {
    return (bqb_layout){.type = t,
                        .outer = rows * cols,
                        .inner = rows * cols,
                        .row = turned ? 1 : cols,
                        .col = turned ? rows : 1};
}

static const int64_t SHAPES[][3] = {{1, 1, 1},    {1, 5, 3},    {7, 1, 8},    {8, 9, 1},
                                    {15, 16, 17}, {33, 31, 65}, {64, 24, 40}, {130, 3, 2}};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

/* Both operands either way round, with and without bias, activation and sum, on one and on two threads. */
static void check_threads(int threads) {
    bqb_err err;
    bqb_gemm *g;
    if (!CHECK_OK(bqb_gemm_new(&g, threads, &err), err)) return;
    bqb_gemm_enter(g);
    bqb_rand r = bqb_rand_seed(1, 0);
    for (size_t s = 0; s < N_SHAPES; s++)
        for (size_t t = 0; t < formats(); t++)
            for (size_t to = 0; to <= t; to++)
                for (size_t way = 0; way < 4; way++)
                    for (int extra = 0; extra < 6; extra++) {
                        int64_t M = SHAPES[s][0], N = SHAPES[s][1], K = SHAPES[s][2];
                        bqb_product p = {.outer = 1, .inner = 1, .M = M, .N = N, .K = K};
                        p.a = dense((bqb_num)t, M, K, way & 1);
                        p.b = dense((bqb_num)t, K, N, way & 2);
                        p.c = dense((bqb_num)(t && !to), M, N, false);
                        p.bias = extra == 1 || extra > 2;
                        p.act = extra == 4 ? BQB_ACT_GELU : extra == 5 ? BQB_ACT_QUICK_GELU : BQB_ACT_NONE;
                        p.accumulate = extra == 2 || extra == 3;
                        if (p.accumulate && p.c.type) continue; /* the engine adds only to f32 */
                        check_product(g, &p, &r, "product");
                    }
    bqb_gemm_free(g);
}

TEST(matmul_one_thread) { check_threads(1); }
TEST(matmul_two_threads) { check_threads(2); }

/* As attention uses them: heads inside packed rows [R,3C], scores, and back; batches of sequences. */
TEST(matmul_heads_in_packed_rows) {
    static const int64_t sizes[][4] = {{1, 1, 5, 4},  {1, 3, 17, 8},  {4, 3, 7, 8},
                                       {5, 1, 9, 16}, {2, 12, 33, 5}, {7, 2, 1, 3}};
    bqb_err err;
    bqb_gemm *g;
    if (!CHECK_OK(bqb_gemm_new(&g, 1, &err), err)) return;
    bqb_gemm_enter(g);
    bqb_rand r = bqb_rand_seed(2, 0);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t t = 0; t < formats(); t++) {
            int64_t S = sizes[s][0], H = sizes[s][1], T = sizes[s][2], hd = sizes[s][3], C = H * hd;
            bqb_num num = (bqb_num)t;
            bqb_layout packed = {.type = num, .outer = T * 3 * C, .inner = hd, .row = 3 * C, .col = 1},
                       turned = packed;
            turned.row = 1;
            turned.col = 3 * C;
            bqb_layout score = {.type = BQB_NUM_F32, .outer = H * T * T, .inner = T * T, .row = T, .col = 1},
                       prob = score, prob_t;
            prob.type = num;
            prob_t = prob;
            prob_t.row = 1;
            prob_t.col = T;
            bqb_layout out = {.type = num, .outer = T * C, .inner = hd, .row = C, .col = 1};
            bqb_product p = {
                .outer = S, .inner = H, .M = T, .N = T, .K = hd, .a = packed, .b = turned, .c = score};
            check_product(g, &p, &r, "q times k");
            p = (bqb_product){
                .outer = S, .inner = H, .M = T, .N = hd, .K = T, .a = prob, .b = packed, .c = out};
            check_product(g, &p, &r, "probabilities times v");
            p = (bqb_product){
                .outer = S, .inner = H, .M = T, .N = hd, .K = T, .a = prob_t, .b = out, .c = packed};
            check_product(g, &p, &r, "gradient of v");
            /* only the first row of each sequence asks */
            p = (bqb_product){
                .outer = S, .inner = H, .M = 1, .N = T, .K = hd, .a = packed, .b = turned, .c = score};
            check_product(g, &p, &r, "one q times k");
        }
    bqb_gemm_free(g);
}

/* The shorthands, by their own words. */
TEST(matmul_shorthands) {
    bqb_err err;
    bqb_gemm *g;
    if (!CHECK_OK(bqb_gemm_new(&g, 2, &err), err)) return;
    bqb_gemm_enter(g);
    enum { M = 9, N = 7, K = 5 };
    bqb_rand r = bqb_rand_seed(3, 0);
    float a[M * K], w[N * K], bias[N], d[M * N], c[M * N], back[M * K], outer[N * K], start[N * K];
    for (size_t i = 0; i < M * K; i++) a[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)bqb_rand_normal(&r), start[i] = outer[i] = (float)i;
    for (size_t i = 0; i < N; i++) bias[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < M * N; i++) d[i] = (float)bqb_rand_normal(&r);
    bqb_gemm_linear(g, c, BQB_NUM_F32, a, w, BQB_NUM_F32, bias, BQB_ACT_GELU, false, M, N, K);
    bqb_gemm_back(g, back, BQB_NUM_F32, d, w, BQB_NUM_F32, false, M, N, K);
    bqb_gemm_outer(g, outer, d, a, BQB_NUM_F32, M, N, K);
    CHECK_OK(bqb_gemm_status(g, &err), err);
    double worst[3] = {0};
    for (size_t m = 0; m < M; m++)
        for (size_t n = 0; n < N; n++) {
            double sum = (double)bias[n];
            for (size_t k = 0; k < K; k++) sum += (double)a[m * K + k] * (double)w[n * K + k];
            worst[0] = fmax(worst[0], fabs(activate(BQB_ACT_GELU, sum) - (double)c[m * N + n]));
        }
    for (size_t m = 0; m < M; m++)
        for (size_t k = 0; k < K; k++) {
            double sum = 0;
            for (size_t n = 0; n < N; n++) sum += (double)d[m * N + n] * (double)w[n * K + k];
            worst[1] = fmax(worst[1], fabs(sum - (double)back[m * K + k]));
        }
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++) {
            double sum = (double)start[n * K + k];
            for (size_t m = 0; m < M; m++) sum += (double)d[m * N + n] * (double)a[m * K + k];
            worst[2] = fmax(worst[2], fabs(sum - (double)outer[n * K + k]));
        }
    CHECK_MSG(worst[0] < 1e-5 && worst[1] < 1e-5 && worst[2] < 1e-5, "errors %g %g %g", worst[0], worst[1],
              worst[2]);
    bqb_gemm_free(g);
}

/* More kinds of product than the table starts with: all stay right, also when asked for again. */
TEST(matmul_many_kinds) {
    bqb_err err;
    bqb_gemm *g;
    if (!CHECK_OK(bqb_gemm_new(&g, 1, &err), err)) return;
    bqb_gemm_enter(g);
    bqb_rand r = bqb_rand_seed(4, 0);
    for (int round = 0; round < 2; round++)
        for (int64_t M = 1; M <= 24; M++)
            for (int64_t N = 1; N <= 5; N++)
                for (int64_t K = 1; K <= 4; K++) {
                    bqb_product p = {.outer = 1,
                                     .inner = 1,
                                     .M = M,
                                     .N = N,
                                     .K = K,
                                     .a = dense(BQB_NUM_F32, M, K, false),
                                     .b = dense(BQB_NUM_F32, K, N, true),
                                     .c = dense(BQB_NUM_F32, M, N, false)};
                    check_product(g, &p, &r, "one of many");
                }
    bqb_gemm_free(g);
}

/* A product that cannot be done is remembered, makes the rest do nothing, and is reported once. */
TEST(matmul_failure_stays_until_asked) {
    bqb_err err = {0};
    bqb_gemm *g;
    if (!CHECK_OK(bqb_gemm_new(&g, 1, &err), err)) return;
    bqb_gemm_enter(g);
    float a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, c[4] = {9, 9, 9, 9};
    bqb_product good = {.outer = 1,
                        .inner = 1,
                        .M = 2,
                        .N = 2,
                        .K = 2,
                        .a = dense(BQB_NUM_F32, 2, 2, false),
                        .b = dense(BQB_NUM_F32, 2, 2, false),
                        .c = dense(BQB_NUM_F32, 2, 2, false)};
    bqb_product bad = good;
    bad.M = -3;
    bqb_gemm_run(g, &bad, c, a, b, NULL);
    bqb_gemm_run(g, &good, c, a, b, NULL);
    CHECK(c[0] == 9 && c[3] == 9);
    CHECK(bqb_gemm_status(g, &err) != BQB_OK);
    CHECK_MSG(strstr(err.msg, "oneDNN") && strstr(err.msg, "-3"), "message: %s", err.msg);
    CHECK_OK(bqb_gemm_status(g, &err), err);
    bqb_gemm_run(g, &good, c, a, b, NULL);
    CHECK_OK(bqb_gemm_status(g, &err), err);
    CHECK(c[0] == 1 && c[1] == 2 && c[2] == 3 && c[3] == 4);
    /* Nothing to do is no failure, and touches nothing. */
    good.N = 0;
    bqb_gemm_run(g, &good, c, a, b, NULL);
    CHECK(bqb_gemm_status(g, NULL) == BQB_OK && c[0] == 1);
    bqb_gemm_free(g);
    bqb_gemm_free(NULL);
    CHECK(strlen(bqb_gemm_library_version()) >= 5);
}
