/* The corpus of the bundled language model: always the same, and nothing in it that is tested with. */
#include "chat/corpus.h"
#include "chat/phrasing.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENTS = 4000 };

/* Wordings of the test side, cut where something else is put in; short ones say nothing. */
static size_t found_in(const char *text, const char *const *part, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (strstr(text, part[i])) {
            found++;
            CHECK_MSG(false, "\"%s\" is of the test side", part[i]);
        }
    return found;
}

static size_t collect(char **part, size_t room, const char *file, const char *const *columns, size_t n_columns, size_t side, size_t text, bool whole) {
    bqb_table *t = NULL;
    bqb_err err = {0};
    size_t n = 0;
    char dir[512];
    snprintf(dir, sizeof dir, "%s", test_path("../data/chat"));
    if (!CHECK_OK(bqb_phrasing_table(&t, dir, file, columns, n_columns, &err), err)) return 0;
    for (size_t i = 0; i < bqb_table_rows(t); i++) {
        if (strcmp(bqb_table_cell(t, i, side), "test")) continue;
        char line[1024];
        if (whole) { /* as a message of its own */
            snprintf(line, sizeof line, "<|im_start|>user\n%s<|im_end|>", bqb_table_cell(t, i, text));
            if (n < room) part[n++] = strdup(line);
            continue;
        }
        snprintf(line, sizeof line, "%s", bqb_table_cell(t, i, text));
        for (char *at = line; *at;) {
            size_t len = strcspn(at, "{}");
            bool inside = at > line && at[-1] == '{';
            char end = at[len];
            at[len] = 0;
            if (!inside && len > 18 && n < room) part[n++] = strdup(at);
            at += len + (end != 0);
        }
    }
    bqb_table_close(t);
    return n;
}

TEST(corpus_holds_nothing_of_the_test_side) {
    static const char *const ask[] = {"task", "side", "wording"}, *const talk[] = {"side", "user", "assistant"};
    char *part[200], dir[512];
    size_t n = collect(part, 200, "requests.tsv", ask, 3, 1, 2, false);
    n += collect(part + n, 200 - n, "talk.tsv", talk, 3, 0, 1, true);
    CHECK_MSG(n > 20, "%zu parts of wordings", n);
    snprintf(dir, sizeof dir, "%s", test_path("../data"));
    bqb_corpus *c = NULL, *again = NULL;
    bqb_err err = {0};
    bqb_status s = bqb_corpus_open(&c, dir, 1, &err);
    if (s == BQB_ENOTFOUND) test_skip(err.msg);
    else CHECK_OK(s, err);
    if (!s) CHECK_OK(bqb_corpus_open(&again, dir, 1, &err), err);
    size_t asked = 0, bad = 0;
    for (uint64_t i = 0; i < DOCUMENTS && c && again && !bad; i++) {
        bqb_buf text = {.max = 1 << 16}, same = {.max = 1 << 16};
        if (!CHECK_OK(bqb_corpus_document(c, &text, i, &err), err)) break;
        bad = found_in(text.data, (const char *const *)part, n);
        asked += strstr(text.data, "表情") != NULL;
        if (i % 97 == 0) { /* whatever was made before it */
            CHECK_OK(bqb_corpus_document(again, &same, i, &err), err);
            CHECK(same.len == text.len && !memcmp(same.data, text.data, text.len));
        }
        CHECK(!strstr(text.data, "{want}") && !strstr(text.data, "{sticker}"));
        bqb_buf_free(&text);
        bqb_buf_free(&same);
    }
    CHECK(!c || asked > DOCUMENTS / 5);
    /* Planted: such a wording is noticed. */
    CHECK(n > 1 && strstr("我要去，我词穷了，替我用图回一下", "我词穷了"));
    for (size_t i = 0; i < n; i++) free(part[i]);
    bqb_corpus_close(c);
    bqb_corpus_close(again);
}
