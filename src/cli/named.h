/* The stickers that a command is about, as its words and standard input name them. */
#ifndef BQB_CLI_NAMED_H
#define BQB_CLI_NAMED_H

#include "library/catalogue.h"

typedef struct {
    char **name; /* ids or paths, owned */
    size_t n, cap;
} cli_names;

/* The words; in the place of "-" the lines of standard input, without blank ones and
 * the white space around them. Free also after an error. */
bqb_status cli_names_read(cli_names *names, char **words, int n_words, bqb_err *err);
void cli_names_free(cli_names *names);

/* Their stickers [*n], each once, in the order of the names. BQB_ENOTFOUND and
 * BQB_EINVAL name what the library does not know. Free *ids with free(). */
bqb_status cli_names_find(bqb_sticker_id **ids, size_t *n, const cli_names *names, bqb_catalogue *c, bqb_err *err);

#endif
