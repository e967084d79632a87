/* safetensors: named arrays in one mapped file.
 * Format: 8-byte little-endian header length, JSON header, data. The file is
 * treated as hostile: every offset, shape and name is checked before use.
 * Source: github.com/huggingface/safetensors, "Format". */
#ifndef BQB_FILE_SAFETENSORS_H
#define BQB_FILE_SAFETENSORS_H

#include "base/err.h"

typedef enum {
    BQB_F32, BQB_F16, BQB_BF16, BQB_F64,
    BQB_I8, BQB_U8, BQB_I16, BQB_U16, BQB_I32, BQB_U32, BQB_I64, BQB_U64, BQB_BOOL,
    BQB_DTYPES
} bqb_dtype;

const char *bqb_dtype_name(bqb_dtype t);     /* as safetensors writes it: "BF16" */
size_t bqb_dtype_size_bytes(bqb_dtype t);

enum { BQB_TENSOR_DIMS = 8 };

typedef struct {
    const char *name;
    bqb_dtype dtype;
    size_t n_dims, dim[BQB_TENSOR_DIMS]; /* n_dims 0 is a scalar */
    size_t n;                            /* elements */
    const void *data;                    /* little-endian, may be unaligned, n * size bytes */
} bqb_tensor;

typedef struct bqb_safetensors bqb_safetensors;

/* Map one file. Tensors, their names and data are borrowed until close.
 * Errors: BQB_EIO; BQB_EFORMAT and BQB_ELIMIT (header over 100 MB, over 1 Mi
 * tensors, over 8 dimensions) name the file, the tensor and the offence. */
bqb_status bqb_safetensors_open(bqb_safetensors **out, const char *path, bqb_err *err);

/* A Hugging Face folder's weights: model.safetensors, or all the shards that
 * model.safetensors.index.json names (shard names may not leave the folder). */
bqb_status bqb_safetensors_open_folder(bqb_safetensors **out, const char *dir, bqb_err *err);
void bqb_safetensors_close(bqb_safetensors *st);

/* The same view of tensors that another kind of file holds: t [n] is copied, its
 * names and data live in `owner`, which free_owner frees on close, and on
 * failure too. BQB_EFORMAT: a name twice; `path` is for the message. */
bqb_status bqb_safetensors_adopt(bqb_safetensors **out, const bqb_tensor *t, size_t n, const char *path, void *owner,
                                 void (*free_owner)(void *), bqb_err *err);

size_t bqb_safetensors_count(const bqb_safetensors *st);
const bqb_tensor *bqb_safetensors_at(const bqb_safetensors *st, size_t i); /* in name order */
const bqb_tensor *bqb_safetensors_find(const bqb_safetensors *st, const char *name); /* or NULL */

/* Value of a "__metadata__" key, or NULL. */
const char *bqb_safetensors_metadata(const bqb_safetensors *st, const char *key);

/* Convert elements [first, first+n) of an F32, F16, BF16 or F64 tensor to f32.
 * BQB_EUNSUPPORTED for integers, BQB_EINVAL when the range is outside. */
bqb_status bqb_tensor_to_f32(float *out, const bqb_tensor *t, size_t first, size_t n, bqb_err *err);

/* Writing: declare every tensor, then the file appears in one step (see
 * bqb_outfile): 8-byte aligned data, names sorted. `metadata` is pairs
 * key, value, …, NULL, or NULL. Data is borrowed for the call. */
bqb_status bqb_safetensors_write(const char *path, const bqb_tensor *t, size_t n,
                                 const char *const *metadata, bqb_err *err);

/* IEEE half and bfloat16 from f32, rounded to nearest even. */
uint16_t bqb_f32_to_f16(float x);
float bqb_f16_to_f32(uint16_t h);
uint16_t bqb_f32_to_bf16(float x);
float bqb_bf16_to_f32(uint16_t h);

#endif
