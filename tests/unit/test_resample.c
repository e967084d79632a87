#include "image/resample.h"

#include "base/mem.h"
#include "base/rand.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *noise(size_t n, uint64_t seed) {
    uint8_t *p = bqb_calloc(n, 1);
    bqb_rand r = bqb_rand_seed(seed, 0);
    /* Mostly extremes: they reach the clamps. */
    for (size_t i = 0; p && i < n; i++) {
        uint64_t v = bqb_rand_u64(&r);
        p[i] = v & 256 ? (uint8_t)v : v & 512 ? 255 : 0;
    }
    return p;
}

/* Samples in which the three resamplers differ, or SIZE_MAX when one fails. */
static size_t differences(size_t in_w, size_t in_h, size_t out_w, size_t out_h, size_t C, double a) {
    bqb_err err;
    size_t n = out_w * out_h * C, differ = 0;
    uint8_t *in = noise(in_w * in_h * C, in_w * 31 + in_h), *plain = bqb_calloc(n, 1);
    uint8_t *fast = bqb_calloc(n, 1), *portable = bqb_calloc(n, 1);
    if (bqb_resample(fast, out_w, out_h, in, in_w, in_h, C, &err) ||
        bqb_resample_portable(portable, out_w, out_h, in, in_w, in_h, C, &err) ||
        bqb_resample_plain(plain, out_w, out_h, in, in_w, in_h, C, a, &err))
        differ = SIZE_MAX;
    else
        for (size_t i = 0; i < n; i++) differ += fast[i] != plain[i] || portable[i] != plain[i];
    free(in);
    free(fast);
    free(portable);
    free(plain);
    return differ;
}

TEST(resample_fast_equals_plain) {
    static const size_t side[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100};
    static const size_t channels[] = {1, 3, 4};
    const size_t n = sizeof side / sizeof *side;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                size_t w = side[i], h = side[(i * 5 + j) % n], ow = side[j], oh = side[(j * 7 + i) % n];
                size_t d = differences(w, h, ow, oh, channels[c], BQB_CUBIC_A);
                CHECK_MSG(d == 0, "%zu x %zu to %zu x %zu, %zu channels: %zu samples differ", w, h, ow, oh,
                          channels[c], d);
            }
    CHECK(differences(700, 400, 224, 224, 3, BQB_CUBIC_A) == 0);
    /* The planted fault: another cubic must be seen. */
    CHECK(differences(100, 100, 64, 64, 3, -0.75) > 1000);
}

TEST(resample_keeps_what_it_must) {
    bqb_err err;
    uint8_t flat[20 * 9 * 3], out[50 * 70 * 3], same[20 * 9 * 3];
    memset(flat, 201, sizeof flat);
    CHECK_OK(bqb_resample(out, 50, 70, flat, 20, 9, 3, &err), err);
    for (size_t i = 0; i < sizeof out; i++)
        if (!CHECK_MSG(out[i] == 201, "sample %zu of a flat picture became %d", i, out[i])) break;
    for (size_t i = 0; i < sizeof flat; i++) flat[i] = (uint8_t)(i * 7);
    CHECK_OK(bqb_resample(same, 20, 9, flat, 20, 9, 3, &err), err);
    CHECK(memcmp(same, flat, sizeof flat) == 0);
}

/* Worked by hand: 4 samples to 2. Scale 2, so the weights are the cubic at
 * (x - 0.5)/2: output 0 is centred on 1 and reaches samples 0 … 3 (cut to those
 * below 1 + 4 + 0.5): cubic(.25) twice, cubic(.75), cubic(1.25). */
TEST(resample_by_hand) {
    bqb_err err;
    static const uint8_t in[4] = {0, 0, 255, 0};
    uint8_t out[2];
    CHECK_OK(bqb_resample(out, 2, 1, in, 4, 1, 1, &err), err);
    double near = 1.5 * .25 * .25 * .25 - 2.5 * .25 * .25 + 1,
           mid = 1.5 * .75 * .75 * .75 - 2.5 * .75 * .75 + 1;
    double far = -0.5 * (1.25 * 1.25 * 1.25 - 5 * 1.25 * 1.25 + 8 * 1.25 - 4), sum = 2 * near + mid + far;
    CHECK_MSG(out[0] == (uint8_t)(255 * mid / sum + 0.5), "out[0] is %d", out[0]);
    CHECK_MSG(out[1] == (uint8_t)(255 * near / sum + 0.5), "out[1] is %d", out[1]);
}

TEST(resample_refuses) {
    bqb_err err;
    uint8_t in[16] = {0}, out[16];
    CHECK(bqb_resample(out, 0, 1, in, 1, 1, 1, &err) == BQB_EINVAL);
    CHECK(bqb_resample(out, 1, 1, in, 1, 0, 1, &err) == BQB_EINVAL);
    CHECK(bqb_resample(out, 1, 1, in, (size_t)1 << 40, 1, 1, &err) == BQB_EINVAL);
    CHECK(bqb_resample(out, 1, 1, in, 1, 1, 2, &err) == BQB_EINVAL);
    CHECK(strstr(err.msg, "2 channels") != NULL);
}

TEST(alpha_round_trips) {
    static const uint8_t px[16] = {10, 200, 255, 255, 10, 200, 255, 0, 100, 50, 255, 128, 1, 2, 3, 1};
    uint8_t pre[16], back[16], rgb[12];
    bqb_alpha_premultiply(pre, px, 4);
    static const uint8_t want[16] = {10, 200, 255, 255, 0, 0, 0, 0, 50, 25, 128, 128, 0, 0, 0, 1};
    CHECK(memcmp(pre, want, 16) == 0);
    bqb_alpha_unpremultiply(back, pre, 4);
    static const uint8_t want_back[16] = {10, 200, 255, 255, 0, 0, 0, 0, 99, 49, 255, 128, 0, 0, 0, 1};
    CHECK(memcmp(back, want_back, 16) == 0);
    bqb_alpha_over_white(rgb, px, 4);
    static const uint8_t want_rgb[12] = {10, 200, 255, 255, 255, 255, 177, 152, 255, 254, 254, 254};
    CHECK(memcmp(rgb, want_rgb, 12) == 0);
    bqb_alpha_drop(rgb, px, 4);
    CHECK(memcmp(rgb + 6, px + 8, 3) == 0);
}
