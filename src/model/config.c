/* config.json in its forms: Hugging Face's ChineseCLIPConfig and CLIPConfig, and the OFA one. */
#include "model/clip.h"
#include "model/config_read.h"

#include <string.h>

typedef bqb_config_reader reader;

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

static void read_vision(reader *r, const json_t *v, size_t patch, bqb_clip_config *c) {
    if (bqb_config_size(r, v, "num_channels", 3) != 3 && !r->status)
        r->status = bqb_fail(r->err, BQB_EUNSUPPORTED, "%s: \"num_channels\" must be 3", r->path);
    c->resolution = bqb_config_size(r, v, "image_size", 224);
    c->patch = bqb_config_size(r, v, "patch_size", patch);
    c->v_width = bqb_config_size(r, v, "hidden_size", 768);
    c->v_layers = bqb_config_size(r, v, "num_hidden_layers", 12);
    c->v_heads = bqb_config_size(r, v, "num_attention_heads", 12);
    c->v_mlp = bqb_config_size(r, v, "intermediate_size", 3072);
    c->v_eps = (float)bqb_config_real(r, v, "layer_norm_eps", 1e-5, 1);
    c->v_act = act_at(r, v, "hidden_act", BQB_ACT_QUICK_GELU);
}

/* Hugging Face's two; what is missing has the defaults of its ChineseCLIPConfig and CLIPConfig. */
static void read_hf(reader *r, const json_t *o, bool causal, bqb_clip_config *c) {
    const json_t *v = bqb_config_object(r, o, "vision_config"), *t = bqb_config_object(r, o, "text_config");
    if (r->status) return;
    read_vision(r, v, causal ? 32 : 16, c);
    c->t_kind = causal ? BQB_TEXT_CAUSAL : BQB_TEXT_BERT;
    c->vocab = bqb_config_size(r, t, "vocab_size", causal ? 49408 : 0);
    c->t_width = bqb_config_size(r, t, "hidden_size", causal ? 512 : 768);
    c->t_layers = bqb_config_size(r, t, "num_hidden_layers", 12);
    c->t_heads = bqb_config_size(r, t, "num_attention_heads", causal ? 8 : 12);
    c->t_mlp = bqb_config_size(r, t, "intermediate_size", causal ? 2048 : 3072);
    c->t_positions = bqb_config_size(r, t, "max_position_embeddings", causal ? 77 : 512);
    c->t_eps = (float)bqb_config_real(r, t, "layer_norm_eps", causal ? 1e-5 : 1e-12, 1);
    c->t_act = act_at(r, t, "hidden_act", causal ? BQB_ACT_QUICK_GELU : BQB_ACT_GELU);
    c->embed = bqb_config_size(r, o, "projection_dim", 512);
    if (causal) {
        c->t_bos = (size_t)bqb_config_id(r, t, "bos_token_id", 49406);
        c->t_eos = (size_t)bqb_config_id(r, t, "eos_token_id", 49407);
        c->t_pad = (size_t)bqb_config_id(r, t, "pad_token_id", 1);
    } else c->t_types = bqb_config_size(r, t, "type_vocab_size", 2);
}

static void read_ofa(reader *r, const json_t *o, bqb_clip_config *c) {
    c->resolution = bqb_config_size(r, o, "image_resolution", 0);
    c->patch = bqb_config_size(r, o, "vision_patch_size", 0);
    c->v_width = bqb_config_size(r, o, "vision_width", 0);
    c->v_layers = bqb_config_size(r, o, "vision_layers", 0);
    size_t head = bqb_config_size(r, o, "vision_head_width", 64);
    c->v_heads = head && c->v_width % head == 0 ? c->v_width / head : 0;
    c->v_mlp = 4 * c->v_width;
    c->v_eps = 1e-5f;
    c->v_act = BQB_ACT_QUICK_GELU;
    c->vocab = bqb_config_size(r, o, "vocab_size", 0);
    c->t_width = bqb_config_size(r, o, "text_hidden_size", 0);
    c->t_layers = bqb_config_size(r, o, "text_num_hidden_layers", 0);
    c->t_heads = bqb_config_size(r, o, "text_num_attention_heads", 0);
    c->t_mlp = bqb_config_size(r, o, "text_intermediate_size", 0);
    c->t_positions = bqb_config_size(r, o, "text_max_position_embeddings", 0);
    c->t_types = bqb_config_size(r, o, "text_type_vocab_size", 2);
    c->t_eps = 1e-12f;
    c->t_act = act_at(r, o, "text_hidden_act", BQB_ACT_GELU);
    c->embed = bqb_config_size(r, o, "embed_dim", 0);
}

enum { DEFAULT_CONTEXT = 64 };

bqb_status bqb_clip_config_read(bqb_clip_config *c, const char *path, bqb_err *err) {
    memset(c, 0, sizeof *c);
    json_t *o;
    bqb_status s = bqb_config_open(&o, path, err);
    if (s) return s;
    reader r = {.path = path, .err = err};
    const char *type = json_string_value(json_object_get(o, "model_type"));
    if (json_object_get(o, "vision_width")) read_ofa(&r, o, c);
    else if (type && (!strcmp(type, "chinese_clip") || !strcmp(type, "clip"))) read_hf(&r, o, !strcmp(type, "clip"), c);
    else
        r.status = bqb_fail(err, BQB_EUNSUPPORTED, "%s: model_type is \"%s\", needed \"chinese_clip\" or \"clip\"", path,
                            type ? type : "missing");
    if (!r.status) {
        bool whole = c->t_kind == BQB_TEXT_CAUSAL || c->t_positions < DEFAULT_CONTEXT;
        size_t most = whole ? c->t_positions : DEFAULT_CONTEXT;
        c->context = bqb_config_size(&r, o, "context_length", most);
    }
    json_decref(o);
    return r.status;
}
