/* config.json in its forms: Hugging Face's ChineseCLIPConfig and CLIPConfig, and the OFA one. */
#include "file/json.h"
#include "model/clip.h"

#include <string.h>

/* A reader that remembers its first complaint. */
typedef struct {
    const char *path;
    bqb_err *err;
    bqb_status status;
} reader;

/* What no network comes near; bqb_layout_new draws the line for each size. */
enum { SIZE_MOST = 1 << 28 };

static size_t size_at(reader *r, const json_t *o, const char *key, size_t fallback) {
    const json_t *v = json_object_get(o, key);
    if (!v && fallback) return fallback;
    if (r->status) return 0;
    if (!v) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is missing", r->path, key);
    else if (!json_is_integer(v))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a whole number", r->path, key);
    else if (json_integer_value(v) <= 0 || json_integer_value(v) > SIZE_MOST)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is %lld, must be 1 … %d", r->path, key,
                             (long long)json_integer_value(v), SIZE_MOST);
    return (size_t)json_integer_value(v);
}

/* A token's id, which may be 0. */
static size_t id_at(reader *r, const json_t *o, const char *key, size_t fallback) {
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return fallback;
    if (!r->status && (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > SIZE_MOST))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a token's id", r->path, key);
    return (size_t)json_integer_value(v);
}

static float real_at(reader *r, const json_t *o, const char *key, double fallback) {
    const json_t *v = json_object_get(o, key);
    if (!v) return (float)fallback;
    double x = json_number_value(v);
    if (!r->status && !(json_is_number(v) && x > 0 && x < 1))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a number between 0 and 1", r->path, key);
    return (float)x;
}

static bqb_act act_at(reader *r, const json_t *o, const char *key, bqb_act fallback) {
    const json_t *v = json_object_get(o, key);
    if (!v) return fallback;
    const char *name = json_string_value(v);
    if (name && !strcmp(name, "gelu")) return BQB_ACT_GELU;
    if (name && !strcmp(name, "quick_gelu")) return BQB_ACT_QUICK_GELU;
    if (!r->status)
        r->status = bqb_fail(r->err, BQB_EUNSUPPORTED, "%s: \"%s\" is \"%s\"; gelu and quick_gelu are known",
                             r->path, key, name ? name : "not text");
    return fallback;
}

static const json_t *object_at(reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!r->status && !json_is_object(v))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is missing", r->path, key);
    return v;
}

static void read_vision(reader *r, const json_t *v, size_t patch, bqb_clip_config *c) {
    if (size_at(r, v, "num_channels", 3) != 3 && !r->status)
        r->status = bqb_fail(r->err, BQB_EUNSUPPORTED, "%s: \"num_channels\" must be 3", r->path);
    c->resolution = size_at(r, v, "image_size", 224);
    c->patch = size_at(r, v, "patch_size", patch);
    c->v_width = size_at(r, v, "hidden_size", 768);
    c->v_layers = size_at(r, v, "num_hidden_layers", 12);
    c->v_heads = size_at(r, v, "num_attention_heads", 12);
    c->v_mlp = size_at(r, v, "intermediate_size", 3072);
    c->v_eps = real_at(r, v, "layer_norm_eps", 1e-5);
    c->v_act = act_at(r, v, "hidden_act", BQB_ACT_QUICK_GELU);
}

static void read_hf(reader *r, const json_t *o, bqb_clip_config *c) {
    const json_t *v = object_at(r, o, "vision_config"), *t = object_at(r, o, "text_config");
    if (r->status) return;
    read_vision(r, v, 16, c);
    c->vocab = size_at(r, t, "vocab_size", 0);
    c->t_width = size_at(r, t, "hidden_size", 768);
    c->t_layers = size_at(r, t, "num_hidden_layers", 12);
    c->t_heads = size_at(r, t, "num_attention_heads", 12);
    c->t_mlp = size_at(r, t, "intermediate_size", 3072);
    c->t_positions = size_at(r, t, "max_position_embeddings", 512);
    c->t_types = size_at(r, t, "type_vocab_size", 2);
    c->t_eps = real_at(r, t, "layer_norm_eps", 1e-12);
    c->t_act = act_at(r, t, "hidden_act", BQB_ACT_GELU);
    c->embed = size_at(r, o, "projection_dim", 512);
}

/* OpenAI's CLIP. What is missing has the defaults of Hugging Face's CLIPConfig. */
static void read_clip(reader *r, const json_t *o, bqb_clip_config *c) {
    const json_t *v = object_at(r, o, "vision_config"), *t = object_at(r, o, "text_config");
    if (r->status) return;
    read_vision(r, v, 32, c);
    c->t_kind = BQB_TEXT_CAUSAL;
    c->vocab = size_at(r, t, "vocab_size", 49408);
    c->t_width = size_at(r, t, "hidden_size", 512);
    c->t_layers = size_at(r, t, "num_hidden_layers", 12);
    c->t_heads = size_at(r, t, "num_attention_heads", 8);
    c->t_mlp = size_at(r, t, "intermediate_size", 2048);
    c->t_positions = size_at(r, t, "max_position_embeddings", 77);
    c->t_eps = real_at(r, t, "layer_norm_eps", 1e-5);
    c->t_act = act_at(r, t, "hidden_act", BQB_ACT_QUICK_GELU);
    c->t_bos = id_at(r, t, "bos_token_id", 49406);
    c->t_eos = id_at(r, t, "eos_token_id", 49407);
    c->t_pad = id_at(r, t, "pad_token_id", 1);
    c->embed = size_at(r, o, "projection_dim", 512);
}

static void read_ofa(reader *r, const json_t *o, bqb_clip_config *c) {
    c->resolution = size_at(r, o, "image_resolution", 0);
    c->patch = size_at(r, o, "vision_patch_size", 0);
    c->v_width = size_at(r, o, "vision_width", 0);
    c->v_layers = size_at(r, o, "vision_layers", 0);
    size_t head = size_at(r, o, "vision_head_width", 64);
    c->v_heads = head && c->v_width % head == 0 ? c->v_width / head : 0;
    c->v_mlp = 4 * c->v_width;
    c->v_eps = 1e-5f;
    c->v_act = BQB_ACT_QUICK_GELU;
    c->vocab = size_at(r, o, "vocab_size", 0);
    c->t_width = size_at(r, o, "text_hidden_size", 0);
    c->t_layers = size_at(r, o, "text_num_hidden_layers", 0);
    c->t_heads = size_at(r, o, "text_num_attention_heads", 0);
    c->t_mlp = size_at(r, o, "text_intermediate_size", 0);
    c->t_positions = size_at(r, o, "text_max_position_embeddings", 0);
    c->t_types = size_at(r, o, "text_type_vocab_size", 2);
    c->t_eps = 1e-12f;
    c->t_act = act_at(r, o, "text_hidden_act", BQB_ACT_GELU);
    c->embed = size_at(r, o, "embed_dim", 0);
}

enum { CONFIG_MAX_BYTES = 1 << 20, CONFIG_MAX_DEPTH = 32, CONFIG_MAX_ITEMS = 1 << 16, DEFAULT_CONTEXT = 64 };

bqb_status bqb_clip_config_read(bqb_clip_config *c, const char *path, bqb_err *err) {
    memset(c, 0, sizeof *c);
    json_t *o;
    bqb_status s = bqb_json_read(&o, path, CONFIG_MAX_BYTES, CONFIG_MAX_DEPTH, CONFIG_MAX_ITEMS, err);
    if (s) return s;
    reader r = {.path = path, .err = err};
    const char *type = json_string_value(json_object_get(o, "model_type"));
    if (json_object_get(o, "vision_width")) read_ofa(&r, o, c);
    else if (type && !strcmp(type, "chinese_clip")) read_hf(&r, o, c);
    else if (type && !strcmp(type, "clip")) read_clip(&r, o, c);
    else
        r.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: model_type is \"%s\", needed \"chinese_clip\" or \"clip\"", path,
                            type ? type : "missing");
    if (!r.status) {
        bool whole = c->t_kind == BQB_TEXT_CAUSAL || c->t_positions < DEFAULT_CONTEXT;
        size_t most = whole ? c->t_positions : DEFAULT_CONTEXT;
        c->context = size_at(&r, o, "context_length", most);
    }
    json_decref(o);
    return r.status;
}
