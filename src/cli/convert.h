/* bqb model convert: from any form of weights to any other. */
#ifndef BQB_CLI_CONVERT_H
#define BQB_CLI_CONVERT_H

#include "base/err.h"

#include <stdbool.h>

/* from: a model folder, or a file of weights (bqb_weights_open) whose config.json
 * and vocab.txt are `config` and `vocab`, or NULL: beside it, and the config inferred when there is none.
 * to: a folder, made when it is not there. form: "hf", "ofa" or "pt". */
bqb_status cli_convert(const char *from, const char *to, bool half, const char *form, const char *config, const char *vocab,
                       bqb_err *err);

#endif
