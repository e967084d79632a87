/* The gradient of special-token tuning does not depend on how it is computed: with or without a tape of what comes
 * first, kept or made twice, alone or by a team. (That it is right: tests/golden/test_llm_tuning.c.) */
#include "base/mem.h"
#include "base/rand.h"
#include "model/decoder_internal.h"
#include "model/stickerllm.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 5, L = 70, F = 20, D = 12, V = 61 };

typedef struct {
    bqb_decoder *m, *team[3];
    bqb_sticker_parts parts, grad;
    bqb_sticker_batch batch;
    int32_t ids[B * L], labels[B * L], length[B], img[B], ret[B];
    float query[B * F], target[B * D];
    bqb_err err;
} fixture;

/* A request with [PRET] and a picture early on, one with [RET] alone at the end, talk, and two more. */
static void fill(fixture *f) {
    bqb_rand r = bqb_rand_seed(9, 0);
    for (size_t i = 0; i < f->parts.n_floats; i++) f->parts.floats[i] = 0.3f * (float)bqb_rand_normal(&r);
    *f->parts.log_scale = 1.5f;
    for (size_t i = 0; i < B * L; i++) {
        f->ids[i] = (int32_t)bqb_rand_below(&r, V);
        f->labels[i] = -100;
    }
    for (size_t i = 0; i < B * F; i++) f->query[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < B; i++) {
        float sum = 0;
        for (size_t d = 0; d < D; d++) {
            f->target[i * D + d] = (float)bqb_rand_normal(&r);
            sum += f->target[i * D + d] * f->target[i * D + d];
        }
        for (size_t d = 0; d < D; d++) f->target[i * D + d] /= sqrtf(sum);
        f->length[i] = (int32_t)(L - 7 * i);
        f->img[i] = -1;
        f->ret[i] = i == 2 ? -1 : f->length[i] - 4;
        for (int32_t t = f->length[i] - 6; t < f->length[i]; t++) f->labels[i * L + (size_t)t] = f->ids[i * L + (size_t)t];
        if (f->ret[i] < 0) continue;
        size_t at = i * L + (size_t)f->ret[i];
        f->ids[at] = f->labels[at] = V + BQB_TOKEN_RET;
        f->ids[at + 1] = V + BQB_TOKEN_RET_END;
        f->labels[at + 1] = -100;
    }
    f->ids[4] = V + BQB_TOKEN_PRET;
    f->img[0] = 21;
    f->ids[20] = f->ids[21] = V + BQB_TOKEN_IMG;
    f->ids[22] = V + BQB_TOKEN_IMG_END;
    f->batch = (bqb_sticker_batch){.B = B, .L = L, .ids = f->ids, .labels = f->labels, .length = f->length, .img = f->img, .ret = f->ret, .query = f->query, .target = f->target};
}

static bool open_fixture(fixture *f) {
    static const bqb_decoder_config c = {.family = BQB_QWEN3, .vocab = V, .width = 24, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 40,
                                         .context = 128, .eps = 1e-5f, .rope_theta = 100, .rope_factor = 1, .tied = true, .bos = -1};
    memset(f, 0, sizeof *f);
    bool ok = CHECK_OK(bqb_decoder_new(&f->m, &c, 3, BQB_PREC_F32, 1, &f->err), f->err) &&
              CHECK_OK(bqb_sticker_parts_new(&f->parts, c.width, F, D, &f->err), f->err) && CHECK_OK(bqb_sticker_parts_new(&f->grad, c.width, F, D, &f->err), f->err);
    bqb_rand r = bqb_rand_seed(4, 0);
    for (size_t i = 0; ok && i < bqb_decoder_weight_count(f->m); i++) bqb_decoder_weights(f->m)[i] += 0.1f * (float)bqb_rand_normal(&r);
    for (size_t k = 0; k < 3 && ok; k++) ok = CHECK_OK(bqb_decoder_share(&f->team[k], f->m, 1, &f->err), f->err);
    if (ok) fill(f);
    return ok;
}

static void close_fixture(fixture *f) {
    for (size_t k = 0; k < 3; k++) bqb_decoder_free(f->team[k]);
    bqb_decoder_free(f->m);
    bqb_sticker_parts_free(&f->parts);
    bqb_sticker_parts_free(&f->grad);
}

/* Loss and gradient in fresh memory. */
static float *gradient(fixture *f, const bqb_sticker_how *how, bqb_sticker_loss *loss) {
    memset(f->grad.floats, 0, f->grad.n_floats * sizeof(float));
    float *out = bqb_calloc(f->grad.n_floats, sizeof *out);
    CHECK_OK(bqb_stickerllm_grad(f->m, &f->parts, &f->grad, loss, NULL, &f->batch, how, &f->err), f->err);
    memcpy(out, f->grad.floats, f->grad.n_floats * sizeof *out);
    return out;
}

static double distance(const float *a, const float *b, size_t n) {
    double d = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(d / size);
}

TEST(stickerllm_gradient_however_it_is_computed) {
    fixture f;
    bqb_sticker_loss want_loss, loss;
    if (open_fixture(&f)) {
        size_t n = f.grad.n_floats;
        float *whole = gradient(&f, &(bqb_sticker_how){.whole = true}, &want_loss), *kept = gradient(&f, NULL, &loss);
        CHECK(want_loss.n_stickers == 4 && want_loss.n_words == 26 && fabsf(loss.words - want_loss.words) < 1e-5f && fabsf(loss.stickers - want_loss.stickers) < 1e-5f);
        CHECK_MSG(distance(kept, whole, n) < 1e-5, "without a tape of the first tokens: %.1e", distance(kept, whole, n));
        float *twice = gradient(&f, &(bqb_sticker_how){.recompute = true}, &loss);
        CHECK(!memcmp(twice, kept, n * sizeof *kept));
        for (size_t k = 1; k <= 3; k++) {
            float *by_team = gradient(&f, &(bqb_sticker_how){.team = f.team, .n_team = k}, &loss);
            CHECK_MSG(!memcmp(by_team, kept, n * sizeof *kept), "a team of %zu gives other bits", k);
            free(by_team);
        }
        /* Planted: a token before the first one that learns. */
        f.ids[1 * L + 3] = (f.ids[1 * L + 3] + 1) % V;
        float *other = gradient(&f, NULL, &loss);
        CHECK_MSG(distance(other, whole, n) > 1e-4, "%.1e: what comes first goes unnoticed", distance(other, whole, n));
        free(whole), free(kept), free(twice), free(other);
    }
    close_fixture(&f);
}

/* Of two equal stickers neither is a wrong answer for the other. */
TEST(stickerllm_equal_stickers_are_right_answers) {
    fixture f;
    bqb_sticker_loss apart, together, none;
    if (open_fixture(&f)) {
        memcpy(f.target + 3 * D, f.target, D * sizeof(float));
        static const uint32_t equal[B] = {7, 1, 2, 7, 4}, different[B] = {0, 1, 2, 3, 4};
        float *a = gradient(&f, NULL, &apart), *b = gradient(&f, &(bqb_sticker_how){.alike = equal}, &together),
              *c = gradient(&f, &(bqb_sticker_how){.alike = different}, &none);
        CHECK_MSG(together.stickers < apart.stickers - 0.01f, "%g, apart %g", (double)together.stickers, (double)apart.stickers);
        CHECK(none.stickers == apart.stickers && !memcmp(a, c, f.grad.n_floats * sizeof *a));
        free(a), free(b), free(c);
    }
    close_fixture(&f);
}

TEST(stickerllm_memory_is_reckoned) {
    fixture f;
    if (open_fixture(&f)) {
        const bqb_decoder_config *c = bqb_decoder_get_config(f.m);
        double kept = bqb_stickerllm_grad_bytes(c, 64, 100, 50, 2, false), twice = bqb_stickerllm_grad_bytes(c, 64, 100, 50, 2, true);
        CHECK(twice < kept && kept < bqb_stickerllm_grad_bytes(c, 64, 100, 100, 2, false) && kept < bqb_stickerllm_grad_bytes(c, 128, 100, 50, 2, false));
    }
    close_fixture(&f);
}

/* A new token begins as the mean of old ones, on both sides; nothing else moves. */
TEST(stickerllm_tokens_begin_as_words) {
    fixture f;
    if (open_fixture(&f)) {
        size_t C = f.parts.C;
        float *was = bqb_calloc(f.parts.n_floats, sizeof *was), rows[2 * 24];
        memcpy(was, f.parts.floats, f.parts.n_floats * sizeof *was);
        const int32_t ids[2] = {5, 9}, wrong[1] = {V};
        CHECK_OK(bqb_stickerllm_begin(f.m, &f.parts, BQB_TOKEN_RET, ids, 2, &f.err), f.err);
        CHECK_OK(bqb_decoder_embed(f.m, rows, ids, 2, &f.err), f.err);
        double worst = 0;
        for (size_t c = 0; c < C; c++) {
            float mean = 0.5f * (rows[c] + rows[C + c]);
            worst = fmax(worst, fabs((double)(f.parts.embed_new[BQB_TOKEN_RET * C + c] - mean)));
            worst = fmax(worst, fabs((double)(f.parts.head_new[BQB_TOKEN_RET * C + c] - mean))); /* tied */
        }
        CHECK_MSG(worst < 1e-6, "%.1e", worst);
        size_t moved = 0;
        for (size_t i = 0; i < f.parts.n_floats; i++) moved += was[i] != f.parts.floats[i];
        CHECK(moved == 2 * C);
        CHECK(bqb_stickerllm_begin(f.m, &f.parts, BQB_TOKEN_RET, wrong, 1, &f.err) == BQB_EINVAL);
        free(was);
    }
    close_fixture(&f);
}
