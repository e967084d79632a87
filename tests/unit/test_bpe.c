/* Byte-level BPE, CLIP's tokenizer over it, and the interface over both tokenizers. */
#include "text/bpe.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "test.h"
#include "text/clip_bpe.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *in_tmp(const char *name) {
    static char path[2][512];
    static unsigned turn;
    char *p = path[turn++ % 2];
    snprintf(p, sizeof path[0], "%s/%s", test_tmp_dir(), name);
    return p;
}

static void put(const char *name, const char *text) {
    bqb_err err;
    CHECK_OK(bqb_file_write(in_tmp(name), text, strlen(text), &err), err);
}

/* The character that stands for a byte. */
static uint32_t shown(unsigned byte) {
    static uint32_t table[256];
    for (unsigned b = 0, next = 256; !table[255] && b < 256; b++)
        table[b] = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++;
    return table[byte];
}

/* A vocabulary of all bytes, inside words (0 … 255) and at their end (256 … 511), then
 * what the merges make, in their order, then the two special tokens. */
static void put_vocabulary(const char *const *merges) {
    bqb_err err;
    bqb_buf v = {.max = 1 << 20}, m = {.max = 1 << 20};
    CHECK_OK(bqb_buf_puts(&v, "{", &err), err);
    size_t id = 0;
    for (unsigned last = 0; last < 2; last++)
        for (unsigned b = 0; b < 256; b++) {
            char c[8] = "";
            c[bqb_utf8_put(c, shown(b))] = 0;
            const char *escape = b == '"' || b == '\\' ? "\\" : "";
            CHECK_OK(bqb_buf_printf(&v, &err, "\"%s%s%s\": %zu, ", escape, c, last ? "</w>" : "", id++), err);
        }
    CHECK_OK(bqb_buf_puts(&m, "#version: 0.2\n", &err), err);
    for (; *merges; merges++) {
        const char *space = strchr(*merges, ' ');
        CHECK_OK(bqb_buf_printf(&v, &err, "\"%.*s%s\": %zu, ", (int)(space - *merges), *merges, space + 1, id++), err);
        CHECK_OK(bqb_buf_printf(&m, &err, "%s\n", *merges), err);
    }
    CHECK_OK(bqb_buf_printf(&v, &err, "\"<|startoftext|>\": %zu, \"<|endoftext|>\": %zu}", id, id + 1), err);
    put("vocab.json", v.data);
    put("merges.txt", m.data);
    bqb_buf_free(&v);
    bqb_buf_free(&m);
}

static bqb_clip_bpe *open_clip(const char *const *merges) {
    bqb_err err;
    bqb_clip_bpe *t = NULL;
    put_vocabulary(merges);
    CHECK_OK(bqb_clip_bpe_open(&t, in_tmp("vocab.json"), in_tmp("merges.txt"), &err), err);
    return t;
}

/* The tokens between start and end, written as in the vocabulary, with a bar after each. */
static const char *tokens_n(const bqb_clip_bpe *t, const char *text, size_t n_bytes) {
    static char out[4096];
    int32_t ids[512];
    size_t n = bqb_clip_bpe_encode(t, ids, 512, text, n_bytes), len = 0;
    out[0] = 0;
    for (size_t i = 1; i + 1 < n; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s|", bqb_clip_bpe_token(t, (size_t)ids[i]));
    CHECK_STR(bqb_clip_bpe_token(t, (size_t)ids[0]), "<|startoftext|>");
    for (size_t i = n - 1; i < 512; i++) CHECK(ids[i] == bqb_clip_bpe_end(t));
    return out;
}

static const char *tokens(const bqb_clip_bpe *t, const char *text) { return tokens_n(t, text, strlen(text)); }

TEST(bpe_merges_by_rank) {
    static const char *const merges[] = {"a b", "b c", "ab c</w>", "c d", "ab ab", "a a", "aa aa", NULL};
    bqb_clip_bpe *t = open_clip(merges);
    if (!t) return;
    CHECK(bqb_clip_bpe_size(t) == 512 + 7 + 2);
    CHECK_STR(tokens(t, "abc"), "abc</w>|");
    CHECK_STR(tokens(t, "abcd"), "ab|c|d</w>|"); /* the end of a word is another token */
    CHECK_STR(tokens(t, "bcda"), "bc|d|a</w>|"); /* b c before c d */
    CHECK_STR(tokens(t, "cdx"), "cd|x</w>|");
    CHECK_STR(tokens(t, "ababx"), "abab|x</w>|");
    CHECK_STR(tokens(t, "aaax"), "aa|a|x</w>|"); /* the leftmost first */
    CHECK_STR(tokens(t, "aaaaaaax"), "aaaa|aa|a|x</w>|");
    CHECK_STR(tokens(t, "ab"), "a|b</w>|");
    CHECK_STR(tokens(t, "a"), "a</w>|");
    CHECK_STR(tokens(t, ""), "");
    CHECK(bqb_clip_bpe_token(t, bqb_clip_bpe_size(t)) == NULL);
    bqb_clip_bpe_close(t);
    bqb_clip_bpe_close(NULL);
}

/* The tree against the plain way: merge the leftmost pair of the lowest rank until none is left. */
static size_t merge_plainly(const bqb_bpe *b, const char *const *merges, int32_t *ids, const char *word, size_t n) {
    char part[70][64];
    for (size_t i = 0; i < n; i++) snprintf(part[i], sizeof part[i], "%c%s", word[i], i + 1 == n ? "</w>" : "");
    for (const char *const *m = merges; *m;) {
        const char *space = strchr(*m, ' ');
        size_t first = (size_t)(space - *m), at = 0;
        while (at + 1 < n && (strncmp(part[at], *m, first) || part[at][first] || strcmp(part[at + 1], space + 1))) at++;
        if (at + 1 >= n) {
            m++;
            continue;
        }
        size_t second = strlen(space + 1);
        memcpy(part[at] + first, space + 1, second + 1);
        memmove(part + at + 1, part + at + 2, (n - at - 2) * sizeof part[0]);
        n--;
        m = merges;
    }
    for (size_t i = 0; i < n; i++) ids[i] = bqb_bpe_find(b, part[i], strlen(part[i]));
    return n;
}

TEST(bpe_tree_merges_as_the_plain_way) {
    static const char *const merges[] = {"b a", "a b", "ab a", "a a</w>", "c ab", "aba b", "a a", "aa ba", "ba ba",
                                         "b b", "bb bb", "ba a</w>", "c c</w>", "cab c", "b c", "abab aba", NULL};
    bqb_err err;
    bqb_bpe *b;
    put_vocabulary(merges);
    if (!CHECK_OK(bqb_bpe_open(&b, in_tmp("vocab.json"), in_tmp("merges.txt"), "</w>", &err), err)) return;
    bqb_rand r = bqb_rand_seed(5, 0);
    size_t merged = 0;
    for (size_t round = 0; round < 600; round++) {
        char word[70];
        size_t n = 1 + bqb_rand_below(&r, round % 3 ? 9 : sizeof word);
        for (size_t i = 0; i < n; i++) word[i] = "aaabbbc"[bqb_rand_below(&r, 7)];
        int32_t got[70], want[70];
        uint32_t work[BQB_BPE_WORK(70)];
        size_t n_got = bqb_bpe_word(b, got, word, n, work), n_want = merge_plainly(b, merges, want, word, n);
        CHECK_MSG(n_got == n_want && !memcmp(got, want, n_got * sizeof *got), "%.*s", (int)n, word);
        merged += n - n_got;
    }
    CHECK(merged > 1000);
    CHECK(bqb_bpe_word(b, NULL, "", 0, NULL) == 0);
    bqb_bpe_close(b);
}

/* Words that are not marked at their end, as GPT-2's. */
TEST(bpe_without_an_end_mark) {
    put("v.json", "{\"a\": 0, \"b\": 1, \"\xc4\xa0\": 7, \"ab\": 2, \"\xc4\xa0""ab\": 9}");
    put("m.txt", "a b\n\xc4\xa0 ab");
    bqb_err err;
    bqb_bpe *b;
    if (!CHECK_OK(bqb_bpe_open(&b, in_tmp("v.json"), in_tmp("m.txt"), "", &err), err)) return;
    int32_t ids[8];
    uint32_t work[BQB_BPE_WORK(8)];
    CHECK(bqb_bpe_size(b) == 10 && bqb_bpe_token(b, 3) == NULL && bqb_bpe_token(b, 10) == NULL);
    CHECK_STR(bqb_bpe_token(b, 2), "ab");
    CHECK(bqb_bpe_word(b, ids, " abab", 5, work) == 2 && ids[0] == 9 && ids[1] == 2);
    CHECK(bqb_bpe_word(b, ids, "a\nb", 3, work) == 3 && ids[0] == 0 && ids[1] == BQB_BPE_NONE && ids[2] == 1);
    CHECK(bqb_bpe_find(b, "abx", 2) == 2 && bqb_bpe_find(b, "abx", 3) == BQB_BPE_NONE);
    bqb_bpe_close(b);
}

TEST(clip_bpe_words) {
    static const char *const merges[] = {"a b</w>", "' s</w>", "l l</w>", "' ll</w>", "! !", NULL};
    bqb_clip_bpe *t = open_clip(merges);
    if (!t) return;
    CHECK_STR(tokens(t, " AB\t\naB\xe3\x80\x80""ab\xc2\xa0"), "ab</w>|ab</w>|ab</w>|");
    CHECK_STR(tokens(t, "12a3"), "1</w>|2</w>|a</w>|3</w>|"); /* digits alone */
    CHECK_STR(tokens(t, "ab's"), "ab</w>|'s</w>|");
    CHECK_STR(tokens(t, "'sab"), "'s</w>|ab</w>|"); /* a contraction needs no word before it, nor an end behind */
    CHECK_STR(tokens(t, "AB'LL"), "ab</w>|'ll</w>|");
    CHECK_STR(tokens(t, "b'x"), "b</w>|'</w>|x</w>|");
    CHECK_STR(tokens(t, "b'r"), "b</w>|'</w>|r</w>|");
    CHECK_STR(tokens(t, "!!!'s"), "!!|!|'</w>|s</w>|"); /* the run of signs takes the apostrophe */
    CHECK_STR(tokens(t, "a!b"), "a</w>|!</w>|b</w>|");
    CHECK_STR(tokens(t, "\xe5\xbc\x80"), "\xc3\xa5|\xc2\xbc|\xc4\xa2</w>|"); /* bytes e5 bc 80 */
    CHECK_STR(tokens(t, "\xff"), "\xc3\xaf|\xc2\xbf|\xc2\xbd</w>|");       /* U+FFFD: ef bf bd */
    CHECK_STR(tokens(t, "ab<|endoftext|>ab"), "ab</w>|<|endoftext|>|ab</w>|");
    CHECK_STR(tokens(t, "<|startoftext|><|"), "<|startoftext|>|<||</w>|");
    CHECK_STR(tokens_n(t, "a\0b", 3), "a</w>|\xc4\x80</w>|b</w>|"); /* NUL is a byte like others: neither letter nor space */
    bqb_clip_bpe_close(t);
}

/* NFC before anything else: both spellings give the same tokens. */
TEST(clip_bpe_normalises) {
    static const char *const merges[] = {"a b</w>", NULL};
    static const char *const same[][2] = {
        {"e\xcc\x81", "\xc3\xa9"},                                      /* e and acute */
        {"E\xcc\x81x", "\xc3\xa9X"},
        {"a\xcc\xa3\xcc\x82", "\xe1\xba\xad"},                          /* dot below, circumflex */
        {"a\xcc\x82\xcc\xa3", "\xe1\xba\xad"},                          /* the same in the other order */
        {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"},       /* Hangul */
        {"\xed\x95\x98\xe1\x86\xab", "\xed\x95\x9c"},
        {"\xe2\x84\xab", "\xc3\xa5"},                                   /* Ångström's sign, lower-cased */
        {"\xef\xa4\x80", "\xe8\xb1\x88"},                               /* a compatibility ideograph */
        {"\xe3\x81\x8b\xe3\x82\x99", "\xe3\x81\x8c"},                   /* kana and its mark */
        {"\xc4\xb0", "i\xcc\x87"},                                      /* İ */
        {"\xce\xa3\xce\xa3", "\xcf\x83\xcf\x83"},                       /* no final sigma */
        {"\xd0\x81", "\xd1\x91"},
    };
    bqb_clip_bpe *t = open_clip(merges);
    if (!t) return;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char want[4096];
        snprintf(want, sizeof want, "%s", tokens(t, same[i][1]));
        CHECK_STR(tokens(t, same[i][0]), want);
    }
    /* A heap of marks is taken in parts; nothing is lost. */
    char heap[1 + 2 * 100 + 1] = "a";
    for (size_t i = 0; i < 100; i++) memcpy(heap + 1 + 2 * i, "\xcc\x96", 2);
    int32_t ids[512];
    CHECK(bqb_clip_bpe_encode(t, ids, 512, heap, 201) == 2 + 201);
    bqb_clip_bpe_close(t);
}

TEST(clip_bpe_cut_and_padded) {
    static const char *const merges[] = {"a b</w>", NULL};
    bqb_clip_bpe *t = open_clip(merges);
    if (!t) return;
    int32_t end = bqb_clip_bpe_end(t), start = end - 1;
    for (size_t max = 2; max <= 8; max++) {
        int32_t ids[9] = {-9, -9, -9, -9, -9, -9, -9, -9, -9}, want[] = {start, 512, 'x' + 256, 512};
        size_t n = bqb_clip_bpe_encode(t, ids, max, "ab x ab", 7), full = max < 5 ? max : 5;
        CHECK(n == full && ids[max] == -9);
        for (size_t i = 0; i < max; i++) CHECK(ids[i] == (i + 1 < full ? want[i] : end));
    }
    /* A long word: the same beginning, whatever follows. */
    size_t n = 100000;
    char *word = malloc(n);
    memset(word, 'x', n);
    int32_t ids[77];
    CHECK(bqb_clip_bpe_encode(t, ids, 77, word, n) == 77 && ids[75] == 'x' && ids[76] == end);
    CHECK(bqb_clip_bpe_encode(t, ids, 77, word, 76) == 77 && ids[75] == 'x');
    CHECK(bqb_clip_bpe_encode(t, ids, 77, word, 75) == 77 && ids[75] == 'x' + 256);
    free(word);
    bqb_clip_bpe_close(t);
}

static void refused(const char *vocab, const char *merges, bqb_status code, const char *words) {
    bqb_err err = {0};
    bqb_clip_bpe *t = (bqb_clip_bpe *)&err;
    put("vocab.json", vocab);
    put("merges.txt", merges);
    CHECK_MSG(bqb_clip_bpe_open(&t, in_tmp("vocab.json"), in_tmp("merges.txt"), &err) == code, "%.60s: %s", vocab, err.msg);
    CHECK_MSG(strstr(err.msg, words) && t == NULL, "%s", err.msg);
}

#define SPECIAL "\"<|startoftext|>\": 3, \"<|endoftext|>\": 4"

TEST(clip_bpe_bad_files) {
    refused("{}", "", BQB_EFORMAT, "<|startoftext|>");
    refused("{\"<|startoftext|>\": 3}", "", BQB_EFORMAT, "<|endoftext|>");
    refused("[]", "", BQB_EFORMAT, "vocab.json");
    refused("{" SPECIAL ", \"a\": -1}", "", BQB_EFORMAT, "\"a\"");
    refused("{" SPECIAL ", \"a\": 1048576}", "", BQB_EFORMAT, "\"a\"");
    refused("{" SPECIAL ", \"a\": 1.5}", "", BQB_EFORMAT, "\"a\"");
    refused("{" SPECIAL ", \"a\": \"1\"}", "", BQB_EFORMAT, "\"a\"");
    refused("{" SPECIAL ", \"a\": {\"b\": 1}}", "", BQB_EFORMAT, "\"a\"");
    refused("{" SPECIAL ", \"a\": [[1]]}", "", BQB_ELIMIT, "vocab.json");
    refused("{" SPECIAL ", \"a\": 4}", "", BQB_EFORMAT, "same id 4");
    refused("{" SPECIAL ", \"a\": 1, \"a\": 2}", "", BQB_EFORMAT, "vocab.json");
    refused("{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2}", "a b\nab\n", BQB_EFORMAT, "line 2");
    refused("{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2}", "a b c\n", BQB_EFORMAT, "not two tokens");
    refused("{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2}", "a b\n\nb a\n", BQB_EFORMAT, "line 3");
    refused("{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2}", " b\n", BQB_EFORMAT, "line 1");
    refused("{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2}", "a \n", BQB_EFORMAT, "line 1");
    bqb_err err;
    bqb_clip_bpe *t;
    CHECK(bqb_clip_bpe_open(&t, "/nonexistent/vocab.json", in_tmp("merges.txt"), &err) == BQB_EIO && !t);
    CHECK(bqb_clip_bpe_open(&t, in_tmp("vocab.json"), "/nonexistent/merges.txt", &err) == BQB_EIO && !t);
    bqb_bpe *b;
    CHECK(bqb_bpe_open(&b, in_tmp("vocab.json"), in_tmp("merges.txt"), "a very long end of a word", &err) == BQB_EINVAL && !b);
    bqb_bpe_close(NULL);
    /* Windows' line ends, no version, no newline at the end, a pair twice (the later one counts): all readable. */
    put("vocab.json", "{" SPECIAL ", \"a\": 0, \"b\": 1, \"ab\": 2, \"ba\": 5}");
    put("merges.txt", "a b\r\nb a\r\na b");
    if (CHECK_OK(bqb_bpe_open(&b, in_tmp("vocab.json"), in_tmp("merges.txt"), "", &err), err)) {
        int32_t ids[3];
        uint32_t work[BQB_BPE_WORK(3)];
        CHECK(bqb_bpe_word(b, ids, "aba", 3, work) == 2 && ids[0] == 0 && ids[1] == 5);
        bqb_bpe_close(b);
    }
}

TEST(tokenizer_is_either_kind) {
    static const char *const merges[] = {"a b</w>", NULL};
    bqb_err err;
    bqb_tokenizer *t;
    put_vocabulary(merges);
    put("words.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n");
    int32_t ids[4];
    if (CHECK_OK(bqb_tokenizer_open(&t, in_tmp("vocab.json"), &err), err)) {
        CHECK(bqb_tokenizer_size(t) == 515 && bqb_tokenizer_pad(t) == 514);
        CHECK(bqb_tokenizer_encode(t, ids, 4, "ab", 2) == 3 && ids[1] == 512 && ids[3] == 514);
        CHECK_STR(bqb_tokenizer_token(t, 512), "ab</w>");
        bqb_tokenizer_close(t);
    }
    if (CHECK_OK(bqb_tokenizer_open(&t, in_tmp("words.txt"), &err), err)) {
        CHECK(bqb_tokenizer_size(t) == 5 && bqb_tokenizer_pad(t) == 0);
        CHECK(bqb_tokenizer_encode(t, ids, 4, "ab", 2) == 3 && ids[1] == 4 && ids[3] == 0);
        CHECK_STR(bqb_tokenizer_token(t, 4), "ab");
        bqb_tokenizer_close(t);
    }
    bqb_tokenizer_close(NULL);
    char dir[512];
    snprintf(dir, sizeof dir, "%s/copy", test_tmp_dir());
    CHECK_OK(bqb_make_dirs(dir, &err), err);
    CHECK_OK(bqb_tokenizer_copy(in_tmp("words.txt"), dir, &err), err);
    CHECK_OK(bqb_tokenizer_copy(in_tmp("vocab.json"), dir, &err), err);
    CHECK(bqb_is_file(in_tmp("copy/vocab.txt")) && bqb_is_file(in_tmp("copy/vocab.json")) && bqb_is_file(in_tmp("copy/merges.txt")));
    CHECK_OK(bqb_tokenizer_copy(in_tmp("copy/vocab.json"), dir, &err), err);
    remove(in_tmp("merges.txt"));
    CHECK(bqb_tokenizer_open(&t, in_tmp("vocab.json"), &err) == BQB_EIO && strstr(err.msg, "merges.txt") && !t);
    CHECK(bqb_tokenizer_copy(in_tmp("vocab.json"), dir, &err) == BQB_EIO);
}
