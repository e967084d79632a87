#include "model/layout.h"

#include "base/mem.h"
#include "file/safetensors.h"
#include "file/torch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Built in one go by appending; a failed allocation is remembered and reported once. */
typedef struct {
    bqb_layout_map *map;
    size_t cap;
    bool failed;
} builder;

enum { ALIGN_FLOATS = 16 };

static bool grow(builder *b) {
    bqb_layout_map *m = b->map;
    if (m->n_params < b->cap) return true;
    size_t cap = b->cap ? b->cap * 2 : 64;
    bqb_param *p = realloc(m->param, cap * sizeof *p);
    if (p) m->param = p;
    bqb_param_names *n = realloc(m->names, cap * sizeof *n);
    if (n) m->names = n;
    b->failed = b->failed || !p || !n;
    if (!b->failed) b->cap = cap;
    return !b->failed;
}

static bool without_decay(const char *name) {
    return strstr(name, "bn") || strstr(name, "ln") || strstr(name, "bias") || strstr(name, "logit_scale");
}

/* Append a parameter; takes over `name`. dims are given outermost first; `packed`
 * keeps it directly behind the one before. */
static size_t put(builder *b, int tower, char *name, bool packed, size_t n_dims, size_t d0, size_t d1, size_t d2,
                  size_t d3) {
    bqb_layout_map *m = b->map;
    if (!name || !grow(b)) {
        b->failed = true;
        free(name);
        return 0;
    }
    bqb_param *p = &m->param[m->n_params];
    *p = (bqb_param){.name = name, .n_dims = n_dims, .dim = {d0, d1, d2, d3}, .n = 1};
    for (size_t i = 0; i < n_dims; i++) p->n *= p->dim[i];
    p->decay = !without_decay(name);
    if (!packed) m->n_floats = (m->n_floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    p->offset = m->n_floats;
    m->n_floats += p->n;
    m->names[m->n_params++] = (bqb_param_names){.name = name, .parts = 1, .tower = tower};
    return p->offset;
}

/* The Hugging Face name of the parameter appended last; takes over `name`. */
static void alias(builder *b, size_t part, char *name) {
    if (!name) b->failed = true;
    if (b->failed) {
        free(name);
        return;
    }
    bqb_param_names *n = &b->map->names[b->map->n_params - 1];
    n->hf[part] = name;
    n->parts = part + 1;
}

static size_t vec(builder *b, int tower, const char *ofa, const char *hf, size_t n) {
    size_t at = put(b, tower, bqb_strdup(ofa), false, 1, n, 0, 0, 0);
    alias(b, 0, bqb_strdup(hf));
    return at;
}

static size_t mat(builder *b, int tower, const char *ofa, const char *hf, size_t rows, size_t cols) {
    size_t at = put(b, tower, bqb_strdup(ofa), false, 2, rows, cols, 0, 0);
    alias(b, 0, bqb_strdup(hf));
    return at;
}

static bqb_norm norm(builder *b, int tower, const char *ofa, const char *hf, size_t n) {
    bqb_norm ln = {0};
    ln.g = put(b, tower, bqb_asprintf("%s.weight", ofa), false, 1, n, 0, 0, 0);
    alias(b, 0, bqb_asprintf("%s.weight", hf));
    ln.b = put(b, tower, bqb_asprintf("%s.bias", ofa), false, 1, n, 0, 0, 0);
    alias(b, 0, bqb_asprintf("%s.bias", hf));
    return ln;
}

static bqb_linear linear(builder *b, int tower, const char *ofa, const char *hf, size_t out, size_t in) {
    bqb_linear l = {.out = out, .in = in, .number = b->map->n_linear++};
    l.w = put(b, tower, bqb_asprintf("%s.weight", ofa), false, 2, out, in, 0, 0);
    alias(b, 0, bqb_asprintf("%s.weight", hf));
    l.b = put(b, tower, bqb_asprintf("%s.bias", ofa), false, 1, out, 0, 0, 0);
    alias(b, 0, bqb_asprintf("%s.bias", hf));
    return l;
}

/* A pre-norm block: of the picture tower, or of a causal text tower. */
static void prenorm_block(builder *b, bqb_block *k, int tower, size_t layer, size_t C, size_t mlp) {
    bool image = tower == BQB_TOWER_IMAGE;
    static const char *const qkv[3] = {"q_proj", "k_proj", "v_proj"};
    static const char *const kind[2] = {"weight", "bias"};
    char ofa[64], hf[64], o[128], h[128];
    snprintf(ofa, sizeof ofa, "%stransformer.resblocks.%zu", image ? "visual." : "", layer);
    snprintf(hf, sizeof hf, "%s_model.encoder.layers.%zu", image ? "vision" : "text", layer);
    k->qkv = (bqb_linear){.out = 3 * C, .in = C, .number = b->map->n_linear++};
    for (size_t bias = 0; bias < 2; bias++) {
        char *name = bqb_asprintf("%s.attn.in_proj_%s", ofa, kind[bias]);
        size_t at = put(b, tower, name, false, 2 - bias, 3 * C, bias ? 0 : C, 0, 0);
        for (size_t i = 0; i < 3; i++) alias(b, i, bqb_asprintf("%s.self_attn.%s.%s", hf, qkv[i], kind[bias]));
        *(bias ? &k->qkv.b : &k->qkv.w) = at;
    }
#define NAMES(x, y) (snprintf(o, sizeof o, "%s." x, ofa), snprintf(h, sizeof h, "%s." y, hf), tower), o, h
    k->proj = linear(b, NAMES("attn.out_proj", "self_attn.out_proj"), C, C);
    k->ln1 = norm(b, NAMES("ln_1", "layer_norm1"), C);
    k->fc1 = linear(b, NAMES("mlp.c_fc", "mlp.fc1"), mlp, C);
    k->fc2 = linear(b, NAMES("mlp.c_proj", "mlp.fc2"), C, mlp);
    k->ln2 = norm(b, NAMES("ln_2", "layer_norm2"), C);
#undef NAMES
}

static void causal_tower(builder *b, const bqb_clip_config *c) {
    bqb_layout_map *map = b->map;
    const int X = BQB_TOWER_TEXT;
    size_t C = c->t_width;
    map->word = mat(b, X, "token_embedding.weight", "text_model.embeddings.token_embedding.weight", c->vocab, C);
    map->t_pos = mat(b, X, "positional_embedding", "text_model.embeddings.position_embedding.weight", c->t_positions, C);
    for (size_t i = 0; !b->failed && i < c->t_layers; i++) prenorm_block(b, &map->t_block[i], X, i, C, c->t_mlp);
    map->t_ln = norm(b, X, "ln_final", "text_model.final_layer_norm", C);
}

/* The query, key and value matrices lie one behind the other, then their
 * biases, so that one product computes all three. */
static void text_block(builder *b, bqb_block *k, size_t layer, size_t C, size_t mlp) {
    static const char *const qkv[3] = {"query", "key", "value"};
    static const char *const kind[2] = {"weight", "bias"};
    char base[64], o[128], h[128];
    snprintf(base, sizeof base, "encoder.layer.%zu", layer);
    k->qkv = (bqb_linear){.out = 3 * C, .in = C, .number = b->map->n_linear++};
    for (size_t bias = 0; bias < 2; bias++)
        for (size_t i = 0; i < 3; i++) {
            snprintf(o, sizeof o, "%s.attention.self.%s.%s", base, qkv[i], kind[bias]);
            size_t at = put(b, BQB_TOWER_TEXT, bqb_asprintf("bert.%s", o), i > 0, 2 - bias, C, bias ? 0 : C, 0, 0);
            alias(b, 0, bqb_asprintf("text_model.%s", o));
            if (i == 0) *(bias ? &k->qkv.b : &k->qkv.w) = at;
        }
#define NAMES(x)                                                                                               \
    (snprintf(o, sizeof o, "bert.%s." x, base), snprintf(h, sizeof h, "text_model.%s." x, base), BQB_TOWER_TEXT), o, h
    k->proj = linear(b, NAMES("attention.output.dense"), C, C);
    k->ln1 = norm(b, NAMES("attention.output.LayerNorm"), C);
    k->fc1 = linear(b, NAMES("intermediate.dense"), mlp, C);
    k->fc2 = linear(b, NAMES("output.dense"), C, mlp);
    k->ln2 = norm(b, NAMES("output.LayerNorm"), C);
#undef NAMES
}

static void bert_tower(builder *b, const bqb_clip_config *c) {
    bqb_layout_map *map = b->map;
    const int X = BQB_TOWER_TEXT;
    size_t C = c->t_width;
    map->word = mat(b, X, "bert.embeddings.word_embeddings.weight", "text_model.embeddings.word_embeddings.weight",
                    c->vocab, C);
    map->t_pos = mat(b, X, "bert.embeddings.position_embeddings.weight",
                     "text_model.embeddings.position_embeddings.weight", c->t_positions, C);
    map->t_type = mat(b, X, "bert.embeddings.token_type_embeddings.weight",
                      "text_model.embeddings.token_type_embeddings.weight", c->t_types, C);
    map->t_ln = norm(b, X, "bert.embeddings.LayerNorm", "text_model.embeddings.LayerNorm", C);
    for (size_t i = 0; !b->failed && i < c->t_layers; i++) text_block(b, &map->t_block[i], i, C, c->t_mlp);
}

static bqb_status check_config(const bqb_clip_config *c, bqb_err *err) {
    const struct {
        const char *name;
        size_t value, max;
    } sizes[] = {
        {"image size", c->resolution, 2048},     {"patch size", c->patch, 256},
        {"vision width", c->v_width, 16384},     {"vision layers", c->v_layers, 256},
        {"vision heads", c->v_heads, 1024},      {"vision MLP width", c->v_mlp, 65536},
        {"vocabulary size", c->vocab, 4 << 20},  {"text width", c->t_width, 16384},
        {"text layers", c->t_layers, 256},       {"text heads", c->t_heads, 1024},
        {"text MLP width", c->t_mlp, 65536},     {"text positions", c->t_positions, 65536},
        {"text token types", c->t_kind == BQB_TEXT_CAUSAL ? 1 : c->t_types, 1024},  {"context length", c->context, 65536},
        {"embedding size", c->embed, 16384},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!sizes[i].value || sizes[i].value > sizes[i].max)
            return bqb_fail(err, BQB_EINVAL, "config: %s is %zu, must be 1 … %zu", sizes[i].name, sizes[i].value,
                            sizes[i].max);
    if (!(c->v_eps > 0 && c->v_eps < 1 && c->t_eps > 0 && c->t_eps < 1))
        return bqb_fail(err, BQB_EINVAL, "config: a LayerNorm epsilon must lie between 0 and 1");
    if ((c->v_act != BQB_ACT_GELU && c->v_act != BQB_ACT_QUICK_GELU) ||
        (c->t_act != BQB_ACT_GELU && c->t_act != BQB_ACT_QUICK_GELU))
        return bqb_fail(err, BQB_EINVAL, "config: an activation must be gelu or quick_gelu");
    if (c->v_width % c->v_heads || c->t_width % c->t_heads)
        return bqb_fail(err, BQB_EINVAL, "config: a width of %zu is not divisible by %zu heads",
                        c->v_width % c->v_heads ? c->v_width : c->t_width,
                        c->v_width % c->v_heads ? c->v_heads : c->t_heads);
    if (c->resolution % c->patch)
        return bqb_fail(err, BQB_EINVAL, "config: an image size of %zu is not divisible by patches of %zu",
                        c->resolution, c->patch);
    if (c->t_kind == BQB_TEXT_CAUSAL && c->t_eos >= c->vocab)
        return bqb_fail(err, BQB_EINVAL, "config: the end token %zu is outside the vocabulary of %zu", c->t_eos, c->vocab);
    if (c->context > c->t_positions || c->context < 2)
        return bqb_fail(err, BQB_EINVAL, "config: a context length of %zu does not fit %zu positions", c->context,
                        c->t_positions);
    return BQB_OK;
}

bqb_status bqb_layout_new(bqb_layout_map *map, const bqb_clip_config *c, bqb_err *err) {
    memset(map, 0, sizeof *map);
    bqb_status s = check_config(c, err);
    if (s) return s;
    builder build = {.map = map}, *b = &build;
    map->v_block = bqb_calloc(c->v_layers, sizeof *map->v_block);
    map->t_block = bqb_calloc(c->t_layers, sizeof *map->t_block);
    b->failed = !map->v_block || !map->t_block;

    const int V = BQB_TOWER_IMAGE, X = BQB_TOWER_TEXT;
    size_t C = c->v_width, grid = c->resolution / c->patch;
    map->cls = vec(b, V, "visual.class_embedding", "vision_model.embeddings.class_embedding", C);
    map->v_pos = mat(b, V, "visual.positional_embedding", "vision_model.embeddings.position_embedding.weight",
                     grid * grid + 1, C);
    map->conv = put(b, V, bqb_strdup("visual.conv1.weight"), false, 4, C, 3, c->patch, c->patch);
    alias(b, 0, bqb_strdup("vision_model.embeddings.patch_embedding.weight"));
    map->ln_pre = norm(b, V, "visual.ln_pre", "vision_model.pre_layrnorm", C);
    for (size_t i = 0; !b->failed && i < c->v_layers; i++) prenorm_block(b, &map->v_block[i], V, i, C, c->v_mlp);
    map->ln_post = norm(b, V, "visual.ln_post", "vision_model.post_layernorm", C);
    map->v_proj = mat(b, V, "visual.proj", "visual_projection.weight", C, c->embed);
    if (!b->failed) map->names[map->n_params - 1].transposed = true;

    if (c->t_kind == BQB_TEXT_CAUSAL) causal_tower(b, c);
    else bert_tower(b, c);
    map->t_proj = mat(b, X, "text_projection", "text_projection.weight", c->t_width, c->embed);
    if (!b->failed) map->names[map->n_params - 1].transposed = true;
    map->logit_scale = put(b, BQB_TOWER_BOTH, bqb_strdup("logit_scale"), false, 0, 0, 0, 0, 0);
    alias(b, 0, bqb_strdup("logit_scale"));
    if (b->failed) {
        bqb_layout_free(map);
        return bqb_fail_nomem(err, "model layout", 0);
    }
    map->n_floats = (map->n_floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    return BQB_OK;
}

void bqb_layout_free(bqb_layout_map *map) {
    for (size_t i = 0; i < map->n_params; i++) {
        free(map->names[i].name);
        for (size_t k = 0; k < 3; k++) free(map->names[i].hf[k]);
    }
    free(map->param);
    free(map->names);
    free(map->v_block);
    free(map->t_block);
    memset(map, 0, sizeof *map);
}

static void shape_text(char *out, size_t size, const size_t *dim, size_t n_dims) {
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < n_dims && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%zu", i ? "," : "", dim[i]);
    if (n < size) snprintf(out + n, size - n, "]");
}

static bqb_status check_shape(const bqb_tensor *t, const size_t *dim, size_t n_dims, bqb_err *err) {
    bool same = t->n_dims == n_dims;
    for (size_t i = 0; same && i < n_dims; i++) same = t->dim[i] == dim[i];
    /* A scalar is also written as one element. */
    if (!same && n_dims == 0 && t->n == 1) same = true;
    if (same) return BQB_OK;
    char found[128], needed[128];
    shape_text(found, sizeof found, t->dim, t->n_dims);
    shape_text(needed, sizeof needed, dim, n_dims);
    return bqb_fail(err, BQB_EFORMAT, "tensor \"%s\" is %s, the config needs %s", t->name, found, needed);
}

static void transpose(float *out, const float *in, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) out[c * rows + r] = in[r * cols + c];
}

static bqb_status load_part(const bqb_safetensors *st, const char *name, const size_t *dim, size_t n_dims,
                            float *out, bqb_err *err) {
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!t) return bqb_fail(err, BQB_EFORMAT, "tensor \"%s\" is missing", name);
    bqb_status s = check_shape(t, dim, n_dims, err);
    return s ? s : bqb_tensor_to_f32(out, t, 0, t->n, err);
}

static bqb_status load_hf(const bqb_layout_map *map, size_t i, float *out, const bqb_safetensors *st, bqb_err *err) {
    const bqb_param *p = &map->param[i];
    const bqb_param_names *n = &map->names[i];
    size_t dim[4] = {p->dim[0] / n->parts, p->dim[1], p->dim[2], p->dim[3]};
    if (!n->transposed) {
        bqb_status s = BQB_OK;
        for (size_t k = 0; k < n->parts && !s; k++)
            s = load_part(st, n->hf[k], dim, p->n_dims, out + k * (p->n / n->parts), err);
        return s;
    }
    float *turned = bqb_alloc_aligned(p->n, sizeof *turned);
    if (!turned) return bqb_fail_nomem(err, n->hf[0], p->n * sizeof *turned);
    bqb_status s = load_part(st, n->hf[0], (size_t[2]){p->dim[1], p->dim[0]}, 2, turned, err);
    if (!s) transpose(out, turned, p->dim[1], p->dim[0]);
    free(turned);
    return s;
}

bqb_status bqb_layout_load(const bqb_layout_map *map, float *block, int towers, const bqb_safetensors *st,
                           bqb_err *err) {
    bool hf = bqb_safetensors_find(st, "vision_model.embeddings.class_embedding") ||
              bqb_safetensors_find(st, "text_model.embeddings.word_embeddings.weight") ||
              bqb_safetensors_find(st, "text_model.embeddings.token_embedding.weight");
    const char *prefix = bqb_safetensors_find(st, "module.logit_scale") ? "module." : "";
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < map->n_params && !s; i++) {
        const bqb_param *p = &map->param[i];
        if (!(map->names[i].tower & towers)) continue;
        char name[256];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        s = hf ? load_hf(map, i, block + p->offset, st, err)
               : load_part(st, name, p->dim, p->n_dims, block + p->offset, err);
    }
    return s;
}

/* Tensors to write, with the memory that their converted data needs. */
typedef struct {
    bqb_tensor *t;
    size_t n;
    char *bytes;
    size_t used;
    bool half;
} outgoing;

static void add_tensor(outgoing *o, const char *name, const float *data, const size_t *dim, size_t n_dims) {
    bqb_tensor *t = &o->t[o->n++];
    *t = (bqb_tensor){.name = name, .dtype = o->half ? BQB_F16 : BQB_F32, .n_dims = n_dims, .n = 1};
    for (size_t i = 0; i < n_dims; i++) t->n *= t->dim[i] = dim[i];
    char *at = o->bytes + o->used;
    if (o->half)
        for (size_t i = 0; i < t->n; i++) {
            uint16_t h = bqb_f32_to_f16(data[i]);
            memcpy(at + 2 * i, &h, 2);
        }
    else memcpy(at, data, 4 * t->n);
    o->used += t->n * (o->half ? 2 : 4);
    t->data = at;
}

/* Rounding to f16 must not turn a number into an infinity; what was infinite before may stay so. */
static bqb_status check_half(const bqb_layout_map *map, const float *block, const char *path, bqb_err *err) {
    for (size_t i = 0; i < map->n_params; i++) {
        const bqb_param *p = &map->param[i];
        for (size_t k = 0; k < p->n; k++) {
            float x = block[p->offset + k];
            if (fabsf(x) >= 65520 && isfinite(x))
                return bqb_fail(err, BQB_EINVAL, "%s: \"%s\" has a weight of %g, more than f16 can hold (65504); write f32", path,
                                p->name, (double)x);
        }
    }
    return BQB_OK;
}

bqb_status bqb_layout_save(const bqb_layout_map *map, const float *block, const char *path, bool half, bool ofa,
                           bqb_err *err) {
    size_t biggest = 0;
    for (size_t i = 0; i < map->n_params; i++)
        if (map->names[i].transposed && map->param[i].n > biggest) biggest = map->param[i].n;
    outgoing o = {.half = half};
    o.t = bqb_calloc(map->n_params * 3, sizeof *o.t);
    o.bytes = bqb_alloc_aligned(map->n_floats, half ? 2 : 4);
    float *turned = bqb_alloc_aligned(biggest, sizeof *turned);
    bqb_status s = half ? check_half(map, block, path, err) : BQB_OK;
    if (!s && (!o.t || !o.bytes || !turned)) s = bqb_fail_nomem(err, path, map->n_floats * 4);
    for (size_t i = 0; i < map->n_params && !s; i++) {
        const bqb_param *p = &map->param[i];
        const bqb_param_names *n = &map->names[i];
        const float *data = block + p->offset;
        if (ofa) {
            add_tensor(&o, p->name, data, p->dim, p->n_dims);
        } else if (n->transposed) {
            transpose(turned, data, p->dim[0], p->dim[1]);
            add_tensor(&o, n->hf[0], turned, (size_t[2]){p->dim[1], p->dim[0]}, 2);
        } else {
            size_t dim[4] = {p->dim[0] / n->parts, p->dim[1], p->dim[2], p->dim[3]};
            for (size_t k = 0; k < n->parts; k++)
                add_tensor(&o, n->hf[k], data + k * (p->n / n->parts), dim, p->n_dims);
        }
    }
    static const char *const metadata[] = {"format", "pt", NULL};
    size_t len = strlen(path);
    if (!s && len > 3 && !strcmp(path + len - 3, ".pt")) s = bqb_torch_write(path, o.t, o.n, ofa ? "module." : "", err);
    else if (!s) s = bqb_safetensors_write(path, o.t, o.n, metadata, err);
    free(o.t);
    free(o.bytes);
    free(turned);
    return s;
}

/* A few hundred names, looked through for each of them: nothing is allocated, so that naming a model cannot fail. */
bool bqb_layout_next(const bqb_layout_map *map, bqb_layout_at *at) {
    const char *last = at->name, *best = NULL;
    for (size_t i = 0; i < map->n_params; i++)
        for (size_t k = 0; k < map->names[i].parts; k++) {
            const char *name = map->names[i].hf[k];
            if ((last && strcmp(name, last) <= 0) || (best && strcmp(name, best) >= 0)) continue;
            best = name;
            *at = (bqb_layout_at){name, i, k, map->param[i].n / map->names[i].parts};
        }
    return best != NULL;
}

float bqb_layout_element(const bqb_layout_map *map, const float *block, const bqb_layout_at *at, size_t e) {
    const bqb_param *p = &map->param[at->param];
    block += p->offset;
    if (!map->names[at->param].transposed) return block[at->part * at->n + e];
    size_t rows = p->dim[0];
    return block[e % rows * p->dim[1] + e / rows];
}
