/* A text file line by line, of any size, in bounded memory. */
#ifndef BQB_FILE_LINES_H
#define BQB_FILE_LINES_H

#include "base/err.h"

typedef struct bqb_lines bqb_lines;

/* max_bytes: the longest line that is taken. Reads pipes too. */
bqb_status bqb_lines_open(bqb_lines **out, const char *path, size_t max_bytes, bqb_err *err);
void bqb_lines_close(bqb_lines *l);

/* The next line without its end (\n or \r\n) and without a byte order mark at
 * the start of the file; a NUL follows it. *line is NULL at the end of the
 * file. Borrowed until the next call.
 * BQB_ELIMIT: the line is too long; it is passed over and the next call goes on.
 * Both errors name the file; BQB_ELIMIT has the line number as position. */
bqb_status bqb_lines_next(bqb_lines *l, const char **line, size_t *n_bytes, bqb_err *err);

/* Number of the line that the last call was about, from 1. */
size_t bqb_lines_number(const bqb_lines *l);

/* The path it was opened with; borrowed. */
const char *bqb_lines_path(const bqb_lines *l);

#endif
