/* A table of a training's settings: where each lies in a struct of options, its default, its name in JSON,
 * and whether a resumed run may have another one. Unset: SIZE_MAX, NaN, NULL, false. `o` is the struct whose
 * table it is. */
#ifndef BQB_TRAIN_SETTING_H
#define BQB_TRAIN_SETTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum {
    BQB_SET_SIZE,
    BQB_SET_REAL,
    BQB_SET_TEXT,
    BQB_SET_FLAG
} bqb_set_kind; /* size_t, double, const char *, bool */

typedef struct {
    const char *name;
    bqb_set_kind kind;
    size_t at;        /* offsetof in the options */
    double value;     /* default of a size or real */
    const char *text; /* default of a text */
    bool may_change;
    double low, high; /* bounds of a size or real, where the table's owner checks them */
} bqb_setting;

size_t *bqb_setting_size(const void *o, const bqb_setting *s);
double *bqb_setting_real(const void *o, const bqb_setting *s);
const char **bqb_setting_text(const void *o, const bqb_setting *s);
bool *bqb_setting_flag(const void *o, const bqb_setting *s);

void bqb_setting_unset(void *o, const bqb_setting *table, size_t n);
void bqb_setting_default(void *o, const bqb_setting *table, size_t n); /* of what is unset */

/* Whether a JSON value is of the setting's kind; null is a text's "none". */
bool bqb_setting_accepts(const bqb_setting *s, const json_t *v);

/* Of a value that is accepted: take it where o has none; whether o has another one (unset: not). Texts are
 * borrowed. */
void bqb_setting_take(void *o, const bqb_setting *s, const json_t *v);
bool bqb_setting_differs(const void *o, const bqb_setting *s, const json_t *v);

/* Fresh reference; NULL: memory is out, or a text is not UTF-8. */
json_t *bqb_setting_json(const void *o, const bqb_setting *s);

#endif
