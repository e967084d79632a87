#include "test.h"

#include "image/text_layer.h"

#include <stdlib.h>
#include <string.h>

static bqb_err err;

enum { W = 60, H = 40 };

/* A plain ground with a block of another colour in its middle. */
static void draw(uint8_t *rgb, const uint8_t ground[3], const uint8_t block[3]) {
    for (size_t y = 0; y < H; y++)
        for (size_t x = 0; x < W; x++)
            memcpy(rgb + 3 * (y * W + x), x >= 20 && x < 40 && y >= 15 && y < 25 ? block : ground, 3);
}

/* Brightness of the block and of the ground in a layer. */
static void look(int *block, int *ground, const uint8_t a[3], const uint8_t b[3], bqb_text_layer_kind kind) {
    static uint8_t rgb[W * H * 3], gray[W * H];
    draw(rgb, a, b);
    CHECK_OK(bqb_text_layer_plain(gray, rgb, W, H, kind, &err), err);
    *block = gray[20 * W + 30];
    *ground = gray[5 * W + 5];
}

TEST(text_layers_keep_what_they_are_for) {
    const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0}, red[3] = {220, 20, 30}, gray[3] = {120, 120, 120};
    int block, ground;
    look(&block, &ground, gray, white, BQB_LAYER_LIGHT);
    CHECK_MSG(block == 0 && ground == 255, "white on gray, light: %d on %d", block, ground);
    look(&block, &ground, gray, red, BQB_LAYER_LIGHT);
    CHECK_MSG(block == 255 && ground == 255, "red on gray, light: %d on %d", block, ground);
    look(&block, &ground, black, white, BQB_LAYER_INVERTED);
    CHECK_MSG(block == 0 && ground == 255, "white on black, inverted: %d on %d", block, ground);
    look(&block, &ground, white, gray, BQB_LAYER_GRAY);
    CHECK_MSG(block == 120 && ground == 255, "gray on white: %d on %d", block, ground);
}

/* White words on nothing must not vanish on white; dark ones, and pictures without transparency, stay as they are. */
TEST(text_layer_lays_white_over_gray) {
    uint8_t rgba[10 * 4], rgb[10 * 3];
    memset(rgba, 0, sizeof rgba);
    for (int i = 0; i < 3; i++) memset(rgba + 4 * i, 255, 4);
    bqb_text_lay(rgb, rgba, 10);
    CHECK_MSG(rgb[0] == 255 && rgb[29] < 128, "white over nothing: %d on %d", rgb[0], rgb[29]);
    for (int i = 0; i < 3; i++) rgba[4 * i] = rgba[4 * i + 1] = rgba[4 * i + 2] = 20;
    bqb_text_lay(rgb, rgba, 10);
    CHECK_MSG(rgb[0] == 20 && rgb[29] == 255, "dark over nothing: %d on %d", rgb[0], rgb[29]);
    memset(rgba, 255, sizeof rgba);
    rgba[39] = 0; /* one hole alone */
    bqb_text_lay(rgb, rgba, 10);
    CHECK_MSG(rgb[29] == 255, "a hole in white: %d", rgb[29]);
}

TEST(text_layer_is_scaled_and_bordered) {
    static uint8_t rgb[W * H * 3];
    const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0};
    bqb_text_layer l;
    draw(rgb, white, black);
    CHECK_OK(bqb_text_layer_new(&l, rgb, W, H, BQB_LAYER_GRAY, 80, &err), err);
    CHECK(l.w == 120 + 2 * l.border && l.h == 80 + 2 * l.border && l.border >= 16);
    CHECK_MSG(l.px[0] == 255 && l.px[l.w * l.h - 1] == 255, "the border goes on with the edge");
    CHECK_MSG(l.px[(l.border + 40) * l.w + l.border + 60] == 0, "the block is where it was");
    bqb_text_layer_free(&l);
    draw(rgb, black, white);
    CHECK_OK(bqb_text_layer_new(&l, rgb, W, H, BQB_LAYER_GRAY, 100000, &err), err);
    CHECK_MSG(l.h == 4 * H + 2 * l.border, "enlarged to %zu", l.h - 2 * l.border);
    CHECK_MSG(l.px[0] == 0, "the border goes on with the edge");
    bqb_text_layer_free(&l);
}

TEST(text_layer_of_odd_sizes) {
    bqb_text_layer l;
    static const size_t sizes[][2] = {{1, 1}, {1, 4096}, {4096, 1}, {3, 2}};
    uint8_t *rgb = calloc(4096, 3);
    CHECK(rgb != NULL);
    for (size_t i = 0; rgb && i < sizeof sizes / sizeof *sizes; i++)
        for (int k = 0; k < BQB_LAYERS; k++) {
            CHECK_OK(bqb_text_layer_new(&l, rgb, sizes[i][0], sizes[i][1], (bqb_text_layer_kind)k, 600, &err), err);
            CHECK_MSG(l.w * l.h <= 2000000, "%zu x %zu became %zu x %zu", sizes[i][0], sizes[i][1], l.w, l.h);
            bqb_text_layer_free(&l);
        }
    CHECK(bqb_text_layer_new(&l, rgb, 0, 5, BQB_LAYER_GRAY, 600, &err) == BQB_EINVAL && !l.px);
    CHECK(bqb_text_layer_new(&l, rgb, 5000, 1, BQB_LAYER_GRAY, 600, &err) == BQB_EINVAL);
    free(rgb);
}
