#include "grad/gradcheck.h"

#include "file/safetensors.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double grad_numeric(double *x, grad_loss loss, void *ctx) {
    double at = *x, step = 1e-5 * fmax(1, fabs(at));
    *x = at + step;
    double above = loss(ctx);
    *x = at - step;
    double below = loss(ctx);
    *x = at;
    return (above - below) / (2 * step);
}

static double largest(const double *x, size_t n, double least) {
    double top = least;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(x[i]));
    return top;
}

double grad_distance(const float *got, const double *want, size_t n, double least) {
    double diff = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        if (!(d < HUGE_VAL)) return HUGE_VAL;
        diff = fmax(diff, d);
    }
    double top = largest(want, n, least);
    return top > 0 ? diff / top : diff;
}

static void must_see(const char *what, const char *fault, const float *got, const double *want, size_t n,
                     double tolerance, double least) {
    double d = grad_distance(got, want, n, least);
    CHECK_MSG(d > tolerance, "%s: planted fault goes unnoticed: %s (%.1e, tolerance %.0e)", what, fault, d,
              tolerance);
}

bool grad_close(const char *what, const float *got, const double *want, size_t n, double tolerance,
                double least) {
    double d = grad_distance(got, want, n, least), top = largest(want, n, least);
    bool ok = CHECK_MSG(d <= tolerance, "%s: differs by %.2e of its largest entry %.2e, tolerance %.0e", what,
                        d, top, tolerance);
    float *bad = GRAD_FLOATS(n);
    memcpy(bad, got, n * sizeof *bad);
    bad[n / 2] += (float)(0.05 * (top > 0 ? top : 1));
    must_see(what, "one element off", bad, want, n, tolerance, least);
    if (top > least) {
        for (size_t i = 0; i < n; i++) bad[i] = -got[i];
        must_see(what, "sign", bad, want, n, tolerance, least);
        for (size_t i = 0; i < n; i++) bad[i] = 1.05f * got[i];
        must_see(what, "scale", bad, want, n, tolerance, least);
        for (size_t i = 0; i < n; i++) bad[i] = got[i + 1 < n ? i + 1 : 0];
        if (n > 1) must_see(what, "moved by one", bad, want, n, tolerance, least);
    }
    free(bad);
    return ok;
}

void grad_fill(bqb_rand *r, float *x, double *wide, size_t n, double size, bqb_num num) {
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(size * bqb_rand_normal(r));
        if (num == BQB_NUM_BF16) x[i] = bqb_bf16_to_f32(bqb_f32_to_bf16(x[i]));
        if (wide) wide[i] = (double)x[i];
    }
}

void grad_pack(void *to, const float *x, size_t n, bqb_num num) {
    uint16_t *h = to;
    if (num == BQB_NUM_F32) memcpy(to, x, n * sizeof *x);
    else
        for (size_t i = 0; i < n; i++) h[i] = bqb_f32_to_bf16(x[i]);
}

void grad_unpack(float *x, const void *from, size_t n, bqb_num num) {
    const uint16_t *h = from;
    if (num == BQB_NUM_F32) memcpy(x, from, n * sizeof *x);
    else
        for (size_t i = 0; i < n; i++) x[i] = bqb_bf16_to_f32(h[i]);
}

void *grad_take(size_t n, size_t size) {
    void *p = bqb_alloc_aligned(n ? n : 1, size);
    if (!p) {
        printf("  out of memory\n");
        exit(2);
    }
    memset(p, 0, (n ? n : 1) * size);
    return p;
}

bool grad_pass_open(bqb_pass *p, bqb_num num) {
    bqb_err err;
    memset(p, 0, sizeof *p);
    p->ops = bqb_ops_best();
    p->num = num;
    p->arena = bqb_arena_new();
    if (!p->arena || !CHECK_OK(bqb_gemm_new(&p->gemm, 1, &err), err)) return false;
    bqb_gemm_enter(p->gemm);
    return true;
}

void grad_pass_close(bqb_pass *p) {
    bqb_err err;
    CHECK(!p->no_memory);
    CHECK_OK(bqb_gemm_status(p->gemm, &err), err);
    bqb_gemm_free(p->gemm);
    bqb_arena_free(p->arena);
}

size_t grad_formats(void) { return bqb_gemm_has_bf16() ? 2 : 1; }
