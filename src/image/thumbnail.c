#include "image/thumbnail.h"

#include "base/fs.h"
#include "base/mem.h"
#include "image/resample.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 4096 };

/* The largest box of the picture's shape inside max_w × max_h. */
static void fit(bqb_thumbnail *t, size_t max_w, size_t max_h) {
    size_t w = t->info.width, h = t->info.height;
    t->width = w < max_w ? w : max_w;
    t->height = h < max_h ? h : max_h;
    if (t->width * h > t->height * w) t->width = (t->height * w + h / 2) / h;
    else t->height = (t->width * h + w / 2) / w;
    if (!t->width) t->width = 1;
    if (!t->height) t->height = 1;
}

static bqb_status shrink(bqb_thumbnail *t, bqb_image_reader *r, uint8_t *scratch, bqb_err *err) {
    size_t n = t->width * t->height, all = t->info.frames;
    for (size_t k = 0; k < t->frames; k++) {
        size_t frame = k * all / t->frames, next = (k + 1) * all / t->frames;
        uint8_t *out = t->rgba + k * n * 4;
        const uint8_t *px;
        bqb_status s = bqb_image_read(r, &px, frame, err);
        if (s) return s;
        bqb_alpha_add(scratch, px, t->info.width * t->info.height, bqb_image_channels(r));
        bqb_alpha_premultiply(scratch, scratch, t->info.width * t->info.height);
        s = bqb_resample(out, t->width, t->height, scratch, t->info.width, t->info.height, 4, err);
        if (s) return s;
        bqb_alpha_unpremultiply(out, out, n);
        for (; frame < next; frame++) t->delay_ms[k] += bqb_image_delay_ms(r, frame);
    }
    return BQB_OK;
}

bqb_status bqb_image_thumbnail(bqb_thumbnail *t, const void *data, size_t size, const char *name,
                               size_t max_w, size_t max_h, size_t max_frames, const bqb_image_limits *lim,
                               bqb_err *err) {
    *t = (bqb_thumbnail){0};
    if (!max_w || !max_h || max_w > MAX_SIDE || max_h > MAX_SIDE || !max_frames)
        return bqb_fail(err, BQB_EINVAL,
                        "thumbnail of %zu x %zu, %zu frames: sides must be 1 to %d, frames 1 or more", max_w,
                        max_h, max_frames, MAX_SIDE);
    bqb_image_reader *r;
    bqb_status s = bqb_image_open(&r, data, size, name, lim, err);
    if (s) return s;
    t->info = *bqb_image_info_of(r);
    t->frames = t->info.frames < max_frames ? t->info.frames : max_frames;
    fit(t, max_w, max_h);
    uint8_t *scratch = bqb_alloc_aligned(t->info.width * t->info.height, 4);
    t->rgba = bqb_alloc_aligned(t->frames, t->width * t->height * 4);
    t->delay_ms = bqb_calloc(t->frames, sizeof *t->delay_ms);
    if (scratch && t->rgba && t->delay_ms) s = shrink(t, r, scratch, err);
    else s = bqb_fail_nomem(err, name, t->frames * t->width * t->height * 4);
    free(scratch);
    bqb_image_close(r);
    if (s) bqb_thumbnail_free(t);
    return s;
}

bqb_status bqb_image_thumbnail_file(bqb_thumbnail *t, const char *path, size_t max_w, size_t max_h,
                                    size_t max_frames, const bqb_image_limits *lim, bqb_err *err) {
    *t = (bqb_thumbnail){0};
    bqb_map m;
    bqb_status s = bqb_map_open(&m, path, err);
    if (!s) s = bqb_image_thumbnail(t, m.data, m.size, path, max_w, max_h, max_frames, lim, err);
    bqb_map_close(&m);
    return s;
}

void bqb_thumbnail_free(bqb_thumbnail *t) {
    free(t->rgba);
    free(t->delay_ms);
    *t = (bqb_thumbnail){0};
}
