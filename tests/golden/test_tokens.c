/* Token ids, exact: tokens.jsonl with vocab.txt, clip_openai/ with vocab.json and merges.txt. */
#include "base/fs.h"
#include "base/mem.h"
#include "golden/golden.h"
#include "test.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTEXT = 4096, DEFAULT_CONTEXT = 64 };

/* What the comparison is to miss on purpose. */
typedef enum { NO_FAULT, WRONG_ID, WRONG_LENGTH } fault;

/* 0 when ids of the text are what the line expects; else says why in `why`. */
static int compare(const bqb_tokenizer *tok, const json_t *line, fault planted, char *why, size_t why_size) {
    const json_t *text = json_object_get(line, "text"), *want = json_object_get(line, "ids");
    const json_t *cut = json_object_get(line, "context_length");
    size_t context = cut ? (size_t)json_integer_value(cut) : DEFAULT_CONTEXT;
    if (!json_is_string(text) || !json_is_array(want) || context < 2 || context > MAX_CONTEXT) {
        snprintf(why, why_size, "not a line of text, ids and context_length");
        return 1;
    }
    int32_t ids[MAX_CONTEXT];
    size_t n = bqb_tokenizer_encode(tok, ids, context, json_string_value(text), json_string_length(text));
    size_t n_want = json_array_size(want) + (planted == WRONG_LENGTH);
    if (n != n_want) {
        snprintf(why, why_size, "%zu ids, expected %zu, for %.200s", n, n_want, json_string_value(text));
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(want, i)) + (planted == WRONG_ID && i == n / 2);
        if (ids[i] == id) continue;
        snprintf(why, why_size, "id %zu is %d, expected %lld, for %.200s", i, (int)ids[i], (long long)id,
                 json_string_value(text));
        return 1;
    }
    for (size_t i = n; i < context; i++) {
        if (ids[i] == bqb_tokenizer_pad(tok)) continue;
        snprintf(why, why_size, "id %zu is %d, not padding", i, (int)ids[i]);
        return 1;
    }
    return 0;
}

/* Compare every line; returns how many differ and counts the lines. */
static size_t compare_all(const bqb_tokenizer *tok, const char *path, fault planted, size_t *lines, char *why,
                          size_t why_size) {
    size_t bad = 0;
    *lines = 0;
    FILE *f = fopen(path, "rb");
    if (!CHECK_MSG(f != NULL, "%s cannot be read", path)) return 1;
    char *text = NULL;
    size_t cap = 0;
    while (getline(&text, &cap, f) > 0) {
        json_error_t error;
        json_t *line = json_loads(text, JSON_ALLOW_NUL, &error);
        ++*lines;
        if (line) bad += (size_t)compare(tok, line, planted, why, why_size);
        else CHECK_MSG(false, "%s: line %zu: %s", path, *lines, error.text);
        json_decref(line);
    }
    free(text);
    fclose(f);
    return bad;
}

static void check_file(const char *vocab, const char *jsonl) {
    bqb_err err = {0};
    bqb_tokenizer *tok;
    char why[512] = "";
    size_t lines;
    if (!CHECK_OK(bqb_tokenizer_open(&tok, vocab, &err), err)) return;
    size_t bad = compare_all(tok, jsonl, NO_FAULT, &lines, why, sizeof why);
    CHECK_MSG(lines > 0, "%s is empty", jsonl);
    CHECK_MSG(bad == 0, "%zu of %zu lines differ; the last: %s", bad, lines, why);
    bqb_tokenizer_close(tok);
}

TEST(golden_tokens) {
    check_file(golden_path("vocab.txt"), golden_path("tokens.jsonl"));
    /* The 21,128 lines of the Chinese BERT vocabulary are not ours to carry:
     * who has them can have the same texts checked with them. */
    const char *full = getenv("BQB_BERT_VOCAB");
    if (full && *full) check_file(full, golden_path("tokens_bert_full_vocab.jsonl"));
}

TEST(golden_clip_tokens) {
    if (!golden_has("clip_openai/tokens.jsonl")) return;
    check_file(golden_path("clip_openai/vocab.json"), golden_path("clip_openai/tokens.jsonl"));
}

/* The comparison must see a wrong id and a wrong length on every line. */
static void check_faults(const char *vocab, const char *path) {
    bqb_err err = {0};
    bqb_tokenizer *tok;
    char why[512];
    size_t lines;
    if (!CHECK_OK(bqb_tokenizer_open(&tok, vocab, &err), err)) return;
    CHECK(compare_all(tok, path, WRONG_ID, &lines, why, sizeof why) == lines && strstr(why, "expected"));
    CHECK(compare_all(tok, path, WRONG_LENGTH, &lines, why, sizeof why) == lines && strstr(why, "expected"));
    bqb_tokenizer_close(tok);
}

TEST(golden_tokens_faults_are_seen) {
    check_faults(golden_path("vocab.txt"), golden_path("tokens.jsonl"));
    if (golden_has("clip_openai/tokens.jsonl"))
        check_faults(golden_path("clip_openai/vocab.json"), golden_path("clip_openai/tokens.jsonl"));
}

/* With the merges in the opposite order some texts must differ. */
TEST(golden_clip_tokens_merge_fault_is_seen) {
    if (!golden_has("clip_openai/tokens.jsonl")) return;
    bqb_err err = {0};
    char *merges, path[512], why[512] = "";
    size_t n, lines, bad = 0;
    if (!CHECK_OK(bqb_file_read(&merges, &n, golden_path("clip_openai/merges.txt"), 1 << 26, &err), err)) return;
    bqb_buf b = {.max = 1 << 26};
    while (n) {
        if (merges[n - 1] == '\n') n--;
        size_t start = n;
        while (start && merges[start - 1] != '\n') start--;
        if (merges[start] != '#') CHECK_OK(bqb_buf_printf(&b, &err, "%.*s\n", (int)(n - start), merges + start), err);
        n = start;
    }
    snprintf(path, sizeof path, "%s/merges.txt", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, b.data, b.len, &err), err);
    CHECK_OK(bqb_file_read(&b.data, &n, (free(b.data), golden_path("clip_openai/vocab.json")), 1 << 26, &err), err);
    snprintf(path, sizeof path, "%s/vocab.json", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, b.data, n, &err), err);
    bqb_tokenizer *tok;
    if (CHECK_OK(bqb_tokenizer_open(&tok, path, &err), err)) {
        bad = compare_all(tok, golden_path("clip_openai/tokens.jsonl"), NO_FAULT, &lines, why, sizeof why);
        CHECK_MSG(bad > 0, "merges in the wrong order go unnoticed");
        bqb_tokenizer_close(tok);
    }
    free(merges);
    free(b.data);
}

/* Two different ids from the middles of two expectations: no [CLS] or [SEP]. */
static bool find_two_ids(size_t id[2], const char *path) {
    size_t found = 0;
    json_t *line;
    char *text = NULL;
    size_t cap = 0;
    FILE *f = fopen(path, "rb");
    while (f && found < 2 && getline(&text, &cap, f) > 0) {
        line = json_loads(text, JSON_ALLOW_NUL, NULL);
        const json_t *ids = json_object_get(line, "ids");
        if (json_array_size(ids) >= 3) {
            size_t one = (size_t)json_integer_value(json_array_get(ids, json_array_size(ids) / 2));
            if (!found || id[0] != one) id[found++] = one;
        }
        json_decref(line);
    }
    free(text);
    if (f) fclose(f);
    return found == 2;
}

/* With two lines of the vocabulary exchanged some texts must differ. */
TEST(golden_tokens_vocabulary_fault_is_seen) {
    bqb_err err = {0};
    bqb_tokenizer *tok = NULL, *faulty = NULL;
    char why[512], path[512];
    size_t id[2], lines;
    bqb_buf b = {.max = 1 << 26};
    if (!CHECK(find_two_ids(id, golden_path("tokens.jsonl")))) return;
    if (!CHECK_OK(bqb_tokenizer_open(&tok, golden_path("vocab.txt"), &err), err)) return;
    for (size_t i = 0; i < bqb_tokenizer_size(tok); i++) {
        size_t from = i == id[0] ? id[1] : i == id[1] ? id[0] : i;
        CHECK_OK(bqb_buf_printf(&b, &err, "%s\n", bqb_tokenizer_token(tok, from)), err);
    }
    snprintf(path, sizeof path, "%s/vocab.txt", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, b.data, b.len, &err), err);
    if (CHECK_OK(bqb_tokenizer_open(&faulty, path, &err), err)) {
        size_t bad = compare_all(faulty, golden_path("tokens.jsonl"), NO_FAULT, &lines, why, sizeof why);
        CHECK_MSG(bad > 0 && bad < lines, "%zu of %zu lines differ", bad, lines);
    }
    bqb_tokenizer_close(tok);
    bqb_tokenizer_close(faulty);
    bqb_buf_free(&b);
}
