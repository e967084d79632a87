#include "text/bpe_learn.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "test.h"
#include "text/llm_tokenizer.h"
#include "text/pieces.h"
#include "text/tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ADDED[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

/* Learns from the texts; the file's path, in a static buffer. */
static const char *learn(const char *const *text, size_t n, size_t longest, size_t size, size_t *learnt) {
    static char path[1100];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_tmp_dir());
    bqb_bpe_learner *l = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_bpe_learner_new(&l, longest, &err), err)) return path;
    for (size_t i = 0; i < n; i++) CHECK_OK(bqb_bpe_learner_add(l, text[i], strlen(text[i]), &err), err);
    CHECK_OK(bqb_bpe_learner_write(l, path, size, ADDED, 3, learnt, NULL, NULL, &err), err);
    bqb_bpe_learner_free(l);
    return path;
}

/* The merges of a file, a comma behind each. */
static void merges_of(const char *path, char *out, size_t room) {
    json_t *o = NULL;
    bqb_vocabulary v = {0};
    bqb_err err = {0};
    *out = 0;
    if (!CHECK_OK(bqb_tokenizer_json_read(&o, path, &err), err)) return;
    CHECK_OK(bqb_vocabulary_of_json(&v, o, path, &err), err);
    size_t len = 0;
    for (size_t i = 0; i < v.n_merges && len + 64 < room; i++)
        len += (size_t)snprintf(out + len, room - len, "%.*s %.*s,", (int)v.merge[i].n_left, v.merge[i].left,
                                (int)v.merge[i].n_right, v.merge[i].right);
    bqb_vocabulary_free(&v);
    json_decref(o);
}

TEST(bpe_learner_joins_what_is_seen_most) {
    /* b c stands four times, then b-c and a three times; " a" of the piece " abc" twice, as often as " " and
     * "a" alone. */
    static const char *const texts[] = {"abc abc", "xbc", "abc abc"};
    char got[512];
    size_t learnt;
    merges_of(learn(texts, 3, 12, 260, &learnt), got, sizeof got);
    CHECK(learnt == 259);
    CHECK_STR(got, "b c,a bc,Ġ abc,");
    merges_of(learn(texts, 3, 12, 257, &learnt), got, sizeof got);
    CHECK(learnt == 257);
    CHECK_STR(got, "b c,");
}

TEST(bpe_learner_joins_repeated_bytes_from_the_left) {
    static const char *const texts[] = {"aaaaa", "aaaaa aaaaa"};
    char got[512];
    merges_of(learn(texts, 2, 12, 300, NULL), got, sizeof got);
    CHECK_STR(got, "a a,aa a,aa aaa,");
}

TEST(bpe_learner_keeps_tokens_short_and_characters_whole) {
    static const char *const texts[] = {"今天今天今天今天", "今天今天今天今天", "今晚今晚", "明天明天"};
    size_t learnt;
    const char *path = learn(texts, 4, 6, 400, &learnt);
    bqb_llm_tokenizer *t = NULL;
    bqb_buf bytes = {.max = 1 << 16};
    bqb_err err = {0};
    if (!CHECK_OK(bqb_llm_tokenizer_open(&t, path, &err), err)) return;
    CHECK(bqb_llm_tokenizer_size(t) == learnt + 3 &&
          bqb_llm_tokenizer_added(t, "<|im_end|>") == (int32_t)learnt + 2);
    bool any_whole = false;
    for (int32_t id = 256; id < (int32_t)learnt; id++) {
        bytes.len = 0;
        CHECK_OK(bqb_llm_tokenizer_decode(t, &bytes, id, false, &err), err);
        CHECK(bytes.len >= 2 && bytes.len <= 6);
        bool whole = bqb_utf8_check(bytes.data, bytes.len) == bytes.len;
        any_whole |= whole;
        if (whole) continue;
        CHECK(bytes.len == 2);
        for (size_t i = 1; i < bytes.len; i++) CHECK(((uint8_t)bytes.data[i] & 0xC0) == 0x80);
    }
    CHECK(any_whole);
    bqb_ids ids = {0};
    CHECK_OK(bqb_llm_tokenizer_encode(t, &ids, "今天今天", 12, false, &err), err);
    CHECK(ids.n == 2 && ids.id[0] == ids.id[1]);
    free(ids.id);
    bqb_buf_free(&bytes);
    bqb_llm_tokenizer_close(t);
}

/* The plain way: count all pairs anew for every merge. Pieces of lower-case letters and spaces only. */
typedef struct {
    int id[64];
    size_t n;
} row;

static void plain(const char *const *text, size_t n, size_t longest, size_t size, char *out, size_t room) {
    static row rows[512];
    static char name[400][32];
    size_t n_rows = 0, tokens = 256, len = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0, k; text[i][at]; at += k) {
            k = bqb_piece(BQB_PIECES_QWEN2, text[i] + at, strlen(text[i] + at));
            row *r = &rows[n_rows++];
            for (r->n = 0; r->n < k; r->n++) r->id[r->n] = (uint8_t)text[i][at + r->n];
        }
    for (int b = 0; b < 256; b++)
        snprintf(name[b], sizeof name[b], "%s", b == ' ' ? "Ġ" : (char[2]){(char)b, 0});
    *out = 0;
    for (; tokens < size; tokens++) {
        static unsigned count[400][400];
        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n_rows; i++)
            for (size_t k = 0; k + 1 < rows[i].n; k++) count[rows[i].id[k]][rows[i].id[k + 1]]++;
        size_t a = 0, b = 0;
        for (size_t i = 0; i < tokens; i++)
            for (size_t k = 0; k < tokens; k++) {
                size_t bytes = strlen(name[i]) + strlen(name[k]) - (name[i][0] == name[' '][0]) -
                               (name[k][0] == name[' '][0]); /* Ġ is two */
                if (bytes <= longest && count[i][k] > count[a][b]) a = i, b = k;
            }
        if (count[a][b] < 2) return;
        snprintf(name[tokens], sizeof name[tokens], "%.15s%.15s", name[a], name[b]);
        len += (size_t)snprintf(out + len, room - len, "%s %s,", name[a], name[b]);
        for (size_t i = 0; i < n_rows; i++) {
            size_t to = 0;
            for (size_t k = 0; k < rows[i].n; k++) {
                bool both = k + 1 < rows[i].n && rows[i].id[k] == (int)a && rows[i].id[k + 1] == (int)b;
                rows[i].id[to++] = both ? (int)tokens : rows[i].id[k];
                k += both;
            }
            rows[i].n = to;
        }
    }
}

TEST(bpe_learner_agrees_with_counting_anew) {
    static char text[24][64], want[8192], got[8192];
    const char *list[24], *turned[24];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        bqb_rand r = bqb_rand_seed(seed, 0);
        size_t letters = 2 + seed % 4;
        for (size_t i = 0; i < 24; i++) {
            size_t n = 1 + bqb_rand_below(&r, 40);
            for (size_t k = 0; k < n; k++)
                text[i][k] = bqb_rand_below(&r, 6) ? (char)('a' + bqb_rand_below(&r, letters)) : ' ';
            text[i][n] = 0;
            list[i] = turned[23 - i] = text[i];
        }
        plain(list, 24, 5, 320, want, sizeof want);
        merges_of(learn(list, 24, 5, 320, NULL), got, sizeof got);
        CHECK_STR(got, want);
        merges_of(learn(turned, 24, 5, 320, NULL), got, sizeof got); /* the order of texts does not matter */
        CHECK_STR(got, want);
    }
}

TEST(bpe_learner_writes_any_bytes) {
    static const char *const texts[] = {"你好，世界！Hello world\n\n 123 \"quoted\\\" 😂😂",
                                        "\x80\xFF broken \xE4\xBD"};
    const char *path = learn(texts, 2, 12, 300, NULL);
    bqb_llm_tokenizer *t = NULL;
    bqb_ids ids = {0};
    bqb_buf back = {.max = 1 << 16};
    bqb_err err = {0};
    static const char any[] = "从未见过的字 ñ 𝔘 \x01\x7F <|im_end|>\r\n\t";
    if (!CHECK_OK(bqb_llm_tokenizer_open(&t, path, &err), err)) return;
    CHECK_OK(bqb_llm_tokenizer_encode(t, &ids, any, sizeof any - 1, false, &err), err);
    for (size_t i = 0; i < ids.n; i++)
        CHECK_OK(bqb_llm_tokenizer_decode(t, &back, ids.id[i], false, &err), err);
    CHECK_STR(back.data, any);
    free(ids.id);
    bqb_buf_free(&back);
    bqb_llm_tokenizer_close(t);
}

static int stop(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what, (void)done, (void)total;
    return ++*(int *)ctx > 0;
}

TEST(bpe_learner_refuses) {
    bqb_bpe_learner *l = NULL;
    bqb_err err = {0};
    char path[1100], text[3000];
    int calls = 0;
    CHECK(bqb_bpe_learner_new(&l, 0, &err) == BQB_EINVAL && !l);
    CHECK_OK(bqb_bpe_learner_new(&l, 64, &err), err);
    bqb_rand r = bqb_rand_seed(7, 0);
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + bqb_rand_below(&r, 20));
    CHECK_OK(bqb_bpe_learner_add(l, text, sizeof text, &err), err);
    CHECK_OK(bqb_bpe_learner_add(l, text, sizeof text, &err), err);
    snprintf(path, sizeof path, "%s/t.json", test_tmp_dir());
    CHECK(bqb_bpe_learner_write(l, path, 255, NULL, 0, NULL, NULL, NULL, &err) == BQB_EINVAL);
    CHECK(bqb_bpe_learner_write(l, path, 1000, NULL, 0, NULL, stop, &calls, &err) == BQB_ECANCEL &&
          calls == 1 && !bqb_is_file(path));
    bqb_bpe_learner_free(l);
    bqb_bpe_learner_free(NULL);
}
