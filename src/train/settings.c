#include "train/settings.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { SIZE, REAL, TEXT, FLAG } set_kind;
typedef struct {
    const char *name;
    set_kind kind;
    size_t at;
    double value;     /* default */
    const char *text; /* default of a text */
    bool may_change;  /* a resumed run may have another one */
} setting;

#define AT(field) offsetof(bqb_train_options, field)
static const setting settings[] = {
    {"init", TEXT, AT(init), 0, NULL, false},
    {"config", TEXT, AT(config), 0, NULL, false},
    {"vocab", TEXT, AT(vocab), 0, NULL, false},
    {"valid", TEXT, AT(valid), 0, NULL, true},
    {"cache", TEXT, AT(cache), 0, NULL, true},
    {"threads", SIZE, AT(threads), 0, NULL, true},
    {"half", FLAG, AT(half), 0, NULL, true},
    {"drop_alpha", FLAG, AT(drop_alpha), 0, NULL, false},
    {"batch", SIZE, AT(batch), 64, NULL, false},
    {"epochs", SIZE, AT(epochs), 5, NULL, true},
    {"steps", SIZE, AT(steps), 0, NULL, true},
    {"warmup", SIZE, AT(warmup), 100, NULL, false},
    {"seed", SIZE, AT(seed), 1, NULL, false},
    {"frames", SIZE, AT(frames), 3, NULL, false},
    {"lr", REAL, AT(lr), 2e-5, NULL, false},
    {"weight_decay", REAL, AT(weight_decay), 1e-3, NULL, false},
    {"beta1", REAL, AT(beta1), 0.9, NULL, false},
    {"beta2", REAL, AT(beta2), 0.98, NULL, false},
    {"eps", REAL, AT(eps), 1e-6, NULL, false},
    {"clip_norm", REAL, AT(clip_norm), 0, NULL, false},
    {"ema", REAL, AT(ema), 0, NULL, false},
    {"field_drop", REAL, AT(field_drop), 0, NULL, false},
    {"short_rate", REAL, AT(short_rate), 0, NULL, false},
    {"mask_ratio", REAL, AT(mask_ratio), 0, NULL, false},
    {"augment", TEXT, AT(augment), 0, "on", false},
    {"duplicates", TEXT, AT(duplicates), 0, "negative", false},
    {"freeze", TEXT, AT(freeze), 0, NULL, false},
    {"chunk", SIZE, AT(chunk), 0, NULL, false},
    {"recompute", FLAG, AT(recompute), 0, NULL, true},
    {"precision", TEXT, AT(precision), 0, "auto", false},
    {"context", SIZE, AT(context), 0, NULL, false},
    {"valid_every", SIZE, AT(valid_every), 500, NULL, true},
    {"valid_limit", SIZE, AT(valid_limit), 1000, NULL, true},
    {"patience", SIZE, AT(patience), 0, NULL, true},
    {"save_every", SIZE, AT(save_every), 0, NULL, true},
    {"save_minutes", REAL, AT(save_minutes), 10, NULL, true},
    {"cache_max_gib", REAL, AT(cache_max_gib), 32, NULL, true},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* What train.json says of a run that is no setting of it. */
static const char *const remarks[] = {"bqb", "data", "data_hash", "stickers", "total_steps"};

static size_t *size_at(bqb_train_options *o, const setting *s) { return (size_t *)(void *)((char *)o + s->at); }
static double *real_at(bqb_train_options *o, const setting *s) { return (double *)(void *)((char *)o + s->at); }
static bool *flag_at(bqb_train_options *o, const setting *s) { return (bool *)(void *)((char *)o + s->at); }
static const char **text_at(bqb_train_options *o, const setting *s) {
    return (const char **)(void *)((char *)o + s->at);
}

void bqb_train_unset(bqb_train_options *o) {
    *o = (bqb_train_options){0};
    for (size_t k = 0; k < N_SETTINGS; k++) {
        if (settings[k].kind == SIZE) *size_at(o, &settings[k]) = SIZE_MAX;
        if (settings[k].kind == REAL) *real_at(o, &settings[k]) = NAN;
    }
}

void bqb_settings_default(bqb_train_options *o) {
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        if (s->kind == SIZE && *size_at(o, s) == SIZE_MAX) *size_at(o, s) = (size_t)s->value;
        if (s->kind == REAL && isnan(*real_at(o, s))) *real_at(o, s) = s->value;
        if (s->kind == TEXT && !*text_at(o, s)) *text_at(o, s) = s->text;
    }
}

static bool has_kind(const setting *s, const json_t *v) {
    switch (s->kind) {
    case SIZE: return json_is_integer(v) && json_integer_value(v) >= 0;
    case REAL: return json_is_number(v);
    case TEXT: return json_is_string(v) || json_is_null(v);
    case FLAG: return json_is_boolean(v);
    }
    return false;
}

/* A value of o, where that has none yet. */
static void take(bqb_train_options *o, const setting *s, const json_t *v) {
    if (s->kind == SIZE && *size_at(o, s) == SIZE_MAX) *size_at(o, s) = (size_t)json_integer_value(v);
    if (s->kind == REAL && isnan(*real_at(o, s))) *real_at(o, s) = json_number_value(v);
    if (s->kind == TEXT && !*text_at(o, s)) *text_at(o, s) = json_string_value(v);
    if (s->kind == FLAG) *flag_at(o, s) |= json_is_true(v);
}

static bqb_status wrong_kind(const setting *s, const char *path, bqb_err *err) {
    static const char *const needed[] = {"a whole number, 0 or more,", "a number", "a text", "true or false"};
    return bqb_fail(err, BQB_EFORMAT, "%s: \"%s\" needs %s", path, s->name, needed[s->kind]);
}

static const setting *find(const char *name) {
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
        const setting *s = find(name);
        if (!s && is_remark(name)) continue;
        if (!s)
            return bqb_fail(err, BQB_EINVAL, "%s: \"%s\" is no setting; the names are those of a run's train.json", path, name);
        if (!has_kind(s, v)) return wrong_kind(s, path, err);
        if (has_init && (s->at == AT(config) || s->at == AT(vocab))) continue;
        if (has_config && s->at == AT(init)) continue;
        take(o, s, v);
    }
    return BQB_OK;
}

/* Whether o gives something else than v, and what v is, in words. */
static bool differs(bqb_train_options *o, const setting *s, const json_t *v, char *was, size_t size) {
    const char *then;
    switch (s->kind) {
    case SIZE:
        snprintf(was, size, "%lld", (long long)json_integer_value(v));
        return *size_at(o, s) != SIZE_MAX && *size_at(o, s) != (size_t)json_integer_value(v);
    case REAL:
        snprintf(was, size, "%g", json_number_value(v));
        return !isnan(*real_at(o, s)) && *real_at(o, s) != json_number_value(v);
    case TEXT:
        then = json_string_value(v);
        snprintf(was, size, "%.60s", then ? then : "nothing");
        if (s->at == AT(precision) && *text_at(o, s) && !strcmp(*text_at(o, s), "auto")) *text_at(o, s) = NULL;
        return *text_at(o, s) && (!then || strcmp(*text_at(o, s), then) != 0);
    case FLAG:
        snprintf(was, size, "%s", json_is_true(v) ? "true" : "false");
        return *flag_at(o, s) && !json_is_true(v);
    }
    return false;
}

static json_t *to_json(bqb_train_options *o, const setting *s) {
    switch (s->kind) {
    case SIZE: return json_integer((json_int_t)*size_at(o, s));
    case REAL: return json_real(*real_at(o, s));
    case TEXT: return *text_at(o, s) ? json_string(*text_at(o, s)) : json_null();
    case FLAG: return json_boolean(*flag_at(o, s));
    }
    return NULL;
}

bqb_status bqb_settings_put(json_t *to, const bqb_train_options *o, bqb_err *err) {
    bqb_train_options copy = *o;
    int bad = 0;
    for (size_t k = 0; k < N_SETTINGS; k++)
        bad |= json_object_set_new(to, settings[k].name, to_json(&copy, &settings[k]));
    return bad ? bqb_fail(err, BQB_EINVAL, "the settings cannot be written as JSON (a path that is no UTF-8?)") : BQB_OK;
}

bqb_status bqb_settings_resume(bqb_train_options *o, json_t *old, bqb_err *err) {
    bqb_train_options defaults;
    bqb_train_unset(&defaults);
    bqb_settings_default(&defaults);
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        json_t *v = json_object_get(old, s->name);
        if (!v) { /* in `old`, so that a text lives as long as it */
            if (json_object_set_new(old, s->name, to_json(&defaults, s))) return bqb_fail_nomem(err, "settings", 64);
            v = json_object_get(old, s->name);
        }
        if (!has_kind(s, v)) return wrong_kind(s, "checkpoint", err);
        char was[64];
        if (differs(o, s, v, was, sizeof was) && !s->may_change)
            return bqb_fail(err, BQB_EINVAL,
                            "resume: the run began with %s = %s; another value would be another training "
                            "(leave it out to go on, or begin in another folder)",
                            s->name, was);
        take(o, s, v);
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
