/* Opening model folders: whole ones in every form, and every way in which they can be wrong. */
#include "model/clip.h"

#include "base/fs.h"
#include "base/mem.h"
#include "model_folder.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[512];

static void fresh(void) {
    snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
    model_folder(dir, 1);
}

static const char *in_dir(const char *name) {
    static char path[4][600];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* Opening must fail with this status and a message that holds both words. */
static void refused_towers(int towers, bqb_status want, const char *word, const char *other) {
    bqb_err err = {0};
    bqb_clip *m = (bqb_clip *)&err;
    bqb_status s = bqb_clip_open(&m, dir, towers, BQB_PREC_F32, 1, &err);
    CHECK_MSG(s == want, "opened with status %d (%s), expected %d", (int)s, s ? err.msg : "fine", (int)want);
    CHECK(!s || m == NULL);
    if (s)
        CHECK_MSG(strstr(err.msg, word) && strstr(err.msg, other), "message: %s; needed: %s, %s", err.msg,
                  word, other);
    else bqb_clip_free(m);
    CHECK(bqb_clip_open(&m, dir, towers, BQB_PREC_F32, 1, NULL) == s); /* err may be NULL */
    if (!s) bqb_clip_free(m);
}

static void refused(bqb_status want, const char *word, const char *other) {
    refused_towers(BQB_TOWER_BOTH, want, word, other);
}

static void put_text(const char *name, const char *text) {
    bqb_err err;
    CHECK_OK(bqb_file_write(in_dir(name), text, strlen(text), &err), err);
}

/* --- files --- */

TEST(clip_open_missing_files) {
    snprintf(dir, sizeof dir, "%s/nowhere", test_tmp_dir());
    refused(BQB_ENOTFOUND, "nowhere", "no such model folder");
    bqb_err err;
    CHECK_OK(bqb_make_dirs(dir, &err), err);
    bqb_clip *m;
    CHECK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err) && strstr(err.msg, "config.json"));
    fresh();
    remove(in_dir("vocab.txt"));
    CHECK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err) && strstr(err.msg, "vocab.txt"));
    /* pictures need no vocabulary */
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_IMAGE, BQB_PREC_F32, 1, &err), err)) bqb_clip_free(m);
    fresh();
    remove(in_dir("model.safetensors"));
    refused(BQB_ENOTFOUND, "model.safetensors", dir);
    fresh();
    put_text("model.safetensors", "");
    CHECK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err) &&
          strstr(err.msg, "model.safetensors"));
    fresh();
    put_text("config.json", "");
    refused(BQB_EFORMAT, "config.json", "JSON");
}

/* --- config.json --- */

TEST(clip_open_config_is_not_ours) {
    fresh();
    put_text("config.json", "[1]");
    refused(BQB_EFORMAT, "config.json", "object");
    put_text("config.json", "{\"model_type\":\"chinese_clip\"");
    refused(BQB_EFORMAT, "config.json", "invalid JSON");
    put_text("config.json", "{}");
    refused(BQB_EUNSUPPORTED, "config.json", "missing");
    put_text("config.json", "{\"model_type\":\"siglip\"}");
    refused(BQB_EUNSUPPORTED, "\"siglip\"", "chinese_clip");
    put_text("config.json", "{\"model_type\":7}");
    refused(BQB_EUNSUPPORTED, "model_type", "chinese_clip");
    put_text("config.json", "{\"model_type\":\"chinese_clip\"}");
    refused(BQB_EFORMAT, "vision_config", "missing");
    put_text("config.json", "{\"model_type\":\"chinese_clip\",\"vision_config\":{}}");
    refused(BQB_EFORMAT, "text_config", "missing");
    put_text("config.json", "{\"model_type\":\"chinese_clip\",\"vision_config\":{},\"text_config\":{}}");
    refused(BQB_EFORMAT, "vocab_size", "missing");
    put_text("config.json", "{\"vision_width\":64}");
    refused(BQB_EFORMAT, "image_resolution", "missing");
    char *deep = bqb_calloc(1, 400000);
    if (!deep) return;
    memset(deep, '[', 399999);
    put_text("config.json", deep);
    refused(BQB_ELIMIT, "config.json", "deeper");
    memset(deep, ' ', 399999);
    memcpy(deep, "{\"a\":\"\xff\xfe\"}", 9);
    put_text("config.json", deep);
    refused(BQB_EFORMAT, "config.json", "JSON");
    free(deep);
    char *big = bqb_calloc(1, (2 << 20) + 1);
    if (!big) return;
    memset(big, ' ', 2 << 20);
    put_text("config.json", big);
    refused(BQB_ELIMIT, "config.json", "");
    free(big);
}

TEST(clip_open_config_with_silly_values) {
    static const struct {
        const char *part, *key;
        long long value;
        bqb_status status;
        const char *word, *other;
    } cases[] = {
        {"vision_config", "num_attention_heads", 0, BQB_EFORMAT, "num_attention_heads", " 0"},
        {"text_config", "num_attention_heads", -3, BQB_EFORMAT, "num_attention_heads", "-3"},
        {"text_config", "num_attention_heads", 5, BQB_EINVAL, "24", "5 heads"},
        {"vision_config", "num_attention_heads", 7, BQB_EINVAL, "24", "7 heads"},
        {"vision_config", "hidden_size", 1000000000, BQB_EFORMAT, "hidden_size", "1000000000"},
        {"vision_config", "hidden_size", 240000000, BQB_EINVAL, "vision width", "240000000"},
        {"text_config", "hidden_size", 9223372036854775807, BQB_EFORMAT, "hidden_size",
         "9223372036854775807"},
        {"text_config", "vocab_size", 200000000, BQB_EINVAL, "vocabulary size", "200000000"},
        {"text_config", "num_hidden_layers", 100000, BQB_EINVAL, "text layers", "100000"},
        {"vision_config", "num_hidden_layers", 257, BQB_EINVAL, "vision layers", "257"},
        {"vision_config", "image_size", 4000000, BQB_EINVAL, "image size", "4000000"},
        {"vision_config", "image_size", 13, BQB_EINVAL, "13", "patches of 4"},
        {"vision_config", "patch_size", 0, BQB_EFORMAT, "patch_size", " 0"},
        {"vision_config", "patch_size", 24, BQB_EINVAL, "12", "patches of 24"},
        {"vision_config", "num_channels", 4, BQB_EUNSUPPORTED, "num_channels", "3"},
        {"text_config", "max_position_embeddings", 9, BQB_EINVAL, "context length of 10", "9 positions"},
        {NULL, "context_length", 13, BQB_EINVAL, "context length of 13", "12 positions"},
        {NULL, "context_length", 1, BQB_EINVAL, "context length of 1", "positions"},
        {NULL, "projection_dim", 100000, BQB_EINVAL, "embedding size", "100000"},
        {"text_config", "type_vocab_size", 100000000, BQB_EINVAL, "token types", "100000000"},
        {"text_config", "layer_norm_eps", -1, BQB_EFORMAT, "layer_norm_eps", "between 0 and 1"},
        {"vision_config", "layer_norm_eps", 2, BQB_EFORMAT, "layer_norm_eps", "between 0 and 1"},
        /* sizes that make a network, only not this file's */
        {"vision_config", "hidden_size", 48, BQB_EFORMAT, "[24]", "[48]"},
        {"vision_config", "intermediate_size", 44, BQB_EFORMAT, "[40", "[44"},
        {"text_config", "vocab_size", 21, BQB_EFORMAT, "[20,24]", "[21,24]"},
        {"text_config", "num_hidden_layers", 3, BQB_EFORMAT, "encoder.layer.2", "missing"},
        {NULL, "projection_dim", 17, BQB_EFORMAT, "[16,24]", "[17,24]"},
        {"vision_config", "patch_size", 6, BQB_EFORMAT, "[10,24]", "[5,24]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh();
        model_set(dir, cases[i].part, cases[i].key, cases[i].value, NULL);
        refused(cases[i].status, cases[i].word, cases[i].other);
    }
    fresh();
    model_set(dir, "vision_config", "hidden_act", 0, "relu");
    refused(BQB_EUNSUPPORTED, "hidden_act", "relu");
    fresh();
    model_set(dir, "vision_config", "hidden_size", 0, "wide");
    refused(BQB_EFORMAT, "hidden_size", "whole number");
    fresh();
    model_set(dir, NULL, "vision_config", 5, NULL);
    refused(BQB_EFORMAT, "vision_config", "");
}

/* A caller's config is not trusted either. */
TEST(clip_new_checks_its_config) {
    bqb_err err;
    bqb_clip *m;
    bqb_clip_config c = {0};
    CHECK(bqb_clip_new(&m, &c, NULL, 1, BQB_PREC_F32, 1, &err) == BQB_EINVAL && !m);
    c = MODEL_CONFIG;
    c.v_act = BQB_ACT_NONE;
    CHECK(bqb_clip_new(&m, &c, NULL, 1, BQB_PREC_F32, 1, &err) == BQB_EINVAL &&
          strstr(err.msg, "activation"));
    c = MODEL_CONFIG;
    c.t_eps = 0;
    CHECK(bqb_clip_new(&m, &c, NULL, 1, BQB_PREC_F32, 1, &err) == BQB_EINVAL && strstr(err.msg, "epsilon"));
    CHECK(bqb_clip_new(&m, &MODEL_CONFIG, "no such file", 1, BQB_PREC_F32, 1, &err) &&
          strstr(err.msg, "no such file"));
    /* any number of threads is taken for what is possible */
    if (CHECK_OK(bqb_clip_new(&m, &MODEL_CONFIG, NULL, 1, BQB_PREC_F32, 1000000000, &err), err))
        CHECK(bqb_clip_threads(m) > 0 && bqb_clip_threads(m) < 1000000);
    bqb_clip_free(m);
    if (CHECK_OK(bqb_clip_new(&m, &MODEL_CONFIG, NULL, 1, BQB_PREC_F32, -5, &err), err))
        CHECK(bqb_clip_threads(m) > 0);
    bqb_clip_free(m);
    bqb_clip_free(NULL);
    bqb_precision want = bqb_precision_best();
    bqb_status s = bqb_clip_new(&m, &MODEL_CONFIG, NULL, 1, BQB_PREC_BF16, 1, &err);
    CHECK(want == BQB_PREC_BF16 ? s == BQB_OK : s == BQB_EUNSUPPORTED && strstr(err.msg, "bf16"));
    bqb_clip_free(m);
}

/* --- tensors --- */

typedef struct {
    const char *name;
    enum { DROP, LONGER, FLAT, INTEGERS, RENAME, ONE, TWO } what;
} damage;

static void spoil(bqb_tensor *t, void *ctx) {
    const damage *d = ctx;
    static float zeros[4096];
    if (strcmp(t->name, d->name)) return;
    if (d->what == DROP) t->name = NULL;
    if (d->what == RENAME) t->name = "something_else";
    if (d->what == INTEGERS) t->dtype = BQB_I32;
    if (d->what == LONGER) {
        t->dim[0]++;
        t->n = 1;
        for (size_t i = 0; i < t->n_dims; i++) t->n *= t->dim[i];
        t->data = zeros;
    }
    if (d->what == FLAT) t->n_dims = 1, t->dim[0] = t->n;
    if (d->what == ONE) t->n_dims = t->dim[0] = 1;
    if (d->what == TWO) t->n_dims = 1, t->dim[0] = t->n = 2, t->data = zeros;
}

TEST(clip_open_damaged_tensors) {
    static const struct {
        damage d;
        bqb_status status;
        const char *word, *other;
    } cases[] = {
        {{"visual_projection.weight", DROP}, BQB_EFORMAT, "visual_projection.weight", "missing"},
        {{"logit_scale", DROP}, BQB_EFORMAT, "logit_scale", "missing"},
        {{"text_model.encoder.layer.1.attention.self.key.bias", DROP},
         BQB_EFORMAT,
         "layer.1.attention.self.key.bias",
         "missing"},
        {{"vision_model.encoder.layers.0.self_attn.v_proj.weight", RENAME},
         BQB_EFORMAT,
         "v_proj.weight",
         "missing"},
        {{"visual_projection.weight", LONGER}, BQB_EFORMAT, "[17,24]", "[16,24]"},
        {{"text_model.embeddings.word_embeddings.weight", LONGER}, BQB_EFORMAT, "[21,24]", "[20,24]"},
        {{"vision_model.encoder.layers.1.self_attn.q_proj.weight", LONGER},
         BQB_EFORMAT,
         "[25,24]",
         "[24,24]"},
        {{"vision_model.embeddings.patch_embedding.weight", FLAT}, BQB_EFORMAT, "[1152]", "[24,3,4,4]"},
        {{"vision_model.embeddings.class_embedding", LONGER}, BQB_EFORMAT, "[25]", "[24]"},
        {{"logit_scale", TWO}, BQB_EFORMAT, "[2]", "needs []"},
        {{"text_projection.weight", INTEGERS}, BQB_EUNSUPPORTED, "text_projection.weight", "I32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh();
        damage d = cases[i].d;
        model_rewrite(dir, spoil, &d);
        refused(cases[i].status, cases[i].word, cases[i].other);
    }
    /* What belongs to the tower that is not asked for may be missing. */
    fresh();
    damage d = {"visual_projection.weight", DROP};
    model_rewrite(dir, spoil, &d);
    bqb_err err;
    bqb_clip *m;
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) bqb_clip_free(m);
    refused_towers(BQB_TOWER_IMAGE, BQB_EFORMAT, "visual_projection.weight", "missing");
    /* A scalar may be written as one element. */
    fresh();
    model_rewrite(dir, spoil, &(damage){"logit_scale", ONE});
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) bqb_clip_free(m);
}

/* --- vocabulary --- */

TEST(clip_open_vocabulary) {
    fresh();
    char text[1024];
    snprintf(text, sizeof text, "%sx\ny\nz\n", MODEL_VOCAB); /* 21 of 20 */
    put_text("vocab.txt", text);
    refused(BQB_EFORMAT, "21 tokens", "only 20");
    put_text("vocab.txt", strstr(MODEL_VOCAB, "[CLS]"));
    bqb_err err;
    bqb_clip *m;
    CHECK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err) == BQB_EFORMAT);
    put_text("vocab.txt", "[PAD]\n[CLS]\n[SEP]\na\n");
    refused(BQB_EFORMAT, "vocab.txt", "[UNK]");
    put_text("vocab.txt", "");
    refused(BQB_EFORMAT, "vocab.txt", "[");
    /* fewer tokens than rows are fine: published models pad the embedding */
    put_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n");
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) bqb_clip_free(m);
}

/* --- one tower --- */

TEST(clip_one_tower_cannot_do_the_other) {
    fresh();
    bqb_err err;
    bqb_clip *m;
    float out[64], grad_loss = 0, *grad = NULL;
    uint8_t *rgb = model_pictures(1, 1, true);
    const char *texts[] = {"开心"};
    int32_t ids[3] = {2, 4, 3};
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_IMAGE, BQB_PREC_F32, 1, &err), err)) {
        CHECK(bqb_clip_tokenizer(m) == NULL);
        CHECK_OK(bqb_clip_encode_images(m, out, rgb, 1, &err), err);
        CHECK(bqb_clip_encode_tokens(m, out, ids, 1, 3, &err) == BQB_EINVAL && strstr(err.msg, "text"));
        CHECK(bqb_clip_encode_texts(m, out, texts, 1, &err) == BQB_EINVAL && strstr(err.msg, "tokenizer"));
        CHECK(bqb_clip_save(m, in_dir("copy"), false, NULL, &err) == BQB_EINVAL);
        bqb_clip_batch b = {.pixels = out, .ids = ids, .N = 1, .L = 3};
        grad = bqb_calloc(bqb_clip_float_count(m), sizeof *grad);
        CHECK(bqb_clip_grad(m, grad, &grad_loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "text"));
    }
    bqb_clip_free(m);
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) {
        CHECK_OK(bqb_clip_encode_texts(m, out, texts, 1, &err), err);
        CHECK(bqb_clip_encode_images(m, out, rgb, 1, &err) == BQB_EINVAL && strstr(err.msg, "picture"));
    }
    bqb_clip_free(m);
    free(rgb);
    free(grad);
}

/* --- every form of the same weights --- */

typedef struct {
    bqb_dtype dtype;
    void *made[256];
    size_t n;
} conversion;

static void convert(bqb_tensor *t, void *ctx) {
    conversion *c = ctx;
    float *wide = bqb_alloc_aligned(t->n, 8);
    uint16_t *to = bqb_alloc_aligned(t->n, 8);
    bqb_err err;
    if (!wide || !to || c->n + 2 > 256 || !CHECK_OK(bqb_tensor_to_f32(wide, t, 0, t->n, &err), err)) exit(2);
    for (size_t i = 0; i < t->n; i++) {
        double x = (double)wide[i];
        if (c->dtype == BQB_F64) memcpy((char *)to + 8 * i, &x, 8);
        else to[i] = c->dtype == BQB_F16 ? bqb_f32_to_f16(wide[i]) : bqb_f32_to_bf16(wide[i]);
    }
    free(wide);
    t->data = c->made[c->n++] = to;
    t->dtype = c->dtype;
}

enum { PICTURES = 4, TEXTS = 3 };

/* Both kinds of embedding of the model in dir, one after the other. */
static bool embed(float *out, char id[65], int towers) {
    static const char *const texts[TEXTS] = {"开心猫", "你好,狗 ab1", "不"};
    bqb_err err;
    bqb_clip *m;
    if (!CHECK_OK(bqb_clip_open(&m, dir, towers, BQB_PREC_F32, 2, &err), err)) return false;
    size_t D = bqb_clip_get_config(m)->embed;
    uint8_t *rgb = model_pictures(PICTURES, 3, false);
    if (towers & BQB_TOWER_IMAGE) CHECK_OK(bqb_clip_encode_images(m, out, rgb, PICTURES, &err), err);
    if (towers & BQB_TOWER_TEXT)
        CHECK_OK(bqb_clip_encode_texts(m, out + PICTURES * D, texts, TEXTS, &err), err);
    if (id) snprintf(id, 65, "%s", bqb_clip_id(m));
    free(rgb);
    bqb_clip_free(m);
    return true;
}

enum { OUT = (PICTURES + TEXTS) * 16 };

static void write_shards(void) {
    bqb_err err;
    bqb_safetensors *st;
    if (!CHECK_OK(bqb_safetensors_open(&st, in_dir("model.safetensors"), &err), err)) return;
    size_t n = bqb_safetensors_count(st), count[3] = {0};
    bqb_tensor *t = bqb_calloc(3 * n, sizeof *t);
    bqb_buf index = {.max = 1 << 20};
    bqb_buf_puts(&index, "{\"metadata\":{},\"weight_map\":{", NULL);
    for (size_t i = 0; t && i < n; i++) {
        size_t k = (i * 7 + i / 5) % 3;
        t[k * n + count[k]++] = *bqb_safetensors_at(st, i);
        bqb_buf_printf(&index, NULL, "%s\"%s\":\"part-%zu.safetensors\"", i ? "," : "",
                       bqb_safetensors_at(st, i)->name, k);
    }
    bqb_buf_puts(&index, "}}", NULL);
    for (size_t k = 0; t && k < 3; k++) {
        char name[64];
        snprintf(name, sizeof name, "part-%zu.safetensors", k);
        CHECK_OK(bqb_safetensors_write(in_dir(name), t + k * n, count[k], NULL, &err), err);
    }
    put_text("model.safetensors.index.json", index.data);
    bqb_buf_free(&index);
    free(t);
    bqb_safetensors_close(st);
    remove(in_dir("model.safetensors"));
}

TEST(clip_open_every_form_of_weights) {
    float want[OUT], got[OUT];
    char id[65], other[65];
    fresh();
    if (!embed(want, id, BQB_TOWER_BOTH)) return;
    CHECK(strlen(id) == 64);
    /* again, and each tower alone: the same bits, the same id */
    if (embed(got, other, BQB_TOWER_BOTH)) CHECK(!memcmp(got, want, sizeof want) && !strcmp(id, other));
    memset(got, 0, sizeof got);
    if (embed(got, other, BQB_TOWER_IMAGE))
        CHECK(!memcmp(got, want, PICTURES * 16 * sizeof *want) && !strcmp(id, other));
    if (embed(got, other, BQB_TOWER_TEXT)) CHECK(!memcmp(got, want, sizeof want) && !strcmp(id, other));
    write_shards();
    if (embed(got, other, BQB_TOWER_BOTH)) CHECK(!memcmp(got, want, sizeof want) && !strcmp(id, other));

    static const bqb_dtype forms[] = {BQB_F64, BQB_F16, BQB_BF16};
    /* unit vectors; f16 keeps 11 bits of each weight, bf16 8 */
    static const double tolerance[] = {0, 4e-3, 4e-2};
    for (size_t i = 0; i < 3; i++) {
        fresh();
        conversion c = {.dtype = forms[i]};
        model_rewrite(dir, convert, &c);
        if (embed(got, NULL, BQB_TOWER_BOTH)) {
            double d = model_distance(got, want, OUT);
            CHECK_MSG(d <= tolerance[i], "%s weights: %.1e", bqb_dtype_name(forms[i]), d);
            CHECK_MSG(i == 0 || d > 0, "%s weights were not used", bqb_dtype_name(forms[i]));
        }
        for (size_t k = 0; k < c.n; k++) free(c.made[k]);
    }
    fresh();
    model_folder(dir, 2);
    if (embed(got, other, BQB_TOWER_BOTH)) CHECK(model_distance(got, want, OUT) > 0.05 && strcmp(id, other));
}

TEST(clip_save_and_open_again) {
    float want[OUT], got[OUT];
    char from[512];
    bqb_err err;
    bqb_clip *m;
    fresh();
    if (!embed(want, NULL, BQB_TOWER_BOTH)) return;
    snprintf(from, sizeof from, "%s", dir);
    for (int half = 0; half < 2; half++) {
        if (!CHECK_OK(bqb_clip_open(&m, from, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) return;
        snprintf(dir, sizeof dir, "%s/deep/er/copy%d", test_tmp_dir(), half);
        CHECK_OK(bqb_clip_save(m, dir, half, NULL, &err), err); /* the vocabulary goes along */
        bqb_clip_config before = *bqb_clip_get_config(m);
        bqb_clip_free(m);
        if (!embed(got, NULL, BQB_TOWER_BOTH)) return;
        double d = model_distance(got, want, OUT);
        CHECK_MSG(half ? d < 4e-3 && d > 0 : d == 0, "saved %s: %.1e", half ? "in f16" : "in f32", d);
        if (!CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) return;
        CHECK(!memcmp(&before, bqb_clip_get_config(m), sizeof before));
        /* over itself, while it is open */
        CHECK_OK(bqb_clip_save(m, dir, half, NULL, &err), err);
        bqb_clip_free(m);
        if (embed(got, NULL, BQB_TOWER_BOTH)) CHECK(model_distance(got, want, OUT) <= d);
    }
    /* where a file is in the way */
    if (!CHECK_OK(bqb_clip_open(&m, from, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) return;
    snprintf(dir, sizeof dir, "%s", from);
    CHECK(bqb_clip_save(m, in_dir("vocab.txt"), false, NULL, &err) && strstr(err.msg, "vocab.txt"));
    bqb_clip_free(m);
}

TEST(clip_too_large_for_f16_is_not_made_infinite) {
    bqb_err err = {0};
    bqb_clip *m;
    fresh();
    if (!CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) return;
    bqb_clip_weights(m)[bqb_clip_param(m, 3)->offset] = -70000;
    bqb_clip_weights_changed(m);
    CHECK(bqb_clip_save(m, in_dir("half"), true, NULL, &err) == BQB_EINVAL);
    CHECK_MSG(strstr(err.msg, "-70000") && strstr(err.msg, bqb_clip_param(m, 3)->name), "%s", err.msg);
    CHECK_OK(bqb_clip_save(m, in_dir("whole"), false, NULL, &err), err);
    bqb_clip_weights(m)[bqb_clip_param(m, 3)->offset] = -65504;
    CHECK_OK(bqb_clip_save(m, in_dir("half"), true, NULL, &err), err);
    bqb_clip_free(m);
}

/* A model in memory is named as its file will be, also where a tensor is long enough to be looked at in more than one place. */
TEST(clip_id_is_that_of_the_saved_file) {
    bqb_clip_config config = MODEL_CONFIG;
    config.vocab = 6000; /* × 24 floats: beyond 256 KiB twice */
    bqb_err err;
    bqb_clip *m, *again;
    char id[65];
    fresh();
    if (!CHECK_OK(bqb_clip_new(&m, &config, NULL, 1, BQB_PREC_F32, 1, &err), err)) return;
    float *w = bqb_clip_weights(m);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
            const bqb_param *p = bqb_clip_param(m, i);
            for (size_t k = 0; k < p->n; k++) w[p->offset + k] = (float)(round + 1) * 0.1f + (float)(k % 97) * 1e-3f + (float)i;
        }
        bqb_clip_weights_changed(m);
        snprintf(id, sizeof id, "%s", bqb_clip_id(m));
        CHECK_OK(bqb_clip_save(m, dir, false, in_dir("vocab.txt"), &err), err);
        if (!CHECK_OK(bqb_clip_open(&again, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) break;
        CHECK_STR(bqb_clip_id(again), id);
        bqb_clip_weights_changed(again);
        CHECK_STR(bqb_clip_id(again), id);
        bqb_clip_free(again);
        /* one value of the last place that is looked at */
        for (size_t i = 0; i < bqb_clip_param_count(m); i++)
            if (strstr(bqb_clip_param(m, i)->name, "word_embeddings")) w[bqb_clip_param(m, i)->offset + 2 * 65536] += 1;
        bqb_clip_weights_changed(m);
        CHECK(strcmp(bqb_clip_id(m), id));
    }
    bqb_clip_free(m);
}
