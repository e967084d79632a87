/* What the two kinds of file say of a language model's tokenizer, brought together. */
#ifndef BQB_TEXT_LLM_TOKENIZER_READ_H
#define BQB_TEXT_LLM_TOKENIZER_READ_H

#include "text/bpe.h"
#include "text/llm_tokenizer.h"
#include "text/pieces.h"

enum { BQB_LLM_TOKENS = 1 << 20 };

typedef struct {
    const char *s;
    size_t n;
    int64_t id;
    bool left, right; /* Hugging Face's lstrip and rstrip */
} bqb_llm_added;

/* Texts are borrowed from the file. */
typedef struct {
    bqb_bpe_entry *token;
    bqb_bpe_merge *merge;
    bqb_llm_added *added;
    size_t n_tokens, n_merges, n_added;
    bqb_pieces_rule rule;
    bool nfc, whole;
} bqb_llm_vocabulary;

/* Copies what it needs of v. */
bqb_status bqb_llm_tokenizer_make(bqb_llm_tokenizer **out, const bqb_llm_vocabulary *v, const char *path, bqb_err *err);

#endif
