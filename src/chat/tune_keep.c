/* What a run of tuning keeps: the checkpoint, all that is needed to go on, and the adapter, all that is needed to be used. */
#include "chat/tune_run.h"

#include "base/clock.h"
#include "file/json.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char kind[] = "bqb tuning checkpoint 1";
enum { BLOCKS = 3 };

typedef struct {
    const char *name;
    float *data; /* [parts.n_floats] */
} block;

static void list_blocks(block b[BLOCKS], const bqb_tune_run *r) {
    b[0] = (block){"moment1", r->mom};
    b[1] = (block){"moment2", r->var};
    b[2] = (block){"parts", r->parts.floats};
}

static bqb_status open_own(bqb_safetensors **st, const char *path, bqb_err *err) { return bqb_checkpoint_open(st, path, kind, "no checkpoint of tuning", err); }

bqb_status bqb_tune_peek(json_t **settings, uint64_t *step, const char *path, bqb_err *err) {
    bqb_safetensors *st;
    *settings = NULL;
    bqb_status s = open_own(&st, path, err);
    if (s) return s;
    const char *text = bqb_safetensors_metadata(st, "settings"), *at = bqb_safetensors_metadata(st, "step");
    char *end = NULL;
    if (at && *at >= '0' && *at <= '9') *step = strtoull(at, &end, 10);
    if (!text || !end || *end) s = bqb_fail(err, BQB_EFORMAT, "%s: step or settings are missing", path);
    if (!s && (s = bqb_json_parse(settings, text, strlen(text), 8, 100000, err))) bqb_err_prefix(err, path);
    bqb_safetensors_close(st);
    return s;
}

bqb_status bqb_tune_read(bqb_tune_run *r, bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = open_own(&st, r->checkpoint_path, err);
    if (s) return s;
    block b[BLOCKS];
    list_blocks(b, r);
    for (size_t i = 0; i < BLOCKS && !s; i++) s = bqb_checkpoint_take(b[i].data, st, b[i].name, r->parts.n_floats, r->checkpoint_path, err);
    bqb_safetensors_close(st);
    return s;
}

/* For people: what adapter.json says of how it was trained. */
static char *describe(const bqb_tune_run *t) {
    json_t *o = json_object();
    static const char *const names[] = {"steps", "batch", "lr", "beta1", "beta2", "warmup", "clip_norm", "weight_decay", "talk", "pret", "rounds", "at_once", "seed", "precision"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) json_object_set(o, names[i], json_object_get(t->settings, names[i]));
    json_object_set_new(o, "step", json_integer((json_int_t)t->step));
    json_object_set_new(o, "stickers", json_integer((json_int_t)t->learn.pictures.n));
    json_object_set_new(o, "loss_words", json_real((double)t->r.words));
    json_object_set_new(o, "loss_stickers", json_real((double)t->r.stickers));
    if (t->r.mr >= 0) json_object_set_new(o, "held_out_mr", json_real(t->r.mr));
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(o);
    return text;
}

static bqb_status write_checkpoint(bqb_tune_run *t, bqb_err *err) {
    block b[BLOCKS];
    bqb_tensor tensor[BLOCKS];
    list_blocks(b, t);
    for (size_t i = 0; i < BLOCKS; i++) tensor[i] = bqb_checkpoint_block(b[i].name, b[i].data, t->parts.n_floats);
    char step[32], *settings = json_dumps(t->settings, JSON_COMPACT | JSON_REAL_PRECISION(17));
    snprintf(step, sizeof step, "%" PRIu64, t->step);
    const char *meta[] = {"kind", kind, "step", step, "settings", settings, NULL};
    bqb_status s = settings ? bqb_safetensors_write(t->checkpoint_path, tensor, BLOCKS, meta, err) : bqb_fail_nomem(err, t->checkpoint_path, 4096);
    free(settings);
    return s;
}

bqb_status bqb_tune_keep(bqb_tune_run *t, bqb_err *err) {
    bqb_status s = write_checkpoint(t, err);
    if (s == BQB_EIO) {
        bqb_err why = err ? *err : (bqb_err){0};
        return bqb_fail(err, BQB_EIO, "%.300s (%.1f MB are needed there); %s", why.msg, 12e-6 * (double)t->parts.n_floats,
                        t->saved ? "the last checkpoint is kept, --resume goes on from it" : "there is no checkpoint yet");
    }
    if (s) return s;
    t->saved = true;
    t->saved_step = t->step;
    char *trained = describe(t);
    bqb_adapter_info info = {.system = t->batch_options.form.system ? (char *)(uintptr_t)t->batch_options.form.system : NULL, .trained = trained};
    s = trained ? bqb_adapter_save(t->o.out, &t->parts, &info, t->llm, t->clip, err) : bqb_fail_nomem(err, t->o.out, 4096);
    free(trained);
    t->saved_at = bqb_now_s();
    return s;
}
