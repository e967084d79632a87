#include "chat/wordings.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 4 << 20 };

bqb_status bqb_wordings_open(bqb_table **t, const char *path, const char *const *columns, size_t n_columns, bqb_err *err) {
    char *text = NULL;
    size_t size = 0;
    *t = NULL;
    bqb_status s = bqb_file_read(&text, &size, path, MAX_FILE, err);
    const char *at = text;
    while (!s && *at == '#') {
        const char *end = strchr(at, '\n');
        at = end ? end + 1 : at + strlen(at);
    }
    if (!s) s = bqb_table_parse(t, at, size - (size_t)(at - text), path, err);
    for (size_t i = 0; i < n_columns && !s; i++)
        if (bqb_table_find(*t, columns[i]) != i) s = bqb_fail(err, BQB_EFORMAT, "%s: column %zu must be \"%s\"", path, i + 1, columns[i]);
    if (!s && bqb_table_broken(*t)) s = bqb_fail(err, BQB_EFORMAT, "%s: line %zu is broken", path, bqb_table_broken_line(*t));
    free(text);
    return s;
}
