#include "image/sketch.h"

#include "image/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { S = BQB_SKETCH_SIDE, C = BQB_SKETCH_COLOURS, EDGE = 16, OTHER = 14, MOST_OTHER = S * S * 45 / 100, LEAST_DETAIL = S * S / 12 };
static const double most_mean = 14, most_mean_far = 11, /* before they are fitted: the mean difference; where the hashes differ much */
    most_light = 25, most_colour = 30;
static const float rim = 0.06f; /* a cell is wide: more of an inside than in a look is mixed with its border */

static void shrink(uint8_t *out, size_t n, const uint8_t *in, size_t side) {
    size_t k = side / n;
    for (size_t y = 0; y < n; y++)
        for (size_t x = 0; x < n; x++) {
            unsigned sum = 0;
            for (size_t i = 0; i < k * k; i++) sum += in[(y * k + i / k) * side + x * k + i % k];
            out[y * n + x] = (uint8_t)(sum / (k * k));
        }
}

void bqb_sketch_of(bqb_sketch *s, const bqb_look *l) {
    memset(s, 0, sizeof *s);
    memcpy(s->whole, l->whole, sizeof s->whole);
    memcpy(s->inner, l->inner, sizeof s->inner);
    memcpy(s->upper, l->upper, sizeof s->upper);
    memcpy(s->lower, l->lower, sizeof s->lower);
    s->flat = l->flat;
    s->x0 = l->x0;
    s->x1 = l->x1;
    s->y0 = l->y0;
    s->y1 = l->y1;
    shrink(s->light, S, l->light, BQB_LOOK_SIDE);
    for (size_t c = 0; c < 2; c++) shrink(s->colour[c], C, l->colour[c], BQB_LOOK_COLOURS);
}

/* ---- bytes ---- */

static uint8_t *put_hash(uint8_t *p, const uint64_t h[2]) {
    for (size_t i = 0; i < 16; i++) *p++ = (uint8_t)(h[i / 8] >> (8 * (i % 8)));
    return p;
}

static const uint8_t *get_hash(uint64_t h[2], const uint8_t *p) {
    h[0] = h[1] = 0;
    for (size_t i = 0; i < 16; i++) h[i / 8] |= (uint64_t)*p++ << (8 * (i % 8));
    return p;
}

void bqb_sketch_pack(uint8_t out[BQB_SKETCH_BYTES], const bqb_sketch *s) {
    uint8_t *p = put_hash(put_hash(put_hash(put_hash(out, s->whole), s->inner), s->upper), s->lower);
    *p++ = s->flat;
    *p++ = s->x0;
    *p++ = s->x1;
    *p++ = s->y0;
    *p++ = s->y1;
    memcpy(p, s->light, sizeof s->light);
    memcpy(p + sizeof s->light, s->colour, sizeof s->colour);
}

size_t bqb_sketch_all(uint8_t out[3 * BQB_SKETCH_BYTES], const bqb_looks *l) {
    size_t n = 0;
    for (size_t f = 0; f < l->n; f++, n += BQB_SKETCH_BYTES) {
        bqb_sketch s;
        bqb_sketch_of(&s, &l->frame[f]);
        bqb_sketch_pack(out + n, &s);
    }
    return n;
}

/* Edges that no look has become the whole frame. */
void bqb_sketch_unpack(bqb_sketch *s, const uint8_t in[BQB_SKETCH_BYTES]) {
    memset(s, 0, sizeof *s);
    const uint8_t *p = get_hash(s->lower, get_hash(s->upper, get_hash(s->inner, get_hash(s->whole, in))));
    s->flat = *p++ != 0;
    s->x0 = *p++;
    s->x1 = *p++;
    s->y0 = *p++;
    s->y1 = *p++;
    if (s->x0 >= s->x1 || s->y0 >= s->y1 || s->x1 > BQB_LOOK_SIDE || s->y1 > BQB_LOOK_SIDE) {
        s->x0 = s->y0 = 0;
        s->x1 = s->y1 = BQB_LOOK_SIDE;
    }
    memcpy(s->light, p, sizeof s->light);
    memcpy(s->colour, p + sizeof s->light, sizeof s->colour);
}

/* ---- two sketches ---- */

static bqb_edges part_of(const bqb_sketch *s, bool inside, float cut) {
    float x0 = inside ? s->x0 : 0, x1 = inside ? s->x1 : BQB_LOOK_SIDE, y0 = inside ? s->y0 : 0, y1 = inside ? s->y1 : BQB_LOOK_SIDE;
    float w = cut * (x1 - x0), h = cut * (y1 - y0);
    return (bqb_edges){{x0 + w, x1 - w, y0 + h, y1 - h}};
}

static double mean_size(const float *d, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)d[i]);
    return sum / (double)n;
}

static bool laid_on(const bqb_sketch *a, const bqb_edges *ea, const bqb_sketch *b, bqb_edges eb, double most) {
    float d[S * S];
    bqb_plane la = {a->light, S}, lb = {b->light, S};
    bqb_overlay_differences(d, S / 2, la, ea, lb, &eb);
    if (mean_size(d, S * S / 4) > most) return false;
    if (bqb_overlay_fit(&eb, la, ea, lb, S, 2, 0.5f) == HUGE_VAL) return false;
    bqb_overlay_differences(d, S, la, ea, lb, &eb);
    bqb_overlay_soften(d, S);
    if (bqb_overlay_worst(d, S, 3) > most_light) return false;
    for (size_t c = 0; c < 2; c++) {
        bqb_overlay_differences(d, C, (bqb_plane){a->colour[c], C}, ea, (bqb_plane){b->colour[c], C}, &eb);
        if (bqb_overlay_worst(d, C, 2) > most_colour) return false;
    }
    return true;
}

bool bqb_sketch_may_be_same(const bqb_sketch *a, const bqb_sketch *b) {
    if (a->flat || b->flat) return false;
    for (int way = 0; way < 4; way++) { /* whole, insides, the inside of one on the whole of the other */
        bool in_a = way == 1 || way == 2, in_b = way == 1 || way == 3;
        int bits = bqb_hash_distance(in_a ? a->inner : a->whole, in_b ? b->inner : b->whole);
        if (bits > BQB_HASH_NEAR) continue;
        bqb_edges ea = part_of(a, in_a, way ? rim : 0), eb = part_of(b, in_b, way ? rim : 0);
        if (laid_on(a, &ea, b, eb, bits > BQB_HASH_NEAR * 2 / 3 ? most_mean_far : most_mean)) return true;
    }
    return false;
}

bool bqb_sketch_other_words(const bqb_sketch *a, const bqb_sketch *b) {
    bool other[S * S];
    size_t n_other = 0, detail[2] = {0, 0};
    if (a->flat || b->flat) return false;
    for (size_t i = 0; i < S * S; i++) {
        size_t c = i / S / 2 * C + i % S / 2;
        other[i] = abs(a->light[i] - b->light[i]) > OTHER || abs(a->colour[0][c] - b->colour[0][c]) > OTHER ||
                   abs(a->colour[1][c] - b->colour[1][c]) > OTHER;
        n_other += other[i];
    }
    for (size_t y = 0; y + 1 < S; y++)
        for (size_t x = 0; x + 1 < S; x++) {
            size_t i = y * S + x;
            if (other[i]) continue;
            detail[0] += abs(a->light[i + 1] - a->light[i]) + abs(a->light[i + S] - a->light[i]) > EDGE;
            detail[1] += abs(b->light[i + 1] - b->light[i]) + abs(b->light[i + S] - b->light[i]) > EDGE;
        }
    return n_other && n_other <= MOST_OTHER && detail[0] >= LEAST_DETAIL && detail[1] >= LEAST_DETAIL;
}
