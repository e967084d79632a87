#include "test.h"
#include "draw_scene.h"

#include "image/resample.h"
#include "image/sketch.h"

#include <string.h>

enum { F = BQB_LOOK_FRAME };

static uint8_t scene[SCENE * SCENE * 3], work[SCENE * SCENE * 3], frame[F * F * 3];

static void look(bqb_look *l, const uint8_t *rgb, size_t w, size_t h) {
    bqb_err err = {0};
    CHECK_OK(bqb_resample(frame, F, F, rgb, w, h, 3, &err), err);
    bqb_look_of(l, frame);
}

TEST(sketch_knows_what_may_be_the_same) {
    static bqb_look a, b;
    bqb_sketch x, y;
    int framed_known = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        scene_draw(scene, seed, seed, -1);
        look(&a, scene, SCENE, SCENE);
        bqb_sketch_of(&x, &a);
        CHECK(bqb_sketch_may_be_same(&x, &x) && !bqb_sketch_other_words(&x, &x));
        CHECK(!bqb_resample(work, 80, 80, scene, SCENE, SCENE, 3, NULL));
        look(&b, work, 80, 80);
        bqb_sketch_of(&y, &b);
        CHECK(bqb_sketch_may_be_same(&x, &y) && bqb_sketch_may_be_same(&y, &x));
        static uint8_t framed[(SCENE + 40) * (SCENE + 20) * 3];
        memset(framed, 0, sizeof framed);
        for (size_t r = 0; r < SCENE; r++) memcpy(framed + ((r + 10) * (SCENE + 40) + 30) * 3, scene + r * SCENE * 3, SCENE * 3);
        look(&b, framed, SCENE + 40, SCENE + 20);
        bqb_sketch_of(&y, &b);
        CHECK(bqb_look_same(&a, &b));
        framed_known += bqb_sketch_may_be_same(&x, &y);
        scene_draw(work, seed + 50, seed, -1); /* the same words on another picture */
        look(&b, work, SCENE, SCENE);
        bqb_sketch_of(&y, &b);
        CHECK(!bqb_sketch_may_be_same(&x, &y));
    }
    CHECK_MSG(framed_known >= 3, "%d of 4", framed_known); /* a wide dark border is not always seen through in 16×16 points */
}

/* A dark band with light bars for words over the lowest quarter. */
static void write_band(uint8_t *rgb, size_t every) {
    for (size_t y = SCENE * 3 / 4; y < SCENE; y++)
        for (size_t x = 0; x < SCENE; x++) memset(rgb + (y * SCENE + x) * 3, x / every % 2 ? 255 : 0, 3);
}

TEST(sketch_knows_the_same_picture_with_other_words) {
    static bqb_look a, b;
    bqb_sketch x, y;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        scene_draw(scene, seed, seed, -1);
        memcpy(work, scene, sizeof work);
        write_band(scene, 12);
        write_band(work, 31);
        look(&a, scene, SCENE, SCENE);
        look(&b, work, SCENE, SCENE);
        bqb_sketch_of(&x, &a);
        bqb_sketch_of(&y, &b);
        CHECK(bqb_hash_distance(x.upper, y.upper) <= 8);
        CHECK(!bqb_look_same(&a, &b) && bqb_sketch_other_words(&x, &y) && bqb_sketch_other_words(&y, &x));
    }
    memset(scene, 255, sizeof scene); /* nothing but words: nothing in common */
    memset(work, 255, sizeof work);
    write_band(scene, 12);
    write_band(work, 31);
    look(&a, scene, SCENE, SCENE);
    look(&b, work, SCENE, SCENE);
    bqb_sketch_of(&x, &a);
    bqb_sketch_of(&y, &b);
    CHECK(!bqb_sketch_other_words(&x, &y));
}

TEST(sketch_survives_as_bytes) {
    static bqb_look a;
    bqb_sketch x, y;
    uint8_t bytes[BQB_SKETCH_BYTES];
    scene_draw(scene, 5, 5, -1);
    look(&a, scene, SCENE, SCENE);
    bqb_sketch_of(&x, &a);
    bqb_sketch_pack(bytes, &x);
    bqb_sketch_unpack(&y, bytes);
    CHECK(!memcmp(x.whole, y.whole, 16) && !memcmp(x.inner, y.inner, 16) && !memcmp(x.upper, y.upper, 16) &&
          !memcmp(x.lower, y.lower, 16) && x.flat == y.flat && x.x0 == y.x0 && x.x1 == y.x1 && x.y0 == y.y0 && x.y1 == y.y1 &&
          !memcmp(x.light, y.light, sizeof x.light) && !memcmp(x.colour, y.colour, sizeof x.colour));
    CHECK(bytes[0] == (x.whole[0] & 255)); /* the least byte first, on every machine */
    for (int fill = 0; fill < 256; fill += 51) { /* any bytes: nothing outside is touched (sanitizers look) */
        memset(bytes, fill, sizeof bytes);
        bqb_sketch_unpack(&y, bytes);
        CHECK(y.x0 < y.x1 && y.x1 <= BQB_LOOK_SIDE && y.y0 < y.y1 && y.y1 <= BQB_LOOK_SIDE);
        (void)bqb_sketch_may_be_same(&x, &y);
    }
}
