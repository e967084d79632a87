/* What the two kinds of file say of a language model's tokenizer, brought together. */
#ifndef BQB_TEXT_LLM_TOKENIZER_READ_H
#define BQB_TEXT_LLM_TOKENIZER_READ_H

#include "text/llm_tokenizer.h"
#include "text/pieces.h"
#include "text/tokenizer_json.h"

enum { BQB_LLM_TOKENS = 1 << 20 };

/* Texts are borrowed from the file. */
typedef struct {
    bqb_vocabulary lists;
    bqb_pieces_rule rule;
    bool nfc, whole;
} bqb_llm_vocabulary;

/* Copies what it needs of v. */
bqb_status bqb_llm_tokenizer_make(bqb_llm_tokenizer **out, const bqb_llm_vocabulary *v, const char *path, bqb_err *err);

#endif
