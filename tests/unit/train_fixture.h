/* Small annotated sets of pictures and a tiny model's configuration, for tests of src/train. */
#ifndef TRAIN_FIXTURE_H
#define TRAIN_FIXTURE_H

#include "train/trainer.h"

/* DIR/images/K.png (and every `animate`-th one K.gif with three frames; 0:
 * none), DIR/captions.tsv with all five fields and DIR/queries.tsv with two
 * queries each. Pictures differ in colour and pattern; captions name both. */
void fixture_set(const char *dir, size_t n, size_t animate);

/* DIR/NAME as a config.json of a model for the golden vocabulary: 32 px. */
void fixture_config(const char *dir, const char *name);

/* printf to a file. */
void fixture_write(const char *dir, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* DIR/NAME in one of eight static buffers. */
const char *fixture_path(const char *dir, const char *name);

/* A run of batches of 10 in DIR/OUT of a model of DIR/config.json on `data`, a set's folder;
 * borrows data. OUT is in one of eight static buffers. */
bqb_train_options fixture_run(const char *const data[1], const char *dir, const char *out, size_t steps);

/* Both folders have NAME, not empty, the same bytes. */
bool fixture_same_file(const char *a_dir, const char *b_dir, const char *name);

#endif
