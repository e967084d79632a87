/* Where the golden fixtures are: the folder in $BQB_GOLDEN, else tests/golden. */
#ifndef BQB_GOLDEN_H
#define BQB_GOLDEN_H

#include <stdbool.h>

/* FOLDER/FILE in one of four static buffers used in turn. */
const char *golden_path(const char *file);

/* False, with a note, when a set of $BQB_GOLDEN does not have the file. Our own
 * set must have it: true, and the test that opens it fails. */
bool golden_has(const char *file);

#endif
