#include "train/trunk.h"

#include "base/fs.h"
#include "base/mem.h"
#include "train/group.h"

#include <stdlib.h>
#include <string.h>

enum { FOOTER = 8, VERSION = 1, BLOCK_FRAMES = 64 };
static const uint64_t magic = 0x0a6b6e7274716221u;

struct bqb_trunk {
    bqb_map map;
    uint64_t *first; /* [pictures] number of its first frame */
    size_t one;      /* bytes of a frame */
};

uint64_t bqb_trunk_key(bqb_clip *m, const bqb_dataset *ds, bool drop_alpha) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    bqb_clip_frozen f = bqb_clip_get_frozen(m);
    const uint64_t sizes[] = {c->resolution, c->patch, c->v_heads, (uint64_t)c->v_act, f.v_blocks, (uint64_t)(f.towers & BQB_TOWER_IMAGE),
                              (uint64_t)bqb_clip_precision(m), bqb_dataset_stamp(ds), drop_alpha};
    uint64_t h = bqb_key_of(sizes, sizeof sizes);
    const float *w = bqb_clip_weights(m);
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        if (!p->frozen || strncmp(p->name, "visual.", 7)) continue;
        const uint64_t both[] = {h, bqb_key_of(w + p->offset, p->n * sizeof *w)};
        h = bqb_key_of(both, sizeof both);
    }
    return h;
}

/* Where every picture's frames begin, and how many frames there are in all. */
static uint64_t count_frames(uint64_t *first, const bqb_pixels *px, size_t n, const uint8_t **rgb) {
    uint64_t frames = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at;
        size_t has = bqb_pixels_view(px, i, &at);
        if (has && !frames && rgb) *rgb = at; /* the others follow without a gap */
        if (first) first[i] = frames;
        frames += has;
    }
    return frames;
}

static size_t frame_bytes(const bqb_clip *m) {
    bqb_clip_trunk_shape s = bqb_clip_image_trunk_shape(m);
    return s.rows * s.width * sizeof(uint16_t);
}

uint64_t bqb_trunk_bytes(const bqb_clip *m, const bqb_pixels *px, size_t n_pictures) {
    if (!bqb_pixels_cached(px)) return 0;
    return count_frames(NULL, px, n_pictures, NULL) * frame_bytes(m);
}

static bool fits(const bqb_map *m, const uint64_t footer[FOOTER], size_t one) {
    uint64_t f[FOOTER];
    if (m->size < sizeof f) return false;
    memcpy(f, m->data + m->size - sizeof f, sizeof f);
    return !memcmp(f, footer, sizeof f) && (m->size - sizeof f) / one == f[4] && (m->size - sizeof f) % one == 0;
}

static bqb_status write_frames(bqb_outfile *o, bqb_clip *m, const uint8_t *rgb, uint64_t frames, size_t one,
                               bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t R = bqb_clip_get_config(m)->resolution;
    void *block = bqb_alloc_aligned(BLOCK_FRAMES, one);
    if (!block) return bqb_fail_nomem(err, "trunks", BLOCK_FRAMES * one);
    bqb_status s = BQB_OK;
    for (uint64_t at = 0; at < frames && !s; at += BLOCK_FRAMES) {
        size_t here = frames - at < BLOCK_FRAMES ? (size_t)(frames - at) : BLOCK_FRAMES;
        s = bqb_clip_trunk_images(m, block, BQB_NUM_BF16, rgb + at * 3 * R * R, here, err);
        if (!s) s = bqb_outfile_write(o, block, here * one, err);
        if (!s && progress && progress(ctx, "computing what is frozen", at + here, frames))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while computing what is frozen");
    }
    free(block);
    return s;
}

static bqb_status build(const char *path, bqb_clip *m, const uint8_t *rgb, const uint64_t footer[FOOTER], size_t one,
                        bqb_progress_fn progress, void *ctx, bqb_err *err) {
    bqb_err why = {0};
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, &why);
    if (!s) s = write_frames(&o, m, rgb, footer[4], one, progress, ctx, &why);
    if (!s) s = bqb_outfile_write(&o, footer, FOOTER * sizeof *footer, &why);
    if (!s) s = bqb_outfile_commit(&o, &why);
    bqb_outfile_abort(&o);
    if (s == BQB_EIO)
        return bqb_fail(err, s, "stored trunks %s (%.1f MiB are needed; another folder may hold them: --cache DIR, or none: --cache-max 0)",
                        why.msg, (double)footer[4] * (double)one / 1048576.0);
    if (s && err) *err = why;
    return s;
}

bqb_status bqb_trunk_open(bqb_trunk **out, bqb_clip *m, const bqb_pixels *px, size_t n_pictures, const char *path,
                          uint64_t key, bqb_progress_fn progress, void *ctx, bqb_err *err) {
    *out = NULL;
    bqb_clip_trunk_shape shape = bqb_clip_image_trunk_shape(m);
    if (!shape.rows || !bqb_pixels_cached(px))
        return bqb_fail(err, BQB_EINVAL, "%s: trunks need a frozen part of the picture tower and cached pixels", path);
    bqb_trunk *t = bqb_calloc(1, sizeof *t);
    if (!t || !(t->first = bqb_calloc(n_pictures, sizeof *t->first))) {
        bqb_trunk_close(t);
        return bqb_fail_nomem(err, path, n_pictures * sizeof *t->first);
    }
    t->one = frame_bytes(m);
    const uint8_t *rgb = NULL;
    uint64_t footer[FOOTER] = {magic, VERSION, shape.rows, shape.width, count_frames(t->first, px, n_pictures, &rgb), key, 0, 0};
    bqb_status s = BQB_OK;
    for (int tries = 0; tries < 2 && !s && !t->map.data; tries++) {
        if (tries || !bqb_is_file(path)) s = build(path, m, rgb, footer, t->one, progress, ctx, err);
        if (!s) s = bqb_map_open(&t->map, path, err);
        if (!s && !fits(&t->map, footer, t->one)) bqb_map_close(&t->map);
    }
    if (!s && !t->map.data) s = bqb_fail(err, BQB_EIO, "%s: changed while it was written", path);
    if (s) bqb_trunk_close(t);
    else *out = t;
    return s;
}

void bqb_trunk_close(bqb_trunk *t) {
    if (!t) return;
    bqb_map_close(&t->map);
    free(t->first);
    free(t);
}

const void *bqb_trunk_frame(const bqb_trunk *t, size_t i, size_t f) { return t->map.data + (t->first[i] + f) * t->one; }
