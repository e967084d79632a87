/* A small writer of GGUF files, for tests. */
#ifndef BQB_TEST_GGUF_WRITE_H
#define BQB_TEST_GGUF_WRITE_H

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    bqb_buf keys, tensors, data;
    uint64_t n_keys, n_tensors;
} gguf_writer;

static inline gguf_writer gguf_begin(void) {
    return (gguf_writer){.keys = {.max = 1 << 26}, .tensors = {.max = 1 << 26}, .data = {.max = 1 << 26}};
}

static inline void gguf_put(bqb_buf *b, uint64_t v, size_t n) {
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> 8 * i);
    bqb_buf_append(b, bytes, n, NULL);
}

static inline void gguf_put_text(bqb_buf *b, const char *s) {
    gguf_put(b, strlen(s), 8);
    bqb_buf_puts(b, s, NULL);
}

static inline void gguf_key(gguf_writer *w, const char *key, uint32_t type) {
    gguf_put_text(&w->keys, key);
    gguf_put(&w->keys, type, 4);
    w->n_keys++;
}

static inline void gguf_u32(gguf_writer *w, const char *key, uint32_t v) {
    gguf_key(w, key, 4);
    gguf_put(&w->keys, v, 4);
}

static inline void gguf_f32(gguf_writer *w, const char *key, float v) {
    uint32_t u;
    memcpy(&u, &v, 4);
    gguf_key(w, key, 6);
    gguf_put(&w->keys, u, 4);
}

static inline void gguf_text(gguf_writer *w, const char *key, const char *v) {
    gguf_key(w, key, 8);
    gguf_put_text(&w->keys, v);
}

/* rows 0: a vector. */
static inline void gguf_tensor(gguf_writer *w, const char *name, uint32_t type, size_t rows, size_t cols, const void *data, size_t bytes) {
    gguf_put_text(&w->tensors, name);
    gguf_put(&w->tensors, rows ? 2 : 1, 4);
    gguf_put(&w->tensors, cols, 8);
    if (rows) gguf_put(&w->tensors, rows, 8);
    gguf_put(&w->tensors, type, 4);
    while (w->data.len % 32) gguf_put(&w->data, 0, 1);
    gguf_put(&w->tensors, w->data.len, 8);
    bqb_buf_append(&w->data, data, bytes, NULL);
    w->n_tensors++;
}

/* The whole file into `out`; ends the writer. */
static inline void gguf_end(gguf_writer *w, bqb_buf *out) {
    bqb_buf_puts(out, "GGUF", NULL);
    gguf_put(out, 3, 4);
    gguf_put(out, w->n_tensors, 8);
    gguf_put(out, w->n_keys, 8);
    bqb_buf_append(out, w->keys.data, w->keys.len, NULL);
    bqb_buf_append(out, w->tensors.data, w->tensors.len, NULL);
    while (out->len % 32) gguf_put(out, 0, 1);
    bqb_buf_append(out, w->data.data, w->data.len, NULL);
    bqb_buf_free(&w->keys);
    bqb_buf_free(&w->tensors);
    bqb_buf_free(&w->data);
}

#endif
