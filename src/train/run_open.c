#define _GNU_SOURCE
#include "train/run.h"

#include "base/fs.h"
#include "file/json.h"
#include "train/out_folder.h"
#include "train/settings.h"

#include <dirent.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETTINGS_MAX = 1 << 20 };

/* What a run that was killed left half written; safe under the lock. */
static void remove_leftovers(const char *dir) {
    static const char *const names[] = {"checkpoint.safetensors.", "model.safetensors.", "config.json.", "vocab.txt.", "vocab.json.", "merges.txt.", "tokenizer.json.",
                                        "train.json.", "log.csv.", "valid.csv.", "curve.svg.", "pixels-", "valid-", "trunk-"};
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        const char *tmp = strstr(e->d_name, ".tmp.");
        bool ours = false;
        for (size_t i = 0; tmp && i < sizeof names / sizeof *names; i++)
            ours |= !strncmp(e->d_name, names[i], strlen(names[i]));
        if (ours) unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

/* The last checkpoint, or the one before it where the last one is damaged. */
static bqb_status choose_checkpoint(bqb_run *t, bqb_checkpoint *from, bqb_err *err) {
    bool there = bqb_is_file(t->checkpoint_path), older = bqb_is_file(t->older_path);
    if (!there && !older)
        return bqb_fail(err, BQB_ENOTFOUND, "%s: no checkpoint to resume from", t->checkpoint_path);
    bqb_err why = {0};
    bqb_status s = BQB_ENOTFOUND;
    if (there) s = bqb_checkpoint_peek(from, t->checkpoint_path, &why);
    else bqb_fail(&why, s, "%s: not there", t->checkpoint_path);
    if (!s || s == BQB_EVERSION || !older) {
        if (s && err) *err = why;
        return s;
    }
    bqb_err too = {0};
    if (bqb_checkpoint_peek(from, t->older_path, &too))
        return bqb_fail(err, s, "neither checkpoint can be read: %.200s; %.200s", why.msg, too.msg);
    t->older_alone = true;
    bqb_run_say(t, "%s; going on from the one before it, of step %" PRIu64, why.msg, from->step);
    return BQB_OK;
}

static bqb_status resume(bqb_run *t, bqb_err *err) {
    bqb_checkpoint from = {0};
    bqb_status s = choose_checkpoint(t, &from, err);
    if (!s) s = bqb_json_parse(&t->old, from.settings, strlen(from.settings), 8, 100000, err);
    if (!s) s = bqb_settings_resume(&t->o, t->old, err);
    if (!s && !t->o.n_data) {
        s = bqb_settings_data(&t->data, &t->o.n_data, t->old, t->checkpoint_path, err);
        t->o.data = t->data;
    }
    free(from.settings);
    if (s) return s;
    t->step = t->first_step = t->saved_step = from.step;
    t->saved = true;
    t->seen = from.seen;
    return BQB_OK;
}

bqb_status bqb_run_open_out(bqb_run *t, bqb_err *err) {
    bool looks = t->o.preview != NULL; /* only, and leaves nothing there */
    if (looks && !t->o.resume) return BQB_OK;
    if (!t->o.out || !*t->o.out) return bqb_fail(err, BQB_EINVAL, "no folder for the results was given (--out)");
    bqb_status s = looks ? BQB_OK : bqb_make_dirs(t->o.out, err);
    if (!s && !looks) s = bqb_out_lock(&t->lock_fd, t->o.out, "training run", err);
    if (s) return s;
    t->checkpoint_path = bqb_run_path(t, "checkpoint.safetensors");
    t->older_path = bqb_run_path(t, "checkpoint.older.safetensors");
    t->last_dir = bqb_run_path(t, "last");
    t->best_dir = bqb_run_path(t, "best");
    if (!t->checkpoint_path || !t->older_path || !t->last_dir || !t->best_dir)
        return bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    if (looks) return resume(t, err);
    remove_leftovers(t->o.out);
    remove_leftovers(t->last_dir);
    remove_leftovers(t->best_dir);
    if (t->o.resume) return resume(t, err);
    if (bqb_is_file(t->checkpoint_path) || bqb_is_file(t->older_path))
        return bqb_fail(err, BQB_EINVAL, "%s holds a training run; --resume goes on with it, or choose another folder",
                        t->o.out);
    char *model = bqb_run_path(t, "model.safetensors"), *config = bqb_run_path(t, "config.json");
    if (!model || !config) s = bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    else if (bqb_is_file(model) || bqb_is_file(config)) s = bqb_fail(err, BQB_EINVAL, "%s holds a model; choose another folder", t->o.out);
    free(model);
    free(config);
    return s;
}

/* "image", "text:4", …, by commas. */
static bqb_status parse_freeze(bqb_clip_frozen *f, const char *text, bqb_err *err) {
    *f = (bqb_clip_frozen){0};
    for (const char *p = text; p && *p; p += *p == ',') {
        size_t n = strcspn(p, ",:");
        int tower = n == 5 && !memcmp(p, "image", n) ? BQB_TOWER_IMAGE : n == 4 && !memcmp(p, "text", n) ? BQB_TOWER_TEXT : 0;
        size_t *blocks = tower == BQB_TOWER_IMAGE ? &f->v_blocks : &f->t_blocks;
        char *end = NULL;
        if (p[n] == ':' && p[n + 1] >= '0' && p[n + 1] <= '9') *blocks = (size_t)strtoull(p + n + 1, &end, 10);
        else if (p[n] != ':') end = (char *)(uintptr_t)(p + n), f->towers |= tower;
        if (!tower || !end || (*end && *end != ','))
            return bqb_fail(err, BQB_EINVAL, "freeze \"%s\": image, text, image:BLOCKS or text:BLOCKS are needed, by commas", text);
        p = end;
    }
    if (f->towers == BQB_TOWER_BOTH)
        return bqb_fail(err, BQB_EINVAL, "freeze \"%s\": nothing but the scale would learn", text);
    return BQB_OK;
}

bqb_status bqb_run_check_options(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    if (bqb_run_augment(t) < 0)
        return bqb_fail(err, BQB_EINVAL, "augment \"%s\": on, off or rand is needed", o->augment);
    if (bqb_run_duplicates(t) < 0)
        return bqb_fail(err, BQB_EINVAL, "duplicates \"%s\": positive or negative is needed", o->duplicates);
    if (!strcmp(o->precision, "auto")) t->precision = bqb_precision_best();
    else if (!strcmp(o->precision, "f32")) t->precision = BQB_PREC_F32;
    else if (!strcmp(o->precision, "bf16")) t->precision = BQB_PREC_BF16;
    else return bqb_fail(err, BQB_EINVAL, "precision \"%s\": auto, f32 or bf16 is needed", o->precision);
    t->o.precision = bqb_precision_name(t->precision);
    /* A mean that never changes, or a zero to divide by once both are f32, is no number after the first step. */
    const struct {
        const char *name;
        double value, low, high;
    } range[] = {
        {"lr", o->lr, 0, FLT_MAX},         {"weight_decay", o->weight_decay, 0, 1e6},
        {"beta1", o->beta1, 0, 0.999999},  {"beta2", o->beta2, 0, 0.999999},
        {"eps", o->eps, 1e-30, 1},         {"clip_norm", o->clip_norm, 0, FLT_MAX},
        {"ema", o->ema, 0, 0.999999},      {"threads", (double)o->threads, 0, 1024},
        {"save_minutes", o->save_minutes, 0, 1e9}, {"cache_max_gib", o->cache_max_gib, 0, 1e9},
    };
    for (size_t k = 0; k < sizeof range / sizeof *range; k++)
        if (!(range[k].value >= range[k].low && range[k].value <= range[k].high))
            return bqb_fail(err, BQB_EINVAL, "%s %.8g is not within %.8g … %.8g", range[k].name, range[k].value, range[k].low,
                            range[k].high);
    if (o->patience && !o->valid)
        return bqb_fail(err, BQB_EINVAL, "patience %zu: there is nothing to measure without held-out stickers (--valid)", o->patience);
    if (t->o.resume) return BQB_OK;
    if (o->init && (o->config || o->vocab))
        return bqb_fail(err, BQB_EINVAL, "a model folder to start from and a configuration to start at random exclude each other");
    if (!o->init && !(o->config && o->vocab))
        return bqb_fail(err, BQB_EINVAL,
                        "a start is needed: --init MODEL, or --from-scratch CONFIG.json together with --vocab FILE");
    return BQB_OK;
}

bqb_status bqb_run_open_model(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    const char *dir = o->resume ? t->last_dir : o->init;
    bqb_status s = BQB_OK;
    if (dir) s = bqb_clip_open(&t->model, dir, BQB_TOWER_BOTH, t->precision, (int)o->threads, err);
    else {
        bqb_clip_config c;
        bqb_tokenizer *tok = NULL;
        s = bqb_tokenizer_open(&tok, o->vocab, err);
        if (!s) s = bqb_clip_config_read(&c, o->config, err);
        if (!s && c.vocab != bqb_tokenizer_size(tok))
            s = bqb_fail(err, BQB_EFORMAT, "%s: vocabulary size %zu, but %s has %zu tokens", o->config, c.vocab, o->vocab,
                         bqb_tokenizer_size(tok));
        if (o->preview) t->tok = tok;
        else bqb_tokenizer_close(tok);
        /* By way of a folder, as a resumed run: so both know the vocabulary and have read the same files. */
        if (!s) s = bqb_clip_new(&t->model, &c, NULL, (uint64_t)o->seed, t->precision, (int)o->threads, err);
        if (!s && !o->preview) {
            s = bqb_clip_save(t->model, t->last_dir, false, o->vocab, err);
            bqb_clip_free(t->model);
            t->model = NULL;
            if (!s) s = bqb_clip_open(&t->model, t->last_dir, BQB_TOWER_BOTH, t->precision, (int)o->threads, err);
        }
    }
    if (s) return s;
    bqb_clip_frozen frozen;
    s = parse_freeze(&frozen, o->freeze, err);
    if (!s) s = bqb_clip_freeze(t->model, &frozen, err);
    if (s) return s;
    bqb_clip_save_memory(t->model, o->chunk, o->recompute);
    return BQB_OK;
}

/* After it is known that all of it fits. */
bqb_status bqb_run_open_optimiser(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    size_t n = bqb_clip_float_count(t->model);
    t->grad = bqb_alloc_aligned(n, sizeof(float));
    t->mom = bqb_alloc_aligned(n, sizeof(float));
    t->var = bqb_alloc_aligned(n, sizeof(float));
    if (!t->grad || !t->mom || !t->var) return bqb_fail_nomem(err, "optimiser", 3 * n * sizeof(float));
    memset(t->mom, 0, n * sizeof(float));
    memset(t->var, 0, n * sizeof(float));
    if (o->ema > 0) {
        t->average = bqb_alloc_aligned(n, sizeof(float));
        if (!t->average) return bqb_fail_nomem(err, "moving average", n * sizeof(float));
        memcpy(t->average, bqb_clip_weights(t->model), n * sizeof(float));
    }
    if (!o->resume) return BQB_OK;
    bqb_train_blocks blocks = {t->mom, t->var, t->average};
    return bqb_checkpoint_read(t->older_alone ? t->older_path : t->checkpoint_path, t->model, &blocks, err);
}

/* OUT/train.json, which is also what a checkpoint remembers. */
static bqb_status write_settings(bqb_run *t, bqb_err *err) {
    bqb_train_options *o = &t->o;
    o->threads = (size_t)bqb_clip_threads(t->model);
    json_t *j = json_object(), *data = json_array();
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, bqb_dataset_hash(t->ds));
    int bad = json_object_set_new(j, "bqb", json_string(BQB_VERSION));
    for (size_t i = 0; i < o->n_data; i++) bad |= json_array_append_new(data, json_string(o->data[i]));
    bad |= json_object_set_new(j, "data", data);
    bad |= json_object_set_new(j, "data_hash", json_string(hash));
    bad |= json_object_set_new(j, "stickers", json_integer((json_int_t)bqb_batcher_usable(t->batcher)));
    bad |= json_object_set_new(j, "total_steps", json_integer((json_int_t)t->total));
    bqb_status s = bad ? bqb_fail(err, BQB_EINVAL, "the settings cannot be written as JSON (a path that is no UTF-8?)")
                       : bqb_settings_put(j, o, err);
    if (!s) {
        t->settings_text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)); /* exact, to go on with */
        if (!t->settings_text) s = bqb_fail_nomem(err, "settings", SETTINGS_MAX);
    }
    char *path = s ? NULL : bqb_run_path(t, "train.json");
    char *readable = s ? NULL : json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    if (!s && (!path || !readable)) s = bqb_fail_nomem(err, "train.json", SETTINGS_MAX);
    if (!s) s = bqb_file_write(path, readable, strlen(readable), err);
    free(readable);
    free(path);
    json_decref(j);
    return s;
}

/* A table of numbers by step, and where lines are added to it. */
static bqb_status open_csv(const bqb_run *t, FILE **out, const char *name, const char *header, bqb_err *err) {
    bqb_status s = bqb_out_log(t->o.out, name, header, t->o.resume, t->step, bqb_csv_step, err);
    char *path = s || !out ? NULL : bqb_run_path(t, name);
    if (!s && out && !path) s = bqb_fail_nomem(err, name, strlen(name));
    if (path && !(*out = fopen(path, "ae"))) s = bqb_fail_errno(err, "%s", path);
    free(path);
    return s;
}

bqb_status bqb_run_open_logs(bqb_run *t, bqb_err *err) {
    bqb_status s = write_settings(t, err);
    if (!s) s = open_csv(t, &t->log, "log.csv", "step,epoch,lr,loss,logit_scale,grad_norm,pairs_per_s", err);
    if (!s && t->valid_ds)
        s = open_csv(t, NULL, "valid.csv", "step,epoch,texts,r1,r5,r10,mr,median,image_to_text_r1,image_to_text_mr", err);
    return s;
}
