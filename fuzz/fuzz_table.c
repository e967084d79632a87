/* captions.tsv: every cell that is handed out is UTF-8 text, and every line is a row, broken, or blank. */
#include "base/utf8.h"
#include "file/table.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_table *t = NULL;
    bqb_err err = {0};
    if (!path) return 0;
    if (bqb_table_open(&t, path, &err)) {
        if (!err.msg[0]) abort();
        return 0;
    }
    size_t lines = 1, before = 1, columns = bqb_table_columns(t);
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    if (!columns || bqb_table_rows(t) + bqb_table_broken(t) > lines - 1) abort();
    if (!bqb_table_broken(t) != !bqb_table_broken_line(t)) abort();
    for (size_t c = 0; c < columns; c++) {
        const char *name = bqb_table_column(t, c);
        if (*name && bqb_table_find(t, name) != c) abort();
    }
    for (size_t r = 0; r < bqb_table_rows(t); r++) {
        if (bqb_table_line(t, r) <= before || bqb_table_line(t, r) > lines) abort();
        before = bqb_table_line(t, r);
        for (size_t c = 0; c <= columns; c++) {
            const char *cell = bqb_table_cell(t, r, c);
            size_t n = strlen(cell);
            if (bqb_utf8_check(cell, n) != n || (c == columns && n)) abort();
        }
    }
    bqb_table_close(t);
    return 0;
}
