#include "image/fingerprint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = BQB_LOOK_FRAME, R = BQB_LOOK_SIDE, C = BQB_LOOK_COLOURS,
       BORDER = 40,  /* how far a border's pixels may be from its corner's */
       LEAST = 12,   /* what is smaller than this inside its border is not looked at alone */
       DCT = 32, BITS = 128,
       MOVE = 5,     /* pixels that an edge may be moved to make two looks fit */
       WINDOW = 6 }; /* of 64: about one character of a line */
static const double same_below = 11, most_outside = 0.12,
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

/* Between four pixels of an n×n plane; x and y within 0 … n-1. */
static float sample(const uint8_t *p, size_t n, float x, float y) {
    size_t ix = (size_t)x, iy = (size_t)y, jx = ix + 1 < n ? ix + 1 : ix, jy = iy + 1 < n ? iy + 1 : iy;
    float fx = x - (float)ix, fy = y - (float)iy;
    float top = (float)p[iy * n + ix] + fx * ((float)p[iy * n + jx] - (float)p[iy * n + ix]);
    float low = (float)p[jy * n + ix] + fx * ((float)p[jy * n + jx] - (float)p[jy * n + ix]);
    return top + fy * (low - top);
}

/* The waves of the cosine transform, and the lowest frequencies by diagonals, DC left out. */
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
    for (size_t y = 0; y < DCT; y++)
        for (size_t x = 0; x < DCT; x++) {
            float sx = (x1 - x0) / (2 * DCT), sy = (y1 - y0) / (2 * DCT), sum = 0;
            for (size_t k = 0; k < 4; k++) /* four samples a cell */
                sum += sample(l->light, R, fminf(x0 + sx * ((float)(2 * x + k % 2) + 0.5f), R - 1),
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

/* Edges: left, right, top, bottom, in pixels of light; outside the frame is allowed. */
typedef struct {
    float e[4];
} edges;

enum { FINE = 64 };

/* Where a plane of `side` is asked for point (x, y) of n×n; false: outside it. */
static bool place(float *px, float *py, const edges *e, size_t x, size_t y, size_t n, size_t side) {
    float scale = (float)side / R, last = (float)(side - 1);
    float u = ((float)x + 0.5f) / (float)n, v = ((float)y + 0.5f) / (float)n;
    *px = (e->e[0] + u * (e->e[1] - e->e[0])) * scale - 0.5f;
    *py = (e->e[2] + v * (e->e[3] - e->e[2])) * scale - 0.5f;
    bool inside = *px >= -0.5f && *py >= -0.5f && *px <= last + 0.5f && *py <= last + 0.5f;
    *px = fminf(fmaxf(*px, 0), last);
    *py = fminf(fmaxf(*py, 0), last);
    return inside;
}

/* The differences d [n,n] of a's part and b's part, those outside b being 0, once
 * b has the light and contrast that make it most like a, within bounds: pictures
 * are saved a little lighter or paler. Returns the share outside. */
static double differences(float *d, size_t n, const uint8_t *a, const edges *ea, const uint8_t *b, const edges *eb,
                          size_t side) {
    float va[FINE * FINE], vb[FINE * FINE];
    bool in[FINE * FINE];
    size_t inside = 0;
    double sa = 0, sb = 0, sab = 0, sbb = 0;
    for (size_t i = 0; i < n * n; i++) {
        float ax, ay, bx, by;
        place(&ax, &ay, ea, i % n, i / n, n, side);
        in[i] = place(&bx, &by, eb, i % n, i / n, n, side);
        if (!in[i]) continue;
        va[i] = sample(a, side, ax, ay);
        vb[i] = sample(b, side, bx, by);
        sa += (double)va[i];
        sb += (double)vb[i];
        sab += (double)(va[i] * vb[i]);
        sbb += (double)(vb[i] * vb[i]);
        inside++;
    }
    double m = inside ? (double)inside : 1, spread = sbb - sb * sb / m, gain = spread > 1 ? (sab - sa * sb / m) / spread : 1;
    gain = fmin(fmax(gain, 0.85), 1.18);
    double shift = fmin(fmax((sa - gain * sb) / m, -24), 24);
    for (size_t i = 0; i < n * n; i++) d[i] = in[i] ? va[i] - (float)gain * vb[i] - (float)shift : 0;
    return 1 - (double)inside / (double)(n * n);
}

static double misfit(const bqb_look *a, const edges *ea, const bqb_look *b, const edges *eb, size_t n) {
    float d[FINE * FINE];
    double outside = differences(d, n, a->light, ea, b->light, eb, R), sum = 0;
    if (outside > most_outside) return HUGE_VAL;
    for (size_t i = 0; i < n * n; i++) sum += (double)(d[i] * d[i]);
    return sum / (1 - outside);
}

/* Move b's edges, alone and in pairs, as long as n×n points then fit better. */
static double fit(edges *eb, const bqb_look *a, const edges *ea, const bqb_look *b, size_t n, float first_step, float last_step) {
    static const int8_t move[12][4] = {{1, 1, 0, 0}, {-1, -1, 0, 0}, {0, 0, 1, 1}, {0, 0, -1, -1}, {1, 0, 0, 0}, {-1, 0, 0, 0},
                                       {0, 1, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, -1, 0}, {0, 0, 0, 1}, {0, 0, 0, -1}};
    edges start = *eb;
    double best = misfit(a, ea, b, eb, n);
    for (float step = first_step; step >= last_step && best > 0; step /= 2)
        for (int round = 0, better = 1; better && round < 6; round++) {
            better = 0;
            for (size_t m = 0; m < 12; m++) {
                edges next = *eb;
                bool far = false;
                for (size_t k = 0; k < 4; k++) {
                    next.e[k] += step * (float)move[m][k];
                    far |= fabsf(next.e[k] - start.e[k]) > MOVE;
                }
                double now = far ? HUGE_VAL : misfit(a, ea, b, &next, n);
                if (now < best) {
                    best = now;
                    *eb = next;
                    better = 1;
                }
            }
        }
    return best;
}

/* Means of 2×2, signs kept: along an edge that is off by part of a pixel they cancel. */
static void soften(float *d, size_t n) {
    for (size_t y = 0; y + 1 < n; y++)
        for (size_t x = 0; x + 1 < n; x++)
            d[y * n + x] = (d[y * n + x] + d[y * n + x + 1] + d[(y + 1) * n + x] + d[(y + 1) * n + x + 1]) / 4;
}

/* The largest mean over a window of the differences d [n,n]. */
static double worst_window(const float *d, size_t n, size_t window) {
    float row[FINE], worst = 0;
    for (size_t y = 0; y + window <= n; y++) {
        for (size_t x = 0; x < n; x++) {
            row[x] = 0;
            for (size_t k = 0; k < window; k++) row[x] += fabsf(d[(y + k) * n + x]);
        }
        for (size_t x = 0; x + window <= n; x++) {
            float sum = 0;
            for (size_t k = 0; k < window; k++) sum += row[x + k];
            if (sum > worst) worst = sum;
        }
    }
    return (double)worst / (double)(window * window);
}

static double light_difference(const bqb_look *a, const edges *ea, const bqb_look *b, const edges *eb) {
    float d[FINE * FINE];
    differences(d, FINE, a->light, ea, b->light, eb, R);
    soften(d, FINE);
    soften(d, FINE);
    return worst_window(d, FINE, WINDOW);
}

/* b laid on a, beginning with these edges of both. */
static double laid_on(const bqb_look *a, const edges *ea, const bqb_look *b, edges eb) {
    enum { COLOURS = 16 };
    if (fit(&eb, a, ea, b, 16, 2, 1) == HUGE_VAL) return 255;
    double worst = light_difference(a, ea, b, &eb);
    if (worst > hopeless) return worst;
    fit(&eb, a, ea, b, 32, 1, 0.125f);
    worst = light_difference(a, ea, b, &eb);
    for (size_t c = 0; c < 2; c++) {
        float d[COLOURS * COLOURS];
        differences(d, COLOURS, a->colour[c], ea, b->colour[c], &eb, C);
        soften(d, COLOURS);
        double w = worst_window(d, COLOURS, 2);
        if (w > worst) worst = w;
    }
    return worst;
}

double bqb_look_difference(const bqb_look *a, const bqb_look *b) {
    const edges whole = {{0, R, 0, R}};
    const edges inner_a = {{a->x0, a->x1, a->y0, a->y1}}, inner_b = {{b->x0, b->x1, b->y0, b->y1}};
    double worst = laid_on(a, &whole, b, whole);
    return worst < same_below ? worst : fmin(worst, laid_on(a, &inner_a, b, inner_b));
}

bool bqb_look_same(const bqb_look *a, const bqb_look *b) {
    return !a->flat && !b->flat && bqb_look_difference(a, b) < same_below;
}
