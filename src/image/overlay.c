#include "image/overlay.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

enum { MOST = BQB_OVERLAY_MOST,
       MOVE = 5 }; /* how far an edge may be moved to make two planes fit */
static const double most_outside = 0.12;

float bqb_plane_at(bqb_plane plane, float x, float y) {
    const uint8_t *p = plane.p;
    size_t n = plane.side;
    size_t ix = (size_t)x, iy = (size_t)y, jx = ix + 1 < n ? ix + 1 : ix, jy = iy + 1 < n ? iy + 1 : iy;
    float fx = x - (float)ix, fy = y - (float)iy;
    float top = (float)p[iy * n + ix] + fx * ((float)p[iy * n + jx] - (float)p[iy * n + ix]);
    float low = (float)p[jy * n + ix] + fx * ((float)p[jy * n + jx] - (float)p[jy * n + ix]);
    return top + fy * (low - top);
}


/* Where a plane of `side` is asked for the i-th of n points between two edges; false: outside it. */
static bool place(float *at, float from, float to, size_t i, size_t n, size_t side) {
    float scale = (float)side / BQB_OVERLAY_UNITS, last = (float)(side - 1);
    *at = (from + ((float)i + 0.5f) / (float)n * (to - from)) * scale - 0.5f;
    bool inside = *at >= -0.5f && *at <= last + 0.5f;
    *at = fminf(fmaxf(*at, 0), last);
    return inside;
}

typedef struct {
    float x[MOST], y[MOST];
    bool x_in[MOST], y_in[MOST];
} places;

static void place_all(places *p, const bqb_edges *e, size_t n, size_t side) {
    for (size_t i = 0; i < n; i++) {
        p->x_in[i] = place(&p->x[i], e->e[0], e->e[1], i, n, side);
        p->y_in[i] = place(&p->y[i], e->e[2], e->e[3], i, n, side);
    }
}

double bqb_overlay_differences(float *d, size_t n, bqb_plane a, const bqb_edges *ea, bqb_plane b, const bqb_edges *eb) {
    float va[MOST * MOST], vb[MOST * MOST];
    bool in[MOST * MOST];
    assert(n <= MOST);
    places pa, pb;
    size_t inside = 0;
    double sa = 0, sb = 0, sab = 0, sbb = 0;
    place_all(&pa, ea, n, a.side);
    place_all(&pb, eb, n, b.side);
    for (size_t i = 0; i < n * n; i++) {
        size_t x = i % n, y = i / n;
        in[i] = pb.x_in[x] && pb.y_in[y];
        if (!in[i]) continue;
        va[i] = bqb_plane_at(a, pa.x[x], pa.y[y]);
        vb[i] = bqb_plane_at(b, pb.x[x], pb.y[y]);
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

static double misfit(bqb_plane a, const bqb_edges *ea, bqb_plane b, const bqb_edges *eb, size_t n) {
    float d[MOST * MOST];
    double outside = bqb_overlay_differences(d, n, a, ea, b, eb), sum = 0;
    if (outside > most_outside) return HUGE_VAL;
    for (size_t i = 0; i < n * n; i++) sum += (double)(d[i] * d[i]);
    return sum / (1 - outside);
}

double bqb_overlay_fit(bqb_edges *eb, bqb_plane a, const bqb_edges *ea, bqb_plane b, size_t n, float first_step, float last_step) {
    static const int8_t move[12][4] = {{1, 1, 0, 0}, {-1, -1, 0, 0}, {0, 0, 1, 1}, {0, 0, -1, -1}, {1, 0, 0, 0}, {-1, 0, 0, 0},
                                       {0, 1, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, -1, 0}, {0, 0, 0, 1}, {0, 0, 0, -1}};
    bqb_edges start = *eb;
    double best = misfit(a, ea, b, eb, n);
    for (float step = first_step; step >= last_step && best > 0; step /= 2)
        for (int round = 0, better = 1; better && round < 6; round++) {
            better = 0;
            for (size_t m = 0; m < 12; m++) {
                bqb_edges next = *eb;
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

void bqb_overlay_soften(float *d, size_t n) {
    for (size_t y = 0; y + 1 < n; y++)
        for (size_t x = 0; x + 1 < n; x++)
            d[y * n + x] = (d[y * n + x] + d[y * n + x + 1] + d[(y + 1) * n + x] + d[(y + 1) * n + x + 1]) / 4;
}

double bqb_overlay_worst(const float *d, size_t n, size_t window) {
    float row[MOST], worst = 0;
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
