#include "chat/tune_run.h"

#include "base/clock.h"
#include "base/words.h"
#include "train/out_folder.h"
#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void bqb_tune_say(const bqb_tune_run *t, const char *fmt, ...) {
    char line[2048];
    va_list args;
    if (!t->o.say) return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    t->o.say(t->o.ctx, line);
}

static bqb_status log_line(bqb_tune_run *t, json_t *o, bqb_err *err) {
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    bqb_status s = BQB_OK;
    if (!text) s = bqb_fail_nomem(err, "log.jsonl", 256);
    else if (fprintf(t->log, "%s\n", text) < 0 || fflush(t->log)) s = bqb_fail_errno(err, "%s/log.jsonl", t->o.out);
    free(text);
    json_decref(o);
    return s;
}

/* ---- a step ---- */

static void update(bqb_tune_run *t, double lr) {
    const bqb_tune_options *o = &t->o;
    bqb_adamw_step step = bqb_adamw_step_at(lr, o->weight_decay, o->beta1, o->beta2, t->step + 1);
    t->parts.ops->adamw(t->parts.floats, t->mom, t->var, t->grad.floats, step.decay, step.step_size, step.vscale, (float)o->beta1, (float)o->beta2, (float)o->eps,
                        t->parts.n_floats);
    float *scale = t->parts.log_scale, most = logf(100.0f);
    *scale = *scale < 0 ? 0 : *scale > most ? most : *scale;
}

static bqb_status take_step(bqb_tune_run *t, bqb_err *err) {
    const bqb_tune_options *o = &t->o;
    double began = bqb_now_s(), lr = bqb_schedule_lr(o->lr, t->step, o->warmup, o->steps);
    size_t n = t->parts.n_floats, B = o->batch, D = t->parts.D;
    bqb_sticker_loss loss;
    float *ret = bqb_calloc(B * D, sizeof *ret);
    bqb_status s = ret ? bqb_tune_batch_make(&t->batch, &t->batch_options, t->step, err) : bqb_fail_nomem(err, "queries", B * D * sizeof *ret);
    memset(t->grad.floats, 0, n * sizeof(float));
    bqb_sticker_how how = {.recompute = t->recompute, .team = t->team, .n_team = t->n_team, .alike = t->batch.alike};
    if (!s) s = bqb_stickerllm_grad(t->llm, &t->parts, &t->grad, &loss, ret, &t->batch.view, &how, err);
    double norm = s ? 0 : bqb_vector_norm(t->grad.floats, n);
    if (!s && (!isfinite(loss.words) || !isfinite(loss.stickers) || !isfinite(norm)))
        s = bqb_fail(err, BQB_EFORMAT, "step %" PRIu64 ": the losses are %g and %g, the gradient's length %g (lr %.3g); %s. A lower --lr or a longer --warmup usually helps",
                     t->step + 1, (double)loss.words, (double)loss.stickers, norm, lr, t->saved ? "the last checkpoint is kept" : "there is no checkpoint yet");
    if (!s) {
        t->r.recall = bqb_tune_batch_recall(&t->batch, ret, D);
        t->r.words = loss.words;
        t->r.stickers = loss.stickers;
        if (o->clip_norm > 0 && norm > o->clip_norm)
            for (size_t i = 0; i < n; i++) t->grad.floats[i] *= (float)(o->clip_norm / norm);
        update(t, lr);
        t->step++;
    }
    free(ret);
    if (s) return s;
    double took = bqb_now_s() - began;
    t->busy_s += took;
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%zu  words %.3f  stickers %.3f  in-batch R@1 %.0f  %.0f/s ", t->step, o->steps, (double)loss.words,
             (double)loss.stickers, 100 * t->r.recall, (double)B / took);
    return log_line(t, json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)t->step, "lr", lr, "loss_words", (double)loss.words, "loss_stickers",
                                 (double)loss.stickers, "in_batch_r1", 100 * t->r.recall, "log_scale", (double)*t->parts.log_scale, "gradient", norm, "sequences_per_s",
                                 (double)B / took),
                    err);
}

/* ---- held out ---- */

static bool asked_to_stop(bqb_tune_run *t) {
    size_t B = t->o.batch;
    return t->o.progress && t->o.progress(t->o.ctx, t->what, (t->step - t->first_step) * B, (t->o.steps - t->first_step) * B) != 0;
}

static int pass_on_stop(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    return asked_to_stop(ctx);
}

/* With wordings that were never trained on: which sticker the whole annotation finds, and who is answered with one. */
static bqb_status measure(bqb_tune_run *t, bqb_err *err) {
    bqb_trial trial = {.m = t->llm, .team = t->team, .n_team = t->n_team, .parts = &t->parts, .lessons = t->lessons, .form = t->batch_options.form,
                       .ds = t->valid.ds, .pictures = &t->valid.pictures, .seed = 7};
    size_t n = t->valid.pictures.n;
    bqb_question asked = {.task = BQB_TASK_TEXT, .want = BQB_WANT_FULL, .test = true, .n = n}, talk = {.task = BQB_TASK_TALK, .test = true, .n = n};
    bqb_answers a, b = {0};
    bqb_recall found;
    bqb_status s = bqb_trial_ask(&a, &trial, &asked, pass_on_stop, t, err);
    if (!s) s = bqb_trial_rank(&found, &t->valid.pictures, a.query, a.item, a.n, (int)t->o.threads, err);
    if (!s) s = bqb_trial_ask(&b, &trial, &talk, pass_on_stop, t, err);
    if (!s) {
        t->r.mr = found.mr;
        t->r.triggered = 100 * (double)a.answered / (double)a.n;
        t->r.disturbed = 100 * (double)b.answered / (double)b.n;
        bqb_tune_say(t, "step %" PRIu64 ": held-out MR %.1f among %zu; answered with a sticker: %.1f %% of requests, %.1f %% of ordinary talk (wordings never trained on)", t->step,
                     t->r.mr, n, t->r.triggered, t->r.disturbed);
        s = log_line(t, json_pack("{s:I, s:f, s:f, s:f}", "step", (json_int_t)t->step, "held_out_mr", t->r.mr, "triggered", t->r.triggered, "disturbed", t->r.disturbed), err);
    }
    bqb_answers_free(&a);
    bqb_answers_free(&b);
    return s;
}

/* ---- the run ---- */

static bool save_due(const bqb_tune_run *t) {
    if (t->step == t->saved_step && t->saved) return false;
    if (t->step == t->o.steps) return true;
    if (t->o.save_every && t->step % t->o.save_every == 0) return true;
    return t->o.save_minutes > 0 && bqb_now_s() - t->saved_at >= 60 * t->o.save_minutes;
}

static bool measure_due(const bqb_tune_run *t) {
    return t->valid.ds && t->step > t->first_step && (t->step == t->o.steps || (t->o.valid_every && t->step % t->o.valid_every == 0));
}

static bqb_status run_steps(bqb_tune_run *t, bqb_err *err) {
    bqb_status s = BQB_OK;
    snprintf(t->what, sizeof t->what, "step %" PRIu64 "/%zu", t->step, t->o.steps);
    t->saved_at = bqb_now_s();
    while (!s) {
        bool stop = asked_to_stop(t);
        if (!stop && measure_due(t)) {
            s = measure(t, err);
            if (s == BQB_ECANCEL) s = BQB_OK, stop = true;
        }
        if (!s && (save_due(t) || (stop && !(t->saved && t->step == t->saved_step)))) s = bqb_tune_keep(t, err);
        if (!s && stop) return bqb_fail(err, BQB_ECANCEL, "stopped after step %" PRIu64 " of %zu; --resume --out %s goes on", t->step, t->o.steps, t->o.out);
        if (s || t->step >= t->o.steps) break;
        s = take_step(t, err);
    }
    return s;
}

static uint64_t step_of(const char *line) {
    json_t *o = json_loads(line, 0, NULL);
    json_int_t at = json_integer_value(json_object_get(o, "step"));
    json_decref(o);
    return at > 0 ? (uint64_t)at : UINT64_MAX;
}

static bqb_status open_log(bqb_tune_run *t, bqb_err *err) {
    bqb_status s = bqb_out_log(t->o.out, "log.jsonl", NULL, t->o.resume, t->step, step_of, err);
    char *path = s ? NULL : bqb_path_join(t->o.out, "log.jsonl");
    if (!s && !path) s = bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    if (path && !(t->log = fopen(path, "ae"))) s = bqb_fail_errno(err, "%s", path);
    free(path);
    return s;
}

bqb_status bqb_tune(const bqb_tune_options *options, bqb_tune_result *result, bqb_err *err) {
    bqb_tune_run *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, "tuning", sizeof *t);
    t->o = *options;
    t->lock_fd = -1;
    t->r = (bqb_tune_result){.recall = -1, .mr = -1, .triggered = -1, .disturbed = -1};
    bqb_status s = bqb_tune_open_out(t, err);
    if (!s) s = bqb_tune_settings_fill(t, err);
    if (!s) s = bqb_tune_open_models(t, err);
    if (!s) s = bqb_tune_open_data(t, err);
    if (!s) s = bqb_tune_open_parts(t, err);
    if (!s) s = open_log(t, err);
    if (!s) s = run_steps(t, err);
    t->r.steps = t->step;
    if (t->busy_s > 0) t->r.sequences_per_s = (double)((t->step - t->first_step) * t->o.batch) / t->busy_s;
    *result = t->r;
    bqb_tune_close(t);
    free(t);
    return s;
}
