/* One run of tuning, shared by the files that make it up: tune_settings.c knows the settings, tune_open.c opens what
 * a run needs, tune_keep.c writes and reads what is kept, tune.c takes the steps. */
#ifndef BQB_CHAT_TUNE_RUN_H
#define BQB_CHAT_TUNE_RUN_H

#include "chat/trial.h"
#include "chat/tune.h"
#include "chat/tune_batch.h"
#include "model/adapter.h"

#include <jansson.h>
#include <stdio.h>

/* A set of stickers and their features. */
typedef struct {
    bqb_dataset *ds;
    bqb_tune_pictures pictures;
} bqb_tune_set;

typedef struct {
    bqb_tune_options o;
    json_t *settings;      /* of this run; until data are open, of the checkpoint that it goes on with */
    json_t *begun;         /* those of the checkpoint from then on */
    const char **data;     /* o.data, when it came from there */
    char *checkpoint_path;
    int lock_fd;
    bqb_precision precision;
    bqb_decoder *llm, **team;
    size_t n_team;
    bqb_llm_tokenizer *tok;
    bqb_clip *clip;
    bqb_lessons *lessons;
    bqb_tune_set learn, valid;
    bqb_sticker_parts parts, grad;
    float *mom, *var;      /* [parts.n_floats] */
    bool recompute;
    bqb_tune_batch_options batch_options;
    bqb_tune_batch batch;
    FILE *log;
    uint64_t step, first_step, saved_step;
    bool saved;
    double busy_s, saved_at;
    bqb_tune_result r;
    char what[128];
} bqb_tune_run;

void bqb_tune_say(const bqb_tune_run *t, const char *fmt, ...) BQB_PRINTF(2, 3);

/* What is unset from the settings (NULL: none), then its default; what is given must agree with them: BQB_EINVAL names it. */
bqb_status bqb_tune_settings_fill(bqb_tune_run *t, bqb_err *err);
bqb_status bqb_tune_settings_check(const bqb_tune_options *o, bqb_err *err);
json_t *bqb_tune_settings_make(const bqb_tune_run *t); /* NULL: out of memory */

/* The folder, made and locked; the checkpoint's settings where it is resumed. */
bqb_status bqb_tune_open_out(bqb_tune_run *t, bqb_err *err);
/* Models, data, lessons, memory; in this order. */
bqb_status bqb_tune_open_models(bqb_tune_run *t, bqb_err *err);
bqb_status bqb_tune_open_data(bqb_tune_run *t, bqb_err *err);
/* Trained parts and moments: at random, or from the checkpoint. */
bqb_status bqb_tune_open_parts(bqb_tune_run *t, bqb_err *err);
void bqb_tune_close(bqb_tune_run *t);

/* Start of everything that is trained, by seed. */
bqb_status bqb_tune_start(bqb_sticker_parts *p, bqb_decoder *llm, const bqb_llm_tokenizer *tok, float log_scale, double feature_size, uint64_t seed, bqb_err *err);

/* The checkpoint's settings; fresh reference. */
bqb_status bqb_tune_peek(json_t **settings, uint64_t *step, const char *path, bqb_err *err);
bqb_status bqb_tune_read(bqb_tune_run *t, bqb_err *err);
bqb_status bqb_tune_keep(bqb_tune_run *t, bqb_err *err); /* checkpoint, then adapter */

#endif
