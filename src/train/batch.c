#include "train/batch.h"

#include "base/thread.h"
#include "base/words.h"
#include "image/augment.h"
#include "train/group.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 };

/* One batch's memory. Two of them: one is used while the other is filled. */
typedef struct {
    bqb_clip_batch view;
    uint8_t *rgb;
    const void **trunk; /* [P] instead of it */
    uint8_t *frames;
    uint16_t *keep;
    int32_t *ids, *wide_ids;
    uint32_t *sample;
    uint64_t *key; /* of the texts, while they are grouped */
    uint32_t *text_group, *image_group;
    uint64_t step;
    bool full;
    bqb_status status;
    bqb_err err;
} slot;

struct bqb_batcher {
    const bqb_dataset *ds;
    const bqb_pixels *px;
    const bqb_tokenizer *tok;
    bqb_batch_options o;
    size_t R, n_keep;
    uint32_t *usable, *order;
    size_t n_usable;
    uint64_t epoch; /* that `order` holds */
    uint8_t *decoded, *decoded_frames;
    uint8_t *scratch; /* [2,R,R,3] */
    int32_t *key_ids;
    bqb_buf text;
    const bqb_trunk *trunk;
    slot slots[2];
    int current;
    pthread_t thread;
    bool running;
};

/* Random streams: one for the order of each epoch, one for each pair of each step. */
static bqb_rand order_rand(const bqb_batcher *b, uint64_t epoch) { return bqb_rand_seed(b->o.seed, 2 * epoch + 1); }
static bqb_rand pair_rand(const bqb_batcher *b, uint64_t step, size_t k) {
    return bqb_rand_seed(b->o.seed, 2 * (step * b->o.batch + k));
}

static void choose_order(bqb_batcher *b, uint64_t epoch) {
    if (b->epoch == epoch) return;
    memcpy(b->order, b->usable, b->n_usable * sizeof *b->order);
    bqb_rand r = order_rand(b, epoch);
    bqb_rand_shuffle(&r, b->order, b->n_usable);
    b->epoch = epoch;
}

/* The words of one pair: its fields in random order, or one of its short queries.
 * `used` gets the fields, and nothing where their order does not matter. */
static bqb_status choose_text(bqb_batcher *b, const bqb_sample *x, bqb_annotation *used, bqb_rand *r, bqb_err *err) {
    b->text.len = 0;
    *used = (bqb_annotation){{0}};
    bool brief = bqb_rand_unit(r) < b->o.short_rate;
    if (brief && x->n_queries)
        return bqb_buf_puts(&b->text, bqb_dataset_query(b->ds, x->first_query + bqb_rand_below(r, x->n_queries)), err);
    bqb_annotation a = x->note;
    if (b->o.field_drop > 0)
        for (size_t f = 0; f < BQB_FIELDS; f++)
            if (bqb_rand_unit(r) < b->o.field_drop) a.field[f] = NULL;
    bqb_status s = bqb_annotation_text(&b->text, &a, r, err);
    if (b->text.len) *used = a;
    if (s || b->text.len) return s;
    /* Everything fell: keep one field, the first from a random place that says something. */
    size_t from = bqb_rand_below(r, BQB_FIELDS);
    for (size_t k = 0; k < BQB_FIELDS && !s && !b->text.len; k++) {
        size_t f = (from + k) % BQB_FIELDS;
        bqb_annotation one = {{0}};
        one.field[f] = x->note.field[f];
        s = bqb_annotation_text(&b->text, &one, NULL, err);
    }
    return s;
}

/* Texts are the same when the tower sees the same words, in whatever order the fields stand. */
static bqb_status text_key(bqb_batcher *b, uint64_t *key, const bqb_annotation *used, bqb_err *err) {
    bool fields = false;
    for (size_t f = 0; f < BQB_FIELDS; f++) fields |= used->field[f] != NULL;
    if (fields) b->text.len = 0;
    bqb_status s = fields ? bqb_annotation_text(&b->text, used, NULL, err) : BQB_OK;
    if (s) return s;
    size_t n = bqb_tokenizer_encode(b->tok, b->key_ids, b->o.context, b->text.data, b->text.len);
    *key = bqb_key_of(b->key_ids, n * sizeof *b->key_ids);
    return BQB_OK;
}

static bqb_augment choose_augment(const bqb_batcher *b, bqb_rand *r) {
    float R = (float)b->R;
    bqb_augment a = {.crop = {.size = R * (float)sqrt(bqb_rand_between(r, 0.9, 1.0)), .gain = {1, 1, 1}}};
    bqb_crop *c = &a.crop;
    c->x = (float)bqb_rand_unit(r) * (R - c->size);
    c->y = (float)bqb_rand_unit(r) * (R - c->size);
    if (b->o.augment == BQB_AUGMENT_RAND) {
        bqb_augment_draw(&a, r);
        return a;
    }
    double contrast = bqb_rand_between(r, 0.9, 1.1), light = bqb_rand_between(r, -12, 12);
    for (int k = 0; k < 3; k++) {
        c->gain[k] = (float)(contrast * bqb_rand_between(r, 0.97, 1.03));
        c->offset[k] = (float)(light + 127.5 * (1 - contrast));
    }
    return a;
}

/* n_keep of n_patches numbers, rising (selection sampling, Knuth 3.4.2 S). */
static void choose_patches(const bqb_batcher *b, uint16_t *keep, bqb_rand *r) {
    size_t need = b->n_keep;
    for (size_t p = 0; need; p++)
        if (bqb_rand_below(r, b->o.n_patches - p) < need) {
            *keep++ = (uint16_t)p;
            need--;
        }
}

size_t bqb_batch_kept(const bqb_batch_options *o) {
    size_t n = (size_t)lround((double)o->n_patches * (1 - o->mask_ratio));
    return n ? n : 1;
}

typedef struct {
    bqb_batcher *b;
    slot *s;
} decode_job;

/* A picture that cannot be read gives its place to the next one of the data set. */
static void decode_pair(void *ctx, size_t k, int worker) {
    (void)worker;
    decode_job *j = ctx;
    bqb_batcher *b = j->b;
    size_t frames = 0, i = j->s->sample[k];
    for (int tries = 0; tries < 16; tries++, i = (i + 1) % bqb_dataset_count(b->ds))
        if (!bqb_pixels_get(b->px, i, b->decoded + k * 3 * b->R * b->R * 3, &frames, NULL)) break;
    j->s->sample[k] = (uint32_t)i;
    b->decoded_frames[k] = (uint8_t)frames;
}

static bqb_status fill_pixels(bqb_batcher *b, slot *s, bqb_rand *rands, bqb_err *err) {
    size_t N = b->o.batch, frame = b->R * b->R * 3, P = 0;
    if (!bqb_pixels_cached(b->px)) {
        decode_job j = {b, s};
        bqb_parallel_for(N, b->o.threads > 0 ? b->o.threads : bqb_cpu_count(), decode_pair, &j);
    }
    for (size_t k = 0; k < N; k++) {
        const uint8_t *rgb = b->decoded + k * 3 * frame;
        size_t n = b->decoded_frames ? b->decoded_frames[k] : 0;
        if (bqb_pixels_cached(b->px)) n = bqb_pixels_view(b->px, s->sample[k], &rgb);
        if (!n)
            return bqb_fail(err, BQB_EFORMAT, "%s and the pictures after it cannot be read",
                            bqb_dataset_at(b->ds, s->sample[k])->path);
        if (b->o.alike) s->image_group[k] = b->o.alike[s->sample[k]];
        size_t first = 0, used = n;
        if (b->o.frames == 1) {
            size_t one = bqb_rand_below(&rands[k], 3); /* drawn for stills too: the same stream either way */
            if (n == 3) first = one;
            used = 1;
        }
        bqb_augment a = choose_augment(b, &rands[k]);
        for (size_t f = 0; f < used; f++) {
            if (b->trunk) {
                s->trunk[P + f] = bqb_trunk_frame(b->trunk, s->sample[k], first + f);
                continue;
            }
            uint8_t *out = s->rgb + (P + f) * frame;
            const uint8_t *in = rgb + (first + f) * frame;
            if (b->o.augment == BQB_AUGMENT_RAND) bqb_augment_frame(out, b->scratch, in, b->R, &a);
            else if (b->o.augment) bqb_crop_frame(out, in, b->R, &a.crop);
            else memcpy(out, in, frame);
            if (b->n_keep) choose_patches(b, s->keep + (P + f) * b->n_keep, &rands[k]);
        }
        s->frames[k] = (uint8_t)used;
        P += used;
    }
    return BQB_OK;
}

/* Tokens are first written at full width, then packed to the longest text of the batch. */
static bqb_status fill_text(bqb_batcher *b, slot *s, bqb_rand *rands, bqb_err *err) {
    size_t N = b->o.batch, C = b->o.context, L = 2;
    for (size_t k = 0; k < N; k++) {
        bqb_annotation used;
        bqb_status st = choose_text(b, bqb_dataset_at(b->ds, s->sample[k]), &used, &rands[k], err);
        if (st) return st;
        size_t n = bqb_tokenizer_encode(b->tok, s->wide_ids + k * C, C, b->text.data, b->text.len);
        if (n > L) L = n;
        if (b->o.alike) st = text_key(b, &s->key[k], &used, err);
        if (st) return st;
    }
    if (b->o.alike) bqb_group_keys(s->text_group, s->key, N);
    for (size_t k = 0; k < N; k++) memcpy(s->ids + k * L, s->wide_ids + k * C, L * sizeof *s->ids);
    s->view.L = L;
    return BQB_OK;
}

static void fill(bqb_batcher *b, slot *s, uint64_t step) {
    size_t N = b->o.batch, per_epoch = b->n_usable / N;
    choose_order(b, step / per_epoch);
    memcpy(s->sample, b->order + (step % per_epoch) * N, N * sizeof *s->sample);
    bqb_rand *rands = bqb_calloc(N, sizeof *rands);
    s->status = rands ? BQB_OK : bqb_fail_nomem(&s->err, "batch", N * sizeof *rands);
    for (size_t k = 0; k < N && rands; k++) rands[k] = pair_rand(b, step, k);
    if (!s->status) s->status = fill_pixels(b, s, rands, &s->err);
    if (!s->status) s->status = fill_text(b, s, rands, &s->err);
    free(rands);
    s->view.rgb = b->trunk ? NULL : s->rgb;
    s->view.image_trunk = b->trunk ? s->trunk : NULL;
    s->view.trunk = BQB_NUM_BF16;
    s->view.frames = s->frames;
    s->view.keep = b->n_keep ? s->keep : NULL;
    s->view.n_keep = b->n_keep;
    s->view.ids = s->ids;
    s->view.text_group = b->o.alike ? s->text_group : NULL;
    s->view.image_group = b->o.alike ? s->image_group : NULL;
    s->view.N = N;
    s->step = step;
    s->full = true;
}

static void *fill_in_background(void *arg) {
    bqb_batcher *b = arg;
    slot *s = &b->slots[!b->current];
    fill(b, s, s->step);
    return NULL;
}

static void wait_for_background(bqb_batcher *b) {
    if (b->running) pthread_join(b->thread, NULL);
    b->running = false;
}

bqb_status bqb_batcher_get(bqb_batcher *b, uint64_t step, const bqb_clip_batch **out, bqb_err *err) {
    wait_for_background(b);
    b->current = !b->current;
    slot *s = &b->slots[b->current], *next = &b->slots[!b->current];
    if (!s->full || s->step != step) fill(b, s, step);
    if (s->status) {
        s->full = false;
        if (err) *err = s->err;
        return s->status;
    }
    next->full = false;
    next->step = step + 1;
    b->running = pthread_create(&b->thread, NULL, fill_in_background, b) == 0;
    *out = &s->view;
    return BQB_OK;
}

bqb_status bqb_batcher_set_trunk(bqb_batcher *b, const bqb_trunk *trunk, bqb_err *err) {
    if (b->o.augment != BQB_AUGMENT_OFF || b->n_keep)
        return bqb_fail(err, BQB_EINVAL, "stored trunks are of whole, unchanged pictures: no augmentation, no masking");
    for (int k = 0; k < 2; k++) {
        slot *s = &b->slots[k];
        if (!s->trunk && !(s->trunk = bqb_calloc(b->o.batch * b->o.frames, sizeof *s->trunk)))
            return bqb_fail_nomem(err, "batch", b->o.batch * b->o.frames * sizeof *s->trunk);
    }
    b->trunk = trunk;
    return BQB_OK;
}

const uint32_t *bqb_batcher_samples(const bqb_batcher *b) { return b->slots[b->current].sample; }
size_t bqb_batcher_size(const bqb_batcher *b) { return b->o.batch; }
size_t bqb_batcher_usable(const bqb_batcher *b) { return b->n_usable; }
size_t bqb_batcher_steps_per_epoch(const bqb_batcher *b) { return b->n_usable / b->o.batch; }

static bqb_status check_options(const bqb_batch_options *o, bqb_err *err) {
    if (o->batch < 2) return bqb_fail(err, BQB_EINVAL, "batch %zu: contrastive learning needs at least 2 pairs", o->batch);
    if (o->context < 2) return bqb_fail(err, BQB_EINVAL, "context %zu: a text needs at least 2 tokens", o->context);
    if (o->frames != 1 && o->frames != 3) return bqb_fail(err, BQB_EINVAL, "frames %zu: 1 or 3 is needed", o->frames);
    if (!(o->field_drop >= 0 && o->field_drop <= 1))
        return bqb_fail(err, BQB_EINVAL, "field-drop %g is not within 0 … 1", o->field_drop);
    if (!(o->short_rate >= 0 && o->short_rate <= 1))
        return bqb_fail(err, BQB_EINVAL, "short %g is not within 0 … 1", o->short_rate);
    if (!(o->mask_ratio >= 0 && o->mask_ratio < 1))
        return bqb_fail(err, BQB_EINVAL, "mask-ratio %g is not within 0 … 1 (1 excluded)", o->mask_ratio);
    if (o->mask_ratio > 0 && (o->n_patches < 1 || o->n_patches > UINT16_MAX))
        return bqb_fail(err, BQB_EINVAL, "mask-ratio: %zu patches are not within 1 … 65535", o->n_patches);
    return BQB_OK;
}

static bqb_status alloc_slot(const bqb_batcher *b, slot *s, bqb_err *err) {
    size_t N = b->o.batch, P = N * b->o.frames, frame = b->R * b->R * 3;
    s->rgb = bqb_alloc_aligned(P, frame);
    s->frames = bqb_calloc(N, 1);
    s->keep = bqb_calloc(P * b->n_keep, sizeof *s->keep);
    s->ids = bqb_calloc(N * b->o.context, sizeof *s->ids);
    s->wide_ids = bqb_calloc(N * b->o.context, sizeof *s->wide_ids);
    s->sample = bqb_calloc(N, sizeof *s->sample);
    s->key = bqb_calloc(N, sizeof *s->key);
    s->text_group = bqb_calloc(N, sizeof *s->text_group);
    s->image_group = bqb_calloc(N, sizeof *s->image_group);
    if (!s->rgb || !s->frames || !s->keep || !s->ids || !s->wide_ids || !s->sample || !s->key || !s->text_group ||
        !s->image_group)
        return bqb_fail_nomem(err, "batch", P * frame);
    return BQB_OK;
}

bqb_status bqb_batcher_new(bqb_batcher **out, const bqb_dataset *ds, const bqb_pixels *px, const bqb_tokenizer *tok,
                           const bqb_batch_options *options, bqb_err *err) {
    *out = NULL;
    bqb_status s = check_options(options, err);
    if (s) return s;
    size_t n = bqb_dataset_count(ds);
    if (n > UINT32_MAX) return bqb_fail(err, BQB_ELIMIT, "%zu stickers; at most %u can be trained on", n, UINT32_MAX);
    bqb_batcher *b = bqb_calloc(1, sizeof *b);
    if (!b) return bqb_fail_nomem(err, "batches", sizeof *b);
    b->ds = ds;
    b->px = px;
    b->tok = tok;
    b->o = *options;
    b->R = bqb_pixels_resolution(px);
    b->epoch = UINT64_MAX;
    b->text.max = TEXT_MAX;
    if (b->o.mask_ratio > 0)
        b->n_keep = bqb_batch_kept(&b->o);
    b->usable = bqb_calloc(n, sizeof *b->usable);
    b->order = bqb_calloc(n, sizeof *b->order);
    if (!b->usable || !b->order) s = bqb_fail_nomem(err, "batches", n * sizeof *b->order);
    for (size_t i = 0; i < n && !s; i++) {
        const uint8_t *rgb;
        if (!bqb_pixels_cached(px) || bqb_pixels_view(px, i, &rgb)) b->usable[b->n_usable++] = (uint32_t)i;
    }
    if (!s && b->n_usable < 2)
        s = bqb_fail(err, BQB_EFORMAT, "%zu %s can be used; training needs at least 2", b->n_usable, bqb_word(b->n_usable, "sticker", "stickers"));
    if (!s && bqb_dataset_text_count(ds) < 2 && !(b->o.short_rate > 0 && bqb_dataset_query_count(ds))) {
        const char *text = bqb_dataset_commonest_text(ds, &n);
        s = bqb_fail(err, BQB_EFORMAT,
                     "all %zu stickers have the same text (%s): nothing tells them apart, so there is nothing to learn", n, text);
    }
    if (!s && b->o.batch > b->n_usable) b->o.batch = b->n_usable;
    if (!s && !bqb_pixels_cached(px)) {
        b->decoded = bqb_alloc_aligned(b->o.batch, 9 * b->R * b->R);
        b->decoded_frames = bqb_calloc(b->o.batch, 1);
        if (!b->decoded || !b->decoded_frames) s = bqb_fail_nomem(err, "batch", b->o.batch * 9 * b->R * b->R);
    }
    if (!s && b->o.alike && !(b->key_ids = bqb_calloc(b->o.context, sizeof *b->key_ids)))
        s = bqb_fail_nomem(err, "batches", b->o.context * sizeof *b->key_ids);
    b->scratch = bqb_alloc_aligned(2, 3 * b->R * b->R);
    if (!s && !b->scratch) s = bqb_fail_nomem(err, "batch", 6 * b->R * b->R);
    for (int k = 0; k < 2 && !s; k++) s = alloc_slot(b, &b->slots[k], err);
    if (s) {
        bqb_batcher_free(b);
        return s;
    }
    *out = b;
    return BQB_OK;
}

void bqb_batcher_free(bqb_batcher *b) {
    if (!b) return;
    wait_for_background(b);
    for (int k = 0; k < 2; k++) {
        slot *s = &b->slots[k];
        free(s->rgb);
        free(s->trunk);
        free(s->frames);
        free(s->keep);
        free(s->ids);
        free(s->wide_ids);
        free(s->sample);
        free(s->key);
        free(s->text_group);
        free(s->image_group);
    }
    free(b->usable);
    free(b->order);
    free(b->decoded);
    free(b->decoded_frames);
    free(b->scratch);
    free(b->key_ids);
    bqb_buf_free(&b->text);
    free(b);
}
