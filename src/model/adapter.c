#include "model/adapter.h"

#include "base/fs.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "model/clip_internal.h"
#include "model/config_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char kind[] = "bqb adapter 1";
enum { PARTS = 6, SHORT_ID = 12 };

/* Where each tensor of the file stands in the block. */
static void list_parts(bqb_tensor out[PARTS], const bqb_sticker_parts *p) {
    const bqb_tensor t[PARTS] = {{.name = "embed_new", .n_dims = 2, .dim = {BQB_STICKER_TOKENS, p->C}, .data = p->embed_new},
                                 {.name = "head_new", .n_dims = 2, .dim = {BQB_STICKER_TOKENS, p->C}, .data = p->head_new},
                                 {.name = "vis_embedding.weight", .n_dims = 2, .dim = {p->C, p->F}, .data = p->vis_weight},
                                 {.name = "vis_embedding.bias", .n_dims = 1, .dim = {p->C}, .data = p->vis_bias},
                                 {.name = "txt_proj.weight", .n_dims = 2, .dim = {p->D, p->C}, .data = p->txt_proj},
                                 {.name = "logit_scale", .n_dims = 0, .data = p->log_scale}};
    for (size_t i = 0; i < PARTS; i++) {
        out[i] = t[i];
        out[i].dtype = BQB_F32;
        out[i].n = 1;
        for (size_t d = 0; d < t[i].n_dims; d++) out[i].n *= t[i].dim[d];
    }
}

static bool all_numbers(const bqb_sticker_parts *p) {
    for (size_t i = 0; i < p->n_floats; i++)
        if (!isfinite(p->floats[i])) return false;
    return true;
}

static const char *clip_name(const bqb_clip *m) { return m->dir ? bqb_path_base(m->dir) : "(new)"; }

bool bqb_is_adapter(const char *dir) {
    char *path = bqb_path_join(dir, "adapter.json");
    bool is = path && bqb_is_file(path);
    free(path);
    return is;
}

/* ---- writing ---- */

static json_t *describe(const bqb_sticker_parts *p, const bqb_adapter_info *info, bqb_decoder *m, bqb_clip *clip) {
    const bqb_decoder_config *c = bqb_decoder_get_config(m);
    json_t *tokens = json_array(), *trained = info->trained ? json_loads(info->trained, 0, NULL) : json_null();
    for (int i = 0; i < BQB_STICKER_TOKENS; i++) json_array_append_new(tokens, json_string(bqb_sticker_token_name((bqb_sticker_token)i)));
    json_t *system = info->system ? bqb_json_text(info->system) : json_null(), *llm = bqb_json_text(bqb_decoder_name(m)),
           *vision = bqb_json_text(clip_name(clip));
    return json_pack("{s:s, s:o, s:{s:I, s:I, s:I, s:I}, s:{s:o, s:s, s:I, s:I, s:s}, s:{s:o, s:s}, s:o, s:o}", "kind", kind, "tokens", tokens,
                     "sizes", "C", (json_int_t)p->C, "F", (json_int_t)p->F, "D", (json_int_t)p->D, "V", (json_int_t)c->vocab, "language_model",
                     "name", llm, "family", bqb_decoder_family_name(c->family), "layers", (json_int_t)c->layers, "width", (json_int_t)c->width,
                     "id", bqb_decoder_id(m), "stickerclip", "name", vision, "id", bqb_clip_id(clip), "system", system, "trained", trained);
}

static bqb_status write_json(const char *path, json_t *o, bqb_err *err) {
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    bqb_outfile f = {0};
    bqb_status s = text ? bqb_outfile_open(&f, path, err) : bqb_fail_nomem(err, path, 4096);
    if (!s) s = bqb_outfile_printf(&f, err, "%s\n", text);
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    free(text);
    return s;
}

bqb_status bqb_adapter_save(const char *dir, const bqb_sticker_parts *parts, const bqb_adapter_info *info, bqb_decoder *m,
                            bqb_clip *clip, bqb_err *err) {
    const bqb_decoder_config *c = bqb_decoder_get_config(m);
    const bqb_clip_config *v = bqb_clip_get_config(clip);
    if (parts->C != c->width || parts->F != v->v_width || parts->D != v->embed)
        return bqb_fail(err, BQB_EINVAL, "%s: parts of %zu, %zu, %zu for models of %zu, %zu, %zu", dir, parts->C, parts->F, parts->D, c->width,
                        v->v_width, v->embed);
    if (!all_numbers(parts)) return bqb_fail(err, BQB_EINVAL, "%s: what was learnt holds values that are no numbers", dir);
    char *weights = bqb_path_join(dir, "adapter.safetensors"), *about = bqb_path_join(dir, "adapter.json");
    json_t *o = describe(parts, info, m, clip);
    bqb_tensor t[PARTS];
    list_parts(t, parts);
    bqb_status s = weights && about && o ? bqb_make_dirs(dir, err) : bqb_fail_nomem(err, dir, 4096);
    if (!s) s = bqb_safetensors_write(weights, t, PARTS, NULL, err);
    if (!s) s = write_json(about, o, err);
    json_decref(o);
    free(weights);
    free(about);
    return s;
}

/* ---- reading ---- */

static const char *text_at(bqb_config_reader *r, const json_t *o, const char *key) {
    const char *text = json_string_value(bqb_config_at(o, key));
    if (!text && !r->status) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is missing", r->path, key);
    return text ? text : "";
}

static void check_kind(bqb_config_reader *r, const json_t *o) {
    const char *k = text_at(r, o, "kind");
    if (r->status || !strcmp(k, kind)) return;
    if (!strncmp(k, kind, sizeof kind - 2)) /* all but its number */
        r->status = bqb_fail(r->err, BQB_EVERSION, "%s: written by a newer bqb (\"%s\", this one reads \"%s\")", r->path, k, kind);
    else r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: is of kind \"%.40s\", needed \"%s\"", r->path, k, kind);
}

static void check_tokens(bqb_config_reader *r, const json_t *o) {
    const json_t *list = bqb_config_at(o, "tokens");
    bool same = json_array_size(list) == BQB_STICKER_TOKENS;
    for (size_t i = 0; same && i < BQB_STICKER_TOKENS; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        same = name && !strcmp(name, bqb_sticker_token_name((bqb_sticker_token)i));
    }
    if (!same && !r->status) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"tokens\" are not [IMG] [/IMG] [RET] [/RET] [PRET]", r->path);
}

static void check_llm(bqb_config_reader *r, const json_t *o, bqb_decoder *m) {
    const bqb_decoder_config *c = bqb_decoder_get_config(m);
    const json_t *llm = bqb_config_object(r, o, "language_model"), *sizes = bqb_config_object(r, o, "sizes");
    const char *name = text_at(r, llm, "name"), *family = text_at(r, llm, "family"), *id = text_at(r, llm, "id");
    size_t layers = bqb_config_size(r, llm, "layers", 0), width = bqb_config_size(r, sizes, "C", 0), vocab = bqb_config_size(r, sizes, "V", 0);
    if (r->status) return;
    if (strcmp(id, bqb_decoder_id(m)) || width != c->width || vocab != c->vocab)
        r->status = bqb_fail(r->err, BQB_EINVAL,
                             "%s: belongs to the language model \"%s\" (%s, %zu layers of %zu, %zu tokens, id %.*s), not to \"%s\" (%s, %zu layers of "
                             "%zu, %zu tokens, id %.*s)",
                             r->path, name, family, layers, width, vocab, SHORT_ID, id, bqb_decoder_name(m), bqb_decoder_family_name(c->family),
                             c->layers, c->width, c->vocab, SHORT_ID, bqb_decoder_id(m));
}

static void check_clip(bqb_config_reader *r, const json_t *o, bqb_clip *clip, size_t F, size_t D) {
    const json_t *named = bqb_config_object(r, o, "stickerclip");
    const char *name = text_at(r, named, "name"), *id = text_at(r, named, "id");
    if (r->status || !clip) return;
    const bqb_clip_config *v = bqb_clip_get_config(clip);
    if (strcmp(id, bqb_clip_id(clip)) || F != v->v_width || D != v->embed)
        r->status = bqb_fail(r->err, BQB_EINVAL,
                             "%s: belongs to the StickerCLIP \"%s\" (features of %zu, space of %zu, id %.*s), not to \"%s\" (features of %zu, space of "
                             "%zu, id %.*s)",
                             r->path, name, F, D, SHORT_ID, id, clip_name(clip), v->v_width, v->embed, SHORT_ID, bqb_clip_id(clip));
}

/* A copy of what o says; NULL where it says nothing. */
static char *copy_text(bqb_config_reader *r, const json_t *v) {
    if (!v || r->status) return NULL;
    char *s = json_is_string(v) ? bqb_strdup(json_string_value(v)) : json_dumps(v, JSON_COMPACT);
    if (!s) r->status = bqb_fail_nomem(r->err, r->path, 1024);
    return s;
}

static void read_about(bqb_config_reader *r, bqb_adapter *a, const json_t *o, bqb_decoder *m, bqb_clip *clip) {
    check_kind(r, o);
    check_tokens(r, o);
    check_llm(r, o, m);
    const json_t *sizes = bqb_config_object(r, o, "sizes"), *trained = bqb_config_at(o, "trained"), *system = bqb_config_at(o, "system");
    size_t F = bqb_config_size(r, sizes, "F", 0), D = bqb_config_size(r, sizes, "D", 0);
    check_clip(r, o, clip, F, D);
    if (!r->status && trained && !json_is_object(trained)) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"trained\" is no object", r->path);
    if (!r->status && system && !json_is_string(system)) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"system\" is no text", r->path);
    a->info.llm = copy_text(r, bqb_config_at(bqb_config_at(o, "language_model"), "name"));
    a->info.clip = copy_text(r, bqb_config_at(bqb_config_at(o, "stickerclip"), "name"));
    a->info.system = copy_text(r, system);
    a->info.trained = copy_text(r, trained);
    size_t most = (size_t)1 << 27; /* numbers in a map: 512 MiB, beyond any model's */
    if (!r->status && (F > most / bqb_decoder_get_config(m)->width || D > most / bqb_decoder_get_config(m)->width))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: F %zu and D %zu are not those of a StickerCLIP", r->path, F, D);
    if (!r->status) r->status = bqb_sticker_parts_new(&a->parts, bqb_decoder_get_config(m)->width, F, D, r->err);
}

static bqb_status read_weights(bqb_adapter *a, const char *path, bqb_err *err) {
    bqb_safetensors *st;
    bqb_status s = bqb_safetensors_open(&st, path, err);
    if (s) return s;
    bqb_tensor want[PARTS];
    list_parts(want, &a->parts);
    for (size_t i = 0; i < PARTS && !s; i++) {
        const bqb_tensor *t = bqb_safetensors_find(st, want[i].name);
        bool same = t && t->n_dims == want[i].n_dims;
        for (size_t d = 0; same && d < t->n_dims; d++) same = t->dim[d] == want[i].dim[d];
        if (!t) s = bqb_fail(err, BQB_EFORMAT, "%s: holds no tensor \"%s\"", path, want[i].name);
        else if (!same)
            s = bqb_fail(err, BQB_EFORMAT, "%s: \"%s\" has %zu dimensions and %zu values, adapter.json needs %zu and %zu", path, t->name, t->n_dims,
                         t->n, want[i].n_dims, want[i].n);
        else if ((s = bqb_tensor_to_f32(a->parts.floats + ((const float *)want[i].data - a->parts.floats), t, 0, t->n, err)))
            bqb_err_prefix(err, path);
    }
    if (!s && !all_numbers(&a->parts)) s = bqb_fail(err, BQB_EFORMAT, "%s: holds values that are no numbers", path);
    bqb_safetensors_close(st);
    return s;
}

bqb_status bqb_adapter_open(bqb_adapter **out, const char *dir, bqb_decoder *m, bqb_clip *clip, bqb_err *err) {
    *out = NULL;
    bqb_adapter *a = bqb_calloc(1, sizeof *a);
    char *about = bqb_path_join(dir, "adapter.json"), *weights = bqb_path_join(dir, "adapter.safetensors");
    json_t *o = NULL;
    bqb_status s = a && about && weights ? bqb_config_open(&o, about, err) : bqb_fail_nomem(err, dir, sizeof *a);
    if (!s) {
        bqb_config_reader r = {.path = about, .err = err};
        read_about(&r, a, o, m, clip);
        s = r.status;
    }
    if (!s) s = read_weights(a, weights, err);
    json_decref(o);
    free(about);
    free(weights);
    if (s) bqb_adapter_close(a);
    else *out = a;
    return s;
}

void bqb_adapter_close(bqb_adapter *a) {
    if (!a) return;
    bqb_sticker_parts_free(&a->parts);
    free(a->info.llm);
    free(a->info.clip);
    free(a->info.system);
    free(a->info.trained);
    free(a);
}

char *bqb_adapter_beside(const char *llm) {
    if (bqb_is_dir(llm)) return bqb_path_join(llm, "adapter");
    char *folder = bqb_strndup(llm, (size_t)(bqb_path_base(llm) - llm)), *path = folder ? bqb_path_join(folder, "adapter") : NULL;
    free(folder);
    return path;
}
