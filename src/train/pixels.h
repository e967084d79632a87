/* Every picture's frames at the tower's resolution: decoded once, in parallel,
 * into a cache file that is mapped; or, where that would be too large, decoded
 * whenever they are asked for.
 *
 * The cache: frames u8 [R,R,3] one after another (one for a still, three for an
 * animation), then the index, u64 a picture: first frame * 4 + frames (0: it
 * could not be read), then a footer of eight u64: magic, version, R, pictures, frames, key, 0, 0. */
#ifndef BQB_TRAIN_PIXELS_H
#define BQB_TRAIN_PIXELS_H

#include "train/dataset.h"

#include <stdbool.h>

typedef struct {
    size_t R;
    bool drop_alpha;
    int threads;            /* 0 = all processors */
    const char *cache_path; /* NULL: decode when asked */
    bool as_is;             /* a cache is used where it is there and fits, never made */
    uint64_t cache_max_bytes;
} bqb_pixels_options;

typedef struct bqb_pixels bqb_pixels;

/* Map the cache, or build it when it is absent, of other data or damaged. The
 * data set is borrowed until close. BQB_EIO says what to do about a full disk. */
bqb_status bqb_pixels_open(bqb_pixels **out, const bqb_dataset *ds, const bqb_pixels_options *options,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_pixels_close(bqb_pixels *px);

bool bqb_pixels_cached(const bqb_pixels *px);
size_t bqb_pixels_resolution(const bqb_pixels *px);

/* Pictures that could not be read; without a cache that is not known before they are asked for: 0. */
size_t bqb_pixels_unreadable(const bqb_pixels *px);
const char *bqb_pixels_notes(const bqb_pixels *px); /* lines for people, "" when there is nothing to say */

/* Frames of picture i (1 or 3; 0: unreadable) and where they are; only when cached. */
size_t bqb_pixels_view(const bqb_pixels *px, size_t i, const uint8_t **rgb);

/* rgb out [3,R,R,3] (a still three times), *n_frames 1 or 3. Any thread. */
bqb_status bqb_pixels_get(const bqb_pixels *px, size_t i, uint8_t *rgb, size_t *n_frames, bqb_err *err);

#endif
