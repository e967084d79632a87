/* The settings of tuning: one table for the defaults, the names in the checkpoint, and what a resumed run must keep. */
#include "chat/tune_run.h"

#include "train/schedule.h"
#include "train/setting.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(bqb_tune_options, field)
/* The paper's, where it says: lr, betas, warm-up (by schedule.h where none is asked for), clip_norm, pret. */
static const bqb_setting settings[] = {
    {"llm", BQB_SET_TEXT, AT(llm), 0, NULL, true, 0, 0},
    {"model", BQB_SET_TEXT, AT(model), 0, NULL, true, 0, 0},
    {"valid", BQB_SET_TEXT, AT(valid), 0, NULL, true, 0, 0},
    {"cache", BQB_SET_TEXT, AT(cache), 0, NULL, true, 0, 0},
    {"system", BQB_SET_TEXT, AT(system), 0, "", false, 0, 0},
    {"precision", BQB_SET_TEXT, AT(precision), 0, "auto", false, 0, 0},
    {"threads", BQB_SET_SIZE, AT(threads), 0, NULL, true, 0, 1024},
    {"steps", BQB_SET_SIZE, AT(steps), 1000, NULL, false, 1, 1e9},
    {"batch", BQB_SET_SIZE, AT(batch), 64, NULL, false, 2, 65536},
    {"warmup", BQB_SET_SIZE, AT(warmup), 0, NULL, false, 0, 1e9},
    {"seed", BQB_SET_SIZE, AT(seed), 1, NULL, false, 0, 1e15},
    {"context", BQB_SET_SIZE, AT(context), 256, NULL, false, 16, 1 << 20},
    {"at_once", BQB_SET_SIZE, AT(at_once), 0, NULL, false, 0, 1},
    {"lr", BQB_SET_REAL, AT(lr), 3e-4, NULL, false, 0, FLT_MAX},
    {"beta1", BQB_SET_REAL, AT(beta1), 0.9, NULL, false, 0, 0.999999},
    {"beta2", BQB_SET_REAL, AT(beta2), 0.95, NULL, false, 0, 0.999999},
    {"eps", BQB_SET_REAL, AT(eps), 1e-8, NULL, false, 1e-30, 1},
    {"weight_decay", BQB_SET_REAL, AT(weight_decay), 0, NULL, false, 0, 1e6},
    {"clip_norm", BQB_SET_REAL, AT(clip_norm), 1, NULL, false, 0, FLT_MAX},
    {"talk", BQB_SET_REAL, AT(talk), 0.2, NULL, false, 0, 1},
    {"pret", BQB_SET_REAL, AT(pret), 0.5, NULL, false, 0, 1},
    {"rounds", BQB_SET_REAL, AT(rounds), 0.25, NULL, false, 0, 1},
    {"valid_every", BQB_SET_SIZE, AT(valid_every), 500, NULL, true, 0, 1e9},
    {"valid_limit", BQB_SET_SIZE, AT(valid_limit), 300, NULL, true, 2, 1e9},
    {"save_every", BQB_SET_SIZE, AT(save_every), 0, NULL, true, 0, 1e9},
    {"save_minutes", BQB_SET_REAL, AT(save_minutes), 5, NULL, true, 0, 1e9},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

void bqb_tune_unset(bqb_tune_options *o) {
    *o = (bqb_tune_options){0};
    bqb_setting_unset(o, settings, N_SETTINGS);
}

/* A checkpoint's value of one setting: taken where none is given, else it must agree. */
static bqb_status keep_setting(bqb_tune_run *t, const bqb_setting *s, const json_t *v, bqb_err *err) {
    bqb_tune_options *o = &t->o;
    if (!bqb_setting_accepts(s, v)) return bqb_fail(err, BQB_EFORMAT, "%s: \"%s\" is missing or of another kind", t->checkpoint_path, s->name);
    if (s->at == AT(precision) && o->precision && !strcmp(o->precision, "auto")) o->precision = NULL;
    bool other = bqb_setting_differs(o, s, v);
    bqb_setting_take(o, s, v);
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
    bqb_setting_default(o, settings, N_SETTINGS);
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
        const bqb_setting *s = &settings[k];
        double x = s->kind == BQB_SET_SIZE ? (double)*bqb_setting_size(o, s) : s->kind == BQB_SET_REAL ? *bqb_setting_real(o, s) : 0;
        if (s->kind != BQB_SET_TEXT && !(x >= s->low && x <= s->high))
            return bqb_fail(err, BQB_EINVAL, "%s %.8g is not within %.8g … %.8g", s->name, x, s->low, s->high);
    }
    return BQB_OK;
}

json_t *bqb_tune_settings_make(const bqb_tune_run *t) {
    json_t *o = json_object();
    for (size_t k = 0; k < N_SETTINGS; k++) json_object_set_new(o, settings[k].name, bqb_setting_json(&t->o, &settings[k]));
    json_t *data = json_array();
    for (size_t i = 0; i < t->o.n_data; i++) json_array_append_new(data, json_string(t->o.data[i]));
    json_object_set_new(o, "data", data);
    return o;
}
