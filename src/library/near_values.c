#include "library/near_values.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/grams.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CHARS = 64, MOST_NEAR = 3 };

static size_t characters(uint32_t out[MOST_CHARS], const char *s) {
    size_t n = 0;
    for (size_t i = 0, bytes = strlen(s); i < bytes && n < MOST_CHARS;) i += bqb_utf8_next(s + i, bytes - i, &out[n++], NULL);
    return n;
}

double bqb_text_nearness(const char *a, const char *b) {
    uint32_t x[MOST_CHARS], y[MOST_CHARS];
    size_t n = characters(x, a), m = characters(y, b), cost[MOST_CHARS + 1];
    if (!n && !m) return 1;
    for (size_t k = 0; k <= m; k++) cost[k] = k;
    for (size_t i = 0; i < n; i++) { /* Levenshtein's distance, a row at a time */
        size_t diagonal = cost[0];
        cost[0] = i + 1;
        for (size_t k = 0; k < m; k++) {
            size_t best = diagonal + (x[i] != y[k]);
            if (cost[k] + 1 < best) best = cost[k] + 1;
            if (cost[k + 1] + 1 < best) best = cost[k + 1] + 1;
            diagonal = cost[k + 1];
            cost[k + 1] = best;
        }
    }
    return 1 - (double)cost[m] / (double)(n > m ? n : m);
}

typedef struct {
    const char *want; /* folded */
    struct {
        char *value;  /* owned */
        size_t n;
        double nearness;
    } best[MOST_NEAR];
    bool known, no_memory;
} near_search;

static int look(void *ctx, const char *value, size_t n_stickers) {
    near_search *t = ctx;
    bqb_buf folded = {.max = 1 << 16};
    bqb_status s = bqb_text_fold(&folded, value, strlen(value), NULL);
    double nearness = s ? 0 : bqb_text_nearness(folded.data, t->want);
    bqb_buf_free(&folded);
    if (nearness >= 1) t->known = true;
    size_t at = MOST_NEAR;
    while (at > 0 && t->best[at - 1].nearness < nearness) at--; /* of equals the more frequent was there first */
    if (nearness < 0.5 || at == MOST_NEAR) return 0;
    for (size_t i = 0; i < MOST_NEAR; i++) /* both fields may have it */
        if (t->best[i].value && !strcmp(t->best[i].value, value)) return 0;
    char *copy = bqb_strdup(value);
    if (!copy) {
        t->no_memory = true;
        return 1;
    }
    free(t->best[MOST_NEAR - 1].value);
    memmove(&t->best[at + 1], &t->best[at], (MOST_NEAR - 1 - at) * sizeof t->best[0]);
    t->best[at].value = copy;
    t->best[at].n = n_stickers;
    t->best[at].nearness = nearness;
    return 0;
}

bqb_status bqb_near_values(bqb_buf *list, bool *known, bqb_catalogue *c, const bqb_field *fields, size_t n_fields,
                           const char *want, bqb_err *err) {
    bqb_buf folded = {.max = 1 << 16};
    bqb_status s = bqb_text_fold(&folded, want, strlen(want), err);
    near_search t = {.want = folded.data};
    for (size_t f = 0; f < n_fields && !s; f++) s = bqb_catalogue_each_value(c, fields[f], look, &t, err);
    if (t.no_memory) s = bqb_fail_nomem(err, "values", strlen(want));
    for (size_t i = 0; i < MOST_NEAR; i++) {
        if (!s && t.best[i].value)
            s = bqb_buf_printf(list, err, "%s%s (%zu)", i ? ", " : "", t.best[i].value, t.best[i].n);
        free(t.best[i].value);
    }
    *known = t.known;
    bqb_buf_free(&folded);
    return s;
}
