/* The configuration that weights alone tell: for checkpoints that come without a config.json. */
#include "file/safetensors.h"
#include "file/torch.h"
#include "model/clip.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 256, DEFAULT_CONTEXT = 64, HEAD = 64, WIDE_HEADS = 16 };

/* A reader that remembers its first complaint. */
typedef struct {
    const bqb_safetensors *st;
    const char *path;
    bqb_err *err;
    bqb_status status;
} reader;

static size_t dim_of(reader *r, const char *name, size_t n_dims, size_t d) {
    const bqb_tensor *t = bqb_safetensors_find(r->st, name);
    if (!t) { /* a safetensors file keeps the prefix that a checkpoint's reader leaves out */
        char full[200];
        snprintf(full, sizeof full, "module.%s", name);
        t = bqb_safetensors_find(r->st, full);
    }
    if (r->status) return 1;
    if (!t)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: tensor \"%s\" is missing: without a config.json the weights must have "
                                                  "Chinese-CLIP's own key names", r->path, name);
    else if (t->n_dims != n_dims || !t->n)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: tensor \"%s\" has %zu dimensions, needed are %zu", r->path, name, t->n_dims,
                             n_dims);
    return r->status ? 1 : t->dim[d];
}

static size_t count_layers(const reader *r, const char *before, const char *after) {
    size_t n = 0;
    for (; n < MAX_LAYERS; n++) {
        char name[200];
        snprintf(name, sizeof name, "module.%s%zu%s", before, n, after);
        if (!bqb_safetensors_find(r->st, name) && !bqb_safetensors_find(r->st, name + 7)) break;
    }
    return n;
}

/* Heads are 64 wide in every published tower but the widest (ViT-H, g and G), which have 16. */
static size_t heads_of(reader *r, size_t width) {
    if (width == 1280 || width == 1408 || width == 1664) return WIDE_HEADS;
    if (width % HEAD && !r->status)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: a width of %zu is no multiple of %d, so the number of heads is not known: a "
                                                  "config.json is needed beside it", r->path, width, HEAD);
    return width / HEAD;
}

static void read_pictures(reader *r, bqb_clip_config *c) {
    if (bqb_safetensors_find(r->st, "visual.attnpool.positional_embedding")) {
        r->status = bqb_fail(r->err, BQB_EUNSUPPORTED, "%s: its picture tower is a ResNet; only ViTs are known", r->path);
        return;
    }
    c->v_width = dim_of(r, "visual.conv1.weight", 4, 0);
    c->patch = dim_of(r, "visual.conv1.weight", 4, 3);
    size_t tokens = dim_of(r, "visual.positional_embedding", 2, 0), grid = 1;
    while (grid * grid + 1 < tokens && grid < 4096) grid++;
    if (grid * grid + 1 != tokens && !r->status)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: %zu positions are no square of patches and a class token", r->path, tokens);
    c->resolution = grid * c->patch;
    c->v_layers = count_layers(r, "visual.transformer.resblocks.", ".ln_1.weight");
    c->v_mlp = dim_of(r, "visual.transformer.resblocks.0.mlp.c_fc.weight", 2, 0);
    c->v_heads = heads_of(r, c->v_width);
    c->v_eps = 1e-5f;
    c->v_act = BQB_ACT_QUICK_GELU;
}

static void read_texts(reader *r, bqb_clip_config *c) {
    c->vocab = dim_of(r, "bert.embeddings.word_embeddings.weight", 2, 0);
    c->t_width = dim_of(r, "bert.embeddings.word_embeddings.weight", 2, 1);
    c->t_positions = dim_of(r, "bert.embeddings.position_embeddings.weight", 2, 0);
    c->t_types = dim_of(r, "bert.embeddings.token_type_embeddings.weight", 2, 0);
    c->t_layers = count_layers(r, "bert.encoder.layer.", ".output.dense.weight");
    c->t_mlp = dim_of(r, "bert.encoder.layer.0.intermediate.dense.weight", 2, 0);
    c->t_heads = heads_of(r, c->t_width);
    c->t_eps = 1e-12f;
    c->t_act = BQB_ACT_GELU;
    c->context = c->t_positions < DEFAULT_CONTEXT ? c->t_positions : DEFAULT_CONTEXT;
}

bqb_status bqb_clip_config_infer(bqb_clip_config *c, const char *weights, bqb_err *err) {
    memset(c, 0, sizeof *c);
    bqb_safetensors *st;
    bqb_status s = bqb_weights_open(&st, weights, err);
    if (s) return s;
    reader r = {.st = st, .path = weights, .err = err};
    read_pictures(&r, c);
    if (!r.status) read_texts(&r, c);
    c->embed = dim_of(&r, "visual.proj", 2, 1);
    bqb_safetensors_close(st);
    return r.status;
}
