#include "train/checkpoint.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char kind[] = "bqb training checkpoint 1";
enum { MAX_BLOCKS = 4 };
typedef struct {
    const char *name;
    float *data;
} block;

/* In the order of their names, as the file holds them. */
static size_t list_blocks(block *out, bqb_clip *m, const bqb_train_blocks *b) {
    size_t n = 0;
    if (b->average) out[n++] = (block){"average", b->average};
    out[n++] = (block){"moment1", b->mom};
    out[n++] = (block){"moment2", b->var};
    out[n++] = (block){"weights", bqb_clip_weights(m)};
    return n;
}

bqb_status bqb_checkpoint_write(const char *path, bqb_clip *m, const bqb_train_blocks *blocks, const bqb_checkpoint *c,
                                bqb_err *err) {
    size_t n = bqb_clip_float_count(m);
    char step[32], validated[32], best[40], best_step[32], stale[32];
    snprintf(step, sizeof step, "%" PRIu64, c->step);
    snprintf(validated, sizeof validated, "%" PRIu64, c->seen.step);
    snprintf(best, sizeof best, "%.17g", c->seen.best);
    snprintf(best_step, sizeof best_step, "%" PRIu64, c->seen.best_step);
    snprintf(stale, sizeof stale, "%" PRIu64, c->seen.stale);
    block b[MAX_BLOCKS];
    bqb_tensor t[MAX_BLOCKS];
    size_t n_blocks = list_blocks(b, m, blocks);
    for (size_t k = 0; k < n_blocks; k++)
        t[k] = bqb_checkpoint_block(b[k].name, b[k].data, n);
    const char *meta[] = {"kind", kind,   "step",      step,      "validated", validated, "best",       best,
                          "best_step", best_step, "stale", stale, "settings",  c->settings, NULL};
    return bqb_safetensors_write(path, t, n_blocks, meta, err);
}

bqb_tensor bqb_checkpoint_block(const char *name, const float *data, size_t n) {
    return (bqb_tensor){.name = name, .dtype = BQB_F32, .n_dims = 1, .dim = {n}, .n = n, .data = data};
}

bqb_status bqb_checkpoint_open(bqb_safetensors **st, const char *path, const char *kind_wanted, const char *it_is_not, bqb_err *err) {
    bqb_status s = bqb_safetensors_open(st, path, err);
    if (s) return s;
    const char *k = bqb_safetensors_metadata(*st, "kind");
    if (k && !strcmp(k, kind_wanted)) return BQB_OK;
    if (k && !strncmp(k, kind_wanted, strlen(kind_wanted) - 1)) /* all but its number */
        s = bqb_fail(err, BQB_EVERSION, "%s: written by a newer bqb (\"%s\", this one reads \"%s\")", path, k, kind_wanted);
    else s = bqb_fail(err, BQB_EFORMAT, "%s: %s", path, it_is_not);
    bqb_safetensors_close(*st); /* only now: k is the file's */
    *st = NULL;
    return s;
}

bqb_status bqb_checkpoint_take(float *out, const bqb_safetensors *st, const char *name, size_t n, const char *path, bqb_err *err) {
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!t || t->dtype != BQB_F32) return bqb_fail(err, BQB_EFORMAT, "%s: no f32 tensor \"%s\"", path, name);
    if (t->n != n) return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%s\" has %zu values, the model has %zu", path, name, t->n, n);
    return bqb_tensor_to_f32(out, t, 0, n, err);
}

static bqb_status open_own(bqb_safetensors **st, const char *path, bqb_err *err) {
    return bqb_checkpoint_open(st, path, kind, "not a training checkpoint of bqb", err);
}

static bool read_count(uint64_t *out, const bqb_safetensors *st, const char *key) {
    const char *text = bqb_safetensors_metadata(st, key);
    char *end;
    if (!text || *text < '0' || *text > '9') return false;
    *out = strtoull(text, &end, 10);
    return !*end;
}

static bool read_real(double *out, const bqb_safetensors *st, const char *key) {
    const char *text = bqb_safetensors_metadata(st, key);
    char *end;
    if (!text || !*text) return false;
    *out = strtod(text, &end);
    return !*end;
}

bqb_status bqb_checkpoint_peek(bqb_checkpoint *c, const char *path, bqb_err *err) {
    *c = (bqb_checkpoint){0};
    bqb_safetensors *st;
    bqb_status s = open_own(&st, path, err);
    if (s) return s;
    const char *settings = bqb_safetensors_metadata(st, "settings");
    if (!read_count(&c->step, st, "step") || !read_count(&c->seen.step, st, "validated") ||
        !read_real(&c->seen.best, st, "best") || !settings)
        s = bqb_fail(err, BQB_EFORMAT, "%s: step, validated, best or settings are missing or no numbers", path);
    /* Older files do not count these. */
    if (!read_count(&c->seen.best_step, st, "best_step")) c->seen.best_step = c->step;
    if (!read_count(&c->seen.stale, st, "stale")) c->seen.stale = 0;
    if (!s && !(c->settings = bqb_strdup(settings))) s = bqb_fail_nomem(err, path, strlen(settings));
    bqb_safetensors_close(st);
    return s;
}

bqb_status bqb_checkpoint_read(const char *path, bqb_clip *m, const bqb_train_blocks *blocks, bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = open_own(&st, path, err);
    if (s) return s;
    size_t n = bqb_clip_float_count(m);
    block b[MAX_BLOCKS];
    size_t n_blocks = list_blocks(b, m, blocks);
    for (size_t k = 0; k < n_blocks && !s; k++) s = bqb_checkpoint_take(b[k].data, st, b[k].name, n, path, err);
    if (!s) bqb_clip_weights_changed(m);
    bqb_safetensors_close(st);
    return s;
}
