/* Language models of random weights, as files: for measuring. */
#ifndef BQB_MODEL_DECODER_RANDOM_H
#define BQB_MODEL_DECODER_RANDOM_H

#include "math/rows.h"
#include "model/decoder.h"

/* Write one: for BQB_ROW_BF16 a Hugging Face folder (made), for other kinds a GGUF file whose matrices are of that kind,
 * mixed with finer ones as llama.cpp's "_M" files are, and finer ones where a row is no whole number of blocks.
 * There is no tokenizer. Errors: BQB_EIO; what was written stays, for the caller to remove. */
bqb_status bqb_decoder_write_random(const char *path, const bqb_decoder_config *c, bqb_row_kind kind, bqb_err *err);

#endif
