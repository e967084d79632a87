#include "train/settings.h"

#include "base/mem.h"
#include "train/setting.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(bqb_train_options, field)
static const bqb_setting settings[] = {
    {"init", BQB_SET_TEXT, AT(init), 0, NULL, false, 0, 0},
    {"config", BQB_SET_TEXT, AT(config), 0, NULL, false, 0, 0},
    {"vocab", BQB_SET_TEXT, AT(vocab), 0, NULL, false, 0, 0},
    {"valid", BQB_SET_TEXT, AT(valid), 0, NULL, true, 0, 0},
    {"cache", BQB_SET_TEXT, AT(cache), 0, NULL, true, 0, 0},
    {"threads", BQB_SET_SIZE, AT(threads), 0, NULL, true, 0, 0},
    {"half", BQB_SET_FLAG, AT(half), 0, NULL, true, 0, 0},
    {"drop_alpha", BQB_SET_FLAG, AT(drop_alpha), 0, NULL, false, 0, 0},
    {"batch", BQB_SET_SIZE, AT(batch), 64, NULL, false, 0, 0},
    {"epochs", BQB_SET_SIZE, AT(epochs), 5, NULL, true, 0, 0},
    {"steps", BQB_SET_SIZE, AT(steps), 0, NULL, true, 0, 0},
    {"warmup", BQB_SET_SIZE, AT(warmup), 100, NULL, false, 0, 0},
    {"seed", BQB_SET_SIZE, AT(seed), 1, NULL, false, 0, 0},
    {"frames", BQB_SET_SIZE, AT(frames), 3, NULL, false, 0, 0},
    {"lr", BQB_SET_REAL, AT(lr), 2e-5, NULL, false, 0, 0},
    {"weight_decay", BQB_SET_REAL, AT(weight_decay), 1e-3, NULL, false, 0, 0},
    {"beta1", BQB_SET_REAL, AT(beta1), 0.9, NULL, false, 0, 0},
    {"beta2", BQB_SET_REAL, AT(beta2), 0.98, NULL, false, 0, 0},
    {"eps", BQB_SET_REAL, AT(eps), 1e-6, NULL, false, 0, 0},
    {"clip_norm", BQB_SET_REAL, AT(clip_norm), 0, NULL, false, 0, 0},
    {"ema", BQB_SET_REAL, AT(ema), 0, NULL, false, 0, 0},
    {"field_drop", BQB_SET_REAL, AT(field_drop), 0, NULL, false, 0, 0},
    {"short_rate", BQB_SET_REAL, AT(short_rate), 0, NULL, false, 0, 0},
    {"mask_ratio", BQB_SET_REAL, AT(mask_ratio), 0, NULL, false, 0, 0},
    {"augment", BQB_SET_TEXT, AT(augment), 0, "on", false, 0, 0},
    {"duplicates", BQB_SET_TEXT, AT(duplicates), 0, "negative", false, 0, 0},
    {"freeze", BQB_SET_TEXT, AT(freeze), 0, NULL, false, 0, 0},
    {"chunk", BQB_SET_SIZE, AT(chunk), 0, NULL, false, 0, 0},
    {"recompute", BQB_SET_FLAG, AT(recompute), 0, NULL, true, 0, 0},
    {"precision", BQB_SET_TEXT, AT(precision), 0, "auto", false, 0, 0},
    {"context", BQB_SET_SIZE, AT(context), 0, NULL, false, 0, 0},
    {"valid_every", BQB_SET_SIZE, AT(valid_every), 500, NULL, true, 0, 0},
    {"valid_limit", BQB_SET_SIZE, AT(valid_limit), 1000, NULL, true, 0, 0},
    {"patience", BQB_SET_SIZE, AT(patience), 0, NULL, true, 0, 0},
    {"save_every", BQB_SET_SIZE, AT(save_every), 0, NULL, true, 0, 0},
    {"save_minutes", BQB_SET_REAL, AT(save_minutes), 10, NULL, true, 0, 0},
    {"cache_max_gib", BQB_SET_REAL, AT(cache_max_gib), 32, NULL, true, 0, 0},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* What train.json says of a run that is no setting of it. */
static const char *const remarks[] = {"bqb", "data", "data_hash", "stickers", "total_steps"};

void bqb_train_unset(bqb_train_options *o) {
    *o = (bqb_train_options){0};
    bqb_setting_unset(o, settings, N_SETTINGS);
}

void bqb_settings_default(bqb_train_options *o) { bqb_setting_default(o, settings, N_SETTINGS); }

static bqb_status wrong_kind(const bqb_setting *s, const char *path, bqb_err *err) {
    static const char *const needed[] = {"a whole number, 0 or more,", "a number", "a text", "true or false"};
    return bqb_fail(err, BQB_EFORMAT, "%s: \"%s\" needs %s", path, s->name, needed[s->kind]);
}

static const bqb_setting *find(const char *name) {
    for (size_t k = 0; k < N_SETTINGS; k++)
        if (!strcmp(settings[k].name, name)) return &settings[k];
    return NULL;
}

static bool is_remark(const char *name) {
    for (size_t k = 0; k < sizeof remarks / sizeof *remarks; k++)
        if (!strcmp(remarks[k], name)) return true;
    return false;
}

bqb_status bqb_settings_fill(bqb_train_options *o, json_t *given, const char *path, bqb_err *err) {
    /* A start given otherwise replaces the file's start as a whole. */
    bool has_init = o->init != NULL, has_config = o->config || o->vocab;
    const char *name;
    json_t *v;
    json_object_foreach(given, name, v) {
        const bqb_setting *s = find(name);
        if (!s && is_remark(name)) continue;
        if (!s)
            return bqb_fail(err, BQB_EINVAL, "%s: \"%s\" is no setting; the names are those of a run's train.json", path, name);
        if (!bqb_setting_accepts(s, v)) return wrong_kind(s, path, err);
        if (has_init && (s->at == AT(config) || s->at == AT(vocab))) continue;
        if (has_config && s->at == AT(init)) continue;
        bqb_setting_take(o, s, v);
    }
    return BQB_OK;
}

/* A value in words. */
static void describe(char *was, size_t size, const bqb_setting *s, const json_t *v) {
    const char *text = json_string_value(v);
    switch (s->kind) {
    case BQB_SET_SIZE: snprintf(was, size, "%lld", (long long)json_integer_value(v)); break;
    case BQB_SET_REAL: snprintf(was, size, "%g", json_number_value(v)); break;
    case BQB_SET_TEXT: snprintf(was, size, "%.60s", text ? text : "nothing"); break;
    case BQB_SET_FLAG: snprintf(was, size, "%s", json_is_true(v) ? "true" : "false"); break;
    }
}

bqb_status bqb_settings_put(json_t *to, const bqb_train_options *o, bqb_err *err) {
    int bad = 0;
    for (size_t k = 0; k < N_SETTINGS; k++)
        bad |= json_object_set_new(to, settings[k].name, bqb_setting_json(o, &settings[k]));
    return bad ? bqb_fail(err, BQB_EINVAL, "the settings cannot be written as JSON (a path that is no UTF-8?)") : BQB_OK;
}

bqb_status bqb_settings_resume(bqb_train_options *o, json_t *old, bqb_err *err) {
    bqb_train_options defaults;
    bqb_train_unset(&defaults);
    bqb_settings_default(&defaults);
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const bqb_setting *s = &settings[k];
        json_t *v = json_object_get(old, s->name);
        if (!v) { /* in `old`, so that a text lives as long as it */
            if (json_object_set_new(old, s->name, bqb_setting_json(&defaults, s))) return bqb_fail_nomem(err, "settings", 64);
            v = json_object_get(old, s->name);
        }
        if (!bqb_setting_accepts(s, v)) return wrong_kind(s, "checkpoint", err);
        if (s->at == AT(precision) && o->precision && !strcmp(o->precision, "auto")) o->precision = NULL;
        char was[64];
        describe(was, sizeof was, s, v);
        if (bqb_setting_differs(o, s, v) && !s->may_change)
            return bqb_fail(err, BQB_EINVAL,
                            "resume: the run began with %s = %s; another value would be another training "
                            "(leave it out to go on, or begin in another folder)",
                            s->name, was);
        bqb_setting_take(o, s, v);
    }
    return BQB_OK;
}

bqb_status bqb_settings_data(const char ***list, size_t *n, json_t *from, const char *path, bqb_err *err) {
    *list = NULL;
    *n = 0;
    json_t *data = json_object_get(from, "data");
    if (!data || json_is_null(data)) return BQB_OK;
    size_t count = json_is_array(data) ? json_array_size(data) : 1;
    const char **names = bqb_calloc(count, sizeof *names);
    if (!names) return bqb_fail_nomem(err, "settings", count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = json_string_value(json_is_array(data) ? json_array_get(data, i) : data);
        if (names[i]) continue;
        free(names);
        return bqb_fail(err, BQB_EFORMAT, "%s: \"data\" is not a name or a list of names", path);
    }
    *list = names;
    *n = count;
    return BQB_OK;
}
