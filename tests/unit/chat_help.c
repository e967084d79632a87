#include "chat_help.h"

#include "base/fs.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "file/safetensors.h"
#include "library/likeness.h"
#include "model_folder.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { C = 16, MLP = 8, HEADS = 2, KV = 1, MOST_SCRIPT = 13, D = 16 };

static bqb_err err;

static const char *path_in(const char *dir, const char *name) {
    static char paths[4][1300];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static void unit(float *v) {
    double sum = 0;
    for (int d = 0; d < D; d++) sum += (double)v[d] * (double)v[d];
    for (int d = 0; d < D; d++) v[d] = (float)((double)v[d] / sqrt(sum));
}

/* The vector of sticker i: i below 10 leans away from number 0 by i; others are at right angles or worse. */
static void sticker_vector(float *v, int i) {
    bqb_rand r = bqb_rand_seed(77, (uint64_t)i);
    for (int d = 0; d < D; d++) v[d] = (float)bqb_rand_normal(&r);
    v[0] = i < 10 ? 0 : -0.3f * fabsf(v[0]);
    unit(v);
    if (i < 10) {
        for (int d = 0; d < D; d++) v[d] *= 0.05f * (float)i;
        v[0] = 1;
        unit(v);
    }
}

static bqb_llm_tokenizer *copy_tokenizer(const char *lm) {
    bqb_llm_tokenizer *t = NULL;
    char *text = NULL;
    size_t n = 0;
    CHECK_OK(bqb_file_read(&text, &n, "tests/golden/llm/tokenizer/qwen2/tokenizer.json", 1 << 20, &err), err);
    CHECK_OK(bqb_file_write(path_in(lm, "tokenizer.json"), text, n, &err), err);
    CHECK_OK(bqb_llm_tokenizer_open(&t, path_in(lm, "tokenizer.json"), &err), err);
    free(text);
    return t;
}

/* Text as tokens; what is no UTF-8 byte by byte, whose ids are the bytes in this vocabulary. */
static void add_text(bqb_ids *ids, const bqb_llm_tokenizer *t, const char *text, size_t n) {
    size_t good = bqb_utf8_check(text, n);
    CHECK_OK(bqb_llm_tokenizer_encode(t, ids, text, good, false, &err), err);
    for (; good < n; good++) CHECK_OK(bqb_ids_add(ids, (uint8_t)text[good], &err), err);
}

/* The script's tokens; -1 for [RET]. */
static size_t read_script(int32_t *out, const bqb_llm_tokenizer *t, const char *script, bool *endless) {
    bqb_ids ids = {0};
    const char *mark = strstr(script, "[RET]") ? strstr(script, "[RET]") : strstr(script, "[NON]");
    size_t n = 0, len = strlen(script);
    *endless = len && script[len - 1] == '~';
    if (*endless) len--;
    add_text(&ids, t, script, mark ? (size_t)(mark - script) : len);
    size_t left = ids.n;
    if (mark) add_text(&ids, t, mark + 5, len - (size_t)(mark + 5 - script));
    CHECK_MSG(ids.n < MOST_SCRIPT, "the script has %zu tokens", ids.n);
    for (size_t i = 0; i <= ids.n && n < MOST_SCRIPT; i++) {
        if (mark && i == left) out[n++] = -1;
        if (i < ids.n) out[n++] = ids.id[i];
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) CHECK_MSG(out[i] != out[k], "token %d twice in \"%s\"", (int)out[i], script);
    if (!*endless) out[n++] = bqb_llm_tokenizer_added(t, "<|im_end|>");
    free(ids.id);
    return n;
}

static void write_config(const char *lm, size_t V, int32_t end) {
    char text[700];
    snprintf(text, sizeof text,
             "{\"model_type\":\"llama\",\"vocab_size\":%zu,\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":1,\"num_attention_heads\":%d,"
             "\"num_key_value_heads\":%d,\"head_dim\":8,\"rms_norm_eps\":1e-6,\"rope_theta\":10000,\"max_position_embeddings\":%d,"
             "\"tie_word_embeddings\":false,\"hidden_act\":\"silu\",\"eos_token_id\":%d}\n",
             V, C, MLP, HEADS, KV, CHAT_CONTEXT, (int)end);
    CHECK_OK(bqb_file_write(path_in(lm, "config.json"), text, strlen(text), &err), err);
}

static bqb_tensor matrix(const char *name, size_t rows, size_t cols, const float *data) {
    return (bqb_tensor){.name = name, .dtype = BQB_F32, .n_dims = rows ? 2 : 1, .dim = {rows ? rows : cols, rows ? cols : 0}, .n = (rows ? rows : 1) * cols, .data = data};
}

/* f32 as bf16, which holds all these numbers exactly: half the bytes. */
static uint16_t *halve(const float *x, size_t n) {
    uint16_t *out = malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        out[i] = (uint16_t)(bits >> 16);
    }
    return out;
}

static void write_weights(const char *lm, size_t V, const float *embed, const float *head) {
    static float zeros[C * C], ones[C];
    for (int i = 0; i < C; i++) ones[i] = 1;
    uint16_t *half[2] = {halve(embed, V * C), halve(head, V * C)};
    bqb_tensor t[] = {matrix("model.embed_tokens.weight", V, C, NULL), matrix("lm_head.weight", V, C, NULL), matrix("model.norm.weight", 0, C, ones),
                            matrix("model.layers.0.input_layernorm.weight", 0, C, ones), matrix("model.layers.0.post_attention_layernorm.weight", 0, C, ones),
                            matrix("model.layers.0.self_attn.q_proj.weight", HEADS * 8, C, zeros), matrix("model.layers.0.self_attn.k_proj.weight", KV * 8, C, zeros),
                            matrix("model.layers.0.self_attn.v_proj.weight", KV * 8, C, zeros), matrix("model.layers.0.self_attn.o_proj.weight", C, HEADS * 8, zeros),
                            matrix("model.layers.0.mlp.gate_proj.weight", MLP, C, zeros), matrix("model.layers.0.mlp.up_proj.weight", MLP, C, zeros),
                            matrix("model.layers.0.mlp.down_proj.weight", C, MLP, zeros)};
    for (int i = 0; i < 2; i++) t[i].dtype = BQB_BF16, t[i].data = half[i];
    CHECK_OK(bqb_safetensors_write(path_in(lm, "model.safetensors"), t, sizeof t / sizeof *t, NULL, &err), err);
    free(half[0]);
    free(half[1]);
}

static void write_adapter(const char *lm, bqb_clip *clip, const bqb_sticker_parts *parts) {
    bqb_decoder *m = NULL;
    bqb_adapter_info info = {.system = NULL};
    if (CHECK_OK(bqb_decoder_open(&m, lm, BQB_PREC_F32, 1, &err), err))
        CHECK_OK(bqb_adapter_save(path_in(lm, "adapter"), parts, &info, m, clip, &err), err);
    bqb_decoder_free(m);
}

void chat_model(const char *dir, const char *script) {
    char lm[1200], clip[1200];
    float query[D];
    snprintf(lm, sizeof lm, "%s/lm", dir);
    snprintf(clip, sizeof clip, "%s/clip", dir);
    if (!bqb_is_dir(clip)) {
        CHECK_OK(bqb_make_dirs(clip, &err), err);
        model_folder(clip, 3);
    }
    sticker_vector(query, 0);
    if (strstr(script, "[NON]"))
        for (int d = 0; d < D; d++) query[d] = d == 0 ? -1 : 0;
    chat_model_for(lm, clip, script, query);
}

void chat_model_for(const char *lm, const char *clip_dir, const char *script, const float *query) {
    bqb_clip *clip = NULL;
    if (!CHECK_OK(bqb_make_dirs(lm, &err), err) || !CHECK_OK(bqb_clip_open(&clip, clip_dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) return;
    const bqb_clip_config *of = bqb_clip_get_config(clip);
    bqb_llm_tokenizer *t = copy_tokenizer(lm);
    size_t V = bqb_llm_tokenizer_size(t) + 3; /* rows without a token, as published models have */
    float *embed = calloc(V * C, sizeof *embed), *head = calloc(V * C, sizeof *head);
    bqb_sticker_parts parts;
    CHECK_OK(bqb_sticker_parts_new(&parts, C, of->v_width, of->embed, &err), err);
    int32_t said[MOST_SCRIPT + 2];
    bool endless;
    size_t n = read_script(said, t, script, &endless);
    /* Feature 0: any token; 1: what opens a message ends with it ("\n"); 2 + i: the i-th of the script. */
    for (size_t i = 0; i < V; i++) embed[i * C] = 1;
    bqb_ids line = {0};
    CHECK_OK(bqb_llm_tokenizer_encode(t, &line, "\n", 1, false, &err), err);
    embed[(size_t)line.id[0] * C] = 0;
    embed[(size_t)line.id[0] * C + 1] = 1;
    for (size_t i = 0, before = 1; i < n; i++, before = i + 1) {
        float *in = said[i] < 0 ? parts.embed_new + BQB_TOKEN_RET * C : embed + (size_t)said[i] * C;
        float *out = said[i] < 0 ? parts.head_new + BQB_TOKEN_RET * C : head + (size_t)said[i] * C;
        in[0] = 0;
        in[i + 2] = 1;
        out[before] = 10;
        if (i == 0 && endless) out[n + 1] = 10;
        if (said[i] >= 0) continue;
        parts.embed_new[BQB_TOKEN_RET_END * C + i + 2] = 1; /* goes on as [RET] would */
        for (size_t d = 0; d < of->embed; d++) parts.txt_proj[d * C + i + 2] = query[d];
    }
    parts.embed_new[BQB_TOKEN_IMG * C] = parts.embed_new[BQB_TOKEN_IMG_END * C] = parts.embed_new[BQB_TOKEN_PRET * C] = 1;
    parts.vis_bias[0] = 1;
    for (int k = 0; k < BQB_STICKER_TOKENS; k++) /* what must never be said is what the model would like to say best */
        if (k != BQB_TOKEN_RET)
            for (int i = 0; i < C; i++) parts.head_new[k * C + i] = 50;
    write_config(lm, V, bqb_llm_tokenizer_added(t, "<|im_end|>"));
    write_weights(lm, V, embed, head);
    write_adapter(lm, clip, &parts);
    bqb_clip_free(clip);
    bqb_sticker_parts_free(&parts);
    bqb_llm_tokenizer_close(t);
    free(line.id);
    free(embed);
    free(head);
}

static void add_sticker(bqb_catalogue *c, const char *dir, const char *model, int i, bqb_sticker_id *id) {
    bqb_sticker s = {.format = "png", .width = 8, .height = 8, .frames = i % 3 ? 1 : 4};
    bool added;
    char caption[32], words[32], path[1300];
    float v[D];
    memset(s.sha256, i, sizeof s.sha256);
    CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
    snprintf(caption, sizeof caption, "图%d", i);
    snprintf(words, sizeof words, "字%d", i);
    snprintf(path, sizeof path, "%s/图/%d.png", dir, i);
    bqb_file f = {.sticker = s.id, .size_bytes = 1};
    CHECK_OK(bqb_catalogue_put_file(c, path, &f, &err), err);
    bqb_annotation said = {.field = {[BQB_CAPTION] = caption, [BQB_EMOTION] = i % 2 ? "开心" : "难过", [BQB_OCR] = i % 2 ? words : NULL}};
    CHECK_OK(bqb_catalogue_annotate(c, s.id, &said, BQB_GIVEN, 1, path, NULL, &err), err);
    sticker_vector(v, i);
    CHECK_OK(bqb_catalogue_put_embedding(c, s.id, model, "image", v, D, &err), err);
    *id = s.id;
}

void chat_library(const char *dir) {
    bqb_catalogue *c = NULL;
    bqb_clip *clip = NULL;
    bqb_sticker_id id[CHAT_STICKERS];
    if (!CHECK_OK(bqb_clip_open(&clip, path_in(dir, "clip"), BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) return;
    if (CHECK_OK(bqb_catalogue_open(&c, path_in(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err)) {
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        for (int i = 0; i < CHAT_STICKERS; i++) add_sticker(c, dir, bqb_clip_id(clip), i, &id[i]);
        for (int i = 1; i <= 2; i++) CHECK_OK(bqb_catalogue_put_sketch(c, id[i], (const uint8_t *)"", 0, &err), err);
        CHECK_OK(bqb_catalogue_put_pair(c, id[1], id[2], BQB_SAME_PICTURE, &err), err);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
    }
    bqb_catalogue_close(c);
    bqb_clip_free(clip);
}

bqb_assistant *chat_assistant(const char *dir) {
    bqb_assistant *a = NULL;
    char lm[1200], clip[1200];
    snprintf(lm, sizeof lm, "%s/lm", dir);
    snprintf(clip, sizeof clip, "%s/clip", dir);
    bqb_assistant_options o = {.llm = lm, .clip = clip, .precision = BQB_PREC_F32, .threads = 1};
    CHECK_OK(bqb_assistant_open(&a, &o, &err), err);
    return a;
}

bqb_catalogue *chat_catalogue(const char *dir) {
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, path_in(dir, "lib"), BQB_CATALOGUE_READ, &err), err);
    return c;
}

int chat_number(const bqb_found *f) { return atoi(f->field[BQB_CAPTION] + strlen("图")); }

bqb_dialogue_options chat_options(void) {
    bqb_dialogue_options o = bqb_dialogue_defaults();
    o.sampling.temperature = 0;
    o.sampling.repetition = 1;
    return o;
}

bool chat_open(chat_set *s, const char *dir, const bqb_dialogue_options *o) {
    *s = (chat_set){.a = chat_assistant(dir), .c = chat_catalogue(dir)};
    if (s->a && s->c && CHECK_OK(bqb_dialogue_new(&s->d, s->a, s->c, o, &err), err)) return true;
    chat_close(s);
    return false;
}

void chat_close(chat_set *s) {
    bqb_dialogue_free(s->d);
    bqb_assistant_close(s->a);
    bqb_catalogue_close(s->c);
    *s = (chat_set){.a = NULL};
}
