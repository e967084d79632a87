/* Many texts as unit features. */
#ifndef BQB_MODEL_TEXTS_H
#define BQB_MODEL_TEXTS_H

#include "bqb.h"
#include "model/clip.h"

/* Unit features of texts, [n,D]; texts of like length are encoded together. */
bqb_status bqb_embed_texts(float *out, bqb_clip *m, const bqb_tokenizer *tok, const char *const *texts, size_t n,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);

#endif
