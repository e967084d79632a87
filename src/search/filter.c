#include "search/filter.h"

#include "base/mem.h"
#include "library/near_values.h"
#include "text/grams.h"

#include <stdlib.h>
#include <string.h>

static void intersect(bqb_id_set *a, const bqb_id_set *b) {
    size_t m = 0;
    for (size_t i = 0; i < a->n; i++)
        if (bqb_id_set_has(b, a->id[i])) a->id[m++] = a->id[i];
    a->n = m;
}

/* ---- values ---- */

typedef struct {
    const char *want;     /* folded */
    char **value;         /* those that match, owned */
    size_t n, cap;
    bqb_buf frequent;     /* for the message */
    size_t n_frequent;
    bool failed;
} value_search;

static const char *const separators[] = {"/", "、", "，", ",", ";", "；", "|", " "};

/* Is `want` the whole of `value`, or one of its parts? Both folded. */
static bool has_part(const char *value, const char *want) {
    if (!strcmp(value, want)) return true;
    size_t n = strlen(want);
    for (const char *p = value; (p = strstr(p, want)); p++) {
        bool begins = p == value, ends = !p[n];
        for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
            size_t len = strlen(separators[i]);
            if ((size_t)(p - value) >= len && !memcmp(p - len, separators[i], len)) begins = true;
            if (!strncmp(p + n, separators[i], len)) ends = true;
        }
        if (begins && ends) return true;
    }
    return false;
}

static int try_value(void *ctx, const char *value, size_t n_stickers) {
    value_search *v = ctx;
    bqb_buf folded = {.max = 1 << 16};
    bool match = !bqb_text_fold(&folded, value, strlen(value), NULL) && has_part(folded.data, v->want);
    bqb_buf_free(&folded);
    if (v->n_frequent++ < 12)
        (void)bqb_buf_printf(&v->frequent, NULL, "%s%s (%zu)", v->frequent.len ? ", " : "", value, n_stickers);
    if (!match) return 0;
    char **p = bqb_grow(v->value, v->n, &v->cap, sizeof *p, 16);
    if (!p) return 1;
    v->value = p;
    v->value[v->n] = bqb_strdup(value);
    return v->value[v->n++] ? 0 : 1;
}

/* The message about a value that no sticker has: those that are nearly it, and the most frequent. */
static bqb_status unknown_value(bqb_catalogue *c, const bqb_field *fields, size_t n_fields, const char *what,
                                const char *want, const bqb_buf *frequent, bqb_err *err) {
    bqb_buf near = {.max = 200}; /* what does not fit is left out */
    bool known;
    (void)bqb_near_values(&near, &known, c, fields, n_fields, want, NULL);
    bqb_fail(err, BQB_ENOTFOUND, "no sticker has the %s \"%.60s\"%s%s%s%s", what, want, near.len ? "; near it: " : "",
             near.len ? near.data : "", frequent->len ? "; there are: " : "; none has any", frequent->len ? frequent->data : "");
    bqb_buf_free(&near);
    return BQB_ENOTFOUND;
}

static bqb_status with_value(bqb_id_set *out, bqb_catalogue *c, const bqb_field *fields, size_t n_fields,
                             const char *what, const char *want, bqb_err *err) {
    bqb_buf folded = {.max = 1 << 16};
    value_search v = {.frequent = {.max = 400}};
    size_t matched = 0;
    bqb_status s = bqb_text_fold(&folded, want, strlen(want), err);
    v.want = folded.data;
    if (!s && !folded.len) s = bqb_fail(err, BQB_EINVAL, "an empty %s was asked for", what);
    for (size_t f = 0; f < n_fields && !s; f++) {
        s = bqb_catalogue_each_value(c, fields[f], try_value, &v, err);
        if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "values", v.cap);
        for (size_t i = 0; i < v.n && !s; i++) {
            s = bqb_catalogue_each_with(c, fields[f], v.value[i], bqb_id_set_add, out, err);
            if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", out->cap);
        }
        matched += v.n;
        for (size_t i = 0; i < v.n; i++) free(v.value[i]);
        v.n = 0;
    }
    if (!s && !matched) s = unknown_value(c, fields, n_fields, what, want, &v.frequent, err);
    bqb_id_set_sort(out);
    free(v.value);
    bqb_buf_free(&v.frequent);
    bqb_buf_free(&folded);
    return s;
}

bqb_status bqb_filter(bqb_id_set *out, bool *any, bqb_catalogue *c, const char *emotion, const char *style,
                      bool animated, bqb_err *err) {
    static const bqb_field emotions[] = {BQB_EMOTION, BQB_EMOTION_LABEL}, styles[] = {BQB_STYLE};
    bqb_status s = BQB_OK;
    *out = (bqb_id_set){0};
    *any = true;
    for (int i = 0; i < 3 && !s; i++) {
        bqb_id_set one = {0};
        if (i == 0 && emotion) s = with_value(&one, c, emotions, 2, "emotion", emotion, err);
        else if (i == 1 && style) s = with_value(&one, c, styles, 1, "style", style, err);
        else if (i == 2 && animated) {
            s = bqb_catalogue_each_animated(c, bqb_id_set_add, &one, err);
            if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", one.cap);
        } else continue;
        if (*any) *out = one;
        else {
            intersect(out, &one);
            bqb_id_set_free(&one);
        }
        *any = false;
    }
    if (s) bqb_id_set_free(out);
    return s;
}

bqb_status bqb_filter_rows(uint64_t **bits, size_t *n_rows, const bqb_vectors *v, const bqb_id_set *s,
                           const bqb_id_set *without, bqb_err *err) {
    *n_rows = 0;
    *bits = bqb_calloc((v->n + 63) / 64 + 1, sizeof **bits);
    if (!*bits) return bqb_fail_nomem(err, "filter", v->n / 8);
    for (size_t i = 0, j = 0, row = 0; row < v->n; row++) { /* all three rise */
        while (s && i < s->n && s->id[i] < v->id[row]) i++;
        while (j < without->n && without->id[j] < v->id[row]) j++;
        bool in = !s || (i < s->n && s->id[i] == v->id[row]), out = j < without->n && without->id[j] == v->id[row];
        if (!in || out) continue;
        (*bits)[row / 64] |= (uint64_t)1 << (row % 64);
        ++*n_rows;
    }
    return BQB_OK;
}
