#include "test.h"

#include "image/overlay.h"

#include <math.h>

enum { N = 64 };
static const bqb_edges whole = {{0, N, 0, N}};

/* Blobs, moved by (dx, dy), times gain / 16, plus shift. */
static void draw(uint8_t *p, int dx, int dy, int gain, int shift) {
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            double u = x - dx, v = y - dy;
            double light = 100 + 60 * sin(u / 7) * cos(v / 9) + 40 * cos((u + 2 * v) / 13);
            p[y * N + x] = (uint8_t)(light * gain / 16 + shift);
        }
}

TEST(overlay_moves_edges_until_they_fit) {
    static uint8_t a[N * N], b[N * N];
    static float d[N * N];
    draw(a, 0, 0, 16, 0);
    draw(b, 3, -2, 16, 0);
    bqb_plane pa = {a, N}, pb = {b, N};
    bqb_edges e = whole;
    bqb_overlay_differences(d, N, pa, &whole, pb, &e);
    double before = bqb_overlay_worst(d, N, 6);
    CHECK(before > 15);
    bqb_overlay_fit(&e, pa, &whole, pb, 32, 2, 0.25f);
    CHECK(fabs((double)e.e[0] - 3) < 1 && fabs((double)e.e[2] + 2) < 1);
    CHECK(bqb_overlay_differences(d, N, pa, &whole, pb, &e) > 0.01); /* some of it lies outside now */
    CHECK(bqb_overlay_worst(d, N, 6) < before / 4);
    bqb_edges far = {{40, 104, 0, N}};
    CHECK(bqb_overlay_fit(&far, pa, &whole, pb, 16, 1, 1) == HUGE_VAL);
}

TEST(overlay_allows_for_light_and_contrast_within_bounds) {
    static uint8_t a[N * N], b[N * N];
    static float d[N * N];
    draw(a, 0, 0, 16, 0);
    bqb_plane pa = {a, N}, pb = {b, N};
    draw(b, 0, 0, 15, 10);
    CHECK(bqb_overlay_differences(d, N, pa, &whole, pb, &whole) == 0 && bqb_overlay_worst(d, N, 6) < 1);
    draw(b, 0, 0, 8, 60);
    bqb_overlay_differences(d, N, pa, &whole, pb, &whole);
    CHECK(bqb_overlay_worst(d, N, 6) > 10);
}

TEST(overlay_windows) {
    static float d[16 * 16];
    d[5 * 16 + 5] = -36;
    CHECK(fabs(bqb_overlay_worst(d, 16, 6) - 1) < 1e-6 && fabs(bqb_overlay_worst(d, 16, 1) - 36) < 1e-6);
    d[5 * 16 + 6] = 36; /* neighbours of other sign are an edge that is off by part of a pixel */
    CHECK(fabs(bqb_overlay_worst(d, 16, 6) - 2) < 1e-6);
    bqb_overlay_soften(d, 16);
    CHECK(bqb_overlay_worst(d, 16, 6) < 1.01 && bqb_overlay_worst(d, 16, 1) < 9.01);
}
