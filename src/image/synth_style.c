#include "image/synth_style.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

style_kind style_parse(const char *id) {
    static const char *const ids[STYLES] = {"flat", "diecut", "sketch", "pixel", "neon", "photo", "meme", "watercolour",
                                            "comic", "papercut", "chalk", "ink", "glitch", "retro"};
    for (int i = 0; i < STYLES; i++)
        if (!strcmp(ids[i], id)) return (style_kind)i;
    return STYLES;
}

ground_kind style_ground(style_kind k, bqb_rand *rand) {
    size_t u = bqb_rand_below(rand, 100);
    switch (k) {
    case STYLE_FLAT:
        return u < 22 ? GROUND_WHITE : u < 42 ? GROUND_CLEAR : u < 62 ? GROUND_COLOUR : u < 76 ? GROUND_GRADIENT
               : u < 85 ? GROUND_RAYS : u < 93 ? GROUND_DOTS : GROUND_STRIPES;
    case STYLE_DIECUT:
        return u < 45 ? GROUND_CLEAR : u < 70 ? GROUND_COLOUR : u < 85 ? GROUND_GRADIENT : GROUND_DOTS;
    case STYLE_PIXEL:
        return u < 20 ? GROUND_CLEAR : u < 50 ? GROUND_COLOUR : u < 75 ? GROUND_GRADIENT : GROUND_STRIPES;
    case STYLE_COMIC:
        return u < 55 ? GROUND_RAYS : u < 80 ? GROUND_DOTS : GROUND_COLOUR;
    default:
        return GROUND_OWN;
    }
}

static uint8_t *pixel(canvas *c, int x, int y) { return c->px + 4 * ((size_t)y * (size_t)c->w + (size_t)x); }
static uint8_t u8(float x) { return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x + 0.5F); }
static float unit(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0F;
}

/* Opaque pixel. */
static void put(uint8_t *p, float r, float g, float b) {
    p[0] = u8(r);
    p[1] = u8(g);
    p[2] = u8(b);
    p[3] = 255;
}

static void put_alpha(uint8_t *p, colour k, float a) {
    a = a < 0 ? 0 : a > 1 ? 1 : a;
    p[0] = u8((float)k.r * a);
    p[1] = u8((float)k.g * a);
    p[2] = u8((float)k.b * a);
    p[3] = u8(255 * a);
}

/* Luminance as seen on white, 0 … 255. */
static float light(const uint8_t *p) {
    return 0.299F * (float)p[0] + 0.587F * (float)p[1] + 0.114F * (float)p[2] + (float)(255 - p[3]);
}

/* Strength of edges (colour and outline), about 0 … 1, [w*h]; NULL when memory is out. */
static float *edges_of(const canvas *c) {
    size_t n = (size_t)c->w * (size_t)c->h;
    float *e = calloc(n, sizeof *e);
    if (!e) return NULL;
    for (int y = 1; y + 1 < c->h; y++)
        for (int x = 1; x + 1 < c->w; x++) {
            const uint8_t *p = c->px + 4 * ((size_t)y * (size_t)c->w + (size_t)x);
            const uint8_t *l = p - 4, *r = p + 4, *t = p - 4 * c->w, *b = p + 4 * c->w;
            if (!(l[3] | r[3] | t[3] | b[3])) continue;
            float sum = 0;
            for (int k = 0; k < 4; k++) {
                float dx = (float)r[k] - (float)l[k], dy = (float)b[k] - (float)t[k];
                sum += (dx * dx + dy * dy) * (k == 3 ? 1.0F : 0.7F);
            }
            e[(size_t)y * (size_t)c->w + (size_t)x] = fminf(sqrtf(sum) / 170, 1);
        }
    return e;
}

static void lift(colour *k) { /* bright and saturated, for things that glow */
    float hi = fmaxf(fmaxf((float)k->r, (float)k->g), (float)k->b), lo = fminf(fminf((float)k->r, (float)k->g), (float)k->b);
    float span = fmaxf(hi - lo, 1);
    if (hi - lo < 30) {
        *k = (colour){120, 240, 255, 255};
        return;
    }
    k->r = u8(((float)k->r - lo) / span * 200 + 55);
    k->g = u8(((float)k->g - lo) / span * 200 + 55);
    k->b = u8(((float)k->b - lo) / span * 200 + 55);
}

static colour straight(const uint8_t *p) {
    if (!p[3]) return (colour){0, 0, 0, 0};
    float f = 255.0F / (float)p[3];
    return (colour){u8((float)p[0] * f), u8((float)p[1] * f), u8((float)p[2] * f), p[3]};
}

/* ---- backgrounds ---- */

static colour paper_of(style_kind k) {
    switch (k) {
    case STYLE_SKETCH: return rgb(0xFBFAF5);
    case STYLE_WATERCOLOUR: return rgb(0xFDFBF4);
    case STYLE_PAPERCUT: return rgb(0xF9E9C4);
    case STYLE_CHALK: return rgb(0x2B4A3B);
    case STYLE_INK: return rgb(0xF1E9D6);
    case STYLE_RETRO: return rgb(0xEBDDB8);
    case STYLE_NEON: return rgb(0x120A26);
    case STYLE_GLITCH: return rgb(0x14161F);
    default: return rgb(0xFFFFFF);
    }
}

static void scene(canvas *c, colour tint, uint32_t seed) {
    uint32_t r = seed;
    float horizon = (0.45F + 0.25F * unit(&r)) * (float)c->h;
    static const unsigned sky[5][3] = {{0x8EC5F0, 0xE6F3FB, 0x6FA257}, {0xF7B267, 0xFBE3B9, 0x8C6A4A}, {0x3B4A7A, 0x9A86B0, 0x39424A},
                                       {0xD9D2C8, 0xF4EEE4, 0xA98762}, {0xA9D6C9, 0xEAF6EE, 0xC9B48A}};
    const unsigned *s = sky[(size_t)(unit(&r) * 5) % 5];
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            float t = (float)y / horizon, n = noise_at(seed, (float)x, (float)y, 26) * 0.7F + noise_at(seed + 9, (float)x, (float)y, 9) * 0.3F;
            float wave = horizon + (noise_at(seed + 3, (float)x, 0, 50) - 0.5F) * 40;
            colour k = (float)y < wave ? colour_mix(rgb(s[0]), rgb(s[1]), fminf(t, 1)) : colour_mix(rgb(s[2]), rgb(0x2A2A20), (n - 0.2F) * 0.7F);
            if ((float)y < wave) k = colour_mix(k, rgb(0xFFFFFF), fmaxf(0, n - 0.55F) * 1.2F);
            k = colour_mix(k, tint, 0.14F);
            put(pixel(c, x, y), k.r, k.g, k.b);
        }
    for (int i = 0; i < 9; i++)
        paint_ellipse(c, unit(&r) * (float)c->w, unit(&r) * (float)c->h, 8 + unit(&r) * 14, 8 + unit(&r) * 14, 0, (colour){255, 246, 220, (uint8_t)(30 + unit(&r) * 60)});
    canvas_blur(c, 4);
}

static void own_ground(canvas *c, style_kind k, colour tint, uint32_t seed) {
    colour base = paper_of(k);
    uint32_t r = seed;
    if (k == STYLE_PHOTO) {
        scene(c, tint, seed);
        return;
    }
    float cx = (float)c->w / 2, cy = (float)c->h / 2;
    colour deep = colour_mix(base, tint, 0.25F);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            float px = (float)x, py = (float)y, v = 0;
            colour q = base;
            float d = hypotf(px - cx, py - cy) / cx;
            switch (k) {
            case STYLE_SKETCH: v = (noise_at(seed, px, py, 2.2F) - 0.5F) * 14; break;
            case STYLE_WATERCOLOUR: {
                float n = noise_at(seed, px, py, 60) * 0.6F + noise_at(seed + 1, px, py, 21) * 0.4F;
                q = colour_mix(base, tint, fmaxf(0, n - 0.32F) * 1.6F * (1.15F - 0.4F * d));
                v = (noise_at(seed + 2, px, py, 2.5F) - 0.5F) * 10;
                break;
            }
            case STYLE_CHALK: v = (noise_at(seed, px, py, 34) - 0.5F) * 34 + (noise_at(seed + 1, px * 0.3F, py, 3) - 0.5F) * 10; break;
            case STYLE_INK: v = (noise_at(seed, px, py, 3) - 0.5F) * 12 - d * d * 12; break;
            case STYLE_NEON: q = colour_mix(deep, rgb(0x07040F), fminf(1, d)); break;
            case STYLE_GLITCH: q = colour_mix(deep, base, fminf(1, d)); break;
            case STYLE_RETRO: q = colour_mix(base, tint, 0.2F); v = (noise_at(seed, px, py, 40) - 0.5F) * 26 - d * d * 34; break;
            default: break;
            }
            put(pixel(c, x, y), (float)q.r + v, (float)q.g + v, (float)q.b + v);
        }
    if (k == STYLE_CHALK) {
        float w = (float)c->w, h = (float)c->h;
        colour wood = rgb(0x9C6B3C);
        paint_line(c, 0, 2, w, 2, 9, wood);
        paint_line(c, 0, h - 2, w, h - 2, 9, wood);
        paint_line(c, 2, 0, 2, h, 9, wood);
        paint_line(c, w - 2, 0, w - 2, h, 9, wood);
    } else if (k == STYLE_INK) {
        paint_ellipse(c, cx + (unit(&r) - 0.5F) * 60, (float)c->h * 0.86F, cx * 0.8F, (float)c->h * 0.06F, 0, (colour){70, 70, 70, 70});
        canvas_blur(c, 2);
        float sx = (float)c->w - 34, sy = (float)c->h - 34;
        paint_round_box(c, sx, sy, sx + 22, sy + 22, 3, rgb(0xB9281F));
        paint_line(c, sx + 6, sy + 7, sx + 17, sy + 7, 2, base);
        paint_line(c, sx + 11, sy + 5, sx + 11, sy + 18, 2, base);
        paint_line(c, sx + 6, sy + 14, sx + 17, sy + 14, 2, base);
    } else if (k == STYLE_PAPERCUT) {
        colour red = rgb(0xC81D25);
        float w = (float)c->w, h = (float)c->h;
        for (int i = 0; i < 2; i++) {
            float m = 5 + 6 * (float)i, t = i ? 1.5F : 4;
            paint_line(c, m, m, w - m, m, t, red);
            paint_line(c, m, h - m, w - m, h - m, t, red);
            paint_line(c, m, m, m, h - m, t, red);
            paint_line(c, w - m, m, w - m, h - m, t, red);
        }
        for (int i = 0; i < 4; i++) paint_star(c, i % 2 ? w - 18 : 18, i / 2 ? h - 18 : 18, 11, 5, 8, 0, red);
    } else if (k == STYLE_SKETCH && unit(&r) < 0.4F) {
        for (int i = 1; i * 22 < c->h; i++) paint_line(c, 0, (float)i * 22, (float)c->w, (float)i * 22, 1, (colour){150, 190, 220, 120});
    }
}

bqb_status style_background(canvas *c, style_kind k, ground_kind ground, colour tint, uint32_t seed, bqb_err *err) {
    (void)err;
    uint32_t r = seed * 2654435761u + 17;
    colour pale = colour_mix(tint, rgb(0xFFFFFF), 0.35F + 0.4F * unit(&r));
    if (unit(&r) < 0.25F) pale = colour_mix(colour_hsv(unit(&r) * 360, 0.45F, 1), rgb(0xFFFFFF), 0.3F);
    float cx = (float)c->w / 2, cy = (float)c->h / 2, w = (float)c->w, h = (float)c->h;
    colour strong = colour_mix(pale, k == STYLE_COMIC ? rgb(0xFFC800) : tint, 0.55F);
    canvas_clear(c);
    switch (ground) {
    case GROUND_CLEAR: return BQB_OK;
    case GROUND_OWN: own_ground(c, k, tint, seed); return BQB_OK;
    case GROUND_WHITE: paint_fill(c, rgb(0xFFFFFF)); return BQB_OK;
    case GROUND_GRADIENT: {
        colour other = colour_mix(colour_hsv(unit(&r) * 360, 0.35F, 1), pale, 0.4F);
        for (int y = 0; y < c->h; y++) {
            colour q = colour_mix(strong, other, (float)y / h);
            for (int x = 0; x < c->w; x++) put(pixel(c, x, y), q.r, q.g, q.b);
        }
        return BQB_OK;
    }
    case GROUND_RAYS: {
        float n = 8 + (float)(int)(unit(&r) * 8), spin = unit(&r);
        for (int y = 0; y < c->h; y++)
            for (int x = 0; x < c->w; x++) {
                float a = atan2f((float)y - cy, (float)x - cx) / 6.2831853F + spin;
                float t = fabsf(fmodf(a * n + n, 1) - 0.5F) * 2, d = hypotf((float)x - cx, (float)y - cy) + 4;
                float edge = (t - 0.5F) * d / n * 3.2F;
                colour q = colour_mix(pale, strong, edge < -0.5F ? 0 : edge > 0.5F ? 1 : edge + 0.5F);
                put(pixel(c, x, y), q.r, q.g, q.b);
            }
        return BQB_OK;
    }
    default: break;
    }
    paint_fill(c, pale);
    if (ground == GROUND_DOTS) {
        float cell = k == STYLE_COMIC ? 9 : 16 + unit(&r) * 12;
        for (int j = -1; (float)j * cell < h + cell; j++)
            for (int i = -1; (float)i * cell < w + cell; i++) {
                float px = ((float)i + (j % 2 ? 0.5F : 0)) * cell, py = (float)j * cell;
                float size = k == STYLE_COMIC ? 0.42F * fminf(1, hypotf(px - cx, py - cy) / w) : 0.2F;
                paint_ellipse(c, px, py, cell * size, cell * size, 0, strong);
            }
    } else if (ground == GROUND_STRIPES) {
        float step = 14 + unit(&r) * 16, slope = unit(&r) < 0.5F ? 1 : 0;
        for (float t = -h; t < w + h; t += step * 2)
            paint_line(c, t, -5, t + slope * h, h + 5, step, strong);
    }
    return BQB_OK;
}

/* ---- figures ---- */

static bqb_status outline(canvas *c, float width, colour k, float shadow, bqb_err *err) {
    size_t n = (size_t)c->w * (size_t)c->h;
    mask m = {0};
    float *dist = malloc(n * sizeof *dist);
    canvas copy = {0};
    bqb_status s = BQB_OK;
    if (!dist || !mask_new(&m, c->w, c->h) || !canvas_new(&copy, c->w, c->h)) s = bqb_fail_nomem(err, "outline", n);
    else {
        mask_of_alpha(&m, c);
        mask_distance(dist, &m, width + 3);
        canvas_copy(&copy, c);
        canvas_clear(c);
        if (shadow > 0) {
            for (int y = 4; y < c->h; y++)
                for (int x = 3; x < c->w; x++)
                    paint_pixel(c, x, y, (colour){40, 40, 60, 255}, shadow * fminf(1, width + 0.5F - dist[(size_t)(y - 4) * (size_t)c->w + (size_t)(x - 3)]));
            canvas_blur(c, 2);
        }
        for (int y = 0; y < c->h; y++)
            for (int x = 0; x < c->w; x++) paint_pixel(c, x, y, k, width + 0.5F - dist[(size_t)y * (size_t)c->w + (size_t)x]);
        paint_over(c, &copy);
    }
    free(dist);
    mask_free(&m);
    canvas_free(&copy);
    return s;
}

/* Lines where edges are, on a fill; what sketch, chalk and neon share. */
static bqb_status redraw(canvas *c, style_kind k, uint32_t seed, bqb_err *err) {
    float *e = edges_of(c);
    if (!e) return bqb_fail_nomem(err, "edges", 0);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            uint8_t *p = pixel(c, x, y);
            float edge = e[(size_t)y * (size_t)c->w + (size_t)x], a = (float)p[3] / 255, lum = light(p);
            if (a <= 0 && edge <= 0.02F) continue;
            float px = (float)x, py = (float)y;
            if (k == STYLE_SKETCH) {
                float grain = noise_at(seed, px, py, 1.7F), line = fminf(1, edge * 1.9F) * (0.55F + 0.45F * grain);
                float hatch = lum < 205 ? 0.5F + 0.5F * sinf((px + py) * 1.05F) : 0, dark = (205 - lum) / 205;
                float ink = fmaxf(line, fmaxf(0, hatch * dark * (0.35F + 0.6F * grain)));
                if (lum < 120) ink = fmaxf(ink, 0.35F + 0.5F * sinf((px - py) * 1.05F) * grain);
                put_alpha(p, colour_mix(rgb(0xFBFAF5), rgb(0x33343A), ink), fmaxf(a, ink));
            } else if (k == STYLE_CHALK) {
                float grain = noise_at(seed, px, py, 1.6F), rough = noise_at(seed + 5, px, py, 5);
                colour q = colour_mix(straight(p), rgb(0xFFFFFF), 0.45F);
                float fill = a * 0.42F * (grain > 0.38F ? 1 : 0.35F) * (0.6F + 0.6F * rough) * (0.35F + lum / 255 * 0.65F);
                float line = fminf(1, edge * 2) * (grain > 0.3F ? 0.95F : 0.3F);
                put_alpha(p, line > fill ? rgb(0xF4F1E6) : q, fmaxf(line, fill));
            } else {
                colour q = a > 0.1F ? straight(p) : rgb(0x66E0FF);
                lift(&q);
                float line = fminf(1, edge * 1.7F);
                colour dim = colour_mix(rgb(0x150B2B), q, 0.16F);
                put_alpha(p, colour_mix(dim, colour_mix(q, rgb(0xFFFFFF), line * 0.25F), line), fmaxf(a * 0.9F, line));
            }
        }
    free(e);
    return BQB_OK;
}

/* Light that spills from bright pixels. */
static bqb_status bloom(canvas *c, bqb_err *err) {
    canvas glow;
    if (!canvas_new(&glow, c->w, c->h)) return bqb_fail_nomem(err, "glow", 0);
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h; i < n; i++) {
        uint8_t *p = c->px + 4 * i, hi = p[0] > p[1] ? p[0] : p[1];
        if (p[2] > hi) hi = p[2];
        if (hi > 110) memcpy(glow.px + 4 * i, p, 4);
    }
    canvas_blur(&glow, 5);
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h * 4; i < n; i++) {
        int v = c->px[i] + glow.px[i] * 3 / 2;
        c->px[i] = (uint8_t)(v > 255 ? 255 : v);
    }
    canvas_free(&glow);
    return BQB_OK;
}

static void papercut(canvas *c) {
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h; i < n; i++) {
        uint8_t *p = c->px + 4 * i;
        if (!p[3]) continue;
        colour q = straight(p);
        float lum = 0.299F * (float)q.r + 0.587F * (float)q.g + 0.114F * (float)q.b;
        /* Dark features become holes; mid tones a second, deeper sheet. */
        bool hole = lum < 96 || lum > 238;
        put_alpha(p, hole ? rgb(0xF9E9C4) : lum < 150 ? rgb(0xA3131B) : rgb(0xD2202A), (float)p[3] / 255);
    }
}

static bqb_status watercolour(canvas *c, uint32_t seed, bqb_err *err) {
    canvas from;
    if (!canvas_new(&from, c->w, c->h)) return bqb_fail_nomem(err, "watercolour", 0);
    canvas_copy(&from, c);
    canvas_blur(&from, 1);
    float *e = edges_of(&from);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            float px = (float)x, py = (float)y;
            int u = x + (int)lrintf((noise_at(seed, px, py, 9) - 0.5F) * 9), v = y + (int)lrintf((noise_at(seed + 1, px, py, 9) - 0.5F) * 9);
            uint8_t *p = pixel(c, x, y);
            memset(p, 0, 4);
            if (u < 0 || v < 0 || u >= c->w || v >= c->h) continue;
            const uint8_t *q = pixel(&from, u, v);
            if (!q[3]) continue;
            float wash = 0.55F + 0.6F * noise_at(seed + 2, px, py, 14) + 0.25F * (noise_at(seed + 3, px, py, 3) - 0.5F);
            float edge = e ? e[(size_t)v * (size_t)c->w + (size_t)u] : 0;
            colour k = colour_mix(straight(q), rgb(0x303848), edge * 0.28F);
            put_alpha(p, colour_mix(rgb(0xFFFDF6), k, fminf(1, wash)), (float)q[3] / 255 * 0.97F);
        }
    free(e);
    canvas_free(&from);
    return BQB_OK;
}

static void comic(canvas *c) {
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            uint8_t *p = pixel(c, x, y);
            if (!p[3]) continue;
            colour q = straight(p);
            float lum = 0.299F * (float)q.r + 0.587F * (float)q.g + 0.114F * (float)q.b;
            float hi = fmaxf(fmaxf((float)q.r, (float)q.g), (float)q.b);
            for (int k = 0; k < 3; k++) {
                uint8_t *ch = k == 0 ? &q.r : k == 1 ? &q.g : &q.b;
                float sat = hi - (hi - (float)*ch) * 1.35F;
                *ch = u8(roundf(sat / 85) * 85);
            }
            /* Dots grow as the tone darkens, on a lattice turned by 45 degrees. */
            float u = fmodf((float)(x + y), 8) - 4, v = fmodf((float)(x - y + 800), 8) - 4;
            float radius_sq = (235 - lum) / 235 * 13;
            if (lum > 70 && u * u + v * v < radius_sq) q = colour_mix(q, rgb(0x201020), 0.34F);
            put_alpha(p, q, (float)p[3] / 255);
        }
}

static bqb_status ink_wash(canvas *c, uint32_t seed, bqb_err *err) {
    float *e = edges_of(c);
    if (!e) return bqb_fail_nomem(err, "edges", 0);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            uint8_t *p = pixel(c, x, y);
            if (!p[3]) continue;
            float px = (float)x, py = (float)y, lum = light(p), a = (float)p[3] / 255;
            colour q = straight(p);
            float edge = e[(size_t)y * (size_t)c->w + (size_t)x];
            float tone = (255 - lum) / 255 * (0.75F + 0.5F * noise_at(seed, px, py, 16)) + edge * (0.4F + 0.5F * noise_at(seed + 1, px, py, 5));
            tone = fminf(1, roundf(tone * 6) / 6 * 0.6F + tone * 0.4F);
            bool red = q.r > 170 && q.g < 100 && q.b < 110; /* seals and lips stay vermilion */
            put_alpha(p, red ? rgb(0xB5362A) : colour_mix(rgb(0xF1E9D6), rgb(0x1D1C1C), tone), a);
        }
    free(e);
    return BQB_OK;
}

static void pixelate(canvas *c, int block, bool posterise) {
    for (int by = 0; by < c->h; by += block)
        for (int bx = 0; bx < c->w; bx += block) {
            unsigned sum[4] = {0}, n = 0;
            for (int y = by; y < by + block && y < c->h; y++)
                for (int x = bx; x < bx + block && x < c->w; x++, n++)
                    for (int k = 0; k < 4; k++) sum[k] += pixel(c, x, y)[k];
            uint8_t out[4] = {0};
            if (sum[3] > n * 128) {
                for (int k = 0; k < 3; k++) {
                    unsigned v = sum[k] * 255 / sum[3];
                    if (posterise) v = (v + 18) / 36 * 36;
                    out[k] = (uint8_t)(v > 255 ? 255 : v);
                }
                out[3] = 255;
            }
            for (int y = by; y < by + block && y < c->h; y++)
                for (int x = bx; x < bx + block && x < c->w; x++) memcpy(pixel(c, x, y), out, 4);
        }
}

static void lamp(canvas *c) { /* lit from above left */
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            uint8_t *p = pixel(c, x, y);
            if (!p[3]) continue;
            float f = 1.12F - 0.34F * ((float)x / (float)c->w * 0.4F + (float)y / (float)c->h * 0.6F);
            for (int k = 0; k < 3; k++) {
                float v = (float)p[k] * f * 0.97F;
                p[k] = v > (float)p[3] ? p[3] : u8(v);
            }
        }
}

bqb_status style_figure(canvas *c, style_kind k, uint32_t seed, bqb_err *err) {
    switch (k) {
    case STYLE_DIECUT: return outline(c, 6, rgb(0xFFFFFF), 0.35F, err);
    case STYLE_SKETCH:
    case STYLE_CHALK: return redraw(c, k, seed, err);
    case STYLE_NEON: {
        bqb_status s = redraw(c, k, seed, err);
        return s ? s : bloom(c, err);
    }
    case STYLE_PIXEL: pixelate(c, c->w >= 200 ? 5 : 4, true); return BQB_OK;
    case STYLE_PHOTO: lamp(c); return outline(c, 0, rgb(0), 0.5F, err);
    case STYLE_WATERCOLOUR: return watercolour(c, seed, err);
    case STYLE_COMIC: comic(c); return outline(c, 2.6F, rgb(0x181018), 0, err);
    case STYLE_PAPERCUT: papercut(c); return outline(c, 2, rgb(0xC81D25), 0.3F, err);
    case STYLE_INK: return ink_wash(c, seed, err);
    case STYLE_GLITCH: return outline(c, 2, rgb(0xE8F4FF), 0, err);
    default: return BQB_OK;
    }
}

/* ---- frames ---- */

void style_frame(canvas *c, style_kind k, uint32_t seed) {
    if (k != STYLE_MEME && k != STYLE_RETRO && k != STYLE_GLITCH && k != STYLE_PHOTO) return;
    uint32_t r = seed;
    float cx = (float)c->w / 2, cy = (float)c->h / 2;
    if (k == STYLE_GLITCH) {
        uint8_t line[4 * 1024];
        int left = 0, shift = 0, split = 3 + (int)(unit(&r) * 4);
        for (int y = 0; y < c->h && c->w <= 1024; y++) {
            if (left-- <= 0) {
                left = 3 + (int)(unit(&r) * 26);
                shift = unit(&r) < 0.3F ? (int)((unit(&r) - 0.5F) * 34) : 0;
            }
            uint8_t *row = pixel(c, 0, y);
            memcpy(line, row, 4 * (size_t)c->w);
            for (int x = 0; x < c->w; x++) {
                int a = x + shift - split, b = x + shift, d = x + shift + split;
                a = a < 0 ? 0 : a >= c->w ? c->w - 1 : a;
                b = b < 0 ? 0 : b >= c->w ? c->w - 1 : b;
                d = d < 0 ? 0 : d >= c->w ? c->w - 1 : d;
                float f = y % 4 < 1 ? 0.72F : 1;
                put(row + 4 * x, (float)line[4 * a] * f, (float)line[4 * b + 1] * f, (float)line[4 * d + 2] * f);
            }
        }
        return;
    }
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            uint8_t *p = pixel(c, x, y);
            float n = unit(&r) - 0.5F, d = hypotf((float)x - cx, (float)y - cy) / cx, lum = light(p);
            if (k == STYLE_MEME) {
                float v = (lum - 128) * 1.28F + 134 + n * 16;
                put(p, v, v, v);
            } else if (k == STYLE_RETRO) {
                float v = (lum - 140) * 1.15F + 142 + n * 26 - d * d * 26;
                if ((x * 7 + (int)(seed % 61)) % 83 == 0 && y % 5) v += 16;
                put(p, v * 1.06F + 16, v * 0.9F + 6, v * 0.66F);
            } else {
                float f = 1.04F - 0.22F * d * d;
                put(p, (float)p[0] * f + n * 22, (float)p[1] * f + n * 22, (float)p[2] * f + n * 22);
            }
        }
}

/* ---- words ---- */

static float brightness(colour c) { return 0.299F * (float)c.r + 0.587F * (float)c.g + 0.114F * (float)c.b; }

void style_words(word_look *look, style_kind k, ground_kind ground, colour tint, bqb_rand *rand) {
    const colour none = {0, 0, 0, 0}, white = rgb(0xFFFFFF), black = rgb(0x16141A);
    look->shadow = none;
    look->edge = white;
    look->edge_width = (float)bqb_rand_between(rand, 2, 3.5);
    look->fill = black;
    size_t u = bqb_rand_below(rand, 100);
    switch (k) {
    case STYLE_SKETCH: look->fill = rgb(0x2E2E34); look->edge = rgb(0xFBFAF5); break;
    case STYLE_NEON:
        look->fill = white;
        look->edge = colour_hsv((float)bqb_rand_below(rand, 12) * 30, 0.85F, 1);
        look->edge_width = 2;
        break;
    case STYLE_PHOTO: look->fill = u < 30 ? rgb(0xFFE24A) : white; look->edge = black; look->edge_width = 2.2F; break;
    case STYLE_MEME:
        if (u < 75) look->edge = none, look->edge_width = 0;
        else look->fill = white, look->edge = black;
        break;
    case STYLE_WATERCOLOUR: look->fill = colour_mix(tint, rgb(0x1E2A44), 0.78F); look->edge = rgb(0xFFFDF6); break;
    case STYLE_COMIC: look->fill = u < 50 ? rgb(0xFFE100) : u < 80 ? rgb(0xE8202A) : white; look->edge = u < 50 || u >= 80 ? black : white; look->edge_width = 3.2F; break;
    case STYLE_PAPERCUT: look->fill = rgb(0xB5121B); look->edge = rgb(0xF9E9C4); break;
    case STYLE_CHALK: look->fill = u < 60 ? rgb(0xF4F1E6) : rgb(0xFFE68A); look->edge = none; look->edge_width = 0; break;
    case STYLE_INK: look->fill = rgb(0x1B1A1A); look->edge = rgb(0xF1E9D6); break;
    case STYLE_GLITCH: look->fill = white; look->edge = black; break;
    case STYLE_RETRO: look->fill = u < 60 ? rgb(0x4A2512) : rgb(0xF7E9C8); look->edge = u < 60 ? rgb(0xF2DFB6) : rgb(0x4A2512); break;
    default:
        if (u < 34) break; /* black on white edge */
        if (u < 62) look->fill = white, look->edge = colour_mix(tint, black, brightness(tint) > 150 ? 0.75F : 0.5F);
        else if (u < 88) look->fill = colour_hsv((float)bqb_rand_below(rand, 12) * 30, 0.9F, 0.78F);
        else look->fill = rgb(0xFFDF3A), look->edge = rgb(0x7A2A10);
        if (bqb_rand_below(rand, 4) == 0) look->shadow = (colour){20, 10, 30, 90};
        break;
    }
    (void)ground;
}
