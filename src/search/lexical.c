#include "search/lexical.h"

#include "base/mem.h"
#include "text/grams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GRAMS = 128 }; /* of a query; a longer one is judged by its beginning */

typedef struct {
    size_t start[MAX_GRAMS], size[MAX_GRAMS], n;
    bqb_buf text;
} gram_list;

static int add_gram(void *ctx, const char *token, size_t size) {
    gram_list *g = ctx;
    for (size_t i = 0; i < g->n; i++)
        if (g->size[i] == size && !memcmp(g->text.data + g->start[i], token, size)) return 0;
    if (g->n == MAX_GRAMS) return 1;
    g->start[g->n] = g->text.len;
    g->size[g->n] = size;
    if (bqb_buf_append(&g->text, token, size, NULL)) return 1;
    g->n++;
    return 0;
}

/* One gram in one sticker; the list is sorted by sticker and added up. */
typedef struct {
    bqb_sticker_id id;
    double weight;
    size_t n_grams;
} match;

typedef struct {
    match *m;
    size_t n, cap;
    double weight;
} matches;

static int add_match(void *ctx, bqb_sticker_id id, size_t n_grams) {
    matches *l = ctx;
    match *m = bqb_grow(l->m, l->n, &l->cap, sizeof *m, 1024);
    if (!m) return 1;
    l->m = m;
    l->m[l->n++] = (match){id, l->weight, n_grams};
    return 0;
}

static int by_id(const void *a, const void *b) {
    const match *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->weight > y->weight ? -1 : x->weight < y->weight; /* one order of adding, one sum */
}

static bqb_status gather(matches *found, double *whole, bqb_catalogue *c, const gram_list *g, bqb_err *err) {
    uint64_t rows;
    bqb_status s = bqb_catalogue_words_rows(c, &rows, err);
    *whole = 0;
    for (size_t i = 0; i < g->n && !s; i++) {
        uint64_t having;
        const char *gram = g->text.data + g->start[i];
        s = bqb_catalogue_word_count(c, gram, g->size[i], &having, err);
        if (s) break;
        found->weight = log(1 + (double)rows / ((double)having + 0.5));
        *whole += found->weight;
        if (having) s = bqb_catalogue_match_word(c, gram, g->size[i], add_match, found, err);
        if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "matches", found->cap * sizeof *found->m);
    }
    return s;
}

bqb_status bqb_lexical(bqb_word_hit **out, size_t *n, bqb_catalogue *c, const char *query, bqb_err *err) {
    gram_list g = {.text = {.max = 1 << 16}};
    matches found = {0};
    double whole = 0;
    *out = NULL;
    *n = 0;
    bqb_status s = bqb_grams(query, strlen(query), add_gram, &g, err);
    if (s == BQB_ECANCEL) s = BQB_OK; /* more grams than we look at */
    if (!s) s = gather(&found, &whole, c, &g, err);
    if (!s && found.n) {
        qsort(found.m, found.n, sizeof *found.m, by_id);
        *out = bqb_calloc(found.n, sizeof **out);
        if (!*out) s = bqb_fail_nomem(err, "matches", found.n * sizeof **out);
    }
    for (size_t i = 0; !s && i < found.n;) {
        match first = found.m[i];
        double weight = 0;
        size_t hits = 0;
        for (; i < found.n && found.m[i].id == first.id; i++, hits++) weight += found.m[i].weight;
        double share = whole > 0 ? weight / whole : 0;
        double fill = first.n_grams > hits ? (double)hits / (double)first.n_grams : 1;
        (*out)[(*n)++] = (bqb_word_hit){first.id, share * (0.8 + 0.2 * fill)};
    }
    free(found.m);
    bqb_buf_free(&g.text);
    return s;
}
