#include "text/tokenizer_json.h"

#include "base/mem.h"
#include "file/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)
enum { MAX_DEPTH = 32, MAX_ITEMS = 6 << 20 };

bqb_status bqb_tokenizer_json_read(json_t **out, const char *path, bqb_err *err) {
    return bqb_json_read(out, path, MAX_FILE_BYTES, MAX_DEPTH, MAX_ITEMS, err);
}

const char *bqb_json_text_at(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

bool bqb_json_true_at(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

bool bqb_merge_of_text(bqb_bpe_merge *m, const char *s, size_t n) {
    const char *space = n > 1 ? memchr(s + 1, ' ', n - 1) : NULL;
    if (!space || space + 1 == s + n) return false;
    *m = (bqb_bpe_merge){s, space + 1, (size_t)(space - s), n - (size_t)(space - s) - 1};
    return true;
}

static bqb_status read_merge(bqb_bpe_merge *m, const json_t *item, size_t i, const char *path, bqb_err *err) {
    const json_t *a = json_array_get(item, 0), *b = json_array_get(item, 1);
    bool ok = json_is_string(item) ? bqb_merge_of_text(m, json_string_value(item), json_string_length(item))
                                   : json_array_size(item) == 2 && json_is_string(a) && json_is_string(b);
    if (!ok) return bqb_fail(err, BQB_EFORMAT, "%s: merge %zu is not two tokens", path, i + 1);
    if (!json_is_string(item)) *m = (bqb_bpe_merge){json_string_value(a), json_string_value(b), json_string_length(a), json_string_length(b)};
    return BQB_OK;
}

bqb_status bqb_vocabulary_of_json(bqb_vocabulary *v, const json_t *o, const char *path, bqb_err *err) {
    const json_t *model = json_object_get(o, "model"), *merges = json_object_get(model, "merges"), *added = json_object_get(o, "added_tokens");
    json_t *vocab = json_object_get(model, "vocab");
    *v = (bqb_vocabulary){0};
    bool words = !strcmp(bqb_json_text_at(model, "type"), "WordPiece");
    if (!json_is_object(vocab) || (!words && !json_is_array(merges)))
        return bqb_fail(err, BQB_EFORMAT, "%s: holds no model with \"vocab\"%s", path, words ? "" : " and \"merges\"");
    size_t tokens = json_object_size(vocab), n_merges = json_array_size(merges), n_added = json_array_size(added);
    v->token = bqb_calloc(tokens, sizeof *v->token);
    v->merge = bqb_calloc(n_merges, sizeof *v->merge);
    v->added = bqb_calloc(n_added, sizeof *v->added);
    if (!v->token || !v->merge || !v->added)
        return bqb_fail_nomem(err, path, tokens * sizeof *v->token + n_merges * sizeof *v->merge);
    const char *token;
    json_t *id;
    json_object_foreach(vocab, token, id)
        v->token[v->n_tokens++] = (bqb_bpe_entry){token, strlen(token), json_is_integer(id) ? json_integer_value(id) : -1};
    bqb_status s = BQB_OK;
    for (; v->n_merges < n_merges && !s; v->n_merges++)
        s = read_merge(&v->merge[v->n_merges], json_array_get(merges, v->n_merges), v->n_merges, path, err);
    for (; v->n_added < n_added && !s; v->n_added++) {
        const json_t *a = json_array_get(added, v->n_added), *number = json_object_get(a, "id");
        const char *text = bqb_json_text_at(a, "content");
        if (bqb_json_true_at(a, "single_word"))
            s = bqb_fail(err, BQB_EUNSUPPORTED, "%s: added token \"%.120s\": a single word is not known", path, text);
        v->added[v->n_added] = (bqb_added_token){text, strlen(text), json_is_integer(number) ? json_integer_value(number) : -1,
                                                 bqb_json_true_at(a, "lstrip"), bqb_json_true_at(a, "rstrip")};
    }
    return s;
}

void bqb_vocabulary_free(bqb_vocabulary *v) {
    free(v->token);
    free(v->merge);
    free(v->added);
    *v = (bqb_vocabulary){0};
}
