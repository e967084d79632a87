#include "cli/named.h"

#include "base/mem.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 16 }; /* bytes of one name */

static bqb_status add(cli_names *l, const char *name, size_t n_bytes, bqb_err *err) {
    char **p = bqb_grow(l->name, l->n, &l->cap, sizeof *p, 16);
    if (!p) return bqb_fail_nomem(err, "names", l->n * sizeof *p);
    l->name = p;
    char *copy = bqb_strndup(name, n_bytes);
    if (!copy) return bqb_fail_nomem(err, "name", n_bytes);
    l->name[l->n++] = copy;
    return BQB_OK;
}

static bool is_blank(char ch) { return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n'; }

static bqb_status add_lines(cli_names *l, bqb_err *err) {
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t got;
    bqb_status s = BQB_OK;
    while (!s && (got = getline(&line, &cap, stdin)) >= 0) {
        size_t n = (size_t)got, skip = 0;
        number++;
        while (n && is_blank(line[n - 1])) n--;
        while (skip < n && is_blank(line[skip])) skip++;
        if (n - skip > MAX_LINE || memchr(line, 0, n))
            s = bqb_fail(err, BQB_EINVAL, "standard input, line %zu: no id and no path of a file", number);
        else if (n > skip) s = add(l, line + skip, n - skip, err);
    }
    if (!s && ferror(stdin)) s = bqb_fail_errno(err, "standard input");
    free(line);
    return s;
}

bqb_status cli_names_read(cli_names *names, char **words, int n_words, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int i = 0; i < n_words && !s; i++)
        s = strcmp(words[i], "-") ? add(names, words[i], strlen(words[i]), err) : add_lines(names, err);
    return s;
}

void cli_names_free(cli_names *names) {
    for (size_t i = 0; i < names->n; i++) free(names->name[i]);
    free(names->name);
    *names = (cli_names){0};
}

typedef struct {
    bqb_sticker_id id;
    size_t at;
} place;

static int by_id_then_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

bqb_status cli_names_find(bqb_sticker_id **ids, size_t *n, const cli_names *names, bqb_catalogue *c, bqb_err *err) {
    place *found = bqb_calloc(names->n, sizeof *found);
    bqb_status s = BQB_OK;
    *n = 0;
    *ids = bqb_calloc(names->n, sizeof **ids);
    if (!found || !*ids) s = bqb_fail_nomem(err, "stickers", names->n * sizeof *found);
    for (size_t i = 0; i < names->n && !s; i++) {
        found[i].at = i;
        s = bqb_find_named(&found[i].id, c, names->name[i], err);
    }
    if (!s && names->n) {
        size_t m = 0;
        qsort(found, names->n, sizeof *found, by_id_then_place);
        for (size_t i = 0; i < names->n; i++)
            if (!m || found[m - 1].id != found[i].id) found[m++] = found[i];
        qsort(found, m, sizeof *found, by_place);
        for (size_t i = 0; i < m; i++) (*ids)[i] = found[i].id;
        *n = m;
    }
    free(found);
    if (s) {
        free(*ids);
        *ids = NULL;
    }
    return s;
}
