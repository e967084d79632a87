/* What a training run says and refuses before its first step. */
#include "test.h"
#include "train_fixture.h"

#include "file/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
