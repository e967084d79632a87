/* The text that models/mini-lm is trained on: conversations in ChatML, made from the templates of data/lm, the
 * learning side of data/chat and the annotations of stickers that bqb synth could draw. No end: document i depends on
 * the options and i alone. Nothing of the test side of data/chat is in it, nor a combination of subject and
 * phrase of the test side of bqb synth. docs/mini-lm.md says what it is made of and why. */
#ifndef BQB_CHAT_CORPUS_H
#define BQB_CHAT_CORPUS_H

#include "base/mem.h"

typedef struct bqb_corpus bqb_corpus;

/* data_dir holds lm/ and chat/ and what bqb synth reads; NULL: the data that bqb comes with. For one caller at a time. */
bqb_status bqb_corpus_open(bqb_corpus **out, const char *data_dir, uint64_t seed, bqb_err *err);
void bqb_corpus_close(bqb_corpus *c);

/* Append document i, its added tokens written out. */
bqb_status bqb_corpus_document(bqb_corpus *c, bqb_buf *out, uint64_t i, bqb_err *err);

#endif
