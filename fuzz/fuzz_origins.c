/* The columns origins (the first line of the input) and reading (the rest) of captions.tsv: what is read is in its bounds, and is
 * the same when it is written and read again. */
#include "library/origins.h"
#include "base/mem.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static void check_reading(const char *cell) {
    char reader[BQB_READER_SIZE];
    const char *text;
    bqb_err err = {0};
    if (bqb_reading_parse(reader, &text, cell, &err)) {
        if (!err.msg[0]) abort();
    } else if (!*reader || strlen(reader) + strlen(text) > strlen(cell)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = bqb_strndup((const char *)data, size), *end = text ? strchr(text, '\n') : NULL;
    bqb_annotation a = {{"猫", "开心", "大笑", "卡通", "哈哈"}};
    bqb_annotated said = {.field = {NULL}};
    bqb_buf cell = {.max = 1000};
    bqb_who w, again;
    bqb_err err = {0};
    if (!text) return 0;
    if (end) *end = 0;
    if (bqb_origins_parse(&w, text, &a, &err) && !err.msg[0]) abort();
    for (int f = 0; f < BQB_FIELDS; f++) {
        if (w.origin[f] < BQB_EDITED || w.origin[f] >= BQB_ORIGINS || !(w.score[f] >= 0 && w.score[f] <= 1)) abort();
        said.field[f] = bqb_strdup(a.field[f]);
        said.origin[f] = w.origin[f];
        said.score[f] = w.score[f];
    }
    if (bqb_buf_puts(&cell, "", NULL) || bqb_origins_print(&cell, &said, NULL) || bqb_origins_parse(&again, cell.data, &a, NULL)) abort();
    for (int f = 0; f < BQB_FIELDS; f++) {
        double d = again.score[f] - w.score[f];
        if (again.origin[f] != w.origin[f] || d > 1e-4 || d < -1e-4) abort();
    }
    if (end) check_reading(end + 1);
    bqb_annotated_free(&said);
    bqb_buf_free(&cell);
    free(text);
    return 0;
}
