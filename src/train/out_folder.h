/* What every kind of training does in the folder that it writes into: one at a time, and tables of what happened that
 * end where the checkpoint does. */
#ifndef BQB_TRAIN_OUT_FOLDER_H
#define BQB_TRAIN_OUT_FOLDER_H

#include "base/err.h"

#include <stdbool.h>

/* Lock DIR/.lock until *fd is closed. BQB_EIO: "DIR: another WHO is writing here". *fd is -1 on failure. */
bqb_status bqb_out_lock(int *fd, const char *dir, const char *who, bqb_err *err);

/* The step of a line (without its end), UINT64_MAX: it is not of a step. */
typedef uint64_t (*bqb_step_of)(const char *line);
uint64_t bqb_csv_step(const char *line); /* a number before the first comma */

/* DIR/NAME with this header (NULL: none) and, where `keep`, the whole lines of the old file up to this step: what a run that was
 * killed wrote after its last checkpoint is done again. At most 256 MiB. */
bqb_status bqb_out_log(const char *dir, const char *name, const char *header, bool keep, uint64_t step, bqb_step_of step_of, bqb_err *err);

#endif
