/* What a training of a language model leaves in its folder: checkpoint, tables of figures, tokenizer. */
#ifndef BQB_TRAIN_PRETRAIN_KEEP_H
#define BQB_TRAIN_PRETRAIN_KEEP_H

#include "text/llm_tokenizer.h"
#include "train/pretrain.h"

typedef struct {
    uint64_t step, document, tokens; /* done */
} bqb_pretrain_place;

/* Settings that the result depends on, as one line. */
bqb_status bqb_pretrain_settings(bqb_buf *out, const bqb_pretrain_options *o, bqb_err *err);

bqb_status bqb_pretrain_save(const bqb_pretrain_options *o, bqb_decoder *m, const float *mom, const float *var, const bqb_pretrain_place *at,
                             bqb_err *err);
bqb_status bqb_pretrain_load(const bqb_pretrain_options *o, bqb_decoder *m, float *mom, float *var, bqb_pretrain_place *at, bqb_err *err);
bool bqb_pretrain_begun(const bqb_pretrain_options *o);

/* OUT/tokenizer.json: the one that is named, copied; or learnt; or, resuming, the one that is there. */
bqb_status bqb_pretrain_tokenizer(bqb_llm_tokenizer **tok, const bqb_pretrain_options *o, bqb_err *err);

/* Add a line to a table. */
bqb_status bqb_pretrain_line(const bqb_pretrain_options *o, const char *name, bqb_err *err, const char *fmt, ...) BQB_PRINTF(4, 5);

#endif
