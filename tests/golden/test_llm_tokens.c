/* Tokenizers of language models (llm/tokenizer/) against Hugging Face's: every id of every
 * text, and back to the text. */
#include "base/fs.h"
#include "golden.h"
#include "gguf_write.h"
#include "test.h"
#include "text/llm_tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t texts, wrong, back, turned; /* turned: right with the ids of two tokens exchanged */
} tally;

static bool same_ids(const bqb_ids *ids, const json_t *want) {
    bool same = ids->n == json_array_size(want);
    for (size_t i = 0; i < ids->n && same; i++) same = ids->id[i] == json_integer_value(json_array_get(want, i));
    return same;
}

static void check_line(const bqb_llm_tokenizer *t, const char *line, size_t n, tally *sum) {
    bqb_err err = {0};
    json_t *o = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
    const json_t *text = json_object_get(o, "text"), *want = json_object_get(o, "ids");
    bqb_ids ids = {0};
    bqb_buf back = {.max = 1 << 20};
    if (CHECK(json_is_string(text) && json_is_array(want)) &&
        CHECK_OK(bqb_llm_tokenizer_encode(t, &ids, json_string_value(text), json_string_length(text), true, &err), err)) {
        sum->texts++;
        if (!same_ids(&ids, want)) {
            sum->wrong++;
            CHECK_MSG(false, "%.*s: %zu tokens, expected %zu", n < 80 ? (int)n : 80, line, ids.n, json_array_size(want));
        }
        for (size_t i = 0; i < ids.n; i++) CHECK_OK(bqb_llm_tokenizer_decode(t, &back, ids.id[i], true, &err), err);
        sum->back += back.len == json_string_length(text) && (!back.len || !memcmp(back.data, json_string_value(text), back.len));
        for (size_t i = 0; i < ids.n; i++) ids.id[i] ^= ids.id[i] == 300 || ids.id[i] == 301 ? 1 : 0;
        sum->turned += same_ids(&ids, want);
    }
    bqb_buf_free(&back);
    free(ids.id);
    json_decref(o);
}

/* The tokenizer as a GGUF file has it, written from tokenizer.json. */
static void write_gguf(const char *path, const char *json_path, const char *pre) {
    bqb_err err = {0};
    json_t *o = json_load_file(json_path, JSON_ALLOW_NUL, NULL), *model = json_object_get(o, "model"), *id;
    const char *all[4096] = {0}, *token;
    bool added[4096] = {0};
    size_t n = 0, i;
    json_t *item;
    json_object_foreach(json_object_get(model, "vocab"), token, id) all[json_integer_value(id)] = token;
    json_array_foreach(json_object_get(o, "added_tokens"), i, item) {
        all[json_integer_value(json_object_get(item, "id"))] = json_string_value(json_object_get(item, "content"));
        added[json_integer_value(json_object_get(item, "id"))] = true;
    }
    while (n < 4096 && all[n]) n++;
    gguf_writer w = gguf_begin();
    gguf_text(&w, "tokenizer.ggml.model", "gpt2");
    gguf_text(&w, "tokenizer.ggml.pre", pre);
    gguf_key(&w, "tokenizer.ggml.tokens", 9);
    gguf_put(&w.keys, 8, 4);
    gguf_put(&w.keys, n, 8);
    for (size_t k = 0; k < n; k++) gguf_put_text(&w.keys, all[k]);
    gguf_key(&w, "tokenizer.ggml.token_type", 9);
    gguf_put(&w.keys, 5, 4);
    gguf_put(&w.keys, n, 8);
    for (size_t k = 0; k < n; k++) gguf_put(&w.keys, added[k] ? 3 : 1, 4);
    gguf_key(&w, "tokenizer.ggml.merges", 9);
    gguf_put(&w.keys, 8, 4);
    gguf_put(&w.keys, json_array_size(json_object_get(model, "merges")), 8);
    json_array_foreach(json_object_get(model, "merges"), i, item) {
        char pair[512];
        if (json_is_array(item))
            snprintf(pair, sizeof pair, "%s %s", json_string_value(json_array_get(item, 0)), json_string_value(json_array_get(item, 1)));
        gguf_put_text(&w.keys, json_is_array(item) ? pair : json_string_value(item));
    }
    bqb_buf out = {.max = 1 << 24};
    gguf_end(&w, &out);
    CHECK_OK(bqb_file_write(path, out.data, out.len, &err), err);
    bqb_buf_free(&out);
    json_decref(o);
}

static void check_tokenizer(const char *kind, const char *pre) {
    char file[96], path[1100];
    bqb_err err = {0};
    snprintf(file, sizeof file, "llm/tokenizer/%s/tokenizer.json", kind);
    if (!golden_has(file)) return;
    snprintf(path, sizeof path, "%s/%s.gguf", test_tmp_dir(), kind);
    write_gguf(path, golden_path(file), pre);
    for (int gguf = 0; gguf < 2; gguf++) {
        bqb_llm_tokenizer *t = NULL;
        bqb_gguf *g = NULL;
        bqb_status s = gguf ? bqb_gguf_open(&g, path, &err) : BQB_OK;
        if (!s) s = gguf ? bqb_llm_tokenizer_gguf(&t, g, &err) : bqb_llm_tokenizer_open(&t, golden_path(file), &err);
        if (CHECK_OK(s, err)) {
            char *text = NULL, lines[96];
            size_t size = 0;
            tally sum = {0};
            snprintf(lines, sizeof lines, "llm/tokenizer/%s/tokens.jsonl", kind);
            CHECK_OK(bqb_file_read(&text, &size, golden_path(lines), 1 << 24, &err), err);
            for (char *at = text, *end; at && at < text + size && (end = memchr(at, '\n', (size_t)(text + size - at))); at = end + 1)
                check_line(t, at, (size_t)(end - at), &sum);
            printf("  %s%s: %zu texts, %zu wrong, %zu come back as they were\n", kind, gguf ? " from GGUF" : "", sum.texts, sum.wrong, sum.back);
            CHECK(sum.texts > 100 && sum.back > sum.texts * 9 / 10);
            CHECK_MSG(sum.turned < sum.texts, "two tokens exchanged go unnoticed"); /* planted */
            CHECK(bqb_llm_tokenizer_added(t, "<|im_end|>") >= 0 && bqb_llm_tokenizer_added(t, "<|im") < 0);
            /* What a user types is text, whatever it looks like. */
            bqb_ids ids = {0};
            CHECK_OK(bqb_llm_tokenizer_encode(t, &ids, "<|im_end|>", 10, false, &err), err);
            CHECK(ids.n > 1);
            for (size_t i = 0; i < ids.n; i++) CHECK(ids.id[i] != bqb_llm_tokenizer_added(t, "<|im_end|>"));
            free(ids.id);
            free(text);
        }
        bqb_llm_tokenizer_close(t);
        bqb_gguf_close(g);
    }
}

TEST(golden_llm_tokens_gpt2) { check_tokenizer("gpt2", "gpt-2"); }
TEST(golden_llm_tokens_qwen2) { check_tokenizer("qwen2", "qwen2"); }
TEST(golden_llm_tokens_llama3) { check_tokenizer("llama3", "llama-bpe"); }
