#include "test.h"

#include "image/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { R = 32, PLANE = R * R, FRAME = 3 * PLANE };

static void noise(uint8_t *rgb, uint64_t seed, size_t from, size_t to) {
    bqb_rand r = bqb_rand_seed(seed, 2);
    for (size_t i = 0; i < FRAME; i++) rgb[i] = (uint8_t)(from + bqb_rand_below(&r, to - from));
}

/* The largest difference. */
static int off(const uint8_t *a, const uint8_t *b) {
    int worst = 0;
    for (size_t i = 0; i < FRAME; i++) worst = abs(a[i] - b[i]) > worst ? abs(a[i] - b[i]) : worst;
    return worst;
}

TEST(crop_of_the_whole_is_the_frame) {
    static uint8_t rgb[FRAME], out[FRAME];
    bqb_crop whole = {.size = R, .gain = {1, 1, 1}}, smaller = whole;
    noise(rgb, 1, 0, 256);
    bqb_crop_frame(out, rgb, R, &whole);
    CHECK(off(out, rgb) == 0);
    smaller.size = R - 1; /* planted */
    bqb_crop_frame(out, rgb, R, &smaller);
    CHECK(off(out, rgb) > 10);
    whole.gain[1] = 0.5f;
    whole.offset[1] = 7;
    bqb_crop_frame(out, rgb, R, &whole);
    for (size_t i = 0; i < FRAME; i += 3) CHECK(out[i] == rgb[i] && abs(out[i + 1] - rgb[i + 1] / 2 - 7) <= 1);
}

/* Off the frame, at worst, after these operations. */
static int augment_off(bqb_aug a, float la, bqb_aug b, float lb) {
    static uint8_t rgb[FRAME], scratch[2 * FRAME], got[FRAME];
    noise(rgb, 3, 0, 256);
    bqb_augment x = {.crop = {.size = R, .gain = {1, 1, 1}}, .op = {a, b}, .level = {la, lb}};
    bqb_augment_frame(got, scratch, rgb, R, &x);
    return off(got, rgb);
}

TEST(augment_at_level_0_changes_nothing) {
    for (int a = BQB_AUG_BRIGHTNESS; a < BQB_AUGS; a++)
        for (int b = BQB_AUG_BRIGHTNESS; b < BQB_AUGS; b++) {
            int most = augment_off((bqb_aug)a, 0, (bqb_aug)b, 0);
            CHECK_MSG(most == 0, "%s, %s: %d", bqb_aug_name((bqb_aug)a), bqb_aug_name((bqb_aug)b), most);
            /* Planted: at another level it must. */
            CHECK_MSG(augment_off((bqb_aug)a, 0.5f, (bqb_aug)b, 0) > 5, "%s does nothing", bqb_aug_name((bqb_aug)a));
        }
    /* There and back by one resampling. */
    CHECK(augment_off(BQB_AUG_SHEAR_X, 1, BQB_AUG_SHEAR_X, -1) == 0);
    CHECK(augment_off(BQB_AUG_SHEAR_Y, -1, BQB_AUG_SHEAR_Y, 1) == 0);
    CHECK(augment_off(BQB_AUG_ROTATE, 1, BQB_AUG_ROTATE, -1) == 0);
    CHECK(augment_off(BQB_AUG_SHIFT_X, 1, BQB_AUG_SHIFT_X, -1) == 0);
    CHECK(augment_off(BQB_AUG_SHIFT_Y, 1, BQB_AUG_SHIFT_X, -1) > 25); /* planted */
}

/* A shift by one whole pixel, and white from outside. */
TEST(augment_moves_pixels) {
    static uint8_t rgb[FRAME], scratch[2 * FRAME], shifted[FRAME], got[FRAME];
    noise(rgb, 4, 0, 200);
    for (size_t y = 0; y < R; y++)
        for (size_t x = 0; x < R; x++)
            for (size_t k = 0; k < 3; k++)
                shifted[(y * R + x) * 3 + k] = x + 1 < R ? rgb[(y * R + x + 1) * 3 + k] : 255;
    bqb_augment a = {.crop = {.size = R, .gain = {1, 1, 1}}, .op = {BQB_AUG_SHIFT_X, BQB_AUG_SHIFT_Y}, .level = {1 / (0.05f * R), 0}};
    bqb_augment_frame(got, scratch, rgb, R, &a);
    CHECK_MSG(off(got, shifted) <= 1, "off by %d", off(got, shifted));
}

/* Where a spot in the middle goes. */
static void follow_spot(double *x, double *y, bqb_aug first, bqb_aug second) {
    static uint8_t rgb[FRAME], scratch[2 * FRAME], got[FRAME];
    double weight = 0;
    memset(rgb, 0, sizeof rgb);
    for (size_t k = 0; k < 16; k++) memset(rgb + ((14 + k / 4) * R + 14 + k % 4) * 3, 200, 3);
    bqb_augment a = {.crop = {.size = R, .gain = {1, 1, 1}}, .op = {first, second}, .level = {1, 1}};
    bqb_augment_frame(got, scratch, rgb, R, &a);
    *x = *y = 0;
    for (int i = 6; i < 26; i++)
        for (int k = 6; k < 26; k++) {
            double v = got[(i * R + k) * 3];
            weight += v;
            *x += v * (k - 15.5);
            *y += v * (i - 15.5);
        }
    *x /= weight;
    *y /= weight;
}

TEST(augment_keeps_the_order) {
    double x, y;
    follow_spot(&x, &y, BQB_AUG_ROTATE, BQB_AUG_SHIFT_X); /* turned on the spot, then straight to the left */
    CHECK_MSG(fabs(x + 1.6) < 0.05 && fabs(y) < 0.05, "%g, %g", x, y);
    follow_spot(&x, &y, BQB_AUG_SHIFT_X, BQB_AUG_ROTATE); /* the other way round it leaves the line */
    CHECK_MSG(fabs(x + 1.6 * cos(0.26179939)) < 0.05 && fabs(fabs(y) - 1.6 * sin(0.26179939)) < 0.05, "%g, %g", x, y);
}

TEST(augment_changes_colours) {
    static uint8_t rgb[FRAME], out[FRAME];
    noise(rgb, 5, 60, 100);
    bqb_augment_colours(out, rgb, R, BQB_AUG_AUTOCONTRAST, 0);
    uint8_t low = 255, high = 0;
    for (size_t i = 0; i < FRAME; i += 3) {
        low = out[i] < low ? out[i] : low;
        high = out[i] > high ? out[i] : high;
    }
    CHECK(low == 0 && high == 255);
    bqb_augment_colours(out, rgb, R, BQB_AUG_EQUALIZE, 0);
    size_t below = 0;
    for (size_t i = 0; i < FRAME; i += 3) below += out[i] < 128;
    CHECK_MSG(below > PLANE * 2 / 5 && below < PLANE * 3 / 5, "%zu of %d", below, PLANE);
    bqb_augment_colours(out, rgb, R, BQB_AUG_BRIGHTNESS, 0.5f);
    for (size_t i = 0; i < FRAME; i++) CHECK(fabs(out[i] - 1.3 * rgb[i]) <= 0.501);
    double was = 0, is = 0, spread_was = 0, spread_is = 0;
    bqb_augment_colours(out, rgb, R, BQB_AUG_CONTRAST, -1);
    for (size_t i = 0; i < FRAME; i++) {
        was += rgb[i];
        is += out[i];
    }
    for (size_t i = 0; i < FRAME; i++) {
        spread_was += fabs((double)rgb[i] - was / FRAME);
        spread_is += fabs((double)out[i] - is / FRAME);
    }
    CHECK(fabs(was - is) / FRAME < 1 && fabs(spread_is / spread_was - 0.4) < 0.02);
    bqb_augment_colours(out, rgb, R, BQB_AUG_COLOUR, -1);
    for (size_t i = 0; i < FRAME; i += 3) CHECK(abs(out[i] - out[i + 1]) <= 0.4 * abs(rgb[i] - rgb[i + 1]) + 1);
    /* One colour everywhere: nothing to stretch or sharpen, and no division by zero. */
    memset(rgb, 90, sizeof rgb);
    for (int a = 0; a <= BQB_AUG_SHARPNESS; a++) {
        if (a == BQB_AUG_BRIGHTNESS) continue;
        bqb_augment_colours(out, rgb, R, (bqb_aug)a, 1);
        CHECK_MSG(!memcmp(out, rgb, sizeof out), "%s", bqb_aug_name((bqb_aug)a));
    }
}

TEST(augment_draws_everything) {
    int seen[BQB_AUGS] = {0}, negative = 0;
    bqb_rand r = bqb_rand_seed(9, 9);
    bqb_augment a, b;
    for (int k = 0; k < 500; k++) {
        bqb_augment_draw(&a, &r);
        for (int i = 0; i < BQB_AUG_STEPS; i++) {
            CHECK(a.op[i] < BQB_AUGS && fabsf(a.level[i]) <= 1);
            seen[a.op[i]]++;
            negative += a.level[i] < 0;
        }
    }
    for (int k = 0; k < BQB_AUGS; k++) CHECK(seen[k] > 50);
    CHECK(negative > 400 && negative < 600);
    r = bqb_rand_seed(9, 9);
    bqb_rand again = bqb_rand_seed(9, 9);
    bqb_augment_draw(&a, &r);
    bqb_augment_draw(&b, &again);
    CHECK(a.op[0] == b.op[0] && a.op[1] == b.op[1] && a.level[1] == b.level[1]);
    CHECK_STR(bqb_aug_name(BQB_AUG_ROTATE), "rotate");
    CHECK_STR(bqb_aug_name(BQB_AUGS), "");
}
