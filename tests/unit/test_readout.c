#include "test.h"

#include "base/utf8.h"
#include "text/readout.h"

#include <string.h>

static bqb_err err;

/* A line of text of one belief, in a row (0 … 9) of the picture. */
static bqb_read_line line(const char *text, double belief, int row, int reader) {
    bqb_read_line l = {.x0 = 0.1f, .x1 = 0.9f, .y0 = (float)row / 10, .y1 = (float)row / 10 + 0.08f, .reader = (uint8_t)reader};
    for (size_t i = 0, n = strlen(text); i < n;) {
        i += bqb_utf8_next(text + i, n - i, &l.c[l.n].cp, NULL);
        l.c[l.n++].belief = (float)belief;
    }
    return l;
}

static const char *text_of(const bqb_read_line *l) {
    static char out[4 * BQB_LINE_MOST + 1];
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += bqb_utf8_put(out + n, l->c[i].cp);
    out[n] = 0;
    return out;
}

static void check_clean(const char *from, double belief, const char *to) {
    bqb_read_line l = line(from, belief, 0, 0);
    bqb_line_clean(&l);
    CHECK_MSG(!strcmp(text_of(&l), to), "\"%s\" became \"%s\", expected \"%s\"", from, text_of(&l), to);
}

TEST(readout_cleans_lines) {
    check_clean("看 的 我 脸 都 红 了", 0.9, "看的我脸都红了");
    check_clean("I am OK", 0.9, "I am OK");
    check_clean("我 觉 得 OK", 0.9, "我觉得OK");
    check_clean("| 早 安 _ ^", 0.9, "早安");
    check_clean("，早安！", 0.9, "早安！");
    check_clean("a 早安 7", 0.5, "早安"); /* strays, doubted */
    check_clean("A股", 0.95, "A股");        /* not doubted */
    check_clean("... — !", 0.9, "");
    check_clean("", 0.9, "");
}

TEST(readout_likeness_counts_what_is_in_common) {
    bqb_read_line a = line("看的我脸都红了", 1, 0, 0), b = line("看的我含都红了", 1, 0, 0), c = line("完全不同", 1, 0, 0);
    double same = bqb_line_likeness(&a, &a), near = bqb_line_likeness(&a, &b), far = bqb_line_likeness(&a, &c);
    CHECK_MSG(same == 1 && near > 0.85 && near < 0.86 && far == 0, "%g %g %g", same, near, far);
    b = line("，。！", 1, 0, 0);
    CHECK(bqb_line_likeness(&a, &b) == 0);
}

static void merged(bqb_merged *m, const bqb_read_line *lines, size_t n) {
    bqb_readout r = {0};
    for (size_t i = 0; i < n; i++) CHECK_OK(bqb_readout_add(&r, &lines[i], &err), err);
    CHECK_OK(bqb_readout_merge(m, &r, &err), err);
    bqb_readout_free(&r);
}

TEST(readout_merge_takes_what_most_agree_on) {
    bqb_merged m;
    /* The surest is alone with its mistake; noise is in a place of its own. */
    bqb_read_line lines[] = {line("看的我含都红了", 0.95, 8, 0), line("看的我脸都红了", 0.9, 8, 1), line("看的我脸都红了", 0.9, 8, 2),
                             line("晚上好", 0.9, 2, 0), line("晚上好", 0.8, 2, 1), line("乙", 0.3, 5, 2)};
    merged(&m, lines, sizeof lines / sizeof *lines);
    CHECK_STR(m.joined.data, "晚上好 看的我脸都红了");
    CHECK_MSG(m.belief > 0.85 && m.belief < 0.95, "%g", m.belief);
    CHECK_MSG(strstr(m.all.data, "\t看的我含都红了\n") && strstr(m.all.data, "\t乙\n"), "%s", m.all.data);
    const char *first = strstr(m.all.data, "\t看的我脸都红了\n");
    CHECK_MSG(first && !strstr(first + 1, "\t看的我脸都红了\n"), "each line once:\n%s", m.all.data);
    bqb_merged_free(&m);
}

TEST(readout_merge_lets_words_run_on) {
    bqb_merged m;
    bqb_read_line lines[] = {line("大佬讲话赶", 0.9, 2, 0), line("大佬讲话赶", 0.9, 2, 1), line("紧做笔记", 0.9, 3, 0), line("紧做笔记", 0.9, 3, 1)};
    merged(&m, lines, sizeof lines / sizeof *lines);
    CHECK_STR(m.joined.data, "大佬讲话赶 紧做笔记");
    CHECK_MSG(strstr(m.all.data, "\t大佬讲话赶紧做笔记\n"), "%s", m.all.data);
    bqb_merged_free(&m);
}

TEST(readout_merge_of_nothing) {
    bqb_merged m;
    merged(&m, NULL, 0);
    CHECK(m.joined.data && !*m.joined.data && m.all.data && !*m.all.data && m.belief == 0);
    bqb_merged_free(&m);
}

TEST(readout_merge_is_bounded) {
    bqb_merged m;
    bqb_readout r = {0};
    for (int i = 0; i < BQB_READOUT_MOST + 100; i++) {
        bqb_read_line l = line("一二三四五六七八九十", 0.5 + 0.0001 * i, i % 10, i % 7);
        l.c[i % 10].cp = 0x4E00u + (uint32_t)i;
        CHECK_OK(bqb_readout_add(&r, &l, &err), err);
    }
    CHECK(r.n == BQB_READOUT_MOST);
    CHECK_OK(bqb_readout_merge(&m, &r, &err), err);
    CHECK_MSG(m.all.len < 200000, "%zu bytes", m.all.len);
    bqb_merged_free(&m);
    bqb_readout_free(&r);
}
