/* bqb remove ID…: take stickers out of the library. */
#include "cli/cli.h"

#include "cli/output.h"
#include "search/search.h"

#include <stdio.h>

static const char usage[] = "usage: bqb remove ID-or-FILE…\n\n"
                            "Take stickers out of the library: all of them or, when one is not there, none. The\n"
                            "files themselves stay, and a later import of their folder brings them back.";

static bqb_status remove_all(bqb_catalogue *c, char **names, int n, bqb_err *err) {
    bqb_status s = bqb_catalogue_begin(c, err);
    for (int i = 0; i < n && !s; i++) {
        bqb_sticker_id id;
        s = bqb_find_named(&id, c, names[i], err);
        if (!s) s = bqb_catalogue_remove(c, id, err);
    }
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

int cli_remove(const cli_env *env, int argc, char **argv) {
    int n_words;
    const cli_option options[] = {{"", 0, CLI_FLAG, NULL, NULL, NULL}};
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error(argv[0], "which sticker?");

    bqb_catalogue *c = NULL;
    bqb_err err;
    /* Opened for reading first: removing from a library that is not there must not make one. */
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    bqb_catalogue_close(c);
    c = NULL;
    if (!s) s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_WRITE, &err);
    if (!s) s = remove_all(c, argv + 1, n_words, &err);
    bqb_catalogue_close(c);
    if (s) return cli_fail(&err);
    printf("%d removed\n", n_words);
    return 0;
}
