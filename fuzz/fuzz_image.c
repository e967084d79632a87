/* Stickers: any bytes give frames or an error, within the limits. */
#include "image/decode.h"
#include "target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { R = 16 };
    const bqb_image_limits lim = {.max_pixels = 1 << 18, .max_frames = 50, .timeout_ms = 1000, .drop_alpha = size & 1};
    if (bqb_image_init(NULL)) abort();
    uint8_t *rgb = malloc(3 * R * R * 3);
    if (!rgb) abort();
    bqb_image_info info = {0};
    bqb_err err = {0};
    bqb_status s = bqb_image_frames(rgb, &info, data, size, "input", R, &lim, &err);
    if (s && !err.msg[0]) abort();
    if (!s && (info.width * info.height > lim.max_pixels || info.frames > lim.max_frames || !info.frames)) abort();
    free(rgb);
    return 0;
}
