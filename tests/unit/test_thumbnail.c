#include "image/sheet.h"
#include "image/thumbnail.h"

#include "base/fs.h"
#include "base/mem.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_status thumbnail(bqb_thumbnail *t, const char *file, size_t w, size_t h, size_t frames,
                            bqb_err *err) {
    char name[256];
    snprintf(name, sizeof name, "golden/images/%s", file);
    return bqb_image_thumbnail_file(t, test_path(name), w, h, frames, NULL, err);
}

TEST(thumbnail_fits_and_keeps_shape) {
    static const struct {
        const char *file;
        size_t max_w, max_h, w, h;
    } cases[] = {
        {"wide.png", 100, 100, 100, 60},  {"wide.png", 100, 30, 50, 30}, {"wide.png", 1, 1, 1, 1},
        {"tall.webp", 50, 111, 40, 111},  {"tall.webp", 1, 100, 1, 3},   {"small.png", 400, 400, 20, 20},
        {"wide.png", 300, 180, 300, 180}, {"one_pixel.png", 9, 9, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bqb_thumbnail t;
        bqb_err err;
        if (!CHECK_OK(thumbnail(&t, cases[i].file, cases[i].max_w, cases[i].max_h, 1, &err), err)) continue;
        CHECK_MSG(t.width == cases[i].w && t.height == cases[i].h, "%s in %zu x %zu became %zu x %zu",
                  cases[i].file, cases[i].max_w, cases[i].max_h, t.width, t.height);
        CHECK(t.frames == 1);
        bqb_thumbnail_free(&t);
    }
}

TEST(thumbnail_frames_share_the_time) {
    bqb_thumbnail all, two, one;
    bqb_err err;
    if (!CHECK_OK(thumbnail(&all, "animated.gif", 64, 64, 99, &err), err)) return;
    if (!CHECK_OK(thumbnail(&two, "animated.gif", 64, 64, 2, &err), err)) return;
    if (!CHECK_OK(thumbnail(&one, "animated.gif", 64, 64, 1, &err), err)) return;
    CHECK(all.frames == 4 && two.frames == 2 && one.frames == 1);
    int sum = 0;
    for (size_t f = 0; f < all.frames; f++) sum += all.delay_ms[f];
    CHECK(sum == all.info.duration_ms && sum > 0);
    CHECK(two.delay_ms[0] == all.delay_ms[0] + all.delay_ms[1]);
    CHECK(two.delay_ms[0] + two.delay_ms[1] == sum && one.delay_ms[0] == sum);
    size_t size = all.width * all.height * 4;
    CHECK(memcmp(two.rgba + size, all.rgba + 2 * size, size) == 0);
    CHECK(memcmp(all.rgba, all.rgba + size, size) != 0);
    bqb_thumbnail_free(&all);
    bqb_thumbnail_free(&two);
    bqb_thumbnail_free(&one);
}

TEST(thumbnail_keeps_alpha) {
    bqb_thumbnail t;
    bqb_err err;
    if (!CHECK_OK(thumbnail(&t, "alpha.png", 50, 50, 1, &err), err)) return;
    bool clear = false, solid = false;
    for (size_t i = 0; i < t.width * t.height; i++) {
        clear |= t.rgba[4 * i + 3] < 64;
        solid |= t.rgba[4 * i + 3] > 192;
    }
    CHECK(clear && solid);
    bqb_thumbnail_free(&t);
}

TEST(thumbnail_refuses) {
    bqb_thumbnail t;
    bqb_err err;
    CHECK(thumbnail(&t, "wide.png", 0, 10, 1, &err) == BQB_EINVAL);
    CHECK(thumbnail(&t, "wide.png", 10, 5000, 1, &err) == BQB_EINVAL);
    CHECK(thumbnail(&t, "wide.png", 10, 10, 0, &err) == BQB_EINVAL);
    CHECK(thumbnail(&t, "no such.png", 10, 10, 1, &err) == BQB_EIO);
    CHECK(t.rgba == NULL);
    bqb_thumbnail_free(&t);
}

static const uint8_t *pixel(const bqb_thumbnail *t, size_t x, size_t y) {
    return t->rgba + (y * t->width + x) * 4;
}

TEST(sheet_shows_cells) {
    static uint8_t red[40 * 20 * 3];
    static const uint8_t half_blue[4] = {0, 0, 255, 128};
    for (size_t i = 0; i < sizeof red; i += 3) red[i] = 255;
    bqb_sheet_cell cells[3] = {
        {.pixels = red, .width = 40, .height = 20, .C = 3, .caption = "红 <b> & \xff"},
        {.pixels = half_blue, .width = 1, .height = 1, .C = 4},
        {.path = "nothing/here.gif"},
    };
    bqb_sheet_style style = {.columns = 2, .side = 16, .caption_lines = 1};
    char path[512];
    bqb_err err;
    snprintf(path, sizeof path, "%s/sheet.png", test_tmp_dir());
    if (!CHECK_OK(bqb_image_sheet(path, cells, 3, &style, &err), err)) return;
    bqb_thumbnail t;
    if (!CHECK_OK(bqb_image_thumbnail_file(&t, path, 4000, 4000, 1, NULL, &err), err)) return;
    /* Two columns and rows of 16 pixels, 16 of caption, gaps of 8. */
    CHECK(t.width == 2 * 24 + 8 && t.height == 2 * 40 + 8);
    CHECK(memcmp(pixel(&t, 16, 16), "\xff\0\0\xff", 4) == 0);             /* the red one, 16 x 8 */
    CHECK(memcmp(pixel(&t, 16, 9), "\xff\xff\xff\xff", 4) == 0);          /* above it */
    CHECK(memcmp(pixel(&t, 8 + 24 + 7, 15), "\x7f\x7f\xff\xff", 4) == 0); /* the blue one, over white */
    bqb_thumbnail_free(&t);
}

TEST(sheet_refuses) {
    bqb_err err;
    char path[512];
    snprintf(path, sizeof path, "%s/sheet.png", test_tmp_dir());
    bqb_sheet_cell bad = {.width = 1, .height = 1, .C = 3};
    CHECK(bqb_image_sheet(path, &bad, 0, NULL, &err) == BQB_EINVAL);
    CHECK(bqb_image_sheet(path, &bad, 1, NULL, &err) == BQB_EINVAL);
    bqb_sheet_style wide = {.side = 1024, .frames = 16};
    bqb_sheet_cell *many = bqb_calloc(10000, sizeof *many);
    CHECK(bqb_image_sheet(path, many, 10000, &wide, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "10000 cells") != NULL);
    free(many);
    uint8_t px[3] = {0};
    bqb_sheet_cell one = {.pixels = px, .width = 1, .height = 1, .C = 3};
    CHECK(bqb_image_sheet("no/such/folder/sheet.png", &one, 1, NULL, &err) == BQB_EIO);
    CHECK(!bqb_is_file(path));
}
