/* Learning the vocabulary of a byte-level BPE tokenizer from text: the pair of neighbouring
 * tokens that is seen most becomes a token, and so on. Texts are normalised (NFC) and cut
 * into pieces by Qwen2's rule (pieces.h); no token reaches over a piece's end.
 *
 * Two rules are stricter than usual, for small vocabularies and Chinese text, in which a piece is
 * a whole clause: a token has at most `longest` bytes, and it is whole characters, or a part of
 * one, never a character and a part of the next.
 * Source: Sennrich et al., arXiv:1508.07909. */
#ifndef BQB_TEXT_BPE_LEARN_H
#define BQB_TEXT_BPE_LEARN_H

#include "base/err.h"

enum {
    BQB_BPE_LEARN_BYTES = 1 << 30,
    BQB_BPE_LEARN_TOKENS = 1 << 18
}; /* at most: bytes of different pieces; tokens */

typedef struct bqb_bpe_learner bqb_bpe_learner;

/* longest: bytes of a token, at least 1; 12 are four Chinese characters. */
bqb_status bqb_bpe_learner_new(bqb_bpe_learner **out, size_t longest, bqb_err *err);
void bqb_bpe_learner_free(bqb_bpe_learner *l);

/* Take in a text; as often as wanted. Bad UTF-8 is read as U+FFFD. Equal pieces cost no further memory.
 * BQB_ENOMEM, BQB_ELIMIT: the learner stays as it was before this text's last pieces. */
bqb_status bqb_bpe_learner_add(bqb_bpe_learner *l, const char *text, size_t n_bytes, bqb_err *err);

/* Learn `size` tokens (the 256 bytes among them, which come first) and write them as Hugging Face's
 * tokenizer.json, with the n_added tokens after them. Fewer where no pair is seen twice any more; *learnt
 * (or NULL) says how many. The most frequent pair first, of equal ones that of the lower ids: the same texts
 * in any order give the same file. Ends what was taken in: only _free may follow.
 * BQB_EINVAL: size outside 256 … BQB_BPE_LEARN_TOKENS; of the file; BQB_ENOMEM; BQB_ECANCEL. */
bqb_status bqb_bpe_learner_write(bqb_bpe_learner *l, const char *path, size_t size, const char *const *added,
                                 size_t n_added, size_t *learnt, bqb_progress_fn progress, void *ctx,
                                 bqb_err *err);

#endif
