#include "file/npy.h"

#include <inttypes.h>
#include <string.h>

enum { HEADER_BYTES = 128, MAX_HEADER_BYTES = 1 << 16, ROW_CHUNK = 4096 };
static const char magic[6] = "\x93NUMPY";

/* The header has room for any shape, so that it can be written again at the end. */
static bqb_status write_header(bqb_npy_writer *w, bqb_err *err) {
    char h[HEADER_BYTES + 1];
    int n = snprintf(h + 10, sizeof h - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                     w->dtype == BQB_F16 ? "<f2" : "<f4", w->N, w->D);
    memset(h + 10 + n, ' ', (size_t)(HEADER_BYTES - 10 - n));
    h[HEADER_BYTES - 1] = '\n';
    memcpy(h, magic, 6);
    h[6] = 1;
    h[7] = 0;
    h[8] = HEADER_BYTES - 10;
    h[9] = 0;
    return bqb_outfile_write(&w->out, h, HEADER_BYTES, err);
}

bqb_status bqb_npy_writer_open(bqb_npy_writer *w, const char *path, bqb_dtype dtype, size_t D, bqb_err *err) {
    *w = (bqb_npy_writer){.dtype = dtype, .D = D};
    if (dtype != BQB_F32 && dtype != BQB_F16)
        return bqb_fail(err, BQB_EINVAL, "%s: %s cannot be written, F32 and F16 can", path,
                        bqb_dtype_name(dtype));
    bqb_status s = bqb_outfile_open(&w->out, path, err);
    if (!s) s = write_header(w, err);
    if (s) bqb_npy_writer_abort(w);
    return s;
}

bqb_status bqb_npy_writer_add(bqb_npy_writer *w, const float *rows, size_t n, bqb_err *err) {
    size_t count;
    if (__builtin_mul_overflow(n, w->D, &count) || count > SIZE_MAX / sizeof *rows)
        return bqb_fail(err, BQB_EINVAL, "%s: %zu rows of %zu are too many", w->out.path, n, w->D);
    bqb_status s = BQB_OK;
    if (w->dtype == BQB_F32) s = bqb_outfile_write(&w->out, rows, count * sizeof *rows, err);
    else {
        uint16_t half[ROW_CHUNK];
        for (size_t i = 0; !s && i < count; i += ROW_CHUNK) {
            size_t k = count - i < ROW_CHUNK ? count - i : ROW_CHUNK;
            for (size_t j = 0; j < k; j++) half[j] = bqb_f32_to_f16(rows[i + j]);
            s = bqb_outfile_write(&w->out, half, k * sizeof *half, err);
        }
    }
    if (!s) w->N += n;
    return s;
}

bqb_status bqb_npy_writer_commit(bqb_npy_writer *w, bqb_err *err) {
    bqb_status s = BQB_OK;
    if (fseeko(w->out.f, 0, SEEK_SET)) s = bqb_fail_errno(err, "%s", w->out.path);
    if (!s) s = write_header(w, err);
    if (!s) s = bqb_outfile_commit(&w->out, err);
    bqb_npy_writer_abort(w);
    return s;
}

void bqb_npy_writer_abort(bqb_npy_writer *w) { bqb_outfile_abort(&w->out); }

bqb_status bqb_npy_write(const char *path, bqb_dtype dtype, const float *x, size_t N, size_t D,
                         bqb_err *err) {
    bqb_npy_writer w;
    bqb_status s = bqb_npy_writer_open(&w, path, dtype, D, err);
    if (!s) s = bqb_npy_writer_add(&w, x, N, err);
    if (!s) s = bqb_npy_writer_commit(&w, err);
    bqb_npy_writer_abort(&w);
    return s;
}

/* The little of Python that the header uses, read from s[at … n-1]. */
typedef struct {
    const char *s;
    size_t at, n;
} cursor;

static bool skip(cursor *c, const char *word) {
    while (c->at < c->n && (c->s[c->at] == ' ' || c->s[c->at] == '\n')) c->at++;
    size_t k = strlen(word);
    if (c->n - c->at < k || memcmp(c->s + c->at, word, k)) return false;
    c->at += k;
    return true;
}

/* A quoted word of at most 19 bytes. */
static bool read_word(cursor *c, char word[20]) {
    bool single = skip(c, "'");
    if (!single && !skip(c, "\"")) return false;
    for (size_t k = 0; k < 20 && c->at < c->n; k++) {
        char x = c->s[c->at++];
        word[k] = x == (single ? '\'' : '"') ? 0 : x;
        if (!word[k]) return x != 0;
    }
    return false;
}

static bool read_count(cursor *c, size_t *out) {
    skip(c, "");
    size_t start = c->at;
    *out = 0;
    for (; c->at < c->n && c->s[c->at] >= '0' && c->s[c->at] <= '9'; c->at++)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (size_t)(c->s[c->at] - '0'), out))
            return false;
    return c->at > start;
}

/* "(3, 4)", "(3,)", "()". At most two are kept, *n_dims counts up to three. */
static bool read_shape(cursor *c, size_t dim[2], size_t *n_dims) {
    *n_dims = 0;
    if (!skip(c, "(")) return false;
    while (!skip(c, ")")) {
        size_t x;
        if (*n_dims && !skip(c, ",")) return false;
        if (skip(c, ")")) return *n_dims == 1;
        if (!read_count(c, &x)) return false;
        if (*n_dims < 2) dim[*n_dims] = x;
        if (*n_dims < 3) ++*n_dims;
    }
    return true;
}

typedef struct {
    char descr[20];
    bool fortran, has_descr, has_order, has_shape;
    size_t dim[2], n_dims;
} header;

static bool read_dict(header *h, cursor c) {
    if (!skip(&c, "{")) return false;
    while (!skip(&c, "}")) {
        char key[20];
        if (!read_word(&c, key) || !skip(&c, ":")) return false;
        bool *seen, good;
        if (!strcmp(key, "descr")) seen = &h->has_descr, good = read_word(&c, h->descr);
        else if (!strcmp(key, "shape")) seen = &h->has_shape, good = read_shape(&c, h->dim, &h->n_dims);
        else if (!strcmp(key, "fortran_order")) {
            seen = &h->has_order;
            h->fortran = skip(&c, "True");
            good = h->fortran || skip(&c, "False");
        } else return false;
        if (!good || *seen) return false;
        *seen = true;
        if (skip(&c, ",")) continue;
        if (!skip(&c, "}")) return false;
        break;
    }
    skip(&c, "");
    return c.at == c.n && h->has_descr && h->has_order && h->has_shape;
}

static bqb_status check_header(bqb_npy *a, const header *h, size_t data_bytes, bqb_err *err) {
    if (!strcmp(h->descr, "<f4")) a->x.dtype = BQB_F32;
    else if (!strcmp(h->descr, "<f2")) a->x.dtype = BQB_F16;
    else return bqb_fail(err, BQB_EUNSUPPORTED, "numbers are '%s', '<f4' or '<f2' is needed", h->descr);
    if (h->fortran)
        return bqb_fail(err, BQB_EUNSUPPORTED, "the matrix is in Fortran order, C order is needed");
    if (h->n_dims != 2)
        return bqb_fail(err, BQB_EUNSUPPORTED, "the array is no matrix: two dimensions are needed");
    a->N = h->dim[0];
    a->D = h->dim[1];
    size_t bytes;
    if (__builtin_mul_overflow(a->N, a->D, &a->x.n) ||
        __builtin_mul_overflow(a->x.n, bqb_dtype_size_bytes(a->x.dtype), &bytes) || bytes != data_bytes)
        return bqb_fail(err, BQB_EFORMAT,
                        "%zu bytes of data do not hold the [%zu,%zu] %s that the header names", data_bytes,
                        a->N, a->D, bqb_dtype_name(a->x.dtype));
    return BQB_OK;
}

static bqb_status read_header(bqb_npy *a, bqb_err *err) {
    const uint8_t *p = a->map.data;
    size_t n = a->map.size;
    if (n < 10 || memcmp(p, magic, 6)) return bqb_fail_at(err, BQB_EFORMAT, 0, "not a .npy file");
    if (p[6] < 1 || p[6] > 3)
        return bqb_fail_at(err, BQB_EFORMAT, 6, "version %d.%d of .npy is not known", p[6], p[7]);
    size_t start = p[6] == 1 ? 10 : 12;
    if (n < start) return bqb_fail_at(err, BQB_EFORMAT, 8, "the file ends in its header");
    size_t length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > MAX_HEADER_BYTES)
        return bqb_fail_at(err, BQB_ELIMIT, 8, "header of %zu bytes, at most %d are allowed", length,
                           MAX_HEADER_BYTES);
    if (length > n - start)
        return bqb_fail_at(err, BQB_EFORMAT, 8, "header of %zu bytes, the file has only %zu more", length,
                           n - start);
    header h = {0};
    if (!read_dict(&h, (cursor){.s = (const char *)p + start, .n = length}))
        return bqb_fail_at(err, BQB_EFORMAT, (int64_t)start,
                           "the header is not a dict of descr, fortran_order and shape");
    bqb_status s = check_header(a, &h, n - start - length, err);
    if (s) return s;
    a->x.name = "npy";
    a->x.n_dims = 2;
    a->x.dim[0] = a->N;
    a->x.dim[1] = a->D;
    a->x.data = p + start + length;
    return BQB_OK;
}

bqb_status bqb_npy_open(bqb_npy *a, const char *path, bqb_err *err) {
    *a = (bqb_npy){0};
    bqb_status s = bqb_map_open(&a->map, path, err);
    if (s) return s;
    s = read_header(a, err);
    if (s) {
        bqb_err_prefix(err, path);
        bqb_npy_close(a);
    }
    return s;
}

void bqb_npy_close(bqb_npy *a) {
    bqb_map_close(&a->map);
    *a = (bqb_npy){0};
}

bqb_status bqb_npy_rows(float *out, const bqb_npy *a, size_t first, size_t n, bqb_err *err) {
    if (first > a->N || n > a->N - first)
        return bqb_fail(err, BQB_EINVAL, "there are %zu rows, %zu from %zu were asked for", a->N, n, first);
    return bqb_tensor_to_f32(out, &a->x, first * a->D, n * a->D, err);
}
