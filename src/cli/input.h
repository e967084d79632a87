/* Standard input, a line at a time, as soon as it is there. */
#ifndef BQB_CLI_INPUT_H
#define BQB_CLI_INPUT_H

#include "base/mem.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

/* The next line into *line, without its \n or \r\n; of one with more than line->max bytes only these many, and *cut.
 * False at the end of the input, on an error (ferror) and when a signal came (ferror, errno EINTR). */
bool cli_read_line(bqb_buf *line, bool *cut, FILE *in);

/* The same from a person at a terminal: lines can be edited and called back, where bqb was built with libedit and the
 * terminal and the locale (UTF-8) can do it; else as cli_read_line, with the prompt on standard error. `pressed` is looked at when a signal
 * came while waiting: set, reading ends. */
typedef struct cli_prompt cli_prompt;
cli_prompt *cli_prompt_new(const char *prompt, const volatile sig_atomic_t *pressed); /* NULL: out of memory */
void cli_prompt_free(cli_prompt *p);
bool cli_prompt_read(cli_prompt *p, bqb_buf *line, bool *cut);

#endif
