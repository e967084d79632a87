/* What a picture looks like, small: to find the same picture saved again, in
 * another size or format, with a border, or with a little cut off. The words on
 * it count: the same picture with other words on it is another picture.
 *
 * Two steps. A hash of 128 bits, the signs of the lowest cosine frequencies,
 * says what may be the same (one of the whole frame, one without its plain
 * border: either may fit; and two of its upper and its lower part, where other words
 * leave at least one as it was). Then one look is laid over the other, each edge moved
 * until they fit best, and decides: nowhere, not even in the place of a single
 * character, may they differ by more than what saving again does.
 * Functions here are pure; any thread. */
#ifndef BQB_IMAGE_FINGERPRINT_H
#define BQB_IMAGE_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BQB_LOOK_FRAME = 128, BQB_LOOK_SIDE = 64, BQB_LOOK_COLOURS = 16, BQB_HASH_NEAR = 24 };

/* One frame. */
typedef struct {
    uint64_t whole[2], inner[2]; /* hashes: of the frame, of what is inside its border, */
    uint64_t upper[2], lower[2]; /* of its upper and its lower 70 % */
    bool flat;                   /* nothing to see: one colour all over */
    uint8_t x0, x1, y0, y1;      /* the inside, in pixels of light */
    uint8_t light[BQB_LOOK_SIDE * BQB_LOOK_SIDE];              /* brightness, slightly blurred */
    uint8_t colour[2][BQB_LOOK_COLOURS * BQB_LOOK_COLOURS];    /* 128 + half of red, blue less brightness */
} bqb_look;

/* rgb in [BQB_LOOK_FRAME,BQB_LOOK_FRAME,3], a frame of bqb_image_frames. */
void bqb_look_of(bqb_look *l, const uint8_t *rgb);

/* Bits in which two hashes differ, 0 … 128: about 64 of unrelated pictures, at
 * most BQB_HASH_NEAR of a picture saved again. */
int bqb_hash_distance(const uint64_t a[2], const uint64_t b[2]);

/* The largest local difference once b lies on a, in steps of brightness of 255. */
double bqb_look_difference(const bqb_look *a, const bqb_look *b);

/* The same picture with the same words. Flat frames are never that. */
bool bqb_look_same(const bqb_look *a, const bqb_look *b);

#endif
