#include "file/jsonl.h"

#include "file/json.h"
#include "file/lines.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LINE_BYTES ((size_t)16 << 20)
#define MAX_ITEMS ((size_t)1 << 20)
enum { MAX_DEPTH = 32 };

struct bqb_jsonl {
    bqb_lines *lines;
    json_t *value;
};

bqb_status bqb_jsonl_open(bqb_jsonl **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_jsonl *j = calloc(1, sizeof *j);
    if (!j) return bqb_fail_nomem(err, path, sizeof *j);
    bqb_status s = bqb_lines_open(&j->lines, path, MAX_LINE_BYTES, err);
    if (s) {
        bqb_jsonl_close(j);
        return s;
    }
    *out = j;
    return BQB_OK;
}

void bqb_jsonl_close(bqb_jsonl *j) {
    if (!j) return;
    bqb_lines_close(j->lines);
    json_decref(j->value);
    free(j);
}

size_t bqb_jsonl_line(const bqb_jsonl *j) { return bqb_lines_number(j->lines); }

bqb_status bqb_jsonl_fail(const bqb_jsonl *j, bqb_err *err, const char *what) {
    size_t line = bqb_jsonl_line(j);
    return bqb_fail_at(err, BQB_EFORMAT, (int64_t)line, "%s: line %zu: %s", bqb_lines_path(j->lines), line,
                       what);
}

bqb_status bqb_jsonl_next(bqb_jsonl *j, const json_t **value, bqb_err *err) {
    *value = NULL;
    json_decref(j->value);
    j->value = NULL;
    const char *line;
    size_t n;
    do {
        bqb_status s = bqb_lines_next(j->lines, &line, &n, err);
        if (s) return s;
        if (!line) return BQB_OK;
    } while (strspn(line, " \t") == n);
    bqb_err why = {0};
    bqb_status s = bqb_json_parse(&j->value, line, n, MAX_DEPTH, MAX_ITEMS, &why);
    if (s) {
        size_t number = bqb_jsonl_line(j);
        return bqb_fail_at(err, s, (int64_t)number, "%s: line %zu: %.300s", bqb_lines_path(j->lines), number,
                           why.msg);
    }
    *value = j->value;
    return BQB_OK;
}

bqb_status bqb_jsonl_write_take(bqb_outfile *o, json_t *value, bqb_err *err) {
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text) return bqb_fail_nomem(err, o->path, 0);
    bqb_status s = bqb_outfile_write(o, text, strlen(text), err);
    if (!s) s = bqb_outfile_write(o, "\n", 1, err);
    free(text);
    return s;
}
