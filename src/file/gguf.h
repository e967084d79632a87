/* GGUF: a language model in one mapped file: typed keys and values, then tensors.
 * Read only; versions 2 and 3, little-endian. The file is treated as hostile: every
 * count, length, type and offset is checked before use, and tensors lie inside the file.
 * Source: ggml's docs/gguf.md. */
#ifndef BQB_FILE_GGUF_H
#define BQB_FILE_GGUF_H

#include "base/err.h"

#include <stdbool.h>

typedef struct bqb_gguf bqb_gguf;

/* Errors: BQB_EIO; BQB_EFORMAT, BQB_ELIMIT (over 1 Mi keys, tensors or nested arrays), BQB_EVERSION; with
 * the file's name and the place. Everything that accessors give is borrowed until close. */
bqb_status bqb_gguf_open(bqb_gguf **out, const char *path, bqb_err *err);
void bqb_gguf_close(bqb_gguf *g);
const char *bqb_gguf_path(const bqb_gguf *g);

/* Does the file begin as GGUF does? */
bool bqb_is_gguf(const char *path);

/* n bytes, without a NUL. */
typedef struct {
    const char *s;
    size_t n;
} bqb_gguf_text;

/* A value by its key; false when there is none, or it is of another kind. Numbers of every width and bools convert. */
bool bqb_gguf_number(const bqb_gguf *g, const char *key, double *value);
bool bqb_gguf_text_of(const bqb_gguf *g, const char *key, bqb_gguf_text *value);

/* An array's length; 0 and false when there is none of that kind. */
bool bqb_gguf_texts(const bqb_gguf *g, const char *key, size_t *n);     /* an array of texts */
bool bqb_gguf_numbers(const bqb_gguf *g, const char *key, size_t *n);   /* an array of numbers */
double bqb_gguf_number_at(const bqb_gguf *g, const char *key, size_t i); /* i < n */

/* fn for each text of an array, in order; non-zero stops (BQB_ECANCEL). BQB_ENOTFOUND: no such array. */
typedef int (*bqb_gguf_text_fn)(void *ctx, size_t i, bqb_gguf_text text);
bqb_status bqb_gguf_each_text(const bqb_gguf *g, const char *key, bqb_gguf_text_fn fn, void *ctx, bqb_err *err);

enum { BQB_GGUF_DIMS = 4 };

/* type: ggml's number; dim[0] is the length of a row. `bytes` are those of its numbers; of a type that is
 * not known, all up to the next tensor or the end of the file. No two tensors share bytes. */
typedef struct {
    bqb_gguf_text name;
    uint32_t type;
    size_t n_dims, dim[BQB_GGUF_DIMS];
    const void *data;
    size_t bytes;
} bqb_gguf_tensor;

size_t bqb_gguf_tensor_count(const bqb_gguf *g);
const bqb_gguf_tensor *bqb_gguf_tensor_at(const bqb_gguf *g, size_t i);          /* in the file's order */
const bqb_gguf_tensor *bqb_gguf_tensor_find(const bqb_gguf *g, const char *name); /* or NULL */

/* "Q4_K": ggml's name of a type; "type 99" where it has none (static, per thread). */
const char *bqb_gguf_type_name(uint32_t type);

#endif
