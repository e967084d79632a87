#include "train/setting.h"
#include "test.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    size_t steps;
    double lr;
    const char *name;
    bool fast;
} options;

static const bqb_setting table[] = {
    {"steps", BQB_SET_SIZE, offsetof(options, steps), 100, NULL, true, 1, 1e9},
    {"lr", BQB_SET_REAL, offsetof(options, lr), 0.5, NULL, false, 0, 1},
    {"name", BQB_SET_TEXT, offsetof(options, name), 0, "auto", false, 0, 0},
    {"fast", BQB_SET_FLAG, offsetof(options, fast), 0, NULL, false, 0, 0},
};
enum { N = sizeof table / sizeof *table };

TEST(setting_defaults_fill_what_is_unset) {
    options o;
    bqb_setting_unset(&o, table, N);
    CHECK(o.steps == SIZE_MAX && isnan(o.lr) && !o.name && !o.fast);
    o.lr = 0.25;
    bqb_setting_default(&o, table, N);
    CHECK(o.steps == 100 && o.lr == 0.25 && !o.fast);
    CHECK_STR(o.name, "auto");
}

TEST(setting_values_go_through_json) {
    options a = {7, 0.1, "名", true}, b;
    bqb_setting_unset(&b, table, N);
    for (size_t k = 0; k < N; k++) {
        json_t *v = bqb_setting_json(&a, &table[k]);
        CHECK(bqb_setting_accepts(&table[k], v) && !bqb_setting_differs(&b, &table[k], v)); /* unset is no other value */
        bqb_setting_take(&b, &table[k], v);
        CHECK(!bqb_setting_differs(&b, &table[k], v));
        if (k != 2) json_decref(v); /* a text is borrowed */
        else CHECK_STR(b.name, "名"), json_decref(v), b.name = "名";
    }
    CHECK(b.steps == 7 && b.lr == 0.1 && b.fast);
}

TEST(setting_sees_what_differs_and_what_is_of_another_kind) {
    options o = {7, 0.1, "a", true};
    json_t *other[N] = {json_integer(8), json_real(0.2), json_string("b"), json_false()};
    json_t *wrong[N] = {json_integer(-1), json_string("0.1"), json_integer(1), json_integer(1)};
    for (size_t k = 0; k < N; k++) {
        CHECK(bqb_setting_accepts(&table[k], other[k]) && bqb_setting_differs(&o, &table[k], other[k]));
        bqb_setting_take(&o, &table[k], other[k]); /* what is given stays */
        CHECK(!bqb_setting_accepts(&table[k], wrong[k]) && !bqb_setting_accepts(&table[k], NULL));
        json_decref(other[k]);
        json_decref(wrong[k]);
    }
    CHECK(o.steps == 7 && o.lr == 0.1 && o.fast);
    CHECK_STR(o.name, "a");
    json_t *none = json_null();
    CHECK(bqb_setting_accepts(&table[2], none) && bqb_setting_differs(&o, &table[2], none));
    json_decref(none);
}
