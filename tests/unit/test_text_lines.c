#include "test.h"

#include "base/rand.h"
#include "image/text_lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;

enum { W = 400, H = 300, LETTER = 32, STEP = 40 };

static uint8_t rgb[W * H * 3];

static void fill(int x0, int y0, int w, int h, const uint8_t colour[3]) {
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0; x < x0 + w; x++) memcpy(rgb + 3 * (y * W + x), colour, 3);
}

/* Something like 日, in strokes of 4 pixels. */
static void letter(int x, int y, const uint8_t colour[3]) {
    fill(x, y, 4, LETTER, colour);
    fill(x + 24, y, 4, LETTER, colour);
    for (int k = 0; k < 3; k++) fill(x, y + k * 14, 28, 4, colour);
}

static void row(int x, int y, int n, const uint8_t colour[3]) {
    for (int i = 0; i < n; i++) letter(x + i * STEP, y, colour);
}

/* A ground that is no single colour. */
static void ground(int level, int noise) {
    bqb_rand r = bqb_rand_seed(7, 1);
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(level + (noise ? (int)bqb_rand_below(&r, (uint64_t)noise) : 0));
}

/* Is there a line in this place, and how many dark pixels has it? */
static const bqb_text_line *at(const bqb_text_lines *l, double x0, double y0, double x1, double y1) {
    for (size_t i = 0; i < l->n; i++) {
        const bqb_text_line *t = &l->line[i];
        if (fabs((double)t->x0 - x0 / W) < 0.02 && fabs((double)t->y0 - y0 / H) < 0.02 && fabs((double)t->x1 - x1 / W) < 0.02 &&
            fabs((double)t->y1 - y1 / H) < 0.02)
            return t;
    }
    return NULL;
}

static double dark_share(const bqb_text_line *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->w * t->h; i++) n += t->gray[i] < 128;
    return (double)n / (double)(t->w * t->h);
}

TEST(text_lines_are_found_in_any_colour) {
    const uint8_t colours[][3] = {{255, 255, 255}, {10, 10, 10}, {230, 30, 30}, {250, 230, 20}};
    for (size_t k = 0; k < sizeof colours / sizeof *colours; k++) {
        bqb_text_lines l;
        ground(110, 50);
        row(60, 200, 6, colours[k]);
        CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
        const bqb_text_line *t = at(&l, 60, 200, 60 + 5 * STEP + 28, 200 + LETTER);
        CHECK_MSG(t != NULL, "colour %zu: no line in its place, of %zu", k, l.n);
        if (t) {
            CHECK_MSG(t->gray[0] == 255 && dark_share(t) > 0.1 && dark_share(t) < 0.5, "colour %zu: %.2f dark", k, dark_share(t));
            CHECK_MSG(t->h >= 44 && t->h <= 90, "%zu rows", t->h);
        }
        bqb_text_lines_free(&l);
    }
}

TEST(text_lines_stand_columns_up) {
    const uint8_t black[3] = {0, 0, 0};
    bqb_text_lines l;
    ground(230, 0);
    for (int i = 0; i < 5; i++) letter(300, 30 + i * STEP, black);
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
    const bqb_text_line *t = at(&l, 300, 30, 328, 30 + 4 * STEP + LETTER);
    CHECK_MSG(t != NULL, "no column in its place, of %zu lines", l.n);
    if (t) CHECK_MSG(t->w > 3 * t->h && dark_share(t) > 0.1, "%zu x %zu, %.2f dark", t->w, t->h, dark_share(t));
    bqb_text_lines_free(&l);
    /* Two rows of letters are no columns. */
    ground(230, 0);
    for (int i = 0; i < 3; i++) row(60, 30 + i * STEP, 6, black);
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
    CHECK_MSG(at(&l, 60, 30, 60 + 5 * STEP + 28, 30 + LETTER) != NULL, "no row in its place");
    for (size_t i = 0; i < l.n; i++)
        CHECK_MSG(l.line[i].x1 - l.line[i].x0 > 0.3f, "line %zu is a column", i);
    bqb_text_lines_free(&l);
}

TEST(text_lines_keep_to_themselves) {
    const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0};
    bqb_text_lines l;
    ground(128, 0);
    row(40, 40, 4, white);
    row(60, 200, 7, white);
    fill(300, 60, 60, 60, black); /* no letter */
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
    CHECK(at(&l, 40, 40, 40 + 3 * STEP + 28, 40 + LETTER) && at(&l, 60, 200, 60 + 6 * STEP + 28, 200 + LETTER));
    for (size_t i = 1; i < l.n; i++) CHECK_MSG(l.line[i - 1].score >= l.line[i].score, "not falling");
    bqb_text_lines_free(&l);
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 1, 44, &err), err);
    CHECK(l.n == 1);
    bqb_text_lines_free(&l);
}

TEST(text_lines_of_nothing_and_of_noise) {
    bqb_text_lines l;
    ground(200, 0);
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
    CHECK_MSG(l.n == 0, "%zu lines on nothing", l.n);
    bqb_text_lines_free(&l);
    ground(0, 256);
    CHECK_OK(bqb_text_lines_find(&l, rgb, W, H, 8, 44, &err), err);
    bqb_text_lines_free(&l);
    static const size_t sizes[][2] = {{1, 1}, {1, 300}, {4096, 1}, {5, 3}};
    uint8_t *any = calloc(4096, 3);
    for (size_t i = 0; any && i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_OK(bqb_text_lines_find(&l, any, sizes[i][0], sizes[i][1], 8, 44, &err), err);
        bqb_text_lines_free(&l);
    }
    CHECK(bqb_text_lines_find(&l, rgb, 0, 1, 8, 44, &err) == BQB_EINVAL && l.n == 0);
    CHECK(bqb_text_lines_find(&l, rgb, W, H, 8, 0, &err) == BQB_EINVAL);
    free(any);
}
