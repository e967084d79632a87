/* Every kernel with a gradient, in every build this processor can run, f32 and
 * bf16, at sizes past every vector width. The loss of each check is the sum of
 * dy times the outputs, computed in double. */
#include "grad/gradcheck.h"
#include "grad/plain.h"
#include "model/clip_internal.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Relative to the largest entry. f32: sums of up to 130 terms of rounding
 * 6e-8 and an exponential of 2 units in the last place. bf16: the output is rounded
 * to 8 bits, half of 2^-8 of an entry, and reads inputs that are exact. */
static const double TOLERANCE[2] = {1e-5, 6e-3};
static const size_t SIZES[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES };

static const char *const FORMAT[] = {"f32", "bf16"};

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* --- activations --- */

typedef struct {
    double (*f)(double);
    double x;
} scalar;

static double scalar_loss(void *ctx) {
    const scalar *s = ctx;
    return s->f(s->x);
}

static void check_activation(const bqb_ops *ops, bqb_act act, bqb_num num, size_t n, bqb_rand *r) {
    float *x = GRAD_FLOATS(n), *dy = GRAD_FLOATS(n), *got = GRAD_FLOATS(n);
    double *want = GRAD_DOUBLES(n);
    void *xv = grad_take(n, 4), *dyv = grad_take(n, 4);
    grad_fill(r, x, NULL, n, 2, num);
    grad_fill(r, dy, NULL, n, 1, num);
    grad_pack(xv, x, n, num);
    grad_pack(dyv, dy, n, num);
    scalar s = {.f = act == BQB_ACT_GELU ? plain_gelu : plain_quick_gelu};
    for (size_t i = 0; i < n; i++) {
        s.x = (double)x[i];
        want[i] = (double)dy[i] * grad_numeric(&s.x, scalar_loss, &s);
    }
    /* dx may be dy itself */
    (act == BQB_ACT_GELU ? ops->gelu_bwd : ops->quick_gelu_bwd)[num](dyv, dyv, xv, n);
    grad_unpack(got, dyv, n, num);
    char what[96];
    snprintf(what, sizeof what, "%s %s %s n=%zu", ops->name, act == BQB_ACT_GELU ? "gelu" : "quick_gelu",
             FORMAT[num], n);
    grad_close(what, got, want, n, TOLERANCE[num], 0.1);
    free(x);
    free(dy);
    free(got);
    free(want);
    free(xv);
    free(dyv);
}

TEST(grad_activations) {
    const bqb_ops *all[4];
    bqb_rand r = bqb_rand_seed(1, 0);
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t i = 0; i < N_SIZES; i++)
            for (bqb_num num = BQB_NUM_F32; num <= BQB_NUM_BF16; num++) {
                check_activation(all[k], BQB_ACT_GELU, num, SIZES[i], &r);
                check_activation(all[k], BQB_ACT_QUICK_GELU, num, SIZES[i], &r);
            }
}

/* --- LayerNorm --- */

typedef struct {
    double *x, *gamma, *beta, *dy, *y;
    double eps;
    size_t N, C;
} norm;

static double norm_loss(void *ctx) {
    const norm *t = ctx;
    plain_layernorm(t->y, t->x, t->gamma, t->beta, t->eps, t->N, t->C);
    return dot(t->y, t->dy, t->N * t->C);
}

static void numeric_all(double *d, double *x, size_t n, grad_loss loss, void *ctx) {
    for (size_t i = 0; i < n; i++) d[i] = grad_numeric(x + i, loss, ctx);
}

static void add_to(double *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += (double)x[i];
}

static void check_layernorm(const bqb_ops *ops, size_t N, size_t C, double offset, bqb_rand *r) {
    size_t n = N * C;
    float *x = GRAD_FLOATS(n), *gamma = GRAD_FLOATS(C), *beta = GRAD_FLOATS(C), *dy = GRAD_FLOATS(n),
          *y = GRAD_FLOATS(n), *mean = GRAD_FLOATS(N), *rstd = GRAD_FLOATS(N), *dx = GRAD_FLOATS(n),
          *dgamma = GRAD_FLOATS(C), *dbeta = GRAD_FLOATS(C), *before = GRAD_FLOATS(n);
    norm t = {.x = GRAD_DOUBLES(n),
              .gamma = GRAD_DOUBLES(C),
              .beta = GRAD_DOUBLES(C),
              .dy = GRAD_DOUBLES(n),
              .y = GRAD_DOUBLES(n),
              .eps = (double)1e-5f,
              .N = N,
              .C = C};
    double *want = GRAD_DOUBLES(n);
    grad_fill(r, x, NULL, n, 1, BQB_NUM_F32);
    for (size_t i = 0; i < n; i++) t.x[i] = (double)(x[i] += (float)offset);
    grad_fill(r, gamma, t.gamma, C, 1, BQB_NUM_F32);
    grad_fill(r, beta, t.beta, C, 1, BQB_NUM_F32);
    grad_fill(r, dy, t.dy, n, 1, BQB_NUM_F32);
    ops->layernorm_fwd[BQB_NUM_F32](y, mean, rstd, x, gamma, beta, 1e-5f, N, C);
    char what[96];
    /* The gradient of a row of one entry is 0, of two nearly: differences of terms of 1/sqrt(eps) = 316.
     * The rounding of the mean is relative to the offset. */
    double tolerance = TOLERANCE[0] * (1 + fabs(offset)), least = C < 3 ? 10 : 0.1;
    numeric_all(want, t.x, n, norm_loss, &t);
    memcpy(dx, dy, n * sizeof *dx);
    ops->layernorm_bwd(dx, true, NULL, NULL, dx, x, mean, rstd, gamma, N, C);
    snprintf(what, sizeof what, "%s layernorm dx set [%zu,%zu]+%g", ops->name, N, C, offset);
    grad_close(what, dx, want, n, tolerance, least);

    grad_fill(r, before, NULL, n, 1, BQB_NUM_F32);
    grad_fill(r, dgamma, NULL, C, 1, BQB_NUM_F32);
    grad_fill(r, dbeta, NULL, C, 1, BQB_NUM_F32);
    memcpy(dx, before, n * sizeof *dx);
    add_to(want, before, n);
    double *wgamma = GRAD_DOUBLES(C), *wbeta = GRAD_DOUBLES(C);
    numeric_all(wgamma, t.gamma, C, norm_loss, &t);
    numeric_all(wbeta, t.beta, C, norm_loss, &t);
    add_to(wgamma, dgamma, C);
    add_to(wbeta, dbeta, C);
    ops->layernorm_bwd(dx, false, dgamma, dbeta, dy, x, mean, rstd, gamma, N, C);
    snprintf(what, sizeof what, "%s layernorm [%zu,%zu]+%g dx added", ops->name, N, C, offset);
    grad_close(what, dx, want, n, tolerance, least);
    snprintf(what, sizeof what, "%s layernorm [%zu,%zu]+%g dgamma", ops->name, N, C, offset);
    grad_close(what, dgamma, wgamma, C, tolerance, least);
    snprintf(what, sizeof what, "%s layernorm [%zu,%zu]+%g dbeta", ops->name, N, C, offset);
    grad_close(what, dbeta, wbeta, C, tolerance, least);
    float *f[] = {x, gamma, beta, dy, y, mean, rstd, dx, dgamma, dbeta, before};
    double *d[] = {t.x, t.gamma, t.beta, t.dy, t.y, want, wgamma, wbeta};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) free(f[i]);
    for (size_t i = 0; i < sizeof d / sizeof *d; i++) free(d[i]);
}

TEST(grad_layernorm) {
    const bqb_ops *all[4];
    bqb_rand r = bqb_rand_seed(2, 0);
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++) {
        for (size_t i = 0; i < N_SIZES; i++) check_layernorm(all[k], 3, SIZES[i], 0, &r);
        check_layernorm(all[k], 1, 24, 0, &r);
        check_layernorm(all[k], 5, 24, 10, &r);
    }
}

/* --- softmax --- */

typedef struct {
    double *s, *dp, *p, scale;
    size_t N, T;
} soft;

static double soft_loss(void *ctx) {
    const soft *t = ctx;
    plain_softmax(t->p, t->s, t->scale, t->N, t->T);
    return dot(t->p, t->dp, t->N * t->T);
}

static void check_softmax(const bqb_ops *ops, bqb_num num, size_t N, size_t T, bqb_rand *r) {
    size_t n = N * T;
    float *s = GRAD_FLOATS(n), *dp = GRAD_FLOATS(n), *p = GRAD_FLOATS(n), *got = GRAD_FLOATS(n);
    void *pv = grad_take(n, 4), *ds = grad_take(n, 4);
    soft t = {.s = GRAD_DOUBLES(n),
              .dp = GRAD_DOUBLES(n),
              .p = GRAD_DOUBLES(n),
              .scale = (double)0.3f,
              .N = N,
              .T = T};
    double *want = GRAD_DOUBLES(n);
    grad_fill(r, s, t.s, n, 4, BQB_NUM_F32);
    grad_fill(r, dp, t.dp, n, 1, BQB_NUM_F32);
    soft_loss(&t);
    /* The forward pass, too: the gradient reads what it wrote. */
    double *expect = GRAD_DOUBLES(n);
    memcpy(expect, t.p, n * sizeof *expect);
    ops->softmax_fwd[num](pv, s, 0.3f, N, T);
    grad_unpack(p, pv, n, num);
    char what[96];
    snprintf(what, sizeof what, "%s softmax forward %s [%zu,%zu]", ops->name, FORMAT[num], N, T);
    bool one = T == 1 || n == 1; /* all entries are 1 then, so moving them is no fault */
    if (!one) grad_close(what, p, expect, n, TOLERANCE[num], 0);
    numeric_all(want, t.s, n, soft_loss, &t);
    if (num == BQB_NUM_F32) {
        memcpy(ds, dp, n * sizeof *dp);
        ops->softmax_bwd[num](ds, ds, pv, 0.3f, N, T); /* ds may be dp */
    } else ops->softmax_bwd[num](ds, dp, pv, 0.3f, N, T);
    grad_unpack(got, ds, n, num);
    snprintf(what, sizeof what, "%s softmax %s [%zu,%zu]", ops->name, FORMAT[num], N, T);
    /* bf16 probabilities carry their own rounding into every difference. */
    grad_close(what, got, want, n, 2 * TOLERANCE[num], one ? 0.3 : 0.03);
    float *f[] = {s, dp, p, got, pv, ds};
    double *d[] = {t.s, t.dp, t.p, want, expect};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) free(f[i]);
    for (size_t i = 0; i < sizeof d / sizeof *d; i++) free(d[i]);
}

TEST(grad_softmax) {
    const bqb_ops *all[4];
    bqb_rand r = bqb_rand_seed(3, 0);
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t i = 0; i < N_SIZES; i++)
            for (bqb_num num = BQB_NUM_F32; num <= BQB_NUM_BF16; num++) {
                check_softmax(all[k], num, 3, SIZES[i], &r);
                check_softmax(all[k], num, 1, SIZES[i], &r);
            }
}

/* --- unit rows --- */

typedef struct {
    double *x, *dy, *y;
    size_t N, D;
} unit;

static double unit_loss(void *ctx) {
    const unit *t = ctx;
    plain_l2norm(t->y, t->x, t->N, t->D);
    return dot(t->y, t->dy, t->N * t->D);
}

TEST(grad_l2norm) {
    const bqb_ops *all[4];
    bqb_rand r = bqb_rand_seed(4, 0);
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t i = 0; i < N_SIZES; i++) {
            size_t N = 3, D = SIZES[i], n = N * D;
            float *x = GRAD_FLOATS(n), *dy = GRAD_FLOATS(n), *rnorm = GRAD_FLOATS(N);
            unit t = {.x = GRAD_DOUBLES(n), .dy = GRAD_DOUBLES(n), .y = GRAD_DOUBLES(n), .N = N, .D = D};
            double *want = GRAD_DOUBLES(n);
            grad_fill(&r, x, t.x, n, 1, BQB_NUM_F32);
            grad_fill(&r, dy, t.dy, n, 1, BQB_NUM_F32);
            numeric_all(want, t.x, n, unit_loss, &t);
            unit_loss(&t);
            char what[96];
            all[k]->l2norm_fwd(x, rnorm, x, N, D); /* y may be x */
            snprintf(what, sizeof what, "%s l2norm forward D=%zu", all[k]->name, D);
            if (D > 1) grad_close(what, x, t.y, n, TOLERANCE[0], 0);
            all[k]->l2norm_bwd(dy, dy, x, rnorm, N, D); /* dx may be dy */
            snprintf(what, sizeof what, "%s l2norm D=%zu", all[k]->name, D);
            grad_close(what, dy, want, n, 3 * TOLERANCE[0], D == 1 ? 1 : 0.1);
            free(x);
            free(dy);
            free(rnorm);
            free(t.x);
            free(t.dy);
            free(t.y);
            free(want);
        }
}

/* --- bias: the gradient of a sum is written down at once --- */

TEST(grad_bias) {
    const bqb_ops *all[4];
    bqb_rand r = bqb_rand_seed(5, 0);
    for (size_t k = 0, builds = bqb_ops_all(all); k < builds; k++)
        for (size_t i = 0; i < N_SIZES; i++)
            for (bqb_num num = BQB_NUM_F32; num <= BQB_NUM_BF16; num++) {
                size_t N = SIZES[(i + 5) % N_SIZES], C = SIZES[i];
                float *dy = GRAD_FLOATS(N * C), *db = GRAD_FLOATS(C);
                double *wide = GRAD_DOUBLES(N * C), *want = GRAD_DOUBLES(C);
                void *dyv = grad_take(N * C, 4);
                grad_fill(&r, dy, wide, N * C, 1, num);
                grad_fill(&r, db, want, C, 1, BQB_NUM_F32);
                grad_pack(dyv, dy, N * C, num);
                for (size_t n = 0; n < N; n++)
                    for (size_t c = 0; c < C; c++) want[c] += wide[n * C + c];
                all[k]->bias_bwd[num](db, dyv, N, C);
                char what[96];
                snprintf(what, sizeof what, "%s bias %s [%zu,%zu]", all[k]->name, FORMAT[num], N, C);
                grad_close(what, db, want, C, TOLERANCE[0], 0.1);
                free(dy);
                free(db);
                free(wide);
                free(want);
                free(dyv);
            }
}

/* --- layers over the parameter block --- */

typedef struct {
    double *x, *w, *b, *dy, *y;
    size_t R, out, in;
    bool projection; /* w is [in,out] */
} layer;

static double layer_loss(void *ctx) {
    const layer *t = ctx;
    if (!t->projection) plain_linear(t->y, t->x, t->w, t->b, t->R, t->out, t->in);
    else
        for (size_t r = 0; r < t->R; r++)
            for (size_t o = 0; o < t->out; o++) {
                double sum = 0;
                for (size_t i = 0; i < t->in; i++) sum += t->x[r * t->in + i] * t->w[i * t->out + o];
                t->y[r * t->out + o] = sum;
            }
    return dot(t->y, t->dy, t->R * t->out);
}

static void check_layer(bqb_num num, bool projection, size_t R, size_t out, size_t in, bqb_rand *r) {
    size_t nw = out * in, block = nw + out;
    bqb_pass p;
    if (!grad_pass_open(&p, num)) return;
    bqb_num dt = projection ? BQB_NUM_F32 : num;
    float *x = GRAD_FLOATS(R * in), *w = GRAD_FLOATS(block), *dy = GRAD_FLOATS(R * out),
          *grad = GRAD_FLOATS(block), *dx = GRAD_FLOATS(R * in);
    uint16_t *half = grad_take(block, sizeof *half);
    layer t = {.x = GRAD_DOUBLES(R * in),
               .w = GRAD_DOUBLES(block),
               .dy = GRAD_DOUBLES(R * out),
               .y = GRAD_DOUBLES(R * out),
               .R = R,
               .out = out,
               .in = in,
               .projection = projection};
    t.b = t.w + nw;
    grad_fill(r, x, t.x, R * in, 1, dt);
    grad_fill(r, w, t.w, block, 1, dt);
    grad_fill(r, dy, t.dy, R * out, 1, dt);
    grad_pack(half, w, block, BQB_NUM_BF16);
    void *xv = grad_take(R * in, 4), *dyv = grad_take(R * out, 4), *dxv = grad_take(R * in, 4);
    grad_pack(xv, x, R * in, dt);
    grad_pack(dyv, dy, R * out, dt);
    p.weights = w;
    p.half = half;
    p.grad = grad;
    double *wx = GRAD_DOUBLES(R * in), *ww = GRAD_DOUBLES(block);
    numeric_all(wx, t.x, R * in, layer_loss, &t);
    numeric_all(ww, t.w, projection ? nw : block, layer_loss, &t);
    grad_fill(r, grad, NULL, block, 1, BQB_NUM_F32); /* it is added to */
    add_to(ww, grad, block);
    bqb_linear l = {.w = 0, .b = nw, .out = out, .in = in};
    if (projection) bqb_project_bwd(&p, dxv, dyv, xv, 0, R, in, out);
    else bqb_linear_bwd(&p, dxv, num, dyv, xv, &l, R);
    grad_unpack(dx, dxv, R * in, dt);
    char what[96];
    snprintf(what, sizeof what, "%s %s dx [%zu,%zu,%zu]", projection ? "project" : "linear", FORMAT[num], R,
             out, in);
    grad_close(what, dx, wx, R * in, TOLERANCE[dt], 0.1);
    snprintf(what, sizeof what, "%s %s dw [%zu,%zu,%zu]", projection ? "project" : "linear", FORMAT[num], R,
             out, in);
    grad_close(what, grad, ww, projection ? nw : block, TOLERANCE[0], 0.1);
    grad_pass_close(&p);
    void *all[] = {x, w, dy, grad, dx, half, t.x, t.w, t.dy, t.y, xv, dyv, dxv, wx, ww};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

TEST(grad_linear_and_projection) {
    static const size_t shape[][3] = {{1, 1, 1},   {1, 7, 5},  {5, 1, 9},   {3, 24, 17},
                                      {17, 9, 24}, {8, 16, 8}, {2, 33, 65}, {31, 15, 7}};
    bqb_rand r = bqb_rand_seed(6, 0);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t num = 0; num < grad_formats(); num++) {
            check_layer((bqb_num)num, false, shape[i][0], shape[i][1], shape[i][2], &r);
            check_layer((bqb_num)num, true, shape[i][0], shape[i][1], shape[i][2], &r);
        }
}

/* --- the loss --- */

typedef struct {
    double *img, *txt, scale;
    size_t N, D;
    bqb_pairs how;
} pairs;

static double pairs_loss(void *ctx) {
    const pairs *t = ctx;
    return plain_contrastive(t->img, t->txt, t->scale, t->N, t->D, t->how.text_group, t->how.image_group);
}

static void check_contrastive(size_t N, size_t D, double scale, bqb_pairs how, bqb_rand *r) {
    size_t n = N * D;
    bqb_pass p;
    if (!grad_pass_open(&p, BQB_NUM_F32)) return;
    float *img = GRAD_FLOATS(n), *txt = GRAD_FLOATS(n), *dimg = GRAD_FLOATS(n), *dtxt = GRAD_FLOATS(n),
          *rnorm = GRAD_FLOATS(N), *logits = GRAD_FLOATS(N * N), loss = 0, dscale = 0;
    pairs t = {.img = GRAD_DOUBLES(n), .txt = GRAD_DOUBLES(n), .scale = (double)(float)scale, .N = N, .D = D,
               .how = how};
    grad_fill(r, img, NULL, n, 1, BQB_NUM_F32);
    for (size_t i = 0; i < n; i++) txt[i] = 0.3f * img[i] + (float)bqb_rand_normal(r);
    p.ops->l2norm_fwd(img, rnorm, img, N, D);
    p.ops->l2norm_fwd(txt, rnorm, txt, N, D);
    for (size_t i = 0; i < n; i++) t.img[i] = (double)img[i], t.txt[i] = (double)txt[i];
    double *wimg = GRAD_DOUBLES(n), *wtxt = GRAD_DOUBLES(n), *wlogits = GRAD_DOUBLES(N * N);
    double want = pairs_loss(&t), wscale = grad_numeric(&t.scale, pairs_loss, &t);
    numeric_all(wimg, t.img, n, pairs_loss, &t);
    numeric_all(wtxt, t.txt, n, pairs_loss, &t);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            wlogits[i * N + j] = exp(t.scale) * dot(t.txt + i * D, t.img + j * D, D);
    bqb_contrastive(&p, &loss, dimg, dtxt, &dscale, logits, img, txt, &how, (float)scale, N, D);
    char what[96];
    /* A large scale multiplies the rounding of the cosines before the exponential sees it. */
    double tolerance = TOLERANCE[0] * fmax(1, exp(scale) / 10), size = exp(scale) / (double)N;
    snprintf(what, sizeof what, "contrastive loss N=%zu D=%zu scale %g", N, D, scale);
    grad_close(what, &loss, &want, 1, tolerance, 1e-2);
    snprintf(what, sizeof what, "contrastive dimg N=%zu D=%zu scale %g", N, D, scale);
    grad_close(what, dimg, wimg, n, tolerance, size * 1e-2);
    snprintf(what, sizeof what, "contrastive dtxt N=%zu D=%zu scale %g", N, D, scale);
    grad_close(what, dtxt, wtxt, n, tolerance, size * 1e-2);
    snprintf(what, sizeof what, "contrastive dscale N=%zu D=%zu scale %g", N, D, scale);
    grad_close(what, &dscale, &wscale, 1, tolerance, 1e-2);
    snprintf(what, sizeof what, "contrastive logits N=%zu D=%zu scale %g", N, D, scale);
    grad_close(what, logits, wlogits, N * N, TOLERANCE[0], 0);
    if (N > 1 && (how.text_group || how.image_group)) { /* planted: only the diagonal is right */
        bqb_pairs diagonal = {0};
        bqb_contrastive(&p, &loss, dimg, dtxt, &dscale, logits, img, txt, &diagonal, (float)scale, N, D);
        CHECK(grad_distance(dimg, wimg, n, 0) > 1e-2 && grad_distance(dtxt, wtxt, n, 0) > 1e-2);
    }
    /* Exchanging the sides must be noticed: the gradients differ. */
    if (N > 1) CHECK(grad_distance(dtxt, wimg, n, 0) > 1e-2);
    grad_pass_close(&p);
    void *all[] = {img, txt, dimg, dtxt, rnorm, logits, t.img, t.txt, wimg, wtxt, wlogits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

TEST(grad_contrastive) {
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 16, 17, 33};
    bqb_rand r = bqb_rand_seed(7, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_contrastive(sizes[i], 5 + sizes[(i + 3) % 9], 2.6593, (bqb_pairs){0}, &r);
        check_contrastive(sizes[i], 24, 0, (bqb_pairs){.block = 1 + i % 5}, &r);
    }
    check_contrastive(5, 24, 4.6051702, (bqb_pairs){0}, &r);
    check_contrastive(17, 24, 4.6051702, (bqb_pairs){.block = 4}, &r);
}

/* Where every answer is right there is nothing to learn. */
static void all_right(const uint32_t *same, size_t N) {
    enum { D = 12 };
    bqb_rand r = bqb_rand_seed(9, 0);
    bqb_pass p;
    if (!grad_pass_open(&p, BQB_NUM_F32)) return;
    float *img = GRAD_FLOATS(N * D), *txt = GRAD_FLOATS(N * D), *dimg = GRAD_FLOATS(N * D), *dtxt = GRAD_FLOATS(N * D);
    grad_fill(&r, img, NULL, N * D, 1, BQB_NUM_F32);
    grad_fill(&r, txt, NULL, N * D, 1, BQB_NUM_F32);
    for (size_t block = 0; block <= N; block += 5) {
        float loss = 1, dscale = 1, most = 0;
        bqb_pairs how = {.text_group = same, .block = block};
        bqb_contrastive(&p, &loss, dimg, dtxt, &dscale, NULL, img, txt, &how, 4, N, D);
        for (size_t i = 0; i < N * D; i++) most = fmaxf(most, fmaxf(fabsf(dimg[i]), fabsf(dtxt[i])));
        CHECK(loss == 0 && dscale == 0 && most == 0);
    }
    grad_pass_close(&p);
    free(img), free(txt), free(dimg), free(dtxt);
}

/* Equal texts, equal pictures, both; in one block and in several. */
TEST(grad_contrastive_with_several_right_answers) {
    static const uint32_t text[] = {5, 1, 5, 2, 3, 2, 0xffffffff, 0, 5, 7, 8, 9, 10, 11, 12, 13, 7},
                          image[] = {0, 1, 2, 3, 4, 5, 6, 6, 8, 1, 1, 11, 12, 13, 14, 15, 16}, same[17] = {0};
    bqb_rand r = bqb_rand_seed(8, 0);
    for (size_t block = 0; block <= 17; block += 6) {
        check_contrastive(9, 13, 2.6593, (bqb_pairs){.text_group = text, .block = block}, &r);
        check_contrastive(17, 12, 2.6593, (bqb_pairs){.image_group = image, .block = block}, &r);
        check_contrastive(17, 12, 1, (bqb_pairs){.text_group = text, .image_group = image, .block = block}, &r);
    }
    /* A large scale: a far positive against near ones, where exponentials leave f32. */
    check_contrastive(17, 12, 4.6051702, (bqb_pairs){.text_group = text, .image_group = image, .block = 5}, &r);

    all_right(same, 17);

    /* Numbers that all differ change nothing, to the bit; equal ones do. */
    enum { N = 11, D = 9 };
    float img[N * D], txt[N * D], loss[3], dscale, dimg[3][N * D], dtxt[3][N * D];
    uint32_t differ[N];
    grad_fill(&r, img, NULL, N * D, 0.3, BQB_NUM_F32);
    grad_fill(&r, txt, NULL, N * D, 0.3, BQB_NUM_F32);
    for (uint32_t i = 0; i < N; i++) differ[i] = 100 - i;
    const bqb_pairs how[3] = {{0}, {.text_group = differ, .image_group = differ}, {.text_group = text}};
    bqb_pass p;
    if (!grad_pass_open(&p, BQB_NUM_F32)) return;
    for (size_t k = 0; k < 3; k++)
        bqb_contrastive(&p, &loss[k], dimg[k], dtxt[k], &dscale, NULL, img, txt, &how[k], 2, N, D);
    CHECK(!memcmp(&loss[0], &loss[1], sizeof *loss) && !memcmp(dimg[0], dimg[1], sizeof *dimg) &&
          !memcmp(dtxt[0], dtxt[1], sizeof *dtxt));
    CHECK(fabs((double)loss[0] - (double)loss[2]) > 1e-3 && memcmp(dimg[0], dimg[2], sizeof *dimg));
    grad_pass_close(&p);
}
