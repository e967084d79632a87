/* Text files as documents to train a language model on. */
#ifndef BQB_TRAIN_PRETRAIN_TEXT_H
#define BQB_TRAIN_PRETRAIN_TEXT_H

#include "base/mem.h"

#include <stdbool.h>

typedef struct bqb_text_documents bqb_text_documents;

/* Documents are divided by <|endoftext|>; in a file without one, by empty lines. Every 50th is held out. At most 1 GiB in all.
 * BQB_EINVAL: fewer than 50 documents. */
bqb_status bqb_text_documents_open(bqb_text_documents **out, const char *const *path, size_t n, bqb_err *err);
void bqb_text_documents_close(bqb_text_documents *d);
size_t bqb_text_documents_count(const bqb_text_documents *d, bool held_out);

/* A bqb_document_fn; after the last comes the first again. ctx: bqb_text_documents. */
bqb_status bqb_text_document(void *ctx, bool held_out, uint64_t i, bqb_buf *out, bqb_err *err);

#endif
