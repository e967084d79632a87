/* A model folder of OpenAI's kind, beyond the numbers that tests/golden and tests/grad
 * hold: what it is made of, what its texts may not depend on, what is refused. */
#include "model/clip_internal.h"

#include "base/fs.h"
#include "base/mem.h"
#include "model_folder.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 16, L = 10, END = 9 };

static char dir[512];

static const char *in_dir(const char *name) {
    static char path[2][600];
    static unsigned turn;
    char *p = path[turn++ % 2];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *name, const char *text) {
    bqb_err err;
    CHECK_OK(bqb_file_write(in_dir(name), text, strlen(text), &err), err);
}

static const char VOCAB[] = "{\"a\": 0, \"a</w>\": 1, \"b\": 2, \"b</w>\": 3, \"c\": 4, \"c</w>\": 5, \"ab</w>\": 6, \"ca\": 7, "
                            "\"<|startoftext|>\": 8, \"<|endoftext|>\": 9}";

static bqb_clip_config causal_config(void) {
    bqb_clip_config c = MODEL_CONFIG;
    c.t_kind = BQB_TEXT_CAUSAL;
    c.t_act = BQB_ACT_QUICK_GELU;
    c.t_eps = 1e-5f;
    c.t_types = 0;
    c.vocab = 12;
    c.t_bos = 8;
    c.t_eos = END;
    c.t_pad = END;
    return c;
}

/* A folder of a model started at random, its vocabulary from elsewhere. */
static bqb_clip *fresh(bqb_precision precision, int threads) {
    bqb_err err;
    bqb_clip *m = NULL;
    bqb_clip_config c = causal_config();
    snprintf(dir, sizeof dir, "%s/words", test_tmp_dir());
    CHECK_OK(bqb_make_dirs(dir, &err), err);
    put("vocab.json", VOCAB);
    put("merges.txt", "#version: 0.2\na b</w>\nc a\n");
    char vocab[600];
    snprintf(vocab, sizeof vocab, "%s", in_dir("vocab.json"));
    snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
    if (CHECK_OK(bqb_clip_new(&m, &c, NULL, 3, BQB_PREC_F32, 1, &err), err))
        CHECK_OK(bqb_clip_save(m, dir, false, vocab, &err), err);
    bqb_clip_free(m);
    m = NULL;
    if (!CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, precision, threads, &err), err)) exit(2);
    return m;
}

/* Every weight has a start, norms 1 and 0, the rest spread as the tower's definition says. */
TEST(clip_causal_start_from_nothing) {
    bqb_clip *m = fresh(BQB_PREC_F32, 1);
    bqb_clip_config c = causal_config(), read = *bqb_clip_get_config(m);
    CHECK(read.t_kind == c.t_kind && read.t_eos == c.t_eos && read.t_bos == c.t_bos && read.t_pad == c.t_pad &&
          read.vocab == c.vocab && read.context == c.context && read.t_act == c.t_act && read.t_positions == c.t_positions);
    size_t text = 0;
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        if (!strncmp(p->name, "visual.", 7) || !strcmp(p->name, "logit_scale")) continue;
        const float *w = bqb_clip_weights(m) + p->offset;
        double sum = 0, sq = 0;
        for (size_t k = 0; k < p->n; k++) sum += (double)w[k], sq += (double)w[k] * (double)w[k];
        sum /= (double)p->n, sq /= (double)p->n;
        bool bias = strstr(p->name, "bias"), gain = strstr(p->name, "ln_") && !bias;
        CHECK_MSG(p->decay == !(bias || gain), "%s: decay", p->name);
        if (gain) CHECK(sum == 1 && sq == 1);
        else if (bias) CHECK(sq == 0);
        else {
            double C = (double)c.t_width, want = 1 / C; /* projections of q, k, v and into the shared space */
            if (strstr(p->name, "token_embedding")) want = 4e-4;
            if (strstr(p->name, "positional")) want = 1e-4;
            if (strstr(p->name, "out_proj") || strstr(p->name, "c_proj")) want = 1 / C / (2 * (double)c.t_layers);
            if (strstr(p->name, "c_fc")) want = 1 / (2 * C);
            CHECK_MSG(sq > 0.75 * want && sq < 1.3 * want, "%s: mean square %g, expected %g", p->name, sq, want);
        }
        text++;
    }
    CHECK(text == 2 + 12 * c.t_layers + 2 + 1);
    bqb_clip_free(m);
}

static void encode(bqb_clip *m, float *out, const int32_t *ids, size_t N, size_t length) {
    bqb_err err;
    CHECK_OK(bqb_clip_encode_tokens(m, out, ids, N, length, &err), err);
}

/* A text is what stands before its end token: neither what follows nor its neighbours matter,
 * but every token before does, and so does its place. */
TEST(clip_causal_texts_end_at_their_end) {
    enum { N = 40 };
    for (size_t prec = 0; prec < (bqb_precision_best() == BQB_PREC_BF16 ? 2u : 1u); prec++)
        for (int threads = 1; threads <= 3; threads++) {
            double tolerance = prec ? 4e-3 : 2e-6;
            bqb_clip *m = fresh((bqb_precision)prec, threads);
            int32_t ids[N * L], other[N * L];
            for (size_t i = 0; i < N; i++)
                for (size_t k = 0, end = 1 + i % 7; k < L; k++) {
                    int32_t id = k < end ? (k ? (int32_t)((i * 5 + k * 3) % 8) : 8) : END;
                    ids[i * L + k] = id;
                    other[i * L + k] = k > end ? (int32_t)((i + k) % 12) : id;
                }
            float want[N * D], got[N * D];
            encode(m, want, ids, N, L);
            encode(m, got, other, N, L);
            CHECK(!memcmp(want, got, sizeof want));
            for (size_t i = 0; i < N; i++) {
                encode(m, got, ids + i * L, 1, 2 + i % 7);
                CHECK(model_distance(got, want + i * D, D) <= tolerance);
            }
            for (size_t k = 0; k < 7; k++) { /* row 6 has its end at 7 */
                memcpy(other, ids + 6 * L, L * sizeof *ids);
                other[k] = other[k] == 2 ? 3 : 2;
                encode(m, got, other, 1, L);
                CHECK_MSG(model_distance(got, want + 6 * D, D) > tolerance, "token %zu does not matter", k);
            }
            memcpy(other, ids + 6 * L, L * sizeof *ids);
            other[1] = ids[6 * L + 2], other[2] = ids[6 * L + 1];
            CHECK(other[1] != other[2]);
            encode(m, got, other, 1, L);
            CHECK(model_distance(got, want + 6 * D, D) > tolerance);
            bqb_clip_free(m);
        }
}

TEST(clip_causal_texts_and_towers) {
    bqb_err err;
    bqb_clip *m = fresh(BQB_PREC_F32, 1), *one = NULL;
    static const char *const texts[] = {"ab caA", "", "AB  cAa", "b"};
    float out[4 * D], again[4 * D];
    CHECK_OK(bqb_clip_encode_texts(m, out, texts, 4, &err), err);
    CHECK(!memcmp(out, out + 2 * D, D * sizeof *out) && model_distance(out, out + 3 * D, D) > 1e-3);
    if (CHECK_OK(bqb_clip_open(&one, dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) {
        CHECK_OK(bqb_clip_encode_texts(one, again, texts, 4, &err), err);
        CHECK(!memcmp(out, again, sizeof out));
        CHECK_STR(bqb_clip_id(one), bqb_clip_id(m));
        bqb_clip_free(one);
    }
    remove(in_dir("vocab.json")); /* pictures need no words */
    if (CHECK_OK(bqb_clip_open(&one, dir, BQB_TOWER_IMAGE, BQB_PREC_F32, 1, &err), err)) {
        CHECK(bqb_clip_tokenizer(one) == NULL);
        bqb_clip_free(one);
    }
    CHECK(bqb_clip_save(m, in_dir("elsewhere"), false, NULL, &err) && strstr(err.msg, "vocab.json"));
    bqb_clip_free(m);
}

static void refused(bqb_status want, const char *word, const char *other) {
    bqb_err err = {0};
    bqb_clip *m = NULL;
    bqb_status s = bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err);
    CHECK_MSG(s == want && strstr(err.msg, word) && strstr(err.msg, other), "status %d: %s", (int)s, err.msg);
    bqb_clip_free(m);
}

TEST(clip_causal_refused) {
    bqb_clip_free(fresh(BQB_PREC_F32, 1));
    remove(in_dir("merges.txt"));
    refused(BQB_EIO, "merges.txt", "");
    put("merges.txt", "a b</w>\nx y\n");
    refused(BQB_EFORMAT, "merges.txt", "line 2");
    put("merges.txt", "a b</w>\n");
    put("vocab.json", "{\"a\": 0, \"b</w>\": 3, \"ab</w>\": 6, \"<|startoftext|>\": 8, \"<|endoftext|>\": 12}");
    refused(BQB_EFORMAT, "13 tokens", "12");
    put("vocab.json", VOCAB);
    model_set(dir, "text_config", "eos_token_id", 7, NULL);
    refused(BQB_EFORMAT, "eos_token_id", "7");
    model_set(dir, "text_config", "eos_token_id", 12, NULL);
    refused(BQB_EINVAL, "end token 12", "vocabulary of 12");
    model_set(dir, "text_config", "eos_token_id", -1, NULL);
    refused(BQB_EFORMAT, "eos_token_id", "id");
    model_set(dir, "text_config", "eos_token_id", 0, "9");
    refused(BQB_EFORMAT, "eos_token_id", "id");
    model_set(dir, "text_config", "eos_token_id", 2, NULL); /* published configs: the highest id */
    bqb_err err;
    bqb_clip *m;
    int32_t ids[] = {8, 2, 4, 11, 3, 11};
    uint32_t len;
    if (CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) {
        CHECK_OK(bqb_check_tokens(m, &len, ids, 1, 6, &err), err);
        CHECK(len == 4);
        bqb_clip_free(m);
    }
    model_set(dir, "text_config", "eos_token_id", END, NULL);
    model_set(dir, NULL, "context_length", 13, NULL);
    refused(BQB_EINVAL, "context length of 13", "12 positions");
    model_set(dir, NULL, "context_length", L, NULL);
    model_set(dir, NULL, "model_type", 0, "chinese_clip");
    refused(BQB_EIO, "vocab.txt", "");
}

/* What config.json leaves out, as Hugging Face's CLIPConfig has it. */
TEST(clip_causal_config_defaults) {
    bqb_err err;
    bqb_clip_config c;
    snprintf(dir, sizeof dir, "%s", test_tmp_dir());
    put("config.json", "{\"model_type\": \"clip\", \"text_config\": {}, \"vision_config\": {}}");
    if (!CHECK_OK(bqb_clip_config_read(&c, in_dir("config.json"), &err), err)) return;
    CHECK(c.t_kind == BQB_TEXT_CAUSAL && c.vocab == 49408 && c.t_width == 512 && c.t_heads == 8 && c.t_mlp == 2048 &&
          c.t_layers == 12 && c.t_positions == 77 && c.context == 77 && c.t_eos == 49407 && c.embed == 512);
    CHECK(c.v_width == 768 && c.patch == 32 && c.resolution == 224 && c.t_act == BQB_ACT_QUICK_GELU);
}

/* Gradient caching and checkpoints change nothing; starting from the trunk of what is frozen, only rounding. */
TEST(clip_causal_saves_memory_and_freezes) {
    bqb_err err;
    bqb_clip *m = fresh(BQB_PREC_F32, 2);
    enum { N = 6, WIDTH = 24 };
    size_t n = bqb_clip_float_count(m);
    float *pixels = bqb_calloc(N * 3 * 12 * 12, sizeof *pixels), *want = bqb_calloc(n, sizeof *want),
          *got = bqb_calloc(n, sizeof *got), trunk[N * L * WIDTH], loss, again;
    uint8_t frames[N] = {1, 1, 1, 1, 1, 1};
    int32_t ids[N * L];
    const void *row[N];
    for (size_t i = 0; i < N * 3 * 12 * 12; i++) pixels[i] = (float)((i * 7919 + i / 432 * 31) % 23) / 11 - 1;
    for (size_t i = 0; i < N * L; i++) ids[i] = i % L == i / L + 2 ? END : (int32_t)(i * 5 % 8);
    for (size_t i = 0; i < N; i++) row[i] = trunk + i * L * WIDTH;
    bqb_clip_batch b = {.pixels = pixels, .frames = frames, .ids = ids, .N = N, .L = L};
    CHECK_OK(bqb_clip_grad(m, want, &loss, &b, &err), err);
    bqb_clip_save_memory(m, SIZE_MAX, true);
    CHECK_OK(bqb_clip_grad(m, got, &again, &b, &err), err);
    CHECK(loss == again && !memcmp(want, got, n * sizeof *want));

    bqb_clip_save_memory(m, 0, false);
    CHECK_OK(bqb_clip_freeze(m, &(bqb_clip_frozen){.t_blocks = 1}, &err), err);
    memset(want, 0, n * sizeof *want);
    memset(got, 0, n * sizeof *got);
    CHECK_OK(bqb_clip_grad(m, want, &loss, &b, &err), err);
    CHECK_OK(bqb_clip_trunk_tokens(m, trunk, BQB_NUM_F32, ids, N, L, &err), err);
    b.text_trunk = row;
    CHECK_OK(bqb_clip_grad(m, got, &again, &b, &err), err);
    CHECK(model_distance(&loss, &again, 1) < 1e-5 && model_distance(want, got, n) < 1e-5);
    double learnt = 0, kept = 0;
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        for (size_t k = 0; k < p->n; k++) *(p->frozen ? &kept : &learnt) += (double)(got[p->offset + k] * got[p->offset + k]);
        bool lower = !strncmp(p->name, "token", 5) || !strncmp(p->name, "posit", 5) || !strncmp(p->name, "transformer.resblocks.0.", 24);
        CHECK_MSG(p->frozen == lower, "%s", p->name);
    }
    CHECK(kept == 0 && learnt > 0);
    free(pixels);
    free(want);
    free(got);
    bqb_clip_free(m);
}
