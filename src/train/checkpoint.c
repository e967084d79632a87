#include "train/checkpoint.h"

#include "base/mem.h"
#include "file/safetensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char kind[] = "bqb training checkpoint 1";
static const char *const block_names[3] = {"moment1", "moment2", "weights"};

bqb_status bqb_checkpoint_write(const char *path, bqb_clip *m, const float *mom, const float *var,
                                const bqb_checkpoint *c, bqb_err *err) {
    size_t n = bqb_clip_float_count(m);
    char step[32], validated[32], best[40];
    snprintf(step, sizeof step, "%" PRIu64, c->step);
    snprintf(validated, sizeof validated, "%" PRIu64, c->validated);
    snprintf(best, sizeof best, "%.17g", c->best);
    const void *data[3] = {mom, var, bqb_clip_weights(m)};
    bqb_tensor t[3];
    for (int k = 0; k < 3; k++)
        t[k] = (bqb_tensor){.name = block_names[k], .dtype = BQB_F32, .n_dims = 1, .dim = {n}, .n = n, .data = data[k]};
    const char *meta[] = {"kind", kind, "step", step, "validated", validated, "best", best, "settings", c->settings, NULL};
    return bqb_safetensors_write(path, t, 3, meta, err);
}

static bqb_status open_checked(bqb_safetensors **st, const char *path, bqb_err *err) {
    bqb_status s = bqb_safetensors_open(st, path, err);
    if (s) return s;
    const char *k = bqb_safetensors_metadata(*st, "kind");
    if (k && !strcmp(k, kind)) return BQB_OK;
    if (k && !strncmp(k, kind, sizeof kind - 2)) /* all but its number */
        s = bqb_fail(err, BQB_EVERSION, "%s: written by a newer bqb (\"%s\", this one reads \"%s\")", path, k, kind);
    else s = bqb_fail(err, BQB_EFORMAT, "%s: not a training checkpoint of bqb", path);
    bqb_safetensors_close(*st); /* only now: k is the file's */
    *st = NULL;
    return s;
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
    bqb_status s = open_checked(&st, path, err);
    if (s) return s;
    const char *settings = bqb_safetensors_metadata(st, "settings");
    if (!read_count(&c->step, st, "step") || !read_count(&c->validated, st, "validated") ||
        !read_real(&c->best, st, "best") || !settings)
        s = bqb_fail(err, BQB_EFORMAT, "%s: step, validated, best or settings are missing or no numbers", path);
    if (!s && !(c->settings = bqb_strdup(settings))) s = bqb_fail_nomem(err, path, strlen(settings));
    bqb_safetensors_close(st);
    return s;
}

bqb_status bqb_checkpoint_read(const char *path, bqb_clip *m, float *mom, float *var, bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = open_checked(&st, path, err);
    if (s) return s;
    size_t n = bqb_clip_float_count(m);
    float *to[3] = {mom, var, bqb_clip_weights(m)};
    for (int k = 0; k < 3 && !s; k++) {
        const bqb_tensor *t = bqb_safetensors_find(st, block_names[k]);
        if (!t || t->dtype != BQB_F32)
            s = bqb_fail(err, BQB_EFORMAT, "%s: no f32 tensor \"%s\"", path, block_names[k]);
        else if (t->n != n)
            s = bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%s\" has %zu values, the model has %zu", path, block_names[k],
                         t->n, n);
        else s = bqb_tensor_to_f32(to[k], t, 0, n, err);
    }
    if (!s) bqb_clip_weights_changed(m);
    bqb_safetensors_close(st);
    return s;
}
