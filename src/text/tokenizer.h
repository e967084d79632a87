/* A model's tokenizer, whichever kind it is: WordPiece (Chinese-CLIP) or byte-level
 * BPE (OpenAI's CLIP). */
#ifndef BQB_TEXT_TOKENIZER_H
#define BQB_TEXT_TOKENIZER_H

#include "base/err.h"

#include <stdbool.h>

typedef struct bqb_tokenizer bqb_tokenizer;

/* Open the vocabulary at path: NAMEtokenizer.json is Hugging Face's, of either kind; any other
 * NAME.json is CLIP's vocab.json, beside which its merges.txt lies; anything else is a vocab.txt of
 * WordPiece. Of a tokenizer.json words and merges count; a kind that no CLIP has is BQB_EUNSUPPORTED by
 * its name, its own rules of cutting and normalising are taken to be those of its kind. */
bqb_status bqb_tokenizer_open(bqb_tokenizer **out, const char *path, bqb_err *err);
bqb_status bqb_tokenizer_open_json(bqb_tokenizer **out, const char *path, bqb_err *err); /* a tokenizer.json under any name */
void bqb_tokenizer_close(bqb_tokenizer *t);

/* The vocabulary of a model folder, in fresh memory: vocab.txt, or for BPE vocab.json with its merges.txt; where
 * that is not there, but a tokenizer.json is, this. NULL when memory is out. */
char *bqb_tokenizer_find(const char *dir, bool bpe);

bool bqb_tokenizer_is_bpe(const bqb_tokenizer *t);
size_t bqb_tokenizer_size(const bqb_tokenizer *t);                   /* ids are below it */
const char *bqb_tokenizer_token(const bqb_tokenizer *t, size_t id); /* borrowed, or NULL */
int32_t bqb_tokenizer_pad(const bqb_tokenizer *t);                   /* fills up a row of ids */

/* The text between start and end token, as many ids as fit max_ids (≥ 2); the rest of
 * ids[0 … max_ids-1] is padding. Returns how many precede it. Cannot fail; any thread. */
size_t bqb_tokenizer_encode(const bqb_tokenizer *t, int32_t *ids, size_t max_ids, const char *text, size_t n_bytes);

/* Copy the file or files of the vocabulary at path into dir, under the names that
 * models have them by. A file that is already there under that name stays. */
bqb_status bqb_tokenizer_copy(const char *path, const char *dir, bqb_err *err);

#endif
