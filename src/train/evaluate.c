#include "train/evaluate.h"

#include <stdlib.h>
#include <string.h>

enum { TOP = 10 };

/* ---- kinds of queries ---- */

const char *bqb_ask_name(bqb_ask a) {
    if (a == BQB_ASK_FULL) return "full";
    if (a == BQB_ASK_SHORT) return "short";
    return bqb_field_name((bqb_field)a);
}

bqb_ask bqb_ask_parse(const char *name) {
    if (!strcmp(name, "full")) return BQB_ASK_FULL;
    if (!strcmp(name, "short")) return BQB_ASK_SHORT;
    bqb_field f = bqb_field_parse(name, strlen(name));
    return f < BQB_FIELDS ? (bqb_ask)f : BQB_ASKS;
}

static bqb_status add_query(bqb_ask_result *r, size_t *cap, const char *text, size_t target, bqb_err *err) {
    if (r->n == *cap) {
        *cap = *cap ? 2 * *cap : 1024;
        char **texts = realloc(r->text, *cap * sizeof *texts);
        if (texts) r->text = texts;
        uint32_t *targets = realloc(r->target, *cap * sizeof *targets);
        if (targets) r->target = targets;
        if (!texts || !targets) return bqb_fail_nomem(err, "queries", *cap * sizeof *texts);
    }
    r->text[r->n] = bqb_strdup(text);
    if (!r->text[r->n]) return bqb_fail_nomem(err, "queries", strlen(text));
    r->target[r->n++] = (uint32_t)target;
    return BQB_OK;
}

/* The queries in gallery order, so that those of one picture stand together. */
bqb_status bqb_ask_collect(bqb_ask_result *r, bqb_ask ask, const bqb_gallery *g, bqb_err *err) {
    *r = (bqb_ask_result){0};
    bqb_buf text = {.max = 1 << 24};
    size_t cap = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < g->n && !s; i++) {
        const bqb_sample *x = bqb_dataset_at(g->ds, g->sample[i]);
        if (ask == BQB_ASK_SHORT) {
            for (size_t k = 0; k < x->n_queries && !s; k++)
                s = add_query(r, &cap, bqb_dataset_query(g->ds, x->first_query + k), i, err);
            r->left_out += !x->n_queries;
            continue;
        }
        bqb_annotation a = x->note;
        for (size_t f = 0; f < BQB_FIELDS && ask != BQB_ASK_FULL; f++)
            if (f != (size_t)ask) a.field[f] = NULL;
        text.len = 0;
        s = bqb_annotation_text(&text, &a, NULL, err);
        if (!s && text.len) s = add_query(r, &cap, text.data, i, err);
        else r->left_out++;
    }
    bqb_buf_free(&text);
    return s;
}

typedef struct {
    const char *text;
    uint32_t query, target;
} same_text;

static int by_text(const void *a, const void *b) {
    const same_text *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->target > y->target) - (x->target < y->target);
}

/* Queries to be ranked once more, with more right items than before. */
typedef struct {
    uint32_t *query, *right;
    size_t *first;
    size_t n, n_right, cap, cap_right;
} more;

static bqb_status more_right(more *m, uint32_t item, bqb_err *err) {
    uint32_t *right = bqb_grow(m->right, m->n_right, &m->cap_right, sizeof *right, 256);
    if (!right) return bqb_fail_nomem(err, "right items", (m->n_right + 1) * sizeof *right);
    m->right = right;
    m->right[m->n_right++] = item;
    m->first[m->n] = m->n_right;
    return BQB_OK;
}

static bqb_status more_query(more *m, size_t query, bqb_err *err) {
    if (m->n + 2 > m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 256;
        uint32_t *queries = realloc(m->query, cap * sizeof *queries);
        if (queries) m->query = queries;
        size_t *first = realloc(m->first, cap * sizeof *first);
        if (first) m->first = first;
        if (!queries || !first) return bqb_fail_nomem(err, "queries", cap * sizeof *first);
        m->cap = cap;
    }
    m->first[m->n] = m->n_right;
    m->query[m->n++] = (uint32_t)query;
    m->first[m->n] = m->n_right;
    return BQB_OK;
}

static void more_free(more *m) {
    free(m->query);
    free(m->right);
    free(m->first);
}

/* What all rankings of one kind of query share. */
typedef struct {
    int threads;
    bqb_progress_fn progress;
    void *ctx;
} how;

/* places[m->query[k]] for all of them; row_of NULL: query k's row in `rows` is k. */
static bqb_status rank_more(bqb_place *places, const more *m, const float *rows, const uint32_t *row_of, const float *g,
                            size_t G, size_t D, const how *h, bqb_err *err) {
    if (!m->n) return BQB_OK;
    float *some = bqb_alloc_aligned(m->n * D, sizeof *some);
    bqb_place *p = bqb_calloc(m->n, sizeof *p);
    bqb_status s = BQB_OK;
    if (!some || !p) s = bqb_fail_nomem(err, "ranks", m->n * D * sizeof *some);
    for (size_t k = 0; k < m->n && !s; k++)
        memcpy(some + k * D, rows + (row_of ? row_of[m->query[k]] : m->query[k]) * D, D * sizeof *some);
    if (!s) s = bqb_rank(p, NULL, 0, some, m->n, g, G, D, m->first, m->right, h->threads, h->progress, h->ctx, err);
    for (size_t k = 0; k < m->n && !s; k++) places[m->query[k]] = p[k];
    free(some);
    free(p);
    return s;
}

static size_t near_count(const bqb_gallery *g, size_t i) { return g->near_first[i + 1] - g->near_first[i]; }

/* Texts to pictures: their own, then with its near-duplicates. */
static bqb_status measure_to_image(bqb_ask_result *r, const bqb_gallery *g, const float *q, const how *h, bqb_err *err) {
    size_t n = r->n, *first = bqb_calloc(n + 1, sizeof *first);
    bqb_place *places = bqb_calloc(n, sizeof *places);
    more m = {0};
    r->top = bqb_calloc(n * TOP, sizeof *r->top);
    r->place = bqb_calloc(n, sizeof *r->place);
    bqb_status s = BQB_OK;
    if (!first || !places || !r->top || !r->place) s = bqb_fail_nomem(err, "ranks", n * sizeof *places);
    for (size_t i = 0; i <= n && !s; i++) first[i] = i;
    if (!s)
        s = bqb_rank(r->place, r->top, TOP, q, n, g->feature, g->n, g->D, first, r->target, h->threads, h->progress,
                     h->ctx, err);
    if (!s) r->to_image = bqb_recall_of(r->place, n);

    for (size_t i = 0; i < n && !s; i++) {
        size_t own = r->target[i], k = g->near_first[own], end = g->near_first[own + 1];
        if (k == end) continue;
        s = more_query(&m, i, err);
        for (; k < end && g->near[k] < own && !s; k++) s = more_right(&m, g->near[k], err);
        if (!s) s = more_right(&m, (uint32_t)own, err);
        for (; k < end && !s; k++) s = more_right(&m, g->near[k], err);
    }
    if (!s) memcpy(places, r->place, n * sizeof *places);
    if (!s) s = rank_more(places, &m, q, NULL, g->feature, g->n, g->D, h, err);
    if (!s) r->to_image_or_near = bqb_recall_of(places, n);
    more_free(&m);
    free(first);
    free(places);
    return s;
}

typedef struct {
    const bqb_gallery *g;
    size_t *first;    /* [asked+1] queries of the asked pictures, which stand together */
    uint32_t *item;   /* [n] 0, 1, 2 … */
    uint32_t *row;    /* [asked] in the gallery */
    uint32_t *asked;  /* [gallery] which row it is, UINT32_MAX when not asked */
    size_t n;
} pictures_asked;

static bqb_status add_queries_of(more *m, const pictures_asked *p, size_t picture, bqb_err *err) {
    bqb_status s = BQB_OK;
    uint32_t a = p->asked[picture];
    for (size_t k = a == UINT32_MAX ? 0 : p->first[a], end = a == UINT32_MAX ? 0 : p->first[a + 1]; k < end && !s; k++)
        s = more_right(m, (uint32_t)k, err);
    return s;
}

/* Pictures to texts; a picture without a query of this kind is not asked. */
static bqb_status rank_pictures(bqb_ask_result *r, const pictures_asked *p, const float *q, const how *h, bqb_err *err) {
    const bqb_gallery *g = p->g;
    float *some = bqb_alloc_aligned(p->n * g->D, sizeof *some);
    bqb_place *places = bqb_calloc(p->n, sizeof *places);
    more m = {0};
    bqb_status s = BQB_OK;
    if (!some || !places) s = bqb_fail_nomem(err, "ranks", p->n * g->D * sizeof *some);
    for (size_t i = 0; i < p->n && !s; i++)
        memcpy(some + i * g->D, g->feature + p->row[i] * g->D, g->D * sizeof *some);
    if (!s)
        s = bqb_rank(places, NULL, 0, some, p->n, q, r->n, g->D, p->first, p->item, h->threads, h->progress, h->ctx, err);
    if (!s) r->to_text = bqb_recall_of(places, p->n);
    for (size_t i = 0; i < p->n && !s; i++) {
        size_t own = p->row[i], k = g->near_first[own], end = g->near_first[own + 1];
        if (!near_count(g, own)) continue;
        s = more_query(&m, i, err);
        for (; k < end && g->near[k] < own && !s; k++) s = add_queries_of(&m, p, g->near[k], err);
        if (!s) s = add_queries_of(&m, p, own, err);
        for (; k < end && !s; k++) s = add_queries_of(&m, p, g->near[k], err);
    }
    if (!s) s = rank_more(places, &m, some, NULL, q, r->n, g->D, h, err);
    if (!s) r->to_text_or_near = bqb_recall_of(places, p->n);
    more_free(&m);
    free(some);
    free(places);
    return s;
}

static bqb_status measure_to_text(bqb_ask_result *r, const bqb_gallery *g, const float *q, const how *h, bqb_err *err) {
    pictures_asked p = {.g = g,
                        .first = bqb_calloc(r->n + 1, sizeof *p.first),
                        .item = bqb_calloc(r->n, sizeof *p.item),
                        .row = bqb_calloc(r->n, sizeof *p.row),
                        .asked = bqb_calloc(g->n, sizeof *p.asked)};
    bqb_status s = BQB_OK;
    if (!p.first || !p.item || !p.row || !p.asked) s = bqb_fail_nomem(err, "ranks", r->n * sizeof *p.first);
    for (size_t i = 0; i < g->n && !s; i++) p.asked[i] = UINT32_MAX;
    for (size_t i = 0; i < r->n && !s; i++) {
        p.item[i] = (uint32_t)i;
        if (i && r->target[i] == r->target[i - 1]) continue;
        p.row[p.n] = r->target[i];
        p.asked[r->target[i]] = (uint32_t)p.n;
        p.first[p.n++] = i;
    }
    if (!s) {
        p.first[p.n] = r->n;
        s = rank_pictures(r, &p, q, h, err);
    }
    free(p.first);
    free(p.item);
    free(p.row);
    free(p.asked);
    return s;
}

/* Queries with the same words: one is asked, for all of them. */
static bqb_status measure_any(bqb_ask_result *r, const bqb_gallery *g, const float *q, const how *h, bqb_err *err) {
    size_t n = r->n, groups = 0;
    bqb_place *places = bqb_calloc(n, sizeof *places);
    same_text *same = bqb_calloc(n, sizeof *same);
    uint32_t *query = bqb_calloc(n, sizeof *query);
    more m = {0};
    bqb_status s = BQB_OK;
    if (!places || !same || !query) s = bqb_fail_nomem(err, "ranks", n * sizeof *same);
    for (size_t i = 0; i < n && !s; i++) same[i] = (same_text){r->text[i], (uint32_t)i, r->target[i]};
    if (!s) qsort(same, n, sizeof *same, by_text);
    for (size_t at = 0, end; at < n && !s; at = end) {
        for (end = at + 1; end < n && !strcmp(same[end].text, same[at].text); end++) {}
        query[groups] = same[at].query;
        places[groups] = r->place[same[at].query];
        if (same[at].target != same[end - 1].target) s = more_query(&m, groups, err);
        for (size_t k = at; k < end && same[at].target != same[end - 1].target && !s; k++)
            if (k == at || same[k].target != same[k - 1].target) s = more_right(&m, same[k].target, err);
        groups++;
    }
    if (!s) s = rank_more(places, &m, q, query, g->feature, g->n, g->D, h, err);
    if (!s) r->any = bqb_recall_of(places, groups);
    more_free(&m);
    free(places);
    free(same);
    free(query);
    return s;
}

bqb_status bqb_ask_measure(bqb_ask_result *r, const bqb_gallery *g, const float *q, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    const how h = {threads, progress, ctx};
    bqb_status s = measure_to_image(r, g, q, &h, err);
    if (!s) s = measure_to_text(r, g, q, &h, err);
    if (!s) s = measure_any(r, g, q, &h, err);
    return s;
}

bqb_status bqb_ask_run(bqb_ask_result *r, bqb_ask ask, bqb_clip *m, const bqb_tokenizer *tok, const bqb_gallery *g,
                       bqb_progress_fn progress, void *ctx, bqb_err *err) {
    bqb_status s = bqb_ask_collect(r, ask, g, err);
    if (!s && r->n) {
        float *q = bqb_alloc_aligned(r->n * g->D, sizeof *q);
        if (!q) s = bqb_fail_nomem(err, "query features", r->n * g->D * sizeof *q);
        if (!s) s = bqb_embed_texts(q, m, tok, (const char *const *)r->text, r->n, progress, ctx, err);
        if (!s) s = bqb_ask_measure(r, g, q, bqb_clip_threads(m), progress, ctx, err);
        free(q);
    }
    if (s) bqb_ask_free(r);
    return s;
}

void bqb_ask_free(bqb_ask_result *r) {
    for (size_t i = 0; i < r->n; i++) free(r->text[i]);
    free(r->text);
    free(r->target);
    free(r->top);
    free(r->place);
    *r = (bqb_ask_result){0};
}
