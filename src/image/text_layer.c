#include "image/text_layer.h"

#include "base/mem.h"
#include "image/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIDE = 4096, MOST_PIXELS = 1600000, MOST_SCALE = 4, LEAST_BORDER = 16 };

static int min3(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }
static uint8_t clamp(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static uint8_t luma(const uint8_t *p) { return (uint8_t)((p[0] * 299 + p[1] * 587 + p[2] * 114 + 500) / 1000); }

/* Soft steps, so that enlarging finds smooth edges. */
static uint8_t value(const uint8_t *p, bqb_text_layer_kind kind) {
    int least = min3(p[0], p[1], p[2]);
    switch (kind) {
    case BQB_LAYER_INVERTED: return (uint8_t)(255 - luma(p));
    case BQB_LAYER_LIGHT: return clamp(255 - (least - 150) * 255 / 80);
    default: return luma(p);
    }
}

void bqb_text_lay(uint8_t *rgb, const uint8_t *rgba, size_t n) {
    enum { GRAY_GROUND = 110, WHITISH = 215 };
    size_t seen = 0, whitish = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rgba + 4 * i;
        if (p[3] < 128) continue;
        seen++;
        whitish += min3(p[0], p[1], p[2]) >= WHITISH;
    }
    bool vanishes = seen < n - n / 5 && whitish * 2 > seen;
    unsigned ground = vanishes ? GRAY_GROUND : 255;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) {
            unsigned a = rgba[4 * i + 3];
            rgb[3 * i + (size_t)k] = (uint8_t)(bqb_mul255(rgba[4 * i + (size_t)k], a) + bqb_mul255(ground, 255 - a));
        }
}

bqb_status bqb_text_layer_plain(uint8_t *gray, const uint8_t *rgb, size_t w, size_t h, bqb_text_layer_kind kind,
                                bqb_err *err) {
    if (!w || !h || w > MOST_SIDE || h > MOST_SIDE) return bqb_fail(err, BQB_EINVAL, "a layer of %zu x %zu", w, h);
    for (size_t i = 0; i < w * h; i++) gray[i] = value(rgb + 3 * i, kind);
    return BQB_OK;
}

/* The middle one of the values along the edge: what the border continues. */
static uint8_t edge_median(const uint8_t *gray, size_t w, size_t h) {
    size_t count[256] = {0}, n = 2 * (w + h), seen = 0;
    for (size_t x = 0; x < w; x++) count[gray[x]]++, count[gray[(h - 1) * w + x]]++;
    for (size_t y = 0; y < h; y++) count[gray[y * w]]++, count[gray[y * w + w - 1]]++;
    for (int v = 0; v < 256; v++)
        if ((seen += count[v]) * 2 >= n) return (uint8_t)v;
    return 255;
}

static void target_size(size_t *tw, size_t *th, size_t w, size_t h, size_t height) {
    double scale = (double)height / (double)h;
    double limit = sqrt((double)MOST_PIXELS / ((double)w * (double)h));
    if (scale > MOST_SCALE) scale = MOST_SCALE;
    if (scale > limit) scale = limit;
    *tw = (size_t)((double)w * scale + 0.5);
    *th = (size_t)((double)h * scale + 0.5);
    if (!*tw) *tw = 1;
    if (!*th) *th = 1;
    if (*tw > 2 * MOST_SIDE) *tw = 2 * MOST_SIDE;
    if (*th > 2 * MOST_SIDE) *th = 2 * MOST_SIDE;
}

bqb_status bqb_text_layer_new(bqb_text_layer *out, const uint8_t *rgb, size_t w, size_t h, bqb_text_layer_kind kind,
                              size_t height, bqb_err *err) {
    *out = (bqb_text_layer){0};
    if (!w || !h || w > MOST_SIDE || h > MOST_SIDE || !height)
        return bqb_fail(err, BQB_EINVAL, "a layer of %zu x %zu", w, h);
    size_t tw, th;
    target_size(&tw, &th, w, h, height);
    size_t border = (tw < th ? tw : th) / 20 + LEAST_BORDER, W = tw + 2 * border, H = th + 2 * border;
    uint8_t *gray = bqb_calloc(h, w), *scaled = bqb_calloc(th, tw), *px = bqb_calloc(H, W);
    bqb_status s = gray && scaled && px ? BQB_OK : bqb_fail_nomem(err, "layer", W * H);
    if (!s) s = bqb_text_layer_plain(gray, rgb, w, h, kind, err);
    if (!s) s = bqb_resample(scaled, tw, th, gray, w, h, 1, err);
    if (!s) {
        memset(px, edge_median(scaled, tw, th), W * H);
        for (size_t y = 0; y < th; y++) memcpy(px + (y + border) * W + border, scaled + y * tw, tw);
        *out = (bqb_text_layer){.px = px, .w = W, .h = H, .border = border};
        px = NULL;
    }
    free(gray);
    free(scaled);
    free(px);
    return s;
}

void bqb_text_layer_free(bqb_text_layer *l) {
    free(l->px);
    *l = (bqb_text_layer){0};
}
