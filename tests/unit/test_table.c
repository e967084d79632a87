#include "file/table.h"

#include "base/fs.h"
#include "base/mem.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_status open_bytes(bqb_table **t, const char *text, size_t n, bqb_err *err) {
    char path[512];
    snprintf(path, sizeof path, "%s/t.tsv", test_tmp_dir());
    CHECK(bqb_file_write(path, text, n, NULL) == BQB_OK);
    return bqb_table_open(t, path, err);
}

static bqb_table *open_text(const char *text) {
    bqb_err err = {0};
    bqb_table *t;
    CHECK_OK(open_bytes(&t, text, strlen(text), &err), err);
    return t;
}

TEST(table_reads_cells) {
    bqb_table *t = open_text("file\tcaption\tocr\na.png\t一只猫\t哈哈\nb.gif\t\t嗯\nc.jpg\nd.webp\t狗");
    if (!t) return;
    CHECK(bqb_table_rows(t) == 4 && bqb_table_columns(t) == 3 && bqb_table_broken(t) == 0);
    CHECK(bqb_table_find(t, "file") == 0 && bqb_table_find(t, "ocr") == 2);
    CHECK(bqb_table_find(t, "emotion") == SIZE_MAX && bqb_table_find(t, "") == SIZE_MAX);
    CHECK_STR(bqb_table_column(t, 1), "caption");
    CHECK_STR(bqb_table_column(t, 3), "");
    CHECK_STR(bqb_table_cell(t, 0, 1), "一只猫");
    CHECK_STR(bqb_table_cell(t, 0, 2), "哈哈");
    CHECK_STR(bqb_table_cell(t, 1, 1), "");
    CHECK_STR(bqb_table_cell(t, 1, 2), "嗯");
    CHECK_STR(bqb_table_cell(t, 2, 0), "c.jpg");
    CHECK_STR(bqb_table_cell(t, 2, 2), "");
    CHECK_STR(bqb_table_cell(t, 3, 1), "狗");
    CHECK_STR(bqb_table_cell(t, 4, 0), "");
    CHECK_STR(bqb_table_cell(t, 0, SIZE_MAX), "");
    CHECK(bqb_table_line(t, 3) == 5 && bqb_table_line(t, 4) == 0);
    bqb_table_close(t);
}

TEST(table_undoes_windows_and_escapes) {
    bqb_table *t = open_text("\xef\xbb\xbf"
                             "file\tcaption\r\n\r\na\\tb\tx\\ny\\\\n\\q\\\r\n\n\\\\\\t\t\\\n");
    if (!t) return;
    CHECK(bqb_table_rows(t) == 2 && bqb_table_broken(t) == 0);
    CHECK_STR(bqb_table_column(t, 0), "file");
    CHECK_STR(bqb_table_column(t, 1), "caption");
    CHECK_STR(bqb_table_cell(t, 0, 0), "a\tb");
    CHECK_STR(bqb_table_cell(t, 0, 1), "x\ny\\n\\q\\");
    CHECK_STR(bqb_table_cell(t, 1, 0), "\\\t");
    CHECK_STR(bqb_table_cell(t, 1, 1), "\\");
    CHECK(bqb_table_line(t, 0) == 3 && bqb_table_line(t, 1) == 5);
    bqb_table_close(t);
}

TEST(table_counts_broken_lines) {
    static const char text[] = "file\tcaption\na\tb\nc\td\te\n\xff\tx\nf\t\0g\nok\n\t\t\nh\ti\n";
    bqb_err err = {0};
    bqb_table *t;
    if (!CHECK_OK(open_bytes(&t, text, sizeof text - 1, &err), err)) return;
    CHECK(bqb_table_rows(t) == 3 && bqb_table_broken(t) == 4 && bqb_table_broken_line(t) == 3);
    CHECK_STR(bqb_table_cell(t, 1, 0), "ok");
    CHECK_STR(bqb_table_cell(t, 2, 1), "i");
    CHECK(bqb_table_line(t, 2) == 8);
    bqb_table_close(t);
}

static void refuse(const char *text, size_t n, bqb_status code, const char *words) {
    bqb_err err = {0};
    bqb_table *t = (bqb_table *)&err;
    CHECK_MSG(open_bytes(&t, text, n, &err) == code, "%.40s: %s", text, err.msg);
    CHECK_MSG(strstr(err.msg, words) && strstr(err.msg, "t.tsv"), "\"%s\" does not say \"%s\"", err.msg,
              words);
    CHECK(t == NULL);
}

TEST(table_refuses) {
    refuse("", 0, BQB_EFORMAT, "line 1 is empty");
    refuse("\n a\n", 4, BQB_EFORMAT, "line 1 is empty");
    refuse("\xef\xbb\xbf", 3, BQB_EFORMAT, "line 1 is empty");
    refuse("fi\xff\n", 4, BQB_EFORMAT, "not UTF-8");
    refuse("fi\0le\n", 6, BQB_EFORMAT, "not UTF-8");
    refuse("file\tx\tfile\n", 12, BQB_EFORMAT, "\"file\" is there twice");
    char tabs[1500];
    memset(tabs, '\t', sizeof tabs);
    refuse(tabs, sizeof tabs, BQB_ELIMIT, "1501 columns");
    size_t n = ((size_t)16 << 20) + 1;
    char *lines = malloc(n);
    if (!CHECK(lines != NULL)) return;
    memset(lines, '\n', n);
    refuse(lines, n, BQB_ELIMIT, "lines");
    free(lines);
    bqb_err err = {0};
    bqb_table *t;
    CHECK(bqb_table_open(&t, "/nonexistent", &err) == BQB_EIO && t == NULL);
    bqb_table_close(NULL);
}

/* A wide header over many short lines stays small: cells that a line lacks are not stored. */
TEST(table_wide_and_long) {
    bqb_buf b = {.max = 64 << 20};
    for (int i = 0; i < 1000; i++) bqb_buf_printf(&b, NULL, "%sc%d", i ? "\t" : "", i);
    for (int i = 0; i < 100000; i++) bqb_buf_printf(&b, NULL, "\nr%d", i);
    bqb_err err = {0};
    bqb_table *t;
    CHECK_OK(open_bytes(&t, b.data, b.len, &err), err);
    bqb_buf_free(&b);
    if (!t) return;
    CHECK(bqb_table_rows(t) == 100000 && bqb_table_columns(t) == 1000);
    CHECK_STR(bqb_table_cell(t, 99999, 0), "r99999");
    CHECK_STR(bqb_table_cell(t, 99999, 999), "");
    bqb_table_close(t);
}
