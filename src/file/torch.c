/* Reading PyTorch checkpoints. Writing: torch_write.c. */
#include "file/torch.h"

#include "file/pickle.h"
#include "file/torch_names.h"
#include "file/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PICKLE = 64 << 20, MAX_NAME = 1000, STATE_LEVELS = 3 };

const char *const bqb_torch_storage[BQB_DTYPES] = {
    [BQB_F32] = "torch.FloatStorage", [BQB_F16] = "torch.HalfStorage", [BQB_BF16] = "torch.BFloat16Storage",
    [BQB_F64] = "torch.DoubleStorage", [BQB_I8] = "torch.CharStorage", [BQB_U8] = "torch.ByteStorage",
    [BQB_I16] = "torch.ShortStorage", [BQB_I32] = "torch.IntStorage", [BQB_I64] = "torch.LongStorage",
    [BQB_BOOL] = "torch.BoolStorage",
};

/* What a checkpoint of plain tensors names; nothing else is read. */
static const bqb_pickle_name names[] = {
    {"collections.OrderedDict", true},
    {"torch._utils._rebuild_tensor_v2", false},
    {"torch._utils._rebuild_tensor", false},
    {"torch._utils._rebuild_parameter", false},
    {"torch.FloatStorage", false},
    {"torch.HalfStorage", false},
    {"torch.BFloat16Storage", false},
    {"torch.DoubleStorage", false},
    {"torch.CharStorage", false},
    {"torch.ByteStorage", false},
    {"torch.ShortStorage", false},
    {"torch.IntStorage", false},
    {"torch.LongStorage", false},
    {"torch.BoolStorage", false},
    {"torch.Size", false},
    {NULL, false},
};

/* What the tensors' names and data lie in; owned by the bqb_safetensors in the end. */
typedef struct {
    bqb_zip *zip;
    bqb_pickle *pickle;
    char *path, *root; /* root: "archive/", before every entry's name */
    void **copy;
    size_t n_copies, cap_copies;
    uint64_t copied_bytes;
    bqb_tensor *tensor; /* while they are gathered */
    size_t n, cap;
} checkpoint;

static void free_checkpoint(void *ctx) {
    checkpoint *c = ctx;
    if (!c) return;
    for (size_t i = 0; i < c->n_copies; i++) free(c->copy[i]);
    free(c->copy);
    free(c->tensor);
    free(c->root);
    free(c->path);
    bqb_pickle_free(c->pickle);
    bqb_zip_close(c->zip);
    free(c);
}

/* ---- the archive ---- */

static const bqb_zip_entry *entry_of(const checkpoint *c, const char *name) {
    char *full = bqb_asprintf("%s%s", c->root, name);
    const bqb_zip_entry *e = full ? bqb_zip_find(c->zip, full) : NULL;
    free(full);
    return e;
}

/* ROOT/data.pkl tells what ROOT is. */
static bqb_status find_root(checkpoint *c, bqb_err *err) {
    static const char pickle[] = "data.pkl";
    for (size_t i = 0; i < bqb_zip_count(c->zip) && !c->root; i++) {
        const char *name = bqb_zip_at(c->zip, i)->name, *slash = strchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        if (!strcmp(base, pickle) && !(c->root = bqb_strndup(name, (size_t)(base - name))))
            return bqb_fail_nomem(err, "checkpoint", strlen(name));
    }
    if (!c->root) return bqb_fail(err, BQB_EFORMAT, "%s: a zip archive without data.pkl is no PyTorch checkpoint", c->path);
    if (entry_of(c, "constants.pkl"))
        return bqb_fail(err, BQB_EUNSUPPORTED,
                        "%s: a TorchScript archive, which holds code: refused; save the model's state_dict() instead", c->path);
    const bqb_zip_entry *order = entry_of(c, "byteorder");
    const uint8_t *text;
    bqb_status s = order ? bqb_zip_data(c->zip, order, &text, err) : BQB_OK;
    if (!s && order && (order->size < 6 || memcmp(text, "little", 6) != 0))
        s = bqb_fail(err, BQB_EUNSUPPORTED, "%s: its byteorder is \"%.*s\", only little-endian numbers are read", c->path,
                     order->size < 20 ? (int)order->size : 20, (const char *)text);
    return s;
}

static bqb_status read_pickle(checkpoint *c, const bqb_pickle_value **out, bqb_err *err) {
    const bqb_zip_entry *e = entry_of(c, "data.pkl");
    const uint8_t *bytes;
    if (!e) return bqb_fail_nomem(err, "checkpoint", 0);
    if (e->size > MAX_PICKLE)
        return bqb_fail(err, BQB_ELIMIT, "%s: data.pkl has %" PRIu64 " bytes, at most %d are read", c->path, e->size, MAX_PICKLE);
    bqb_status s = bqb_zip_data(c->zip, e, &bytes, err);
    if (!s) {
        s = bqb_pickle_read(c->pickle, out, bytes, (size_t)e->size, names, err);
        if (s) bqb_err_prefix(err, c->path);
    }
    return s;
}

/* ---- tensors ---- */

static bool is_call(const bqb_pickle_value *v, const char *name) {
    return v->kind == BQB_PICKLE_CALL && !strcmp(v->item[0]->text, name);
}

/* The call that makes a tensor, inside the parameter that may hold it; NULL for anything else. */
static const bqb_pickle_value *tensor_args(const bqb_pickle_value *v) {
    if (is_call(v, "torch._utils._rebuild_parameter")) {
        if (!v->item[1]->n) return NULL;
        v = v->item[1]->item[0];
    }
    return is_call(v, "torch._utils._rebuild_tensor_v2") || is_call(v, "torch._utils._rebuild_tensor") ? v->item[1] : NULL;
}

static bool to_size(size_t *out, const bqb_pickle_value *v) {
    if (v->kind != BQB_PICKLE_INT || v->i < 0) return false;
    *out = (size_t)v->i;
    return true;
}

static bool is_text(const bqb_pickle_value *v, const char *s) { return v->kind == BQB_PICKLE_STR && !strcmp(v->text, s); }

/* ('storage', torch.FloatStorage, '17', 'cpu', 589824) */
static bqb_status find_storage(checkpoint *c, bqb_tensor *t, const bqb_pickle_value *v, const uint8_t **data, size_t *numel,
                               bqb_err *err) {
    const bqb_pickle_value *id = v->kind == BQB_PICKLE_PERSISTENT ? v->item[0] : NULL;
    if (!id || id->kind != BQB_PICKLE_TUPLE || id->n < 5 || !is_text(id->item[0], "storage") ||
        id->item[1]->kind != BQB_PICKLE_NAME || id->item[2]->kind != BQB_PICKLE_STR || !to_size(numel, id->item[4]))
        return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" has no proper storage", c->path, t->name);
    const char *type = id->item[1]->text, *key = id->item[2]->text;
    t->dtype = BQB_DTYPES;
    for (unsigned d = 0; d < BQB_DTYPES; d++)
        if (bqb_torch_storage[d] && !strcmp(bqb_torch_storage[d], type)) t->dtype = (bqb_dtype)d;
    if (t->dtype == BQB_DTYPES)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: tensor \"%.100s\" lies in a %.50s", c->path, t->name, type);
    char *name = bqb_asprintf("data/%s", key);
    const bqb_zip_entry *e = name ? entry_of(c, name) : NULL;
    free(name);
    if (!e)
        return bqb_fail(err, BQB_EFORMAT, "%s: the storage data/%.50s of tensor \"%.100s\" is not in the file", c->path, key,
                        t->name);
    uint64_t need;
    if (__builtin_mul_overflow((uint64_t)*numel, bqb_dtype_size_bytes(t->dtype), &need) || need != e->size)
        return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" needs %zu elements of %s, its storage data/%.50s has %" PRIu64
                        " bytes", c->path, t->name, *numel, bqb_dtype_name(t->dtype), key, e->size);
    return bqb_zip_data(c->zip, e, data, err);
}

/* Shape and strides, all of it inside a storage of numel elements from `first` on. */
static bqb_status read_shape(const checkpoint *c, bqb_tensor *t, size_t stride[BQB_TENSOR_DIMS], const bqb_pickle_value *size,
                             const bqb_pickle_value *strides, size_t first, size_t numel, bqb_err *err) {
    bool good = size->kind == BQB_PICKLE_TUPLE && strides->kind == BQB_PICKLE_TUPLE && size->n == strides->n;
    if (good && size->n > BQB_TENSOR_DIMS)
        return bqb_fail(err, BQB_ELIMIT, "%s: tensor \"%.100s\" has %zu dimensions, at most %d are allowed", c->path, t->name,
                        size->n, BQB_TENSOR_DIMS);
    size_t last = first;
    t->n = 1;
    t->n_dims = good ? size->n : 0;
    for (size_t d = 0; good && d < t->n_dims; d++) {
        good = to_size(&t->dim[d], size->item[d]) && to_size(&stride[d], strides->item[d]) &&
               !__builtin_mul_overflow(t->n, t->dim[d], &t->n);
    }
    for (size_t d = 0; good && t->n && d < t->n_dims; d++) {
        size_t step;
        good = !__builtin_mul_overflow(t->dim[d] - 1, stride[d], &step) && !__builtin_add_overflow(last, step, &last);
    }
    if (!good) return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" has no proper shape and strides", c->path, t->name);
    if (t->n ? last >= numel || t->n > numel : first > numel)
        return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" of %zu elements from %zu on goes past its storage of %zu",
                        c->path, t->name, t->n, first, numel);
    return BQB_OK;
}

static bool in_c_order(const bqb_tensor *t, const size_t *stride) {
    size_t expected = 1;
    for (size_t d = t->n_dims; d-- > 0; expected *= t->dim[d])
        if (t->dim[d] != 1 && stride[d] != expected) return t->n == 0;
    return true;
}

/* A copy in C order. All copies together stay below the file's size, or one
 * storage that thousands of tensors look at sideways would fill the memory. */
static bqb_status copy_strided(checkpoint *c, bqb_tensor *t, const uint8_t *data, const size_t *stride, bqb_err *err) {
    size_t item = bqb_dtype_size_bytes(t->dtype), bytes = t->n * item, at[BQB_TENSOR_DIMS] = {0};
    if (bytes > bqb_zip_size_bytes(c->zip) - c->copied_bytes)
        return bqb_fail(err, BQB_ELIMIT, "%s: tensor \"%.100s\": copies in C order would be larger than the file", c->path,
                        t->name);
    void **copy = bqb_grow(c->copy, c->n_copies, &c->cap_copies, sizeof *copy, 64);
    if (!copy) return bqb_fail_nomem(err, t->name, (c->n_copies + 1) * sizeof *copy);
    c->copy = copy;
    uint8_t *out = bqb_alloc_aligned(t->n, item);
    if (!out) return bqb_fail_nomem(err, t->name, bytes);
    c->copy[c->n_copies++] = out;
    c->copied_bytes += bytes;
    t->data = out;
    for (size_t i = 0, from = 0; i < t->n; i++, out += item) {
        memcpy(out, data + from * item, item);
        for (size_t d = t->n_dims; d-- > 0;) {
            from += stride[d];
            if (++at[d] < t->dim[d]) break;
            from -= stride[d] * at[d];
            at[d] = 0;
        }
    }
    return BQB_OK;
}

static bqb_status add_tensor(checkpoint *c, const char *name, const bqb_pickle_value *args, bqb_err *err) {
    bqb_tensor *grown = bqb_grow(c->tensor, c->n, &c->cap, sizeof *grown, 256);
    if (!grown) return bqb_fail_nomem(err, "tensors", (c->n + 1) * sizeof *grown);
    c->tensor = grown;
    bqb_tensor *t = &c->tensor[c->n];
    *t = (bqb_tensor){.name = name};
    const uint8_t *data = NULL;
    size_t numel = 0, first, stride[BQB_TENSOR_DIMS] = {0};
    if (args->n < 4 || !to_size(&first, args->item[1]))
        return bqb_fail(err, BQB_EFORMAT, "%s: tensor \"%.100s\" is not described as one", c->path, name);
    bqb_status s = find_storage(c, t, args->item[0], &data, &numel, err);
    if (!s) s = read_shape(c, t, stride, args->item[2], args->item[3], first, numel, err);
    if (s) return s;
    t->data = data + first * bqb_dtype_size_bytes(t->dtype);
    c->n++;
    return in_c_order(t, stride) ? BQB_OK : copy_strided(c, t, t->data, stride, err);
}

/* The dict with the model's tensors: in a training checkpoint one of several. */
static const bqb_pickle_value *state_of(const bqb_pickle_value *v) {
    static const char *const key[] = {"state_dict", "model_state_dict", "model"};
    for (int level = 0; level < STATE_LEVELS; level++) {
        const bqb_pickle_value *inner = NULL;
        for (size_t k = 0; k < sizeof key / sizeof *key && !inner; k++) {
            inner = bqb_pickle_get(v, key[k]);
            if (inner && inner->kind != BQB_PICKLE_DICT) inner = NULL;
        }
        if (!inner) break;
        v = inner;
    }
    return v;
}

static bqb_status gather(checkpoint *c, const bqb_pickle_value *v, bqb_err *err) {
    static const char module[] = "module.";
    const bqb_pickle_value *state = state_of(v);
    bqb_status s = BQB_OK;
    bool all_module = true;
    for (size_t i = 0; state->kind == BQB_PICKLE_DICT && i < state->n && !s; i += 2) {
        const bqb_pickle_value *key = state->item[i], *args = tensor_args(state->item[i + 1]);
        if (!args || key->kind != BQB_PICKLE_STR) continue;
        if (!key->n || key->n > MAX_NAME || strlen(key->text) != key->n)
            return bqb_fail(err, BQB_EFORMAT, "%s: \"%.100s\" cannot name a tensor", c->path, key->text);
        s = add_tensor(c, key->text, args, err);
        all_module = all_module && !strncmp(key->text, module, sizeof module - 1) && key->n >= sizeof module;
    }
    if (!s && !c->n)
        s = bqb_fail(err, BQB_EFORMAT, "%s: it holds no tensors by name (found: a %s)", c->path,
                     bqb_pickle_kind_name(state->kind));
    for (size_t i = 0; !s && all_module && i < c->n; i++) c->tensor[i].name += sizeof module - 1;
    return s;
}

bqb_status bqb_torch_open(bqb_safetensors **out, const char *path, bqb_err *err) {
    *out = NULL;
    checkpoint *c = bqb_calloc(1, sizeof *c);
    if (!c) return bqb_fail_nomem(err, path, sizeof *c);
    const bqb_pickle_value *v = NULL;
    c->path = bqb_strdup(path);
    c->pickle = bqb_pickle_new();
    bqb_status s = c->path && c->pickle ? BQB_OK : bqb_fail_nomem(err, path, strlen(path));
    if (!s) s = bqb_zip_open(&c->zip, path, err);
    if (!s) s = find_root(c, err);
    if (!s) s = read_pickle(c, &v, err);
    if (!s) s = gather(c, v, err);
    if (s) free_checkpoint(c);
    else s = bqb_safetensors_adopt(out, c->tensor, c->n, path, c, free_checkpoint, err);
    return s;
}

/* The number with which PyTorch's own files began before it wrote zip archives. */
static const uint8_t old_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

bqb_status bqb_weights_open(bqb_safetensors **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_map m = {0};
    bqb_status s = bqb_map_open(&m, path, err);
    if (s) return s;
    bool zip = m.size >= 4 && !memcmp(m.data, "PK\3\4", 4);
    bool old = m.size >= sizeof old_magic && !memcmp(m.data, old_magic, sizeof old_magic);
    bqb_map_close(&m);
    if (old)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: written by PyTorch before 1.6, or in that format: load it there and save it again",
                        path);
    return zip ? bqb_torch_open(out, path, err) : bqb_safetensors_open(out, path, err);
}

bqb_status bqb_weights_open_folder(bqb_safetensors **out, const char *dir, bqb_err *err) {
    static const char *const name[] = {"model.safetensors", "model.safetensors.index.json", "model.pt", "pytorch_model.bin"};
    *out = NULL;
    for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
        char *path = bqb_path_join(dir, name[k]);
        if (!path) return bqb_fail_nomem(err, dir, strlen(dir));
        bool found = bqb_is_file(path);
        bqb_status s = !found || k < 2 ? BQB_OK : bqb_weights_open(out, path, err);
        free(path);
        if (found && k >= 2) return s;
        if (found) break;
    }
    return bqb_safetensors_open_folder(out, dir, err);
}
