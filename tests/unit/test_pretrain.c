/* The documents of text files, and what a training keeps; the training itself: tests/e2e/pretrain.sh. */
#include "base/fs.h"
#include "test.h"
#include "train/out_folder.h"
#include "train/pretrain.h"
#include "train/pretrain_keep.h"
#include "train/pretrain_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file(char path[512], const char *name, const char *text) {
    bqb_err err = {0};
    snprintf(path, 512, "%s/%s", test_tmp_dir(), name);
    CHECK_OK(bqb_file_write(path, text, strlen(text), &err), err);
    return path;
}

static char *document(bqb_text_documents *d, bool held_out, uint64_t i) {
    bqb_buf b = {.max = 1 << 16};
    bqb_err err = {0};
    CHECK_OK(bqb_text_document(d, held_out, i, &b, &err), err);
    return b.data;
}

TEST(pretrain_text_documents) {
    char text[8192] = "", path[2][512];
    for (int i = 0; i < 100; i++) sprintf(text + strlen(text), "line %d\nmore%s", i, i % 2 ? "\n\n" : "\r\n\n\n\n");
    const char *paths[2] = {file(path[0], "a", text), file(path[1], "b", "one\n\nstill one<|endoftext|>\n\ntwo<|endoftext|>")};
    bqb_text_documents *d = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_text_documents_open(&d, paths, 2, &err), err)) return;
    CHECK(bqb_text_documents_count(d, false) == 100 && bqb_text_documents_count(d, true) == 2);
    const struct {
        bool held_out;
        uint64_t i;
        const char *want;
    } rows[] = {{false, 0, "line 0\nmore"}, {false, 48, "line 48\nmore"}, {true, 0, "line 49\nmore"}, {false, 49, "line 50\nmore"}, {true, 1, "line 99\nmore"},
                {false, 98, "one\n\nstill one"}, {false, 99, "two"}, {false, 100, "line 0\nmore"}, {true, 3, "line 99\nmore"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *s = document(d, rows[i].held_out, rows[i].i);
        CHECK_STR(s, rows[i].want);
        free(s);
    }
    bqb_text_documents_close(d);
    CHECK(bqb_text_documents_open(&d, paths + 1, 1, &err) == BQB_EINVAL && !d);
}

TEST(pretrain_table_forgets_what_came_after_the_checkpoint) {
    bqb_pretrain_options o = {.out = test_tmp_dir()};
    bqb_err err = {0};
    char path[512], *text = NULL;
    size_t n;
    file(path, "log.csv", "step,loss\n1,a\n2,b\n10,c\n3,cut");
    CHECK_OK(bqb_out_log(o.out, "log.csv", "step,loss", true, 2, bqb_csv_step, &err), err);
    CHECK_OK(bqb_pretrain_line(&o, "log.csv", &err, "%d,%s\n", 3, "d"), err);
    CHECK_OK(bqb_file_read(&text, &n, path, 4096, &err), err);
    CHECK_STR(text, "step,loss\n1,a\n2,b\n3,d\n");
    free(text);
    CHECK_OK(bqb_out_log(o.out, "log.csv", "step,loss", true, 0, bqb_csv_step, &err), err);
    CHECK_OK(bqb_file_read(&text, &n, path, 4096, &err), err);
    CHECK_STR(text, "step,loss\n");
    free(text);
    CHECK(!bqb_pretrain_begun(&o));
}
