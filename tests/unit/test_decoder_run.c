/* A decoder run over more tokens than a block or a part holds: whole, in parts, one by one, and after going back. */
#include "base/rand.h"
#include "math/matmul.h"
#include "model/decoder.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = 600, WIDTH = 32, VOCAB = 53 };

static bqb_decoder *small(bqb_precision precision, int threads) {
    bqb_decoder_config c = {.family = BQB_QWEN3, .vocab = VOCAB, .width = WIDTH, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 10, .mlp = 48,
                            .context = 700, .eps = 1e-6f, .rope_theta = 10000, .rope_factor = 1, .tied = true, .bos = -1};
    bqb_decoder *m = NULL;
    bqb_err err = {0};
    CHECK_OK(bqb_decoder_new(&m, &c, 5, precision, threads, &err), err);
    if (m) for (size_t i = 0; i < bqb_decoder_weight_count(m); i++) bqb_decoder_weights(m)[i] *= 2; /* scores far enough apart to matter */
    return m;
}

/* hidden[T,C] of tokens taken `at_once` at a time. */
static bool run(float *hidden, bqb_decoder *m, bqb_decoder_past *past, const float *rows, size_t at_once) {
    bqb_err err = {0};
    for (size_t from = 0; from < T; from += at_once) {
        size_t n = T - from < at_once ? T - from : at_once;
        if (!CHECK_OK(bqb_decoder_run(m, past, hidden + from * WIDTH, false, rows + from * WIDTH, n, NULL, &err), err)) return false;
    }
    return CHECK(bqb_decoder_past_count(past) == T);
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

static void check_ways(bqb_precision precision, double tolerance) {
    bqb_decoder *m = small(precision, 2);
    bqb_decoder_past *past = NULL;
    bqb_err err = {0};
    int32_t ids[T];
    float *rows = calloc(T * WIDTH, sizeof *rows), *whole = calloc(T * WIDTH, sizeof *whole), *other = calloc(T * WIDTH, sizeof *other);
    bqb_rand r = bqb_rand_seed(8, 0);
    for (size_t i = 0; i < T; i++) ids[i] = (int32_t)bqb_rand_below(&r, VOCAB);
    if (m && CHECK_OK(bqb_decoder_past_new(&past, m, T + 20, &err), err) && CHECK_OK(bqb_decoder_embed(m, rows, ids, T, &err), err)) {
        static const size_t parts[] = {1, 3, 7, 63, 65, 200, T};
        run(whole, m, past, rows, T);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            bqb_decoder_past_cut(past, 0); /* what stood there is still in memory, and must not matter */
            run(other, m, past, rows, parts[i]);
            double d = largest_difference(whole, other, T * WIDTH);
            CHECK_MSG(d < tolerance, "%s, %zu at a time: differs by %g", bqb_precision_name(precision), parts[i], d);
        }
        /* Planted fault: another token in the middle changes what follows, and only that. */
        memcpy(rows + 300 * WIDTH, rows + 11 * WIDTH, WIDTH * sizeof *rows);
        rows[300 * WIDTH] += 1;
        bqb_decoder_past_cut(past, 0);
        run(other, m, past, rows, T);
        CHECK(largest_difference(whole, other, 300 * WIDTH) == 0);
        CHECK(largest_difference(whole + 301 * WIDTH, other + 301 * WIDTH, 299 * WIDTH) > tolerance);
        CHECK(bqb_decoder_run(m, past, other, true, rows, 21, NULL, &err) == BQB_ELIMIT && bqb_decoder_past_count(past) == T);
    }
    bqb_decoder_past_free(past);
    bqb_decoder_free(m);
    free(rows), free(whole), free(other);
}

TEST(decoder_run_in_parts_is_the_same) {
    check_ways(BQB_PREC_F32, 2e-4);
    if (bqb_gemm_has_bf16()) check_ways(BQB_PREC_BF16, 0.3);
}
