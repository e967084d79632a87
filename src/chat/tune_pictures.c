#include "chat/tune_pictures.h"

#include "base/thread.h"
#include "file/safetensors.h"
#include "image/augment.h"
#include "train/gallery.h"
#include "train/pixels.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 32, NAMED = 5, BLOCKS = 4 };
static const char kind[] = "bqb pictures for tuning 1";

double bqb_tune_pictures_bytes(size_t n, size_t F, size_t D) { return (double)n * (8.0 + 8.0 * (double)(F + D)); }

static bqb_status take_room(bqb_tune_pictures *p, size_t n, bqb_err *err) {
    p->sample = bqb_calloc(n, sizeof *p->sample);
    p->alike = bqb_calloc(n, sizeof *p->alike);
    p->target = bqb_calloc(n * p->D, sizeof(float));
    p->view = bqb_calloc(n * p->D, sizeof(float));
    p->shown = bqb_calloc(n * p->F, sizeof(float));
    p->altered = bqb_calloc(n * p->F, sizeof(float));
    if (p->sample && p->alike && p->target && p->view && p->shown && p->altered) return BQB_OK;
    return bqb_fail_nomem(err, "features of pictures", (size_t)bqb_tune_pictures_bytes(n, p->F, p->D));
}

/* ---- the cache ---- */

static void list_blocks(bqb_tensor t[BLOCKS], const bqb_tune_pictures *p) {
    const bqb_tensor blocks[BLOCKS] = {{.name = "altered", .dim = {p->n, p->F}, .data = p->altered},
                                       {.name = "shown", .dim = {p->n, p->F}, .data = p->shown},
                                       {.name = "target", .dim = {p->n, p->D}, .data = p->target},
                                       {.name = "view", .dim = {p->n, p->D}, .data = p->view}};
    for (size_t i = 0; i < BLOCKS; i++) {
        t[i] = blocks[i];
        t[i].dtype = BQB_F32;
        t[i].n_dims = 2;
        t[i].n = t[i].dim[0] * t[i].dim[1];
    }
}

/* What the features depend on. */
static void name_key(char out[160], const bqb_dataset *ds, bqb_clip *clip, const bqb_tune_pictures_options *o) {
    snprintf(out, 160, "%s %s %016" PRIx64 " %zu %" PRIu64 " %d", bqb_clip_id(clip), bqb_precision_name(bqb_clip_precision(clip)), bqb_dataset_stamp(ds),
             o->limit, o->seed, o->drop_alpha);
}

/* false: there is none that fits. */
static bool read_cache(bqb_tune_pictures *p, const char *path, const char *key, size_t most) {
    bqb_safetensors *st;
    if (!path || !bqb_is_file(path) || bqb_safetensors_open(&st, path, NULL)) return false;
    const char *k = bqb_safetensors_metadata(st, "kind"), *made = bqb_safetensors_metadata(st, "key");
    const bqb_tensor *sample = bqb_safetensors_find(st, "sample");
    bool ok = k && made && !strcmp(k, kind) && !strcmp(made, key) && sample && sample->dtype == BQB_U32 && sample->n_dims == 1 && sample->n >= 2 && sample->n <= most;
    if (ok && !take_room(p, sample->n, NULL)) {
        p->n = sample->n;
        memcpy(p->sample, sample->data, p->n * sizeof *p->sample);
        for (size_t i = 0; i < p->n; i++) ok = ok && p->sample[i] < most;
        bqb_tensor want[BLOCKS];
        list_blocks(want, p);
        for (size_t i = 0; i < BLOCKS; i++) {
            const bqb_tensor *t = bqb_safetensors_find(st, want[i].name);
            ok = ok && t && t->dtype == BQB_F32 && t->n == want[i].n;
            if (ok) memcpy((void *)(uintptr_t)want[i].data, t->data, t->n * sizeof(float));
        }
    } else ok = false;
    bqb_safetensors_close(st);
    return ok;
}

static bqb_status write_cache(const bqb_tune_pictures *p, const char *path, const char *key, bqb_err *err) {
    bqb_tensor t[BLOCKS + 1];
    list_blocks(t, p);
    t[BLOCKS] = (bqb_tensor){.name = "sample", .dtype = BQB_U32, .n_dims = 1, .dim = {p->n}, .n = p->n, .data = p->sample};
    const char *meta[] = {"kind", kind, "key", key, NULL};
    return bqb_safetensors_write(path, t, BLOCKS + 1, meta, err);
}

/* ---- computing ---- */

typedef struct {
    const bqb_pixels *px;
    size_t first, R, got[AT_ONCE]; /* frames of each; 0: unreadable */
    uint64_t seed;
    uint8_t *rgb; /* [2·AT_ONCE,3,R,R,3]: pictures, then what was made of them */
    bqb_err err[AT_ONCE];
} load_job;

/* The same crop and light for all frames of a picture. */
static void alter(const load_job *j, size_t k) {
    size_t R = j->R, frame = 3 * R * R;
    bqb_rand r = bqb_rand_seed(j->seed, j->first + k);
    bqb_crop c = {.size = (float)R * (float)sqrt(bqb_rand_between(&r, 0.75, 1.0))};
    c.x = (float)bqb_rand_unit(&r) * ((float)R - c.size);
    c.y = (float)bqb_rand_unit(&r) * ((float)R - c.size);
    double contrast = bqb_rand_between(&r, 0.85, 1.15), light = bqb_rand_between(&r, -16, 16);
    for (int i = 0; i < 3; i++) {
        c.gain[i] = (float)(contrast * bqb_rand_between(&r, 0.95, 1.05));
        c.offset[i] = (float)(light + 127.5 * (1 - contrast));
    }
    for (size_t f = 0; f < 3; f++)
        bqb_crop_frame(j->rgb + ((AT_ONCE + k) * 3 + f) * frame, j->rgb + (k * 3 + f) * frame, R, &c);
}

static void load_one(void *ctx, size_t k, int worker) {
    (void)worker;
    load_job *j = ctx;
    j->got[k] = 0;
    if (bqb_pixels_get(j->px, j->first + k, j->rgb + k * 9 * j->R * j->R, &j->got[k], &j->err[k])) j->got[k] = 0;
    else alter(j, k);
}

/* The readable ones of a block stand side by side, pictures and what was made of them. */
static size_t gather(load_job *j, bqb_tune_pictures *p, size_t here) {
    size_t n = 0, size = 9 * j->R * j->R;
    for (size_t k = 0; k < here; k++) {
        if (!j->got[k]) {
            if (++p->n_unreadable <= NAMED) bqb_buf_printf(&p->notes, NULL, "  %s\n", j->err[k].msg);
            continue;
        }
        p->sample[p->n + n] = (uint32_t)(j->first + k);
        if (n != k) {
            memcpy(j->rgb + n * size, j->rgb + k * size, size);
            memcpy(j->rgb + (AT_ONCE + n) * size, j->rgb + (AT_ONCE + k) * size, size);
        }
        n++;
    }
    return n;
}

static bqb_status compute(bqb_tune_pictures *p, const bqb_pixels *px, size_t want, bqb_clip *clip, const bqb_tune_pictures_options *o,
                          bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t R = bqb_pixels_resolution(px);
    load_job *j = bqb_calloc(1, sizeof *j);
    bqb_status s = j && (j->rgb = bqb_alloc_aligned(2 * AT_ONCE, 9 * R * R)) ? BQB_OK : bqb_fail_nomem(err, "pictures", 2 * AT_ONCE * 9 * R * R);
    for (size_t at = 0; at < want && !s; at += AT_ONCE) {
        size_t here = want - at < AT_ONCE ? want - at : AT_ONCE;
        j->px = px;
        j->R = R;
        j->first = at;
        j->seed = o->seed;
        bqb_parallel_for(here, o->threads ? o->threads : bqb_cpu_count(), load_one, j);
        size_t n = gather(j, p, here), D = p->D, F = p->F;
        if (n) s = bqb_clip_image_features(clip, p->target + p->n * D, p->shown + p->n * F, j->rgb, n, err);
        if (n && !s) s = bqb_clip_image_features(clip, p->view + p->n * D, p->altered + p->n * F, j->rgb + AT_ONCE * 9 * R * R, n, err);
        p->n += n;
        if (!s && progress && progress(ctx, "encoding pictures", at + here, want)) s = bqb_fail(err, BQB_ECANCEL, "stopped while encoding pictures");
    }
    if (j) free(j->rgb);
    free(j);
    return s;
}

/* ---- which are alike ---- */

static bqb_status find_alike(bqb_tune_pictures *p, const bqb_dataset *ds, bqb_err *err) {
    bqb_under_text *same = bqb_calloc(p->n, sizeof *same);
    bqb_buf text = {.max = 1 << 24};
    bqb_status s = same ? BQB_OK : bqb_fail_nomem(err, "annotations", p->n * sizeof *same);
    for (size_t i = 0; i < p->n && !s; i++) {
        text.len = 0;
        s = bqb_annotation_text(&text, &bqb_dataset_at(ds, p->sample[i])->note, NULL, err);
        char *copy = s ? NULL : bqb_strndup(text.data ? text.data : "", text.len);
        if (!s && !copy) s = bqb_fail_nomem(err, "annotations", text.len);
        same[i] = (bqb_under_text){copy, (uint32_t)i};
    }
    if (!s) bqb_sort_by_text(same, p->n);
    for (size_t i = 0; i < p->n && !s; i++)
        p->alike[same[i].item] = i && !strcmp(same[i].text, same[i - 1].text) ? p->alike[same[i - 1].item] : same[i].item;
    for (size_t i = 0; same && i < p->n; i++) free((char *)(uintptr_t)same[i].text);
    free(same);
    bqb_buf_free(&text);
    return s;
}

static void drop_blocks(bqb_tune_pictures *p) {
    free(p->sample);
    free(p->alike);
    free(p->target);
    free(p->view);
    free(p->shown);
    free(p->altered);
    p->sample = p->alike = NULL;
    p->target = p->view = p->shown = p->altered = NULL;
    p->n = 0;
}

bqb_status bqb_tune_pictures_open(bqb_tune_pictures *p, const bqb_dataset *ds, bqb_clip *clip, const bqb_tune_pictures_options *o,
                                  bqb_progress_fn progress, void *ctx, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(clip);
    size_t n = bqb_dataset_count(ds), want = o->limit && o->limit < n ? o->limit : n;
    char key[160];
    *p = (bqb_tune_pictures){.F = c->v_width, .D = c->embed, .notes = {.max = 1 << 16}};
    name_key(key, ds, clip, o);
    if (read_cache(p, o->cache, key, n)) return find_alike(p, ds, err);
    drop_blocks(p);
    bqb_pixels *px = NULL;
    bqb_pixels_options po = {.R = c->resolution, .drop_alpha = o->drop_alpha, .threads = o->threads};
    bqb_status s = take_room(p, want, err);
    if (!s) s = bqb_buf_puts(&p->notes, "", err);
    if (!s) s = bqb_pixels_open(&px, ds, &po, NULL, NULL, err);
    if (!s) s = compute(p, px, want, clip, o, progress, ctx, err);
    bqb_pixels_close(px);
    if (!s && p->n < 2) s = bqb_fail(err, BQB_EFORMAT, "%zu pictures can be read; at least two are needed", p->n);
    if (!s && o->cache) s = write_cache(p, o->cache, key, err);
    return s ? s : find_alike(p, ds, err);
}

void bqb_tune_pictures_close(bqb_tune_pictures *p) {
    drop_blocks(p);
    bqb_buf_free(&p->notes);
}
