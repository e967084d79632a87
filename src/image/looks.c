#include "image/looks.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME_BYTES = BQB_LOOK_FRAME * BQB_LOOK_FRAME * 3 };

void bqb_looks_of(bqb_looks *l, const uint8_t *rgb) {
    bool moves = memcmp(rgb, rgb + FRAME_BYTES, FRAME_BYTES) || memcmp(rgb, rgb + 2 * FRAME_BYTES, FRAME_BYTES);
    l->n = moves ? 3 : 1;
    for (size_t f = 0; f < l->n; f++) bqb_look_of(&l->frame[f], rgb + f * FRAME_BYTES);
}

bqb_status bqb_looks_read(bqb_looks *l, bqb_image_info *info, const void *data, size_t size, const char *name, bqb_err *err) {
    l->n = 0;
    uint8_t *rgb = bqb_calloc(3, FRAME_BYTES);
    if (!rgb) return bqb_fail_nomem(err, name, 3 * FRAME_BYTES);
    bqb_status s = bqb_image_frames(rgb, info, data, size, name, BQB_LOOK_FRAME, NULL, err);
    if (!s) bqb_looks_of(l, rgb);
    free(rgb);
    return s;
}

bool bqb_looks_same(const bqb_look *a, size_t na, const bqb_look *b, size_t nb) {
    bool seen = false;
    if (na != nb) return false;
    for (size_t f = 0; f < na; f++) {
        if (a[f].flat && b[f].flat) continue;
        if (!bqb_look_same(&a[f], &b[f])) return false;
        seen = true;
    }
    return seen;
}

bool bqb_looks_same_picture(const bqb_looks *a, const bqb_looks *b) {
    if (a->n == b->n) return bqb_looks_same(a->frame, a->n, b->frame, b->n);
    const bqb_looks *still = a->n == 1 ? a : b, *moving = a->n == 1 ? b : a;
    for (size_t f = 0; f < moving->n && still->n; f++)
        if (bqb_look_same(&still->frame[0], &moving->frame[f])) return true;
    return false;
}
