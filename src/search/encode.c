#include "search/encode.h"

#include "base/mem.h"
#include "image/decode.h"

#include <stdlib.h>

bqb_status bqb_encode_picture(bqb_clip *m, float *out, const char *path, bqb_err *err) {
    size_t R = bqb_clip_get_config(m)->resolution;
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    uint8_t *rgb = bqb_calloc(3 * R * R, 3);
    if (!rgb) return bqb_fail_nomem(err, path, 9 * R * R);
    s = bqb_image_frames_file(rgb, NULL, path, R, NULL, err);
    if (!s) s = bqb_clip_encode_images(m, out, rgb, 1, err);
    free(rgb);
    return s;
}
