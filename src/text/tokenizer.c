#include "text/tokenizer.h"

#include "base/fs.h"
#include "base/mem.h"
#include "text/clip_bpe.h"
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

struct bqb_tokenizer {
    bqb_wordpiece *wordpiece; /* one of the two */
    bqb_clip_bpe *bpe;
};

static bool is_json(const char *path) {
    size_t n = strlen(path);
    return n >= 5 && !strcmp(path + n - 5, ".json");
}

/* merges.txt in the folder of path; NULL when memory is out. */
static char *merges_beside(const char *path) {
    char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path)), *merges = dir ? bqb_path_join(dir, "merges.txt") : NULL;
    free(dir);
    return merges;
}

bqb_status bqb_tokenizer_open(bqb_tokenizer **out, const char *path, bqb_err *err) {
    *out = NULL;
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
    if (!is_json(path)) return copy_file(path, dir, "vocab.txt", err);
    char *merges = merges_beside(path);
    bqb_status s = copy_file(path, dir, "vocab.json", err);
    if (!s) s = copy_file(merges, dir, "merges.txt", err);
    free(merges);
    return s;
}
