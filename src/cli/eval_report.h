/* What `bqb eval` has found, and the forms in which it says so. */
#ifndef BQB_CLI_EVAL_REPORT_H
#define BQB_CLI_EVAL_REPORT_H

#include "train/muge_ask.h"
#include "train/zeroshot.h"

enum { CLI_ZEROSHOTS = 2 };

typedef struct {
    bqb_ask ask;
    bqb_ask_result r;
} cli_answer;

typedef struct {
    const char *model, *data; /* as the user named them */
    const bqb_gallery *g;
    bqb_muge_ask muge; /* with --texts this alone, else the answers; muge.r.n tells */
    cli_answer answer[BQB_ASKS];
    size_t n_answers;
    bqb_zeroshot zeroshot[CLI_ZEROSHOTS]; /* those that were asked for and have classes */
    size_t n_zeroshots;
} cli_evaluation;

extern const char cli_eval_no_classes[]; /* why there is no zero-shot of a field */

void cli_eval_print(const cli_evaluation *e);      /* a table on stdout */
int cli_eval_print_json(const cli_evaluation *e);  /* the exit status */

/* DIR/confusion-FIELD.csv for every zero-shot: the first line names the columns (chosen), then a line a class
 * (right): label, pictures, accuracy in percent, and how many were put into each class. */
bqb_status cli_eval_write_confusion(const char *dir, const cli_evaluation *e, bqb_err *err);

/* The ten best pictures for every text of the first answer, one JSON object a
 * line; a text's id is its number from 0 (or its own), a picture's its name in the data. */
bqb_status cli_eval_write_predictions(const char *path, const cli_evaluation *e, bqb_err *err);
bqb_status cli_eval_write_score(const char *path, const cli_evaluation *e, bqb_err *err);

/* All that Chinese-CLIP's evaluation reads or writes, into DIR: texts.jsonl,
 * predictions.jsonl, score.json, imgs.img_feat.jsonl, texts.txt_feat.jsonl. Its
 * scripts demand integers: ids that are not all different integers become
 * numbers from 0 (ids.tsv says which is which). */
bqb_status cli_eval_write_muge(const char *dir, const cli_evaluation *e, bqb_clip *m, bqb_progress_fn progress, void *ctx,
                               bqb_err *err);

/* One page with everything in it: tables, confusion as heat maps, and for every
 * kind of query up to `rows` rows of pictures each of those found first, found
 * among the ten, missed, and the hardest. Needs no network and no scripts. */
bqb_status cli_eval_write_page(const char *path, const cli_evaluation *e, size_t rows, int threads,
                               bqb_progress_fn progress, void *ctx, bqb_err *err);

#endif
