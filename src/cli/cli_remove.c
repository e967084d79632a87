/* bqb remove ID…: take stickers out of the library. */
#include "cli/cli.h"

#include "cli/named.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: bqb remove ID-or-FILE…\n\n"
                            "Take stickers out of the library: all of them or, when one is not there, none. The\n"
                            "files themselves stay, and a later import of their folder brings them back. \"-\" reads\n"
                            "names from standard input, one a line.";

static bqb_status remove_all(size_t *n_removed, bqb_catalogue *c, const cli_names *names, bqb_err *err) {
    bqb_sticker_id *ids = NULL;
    bqb_status s = bqb_catalogue_begin(c, err);
    if (!s) s = cli_names_find(&ids, n_removed, names, c, err);
    for (size_t i = 0; !s && i < *n_removed; i++) s = bqb_catalogue_remove(c, ids[i], err);
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    free(ids);
    return s;
}

int cli_remove(const cli_env *env, int argc, char **argv) {
    int n_words;
    const cli_option options[] = {{"", 0, CLI_FLAG, NULL, NULL, NULL}};
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error(argv[0], "which sticker?");

    bqb_catalogue *c = NULL;
    cli_names names = {0};
    size_t n_removed = 0;
    bqb_err err;
    bqb_status s = cli_names_read(&names, argv + 1, n_words, &err);
    if (!s) s = cli_open_to_change(&c, env, &err);
    if (!s) s = remove_all(&n_removed, c, &names, &err);
    bqb_catalogue_close(c);
    cli_names_free(&names);
    if (s) return cli_fail(&err);
    printf("%zu removed\n", n_removed);
    return 0;
}
