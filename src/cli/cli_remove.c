/* bqb remove ID…: take stickers out of the library. */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/output.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: bqb remove ID-or-FILE…\n\n"
                            "Take stickers out of the library: all of them or, when one is not there, none. The\n"
                            "files themselves stay, and a later import of their folder brings them back.";

/* The stickers that are meant, each once: a file and an id may name the same one. */
static bqb_status find_all(bqb_sticker_id *ids, size_t *n_ids, bqb_catalogue *c, char **names, int n, bqb_err *err) {
    bqb_status s = BQB_OK;
    *n_ids = 0;
    for (int i = 0; i < n && !s; i++) {
        bqb_sticker_id id;
        size_t k = 0;
        s = bqb_find_named(&id, c, names[i], err);
        while (!s && k < *n_ids && ids[k] != id) k++;
        if (!s && k == *n_ids) ids[(*n_ids)++] = id;
    }
    return s;
}

static bqb_status remove_all(size_t *n_removed, bqb_catalogue *c, char **names, int n, bqb_err *err) {
    bqb_sticker_id *ids = bqb_calloc((size_t)n, sizeof *ids);
    if (!ids) return bqb_fail_nomem(err, "stickers", (size_t)n * sizeof *ids);
    bqb_status s = bqb_catalogue_begin(c, err);
    if (!s) s = find_all(ids, n_removed, c, names, n, err);
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
    bqb_err err;
    /* Opened for reading first: removing from a library that is not there must not make one. */
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    bqb_catalogue_close(c);
    c = NULL;
    if (!s) s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_WRITE, &err);
    size_t n_removed = 0;
    if (!s) s = remove_all(&n_removed, c, argv + 1, n_words, &err);
    bqb_catalogue_close(c);
    if (s) return cli_fail(&err);
    printf("%zu removed\n", n_removed);
    return 0;
}
