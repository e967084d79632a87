/* Training with less: memory saved by computing more, towers and blocks that do not
 * learn, steps that start from stored trunks. Each against the plain step. */
#include "model/clip_internal.h"

#include "base/mem.h"
#include "base/rand.h"
#include "image/decode.h"
#include "model_folder.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 9, L = 10, KEEP = 4, MOST_FRAMES = 3 * N };

static size_t formats(void) { return bqb_precision_best() == BQB_PREC_BF16 ? 2 : 1; }

typedef struct {
    uint8_t *rgb; /* [P,R,R,3] */
    float *pixels;
    int32_t *ids;
    uint16_t *keep;
    uint8_t frames[N];
    size_t P;
} fixture;

static fixture fixture_new(void) {
    static const size_t lengths[N] = {9, 2, 4, 4, 7, 3, 9, 5, 4};
    fixture t = {.frames = {1, 3, 1, 2, 3, 1, 1, 3, 1}};
    for (size_t i = 0; i < N; i++) t.P += t.frames[i];
    size_t R = MODEL_CONFIG.resolution;
    t.rgb = model_pictures((t.P + 2) / 3, 3, false);
    t.pixels = bqb_calloc(t.P * 3 * R * R, sizeof *t.pixels);
    bqb_image_normalise(t.pixels, t.rgb, t.P, R);
    t.ids = model_tokens(N, L, lengths, 4);
    t.keep = bqb_calloc(t.P * KEEP, sizeof *t.keep);
    for (size_t i = 0; i < t.P; i++)
        for (size_t k = 0; k < KEEP; k++) t.keep[i * KEEP + k] = (uint16_t)(i % 6 + k);
    return t;
}

static void fixture_free(fixture *t) {
    free(t->rgb);
    free(t->pixels);
    free(t->ids);
    free(t->keep);
}

static bqb_clip_batch batch_of(const fixture *t) {
    return (bqb_clip_batch){.pixels = t->pixels, .frames = t->frames, .ids = t->ids, .N = N, .L = L};
}

static float *gradient(bqb_clip *m, const bqb_clip_batch *b, float *loss) {
    bqb_err err;
    float *grad = bqb_calloc(bqb_clip_float_count(m), sizeof *grad);
    CHECK_OK(bqb_clip_grad(m, grad, loss, b, &err), err);
    return grad;
}

/* The largest difference, as a share of the largest gradient. */
static double apart(const float *a, const float *b, size_t n) {
    double top = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)b[i]));
    return model_distance(a, b, n) / top;
}

/* The wrong way that gradient caching must not be: parts of the batch, each with its own loss. */
static double parts_apart(bqb_clip *m, const bqb_clip_batch *b, const float *want, size_t per) {
    size_t n = bqb_clip_float_count(m), R = MODEL_CONFIG.resolution, frame = 0;
    float *sum = bqb_calloc(n, sizeof *sum), loss;
    bqb_err err;
    for (size_t i = 0; i < b->N; i += per) {
        bqb_clip_batch part = *b;
        part.pixels += frame * 3 * R * R;
        part.frames += i;
        part.ids += i * b->L;
        part.N = per;
        CHECK_OK(bqb_clip_grad(m, sum, &loss, &part, &err), err);
        for (size_t k = 0; k < per; k++) frame += part.frames[k];
    }
    for (size_t i = 0; i < n; i++) sum[i] /= (float)(b->N / per);
    double d = apart(sum, want, n);
    free(sum);
    return d;
}

TEST(clip_gradient_caching_is_the_whole_batch) {
    fixture t = fixture_new();
    for (size_t prec = 0; prec < formats(); prec++)
        for (int threads = 1; threads <= 3; threads++) {
            bqb_clip *m = model_new(1, (bqb_precision)prec, threads);
            size_t n = bqb_clip_float_count(m);
            float loss[2];
            for (int masked = 0; masked < 2; masked++) {
                bqb_clip_batch b = batch_of(&t);
                if (masked) b.keep = t.keep, b.n_keep = KEEP;
                bqb_clip_save_memory(m, 0, false);
                float *want = gradient(m, &b, &loss[0]);
                /* Passes cut alike: the same bits, whatever is kept and whatever is computed again. */
                for (int how = 1; how < 4; how++) {
                    bqb_clip_save_memory(m, how & 1 ? SIZE_MAX : 0, how & 2);
                    float *got = gradient(m, &b, &loss[1]);
                    CHECK_MSG(!memcmp(got, want, n * sizeof *got) && !memcmp(&loss[0], &loss[1], sizeof *loss),
                              "%s, %d threads, way %d", prec ? "bf16" : "f32", threads, how);
                    free(got);
                }
                /* Cut smaller: the same but for the order of sums (bf16 rounds a product's result once more). */
                for (size_t chunk = 1; chunk < 6; chunk += 2) {
                    bqb_clip_save_memory(m, chunk, chunk == 3);
                    float *got = gradient(m, &b, &loss[1]), *again = gradient(m, &b, &loss[1]);
                    double d = apart(got, want, n);
                    CHECK_MSG(d <= (prec ? 1e-2 : 2e-6), "chunk %zu, %d threads: %.1e", chunk, threads, d);
                    CHECK_MSG(d > 0 || chunk > 3, "chunk %zu has no effect", chunk);
                    CHECK(!memcmp(got, again, n * sizeof *got));
                    CHECK(fabs((double)loss[0] - (double)loss[1]) <= (prec ? 1e-2 : 1e-6));
                    free(got);
                    free(again);
                }
                bqb_clip_save_memory(m, 0, false);
                if (!masked) CHECK(parts_apart(m, &b, want, 3) > 0.05);
                free(want);
            }
            bqb_clip_free(m);
        }
    fixture_free(&t);
}

TEST(clip_bytes_are_pixels) {
    fixture t = fixture_new();
    bqb_clip *m = model_new(1, BQB_PREC_F32, 2);
    size_t n = bqb_clip_float_count(m);
    float loss[2];
    bqb_err err;
    bqb_clip_batch b = batch_of(&t);
    float *want = gradient(m, &b, &loss[0]);
    b.rgb = t.rgb;
    CHECK(bqb_clip_grad(m, want, loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "once"));
    b.pixels = NULL;
    float *got = gradient(m, &b, &loss[1]);
    CHECK(!memcmp(got, want, n * sizeof *got));
    free(got);
    t.rgb[5] ^= 128; /* planted: one byte */
    got = gradient(m, &b, &loss[1]);
    CHECK(memcmp(got, want, n * sizeof *got));
    b.rgb = NULL;
    CHECK(bqb_clip_grad(m, want, loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "pixels"));
    free(got);
    free(want);
    bqb_clip_free(m);
    fixture_free(&t);
}

/* Which parameters a choice freezes, said once more by name. */
static bool is_frozen(const char *name, const bqb_clip_frozen *f) {
    if (!strcmp(name, "logit_scale")) return false;
    bool image = !strncmp(name, "visual.", 7);
    if (f->towers & (image ? BQB_TOWER_IMAGE : BQB_TOWER_TEXT)) return true;
    size_t blocks = image ? f->v_blocks : f->t_blocks;
    const char *at = strstr(name, image ? "resblocks." : "encoder.layer.");
    if (at) return strtoul(strpbrk(at, "0123456789"), NULL, 10) < blocks;
    bool top = strstr(name, "proj") || strstr(name, "ln_post");
    return blocks && !top;
}

static const bqb_clip_frozen WAYS[] = {
    {.v_blocks = 1}, {.t_blocks = 1}, {.v_blocks = 1, .t_blocks = 1}, {.v_blocks = 2, .t_blocks = 2},
    {.towers = BQB_TOWER_IMAGE}, {.towers = BQB_TOWER_TEXT, .v_blocks = 1}, {.towers = BQB_TOWER_BOTH},
};
/* Of the largest gradient. bf16: one rounding of 2^-9 of every trunk or activation, which this small
 * model's loss at its scale of 14 makes larger. The planted faults are twice that. */
static const double TOLERANCE[2] = {1e-4, 6e-2};
static const float MARK = 1.0f / 32;
enum { N_WAYS = sizeof WAYS / sizeof *WAYS };

TEST(clip_frozen_parameters_do_not_learn) {
    fixture t = fixture_new();
    for (size_t prec = 0; prec < formats(); prec++)
        for (size_t way = 0; way < N_WAYS; way++) {
            bqb_clip *m = model_new(1, (bqb_precision)prec, 1 + (int)way % 3);
            size_t n = bqb_clip_float_count(m), learning = 0;
            float loss[2], *mom = bqb_calloc(n, sizeof *mom), *var = bqb_calloc(n, sizeof *var);
            bqb_err err;
            bqb_clip_batch b = batch_of(&t);
            float *want = gradient(m, &b, &loss[0]);
            CHECK_OK(bqb_clip_freeze(m, &WAYS[way], &err), err);
            bqb_clip_save_memory(m, way % 2 ? SIZE_MAX : 0, way % 3 == 1);
            float *got = bqb_calloc(n, sizeof *got), *before = bqb_calloc(n, sizeof *before);
            for (size_t i = 0; i < n; i++) got[i] = MARK, mom[i] = 1, var[i] = 1;
            CHECK_OK(bqb_clip_grad(m, got, &loss[1], &b, &err), err);
            memcpy(before, bqb_clip_weights(m), n * sizeof *before);
            double top = 0, worst = 0;
            for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)want[i]));
            bqb_adamw_config c = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 0.1f};
            bqb_clip_adamw(m, got, mom, var, &c, 1);
            for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
                const bqb_param *p = bqb_clip_param(m, i);
                bool frozen = is_frozen(p->name, &WAYS[way]), untouched = true, still = true, moved = false;
                for (size_t k = p->offset; k < p->offset + p->n; k++) {
                    untouched = untouched && got[k] == MARK;
                    still = still && bqb_clip_weights(m)[k] == before[k] && mom[k] == 1 && var[k] == 1;
                    moved = moved || bqb_clip_weights(m)[k] != before[k];
                    if (!frozen) worst = fmax(worst, fabs((double)got[k] - (double)MARK - (double)want[k]));
                }
                CHECK_MSG(p->frozen == frozen, "way %zu: %s", way, p->name);
                CHECK_MSG(frozen ? untouched && still : moved, "way %zu: %s %s", way, p->name,
                          frozen ? "was touched" : "does not learn");
                if (!frozen) learning += p->n;
            }
            /* the frozen part runs the kernels that keep nothing, which round otherwise */
            CHECK_MSG(worst <= top * TOLERANCE[prec], "way %zu: %.1e of %.1e", way, worst, top);
            CHECK(bqb_clip_learning_count(m) == learning && learning < n);
            void *all[] = {want, got, before, mom, var};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
            bqb_clip_free(m);
        }
    /* Undone, everything learns again; too much is refused and changes nothing. */
    bqb_clip *m = model_new(1, BQB_PREC_F32, 2);
    bqb_clip_batch b = batch_of(&t);
    bqb_err err;
    float loss;
    float *want = gradient(m, &b, &loss);
    CHECK_OK(bqb_clip_freeze(m, &WAYS[2], &err), err);
    CHECK(bqb_clip_freeze(m, &(bqb_clip_frozen){.v_blocks = 3}, &err) == BQB_EINVAL && strstr(err.msg, "picture"));
    CHECK(bqb_clip_freeze(m, &(bqb_clip_frozen){.t_blocks = 3}, &err) == BQB_EINVAL && strstr(err.msg, "it has 2"));
    CHECK(bqb_clip_get_frozen(m).v_blocks == 1);
    CHECK_OK(bqb_clip_freeze(m, &(bqb_clip_frozen){0}, &err), err);
    float *got = gradient(m, &b, &loss);
    CHECK(!memcmp(got, want, bqb_clip_float_count(m) * sizeof *got));
    free(got);
    free(want);
    bqb_clip_free(m);
    fixture_free(&t);
}

/* A step from stored trunks is the step of the frozen model. */
TEST(clip_trunks_replace_what_is_frozen) {
    fixture t = fixture_new();
    for (size_t prec = 0; prec < formats(); prec++)
        for (size_t way = 0; way < N_WAYS; way++) {
            bqb_clip *m = model_new(1, (bqb_precision)prec, 1 + (int)way % 2);
            size_t n = bqb_clip_float_count(m);
            bqb_err err;
            float loss[2];
            CHECK_OK(bqb_clip_freeze(m, &WAYS[way], &err), err);
            bqb_clip_trunk_shape v = bqb_clip_image_trunk_shape(m), x = bqb_clip_text_trunk_shape(m, L);
            CHECK(!v.rows == !(WAYS[way].v_blocks || WAYS[way].towers & BQB_TOWER_IMAGE));
            CHECK(!x.rows == !(WAYS[way].t_blocks || WAYS[way].towers & BQB_TOWER_TEXT));
            bqb_clip_batch b = batch_of(&t);
            float *want = gradient(m, &b, &loss[0]);
            for (size_t num = 0; num < 2; num++) {
                size_t e = bqb_num_size_bytes((bqb_num)num), one = v.rows * v.width * e, each = x.rows * x.width * e;
                char *image = bqb_alloc_aligned(t.P + 1, one), *text = bqb_alloc_aligned(N + 1, each);
                const void *frame[MOST_FRAMES], *row[N];
                for (size_t i = 0; i < t.P; i++) frame[i] = image + i * one;
                for (size_t i = 0; i < N; i++) row[i] = text + i * each;
                b = batch_of(&t);
                b.trunk = (bqb_num)num;
                if (v.rows) {
                    CHECK_OK(bqb_clip_trunk_images(m, image, (bqb_num)num, t.rgb, t.P, &err), err);
                    b.image_trunk = frame;
                    b.pixels = NULL;
                }
                if (x.rows) {
                    CHECK_OK(bqb_clip_trunk_tokens(m, text, (bqb_num)num, t.ids, N, L, &err), err);
                    b.text_trunk = row;
                }
                for (int saving = 0; saving < 2; saving++) {
                    bqb_clip_save_memory(m, saving ? 2 : 0, saving);
                    float *got = gradient(m, &b, &loss[1]);
                    double d = apart(got, want, n), tolerance = TOLERANCE[prec || num];
                    CHECK_MSG(d <= tolerance, "way %zu, trunk %s: %.1e", way, num ? "bf16" : "f32", d);
                    free(got);
                }
                bqb_clip_save_memory(m, 0, false);
                if (v.rows) { /* planted: every frame is its neighbour */
                    for (size_t i = 0; i < t.P; i++) frame[i] = image + (i + 1) % t.P * one;
                    float *got = gradient(m, &b, &loss[1]);
                    double d = apart(got, want, n);
                    CHECK_MSG(d > 2 * TOLERANCE[prec || num], "way %zu: exchanged frames go unnoticed: %.1e", way, d);
                    free(got);
                }
                free(image);
                free(text);
            }
            free(want);
            bqb_clip_free(m);
        }
    /* What cannot be: no trunk, or patches left out of one. */
    bqb_clip *m = model_new(1, BQB_PREC_F32, 1);
    bqb_err err;
    float x[64], loss, *grad = bqb_calloc(bqb_clip_float_count(m), sizeof *grad);
    const void *at[MOST_FRAMES] = {x};
    CHECK(bqb_clip_trunk_images(m, x, BQB_NUM_F32, t.rgb, 1, &err) == BQB_EINVAL && strstr(err.msg, "frozen"));
    CHECK(bqb_clip_trunk_tokens(m, x, BQB_NUM_F32, t.ids, 1, L, &err) == BQB_EINVAL && strstr(err.msg, "frozen"));
    bqb_clip_batch b = batch_of(&t);
    b.text_trunk = at;
    CHECK(bqb_clip_grad(m, grad, &loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "text tower"));
    b = batch_of(&t);
    b.pixels = NULL;
    b.image_trunk = at;
    CHECK(bqb_clip_grad(m, grad, &loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "picture tower"));
    CHECK_OK(bqb_clip_freeze(m, &WAYS[0], &err), err);
    b.keep = t.keep;
    b.n_keep = KEEP;
    CHECK(bqb_clip_grad(m, grad, &loss, &b, &err) == BQB_EINVAL && strstr(err.msg, "left out"));
    free(grad);
    bqb_clip_free(m);
    fixture_free(&t);
}
