#include "image/resample.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRACTION_BITS = 22, /* 8 bits of sample, 2 of headroom for the negative lobes, 22 of weight */
    MAX_SIDE = 1 << 20,
    CHUNK = 512
};

/* Weights of one axis: output i reads count[i] samples from first[i] on. */
typedef struct {
    size_t taps; /* the largest count; the stride of weight */
    uint32_t *first, *count;
    int32_t *weight;
} axis;

static double cubic(double d, double a) {
    d = fabs(d);
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
    return 0;
}

static void axis_free(axis *x) {
    free(x->first);
    free(x->count);
    free(x->weight);
    *x = (axis){0};
}

static bool axis_init(axis *x, size_t n_in, size_t n_out, double a) {
    double scale = (double)n_in / (double)n_out, s = scale > 1 ? scale : 1, reach = 2 * s;
    *x = (axis){.taps = (size_t)ceil(reach) * 2 + 1};
    x->first = bqb_calloc(n_out, sizeof *x->first);
    x->count = bqb_calloc(n_out, sizeof *x->count);
    x->weight = bqb_calloc(n_out, x->taps * sizeof *x->weight);
    double *w = bqb_calloc(x->taps, sizeof *w);
    if (!x->first || !x->count || !x->weight || !w) {
        free(w);
        axis_free(x);
        return false;
    }
    for (size_t i = 0; i < n_out; i++) {
        double centre = ((double)i + 0.5) * scale, sum = 0;
        double lo = centre - reach + 0.5, hi = centre + reach + 0.5;
        size_t from = lo > 0 ? (size_t)lo : 0, to = hi < (double)n_in ? (size_t)hi : n_in;
        size_t n = to - from;
        for (size_t t = 0; t < n; t++) {
            w[t] = cubic(((double)(from + t) - centre + 0.5) * (1 / s), a);
            sum += w[t];
        }
        for (size_t t = 0; t < n; t++) {
            double k = (sum != 0 ? w[t] / sum : w[t]) * (1 << FRACTION_BITS);
            x->weight[i * x->taps + t] = (int32_t)(k < 0 ? k - 0.5 : k + 0.5);
        }
        x->first[i] = (uint32_t)from;
        x->count[i] = (uint32_t)n;
    }
    free(w);
    return true;
}

static inline uint8_t round_clamp(int32_t sum) {
    int32_t v = (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One pass of the plain version: element (o, i, c) of n_outer lines, filtered
 * along i; line_in and step are distances in samples between lines and between
 * neighbours on the axis. */
static void plain_pass(uint8_t *out, const uint8_t *in, const axis *x, size_t n_out, size_t n_outer, size_t C,
                       size_t line_out, size_t line_in, size_t step) {
    for (size_t o = 0; o < n_outer; o++)
        for (size_t i = 0; i < n_out; i++)
            for (size_t c = 0; c < C; c++) {
                int32_t sum = 0;
                for (size_t t = 0; t < x->count[i]; t++)
                    sum += x->weight[i * x->taps + t] * in[o * line_in + (x->first[i] + t) * step + c];
                out[o * line_out + i * step + c] = round_clamp(sum);
            }
}

static bqb_status check_sides(size_t out_w, size_t out_h, size_t in_w, size_t in_h, bqb_err *err) {
    if (!out_w || !out_h || !in_w || !in_h || out_w > MAX_SIDE || out_h > MAX_SIDE || in_w > MAX_SIDE ||
        in_h > MAX_SIDE)
        return bqb_fail(err, BQB_EINVAL, "resample: %zu x %zu to %zu x %zu, sides must be 1 to %d", in_w,
                        in_h, out_w, out_h, MAX_SIDE);
    return BQB_OK;
}

bqb_status bqb_resample_plain(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w,
                              size_t in_h, size_t C, double a, bqb_err *err) {
    bqb_status s = check_sides(out_w, out_h, in_w, in_h, err);
    if (s) return s;
    axis h = {0}, v = {0};
    uint8_t *wide = bqb_calloc(in_h, out_w * C);
    if (!wide || !axis_init(&h, in_w, out_w, a) || !axis_init(&v, in_h, out_h, a)) {
        s = bqb_fail_nomem(err, "resample", in_h * out_w * C);
        goto done;
    }
    if (in_w == out_w) memcpy(wide, in, in_h * in_w * C);
    else plain_pass(wide, in, &h, out_w, in_h, C, out_w * C, in_w * C, C);
    /* Down the columns a "line" is a column's sample, its neighbours a row apart. */
    if (in_h == out_h) memcpy(out, wide, out_h * out_w * C);
    else plain_pass(out, wide, &v, out_h, out_w * C, 1, 1, 1, out_w * C);
done:
    free(wide);
    axis_free(&h);
    axis_free(&v);
    return s;
}

/* Four sums side by side, which is one vector register: for C = 3 the fourth
 * is the next pixel's red and is thrown away, so `row` needs one readable byte
 * past its end. */
static inline void pixel_sums(int32_t sum[4], const uint8_t *px, const int32_t *weight, size_t count,
                              size_t C) {
    int32_t s[4] = {0};
    for (size_t t = 0; t < count; t++, px += C)
        for (size_t c = 0; c < 4; c++) s[c] += weight[t] * px[c];
    memcpy(sum, s, sizeof s);
}

static void row_across(uint8_t *out, const uint8_t *row, const axis *x, size_t n_out, size_t C) {
    int32_t sum[4];
    for (size_t i = 0; i < n_out; i++, out += C) {
        const int32_t *weight = x->weight + i * x->taps;
        const uint8_t *px = row + x->first[i] * C;
        size_t count = x->count[i];
        if (C == 3) {
            pixel_sums(sum, px, weight, count, 3);
            for (size_t c = 0; c < 3; c++) out[c] = round_clamp(sum[c]);
        } else if (C == 4) {
            pixel_sums(sum, px, weight, count, 4);
            for (size_t c = 0; c < 4; c++) out[c] = round_clamp(sum[c]);
        } else {
            int32_t one = 0;
            for (size_t t = 0; t < count; t++) one += weight[t] * px[t];
            out[0] = round_clamp(one);
        }
    }
}

static void row_down(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight, size_t count) {
    int32_t sum[CHUNK];
    for (size_t x0 = 0; x0 < stride; x0 += CHUNK) {
        size_t n = stride - x0 < CHUNK ? stride - x0 : CHUNK;
        memset(sum, 0, n * sizeof *sum);
        for (size_t t = 0; t < count; t++) {
            const uint8_t *px = rows + t * stride + x0;
            int32_t w = weight[t];
            for (size_t x = 0; x < n; x++) sum[x] += w * px[x];
        }
        for (size_t x = 0; x < n; x++) out[x0 + x] = round_clamp(sum[x]);
    }
}

bqb_status bqb_resample(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w, size_t in_h,
                        size_t C, bqb_err *err) {
    if (C != 1 && C != 3 && C != 4)
        return bqb_fail(err, BQB_EINVAL, "resample: %zu channels, 1, 3 or 4 needed", C);
    bqb_status s = check_sides(out_w, out_h, in_w, in_h, err);
    if (s) return s;
    axis h = {0}, v = {0};
    size_t stride = out_w * C;
    uint8_t *wide = bqb_alloc_aligned(in_h, stride), *row = bqb_alloc_aligned(in_w * C + 1, 1);
    if (!wide || !row || !axis_init(&h, in_w, out_w, BQB_CUBIC_A) ||
        !axis_init(&v, in_h, out_h, BQB_CUBIC_A)) {
        s = bqb_fail_nomem(err, "resample", in_h * stride);
        goto done;
    }
    const uint8_t *rows = in;
    if (in_w != out_w) {
        row[in_w * C] = 0;
        for (size_t y = 0; y < in_h; y++) {
            memcpy(row, in + y * in_w * C, in_w * C);
            row_across(wide + y * stride, row, &h, out_w, C);
        }
        rows = wide;
    }
    if (in_h == out_h) memcpy(out, rows, out_h * stride);
    else
        for (size_t y = 0; y < out_h; y++)
            row_down(out + y * stride, rows + v.first[y] * stride, stride, v.weight + y * v.taps, v.count[y]);
done:
    free(wide);
    free(row);
    axis_free(&h);
    axis_free(&v);
    return s;
}

/* a * b / 255, rounded, for a and b in 0 … 255. */
static inline uint8_t mul255(unsigned a, unsigned b) {
    unsigned p = a * b + 128;
    return (uint8_t)((p + (p >> 8)) >> 8);
}

void bqb_alpha_premultiply(uint8_t *out, const uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++, out += 4, rgba += 4) {
        uint8_t a = rgba[3];
        for (size_t c = 0; c < 3; c++) out[c] = mul255(rgba[c], a);
        out[3] = a;
    }
}

void bqb_alpha_unpremultiply(uint8_t *out, const uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++, out += 4, rgba += 4) {
        unsigned a = rgba[3];
        for (size_t c = 0; c < 3; c++) {
            unsigned v = a == 0 || a == 255 ? rgba[c] : 255u * rgba[c] / a;
            out[c] = (uint8_t)(v > 255 ? 255 : v);
        }
        out[3] = (uint8_t)a;
    }
}

void bqb_alpha_over_white(uint8_t *rgb, const uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++, rgb += 3, rgba += 4) {
        unsigned a = rgba[3], r = rgba[0], g = rgba[1], b = rgba[2];
        unsigned white = (255 - a) * 255 + 128;
        unsigned p[3] = {r * a + white, g * a + white, b * a + white};
        for (size_t c = 0; c < 3; c++) rgb[c] = (uint8_t)((p[c] + (p[c] >> 8)) >> 8);
    }
}

void bqb_alpha_drop(uint8_t *rgb, const uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++, rgb += 3, rgba += 4) memmove(rgb, rgba, 3);
}
