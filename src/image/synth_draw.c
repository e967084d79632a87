#include "image/synth_draw.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool canvas_new(canvas *c, int w, int h) {
    *c = (canvas){w, h, bqb_calloc((size_t)w * (size_t)h, 4)};
    return c->px != NULL;
}

void canvas_free(canvas *c) {
    free(c->px);
    *c = (canvas){0};
}

void canvas_clear(canvas *c) { memset(c->px, 0, (size_t)c->w * (size_t)c->h * 4); }

void canvas_copy(canvas *to, const canvas *from) {
    memcpy(to->px, from->px, (size_t)to->w * (size_t)to->h * 4);
}

bool mask_new(mask *m, int w, int h) {
    *m = (mask){w, h, bqb_calloc((size_t)w * (size_t)h, 1)};
    return m->px != NULL;
}

void mask_free(mask *m) {
    free(m->px);
    *m = (mask){0};
}

static float clamp01(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static int clampi(int x, int lo, int hi) { return x < lo ? lo : x > hi ? hi : x; }
static uint8_t to_u8(float x) { return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x + 0.5F); }

colour colour_mix(colour a, colour b, float t) {
    return (colour){to_u8((float)a.r + ((float)b.r - (float)a.r) * t), to_u8((float)a.g + ((float)b.g - (float)a.g) * t),
                    to_u8((float)a.b + ((float)b.b - (float)a.b) * t), to_u8((float)a.a + ((float)b.a - (float)a.a) * t)};
}

colour colour_alpha(colour c, float alpha) {
    c.a = to_u8((float)c.a * clamp01(alpha));
    return c;
}

colour colour_hsv(float hue, float s, float v) {
    float h = fmodf(hue, 360) / 60;
    if (h < 0) h += 6;
    float ch[3];
    static const float shift[3] = {5, 3, 1};
    for (int i = 0; i < 3; i++) {
        float k = fmodf(shift[i] + h, 6);
        float t = fminf(fminf(k, 4 - k), 1);
        ch[i] = v - v * s * (t < 0 ? 0 : t);
    }
    return (colour){to_u8(ch[0] * 255), to_u8(ch[1] * 255), to_u8(ch[2] * 255), 255};
}

/* d = s + d * (1 - sa), all premultiplied. (x * 257 + 32768) >> 16 is x / 255 rounded for x <= 65025. */
static inline uint8_t div255(unsigned x) { return (uint8_t)((x * 257 + 32768) >> 16); }

static inline void over(uint8_t *d, unsigned r, unsigned g, unsigned b, unsigned a) {
    unsigned keep = 255 - a;
    d[0] = (uint8_t)clampi((int)(r + div255(d[0] * keep)), 0, 255);
    d[1] = (uint8_t)clampi((int)(g + div255(d[1] * keep)), 0, 255);
    d[2] = (uint8_t)clampi((int)(b + div255(d[2] * keep)), 0, 255);
    d[3] = (uint8_t)clampi((int)(a + div255(d[3] * keep)), 0, 255);
}

void paint_pixel(canvas *c, int x, int y, colour k, float coverage) {
    if (x < 0 || y < 0 || x >= c->w || y >= c->h || coverage <= 0) return;
    unsigned a = to_u8((float)k.a * clamp01(coverage));
    if (a) over(c->px + 4 * ((size_t)y * (size_t)c->w + (size_t)x), div255(k.r * a), div255(k.g * a), div255(k.b * a), a);
}

void paint_fill(canvas *c, colour k) {
    unsigned r = div255((unsigned)k.r * k.a), g = div255((unsigned)k.g * k.a), b = div255((unsigned)k.b * k.a);
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h; i < n; i++) over(c->px + 4 * i, r, g, b, k.a);
}

void paint_over(canvas *to, const canvas *from) {
    const uint8_t *s = from->px;
    for (size_t i = 0, n = (size_t)to->w * (size_t)to->h; i < n; i++, s += 4)
        if (s[3] == 255) memcpy(to->px + 4 * i, s, 4);
        else if (s[3]) over(to->px + 4 * i, s[0], s[1], s[2], s[3]);
}

/* The inverse of a placing: target pixel -> source position (in pixels, of centres). */
typedef struct {
    float a, b, c, d, e, f; /* u = a x + b y + c, v = d x + e y + f */
    int x0, y0, x1, y1;     /* target box that can be touched */
} inverse;

static bool invert(inverse *m, placing at, int sw, int sh, int tw, int th) {
    if (fabsf(at.sx) < 1e-3F || fabsf(at.sy) < 1e-3F || at.alpha <= 0) return false;
    float cs = cosf(at.turn), sn = sinf(at.turn);
    /* forward: p = R * Shear * S * (q - centre) + c */
    float m00 = cs * at.sx, m01 = (cs * at.shear - sn) * at.sy, m10 = sn * at.sx, m11 = (sn * at.shear + cs) * at.sy;
    float det = m00 * m11 - m01 * m10;
    if (fabsf(det) < 1e-6F) return false;
    float hw = (float)sw / 2, hh = (float)sh / 2;
    m->a = m11 / det;
    m->b = -m01 / det;
    m->d = -m10 / det;
    m->e = m00 / det;
    m->c = hw - m->a * at.cx - m->b * at.cy;
    m->f = hh - m->d * at.cx - m->e * at.cy;
    float ex = fabsf(m00) * hw + fabsf(m01) * hh + 1, ey = fabsf(m10) * hw + fabsf(m11) * hh + 1;
    m->x0 = clampi((int)floorf(at.cx - ex), 0, tw);
    m->x1 = clampi((int)ceilf(at.cx + ex), 0, tw);
    m->y0 = clampi((int)floorf(at.cy - ey), 0, th);
    m->y1 = clampi((int)ceilf(at.cy + ey), 0, th);
    return m->x0 < m->x1 && m->y0 < m->y1;
}

/* Half size by 2×2 means: what keeps strong reductions from sparkling. */
static bool halve(uint8_t **out, int *w, int *h, const uint8_t *px, int sw, int sh, int bands) {
    int nw = (sw + 1) / 2, nh = (sh + 1) / 2;
    uint8_t *p = bqb_calloc((size_t)nw * (size_t)nh, (size_t)bands);
    if (!p) return false;
    for (int y = 0; y < nh; y++)
        for (int x = 0; x < nw; x++)
            for (int k = 0; k < bands; k++) {
                unsigned sum = 0;
                for (int j = 0; j < 4; j++) {
                    int u = 2 * x + (j & 1), v = 2 * y + (j >> 1);
                    if (u < sw && v < sh) sum += px[((size_t)v * (size_t)sw + (size_t)u) * (size_t)bands + (size_t)k];
                }
                p[((size_t)y * (size_t)nw + (size_t)x) * (size_t)bands + (size_t)k] = (uint8_t)((sum + 2) / 4);
            }
    *out = p;
    *w = nw;
    *h = nh;
    return true;
}

/* Bilinear samples of a source with 1 or 4 bands, zero outside, in 8.8 fixed point. */
static inline void sample(unsigned *out, const uint8_t *px, int w, int h, int bands, float u, float v) {
    float fu = floorf(u), fv = floorf(v);
    int x = (int)fu, y = (int)fv;
    unsigned tx = (unsigned)((u - fu) * 256), ty = (unsigned)((v - fv) * 256);
    unsigned wgt[4] = {(256 - tx) * (256 - ty), tx * (256 - ty), (256 - tx) * ty, tx * ty};
    for (int k = 0; k < bands; k++) out[k] = 0;
    for (int j = 0; j < 4; j++) {
        int xx = x + (j & 1), yy = y + (j >> 1);
        if (!wgt[j] || xx < 0 || yy < 0 || xx >= w || yy >= h) continue;
        const uint8_t *p = px + ((size_t)yy * (size_t)w + (size_t)xx) * (size_t)bands;
        for (int k = 0; k < bands; k++) out[k] += p[k] * wgt[j];
    }
    for (int k = 0; k < bands; k++) out[k] = (out[k] + 32768) >> 16;
}

typedef struct {
    uint8_t *owned;
    const uint8_t *px;
    int w, h;
    placing at;
} reduced;

static reduced reduce(const uint8_t *px, int w, int h, int bands, placing at) {
    reduced r = {NULL, px, w, h, at};
    while (fabsf(r.at.sx) < 0.6F && fabsf(r.at.sy) < 0.6F && r.w > 2 && r.h > 2) {
        uint8_t *p;
        int nw, nh;
        if (!halve(&p, &nw, &nh, r.px, r.w, r.h, bands)) break;
        r.at.sx *= (float)r.w / (float)nw;
        r.at.sy *= (float)r.h / (float)nh;
        free(r.owned);
        r.px = r.owned = p;
        r.w = nw;
        r.h = nh;
    }
    return r;
}

static inline uint32_t load_px(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* The bilinear mean of 2×2 pixels, two channels to a 32-bit word; positions are kept to 1/16 pixel. */
static inline uint32_t mean4(const uint32_t q[4], unsigned tx, unsigned ty) {
    uint32_t w[4] = {(16 - tx) * (16 - ty), tx * (16 - ty), (16 - tx) * ty, tx * ty}, even = 0x00800080u, odd = 0x00800080u;
    for (int j = 0; j < 4; j++) {
        even += (q[j] & 0x00ff00ffu) * w[j];
        odd += (q[j] >> 8 & 0x00ff00ffu) * w[j];
    }
    return (even >> 8 & 0x00ff00ffu) | (odd & 0xff00ff00u);
}

void paint_copy(canvas *to, const canvas *from, placing at) {
    reduced s = reduce(from->px, from->w, from->h, 4, at);
    inverse m;
    if (invert(&m, s.at, s.w, s.h, to->w, to->h)) {
        unsigned alpha = to_u8(at.alpha * 255);
        for (int y = m.y0; y < m.y1; y++) {
            float su = m.a * ((float)m.x0 + 0.5F) + m.b * ((float)y + 0.5F) + m.c + 0.5F;
            float sv = m.d * ((float)m.x0 + 0.5F) + m.e * ((float)y + 0.5F) + m.f + 0.5F;
            uint8_t *d = to->px + 4 * ((size_t)y * (size_t)to->w + (size_t)m.x0);
            for (int x = m.x0; x < m.x1; x++, su += m.a, sv += m.d, d += 4) {
                /* su and sv are one more than the position, so that cutting rounds down */
                if (!(su > 0 && sv > 0 && su < (float)s.w + 1 && sv < (float)s.h + 1)) continue;
                int u = (int)su - 1, v = (int)sv - 1;
                uint32_t q[4];
                if (u >= 0 && v >= 0 && u + 1 < s.w && v + 1 < s.h) {
                    const uint8_t *p = s.px + 4 * ((size_t)v * (size_t)s.w + (size_t)u), *below = p + 4 * (size_t)s.w;
                    q[0] = load_px(p);
                    q[1] = load_px(p + 4);
                    q[2] = load_px(below);
                    q[3] = load_px(below + 4);
                } else
                    for (int j = 0; j < 4; j++) {
                        int uu = u + (j & 1), vv = v + (j >> 1);
                        q[j] = uu < 0 || vv < 0 || uu >= s.w || vv >= s.h ? 0 : load_px(s.px + 4 * ((size_t)vv * (size_t)s.w + (size_t)uu));
                    }
                if (!(q[0] | q[1] | q[2] | q[3])) continue;
                uint32_t mean = mean4(q, (unsigned)((su - (float)(u + 1)) * 16), (unsigned)((sv - (float)(v + 1)) * 16));
                uint8_t c[4];
                memcpy(c, &mean, 4);
                if (alpha < 255)
                    for (int k = 0; k < 4; k++) c[k] = div255(c[k] * alpha);
                if (c[3] == 255) memcpy(d, c, 4);
                else if (c[3]) over(d, c[0], c[1], c[2], c[3]);
            }
        }
    }
    free(s.owned);
}

void paint_mask(canvas *to, const mask *from, placing at, colour k) {
    reduced s = reduce(from->px, from->w, from->h, 1, at);
    inverse m;
    if (invert(&m, s.at, s.w, s.h, to->w, to->h)) {
        unsigned alpha = to_u8(at.alpha * (float)k.a), v[1];
        for (int y = m.y0; y < m.y1; y++)
            for (int x = m.x0; x < m.x1; x++) {
                float px = (float)x + 0.5F, py = (float)y + 0.5F;
                sample(v, s.px, s.w, s.h, 1, m.a * px + m.b * py + m.c - 0.5F, m.d * px + m.e * py + m.f - 0.5F);
                unsigned a = div255(v[0] * alpha);
                if (a)
                    over(to->px + 4 * ((size_t)y * (size_t)to->w + (size_t)x), div255(k.r * a), div255(k.g * a),
                         div255(k.b * a), a);
            }
    }
    free(s.owned);
}

void mask_add(mask *to, const mask *from, placing at) {
    reduced s = reduce(from->px, from->w, from->h, 1, at);
    inverse m;
    if (invert(&m, s.at, s.w, s.h, to->w, to->h)) {
        unsigned v[1];
        for (int y = m.y0; y < m.y1; y++)
            for (int x = m.x0; x < m.x1; x++) {
                float px = (float)x + 0.5F, py = (float)y + 0.5F;
                sample(v, s.px, s.w, s.h, 1, m.a * px + m.b * py + m.c - 0.5F, m.d * px + m.e * py + m.f - 0.5F);
                uint8_t *d = to->px + (size_t)y * (size_t)to->w + (size_t)x;
                if (v[0] > *d) *d = (uint8_t)v[0];
            }
    }
    free(s.owned);
}

/* Shapes are signed distances; coverage falls from 1 to 0 across one pixel at distance 0. */
void paint_ellipse(canvas *c, float cx, float cy, float rx, float ry, float turn, colour k) {
    if (rx < 0.1F || ry < 0.1F) return;
    float cs = cosf(turn), sn = sinf(turn), reach = fmaxf(rx, ry) + 1, scale = fminf(rx, ry);
    for (int y = clampi((int)(cy - reach), 0, c->h); y < clampi((int)(cy + reach) + 1, 0, c->h); y++)
        for (int x = clampi((int)(cx - reach), 0, c->w); x < clampi((int)(cx + reach) + 1, 0, c->w); x++) {
            float dx = (float)x + 0.5F - cx, dy = (float)y + 0.5F - cy;
            float u = (dx * cs + dy * sn) / rx, v = (dy * cs - dx * sn) / ry;
            paint_pixel(c, x, y, k, 0.5F - (sqrtf(u * u + v * v) - 1) * scale);
        }
}

void paint_ring(canvas *c, float cx, float cy, float r, float width, colour k) {
    float reach = r + width;
    for (int y = clampi((int)(cy - reach), 0, c->h); y < clampi((int)(cy + reach) + 1, 0, c->h); y++)
        for (int x = clampi((int)(cx - reach), 0, c->w); x < clampi((int)(cx + reach) + 1, 0, c->w); x++) {
            float dx = (float)x + 0.5F - cx, dy = (float)y + 0.5F - cy;
            paint_pixel(c, x, y, k, 0.5F + width / 2 - fabsf(sqrtf(dx * dx + dy * dy) - r));
        }
}

static float segment_distance_sq(float px, float py, point a, point b) {
    float ex = b.x - a.x, ey = b.y - a.y, wx = px - a.x, wy = py - a.y;
    float len = ex * ex + ey * ey, t = len > 0 ? clamp01((wx * ex + wy * ey) / len) : 0;
    float dx = wx - ex * t, dy = wy - ey * t;
    return dx * dx + dy * dy;
}

void paint_line(canvas *c, float x0, float y0, float x1, float y1, float width, colour k) {
    float r = width / 2 + 1;
    point a = {x0, y0}, b = {x1, y1};
    for (int y = clampi((int)(fminf(y0, y1) - r), 0, c->h); y < clampi((int)(fmaxf(y0, y1) + r) + 1, 0, c->h); y++)
        for (int x = clampi((int)(fminf(x0, x1) - r), 0, c->w); x < clampi((int)(fmaxf(x0, x1) + r) + 1, 0, c->w); x++) {
            float d = sqrtf(segment_distance_sq((float)x + 0.5F, (float)y + 0.5F, a, b));
            paint_pixel(c, x, y, k, 0.5F + width / 2 - d);
        }
}

void paint_polygon(canvas *c, const point *p, size_t n, float grow, colour k) {
    float lx = 1e9F, ly = 1e9F, hx = -1e9F, hy = -1e9F;
    for (size_t i = 0; i < n; i++) {
        lx = fminf(lx, p[i].x);
        hx = fmaxf(hx, p[i].x);
        ly = fminf(ly, p[i].y);
        hy = fmaxf(hy, p[i].y);
    }
    float m = 1 + (grow > 0 ? grow : 0);
    for (int y = clampi((int)(ly - m), 0, c->h); y < clampi((int)(hy + m) + 1, 0, c->h); y++)
        for (int x = clampi((int)(lx - m), 0, c->w); x < clampi((int)(hx + m) + 1, 0, c->w); x++) {
            float px = (float)x + 0.5F, py = (float)y + 0.5F, d = 1e9F;
            bool inside = false;
            for (size_t i = 0, j = n - 1; i < n; j = i++) {
                d = fminf(d, segment_distance_sq(px, py, p[j], p[i]));
                if ((p[i].y > py) != (p[j].y > py) &&
                    px < (p[j].x - p[i].x) * (py - p[i].y) / (p[j].y - p[i].y) + p[i].x)
                    inside = !inside;
            }
            d = sqrtf(d);
            paint_pixel(c, x, y, k, 0.5F + grow + (inside ? d : -d));
        }
}

void paint_round_box(canvas *c, float x0, float y0, float x1, float y1, float radius, colour k) {
    float r = fminf(radius, fminf(x1 - x0, y1 - y0) / 2);
    for (int y = clampi((int)y0 - 1, 0, c->h); y < clampi((int)y1 + 2, 0, c->h); y++)
        for (int x = clampi((int)x0 - 1, 0, c->w); x < clampi((int)x1 + 2, 0, c->w); x++) {
            float px = (float)x + 0.5F, py = (float)y + 0.5F;
            float dx = fmaxf(fmaxf(x0 + r - px, px - (x1 - r)), 0), dy = fmaxf(fmaxf(y0 + r - py, py - (y1 - r)), 0);
            paint_pixel(c, x, y, k, 0.5F + r - sqrtf(dx * dx + dy * dy));
        }
}

static point turned(float cx, float cy, float x, float y, float turn) {
    float cs = cosf(turn), sn = sinf(turn);
    return (point){cx + x * cs - y * sn, cy + x * sn + y * cs};
}

void paint_heart(canvas *c, float cx, float cy, float size, float turn, colour k) {
    point p[40];
    for (size_t i = 0; i < 40; i++) {
        float t = (float)i * 6.2831853F / 40, s = sinf(t);
        float y = 13 * cosf(t) - 5 * cosf(2 * t) - 2 * cosf(3 * t) - cosf(4 * t);
        p[i] = turned(cx, cy, s * s * s * size * 0.5F, -y / 16 * size * 0.5F, turn);
    }
    paint_polygon(c, p, 40, 0, k);
}

void paint_star(canvas *c, float cx, float cy, float r_out, float r_in, int tips, float turn, colour k) {
    point p[64];
    size_t n = 0;
    for (int i = 0; i < 2 * tips && n < 64; i++) {
        float t = turn + (float)i * 3.1415927F / (float)tips - 1.5707963F, r = i % 2 ? r_in : r_out;
        p[n++] = (point){cx + r * cosf(t), cy + r * sinf(t)};
    }
    paint_polygon(c, p, n, 0, k);
}

/* A round drop with its tip up, `size` tall. */
void paint_drop(canvas *c, float cx, float cy, float size, float turn, colour k) {
    point p[25];
    p[0] = turned(cx, cy, 0, -size * 0.55F, turn);
    for (size_t i = 0; i < 24; i++) {
        float t = -0.6F + (float)i * (3.1415927F + 1.2F) / 23;
        p[i + 1] = turned(cx, cy, cosf(t) * size * 0.32F, size * 0.15F + sinf(t) * size * 0.32F, turn);
    }
    paint_polygon(c, p, 25, 0, k);
}

/* One box pass along lines of n samples, `step` bytes apart. */
static void box_line(uint8_t *p, size_t step, int n, int r, uint8_t *line) {
    int width = 2 * r + 1, sum = 0;
    for (int i = 0; i < n; i++) line[i] = p[(size_t)i * step];
    for (int i = -r; i <= r; i++) sum += i >= 0 && i < n ? line[i] : 0;
    for (int i = 0; i < n; i++) {
        p[(size_t)i * step] = (uint8_t)((sum + width / 2) / width);
        if (i + r + 1 < n) sum += line[i + r + 1];
        if (i - r >= 0) sum -= line[i - r];
    }
}

static void blur(uint8_t *px, int w, int h, size_t bands, int r) {
    uint8_t line[4096];
    if (r < 1 || w > 4096 || h > 4096) return;
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = 0; k < bands; k++) {
            for (int y = 0; y < h; y++) box_line(px + (size_t)y * (size_t)w * bands + k, bands, w, r, line);
            for (int x = 0; x < w; x++) box_line(px + (size_t)x * bands + k, (size_t)w * bands, h, r, line);
        }
}

void canvas_blur(canvas *c, int radius) { blur(c->px, c->w, c->h, 4, radius); }
void mask_blur(mask *m, int radius) { blur(m->px, m->w, m->h, 1, radius); }

void mask_of_alpha(mask *m, const canvas *c) {
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h; i < n; i++) m->px[i] = c->px[4 * i + 3];
}

void mask_distance(float *dist, const mask *m, float reach) {
    int w = m->w, h = m->h;
    for (size_t i = 0, n = (size_t)w * (size_t)h; i < n; i++) {
        float cover = (float)m->px[i] / 255;
        dist[i] = cover > 0.5F ? 0 : cover > 0.02F ? 1 - cover : reach;
    }
    static const int dx[4] = {-1, 0, 1, -1}, dy[4] = {-1, -1, -1, 0};
    static const float step[4] = {1.4142F, 1, 1.4142F, 1};
    for (int pass = 0; pass < 2; pass++) {
        int s = pass ? -1 : 1;
        for (int yy = 0; yy < h; yy++)
            for (int xx = 0; xx < w; xx++) {
                int x = pass ? w - 1 - xx : xx, y = pass ? h - 1 - yy : yy;
                float best = dist[(size_t)y * (size_t)w + (size_t)x];
                if (best <= 0) continue;
                for (int j = 0; j < 4; j++) {
                    int u = x + s * dx[j], v = y + s * dy[j];
                    if (u < 0 || v < 0 || u >= w || v >= h) continue;
                    float d = dist[(size_t)v * (size_t)w + (size_t)u] + step[j];
                    if (d < best) best = d;
                }
                dist[(size_t)y * (size_t)w + (size_t)x] = best;
            }
    }
}

void canvas_bounds(const canvas *c, int *x0, int *y0, int *x1, int *y1) {
    *x0 = c->w;
    *y0 = c->h;
    *x1 = *y1 = 0;
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++)
            if (c->px[4 * ((size_t)y * (size_t)c->w + (size_t)x) + 3] > 8) {
                if (x < *x0) *x0 = x;
                if (y < *y0) *y0 = y;
                if (x + 1 > *x1) *x1 = x + 1;
                if (y + 1 > *y1) *y1 = y + 1;
            }
    if (*x1 == 0) *x0 = *y0 = 0;
}

static float knot(uint32_t seed, int x, int y) {
    uint32_t h = seed + (uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u;
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    return (float)((h ^ (h >> 15)) & 0xffffu) / 65535.0F;
}

float noise_at(uint32_t seed, float x, float y, float cell) {
    x /= cell;
    y /= cell;
    float fx = floorf(x), fy = floorf(y), tx = x - fx, ty = y - fy;
    tx = tx * tx * (3 - 2 * tx);
    ty = ty * ty * (3 - 2 * ty);
    int ix = (int)fx, iy = (int)fy;
    float top = knot(seed, ix, iy) + (knot(seed, ix + 1, iy) - knot(seed, ix, iy)) * tx;
    float low = knot(seed, ix, iy + 1) + (knot(seed, ix + 1, iy + 1) - knot(seed, ix, iy + 1)) * tx;
    return top + (low - top) * ty;
}
