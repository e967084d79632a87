#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/safetensors.h"
#include "train/average.h"
#include "train/curve.h"
#include "train/evaluate.h"
#include "train/settings.h"
#include "train/trainer.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char data_dir[512];
static const char *data[1] = {data_dir};

/* A run on twenty drawn pictures in DIR/OUT. */
static bqb_train_options small_run(const char *dir, const char *out, size_t steps) { return fixture_run(data, dir, out, steps); }

static void begin_set(const char *dir) {
    snprintf(data_dir, sizeof data_dir, "%s/set", dir);
    fixture_set(data_dir, 20, 5);
    fixture_config(dir, "config.json");
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
    CHECK(fixture_same_file(straight.out, half.out, "model.safetensors"));
    CHECK(fixture_same_file(straight.out, half.out, "valid.csv"));
    CHECK(fixture_same_file(straight.out, half.out, "best/model.safetensors"));

    /* Planted: another seed must not give the same bytes. */
    bqb_train_options other = small_run(dir, "other", 12);
    other.seed = 2;
    CHECK_OK(bqb_train(&other, NULL, &err), err);
    CHECK(!fixture_same_file(straight.out, other.out, "model.safetensors"));
}

/* The average of the weights: what is saved is it, not the weights, and a
 * stopped run goes on with the same bits. */
TEST(trainer_keeps_an_average) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options plain = small_run(dir, "plain", 12), straight = small_run(dir, "straight", 12), half = small_run(dir, "half", 12);
    straight.ema = half.ema = 0.9;
    plain.valid = straight.valid = half.valid = data_dir;
    plain.valid_every = straight.valid_every = half.valid_every = 4;
    CHECK_OK(bqb_train(&plain, NULL, &err), err);
    CHECK_OK(bqb_train(&straight, NULL, &err), err);
    CHECK(!fixture_same_file(plain.out, straight.out, "model.safetensors"));
    char *a = NULL, *b = NULL; /* the same steps were taken */
    CHECK_OK(bqb_file_read(&a, NULL, fixture_path(plain.out, "log.csv"), 1 << 20, &err), err);
    CHECK_OK(bqb_file_read(&b, NULL, fixture_path(straight.out, "log.csv"), 1 << 20, &err), err);
    if (a && b) /* but for the speed, at the end of each line */
        for (char *x = a, *y = b; x && y; x = strchr(x + 1, '\n'), y = strchr(y + 1, '\n')) CHECK(!strncmp(x, y, 30));
    free(a);
    free(b);

    stopper s = {.stop_at = 6};
    half.progress = stop_when;
    half.ctx = &s;
    CHECK(bqb_train(&half, NULL, &err) == BQB_ECANCEL);
    bqb_train_options rest;
    bqb_train_unset(&rest);
    rest.out = half.out;
    rest.resume = true;
    CHECK_OK(bqb_train(&rest, NULL, &err), err);
    CHECK(fixture_same_file(straight.out, half.out, "model.safetensors"));
    CHECK(fixture_same_file(straight.out, half.out, "checkpoint.safetensors"));
    CHECK(fixture_same_file(straight.out, half.out, "valid.csv"));
}

TEST(average_is_what_it_says) {
    enum { N = 300000 }; /* more than one part */
    float *w = calloc(N, sizeof *w), *a = calloc(N, sizeof *a);
    if (!w || !a) abort();
    double want = 0, off = 0;
    CHECK(bqb_average_decay(0.99, 1) == 2.0 / 11 && bqb_average_decay(0.99, 100000) == 0.99);
    for (uint64_t step = 1; step <= 50; step++) {
        for (size_t i = 0; i < N; i++) w[i] = (float)step + (float)(i % 7);
        double d = bqb_average_decay(0.9, step);
        want = d * want + (1 - d) * (double)step;
        bqb_average_update(a, w, N, 0.9, step, 2);
    }
    for (size_t i = 0; i < N; i += 7) off = fmax(off, fabs((double)a[i] - want)); /* i % 7 = 0 */
    CHECK_MSG(off < 1e-4, "off by %g", off);
    bqb_average_swap(a, w, N, 2);
    CHECK(w[0] == (float)want || fabs((double)w[0] - want) < 1e-4);
    CHECK(a[N - 1] == 50 + (N - 1) % 7 && a[0] == 50);
    bqb_average_update(a, w, N, 0, 60, 2); /* no decay: the weights themselves */
    CHECK(fabsf(a[N - 1] - w[N - 1]) < 1e-5f);
    free(w);
    free(a);
}

TEST(trainer_loses_patience) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = small_run(dir, "out", 60);
    o.lr = 0; /* nothing can be gained */
    o.valid = data_dir;
    o.valid_every = 2;
    o.patience = 3;
    bqb_train_result r = {0};
    CHECK_OK(bqb_train(&o, &r, &err), err);
    CHECK_MSG(r.early && r.steps == 6, "%d after %d steps", r.early, (int)r.steps); /* the first one is a gain */
    CHECK(bqb_is_file(fixture_path(o.out, "model.safetensors")) && bqb_is_file(fixture_path(o.out, "best/model.safetensors")));
    /* Going on needs more patience; then it counts on from there. */
    bqb_train_options rest;
    bqb_train_unset(&rest);
    rest.out = o.out;
    rest.resume = true;
    CHECK_OK(bqb_train(&rest, &r, &err), err);
    CHECK(r.early && r.steps == 6);
    rest.patience = 5;
    CHECK_OK(bqb_train(&rest, &r, &err), err);
    CHECK_MSG(r.early && r.steps == 10, "%d after %d steps", r.early, (int)r.steps);
    rest.patience = 0;
    rest.steps = 14;
    CHECK_OK(bqb_train(&rest, &r, &err), err);
    CHECK(!r.early && r.steps == 14);
    o = small_run(dir, "blind", 4);
    o.patience = 1;
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "patience"));
}

static char said[4096];
static void hear(void *ctx, const char *line) {
    (void)ctx;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

/* Twenty pictures with ten texts: another loss, so another model. */
TEST(trainer_takes_duplicates_as_right) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_buf table = {.max = 1 << 16};
    bqb_buf_puts(&table, "file\tcaption\temotion\n", NULL);
    for (int k = 0; k < 20; k++)
        bqb_buf_printf(&table, NULL, "images/%d.%s\t第%d个\t开心%d\n", k, k % 5 ? "png" : "gif", k % 10, k % 10);
    fixture_write(data_dir, "captions.tsv", "%s", table.data);
    bqb_buf_free(&table);
    char *bytes = NULL; /* and number 3 shows what number 13 does */
    size_t n = 0;
    CHECK_OK(bqb_file_read(&bytes, &n, fixture_path(data_dir, "images/13.png"), 1 << 20, &err), err);
    CHECK_OK(bqb_file_write(fixture_path(data_dir, "images/3.png"), bytes, n, &err), err);
    free(bytes);
    for (int k = 0; k < 2; k++) {
        bqb_train_options o = small_run(dir, k ? "positive" : "negative", 3);
        o.batch = 20;
        o.duplicates = k ? "positive" : "negative";
        o.say = hear;
        *said = 0;
        CHECK_OK(bqb_train(&o, NULL, &err), err);
        CHECK_MSG(!strstr(said, "10 different texts") == (k == 1), "%s", said);
        CHECK_MSG(!strstr(said, "1 of 20 pictures") == (k == 0), "%s", said);
    }
    CHECK(!fixture_same_file(fixture_path(dir, "positive"), fixture_path(dir, "negative"), "model.safetensors"));
    bqb_train_options o = small_run(dir, "neither", 4);
    o.duplicates = "neither";
    CHECK(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "duplicates"));
}

/* Weights of two folders that differ, in the towers' names (Hugging Face's). */
static void count_changes(const char *a_dir, const char *b_dir, size_t *vision, size_t *text) {
    bqb_err err = {0};
    bqb_safetensors *a = NULL, *b = NULL;
    *vision = *text = 0;
    if (CHECK_OK(bqb_safetensors_open(&a, fixture_path(a_dir, "model.safetensors"), &err), err) &&
        CHECK_OK(bqb_safetensors_open(&b, fixture_path(b_dir, "model.safetensors"), &err), err))
        for (size_t i = 0; i < bqb_safetensors_count(a); i++) {
            const bqb_tensor *x = bqb_safetensors_at(a, i), *y = bqb_safetensors_find(b, x->name);
            bool same = y && x->n == y->n && !memcmp(x->data, y->data, x->n * 4);
            *(strstr(x->name, "text") ? text : vision) += !same && !strstr(x->name, "logit_scale");
        }
    bqb_safetensors_close(a);
    bqb_safetensors_close(b);
}

TEST(trainer_freezes_what_is_named) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options first = small_run(dir, "first", 2), o;
    CHECK_OK(bqb_train(&first, NULL, &err), err);
    char init[512];
    snprintf(init, sizeof init, "%s", first.out);
    const char *const what[] = {NULL, "image", "text", "image:1,text", "text:2"};
    size_t vision[5], text[5];
    for (int k = 0; k < 5; k++) {
        char name[32];
        snprintf(name, sizeof name, "frozen%d", k);
        o = small_run(dir, name, 2);
        o.config = o.vocab = NULL;
        o.init = init;
        o.freeze = what[k];
        o.ema = 0.5;
        CHECK_OK(bqb_train(&o, NULL, &err), err);
        count_changes(init, o.out, &vision[k], &text[k]);
    }
    CHECK(vision[0] > 30 && text[0] > 30);
    CHECK(!vision[1] && text[1] == text[0]);
    CHECK(vision[2] == vision[0] && !text[2]);
    CHECK_MSG(vision[3] < vision[0] && vision[3] > 12 && !text[3], "%zu of %zu", vision[3], vision[0]);
    CHECK_MSG(vision[4] == vision[0] && text[4] == 1, "%zu", text[4]); /* the projection */
    const char *const bad[] = {"picture", "image:", "image:x", "image,text", "text:9", "image:1;text"};
    for (int k = 0; k < 6; k++) {
        o = small_run(dir, "bad", 2);
        o.freeze = bad[k];
        CHECK_MSG(bqb_train(&o, NULL, &err) == BQB_EINVAL, "%s", bad[k]);
        CHECK_MSG(strstr(err.msg, "freeze") || strstr(err.msg, "frozen"), "%s", err.msg);
    }
}

/* Whether there was one. */
static bool remove_trunk(const char *dir) {
    bool found = false;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (!strncmp(e->d_name, "trunk-", 6)) found = !remove(fixture_path(dir, e->d_name));
    if (d) closedir(d);
    return found;
}

/* What the frozen part gives is kept: nearly the same numbers, bit for bit the same when resumed. */
TEST(trainer_starts_from_trunks) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options first = small_run(dir, "first", 2), o[3];
    CHECK_OK(bqb_train(&first, NULL, &err), err);
    char init[512];
    snprintf(init, sizeof init, "%s", first.out);
    const char *const name[] = {"kept", "computed", "stopped"};
    bqb_train_result r[3];
    stopper stop = {.stop_at = 4};
    for (int k = 0; k < 3; k++) {
        o[k] = small_run(dir, name[k], 8);
        o[k].config = o[k].vocab = NULL;
        o[k].init = init;
        o[k].freeze = "image:1";
        o[k].augment = "off";
        o[k].half = true; /* so that last/ does not hold what the frozen part really is */
        if (k == 1) o[k].cache_max_gib = 0;
        if (k == 2) o[k].progress = stop_when, o[k].ctx = &stop;
        CHECK(bqb_train(&o[k], &r[k], &err) == (k == 2 ? BQB_ECANCEL : BQB_OK));
    }
    CHECK(remove_trunk(o[0].out) && !remove_trunk(o[1].out) && remove_trunk(o[2].out));
    CHECK_MSG(fabsf(r[0].loss - r[1].loss) < 1e-2f, "%g, %g", (double)r[0].loss, (double)r[1].loss);
    bqb_train_options rest;
    bqb_train_unset(&rest);
    rest.out = o[2].out;
    rest.resume = true;
    CHECK_OK(bqb_train(&rest, NULL, &err), err);
    CHECK(fixture_same_file(o[0].out, o[2].out, "checkpoint.safetensors"));
}

/* Saving memory is no other training: the same bits where nothing is cut smaller. */
TEST(trainer_saves_memory) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options plain = small_run(dir, "plain", 4), chunked = small_run(dir, "chunked", 4), again = small_run(dir, "again", 4);
    bqb_train_options both = small_run(dir, "both", 4), other = small_run(dir, "other", 4);
    chunked.chunk = both.chunk = 1000;
    both.recompute = true;
    other.seed = 2;
    again.recompute = true;
    again.say = hear;
    *said = 0;
    bqb_train_result r[3];
    CHECK_OK(bqb_train(&plain, &r[0], &err), err);
    CHECK_OK(bqb_train(&chunked, &r[1], &err), err);
    CHECK_OK(bqb_train(&again, &r[2], &err), err);
    CHECK_OK(bqb_train(&both, NULL, &err), err);
    CHECK_OK(bqb_train(&other, NULL, &err), err);
    CHECK(fixture_same_file(plain.out, both.out, "model.safetensors"));
    CHECK(!fixture_same_file(plain.out, other.out, "model.safetensors")); /* planted */
    CHECK(strstr(said, "memory: about"));
    CHECK(fixture_same_file(plain.out, chunked.out, "model.safetensors") && fixture_same_file(plain.out, again.out, "model.safetensors"));
    bqb_train_options small = small_run(dir, "small", 4);
    small.chunk = 2;
    CHECK_OK(bqb_train(&small, &r[1], &err), err);
    CHECK_MSG(fabsf(r[1].loss - r[0].loss) < 1e-3f, "%g, %g", (double)r[0].loss, (double)r[1].loss);
}

static void cut_file(const char *path, size_t keep) {
    char *bytes = NULL;
    size_t n = 0;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_file_read(&bytes, &n, path, 1 << 26, &err), err)) return;
    CHECK(keep < n);
    CHECK_OK(bqb_file_write(path, bytes, keep, &err), err);
    free(bytes);
}

/* A checkpoint that is half there is refused by name, and the one before it goes on. */
TEST(trainer_falls_back_to_the_older_checkpoint) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options straight = small_run(dir, "straight", 12), o = small_run(dir, "cut", 12);
    CHECK_OK(bqb_train(&straight, NULL, &err), err);
    o.save_every = 4;
    stopper stop = {.stop_at = 10};
    o.progress = stop_when;
    o.ctx = &stop;
    CHECK(bqb_train(&o, NULL, &err) == BQB_ECANCEL);
    cut_file(fixture_path(o.out, "checkpoint.safetensors"), 60000);
    bqb_train_options rest;
    bqb_train_unset(&rest);
    rest.out = o.out;
    rest.resume = true;
    rest.say = hear;
    *said = 0;
    bqb_train_result r = {0};
    CHECK_OK(bqb_train(&rest, &r, &err), err);
    CHECK_MSG(strstr(said, "checkpoint.safetensors") && strstr(said, "of step 8"), "%s", said);
    CHECK(r.steps == 12 && fixture_same_file(straight.out, o.out, "model.safetensors"));
    /* Both: refused by name. */
    cut_file(fixture_path(o.out, "checkpoint.safetensors"), 60000);
    cut_file(fixture_path(o.out, "checkpoint.older.safetensors"), 6);
    CHECK(bqb_train(&rest, NULL, &err) == BQB_EFORMAT && strstr(err.msg, "checkpoint.safetensors"));
}

/* A settings file is a train.json: the same run again. */
TEST(trainer_repeats_a_run) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = small_run(dir, "first", 8), again;
    o.ema = 0.8;
    o.augment = "rand";
    o.duplicates = "positive";
    o.mask_ratio = 0.25;
    o.beta2 = 0.9123456789;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    char settings[512];
    snprintf(settings, sizeof settings, "%s", fixture_path(o.out, "train.json"));
    bqb_train_unset(&again);
    again.settings = settings;
    again.out = fixture_path(dir, "second");
    CHECK_OK(bqb_train(&again, NULL, &err), err);
    CHECK(fixture_same_file(fixture_path(dir, "first"), again.out, "model.safetensors"));
    CHECK(fixture_same_file(fixture_path(dir, "first"), again.out, "train.json"));
    /* An option wins; so does another start as a whole. */
    again.seed = 7;
    again.out = fixture_path(dir, "third");
    CHECK_OK(bqb_train(&again, NULL, &err), err);
    CHECK(!fixture_same_file(fixture_path(dir, "first"), again.out, "model.safetensors"));
    bqb_train_unset(&again);
    again.settings = settings;
    again.init = fixture_path(dir, "first");
    again.out = fixture_path(dir, "fourth");
    CHECK_OK(bqb_train(&again, NULL, &err), err);
    const struct {
        const char *text, *named;
        bqb_status status;
    } bad[] = {{"{\"batsh\": 3}", "\"batsh\" is no setting", BQB_EINVAL},
               {"{\"batch\": \"3\"}", "\"batch\" needs a whole number", BQB_EFORMAT},
               {"{\"batch\": -3}", "\"batch\" needs a whole number", BQB_EFORMAT},
               {"{\"lr\": true}", "\"lr\" needs a number", BQB_EFORMAT},
               {"{\"half\": 1}", "\"half\" needs true or false", BQB_EFORMAT},
               {"{\"augment\": 1}", "\"augment\" needs a text", BQB_EFORMAT},
               {"{\"data\": [1]}", "\"data\" is not", BQB_EFORMAT},
               {"[]", "object", BQB_EFORMAT},
               {"{\"batch\": 3", "invalid JSON", BQB_EFORMAT}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        fixture_write(dir, "s.json", "%s", bad[k].text);
        bqb_train_unset(&again);
        again.settings = fixture_path(dir, "s.json");
        again.out = fixture_path(dir, "bad");
        bqb_status s = bqb_train(&again, NULL, &err);
        CHECK_MSG(s == bad[k].status && strstr(err.msg, bad[k].named) && strstr(err.msg, "s.json"), "%zu: %d %s", k, (int)s, err.msg);
    }
}

/* What the settings file, the echo and a resumed run make of one table. */
TEST(settings_are_one_table) {
    bqb_err err = {0};
    bqb_train_options o, p;
    bqb_train_unset(&o);
    bqb_settings_default(&o);
    json_t *j = json_object();
    CHECK_OK(bqb_settings_put(j, &o, &err), err);
    CHECK(json_integer_value(json_object_get(j, "batch")) == 64 && json_number_value(json_object_get(j, "lr")) == 2e-5);
    bqb_train_unset(&p);
    p.batch = 3;
    CHECK_OK(bqb_settings_fill(&p, j, "x", &err), err);
    CHECK(p.batch == 3 && p.epochs == 5 && p.eps == 1e-6 && !strcmp(p.augment, "on"));
    /* A checkpoint of an older program lacks a setting: its default was used. */
    json_object_del(j, "ema");
    bqb_train_unset(&p);
    CHECK_OK(bqb_settings_resume(&p, j, &err), err);
    CHECK(p.ema == 0 && p.batch == 64);
    json_object_del(j, "ema");
    bqb_train_unset(&p);
    p.ema = 0.5;
    CHECK(bqb_settings_resume(&p, j, &err) == BQB_EINVAL && strstr(err.msg, "ema = 0"));
    bqb_train_unset(&p);
    p.drop_alpha = true;
    CHECK(bqb_settings_resume(&p, j, &err) == BQB_EINVAL && strstr(err.msg, "drop_alpha = false"));
    bqb_train_unset(&p);
    p.half = true;
    p.epochs = 9;
    CHECK_OK(bqb_settings_resume(&p, j, &err), err);
    CHECK(p.half && p.epochs == 9);
    json_decref(j);
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
