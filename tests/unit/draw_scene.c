#include "draw_scene.h"

#include "base/rand.h"
#include "train_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

static void fill(uint8_t *rgb, size_t x, size_t y, const uint8_t c[3]) {
    if (x < SCENE && y < SCENE) memcpy(rgb + (y * SCENE + x) * 3, c, 3);
}

void scene_draw(uint8_t *rgb, uint64_t seed, uint64_t words, int other) {
    bqb_rand r = bqb_rand_seed(seed, 1);
    memset(rgb, 255, SCENE * SCENE * 3);
    for (int k = 0; k < 6; k++) {
        uint8_t c[3];
        for (int b = 0; b < 3; b++) c[b] = (uint8_t)bqb_rand_below(&r, 220);
        int cx = 30 + (int)bqb_rand_below(&r, 132), cy = 25 + (int)bqb_rand_below(&r, 90), radius = 10 + (int)bqb_rand_below(&r, 28);
        for (int y = cy - radius; y <= cy + radius; y++)
            for (int x = cx - radius; x <= cx + radius; x++)
                if (x >= 0 && y >= 0 && y < 140 && (k % 2 || (x - cx) * (x - cx) + (y - cy) * (y - cy) <= radius * radius))
                    fill(rgb, (size_t)x, (size_t)y, c);
    }
    static const uint8_t ink[3] = {20, 20, 20};
    for (int g = 0; g < GLYPHS; g++) {
        bqb_rand w = bqb_rand_seed(words + (g == other ? 1000 : 0), (uint64_t)g);
        for (size_t cell = 0; cell < 16; cell++) {
            if (bqb_rand_below(&w, 2)) continue;
            for (size_t i = 0; i < 25; i++)
                fill(rgb, 12 + (size_t)g * 24 + cell % 4 * 5 + i % 5, 156 + cell / 4 * 5 + i / 5, ink);
        }
    }
}

void scene_save(const char *dir, const char *name, const uint8_t *rgb, size_t w, size_t h, size_t frames) {
    VipsImage *im = vips_image_new_from_memory_copy(rgb, frames * w * h * 3, (int)w, (int)(h * frames), 3, VIPS_FORMAT_UCHAR);
    if (!im) abort();
    if (frames > 1) vips_image_set_int(im, VIPS_META_PAGE_HEIGHT, (int)h);
    if (vips_image_write_to_file(im, fixture_path(dir, name), NULL)) {
        fprintf(stderr, "%s: %s\n", name, vips_error_buffer());
        abort();
    }
    g_object_unref(im);
}
