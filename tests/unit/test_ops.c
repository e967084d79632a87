/* Kernels: every build against the plain one, the approximations against libm
 * with stated bounds, the ends of the number range, AdamW against its formula.
 * Gradients are held against central differences in tests/grad. */
#include "math/ops.h"

#include "base/mem.h"
#include "base/rand.h"
#include "file/safetensors.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, MOST = 200 };

/* One array of floats and its bf16 twin, of the largest size that is tested. */
typedef struct {
    float f[ROWS * MOST];
    uint16_t h[ROWS * MOST];
} array;

static void fill(array *a, bqb_rand *r, double size) {
    for (size_t i = 0; i < ROWS * MOST; i++) {
        a->h[i] = bqb_f32_to_bf16((float)(size * bqb_rand_normal(r)));
        a->f[i] = bqb_bf16_to_f32(a->h[i]);
    }
}

static void *in(array *a, bqb_num num) { return num ? (void *)a->h : (void *)a->f; }

/* Everything that one build computes at one size: outputs one after another, with names. */
typedef struct {
    float value[40 * ROWS * MOST];
    const char *name[64];
    size_t end[64], n, parts;
    double tolerance[64]; /* of the part's largest entry; 0: the same bits */
} record;

static void put(record *r, const char *name, double tolerance, const void *x, bqb_num num, size_t n) {
    for (size_t i = 0; i < n; i++)
        r->value[r->n + i] = num ? bqb_bf16_to_f32(((const uint16_t *)x)[i]) : ((const float *)x)[i];
    r->n += n;
    r->name[r->parts] = name;
    r->tolerance[r->parts] = tolerance;
    r->end[r->parts++] = r->n;
}

/* f32: a sum in another order, or a product joined to a sum. bf16: one step of 2^-8. */
static double close_to(bqb_num num) { return num ? 0x1p-8 : 4e-6; }

static void run_typed(record *out, const bqb_ops *o, bqb_num num, size_t C, array a[4]) {
    static array y, mean, rstd;
    size_t n = ROWS * C;
    double near = close_to(num);
    o->layernorm_fwd[num](in(&y, num), mean.f, rstd.f, a[0].f, a[1].f, a[2].f, 1e-5f, ROWS, C);
    put(out, "layernorm", near, in(&y, num), num, n);
    put(out, "layernorm mean", 4e-6, mean.f, BQB_NUM_F32, ROWS);
    put(out, "layernorm rstd", 4e-6, rstd.f, BQB_NUM_F32, ROWS);
    o->softmax_fwd[num](in(&y, num), a[0].f, 0.7f, ROWS, C);
    put(out, "softmax", near, in(&y, num), num, n);
    o->softmax_bwd[num](in(&y, num), a[1].f, in(&a[2], num), 0.7f, ROWS, C);
    put(out, "softmax gradient", near, in(&y, num), num, n);
    o->gelu_fwd[num](in(&y, num), in(&a[0], num), n);
    put(out, "gelu", near, in(&y, num), num, n);
    o->gelu_bwd[num](in(&y, num), in(&a[1], num), in(&a[0], num), n);
    put(out, "gelu gradient", near, in(&y, num), num, n);
    o->quick_gelu_fwd[num](in(&y, num), in(&a[0], num), n);
    put(out, "quick_gelu", near, in(&y, num), num, n);
    o->quick_gelu_bwd[num](in(&y, num), in(&a[1], num), in(&a[0], num), n);
    put(out, "quick_gelu gradient", near, in(&y, num), num, n);
    memcpy(y.f, a[2].f, sizeof y.f);
    o->bias_bwd[num](y.f, in(&a[1], num), ROWS, C);
    put(out, "bias gradient", 0, y.f, BQB_NUM_F32, C);
}

static void run_plain(record *out, const bqb_ops *o, size_t C, array a[4]) {
    static array y, dgamma, dbeta, mean, rstd;
    size_t n = ROWS * C;
    o->to_bf16(y.h, a[3].f, n);
    put(out, "to_bf16", 0, y.h, BQB_NUM_BF16, n);
    o->from_bf16(y.f, a[3].h, n);
    put(out, "from_bf16", 0, y.f, BQB_NUM_F32, n);
    memcpy(y.f, a[0].f, sizeof y.f);
    o->add(y.f, a[1].f, n);
    put(out, "add", 0, y.f, BQB_NUM_F32, n);
    o->layernorm_fwd[BQB_NUM_F32](y.f, mean.f, rstd.f, a[0].f, a[1].f, a[2].f, 1e-3f, ROWS, C);
    for (size_t set = 0; set < 2; set++) {
        memcpy(y.f, a[1].f, sizeof y.f);
        memcpy(dgamma.f, a[2].f, sizeof y.f);
        memcpy(dbeta.f, a[2].f, sizeof y.f);
        o->layernorm_bwd(y.f, set, dgamma.f, dbeta.f, a[3].f, a[0].f, mean.f, rstd.f, a[1].f, ROWS, C);
        /* a row of one or two entries: differences of terms of 1/sqrt(eps) */
        put(out, "layernorm dx", C < 3 ? 1e-3 : 4e-6, y.f, BQB_NUM_F32, n);
        put(out, "layernorm dgamma", C < 3 ? 1e-4 : 4e-6, dgamma.f, BQB_NUM_F32, C);
        put(out, "layernorm dbeta", 0, dbeta.f, BQB_NUM_F32, C);
    }
    o->l2norm_fwd(y.f, rstd.f, a[0].f, ROWS, C);
    put(out, "l2norm", 4e-6, y.f, BQB_NUM_F32, n);
    put(out, "l2norm rnorm", 4e-6, rstd.f, BQB_NUM_F32, ROWS);
    o->l2norm_bwd(dgamma.f, a[1].f, a[2].f, rstd.f, ROWS, C);
    put(out, "l2norm gradient", 4e-6, dgamma.f, BQB_NUM_F32, n);
    float max, sum = o->exp_sum(y.f, &max, a[0].f, n);
    put(out, "exp_sum entries", 4e-6, y.f, BQB_NUM_F32, n);
    put(out, "exp_sum", 4e-6, &sum, BQB_NUM_F32, 1);
    put(out, "exp_sum maximum", 0, &max, BQB_NUM_F32, 1);
    memcpy(y.f, a[0].f, sizeof y.f);
    memcpy(mean.f, a[1].f, sizeof y.f);
    for (size_t i = 0; i < n; i++) rstd.f[i] = fabsf(a[2].f[i]);
    o->adamw(y.f, mean.f, rstd.f, a[3].f, 1e-3f, 1e-2f, 3.0f, 0.9f, 0.98f, 1e-6f, n);
    put(out, "adamw weights", 4e-6, y.f, BQB_NUM_F32, n);
    put(out, "adamw first moment", 4e-6, mean.f, BQB_NUM_F32, n);
    put(out, "adamw second moment", 4e-6, rstd.f, BQB_NUM_F32, n);
}

/* The largest entry of part i. */
static double part_size(const record *a, size_t i) {
    double top = 0;
    for (size_t k = i ? a->end[i - 1] : 0; k < a->end[i]; k++) top = fmax(top, fabs((double)a->value[k]));
    return top;
}

/* The largest difference of part i, relative to its largest entry. */
static double part_distance(const record *a, const record *b, size_t i) {
    double diff = 0;
    for (size_t k = i ? a->end[i - 1] : 0; k < a->end[i]; k++) {
        double d = fabs((double)a->value[k] - (double)b->value[k]);
        if (!(d < HUGE_VAL)) return HUGE_VAL;
        diff = fmax(diff, d);
    }
    return diff / fmax(part_size(b, i), 1e-6);
}

static void run(record *out, const bqb_ops *o, size_t C, array a[4]) {
    out->n = out->parts = 0;
    run_plain(out, o, C, a);
    run_typed(out, o, BQB_NUM_F32, C, a);
    run_typed(out, o, BQB_NUM_BF16, C, a);
}

TEST(ops_builds_agree) {
    const bqb_ops *all[4];
    size_t builds = bqb_ops_all(all);
    record *want = bqb_calloc(1, sizeof *want), *got = bqb_calloc(1, sizeof *got);
    array *a = bqb_calloc(4, sizeof *a);
    CHECK(all[0] == bqb_ops_plain() && !strcmp(all[0]->name, "generic"));
    bqb_rand r = bqb_rand_seed(1, 0);
    for (size_t C = 1; C <= MOST && want && got && a; C += C < 70 ? 1 : 13) {
        for (size_t i = 0; i < 4; i++) fill(&a[i], &r, 1);
        run(want, all[0], C, a);
        for (size_t k = 1; k < builds; k++) {
            run(got, all[k], C, a);
            for (size_t i = 0; i < want->parts; i++) {
                double d = part_distance(got, want, i);
                CHECK_MSG(d <= want->tolerance[i], "%s: %s at size %zu is %.1e from the plain one",
                          all[k]->name, want->name[i], C, d);
                float *last = &got->value[want->end[i] - 1];
                *last += 0.02f * (float)part_size(want, i); /* planted */
                CHECK_MSG(part_distance(got, want, i) > want->tolerance[i] || part_size(want, i) < 1e-6,
                          "%s: a wrong last element goes unnoticed", want->name[i]);
            }
        }
    }
    printf("  kernels: %zu builds, the best is %s\n", builds, bqb_ops_best()->name);
    free(want);
    free(got);
    free(a);
}

TEST(ops_build_by_name) {
    const bqb_ops *all[4];
    size_t builds = bqb_ops_all(all);
    char *before = getenv("BQB_ISA") ? bqb_strdup(getenv("BQB_ISA")) : NULL;
    for (size_t k = 0; k < builds; k++) {
        setenv("BQB_ISA", all[k]->name, 1);
        CHECK_STR(bqb_ops_best()->name, all[k]->name);
    }
    setenv("BQB_ISA", "no such set", 1);
    CHECK(bqb_ops_best() == all[builds - 1]);
    if (before) setenv("BQB_ISA", before, 1);
    else unsetenv("BQB_ISA");
    free(before);
}

/* e^x: relative error below 2.5e-7 over the whole range that it serves. */
TEST(ops_exp_is_accurate) {
    enum { N = 40000 };
    const bqb_ops *all[4];
    float *x = bqb_alloc_aligned(N, sizeof *x), *e = bqb_alloc_aligned(N, sizeof *e), max;
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds && x && e; k++) {
        for (size_t i = 0; i < N; i++) x[i] = -87.0f * (float)i / (float)(N - 1);
        float sum = all[k]->exp_sum(e, &max, x, N);
        double worst = 0, exact = 0;
        for (size_t i = 0; i < N; i++) {
            double want = exp((double)x[i]);
            exact += want;
            worst = fmax(worst, fabs((double)e[i] - want) / want);
        }
        CHECK_MSG(worst < 2.5e-7, "%s: e^x is off by %.2e", all[k]->name, worst);
        CHECK(max == 0 && fabs((double)sum - exact) < 1e-3 * exact);
        /* Far below, it is as good as nothing, and never denormal or negative. */
        float far[4] = {0, -88, -1000, -3e38f};
        all[k]->exp_sum(e, &max, far, 4);
        for (size_t i = 1; i < 4; i++) CHECK(e[i] > 1e-38f && e[i] < 2e-38f);
    }
    free(x);
    free(e);
}

/* Activations against libm: |error| < 2e-7 max(1,|x|), their slopes 3e-7, of
 * which 1.5e-7 is the error function's. */
TEST(ops_activations_are_accurate) {
    enum { N = 40001 };
    const bqb_ops *all[4];
    float *x = bqb_alloc_aligned(N, sizeof *x), *y = bqb_alloc_aligned(N, sizeof *y),
          *one = bqb_alloc_aligned(N, sizeof *one);
    for (size_t i = 0; i < N && x && one; i++) {
        x[i] = -20.0f + 40.0f * (float)i / (float)(N - 1);
        one[i] = 1;
    }
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds && x && y && one; k++) {
        double worst[4] = {0};
        for (size_t f = 0; f < 4; f++) {
            if (f == 0) all[k]->gelu_fwd[0](y, x, N);
            if (f == 1) all[k]->quick_gelu_fwd[0](y, x, N);
            if (f == 2) all[k]->gelu_bwd[0](y, one, x, N);
            if (f == 3) all[k]->quick_gelu_bwd[0](y, one, x, N);
            for (size_t i = 0; i < N; i++) {
                double v = (double)x[i], cdf = 0.5 * erfc(-v / sqrt(2.0)), s = 1 / (1 + exp(-1.702 * v));
                double pdf = exp(-v * v / 2) / sqrt(2 * acos(-1.0));
                double want = f == 0   ? v * cdf
                              : f == 1 ? v * s
                              : f == 2 ? cdf + v * pdf
                                       : s * (1 + 1.702 * v * (1 - s));
                worst[f] = fmax(worst[f], fabs((double)y[i] - want) / fmax(1, fabs(v)));
            }
        }
        CHECK_MSG(worst[0] < 2e-7, "%s: gelu is off by %.2e", all[k]->name, worst[0]);
        CHECK_MSG(worst[1] < 2e-7, "%s: quick_gelu is off by %.2e", all[k]->name, worst[1]);
        CHECK_MSG(worst[2] < 3e-7, "%s: the slope of gelu is off by %.2e", all[k]->name, worst[2]);
        CHECK_MSG(worst[3] < 3e-7, "%s: the slope of quick_gelu is off by %.2e", all[k]->name, worst[3]);
    }
    free(x);
    free(y);
    free(one);
}

/* The ends of the range: finite in, finite and right out. */
TEST(ops_extreme_activations) {
    static const float ends[] = {0.0f, -0.0f, 1e-45f, -1e-45f, 1e-38f, -1e-38f, 1e-20f, -1e-20f,
                                 87,   -87,   88,     -88,     89,     -89,     150,    -150,
                                 1e4f, -1e4f, 1e10f,  -1e10f,  1e19f,  -1e19f,  1e30f,  -1e30f};
    enum { N = sizeof ends / sizeof *ends };
    const bqb_ops *all[4];
    float y[N], one[N];
    for (size_t i = 0; i < N; i++) one[i] = 1;
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t f = 0; f < 4; f++) {
            if (f == 0) all[k]->gelu_fwd[0](y, ends, N);
            if (f == 1) all[k]->quick_gelu_fwd[0](y, ends, N);
            if (f == 2) all[k]->gelu_bwd[0](y, one, ends, N);
            if (f == 3) all[k]->quick_gelu_bwd[0](y, one, ends, N);
            for (size_t i = 0; i < N; i++) {
                /* far from 0 both are x or 0, and their slopes 1 or 0; near 0 they are x/2 and 1/2 */
                double x = (double)ends[i], far = x > 0 ? 1 : 0, share = fabs(x) < 1 ? 0.5 : far,
                       want = f < 2 ? share * x : share;
                double error = fabs((double)y[i] - want) / fmax(f < 2 ? fmax(1, want) : 1, 1);
                CHECK_MSG(error < 1e-6, "%s: function %zu of %g is %g", all[k]->name, f, x, (double)y[i]);
            }
        }
}

TEST(ops_extreme_rows) {
    const bqb_ops *all[4];
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t C = 1; C < 40; C += 1 + C / 8) {
            float x[40], y[40], gamma[40], beta[40], mean, rstd, d[40];
            for (size_t i = 0; i < C; i++) x[i] = 0, gamma[i] = 2, beta[i] = (float)i;
            all[k]->layernorm_fwd[0](y, &mean, &rstd, x, gamma, beta, 1e-12f, 1, C);
            bool plain = true; /* a row of zeros gives beta */
            for (size_t i = 0; i < C; i++) plain = plain && y[i] == beta[i];
            CHECK(plain && mean == 0 && fabsf(rstd - 1e6f) < 1);

            /* unit rows: nothing stays nothing, and tiny or large ones come out as units */
            all[k]->l2norm_fwd(y, &rstd, x, 1, C);
            for (size_t i = 0; i < C; i++) CHECK(y[i] == 0);
            CHECK(fabsf(rstd - 1e12f) < 1e6f);
            for (size_t i = 0; i < C; i++) d[i] = 1;
            all[k]->l2norm_bwd(d, d, y, &rstd, 1, C);
            for (size_t i = 0; i < C; i++) CHECK(isfinite(d[i]));
            static const float sizes[] = {1e-11f, 1e-6f, 1, 1e6f, 1e17f};
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                for (size_t i = 0; i < C; i++) x[i] = i % 2 ? sizes[s] : -sizes[s];
                all[k]->l2norm_fwd(y, &rstd, x, 1, C);
                double sq = 0;
                for (size_t i = 0; i < C; i++) sq += (double)y[i] * (double)y[i];
                CHECK_MSG(fabs(sq - 1) < 1e-5, "%s: a row of %zu times %g has length² %g", all[k]->name, C,
                          (double)sizes[s], sq);
            }

            /* softmax of anything adds up to 1, and equal scores share equally */
            static const float spread[] = {0, 1e-30f, 1, 100, 1e4f, 1e30f};
            for (size_t s = 0; s < sizeof spread / sizeof *spread; s++) {
                for (size_t i = 0; i < C; i++) x[i] = spread[s] * (float)((i * 7 + 3) % C);
                all[k]->softmax_fwd[0](y, x, 0.125f, 1, C);
                double sum = 0;
                bool in_range = true;
                for (size_t i = 0; i < C; i++)
                    sum += (double)y[i], in_range = in_range && y[i] >= 0 && y[i] <= 1.000001f;
                CHECK_MSG(fabs(sum - 1) < 1e-5 && in_range, "%s: softmax over %zu times %g adds up to %g",
                          all[k]->name, C, (double)spread[s], sum);
                if (s < 2) CHECK(fabs((double)y[0] * (double)C - 1) < 1e-5);
                all[k]->softmax_bwd[0](d, gamma, y, 0.125f, 1, C); /* dp all equal: no gradient */
                for (size_t i = 0; i < C; i++) CHECK(fabsf(d[i]) < 1e-5f);
            }
        }
}

/* bf16: to nearest, ties to even; infinities and NaN stay what they are. */
TEST(ops_bf16_rounding) {
    static const struct {
        uint32_t bits;
        uint16_t want;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
                 {0x3f817fff, 0x3f81}, {0xbf808000, 0xbf80}, {0xbf818000, 0xbf82}, {0x00000000, 0},
                 {0x80000000, 0x8000}, {0x00000001, 0},      {0x00008001, 1},      {0x7f7fffff, 0x7f80},
                 {0x7f7f7fff, 0x7f7f}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}};
    enum { N = sizeof cases / sizeof *cases };
    const bqb_ops *all[4];
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++) {
        float x[N], back[N];
        uint16_t h[N];
        for (size_t i = 0; i < N; i++) memcpy(&x[i], &cases[i].bits, 4);
        all[k]->to_bf16(h, x, N);
        all[k]->from_bf16(back, h, N);
        for (size_t i = 0; i < N; i++) {
            uint32_t u;
            memcpy(&u, &back[i], 4);
            CHECK_MSG(h[i] == cases[i].want && u == (uint32_t)h[i] << 16, "%s: %08x becomes %04x",
                      all[k]->name, (unsigned)cases[i].bits, (unsigned)h[i]);
        }
        float nan[2] = {NAN, -NAN};
        all[k]->to_bf16(h, nan, 2);
        all[k]->from_bf16(back, h, 2);
        CHECK(isnan(back[0]) && isnan(back[1]));
    }
}

/* Twelve steps against the formula in double; a wrong beta must show. */
TEST(ops_adamw_follows_its_formula) {
    enum { N = 67, STEPS = 12 };
    const bqb_ops *all[4];
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t fault = 0; fault < 4; fault++) {
            bqb_rand r = bqb_rand_seed(5, 0);
            float w[N], m[N] = {0}, v[N] = {0}, g[N];
            double ww[N], mm[N] = {0}, vv[N] = {0}, lr = 1e-2, b1 = 0.9, b2 = 0.98, eps = 1e-6, wd = 0.1;
            for (size_t i = 0; i < N; i++) ww[i] = (double)(w[i] = (float)bqb_rand_normal(&r));
            if (fault == 1) wd = 0.2;
            if (fault == 2) b2 = 0.97;
            for (int t = 1; t <= STEPS; t++) {
                for (size_t i = 0; i < N; i++) {
                    /* gradients of every size; every seventh is always 0 */
                    g[i] = i % 7 == 6 ? 0 : (float)(bqb_rand_normal(&r) * pow(10, (double)(i % 13) - 8));
                    double gi = (double)g[i];
                    ww[i] -= lr * wd * ww[i];
                    mm[i] = b1 * mm[i] + (1 - b1) * gi;
                    vv[i] = b2 * vv[i] + (1 - b2) * gi * gi;
                    ww[i] -= lr * (mm[i] / (1 - pow(b1, t))) / (sqrt(vv[i] / (1 - pow(b2, t))) + eps);
                }
                bqb_adamw_step s = bqb_adamw_step_at(1e-2, 0.1, 0.9, 0.98, (uint64_t)t);
                all[k]->adamw(w, m, v, g, s.decay, s.step_size, s.vscale, 0.9f, 0.98f, fault == 3 ? 1e-4f : 1e-6f, N);
            }
            double worst = 0;
            for (size_t i = 0; i < N; i++) worst = fmax(worst, fabs((double)w[i] - ww[i]));
            if (!fault) CHECK_MSG(worst < 3e-6, "%s: weights differ by %.1e", all[k]->name, worst);
            else
                CHECK_MSG(worst > 1e-5, "%s: planted fault %zu goes unnoticed (%.1e)", all[k]->name, fault,
                          worst);
        }
}
