#define _GNU_SOURCE
#include "train/trainer.h"

#include "base/fs.h"
#include "file/json.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/curve.h"
#include "train/evaluate.h"
#include "train/schedule.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, CSV_MAX = 1 << 28, SETTINGS_MAX = 1 << 20 };

/* ---- settings: one table for defaults, echo and resuming ---- */

typedef enum { SET_SIZE, SET_REAL, SET_TEXT } set_kind;
typedef struct {
    const char *name;
    set_kind kind;
    size_t at;
    double value;     /* default */
    const char *text; /* default of a text */
    bool may_change;  /* a resumed run may have another one */
} setting;

#define SIZE(field, def, change) {#field, SET_SIZE, offsetof(bqb_train_options, field), def, NULL, change}
#define REAL(field, def, change) {#field, SET_REAL, offsetof(bqb_train_options, field), def, NULL, change}
#define TEXT(field, def, change) {#field, SET_TEXT, offsetof(bqb_train_options, field), 0, def, change}
static const setting settings[] = {
    TEXT(init, NULL, false),         TEXT(config, NULL, false),      TEXT(vocab, NULL, false),
    TEXT(valid, NULL, true),         TEXT(cache, NULL, true),        SIZE(batch, 64, false),
    SIZE(epochs, 5, true),           SIZE(steps, 0, true),           SIZE(warmup, 100, false),
    SIZE(seed, 1, false),            SIZE(frames, 3, false),         REAL(lr, 2e-5, false),
    REAL(weight_decay, 1e-3, false), REAL(beta1, 0.9, false),        REAL(beta2, 0.98, false),
    REAL(eps, 1e-6, false),          REAL(clip_norm, 0, false),      REAL(field_drop, 0, false),
    REAL(short_rate, 0, false),      REAL(mask_ratio, 0, false),     TEXT(augment, "on", false),
    TEXT(precision, "auto", false),  SIZE(context, 0, false),        SIZE(valid_every, 500, true),
    SIZE(valid_limit, 1000, true),   SIZE(save_every, 0, true),      REAL(save_minutes, 10, true),
    REAL(cache_max_gib, 32, true),
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

static size_t *size_at(bqb_train_options *o, const setting *s) { return (size_t *)(void *)((char *)o + s->at); }
static double *real_at(bqb_train_options *o, const setting *s) { return (double *)(void *)((char *)o + s->at); }
static const char **text_at(bqb_train_options *o, const setting *s) { return (const char **)(void *)((char *)o + s->at); }

void bqb_train_unset(bqb_train_options *o) {
    *o = (bqb_train_options){0};
    for (size_t k = 0; k < N_SETTINGS; k++) {
        if (settings[k].kind == SET_SIZE) *size_at(o, &settings[k]) = SIZE_MAX;
        if (settings[k].kind == SET_REAL) *real_at(o, &settings[k]) = NAN;
    }
}

static void set_defaults(bqb_train_options *o) {
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        if (s->kind == SET_SIZE && *size_at(o, s) == SIZE_MAX) *size_at(o, s) = (size_t)s->value;
        if (s->kind == SET_REAL && isnan(*real_at(o, s))) *real_at(o, s) = s->value;
        if (s->kind == SET_TEXT && !*text_at(o, s)) *text_at(o, s) = s->text;
    }
}

/* Take what was not given from the checkpoint; what was given must agree. */
static bqb_status resume_settings(bqb_train_options *o, json_t *old, bqb_err *err) {
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        json_t *v = json_object_get(old, s->name);
        bool same = true;
        char was[64] = "nothing";
        if (s->kind == SET_SIZE) {
            size_t *x = size_at(o, s);
            if (!json_is_integer(v)) return bqb_fail(err, BQB_EFORMAT, "checkpoint: no setting \"%s\"", s->name);
            if (*x == SIZE_MAX) *x = (size_t)json_integer_value(v);
            same = *x == (size_t)json_integer_value(v);
            snprintf(was, sizeof was, "%lld", (long long)json_integer_value(v));
        } else if (s->kind == SET_REAL) {
            double *x = real_at(o, s);
            if (!json_is_number(v)) return bqb_fail(err, BQB_EFORMAT, "checkpoint: no setting \"%s\"", s->name);
            if (isnan(*x)) *x = json_number_value(v);
            same = *x == json_number_value(v);
            snprintf(was, sizeof was, "%g", json_number_value(v));
        } else {
            const char **x = text_at(o, s), *then = json_string_value(v);
            if (!*x) *x = then;
            same = *x == then || (then && !strcmp(*x, then));
            if (s->at == offsetof(bqb_train_options, precision) && !strcmp(*x ? *x : "", "auto")) {
                *x = then;
                same = true;
            }
            if (then) snprintf(was, sizeof was, "%.60s", then);
        }
        if (!same && !s->may_change)
            return bqb_fail(err, BQB_EINVAL,
                            "resume: the run began with %s = %s; another value would be another training "
                            "(leave it out to go on, or begin in another folder)",
                            s->name, was);
    }
    return BQB_OK;
}

static bqb_status put_settings(json_t *to, bqb_train_options *o, bqb_err *err) {
    int bad = 0;
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        json_t *v;
        if (s->kind == SET_SIZE) v = json_integer((json_int_t)*size_at(o, s));
        else if (s->kind == SET_REAL) v = json_real(*real_at(o, s));
        else v = *text_at(o, s) ? json_string(*text_at(o, s)) : json_null();
        bad |= json_object_set_new(to, s->name, v);
    }
    return bad ? bqb_fail(err, BQB_EINVAL, "the settings cannot be written as JSON (a path that is no UTF-8?)") : BQB_OK;
}

/* ---- one run ---- */

typedef struct {
    bqb_train_options o;
    json_t *old;          /* settings of the checkpoint, which o borrows texts from */
    const char **data;    /* o.data, when it came from there */
    char *settings_text;
    char *vocab_path, *checkpoint_path, *last_dir, *best_dir, *cache_dir;
    int lock_fd;
    bqb_precision precision;
    bqb_clip *model;
    bqb_wordpiece *wp;
    bqb_dataset *ds, *valid_ds;
    bqb_pixels *px, *valid_px;
    bqb_batcher *batcher;
    float *grad, *mom, *var;
    FILE *log;
    uint64_t step, total, validated, saved_step, first_step;
    double best, last, saved_at, busy_s;
    float loss;
    char what[96]; /* for the progress function: one address, so that it is one piece of work */
} run;

static void say(const run *t, const char *fmt, ...) BQB_PRINTF(2, 3);
static void say(const run *t, const char *fmt, ...) {
    if (!t->o.say) return;
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    t->o.say(t->o.ctx, line);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *in_out(const run *t, const char *name) { return bqb_path_join(t->o.out, name); }

/* One run at a time may write to a folder. */
static bqb_status lock_out(run *t, bqb_err *err) {
    char *path = in_out(t, ".lock");
    if (!path) return bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    bqb_status s = BQB_OK;
    t->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->lock_fd < 0) s = bqb_fail_errno(err, "%s", path);
    else if (lockf(t->lock_fd, F_TLOCK, 0))
        s = bqb_fail(err, BQB_EIO, "%s: another training run is writing here", t->o.out);
    free(path);
    return s;
}

/* What a run that was killed left half written; safe under the lock. */
static void remove_leftovers(const char *dir) {
    static const char *const names[] = {"checkpoint.safetensors.", "model.safetensors.", "config.json.", "vocab.txt.",
                                        "train.json.", "log.csv.", "valid.csv.", "curve.svg.", "pixels-", "valid-"};
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

/* The folder, and whether it fits what was asked: fresh or resumed. */
static bqb_status open_out(run *t, bqb_checkpoint *from, bqb_err *err) {
    if (!t->o.out || !*t->o.out) return bqb_fail(err, BQB_EINVAL, "no folder for the results was given (--out)");
    bqb_status s = bqb_make_dirs(t->o.out, err);
    if (!s) s = lock_out(t, err);
    if (s) return s;
    t->checkpoint_path = in_out(t, "checkpoint.safetensors");
    t->last_dir = in_out(t, "last");
    t->best_dir = in_out(t, "best");
    if (!t->checkpoint_path || !t->last_dir || !t->best_dir) return bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    remove_leftovers(t->o.out);
    remove_leftovers(t->last_dir);
    remove_leftovers(t->best_dir);
    bool there = bqb_is_file(t->checkpoint_path);
    if (!t->o.resume) {
        if (!there) return BQB_OK;
        return bqb_fail(err, BQB_EINVAL, "%s holds a training run; --resume goes on with it, or choose another folder",
                        t->o.out);
    }
    if (!there) return bqb_fail(err, BQB_ENOTFOUND, "%s: no checkpoint to resume from", t->checkpoint_path);
    s = bqb_checkpoint_peek(from, t->checkpoint_path, err);
    if (s) return s;
    s = bqb_json_parse(&t->old, from->settings, strlen(from->settings), 8, 100000, err);
    if (s) bqb_err_prefix(err, t->checkpoint_path);
    if (!s) s = resume_settings(&t->o, t->old, err);
    if (s) return s;
    if (t->o.drop_alpha && !json_is_true(json_object_get(t->old, "drop_alpha")))
        return bqb_fail(err, BQB_EINVAL, "resume: the run began without drop_alpha; with it, it would be another training");
    t->o.drop_alpha = json_is_true(json_object_get(t->old, "drop_alpha"));
    t->o.half |= json_is_true(json_object_get(t->old, "half"));
    if (!t->o.n_data) {
        json_t *list = json_object_get(t->old, "data");
        size_t n = json_array_size(list);
        t->data = bqb_calloc(n, sizeof *t->data);
        if (!t->data) return bqb_fail_nomem(err, "settings", n * sizeof *t->data);
        for (size_t i = 0; i < n; i++) {
            t->data[i] = json_string_value(json_array_get(list, i));
            if (!t->data[i]) return bqb_fail(err, BQB_EFORMAT, "%s: \"data\" is not a list of names", t->checkpoint_path);
        }
        t->o.data = t->data;
        t->o.n_data = n;
    }
    t->step = t->first_step = from->step;
    t->validated = from->validated;
    t->best = from->best;
    return BQB_OK;
}

static bqb_status check_options(run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    if (strcmp(o->augment, "on") && strcmp(o->augment, "off"))
        return bqb_fail(err, BQB_EINVAL, "augment \"%s\": on or off is needed", o->augment);
    if (!strcmp(o->precision, "auto")) t->precision = bqb_precision_best();
    else if (!strcmp(o->precision, "f32")) t->precision = BQB_PREC_F32;
    else if (!strcmp(o->precision, "bf16")) t->precision = BQB_PREC_BF16;
    else return bqb_fail(err, BQB_EINVAL, "precision \"%s\": auto, f32 or bf16 is needed", o->precision);
    t->o.precision = bqb_precision_name(t->precision);
    const struct {
        const char *name;
        double value, low, high; /* low ≤ value < high */
    } range[] = {
        {"lr", o->lr, 0, HUGE_VAL},        {"weight_decay", o->weight_decay, 0, HUGE_VAL},
        {"beta1", o->beta1, 0, 1},         {"beta2", o->beta2, 0, 1},
        {"eps", o->eps, 0, HUGE_VAL},      {"clip_norm", o->clip_norm, 0, HUGE_VAL},
        {"save_minutes", o->save_minutes, 0, HUGE_VAL}, {"cache_max_gib", o->cache_max_gib, 0, 1e9},
    };
    for (size_t k = 0; k < sizeof range / sizeof *range; k++)
        if (!(range[k].value >= range[k].low && range[k].value < range[k].high))
            return bqb_fail(err, BQB_EINVAL, "%s %g is not within %g … %g", range[k].name, range[k].value, range[k].low,
                            range[k].high);
    if (t->o.resume) return BQB_OK;
    if (o->init && (o->config || o->vocab))
        return bqb_fail(err, BQB_EINVAL, "a model folder to start from and a configuration to start at random exclude each other");
    if (!o->init && !(o->config && o->vocab))
        return bqb_fail(err, BQB_EINVAL,
                        "a start is needed: --init MODEL, or --from-scratch CONFIG.json together with --vocab vocab.txt");
    return BQB_OK;
}

static bqb_status open_model(run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    const char *dir = o->resume ? t->last_dir : o->init;
    t->vocab_path = dir ? bqb_path_join(dir, "vocab.txt") : bqb_strdup(o->vocab);
    if (!t->vocab_path) return bqb_fail_nomem(err, "vocab.txt", 16);
    bqb_status s = bqb_wordpiece_open(&t->wp, t->vocab_path, err);
    if (s) return s;
    if (dir) s = bqb_clip_open(&t->model, dir, BQB_TOWER_BOTH, t->precision, o->threads, err);
    else {
        bqb_clip_config c;
        s = bqb_clip_config_read(&c, o->config, err);
        if (!s && c.vocab != bqb_wordpiece_size(t->wp))
            s = bqb_fail(err, BQB_EFORMAT, "%s: vocabulary size %zu, but %s has %zu tokens", o->config, c.vocab, o->vocab,
                         bqb_wordpiece_size(t->wp));
        /* By way of a folder, as a resumed run: so both know the vocabulary and have read the same files. */
        if (!s) s = bqb_clip_new(&t->model, &c, NULL, (uint64_t)o->seed, t->precision, o->threads, err);
        if (!s) s = bqb_clip_save(t->model, t->last_dir, false, t->vocab_path, err);
        bqb_clip_free(t->model);
        t->model = NULL;
        if (!s) s = bqb_clip_open(&t->model, t->last_dir, BQB_TOWER_BOTH, t->precision, o->threads, err);
    }
    if (s) return s;
    size_t n = bqb_clip_float_count(t->model);
    t->grad = bqb_alloc_aligned(n, sizeof(float));
    t->mom = bqb_alloc_aligned(n, sizeof(float));
    t->var = bqb_alloc_aligned(n, sizeof(float));
    if (!t->grad || !t->mom || !t->var) return bqb_fail_nomem(err, "optimiser", 3 * n * sizeof(float));
    memset(t->mom, 0, n * sizeof(float));
    memset(t->var, 0, n * sizeof(float));
    if (o->resume) return bqb_checkpoint_read(t->checkpoint_path, t->model, t->mom, t->var, err);
    return BQB_OK;
}

/* Decoded pictures of a data set, in its cache file. */
static bqb_status open_pixels(run *t, bqb_pixels **px, const bqb_dataset *ds, const char *name, bqb_err *err) {
    size_t R = bqb_clip_get_config(t->model)->resolution;
    /* A folder of its own may serve several runs on several data sets. */
    char *file = t->o.cache ? bqb_asprintf("pixels-%zu-%016" PRIx64 ".cache", R, bqb_dataset_hash(ds))
                            : bqb_asprintf("%s-%zu.cache", name, R);
    char *path = file ? bqb_path_join(t->cache_dir, file) : NULL;
    bqb_pixels_options o = {.R = R,
                            .drop_alpha = t->o.drop_alpha,
                            .threads = t->o.threads,
                            .cache_path = path,
                            .cache_max_bytes = (uint64_t)(t->o.cache_max_gib * 1073741824.0)};
    bqb_status s = path ? bqb_pixels_open(px, ds, &o, t->o.progress, t->o.ctx, err)
                        : bqb_fail_nomem(err, "pixel cache", strlen(name));
    free(file);
    free(path);
    if (s) return s;
    if (*bqb_pixels_notes(*px)) say(t, "pictures that cannot be read:\n%s", bqb_pixels_notes(*px));
    if (!bqb_pixels_cached(*px)) say(t, "%s pictures are decoded anew whenever they are needed (cache limit)", name);
    return BQB_OK;
}

static bqb_status open_data(run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    const bqb_clip_config *c = bqb_clip_get_config(t->model);
    t->cache_dir = bqb_strdup(o->cache ? o->cache : o->out);
    if (!t->cache_dir) return bqb_fail_nomem(err, "cache", 16);
    bqb_status s = bqb_make_dirs(t->cache_dir, err);
    if (!s) s = bqb_dataset_open(&t->ds, o->data, o->n_data, err);
    if (!s && *bqb_dataset_notes(t->ds)) say(t, "training stickers:\n%s", bqb_dataset_notes(t->ds));
    if (!s && o->valid) s = bqb_dataset_open(&t->valid_ds, &o->valid, 1, err);
    if (!s && o->valid && *bqb_dataset_notes(t->valid_ds))
        say(t, "held-out stickers:\n%s", bqb_dataset_notes(t->valid_ds));
    if (!s && o->resume) {
        char hash[24];
        const char *then = json_string_value(json_object_get(t->old, "data_hash"));
        snprintf(hash, sizeof hash, "%016" PRIx64, bqb_dataset_hash(t->ds));
        if (!then || strcmp(then, hash))
            s = bqb_fail(err, BQB_EINVAL,
                         "resume: %s is not what it was when the run began (tables or pictures changed); "
                         "begin in another folder",
                         o->data[0]);
    }
    if (!s) s = open_pixels(t, &t->px, t->ds, "pixels", err);
    if (!s && o->valid) s = open_pixels(t, &t->valid_px, t->valid_ds, "valid", err);
    size_t side = c->resolution / c->patch;
    bqb_batch_options b = {.seed = o->seed, .batch = o->batch, .context = o->context ? o->context : c->context,
                           .n_patches = side * side, .frames = o->frames, .field_drop = o->field_drop,
                           .short_rate = o->short_rate, .mask_ratio = o->mask_ratio,
                           .augment = !strcmp(o->augment, "on"), .threads = o->threads};
    if (b.context > c->t_positions) b.context = c->t_positions;
    if (!s) s = bqb_batcher_new(&t->batcher, t->ds, t->px, t->wp, &b, err);
    if (s) return s;
    if (bqb_batcher_size(t->batcher) < o->batch)
        say(t, "only %zu stickers can be used: that many in a batch, not %zu", bqb_batcher_size(t->batcher), o->batch);
    if (o->short_rate > 0 && !bqb_dataset_query_count(t->ds)) say(t, "there are no short queries: short has no effect");
    uint64_t per_epoch = bqb_batcher_steps_per_epoch(t->batcher);
    t->total = o->steps ? o->steps : per_epoch * o->epochs;
    if (!t->total) return bqb_fail(err, BQB_EINVAL, "nothing to train: 0 epochs and 0 steps");
    return BQB_OK;
}

/* OUT/train.json, which is also what a checkpoint remembers. */
static bqb_status write_settings(run *t, bqb_err *err) {
    bqb_train_options *o = &t->o;
    json_t *j = json_object(), *data = json_array();
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, bqb_dataset_hash(t->ds));
    int bad = json_object_set_new(j, "bqb", json_string(BQB_VERSION));
    for (size_t i = 0; i < o->n_data; i++) bad |= json_array_append_new(data, json_string(o->data[i]));
    bad |= json_object_set_new(j, "data", data);
    bad |= json_object_set_new(j, "data_hash", json_string(hash));
    bad |= json_object_set_new(j, "stickers", json_integer((json_int_t)bqb_dataset_count(t->ds)));
    bad |= json_object_set_new(j, "total_steps", json_integer((json_int_t)t->total));
    bad |= json_object_set_new(j, "threads", json_integer(bqb_clip_threads(t->model)));
    bad |= json_object_set_new(j, "drop_alpha", json_boolean(o->drop_alpha));
    bad |= json_object_set_new(j, "half", json_boolean(o->half));
    bqb_status s = bad ? bqb_fail(err, BQB_EINVAL, "the settings cannot be written as JSON (a path that is no UTF-8?)")
                       : put_settings(j, o, err);
    if (!s) {
        t->settings_text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)); /* exact, to go on with */
        if (!t->settings_text) s = bqb_fail_nomem(err, "settings", SETTINGS_MAX);
    }
    char *path = s ? NULL : in_out(t, "train.json");
    char *readable = s ? NULL : json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    if (!s && (!path || !readable)) s = bqb_fail_nomem(err, "train.json", SETTINGS_MAX);
    if (!s) s = bqb_file_write(path, readable, strlen(readable), err);
    free(readable);
    free(path);
    json_decref(j);
    return s;
}

/* A table of numbers by step: begun anew, or cut back to what the checkpoint knows. */
static bqb_status open_csv(const run *t, FILE **out, const char *name, const char *header, bqb_err *err) {
    char *path = in_out(t, name), *old = NULL;
    if (!path) return bqb_fail_nomem(err, name, strlen(name));
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    if (!s) s = bqb_outfile_printf(&f, err, "%s\n", header);
    if (!s && t->o.resume && bqb_is_file(path)) s = bqb_file_read(&old, NULL, path, CSV_MAX, err);
    for (char *line = old, *end; line && !s && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (*line >= '0' && *line <= '9' && strtoull(line, NULL, 10) <= t->step)
            s = bqb_outfile_printf(&f, err, "%s\n", line);
    }
    free(old);
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    if (!s && out && !(*out = fopen(path, "ae"))) s = bqb_fail_errno(err, "%s", path);
    free(path);
    return s;
}

/* Roughly, so that a batch that cannot fit is seen before it fails. */
static void say_memory(const run *t) {
    const bqb_clip_config *c = bqb_clip_get_config(t->model);
    double N = (double)bqb_batcher_size(t->batcher), P = N * (double)t->o.frames;
    double side = (double)(c->resolution / c->patch), T = side * side * (1 - t->o.mask_ratio) + 1;
    double L = (double)(t->o.context ? t->o.context : c->context), unit = t->precision == BQB_PREC_BF16 ? 2 : 4;
    double image = P * T * (double)c->v_layers * ((double)(6 * c->v_width + 2 * c->v_mlp) * unit + 8.0 * (double)c->v_width + (double)c->v_heads * T * unit);
    double text = N * L * (double)c->t_layers * ((double)(6 * c->t_width + 2 * c->t_mlp) * unit + 8.0 * (double)c->t_width + (double)c->t_heads * L * unit);
    double pixels = 3 * P * 12 * (double)(c->resolution * c->resolution);
    double gib = (16 * (double)bqb_clip_float_count(t->model) + image + text + pixels) / 1073741824.0;
    double has = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1073741824.0;
    if (gib > 2 || gib > has / 2)
        say(t, "needs up to about %.1f GiB of memory; this machine has %.1f%s", gib, has,
            gib > 0.9 * has ? " (a smaller --batch or --frames 1 needs less)" : "");
}

static bqb_status save_model(run *t, const char *dir, bqb_err *err) {
    bqb_status s = bqb_make_dirs(dir, err);
    return s ? s : bqb_clip_save(t->model, dir, t->o.half, t->vocab_path, err);
}

static bqb_status save(run *t, bqb_err *err) {
    bqb_checkpoint c = {.step = t->step, .validated = t->validated, .best = t->best, .settings = t->settings_text};
    bqb_status s = bqb_checkpoint_write(t->checkpoint_path, t->model, t->mom, t->var, &c, err);
    if (!s) s = save_model(t, t->last_dir, err);
    if (!s) s = bqb_curve_draw(t->o.out, err);
    t->saved_step = t->step;
    t->saved_at = now_s();
    return s;
}

static bool asked_to_stop(run *t) {
    uint64_t N = bqb_batcher_size(t->batcher);
    return t->o.progress &&
           t->o.progress(t->o.ctx, t->what, (t->step - t->first_step) * N, (t->total - t->first_step) * N) != 0;
}

/* While measuring, the bar of the training stays; only the wish to stop passes. */
static int pass_on_stop(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    return asked_to_stop(ctx);
}

static bqb_status validate(run *t, bqb_err *err) {
    bqb_gallery g = {0};
    bqb_ask_result r = {0};
    bqb_status s = bqb_gallery_open(&g, t->model, t->valid_ds, t->valid_px, t->o.valid_limit, pass_on_stop, t, err);
    if (!s) s = bqb_ask_run(&r, BQB_ASK_FULL, t->model, t->wp, &g, pass_on_stop, t, err);
    if (!s) {
        char *path = in_out(t, "valid.csv");
        FILE *f = path ? fopen(path, "ae") : NULL;
        const bqb_recall *a = &r.to_image, *b = &r.to_text;
        double epoch = (double)t->step / (double)bqb_batcher_steps_per_epoch(t->batcher);
        if (!f || fprintf(f, "%" PRIu64 ",%.4f,%zu,%.4f,%.4f,%.4f,%.4f,%.1f,%.4f,%.4f\n", t->step, epoch, a->n, a->r1,
                          a->r5, a->r10, a->mr, a->median, b->r1, b->mr) < 0 || fflush(f))
            s = bqb_fail_errno(err, "%s", path ? path : "valid.csv");
        if (f) fclose(f);
        free(path);
    }
    if (!s) {
        t->validated = t->step;
        t->last = r.to_image.mr;
        say(t, "step %" PRIu64 ": held-out R@1 %.1f, R@5 %.1f, R@10 %.1f, MR %.1f (%zu texts)", t->step, r.to_image.r1,
            r.to_image.r5, r.to_image.r10, r.to_image.mr, r.to_image.n);
        if (t->last > t->best) {
            t->best = t->last;
            s = save_model(t, t->best_dir, err);
        }
    }
    if (!s) s = bqb_curve_draw(t->o.out, err);
    bqb_ask_free(&r);
    bqb_gallery_close(&g);
    return s;
}

static double norm_of(const float *v, size_t n) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static bqb_status take_step(run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    double began = now_s(), lr = bqb_schedule_lr(o->lr, t->step, o->warmup, t->total);
    size_t n = bqb_clip_float_count(t->model);
    const bqb_clip_batch *batch;
    bqb_status s = bqb_batcher_get(t->batcher, t->step, &batch, err);
    if (s) return s;
    memset(t->grad, 0, n * sizeof(float));
    s = bqb_clip_grad(t->model, t->grad, &t->loss, batch, err);
    if (s) return s;
    double norm = norm_of(t->grad, n);
    if (!isfinite(t->loss) || !isfinite(norm)) {
        char kept[128] = "there is no checkpoint yet";
        if (t->saved_step)
            snprintf(kept, sizeof kept, "the last checkpoint, of step %" PRIu64 ", is kept", t->saved_step);
        return bqb_fail(err, BQB_EFORMAT,
                        "step %" PRIu64 ": the loss is %g and the gradient's length %g (lr %.3g, logit scale %.3f); %s. "
                        "A lower --lr, a longer --warmup or --clip-norm 1 usually helps",
                        t->step + 1, (double)t->loss, norm, lr, (double)*bqb_clip_logit_scale(t->model), kept);
    }
    if (o->clip_norm > 0 && norm > o->clip_norm) {
        float shrink = (float)(o->clip_norm / norm);
        for (size_t i = 0; i < n; i++) t->grad[i] *= shrink;
    }
    bqb_adamw_config a = {.lr = (float)lr, .beta1 = (float)o->beta1, .beta2 = (float)o->beta2, .eps = (float)o->eps,
                          .weight_decay = (float)o->weight_decay};
    bqb_clip_adamw(t->model, t->grad, t->mom, t->var, &a, t->step + 1);
    t->step++;
    double took = now_s() - began, N = (double)batch->N;
    t->busy_s += took;
    double epoch = (double)t->step / (double)bqb_batcher_steps_per_epoch(t->batcher);
    if (fprintf(t->log, "%" PRIu64 ",%.4f,%.6g,%.6f,%.5f,%.4g,%.2f\n", t->step, epoch, lr, (double)t->loss,
                (double)*bqb_clip_logit_scale(t->model), norm, N / took) < 0 ||
        fflush(t->log))
        return bqb_fail_errno(err, "%s/log.csv", o->out);
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%" PRIu64 "  loss %.3f  lr %.2g ", t->step, t->total,
             (double)t->loss, lr);
    return BQB_OK;
}

static bool save_due(const run *t) {
    if (t->step == t->saved_step) return false;
    if (t->step == t->total) return true;
    if (t->o.save_every && t->step % t->o.save_every == 0) return true;
    return t->o.save_minutes > 0 && now_s() - t->saved_at >= 60 * t->o.save_minutes;
}

static bqb_status train_on(run *t, bqb_err *err) {
    bqb_status s = BQB_OK;
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%" PRIu64, t->step, t->total);
    t->saved_at = now_s();
    while (!s) {
        bool measure = t->valid_ds && t->validated != t->step &&
                       (t->step == t->total || (t->o.valid_every && t->step % t->o.valid_every == 0));
        bool stop = asked_to_stop(t);
        if (!stop && measure) {
            s = validate(t, err);
            if (s == BQB_ECANCEL) {
                s = BQB_OK;
                stop = true;
            }
        }
        if (!s && (stop || save_due(t))) s = save(t, err);
        if (!s && stop)
            return bqb_fail(err, BQB_ECANCEL, "stopped after step %" PRIu64 " of %" PRIu64 "; --resume --out %s goes on",
                            t->step, t->total, t->o.out);
        if (s || t->step >= t->total) break;
        s = take_step(t, err);
    }
    if (!s) s = save_model(t, t->o.out, err);
    return s;
}

static bqb_status begin(run *t, bqb_err *err) {
    bqb_checkpoint from = {0};
    bqb_status s = open_out(t, &from, err);
    free(from.settings);
    set_defaults(&t->o);
    if (!s) s = check_options(t, err);
    if (!s) s = open_model(t, err);
    if (!s) s = open_data(t, err);
    if (!s && t->step > t->total)
        s = bqb_fail(err, BQB_EINVAL, "resume: %" PRIu64 " steps are done, more than the %" PRIu64 " asked for", t->step, t->total);
    if (!s && t->o.resume) {
        uint64_t then = (uint64_t)json_integer_value(json_object_get(t->old, "total_steps"));
        if (then != t->total)
            say(t, "%" PRIu64 " steps in all, no longer %" PRIu64 ": the learning rate follows the new length from here on",
                t->total, then);
        t->saved_step = t->step;
    }
    if (!s) s = write_settings(t, err);
    if (!s) s = open_csv(t, &t->log, "log.csv", "step,epoch,lr,loss,logit_scale,grad_norm,pairs_per_s", err);
    if (!s && t->valid_ds)
        s = open_csv(t, NULL, "valid.csv", "step,epoch,texts,r1,r5,r10,mr,median,image_to_text_r1,image_to_text_mr", err);
    if (!s && !t->o.resume) s = save_model(t, t->last_dir, err);
    if (!s) {
        say(t, "%zu stickers, %zu in a batch, %" PRIu64 " steps (%.2f epochs), %.2f million parameters, %s, %d threads",
            bqb_dataset_count(t->ds), bqb_batcher_size(t->batcher), t->total,
            (double)t->total / (double)bqb_batcher_steps_per_epoch(t->batcher),
            (double)bqb_clip_float_count(t->model) / 1e6, t->o.precision, bqb_clip_threads(t->model));
        if (t->step) say(t, "going on after step %" PRIu64, t->step);
        say_memory(t);
    }
    return s;
}

bqb_status bqb_train(const bqb_train_options *options, bqb_train_result *result, bqb_err *err) {
    run *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, "training", sizeof *t);
    t->o = *options;
    t->lock_fd = -1;
    t->best = t->last = -1;
    t->validated = UINT64_MAX;
    bqb_status s = begin(t, err);
    if (!s) s = train_on(t, err);
    if (result) {
        *result = (bqb_train_result){.steps = t->step, .loss = t->loss, .best = t->best, .last = t->last};
        if (t->batcher) {
            result->epochs = t->step / bqb_batcher_steps_per_epoch(t->batcher);
            double pairs = (double)(t->step - t->first_step) * (double)bqb_batcher_size(t->batcher);
            result->pairs_per_s = t->busy_s > 0 ? pairs / t->busy_s : 0;
        }
    }
    if (t->log) fclose(t->log);
    bqb_batcher_free(t->batcher);
    bqb_pixels_close(t->px);
    bqb_pixels_close(t->valid_px);
    bqb_dataset_close(t->ds);
    bqb_dataset_close(t->valid_ds);
    bqb_wordpiece_close(t->wp);
    bqb_clip_free(t->model);
    free(t->grad);
    free(t->mom);
    free(t->var);
    free(t->settings_text);
    free(t->vocab_path);
    free(t->checkpoint_path);
    free(t->last_dir);
    free(t->best_dir);
    free(t->cache_dir);
    free(t->data);
    json_decref(t->old);
    if (t->lock_fd >= 0) close(t->lock_fd);
    free(t);
    return s;
}
