/* Standard input, a line at a time, as soon as it is there. */
#ifndef BQB_CLI_INPUT_H
#define BQB_CLI_INPUT_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdio.h>

/* The next line into *line, without its \n or \r\n; of one with more than line->max bytes only these many, and *cut.
 * False at the end of the input, on an error (ferror) and when a signal came (ferror, errno EINTR). */
bool cli_read_line(bqb_buf *line, bool *cut, FILE *in);

#endif
