#include "test.h"

#include "base/rand.h"
#include "file/safetensors.h"
#include "search/scan.h"
#include "search/scan_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    bqb_vectors *v;
    float *query;
} world;

static void unit(float *x, size_t dim, bqb_rand *r) {
    double sum = 0;
    for (size_t d = 0; d < dim; d++) {
        x[d] = (float)bqb_rand_normal(r);
        sum += (double)x[d] * (double)x[d];
    }
    for (size_t d = 0; d < dim; d++) x[d] = (float)((double)x[d] / sqrt(sum));
}

/* Random unit rows; every seventh row equals the one before, so that there are ties. */
static world make(size_t n, size_t dim, uint64_t seed) {
    bqb_rand r = bqb_rand_seed(seed, n * 1000 + dim);
    uint16_t *f16 = malloc(n * dim * sizeof *f16 + 1);
    int64_t *id = malloc(n * sizeof *id + 1);
    world w = {.query = malloc(dim * sizeof(float))};
    bqb_err err = {0};
    if (!f16 || !id || !w.query) abort();
    for (size_t i = 0; i < n; i++) {
        id[i] = (int64_t)(3 * i + 5);
        unit(w.query, dim, &r);
        for (size_t d = 0; d < dim; d++) f16[i * dim + d] = bqb_f32_to_f16(w.query[d]);
        if (i % 7 == 6) memcpy(f16 + i * dim, f16 + (i - 1) * dim, dim * sizeof *f16);
    }
    unit(w.query, dim, &r);
    CHECK_OK(bqb_vectors_new(&w.v, id, f16, n, dim, &err), err);
    free(f16);
    free(id);
    return w;
}

static void drop(world *w) {
    bqb_vectors_close(w->v);
    free(w->query);
}

TEST(scan_row_is_the_dot_product) {
    static const size_t dims[] = {1, 2, 15, 16, 17, 31, 33, 64, 100, 512};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        world w = make(5, dims[i], 1);
        for (size_t row = 0; row < 5; row++) {
            double want = 0;
            for (size_t d = 0; d < dims[i]; d++)
                want += (double)w.query[d] * (double)bqb_f16_to_f32(w.v->f16[row * dims[i] + d]);
            CHECK_MSG(fabs(want - (double)bqb_scan_row(w.v, row, w.query)) < 1e-6, "dim %zu row %zu", dims[i], row);
        }
        drop(&w);
    }
}

/* Halves of every exponent, subnormals and both zeros come through exactly. */
TEST(scan_reads_every_finite_half) {
    uint16_t f16[2048];
    int64_t id[2048];
    float one = 1;
    bqb_vectors *v = NULL;
    bqb_err err = {0};
    for (size_t i = 0; i < 2048; i++) {
        f16[i] = (uint16_t)(i * 31 % 0x7C00 | (i % 2) << 15);
        id[i] = (int64_t)i;
    }
    CHECK_OK(bqb_vectors_new(&v, id, f16, 2048, 1, &err), err);
    for (size_t i = 0; v && i < 2048; i++)
        if (!CHECK_MSG(bqb_scan_row(v, i, &one) == bqb_f16_to_f32(f16[i]), "0x%04x", f16[i])) break;
    bqb_vectors_close(v);
}

static void same(const world *w, size_t k, const uint64_t *allow, const char *what) {
    bqb_hit *a = malloc((k + 1) * sizeof *a), *b = malloc((k + 1) * sizeof *b);
    bqb_spread sa, sb;
    bqb_err err = {0};
    size_t na = bqb_scan_plain(a, k, &sa, w->v, w->query, allow), nb = 0;
    CHECK_OK(bqb_scan(b, k, &nb, &sb, w->v, w->query, allow, 2, &err), err);
    CHECK_MSG(na == nb, "%s: %zu and %zu hits", what, na, nb);
    for (size_t i = 0; i < na && i < nb; i++)
        if (!CHECK_MSG(a[i].row == b[i].row && a[i].score == b[i].score, "%s: hit %zu is row %zu (%g) and row %zu (%g)",
                       what, i, a[i].row, (double)a[i].score, b[i].row, (double)b[i].score))
            break;
    CHECK_MSG(sa.n == sb.n && fabs(sa.mean - sb.mean) < 1e-4 && fabs(sa.sd - sb.sd) < 1e-3, "%s: spread", what);
    for (size_t i = 1; i < na; i++)
        CHECK(a[i - 1].score > a[i].score || (a[i - 1].score == a[i].score && a[i - 1].row < a[i].row));
    free(a);
    free(b);
}

TEST(scan_fast_equals_plain) {
    static const struct {
        size_t n, dim;
    } sizes[] = {{0, 8}, {1, 8}, {999, 32}, {1000, 32}, {3001, 7}, {20011, 48}, {9000, 130}, {5000, 512}, {1500, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        world w = make(sizes[i].n, sizes[i].dim, 2);
        char what[64];
        snprintf(what, sizeof what, "%zu x %zu", sizes[i].n, sizes[i].dim);
        same(&w, 1, NULL, what);
        same(&w, 10, NULL, what);
        same(&w, 300, NULL, what);
        drop(&w);
    }
}

TEST(scan_filters_inside) {
    world w = make(5003, 24, 3);
    uint64_t *allow = calloc(5003 / 64 + 1, 8);
    same(&w, 10, allow, "nothing allowed");
    for (size_t i = 0; i < 5003; i += 11) allow[i / 64] |= (uint64_t)1 << (i % 64);
    same(&w, 20, allow, "every eleventh");
    same(&w, 5003, allow, "all of every eleventh");
    bqb_hit hits[600];
    size_t n = bqb_scan_plain(hits, 600, NULL, w.v, w.query, allow);
    CHECK(n == 455);
    for (size_t i = 0; i < n; i++) CHECK(hits[i].row % 11 == 0);
    free(allow);
    drop(&w);
}

/* The bound must hold for what int8 is worst at: one large number and many small ones. */
TEST(scan_bound_holds_for_spiky_rows) {
    enum { N = 4000, D = 64 };
    uint16_t *f16 = malloc(N * D * sizeof *f16);
    int64_t *id = malloc(N * sizeof *id);
    float x[D];
    bqb_rand r = bqb_rand_seed(4, 0);
    world w = {.query = malloc(D * sizeof(float))};
    bqb_err err = {0};
    for (size_t i = 0; i < N; i++) {
        unit(x, D, &r);
        double sum = 0;
        x[0] = 30;
        for (size_t d = 0; d < D; d++) sum += (double)x[d] * (double)x[d];
        for (size_t d = 0; d < D; d++) f16[i * D + d] = bqb_f32_to_f16((float)((double)x[d] / sqrt(sum)));
        id[i] = (int64_t)i;
    }
    unit(w.query, D, &r);
    w.query[0] = 0;
    CHECK_OK(bqb_vectors_new(&w.v, id, f16, N, D, &err), err);
    same(&w, 25, NULL, "spiky");
    drop(&w);
    free(f16);
    free(id);
}

TEST(scan_bench_measures_what_it_says) {
    bqb_scan_figures f;
    bqb_err err = {0};
    CHECK_OK(bqb_scan_bench(&f, 3000, 40, 3, 2, &err), err);
    CHECK(f.same && f.plain_s > 0 && f.plain_s < 10 && f.fast_s > 0 && f.fast_s < 10 && f.bytes == 120000);
}
