/* What was learnt goes to a folder and comes back to the bit; it opens with its own two models alone; damaged
 * folders are refused by name. And what tells language models apart. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "file/safetensors.h"
#include "model/adapter.h"
#include "model/decoder_internal.h"
#include "model_folder.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_decoder_config small(void) {
    return (bqb_decoder_config){.family = BQB_LLAMA, .vocab = 61, .width = 24, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 40,
                                .context = 64, .eps = 1e-5f, .rope_theta = 100, .rope_factor = 1, .tied = true, .bos = -1, .end = {7}, .n_end = 1};
}

typedef struct {
    bqb_decoder *m;
    bqb_clip *clip;
    bqb_sticker_parts parts;
    char dir[256], about[300], weights[300];
    bqb_err err;
} fixture;

static bool open_fixture(fixture *f) {
    memset(f, 0, sizeof *f);
    bqb_decoder_config c = small();
    char llm[256];
    snprintf(llm, sizeof llm, "%s/little", test_tmp_dir());
    snprintf(f->dir, sizeof f->dir, "%s/adapter", test_tmp_dir());
    snprintf(f->about, sizeof f->about, "%s/adapter.json", f->dir);
    snprintf(f->weights, sizeof f->weights, "%s/adapter.safetensors", f->dir);
    bqb_decoder *new = NULL;
    f->clip = model_new(1, BQB_PREC_F32, 1);
    bool ok = CHECK_OK(bqb_decoder_new(&new, &c, 3, BQB_PREC_F32, 1, &f->err), f->err) && CHECK_OK(bqb_make_dirs(llm, &f->err), f->err) &&
              CHECK_OK(bqb_decoder_save(new, llm, false, &f->err), f->err) &&
              CHECK_OK(bqb_decoder_open(&f->m, llm, BQB_PREC_F32, 1, &f->err), f->err) &&
              CHECK_OK(bqb_sticker_parts_new(&f->parts, c.width, MODEL_CONFIG.v_width, MODEL_CONFIG.embed, &f->err), f->err);
    if (ok) CHECK_STR(bqb_decoder_id(new), bqb_decoder_id(f->m)); /* as stored, as it was made */
    bqb_decoder_free(new);
    bqb_rand r = bqb_rand_seed(5, 0);
    for (size_t i = 0; i < f->parts.n_floats; i++) f->parts.floats[i] = (float)bqb_rand_normal(&r);
    return ok;
}

static void close_fixture(fixture *f) {
    bqb_sticker_parts_free(&f->parts);
    bqb_decoder_free(f->m);
    bqb_clip_free(f->clip);
}

static bool save(fixture *f) {
    bqb_adapter_info info = {.system = "你是\"表情包\"助手", .trained = "{\"steps\":7}"};
    return CHECK_OK(bqb_adapter_save(f->dir, &f->parts, &info, f->m, f->clip, &f->err), f->err);
}

/* The folder is refused with this code and a message that holds both texts. */
static void refused(fixture *f, bqb_decoder *m, bqb_clip *clip, bqb_status code, const char *a, const char *b) {
    bqb_adapter *got;
    bqb_status s = bqb_adapter_open(&got, f->dir, m, clip, &f->err);
    CHECK_MSG(s == code && strstr(f->err.msg, a) && strstr(f->err.msg, b), "%d, \"%s\", expected %d with \"%s\" and \"%s\"", s, s ? f->err.msg : "", code, a, b);
    CHECK(s == BQB_OK || !got);
    bqb_adapter_close(got);
}

TEST(adapter_comes_back_to_the_bit) {
    fixture f;
    if (open_fixture(&f) && save(&f)) {
        bqb_adapter *a = NULL;
        if (CHECK(bqb_is_adapter(f.dir)) && CHECK_OK(bqb_adapter_open(&a, f.dir, f.m, f.clip, &f.err), f.err)) {
            CHECK(a->parts.n_floats == f.parts.n_floats && !memcmp(a->parts.floats, f.parts.floats, f.parts.n_floats * sizeof(float)));
            CHECK_STR(a->info.llm, "little");
            CHECK_STR(a->info.system, "你是\"表情包\"助手");
            CHECK_STR(a->info.trained, "{\"steps\":7}");
        }
        bqb_adapter_close(a);
        CHECK(!bqb_is_adapter(test_tmp_dir()));
    }
    close_fixture(&f);
}

TEST(adapter_opens_with_its_own_models_alone) {
    fixture f;
    if (open_fixture(&f) && save(&f)) {
        bqb_decoder_config c = small();
        bqb_decoder *other = NULL;
        bqb_clip *clip = model_new(2, BQB_PREC_F32, 1);
        if (CHECK_OK(bqb_decoder_new(&other, &c, 4, BQB_PREC_F32, 1, &f.err), f.err)) refused(&f, other, f.clip, BQB_EINVAL, "\"little\"", "\"(new)\"");
        refused(&f, f.m, clip, BQB_EINVAL, "StickerCLIP", "not to");
        bqb_adapter *a = NULL;
        CHECK_OK(bqb_adapter_open(&a, f.dir, f.m, NULL, &f.err), f.err);
        bqb_adapter_close(a);
        bqb_decoder_free(other);
        bqb_clip_free(clip);
        /* Nothing is written that does not fit or is no number. */
        f.parts.floats[3] = NAN;
        CHECK(bqb_adapter_save(f.dir, &f.parts, &(bqb_adapter_info){0}, f.m, f.clip, &f.err) == BQB_EINVAL && strstr(f.err.msg, "no numbers"));
        f.parts.floats[3] = 1;
        f.parts.F++;
        CHECK(bqb_adapter_save(f.dir, &f.parts, &(bqb_adapter_info){0}, f.m, f.clip, &f.err) == BQB_EINVAL);
        f.parts.F--;
    }
    close_fixture(&f);
}

/* adapter.json with `what` replaced. */
static void replace(fixture *f, const char *what, const char *with) {
    char *text = NULL;
    if (!save(f) || !CHECK_OK(bqb_file_read(&text, NULL, f->about, 1 << 20, &f->err), f->err)) return;
    char *at = strstr(text, what);
    if (CHECK_MSG(at != NULL, "%s is not in it", what)) {
        char *changed = bqb_asprintf("%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
        CHECK_OK(bqb_file_write(f->about, changed, strlen(changed), &f->err), f->err);
        free(changed);
    }
    free(text);
}

TEST(adapter_json_is_not_believed) {
    fixture f;
    static const struct {
        const char *what, *with;
        bqb_status code;
        const char *says;
    } cases[] = {{"adapter 1", "adapter 2", BQB_EVERSION, "newer"}, {"bqb adapter 1", "something", BQB_EFORMAT, "kind"},
                 {"[RET]", "[RAT]", BQB_EFORMAT, "tokens"},         {"\"C\": 24", "\"C\": 25", BQB_EINVAL, "25"},
                 {"\"V\": 61", "\"V\": 62", BQB_EINVAL, "62"},      {"\"F\": 24", "\"F\": 26", BQB_EINVAL, "26"},
                 {"\"D\": 16", "\"D\": -1", BQB_EFORMAT, "\"D\""},  {"\"sizes\"", "\"sighs\"", BQB_EFORMAT, "sizes"},
                 {"\"stickerclip\"", "\"clap\"", BQB_EFORMAT, "stickerclip"}, {"{\n  \"steps\": 7\n }", "7", BQB_EFORMAT, "trained"},
                 {"\"kind\"", "kind", BQB_EFORMAT, "adapter.json"}, {"\"family\"", "\"famine\"", BQB_EFORMAT, "family"}};
    if (open_fixture(&f))
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            replace(&f, cases[i].what, cases[i].with);
            refused(&f, f.m, f.clip, cases[i].code, "adapter.json", cases[i].says);
        }
    /* Sizes that nothing checks against another model are bounded. */
    if (f.m) {
        replace(&f, "\"F\": 24", "\"F\": 268435456");
        refused(&f, f.m, NULL, BQB_EFORMAT, "268435456", "StickerCLIP");
        replace(&f, "\"F\": 24", "\"F\": 25");
        refused(&f, f.m, NULL, BQB_EFORMAT, "vis_embedding.weight", "adapter.safetensors");
        remove(f.about);
        refused(&f, f.m, f.clip, BQB_EIO, "adapter.json", "");
    }
    close_fixture(&f);
}

TEST(adapter_weights_are_not_believed) {
    fixture f;
    if (open_fixture(&f) && save(&f)) {
        char *bytes = NULL;
        size_t size = 0;
        if (CHECK_OK(bqb_file_read(&bytes, &size, f.weights, 1 << 20, &f.err), f.err)) {
            for (size_t n = 0; n < size; n += size / 23 + 1) { /* cut anywhere */
                CHECK_OK(bqb_file_write(f.weights, bytes, n, &f.err), f.err);
                refused(&f, f.m, f.clip, BQB_EFORMAT, "adapter.safetensors", "");
            }
            char *name = strstr(bytes + 8, "txt_proj");
            if (CHECK(name != NULL)) {
                *name = 'T';
                CHECK_OK(bqb_file_write(f.weights, bytes, size, &f.err), f.err);
                refused(&f, f.m, f.clip, BQB_EFORMAT, "no tensor", "txt_proj.weight");
                *name = 't';
            }
            memset(bytes + size - 4, 0xff, 4);
            CHECK_OK(bqb_file_write(f.weights, bytes, size, &f.err), f.err);
            refused(&f, f.m, f.clip, BQB_EFORMAT, "no numbers", "");
        }
        free(bytes);
    }
    close_fixture(&f);
}

typedef struct {
    bqb_decoder *m;
    char was[65];
    size_t tensors, unseen;
} changing;

static int change(void *ctx, const bqb_decoder_tensor *t) {
    changing *c = ctx;
    float *w = c->m->weights + ((t->matrix ? (const float *)t->matrix->data : *t->vector) - c->m->weights), old = *w;
    *w += 1;
    c->tensors++;
    c->unseen += !strcmp(bqb_decoder_id(c->m), c->was);
    *w = old;
    return 0;
}

TEST(decoder_id_tells_models_apart) {
    bqb_err err = {0};
    bqb_decoder *m = NULL, *other = NULL;
    bqb_decoder_config c = small();
    if (!CHECK_OK(bqb_decoder_new(&m, &c, 3, BQB_PREC_F32, 1, &err), err)) return;
    changing k = {.m = m};
    snprintf(k.was, sizeof k.was, "%s", bqb_decoder_id(m));
    CHECK(strlen(k.was) == 64);
    bqb_decoder_each_tensor(m, change, &k);
    CHECK(k.tensors == 2 + 2 * 9 && !k.unseen);
    CHECK_STR(bqb_decoder_id(m), k.was);
    c.rope_theta = 200; /* a size that no tensor shows */
    if (CHECK_OK(bqb_decoder_new(&other, &c, 3, BQB_PREC_F32, 1, &err), err)) CHECK(strcmp(bqb_decoder_id(other), k.was) != 0);
    bqb_decoder_free(m);
    bqb_decoder_free(other);
}

/* Before the projection: projected and of unit length it is the vector; stills and moving pictures. */
TEST(clip_features_before_the_projection) {
    bqb_err err = {0};
    size_t N = 3, C = MODEL_CONFIG.v_width, D = MODEL_CONFIG.embed;
    bqb_clip *m = model_new(1, BQB_PREC_F32, 2);
    const float *proj = NULL;
    for (size_t i = 0; i < bqb_clip_param_count(m); i++)
        if (!strcmp(bqb_clip_param(m, i)->name, "visual.proj")) proj = bqb_clip_weights(m) + bqb_clip_param(m, i)->offset;
    for (int still = 0; still < 2 && CHECK(proj != NULL); still++) {
        uint8_t *rgb = model_pictures(N, 5, still);
        float *out = bqb_calloc(N * D, sizeof *out), *alone = bqb_calloc(N * D, sizeof *alone), *before = bqb_calloc(N * C, sizeof *before);
        CHECK_OK(bqb_clip_image_features(m, out, before, rgb, N, &err), err);
        CHECK_OK(bqb_clip_encode_images(m, alone, rgb, N, &err), err);
        CHECK(!memcmp(out, alone, N * D * sizeof *out));
        double worst = 0, planted = 0;
        for (size_t i = 0; i < N; i++) {
            double y[64] = {0}, sum = 0, wrong = 0;
            for (size_t d = 0; d < D; d++) {
                for (size_t k = 0; k < C; k++) y[d] += (double)before[i * C + k] * (double)proj[k * D + d];
                sum += y[d] * y[d];
            }
            for (size_t d = 0; d < D; d++) {
                worst = fmax(worst, fabs(y[d] / sqrt(sum) - (double)out[i * D + d]));
                wrong = fmax(wrong, fabs(y[d] / sqrt(sum) - (double)out[(i + 1) % N * D + d])); /* another picture's */
            }
            planted = i ? fmin(planted, wrong) : wrong;
        }
        CHECK_MSG(worst < 1e-5, "%.1e", worst);
        CHECK_MSG(planted > 1e-3, "%.1e: another picture's feature goes unnoticed", planted);
        free(rgb), free(out), free(alone), free(before);
    }
    bqb_clip_free(m);
}
