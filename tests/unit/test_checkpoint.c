#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/safetensors.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

static bqb_clip *tiny_model(const char *dir, uint64_t seed) {
    bqb_err err = {0};
    bqb_clip_config c;
    bqb_clip *m = NULL;
    fixture_config(dir, "config.json");
    CHECK_OK(bqb_clip_config_read(&c, fixture_path(dir, "config.json"), &err), err);
    CHECK_OK(bqb_clip_new(&m, &c, NULL, seed, BQB_PREC_F32, 1, &err), err);
    return m;
}

/* Floats of the three blocks that do not come back as they were written. */
static size_t blocks_off(const char *path, bqb_clip *from, bqb_clip *to, bool average, bool plant) {
    size_t n = bqb_clip_float_count(from), off = 0;
    float *block[6];
    for (int k = 0; k < 6; k++) block[k] = calloc(n, sizeof(float));
    for (size_t i = 0; i < n; i++) {
        block[0][i] = (float)i;
        block[1][i] = 1.0f / (float)(i + 1);
        block[2][i] = -(float)i;
    }
    bqb_train_blocks out = {block[0], block[1], average ? block[2] : NULL}, in = {block[3], block[4], average ? block[5] : NULL};
    char settings[] = "{\"batch\":3}";
    bqb_checkpoint c = {.step = 12345678901, .seen = {UINT64_MAX, 1.0 / 3, 7, 2}, .settings = settings}, back;
    bqb_err err = {0};
    CHECK_OK(bqb_checkpoint_write(path, from, &out, &c, &err), err);
    if (CHECK_OK(bqb_checkpoint_peek(&back, path, &err), err)) {
        CHECK(back.step == c.step && back.seen.step == c.seen.step && back.seen.best == c.seen.best && back.seen.best_step == 7 &&
              back.seen.stale == 2);
        CHECK_STR(back.settings, settings);
        free(back.settings);
    }
    CHECK_OK(bqb_checkpoint_read(path, to, &in, &err), err);
    if (plant) block[3][n - 1] += 1;
    for (size_t i = 0; i < n; i++)
        off += block[0][i] != block[3][i] || block[1][i] != block[4][i] || (average && block[2][i] != block[5][i]) ||
               bqb_clip_weights(from)[i] != bqb_clip_weights(to)[i];
    /* An average that is wanted must be there. */
    in.average = block[5];
    if (!average) CHECK(bqb_checkpoint_read(path, to, &in, &err) == BQB_EFORMAT && strstr(err.msg, "average"));
    for (int k = 0; k < 6; k++) free(block[k]);
    return off;
}

TEST(checkpoint_comes_back_whole) {
    const char *dir = test_tmp_dir(), *path = fixture_path(dir, "c.safetensors");
    bqb_clip *a = tiny_model(dir, 1), *b = tiny_model(dir, 2);
    if (a && b) {
        CHECK(memcmp(bqb_clip_weights(a), bqb_clip_weights(b), 4 * bqb_clip_float_count(a)) != 0);
        CHECK(blocks_off(path, a, b, false, false) == 0);
        CHECK(blocks_off(path, a, b, true, false) == 0);
        CHECK(blocks_off(path, a, b, true, true) == 1); /* planted */
    }
    bqb_clip_free(a);
    bqb_clip_free(b);
}

TEST(checkpoint_refuses_what_is_none) {
    const char *dir = test_tmp_dir(), *path = fixture_path(dir, "c.safetensors");
    bqb_clip *m = tiny_model(dir, 1);
    if (!m) return;
    const char *good = "bqb training checkpoint 1";
    const struct {
        const char *kind, *step, *best, *settings, *named;
        bqb_status status;
    } bad[] = {
        {"something", "1", "1", "{}", "not a training checkpoint", BQB_EFORMAT},
        {"bqb training checkpoint 2", "1", "1", "{}", "newer", BQB_EVERSION},
        {good, "x", "1", "{}", "step", BQB_EFORMAT},
        {good, "-1", "1", "{}", "step", BQB_EFORMAT},
        {good, "1", "", "{}", "best", BQB_EFORMAT},
        {good, "1", "1", NULL, "settings", BQB_EFORMAT},
    };
    float x[3] = {0};
    bqb_tensor t[3] = {{.name = "moment1", .dtype = BQB_F32, .n_dims = 1, .dim = {3}, .n = 3, .data = x}};
    t[1] = t[2] = t[0];
    t[1].name = "moment2";
    t[2].name = "weights";
    bqb_err err = {0};
    bqb_checkpoint c;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        const char *meta[] = {"kind", bad[k].kind, "step", bad[k].step, "validated", "0", "best", bad[k].best, bad[k].settings ? "settings" : NULL, bad[k].settings, NULL};
        CHECK_OK(bqb_safetensors_write(path, t, 3, meta, &err), err);
        bqb_status s = bqb_checkpoint_peek(&c, path, &err);
        CHECK_MSG(s == bad[k].status && strstr(err.msg, bad[k].named), "%zu: %d %s", k, (int)s, err.msg);
        if (!s) free(c.settings);
    }
    /* A checkpoint of another model, one without a block, a file of rubbish. */
    const char *meta[] = {"kind", good, "step", "1", "validated", "0", "best", "1", "settings", "{}", NULL};
    bqb_train_blocks blocks = {calloc(bqb_clip_float_count(m), 4), calloc(bqb_clip_float_count(m), 4), NULL};
    CHECK_OK(bqb_safetensors_write(path, t, 3, meta, &err), err);
    CHECK(bqb_checkpoint_read(path, m, &blocks, &err) == BQB_EFORMAT && strstr(err.msg, "3 values"));
    CHECK_OK(bqb_safetensors_write(path, t, 0, meta, &err), err);
    CHECK(bqb_checkpoint_read(path, m, &blocks, &err) == BQB_EFORMAT && strstr(err.msg, "moment1"));
    fixture_write(dir, "c.safetensors", "rubbish, far too short to be anything");
    CHECK(bqb_checkpoint_peek(&c, path, &err) == BQB_EFORMAT || err.code == BQB_ELIMIT);
    free(blocks.mom);
    free(blocks.var);
    bqb_clip_free(m);
}
