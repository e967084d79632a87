#include "image/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_R = 4096 };

static const char *const names[BQB_AUGS] = {"autocontrast", "equalize", "brightness", "contrast", "colour", "sharpness",
                                            "rotate", "shear-x", "shear-y", "shift-x", "shift-y"};
const char *bqb_aug_name(bqb_aug op) { return (unsigned)op < BQB_AUGS ? names[op] : ""; }

void bqb_augment_draw(bqb_augment *a, bqb_rand *r) {
    for (int k = 0; k < BQB_AUG_STEPS; k++) {
        a->op[k] = (bqb_aug)bqb_rand_below(r, BQB_AUGS);
        a->level[k] = (float)bqb_rand_between(r, -1, 1);
    }
}

static uint8_t to_byte(float v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f); }

void bqb_crop_frame(uint8_t *out, const uint8_t *rgb, size_t R, const bqb_crop *c) {
    if (R > MAX_R) return;
    /* Rows first, into planes of one row; then along the row. */
    float row[3][MAX_R], weight[MAX_R];
    uint32_t left[MAX_R], right[MAX_R];
    float step = c->size / (float)R, last = (float)(R - 1);
    for (size_t i = 0; i < R; i++) {
        float at = fminf(fmaxf(c->x + ((float)i + 0.5f) * step - 0.5f, 0), last);
        left[i] = (uint32_t)at;
        right[i] = left[i] + 1 < R ? left[i] + 1 : left[i];
        weight[i] = at - (float)left[i];
    }
    for (size_t y = 0; y < R; y++) {
        float at = fminf(fmaxf(c->y + ((float)y + 0.5f) * step - 0.5f, 0), last);
        size_t top = (size_t)at, below = top + 1 < R ? top + 1 : top;
        float w = at - (float)top;
        const uint8_t *a = rgb + top * R * 3, *b = rgb + below * R * 3;
        for (size_t x = 0; x < R; x++)
            for (size_t k = 0; k < 3; k++)
                row[k][x] = (float)a[3 * x + k] + w * (float)(b[3 * x + k] - a[3 * x + k]);
        for (size_t k = 0; k < 3; k++) {
            const float *in = row[k];
            for (size_t x = 0; x < R; x++) {
                float v = in[left[x]] + weight[x] * (in[right[x]] - in[left[x]]);
                out[(y * R + x) * 3 + k] = to_byte(v * c->gain[k] + c->offset[k]);
            }
        }
    }
}

/* ---- moving pixels: one affine map from a place in the result to one in the source ---- */

/* Places are measured from the middle: x' = xx*x + xy*y + x0, y' = yx*x + yy*y + y0. */
typedef struct {
    float xx, xy, x0, yx, yy, y0;
} affine;

static affine then(affine a, affine b) {
    return (affine){b.xx * a.xx + b.xy * a.yx, b.xx * a.xy + b.xy * a.yy, b.xx * a.x0 + b.xy * a.y0 + b.x0,
                    b.yx * a.xx + b.yy * a.yx, b.yx * a.xy + b.yy * a.yy, b.yx * a.x0 + b.yy * a.y0 + b.y0};
}

static affine movement(bqb_aug op, float level, float R) {
    affine m = {.xx = 1, .yy = 1};
    if (op == BQB_AUG_ROTATE) {
        float angle = level * 0.26179939f;
        m.xx = m.yy = cosf(angle);
        m.yx = sinf(angle);
        m.xy = -m.yx;
    }
    if (op == BQB_AUG_SHEAR_X) m.xy = 0.15f * level;
    if (op == BQB_AUG_SHEAR_Y) m.yx = 0.15f * level;
    if (op == BQB_AUG_SHIFT_X) m.x0 = 0.05f * level * R;
    if (op == BQB_AUG_SHIFT_Y) m.y0 = 0.05f * level * R;
    return m;
}

static const uint8_t white[3] = {255, 255, 255};

static const uint8_t *pixel(const uint8_t *rgb, ptrdiff_t R, ptrdiff_t x, ptrdiff_t y) {
    return x < 0 || y < 0 || x >= R || y >= R ? white : rgb + (y * R + x) * 3;
}

/* floorf without a call. */
static ptrdiff_t whole_below(float x) {
    ptrdiff_t i = (ptrdiff_t)x;
    return (float)i > x ? i - 1 : i;
}

static void warp_frame(uint8_t *out, const uint8_t *rgb, size_t R, const affine *m, const bqb_crop *c) {
    float half = (float)R / 2;
    for (size_t y = 0; y < R; y++)
        for (size_t x = 0; x < R; x++) {
            float u = (float)x + 0.5f - half, v = (float)y + 0.5f - half;
            float sx = m->xx * u + m->xy * v + m->x0 + half - 0.5f, sy = m->yx * u + m->yy * v + m->y0 + half - 0.5f;
            ptrdiff_t left = whole_below(sx), top = whole_below(sy), side = (ptrdiff_t)R;
            float wx = sx - (float)left, wy = sy - (float)top;
            const uint8_t *a = pixel(rgb, side, left, top), *b = pixel(rgb, side, left + 1, top);
            const uint8_t *d = pixel(rgb, side, left, top + 1), *e = pixel(rgb, side, left + 1, top + 1);
            for (size_t k = 0; k < 3; k++) {
                float above = (float)a[k] + wx * (float)(b[k] - a[k]), below = (float)d[k] + wx * (float)(e[k] - d[k]);
                out[(y * R + x) * 3 + k] = to_byte((above + wy * (below - above)) * c->gain[k] + c->offset[k]);
            }
        }
}

/* ---- changing colours ---- */

static float grey(const uint8_t *p) { return 0.299f * (float)p[0] + 0.587f * (float)p[1] + 0.114f * (float)p[2]; }

static void count_channel(uint32_t histogram[256], const uint8_t *rgb, size_t n, size_t k) {
    memset(histogram, 0, 256 * sizeof *histogram);
    for (size_t i = 0; i < n; i++) histogram[rgb[3 * i + k]]++;
}

static void look_up(uint8_t *out, const uint8_t *rgb, size_t n, size_t k, const uint8_t table[256]) {
    for (size_t i = 0; i < n; i++) out[3 * i + k] = table[rgb[3 * i + k]];
}

static void autocontrast(uint8_t *out, const uint8_t *rgb, size_t n) {
    for (size_t k = 0; k < 3; k++) {
        uint32_t histogram[256];
        uint8_t table[256];
        count_channel(histogram, rgb, n, k);
        int low = 0, high = 255;
        while (low < 255 && !histogram[low]) low++;
        while (high > 0 && !histogram[high]) high--;
        for (int v = 0; v < 256; v++)
            table[v] = high > low ? to_byte((float)(v - low) * (255.0f / (float)(high - low))) : (uint8_t)v;
        look_up(out, rgb, n, k, table);
    }
}

/* By the share of darker pixels, the brightest value not counted, as Pillow does. */
static void equalize(uint8_t *out, const uint8_t *rgb, size_t n) {
    for (size_t k = 0; k < 3; k++) {
        uint32_t histogram[256];
        uint8_t table[256];
        count_channel(histogram, rgb, n, k);
        int high = 255;
        while (high > 0 && !histogram[high]) high--;
        size_t rest = n - histogram[high], darker = 0;
        for (int v = 0; v < 256; v++) {
            size_t place = rest ? (darker * 255 + rest / 2) / rest : (size_t)v;
            table[v] = (uint8_t)(place < 255 ? place : 255);
            darker += histogram[v];
        }
        look_up(out, rgb, n, k, table);
    }
}

static void against_black(uint8_t *out, const uint8_t *rgb, size_t n, float factor) {
    for (size_t i = 0; i < 3 * n; i++) out[i] = to_byte((float)rgb[i] * factor);
}

static void against_mean(uint8_t *out, const uint8_t *rgb, size_t n, float factor) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)grey(rgb + 3 * i);
    float mean = (float)(sum / (double)n);
    for (size_t i = 0; i < 3 * n; i++) out[i] = to_byte(mean + factor * ((float)rgb[i] - mean));
}

static void against_grey(uint8_t *out, const uint8_t *rgb, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) {
        float g = grey(rgb + 3 * i);
        for (size_t k = 0; k < 3; k++) out[3 * i + k] = to_byte(g + factor * ((float)rgb[3 * i + k] - g));
    }
}

/* Smoothed by 1 1 1 / 1 5 1 / 1 1 1 over 13; the edge stays as it is. */
static void against_smooth(uint8_t *out, const uint8_t *rgb, size_t R, float factor) {
    memcpy(out, rgb, R * R * 3);
    size_t line = 3 * R;
    for (size_t y = 1; y + 1 < R; y++)
        for (size_t i = 3; i + 3 < line; i++) {
            const uint8_t *p = rgb + y * line + i, *above = p - line, *below = p + line;
            int sum = above[-3] + above[0] + above[3] + p[-3] + 5 * p[0] + p[3] + below[-3] + below[0] + below[3];
            float smooth = (float)sum / 13;
            out[y * line + i] = to_byte(smooth + factor * ((float)p[0] - smooth));
        }
}

void bqb_augment_colours(uint8_t *out, const uint8_t *rgb, size_t R, bqb_aug op, float level) {
    float factor = 1 + 0.6f * level;
    size_t n = R * R;
    switch (op) {
    case BQB_AUG_AUTOCONTRAST: autocontrast(out, rgb, n); return;
    case BQB_AUG_EQUALIZE: equalize(out, rgb, n); return;
    case BQB_AUG_BRIGHTNESS: against_black(out, rgb, n, factor); return;
    case BQB_AUG_CONTRAST: against_mean(out, rgb, n, factor); return;
    case BQB_AUG_COLOUR: against_grey(out, rgb, n, factor); return;
    case BQB_AUG_SHARPNESS: against_smooth(out, rgb, R, factor); return;
    default: memcpy(out, rgb, 3 * n); return;
    }
}

void bqb_augment_frame(uint8_t *out, uint8_t *scratch, const uint8_t *rgb, size_t R, const bqb_augment *a) {
    if (R > MAX_R) return;
    const bqb_crop *c = &a->crop;
    float scale = c->size / (float)R, half = (float)R / 2;
    affine m = {scale, 0, c->x + c->size / 2 - half, 0, scale, c->y + c->size / 2 - half};
    bool moved = false;
    /* A place in the result leads back through the crop, then through the last movement first. */
    for (int k = BQB_AUG_STEPS - 1; k >= 0; k--)
        if (a->op[k] >= BQB_AUG_ROTATE) {
            m = then(m, movement(a->op[k], a->level[k], (float)R));
            moved = true;
        }
    for (int k = 0; k < BQB_AUG_STEPS; k++) {
        if (a->op[k] >= BQB_AUG_ROTATE) continue;
        uint8_t *changed = scratch + (size_t)(k % 2) * R * R * 3;
        bqb_augment_colours(changed, rgb, R, a->op[k], a->level[k]);
        rgb = changed;
    }
    if (moved) warp_frame(out, rgb, R, &m, c);
    else bqb_crop_frame(out, rgb, R, c);
}
