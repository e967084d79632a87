/* Decoding and resampling against the reference's pixels. Every tensor named
 * "FILE@R" or "FILE@R/white" in pixels.safetensors is compared with what comes
 * out of images/FILE. The tolerance is 1/255 mean absolute per frame, because
 * JPEG and lossy WebP decoders may differ by a level; the rest is exact. */
#include "file/safetensors.h"
#include "image/decode.h"
#include "image/resample.h"

#include "base/fs.h"
#include "base/mem.h"
#include "golden/golden.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 1.0;

static double mean_error(const uint8_t *a, const uint8_t *b, size_t n, int *max) {
    double sum = 0;
    *max = 0;
    for (size_t i = 0; i < n; i++) {
        int d = abs(a[i] - b[i]);
        sum += d;
        if (d > *max) *max = d;
    }
    return sum / (double)n;
}

/* Ours for the tensor "FILE@R" or "FILE@R/white"; NULL with a failed check. */
static uint8_t *frames_for(const bqb_tensor *t, size_t *R) {
    char name[512];
    const char *at = strrchr(t->name, '@');
    if (!CHECK_MSG(at && at - t->name < 256, "%s: not FILE@R", t->name)) return NULL;
    snprintf(name, sizeof name, "images/%.*s", (int)(at - t->name), t->name);
    const char *path = golden_path(name);
    char *end;
    *R = (size_t)strtoul(at + 1, &end, 10);
    bool shape = t->dtype == BQB_U8 && t->n_dims == 4 && t->dim[0] == 3 && t->dim[1] == *R &&
                 t->dim[2] == *R && t->dim[3] == 3;
    if (!CHECK_MSG(shape, "%s: not u8 [3,R,R,3]", t->name)) return NULL;
    uint8_t *rgb = bqb_calloc(t->n, 1);
    bqb_image_limits lim = {.drop_alpha = strcmp(end, "/white") != 0};
    bqb_err err;
    if (rgb && CHECK_OK(bqb_image_frames_file(rgb, NULL, path, *R, &lim, &err), err)) return rgb;
    free(rgb);
    return NULL;
}

/* The same frame through another cubic, a = -1.5; false where the picture is not plain RGB. */
static bool wrong_kernel(uint8_t *rgb, const bqb_tensor *t, size_t R) {
    char name[512];
    snprintf(name, sizeof name, "images/%.*s", (int)(strrchr(t->name, '@') - t->name), t->name);
    const char *path = golden_path(name);
    bqb_map m = {0};
    bqb_image_reader *r = NULL;
    const uint8_t *pixels;
    bool ok = !bqb_map_open(&m, path, NULL) && !bqb_image_open(&r, m.data, m.size, path, NULL, NULL) &&
              bqb_image_channels(r) == 3 && !bqb_image_read(r, &pixels, 0, NULL) &&
              !bqb_resample_plain(rgb, R, R, pixels, bqb_image_info_of(r)->width,
                                  bqb_image_info_of(r)->height, 3, -1.5, NULL);
    bqb_image_close(r);
    bqb_map_close(&m);
    return ok;
}

/* Planted faults, each of which must push a picture past the tolerance. */
typedef struct {
    bool swapped, first_for_middle, first_for_last, kernel; /* seen */
    bool middle, last, plain; /* the set has a picture whose middle or last frame differs from the first; one
                                 without alpha */
} faults;

static void plant(faults *seen, uint8_t *rgb, const bqb_tensor *t, size_t R) {
    const uint8_t *want = t->data;
    size_t size = R * R * 3;
    int max;
    seen->first_for_middle |= mean_error(rgb, want + size, size, &max) > TOLERANCE;
    seen->first_for_last |= mean_error(rgb, want + 2 * size, size, &max) > TOLERANCE;
    seen->middle |= mean_error(want, want + size, size, &max) > 2 * TOLERANCE;
    seen->last |= mean_error(want, want + 2 * size, size, &max) > 2 * TOLERANCE;
    for (size_t p = 0; p < size; p += 3) {
        uint8_t red = rgb[p];
        rgb[p] = rgb[p + 2];
        rgb[p + 2] = red;
    }
    seen->swapped |= mean_error(rgb, want, size, &max) > TOLERANCE;
    if (!wrong_kernel(rgb, t, R)) return;
    seen->plain = true;
    seen->kernel |= mean_error(rgb, want, size, &max) > TOLERANCE;
}

TEST(golden_pixels) {
    bqb_err err;
    bqb_safetensors *st;
    if (!CHECK_OK(bqb_safetensors_open(&st, golden_path("pixels.safetensors"), &err), err)) return;
    double worst = 0;
    faults seen = {0};
    size_t exact = 0, n = bqb_safetensors_count(st);
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++) {
        const bqb_tensor *t = bqb_safetensors_at(st, i);
        const uint8_t *want = t->data;
        size_t R;
        uint8_t *rgb = frames_for(t, &R);
        if (!rgb) continue;
        int largest = 0;
        for (size_t f = 0, size = R * R * 3; f < 3; f++) {
            int max;
            double e = mean_error(rgb + f * size, want + f * size, size, &max);
            CHECK_MSG(e <= TOLERANCE, "%s frame %zu: mean error %.3f/255, at most %.1f", t->name, f, e,
                      TOLERANCE);
            if (e > worst) worst = e;
            if (max > largest) largest = max;
        }
        if (largest) printf("  %s: largest error %d/255\n", t->name, largest);
        exact += !largest;
        plant(&seen, rgb, t, R);
        free(rgb);
    }
    CHECK_MSG(seen.swapped, "planted: red and blue changed over, not seen");
    CHECK_MSG(seen.kernel || !seen.plain, "planted: a = -1.5, not seen");
    CHECK_MSG(seen.first_for_middle || !seen.middle, "planted: first frame for the middle, not seen");
    CHECK_MSG(seen.first_for_last || !seen.last, "planted: first frame for the last, not seen");
    printf("  pixels: %zu of %zu exact, worst mean error %.4f/255\n", exact, n, worst);
    bqb_safetensors_close(st);
}
