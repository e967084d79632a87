/* The tokenizer of OpenAI's CLIP, as Hugging Face's CLIPTokenizerFast runs it:
 * NFC, lower case, CLIP's words, byte-level BPE with "</w>" at a word's end.
 * Source: github.com/openai/CLIP simple_tokenizer.py; Hugging Face transformers. */
#ifndef BQB_TEXT_CLIP_BPE_H
#define BQB_TEXT_CLIP_BPE_H

#include "text/bpe.h"

typedef struct bqb_clip_bpe bqb_clip_bpe;

/* Read vocab.json and merges.txt. <|startoftext|> and <|endoftext|> must be
 * there: BQB_EFORMAT names the missing one. */
bqb_status bqb_clip_bpe_open(bqb_clip_bpe **out, const char *vocab_path, const char *merges_path, bqb_err *err);

/* The same from lists, as bqb_bpe_new. */
bqb_status bqb_clip_bpe_new(bqb_clip_bpe **out, const bqb_bpe_entry *token, size_t n_tokens, const bqb_bpe_merge *merge,
                            size_t n_merges, const char *path, bqb_err *err);
void bqb_clip_bpe_close(bqb_clip_bpe *t);

size_t bqb_clip_bpe_size(const bqb_clip_bpe *t);                   /* the largest id + 1 */
const char *bqb_clip_bpe_token(const bqb_clip_bpe *t, size_t id); /* borrowed, or NULL */
int32_t bqb_clip_bpe_end(const bqb_clip_bpe *t);                   /* <|endoftext|>, which also pads */

/* Write start … end to ids, cut so that at most max_ids (≥ 2) are written, the
 * end kept; the rest of ids[0 … max_ids-1] is filled with the end's id. Returns
 * how many precede the padding. Words are 's 't 're 've 'm 'll 'd, runs of
 * letters, single digits, runs of what is neither letter, digit nor white space.
 * The two special tokens written out in the text become their ids. Invalid UTF-8
 * is read as U+FFFD. A byte that the vocabulary lacks is the end's id. A word over
 * 2,048 bytes is read as several. Cannot fail; any thread. */
size_t bqb_clip_bpe_encode(const bqb_clip_bpe *t, int32_t *ids, size_t max_ids, const char *text, size_t n_bytes);

#endif
