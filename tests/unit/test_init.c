/* The start from nothing: shapes that training counts on. */
#include "model/layout.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const bqb_clip_config SMALL = {
    .resolution = 64, .patch = 16, .v_width = 48, .v_layers = 2, .v_heads = 3, .v_mlp = 96, .v_eps = 1e-5f,
    .v_act = BQB_ACT_QUICK_GELU, .vocab = 50, .t_width = 48, .t_layers = 2, .t_heads = 3, .t_mlp = 96,
    .t_positions = 32, .t_types = 2, .t_eps = 1e-12f, .t_act = BQB_ACT_GELU, .context = 32, .embed = 24};

static float *start(bqb_layout_map *map, uint64_t seed) {
    bqb_err err;
    float *w = NULL;
    if (!CHECK_OK(bqb_layout_new(map, &SMALL, &err), err)) return NULL;
    w = calloc(map->n_floats, sizeof *w);
    CHECK_OK(bqb_layout_init(map, &SMALL, w, seed, &err), err);
    return w;
}

static double dot(const float *a, size_t a_step, const float *b, size_t b_step, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i * a_step] * (double)b[i * b_step];
    return sum;
}

TEST(init_follows_the_seed) {
    bqb_layout_map a, b, c;
    float *x = start(&a, 1), *y = start(&b, 1), *z = start(&c, 2);
    if (x && y && z) {
        CHECK(!memcmp(x, y, a.n_floats * sizeof *x));
        CHECK(memcmp(x, z, a.n_floats * sizeof *x));
        for (size_t i = 0; i < a.n_floats; i++) CHECK(isfinite(x[i]));
        CHECK(fabs((double)x[a.logit_scale] - log(1 / 0.07)) < 1e-6);
    }
    free(x);
    free(y);
    free(z);
    bqb_layout_free(&a);
    bqb_layout_free(&b);
    bqb_layout_free(&c);
}

/* A flat patch answers to the first filter alone; filters are orthogonal. */
TEST(init_cuts_patches_into_frequencies) {
    bqb_layout_map map;
    float *w = start(&map, 3);
    size_t n = 3 * 16 * 16;
    for (size_t k = 1; w && k < SMALL.v_width; k++) {
        const float *first = w + map.conv, *other = first + k * n;
        double cosine = dot(first, 1, other, 1, n) / sqrt(dot(first, 1, first, 1, n) * dot(other, 1, other, 1, n));
        CHECK_MSG(fabs(cosine) < 1e-3, "filter %zu has a cosine of %.3f with the flat one", k, cosine);
    }
    free(w);
    bqb_layout_free(&map);
}

/* Neighbours have more alike positions than patches far apart. */
TEST(init_places_neighbours_together) {
    bqb_layout_map map;
    float *w = start(&map, 4);
    size_t C = SMALL.v_width;
    if (w) {
        const float *pos = w + map.v_pos + C;
        double near = dot(pos, 1, pos + C, 1, C), far = dot(pos, 1, pos + 15 * C, 1, C), self = dot(pos, 1, pos, 1, C);
        CHECK_MSG(self > near && near > far, "self %.3f, next %.3f, far %.3f", self, near, far);
    }
    free(w);
    bqb_layout_free(&map);
}

/* Projection times values is near -0.4 I on the diagonal, near nothing beside it. */
TEST(init_lets_projection_undo_values) {
    bqb_layout_map map;
    float *w = start(&map, 5);
    size_t C = SMALL.v_width;
    double diagonal = 0, beside = 0;
    for (size_t i = 0; w && i < C; i++)
        for (size_t k = 0; k < C; k++) {
            const float *wo = w + map.v_block[0].proj.w + i * C, *wv = w + map.v_block[0].qkv.w + 2 * C * C + k;
            double x = dot(wo, 1, wv, C, C);
            if (i == k) diagonal += x / (double)C;
            else beside += x / (double)(C * C - C);
        }
    CHECK_MSG(diagonal < -0.3 && diagonal > -0.5, "diagonal %.3f", diagonal);
    CHECK_MSG(fabs(beside) < 0.02, "beside it %.4f", beside);
    free(w);
    bqb_layout_free(&map);
}
