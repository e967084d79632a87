/* A model's tokenizer out of tokenizer.json: the same ids as out of the files that it stands for. */
#include "test.h"

#include "base/fs.h"
#include "base/mem.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tmp(const char *name) {
    static char path[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", test_tmp_dir(), name);
    return path[next];
}

static json_t *wrap(const char *type, json_t *vocab, json_t *merges) {
    json_t *o = json_pack("{s:{s:s,s:o},s:[]}", "model", "type", type, "vocab", vocab, "added_tokens");
    json_t *model = json_object_get(o, "model");
    if (merges) {
        json_object_set_new(model, "merges", merges);
        json_object_set_new(model, "end_of_word_suffix", json_string("</w>"));
    } else json_object_set_new(model, "continuing_subword_prefix", json_string("##"));
    return o;
}

/* CLIP's fixture, merges as texts or as pairs. */
static json_t *clip_json(bool pairs) {
    json_t *merges = json_array();
    char *text = NULL, *stop;
    if (bqb_file_read(&text, NULL, test_path("golden/clip_openai/merges.txt"), 1 << 20, NULL)) abort();
    for (char *line = text; (stop = strchr(line, '\n')); line = stop + 1) {
        *stop = 0;
        char *space = strchr(line, ' ');
        if (*line == '#' || !space) continue;
        if (!pairs) json_array_append_new(merges, json_string(line));
        else json_array_append_new(merges, json_pack("[s%,s]", line, (size_t)(space - line), space + 1));
    }
    free(text);
    return wrap("BPE", json_load_file(test_path("golden/clip_openai/vocab.json"), 0, NULL), merges);
}

static json_t *bert_json(void) {
    json_t *vocab = json_object();
    char *text = NULL, *stop;
    if (bqb_file_read(&text, NULL, test_path("golden/vocab.txt"), 1 << 20, NULL)) abort();
    for (char *line = text; (stop = strchr(line, '\n')); line = stop + 1) {
        *stop = 0;
        json_object_set_new(vocab, line, json_integer((json_int_t)json_object_size(vocab)));
    }
    free(text);
    return wrap("WordPiece", vocab, NULL);
}

static void check_same(const char *json, const char *plain) {
    static const char *const text[] = {"", "a happy cat", "It's the DOG's  life, 12345!", "开心的猫，哈哈哈", "下班了 😀 <|endoftext|> yes",
                                       "ünïcödé \xff broken", "thethethe the", "“quoted” ##x [SEP]"};
    enum { L = 40 };
    bqb_tokenizer *a = NULL, *b = NULL;
    bqb_err err = {0};
    if (CHECK_OK(bqb_tokenizer_open(&a, json, &err), err) && CHECK_OK(bqb_tokenizer_open(&b, plain, &err), err)) {
        CHECK(bqb_tokenizer_size(a) == bqb_tokenizer_size(b) && bqb_tokenizer_pad(a) == bqb_tokenizer_pad(b));
        CHECK(bqb_tokenizer_is_bpe(a) == bqb_tokenizer_is_bpe(b));
        for (size_t i = 0; i < bqb_tokenizer_size(b); i++)
            if (bqb_tokenizer_token(b, i)) CHECK_STR(bqb_tokenizer_token(a, i), bqb_tokenizer_token(b, i));
        for (size_t k = 0; k < sizeof text / sizeof *text; k++) {
            int32_t x[L], y[L];
            size_t n = bqb_tokenizer_encode(a, x, L, text[k], strlen(text[k])), m = bqb_tokenizer_encode(b, y, L, text[k], strlen(text[k]));
            CHECK_MSG(n == m && !memcmp(x, y, sizeof x), "%s", text[k]);
        }
    }
    bqb_tokenizer_close(a);
    bqb_tokenizer_close(b);
}

TEST(tokenizer_json_is_the_files_it_stands_for) {
    for (int pairs = 0; pairs < 2; pairs++) {
        json_t *o = clip_json(pairs);
        CHECK(!json_dump_file(o, tmp("tokenizer.json"), 0));
        check_same(tmp("tokenizer.json"), test_path("golden/clip_openai/vocab.json"));
        if (pairs) { /* planted: without its merges the same words come apart */
            bqb_tokenizer *t = NULL;
            int32_t with[40], without[40];
            CHECK(!bqb_tokenizer_open(&t, tmp("tokenizer.json"), NULL));
            if (t) bqb_tokenizer_encode(t, with, 40, "the", 3);
            bqb_tokenizer_close(t);
            json_array_clear(json_object_get(json_object_get(o, "model"), "merges"));
            CHECK(!json_dump_file(o, tmp("tokenizer.json"), 0) && !bqb_tokenizer_open(&t, tmp("tokenizer.json"), NULL));
            if (t) bqb_tokenizer_encode(t, without, 40, "the", 3);
            bqb_tokenizer_close(t);
            CHECK(memcmp(with, without, sizeof with) != 0);
        }
        json_decref(o);
    }
    json_t *o = bert_json();
    CHECK(!json_dump_file(o, tmp("tokenizer.json"), 0));
    json_decref(o);
    check_same(tmp("tokenizer.json"), test_path("golden/vocab.txt"));
}

/* Special tokens may be among the added ones alone. */
TEST(tokenizer_json_adds_tokens) {
    json_t *o = bert_json(), *vocab = json_object_get(json_object_get(o, "model"), "vocab");
    json_int_t n = (json_int_t)json_object_size(vocab);
    json_object_set_new(o, "added_tokens", json_pack("[{s:s,s:I},{s:s,s:I}]", "content", "[CLS]", "id",
                                                     json_integer_value(json_object_get(vocab, "[CLS]")), "content", "[NEW]", "id", n));
    CHECK(!json_dump_file(o, tmp("tokenizer.json"), 0));
    bqb_tokenizer *t = NULL;
    bqb_err err = {0};
    if (CHECK_OK(bqb_tokenizer_open(&t, tmp("tokenizer.json"), &err), err)) {
        CHECK(bqb_tokenizer_size(t) == (size_t)n + 1);
        CHECK_STR(bqb_tokenizer_token(t, (size_t)n), "[NEW]");
    }
    bqb_tokenizer_close(t);
    json_object_set_new(o, "added_tokens", json_pack("[{s:s,s:i}]", "content", "[CLS]", "id", 7));
    CHECK(!json_dump_file(o, tmp("tokenizer.json"), 0));
    CHECK(bqb_tokenizer_open(&t, tmp("tokenizer.json"), &err) == BQB_EFORMAT && strstr(err.msg, "\"[CLS]\" has id 7"));
    json_decref(o);
}

TEST(tokenizer_json_refuses_by_name) {
    const struct {
        const char *text, *named;
        bqb_status status;
    } bad[] = {
        {"[]", "object", BQB_EFORMAT},
        {"{", "invalid JSON", BQB_EFORMAT},
        {"{}", "no model", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "model \"Unigram\"", BQB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", "end_of_word_suffix", BQB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {}}}", "\"merges\"", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}", "merge 1 is not two",
         BQB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\", 1]]}}",
         "merge 1 is not two", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": -4}, \"merges\": []}}", "needs an id", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": []}}", "no <|startoftext|>",
         BQB_EFORMAT},
        {"{\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}}", "continuing_subword_prefix", BQB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {}}}", "empty", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\": 1}}}", "instead of 0", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\": 0, \"b\": 0}}}", "without a gap",
         BQB_EFORMAT},
        {"{\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\\n\": 0}}}", "white space", BQB_EFORMAT},
        {"{\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\": 0}}}", "no [UNK]", BQB_EFORMAT},
        {"{\"normalizer\": {\"lowercase\": false}, \"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {}}}",
         "lower case", BQB_EUNSUPPORTED},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        bqb_tokenizer *t = NULL;
        bqb_err err = {0};
        CHECK(!bqb_file_write(tmp("tokenizer.json"), bad[k].text, strlen(bad[k].text), NULL));
        bqb_status s = bqb_tokenizer_open(&t, tmp("tokenizer.json"), &err);
        CHECK_MSG(s == bad[k].status && !t && strstr(err.msg, bad[k].named) && strstr(err.msg, "tokenizer.json"), "%zu: %d %s", k, (int)s, err.msg);
        bqb_tokenizer_close(t);
    }
}

TEST(tokenizer_json_is_found_where_the_others_are_not) {
    static const char *const files[] = {"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"};
    static const char *const bpe[] = {"tokenizer.json", "tokenizer.json", "vocab.json", "vocab.json"};
    static const char *const pieces[] = {"tokenizer.json", "tokenizer.json", "tokenizer.json", "vocab.txt"};
    char dir[512];
    snprintf(dir, sizeof dir, "%s", test_tmp_dir());
    for (size_t k = 0; k < 4; k++) {
        CHECK(!bqb_file_write(tmp(files[k]), "x", 1, NULL));
        char *a = bqb_tokenizer_find(dir, true), *b = bqb_tokenizer_find(dir, false);
        CHECK_STR(a + strlen(dir) + 1, bpe[k]);
        CHECK_STR(b + strlen(dir) + 1, pieces[k]);
        free(a);
        free(b);
    }
}
