/* Where the golden fixtures are: the folder in $BQB_GOLDEN, else tests/golden. */
#ifndef BQB_GOLDEN_H
#define BQB_GOLDEN_H

/* FOLDER/FILE in one of four static buffers used in turn. */
const char *golden_path(const char *file);

#endif
