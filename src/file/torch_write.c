#include "file/pickle.h"
#include "file/torch.h"
#include "file/torch_names.h"
#include "file/zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only opcodes that torch.load(weights_only=True) takes: protocol 2. */
enum { MAX_PICKLE = 64 << 20 };

static bqb_status put(bqb_buf *b, const void *bytes, size_t n, bqb_err *err) { return bqb_buf_append(b, bytes, n, err); }

static bqb_status put_text(bqb_buf *b, const char *prefix, const char *text, bqb_err *err) {
    size_t n = strlen(prefix), m = strlen(text), len = n + m;
    uint8_t head[5] = {'X', (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};
    bqb_status s = put(b, head, sizeof head, err);
    if (!s) s = put(b, prefix, n, err);
    return s ? s : put(b, text, m, err);
}

/* BININT for what fits into 31 bits, else LONG1. */
static bqb_status put_int(bqb_buf *b, size_t i, bqb_err *err) {
    uint8_t out[11] = {0x8a, 9};
    if (i <= INT32_MAX) out[0] = 'J';
    size_t at = i <= INT32_MAX ? 1 : 2, n = i <= INT32_MAX ? 4 : 9;
    for (size_t k = 0; k < n; k++) out[at + k] = (uint8_t)(k < 8 ? i >> 8 * k & 0xff : 0);
    return put(b, out, at + n, err);
}

static bqb_status put_global(bqb_buf *b, const char *name, bqb_err *err) {
    const char *dot = strrchr(name, '.');
    return bqb_buf_printf(b, err, "c%.*s\n%s\n", (int)(dot - name), name, dot + 1);
}

static bqb_status put_sizes(bqb_buf *b, const size_t *v, size_t n, bqb_err *err) {
    bqb_status s = put(b, "(", 1, err);
    for (size_t i = 0; i < n && !s; i++) s = put_int(b, v[i], err);
    return s ? s : put(b, "t", 1, err);
}

/* _rebuild_tensor_v2(('storage', torch.FloatStorage, 'KEY', 'cpu', n), 0, shape, strides, False, OrderedDict()) */
static bqb_status put_tensor(bqb_buf *b, const bqb_tensor *t, size_t key, const char *prefix, bqb_err *err) {
    size_t stride[BQB_TENSOR_DIMS], step = 1;
    char number[24];
    snprintf(number, sizeof number, "%zu", key);
    for (size_t d = t->n_dims; d-- > 0; step *= t->dim[d] ? t->dim[d] : 1) stride[d] = step;
    bqb_status s = put_text(b, prefix, t->name, err);
    if (!s) s = put_global(b, "torch._utils._rebuild_tensor_v2", err);
    if (!s) s = put(b, "((", 2, err);
    if (!s) s = put_text(b, "", "storage", err);
    if (!s) s = put_global(b, bqb_torch_storage[t->dtype], err);
    if (!s) s = put_text(b, "", number, err);
    if (!s) s = put_text(b, "", "cpu", err);
    if (!s) s = put_int(b, t->n, err);
    if (!s) s = put(b, "tQ", 2, err);
    if (!s) s = put_int(b, 0, err);
    if (!s) s = put_sizes(b, t->dim, t->n_dims, err);
    if (!s) s = put_sizes(b, stride, t->n_dims, err);
    if (!s) s = put(b, "\x89", 1, err);
    if (!s) s = put_global(b, "collections.OrderedDict", err);
    return s ? s : put(b, ")RtR", 4, err);
}

static bqb_status put_all(bqb_buf *b, const bqb_tensor *t, size_t n, const char *prefix, bqb_err *err) {
    bqb_status s = put(b, "\x80\x02}(", 4, err);
    if (!s) s = put_text(b, "", "epoch", err);
    if (!s) s = put_int(b, 0, err);
    if (!s) s = put_text(b, "", "step", err);
    if (!s) s = put_int(b, 0, err);
    if (!s) s = put_text(b, "", "state_dict", err);
    if (!s) s = put_global(b, "collections.OrderedDict", err);
    if (!s) s = put(b, ")R(", 3, err);
    for (size_t i = 0; i < n && !s; i++) s = put_tensor(b, &t[i], i, prefix, err);
    return s ? s : put(b, "uu.", 3, err);
}

bqb_status bqb_torch_write(const char *path, const bqb_tensor *t, size_t n, const char *prefix, bqb_err *err) {
    bqb_zip_writer w = {0};
    bqb_buf pickle = {.max = MAX_PICKLE};
    for (size_t i = 0; i < n; i++) {
        size_t count = 1;
        bool good = (unsigned)t[i].dtype < BQB_DTYPES && t[i].n_dims <= BQB_TENSOR_DIMS && *t[i].name;
        for (size_t d = 0; good && d < t[i].n_dims; d++) good = !__builtin_mul_overflow(count, t[i].dim[d], &count);
        if (!good || count != t[i].n)
            return bqb_fail(err, BQB_EINVAL, "%s: tensor \"%.100s\": its type, shape and count do not agree", path, t[i].name);
        if (!bqb_torch_storage[t[i].dtype])
            return bqb_fail(err, BQB_EUNSUPPORTED, "%s: tensor \"%.100s\": PyTorch has no storage for %s", path, t[i].name,
                            bqb_dtype_name(t[i].dtype));
    }
    bqb_status s = put_all(&pickle, t, n, prefix, err);
    if (!s) s = bqb_zip_writer_open(&w, path, err);
    if (!s) s = bqb_zip_writer_add(&w, "archive/data.pkl", pickle.data, pickle.len, err);
    if (!s) s = bqb_zip_writer_add(&w, "archive/byteorder", "little", 6, err);
    for (size_t i = 0; i < n && !s; i++) {
        char name[40];
        snprintf(name, sizeof name, "archive/data/%zu", i);
        s = bqb_zip_writer_add(&w, name, t[i].data, t[i].n * bqb_dtype_size_bytes(t[i].dtype), err);
    }
    if (!s) s = bqb_zip_writer_add(&w, "archive/version", "3\n", 2, err);
    if (!s) s = bqb_zip_writer_commit(&w, err);
    bqb_zip_writer_abort(&w);
    bqb_buf_free(&pickle);
    return s;
}
