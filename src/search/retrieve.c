#include "search/retrieve.h"

#include "base/mem.h"
#include "library/likeness.h"
#include "library/vectors.h"
#include "search/filter.h"
#include "search/lexical.h"
#include "search/scan.h"
#include "search/trust.h"
#include "text/grams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_RESULTS = 100,
    MOST_SAID = 600, /* bytes: who writes more does not quote one sticker */
    CLOSE = 60,      /* stickers whose words are looked at */
    LEAST_UNITS = 2, /* a single character stands everywhere */
    BEST = 20,       /* held against what was said */
};

/* Measured: docs/chat.md. */
const double bqb_retrieve_least = 0.2;
/* Of what was said: rarity of the units that are said of one of the best, and their share; nearly all of it is enough however frequent. */
static const double LEAST_HEARD = 3, LEAST_SHARE = 0.2, NEARLY_ALL = 0.6;
static const double HEARD_GAIN = 4; /* deviations for what was said, by bqb_lexical */
static const double SAID_GAIN = 0.7; /* deviations for each unit of a sticker's words that were said */
static const size_t SAID_UNITS = 5;  /* at most so many of them */

typedef struct {
    bqb_sticker_id id;
    float picture, text;
    double sum, said, z, rank; /* said: units; z: of the sum, in deviations; rank: what sorts, with what was said */
    bool has_text;
} candidate;

typedef struct {
    bqb_catalogue *c;
    const bqb_retrieval *q;
    bqb_vectors *pictures, *texts;
    uint64_t *allow;
    size_t passed;
    candidate *list; /* [passed], best first */
    bqb_sticker_id *group; /* firsts of the groups that are taken or left out */
    size_t n_group;
    double trust;
    size_t n_judged;
    bqb_units said, common;
} retrieval;

static int by_rank(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->rank != y->rank) return x->rank > y->rank ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b) {
    bqb_sticker_id x = ((const candidate *)a)->id, y = ((const candidate *)b)->id;
    return x < y ? -1 : x > y;
}

static int by_score(const void *a, const void *b) {
    const bqb_word_hit *x = a, *y = b;
    return x->score != y->score ? x->score > y->score ? -1 : 1 : x->id < y->id ? -1 : x->id > y->id;
}

static bqb_status open_vectors(retrieval *r, size_t dim, bqb_err *err) {
    bqb_id_set set = {0}, none = {0};
    bool any = true;
    bqb_status s = bqb_vectors_open(&r->pictures, r->c, r->q->model, "image", err);
    if (!s) s = bqb_vectors_open(&r->texts, r->c, r->q->model, "text", err);
    if (!s && r->pictures->n && r->pictures->dim != dim)
        s = bqb_fail(err, BQB_EINVAL, "a question of %zu numbers for stickers of %zu", dim, r->pictures->dim);
    if (!s) s = bqb_filter(&set, &any, r->c, r->q->emotion, r->q->style, r->q->animated, err);
    if (!s) s = bqb_filter_rows(&r->allow, &r->passed, r->pictures, any ? NULL : &set, &none, err);
    bqb_id_set_free(&set);
    if (!s) r->trust = bqb_trust(r->pictures, r->texts);
    return s;
}

/* Both cosines of every sticker that passes, their sum, and where it lies among the others. */
static bqb_status measure(retrieval *r, bqb_err *err) {
    const bqb_vectors *v = r->pictures, *t = r->texts;
    bool texts = t->n && t->dim == v->dim;
    double sum = 0, sum_sq = 0;
    size_t n = 0, at = 0;
    r->list = bqb_calloc(r->passed + 1, sizeof *r->list);
    if (!r->list) return bqb_fail_nomem(err, "stickers", r->passed * sizeof *r->list);
    for (size_t row = 0; row < v->n; row++) {
        if (!(r->allow[row / 64] >> row % 64 & 1)) continue;
        candidate *c = &r->list[n++];
        while (texts && at < t->n && t->id[at] < v->id[row]) at++; /* both rise */
        c->id = v->id[row];
        c->picture = bqb_scan_row(v, row, r->q->vec);
        c->has_text = texts && at < t->n && t->id[at] == c->id;
        c->text = c->has_text ? bqb_scan_row(t, at, r->q->vec) : c->picture;
        c->sum = (double)c->picture + r->q->beta * (double)c->text;
        sum += c->sum;
        sum_sq += c->sum * c->sum;
    }
    r->passed = n;
    double mean = n ? sum / (double)n : 0, var = n ? sum_sq / (double)n - mean * mean : 0;
    bqb_spread spread = {.mean = mean, .sd = var > 0 ? sqrt(var) : 0, .n = n};
    for (size_t i = 0; i < n; i++) r->list[i].rank = r->list[i].z = bqb_fusion_z(r->list[i].sum, &spread);
    return BQB_OK;
}

static bool is_common(const retrieval *r, uint32_t unit) {
    for (size_t i = 0; i < r->common.n; i++)
        if (r->common.unit[i].id == unit) return true;
    return false;
}

/* How many units of the text are not common, if all of them stand in a row in what was said; else 0. */
static bqb_status count_said(size_t *n_units, const retrieval *r, bqb_units *t, const char *text, bqb_err *err) {
    *n_units = 0;
    bqb_status s = bqb_units_read(t, text, strlen(text), err);
    if (s || t->n < LEAST_UNITS) return s;
    bool whole = false;
    for (size_t i = 0; i + t->n <= r->said.n && !whole; i++) {
        size_t k = 0;
        while (k < t->n && r->said.unit[i + k].id == t->unit[k].id) k++;
        whole = k == t->n;
    }
    for (size_t k = 0; whole && k < t->n; k++) *n_units += !is_common(r, t->unit[k].id);
    return BQB_OK;
}

/* Whether two units stand side by side in requests of any kind. */
static bool is_common_pair(const retrieval *r, const bqb_unit *u) {
    for (size_t i = 0; i + 1 < r->common.n; i++)
        if (r->common.unit[i].id == u[0].id && r->common.unit[i + 1].id == u[1].id) return true;
    return false;
}

/* What was said without runs of two and more units that any request has: 来一张加班好累的表情 becomes 加班好累. */
static bqb_status read_want(bqb_buf *out, const retrieval *r, bqb_err *err) {
    bqb_status s = bqb_buf_append(out, "", 0, err);
    bool before = false, after, gap = false;
    for (size_t i = 0; i < r->said.n && !s; i++, before = after) {
        const bqb_unit *u = &r->said.unit[i];
        after = i + 1 < r->said.n && is_common_pair(r, u);
        if (before || after) {
            gap = true;
            continue;
        }
        if (out->len && (gap || u->gap != BQB_GAP_NONE)) s = bqb_buf_append(out, " ", 1, err);
        if (!s) s = bqb_buf_append(out, r->said.folded.data + u->start, u->n_bytes, err);
        gap = false;
    }
    return s;
}

/* Stickers of which it is said rise; those whose words stand in it whole do so once more. */
static bqb_status hear(retrieval *r, bqb_err *err) {
    const char *text = r->q->said;
    bqb_word_hit *hit = NULL;
    bqb_units words = {.n = 0};
    bqb_buf want = {.max = 1 << 16};
    size_t n = 0;
    if (!text || !*text || strlen(text) > MOST_SAID || !r->passed) return BQB_OK;
    bqb_status s = bqb_units_read(&r->said, text, strlen(text), err);
    if (!s && r->q->common) s = bqb_units_read(&r->common, r->q->common, strlen(r->q->common), err);
    if (!s) s = read_want(&want, r, err);
    if (!s && want.len) s = bqb_lexical(&hit, &n, r->c, want.data, err);
    if (!s && n) qsort(hit, n, sizeof *hit, by_score);
    for (size_t i = 0; i < n && !s; i++) {
        bqb_annotated a;
        candidate key = {.id = hit[i].id}, *c = bsearch(&key, r->list, r->passed, sizeof key, by_id);
        size_t units = 0;
        if (!c) continue;
        c->rank += HEARD_GAIN * hit[i].score;
        if (i >= CLOSE) continue;
        s = bqb_catalogue_get_annotation(r->c, hit[i].id, &a, err);
        if (s) break;
        if (a.field[BQB_OCR]) s = count_said(&units, r, &words, a.field[BQB_OCR], err);
        c->said = (double)(units < SAID_UNITS ? units : SAID_UNITS);
        c->rank += SAID_GAIN * c->said;
        bqb_annotated_free(&a);
    }
    bqb_buf_free(&want);
    bqb_units_free(&words);
    free(hit);
    return s;
}

/* What each unit of what was said weighs: how rare it is, of common ones nothing. */
static bqb_status weigh(double **weight, double *sum, retrieval *r, bqb_err *err) {
    uint64_t rows = 0;
    *sum = 0;
    *weight = bqb_calloc(r->said.n + 1, sizeof **weight);
    bqb_status s = *weight ? bqb_catalogue_words_rows(r->c, &rows, err) : bqb_fail_nomem(err, "words", r->said.n);
    for (size_t i = 0; i < r->said.n && !s; i++) {
        const bqb_unit *u = &r->said.unit[i];
        uint64_t having = 0;
        if (is_common(r, u->id)) continue;
        s = bqb_catalogue_word_count(r->c, r->said.folded.data + u->start, u->n_bytes, &having, err);
        (*weight)[i] = log(1 + (double)rows / ((double)having + 0.5));
        *sum += (*weight)[i];
    }
    return s;
}

/* How much of what was said is said of one sticker. */
static bqb_status heard_of(double *out, const retrieval *r, const double *weight, bqb_sticker_id id, bqb_units *words, bqb_err *err) {
    bqb_annotated a = {.score = {0}};
    bool *found = bqb_calloc(r->said.n + 1, sizeof *found);
    bqb_status s = found ? bqb_catalogue_get_annotation(r->c, id, &a, err) : bqb_fail_nomem(err, "words", r->said.n);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        if (!a.field[f]) continue;
        s = bqb_units_read(words, a.field[f], strlen(a.field[f]), err);
        for (size_t i = 0; i < r->said.n && !s; i++)
            for (size_t k = 0; k < words->n && weight[i] > 0 && !found[i]; k++) found[i] = words->unit[k].id == r->said.unit[i].id;
    }
    *out = 0;
    for (size_t i = 0; i < r->said.n && !s; i++)
        if (found[i]) *out += weight[i];
    bqb_annotated_free(&a);
    free(found);
    return s == BQB_ENOTFOUND ? BQB_OK : s; /* removed by another process meanwhile */
}

/* Do the words that are said of the best speak for them? */
static bqb_status words_agree(bool *agree, retrieval *r, bqb_err *err) {
    double *weight = NULL, sum;
    bqb_units words = {.n = 0};
    *agree = false;
    bqb_status s = weigh(&weight, &sum, r, err);
    for (size_t i = 0; i < r->passed && i < BEST && !s && !*agree; i++) {
        double heard;
        s = heard_of(&heard, r, weight, r->list[i].id, &words, err);
        *agree = (heard >= LEAST_HEARD && heard >= LEAST_SHARE * sum) || (heard > 0 && heard >= NEARLY_ALL * sum);
    }
    bqb_units_free(&words);
    free(weight);
    return s;
}

static bool in_groups(const retrieval *r, bqb_sticker_id first) {
    for (size_t i = 0; i < r->n_group; i++)
        if (r->group[i] == first) return true;
    return false;
}

/* A sticker without near copies is a group of its own; its id is no other group's first. */
static bqb_status group_of(bqb_group *g, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_status s = bqb_catalogue_group_of(c, id, g, err);
    if (!s && !g->first) g->first = id;
    return s;
}

static bqb_status leave_out(retrieval *r, bqb_err *err) {
    bqb_status s = BQB_OK;
    r->group = bqb_calloc(r->q->n_except + r->q->n, sizeof *r->group);
    if (!r->group) return bqb_fail_nomem(err, "stickers", r->q->n_except * sizeof *r->group);
    for (size_t i = 0; i < r->q->n_except && !s; i++) {
        bqb_group g;
        s = group_of(&g, r->c, r->q->except[i], err);
        if (!s) r->group[r->n_group++] = g.first;
    }
    return s;
}

/* Whether this, the best that may be sent, is more than the nearest there is. */
static bqb_status judge(bool *fits, retrieval *r, const candidate *best, bqb_err *err) {
    double with_words = 0;
    *fits = true;
    if (r->q->least == -INFINITY || best->said > 0 || !r->said.n) return BQB_OK;
    if (r->trust >= 0.5 && best->z > bqb_fusion_chance(r->passed) + r->q->least) return BQB_OK;
    bqb_status s = bqb_catalogue_words_share(r->c, &with_words, err);
    return s || with_words < 0.5 ? s : words_agree(fits, r, err);
}

static bool wanted(const retrieval *r, const bqb_found *f) {
    bool has = *f->field[BQB_OCR] != 0;
    return r->q->words == BQB_WORDS_ANY || has == (r->q->words == BQB_WORDS_WITH);
}

static bool passes(const retrieval *r, bqb_sticker_id id) {
    size_t row = bqb_vectors_row(r->pictures, id);
    return row != SIZE_MAX && (r->allow[row / 64] >> row % 64 & 1);
}

/* The next result, if this candidate may be one: its keeper stands for it, if it passes the filters, too. */
static bqb_status take(bqb_search_results *out, retrieval *r, const candidate *c, bqb_err *err) {
    bqb_group g;
    bqb_found f;
    bqb_status s = group_of(&g, r->c, c->id, err);
    if (s || in_groups(r, g.first)) return s;
    if (g.keeper && g.keeper != c->id && !passes(r, g.keeper)) return BQB_OK;
    s = bqb_found_load(&f, r->c, g.keeper ? g.keeper : c->id, err);
    if (s == BQB_ENOTFOUND) return BQB_OK; /* removed by another process meanwhile */
    if (s) return s;
    if (f.missing || !wanted(r, &f)) {
        bqb_found_free(&f);
        return BQB_OK;
    }
    f.sum = c->sum;
    f.score = bqb_fusion_score(c->rank);
    f.folded = g.others;
    f.reason[BQB_PART_PICTURE] = (bqb_reason){.asked = true, .known = true, .raw = (double)c->picture, .weight = 1};
    f.reason[BQB_PART_TEXT] = (bqb_reason){.asked = true, .known = c->has_text, .raw = (double)c->text, .weight = r->q->beta};
    f.reason[BQB_PART_WORDS] = (bqb_reason){.asked = r->q->said != NULL, .known = c->rank > c->z, .raw = c->said, .weight = SAID_GAIN, .gain = c->rank - c->z};
    r->group[r->n_group++] = g.first;
    out->item[out->n++] = f;
    return BQB_OK;
}

static bqb_status choose(bqb_search_results *out, retrieval *r, bqb_err *err) {
    bool any = true;
    if (r->passed) qsort(r->list, r->passed, sizeof *r->list, by_rank);
    out->item = bqb_calloc(r->q->n, sizeof *out->item);
    bqb_status s = out->item ? leave_out(r, err) : bqb_fail_nomem(err, "results", r->q->n * sizeof *out->item);
    for (size_t i = 0; i < r->passed && out->n < r->q->n && !s && any; i++) {
        s = take(out, r, &r->list[i], err);
        if (!s && out->n == 1 && r->n_judged++ == 0) s = judge(&any, r, &r->list[i], err); /* the others are there to choose from */
    }
    for (size_t i = 0; i < out->n && !any; i++) bqb_found_free(&out->item[i]);
    if (!any) out->n = 0;
    out->fits = out->n ? BQB_FITS : BQB_FITS_NOT;
    return s;
}

bqb_status bqb_retrieve(bqb_search_results *out, bqb_catalogue *c, const bqb_retrieval *q, size_t dim, bqb_err *err) {
    retrieval r = {.c = c, .q = q};
    *out = (bqb_search_results){0};
    if (!q->n || q->n > MOST_RESULTS) return bqb_fail(err, BQB_EINVAL, "%zu stickers were asked for; 1 to %d are possible", q->n, MOST_RESULTS);
    bqb_status s = open_vectors(&r, dim, err);
    if (!s) s = measure(&r, err);
    if (!s) s = hear(&r, err);
    if (!s) s = choose(out, &r, err);
    if (r.pictures) out->in_library = r.pictures->n;
    out->passed = r.passed;
    bqb_vectors_close(r.pictures);
    bqb_vectors_close(r.texts);
    free(r.allow);
    free(r.list);
    free(r.group);
    bqb_units_free(&r.said);
    bqb_units_free(&r.common);
    if (s) bqb_search_results_free(out);
    return s;
}
