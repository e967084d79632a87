#include "train/pixels.h"

#include "base/fs.h"
#include "base/thread.h"
#include "base/words.h"
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED = 5, FOOTER = 8, VERSION = 1, BLOCK_BYTES = 48 << 20, NOTES_MAX = 1 << 16 };
static const uint64_t magic = 0x0a78697062716221u;

struct bqb_pixels {
    const bqb_dataset *ds;
    size_t R, frame_size;
    bqb_image_limits limits;
    bqb_map map;
    uint64_t *index; /* NULL: not cached */
    size_t n_unreadable;
    bqb_buf notes;
};

static uint64_t cache_key(const bqb_dataset *ds, const bqb_pixels_options *o) {
    return bqb_dataset_stamp(ds) ^ (o->drop_alpha ? 0x5bd1e995u : 0);
}

/* Whether the mapped file is a whole cache of these pictures. It is our own
 * file, but a damaged one must not lead outside the mapping. */
static bool footer_fits(const bqb_map *m, size_t n, size_t R, uint64_t key, const uint64_t **index_bytes) {
    uint64_t f[FOOTER];
    size_t frame = R * R * 3, tail = (n + FOOTER) * sizeof(uint64_t);
    if (m->size < tail) return false;
    memcpy(f, m->data + m->size - sizeof f, sizeof f);
    if (f[0] != magic || f[1] != VERSION || f[2] != R || f[3] != n || f[5] != key) return false;
    size_t room = m->size - tail;
    if (f[4] > room / frame || (f[4] * frame + 7) / 8 * 8 != room) return false;
    *index_bytes = (const uint64_t *)(const void *)(m->data + room);
    for (size_t i = 0; i < n; i++) {
        uint64_t x;
        memcpy(&x, *index_bytes + i, sizeof x);
        if ((x & 3) == 2 || (x >> 2) + (x & 3) > f[4]) return false;
    }
    return true;
}

static bqb_status map_cache(bqb_pixels *px, const char *path, uint64_t key, bool *fits, bqb_err *err) {
    size_t n = bqb_dataset_count(px->ds);
    const uint64_t *bytes = NULL;
    *fits = false;
    if (!bqb_is_file(path)) return BQB_OK;
    bqb_status s = bqb_map_open(&px->map, path, err);
    if (s) return s;
    *fits = footer_fits(&px->map, n, px->R, key, &bytes);
    if (!*fits) {
        bqb_map_close(&px->map);
        return BQB_OK;
    }
    px->index = bqb_calloc(n, sizeof *px->index);
    if (!px->index) return bqb_fail_nomem(err, "pixel index", n * sizeof *px->index);
    memcpy(px->index, bytes, n * sizeof *px->index);
    px->n_unreadable = 0;
    for (size_t i = 0; i < n; i++) px->n_unreadable += (px->index[i] & 3) == 0;
    return BQB_OK;
}

typedef struct {
    const bqb_pixels *px;
    size_t first;
    uint8_t *rgb;
    uint8_t *n_frames;
    bqb_err *errs;
} decode_job;

static void decode_one(void *ctx, size_t k, int worker) {
    (void)worker;
    decode_job *j = ctx;
    size_t frames = 0;
    if (bqb_pixels_get(j->px, j->first + k, j->rgb + k * 3 * j->px->frame_size, &frames, &j->errs[k])) frames = 0;
    j->n_frames[k] = (uint8_t)frames;
}

static bqb_status write_cache(bqb_pixels *px, bqb_outfile *o, const bqb_pixels_options *opt, bool *too_large,
                              bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = bqb_dataset_count(px->ds), block = BLOCK_BYTES / (3 * px->frame_size);
    block = block < 1 ? 1 : block > n ? n : block;
    decode_job j = {.px = px};
    uint64_t *index = bqb_calloc(n, sizeof *index);
    j.rgb = bqb_alloc_aligned(block, 3 * px->frame_size);
    j.n_frames = bqb_calloc(block, 1);
    j.errs = bqb_calloc(block, sizeof *j.errs);
    bqb_status s = BQB_OK;
    if (!index || !j.rgb || !j.n_frames || !j.errs) s = bqb_fail_nomem(err, "pixel cache", block * 3 * px->frame_size);
    int threads = opt->threads > 0 ? opt->threads : bqb_cpu_count();
    uint64_t frames = 0;
    for (size_t at = 0; at < n && !s; at += block) {
        size_t here = n - at < block ? n - at : block;
        j.first = at;
        bqb_parallel_for(here, threads, decode_one, &j);
        for (size_t k = 0; k < here && !s; k++) {
            index[at + k] = frames * 4 + j.n_frames[k];
            if (!j.n_frames[k] && ++px->n_unreadable <= NAMED)
                bqb_buf_printf(&px->notes, NULL, "  %s\n", j.errs[k].msg);
            s = bqb_outfile_write(o, j.rgb + k * 3 * px->frame_size, j.n_frames[k] * px->frame_size, err);
            frames += j.n_frames[k];
        }
        if (!s && frames * px->frame_size > opt->cache_max_bytes) {
            *too_large = true;
            break;
        }
        if (!s && progress && progress(ctx, "decoding pictures", at + here, n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while decoding pictures");
    }
    if (!s && !*too_large) {
        uint64_t pad = 0, f[FOOTER] = {magic, VERSION, px->R, n, frames, cache_key(px->ds, opt), 0, 0};
        size_t odd = (size_t)(frames * px->frame_size % 8);
        s = bqb_outfile_write(o, &pad, odd ? 8 - odd : 0, err);
        if (!s) s = bqb_outfile_write(o, index, n * sizeof *index, err);
        if (!s) s = bqb_outfile_write(o, f, sizeof f, err);
    }
    free(index);
    free(j.rgb);
    free(j.n_frames);
    free(j.errs);
    return s;
}

static bqb_status build_cache(bqb_pixels *px, const bqb_pixels_options *o, bool *too_large, bqb_progress_fn progress,
                              void *ctx, bqb_err *err) {
    bqb_err why = {0};
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, o->cache_path, &why);
    if (!s) s = write_cache(px, &f, o, too_large, progress, ctx, &why);
    if (!s && !*too_large) s = bqb_outfile_commit(&f, &why);
    bqb_outfile_abort(&f);
    if (s == BQB_EIO) {
        double mib = (double)bqb_dataset_count(px->ds) * (double)px->frame_size / 1048576.0, unit = mib < 1024 ? 1 : 1024;
        return bqb_fail(err, s,
                        "pixel cache %s (%zu %s %.1f %s, up to %.1f when all are animated; another folder "
                        "may hold it: --cache DIR, or none: --cache-max 0)",
                        why.msg, bqb_dataset_count(px->ds), bqb_word(bqb_dataset_count(px->ds), "picture needs", "pictures need"), mib / unit, mib < 1024 ? "MiB" : "GiB", 3 * mib / unit);
    }
    if (s && err) *err = why;
    return s;
}

bqb_status bqb_pixels_open(bqb_pixels **out, const bqb_dataset *ds, const bqb_pixels_options *o,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    *out = NULL;
    if (o->R < 1 || o->R > 4096) return bqb_fail(err, BQB_EINVAL, "resolution %zu is not within 1 … 4096", o->R);
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    bqb_pixels *px = bqb_calloc(1, sizeof *px);
    if (!px) return bqb_fail_nomem(err, "pixels", sizeof *px);
    px->ds = ds;
    px->R = o->R;
    px->frame_size = o->R * o->R * 3;
    px->limits.drop_alpha = o->drop_alpha;
    px->notes.max = NOTES_MAX;
    s = bqb_buf_puts(&px->notes, "", err);
    uint64_t least = (uint64_t)bqb_dataset_count(ds) * px->frame_size;
    if (!s && o->cache_path && least <= o->cache_max_bytes) {
        bool fits = false, too_large = false, built = false;
        s = map_cache(px, o->cache_path, cache_key(ds, o), &fits, err);
        if (!s && !fits && !o->as_is) {
            s = build_cache(px, o, &too_large, progress, ctx, err);
            built = true;
            if (!s && !too_large) s = map_cache(px, o->cache_path, cache_key(ds, o), &fits, err);
            if (!s && !too_large && !fits)
                s = bqb_fail(err, BQB_EIO, "%s: changed while it was written", o->cache_path);
        }
        if (too_large) px->n_unreadable = 0;
        if (!s && px->n_unreadable) {
            size_t named = 0;
            for (size_t i = 0; !built && px->index && i < bqb_dataset_count(ds) && named < NAMED; i++)
                if (!(px->index[i] & 3)) {
                    bqb_buf_printf(&px->notes, NULL, "  %s: could not be read\n", bqb_dataset_at(ds, i)->path);
                    named++;
                }
            s = bqb_buf_printf(&px->notes, err, "  %zu %s left out\n", px->n_unreadable,
                               bqb_word(px->n_unreadable, "picture could not be read and is", "pictures could not be read and are"));
        }
    }
    if (s) {
        bqb_pixels_close(px);
        return s;
    }
    *out = px;
    return BQB_OK;
}

void bqb_pixels_close(bqb_pixels *px) {
    if (!px) return;
    bqb_map_close(&px->map);
    free(px->index);
    bqb_buf_free(&px->notes);
    free(px);
}

bool bqb_pixels_cached(const bqb_pixels *px) { return px->index != NULL; }
size_t bqb_pixels_resolution(const bqb_pixels *px) { return px->R; }
size_t bqb_pixels_unreadable(const bqb_pixels *px) { return px->n_unreadable; }
const char *bqb_pixels_notes(const bqb_pixels *px) { return px->notes.data; }

size_t bqb_pixels_view(const bqb_pixels *px, size_t i, const uint8_t **rgb) {
    *rgb = px->map.data + (size_t)(px->index[i] >> 2) * px->frame_size;
    return (size_t)(px->index[i] & 3);
}

bqb_status bqb_pixels_get(const bqb_pixels *px, size_t i, uint8_t *rgb, size_t *n_frames, bqb_err *err) {
    const char *path = bqb_dataset_at(px->ds, i)->path;
    size_t size = px->frame_size;
    if (px->index) {
        const uint8_t *from;
        *n_frames = bqb_pixels_view(px, i, &from);
        if (!*n_frames) return bqb_fail(err, BQB_EFORMAT, "%s: could not be read", path);
        for (size_t f = 0; f < 3; f++) memcpy(rgb + f * size, from + (f < *n_frames ? f : 0) * size, size);
        return BQB_OK;
    }
    bqb_picture p;
    bqb_status s = bqb_dataset_picture(px->ds, i, &p, err);
    if (!s) s = bqb_image_frames(rgb, NULL, p.data, p.size, path, px->R, &px->limits, err);
    bqb_picture_close(&p);
    if (s) return s;
    *n_frames = memcmp(rgb, rgb + size, size) || memcmp(rgb, rgb + 2 * size, size) ? 3 : 1;
    return BQB_OK;
}
