/* Pictures: any bytes are decoded or refused, inside the limits. The decoders
 * are libvips' and its libraries'; ours are the sniffing, the frames and the copying around them. */
#include "image/sniff.h"
#include "image/thumbnail.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t rgb[3 * 8 * 8 * 3];
    const bqb_image_limits lim = {
        .max_pixels = 1 << 16, .max_frames = 20, .timeout_ms = 1000, .drop_alpha = size & 1};
    bqb_err err = {0};
    bqb_image_info info;
    bqb_sniff_other(data, size);
    bqb_status s = bqb_image_frames(rgb, &info, data, size, "fuzz", 8, &lim, &err);
    if (s ? strncmp(err.msg, "fuzz: ", 6) : info.width * info.height > lim.max_pixels || info.frames > 20)
        abort();
    bqb_thumbnail t;
    if (!bqb_image_thumbnail(&t, data, size, "fuzz", 9, 7, 3, &lim, NULL)) {
        if (t.width > 9 || t.height > 7 || t.frames > 3) abort();
        bqb_thumbnail_free(&t);
    }
    return 0;
}
