#include "text/llm_tokenizer.h"
#include "base/fs.h"
#include "test.h"
#include "text/bpe.h"
#include "text/llm_tokenizer_read.h"
#include "text/pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The pieces of a text, a bar behind each. */
static const char *cut(bqb_pieces_rule r, const char *s) {
    static char out[512];
    size_t n = strlen(s), len = 0;
    for (size_t at = 0; at < n;) {
        size_t k = bqb_piece(r, s + at, n - at);
        if (!CHECK(k > 0 && k <= n - at)) break;
        memcpy(out + len, s + at, k);
        len += k;
        out[len++] = '|';
        at += k;
    }
    out[len] = 0;
    return out;
}

TEST(pieces_follow_the_expressions) {
    static const struct {
        const char *text, *gpt2, *llama3, *qwen2;
    } want[] = {
        {"I'm THEY'RE", "I|'m| THEY|'|RE|", "I|'m| THEY|'RE|", "I|'m| THEY|'RE|"},
        {"12345", "12345|", "123|45|", "1|2|3|4|5|"},
        {" 12", " 12|", " |12|", " |1|2|"},
        {"a  b", "a| | b|", "a| | b|", "a| | b|"},
        {"a \n\n  b", "a| \n\n | b|", "a| \n\n| | b|", "a| \n\n| | b|"},
        {"x!\n\ny", "x|!|\n|\n|y|", "x|!\n\n|y|", "x|!\n\n|y|"},
        {"\tb", "\t|b|", "\tb|", "\tb|"},
        {"\nb", "\n|b|", "\n|b|", "\n|b|"},
        {"（好）呀", "（|好|）|呀|", "（好|）呀|", "（好|）呀|"},
        {"end  ", "end|  |", "end|  |", "end|  |"},
        {"'\xC5\xBF", "'|\xC5\xBF|", "'\xC5\xBF|", "'\xC5\xBF|"}, /* the long s */
        {" 😂😂a", " 😂😂|a|", " 😂😂|a|", " 😂😂|a|"},
        {"'", "'|", "'|", "'|"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK_MSG(!strcmp(cut(BQB_PIECES_GPT2, want[i].text), want[i].gpt2), "GPT-2 %zu: %s", i, cut(BQB_PIECES_GPT2, want[i].text));
        CHECK_MSG(!strcmp(cut(BQB_PIECES_LLAMA3, want[i].text), want[i].llama3), "Llama 3 %zu: %s", i, cut(BQB_PIECES_LLAMA3, want[i].text));
        CHECK_MSG(!strcmp(cut(BQB_PIECES_QWEN2, want[i].text), want[i].qwen2), "Qwen2 %zu: %s", i, cut(BQB_PIECES_QWEN2, want[i].text));
    }
    CHECK(bqb_piece(BQB_PIECES_GPT2, "", 0) == 0);
}

TEST(bpe_writes_bytes_as_characters) {
    for (int b = 0; b < 256; b++) CHECK(bqb_bpe_byte(bqb_bpe_seen((uint8_t)b)) == b);
    CHECK(bqb_bpe_seen(0) == 0x100 && bqb_bpe_seen(' ') == 0x120 && bqb_bpe_seen(173) == 0x143 && bqb_bpe_seen('A') == 'A');
    CHECK(bqb_bpe_byte(' ') < 0 && bqb_bpe_byte(0x144) < 0 && bqb_bpe_byte(0x4F60) < 0);
}

/* A tokenizer.json with this model, pre_tokenizer and list of added tokens. */
static bqb_status open_json(bqb_llm_tokenizer **t, const char *model, const char *pre, const char *added, bqb_err *err) {
    char path[1100], text[2048];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_tmp_dir());
    int n = snprintf(text, sizeof text, "{\"added_tokens\":%s,\"pre_tokenizer\":%s,\"model\":%s}", added, pre, model);
    CHECK_OK(bqb_file_write(path, text, (size_t)n, err), *err);
    return bqb_llm_tokenizer_open(t, path, err);
}

static const char MODEL[] = "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"Ġ\":3},\"merges\":[\"a b\"]}";
static const char PRE[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}";

TEST(llm_tokenizer_takes_added_tokens) {
    bqb_llm_tokenizer *t = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(open_json(&t, MODEL, PRE,
                            "[{\"id\":7,\"content\":\"<x>\"},{\"id\":9,\"content\":\"<x>y\",\"lstrip\":true,\"rstrip\":true}]", &err), err)) return;
    bqb_ids ids = {0};
    CHECK_OK(bqb_llm_tokenizer_encode(t, &ids, "ab<x>a  <x>y  ba<x", 16, true, &err), err);
    static const int32_t want[] = {2, 7, 0, 9, 1, 0};
    CHECK(ids.n == 6 && !memcmp(ids.id, want, sizeof want) && bqb_llm_tokenizer_size(t) == 10);
    ids.n = 0;
    CHECK(bqb_llm_tokenizer_encode(t, &ids, "c", 1, true, &err) == BQB_EFORMAT && strstr(err.msg, "lacks a byte"));
    bqb_buf out = {.max = 64};
    CHECK_OK(bqb_llm_tokenizer_decode(t, &out, 7, false, &err), err);
    CHECK(out.len == 0);
    CHECK_OK(bqb_llm_tokenizer_decode(t, &out, 3, false, &err), err);
    CHECK(out.len == 1 && out.data[0] == ' ');
    CHECK(bqb_llm_tokenizer_decode(t, &out, 5, false, &err) == BQB_EINVAL && bqb_llm_tokenizer_decode(t, &out, -1, false, &err) == BQB_EINVAL);
    bqb_buf_free(&out);
    free(ids.id);
    bqb_llm_tokenizer_close(t);
}

TEST(llm_tokenizer_refuses_by_name) {
    static const struct {
        const char *model, *pre, *added;
        bqb_status status;
        const char *message;
    } bad[] = {
        {"{\"type\":\"Unigram\",\"vocab\":{},\"merges\":[]}", PRE, "[]", BQB_EUNSUPPORTED, "Unigram"},
        {"{\"vocab\":{},\"merges\":[],\"byte_fallback\":true}", PRE, "[]", BQB_EUNSUPPORTED, "byte_fallback"},
        {"{\"vocab\":[]}", PRE, "[]", BQB_EFORMAT, "vocab"},
        {"{\"vocab\":{\"a\":-2},\"merges\":[]}", PRE, "[]", BQB_EFORMAT, "\"a\""},
        {"{\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}", PRE, "[]", BQB_EFORMAT, "same id"},
        {"{\"vocab\":{\"a\":1},\"merges\":[\"aa\"]}", PRE, "[]", BQB_EFORMAT, "merge 1"},
        {"{\"vocab\":{\"a\":1},\"merges\":[\"a a\"]}", PRE, "[]", BQB_EFORMAT, "not in the vocabulary"},
        {MODEL, "{\"type\":\"Metaspace\"}", "[]", BQB_EUNSUPPORTED, "Metaspace"},
        {MODEL, "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "[]", BQB_EUNSUPPORTED, "add_prefix_space"},
        {MODEL, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"\\\\w+\"}},{\"type\":\"ByteLevel\",\"use_regex\":false}]}",
         "[]", BQB_EUNSUPPORTED, "\\w+"},
        {MODEL, PRE, "[{\"id\":1,\"content\":\"x\",\"single_word\":true}]", BQB_EUNSUPPORTED, "single word"},
        {MODEL, PRE, "[{\"id\":99999999,\"content\":\"x\"}]", BQB_EFORMAT, "impossible id"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bqb_llm_tokenizer *t = NULL;
        bqb_err err = {0};
        bqb_status s = open_json(&t, bad[i].model, bad[i].pre, bad[i].added, &err);
        CHECK_MSG(s == bad[i].status && !t && strstr(err.msg, bad[i].message) && strstr(err.msg, "tokenizer.json"), "%zu: %d %s", i, (int)s, err.msg);
    }
}
