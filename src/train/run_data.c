#define _GNU_SOURCE
#include "train/run.h"

#include "base/fs.h"
#include "base/words.h"
#include "train/copies.h"
#include "train/memory.h"
#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double GIB = 1073741824.0;

int bqb_run_duplicates(const bqb_run *t) {
    return !strcmp(t->o.duplicates, "positive") ? 1 : !strcmp(t->o.duplicates, "negative") ? 0 : -1;
}

int bqb_run_augment(const bqb_run *t) {
    static const char *const names[] = {[BQB_AUGMENT_OFF] = "off", [BQB_AUGMENT_ON] = "on", [BQB_AUGMENT_RAND] = "rand"};
    for (int k = 0; k < 3; k++)
        if (!strcmp(t->o.augment, names[k])) return k;
    return -1;
}

/* Decoded pictures of a data set, in its cache file. */
static bqb_status open_pixels(bqb_run *t, bqb_pixels **px, const bqb_dataset *ds, const char *name, bqb_err *err) {
    size_t R = bqb_clip_get_config(t->model)->resolution;
    /* A folder of its own may serve several runs on several data sets. */
    char *file = t->o.cache ? bqb_asprintf("pixels-%zu-%016" PRIx64 ".cache", R, bqb_dataset_hash(ds))
                            : bqb_asprintf("%s-%zu.cache", name, R);
    char *path = file ? bqb_path_join(t->cache_dir, file) : NULL;
    bqb_pixels_options o = {.R = R,
                            .drop_alpha = t->o.drop_alpha,
                            .threads = (int)t->o.threads,
                            .cache_path = path,
                            .as_is = t->o.preview != NULL,
                            .cache_max_bytes = (uint64_t)(t->o.cache_max_gib * 1073741824.0)};
    bqb_status s = path ? bqb_pixels_open(px, ds, &o, t->o.progress, t->o.ctx, err)
                        : bqb_fail_nomem(err, "pixel cache", strlen(name));
    free(file);
    free(path);
    if (s) return s;
    if (*bqb_pixels_notes(*px)) bqb_run_say(t, "pictures that cannot be read:\n%s", bqb_pixels_notes(*px));
    if (!t->o.preview && !bqb_pixels_cached(*px)) bqb_run_say(t, "%s pictures are decoded anew whenever they are needed (cache limit)", name);
    return BQB_OK;
}

static bqb_status open_sets(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    bqb_status s = bqb_dataset_open(&t->ds, o->data, o->n_data, err);
    if (!s && *bqb_dataset_notes(t->ds)) bqb_run_say(t, "training stickers:\n%s", bqb_dataset_notes(t->ds));
    if (!s && o->valid) s = bqb_dataset_open(&t->valid_ds, &o->valid, 1, err);
    if (!s && o->valid && *bqb_dataset_notes(t->valid_ds))
        bqb_run_say(t, "held-out stickers:\n%s", bqb_dataset_notes(t->valid_ds));
    if (s || !o->resume) return s;
    char hash[24];
    const char *then = json_string_value(json_object_get(t->old, "data_hash"));
    snprintf(hash, sizeof hash, "%016" PRIx64, bqb_dataset_hash(t->ds));
    if (then && !strcmp(then, hash)) return BQB_OK;
    return bqb_fail(err, BQB_EINVAL,
                    "resume: %s is not what it was when the run began (tables or pictures changed); "
                    "begin in another folder",
                    o->data[0]);
}

/* Frames of a picture, on the average; 1 where that is not known. */
static double mean_frames(const bqb_run *t) {
    double sum = 0;
    size_t n = bqb_dataset_count(t->ds), readable = 0;
    if (t->o.frames == 1 || !t->px || !bqb_pixels_cached(t->px)) return 1;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *rgb;
        size_t frames = bqb_pixels_view(t->px, i, &rgb);
        sum += (double)frames;
        readable += frames > 0;
    }
    return readable ? sum / (double)readable : 1;
}

/* Worth storing where pictures do not change from step to step. */
static bool trunk_wanted(const bqb_run *t) {
    return bqb_clip_image_trunk_shape(t->model).rows > 0 && !t->o.preview && bqb_run_augment(t) == BQB_AUGMENT_OFF &&
           t->o.mask_ratio <= 0;
}

/* Before decoding, with one frame a picture: what is refused then could never
 * run. Afterwards once more, with what is known, and said. */
static bqb_status check_memory(bqb_run *t, const bqb_batch_options *b, bool told, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(t->model);
    size_t n = bqb_dataset_count(t->ds), N = b->batch < n ? b->batch : n;
    bqb_memory_plan p = {.frames = mean_frames(t), .average = t->o.ema > 0, .decoding = told && !bqb_pixels_cached(t->px)};
    p.plan = (bqb_clip_plan){.N = N, .frames = b->frames, .L = b->context, .chunk = t->o.chunk, .checkpoint = t->o.recompute,
                             .frozen = bqb_clip_get_frozen(t->model), .precision = t->precision,
                             .threads = bqb_clip_threads(t->model)};
    if (b->mask_ratio > 0) p.plan.n_keep = bqb_batch_kept(b);
    /* Before decoding nobody knows whether the trunks may be stored: suppose it. */
    p.plan.image_trunk = trunk_wanted(t);
    if (told && p.plan.image_trunk) {
        uint64_t bytes = bqb_trunk_bytes(t->model, t->px, n);
        p.plan.image_trunk = bytes && (double)bytes <= t->o.cache_max_gib * GIB;
    }
    if (N < 2 || b->frames < 1 || b->frames > 3) return BQB_OK; /* refused by the batcher, with better words */
    bqb_memory_bytes need;
    bqb_status s = bqb_memory_needed(&need, c, &p, err);
    if (s) return s;
    double there = bqb_memory_there();
    if (need.total > there) {
        char fits[160];
        bqb_memory_advice(fits, sizeof fits, c, &p, 0.9 * there);
        return bqb_fail(err, BQB_ELIMIT, "training needs about %.1f GiB of memory (model %.1f, activations %.1f, batches %.1f), there are %.1f;%s",
                        need.total / GIB, need.model / GIB, need.activations / GIB, need.batches / GIB, there / GIB,
                        *fits ? fits : " the model is too large to be trained here");
    }
    if (told)
        bqb_run_say(t, "memory: about %.2f of %.1f GiB (model and optimiser %.2f, activations %.2f, batches %.2f)%s", need.total / GIB,
                    there / GIB, need.model / GIB, need.activations / GIB, need.batches / GIB,
                    need.total > 0.8 * there ? ": that is tight" : "");
    return BQB_OK;
}

/* Which pictures are the same, for the loss. */
static bqb_status find_alike(bqb_run *t, bqb_err *err) {
    bqb_copies c = {0};
    bqb_status s = bqb_copies_find(&c, t->ds, true, t->cache_dir, (int)t->o.threads, t->o.progress, t->o.ctx, err);
    if (!s && !(t->alike = bqb_calloc(c.n, sizeof *t->alike))) s = bqb_fail_nomem(err, "copies", c.n * sizeof *t->alike);
    for (size_t i = 0; i < c.n && !s; i++) t->alike[i] = c.item[i].of;
    size_t copies = c.count[BQB_COPY_EXACT] + c.count[BQB_COPY_NEAR];
    if (!s && copies) bqb_run_say(t, "%zu of %zu pictures %s of another: right answers for each other", copies, c.n,
                                   bqb_word(copies, "is a copy", "are copies"));
    bqb_copies_free(&c);
    return s;
}

static bqb_status open_batches(bqb_run *t, bqb_batch_options *b, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    bqb_status s = bqb_run_duplicates(t) > 0 && !o->preview ? find_alike(t, err) : BQB_OK;
    if (s) return s;
    b->alike = t->alike;
    s = bqb_batcher_new(&t->batcher, t->ds, t->px, bqb_run_tokenizer(t), b, err);
    if (s) return s;
    if (bqb_batcher_size(t->batcher) < o->batch)
        bqb_run_say(t, "only %zu stickers can be used: that many in a batch, not %zu", bqb_batcher_size(t->batcher), o->batch);
    if (o->short_rate > 0 && !bqb_dataset_query_count(t->ds)) bqb_run_say(t, "there are no short queries: short has no effect");
    size_t n = bqb_dataset_count(t->ds), n_texts = bqb_dataset_text_count(t->ds);
    if (n_texts < n && bqb_run_duplicates(t) <= 0)
        bqb_run_say(t, "%zu stickers have %zu different %s: equal ones in a batch count as wrong answers "
                       "(--duplicates positive: as right ones)", n, n_texts, bqb_word(n_texts, "text", "texts"));
    t->total = o->steps ? o->steps : bqb_batcher_steps_per_epoch(t->batcher) * o->epochs;
    if (!t->total) return bqb_fail(err, BQB_EINVAL, "nothing to train: 0 epochs and 0 steps");
    if (t->own_warmup) t->o.warmup = (size_t)bqb_schedule_warmup(t->total);
    else if (o->warmup >= t->total)
        bqb_run_say(t, "the warm-up of %zu %s is no shorter than the run of %" PRIu64 ": the rate rises to the end, up to %.3g",
                    o->warmup, bqb_word(o->warmup, "step", "steps"), t->total, bqb_schedule_lr(o->lr, t->total - 1, o->warmup, t->total));
    return BQB_OK;
}

bqb_status bqb_run_open_trunk(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    size_t n = bqb_dataset_count(t->ds);
    uint64_t bytes = bqb_trunk_bytes(t->model, t->px, n);
    if (bytes && !o->preview && !trunk_wanted(t))
        bqb_run_say(t, "what is frozen of the picture tower is computed in every step; with --augment off and no masks it would be only once");
    if (!bytes || !trunk_wanted(t)) return BQB_OK;
    if ((double)bytes > o->cache_max_gib * GIB) {
        bqb_run_say(t, "what is frozen is computed in every step: stored, it would take %.1f GiB (cache limit)", (double)bytes / GIB);
        return BQB_OK;
    }
    uint64_t key = bqb_trunk_key(t->model, t->ds, o->drop_alpha);
    char *name = bqb_asprintf("trunk-%016" PRIx64 ".cache", key), *path = name ? bqb_path_join(t->cache_dir, name) : NULL;
    bqb_status s = path ? bqb_trunk_open(&t->trunk, t->model, t->px, n, path, key, o->progress, o->ctx, err)
                        : bqb_fail_nomem(err, "trunks", 64);
    if (!s) s = bqb_batcher_set_trunk(t->batcher, t->trunk, err);
    if (!s) bqb_run_say(t, "pictures start from what the frozen blocks gave, stored in %s (%.2f GiB)", path, (double)bytes / GIB);
    free(name);
    free(path);
    return s;
}

const bqb_tokenizer *bqb_run_tokenizer(const bqb_run *t) { return t->tok ? t->tok : bqb_clip_tokenizer(t->model); }

bqb_status bqb_run_open_data(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    const bqb_clip_config *c = bqb_clip_get_config(t->model);
    size_t side = c->resolution / c->patch;
    bqb_batch_options b = {.seed = o->seed, .batch = o->batch, .context = o->context ? o->context : c->context,
                           .n_patches = side * side, .frames = o->frames, .field_drop = o->field_drop,
                           .short_rate = o->short_rate, .mask_ratio = o->mask_ratio,
                           .augment = (bqb_batch_augment)bqb_run_augment(t), .threads = (int)o->threads};
    if (o->context > c->t_positions)
        return bqb_fail(err, BQB_EINVAL, "context %zu: the model has positions for %zu tokens", o->context, c->t_positions);
    if (b.context > c->t_positions) b.context = c->t_positions;
    t->cache_dir = bqb_strdup(o->cache ? o->cache : o->out ? o->out : ".");
    if (!t->cache_dir) return bqb_fail_nomem(err, "cache", 16);
    bqb_status s = o->preview ? BQB_OK : bqb_make_dirs(t->cache_dir, err);
    if (!s) s = open_sets(t, err);
    if (!s) s = check_memory(t, &b, false, err);
    if (!s) s = open_pixels(t, &t->px, t->ds, "pixels", err);
    if (!s && o->valid && !o->preview) s = open_pixels(t, &t->valid_px, t->valid_ds, "valid", err);
    if (!s) s = check_memory(t, &b, true, err);
    return s ? s : open_batches(t, &b, err);
}
