/* Hugging Face's tokenizer.json as lists: the vocabulary, the merges and the added
 * tokens. What a reader makes of them, and which normalisation and cutting it
 * demands, differs from model to model (llm_tokenizer_read.c, tokenizer.c). */
#ifndef BQB_TEXT_TOKENIZER_JSON_H
#define BQB_TEXT_TOKENIZER_JSON_H

#include "text/bpe.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct {
    const char *s;
    size_t n;
    int64_t id;
    bool left, right; /* Hugging Face's lstrip and rstrip */
} bqb_added_token;

/* An id that is no whole number is -1; texts are borrowed from the JSON. */
typedef struct {
    bqb_bpe_entry *token;
    bqb_bpe_merge *merge; /* WordPiece has none */
    bqb_added_token *added;
    size_t n_tokens, n_merges, n_added;
} bqb_vocabulary;

/* At most 64 MiB, 32 levels and 6 Mi values. End it with json_decref. */
bqb_status bqb_tokenizer_json_read(json_t **out, const char *path, bqb_err *err);

/* "vocab", "merges" (as texts "a b" or as pairs) and "added_tokens". BQB_EFORMAT names what is missing
 * or the merge that is no two tokens; BQB_EUNSUPPORTED an added token that has to stand alone.
 * v is freed by whoever asked, also after an error. */
bqb_status bqb_vocabulary_of_json(bqb_vocabulary *v, const json_t *o, const char *path, bqb_err *err);
void bqb_vocabulary_free(bqb_vocabulary *v);

/* "left right" as a merge; false when it is not two. */
bool bqb_merge_of_text(bqb_bpe_merge *m, const char *s, size_t n);

/* The string under a key, "" where there is none. Whether true stands there. */
const char *bqb_json_text_at(const json_t *o, const char *key);
bool bqb_json_true_at(const json_t *o, const char *key);

#endif
