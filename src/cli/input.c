#define _GNU_SOURCE
#include "cli/input.h"

bool cli_read_line(bqb_buf *line, bool *cut, FILE *in) {
    char part[4096];
    size_t n = 0;
    bool any = false;
    int c = 0;
    line->len = 0;
    *cut = false;
    while (c != '\n' && (c = getc_unlocked(in)) != EOF) {
        any = true;
        if (c != '\n') part[n++] = (char)c;
        if (n < sizeof part && c != '\n') continue;
        if (!*cut && bqb_buf_append(line, part, n, NULL)) *cut = true;
        n = 0;
    }
    if (n && !*cut && bqb_buf_append(line, part, n, NULL)) *cut = true;
    if (!any && !*cut) return false;
    if (!line->len && bqb_buf_append(line, "", 0, NULL)) return false;
    if (line->len && !*cut && line->data[line->len - 1] == '\r') line->data[--line->len] = 0;
    return any && (c == '\n' || !ferror(in));
}
