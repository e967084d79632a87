/* The settings of tuning: one table for the defaults, the names in the checkpoint, and what a resumed run must keep. */
#include "chat/tune_run.h"

#include "train/schedule.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef enum { SIZE, REAL, TEXT } set_kind;
typedef struct {
    const char *name;
    set_kind kind;
    size_t at;
    double value;     /* default */
    const char *text; /* default of a text */
    bool may_change;  /* a resumed run may have another one */
    double low, high;
} setting;

#define AT(field) offsetof(bqb_tune_options, field)
/* The paper's, where it says: lr, betas, warm-up (by schedule.h where none is asked for), clip_norm, pret. */
static const setting settings[] = {
    {"llm", TEXT, AT(llm), 0, NULL, true, 0, 0},
    {"model", TEXT, AT(model), 0, NULL, true, 0, 0},
    {"valid", TEXT, AT(valid), 0, NULL, true, 0, 0},
    {"cache", TEXT, AT(cache), 0, NULL, true, 0, 0},
    {"system", TEXT, AT(system), 0, "", false, 0, 0},
    {"precision", TEXT, AT(precision), 0, "auto", false, 0, 0},
    {"threads", SIZE, AT(threads), 0, NULL, true, 0, 1024},
    {"steps", SIZE, AT(steps), 1000, NULL, false, 1, 1e9},
    {"batch", SIZE, AT(batch), 64, NULL, false, 2, 65536},
    {"warmup", SIZE, AT(warmup), 0, NULL, false, 0, 1e9},
    {"seed", SIZE, AT(seed), 1, NULL, false, 0, 1e15},
    {"context", SIZE, AT(context), 256, NULL, false, 16, 1 << 20},
    {"at_once", SIZE, AT(at_once), 0, NULL, false, 0, 1},
    {"lr", REAL, AT(lr), 3e-4, NULL, false, 0, FLT_MAX},
    {"beta1", REAL, AT(beta1), 0.9, NULL, false, 0, 0.999999},
    {"beta2", REAL, AT(beta2), 0.95, NULL, false, 0, 0.999999},
    {"eps", REAL, AT(eps), 1e-8, NULL, false, 1e-30, 1},
    {"weight_decay", REAL, AT(weight_decay), 0, NULL, false, 0, 1e6},
    {"clip_norm", REAL, AT(clip_norm), 1, NULL, false, 0, FLT_MAX},
    {"talk", REAL, AT(talk), 0.2, NULL, false, 0, 1},
    {"pret", REAL, AT(pret), 0.5, NULL, false, 0, 1},
    {"rounds", REAL, AT(rounds), 0.25, NULL, false, 0, 1},
    {"valid_every", SIZE, AT(valid_every), 500, NULL, true, 0, 1e9},
    {"valid_limit", SIZE, AT(valid_limit), 300, NULL, true, 2, 1e9},
    {"save_every", SIZE, AT(save_every), 0, NULL, true, 0, 1e9},
    {"save_minutes", REAL, AT(save_minutes), 5, NULL, true, 0, 1e9},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

static size_t *size_at(const bqb_tune_options *o, const setting *s) { return (size_t *)((uintptr_t)o + s->at); }
static double *real_at(const bqb_tune_options *o, const setting *s) { return (double *)((uintptr_t)o + s->at); }
static const char **text_at(const bqb_tune_options *o, const setting *s) { return (const char **)((uintptr_t)o + s->at); }

void bqb_tune_unset(bqb_tune_options *o) {
    *o = (bqb_tune_options){0};
    for (size_t k = 0; k < N_SETTINGS; k++) {
        if (settings[k].kind == SIZE) *size_at(o, &settings[k]) = SIZE_MAX;
        if (settings[k].kind == REAL) *real_at(o, &settings[k]) = NAN;
    }
}

static bool has_kind(const setting *s, const json_t *v) {
    if (s->kind == SIZE) return json_is_integer(v) && json_integer_value(v) >= 0;
    if (s->kind == REAL) return json_is_number(v);
    return json_is_string(v) || json_is_null(v);
}

/* A checkpoint's value of one setting: taken where none is given, else it must agree. */
static bqb_status keep_setting(bqb_tune_run *t, const setting *s, const json_t *v, bqb_err *err) {
    bqb_tune_options *o = &t->o;
    if (!has_kind(s, v)) return bqb_fail(err, BQB_EFORMAT, "%s: \"%s\" is missing or of another kind", t->checkpoint_path, s->name);
    bool other = false;
    if (s->kind == SIZE) {
        size_t was = (size_t)json_integer_value(v);
        if (*size_at(o, s) == SIZE_MAX) *size_at(o, s) = was;
        other = *size_at(o, s) != was;
    } else if (s->kind == REAL) {
        double was = json_number_value(v);
        if (isnan(*real_at(o, s))) *real_at(o, s) = was;
        other = fabs(*real_at(o, s) - was) > 1e-12 * fabs(was);
    } else {
        const char *was = json_string_value(v);
        if (!*text_at(o, s)) *text_at(o, s) = was;
        other = was && strcmp(*text_at(o, s), was) != 0;
        if (!strcmp(s->name, "precision") && !strcmp(*text_at(o, s), "auto")) other = false, *text_at(o, s) = was;
    }
    if (!other || s->may_change) return BQB_OK;
    char *was = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    bqb_status st = bqb_fail(err, BQB_EINVAL, "%s was begun with %s %s; another one would be another training", t->o.out, s->name, was ? was : "?");
    free(was);
    return st;
}

bqb_status bqb_tune_settings_fill(bqb_tune_run *t, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < N_SETTINGS && t->settings && !s; k++) s = keep_setting(t, &settings[k], json_object_get(t->settings, settings[k].name), err);
    if (s) return s;
    bqb_tune_options *o = &t->o;
    bool own_warmup = o->warmup == SIZE_MAX;
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *x = &settings[k];
        if (x->kind == SIZE && *size_at(o, x) == SIZE_MAX) *size_at(o, x) = (size_t)x->value;
        if (x->kind == REAL && isnan(*real_at(o, x))) *real_at(o, x) = x->value;
        if (x->kind == TEXT && !*text_at(o, x)) *text_at(o, x) = x->text;
    }
    if (own_warmup) o->warmup = (size_t)bqb_schedule_warmup(o->steps);
    if (!strcmp(o->precision, "auto")) t->precision = bqb_precision_best();
    else if (!strcmp(o->precision, "f32")) t->precision = BQB_PREC_F32;
    else if (!strcmp(o->precision, "bf16")) t->precision = BQB_PREC_BF16;
    else return bqb_fail(err, BQB_EINVAL, "precision \"%s\": auto, f32 or bf16 is needed", o->precision);
    o->precision = bqb_precision_name(t->precision);
    return bqb_tune_settings_check(o, err);
}

bqb_status bqb_tune_settings_check(const bqb_tune_options *o, bqb_err *err) {
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        double x = s->kind == SIZE ? (double)*size_at(o, s) : s->kind == REAL ? *real_at(o, s) : 0;
        if (s->kind != TEXT && !(x >= s->low && x <= s->high))
            return bqb_fail(err, BQB_EINVAL, "%s %.8g is not within %.8g … %.8g", s->name, x, s->low, s->high);
    }
    return BQB_OK;
}

json_t *bqb_tune_settings_make(const bqb_tune_run *t) {
    json_t *o = json_object();
    for (size_t k = 0; k < N_SETTINGS; k++) {
        const setting *s = &settings[k];
        const char *text = s->kind == TEXT ? *text_at(&t->o, s) : NULL;
        json_object_set_new(o, s->name, s->kind == SIZE ? json_integer((json_int_t)*size_at(&t->o, s))
                                        : s->kind == REAL ? json_real(*real_at(&t->o, s)) : text ? json_string(text) : json_null());
    }
    json_t *data = json_array();
    for (size_t i = 0; i < t->o.n_data; i++) json_array_append_new(data, json_string(t->o.data[i]));
    json_object_set_new(o, "data", data);
    return o;
}
