/* What is kept of a frame's look in a library: hashes, and the look in 16×16 points, 453
 * bytes instead of 5 kB. It says which pictures may be the same, so that only their files need
 * to be looked at again, and by itself which are the same but for the words on them. */
#ifndef BQB_IMAGE_SKETCH_H
#define BQB_IMAGE_SKETCH_H

#include "image/looks.h"

enum { BQB_SKETCH_SIDE = 16, BQB_SKETCH_COLOURS = 8, BQB_SKETCH_BYTES = 453 };

typedef struct {
    uint64_t whole[2], inner[2], upper[2], lower[2]; /* as in bqb_look */
    bool flat;
    uint8_t x0, x1, y0, y1; /* the inside, in 1/64 of the frame */
    uint8_t light[BQB_SKETCH_SIDE * BQB_SKETCH_SIDE];
    uint8_t colour[2][BQB_SKETCH_COLOURS * BQB_SKETCH_COLOURS];
} bqb_sketch;

void bqb_sketch_of(bqb_sketch *s, const bqb_look *l);

/* Of each frame, packed one after the other; how many bytes. */
size_t bqb_sketch_all(uint8_t out[3 * BQB_SKETCH_BYTES], const bqb_looks *l);

/* To and from bytes that are the same on every machine. Any bytes can be unpacked. */
void bqb_sketch_pack(uint8_t out[BQB_SKETCH_BYTES], const bqb_sketch *s);
void bqb_sketch_unpack(bqb_sketch *s, const uint8_t in[BQB_SKETCH_BYTES]);

/* False: their looks are not the same. True: they should be compared. */
bool bqb_sketch_may_be_same(const bqb_sketch *a, const bqb_sketch *b);

/* The same picture in the same place, but something differs, less than half of the frame, and
 * what agrees is more than an empty ground: other words, mostly; also frames of one
 * drawing that moved. To be asked of what is not the same. */
bool bqb_sketch_other_words(const bqb_sketch *a, const bqb_sketch *b);

#endif
