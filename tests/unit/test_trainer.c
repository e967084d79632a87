#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "train/curve.h"
#include "train/evaluate.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char data_dir[512];
static const char *data[1] = {data_dir};

/* A run on twenty drawn pictures in DIR/OUT. */
static bqb_train_options small_run(const char *dir, const char *out, size_t steps) {
    static char outs[4][512], config[512], vocab[512];
    static int next;
    bqb_train_options o;
    bqb_train_unset(&o);
    next = (next + 1) % 4;
    snprintf(outs[next], sizeof outs[next], "%s/%s", dir, out);
    o.out = outs[next];
    o.data = data;
    o.n_data = 1;
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(vocab, sizeof vocab, "%s", test_path("golden/vocab.txt"));
    o.config = config;
    o.vocab = vocab;
    o.batch = 10;
    o.steps = steps;
    o.warmup = 4;
    o.lr = 3e-3;
    o.threads = 2;
    o.precision = "f32";
    o.save_minutes = 0;
    return o;
}

static void begin_set(const char *dir) {
    snprintf(data_dir, sizeof data_dir, "%s/set", dir);
    fixture_set(data_dir, 20, 5);
    fixture_config(dir, "config.json");
}

static bool same_file(const char *a_dir, const char *b_dir, const char *name) {
    bqb_map a, b;
    if (bqb_map_open(&a, fixture_path(a_dir, name), NULL)) return false;
    if (bqb_map_open(&b, fixture_path(b_dir, name), NULL)) {
        bqb_map_close(&a);
        return false;
    }
    bool same = a.size == b.size && a.size && !memcmp(a.data, b.data, a.size);
    bqb_map_close(&a);
    bqb_map_close(&b);
    return same;
}

static double text_recall(const char *model) {
    bqb_err err = {0};
    bqb_clip *m = NULL;
    bqb_dataset *ds = NULL;
    bqb_pixels *px = NULL;
    bqb_gallery g = {0};
    bqb_ask_result r = {0};
    bqb_pixels_options po = {.R = 32, .threads = 2};
    double mr = -1;
    if (CHECK_OK(bqb_clip_open(&m, model, BQB_TOWER_BOTH, BQB_PREC_F32, 2, &err), err) &&
        CHECK_OK(bqb_dataset_open(&ds, data, 1, &err), err) &&
        CHECK_OK(bqb_pixels_open(&px, ds, &po, NULL, NULL, &err), err) &&
        CHECK_OK(bqb_gallery_open(&g, m, ds, px, 0, NULL, NULL, &err), err) &&
        CHECK_OK(bqb_ask_run(&r, BQB_ASK_FULL, m, bqb_clip_tokenizer(m), &g, NULL, NULL, &err), err))
        mr = r.to_image.r1;
    bqb_ask_free(&r);
    bqb_gallery_close(&g);
    bqb_pixels_close(px);
    bqb_dataset_close(ds);
    bqb_clip_free(m);
    return mr;
}

TEST(trainer_learns_twenty_pictures_by_heart) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_train_options o = small_run(dir, "out", 200);
    o.batch = 20;
    o.valid = data_dir;
    o.valid_every = 100;
    o.save_every = 50;
    bqb_err err = {0};
    bqb_train_result r = {0};
    if (!CHECK_OK(bqb_train(&o, &r, &err), err)) return;
    CHECK_MSG(r.loss < 0.2f, "loss %g", (double)r.loss);
    CHECK(r.steps == 200 && r.epochs == 200);
    CHECK_MSG(r.last == 100, "held-out MR %g", r.last);
    CHECK(r.best == 100);
    double before = text_recall(fixture_path(o.out, "last"));
    CHECK(before == 100 && text_recall(o.out) == 100 && text_recall(fixture_path(o.out, "best")) == 100);
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt", "checkpoint.safetensors", "log.csv",
                                        "valid.csv", "curve.svg", "train.json", "pixels-32.cache"};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) CHECK_MSG(bqb_is_file(fixture_path(o.out, files[k])), "no %s", files[k]);
    char *text = NULL;
    size_t lines = 0;
    CHECK_OK(bqb_file_read(&text, NULL, fixture_path(o.out, "log.csv"), 1 << 20, &err), err);
    for (const char *p = text; p && *p; p++) lines += *p == '\n';
    CHECK(lines == 201);
    free(text);
    /* A second run must not write over this one. */
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "--resume"));
}

typedef struct {
    int calls, stop_at;
} stopper;

static int stop_when(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    stopper *s = ctx;
    return !strncmp(what, "step", 4) && ++s->calls > s->stop_at;
}

TEST(trainer_resumes_bit_for_bit) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options straight = small_run(dir, "straight", 12), half = small_run(dir, "half", 12);
    straight.field_drop = half.field_drop = 0.2;
    straight.short_rate = half.short_rate = 0.2;
    straight.mask_ratio = half.mask_ratio = 0.5;
    straight.valid = half.valid = data_dir;
    straight.valid_every = half.valid_every = 3;
    CHECK_OK(bqb_train(&straight, NULL, &err), err);

    stopper s = {.stop_at = 6};
    half.progress = stop_when;
    half.ctx = &s;
    CHECK(bqb_train(&half, NULL, &err) == BQB_ECANCEL && strstr(err.msg, "--resume"));
    CHECK(!bqb_is_file(fixture_path(half.out, "model.safetensors")));

    /* Changed settings are refused by name; nothing given is taken from the checkpoint. */
    bqb_train_options changed = small_run(dir, "half", 12);
    changed.resume = true;
    changed.lr = 1e-3;
    changed.config = changed.vocab = NULL;
    CHECK(bqb_train(&changed, NULL, &err) == BQB_EINVAL && strstr(err.msg, "lr = 0.003"));
    bqb_train_options rest;
    bqb_train_unset(&rest);
    rest.out = half.out;
    rest.resume = true;
    rest.threads = 2;
    bqb_train_result r = {0};
    CHECK_OK(bqb_train(&rest, &r, &err), err);
    CHECK(r.steps == 12);
    CHECK(same_file(straight.out, half.out, "model.safetensors"));
    CHECK(same_file(straight.out, half.out, "valid.csv"));
    CHECK(same_file(straight.out, half.out, "best/model.safetensors"));

    /* Planted: another seed must not give the same bytes. */
    bqb_train_options other = small_run(dir, "other", 12);
    other.seed = 2;
    CHECK_OK(bqb_train(&other, NULL, &err), err);
    CHECK(!same_file(straight.out, other.out, "model.safetensors"));
}

TEST(trainer_stops_at_no_number) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = small_run(dir, "out", 40);
    o.lr = 1e30;
    o.warmup = 0;
    CHECK(bqb_train(&o, NULL, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "step ") && strstr(err.msg, "checkpoint"), "%s", err.msg);
    CHECK(!bqb_is_file(fixture_path(o.out, "model.safetensors")));
}

TEST(trainer_names_what_is_wrong) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = small_run(dir, "out", 4);
    o.augment = "some";
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "augment"));
    o = small_run(dir, "out", 4);
    o.precision = "fp4";
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "fp4"));
    o = small_run(dir, "out", 4);
    o.config = NULL;
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "--init"));
    o = small_run(dir, "out", 4);
    o.beta2 = 1;
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "beta2"));
    o = small_run(dir, "out", 4);
    o.resume = true;
    CHECK(bqb_train(&o, NULL, &err) == BQB_ENOTFOUND && strstr(err.msg, "checkpoint.safetensors"));
    fixture_write(dir, "words.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n好\n");
    o = small_run(dir, "out", 4);
    o.vocab = fixture_path(dir, "words.txt");
    CHECK(bqb_train(&o, NULL, &err) == BQB_EFORMAT && strstr(err.msg, "2425") && strstr(err.msg, "5 tokens"));
}

TEST(curve_draws_what_the_logs_say) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    CHECK_OK(bqb_curve_draw(dir, &err), err);
    CHECK(!bqb_is_file(fixture_path(dir, "curve.svg"))); /* nothing yet */
    fixture_write(dir, "log.csv", "step,loss\n1,4\n2,2\nbroken\n3,nan\n4,1");
    fixture_write(dir, "valid.csv", "step,r1,r5,r10,mr\n2,10,20,30,20\n4,40,50,60.5,50.2\n");
    CHECK_OK(bqb_curve_draw(dir, &err), err);
    char *svg = NULL;
    if (!CHECK_OK(bqb_file_read(&svg, NULL, fixture_path(dir, "curve.svg"), 1 << 20, &err), err)) return;
    CHECK(strstr(svg, "R@10 60.5") && strstr(svg, "MR 50.2") && strstr(svg, "</svg>"));
    CHECK(!strstr(svg, "nan") && !strstr(svg, "inf"));
    free(svg);
    fixture_write(dir, "valid.csv", "what,is,this\n1,2,3\n");
    CHECK_OK(bqb_curve_draw(dir, &err), err);
}
