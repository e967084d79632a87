#include "test.h"

#include "text/emoji.h"

#include <string.h>

static bqb_err err;

static const char *words(const char *text, size_t which) {
    static bqb_buf b;
    bqb_buf_free(&b);
    b = (bqb_buf){.max = 1 << 16};
    CHECK_OK(bqb_emoji_words(&b, text, which, NULL, &err), err);
    return b.data ? b.data : "";
}

static void same(const char *text, size_t which, const char *want) {
    const char *got = words(text, which);
    CHECK_MSG(!strcmp(got, want), "%s: \"%s\", expected \"%s\"", text, got, want);
}

TEST(emoji_have_names) {
    size_t length;
    CHECK(bqb_emoji_at("😭", 4, &length) >= 3 && length == 4);
    CHECK(bqb_emoji_at("哭😭", 7, &length) == 0 && length == 0);
    CHECK(bqb_emoji_at("", 0, &length) == 0);
    CHECK(bqb_emoji_at("a", 1, &length) == 0);
    CHECK(bqb_emoji_at("\xf0\x9f\x98", 3, &length) == 0); /* cut */
    same("😭", 0, "大哭");
    same("😭", 1, "哭");
    same("😂", 999, "笑哭了"); /* the last: Unicode's own */
    same("加班😭啊", 0, "加班 大哭 啊");
    same("没有", 3, "没有");
    same("", 0, "");
    same("😭😂", 0, "大哭 破涕为笑");
    same("OK 3", 0, "OK 3"); /* digits are no emoji, though Unicode has keycaps of them */
}

TEST(emoji_with_what_belongs_to_them) {
    same("❤️", 0, "爱心");
    same("❤", 0, "爱心");
    same("👍🏽", 0, "强"); /* a skin tone is no word */
    same("👍🏽好", 0, "强 好");
    same("❤️‍🔥", 0, "热恋"); /* joined ones have names of their own */
    same("👩‍x", 0, "女人 \u200dx"); /* a joiner to nothing: what follows stays */
    size_t most = 9, length;
    CHECK(bqb_emoji_at("\ufe0f😭", 7, &length) == 0 && length == 0);
    bqb_buf b = {.max = 100};
    CHECK_OK(bqb_emoji_words(&b, "没有", 0, &most, &err), err);
    CHECK(most == 0);
    CHECK_OK(bqb_emoji_words(&b, "😭❤️", 0, &most, &err), err);
    CHECK(most >= 4);
    bqb_buf_free(&b);
    b = (bqb_buf){.max = 8};
    CHECK(bqb_emoji_words(&b, "😭😭😭", 0, NULL, &err) != BQB_OK);
    bqb_buf_free(&b);
}
