#include "test.h"

#include "text/grams.h"
#include "text/variants.h"

#include <stdio.h>
#include <string.h>

static int join(void *ctx, const char *token, size_t n) {
    bqb_buf *b = ctx;
    return (b->len && bqb_buf_append(b, "|", 1, NULL)) || bqb_buf_append(b, token, n, NULL);
}

static void check(const char *text, size_t n, const char *want) {
    bqb_buf b = {.max = 1 << 16};
    bqb_err err = {0};
    CHECK_OK(bqb_grams(text, n, join, &b, &err), err);
    CHECK_MSG(!strcmp(b.data ? b.data : "", want), "\"%s\" gives \"%s\", expected \"%s\"", text,
              b.data ? b.data : "", want);
    bqb_buf_free(&b);
}
#define GRAMS(text, want) check(text, strlen(text), want)

TEST(grams_of_scripts) {
    GRAMS("", "");
    GRAMS("累", "累");
    GRAMS("加班好", "加|班|加班|好|班好");
    GRAMS("OK的", "ok|的");
    GRAMS("Hello World 666", "hello|world|666");
    GRAMS("我a你", "我|a|你"); /* a letter between them: no pair */
    GRAMS("好，累", "好|累");   /* neither across punctuation */
    GRAMS("好　 累", "好|累|好累"); /* spaces are nothing: readings are full of them */
    GRAMS("哈哈哈", "哈|哈|哈哈|哈|哈哈");
    GRAMS("😀😀好", "😀|😀|好");
    GRAMS("❤️", "❤");
}

TEST(grams_fold_width_case_and_bad_bytes) {
    GRAMS("ＯＫ　６６６！", "ok|666");
    GRAMS("ÀB", "àb");
    GRAMS("a\xff" "b", "a|b");
    GRAMS("\xe5\x8a", ""); /* half a character */
    check("好\0累", 7, "好|累|好累"); /* as across a space */
}

TEST(grams_fold_traditional_characters) {
    GRAMS("萬歲", "万|岁|万岁");
    GRAMS("万岁", "万|岁|万岁");
    GRAMS("頭髮發財，妳懂麼", "头|发|头发|发|发发|财|发财|你|懂|你懂|么|懂么");
    GRAMS("加班好累 OK", "加|班|加班|好|班好|累|好累|ok");
}

/* The table is searched by halves: one row out of order would hide others. */
TEST(variants_table) {
    size_t changed = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        uint32_t simple = bqb_simplified(cp);
        if (simple == cp) continue;
        changed++;
        CHECK_MSG(bqb_simplified(simple) == simple, "U+%04X twice", cp);
        CHECK_MSG(simple >= 0x3400 && simple <= 0x9FFF && cp >= 0x3400 && cp <= 0x9FFF, "U+%04X gives U+%04X", cp, simple);
    }
    CHECK_MSG(changed == bqb_variants_count() && changed > 2500, "%zu of %zu are found", changed, bqb_variants_count());
    CHECK(bqb_simplified(0x842C) == 0x4E07 && bqb_simplified(0x9F9C) == 0x9F9F && bqb_simplified('a') == 'a');
}

/* Plain texts take a shorter way through folding: with a character from elsewhere beside them the result is the same. */
TEST(fold_plain_is_fold) {
    const char *text[] = {"ABZ az09!~", "万歲妳好，。ＯＫ！～（）", " a \t b  ", "《》「」【】、。", "", " ", "a\001b"};
    bqb_err err = {0};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        bqb_buf plain = {.max = 1 << 10}, other = {.max = 1 << 10};
        char longer[100];
        snprintf(longer, sizeof longer, "é%s", text[i]);
        CHECK_OK(bqb_text_fold(&plain, text[i], strlen(text[i]), &err), err);
        CHECK_OK(bqb_text_fold(&other, longer, strlen(longer), &err), err);
        const char *rest = other.data + 2; /* é */
        if (*rest == ' ') rest++;
        CHECK_MSG(!strcmp(plain.data, rest), "\"%s\" and \"%s\"", plain.data, rest);
        bqb_buf_free(&plain);
        bqb_buf_free(&other);
    }
}

static int mark(void *ctx, bqb_gram_kind what, size_t at, const char *token, size_t n) {
    bqb_buf *b = ctx;
    return bqb_buf_printf(b, NULL, "%c%zu%.*s ", "upPw"[what], at, (int)n, token) != BQB_OK;
}

TEST(grams_of_an_index) {
    bqb_units u = {0};
    bqb_buf b = {.max = 1 << 10};
    bqb_err err = {0};
    CHECK_OK(bqb_units_read(&u, "好 累, Abcde", strlen("好 累, Abcde"), &err), err);
    CHECK_OK(bqb_units_grams(&u, mark, &b, &err), err);
    CHECK_STR(b.data, "u0好 u1累 p0好累 u2abcde P2\x01" "abc P2\x01" "bcd P2\x01" "cde w0\x02好累abcde ");
    CHECK(u.unit[0].gap == BQB_GAP_BREAK && u.unit[1].gap == BQB_GAP_SPACE && u.unit[2].gap == BQB_GAP_BREAK);
    bqb_units_free(&u);
    bqb_buf_free(&b);
}

static int stop_at_once(void *ctx, const char *token, size_t n) {
    (void)token;
    (void)n;
    return ++*(int *)ctx;
}

TEST(grams_stop_when_asked) {
    int calls = 0;
    bqb_err err;
    CHECK(bqb_grams("加班好累", strlen("加班好累"), stop_at_once, &calls, &err) == BQB_ECANCEL);
    CHECK(calls == 1);
}

TEST(fold_joins_spaces) {
    bqb_buf b = {.max = 1 << 10};
    bqb_err err = {0};
    const char *text = "  好 \t\n　Ａ  ";
    CHECK_OK(bqb_text_fold(&b, text, strlen(text), &err), err);
    CHECK_STR(b.data, "好 a");
    bqb_buf_free(&b);
}
