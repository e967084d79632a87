#include "train/run.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/words.h"
#include "train/average.h"
#include "train/curve.h"
#include "train/evaluate.h"
#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LOG_BYTES = 1 << 16 }; /* room that a log may want */

/* What is safe when a run ends badly. */
static const char *what_is_kept(const bqb_run *t, char *text, size_t size) {
    if (t->saved) snprintf(text, size, "the last checkpoint, of step %" PRIu64 ", is kept", t->saved_step);
    else snprintf(text, size, "there is no checkpoint yet");
    return text;
}

/* A file could not be written: say how much room was needed, whether the disk
 * or a limit has less, and what is safe. */
static bqb_status explain_write(const bqb_run *t, double need_bytes, bqb_err *err) {
    char why[sizeof err->msg], kept[96], room[64] = "";
    struct statvfs v;
    struct rlimit l;
    if (!err) return BQB_EIO;
    snprintf(why, sizeof why, "%.300s", err->msg);
    if (!getrlimit(RLIMIT_FSIZE, &l) && l.rlim_cur != RLIM_INFINITY && (double)l.rlim_cur < need_bytes)
        snprintf(room, sizeof room, ", files may have %.1f: ulimit -f", (double)l.rlim_cur / 1e6);
    else if (!statvfs(t->o.out, &v))
        snprintf(room, sizeof room, ", %.1f MB are free", (double)v.f_bavail * (double)v.f_frsize / 1e6);
    return bqb_fail(err, BQB_EIO, "%s (%.1f MB are needed there%s); %s. %s", why, need_bytes / 1e6, room, what_is_kept(t, kept, sizeof kept),
                    t->saved ? "--resume goes on" : "The same command begins again");
}

/* Before anything is overwritten. */
static bqb_status check_weights(bqb_run *t, bqb_err *err) {
    char kept[96];
    if (isfinite(bqb_vector_norm(bqb_clip_weights(t->model), bqb_clip_float_count(t->model)))) return BQB_OK;
    return bqb_fail(err, BQB_EFORMAT, "step %" PRIu64 ": the weights are no numbers any more; %s. A lower --lr usually helps",
                    t->step, what_is_kept(t, kept, sizeof kept));
}

/* The average in the model's place, and back. */
static void show_average(bqb_run *t, bool on) {
    if (!t->average || t->averaged == on) return;
    bqb_average_swap(t->average, bqb_clip_weights(t->model), bqb_clip_float_count(t->model), (int)t->o.threads);
    bqb_clip_weights_changed(t->model);
    t->averaged = on;
}

bqb_status bqb_run_save_model(bqb_run *t, const char *dir, bqb_err *err) {
    bool was = t->averaged;
    bqb_status s = bqb_make_dirs(dir, err);
    show_average(t, true);
    if (!s) s = bqb_clip_save(t->model, dir, t->o.half, NULL, err);
    show_average(t, was);
    double n = (double)bqb_clip_float_count(t->model);
    if (s == BQB_EIO) return explain_write(t, n * (t->o.half ? 2 : 4), err);
    return s;
}

static bqb_status write_checkpoint(bqb_run *t, bqb_err *err) {
    bqb_checkpoint c = {.step = t->step, .seen = t->seen, .settings = t->settings_text};
    bqb_train_blocks blocks = {t->mom, t->var, t->average};
    bqb_status s = check_weights(t, err);
    if (s) return s;
    /* The old one becomes the older one by a second name: at no moment there is
     * less than one whole checkpoint, nor need of room for more than two. Where
     * the file system has no links there is no older one. */
    if (t->saved && !t->older_alone) {
        unlink(t->older_path);
        (void)!link(t->checkpoint_path, t->older_path);
    }
    s = bqb_checkpoint_write(t->checkpoint_path, t->model, &blocks, &c, err);
    double n = (double)bqb_clip_float_count(t->model);
    if (s == BQB_EIO) return explain_write(t, n * (t->average ? 16 : 12), err);
    if (s) return s;
    t->saved = true;
    t->older_alone = false;
    t->saved_step = t->step;
    return BQB_OK;
}

static bqb_status save(bqb_run *t, bqb_err *err) {
    bqb_status s = write_checkpoint(t, err);
    if (!s) s = bqb_run_save_model(t, t->last_dir, err);
    if (!s) s = bqb_curve_draw(t->o.out, err);
    t->saved_at = bqb_now_s();
    return s;
}

static bool asked_to_stop(bqb_run *t) {
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

static bqb_status log_measured(const bqb_run *t, const bqb_ask_result *r, bqb_err *err) {
    char *path = bqb_run_path(t, "valid.csv");
    FILE *f = path ? fopen(path, "ae") : NULL;
    const bqb_recall *a = &r->to_image, *b = &r->to_text;
    double epoch = (double)t->step / (double)bqb_batcher_steps_per_epoch(t->batcher);
    bqb_status s = BQB_OK;
    if (!f || fprintf(f, "%" PRIu64 ",%.4f,%zu,%.4f,%.4f,%.4f,%.4f,%.1f,%.4f,%.4f\n", t->step, epoch, a->n, a->r1,
                      a->r5, a->r10, a->mr, a->median, b->r1, b->mr) < 0 || fflush(f)) {
        s = bqb_fail_errno(err, "%s", path ? path : "valid.csv");
        explain_write(t, LOG_BYTES, err);
    }
    if (f) fclose(f);
    free(path);
    return s;
}

static bqb_status measure(bqb_run *t, bqb_err *err) {
    bqb_gallery g = {0};
    bqb_ask_result r = {0};
    bqb_status s = check_weights(t, err);
    if (s) return s;
    show_average(t, true);
    s = bqb_gallery_open(&g, t->model, t->valid_ds, t->valid_px, t->o.valid_limit, pass_on_stop, t, err);
    if (!s) s = bqb_ask_run(&r, BQB_ASK_FULL, t->model, bqb_clip_tokenizer(t->model), &g, pass_on_stop, t, err);
    if (!s) s = log_measured(t, &r, err);
    if (!s) {
        const bqb_recall *a = &r.to_image;
        t->last = a->mr;
        bool gain = a->mr > t->seen.best;
        bqb_run_say(t, "step %" PRIu64 ": held-out R@1 %.1f, R@5 %.1f, R@10 %.1f, MR %.1f (%zu %s)%s", t->step, a->r1,
                    a->r5, a->r10, a->mr, a->n, bqb_word(a->n, "text", "texts"), gain ? ", the best so far" : "");
        t->seen.step = t->step;
        t->seen.stale++;
        if (gain) {
            t->seen.best = a->mr;
            t->seen.best_step = t->step;
            t->seen.stale = 0;
            s = bqb_run_save_model(t, t->best_dir, err);
        }
    }
    show_average(t, false);
    if (!s) s = bqb_curve_draw(t->o.out, err);
    bqb_ask_free(&r);
    bqb_gallery_close(&g);
    return s;
}

/* What is frozen is its own average, to the bit. */
static void update_average(bqb_run *t) {
    const float *w = bqb_clip_weights(t->model);
    bqb_average_update(t->average, w, bqb_clip_float_count(t->model), t->o.ema, t->step, (int)t->o.threads);
    for (size_t i = 0; i < bqb_clip_param_count(t->model); i++) {
        const bqb_param *p = bqb_clip_param(t->model, i);
        if (p->frozen) memcpy(t->average + p->offset, w + p->offset, p->n * sizeof *w);
    }
}

static bqb_status take_step(bqb_run *t, bqb_err *err) {
    const bqb_train_options *o = &t->o;
    double began = bqb_now_s(), lr = bqb_schedule_lr(o->lr, t->step, o->warmup, t->total);
    size_t n = bqb_clip_float_count(t->model);
    const bqb_clip_batch *batch;
    bqb_status s = bqb_batcher_get(t->batcher, t->step, &batch, err);
    if (s) return s;
    memset(t->grad, 0, n * sizeof(float));
    s = bqb_clip_grad(t->model, t->grad, &t->loss, batch, err);
    if (s) return s;
    double norm = bqb_vector_norm(t->grad, n);
    if (!isfinite(t->loss) || !isfinite(norm)) {
        char kept[96];
        return bqb_fail(err, BQB_EFORMAT,
                        "step %" PRIu64 ": the loss is %g and the gradient's length %g (lr %.3g, logit scale %.3f); %s. "
                        "A lower --lr, a longer --warmup or --clip-norm 1 usually helps",
                        t->step + 1, (double)t->loss, norm, lr, (double)*bqb_clip_logit_scale(t->model),
                        what_is_kept(t, kept, sizeof kept));
    }
    if (o->clip_norm > 0 && norm > o->clip_norm) {
        float shrink = (float)(o->clip_norm / norm);
        for (size_t i = 0; i < n; i++) t->grad[i] *= shrink;
    }
    bqb_adamw_config a = {.lr = (float)lr, .beta1 = (float)o->beta1, .beta2 = (float)o->beta2, .eps = (float)o->eps,
                          .weight_decay = (float)o->weight_decay};
    bqb_clip_adamw(t->model, t->grad, t->mom, t->var, &a, t->step + 1);
    t->step++;
    if (t->average)
        update_average(t);
    double took = bqb_now_s() - began, N = (double)batch->N;
    t->busy_s += took;
    double epoch = (double)t->step / (double)bqb_batcher_steps_per_epoch(t->batcher);
    if (fprintf(t->log, "%" PRIu64 ",%.4f,%.6g,%.6f,%.5f,%.4g,%.2f\n", t->step, epoch, lr, (double)t->loss,
                (double)*bqb_clip_logit_scale(t->model), norm, N / took) < 0 ||
        fflush(t->log)) {
        bqb_fail_errno(err, "%s/log.csv", o->out);
        return explain_write(t, LOG_BYTES, err);
    }
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%" PRIu64 "  loss %.3f  lr %.2g ", t->step, t->total,
             (double)t->loss, lr);
    return BQB_OK;
}

static bool save_due(const bqb_run *t) {
    if (t->step == t->saved_step) return false;
    if (t->step == t->total) return true;
    if (t->o.save_every && t->step % t->o.save_every == 0) return true;
    return t->o.save_minutes > 0 && bqb_now_s() - t->saved_at >= 60 * t->o.save_minutes;
}

static bool measure_due(const bqb_run *t) {
    if (!t->valid_ds || t->seen.step == t->step) return false;
    return t->step == t->total || (t->o.valid_every && t->step % t->o.valid_every == 0);
}

static bool out_of_patience(const bqb_run *t) { return t->valid_ds && t->o.patience && t->seen.stale >= t->o.patience; }

bqb_status bqb_run_steps(bqb_run *t, bqb_err *err) {
    bqb_status s = BQB_OK;
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%" PRIu64, t->step, t->total);
    t->saved_at = bqb_now_s();
    while (!s) {
        bool stop = asked_to_stop(t);
        if (!stop && measure_due(t)) {
            s = measure(t, err);
            if (s == BQB_ECANCEL) {
                s = BQB_OK;
                stop = true;
            }
        }
        bool early = out_of_patience(t);
        if (!s && (stop || save_due(t) || (early && t->step != t->saved_step))) s = save(t, err);
        if (!s && stop)
            return bqb_fail(err, BQB_ECANCEL, "stopped after step %" PRIu64 " of %" PRIu64 "; --resume --out %s goes on",
                            t->step, t->total, t->o.out);
        t->early = early && t->step < t->total;
        if (!s && t->early)
            bqb_run_say(t, "no gain in %" PRIu64 " %s: stopped early, after step %" PRIu64 " of %" PRIu64
                        "; %s holds the model of step %" PRIu64 " with MR %.1f",
                        t->seen.stale, bqb_word(t->seen.stale, "measurement", "measurements"), t->step, t->total, t->best_dir, t->seen.best_step, t->seen.best);
        if (s || early || t->step >= t->total) break;
        s = take_step(t, err);
    }
    return s ? s : bqb_run_save_model(t, t->o.out, err);
}
