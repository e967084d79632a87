#include "train/trainer.h"

#include "base/fs.h"
#include "base/words.h"
#include "file/json.h"
#include "train/preview.h"
#include "train/run.h"
#include "train/settings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, SETTINGS_MAX = 1 << 20 };

void bqb_run_say(const bqb_run *t, const char *fmt, ...) {
    if (!t->o.say) return;
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    t->o.say(t->o.ctx, line);
}

char *bqb_run_path(const bqb_run *t, const char *name) { return bqb_path_join(t->o.out, name); }

static bqb_status read_settings(bqb_run *t, bqb_err *err) {
    if (!t->o.settings) return BQB_OK;
    bqb_status s = bqb_json_read(&t->given, t->o.settings, SETTINGS_MAX, 8, 100000, err);
    if (!s) s = bqb_settings_fill(&t->o, t->given, t->o.settings, err);
    size_t n = 0; /* looked at even where options name other data: a mistake in a file is told */
    if (!s) s = bqb_settings_data(&t->data, &n, t->given, t->o.settings, err);
    if (!s && !t->o.n_data) {
        t->o.data = t->data;
        t->o.n_data = n;
    }
    return s;
}

static bqb_status begin(bqb_run *t, bqb_err *err) {
    bqb_status s = read_settings(t, err);
    if (!s) s = bqb_run_open_out(t, err);
    t->own_warmup = t->o.warmup == SIZE_MAX;
    bqb_settings_default(&t->o);
    if (!s) s = bqb_run_check_options(t, err);
    if (!s) s = bqb_run_open_model(t, err);
    if (!s) s = bqb_run_open_data(t, err);
    if (!s && t->step > t->total)
        s = bqb_fail(err, BQB_EINVAL, "resume: %" PRIu64 " %s done, more than the %" PRIu64 " asked for", t->step, bqb_word(t->step, "step is", "steps are"), t->total);
    if (!s && t->o.resume) {
        uint64_t then = (uint64_t)json_integer_value(json_object_get(t->old, "total_steps"));
        if (then != t->total)
            bqb_run_say(t, "%" PRIu64 " %s in all, no longer %" PRIu64 ": the learning rate follows the new length from here on",
                        t->total, bqb_word(t->total, "step", "steps"), then);
    }
    if (s || t->o.preview) return s;
    s = bqb_run_open_optimiser(t, err);
    if (!s) s = bqb_run_open_trunk(t, err);
    if (!s) s = bqb_run_open_logs(t, err);
    if (!s && !t->o.resume) s = bqb_run_save_model(t, t->last_dir, err);
    if (!s) {
        size_t usable = bqb_batcher_usable(t->batcher), left_out = bqb_dataset_count(t->ds) - usable;
        int threads = bqb_clip_threads(t->model);
        char without[80] = "";
        if (left_out) snprintf(without, sizeof without, " (%zu more cannot be read and %s left out)", left_out, bqb_word(left_out, "is", "are"));
        bqb_run_say(t, "%zu stickers%s, %zu in a batch, %" PRIu64 " %s (%.2f epochs), %.2f million parameters, %s, %d %s", usable, without,
                    bqb_batcher_size(t->batcher), t->total, bqb_word(t->total, "step", "steps"),
                    (double)t->total / (double)bqb_batcher_steps_per_epoch(t->batcher),
                    (double)bqb_clip_float_count(t->model) / 1e6, t->o.precision, threads, bqb_word((uint64_t)threads, "thread", "threads"));
        size_t learn = bqb_clip_learning_count(t->model);
        if (t->o.freeze) bqb_run_say(t, "%.2f million parameters learn, the others are frozen", (double)learn / 1e6);
        if (t->step) bqb_run_say(t, "going on after step %" PRIu64, t->step);
    }
    return s;
}

static bqb_status preview(bqb_run *t, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(t->model);
    const bqb_clip_batch *batch;
    bqb_status s = bqb_batcher_get(t->batcher, t->step, &batch, err);
    return s ? s : bqb_preview_write(t->o.preview, batch, bqb_run_tokenizer(t), c->resolution, c->patch, err);
}

static void report(const bqb_run *t, bqb_train_result *r) {
    *r = (bqb_train_result){.steps = t->step, .loss = t->loss, .best = t->seen.best, .last = t->last, .early = t->early};
    if (!t->batcher) return;
    r->epochs = t->step / bqb_batcher_steps_per_epoch(t->batcher);
    double pairs = (double)(t->step - t->first_step) * (double)bqb_batcher_size(t->batcher);
    r->pairs_per_s = t->busy_s > 0 ? pairs / t->busy_s : 0;
}

static void end(bqb_run *t) {
    if (t->log) fclose(t->log);
    bqb_batcher_free(t->batcher);
    free(t->alike);
    bqb_trunk_close(t->trunk);
    bqb_pixels_close(t->px);
    bqb_pixels_close(t->valid_px);
    bqb_dataset_close(t->ds);
    bqb_dataset_close(t->valid_ds);
    bqb_clip_free(t->model);
    bqb_tokenizer_close(t->tok);
    free(t->grad);
    free(t->mom);
    free(t->var);
    free(t->average);
    free(t->settings_text);
    free(t->checkpoint_path);
    free(t->older_path);
    free(t->last_dir);
    free(t->best_dir);
    free(t->cache_dir);
    free(t->data);
    json_decref(t->old);
    json_decref(t->given);
    if (t->lock_fd >= 0) close(t->lock_fd);
    free(t);
}

bqb_status bqb_train(const bqb_train_options *options, bqb_train_result *result, bqb_err *err) {
    bqb_run *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, "training", sizeof *t);
    t->o = *options;
    t->lock_fd = -1;
    t->last = -1;
    t->seen = (bqb_measured){.step = UINT64_MAX, .best = -1};
    bqb_status s = begin(t, err);
    if (!s) s = t->o.preview ? preview(t, err) : bqb_run_steps(t, err);
    if (result) report(t, result);
    end(t);
    return s;
}
