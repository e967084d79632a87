#include "image/synth_cue.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float PI = 3.14159265F;

static float jitter(const cue_stage *st, float amount) { return (float)bqb_rand_between(st->rand, -amount, amount); }

/* ---- places ---- */

typedef struct {
    point at[8];
    size_t n;
    float size; /* about how large one cue is */
} spots;

static spots places(const cue_stage *st, const char *place) {
    float x = st->cx, y = st->cy, w = st->w, h = st->h, unit = fminf(w, h);
    spots s = {.n = 1, .size = unit * (float)bqb_rand_between(st->rand, 0.28, 0.4)};
    float jx = jitter(st, unit * 0.05F), jy = jitter(st, unit * 0.05F);
    if (!strcmp(place, "eyesmid")) s.at[0] = (point){x, y - h * 0.07F}, s.size = w * 0.66F;
    else if (!strcmp(place, "tl")) s.at[0] = (point){x - w * 0.45F + jx, y - h * 0.38F + jy};
    else if (!strcmp(place, "tr")) s.at[0] = (point){x + w * 0.47F + jx, y - h * 0.4F + jy};
    else if (!strcmp(place, "bl")) s.at[0] = (point){x - w * 0.45F + jx, y + h * 0.33F + jy};
    else if (!strcmp(place, "br")) s.at[0] = (point){x + w * 0.45F + jx, y + h * 0.33F + jy};
    else if (!strcmp(place, "top")) s.at[0] = (point){x + jx, y - h * 0.5F};
    else if (!strcmp(place, "crown")) s.at[0] = (point){x + jx, y - h * 0.52F}, s.size = unit * 0.42F;
    else if (!strcmp(place, "bottom")) s.at[0] = (point){x, y + h * 0.48F};
    else if (!strcmp(place, "mouth")) s.at[0] = (point){x, y + h * 0.2F};
    else if (!strcmp(place, "eyes")) {
        s.n = 2;
        s.at[0] = (point){x - w * 0.19F, y - h * 0.06F};
        s.at[1] = (point){x + w * 0.19F, y - h * 0.06F};
        s.size = unit * 0.24F;
    } else if (!strcmp(place, "cheeks")) {
        s.n = 2;
        s.at[0] = (point){x - w * 0.29F, y + h * 0.13F};
        s.at[1] = (point){x + w * 0.29F, y + h * 0.13F};
        s.size = unit * 0.2F;
    } else if (!strcmp(place, "sides")) {
        s.n = 2;
        s.at[0] = (point){x - w * 0.56F, y + jy};
        s.at[1] = (point){x + w * 0.56F, y + jy};
    } else if (!strcmp(place, "around")) {
        s.n = 4 + bqb_rand_below(st->rand, 4);
        float turn = jitter(st, PI);
        for (size_t i = 0; i < s.n; i++) {
            float a = turn + (float)i * 2 * PI / (float)s.n + jitter(st, 0.2F), r = 0.6F + jitter(st, 0.07F);
            s.at[i] = (point){x + cosf(a) * w * r, y + sinf(a) * h * r};
        }
        s.size = unit * (float)bqb_rand_between(st->rand, 0.16, 0.26);
    } else s.at[0] = (point){x, y};
    return s;
}

/* ---- one cue at one spot; u is its size, side -1 left, +1 right ---- */

typedef void (*cue_fn)(const cue_stage *st, float x, float y, float u, float side);

static const colour BLUE = {96, 178, 245, 255}, DARK = {40, 38, 48, 255}, RED = {232, 52, 58, 255},
                    WHITE = {255, 255, 255, 255}, PINK = {255, 98, 138, 255}, GOLD = {255, 205, 40, 255};

static void c_heart(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    float turn = jitter(st, 0.4F), v = u * (1 + jitter(st, 0.25F));
    paint_heart(st->to, x, y, v * 1.12F, turn, WHITE);
    paint_heart(st->to, x, y, v, turn, bqb_rand_below(st->rand, 3) ? RED : PINK);
}

static void c_hearteye(const cue_stage *st, float x, float y, float u, float side) {
    paint_heart(st->to, x, y, u * 1.35F, side * -0.12F, (colour){225, 30, 60, 255});
    paint_ellipse(st->to, x - u * 0.25F, y - u * 0.2F, u * 0.1F, u * 0.16F, 0.5F, colour_alpha(WHITE, 0.8F));
}

static void c_spark(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    float v = u * (0.45F + jitter(st, 0.15F));
    paint_star(st->to, x, y, v * 1.25F, v * 0.4F, 4, 0, WHITE);
    paint_star(st->to, x, y, v, v * 0.25F, 4, 0, (colour){255, 190, 30, 255});
}

static void c_star(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    float t = jitter(st, 0.4F);
    paint_star(st->to, x, y, u * 0.6F, u * 0.27F, 5, t, (colour){230, 140, 20, 255});
    paint_star(st->to, x, y, u * 0.5F, u * 0.22F, 5, t, GOLD);
}

static void c_stareye(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_star(st->to, x, y, u * 0.78F, u * 0.36F, 5, 0, (colour){240, 120, 10, 255});
    paint_star(st->to, x, y, u * 0.64F, u * 0.29F, 5, 0, (colour){255, 235, 90, 255});
}

static void c_drop(const cue_stage *st, float x, float y, float u, float side) {
    float v = u * 0.85F;
    paint_drop(st->to, x, y, v * 1.15F, side * 0.3F, WHITE);
    paint_drop(st->to, x, y, v, side * 0.3F, BLUE);
    paint_ellipse(st->to, x - v * 0.1F, y + v * 0.12F, v * 0.06F, v * 0.12F, 0.4F, colour_alpha(WHITE, 0.8F));
}

static void c_sweat3(const cue_stage *st, float x, float y, float u, float side) {
    for (int i = 0; i < 3; i++)
        c_drop(st, x + side * (float)(i % 2) * u * 0.25F, y + (float)(i - 1) * u * 0.8F, u * (0.55F + 0.15F * (float)i), side * -1);
}

static void c_teardrop(const cue_stage *st, float x, float y, float u, float side) {
    c_drop(st, x + side * u * 0.25F, y + u * 0.75F, u * 0.9F, 0);
}

static void c_joy(const cue_stage *st, float x, float y, float u, float side) {
    c_drop(st, x + side * u * 1.15F, y + u * 0.35F, u * 1.25F, side * -4);
}

static void c_tears(const cue_stage *st, float x, float y, float u, float side) {
    colour k = {110, 190, 250, 235};
    float bottom = st->cy + st->h * 0.5F;
    for (float t = y + u * 0.35F; t < bottom; t += 1) {
        float wob = sinf(t * 0.25F) * u * 0.07F + side * (t - y) * 0.12F;
        paint_line(st->to, x - u * 0.26F + wob, t, x + u * 0.26F + wob, t, 1.6F, k);
    }
    paint_line(st->to, x - u * 0.08F, y + u * 0.5F, x - u * 0.08F + side * u * 0.2F, bottom - u * 0.3F, u * 0.09F, colour_alpha(WHITE, 0.7F));
}

static void c_puddle(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y, st->w * 0.62F, u * 0.28F, 0, (colour){120, 195, 250, 220});
    paint_ellipse(st->to, x - u * 0.5F, y - u * 0.05F, u * 0.35F, u * 0.06F, 0, colour_alpha(WHITE, 0.7F));
}

static void c_watery(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y + u * 0.32F, u * 0.52F, u * 0.3F, 0, (colour){130, 205, 255, 220});
    paint_ellipse(st->to, x - u * 0.15F, y - u * 0.12F, u * 0.18F, u * 0.2F, 0, WHITE);
    paint_ellipse(st->to, x + u * 0.2F, y + u * 0.12F, u * 0.1F, u * 0.1F, 0, WHITE);
}

static void c_vein(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    colour k = {214, 28, 36, 255};
    for (int i = 0; i < 4; i++) {
        float a = (float)i * PI / 2 + PI / 4;
        float ox = x + cosf(a) * u * 0.12F, oy = y + sinf(a) * u * 0.12F;
        point mid = {ox + cosf(a) * u * 0.1F, oy + sinf(a) * u * 0.1F};
        for (int j = -1; j <= 1; j += 2) {
            float b = a + (float)j * PI / 4;
            paint_line(st->to, mid.x, mid.y, mid.x + cosf(b) * u * 0.42F, mid.y + sinf(b) * u * 0.42F, u * 0.14F, k);
        }
    }
}

static void c_shout(const cue_stage *st, float x, float y, float u, float side) {
    for (int i = -1; i <= 1; i++) {
        float a = (float)i * 0.5F;
        paint_line(st->to, x, y + (float)i * u * 0.35F, x + side * cosf(a) * u * 0.6F, y + (float)i * u * 0.35F + sinf(a) * u * 0.6F, u * 0.12F, DARK);
    }
}

static void c_wave(const cue_stage *st, float x, float y, float u, float side) {
    for (int i = 0; i < 3; i++)
        for (int j = -3; j < 3; j++) {
            float r = u * (0.3F + 0.24F * (float)i), a = (float)j * 0.2F, b = a + 0.2F;
            paint_line(st->to, x + side * (r * cosf(a) - u * 0.3F), y + r * sinf(a), x + side * (r * cosf(b) - u * 0.3F), y + r * sinf(b), u * 0.09F, (colour){60, 150, 220, 255});
        }
}

static void c_shiver(const cue_stage *st, float x, float y, float u, float side) {
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 5; j++) {
            float px = x + side * (float)i * u * 0.3F, a = (float)(j % 2) * u * 0.16F, b = (float)((j + 1) % 2) * u * 0.16F;
            float y0 = y + ((float)j - 2.5F) * u * 0.36F;
            paint_line(st->to, px + a, y0, px + b, y0 + u * 0.36F, u * 0.09F, (colour){88, 74, 160, 255});
        }
}

static void c_blush(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y, u * 0.62F, u * 0.4F, 0, (colour){255, 72, 110, 170});
    for (int i = -1; i <= 1; i++)
        paint_line(st->to, x + (float)i * u * 0.28F + u * 0.1F, y - u * 0.18F, x + (float)i * u * 0.28F - u * 0.1F, y + u * 0.18F, u * 0.09F, (colour){225, 30, 80, 220});
}

static void c_gloom(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    colour k = {54, 66, 120, 235};
    for (int i = 0; i < 6; i++) {
        float px = x + ((float)i - 2.5F) * u * 0.24F, len = u * (0.5F + 0.35F * (float)((i * 7) % 3) / 2);
        paint_line(st->to, px, y - u * 0.2F, px, y - u * 0.2F + len, u * 0.07F, k);
    }
}

static void c_pale(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (float t = 0; t < st->h * 0.42F; t += 1) {
        float half = st->w * 0.46F * sqrtf(fmaxf(0.05F, 1 - powf(1 - t / (st->h * 0.5F), 2)));
        paint_line(st->to, x - half, y + t, x + half, y + t, 1.5F, (colour){70, 90, 200, (uint8_t)(190 * (1 - t / (st->h * 0.44F)))});
    }
    c_gloom(st, x, y + u * 0.25F, u * 1.1F, 0);
}

static void c_dots(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_round_box(st->to, x - u * 0.85F, y - u * 0.42F, x + u * 0.85F, y + u * 0.42F, u * 0.4F, DARK);
    paint_round_box(st->to, x - u * 0.78F, y - u * 0.35F, x + u * 0.78F, y + u * 0.35F, u * 0.35F, WHITE);
    for (int i = -1; i <= 1; i++) paint_ellipse(st->to, x + (float)i * u * 0.42F, y, u * 0.13F, u * 0.13F, 0, DARK);
}

static void c_flash(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    (void)u;
    float r = fmaxf(st->w, st->h);
    for (int i = 0; i < 16; i++) {
        float a = (float)i * PI / 8 + jitter(st, 0.08F), w = 0.09F;
        point p[3] = {{x + cosf(a) * r * 0.52F, y + sinf(a) * r * 0.52F}, {x + cosf(a - w) * r * 0.85F, y + sinf(a - w) * r * 0.85F}, {x + cosf(a + w) * r * 0.85F, y + sinf(a + w) * r * 0.85F}};
        paint_polygon(st->to, p, 3, 0, (colour){250, 170, 20, 255});
    }
}

static void c_ray(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    (void)u;
    float r = fmaxf(st->w, st->h);
    paint_ellipse(st->to, x, y, r * 0.62F, r * 0.62F, 0, (colour){255, 236, 120, 170});
    for (int i = 0; i < 12; i++) {
        float a = (float)i * PI / 6;
        paint_line(st->to, x + cosf(a) * r * 0.66F, y + sinf(a) * r * 0.66F, x + cosf(a) * r * 0.76F, y + sinf(a) * r * 0.76F, r * 0.035F, (colour){255, 196, 40, 255});
    }
}

static void c_fire(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    (void)u;
    for (int layer = 0; layer < 3; layer++) {
        static const colour k[3] = {{226, 44, 20, 255}, {255, 126, 20, 255}, {255, 214, 60, 255}};
        float shrink = 1 - 0.15F * (float)layer;
        point p[32];
        size_t n = 0;
        for (int i = 0; i <= 12; i++) {
            float t = (float)i / 12, px = x + (t - 0.5F) * st->w * 1.25F * shrink;
            float top = i % 2 ? st->h * (0.82F - 0.5F * fabsf(t - 0.5F)) : st->h * (0.42F - 0.4F * fabsf(t - 0.5F));
            p[n++] = (point){px, y - top * shrink};
        }
        p[n++] = (point){x + st->w * 0.5F * shrink, y + st->h * 0.45F};
        p[n++] = (point){x - st->w * 0.5F * shrink, y + st->h * 0.45F};
        paint_polygon(st->to, p, n, 3, k[layer]);
    }
}

static void c_flame(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = -2; i <= 2; i++)
        for (int layer = 0; layer < 2; layer++) {
            float v = u * (layer ? 0.6F : 1.0F) * (1 - 0.12F * fabsf((float)i));
            paint_drop(st->to, x + (float)i * st->w * 0.24F, y - v * 0.1F, v, (float)i * 0.08F, layer ? GOLD : (colour){255, 92, 20, 255});
        }
}

static void c_bolt(const cue_stage *st, float x, float y, float u, float side) {
    float s = side < 0 ? -1 : 1;
    point p[7] = {{0.1F, -0.7F}, {-0.35F, 0.08F}, {-0.02F, 0.08F}, {-0.22F, 0.7F}, {0.36F, -0.12F}, {0.04F, -0.12F}, {0.34F, -0.7F}};
    for (int i = 0; i < 7; i++) p[i] = (point){x + s * p[i].x * u, y + p[i].y * u};
    paint_polygon(st->to, p, 7, u * 0.07F, DARK);
    paint_polygon(st->to, p, 7, 0, GOLD);
}

static void c_crack(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    (void)u;
    float r = fmaxf(st->w, st->h);
    for (int i = 0; i < 7; i++) {
        float a = (float)i * 2 * PI / 7 + jitter(st, 0.2F), px = x, py = y;
        for (int j = 1; j <= 5; j++) {
            float b = a + (j % 2 ? 0.16F : -0.16F), d = r * 0.17F * (float)j;
            float nx = x + cosf(b) * d, ny = y + sinf(b) * d;
            paint_line(st->to, px, py, nx, ny, r * 0.03F * (1.2F - 0.18F * (float)j), DARK);
            px = nx;
            py = ny;
        }
    }
}

static void c_scribble(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    float px = x, py = y;
    for (int i = 0; i < 46; i++) {
        float a = (float)i * 0.62F, r = u * 0.42F * (0.35F + 0.65F * (float)bqb_rand_unit(st->rand));
        float nx = x + cosf(a) * r * 1.5F, ny = y + sinf(a) * r;
        if (i) paint_line(st->to, px, py, nx, ny, u * 0.05F + 0.6F, DARK);
        px = nx;
        py = ny;
    }
}

static void c_lines(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = 0; i < 3; i++) {
        float px = x + st->w * (0.12F + 0.12F * (float)i);
        paint_line(st->to, px, y + u * 0.1F, px, y + u * (0.9F - 0.15F * (float)i), u * 0.08F, DARK);
    }
}

static void c_ring(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y, u * 0.62F, u * 0.68F, 0, DARK);
    paint_ellipse(st->to, x, y, u * 0.52F, u * 0.58F, 0, WHITE);
    paint_ellipse(st->to, x, y, u * 0.17F, u * 0.17F, 0, DARK);
}

static void c_swirl(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = 0; i < 22; i++) {
        float a = (float)i * 0.55F, b = a + 0.55F, r = u * 0.45F * (float)i / 22, q = u * 0.45F * (float)(i + 1) / 22;
        paint_line(st->to, x + cosf(a) * r, y + sinf(a) * r, x + cosf(b) * q, y + sinf(b) * q, u * 0.1F, (colour){255, 120, 180, 255});
    }
}

static void c_stink(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = -1; i <= 1; i++)
        for (int j = 0; j < 10; j++) {
            float t = (float)j * u * 0.1F, px = x + (float)i * u * 0.55F;
            paint_line(st->to, px + sinf((float)j * 0.8F) * u * 0.12F, y - t + u * 0.3F, px + sinf((float)(j + 1) * 0.8F) * u * 0.12F, y - t + u * 0.2F, u * 0.11F, (colour){110, 140, 40, 255});
        }
}

static void c_steam(const cue_stage *st, float x, float y, float u, float side) {
    float s = side == 0 ? 0 : side;
    for (int i = 0; i < 3; i++)
        paint_ellipse(st->to, x + s * (float)i * u * 0.28F + (s == 0 ? ((float)i - 1) * u * 0.4F : 0), y - (float)i * u * 0.22F * (s == 0 ? 0.3F : 1), u * (0.2F + 0.07F * (float)i), u * (0.17F + 0.06F * (float)i), 0, (colour){235, 238, 245, 235});
}

static void c_bubble(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    x += st->w * 0.14F;
    paint_ellipse(st->to, x, y, u * 0.5F, u * 0.5F, 0, (colour){60, 130, 210, 255});
    paint_ellipse(st->to, x, y, u * 0.44F, u * 0.44F, 0, (colour){170, 220, 255, 235});
    paint_ellipse(st->to, x - u * 0.16F, y - u * 0.18F, u * 0.1F, u * 0.14F, 0.5F, WHITE);
}

static void c_headband(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    float yy = y + st->h * 0.2F, half = st->w * 0.44F;
    point knot[4] = {{x + half, yy}, {x + half + u * 0.5F, yy - u * 0.4F}, {x + half + u * 0.55F, yy - u * 0.05F}, {x + half + u * 0.3F, yy + u * 0.4F}};
    paint_polygon(st->to, knot, 4, 0, (colour){200, 24, 30, 255});
    paint_round_box(st->to, x - half, yy - u * 0.2F, x + half, yy + u * 0.2F, u * 0.1F, RED);
    paint_ellipse(st->to, x, yy, u * 0.17F, u * 0.17F, 0, WHITE);
}

static void c_check(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y, u * 0.55F, u * 0.55F, 0, (colour){40, 176, 80, 255});
    paint_line(st->to, x - u * 0.25F, y, x - u * 0.05F, y + u * 0.22F, u * 0.14F, WHITE);
    paint_line(st->to, x - u * 0.05F, y + u * 0.22F, x + u * 0.3F, y - u * 0.2F, u * 0.14F, WHITE);
}

static void c_cross(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    (void)u;
    float a = st->w * 0.6F, b = st->h * 0.6F, t = fminf(a, b) * 0.2F;
    paint_line(st->to, x - a, y - b, x + a, y + b, t, RED);
    paint_line(st->to, x + a, y - b, x - a, y + b, t, RED);
}

static void c_stop(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ring(st->to, x, y, u * 0.45F, u * 0.16F, RED);
    paint_line(st->to, x - u * 0.3F, y - u * 0.3F, x + u * 0.3F, y + u * 0.3F, u * 0.16F, RED);
}

static void c_petal(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_ellipse(st->to, x, y, u * 0.36F, u * 0.18F, jitter(st, PI), (colour){255, 140, 175, 255});
}

static void c_confetti(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = 0; i < 5; i++) {
        float px = x + jitter(st, u * 1.4F), py = y + jitter(st, u * 1.4F), a = jitter(st, PI), l = u * 0.22F;
        paint_line(st->to, px - cosf(a) * l, py - sinf(a) * l, px + cosf(a) * l, py + sinf(a) * l, u * 0.18F, colour_hsv((float)bqb_rand_below(st->rand, 12) * 30, 0.8F, 1));
    }
}

static void c_dash(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = 0; i < 4; i++) {
        float yy = y - (float)i * st->h * 0.2F, from = x - st->w * (0.95F - 0.07F * (float)((i * 5) % 3));
        paint_line(st->to, from, yy, x - st->w * 0.52F, yy, u * 0.1F, (colour){90, 120, 110, 255});
    }
}

static void c_rain(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    colour grey = {104, 116, 140, 255};
    for (int i = 0; i < 9; i++) {
        float px = x + ((float)i - 4) * st->w * 0.11F, py = y + u * 0.4F + (float)((i * 5) % 4) * st->h * 0.16F;
        paint_line(st->to, px, py, px - u * 0.08F, py + st->h * 0.13F, u * 0.07F + 0.5F, BLUE);
    }
    paint_ellipse(st->to, x - u * 0.6F, y, u * 0.5F, u * 0.34F, 0, grey);
    paint_ellipse(st->to, x + u * 0.6F, y, u * 0.5F, u * 0.34F, 0, grey);
    paint_ellipse(st->to, x, y - u * 0.12F, u * 0.68F, u * 0.46F, 0, grey);
}

static void c_tongue(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    paint_round_box(st->to, x - u * 0.28F, y + u * 0.05F, x + u * 0.28F, y + u * 0.75F, u * 0.28F, DARK);
    paint_round_box(st->to, x - u * 0.23F, y + u * 0.05F, x + u * 0.23F, y + u * 0.69F, u * 0.23F, (colour){245, 84, 110, 255});
    paint_line(st->to, x, y + u * 0.1F, x, y + u * 0.45F, u * 0.06F, (colour){190, 40, 70, 255});
}

static void c_horns(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int s = -1; s <= 1; s += 2) {
        float f = (float)s;
        point p[4] = {{x + f * st->w * 0.16F, y + u * 0.3F}, {x + f * st->w * 0.2F, y - u * 0.1F}, {x + f * st->w * 0.42F, y - u * 0.45F}, {x + f * st->w * 0.36F, y + u * 0.42F}};
        paint_polygon(st->to, p, 4, 1, (colour){176, 30, 60, 255});
    }
}

static void c_wobble(const cue_stage *st, float x, float y, float u, float side) {
    (void)side;
    for (int i = 0; i < 12; i++)
        paint_line(st->to, x + ((float)i - 6) * u * 0.09F, y + sinf((float)i * 1.2F) * u * 0.07F, x + ((float)i - 5) * u * 0.09F, y + sinf((float)(i + 1) * 1.2F) * u * 0.07F, u * 0.09F, DARK);
}

/* Signs written with letters. */
static bqb_status sign(const cue_stage *st, const char *text, float x, float y, float u, colour k, bqb_err *err) {
    float pen = x;
    size_t len = strlen(text), n = bqb_utf8_count(text, len), drawn = 0;
    for (size_t i = 0; i < len; drawn++) {
        uint32_t cp;
        i += bqb_utf8_next(text + i, len - i, &cp, NULL);
        const letter *l;
        bqb_status s = glyphs_letter(st->glyphs, 0, cp, &l, err);
        if (s) return s;
        float scale = u / GLYPH_EM * (n > 1 ? 0.75F + 0.2F * (float)drawn : 1.2F);
        placing at = {pen, y - (n > 1 ? (float)drawn * u * 0.3F : 0), scale, scale, jitter(st, 0.25F), 0, 1};
        static const float off[8][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {.7F, .7F}, {-.7F, .7F}, {.7F, -.7F}, {-.7F, -.7F}};
        for (int j = 0; j < 8; j++) {
            placing o = at;
            o.cx += off[j][0] * 2;
            o.cy += off[j][1] * 2;
            paint_mask(st->to, &l->ink, o, WHITE);
        }
        paint_mask(st->to, &l->ink, at, k);
        pen += u * 0.62F;
    }
    return BQB_OK;
}

/* A cue that is an emoji is drawn by the subject's hand where that hand has it. */
static bqb_status emoji(const cue_stage *st, const char *text, float x, float y, float u, bqb_err *err) {
    char key[96];
    synth_key(key, text);
    size_t i = synth_data_find(st->data, key);
    if (i == SIZE_MAX) return BQB_OK;
    const canvas *c;
    bqb_status s = glyphs_sprite(st->glyphs, i, glyphs_has(st->glyphs, i, st->hand) ? st->hand : 0, &c, err);
    if (s) return s;
    float scale = u * 1.25F / (float)(c->w > c->h ? c->w : c->h);
    paint_copy(st->to, c, (placing){x, y, scale, scale, jitter(st, 0.2F), 0, 1});
    return BQB_OK;
}

typedef struct {
    const char *name;
    cue_fn fn;
} cue_name;

static const cue_name CUES[] = {
    {"heart", c_heart}, {"hearteyes", c_hearteye}, {"spark", c_spark}, {"glint", c_spark}, {"star", c_star},
    {"stareyes", c_stareye}, {"drop", c_drop}, {"sweat1", c_drop}, {"sweat3", c_sweat3}, {"teardrop", c_teardrop},
    {"joy", c_joy}, {"tears", c_tears}, {"puddle", c_puddle}, {"watery", c_watery}, {"vein", c_vein},
    {"shout", c_shout}, {"wave", c_wave}, {"shiver", c_shiver}, {"blush", c_blush}, {"gloom", c_gloom},
    {"pale", c_pale}, {"dots", c_dots}, {"flash", c_flash}, {"ray", c_ray}, {"fire", c_fire}, {"flame", c_flame},
    {"bolt", c_bolt}, {"crack", c_crack}, {"scribble", c_scribble}, {"lines", c_lines}, {"ring", c_ring},
    {"swirl", c_swirl}, {"stink", c_stink}, {"steam", c_steam}, {"bubble", c_bubble}, {"headband", c_headband},
    {"check", c_check}, {"cross", c_cross}, {"stop", c_stop}, {"petal", c_petal}, {"confetti", c_confetti},
    {"dash", c_dash}, {"raincloud", c_rain}, {"tongue", c_tongue}, {"horns", c_horns}, {"wobble", c_wobble},
};

typedef struct {
    const char *name, *text;
    colour k;
} cue_sign;
static const cue_sign SIGNS[] = {
    {"zzz", "Zzz", {70, 90, 200, 255}}, {"quest", "？", {150, 60, 200, 255}}, {"bang", "！", {230, 40, 30, 255}},
    {"ha", "哈", {240, 120, 20, 255}},
};


static bool on_face(const char *place) { return !strncmp(place, "eyes", 4) || !strcmp(place, "cheeks") || !strcmp(place, "mouth"); }

bqb_status cue_draw(const cue_stage *st, const char *cue, bool back, bqb_err *err) {
    const char *at = strrchr(cue, '@');
    char name[64];
    if (!at || (size_t)(at - cue) >= sizeof name) return BQB_OK;
    memcpy(name, cue, (size_t)(at - cue));
    name[at - cue] = 0;
    const char *place = at + 1;
    if (back != !strcmp(place, "back") || !strcmp(place, "face") || (on_face(place) && !st->face)) return BQB_OK;
    spots sp = places(st, place);
    for (size_t i = 0; i < sp.n; i++) {
        float side = sp.n == 2 ? (i ? 1.0F : -1.0F) : 0, x = sp.at[i].x, y = sp.at[i].y;
        bool done = false;
        for (size_t k = 0; k < sizeof CUES / sizeof *CUES && !done; k++)
            if ((done = !strcmp(CUES[k].name, name))) CUES[k].fn(st, x, y, sp.size, side);
        bqb_status s = BQB_OK;
        for (size_t k = 0; k < sizeof SIGNS / sizeof *SIGNS && !done; k++)
            if ((done = !strcmp(SIGNS[k].name, name))) s = sign(st, SIGNS[k].text, x, y, sp.size, SIGNS[k].k, err);
        if (!done) s = emoji(st, name, x, y, sp.size, err);
        if (s) return s;
    }
    return BQB_OK;
}

/* ---- faces ---- */

static void arc(canvas *c, float x, float y, float r, float from, float to, float width, colour k) {
    for (int i = 0; i < 10; i++) {
        float a = from + (to - from) * (float)i / 10, b = from + (to - from) * (float)(i + 1) / 10;
        paint_line(c, x + cosf(a) * r, y + sinf(a) * r, x + cosf(b) * r, y + sinf(b) * r, width, k);
    }
}

void cue_face(const cue_stage *st, const char *cue) {
    char eyes[16] = "dot", mouth[16] = "smile";
    if (sscanf(cue, "f-%15[a-z]-%15[a-z]", eyes, mouth) < 1) return;
    canvas *c = st->to;
    float u = fminf(st->w, st->h) * 0.13F, x = st->cx, y = st->cy, wide = fminf(st->w, st->h) * 0.2F, t = u * 0.3F;
    for (int s = -1; s <= 1; s += 2) {
        float f = (float)s, ex = x + f * wide, ey = y - u * 0.3F;
        if (!strcmp(eyes, "dot") || !strcmp(eyes, "tear") || !strcmp(eyes, "angry")) {
            paint_ellipse(c, ex, ey, u * 0.52F, u * 0.62F, 0, DARK);
            paint_ellipse(c, ex - u * 0.15F, ey - u * 0.22F, u * 0.17F, u * 0.19F, 0, WHITE);
            if (!strcmp(eyes, "tear")) c_watery(st, ex, ey, u, 0);
            if (!strcmp(eyes, "angry")) paint_line(c, ex - f * u * 0.7F, ey - u * 0.5F, ex + f * u * 0.7F, ey - u * 1.2F, t * 1.2F, DARK);
        } else if (!strcmp(eyes, "arc")) arc(c, ex, ey + u * 0.3F, u * 0.6F, PI, 2 * PI, t, DARK);
        else if (!strcmp(eyes, "down")) arc(c, ex, ey - u * 0.2F, u * 0.6F, 0, PI, t, DARK);
        else if (!strcmp(eyes, "flat")) paint_line(c, ex - u * 0.6F, ey, ex + u * 0.6F, ey, t, DARK);
        else if (!strcmp(eyes, "heart")) c_hearteye(st, ex, ey, u * 1.3F, f);
        else if (!strcmp(eyes, "star")) c_stareye(st, ex, ey, u * 1.4F, f);
        else if (!strcmp(eyes, "ring")) c_ring(st, ex, ey, u * 1.3F, f);
        else if (!strcmp(eyes, "swirl")) c_swirl(st, ex, ey, u * 1.7F, f);
        else if (!strcmp(eyes, "side")) {
            paint_ellipse(c, ex, ey, u * 0.75F, u * 0.6F, 0, WHITE);
            paint_ellipse(c, ex + u * 0.35F, ey, u * 0.3F, u * 0.3F, 0, DARK);
            paint_line(c, ex - u * 0.8F, ey - u * 0.45F, ex + u * 0.8F, ey - u * 0.45F, t, DARK);
        } else if (!strcmp(eyes, "cross")) {
            paint_line(c, ex - f * u * 0.5F * -1, ey, ex - f * u * 0.5F, ey - u * 0.5F * -1, t, DARK);
            paint_line(c, ex + f * u * 0.5F, ey - u * 0.5F, ex - f * u * 0.5F, ey, t, DARK);
            paint_line(c, ex + f * u * 0.5F, ey + u * 0.5F, ex - f * u * 0.5F, ey, t, DARK);
        } else if (!strcmp(eyes, "wink")) {
            if (s < 0) arc(c, ex, ey + u * 0.3F, u * 0.6F, PI, 2 * PI, t, DARK);
            else {
                paint_ellipse(c, ex, ey, u * 0.52F, u * 0.62F, 0, DARK);
                paint_ellipse(c, ex - u * 0.15F, ey - u * 0.22F, u * 0.17F, u * 0.19F, 0, WHITE);
            }
        }
        paint_ellipse(c, x + f * wide * 1.55F, y + u * 0.7F, u * 0.5F, u * 0.3F, 0, (colour){255, 100, 120, 130});
    }
    float my = y + u * 0.75F;
    if (!strcmp(mouth, "smile")) arc(c, x, my - u * 0.3F, u * 0.6F, 0.2F, PI - 0.2F, t, DARK);
    else if (!strcmp(mouth, "frown")) arc(c, x, my + u * 0.7F, u * 0.6F, PI + 0.3F, 2 * PI - 0.3F, t, DARK);
    else if (!strcmp(mouth, "flat")) paint_line(c, x - u * 0.55F, my + u * 0.1F, x + u * 0.55F, my + u * 0.1F, t, DARK);
    else if (!strcmp(mouth, "smirk")) paint_line(c, x - u * 0.5F, my + u * 0.25F, x + u * 0.6F, my - u * 0.15F, t, DARK);
    else if (!strcmp(mouth, "wavy")) c_wobble(st, x, my + u * 0.15F, u * 1.4F, 0);
    else if (!strcmp(mouth, "o")) paint_ellipse(c, x, my + u * 0.3F, u * 0.35F, u * 0.45F, 0, DARK);
    else if (!strcmp(mouth, "cat")) {
        arc(c, x - u * 0.35F, my - u * 0.1F, u * 0.35F, 0, PI, t, DARK);
        arc(c, x + u * 0.35F, my - u * 0.1F, u * 0.35F, 0, PI, t, DARK);
    } else if (!strcmp(mouth, "tongue")) {
        c_tongue(st, x, my, u * 1.2F, 0);
        paint_line(c, x - u * 0.6F, my, x + u * 0.6F, my, t, DARK);
    } else if (!strcmp(mouth, "teeth")) {
        paint_round_box(c, x - u * 0.75F, my - u * 0.2F, x + u * 0.75F, my + u * 0.45F, u * 0.2F, DARK);
        paint_round_box(c, x - u * 0.62F, my - u * 0.07F, x + u * 0.62F, my + u * 0.32F, u * 0.12F, WHITE);
        paint_line(c, x, my - u * 0.1F, x, my + u * 0.35F, t * 0.5F, DARK);
    } else if (!strcmp(mouth, "open") || !strcmp(mouth, "wail")) {
        bool up = mouth[0] == 'o';
        point p[14];
        for (size_t i = 0; i < 14; i++) {
            float a = (float)i * PI / 13;
            p[i] = (point){x + cosf(a) * u * 0.8F, my + (up ? -u * 0.25F + sinf(a) * u * 0.95F : u * 0.75F - sinf(a) * u * 0.95F)};
        }
        paint_polygon(c, p, 14, 0, (colour){120, 20, 30, 255});
        paint_ellipse(c, x, my + u * 0.45F, u * 0.4F, u * 0.22F, 0, (colour){250, 100, 120, 255});
    }
}
