/* The settings of a training run: one table for the defaults, the names in
 * JSON, the echo in train.json and what a resumed run must keep. */
#ifndef BQB_TRAIN_SETTINGS_H
#define BQB_TRAIN_SETTINGS_H

#include "train/trainer.h"

#include <jansson.h>

/* What o leaves unset is taken from a settings file's object, named `path` in
 * messages: BQB_EINVAL for a name that is no setting, BQB_EFORMAT for a value
 * of another kind. What train.json says besides settings (bqb, data_hash,
 * stickers, total_steps) is passed over, as is "data" (see below). Texts are
 * borrowed from the object. */
bqb_status bqb_settings_fill(bqb_train_options *o, json_t *given, const char *path, bqb_err *err);

/* The same from the settings of a checkpoint; what o does give must agree with
 * it where another value would be another training: BQB_EINVAL names it. What
 * an older program did not know is added to `old` with its default. */
bqb_status bqb_settings_resume(bqb_train_options *o, json_t *old, bqb_err *err);

/* "data" of either: one name or a list of names, borrowed; *list is fresh
 * memory, for free(). None: *n = 0. */
bqb_status bqb_settings_data(const char ***list, size_t *n, json_t *from, const char *path, bqb_err *err);

/* What is still unset gets its default: the warm-up the paper's, which only fits a long run (schedule.h). */
void bqb_settings_default(bqb_train_options *o);

/* Every setting into an object. BQB_EINVAL: a text is not UTF-8. */
bqb_status bqb_settings_put(json_t *to, const bqb_train_options *o, bqb_err *err);

#endif
