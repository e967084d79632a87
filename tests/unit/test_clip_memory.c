/* The estimate of a training step's memory against what its workers' arenas gave. */
#include "model/clip_internal.h"

#include "base/mem.h"
#include "base/rand.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

/* Larger than the other tests' model, so that what is taken in proportion outweighs the rest. */
static const bqb_clip_config CONFIG = {.resolution = 32, .patch = 8, .v_width = 48, .v_layers = 4, .v_heads = 3, .v_mlp = 192,
                                       .v_eps = 1e-5f, .v_act = BQB_ACT_QUICK_GELU, .vocab = 50, .t_width = 36,
                                       .t_layers = 3, .t_heads = 3, .t_mlp = 144, .t_positions = 20, .t_types = 2,
                                       .t_eps = 1e-12f, .t_act = BQB_ACT_GELU, .context = 20, .embed = 24};
enum { MOST = 160, TOKENS = 14, FRAMES = 3, PATCHES = 16 };

typedef struct {
    uint8_t *rgb;
    int32_t *ids;
    uint16_t *keep;
    float *grad;
    char *image, *text; /* trunks */
    const void **frame, **row;
    bqb_clip_config config;
} fixture;

static void check_plan(fixture *t, const bqb_clip_plan *plan, bool pixels) {
    bqb_err err;
    bqb_clip *m = NULL;
    bqb_clip_bytes want;
    float loss;
    if (!CHECK_OK(bqb_clip_new(&m, &t->config, NULL, 1, plan->precision, plan->threads, &err), err)) return;
    CHECK_OK(bqb_clip_freeze(m, &plan->frozen, &err), err);
    bqb_clip_save_memory(m, plan->chunk, plan->checkpoint);
    bqb_clip_batch b = {.rgb = t->rgb, .ids = t->ids, .N = plan->N, .L = plan->L,
                        .keep = plan->n_keep ? t->keep : NULL, .n_keep = plan->n_keep};
    size_t P = FRAMES * plan->N, size = CONFIG.resolution * CONFIG.resolution * 3;
    float *x = pixels ? bqb_calloc(P * size, sizeof *x) : NULL;
    if (pixels) b.pixels = x, b.rgb = NULL;
    bqb_clip_trunk_shape v = bqb_clip_image_trunk_shape(m), w = bqb_clip_text_trunk_shape(m, plan->L);
    for (size_t i = 0; i < P; i++) t->frame[i] = t->image + i * v.rows * v.width * 4;
    for (size_t i = 0; i < plan->N; i++) t->row[i] = t->text + i * w.rows * w.width * 4;
    if (plan->image_trunk) b.image_trunk = t->frame, b.rgb = NULL;
    if (plan->text_trunk) b.text_trunk = t->row;
    CHECK_OK(bqb_clip_grad(m, t->grad, &loss, &b, &err), err);
    CHECK_OK(bqb_clip_train_bytes(&want, &t->config, plan, &err), err);
    double peak = 0, estimate = (double)want.activations;
    for (int i = 0; i < plan->threads; i++)
        if (m->worker[i].arena) peak += (double)bqb_arena_peak_bytes(m->worker[i].arena);
    double all = (double)bqb_arena_peak_bytes(m->worker[plan->threads].arena);
    /* Shards and passes of unequal size, rounding to 64 bytes: a tenth. */
    CHECK_MSG(estimate >= 0.92 * peak - 4096 && estimate <= 1.12 * peak + 100000,
              "%zu pairs, chunk %zu, checkpoint %d, keep %zu, frozen %d/%zu/%zu, trunks %d%d, %s, %d threads: estimated %.0f, took %.0f",
              plan->N, plan->chunk, plan->checkpoint, plan->n_keep, plan->frozen.towers, plan->frozen.v_blocks,
              plan->frozen.t_blocks, plan->image_trunk, plan->text_trunk, plan->precision ? "bf16" : "f32",
              plan->threads, estimate, peak);
    if (!plan->chunk && peak > 2e6) { /* planted: a batch half as large again */
        bqb_clip_plan other = *plan;
        other.N += other.N / 2;
        CHECK_OK(bqb_clip_train_bytes(&want, &t->config, &other, &err), err);
        CHECK((double)want.activations > 1.12 * peak + 100000);
        CHECK_OK(bqb_clip_train_bytes(&want, &t->config, plan, &err), err);
    }
    double logits = (double)want.loss - 4.0 * 2 * (double)(P + plan->N) * (double)CONFIG.embed;
    CHECK_MSG(logits >= 0.95 * all && logits <= 1.1 * all + 8192, "loss: estimated %.0f, took %.0f", logits, all);
    CHECK(want.total == want.weights + want.gradients + want.moments + want.activations + want.loss);
    CHECK(want.moments == 8 * bqb_clip_float_count(m) && want.gradients == 4 * bqb_clip_float_count(m) * (uint64_t)plan->threads);
    free(x);
    bqb_clip_free(m);
}

TEST(clip_memory_is_known_beforehand) {
    size_t P = MOST * FRAMES, R = CONFIG.resolution;
    fixture t = {.rgb = bqb_calloc(P, 3 * R * R), .ids = bqb_calloc(MOST * TOKENS, sizeof *t.ids),
                 .keep = bqb_calloc(P * PATCHES, sizeof *t.keep), .grad = bqb_calloc(1 << 20, sizeof *t.grad),
                 .image = bqb_calloc(P, (PATCHES + 1) * 48 * 4), .text = bqb_calloc(MOST, TOKENS * 36 * 4),
                 .frame = bqb_calloc(P, sizeof *t.frame), .row = bqb_calloc(MOST, sizeof *t.row)};
    bqb_rand r = bqb_rand_seed(5, 0);
    for (size_t i = 0; i < P * 3 * R * R; i++) t.rgb[i] = (uint8_t)bqb_rand_u64(&r);
    for (size_t i = 0; i < MOST * TOKENS; i++) t.ids[i] = (int32_t)(1 + bqb_rand_below(&r, CONFIG.vocab - 1));
    for (size_t i = 0; i < P * 8; i++) t.keep[i] = (uint16_t)(i % 8);
    static const bqb_clip_frozen frozen[] = {{0}, {.v_blocks = 2, .t_blocks = 1}, {.v_blocks = 4}, {.t_blocks = 3},
                                             {.towers = BQB_TOWER_IMAGE}, {.towers = BQB_TOWER_TEXT}};
    size_t formats = bqb_precision_best() == BQB_PREC_BF16 ? 2 : 1;
    for (size_t k = 0; k < 36; k++) {
        bqb_clip_plan plan = {.N = k % 4 == 3 ? MOST : 70, .frames = FRAMES, .L = TOKENS, .n_keep = k % 5 == 4 ? 8 : 0,
                              .chunk = k % 3 == 0 ? 0 : k % 3 == 1 ? SIZE_MAX : 20, .checkpoint = k / 3 % 2,
                              .frozen = frozen[k / 2 % 6], .precision = (bqb_precision)(k % formats),
                              .threads = 1 + (int)(k / 7 % 2)};
        plan.image_trunk = k % 2 && !plan.n_keep && (plan.frozen.v_blocks || plan.frozen.towers & BQB_TOWER_IMAGE);
        plan.text_trunk = k % 2 && (plan.frozen.t_blocks || plan.frozen.towers & BQB_TOWER_TEXT);
        t.config = CONFIG;
        check_plan(&t, &plan, k % 2 == 0);
        t.config.t_kind = BQB_TEXT_CAUSAL; /* a causal tower's texts go up to their end, here 0 */
        t.config.t_eos = 0;
        if (k % 3 != 2) continue;
        for (size_t i = 0; i < MOST; i++) t.ids[i * TOKENS + TOKENS - 1] = 0;
        check_plan(&t, &plan, k % 2 == 0);
        for (size_t i = 0; i < MOST; i++) t.ids[i * TOKENS + TOKENS - 1] = 1;
    }
    void *all[] = {t.rgb, t.ids, t.keep, t.grad, t.image, t.text, t.frame, t.row};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    bqb_clip_bytes out;
    bqb_err err;
    CHECK(bqb_clip_train_bytes(&out, &CONFIG, &(bqb_clip_plan){.N = 4}, &err) == BQB_EINVAL);
}
