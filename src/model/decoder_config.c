/* config.json of language models, and whether its sizes make one. */
#include "base/fs.h"
#include "file/gguf.h"
#include "model/config_read.h"
#include "model/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What no network comes near. */
enum { SIZE_MOST = 1 << 24, LAYERS_MOST = 1 << 12 };

static const char *const families[BQB_DECODER_FAMILIES] = {"llama", "qwen2", "qwen3"};

const char *bqb_decoder_family_name(bqb_decoder_family f) { return (unsigned)f < BQB_DECODER_FAMILIES ? families[f] : "unknown"; }

typedef bqb_config_reader reader;

static void add_end(bqb_decoder_config *c, int32_t id) {
    for (size_t i = 0; i < c->n_end; i++)
        if (c->end[i] == id) return;
    if (c->n_end < BQB_DECODER_ENDS) c->end[c->n_end++] = id;
}

/* One, or a list. */
static void read_ends(reader *r, const json_t *o, bqb_decoder_config *c) {
    const json_t *v = bqb_config_at(o, "eos_token_id");
    size_t n = json_is_array(v) ? json_array_size(v) : v != NULL;
    for (size_t i = 0; i < n && !r->status; i++) {
        int64_t id = bqb_config_id_of(r, json_is_array(v) ? json_array_get(v, i) : v, "eos_token_id");
        if (!r->status) add_end(c, (int32_t)id);
    }
}

static void refuse(reader *r, const char *what, const char *value) {
    if (!r->status)
        r->status = bqb_fail(r->err, BQB_EUNSUPPORTED, "%s: %s \"%s\" is not known", r->path, what, value ? value : "(not text)");
}

/* Speed and stretching once stood beside each other ("rope_theta", "rope_scaling"), and stand together in "rope_parameters" now. */
static void read_positions(reader *r, const json_t *o, bqb_decoder_config *c) {
    const json_t *both = bqb_config_at(o, "rope_parameters"), *s = both ? both : bqb_config_at(o, "rope_scaling");
    c->rope_theta = bqb_config_real(r, bqb_config_at(both, "rope_theta") ? both : o, "rope_theta", 10000, 1e12);
    c->rope_factor = 1;
    if (bqb_config_real(r, bqb_config_at(both, "partial_rotary_factor") ? both : o, "partial_rotary_factor", 1, 1e6) < 1)
        refuse(r, "rotation", "of a part of each head");
    if (!s) return;
    const json_t *kind = bqb_config_at(s, "rope_type") ? bqb_config_at(s, "rope_type") : bqb_config_at(s, "type");
    const char *name = json_string_value(kind);
    if ((!kind && both) || (name && !strcmp(name, "default"))) return;
    c->rope_llama3 = name && !strcmp(name, "llama3");
    if (!c->rope_llama3 && !(name && !strcmp(name, "linear"))) refuse(r, "stretching of positions (rope_scaling)", name);
    c->rope_factor = bqb_config_real(r, s, "factor", 1, 1e6);
    if (!c->rope_llama3) return;
    c->rope_low = bqb_config_real(r, s, "low_freq_factor", 1, 1e6);
    c->rope_high = bqb_config_real(r, s, "high_freq_factor", 4, 1e6);
    c->rope_original = bqb_config_real(r, s, "original_max_position_embeddings", 8192, 1e9);
}

static void read_all(reader *r, const json_t *o, bqb_decoder_config *c) {
    const char *act = json_string_value(bqb_config_at(o, "hidden_act"));
    if (act && strcmp(act, "silu")) refuse(r, "activation", act);
    if (json_is_true(bqb_config_at(o, "use_sliding_window"))) refuse(r, "attention", "sliding window");
    if (json_is_true(bqb_config_at(o, "mlp_bias"))) refuse(r, "MLP", "with biases");
    const json_t *few_bits = bqb_config_at(o, "quantization_config");
    if (few_bits) refuse(r, "quantisation (of few bits only GGUF files are read)", json_string_value(bqb_config_at(few_bits, "quant_method")));
    c->vocab = bqb_config_size(r, o, "vocab_size", 0);
    c->width = bqb_config_size(r, o, "hidden_size", 0);
    c->layers = bqb_config_size(r, o, "num_hidden_layers", 0);
    c->heads = bqb_config_size(r, o, "num_attention_heads", 0);
    c->kv_heads = bqb_config_size(r, o, "num_key_value_heads", c->heads);
    c->head_dim = bqb_config_size(r, o, "head_dim", c->width / c->heads ? c->width / c->heads : 1);
    c->mlp = bqb_config_size(r, o, "intermediate_size", 0);
    c->context = bqb_config_size(r, o, "max_position_embeddings", 2048);
    c->eps = (float)bqb_config_real(r, o, "rms_norm_eps", 1e-6, 1);
    c->tied = json_is_true(bqb_config_at(o, "tie_word_embeddings"));
    c->bos = (int32_t)bqb_config_id(r, o, "bos_token_id", -1);
    read_positions(r, o, c);
    read_ends(r, o, c);
}

bqb_status bqb_decoder_config_check(const bqb_decoder_config *c, const char *name, bqb_err *err) {
    const struct {
        const char *name;
        size_t value, most;
    } sizes[] = {{"vocabulary", c->vocab, SIZE_MOST}, {"width", c->width, 1 << 17}, {"layers", c->layers, LAYERS_MOST},
                 {"heads", c->heads, 1 << 12}, {"key-value heads", c->kv_heads, 1 << 12},
                 {"head width", c->head_dim, 1 << 12}, {"MLP width", c->mlp, 1 << 19}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!sizes[i].value || sizes[i].value > sizes[i].most)
            return bqb_fail(err, BQB_EFORMAT, "%s: %s %zu is not within 1 … %zu", name, sizes[i].name, sizes[i].value, sizes[i].most);
    if (c->heads % c->kv_heads)
        return bqb_fail(err, BQB_EFORMAT, "%s: %zu heads cannot share %zu key-value heads", name, c->heads, c->kv_heads);
    if (c->head_dim % 2)
        return bqb_fail(err, BQB_EFORMAT, "%s: head width %zu is odd: rotary positions turn pairs", name, c->head_dim);
    if (c->rope_llama3 && !(c->rope_low < c->rope_high))
        return bqb_fail(err, BQB_EFORMAT, "%s: rope_scaling: low_freq_factor %g is not below high_freq_factor %g", name,
                        c->rope_low, c->rope_high);
    return BQB_OK;
}

bqb_status bqb_decoder_config_read(bqb_decoder_config *c, const char *path, bqb_err *err) {
    *c = (bqb_decoder_config){0};
    json_t *o;
    bqb_status s = bqb_config_open(&o, path, err);
    if (s) return s;
    reader r = {.path = path, .err = err};
    const char *type = json_string_value(bqb_config_at(o, "model_type"));
    while (c->family < BQB_DECODER_FAMILIES && !(type && !strcmp(type, families[c->family]))) c->family++;
    if (c->family == BQB_DECODER_FAMILIES)
        r.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: model_type is \"%s\", needed \"llama\", \"qwen2\" or \"qwen3\"", path,
                            type ? type : "missing");
    else read_all(&r, o, c);
    json_decref(o);
    return r.status ? r.status : bqb_decoder_config_check(c, path, err);
}

bool bqb_is_decoder(const char *path) {
    if (bqb_is_gguf(path)) return true;
    json_t *o = NULL;
    char *config = bqb_is_dir(path) ? bqb_path_join(path, "config.json") : NULL;
    bool is = config && !bqb_config_open(&o, config, NULL) && json_is_integer(json_object_get(o, "num_hidden_layers"));
    json_decref(o);
    free(config);
    return is;
}

bqb_status bqb_decoder_config_more_ends(bqb_decoder_config *c, const char *path, bqb_err *err) {
    json_t *o;
    bqb_status s = bqb_config_open(&o, path, err);
    if (s) return s;
    reader r = {.path = path, .err = err};
    read_ends(&r, o, c);
    json_decref(o);
    return r.status;
}

/* ---- GGUF ---- */

typedef struct {
    const bqb_gguf *g;
    const char *family;
    bqb_err *err;
    bqb_status status;
} keys;

/* FAMILY.NAME, or fallback; a missing one without (0) is a complaint. */
static double key(keys *k, const char *name, double fallback) {
    char full[96];
    double v;
    snprintf(full, sizeof full, "%s.%s", k->family, name);
    if (bqb_gguf_number(k->g, full, &v)) {
        if (v > 0 && v <= 1e12) return v;
        if (!k->status) k->status = bqb_fail(k->err, BQB_EFORMAT, "%s: %s is %g", bqb_gguf_path(k->g), full, v);
    } else if (fallback <= 0 && !k->status)
        k->status = bqb_fail(k->err, BQB_EFORMAT, "%s: the key \"%s\" is missing", bqb_gguf_path(k->g), full);
    return fallback > 0 ? fallback : 1;
}

static size_t count(keys *k, const char *name, double fallback) {
    double v = key(k, name, fallback);
    return v >= 1 && v <= SIZE_MOST ? (size_t)v : SIZE_MOST + 1; /* which no check lets through */
}

static void gguf_ids(keys *k, bqb_decoder_config *c) {
    double v;
    c->bos = bqb_gguf_number(k->g, "tokenizer.ggml.bos_token_id", &v) && v >= 0 && v < SIZE_MOST ? (int32_t)v : -1;
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (bqb_gguf_number(k->g, ends[i], &v) && v >= 0 && v < SIZE_MOST) add_end(c, (int32_t)v);
}

bqb_status bqb_decoder_config_gguf(bqb_decoder_config *c, const bqb_gguf *g, bqb_err *err) {
    *c = (bqb_decoder_config){0};
    bqb_gguf_text name = {"missing", 7};
    bqb_gguf_text_of(g, "general.architecture", &name);
    while (c->family < BQB_DECODER_FAMILIES && !(strlen(families[c->family]) == name.n && !memcmp(families[c->family], name.s, name.n))) c->family++;
    if (c->family == BQB_DECODER_FAMILIES)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: general.architecture is \"%.*s\", needed \"llama\", \"qwen2\" or \"qwen3\"", bqb_gguf_path(g),
                        (int)(name.n < 100 ? name.n : 100), name.s);
    keys k = {.g = g, .family = families[c->family], .err = err};
    c->width = count(&k, "embedding_length", 0);
    c->layers = count(&k, "block_count", 0);
    c->mlp = count(&k, "feed_forward_length", 0);
    c->heads = count(&k, "attention.head_count", 0);
    c->kv_heads = count(&k, "attention.head_count_kv", (double)c->heads);
    c->head_dim = count(&k, "attention.key_length", c->width / c->heads ? (double)(c->width / c->heads) : 1);
    if (count(&k, "attention.value_length", (double)c->head_dim) != c->head_dim && !k.status)
        k.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: keys and values of different widths", bqb_gguf_path(g));
    c->context = count(&k, "context_length", 2048);
    c->eps = (float)key(&k, "attention.layer_norm_rms_epsilon", 1e-6);
    c->rope_theta = key(&k, "rope.freq_base", 10000);
    c->rope_neighbours = c->family == BQB_LLAMA;
    c->rope_factor = 1;
    char kind[64];
    bqb_gguf_text stretching;
    snprintf(kind, sizeof kind, "%s.rope.scaling.type", k.family);
    if (bqb_gguf_text_of(g, kind, &stretching) && !(stretching.n == 4 && !memcmp(stretching.s, "none", 4))) {
        if (stretching.n == 6 && !memcmp(stretching.s, "linear", 6)) c->rope_factor = key(&k, "rope.scaling.factor", 1);
        else if (!k.status)
            k.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: stretching of positions \"%.*s\" is not known", bqb_gguf_path(g),
                                (int)(stretching.n < 100 ? stretching.n : 100), stretching.s);
    }
    if (!k.status && key(&k, "rope.dimension_count", (double)c->head_dim) != (double)c->head_dim)
        k.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: only a part of each head is rotated", bqb_gguf_path(g));
    const bqb_gguf_tensor *embed = bqb_gguf_tensor_find(g, "token_embd.weight");
    c->vocab = embed && embed->n_dims == 2 ? embed->dim[1] : 0;
    if (!c->vocab && !k.status) k.status = bqb_fail(err, BQB_EFORMAT, "%s: holds no tensor \"token_embd.weight\"", bqb_gguf_path(g));
    c->tied = !bqb_gguf_tensor_find(g, "output.weight");
    gguf_ids(&k, c);
    return k.status ? k.status : bqb_decoder_config_check(c, bqb_gguf_path(g), err);
}

bqb_status bqb_decoder_config_of(bqb_decoder_config *c, const char *path, bqb_err *err) {
    if (bqb_is_gguf(path)) {
        bqb_gguf *g;
        bqb_status s = bqb_gguf_open(&g, path, err);
        if (s) return s;
        s = bqb_decoder_config_gguf(c, g, err);
        bqb_gguf_close(g);
        return s;
    }
    if (bqb_is_file(path)) return bqb_fail(err, BQB_EFORMAT, "%s: neither a model folder nor a GGUF file", path);
    char *config = bqb_path_join(path, "config.json"), *generation = bqb_path_join(path, "generation_config.json");
    bqb_status s = config && generation ? bqb_decoder_config_read(c, config, err) : bqb_fail_nomem(err, path, strlen(path));
    if (!s && bqb_is_file(generation)) s = bqb_decoder_config_more_ends(c, generation, err);
    free(config);
    free(generation);
    return s;
}
