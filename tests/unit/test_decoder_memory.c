/* Models of random weights in every format, and what memory they are said to need. */
#include "base/fs.h"
#include "base/ram.h"
#include "model/decoder_internal.h"
#include "model/decoder_random.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const bqb_decoder_config config = {.family = BQB_QWEN2, .vocab = 300, .width = 256, .layers = 8, .heads = 4, .kv_heads = 2, .head_dim = 64,
                                          .mlp = 768, .context = 4096, .eps = 1e-6f, .rope_theta = 1e6, .rope_factor = 1, .tied = true, .bos = -1};

/* Whether it opens, and numbers come out that are neither nothing nor too much. */
static void check_kind(bqb_row_kind kind, const bqb_decoder_config *c) {
    char path[1100];
    bqb_decoder *m = NULL;
    bqb_decoder_past *past = NULL;
    bqb_err err = {0};
    enum { T = 700 };
    float *rows = calloc(T * c->width, sizeof *rows), *hidden = calloc(c->width, sizeof *hidden), *logits = calloc(c->vocab, sizeof *logits);
    int32_t ids[T];
    for (int i = 0; i < T; i++) ids[i] = i % (int)c->vocab;
    snprintf(path, sizeof path, "%s/random-%s", test_tmp_dir(), bqb_row_kind_name(kind));
    bqb_precision precision = bqb_gemm_has_bf16() ? BQB_PREC_BF16 : BQB_PREC_F32;
    if (CHECK_OK(bqb_decoder_write_random(path, c, kind, &err), err) && CHECK_OK(bqb_decoder_open(&m, path, precision, 2, &err), err) &&
        CHECK_OK(bqb_decoder_past_new(&past, m, T, &err), err) && CHECK_OK(bqb_decoder_embed(m, rows, ids, T, &err), err)) {
        bqb_decoder_bytes b;
        bqb_decoder_memory(&b, m, T);
        CHECK_OK(bqb_decoder_run(m, past, hidden, true, rows, T, NULL, &err), err);
        double arena = (double)bqb_arena_size_bytes(m->mul.arena);
        CHECK_MSG(arena < b.activations && b.activations < arena + 32e6, "%s: %g bytes of work, %g estimated", path, arena, b.activations);
        CHECK_OK(bqb_decoder_logits(m, logits, hidden, 1, &err), err);
        double sum = 0;
        for (size_t i = 0; i < c->vocab; i++) sum += (double)logits[i] * (double)logits[i];
        CHECK_MSG(sum > 1e-6 && sum < 1e6, "%s: logits' squares sum up to %g", path, sum);
        /* The sizes are known without opening it, too. */
        bqb_decoder_config of;
        CHECK_OK(bqb_decoder_config_of(&of, path, &err), err);
        CHECK(of.family == c->family && of.vocab == c->vocab && of.width == c->width && of.layers == c->layers && of.kv_heads == c->kv_heads &&
              of.mlp == c->mlp && of.context == c->context && of.tied == c->tied);
    }
    bqb_decoder_past_free(past);
    bqb_decoder_free(m);
    free(rows), free(hidden), free(logits);
}

TEST(decoder_memory_and_random_models) {
    for (bqb_row_kind k = BQB_ROW_BF16; k < BQB_ROW_KINDS; k++) check_kind(k, &config);
    bqb_decoder_config odd = config; /* rows that are no whole blocks of K formats are written finer */
    odd.width = 64 * 3;
    odd.family = BQB_LLAMA;
    odd.heads = 3, odd.kv_heads = 1;
    check_kind(BQB_ROW_Q4_K, &odd);
}

TEST(decoder_memory_is_refused_where_it_is_not_there) {
    char path[1100];
    bqb_decoder *m = NULL;
    bqb_decoder_bytes b, more;
    bqb_err err = {0};
    snprintf(path, sizeof path, "%s/fits", test_tmp_dir());
    if (!CHECK_OK(bqb_decoder_write_random(path, &config, BQB_ROW_BF16, &err), err) || !CHECK_OK(bqb_decoder_open(&m, path, BQB_PREC_F32, 2, &err), err)) return;
    bqb_decoder_memory(&b, m, 1000);
    bqb_decoder_memory(&more, m, 2000);
    CHECK(fabs(b.weights - 2 * (300.0 * 256 + 8 * (2 * 256.0 * 256 + 2 * 128 * 256 + 3 * 768 * 256))) < 1);
    CHECK(b.past == 1000.0 * 2 * 4 * 8 * 128 && more.past == 2 * b.past && more.total > b.total && b.parameters > b.weights / 2);
    CHECK(bqb_memory_free() > 0 && bqb_memory_free() <= bqb_memory_there());
    CHECK_OK(bqb_decoder_fits(m, 1000, path, &err), err);
    CHECK(bqb_decoder_fits(m, (size_t)1 << 40, "the-model", &err) == BQB_ENOMEM && strstr(err.msg, "the-model: needs") && strstr(err.msg, "BQB_MEMORY=any") &&
          strstr(err.msg, "shorter context"));
    setenv("BQB_MEMORY", "any", 1);
    CHECK_OK(bqb_decoder_fits(m, (size_t)1 << 40, "the-model", &err), err);
    unsetenv("BQB_MEMORY");
    struct rlimit old, small;
    getrlimit(RLIMIT_AS, &old);
    small = old;
    small.rlim_cur = 1 << 20;
    if (!setrlimit(RLIMIT_AS, &small)) {
        bqb_status s = bqb_decoder_fits(m, 1000, "the-model", &err);
        setrlimit(RLIMIT_AS, &old);
        CHECK(s == BQB_ENOMEM && !strstr(err.msg, "shorter context"));
    }
    bqb_decoder_free(m);
}
