#include "test.h"

#include "search/wordfit.h"
#include "text/confusions.h"

#include <stdlib.h>
#include <string.h>

static bqb_err err;

/* The score of one sticker of which these texts are said, "WEIGHT TEXT|WEIGHT TEXT", every unit weighing the same; -WEIGHT: one line of
 * several. */
static double score(const char *query, const char *said) {
    bqb_wordfit *f;
    double unit[BQB_QUERY_UNITS], pair[BQB_QUERY_UNITS];
    if (!CHECK_OK(bqb_wordfit_new(&f, query, &err), err)) return -1;
    for (size_t i = 0; i < BQB_QUERY_UNITS; i++) unit[i] = pair[i] = 1;
    bqb_wordfit_weigh(f, unit, pair);
    bqb_wordfit_begin(f);
    while (*said) {
        char *text;
        double weight = strtod(said, &text);
        size_t n = strcspn(text, "|");
        CHECK_OK(bqb_wordfit_add(f, text, n, weight < 0 ? -weight : weight, weight > 0, &err), err);
        said = text + n + (text[n] == '|');
    }
    double s = bqb_wordfit_score(f);
    CHECK_MSG(s >= 0 && s <= 1 + 1e-12, "\"%s\" scores %g", query, s);
    bqb_wordfit_free(f);
    return s;
}

#define BETTER(query, good, bad)                                                                        \
    do {                                                                                                \
        double g = score(query, good), b = score(query, bad);                                           \
        CHECK_MSG(g > b + 0.01, "\"%s\": \"%s\" scores %.3f, \"%s\" %.3f", query, good, g, bad, b);     \
    } while (0)
#define EQUAL(query, a, b)                                                                              \
    do {                                                                                                \
        double x = score(query, a), y = score(query, b);                                                \
        CHECK_MSG(x > 0 && x - y < 1e-9 && y - x < 1e-9, "\"%s\": \"%s\" scores %.3f, \"%s\" %.3f", query, a, x, b, y); \
    } while (0)

TEST(wordfit_whole_line_is_one) {
    CHECK(score("加班好累", "1 加班好累") > 0.999);
    CHECK(score("好", "1 好") > 0.999 && score("OK", "1 ok") > 0.999 && score("😀", "1 😀") > 0.999);
    CHECK(score("加班好累", "1 下雨") == 0 && score("加班好累", "") == 0 && score("，。", "1 好") == 0);
    EQUAL("加班，好累！", "1 加班 好累", "1 加班好累");
    EQUAL("ＯＫ　萬歲", "1 ok 万岁", "1 OK萬歲");
}

TEST(wordfit_prefers_order_and_nearness) {
    BETTER("加班好累", "1 加班好累呀", "1 累加好班呀");
    BETTER("加班好累", "1 今天加班好累", "1 今天加工一班好苦累");
    BETTER("加班好累", "1 加班好累", "1 加班好累，因为今天的天气很热，而且没有人");
    BETTER("加班好累", "1 加班|1 好累", "1 班加|1 累好"); /* two lines of one sentence */
}

TEST(wordfit_bears_one_character_wrong_or_missing) {
    BETTER("加班好累", "1 加班真累", "1 加工真累");
    BETTER("加班好累", "1 加班累", "1 班累加");
    BETTER("加好累", "1 加班好累", "1 好班加累");
    BETTER("今加班好累", "1 今天加班好累", "1 天加班好累今");
    BETTER("hapy birthday", "1 happy birthday", "1 birthday");
    CHECK(score("2023", "1 2024") == 0); /* digits mean what they say */
}

TEST(wordfit_weighs_texts_by_belief) {
    BETTER("加班好累", "0.9 加班好累", "0.5 加班好累");
    BETTER("加班好累", "1 加班好累|-1 加班好累", "1 加班好累下雨|-1 加班好累"); /* the whole is more than the line */
    BETTER("加班好累", "0.5 加班好累|0.9 加班", "0.5 加班好累"); /* the best of the readings, unit by unit */
    EQUAL("加班好累", "0.9 加班好累|0.3 加班好累", "0.9 加班好累");
    CHECK(score("加班好累", "0 加班好累") == 0);
}

TEST(wordfit_takes_confused_characters_in_part) {
    BETTER("呛到了", "1 呛到了", "1 哈到了");
    BETTER("呛到了", "1 哈到了", "1 森到了"); /* 呛 is read as 哈 more often than not, never as 森 */
}

/* Ordered, every row found; what cannot be looked up would be lost. */
TEST(confusions_table) {
    size_t found = 0;
    bqb_confusion other[64];
    for (uint32_t cp = 0; cp < 0x11000; cp++) {
        size_t n = bqb_confusions(other, 64, cp);
        CHECK_MSG(n < 64, "U+%04X has too many", cp);
        for (size_t i = 0; i < n; i++)
            CHECK_MSG(other[i].cp != cp && other[i].cp >= 0x4E00 && other[i].cp <= 0x9FFF && other[i].share > 0 && other[i].share < 1 &&
                          (!i || other[i].share <= other[i - 1].share),
                      "U+%04X read as U+%04X (%g)", cp, other[i].cp, other[i].share);
        found += n;
    }
    CHECK_MSG(found == bqb_confusions_count() && found > 2000, "%zu of %zu are found", found, bqb_confusions_count());
    CHECK(bqb_confusions(other, 0, 0x5DF2) == 0 && bqb_confusions(other, 64, 'a') == 0);
}

TEST(wordfit_bears_long_texts) {
    static char text[40000];
    for (size_t i = 0; i + 3 < sizeof text; i += 3) memcpy(text + i, i % 2 ? "哈" : "好", 4);
    bqb_wordfit *f;
    double one[BQB_QUERY_UNITS] = {0};
    if (!CHECK_OK(bqb_wordfit_new(&f, text, &err), err)) return;
    CHECK(bqb_wordfit_count(f) == BQB_QUERY_UNITS);
    bqb_wordfit_weigh(f, one, one); /* no weights: no score, no division by zero */
    bqb_wordfit_begin(f);
    CHECK_OK(bqb_wordfit_add(f, text, strlen(text), 1, true, &err), err);
    CHECK(bqb_wordfit_score(f) == 0);
    bqb_wordfit_free(f);
}
