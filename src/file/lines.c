#include "file/lines.h"

#include "base/fs.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 };

struct bqb_lines {
    FILE *f;
    char *path;
    size_t max, number;
    bqb_buf line;      /* room for max + 4 bytes: a byte order mark and the \r */
    size_t at, filled; /* chunk[at … filled-1] is still to be handed out */
    char chunk[CHUNK];
};

bqb_status bqb_lines_open(bqb_lines **out, const char *path, size_t max_bytes, bqb_err *err) {
    *out = NULL;
    if (bqb_is_dir(path)) return bqb_fail(err, BQB_EFORMAT, "%s: is a folder", path);
    bqb_lines *l = calloc(1, sizeof *l);
    if (l) l->path = bqb_strdup(path);
    if (!l || !l->path) {
        bqb_lines_close(l);
        return bqb_fail_nomem(err, path, sizeof *l);
    }
    l->max = max_bytes;
    l->line.max = max_bytes > SIZE_MAX - 4 ? SIZE_MAX : max_bytes + 4;
    l->f = fopen(path, "rbe");
    if (!l->f) {
        bqb_status s = bqb_fail_errno(err, "%s", path);
        bqb_lines_close(l);
        return s;
    }
    *out = l;
    return BQB_OK;
}

void bqb_lines_close(bqb_lines *l) {
    if (!l) return;
    if (l->f) fclose(l->f);
    bqb_buf_free(&l->line);
    free(l->path);
    free(l);
}

size_t bqb_lines_number(const bqb_lines *l) { return l->number; }
const char *bqb_lines_path(const bqb_lines *l) { return l->path; }

static bqb_status too_long(const bqb_lines *l, bqb_err *err) {
    return bqb_fail_at(err, BQB_ELIMIT, (int64_t)l->number, "%s: line %zu is longer than %zu bytes", l->path,
                       l->number, l->max);
}

bqb_status bqb_lines_next(bqb_lines *l, const char **line, size_t *n_bytes, bqb_err *err) {
    *line = NULL;
    *n_bytes = 0;
    l->line.len = 0;
    bool any = false, ended = false, over = false;
    while (!ended) {
        if (l->at == l->filled) {
            l->at = 0;
            l->filled = fread(l->chunk, 1, CHUNK, l->f);
            if (!l->filled && ferror(l->f)) return bqb_fail_errno(err, "%s", l->path);
            if (!l->filled) break;
        }
        const char *s = l->chunk + l->at, *stop = memchr(s, '\n', l->filled - l->at);
        size_t n = stop ? (size_t)(stop - s) : l->filled - l->at;
        l->at += n + (stop != NULL);
        ended = stop != NULL;
        any = true;
        if (!over && n > l->line.max - l->line.len) over = true;
        if (over) continue;
        bqb_status s1 = bqb_buf_append(&l->line, s, n, err);
        if (s1) return s1;
    }
    if (!any) return BQB_OK;
    l->number++;
    if (over) return too_long(l, err);
    char *text = l->line.data;
    size_t n = l->line.len;
    if (n && text[n - 1] == '\r') text[--n] = 0;
    if (l->number == 1 && n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3, n -= 3;
    if (n > l->max) return too_long(l, err);
    *line = text;
    *n_bytes = n;
    return BQB_OK;
}
