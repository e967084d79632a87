/* BERT tokenization: basic splitting, then greedy longest-match WordPiece.
 * Source: github.com/google-research/bert tokenization.py, as Chinese-CLIP uses it. */
#ifndef BQB_TEXT_WORDPIECE_H
#define BQB_TEXT_WORDPIECE_H

#include "text/bpe.h"

typedef struct bqb_wordpiece bqb_wordpiece;

/* Read vocab.txt (one token a line, its line number is its id). [UNK], [CLS],
 * [SEP] and [PAD] must be there: BQB_EFORMAT names the missing one. */
bqb_status bqb_wordpiece_open(bqb_wordpiece **out, const char *path, bqb_err *err);

/* The same from a list, which is sorted; nothing is kept of it. Ids are 0 … n-1 without a gap. `path` is for messages. */
bqb_status bqb_wordpiece_new(bqb_wordpiece **out, bqb_bpe_entry *token, size_t n, const char *path, bqb_err *err);
void bqb_wordpiece_close(bqb_wordpiece *wp);

size_t bqb_wordpiece_size(const bqb_wordpiece *wp);             /* tokens in the vocabulary */
const char *bqb_wordpiece_token(const bqb_wordpiece *wp, size_t id); /* borrowed, or NULL */
int32_t bqb_wordpiece_pad(const bqb_wordpiece *wp);

/* Lower-case, turn “ ” into ", split, and write [CLS] … [SEP] to ids, cut so
 * that at most max_ids (≥ 2) are written, [SEP] kept; the rest of
 * ids[0 … max_ids-1] is filled with [PAD]. Returns how many precede the padding.
 * Invalid UTF-8 is read as U+FFFD. A word over 200 code points, or with a part
 * that no token spells, is one [UNK]. Cannot fail; any thread. */
size_t bqb_wordpiece_encode(const bqb_wordpiece *wp, int32_t *ids, size_t max_ids,
                            const char *text, size_t n_bytes);

#endif
