/* Byte-level byte-pair encoding, as GPT-2 and CLIP have it: the vocabulary, the
 * merges, and how one word becomes tokens. What a word is (splitting,
 * lower-casing, special tokens) differs from model to model: clip_bpe.h.
 *
 * In the files a byte is written as a character that can be seen: 33 … 126,
 * 161 … 172 and 174 … 255 as themselves, the rest in order as U+0100 … U+0143.
 * Source: github.com/openai/gpt-2 encoder.py; Sennrich et al., arXiv:1508.07909. */
#ifndef BQB_TEXT_BPE_H
#define BQB_TEXT_BPE_H

#include "base/err.h"

typedef struct bqb_bpe bqb_bpe;

/* Read vocab.json (one object, token → id) and merges.txt (two tokens a line,
 * what is merged first comes first). `end` is what the last token of a word
 * ends with: "</w>", or "" where words are not marked. Ids may have gaps, at
 * most 2^20 of them. BQB_EFORMAT names the token or the line that is wrong. */
bqb_status bqb_bpe_open(bqb_bpe **out, const char *vocab_path, const char *merges_path, const char *end,
                        bqb_err *err);
void bqb_bpe_close(bqb_bpe *b);

/* The same from lists: what other kinds of file hold. Nothing is kept of them. `path` is for
 * messages; `line` numbers merges there, from 1. Ids are below 2^20. */
typedef struct {
    const char *s;
    size_t n;
    int64_t id;
} bqb_bpe_entry;
typedef struct {
    const char *left, *right;
    size_t n_left, n_right;
} bqb_bpe_merge;
bqb_status bqb_bpe_new(bqb_bpe **out, const bqb_bpe_entry *token, size_t n_tokens, const bqb_bpe_merge *merge,
                       size_t n_merges, const char *end, const char *path, bqb_err *err);

size_t bqb_bpe_size(const bqb_bpe *b);                   /* the largest id + 1 */
const char *bqb_bpe_token(const bqb_bpe *b, size_t id); /* as in the file; borrowed; NULL: no such id */

/* The character that the files write a byte as; and back, -1 when it stands for none. */
uint32_t bqb_bpe_seen(uint8_t byte);
int bqb_bpe_byte(uint32_t c);

enum { BQB_BPE_NONE = -1 };

/* The id of a token as it is written in the file, or BQB_BPE_NONE. */
int32_t bqb_bpe_find(const bqb_bpe *b, const char *token, size_t n_bytes);

/* The tokens of one word of n bytes: neighbours are merged, the earliest of the
 * lowest rank first, until no merge is left.
 *   ids   out [n] ids, of which as many count as are returned; a byte that the
 *         vocabulary lacks is BQB_BPE_NONE and merges with nothing
 *   work  [BQB_BPE_WORK(n)] scratch
 * Cannot fail; any thread; n log n steps. */
#define BQB_BPE_WORK(n) (6 * (n))
size_t bqb_bpe_word(const bqb_bpe *b, int32_t *ids, const char *word, size_t n, uint32_t *work);

#endif
