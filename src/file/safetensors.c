#include "file/safetensors.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the data of a safetensors file is used as it lies: little-endian machines only"
#endif

#define MAX_HEADER_BYTES ((size_t)100 << 20)
#define MAX_TENSORS ((size_t)1 << 20)
enum { MAX_SHARDS = 4096, MAX_DEPTH = 8, ITEMS_PER_TENSOR = 24 };

static const struct {
    const char *name;
    size_t size;
} dtypes[BQB_DTYPES] = {
    [BQB_F32] = {"F32", 4},   [BQB_F16] = {"F16", 2}, [BQB_BF16] = {"BF16", 2}, [BQB_F64] = {"F64", 8},
    [BQB_I8] = {"I8", 1},     [BQB_U8] = {"U8", 1},   [BQB_I16] = {"I16", 2},   [BQB_U16] = {"U16", 2},
    [BQB_I32] = {"I32", 4},   [BQB_U32] = {"U32", 4}, [BQB_I64] = {"I64", 8},   [BQB_U64] = {"U64", 8},
    [BQB_BOOL] = {"BOOL", 1},
};

const char *bqb_dtype_name(bqb_dtype t) { return (unsigned)t < BQB_DTYPES ? dtypes[t].name : "?"; }

size_t bqb_dtype_size_bytes(bqb_dtype t) { return (unsigned)t < BQB_DTYPES ? dtypes[t].size : 0; }

/* One mapped file. `info` is its parsed header, which owns the tensors' names. */
typedef struct {
    bqb_map map;
    json_t *info;
} shard;

struct bqb_safetensors {
    shard *shard;
    size_t n_shards;
    bqb_tensor *tensor; /* in name order */
    size_t n, cap;
    void *owner; /* of adopted tensors */
    void (*free_owner)(void *);
};

void bqb_safetensors_close(bqb_safetensors *st) {
    if (!st) return;
    for (size_t i = 0; i < st->n_shards; i++) {
        json_decref(st->shard[i].info);
        bqb_map_close(&st->shard[i].map);
    }
    if (st->free_owner) st->free_owner(st->owner);
    free(st->shard);
    free(st->tensor);
    free(st);
}

static bqb_status parse_dtype(bqb_dtype *out, const char *name, const json_t *info, bqb_err *err) {
    const char *text = json_string_value(json_object_get(info, "dtype"));
    if (!text) return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\" has no dtype", name);
    for (unsigned i = 0; i < BQB_DTYPES; i++) {
        if (strcmp(text, dtypes[i].name)) continue;
        *out = (bqb_dtype)i;
        return BQB_OK;
    }
    return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\" has dtype \"%.20s\", which is not known", name,
                    text);
}

static bool json_to_size(size_t *out, const json_t *j) {
    if (!json_is_integer(j) || json_integer_value(j) < 0) return false;
    *out = (size_t)json_integer_value(j);
    return true;
}

static bqb_status parse_shape(bqb_tensor *t, const json_t *info, bqb_err *err) {
    const json_t *shape = json_object_get(info, "shape");
    if (!json_is_array(shape)) return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\" has no shape", t->name);
    t->n_dims = json_array_size(shape);
    if (t->n_dims > BQB_TENSOR_DIMS)
        return bqb_fail(err, BQB_ELIMIT, "tensor \"%.100s\" has %zu dimensions, at most %d are allowed",
                        t->name, t->n_dims, BQB_TENSOR_DIMS);
    t->n = 1;
    for (size_t d = 0; d < t->n_dims; d++) {
        if (!json_to_size(&t->dim[d], json_array_get(shape, d)))
            return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\": dimension %zu is not a count", t->name, d);
        if (__builtin_mul_overflow(t->n, t->dim[d], &t->n))
            return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\": the product of its shape overflows",
                            t->name);
    }
    return BQB_OK;
}

/* data: the bytes after the header. */
static bqb_status parse_tensor(bqb_tensor *t, const char *name, const json_t *info, const uint8_t *data,
                               size_t size, bqb_err *err) {
    *t = (bqb_tensor){.name = name};
    if (!*name) return bqb_fail(err, BQB_EFORMAT, "a tensor has an empty name");
    if (!json_is_object(info))
        return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\" is not described by an object", name);
    bqb_status s = parse_dtype(&t->dtype, name, info, err);
    if (!s) s = parse_shape(t, info, err);
    if (s) return s;
    const json_t *offsets = json_object_get(info, "data_offsets");
    size_t begin, end, need;
    if (json_array_size(offsets) != 2 || !json_to_size(&begin, json_array_get(offsets, 0)) ||
        !json_to_size(&end, json_array_get(offsets, 1)))
        return bqb_fail(err, BQB_EFORMAT, "tensor \"%.100s\": data_offsets are not two byte positions", name);
    if (begin > end || end > size)
        return bqb_fail(err, BQB_EFORMAT,
                        "tensor \"%.100s\": data_offsets [%zu,%zu] are outside the %zu bytes of data", name,
                        begin, end, size);
    if (__builtin_mul_overflow(t->n, dtypes[t->dtype].size, &need) || need != end - begin)
        return bqb_fail(err, BQB_EFORMAT,
                        "tensor \"%.100s\": %zu elements of %s do not fill data_offsets [%zu,%zu]", name,
                        t->n, dtypes[t->dtype].name, begin, end);
    t->data = data + begin;
    return BQB_OK;
}

static const uint8_t *tensor_end(const bqb_tensor *t) {
    return (const uint8_t *)t->data + t->n * dtypes[t->dtype].size;
}

static int by_position(const void *a, const void *b) {
    const bqb_tensor *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p == q) p = (uintptr_t)tensor_end(x), q = (uintptr_t)tensor_end(y);
    return (p > q) - (p < q);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const bqb_tensor *)a)->name, ((const bqb_tensor *)b)->name);
}

/* The format wants every data byte to belong to exactly one tensor. */
static bqb_status check_coverage(bqb_tensor *t, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    if (n) qsort(t, n, sizeof *t, by_position);
    const uint8_t *at = data;
    for (size_t i = 0; i < n; at = tensor_end(&t[i++])) {
        if (t[i].data == at) continue;
        if ((const uint8_t *)t[i].data < at)
            return bqb_fail(err, BQB_EFORMAT, "tensors \"%.100s\" and \"%.100s\" overlap", t[i - 1].name,
                            t[i].name);
        return bqb_fail(err, BQB_EFORMAT, "%zu bytes before tensor \"%.100s\" belong to no tensor",
                        (size_t)((const uint8_t *)t[i].data - at), t[i].name);
    }
    if (at != data + size)
        return bqb_fail(err, BQB_EFORMAT, "%zu bytes at the end belong to no tensor",
                        (size_t)(data + size - at));
    return BQB_OK;
}

static bqb_status check_metadata(const json_t *metadata, bqb_err *err) {
    if (!metadata) return BQB_OK;
    if (!json_is_object(metadata)) return bqb_fail(err, BQB_EFORMAT, "__metadata__ is not an object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value))
            return bqb_fail(err, BQB_EFORMAT, "__metadata__: the value of \"%.100s\" is not a string", key);
    }
    return BQB_OK;
}

static bqb_status read_header(shard *sh, const uint8_t **data, size_t *size, bqb_err *err) {
    const bqb_map *m = &sh->map;
    if (m->size < 8)
        return bqb_fail_at(err, BQB_EFORMAT, 0, "%zu bytes cannot hold a header length", m->size);
    uint64_t n;
    memcpy(&n, m->data, 8);
    if (n > MAX_HEADER_BYTES)
        return bqb_fail_at(err, BQB_ELIMIT, 0, "header of %" PRIu64 " bytes, at most %zu are allowed", n,
                           MAX_HEADER_BYTES);
    if (n > m->size - 8)
        return bqb_fail_at(err, BQB_EFORMAT, 0,
                           "header of %" PRIu64 " bytes, the file has only %zu after its length", n,
                           m->size - 8);
    const char *text = (const char *)m->data + 8;
    if (!n || *text != '{') return bqb_fail_at(err, BQB_EFORMAT, 8, "the header is not a JSON object");
    bqb_status s = bqb_json_parse(&sh->info, text, (size_t)n, MAX_DEPTH, MAX_TENSORS * ITEMS_PER_TENSOR, err);
    if (s) {
        if (err && err->pos >= 0) err->pos += 8;
        return s;
    }
    *data = m->data + 8 + n;
    *size = m->size - 8 - (size_t)n;
    return BQB_OK;
}

static bqb_status reserve(bqb_safetensors *st, size_t extra, bqb_err *err) {
    size_t need = st->n + extra;
    if (need > MAX_TENSORS)
        return bqb_fail(err, BQB_ELIMIT, "%zu tensors, at most %zu are allowed", need, MAX_TENSORS);
    if (need <= st->cap) return BQB_OK;
    size_t cap = need > st->cap * 2 ? need : st->cap * 2;
    bqb_tensor *t = realloc(st->tensor, cap * sizeof *t);
    if (!t) return bqb_fail_nomem(err, "tensors", cap * sizeof *t);
    st->tensor = t;
    st->cap = cap;
    return BQB_OK;
}

/* Map a file and append its tensors, in no particular order. The shard array has room. */
static bqb_status add_shard(bqb_safetensors *st, const char *path, bqb_err *err) {
    shard *sh = &st->shard[st->n_shards++];
    *sh = (shard){0};
    bqb_status s = bqb_map_open(&sh->map, path, err);
    if (s) return s;
    const uint8_t *data = NULL;
    size_t size = 0, first = st->n;
    s = read_header(sh, &data, &size, err);
    if (!s) s = check_metadata(json_object_get(sh->info, "__metadata__"), err);
    if (!s) s = reserve(st, json_object_size(sh->info), err);
    if (!s) {
        const char *name;
        json_t *info;
        json_object_foreach(sh->info, name, info) {
            if (!strcmp(name, "__metadata__")) continue;
            s = parse_tensor(&st->tensor[st->n], name, info, data, size, err);
            if (s) break;
            st->n++;
        }
    }
    if (!s) s = check_coverage(st->tensor + first, st->n - first, data, size, err);
    if (s) bqb_err_prefix(err, path);
    return s;
}

static bqb_status new_with_shards(bqb_safetensors **out, size_t n, bqb_err *err) {
    *out = NULL;
    bqb_safetensors *st = calloc(1, sizeof *st);
    if (st) st->shard = bqb_calloc(n, sizeof *st->shard);
    if (!st || !st->shard) {
        free(st);
        return bqb_fail_nomem(err, "safetensors", n * sizeof(shard));
    }
    *out = st;
    return BQB_OK;
}

/* Put the tensors in name order, in which a name in two shards is easy to see. */
static bqb_status finish(bqb_safetensors *st, const char *path, bqb_err *err) {
    if (st->n) qsort(st->tensor, st->n, sizeof *st->tensor, by_name);
    for (size_t i = 1; i < st->n; i++) {
        if (strcmp(st->tensor[i - 1].name, st->tensor[i].name) == 0)
            return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" is there twice", path,
                            st->tensor[i].name);
    }
    return BQB_OK;
}

static bqb_status give_or_close(bqb_safetensors **out, bqb_safetensors *st, bqb_status s) {
    if (s) {
        bqb_safetensors_close(st);
        st = NULL;
    }
    *out = st;
    return s;
}

bqb_status bqb_safetensors_open(bqb_safetensors **out, const char *path, bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = new_with_shards(&st, 1, err);
    if (!s) s = add_shard(st, path, err);
    if (!s) s = finish(st, path, err);
    return give_or_close(out, st, s);
}

bqb_status bqb_safetensors_adopt(bqb_safetensors **out, const bqb_tensor *t, size_t n, const char *path, void *owner,
                                 void (*free_owner)(void *), bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = new_with_shards(&st, 0, err);
    if (s) {
        free_owner(owner);
        *out = NULL;
        return s;
    }
    st->owner = owner;
    st->free_owner = free_owner;
    s = reserve(st, n, err);
    if (!s) {
        if (n) memcpy(st->tensor, t, n * sizeof *t);
        st->n = n;
        s = finish(st, path, err);
    }
    return give_or_close(out, st, s);
}

/* A name that stays inside the folder. Links are followed on purpose: the
 * Hugging Face cache is made of them. */
static bool is_plain_file_name(const char *name) {
    return *name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, ".") && strcmp(name, "..");
}

/* The distinct shard names of a weight map, as keys of a new object. */
static bqb_status collect_shards(json_t **shards, const json_t *weights, bqb_err *err) {
    *shards = json_object();
    if (!*shards) return bqb_fail_nomem(err, "weight_map", 0);
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)weights, name, file) {
        const char *text = json_string_value(file);
        if (!text)
            return bqb_fail(err, BQB_EFORMAT, "weight_map: the shard of \"%.100s\" is not a string", name);
        if (!is_plain_file_name(text))
            return bqb_fail(
                err, BQB_EFORMAT,
                "weight_map: \"%.100s\" is in \"%.200s\", which is not a file name in this folder", name,
                text);
        if (json_object_set_new(*shards, text, json_true())) return bqb_fail_nomem(err, "weight_map", 0);
    }
    size_t n = json_object_size(*shards);
    if (!n) return bqb_fail(err, BQB_EFORMAT, "weight_map names no tensors");
    if (n > MAX_SHARDS)
        return bqb_fail(err, BQB_ELIMIT, "weight_map names %zu files, at most %d are allowed", n, MAX_SHARDS);
    return BQB_OK;
}

/* Each tensor of the map must be in the shard that the map names. */
static bqb_status check_weight_map(const bqb_safetensors *st, const json_t *weights, const json_t *shards,
                                   bqb_err *err) {
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)weights, name, file) {
        const json_t *number = json_object_get(shards, json_string_value(file));
        const shard *sh = &st->shard[json_integer_value(number)];
        if (!strcmp(name, "__metadata__") || !json_object_get(sh->info, name))
            return bqb_fail(err, BQB_EFORMAT, "weight_map: tensor \"%.100s\" is not in \"%.200s\"", name,
                            json_string_value(file));
    }
    return BQB_OK;
}

static bqb_status open_shards(bqb_safetensors **out, const char *dir, const json_t *index, bqb_err *err) {
    const json_t *weights = json_object_get(index, "weight_map");
    if (!json_is_object(weights)) return bqb_fail(err, BQB_EFORMAT, "it has no weight_map");
    json_t *shards = NULL;
    bqb_safetensors *st = NULL;
    bqb_status s = collect_shards(&shards, weights, err);
    if (!s) s = new_with_shards(&st, json_object_size(shards), err);
    if (!s) {
        const char *file;
        json_t *number;
        json_object_foreach(shards, file, number) {
            char *path = bqb_path_join(dir, file);
            json_t *at = json_integer((json_int_t)st->n_shards);
            s = path && at ? add_shard(st, path, err) : bqb_fail_nomem(err, file, strlen(file));
            free(path);
            if (json_object_set_new(shards, file, at) && !s) s = bqb_fail_nomem(err, file, strlen(file));
            if (s) break;
        }
    }
    if (!s) s = check_weight_map(st, weights, shards, err);
    if (!s) s = finish(st, dir, err);
    json_decref(shards);
    return give_or_close(out, st, s);
}

bqb_status bqb_safetensors_open_folder(bqb_safetensors **out, const char *dir, bqb_err *err) {
    *out = NULL;
    char *single = bqb_path_join(dir, "model.safetensors");
    char *index_path = bqb_path_join(dir, "model.safetensors.index.json");
    json_t *index = NULL;
    bqb_status s;
    if (!single || !index_path) s = bqb_fail_nomem(err, dir, strlen(dir));
    else if (bqb_is_file(single)) s = bqb_safetensors_open(out, single, err);
    else if (!bqb_is_file(index_path))
        s = bqb_fail(err, BQB_ENOTFOUND,
                     "%s: neither model.safetensors nor model.safetensors.index.json is there", dir);
    else {
        s = bqb_json_read(&index, index_path, MAX_HEADER_BYTES, MAX_DEPTH, MAX_TENSORS * 3, err);
        if (!s) {
            s = open_shards(out, dir, index, err);
            if (s) bqb_err_prefix(err, index_path);
        }
    }
    json_decref(index);
    free(single);
    free(index_path);
    return s;
}

size_t bqb_safetensors_count(const bqb_safetensors *st) { return st->n; }

const bqb_tensor *bqb_safetensors_at(const bqb_safetensors *st, size_t i) {
    return i < st->n ? &st->tensor[i] : NULL;
}

const bqb_tensor *bqb_safetensors_find(const bqb_safetensors *st, const char *name) {
    bqb_tensor key = {.name = name};
    return st->n ? bsearch(&key, st->tensor, st->n, sizeof key, by_name) : NULL;
}

const char *bqb_safetensors_metadata(const bqb_safetensors *st, const char *key) {
    for (size_t i = 0; i < st->n_shards; i++) {
        const json_t *metadata = json_object_get(st->shard[i].info, "__metadata__");
        const char *value = json_string_value(json_object_get(metadata, key));
        if (value) return value;
    }
    return NULL;
}

static uint32_t float_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float bits_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Masks in place of branches, so that loops over it become vector code. */
static inline float half_to_float(uint16_t h) {
    uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t special = 0u - (magnitude >= 0x7c00u), subnormal = 0u - (magnitude < 0x400u);
    /* Exponent bias 15 -> 127; that of infinity and NaN 31 -> 255. */
    uint32_t normal = (magnitude << 13) + (112u << 23) + (special & 112u << 23);
    /* A subnormal half is 2^-14 * 0.m: give it an implicit one, then take that away. */
    uint32_t small = float_bits(bits_float((magnitude << 13 | 113u << 23)) - bits_float(113u << 23));
    return bits_float((small & subnormal) | (normal & ~subnormal) | sign);
}

float bqb_f16_to_f32(uint16_t h) { return half_to_float(h); }

uint16_t bqb_f32_to_f16(float x) {
    uint32_t u = float_bits(x), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude < 0x38800000u) {
        /* Below 2^-14: adding 1/2 puts the last kept bit at the end of the
         * mantissa, and the addition itself rounds to nearest even. */
        return (uint16_t)(sign | (float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f)));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - (112u << 23) + 0xfffu + odd) >> 13);
}

float bqb_bf16_to_f32(uint16_t h) { return bits_float((uint32_t)h << 16); }

uint16_t bqb_f32_to_bf16(float x) {
    uint32_t u = float_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

bqb_status bqb_tensor_to_f32(float *out, const bqb_tensor *t, size_t first, size_t n, bqb_err *err) {
    if (first > t->n || n > t->n - first)
        return bqb_fail(err, BQB_EINVAL, "tensor \"%.100s\" has %zu elements, %zu from %zu were asked for",
                        t->name, t->n, n, first);
    const uint8_t *p = (const uint8_t *)t->data + first * bqb_dtype_size_bytes(t->dtype);
    switch (t->dtype) {
    case BQB_F32:
        if (n) memcpy(out, p, n * sizeof *out);
        return BQB_OK;
    case BQB_F16:
#pragma omp simd
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, 2);
            out[i] = half_to_float(h);
        }
        return BQB_OK;
    case BQB_BF16:
#pragma omp simd
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, 2);
            out[i] = bits_float((uint32_t)h << 16);
        }
        return BQB_OK;
    case BQB_F64:
        for (size_t i = 0; i < n; i++) {
            double d;
            memcpy(&d, p + 8 * i, 8);
            out[i] = (float)d;
        }
        return BQB_OK;
    default:
        return bqb_fail(err, BQB_EUNSUPPORTED, "tensor \"%.100s\" is %s, floating-point numbers are needed",
                        t->name, bqb_dtype_name(t->dtype));
    }
}

static bqb_status check_writable(const bqb_tensor *t, bqb_err *err) {
    if (!t->name || !*t->name || !strcmp(t->name, "__metadata__"))
        return bqb_fail(err, BQB_EINVAL, "\"%.100s\" cannot name a tensor", t->name ? t->name : "");
    size_t n = 1, bytes;
    bool good = (unsigned)t->dtype < BQB_DTYPES && t->n_dims <= BQB_TENSOR_DIMS;
    for (size_t d = 0; good && d < t->n_dims; d++) good = !__builtin_mul_overflow(n, t->dim[d], &n);
    if (!good || n != t->n || __builtin_mul_overflow(n, dtypes[t->dtype].size, &bytes) || (bytes && !t->data))
        return bqb_fail(err, BQB_EINVAL, "tensor \"%.100s\": its type, shape, count and data do not agree",
                        t->name);
    return BQB_OK;
}

static int by_name_ref(const void *a, const void *b) {
    return by_name(*(const bqb_tensor *const *)a, *(const bqb_tensor *const *)b);
}

/* Wide types first, so that every tensor lies on a multiple of its element size. */
static int by_layout_ref(const void *a, const void *b) {
    size_t x = dtypes[(*(const bqb_tensor *const *)a)->dtype].size;
    size_t y = dtypes[(*(const bqb_tensor *const *)b)->dtype].size;
    return x != y ? (x < y) - (x > y) : by_name_ref(a, b);
}

/* A new JSON object, or NULL when memory is out or a string is not UTF-8. */
static json_t *describe(const bqb_tensor *t, size_t begin) {
    json_t *shape = json_array();
    int bad = !shape;
    for (size_t d = 0; !bad && d < t->n_dims; d++)
        bad = json_array_append_new(shape, json_integer((json_int_t)t->dim[d]));
    if (bad) {
        json_decref(shape);
        return NULL;
    }
    json_int_t end = (json_int_t)(begin + t->n * dtypes[t->dtype].size);
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[t->dtype].name, "shape", shape, "data_offsets",
                     (json_int_t)begin, end);
}

/* order: by layout on entry, by name afterwards. */
static json_t *make_header(const bqb_tensor **order, size_t n, const char *const *metadata) {
    json_t *root = json_object(), *infos = json_object();
    int bad = !root || !infos;
    if (metadata) {
        json_t *m = json_object();
        for (const char *const *p = metadata; !bad && *p; p += 2)
            bad = json_object_set_new(m, p[0], json_string(p[1]));
        if (bad) json_decref(m);
        else bad = json_object_set_new(root, "__metadata__", m);
    }
    size_t begin = 0;
    for (size_t i = 0; !bad && i < n; i++) {
        bad = json_object_set_new(infos, order[i]->name, describe(order[i], begin));
        begin += order[i]->n * dtypes[order[i]->dtype].size;
    }
    if (n) qsort(order, n, sizeof *order, by_name_ref);
    for (size_t i = 0; !bad && i < n; i++)
        bad = json_object_set(root, order[i]->name, json_object_get(infos, order[i]->name));
    json_decref(infos);
    if (!bad) return root;
    json_decref(root);
    return NULL;
}

static bqb_status write_all(bqb_outfile *o, const char *header, const bqb_tensor **order, size_t n,
                            bqb_err *err) {
    static const char pad[8] = "        ";
    size_t len = strlen(header), n_pad = (8 - len % 8) % 8;
    uint64_t total = len + n_pad;
    bqb_status s = bqb_outfile_write(o, &total, 8, err);
    if (!s) s = bqb_outfile_write(o, header, len, err);
    if (!s) s = bqb_outfile_write(o, pad, n_pad, err);
    if (n) qsort(order, n, sizeof *order, by_layout_ref);
    for (size_t i = 0; !s && i < n; i++)
        s = bqb_outfile_write(o, order[i]->data, order[i]->n * dtypes[order[i]->dtype].size, err);
    return s ? s : bqb_outfile_commit(o, err);
}

bqb_status bqb_safetensors_write(const char *path, const bqb_tensor *t, size_t n, const char *const *metadata,
                                 bqb_err *err) {
    bqb_outfile o = {0};
    json_t *root = NULL;
    char *header = NULL;
    bqb_status s = BQB_OK;
    const bqb_tensor **order = bqb_calloc(n, sizeof *order);
    if (!order) return bqb_fail_nomem(err, path, n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        s = check_writable(&t[i], err);
        if (s) goto done;
        order[i] = &t[i];
    }
    if (n) qsort(order, n, sizeof *order, by_layout_ref);
    root = make_header(order, n, metadata);
    for (size_t i = 1; root && i < n; i++) {
        if (strcmp(order[i - 1]->name, order[i]->name)) continue;
        s = bqb_fail(err, BQB_EINVAL, "tensor \"%.100s\" is given twice", order[i]->name);
        goto done;
    }
    header = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (!header) {
        s = bqb_fail(err, BQB_EINVAL, "the header cannot be made: a name is not UTF-8, or memory is out");
        goto done;
    }
    s = bqb_outfile_open(&o, path, err);
    if (!s) s = write_all(&o, header, order, n, err);
done:
    if (s == BQB_EINVAL) bqb_err_prefix(err, path);
    bqb_outfile_abort(&o);
    free(header);
    json_decref(root);
    free(order);
    return s;
}
