#include "test.h"
#include "draw_scene.h"

#include "base/rand.h"
#include "image/fingerprint.h"
#include "image/resample.h"

#include <string.h>

enum { F = BQB_LOOK_FRAME };

static uint8_t scene[SCENE * SCENE * 3], other[SCENE * SCENE * 3], work[SCENE * SCENE * 3], frame[F * F * 3];

static void look(bqb_look *l, const uint8_t *rgb, size_t w, size_t h) {
    bqb_err err = {0};
    CHECK_OK(bqb_resample(frame, F, F, rgb, w, h, 3, &err), err);
    bqb_look_of(l, frame);
}

static int nearest(const bqb_look *a, const bqb_look *b) {
    int x = bqb_hash_distance(a->whole, b->whole), y = bqb_hash_distance(a->inner, b->inner);
    return x < y ? x : y;
}

static void saved_again(uint64_t seed) {
    static bqb_look a, b;
    scene_draw(scene, seed, seed, -1);
    look(&a, scene, SCENE, SCENE);
    CHECK(nearest(&a, &a) == 0 && bqb_look_difference(&a, &a) == 0 && bqb_look_same(&a, &a));
    /* Smaller. */
    CHECK(!bqb_resample(work, 80, 80, scene, SCENE, SCENE, 3, NULL));
    look(&b, work, 80, 80);
    CHECK_MSG(nearest(&a, &b) <= BQB_HASH_NEAR && bqb_look_same(&a, &b), "smaller: %d bits, %.1f", nearest(&a, &b), bqb_look_difference(&a, &b));
    /* Lighter, and with noise. */
    bqb_rand r = bqb_rand_seed(seed, 9);
    for (size_t i = 0; i < sizeof scene; i++) {
        int v = scene[i] * 9 / 10 + 10 + (int)bqb_rand_below(&r, 13) - 6;
        work[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    look(&b, work, SCENE, SCENE);
    CHECK_MSG(nearest(&a, &b) <= BQB_HASH_NEAR && bqb_look_same(&a, &b), "noise: %d bits, %.1f", nearest(&a, &b), bqb_look_difference(&a, &b));
    /* A little cut off. */
    enum { CUT = SCENE - 4 };
    for (size_t y = 0; y < CUT; y++) memcpy(work + y * CUT * 3, scene + ((y + 2) * SCENE + 2) * 3, CUT * 3);
    look(&b, work, CUT, CUT);
    CHECK_MSG(nearest(&a, &b) <= BQB_HASH_NEAR && bqb_look_same(&a, &b), "cut: %d bits, %.1f", nearest(&a, &b), bqb_look_difference(&a, &b));
    /* In a border. */
    static uint8_t framed[(SCENE + 40) * (SCENE + 20) * 3];
    memset(framed, 255, sizeof framed);
    for (size_t y = 0; y < SCENE; y++) memcpy(framed + ((y + 10) * (SCENE + 40) + 30) * 3, scene + y * SCENE * 3, SCENE * 3);
    look(&b, framed, SCENE + 40, SCENE + 20);
    CHECK_MSG(nearest(&a, &b) <= BQB_HASH_NEAR && bqb_look_same(&a, &b), "border: %d bits, %.1f", nearest(&a, &b), bqb_look_difference(&a, &b));
}

TEST(look_knows_a_picture_saved_again) {
    for (uint64_t seed = 1; seed <= 4; seed++) saved_again(seed);
}

TEST(look_sees_other_words) {
    static bqb_look a, b;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        scene_draw(scene, seed, seed, -1);
        look(&a, scene, SCENE, SCENE);
        for (int g = 0; g < GLYPHS; g++) { /* one character of seven */
            scene_draw(other, seed, seed, g);
            look(&b, other, SCENE, SCENE);
            CHECK_MSG(nearest(&a, &b) <= BQB_HASH_NEAR, "glyph %d: %d bits: not even looked at", g, nearest(&a, &b));
            CHECK_MSG(!bqb_look_same(&a, &b), "glyph %d: %.1f", g, bqb_look_difference(&a, &b));
        }
        scene_draw(other, seed + 50, seed, -1); /* the same words under another picture */
        look(&b, other, SCENE, SCENE);
        CHECK(!bqb_look_same(&a, &b));
    }
}

TEST(look_sees_other_colours) {
    static bqb_look a, b;
    scene_draw(scene, 3, 3, -1);
    look(&a, scene, SCENE, SCENE);
    for (size_t i = 0; i < sizeof scene; i += 3) { /* about as light, red for blue */
        uint8_t t = scene[i];
        scene[i] = scene[i + 2];
        scene[i + 2] = t;
    }
    look(&b, scene, SCENE, SCENE);
    CHECK(!bqb_look_same(&a, &b));
}

TEST(look_at_nothing) {
    static bqb_look a, b;
    memset(scene, 255, sizeof scene);
    look(&a, scene, SCENE, SCENE);
    CHECK(a.flat && !bqb_look_same(&a, &a));
    memset(scene, 0, sizeof scene);
    look(&b, scene, SCENE, SCENE);
    CHECK(b.flat);
    for (int y = 96; y < 100; y++) memset(scene + (y * SCENE + 90) * 3, 255, 12); /* a dot is something */
    look(&b, scene, SCENE, SCENE);
    CHECK(!b.flat && bqb_look_difference(&a, &b) > 100);
}
