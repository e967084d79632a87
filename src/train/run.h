/* One training run, shared by the files that make it up: run_open.c and
 * run_data.c open what it needs, run_step.c takes the steps, trainer.c goes from begin to end. */
#ifndef BQB_TRAIN_RUN_H
#define BQB_TRAIN_RUN_H

#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#include <jansson.h>
#include <stdio.h>

typedef struct {
    bqb_train_options o;
    json_t *old, *given; /* settings of the checkpoint and of a file; o borrows texts from both */
    const char **data;   /* o.data, when it came from there */
    char *settings_text;
    char *last_dir, *best_dir, *cache_dir;
    char *checkpoint_path, *older_path; /* the last one, and the one before it */
    bool own_warmup;                    /* nobody asked for one: it follows the length of the run */
    bool older_alone;                   /* the last one is damaged: the older one is not to be given up */
    int lock_fd;
    bqb_precision precision;
    bqb_clip *model;
    bqb_tokenizer *tok; /* where the model has none of its own: a preview of a start at random */
    bqb_dataset *ds, *valid_ds;
    bqb_pixels *px, *valid_px;
    bqb_trunk *trunk;    /* of the training pictures, or NULL */
    uint32_t *alike;     /* [stickers] which are the same picture, or NULL */
    bqb_batcher *batcher;
    float *grad, *mom, *var;
    float *average;      /* of the weights, NULL when it is off; the weights themselves while `averaged` */
    bool averaged, early;
    FILE *log;
    uint64_t step, total, saved_step, first_step;
    bool saved;          /* there is a checkpoint, of saved_step */
    bqb_measured seen;   /* held-out measurements so far */
    double last, saved_at, busy_s;
    float loss;
    char what[96]; /* for the progress function: one address, so that it is one piece of work */
} bqb_run;

/* A line for people, if they listen. */
void bqb_run_say(const bqb_run *t, const char *fmt, ...) BQB_PRINTF(2, 3);

/* OUT/NAME in fresh memory; NULL when memory is out. */
char *bqb_run_path(const bqb_run *t, const char *name);

/* In this order. The folder: made, locked, cleaned, and whether it fits what
 * was asked, fresh or resumed (then with the settings of its checkpoint). */
bqb_status bqb_run_open_out(bqb_run *t, bqb_err *err);
bqb_status bqb_run_check_options(bqb_run *t, bqb_err *err);
bqb_status bqb_run_open_model(bqb_run *t, bqb_err *err);
bqb_status bqb_run_open_data(bqb_run *t, bqb_err *err);
bqb_status bqb_run_open_optimiser(bqb_run *t, bqb_err *err);
bqb_status bqb_run_open_trunk(bqb_run *t, bqb_err *err); /* where steps can start from stored trunks */
bqb_status bqb_run_open_logs(bqb_run *t, bqb_err *err); /* train.json, log.csv, valid.csv */

/* Borrowed. */
const bqb_tokenizer *bqb_run_tokenizer(const bqb_run *t);

/* The settings of these names as numbers (bqb_batch_augment; whether positive); -1: not such a word. */
int bqb_run_augment(const bqb_run *t);
int bqb_run_duplicates(const bqb_run *t);

/* The model as it would be used (the average, when that is on), to a folder. */
bqb_status bqb_run_save_model(bqb_run *t, const char *dir, bqb_err *err);

/* Steps, measurements and checkpoints, until the end or until one stops it. */
bqb_status bqb_run_steps(bqb_run *t, bqb_err *err);

#endif
