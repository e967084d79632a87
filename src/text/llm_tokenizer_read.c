/* tokenizer.json, and the tokenizer inside a GGUF file. */
#include "text/llm_tokenizer_read.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokenizer.json ---- */

static bqb_status refuse(const char *path, const char *what, const char *value, bqb_err *err) {
    return bqb_fail(err, BQB_EUNSUPPORTED, "%s: %s \"%.120s\" is not known (byte-level BPE as GPT-2, Llama 3 and Qwen2 have it is)", path, what, value);
}

static bqb_status read_normalizer(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *n = json_object_get(o, "normalizer");
    if (!n || json_is_null(n)) return BQB_OK;
    v->nfc = !strcmp(bqb_json_text_at(n, "type"), "NFC");
    return v->nfc ? BQB_OK : refuse(path, "normalizer", bqb_json_text_at(n, "type"), err);
}

/* ByteLevel alone cuts by GPT-2's rule, or a Split names the expression and ByteLevel does not cut. */
static bqb_status read_rule(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *p = json_object_get(o, "pre_tokenizer"), *last = p;
    const char *type = bqb_json_text_at(p, "type"), *expression = bqb_pieces_expression(BQB_PIECES_GPT2);
    if (!strcmp(type, "Sequence")) {
        const json_t *list = json_object_get(p, "pretokenizers"), *split = json_array_get(list, 0);
        last = json_array_get(list, json_array_size(list) - 1);
        if (json_array_size(list) != 2 || strcmp(bqb_json_text_at(split, "type"), "Split")) return refuse(path, "pre_tokenizer", "Sequence", err);
        expression = bqb_json_text_at(json_object_get(split, "pattern"), "Regex");
        if (strcmp(bqb_json_text_at(split, "behavior"), "Isolated") || bqb_json_true_at(split, "invert")) return refuse(path, "Split", bqb_json_text_at(split, "behavior"), err);
    }
    if (strcmp(bqb_json_text_at(last, "type"), "ByteLevel")) return refuse(path, "pre_tokenizer", bqb_json_text_at(last, "type"), err);
    if (bqb_json_true_at(last, "add_prefix_space")) return refuse(path, "ByteLevel", "add_prefix_space", err);
    if ((last == p) == json_is_false(json_object_get(last, "use_regex"))) return refuse(path, "ByteLevel", "use_regex", err);
    for (v->rule = 0; v->rule < BQB_PIECES_RULES; v->rule++)
        if (!strcmp(expression, bqb_pieces_expression(v->rule))) return BQB_OK;
    return refuse(path, "the cutting rule", expression, err);
}

static bqb_status read_model(bqb_llm_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *model = json_object_get(o, "model");
    if (*bqb_json_text_at(model, "type") && strcmp(bqb_json_text_at(model, "type"), "BPE")) return refuse(path, "model", bqb_json_text_at(model, "type"), err);
    if (bqb_json_true_at(model, "byte_fallback")) return refuse(path, "model", "byte_fallback", err);
    if (*bqb_json_text_at(model, "continuing_subword_prefix") || *bqb_json_text_at(model, "end_of_word_suffix")) return refuse(path, "model", "marked words", err);
    v->whole = bqb_json_true_at(model, "ignore_merges");
    return bqb_vocabulary_of_json(&v->lists, o, path, err);
}

bqb_status bqb_llm_tokenizer_open(bqb_llm_tokenizer **out, const char *path, bqb_err *err) {
    *out = NULL;
    json_t *o;
    bqb_llm_vocabulary v = {0};
    bqb_status s = bqb_tokenizer_json_read(&o, path, err);
    if (s) return s;
    s = read_normalizer(&v, o, path, err);
    if (!s) s = read_rule(&v, o, path, err);
    if (!s) s = read_model(&v, o, path, err);
    if (!s) s = bqb_llm_tokenizer_make(out, &v, path, err);
    bqb_vocabulary_free(&v.lists);
    json_decref(o);
    return s;
}

/* ---- GGUF ---- */

enum { CONTROL = 3, USER_DEFINED = 4 }; /* kinds of token */

static bqb_status make_lists(bqb_vocabulary *v, size_t tokens, size_t merges, const char *path, bqb_err *err) {
    v->token = bqb_calloc(tokens, sizeof *v->token);
    v->merge = bqb_calloc(merges, sizeof *v->merge);
    v->added = bqb_calloc(tokens, sizeof *v->added);
    return v->token && v->merge && v->added ? BQB_OK : bqb_fail_nomem(err, path, tokens * sizeof *v->token + merges * sizeof *v->merge);
}

typedef struct {
    bqb_vocabulary *v;
    const bqb_gguf *g;
    size_t n_kinds;
    bool broken;
} collector;

static int take_token(void *ctx, size_t i, bqb_gguf_text t) {
    collector *c = ctx;
    double kind = i < c->n_kinds ? bqb_gguf_number_at(c->g, "tokenizer.ggml.token_type", i) : 1;
    if ((kind == CONTROL || kind == USER_DEFINED) && t.n) c->v->added[c->v->n_added++] = (bqb_added_token){.s = t.s, .n = t.n, .id = (int64_t)i};
    else c->v->token[c->v->n_tokens++] = (bqb_bpe_entry){t.s, t.n, (int64_t)i};
    return 0;
}

static int take_merge(void *ctx, size_t i, bqb_gguf_text t) {
    collector *c = ctx;
    c->broken |= !bqb_merge_of_text(&c->v->merge[i], t.s, t.n);
    c->v->n_merges++;
    return 0;
}

static bool says(bqb_gguf_text t, const char *s) { return t.n == strlen(s) && !memcmp(t.s, s, t.n); }

static bqb_status gguf_rule(bqb_llm_vocabulary *v, const bqb_gguf *g, bqb_err *err) {
    static const struct {
        const char *name;
        bqb_pieces_rule rule;
    } rules[] = {{"qwen2", BQB_PIECES_QWEN2}, {"deepseek-r1-qwen", BQB_PIECES_QWEN2}, {"llama-bpe", BQB_PIECES_LLAMA3}, {"llama3", BQB_PIECES_LLAMA3}, {"llama-v3", BQB_PIECES_LLAMA3},
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
    collector c = {.v = &v.lists, .g = g};
    size_t tokens, merges;
    bqb_status s = gguf_rule(&v, g, err);
    if (s) return s;
    if (!bqb_gguf_texts(g, "tokenizer.ggml.tokens", &tokens) || !bqb_gguf_texts(g, "tokenizer.ggml.merges", &merges))
        return bqb_fail(err, BQB_EFORMAT, "%s: holds no tokenizer.ggml.tokens and merges", bqb_gguf_path(g));
    if (tokens > BQB_LLM_TOKENS || merges > BQB_LLM_TOKENS)
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu tokens and %zu merges; at most %d of each are read", bqb_gguf_path(g), tokens, merges, BQB_LLM_TOKENS);
    bqb_gguf_numbers(g, "tokenizer.ggml.token_type", &c.n_kinds);
    s = make_lists(&v.lists, tokens, merges, bqb_gguf_path(g), err);
    if (!s) s = bqb_gguf_each_text(g, "tokenizer.ggml.tokens", take_token, &c, err);
    if (!s) s = bqb_gguf_each_text(g, "tokenizer.ggml.merges", take_merge, &c, err);
    if (!s && c.broken) s = bqb_fail(err, BQB_EFORMAT, "%s: a merge is not two tokens", bqb_gguf_path(g));
    if (!s) s = bqb_llm_tokenizer_make(out, &v, bqb_gguf_path(g), err);
    bqb_vocabulary_free(&v.lists);
    return s;
}

bqb_status bqb_llm_tokenizer_of(bqb_llm_tokenizer **out, const char *llm, bqb_err *err) {
    *out = NULL;
    if (bqb_is_file(llm)) {
        bqb_gguf *g;
        bqb_status s = bqb_gguf_open(&g, llm, err);
        if (s) return s;
        s = bqb_llm_tokenizer_gguf(out, g, err);
        bqb_gguf_close(g);
        return s;
    }
    char *path = bqb_path_join(llm, "tokenizer.json");
    bqb_status s = path ? bqb_llm_tokenizer_open(out, path, err) : bqb_fail_nomem(err, llm, strlen(llm));
    free(path);
    return s;
}
