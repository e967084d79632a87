#include "image/resample.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    FRACTION_BITS = 22 /* 8 bits of sample, 2 of headroom for the negative lobes, 22 of weight */
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
    if (!out_w || !out_h || !in_w || !in_h || out_w > BQB_RESAMPLE_SIDE || out_h > BQB_RESAMPLE_SIDE ||
        in_w > BQB_RESAMPLE_SIDE || in_h > BQB_RESAMPLE_SIDE)
        return bqb_fail(err, BQB_EINVAL, "resample: %zu x %zu to %zu x %zu, sides must be 1 to %d", in_w,
                        in_h, out_w, out_h, BQB_RESAMPLE_SIDE);
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

/* The fast version keeps eight sums side by side, one vector register. Across a
 * row these are two pixels of four samples (RGB gets an idle fourth) or eight
 * gray samples; weights are laid out to match and padded with zeros to whole vectors. */
enum { LANES = 8 };

typedef struct {
    const axis *x;
    int32_t *weight;     /* output i: `stride` values from i * stride on */
    size_t stride, step; /* step: samples a pixel takes in a row, 1 or 4 */
} lanes;

/* One row through the horizontal axis; `row` has LANES readable samples past its end. */
static void row_across(uint8_t *out, const uint8_t *row, const lanes *l, size_t n_out, size_t C) {
    for (size_t i = 0; i < n_out; i++, out += C) {
        const int32_t *weight = l->weight + i * l->stride;
        const uint8_t *px = row + l->x->first[i] * l->step;
        size_t n = l->x->count[i] * l->step;
        int32_t sum[LANES] = {0};
        for (size_t t = 0; t < n; t += LANES)
            for (size_t k = 0; k < LANES; k++) sum[k] += weight[t + k] * px[t + k];
        for (size_t k = l->step; k < LANES; k++) sum[k % l->step] += sum[k];
        for (size_t c = 0; c < C; c++) out[c] = round_clamp(sum[c]);
    }
}

/* `count` rows of `stride` samples to one. */
static void row_down(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight, size_t count) {
    size_t x = 0;
    for (; x + LANES <= stride; x += LANES) {
        int32_t sum[LANES] = {0};
        for (size_t t = 0; t < count; t++)
            for (size_t k = 0; k < LANES; k++) sum[k] += weight[t] * rows[t * stride + x + k];
        for (size_t k = 0; k < LANES; k++) out[x + k] = round_clamp(sum[k]);
    }
    for (; x < stride; x++) {
        int32_t sum = 0;
        for (size_t t = 0; t < count; t++) sum += weight[t] * rows[t * stride + x];
        out[x] = round_clamp(sum);
    }
}

#if defined(__x86_64__)
/* The same two with AVX2, chosen at run time. */
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_samples(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

AVX2 static inline __m256i weighted(__m256i sum, __m256i weight, const uint8_t *p) {
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(weight, load_samples(p)));
}

/* Four sums to four samples in the low 32 bits; packing with saturation is the clamp. */
AVX2 static inline uint32_t round4(__m128i sum) {
    __m128i v = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << (FRACTION_BITS - 1))), FRACTION_BITS);
    v = _mm_packs_epi32(v, v);
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
}

AVX2 static inline __m128i low_plus_high(__m256i v) {
    return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

AVX2 static void row_across_avx2(uint8_t *out, const uint8_t *row, const lanes *l, size_t n_out, size_t C) {
    for (size_t i = 0; i < n_out; i++, out += C) {
        const int32_t *weight = l->weight + i * l->stride;
        const uint8_t *px = row + l->x->first[i] * l->step;
        size_t n = l->x->count[i] * l->step;
        __m256i sum = _mm256_setzero_si256();
        for (size_t t = 0; t < n; t += LANES)
            sum = weighted(sum, _mm256_load_si256((const __m256i *)(const void *)(weight + t)), px + t);
        __m128i four = low_plus_high(sum);
        if (C == 1) {
            four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
            four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
        }
        uint32_t px4 = round4(four);
        if (C == 4) memcpy(out, &px4, 4);
        else if (C == 3) memcpy(out, &px4, 3);
        else out[0] = (uint8_t)px4;
    }
}

AVX2 static void row_down_avx2(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight,
                               size_t count) {
    size_t x = 0;
    for (; x + 2 * LANES <= stride; x += 2 * LANES) {
        __m256i a = _mm256_setzero_si256(), b = a;
        const uint8_t *px = rows + x;
        for (size_t t = 0; t < count; t++, px += stride) {
            __m256i w = _mm256_set1_epi32(weight[t]);
            a = weighted(a, w, px);
            b = weighted(b, w, px + LANES);
        }
        uint32_t r[4] = {round4(_mm256_castsi256_si128(a)), round4(_mm256_extracti128_si256(a, 1)),
                         round4(_mm256_castsi256_si128(b)), round4(_mm256_extracti128_si256(b, 1))};
        memcpy(out + x, r, sizeof r);
    }
    for (; x < stride; x++) {
        int32_t sum = 0;
        for (size_t t = 0; t < count; t++) sum += weight[t] * rows[t * stride + x];
        out[x] = round_clamp(sum);
    }
}
#endif

typedef struct {
    void (*across)(uint8_t *out, const uint8_t *row, const lanes *l, size_t n_out, size_t C);
    void (*down)(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight, size_t count);
} kernels;

static kernels choose_kernels(bool portable) {
#if defined(__x86_64__)
    if (!portable && __builtin_cpu_supports("avx2")) return (kernels){row_across_avx2, row_down_avx2};
#endif
    (void)portable;
    return (kernels){row_across, row_down};
}

typedef struct {
    uint8_t *out, *wide, *row;
    const uint8_t *in;
    size_t out_w, out_h, in_w, in_h, C;
    axis h, v;
    lanes l;
} job;

static void run(job *j, kernels k) {
    size_t stride = j->out_w * j->C;
    const uint8_t *rows = j->in;
    if (j->in_w != j->out_w) {
        for (size_t y = 0; y < j->in_h; y++) {
            const uint8_t *in = j->in + y * j->in_w * j->C;
            if (j->C == 3)
                for (size_t x = 0; x < j->in_w; x++) memcpy(j->row + 4 * x, in + 3 * x, 3);
            else memcpy(j->row, in, j->in_w * j->C);
            k.across(j->wide + y * stride, j->row, &j->l, j->out_w, j->C);
        }
        rows = j->wide;
    }
    if (j->in_h == j->out_h) memcpy(j->out, rows, j->out_h * stride);
    else
        for (size_t y = 0; y < j->out_h; y++)
            k.down(j->out + y * stride, rows + j->v.first[y] * stride, stride, j->v.weight + y * j->v.taps,
                   j->v.count[y]);
}

static bool lanes_init(lanes *l, const axis *x, size_t n_out, size_t step) {
    *l = (lanes){.x = x, .step = step, .stride = (x->taps * step + LANES - 1) / LANES * LANES};
    int32_t *weight = bqb_calloc(n_out, l->stride * sizeof *weight);
    l->weight = weight;
    for (size_t i = 0; weight && i < n_out; i++)
        for (size_t t = 0; t < x->count[i]; t++)
            for (size_t c = 0; c < step; c++)
                weight[i * l->stride + t * step + c] = x->weight[i * x->taps + t];
    return weight != NULL;
}

static bqb_status resample(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w,
                           size_t in_h, size_t C, bool portable, bqb_err *err) {
    if (C != 1 && C != 3 && C != 4)
        return bqb_fail(err, BQB_EINVAL, "resample: %zu channels, 1, 3 or 4 needed", C);
    bqb_status s = check_sides(out_w, out_h, in_w, in_h, err);
    if (s) return s;
    size_t step = C == 1 ? 1 : 4;
    job j = {.out = out, .in = in, .out_w = out_w, .out_h = out_h, .in_w = in_w, .in_h = in_h, .C = C};
    j.wide = bqb_alloc_aligned(in_h, out_w * C);
    j.row = bqb_calloc(in_w * step + LANES, 1);
    if (j.wide && j.row && axis_init(&j.h, in_w, out_w, BQB_CUBIC_A) &&
        axis_init(&j.v, in_h, out_h, BQB_CUBIC_A) && lanes_init(&j.l, &j.h, out_w, step))
        run(&j, choose_kernels(portable));
    else s = bqb_fail_nomem(err, "resample", in_h * out_w * C);
    free(j.wide);
    free(j.row);
    free(j.l.weight);
    axis_free(&j.h);
    axis_free(&j.v);
    return s;
}

bqb_status bqb_resample(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w, size_t in_h,
                        size_t C, bqb_err *err) {
    return resample(out, out_w, out_h, in, in_w, in_h, C, false, err);
}

bqb_status bqb_resample_portable(uint8_t *out, size_t out_w, size_t out_h, const uint8_t *in, size_t in_w,
                                 size_t in_h, size_t C, bqb_err *err) {
    return resample(out, out_w, out_h, in, in_w, in_h, C, true, err);
}

void bqb_alpha_premultiply(uint8_t *out, const uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++, out += 4, rgba += 4) {
        uint8_t a = rgba[3];
        for (size_t c = 0; c < 3; c++) out[c] = bqb_mul255(rgba[c], a);
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

void bqb_alpha_add(uint8_t *rgba, const uint8_t *px, size_t n, size_t C) {
    if (C == 4) memcpy(rgba, px, n * 4);
    else
        for (size_t i = 0; i < n; i++, rgba += 4, px += C) {
            rgba[0] = px[0];
            rgba[1] = px[C == 1 ? 0 : 1];
            rgba[2] = px[C == 1 ? 0 : 2];
            rgba[3] = 255;
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
