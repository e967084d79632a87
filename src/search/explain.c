#include "search/explain.h"

#include "base/mem.h"
#include "text/emoji.h"
#include "text/grams.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_UNITS = 400 /* of query and text each: the product is looked through */, MAX_TEXT = 8 << 20, MAX_NAMES = 6 };

/* How many units of the query, from the i-th, stand in a row somewhere in the text. */
static size_t run_at(const bqb_units *q, size_t n_q, size_t i, const bqb_units *t, size_t n_t) {
    size_t best = 0;
    for (size_t j = 0; j < n_t; j++) {
        size_t n = 0;
        while (i + n < n_q && j + n < n_t && q->unit[i + n].id == t->unit[j + n].id) n++;
        if (n > best) best = n;
    }
    return best;
}

bqb_status bqb_explain_match(bqb_buf *out, size_t *n_units, const char *query, const char *text, size_t n_bytes,
                             bqb_err *err) {
    bqb_units q = {.n = 0}, t = {.n = 0};
    *n_units = 0;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    if (!s) s = bqb_units_read(&q, query, strlen(query), err);
    if (!s) s = bqb_units_read(&t, text, n_bytes, err);
    size_t n_q = q.n < MAX_UNITS ? q.n : MAX_UNITS, n_t = t.n < MAX_UNITS ? t.n : MAX_UNITS;
    for (size_t i = 0, n; i < n_q && !s; i += n ? n : 1) {
        n = run_at(&q, n_q, i, &t, n_t);
        if (!n) continue;
        const bqb_unit *first = &q.unit[i], *last = &q.unit[i + n - 1];
        if (*n_units) s = bqb_buf_append(out, " ", 1, err);
        if (!s) s = bqb_buf_append(out, q.folded.data + first->start, last->start + last->n_bytes - first->start, err);
        *n_units += n;
    }
    bqb_units_free(&q);
    bqb_units_free(&t);
    return s;
}

typedef struct {
    bqb_word_reasons *out;
    size_t cap;
    const char *query[1 + MAX_NAMES];
    size_t n_queries;
    bqb_status s;
    bqb_err *err;
} explaining;

static int add_said(void *ctx, const bqb_said *said) {
    explaining *x = ctx;
    bqb_word_reason r = {.field = said->field, .origin = said->origin, .belief = said->belief};
    for (size_t i = 0; i < x->n_queries && !x->s; i++) {
        bqb_buf match = {.max = MAX_TEXT};
        size_t n;
        x->s = bqb_explain_match(&match, &n, x->query[i], said->text, said->n_bytes, x->err);
        if (!x->s && n > r.n_units) {
            free(r.match);
            r.match = match.data;
            r.n_units = n;
        } else bqb_buf_free(&match);
    }
    if (x->s || !r.n_units) {
        free(r.match);
        return x->s != BQB_OK;
    }
    r.text = bqb_strndup(said->text, said->n_bytes);
    bqb_word_reason *p = r.text ? bqb_grow(x->out->item, x->out->n, &x->cap, sizeof *p, 16) : NULL;
    if (!p) {
        x->s = bqb_fail_nomem(x->err, "explanation", said->n_bytes);
        free(r.text);
        free(r.match);
        return 1;
    }
    x->out->item = p;
    p[x->out->n++] = r;
    return 0;
}

static int by_share(const void *a, const void *b) {
    const bqb_word_reason *x = a, *y = b;
    if (x->n_units != y->n_units) return x->n_units > y->n_units ? -1 : 1;
    if (x->belief > y->belief || x->belief < y->belief) return x->belief > y->belief ? -1 : 1;
    if (x->field != y->field) return x->field < y->field ? -1 : 1;
    return strcmp(x->text, y->text);
}

static void reason_free(bqb_word_reason *r) {
    free(r->text);
    free(r->match);
}

bqb_status bqb_explain_words(bqb_word_reasons *out, bqb_catalogue *c, bqb_sticker_id id, const char *query, size_t most,
                             bqb_err *err) {
    bqb_buf named[MAX_NAMES];
    explaining x = {.out = out, .query = {query}, .n_queries = 1, .err = err};
    size_t names = 0, n_named = 0;
    bqb_status s = BQB_OK;
    *out = (bqb_word_reasons){0};
    do {
        named[n_named] = (bqb_buf){.max = MAX_TEXT};
        s = bqb_emoji_words(&named[n_named], query, n_named, &names, err);
        if (!s && names) x.query[x.n_queries++] = named[n_named].data;
    } while (++n_named < names && n_named < MAX_NAMES && !s);
    if (!s) s = bqb_catalogue_each_said(c, id, add_said, &x, err);
    if (x.s) s = x.s;
    for (size_t i = 0; i < n_named; i++) bqb_buf_free(&named[i]);
    if (s) {
        bqb_word_reasons_free(out);
        return s;
    }
    if (out->n) qsort(out->item, out->n, sizeof *out->item, by_share);
    while (out->n > most) reason_free(&out->item[--out->n]);
    return BQB_OK;
}

void bqb_word_reasons_free(bqb_word_reasons *r) {
    for (size_t i = 0; i < r->n; i++) reason_free(&r->item[i]);
    free(r->item);
    *r = (bqb_word_reasons){0};
}
