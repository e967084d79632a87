/* Where the program's own data files are. */
#ifndef BQB_BASE_DATA_H
#define BQB_BASE_DATA_H

#include "base/err.h"

/* The path of a data file or folder (name "phrases.tsv", or "" for the folder
 * itself) in fresh memory, looked for in this order:
 *   1. $BQB_DATA, when set: there and nowhere else
 *   2. beside the program: DIR/data, DIR/../data (a build tree), DIR/../share/bqb/data (installed)
 *   3. PREFIX/share/bqb/data as configured when building, if it was (BQB_PREFIX)
 * BQB_ENOTFOUND names all places tried. Free *path with free(). */
bqb_status bqb_data_path(char **path, const char *name, bqb_err *err);

#endif
