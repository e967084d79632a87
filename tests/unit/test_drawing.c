#include "image/drawing.h"

#include "base/fs.h"
#include "image/decode.h"
#include "image/sheet.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(drawing_tells_its_own) {
    uint8_t pixels[16 * 16 * 3] = {0};
    bqb_sheet_cell cell = {.pixels = pixels, .width = 16, .height = 16, .C = 3};
    bqb_err err;
    char path[256], *png = NULL, *other = NULL;
    size_t n = 0, n_other = 0;
    snprintf(path, sizeof path, "%s/sheet.png", test_tmp_dir());
    if (!CHECK_OK(bqb_image_sheet(path, &cell, 1, NULL, &err), err)) return;
    if (!CHECK_OK(bqb_file_read(&png, &n, path, 1 << 20, &err), err)) return;
    CHECK(bqb_drawing_is(png, n));
    for (size_t cut = 0; cut < 57; cut++) CHECK(!bqb_drawing_is(png, cut));
    for (size_t i = 33; i < 57; i++) { /* each byte of the mark counts */
        png[i] ^= 1;
        CHECK(!bqb_drawing_is(png, n));
        png[i] ^= 1;
    }
    if (CHECK_OK(bqb_file_read(&other, &n_other, test_path("golden/images/wide.png"), 1 << 20, &err), err)) {
        CHECK(!bqb_drawing_is(other, n_other));
        CHECK_OK(bqb_drawing_write(path, other, n_other, &err), err);
    }
    free(png);
    png = NULL;
    if (CHECK_OK(bqb_file_read(&png, &n, path, 1 << 20, &err), err)) {
        CHECK(bqb_drawing_is(png, n) && n == n_other + 24);
        CHECK(!memcmp(png, other, 33) && !memcmp(png + 57, other + 33, n - 57));
    }
    CHECK(bqb_drawing_write(path, "<svg/>", 6, &err) == BQB_EINVAL);
    free(png);
    free(other);
}
