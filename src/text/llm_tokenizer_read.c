/* tokenizer.json, and the tokenizer inside a GGUF file. */
#include "text/llm_tokenizer_read.h"

#include "file/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)
enum { MAX_DEPTH = 32, MAX_ITEMS = 6 << 20 };

static void free_lists(bqb_llm_vocabulary *v) {
    free(v->token);
    free(v->merge);
    free(v->added);
}

static bqb_status make_lists(bqb_llm_vocabulary *v, size_t tokens, size_t merges, size_t added, const char *path, bqb_err *err) {
    v->token = bqb_calloc(tokens, sizeof *v->token);
    v->merge = bqb_calloc(merges, sizeof *v->merge);
    v->added = bqb_calloc(added, sizeof *v->added);
    return v->token && v->merge && v->added ? BQB_OK : bqb_fail_nomem(err, path, tokens * sizeof *v->token + merges * sizeof *v->merge);
}

/* "left right"; false when it is not two. */
static bool split_merge(bqb_bpe_merge *m, const char *s, size_t n) {
    const char *space = n > 1 ? memchr(s + 1, ' ', n - 1) : NULL;
    if (!space || space + 1 == s + n) return false;
    *m = (bqb_bpe_merge){s, space + 1, (size_t)(space - s), n - (size_t)(space - s) - 1};
    return true;
}

/* ---- tokenizer.json ---- */

static const char *text_at(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool true_at(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

static bqb_status refuse(const char *path, const char *what, const char *value, bqb_err *err) {
    return bqb_fail(err, BQB_EUNSUPPORTED, "%s: %s \"%.120s\" is not known (byte-level BPE as GPT-2, Llama 3 and Qwen2 have it is)", path, what, value);
}

static bqb_status read_normalizer(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *n = json_object_get(o, "normalizer");
    if (!n || json_is_null(n)) return BQB_OK;
    v->nfc = !strcmp(text_at(n, "type"), "NFC");
    return v->nfc ? BQB_OK : refuse(path, "normalizer", text_at(n, "type"), err);
}

/* ByteLevel alone cuts by GPT-2's rule, or a Split names the expression and ByteLevel does not cut. */
static bqb_status read_rule(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *p = json_object_get(o, "pre_tokenizer"), *last = p;
    const char *type = text_at(p, "type"), *expression = bqb_pieces_expression(BQB_PIECES_GPT2);
    if (!strcmp(type, "Sequence")) {
        const json_t *list = json_object_get(p, "pretokenizers"), *split = json_array_get(list, 0);
        last = json_array_get(list, json_array_size(list) - 1);
        if (json_array_size(list) != 2 || strcmp(text_at(split, "type"), "Split")) return refuse(path, "pre_tokenizer", "Sequence", err);
        expression = text_at(json_object_get(split, "pattern"), "Regex");
        if (strcmp(text_at(split, "behavior"), "Isolated") || true_at(split, "invert")) return refuse(path, "Split", text_at(split, "behavior"), err);
    }
    if (strcmp(text_at(last, "type"), "ByteLevel")) return refuse(path, "pre_tokenizer", text_at(last, "type"), err);
    if (true_at(last, "add_prefix_space")) return refuse(path, "ByteLevel", "add_prefix_space", err);
    if ((last == p) == json_is_false(json_object_get(last, "use_regex"))) return refuse(path, "ByteLevel", "use_regex", err);
    for (v->rule = 0; v->rule < BQB_PIECES_RULES; v->rule++)
        if (!strcmp(expression, bqb_pieces_expression(v->rule))) return BQB_OK;
    return refuse(path, "the cutting rule", expression, err);
}

static bqb_status read_merge(bqb_bpe_merge *m, const json_t *item, size_t i, const char *path, bqb_err *err) {
    const json_t *a = json_array_get(item, 0), *b = json_array_get(item, 1);
    bool ok = json_is_string(item) ? split_merge(m, json_string_value(item), json_string_length(item))
                                   : json_array_size(item) == 2 && json_is_string(a) && json_is_string(b);
    if (!ok) return bqb_fail(err, BQB_EFORMAT, "%s: merge %zu is not two tokens", path, i + 1);
    if (!json_is_string(item)) *m = (bqb_bpe_merge){json_string_value(a), json_string_value(b), json_string_length(a), json_string_length(b)};
    return BQB_OK;
}

static bqb_status read_model(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *model = json_object_get(o, "model"), *merges = json_object_get(model, "merges"), *added = json_object_get(o, "added_tokens");
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab) || !json_is_array(merges)) return bqb_fail(err, BQB_EFORMAT, "%s: holds no model with \"vocab\" and \"merges\"", path);
    if (*text_at(model, "type") && strcmp(text_at(model, "type"), "BPE")) return refuse(path, "model", text_at(model, "type"), err);
    if (true_at(model, "byte_fallback")) return refuse(path, "model", "byte_fallback", err);
    if (*text_at(model, "continuing_subword_prefix") || *text_at(model, "end_of_word_suffix")) return refuse(path, "model", "marked words", err);
    v->whole = true_at(model, "ignore_merges");
    bqb_status s = make_lists(v, json_object_size(vocab), json_array_size(merges), json_array_size(added), path, err);
    if (s) return s;
    const char *token;
    json_t *id;
    json_object_foreach(vocab, token, id)
        v->token[v->n_tokens++] = (bqb_bpe_entry){token, strlen(token), json_is_integer(id) ? json_integer_value(id) : -1};
    for (; v->n_merges < json_array_size(merges) && !s; v->n_merges++)
        s = read_merge(&v->merge[v->n_merges], json_array_get(merges, v->n_merges), v->n_merges, path, err);
    for (; v->n_added < json_array_size(added) && !s; v->n_added++) {
        const json_t *a = json_array_get(added, v->n_added), *number = json_object_get(a, "id");
        if (true_at(a, "single_word")) s = refuse(path, "added token as single word", text_at(a, "content"), err);
        v->added[v->n_added] = (bqb_llm_added){text_at(a, "content"), strlen(text_at(a, "content")), json_is_integer(number) ? json_integer_value(number) : -1,
                                               true_at(a, "lstrip"), true_at(a, "rstrip")};
    }
    return s;
}

bqb_status bqb_llm_tokenizer_open(bqb_llm_tokenizer **out, const char *path, bqb_err *err) {
    *out = NULL;
    json_t *o;
    bqb_llm_vocabulary v = {0};
    bqb_status s = bqb_json_read(&o, path, MAX_FILE_BYTES, MAX_DEPTH, MAX_ITEMS, err);
    if (s) return s;
    s = read_normalizer(&v, o, path, err);
    if (!s) s = read_rule(&v, o, path, err);
    if (!s) s = read_model(&v, o, path, err);
    if (!s) s = bqb_llm_tokenizer_make(out, &v, path, err);
    free_lists(&v);
    json_decref(o);
    return s;
}

/* ---- GGUF ---- */

enum { CONTROL = 3, USER_DEFINED = 4 }; /* kinds of token */

typedef struct {
    bqb_llm_vocabulary *v;
    const bqb_gguf *g;
    size_t n_kinds;
    bool broken;
} collector;

static int take_token(void *ctx, size_t i, bqb_gguf_text t) {
    collector *c = ctx;
    double kind = i < c->n_kinds ? bqb_gguf_number_at(c->g, "tokenizer.ggml.token_type", i) : 1;
    if ((kind == CONTROL || kind == USER_DEFINED) && t.n) c->v->added[c->v->n_added++] = (bqb_llm_added){.s = t.s, .n = t.n, .id = (int64_t)i};
    else c->v->token[c->v->n_tokens++] = (bqb_bpe_entry){t.s, t.n, (int64_t)i};
    return 0;
}

static int take_merge(void *ctx, size_t i, bqb_gguf_text t) {
    collector *c = ctx;
    c->broken |= !split_merge(&c->v->merge[i], t.s, t.n);
    c->v->n_merges++;
    return 0;
}

static bool says(bqb_gguf_text t, const char *s) { return t.n == strlen(s) && !memcmp(t.s, s, t.n); }

static bqb_status gguf_rule(bqb_llm_vocabulary *v, const bqb_gguf *g, bqb_err *err) {
    static const struct {
        const char *name;
        bqb_pieces_rule rule;
    } rules[] = {{"qwen2", BQB_PIECES_QWEN2}, {"deepseek-r1-qwen", BQB_PIECES_QWEN2}, {"llama-bpe", BQB_PIECES_LLAMA3}, {"llama3", BQB_PIECES_LLAMA3},
                 {"gpt-2", BQB_PIECES_GPT2}, {"gpt2", BQB_PIECES_GPT2}};
    bqb_gguf_text model = {"missing", 7}, pre = {"missing", 7};
    bqb_gguf_text_of(g, "tokenizer.ggml.model", &model);
    bqb_gguf_text_of(g, "tokenizer.ggml.pre", &pre);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(model.n < 60 ? model.n : 60), model.s);
    if (!says(model, "gpt2")) return refuse(bqb_gguf_path(g), "tokenizer.ggml.model", name, err);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (says(pre, rules[i].name)) {
            v->rule = rules[i].rule;
            v->nfc = v->rule == BQB_PIECES_QWEN2;
            v->whole = v->rule == BQB_PIECES_LLAMA3;
            return BQB_OK;
        }
    snprintf(name, sizeof name, "%.*s", (int)(pre.n < 60 ? pre.n : 60), pre.s);
    return refuse(bqb_gguf_path(g), "tokenizer.ggml.pre", name, err);
}

bqb_status bqb_llm_tokenizer_gguf(bqb_llm_tokenizer **out, const bqb_gguf *g, bqb_err *err) {
    *out = NULL;
    bqb_llm_vocabulary v = {0};
    collector c = {.v = &v, .g = g};
    size_t tokens, merges;
    bqb_status s = gguf_rule(&v, g, err);
    if (s) return s;
    if (!bqb_gguf_texts(g, "tokenizer.ggml.tokens", &tokens) || !bqb_gguf_texts(g, "tokenizer.ggml.merges", &merges))
        return bqb_fail(err, BQB_EFORMAT, "%s: holds no tokenizer.ggml.tokens and merges", bqb_gguf_path(g));
    if (tokens > BQB_LLM_TOKENS || merges > BQB_LLM_TOKENS)
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu tokens and %zu merges; at most %d of each are read", bqb_gguf_path(g), tokens, merges, BQB_LLM_TOKENS);
    bqb_gguf_numbers(g, "tokenizer.ggml.token_type", &c.n_kinds);
    s = make_lists(&v, tokens, merges, tokens, bqb_gguf_path(g), err);
    if (!s) s = bqb_gguf_each_text(g, "tokenizer.ggml.tokens", take_token, &c, err);
    if (!s) s = bqb_gguf_each_text(g, "tokenizer.ggml.merges", take_merge, &c, err);
    if (!s && c.broken) s = bqb_fail(err, BQB_EFORMAT, "%s: a merge is not two tokens", bqb_gguf_path(g));
    if (!s) s = bqb_llm_tokenizer_make(out, &v, bqb_gguf_path(g), err);
    free_lists(&v);
    return s;
}
