#include "text/tokenizer.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/clip_bpe.h"
#include "text/tokenizer_json.h"
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

struct bqb_tokenizer {
    bqb_wordpiece *wordpiece; /* one of the two */
    bqb_clip_bpe *bpe;
};

static bool is_whole(const char *path) { return bqb_ends_with(path, "tokenizer.json"); }
static bool is_json(const char *path) { return bqb_ends_with(path, ".json"); }

/* merges.txt in the folder of path; NULL when memory is out. */
static char *merges_beside(const char *path) {
    char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path)), *merges = dir ? bqb_path_join(dir, "merges.txt") : NULL;
    free(dir);
    return merges;
}

/* ---- tokenizer.json ---- */

static bqb_status unknown(const char *path, const char *what, const char *value, bqb_err *err) {
    return bqb_fail(err, BQB_EUNSUPPORTED, "%s: %s \"%.80s\" is none of a CLIP's (WordPiece in lower case, or byte-level BPE with \"</w>\")", path,
                    what, value);
}

/* Added tokens that the vocabulary does not have join its own. */
static bqb_status join_added(bqb_vocabulary *v, const json_t *vocab, const char *path, bqb_err *err) {
    bqb_bpe_entry *all = bqb_calloc(v->n_tokens + v->n_added, sizeof *all);
    if (!all) return bqb_fail_nomem(err, path, (v->n_tokens + v->n_added) * sizeof *all);
    memcpy(all, v->token, v->n_tokens * sizeof *all);
    free(v->token);
    v->token = all;
    for (size_t i = 0; i < v->n_added; i++) {
        const bqb_added_token *a = &v->added[i];
        const json_t *known = json_object_get(vocab, a->s);
        if (!known) v->token[v->n_tokens++] = (bqb_bpe_entry){a->s, a->n, a->id};
        else if (json_integer_value(known) != a->id)
            return bqb_fail(err, BQB_EFORMAT, "%s: added token \"%.80s\" has id %lld, in the vocabulary another one", path, a->s, (long long)a->id);
    }
    return BQB_OK;
}

static bqb_status of_json(bqb_tokenizer *t, const json_t *o, const char *path, bqb_err *err) {
    const json_t *model = json_object_get(o, "model"), *normalizer = json_object_get(o, "normalizer");
    const char *type = bqb_json_text_at(model, "type"), *end = bqb_json_text_at(model, "end_of_word_suffix");
    const char *prefix = bqb_json_text_at(model, "continuing_subword_prefix");
    bool pieces = !strcmp(type, "WordPiece");
    if (*type && !pieces && strcmp(type, "BPE")) return unknown(path, "model", type, err);
    if (pieces && strcmp(prefix, "##")) return unknown(path, "continuing_subword_prefix", prefix, err);
    if (pieces && json_is_false(json_object_get(normalizer, "lowercase"))) return unknown(path, "normalizer", "without lower case", err);
    if (!pieces && json_is_object(model) && strcmp(end, "</w>")) return unknown(path, "end_of_word_suffix", end, err);
    bqb_vocabulary v = {0};
    bqb_status s = bqb_vocabulary_of_json(&v, o, path, err);
    if (!s) s = join_added(&v, json_object_get(model, "vocab"), path, err);
    if (!s && pieces) s = bqb_wordpiece_new(&t->wordpiece, v.token, v.n_tokens, path, err);
    else if (!s) s = bqb_clip_bpe_new(&t->bpe, v.token, v.n_tokens, v.merge, v.n_merges, path, err);
    bqb_vocabulary_free(&v);
    return s;
}

bqb_status bqb_tokenizer_open_json(bqb_tokenizer **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_tokenizer *t = bqb_calloc(1, sizeof *t);
    json_t *o = NULL;
    bqb_status s = t ? bqb_tokenizer_json_read(&o, path, err) : bqb_fail_nomem(err, path, sizeof *t);
    if (!s) s = of_json(t, o, path, err);
    json_decref(o);
    if (s) bqb_tokenizer_close(t);
    else *out = t;
    return s;
}

/* ---- whichever ---- */

bqb_status bqb_tokenizer_open(bqb_tokenizer **out, const char *path, bqb_err *err) {
    *out = NULL;
    if (is_whole(path)) return bqb_tokenizer_open_json(out, path, err);
    bqb_tokenizer *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, path, sizeof *t);
    bqb_status s;
    if (is_json(path)) {
        char *merges = merges_beside(path);
        s = merges ? bqb_clip_bpe_open(&t->bpe, path, merges, err) : bqb_fail_nomem(err, path, strlen(path));
        free(merges);
    } else s = bqb_wordpiece_open(&t->wordpiece, path, err);
    if (s) bqb_tokenizer_close(t);
    else *out = t;
    return s;
}

char *bqb_tokenizer_find(const char *dir, bool bpe) {
    char *own = bqb_path_join(dir, bpe ? "vocab.json" : "vocab.txt"), *merges = bqb_path_join(dir, "merges.txt");
    char *whole = bqb_path_join(dir, "tokenizer.json");
    bool take_whole = own && merges && whole && bqb_is_file(whole) && !(bqb_is_file(own) && (!bpe || bqb_is_file(merges)));
    free(merges);
    free(take_whole ? own : whole);
    return take_whole ? whole : own;
}

bool bqb_tokenizer_is_bpe(const bqb_tokenizer *t) { return t->bpe != NULL; }

void bqb_tokenizer_close(bqb_tokenizer *t) {
    if (!t) return;
    bqb_wordpiece_close(t->wordpiece);
    bqb_clip_bpe_close(t->bpe);
    free(t);
}

size_t bqb_tokenizer_size(const bqb_tokenizer *t) {
    return t->bpe ? bqb_clip_bpe_size(t->bpe) : bqb_wordpiece_size(t->wordpiece);
}

const char *bqb_tokenizer_token(const bqb_tokenizer *t, size_t id) {
    return t->bpe ? bqb_clip_bpe_token(t->bpe, id) : bqb_wordpiece_token(t->wordpiece, id);
}

int32_t bqb_tokenizer_pad(const bqb_tokenizer *t) {
    return t->bpe ? bqb_clip_bpe_end(t->bpe) : bqb_wordpiece_pad(t->wordpiece);
}

size_t bqb_tokenizer_encode(const bqb_tokenizer *t, int32_t *ids, size_t max_ids, const char *text, size_t n_bytes) {
    return t->bpe ? bqb_clip_bpe_encode(t->bpe, ids, max_ids, text, n_bytes)
                  : bqb_wordpiece_encode(t->wordpiece, ids, max_ids, text, n_bytes);
}

enum { VOCAB_MAX_BYTES = 64 << 20 };

static bqb_status copy_file(const char *from, const char *dir, const char *name, bqb_err *err) {
    char *to = bqb_path_join(dir, name), *text = NULL;
    size_t n = 0;
    bqb_status s = from && to ? BQB_OK : bqb_fail_nomem(err, name, 0);
    if (!s && strcmp(from, to) != 0) {
        s = bqb_file_read(&text, &n, from, VOCAB_MAX_BYTES, err);
        if (!s) s = bqb_file_write(to, text, n, err);
    }
    free(text);
    free(to);
    return s;
}

bqb_status bqb_tokenizer_copy(const char *path, const char *dir, bqb_err *err) {
    if (is_whole(path)) return copy_file(path, dir, "tokenizer.json", err);
    if (!is_json(path)) return copy_file(path, dir, "vocab.txt", err);
    char *merges = merges_beside(path);
    bqb_status s = copy_file(path, dir, "vocab.json", err);
    if (!s) s = copy_file(merges, dir, "merges.txt", err);
    free(merges);
    return s;
}
