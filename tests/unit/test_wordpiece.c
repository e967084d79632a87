#include "text/wordpiece.h"

#include "base/fs.h"
#include "base/mem.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *vocab_file(const char *text, size_t n) {
    static char path[512];
    snprintf(path, sizeof path, "%s/vocab.txt", test_tmp_dir());
    CHECK(bqb_file_write(path, text, n, NULL) == BQB_OK);
    return path;
}

static bqb_wordpiece *open_text(const char *text) {
    bqb_err err = {0};
    bqb_wordpiece *wp;
    CHECK_OK(bqb_wordpiece_open(&wp, vocab_file(text, strlen(text)), &err), err);
    return wp;
}

/* The tokens of n bytes between [CLS] and [SEP], joined by spaces. */
static const char *tokens_n(const bqb_wordpiece *wp, const char *text, size_t n_bytes) {
    static char out[8192];
    int32_t ids[512];
    size_t n = bqb_wordpiece_encode(wp, ids, 512, text, n_bytes), len = 0;
    out[0] = 0;
    for (size_t i = 1; i + 1 < n; i++) {
        const char *token = bqb_wordpiece_token(wp, (size_t)ids[i]);
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", i > 1 ? " " : "", token);
    }
    CHECK_STR(bqb_wordpiece_token(wp, (size_t)ids[0]), "[CLS]");
    CHECK_STR(bqb_wordpiece_token(wp, (size_t)ids[n - 1]), "[SEP]");
    return out;
}

static const char *tokens(const bqb_wordpiece *wp, const char *text) {
    return tokens_n(wp, text, strlen(text));
}

#define SPECIAL "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"

TEST(wordpiece_greedy_longest_match) {
    bqb_wordpiece *wp =
        open_text(SPECIAL "un\nunwant\n##want\n##wanted\n##ed\n##aff\n##able\na\n##b\n##ba\n表\n情\n");
    if (!wp) return;
    CHECK_STR(tokens(wp, "unwanted"), "unwant ##ed");
    CHECK_STR(tokens(wp, "unaffable"), "un ##aff ##able");
    CHECK_STR(tokens(wp, "UNAFFABLE unaffablez"), "un ##aff ##able [UNK]");
    CHECK_STR(tokens(wp, "abbab"), "a ##b ##ba ##b");
    CHECK_STR(tokens(wp, "表情包"), "表 情 [UNK]");
    CHECK_STR(tokens(wp, "表un情"), "表 un 情");
    CHECK_STR(tokens(wp, ""), "");
    CHECK_STR(tokens(wp, " \t\r\n\xe3\x80\x80"), "");
    CHECK_STR(tokens(wp, "[CLS]"), "[UNK] [UNK] [UNK]");
    CHECK_STR(tokens(wp, "##want"), "[UNK] [UNK] [UNK]"); /* a piece is no word of the text */
    CHECK(bqb_wordpiece_size(wp) == 16 && bqb_wordpiece_token(wp, 16) == NULL && bqb_wordpiece_pad(wp) == 0);
    bqb_wordpiece_close(wp);
}

/* Every letter and mark is a token here, so that the splitting can be seen. */
static bqb_wordpiece *open_letters(void) {
    bqb_buf b = {.max = 1 << 20};
    static const char *const more[] = {"é",  "i",  "σ", "ς",  "ω",  "ß",  "ꭰ", "中", "豈", "𠀀",
                                       "，", "。", "“", "ᄒ", "ᅡ", "ᆫ", "€",   "①",  "😀",  "µ"};
    bqb_buf_puts(&b, SPECIAL, NULL);
    for (int c = 33; c < 127; c++) bqb_buf_printf(&b, NULL, "%c\n##%c\n", c, c);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        bqb_buf_printf(&b, NULL, "%s\n##%s\n", more[i], more[i]);
    bqb_wordpiece *wp = open_text(b.data);
    bqb_buf_free(&b);
    return wp;
}

TEST(wordpiece_basic_splitting) {
    bqb_wordpiece *wp = open_letters();
    if (!wp) return;
    CHECK_STR(tokens(wp, "A-b_c"), "a - b _ c");
    CHECK_STR(tokens(wp, "$^`|~+<="), "$ ^ ` | ~ + < =");
    CHECK_STR(tokens(wp, "é e\xcc\x81 É"), "e e e"); /* accents go, composed or not */
    CHECK_STR(tokens(wp, "\xcc\x81"), "");
    CHECK_STR(tokens(wp, "中\xcc\x81"), "中");
    CHECK_STR(tokens(wp, "“x”"), "\" x \"");
    CHECK_STR(tokens(wp, "x，。"), "x ， 。");
    CHECK_STR(tokens(wp, "a\xe2\x80\x8b"
                         "b\x01"
                         "c\x7f"
                         "d\xef\xbf\xbd"
                         "e"),
              "a ##b ##c ##d ##e"); /* Cf, Cc, U+FFFD */
    CHECK_STR(tokens_n(wp, "a\0b", 3), "a ##b");
    CHECK_STR(tokens(wp, "a\xff\xfe"
                         "b\xe4\xb8"),
              "a ##b"); /* invalid UTF-8 counts as U+FFFD */
    CHECK_STR(tokens(wp, "a\xe2\x80\xa8"
                         "b\xe2\x80\xa9"
                         "c"),
              "a b c"); /* line and paragraph separator */
    CHECK_STR(tokens(wp, "a\xc2\xa0"
                         "b"),
              "a b");
    CHECK_STR(tokens(wp, "\xef\xa4\x80"), "豈"); /* U+F900 is decomposed */
    CHECK_STR(tokens(wp, "a𠀀b"), "a 𠀀 b");
    CHECK_STR(tokens(wp, "한"), "ᄒ ##ᅡ ##ᆫ"); /* Hangul falls apart into jamo */
    CHECK_STR(tokens(wp, "€x①"), "€ ##x ##①");   /* symbols outside ASCII do not split */
    CHECK_STR(tokens(wp, "😀a"), "😀 ##a");
    CHECK_STR(tokens(wp, "\xe2\x84\xa6"), "ω"); /* Ohm sign */
    CHECK_STR(tokens(wp, "\xcd\xbe"), ";");     /* Greek question mark becomes punctuation */
    bqb_wordpiece_close(wp);
}

TEST(wordpiece_lower_case) {
    bqb_wordpiece *wp = open_letters();
    if (!wp) return;
    CHECK_STR(tokens(wp, "AbZ"), "a ##b ##z");
    CHECK_STR(tokens(wp, "İ"), "i");
    CHECK_STR(tokens(wp, "ẞ"), "ß");
    CHECK_STR(tokens(wp, "Ꭰ"), "ꭰ");
    /* Σ at the end of a word is ς: not at the start, not alone, not before a letter. */
    CHECK_STR(tokens(wp, "Σ"), "σ");
    CHECK_STR(tokens(wp, "aΣ"), "a ##ς");
    CHECK_STR(tokens(wp, "aΣ b"), "a ##ς b");
    CHECK_STR(tokens(wp, "aΣb"), "a ##σ ##b");
    CHECK_STR(tokens(wp, "ΣΣ ΣΣΣ"), "σ ##ς σ ##σ ##ς");
    CHECK_STR(tokens(wp, "a.Σ"), "a . ς"); /* full stops and accents are looked through */
    CHECK_STR(tokens(wp, "a\xcc\x81Σ"), "a ##ς");
    CHECK_STR(tokens(wp, "aΣ'b"), "a ##σ ' b");
    CHECK_STR(tokens(wp, "aΣ'"), "a ##ς '");
    CHECK_STR(tokens(wp, "a,Σ"), "a , σ");
    CHECK_STR(tokens(wp, "1Σ"), "1 ##σ");
    bqb_wordpiece_close(wp);
}

TEST(wordpiece_long_words) {
    bqb_wordpiece *wp = open_letters();
    if (!wp) return;
    char word[203];
    memset(word, 'x', 202);
    word[200] = 0;
    int32_t ids[512];
    CHECK(bqb_wordpiece_encode(wp, ids, 512, word, 200) == 202); /* the longest that is looked at */
    word[200] = 'x';
    CHECK_STR(tokens_n(wp, word, 201), "[UNK]");
    word[200] = '!';
    CHECK(bqb_wordpiece_encode(wp, ids, 512, word, 202) == 204);
    bqb_wordpiece_close(wp);
}

TEST(wordpiece_cut_and_padded) {
    bqb_wordpiece *wp = open_text("a\n[SEP]\n[CLS]\n[UNK]\n[PAD]\n##a\n");
    if (!wp) return;
    int32_t ids[8];
    for (size_t max = 2; max <= 8; max++) {
        memset(ids, 0x55, sizeof ids);
        size_t n = bqb_wordpiece_encode(wp, ids, max, "aa b a", 6), want = max < 6 ? max : 6;
        static const int32_t all[] = {2, 0, 5, 3, 0};
        CHECK_MSG(n == want, "%zu of at most %zu", n, max);
        for (size_t i = 0; i + 1 < n; i++) CHECK(ids[i] == all[i]);
        CHECK(ids[n - 1] == 1);
        for (size_t i = n; i < max; i++) CHECK(ids[i] == 4);
        for (size_t i = max; i < 8; i++) CHECK(ids[i] == 0x55555555);
    }
    bqb_wordpiece_close(wp);
}

TEST(wordpiece_vocabulary_file) {
    /* A byte order mark, CRLF, blanks, no last newline; an empty line is a token with no text; the later of
     * two counts. */
    bqb_wordpiece *wp = open_text("\xef\xbb\xbf[PAD]\r\n[UNK]\r\n\r\n[CLS]\n [SEP]\t\nx\ny\nx");
    if (!wp) return;
    CHECK(bqb_wordpiece_size(wp) == 8);
    CHECK_STR(bqb_wordpiece_token(wp, 0), "[PAD]");
    CHECK_STR(bqb_wordpiece_token(wp, 2), "");
    int32_t ids[4];
    bqb_wordpiece_encode(wp, ids, 4, "x", 1);
    CHECK(ids[0] == 3 && ids[1] == 7 && ids[2] == 4 && ids[3] == 0);
    bqb_wordpiece_close(wp);
}

static void refuse(const char *text, size_t n, bqb_status code, const char *words, int64_t pos) {
    bqb_err err = {0};
    bqb_wordpiece *wp = (bqb_wordpiece *)&err;
    CHECK_MSG(bqb_wordpiece_open(&wp, vocab_file(text, n), &err) == code, "%.40s: %s", text, err.msg);
    CHECK_MSG(strstr(err.msg, words) && strstr(err.msg, "vocab.txt") && err.pos == pos, "%s (%lld)", err.msg,
              (long long)err.pos);
    CHECK(wp == NULL);
}

TEST(wordpiece_bad_vocabularies) {
    refuse("", 0, BQB_EFORMAT, "no [UNK]", -1);
    refuse("[PAD]\n[CLS]\n[SEP]\na\n", 20, BQB_EFORMAT, "no [UNK]", -1);
    refuse("[PAD]\n[UNK]\n[SEP]\na\n", 20, BQB_EFORMAT, "no [CLS]", -1);
    refuse("[PAD]\n[UNK]\n[CLS]\na\n", 20, BQB_EFORMAT, "no [SEP]", -1);
    refuse("[CLS]\n[UNK]\n[SEP]\na\n", 20, BQB_EFORMAT, "no [PAD]", -1);
    refuse(SPECIAL "a\n\xff\n", strlen(SPECIAL) + 4, BQB_EFORMAT, "line 6", 6);
    refuse(SPECIAL "a\0b\n", strlen(SPECIAL) + 4, BQB_EFORMAT, "line 5", 5);
    bqb_err err = {0};
    bqb_wordpiece *wp;
    CHECK(bqb_wordpiece_open(&wp, "/nonexistent/vocab.txt", &err) == BQB_EIO && wp == NULL);
    CHECK(bqb_wordpiece_open(&wp, test_tmp_dir(), &err) == BQB_EFORMAT && wp == NULL);
    bqb_wordpiece_close(NULL);
}

/* More lines than a vocabulary can have. */
TEST(wordpiece_too_many_lines) {
    size_t n = ((size_t)1 << 22) + 1;
    char *text = malloc(n);
    if (!CHECK(text != NULL)) return;
    memset(text, '\n', n);
    refuse(text, n, BQB_ELIMIT, "lines", -1);
    free(text);
}

/* The bundled vocabulary: its first tokens are where the model has them, no
 * token is there twice, and everyday chat has no [UNK]. */
TEST(wordpiece_mini_vocabulary) {
    bqb_err err = {0};
    bqb_wordpiece *wp;
    if (!CHECK_OK(bqb_wordpiece_open(&wp, test_path("../models/mini/vocab.txt"), &err), err)) return;
    static const char *const first[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (size_t i = 0; i < 5; i++) CHECK_STR(bqb_wordpiece_token(wp, i), first[i]);
    for (size_t i = 0; i < bqb_wordpiece_size(wp); i++) {
        int32_t ids[64];
        const char *token = bqb_wordpiece_token(wp, i);
        if (*token == '[' || *token == '#') continue;
        size_t n = bqb_wordpiece_encode(wp, ids, 64, token, strlen(token));
        CHECK_MSG(n == 3 && (size_t)ids[1] == i, "token %zu, %s, cannot be reached", i, token);
    }
    static const char text[] =
        "笑死我了家人们😂😂……熊猫头；无奈；嘲讽；真人；“OK”～謝謝 hello yyds 2333 がんばって！";
    CHECK_MSG(!strstr(tokens(wp, text), "[UNK]"), "%s", tokens(wp, text));
    CHECK(strstr(tokens(wp, "ก"), "[UNK]") != NULL);
    bqb_wordpiece_close(wp);
}
