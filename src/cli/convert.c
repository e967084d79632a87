#include "cli/convert.h"

#include "base/fs.h"
#include "base/mem.h"
#include "model/clip.h"
#include "model/layout.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The OFA form of config.json, which knows no epsilons, no other MLP width than
 * 4C and no other activation than QuickGELU in the picture tower. */
static bqb_status write_ofa_config(const bqb_clip_config *c, const char *path, bqb_err *err) {
    if (c->t_kind != BQB_TEXT_BERT)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: the ofa form has no causal text tower; write hf", path);
    if (c->v_mlp != 4 * c->v_width || c->v_act != BQB_ACT_QUICK_GELU)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: the ofa form cannot say this picture tower's MLP width or activation", path);
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, err);
    if (!s)
        s = bqb_outfile_printf(&o, err,
                               "{\n \"embed_dim\": %zu,\n \"image_resolution\": %zu,\n \"vision_layers\": %zu,\n"
                               " \"vision_width\": %zu,\n \"vision_patch_size\": %zu,\n \"vision_head_width\": %zu,\n"
                               " \"vocab_size\": %zu,\n \"text_attention_probs_dropout_prob\": 0.1,\n"
                               " \"text_hidden_act\": \"%s\",\n \"text_hidden_dropout_prob\": 0.1,\n"
                               " \"text_hidden_size\": %zu,\n \"text_initializer_range\": 0.02,\n"
                               " \"text_intermediate_size\": %zu,\n \"text_max_position_embeddings\": %zu,\n"
                               " \"text_num_attention_heads\": %zu,\n \"text_num_hidden_layers\": %zu,\n"
                               " \"text_type_vocab_size\": %zu,\n \"context_length\": %zu\n}\n",
                               c->embed, c->resolution, c->v_layers, c->v_width, c->patch, c->v_width / c->v_heads, c->vocab,
                               c->t_act == BQB_ACT_GELU ? "gelu" : "quick_gelu", c->t_width, c->t_mlp, c->t_positions, c->t_heads,
                               c->t_layers, c->t_types, c->context);
    if (!s) s = bqb_outfile_commit(&o, err);
    bqb_outfile_abort(&o);
    return s;
}

static bool same_folder(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A folder that holds a model is never written over. */
static bqb_status check_new(const char *to, bqb_err *err) {
    static const char *const names[] = {"model.safetensors", "model.pt", "pytorch_model.bin", "config.json", "vocab.txt", "vocab.json", "tokenizer.json", "library.db"};
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !s; i++) {
        char *path = bqb_path_join(to, names[i]);
        if (!path) s = bqb_fail_nomem(err, to, strlen(to));
        else if (bqb_is_file(path)) s = bqb_fail(err, BQB_EINVAL, "%s is there already: name another folder", path);
        free(path);
    }
    return s;
}

/* A file of weights: its config and vocabulary are beside it, unless they are given. */
static bqb_status open_file(bqb_clip **m, char **vocab, const char *path, const char *config, const char *given, bqb_err *err) {
    bqb_clip_config c;
    bqb_tokenizer *words = NULL;
    char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path));
    char *beside = dir ? bqb_path_join(dir, "config.json") : NULL;
    bqb_status s = beside ? BQB_OK : bqb_fail_nomem(err, path, strlen(path));
    if (!s && !config && bqb_is_file(beside)) config = beside;
    if (!s) s = config ? bqb_clip_config_read(&c, config, err) : bqb_clip_config_infer(&c, path, err);
    if (!s && !(*vocab = given ? bqb_strdup(given) : bqb_clip_vocabulary(&c, dir)))
        s = bqb_fail_nomem(err, path, strlen(path));
    if (!s && !given && !bqb_is_file(*vocab))
        s = bqb_fail(err, BQB_ENOTFOUND, "%s: there is no %s and no tokenizer.json beside it; --vocab FILE names one", path, bqb_path_base(*vocab));
    if (!s) s = bqb_tokenizer_open(&words, *vocab, err);
    if (!s && bqb_tokenizer_size(words) > c.vocab)
        s = bqb_fail(err, BQB_EFORMAT, "%s: has %zu tokens, the model's embedding only %zu", *vocab, bqb_tokenizer_size(words), c.vocab);
    if (!s) s = bqb_clip_new(m, &c, path, 0, BQB_PREC_F32, 1, err);
    bqb_tokenizer_close(words);
    free(beside);
    free(dir);
    return s;
}

/* OFA's names: the same folder, but for the form of its config and weights. */
static bqb_status save_ofa(bqb_clip *m, const char *to, bool half, bool pt, const char *vocab, bqb_err *err) {
    bqb_layout_map map = {0};
    char *config = bqb_path_join(to, "config.json");
    char *weights = bqb_path_join(to, pt ? "model.pt" : "model.safetensors");
    bqb_status s = config && weights ? BQB_OK : bqb_fail_nomem(err, to, strlen(to));
    if (!s) s = bqb_make_dirs(to, err);
    if (!s) s = write_ofa_config(bqb_clip_get_config(m), config, err);
    if (!s) s = bqb_layout_new(&map, bqb_clip_get_config(m), err);
    if (!s) s = bqb_layout_save(&map, bqb_clip_weights(m), weights, half, true, err);
    if (!s) s = bqb_tokenizer_copy(vocab, to, err);
    bqb_layout_free(&map);
    free(config);
    free(weights);
    return s;
}

bqb_status cli_convert(const char *from, const char *to, bool half, const char *form, const char *config, const char *given,
                       bqb_err *err) {
    if (same_folder(from, to)) return bqb_fail(err, BQB_EINVAL, "%s and %s are the same folder", from, to);
    bqb_clip *m = NULL;
    char *vocab = NULL;
    bqb_status s = check_new(to, err);
    if (s) return s;
    if (bqb_is_file(from)) s = open_file(&m, &vocab, from, config, given, err);
    else if (config || given) s = bqb_fail(err, BQB_EINVAL, "%s: --config and --vocab are for a file of weights, not for a folder", from);
    else {
        s = bqb_clip_open(&m, from, BQB_TOWER_BOTH, BQB_PREC_F32, 1, err);
        if (!s && !(vocab = bqb_clip_vocabulary(bqb_clip_get_config(m), from))) s = bqb_fail_nomem(err, from, strlen(from));
    }
    if (!s && strcmp(form, "hf") != 0) s = save_ofa(m, to, half, !strcmp(form, "pt"), vocab, err);
    else if (!s) s = bqb_clip_save(m, to, half, vocab, err);
    bqb_clip_free(m);
    free(vocab);
    return s;
}
