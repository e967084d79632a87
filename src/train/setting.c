#include "train/setting.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static void *place(const void *o, const bqb_setting *s) { return (void *)((uintptr_t)o + s->at); }
size_t *bqb_setting_size(const void *o, const bqb_setting *s) { return place(o, s); }
double *bqb_setting_real(const void *o, const bqb_setting *s) { return place(o, s); }
const char **bqb_setting_text(const void *o, const bqb_setting *s) { return place(o, s); }
bool *bqb_setting_flag(const void *o, const bqb_setting *s) { return place(o, s); }

void bqb_setting_unset(void *o, const bqb_setting *table, size_t n) {
    for (const bqb_setting *s = table; s < table + n; s++) switch (s->kind) {
        case BQB_SET_SIZE:
            *bqb_setting_size(o, s) = SIZE_MAX;
            break;
        case BQB_SET_REAL:
            *bqb_setting_real(o, s) = NAN;
            break;
        case BQB_SET_TEXT:
            *bqb_setting_text(o, s) = NULL;
            break;
        case BQB_SET_FLAG:
            *bqb_setting_flag(o, s) = false;
            break;
        }
}

void bqb_setting_default(void *o, const bqb_setting *table, size_t n) {
    for (const bqb_setting *s = table; s < table + n; s++) {
        if (s->kind == BQB_SET_SIZE && *bqb_setting_size(o, s) == SIZE_MAX)
            *bqb_setting_size(o, s) = (size_t)s->value;
        if (s->kind == BQB_SET_REAL && isnan(*bqb_setting_real(o, s))) *bqb_setting_real(o, s) = s->value;
        if (s->kind == BQB_SET_TEXT && !*bqb_setting_text(o, s)) *bqb_setting_text(o, s) = s->text;
    }
}

bool bqb_setting_accepts(const bqb_setting *s, const json_t *v) {
    switch (s->kind) {
    case BQB_SET_SIZE:
        return json_is_integer(v) && json_integer_value(v) >= 0;
    case BQB_SET_REAL:
        return json_is_number(v);
    case BQB_SET_TEXT:
        return json_is_string(v) || json_is_null(v);
    case BQB_SET_FLAG:
        return json_is_boolean(v);
    }
    return false;
}

void bqb_setting_take(void *o, const bqb_setting *s, const json_t *v) {
    if (s->kind == BQB_SET_SIZE && *bqb_setting_size(o, s) == SIZE_MAX)
        *bqb_setting_size(o, s) = (size_t)json_integer_value(v);
    if (s->kind == BQB_SET_REAL && isnan(*bqb_setting_real(o, s)))
        *bqb_setting_real(o, s) = json_number_value(v);
    if (s->kind == BQB_SET_TEXT && !*bqb_setting_text(o, s)) *bqb_setting_text(o, s) = json_string_value(v);
    if (s->kind == BQB_SET_FLAG) *bqb_setting_flag(o, s) |= json_is_true(v);
}

bool bqb_setting_differs(const void *o, const bqb_setting *s, const json_t *v) {
    const char *text, *was = json_string_value(v);
    switch (s->kind) {
    case BQB_SET_SIZE:
        return *bqb_setting_size(o, s) != SIZE_MAX &&
               *bqb_setting_size(o, s) != (size_t)json_integer_value(v);
    case BQB_SET_REAL:
        return !isnan(*bqb_setting_real(o, s)) && *bqb_setting_real(o, s) != json_number_value(v);
    case BQB_SET_TEXT:
        text = *bqb_setting_text(o, s);
        return text && (!was || strcmp(text, was) != 0);
    case BQB_SET_FLAG:
        return *bqb_setting_flag(o, s) && !json_is_true(v);
    }
    return false;
}

json_t *bqb_setting_json(const void *o, const bqb_setting *s) {
    const char *text;
    switch (s->kind) {
    case BQB_SET_SIZE:
        return json_integer((json_int_t)*bqb_setting_size(o, s));
    case BQB_SET_REAL:
        return json_real(*bqb_setting_real(o, s));
    case BQB_SET_TEXT:
        text = *bqb_setting_text(o, s);
        return text ? json_string(text) : json_null();
    case BQB_SET_FLAG:
        return json_boolean(*bqb_setting_flag(o, s));
    }
    return NULL;
}
