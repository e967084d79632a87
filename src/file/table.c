#include "file/table.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/words.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 30)
#define MAX_LINES ((size_t)16 << 20)
enum { MAX_COLUMNS = 1024 };

/* The cells of a row lie in `text` one after another, each with a NUL; only
 * the cells that the line has are kept, so that a wide header over many short
 * lines costs no memory. */
typedef struct {
    uint32_t start, line;
    uint16_t cells;
} row;

struct bqb_table {
    char *text;
    const char *column[MAX_COLUMNS];
    size_t n_columns;
    row *row;
    size_t n_rows, broken, broken_line;
};

/* Undo \t, \n and \\ in place; any other backslash stays. */
static void unescape(char *s) {
    char *out = s;
    for (; *s; s++) {
        char next = *s == '\\' ? s[1] : 0;
        if (next == 't' || next == 'n' || next == '\\') {
            *out++ = next == 't' ? '\t' : next == 'n' ? '\n' : '\\';
            s++;
        } else *out++ = *s;
    }
    *out = 0;
}

/* Cut the line s[0 … n-1], whose s[n] may be written, into cells and pack them
 * to the front. Returns how many, or 0 when the line is not UTF-8 text or has more than max. */
static size_t split_line(char *s, size_t n, size_t max) {
    if (memchr(s, 0, n) || bqb_utf8_check(s, n) != n) return 0;
    size_t cells = 1;
    for (size_t i = 0; i < n; i++) cells += s[i] == '\t';
    if (cells > max) return 0;
    s[n] = 0;
    char *out = s;
    for (size_t c = 0; c < cells; c++) {
        char *tab = strchr(s, '\t'), *next = tab ? tab + 1 : NULL;
        if (tab) *tab = 0;
        unescape(s);
        size_t len = strlen(s);
        memmove(out, s, len + 1);
        out += len + 1;
        s = next;
    }
    return cells;
}

static bqb_status read_header(bqb_table *t, char *s, size_t n, const char *path, bqb_err *err) {
    size_t cells = split_line(s, n, n + 1);
    if (!cells) return bqb_fail_at(err, BQB_EFORMAT, 1, "%s: line 1 is not UTF-8 text", path);
    if (!n)
        return bqb_fail_at(err, BQB_EFORMAT, 1, "%s: line 1 is empty, the names of the columns are needed",
                           path);
    if (cells > MAX_COLUMNS)
        return bqb_fail_at(err, BQB_ELIMIT, 1, "%s: %zu columns, at most %d are allowed", path, cells,
                           MAX_COLUMNS);
    for (; t->n_columns < cells; t->n_columns++, s += strlen(s) + 1) {
        if (*s && bqb_table_find(t, s) != SIZE_MAX)
            return bqb_fail_at(err, BQB_EFORMAT, 1, "%s: column \"%.100s\" is there twice", path, s);
        t->column[t->n_columns] = s;
    }
    return BQB_OK;
}

static void read_row(bqb_table *t, char *s, size_t n, size_t line) {
    if (!n) return;
    size_t cells = split_line(s, n, t->n_columns);
    if (!cells) {
        if (!t->broken++) t->broken_line = line;
        return;
    }
    t->row[t->n_rows++] =
        (row){.start = (uint32_t)(s - t->text), .line = (uint32_t)line, .cells = (uint16_t)cells};
}

static bqb_status read_lines(bqb_table *t, size_t size, const char *path, bqb_err *err) {
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += t->text[i] == '\n';
    if (lines > MAX_LINES)
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu lines, at most %zu are allowed", path, lines, MAX_LINES);
    t->row = bqb_calloc(lines, sizeof *t->row);
    if (!t->row) return bqb_fail_nomem(err, path, lines * sizeof *t->row);
    char *s = t->text, *end = s + size;
    if (size >= 3 && !memcmp(s, "\xEF\xBB\xBF", 3)) s += 3;
    for (size_t line = 1; line == 1 || s < end; line++) {
        char *stop = memchr(s, '\n', (size_t)(end - s)), *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > s && stop[-1] == '\r') stop--;
        if (line > 1) read_row(t, s, (size_t)(stop - s), line);
        else {
            bqb_status status = read_header(t, s, (size_t)(stop - s), path, err);
            if (status) return status;
        }
        s = next;
    }
    return BQB_OK;
}

/* Takes text, which ends with a NUL. */
static bqb_status parse(bqb_table **out, char *text, size_t size, const char *path, bqb_err *err) {
    bqb_table *t = calloc(1, sizeof *t);
    if (!t) {
        free(text);
        return bqb_fail_nomem(err, path, sizeof *t);
    }
    t->text = text;
    bqb_status s = read_lines(t, size, path, err);
    if (s) bqb_table_close(t);
    else *out = t;
    return s;
}

bqb_status bqb_table_open(bqb_table **out, const char *path, bqb_err *err) {
    char *text;
    size_t size = 0;
    *out = NULL;
    bqb_status s = bqb_file_read(&text, &size, path, MAX_BYTES, err);
    return s ? s : parse(out, text, size, path, err);
}

bqb_status bqb_table_parse(bqb_table **out, const char *bytes, size_t n, const char *name, bqb_err *err) {
    *out = NULL;
    if (n > MAX_BYTES) return bqb_fail(err, BQB_ELIMIT, "%s: larger than %zu bytes", name, MAX_BYTES);
    char *text = bqb_strndup(bytes, n);
    return text ? parse(out, text, n, name, err) : bqb_fail_nomem(err, name, n);
}

void bqb_table_close(bqb_table *t) {
    if (!t) return;
    free(t->text);
    free(t->row);
    free(t);
}

size_t bqb_table_rows(const bqb_table *t) { return t->n_rows; }
size_t bqb_table_columns(const bqb_table *t) { return t->n_columns; }
const char *bqb_table_column(const bqb_table *t, size_t c) { return c < t->n_columns ? t->column[c] : ""; }

size_t bqb_table_find(const bqb_table *t, const char *name) {
    for (size_t c = 0; c < t->n_columns; c++)
        if (!strcmp(t->column[c], name)) return c;
    return SIZE_MAX;
}

const char *bqb_table_cell(const bqb_table *t, size_t r, size_t c) {
    if (r >= t->n_rows || c >= t->row[r].cells) return "";
    const char *s = t->text + t->row[r].start;
    while (c--) s += strlen(s) + 1;
    return s;
}

size_t bqb_table_line(const bqb_table *t, size_t r) { return r < t->n_rows ? t->row[r].line : 0; }
size_t bqb_table_broken(const bqb_table *t) { return t->broken; }
size_t bqb_table_broken_line(const bqb_table *t) { return t->broken_line; }

const char *bqb_table_problem(char out[BQB_TABLE_PROBLEM], const bqb_table *t) {
    if (!t->broken) return NULL;
    snprintf(out, BQB_TABLE_PROBLEM, "%zu broken %s left out, the first is line %zu", t->broken, bqb_word(t->broken, "line", "lines"), t->broken_line);
    return out;
}

bqb_status bqb_table_write_cell(bqb_outfile *o, const char *text, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (; *text && !s; text++) {
        const char *code = *text == '\t' ? "\\t" : *text == '\n' ? "\\n" : *text == '\\' ? "\\\\" : NULL;
        if (*text == '\r') code = " ";
        s = code ? bqb_outfile_write(o, code, strlen(code), err) : bqb_outfile_write(o, text, 1, err);
    }
    return s;
}
