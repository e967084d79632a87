#include "model_folder.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const bqb_clip_config MODEL_CONFIG = {.resolution = 12,
                                      .patch = 4,
                                      .v_width = 24,
                                      .v_layers = 2,
                                      .v_heads = 3,
                                      .v_mlp = 40,
                                      .v_eps = 1e-5f,
                                      .v_act = BQB_ACT_QUICK_GELU,
                                      .vocab = 20,
                                      .t_width = 24,
                                      .t_layers = 2,
                                      .t_heads = 3,
                                      .t_mlp = 56,
                                      .t_positions = 12,
                                      .t_types = 2,
                                      .t_eps = 1e-12f,
                                      .t_act = BQB_ACT_GELU,
                                      .context = 10,
                                      .embed = 16};

const char MODEL_VOCAB[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n开\n心\n猫\n狗\n你\n好\n不\n的\na\n##b\nc\n1\n2\n,\n";

bqb_clip *model_new(uint64_t seed, bqb_precision precision, int threads) {
    bqb_err err;
    bqb_clip *m = NULL;
    if (!CHECK_OK(bqb_clip_new(&m, &MODEL_CONFIG, NULL, seed, precision, threads, &err), err)) exit(2);
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        bqb_rand r = bqb_rand_seed(seed, i);
        float *w = bqb_clip_weights(m) + p->offset;
        if (p->n_dims == 0) continue;
        double size = strstr(p->name, "word_embeddings") ? 1.5 : p->n_dims < 2 ? 0.2 : 0.3;
        for (size_t k = 0; k < p->n; k++)
            w[k] = (float)(size * bqb_rand_normal(&r)) + (strstr(p->name, "n.weight") != NULL);
    }
    bqb_clip_weights_changed(m);
    return m;
}

void model_folder(const char *dir, uint64_t seed) {
    bqb_err err;
    bqb_clip *m = model_new(seed, BQB_PREC_F32, 1);
    char vocab[600];
    snprintf(vocab, sizeof vocab, "%s.vocab", dir);
    CHECK_OK(bqb_file_write(vocab, MODEL_VOCAB, strlen(MODEL_VOCAB), &err), err);
    CHECK_OK(bqb_clip_save(m, dir, false, vocab, &err), err);
    bqb_clip_free(m);
}

void model_set(const char *dir, const char *part, const char *key, long long number, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/config.json", dir);
    json_t *o = json_load_file(path, 0, NULL);
    if (!CHECK(o != NULL)) return;
    CHECK(!json_object_set_new(part ? json_object_get(o, part) : o, key,
                               text ? json_string(text) : json_integer(number)));
    CHECK(!json_dump_file(o, path, 0));
    json_decref(o);
}

void model_rewrite(const char *dir, model_edit edit, void *ctx) {
    bqb_err err;
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    bqb_safetensors *st;
    if (!CHECK_OK(bqb_safetensors_open(&st, path, &err), err)) return;
    size_t n = bqb_safetensors_count(st), kept = 0;
    bqb_tensor *t = bqb_calloc(n, sizeof *t);
    for (size_t i = 0; t && i < n; i++) {
        bqb_tensor one = *bqb_safetensors_at(st, i);
        if (edit) edit(&one, ctx);
        if (one.name) t[kept++] = one;
    }
    CHECK_OK(bqb_safetensors_write(path, t, kept, NULL, &err), err);
    free(t);
    bqb_safetensors_close(st);
}

uint8_t *model_pictures(size_t N, uint64_t seed, bool equal) {
    size_t size = 3 * MODEL_CONFIG.resolution * MODEL_CONFIG.resolution;
    uint8_t *rgb = bqb_calloc(N * 3, size);
    bqb_rand r = bqb_rand_seed(seed, 1);
    for (size_t i = 0; rgb && i < N * 3; i++) {
        uint8_t colour[36]; /* of every patch */
        for (size_t k = 0; k < 36; k++) colour[k] = bqb_rand_below(&r, 2) ? 200 : 0;
        for (size_t k = 0; k < size; k++) {
            size_t x = k / 3 % 12, y = k / 36;
            rgb[i * size + k] =
                equal && i % 3 ? rgb[(i - 1) * size + k]
                               : (uint8_t)(colour[y / 4 * 9 + x / 4 * 3 + k % 3] + bqb_rand_below(&r, 50));
        }
    }
    return rgb;
}

int32_t *model_tokens(size_t N, size_t L, const size_t *lengths, uint64_t seed) {
    int32_t *ids = bqb_calloc(N * L, sizeof *ids);
    bqb_rand r = bqb_rand_seed(seed, 2);
    for (size_t i = 0; ids && i < N; i++) {
        size_t n = lengths[i] < L ? lengths[i] : L;
        for (size_t k = 0; k < n; k++)
            ids[i * L + k] = 4 + (int32_t)bqb_rand_below(&r, MODEL_CONFIG.vocab - 4);
        ids[i * L] = 2;
        if (n > 1) ids[i * L + n - 1] = 3;
    }
    return ids;
}

double model_distance(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d < HUGE_VAL)) return HUGE_VAL;
        most = fmax(most, d);
    }
    return most;
}
