/* The tokenizer of a language model: byte-level BPE, its cutting rule, and the tokens
 * that are added to the text from outside (<|im_end|> and the like). Exact to
 * Hugging Face's for the rules of pieces.h. */
#ifndef BQB_TEXT_LLM_TOKENIZER_H
#define BQB_TEXT_LLM_TOKENIZER_H

#include "base/err.h"
#include "base/mem.h"
#include "file/gguf.h"

typedef struct bqb_llm_tokenizer bqb_llm_tokenizer;

/* From tokenizer.json, or out of a GGUF file. Errors: BQB_EFORMAT; BQB_EUNSUPPORTED names another
 * kind of model, cutting rule or normalisation; BQB_ELIMIT. */
bqb_status bqb_llm_tokenizer_open(bqb_llm_tokenizer **out, const char *path, bqb_err *err);
bqb_status bqb_llm_tokenizer_gguf(bqb_llm_tokenizer **out, const bqb_gguf *g, bqb_err *err);

/* A language model's: out of its GGUF file, or from tokenizer.json in its folder. */
bqb_status bqb_llm_tokenizer_of(bqb_llm_tokenizer **out, const char *llm, bqb_err *err);

/* BQB_EFORMAT where it has more tokens than the language model has rows for. */
bqb_status bqb_llm_tokenizer_fits(const bqb_llm_tokenizer *t, size_t rows, const char *llm, bqb_err *err);
void bqb_llm_tokenizer_close(bqb_llm_tokenizer *t);

size_t bqb_llm_tokenizer_size(const bqb_llm_tokenizer *t); /* the largest id + 1 */

/* The id of an added token by its text, or -1. */
int32_t bqb_llm_tokenizer_added(const bqb_llm_tokenizer *t, const char *text);

/* Growing list of ids. Zero-initialise; free id with free(). */
typedef struct {
    int32_t *id;
    size_t n, cap;
} bqb_ids;
bqb_status bqb_ids_add(bqb_ids *ids, int32_t id, bqb_err *err);

/* Append a text's tokens. Invalid UTF-8 is read as U+FFFD. `added`: added tokens written
 * out in the text become those tokens; without, they are text like any other, as what a
 * user types should be. Any thread. BQB_ENOMEM; BQB_EFORMAT where the vocabulary lacks a byte. */
bqb_status bqb_llm_tokenizer_encode(const bqb_llm_tokenizer *t, bqb_ids *ids, const char *text, size_t n_bytes, bool added,
                                    bqb_err *err);

/* Append a token's bytes, which may be a part of a character; of added tokens nothing, but their
 * text where `added`. */
bqb_status bqb_llm_tokenizer_decode(const bqb_llm_tokenizer *t, bqb_buf *out, int32_t id, bool added, bqb_err *err);

#endif
