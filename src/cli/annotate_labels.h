/* bqb annotate --emotion --style: labels that the model guesses. */
#ifndef BQB_CLI_ANNOTATE_LABELS_H
#define BQB_CLI_ANNOTATE_LABELS_H

#include "library/catalogue.h"

#include <jansson.h>

typedef struct {
    bool emotion, style;
    double min_score;
    const char *model; /* --model, or NULL */
} cli_label_wish;

/* Guess for these stickers [n] (ids NULL: all). The report goes into json as "emotion"
 * and "style", or is printed where that is NULL; notes for people go to stderr. */
bqb_status cli_annotate_labels(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, const cli_label_wish *w,
                               json_t *json, bqb_err *err);

#endif
