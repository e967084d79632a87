/* Where the golden fixtures are: the folder in $BQB_GOLDEN, else tests/golden. */
#ifndef BQB_GOLDEN_H
#define BQB_GOLDEN_H

#include "file/safetensors.h"

#include <stdbool.h>

/* FOLDER/FILE in one of four static buffers used in turn. */
const char *golden_path(const char *file);

/* False, with a note, when a set of $BQB_GOLDEN does not have the file. Our own
 * set must have it: true, and the test that opens it fails. */
bool golden_has(const char *file);

/* A tensor as floats, with its number of entries (n may be NULL); free() it. NULL, and a failed check, when it is missing. */
float *golden_values(const bqb_safetensors *st, const char *name, size_t *n);

/* Largest difference over largest expected entry; infinity when anything is not finite. */
double golden_distance(const float *got, const float *want, size_t n);

#endif
