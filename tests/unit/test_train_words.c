/* What a training run says and refuses before its first step. */
#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "file/json.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char data_dir[512], heard[8192];
static const char *data[1] = {data_dir};

static void hear(void *ctx, const char *line) {
    (void)ctx;
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%s\n", line);
}

static void begin_set(const char *dir) {
    snprintf(data_dir, sizeof data_dir, "%s/set", dir);
    fixture_set(data_dir, 20, 5);
    fixture_config(dir, "config.json");
    *heard = 0;
}

static bqb_train_options heard_run(const char *dir, const char *out, size_t steps) {
    bqb_train_options o = fixture_run(data, dir, out, steps);
    o.say = hear;
    return o;
}

/* A setting as train.json of that run has it; -1: none. */
static double recorded(const bqb_train_options *o, const char *name) {
    json_t *j = NULL;
    if (bqb_json_read(&j, fixture_path(o->out, "train.json"), 1 << 20, 8, 1000, NULL)) return -1;
    json_t *v = json_object_get(j, name);
    double x = json_is_number(v) ? json_number_value(v) : -1;
    json_decref(j);
    return x;
}

/* A rate of log.csv. */
static double rate_of(const bqb_train_options *o, size_t step) {
    FILE *f = fopen(fixture_path(o->out, "log.csv"), "r");
    double lr = -1;
    char line[512];
    for (size_t k = 0; f && k <= step && fgets(line, sizeof line, f); k++)
        if (k == step && sscanf(line, "%*[^,],%*[^,],%lf", &lr) != 1) lr = -1;
    if (f) fclose(f);
    return lr;
}

TEST(train_warms_up_for_a_tenth) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = heard_run(dir, "out", 22);
    o.warmup = SIZE_MAX;
    o.lr = 1e-3;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK(recorded(&o, "warmup") == 2 && rate_of(&o, 1) == 5e-4 && rate_of(&o, 2) == 1e-3);
    CHECK_MSG(!strstr(heard, "warm-up"), "%s", heard);
    o = heard_run(dir, "asked", 4);
    o.warmup = 8;
    o.lr = 1e-3;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK_MSG(strstr(heard, "warm-up of 8 steps") && strstr(heard, "run of 4") && strstr(heard, "up to 0.0005"), "%s", heard);
    CHECK(recorded(&o, "warmup") == 8 && rate_of(&o, 4) == 5e-4);
}

/* What cannot be learnt with is refused by its name, before anything is written. */
TEST(train_refuses_what_is_out_of_range) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    const struct {
        const char *name;
        size_t at;
        double value;
    } bad[] = {
        {"eps", offsetof(bqb_train_options, eps), 0},         {"eps", offsetof(bqb_train_options, eps), -1e-6},
        {"eps", offsetof(bqb_train_options, eps), 1e-60},     {"beta1", offsetof(bqb_train_options, beta1), 1},
        {"beta1", offsetof(bqb_train_options, beta1), -0.1},  {"beta2", offsetof(bqb_train_options, beta2), 0.999999999999},
        {"lr", offsetof(bqb_train_options, lr), -1e-5},       {"lr", offsetof(bqb_train_options, lr), 1e300},
        {"weight_decay", offsetof(bqb_train_options, weight_decay), -1},
        {"ema", offsetof(bqb_train_options, ema), 1},         {"ema", offsetof(bqb_train_options, ema), -0.5},
        {"clip_norm", offsetof(bqb_train_options, clip_norm), -1},
        {"mask-ratio", offsetof(bqb_train_options, mask_ratio), 1},
        {"field-drop", offsetof(bqb_train_options, field_drop), 1.5},
        {"short", offsetof(bqb_train_options, short_rate), -1},
        {"save_minutes", offsetof(bqb_train_options, save_minutes), -1},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        bqb_train_options o = heard_run(dir, "out", 4);
        memcpy((char *)&o + bad[k].at, &bad[k].value, sizeof bad[k].value);
        bqb_status s = bqb_train(&o, NULL, &err);
        CHECK_MSG(s == BQB_EINVAL && !strncmp(err.msg, bad[k].name, strlen(bad[k].name)), "%s %g: %d %s", bad[k].name, bad[k].value,
                  (int)s, err.msg);
        CHECK(!bqb_is_file(fixture_path(o.out, "train.json")));
    }
    bqb_train_options o = heard_run(dir, "out", 4);
    o.threads = 1025;
    CHECK_MSG(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "threads 1025 is not within 0 … 1024"), "%s", err.msg);
    o = heard_run(dir, "out", 4);
    o.context = 65;
    CHECK_MSG(bqb_train(&o, NULL, &err) == BQB_EINVAL && strstr(err.msg, "context 65") && strstr(err.msg, "64 tokens"), "%s", err.msg);
    /* What is just within does run. */
    o = heard_run(dir, "within", 1);
    o.context = 64;
    o.eps = 1e-30;
    o.beta2 = 0.999999;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK(recorded(&o, "context") == 64);
    CHECK_MSG(strstr(heard, " 1 step ("), "%s", heard);
}

/* A mistake in a settings file is told even where an option takes its place. */
TEST(train_checks_all_of_a_settings_file) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    static const char *const bad[] = {"{\"data\": 5}", "{\"data\": [\"a\", 5]}", "{\"lr\": \"1\"}", "{\"config\": 7}"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        fixture_write(dir, "s.json", "%s", bad[k]);
        bqb_train_options o = heard_run(dir, "out", 1);
        o.settings = fixture_path(dir, "s.json");
        CHECK_MSG(bqb_train(&o, NULL, &err) == BQB_EFORMAT && strstr(err.msg, "s.json"), "%zu: %s", k, err.msg);
    }
}

/* Entries of DIR. */
static size_t count_files(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += *e->d_name != '.' || (e->d_name[1] && e->d_name[1] != '.');
    if (d) closedir(d);
    return n;
}

TEST(train_preview_leaves_nothing) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = heard_run(dir, "out", 2);
    char sheet[600], again[600];
    snprintf(sheet, sizeof sheet, "%s", fixture_path(dir, "sheet.png"));
    snprintf(again, sizeof again, "%s", fixture_path(dir, "again.png"));
    o.preview = sheet;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK(bqb_is_file(sheet) && !bqb_is_dir(o.out));
    /* Without a folder, too; and of a run that is there nothing changes. */
    o.out = NULL;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    o = heard_run(dir, "out", 2);
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    size_t files = count_files(o.out);
    o.preview = again;
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK(files > 5 && count_files(o.out) == files);
    bqb_train_options going;
    bqb_train_unset(&going);
    going.out = o.out;
    going.resume = true;
    going.preview = again;
    CHECK_OK(bqb_train(&going, NULL, &err), err);
    CHECK(count_files(o.out) == files);
}

TEST(train_names_both_damaged_checkpoints) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    bqb_train_options o = heard_run(dir, "out", 2);
    mkdir(o.out, 0777);
    fixture_write(o.out, "checkpoint.safetensors", "cut");
    fixture_write(o.out, "checkpoint.older.safetensors", "cut, too");
    o.resume = true;
    CHECK(bqb_train(&o, NULL, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "checkpoint.safetensors: ") && strstr(err.msg, "checkpoint.older.safetensors: "), "%s", err.msg);
}

/* Counted is what is trained on; one is one. */
TEST(train_counts_what_it_learns_from) {
    const char *dir = test_tmp_dir();
    begin_set(dir);
    bqb_err err = {0};
    fixture_write(data_dir, "images/3.png", "no picture");
    remove(fixture_path(data_dir, "images/4.png"));
    bqb_train_options o = heard_run(dir, "out", 2);
    CHECK_OK(bqb_train(&o, NULL, &err), err);
    CHECK_MSG(strstr(heard, "\n18 stickers (1 more cannot be read and is left out)"), "%s", heard);
    CHECK_MSG(strstr(heard, "left out: 1 missing file\n") && strstr(heard, "1 picture could not be read and is left out"), "%s", heard);
    CHECK(recorded(&o, "stickers") == 18);
}
