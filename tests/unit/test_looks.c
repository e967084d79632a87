/* What a sticker looks like as a whole: a still and an animation that holds it are the same picture, two animations that share a frame are not. */
#include "image/looks.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = BQB_LOOK_FRAME, BYTES = SIDE * SIDE * 3 };

/* A picture of its own for every number. */
static void draw(uint8_t *rgb, unsigned number) {
    for (unsigned y = 0; y < SIDE; y++)
        for (unsigned x = 0; x < SIDE; x++) {
            unsigned cell = (x / 16 * 7 + y / 16 * 13 + number * 29) * 2654435761u;
            memset(rgb + 3 * (y * SIDE + x), (int)(cell >> 24), 3);
        }
}

static bqb_looks looks_of(unsigned a, unsigned b, unsigned c) {
    bqb_looks l;
    uint8_t *rgb = malloc(3 * BYTES);
    draw(rgb, a);
    draw(rgb + BYTES, b);
    draw(rgb + 2 * BYTES, c);
    bqb_looks_of(&l, rgb);
    free(rgb);
    return l;
}

TEST(looks_of_stills_and_animations) {
    bqb_looks still = looks_of(1, 1, 1), other = looks_of(2, 2, 2), moves = looks_of(1, 2, 3), again = looks_of(1, 2, 3), shares = looks_of(1, 4, 5);
    CHECK(still.n == 1 && moves.n == 3);
    CHECK(bqb_looks_same(still.frame, 1, still.frame, 1) && !bqb_looks_same(still.frame, 1, other.frame, 1));
    CHECK(bqb_looks_same(moves.frame, 3, again.frame, 3) && !bqb_looks_same(moves.frame, 3, shares.frame, 3));
    CHECK(bqb_looks_same_picture(&moves, &again) && bqb_looks_same_picture(&still, &moves) && bqb_looks_same_picture(&moves, &other));
    CHECK(!bqb_looks_same_picture(&moves, &shares) && !bqb_looks_same_picture(&still, &other) && !bqb_looks_same_picture(&other, &shares));
}

TEST(looks_of_nothing) {
    bqb_err err = {0};
    bqb_looks l;
    CHECK(bqb_looks_read(&l, NULL, "not a picture", 13, "x.png", &err) == BQB_EFORMAT && strstr(err.msg, "x.png"));
    uint8_t *rgb = calloc(3, BYTES); /* one colour all over says nothing */
    bqb_looks_of(&l, rgb);
    CHECK(!bqb_looks_same_picture(&l, &l));
    free(rgb);
}
