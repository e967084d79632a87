#include "train/gallery.h"

#include "base/thread.h"
#include "base/words.h"
#include "train/rank.h"

#include <stdlib.h>
#include <string.h>

enum { PICTURES_AT_ONCE = 32, NAMED = 5 };

/* ---- near-duplicates ---- */

static int by_text(const void *a, const void *b) {
    const bqb_under_text *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

void bqb_sort_by_text(bqb_under_text *u, size_t n) {
    if (n) qsort(u, n, sizeof *u, by_text);
}

/* The near-duplicates within a group of pictures with the same annotation; the group's items rise. */
static bqb_status near_within(bqb_gallery *g, const bqb_under_text *same, size_t n, size_t *n_held, size_t *cap, bqb_err *err) {
    for (size_t a = 0; a < n; a++) {
        const float *x = g->feature + same[a].item * g->D;
        for (size_t b = 0; b < n; b++) {
            if (a == b || bqb_rank_score(x, g->feature + same[b].item * g->D, g->D) < BQB_NEAR) continue;
            uint32_t *near = bqb_grow(g->near, *n_held, cap, sizeof *near, 256);
            if (!near) return bqb_fail_nomem(err, "near-duplicates", (*n_held + 1) * sizeof *near);
            g->near = near;
            g->near[(*n_held)++] = same[b].item;
            g->near_first[same[a].item]++; /* a count, for now */
        }
    }
    return BQB_OK;
}

/* The lists stand in the order of the groups; put them into the gallery's. */
static bqb_status in_gallery_order(bqb_gallery *g, const bqb_under_text *same, size_t n_held, bqb_err *err) {
    uint32_t *ordered = bqb_calloc(n_held, sizeof *ordered);
    if (!ordered) return bqb_fail_nomem(err, "near-duplicates", n_held * sizeof *ordered);
    size_t sum = 0, from = 0;
    for (size_t i = 0; i < g->n; i++) {
        size_t here = g->near_first[i];
        g->n_near += here > 0;
        g->near_first[i] = sum;
        sum += here;
    }
    g->near_first[g->n] = sum;
    for (size_t k = 0; k < g->n; k++) {
        size_t i = same[k].item, here = g->near_first[i + 1] - g->near_first[i];
        if (here) memcpy(ordered + g->near_first[i], g->near + from, here * sizeof *ordered);
        from += here;
    }
    free(g->near);
    g->near = ordered;
    return BQB_OK;
}

bqb_status bqb_gallery_find_near(bqb_gallery *g, bqb_err *err) {
    bqb_under_text *same = bqb_calloc(g->n, sizeof *same);
    g->near_first = bqb_calloc(g->n + 1, sizeof *g->near_first);
    bqb_buf text = {.max = 1 << 24};
    size_t n_held = 0, cap = 0;
    bqb_status s = BQB_OK;
    if (!same || !g->near_first) s = bqb_fail_nomem(err, "near-duplicates", g->n * sizeof *same);
    for (size_t i = 0; i < g->n && !s; i++) {
        text.len = 0;
        s = bqb_annotation_text(&text, &bqb_dataset_at(g->ds, g->sample[i])->note, NULL, err);
        char *copy = s ? NULL : bqb_strdup(text.data);
        if (!s && !copy) s = bqb_fail_nomem(err, "annotation", text.len);
        same[i] = (bqb_under_text){copy, (uint32_t)i};
    }
    if (!s) bqb_sort_by_text(same, g->n);
    for (size_t at = 0, end; at < g->n && !s; at = end) {
        for (end = at + 1; end < g->n && !strcmp(same[end].text, same[at].text); end++) {}
        if (end - at > BQB_NEAR_SHARED) g->n_crowded += end - at;
        else if (end - at > 1 && same[at].text[0]) s = near_within(g, same + at, end - at, &n_held, &cap, err);
    }
    if (!s) s = in_gallery_order(g, same, n_held, err);
    for (size_t i = 0; same && i < g->n; i++) free((char *)(uintptr_t)same[i].text);
    free(same);
    bqb_buf_free(&text);
    return s;
}

/* ---- features ---- */

typedef struct {
    const bqb_pixels *px;
    uint8_t *rgb;
    size_t first, size;
    bool ok[PICTURES_AT_ONCE];
    bqb_err err[PICTURES_AT_ONCE];
} load_job;

static void load_one(void *ctx, size_t k, int worker) {
    (void)worker;
    load_job *j = ctx;
    size_t frames;
    j->ok[k] = !bqb_pixels_get(j->px, j->first + k, j->rgb + k * j->size, &frames, &j->err[k]);
}

bqb_status bqb_gallery_open(bqb_gallery *g, bqb_clip *m, const bqb_dataset *ds, const bqb_pixels *px, size_t limit,
                            bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = bqb_dataset_count(ds), R = bqb_pixels_resolution(px), D = bqb_clip_get_config(m)->embed;
    size_t want = limit && limit < n ? limit : n;
    *g = (bqb_gallery){.ds = ds, .D = D, .notes = {.max = 1 << 16}};
    load_job *j = bqb_calloc(1, sizeof *j);
    g->sample = bqb_calloc(want, sizeof *g->sample);
    g->feature = bqb_alloc_aligned(want * D, sizeof *g->feature);
    bqb_status s = bqb_buf_puts(&g->notes, "", err);
    if (j) {
        j->px = px;
        j->size = 9 * R * R;
        j->rgb = bqb_alloc_aligned(PICTURES_AT_ONCE, j->size);
    }
    if (!s && (!j || !j->rgb || !g->sample || !g->feature)) s = bqb_fail_nomem(err, "gallery", want * D * sizeof(float));
    for (size_t at = 0; at < n && g->n < want && !s; at += PICTURES_AT_ONCE) {
        size_t here = n - at < PICTURES_AT_ONCE ? n - at : PICTURES_AT_ONCE, held = 0;
        j->first = at;
        bqb_parallel_for(here, bqb_clip_threads(m), load_one, j);
        for (size_t k = 0; k < here && g->n + held < want; k++) {
            if (!j->ok[k]) {
                if (++g->n_unreadable <= NAMED) bqb_buf_printf(&g->notes, NULL, "  %s\n", j->err[k].msg);
                continue;
            }
            if (held != k) memcpy(j->rgb + held * j->size, j->rgb + k * j->size, j->size);
            g->sample[g->n + held++] = (uint32_t)(at + k);
        }
        if (held) s = bqb_clip_encode_images(m, g->feature + g->n * D, j->rgb, held, err);
        g->n += held;
        if (!s && progress && progress(ctx, "encoding pictures", g->n, want))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while encoding pictures");
    }
    if (!s && !g->n) s = bqb_fail(err, BQB_EFORMAT, "none of %zu %s could be read", n, bqb_word(n, "picture", "pictures"));
    if (!s) s = bqb_gallery_find_near(g, err);
    if (j) free(j->rgb);
    free(j);
    if (s) bqb_gallery_close(g);
    return s;
}

void bqb_gallery_close(bqb_gallery *g) {
    free(g->sample);
    free(g->feature);
    free(g->near_first);
    free(g->near);
    bqb_buf_free(&g->notes);
    *g = (bqb_gallery){0};
}
