#include "image/fingerprint.h"

#include "image/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = BQB_LOOK_FRAME, R = BQB_LOOK_SIDE, C = BQB_LOOK_COLOURS,
       BORDER = 40,  /* how far a border's pixels may be from its corner's */
       LEAST = 12,   /* what is smaller than this inside its border is not looked at alone */
       DCT = 32, BITS = 128,
       WINDOW = 6 }; /* of 64: about one character of a line */
static const float rim = 0.03f; /* of an inside: a border and what it is around run into each other there */
static const double same_below = 11,
                    hopeless = 50; /* so different after a rough fit that a finer one cannot mend it */

/* ---- one frame ---- */

static bool plain(const uint8_t *light, size_t step, size_t n, int corner) {
    for (size_t i = 0; i < n; i++)
        if (abs(light[i * step] - corner) > BORDER) return false;
    return true;
}

/* The frame without the rows and columns that are like its corners. */
static void find_inside(bqb_look *l) {
    const uint8_t *p = l->light;
    size_t x0 = 0, x1 = R, y0 = 0, y1 = R;
    while (y0 < y1 && plain(p + y0 * R, 1, R, p[0])) y0++;
    while (y1 > y0 && plain(p + (y1 - 1) * R, 1, R, p[(R - 1) * R])) y1--;
    l->flat = y0 == y1;
    if (!l->flat) {
        while (x0 < x1 && plain(p + y0 * R + x0, R, y1 - y0, p[0])) x0++;
        while (x1 > x0 && plain(p + y0 * R + x1 - 1, R, y1 - y0, p[R - 1])) x1--;
    }
    if (x1 < x0 + LEAST || y1 < y0 + LEAST) {
        x0 = y0 = 0;
        x1 = y1 = R;
    }
    l->x0 = (uint8_t)x0;
    l->x1 = (uint8_t)x1;
    l->y0 = (uint8_t)y0;
    l->y1 = (uint8_t)y1;
}

/* Brightness at half the frame's side. Weights 1 4 6 4 1 across and down, then
 * every other pixel's place between four: finer detail does not survive saving again. */
static void shrink(uint8_t *out, const uint8_t *in) {
    static const int weight[6] = {1, 5, 10, 10, 5, 1};
    uint8_t half[FRAME * R];
    for (int y = 0; y < FRAME; y++)
        for (int x = 0; x < R; x++) {
            int sum = 16;
            for (int k = 0; k < 6; k++) {
                int at = 2 * x - 2 + k;
                sum += weight[k] * in[y * FRAME + (at < 0 ? 0 : at >= FRAME ? FRAME - 1 : at)];
            }
            half[y * R + x] = (uint8_t)(sum >> 5);
        }
    for (int y = 0; y < R; y++)
        for (int x = 0; x < R; x++) {
            int sum = 16;
            for (int k = 0; k < 6; k++) {
                int at = 2 * y - 2 + k;
                sum += weight[k] * half[(at < 0 ? 0 : at >= FRAME ? FRAME - 1 : at) * R + x];
            }
            out[y * R + x] = (uint8_t)(sum >> 5);
        }
}

/* The waves of the cosine transform, and the lowest frequencies by diagonals, DC left out. */
static const float PART = 0.7f; /* words stand in the rest */

typedef struct {
    float wave[DCT][DCT];
    uint8_t u[BITS], v[BITS];
} basis;

static void make_basis(basis *b) {
    static const double pi = 3.14159265358979323846;
    for (size_t k = 0; k < DCT; k++)
        for (size_t x = 0; x < DCT; x++) b->wave[k][x] = (float)cos(pi * (double)k * ((double)x + 0.5) / DCT);
    size_t n = 0;
    for (size_t sum = 1; n < BITS; sum++)
        for (size_t i = 0; i <= sum && n < BITS; i++) {
            b->u[n] = (uint8_t)i;
            b->v[n++] = (uint8_t)(sum - i);
        }
}

static void hash_of(uint64_t hash[2], const basis *b, const bqb_look *l, float x0, float x1, float y0, float y1) {
    float small[DCT][DCT], half[DCT][DCT];
    const bqb_plane light = {l->light, R};
    for (size_t y = 0; y < DCT; y++)
        for (size_t x = 0; x < DCT; x++) {
            float sx = (x1 - x0) / (2 * DCT), sy = (y1 - y0) / (2 * DCT), sum = 0;
            for (size_t k = 0; k < 4; k++) /* four samples a cell */
                sum += bqb_plane_at(light, fminf(x0 + sx * ((float)(2 * x + k % 2) + 0.5f), R - 1),
                              fminf(y0 + sy * ((float)(2 * y + k / 2) + 0.5f), R - 1));
            small[y][x] = sum - 510;
        }
    for (size_t y = 0; y < DCT; y++)
        for (size_t k = 0; k < DCT; k++) {
            half[y][k] = 0;
            for (size_t x = 0; x < DCT; x++) half[y][k] += small[y][x] * b->wave[k][x];
        }
    hash[0] = hash[1] = 0;
    for (size_t i = 0; i < BITS; i++) {
        float sum = 0;
        for (size_t y = 0; y < DCT; y++) sum += half[y][b->v[i]] * b->wave[b->u[i]][y];
        if (sum > 0) hash[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

void bqb_look_of(bqb_look *l, const uint8_t *rgb) {
    uint8_t sharp[FRAME * FRAME];
    basis b;
    memset(l, 0, sizeof *l);
    for (size_t i = 0; i < FRAME * FRAME; i++)
        sharp[i] = (uint8_t)((77 * rgb[3 * i] + 150 * rgb[3 * i + 1] + 29 * rgb[3 * i + 2] + 128) >> 8);
    enum { CELL = FRAME / C };
    for (size_t i = 0; i < C * C; i++) {
        int red = 0, blue = 0;
        for (size_t k = 0; k < CELL * CELL; k++) {
            size_t at = (i / C * CELL + k / CELL) * FRAME + i % C * CELL + k % CELL;
            red += rgb[3 * at] - sharp[at];
            blue += rgb[3 * at + 2] - sharp[at];
        }
        l->colour[0][i] = (uint8_t)(128 + red / (2 * CELL * CELL));
        l->colour[1][i] = (uint8_t)(128 + blue / (2 * CELL * CELL));
    }
    shrink(l->light, sharp);
    find_inside(l);
    make_basis(&b);
    hash_of(l->whole, &b, l, 0, R, 0, R);
    hash_of(l->inner, &b, l, l->x0, l->x1, l->y0, l->y1);
    hash_of(l->upper, &b, l, 0, R, 0, PART * R);
    hash_of(l->lower, &b, l, 0, R, (1 - PART) * R, R);
}

/* ---- two frames ---- */

static int bits_in(uint64_t x) {
#if defined(__GNUC__)
    return __builtin_popcountll(x);
#else
    int n = 0;
    for (; x; x &= x - 1) n++;
    return n;
#endif
}

int bqb_hash_distance(const uint64_t a[2], const uint64_t b[2]) { return bits_in(a[0] ^ b[0]) + bits_in(a[1] ^ b[1]); }

static bqb_plane light_of(const bqb_look *l) { return (bqb_plane){l->light, R}; }

static double light_difference(const bqb_look *a, const bqb_edges *ea, const bqb_look *b, const bqb_edges *eb) {
    float d[R * R];
    bqb_overlay_differences(d, R, light_of(a), ea, light_of(b), eb);
    bqb_overlay_soften(d, R);
    bqb_overlay_soften(d, R);
    return bqb_overlay_worst(d, R, WINDOW);
}

/* b laid on a, beginning with these edges of both. */
static double laid_on(const bqb_look *a, const bqb_edges *ea, const bqb_look *b, bqb_edges eb) {
    if (bqb_overlay_fit(&eb, light_of(a), ea, light_of(b), 16, 2, 1) == HUGE_VAL) return 255;
    double worst = light_difference(a, ea, b, &eb);
    if (worst > hopeless) return worst;
    bqb_overlay_fit(&eb, light_of(a), ea, light_of(b), 32, 1, 0.125f);
    worst = light_difference(a, ea, b, &eb);
    for (size_t c = 0; c < 2; c++) {
        float d[C * C];
        bqb_overlay_differences(d, C, (bqb_plane){a->colour[c], C}, ea, (bqb_plane){b->colour[c], C}, &eb);
        bqb_overlay_soften(d, C);
        double w = bqb_overlay_worst(d, C, 2);
        if (w > worst) worst = w;
    }
    return worst;
}

static bqb_edges part_of(const bqb_look *l, bool inside, float cut) {
    float x0 = inside ? l->x0 : 0, x1 = inside ? l->x1 : R, y0 = inside ? l->y0 : 0, y1 = inside ? l->y1 : R;
    float w = cut * (x1 - x0), h = cut * (y1 - y0);
    return (bqb_edges){{x0 + w, x1 - w, y0 + h, y1 - h}};
}

static bool bordered(const bqb_look *l) { return l->x0 || l->y0 || l->x1 < R || l->y1 < R; }

/* The least over the whole frames, their insides, and the inside of one and the whole of the
 * other (a border is around what had none), until they are the same; only
 * those whose hashes are at most `most` bits apart. */
static double difference(const bqb_look *a, const bqb_look *b, int most) {
    double least = 255;
    for (int way = 0; way < 4 && least >= same_below; way++) {
        bool in_a = way == 1 || way == 2, in_b = way == 1 || way == 3;
        if (way && (way == 1 ? !bordered(a) && !bordered(b) : !bordered(a) || !bordered(b))) continue; /* an earlier way */
        if (bqb_hash_distance(in_a ? a->inner : a->whole, in_b ? b->inner : b->whole) > most) continue;
        bqb_edges ea = part_of(a, in_a, way ? rim : 0), eb = part_of(b, in_b, way ? rim : 0);
        least = fmin(least, laid_on(a, &ea, b, eb));
    }
    return least;
}

double bqb_look_difference(const bqb_look *a, const bqb_look *b) { return difference(a, b, BITS); }

bool bqb_look_same(const bqb_look *a, const bqb_look *b) {
    return !a->flat && !b->flat && difference(a, b, BQB_HASH_NEAR + 8) < same_below;
}
