#include "search/parts.h"

#include "base/mem.h"
#include "search/filter.h"
#include "search/lexical.h"
#include "search/trust.h"
#include "text/emoji.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 3 + BQB_MAX_UNLIKE, MAX_NAMES = 6 /* of an emoji */ };

/* One vector of the query against one kind of vectors. */
typedef struct {
    bqb_part part;
    const bqb_vectors *v;
    const float *query;
    const size_t *row_of;  /* [rows of pictures] where v has the sticker; NULL: in the same row */
    float *score, *doubt;  /* [v->n] */
    double trust;
    bqb_spread spread;
} line;

struct bqb_parts {
    const bqb_search_query *q;
    bqb_vectors *pictures, *texts;
    size_t *text_row;
    uint64_t *allow, *allow_texts; /* NULL: every row */
    bqb_id_set set, without;
    bool all;                      /* set is not to be looked at */
    size_t passed;
    bqb_word_hit *words;           /* rising by id */
    size_t n_words;
    double trust;
    line line[MAX_LINES];
    size_t n_lines;
};

bool bqb_parts_picture_alone(const bqb_search_query *q) {
    return q->image_vec && !q->text_vec && !(q->text && *q->text) && !q->n_unlike;
}

/* ---- measuring ---- */

static bqb_status add_line(bqb_parts *p, bqb_part part, const bqb_vectors *v, const float *query, double trust,
                           bqb_err *err) {
    bool texts = v == p->texts;
    line *l = &p->line[p->n_lines++];
    *l = (line){.part = part, .v = v, .query = query, .trust = trust, .row_of = texts ? p->text_row : NULL};
    l->score = bqb_calloc(v->n + 1, sizeof *l->score);
    l->doubt = bqb_calloc(v->n + 1, sizeof *l->doubt);
    if (!l->score || !l->doubt) return bqb_fail_nomem(err, "scan", v->n * sizeof *l->score);
    return bqb_scan_all(l->score, l->doubt, &l->spread, v, query, texts ? p->allow_texts : p->allow, p->q->threads, err);
}

/* Where the texts' vectors have each picture's sticker; both rise. */
static bqb_status match_rows(bqb_parts *p, bqb_err *err) {
    size_t n = p->pictures->n, t = 0;
    p->text_row = bqb_calloc(n + 1, sizeof *p->text_row);
    if (!p->text_row) return bqb_fail_nomem(err, "scan", n * sizeof *p->text_row);
    for (size_t row = 0; row < n; row++) {
        while (t < p->texts->n && p->texts->id[t] < p->pictures->id[row]) t++;
        p->text_row[row] = t < p->texts->n && p->texts->id[t] == p->pictures->id[row] ? t : SIZE_MAX;
    }
    return BQB_OK;
}

static bqb_status open_texts(bqb_parts *p, bqb_catalogue *c, bqb_err *err) {
    size_t n;
    bqb_status s = bqb_vectors_open(&p->texts, c, p->q->model, "text", err);
    if (!s && (!p->texts->n || p->texts->dim != p->pictures->dim)) {
        bqb_vectors_close(p->texts);
        p->texts = NULL;
        return BQB_OK;
    }
    if (!s && p->allow)
        s = bqb_filter_rows(&p->allow_texts, &n, p->texts, p->all ? NULL : &p->set, &p->without, err);
    return s ? s : match_rows(p, err);
}

static bqb_status measure_vectors(bqb_parts *p, bqb_catalogue *c, bqb_err *err) {
    const bqb_search_query *q = p->q;
    bqb_status s = bqb_vectors_open(&p->pictures, c, q->model, "image", err);
    if (s) return s;
    p->passed = p->pictures->n;
    if (!p->all || p->without.n)
        s = bqb_filter_rows(&p->allow, &p->passed, p->pictures, p->all ? NULL : &p->set, &p->without, err);
    if (!s && (q->text_vec || q->n_unlike_words)) s = open_texts(p, c, err);
    if (!s) p->trust = bqb_trust(p->pictures, p->texts);
    if (!s && q->text_vec) s = add_line(p, BQB_PART_PICTURE, p->pictures, q->text_vec, p->trust, err);
    if (!s && q->text_vec && p->texts && !q->picture_only) s = add_line(p, BQB_PART_TEXT, p->texts, q->text_vec, 1, err);
    if (!s && q->image_vec) s = add_line(p, BQB_PART_LIKE, p->pictures, q->image_vec, 1, err);
    for (size_t i = 0; i < q->n_unlike && !s; i++)
        s = add_line(p, BQB_PART_UNLIKE, p->pictures, q->unlike_vec + i * p->pictures->dim,
                     i < q->n_unlike_words ? p->trust : 1, err);
    return s;
}

/* Both rising by id; of a sticker in both the better score. */
static bqb_status merge_words(bqb_parts *p, bqb_word_hit *more, size_t n_more, bqb_err *err) {
    size_t n = 0, i = 0, j = 0;
    bqb_word_hit *both = bqb_calloc(p->n_words + n_more + 1, sizeof *both);
    if (!both) return bqb_fail_nomem(err, "matches", n_more * sizeof *both);
    while (i < p->n_words || j < n_more) {
        if (j == n_more || (i < p->n_words && p->words[i].id < more[j].id)) both[n++] = p->words[i++];
        else if (i == p->n_words || more[j].id < p->words[i].id) both[n++] = more[j++];
        else {
            both[n++] = p->words[i].score >= more[j].score ? p->words[i] : more[j];
            i++;
            j++;
        }
    }
    free(p->words);
    p->words = both;
    p->n_words = n;
    return BQB_OK;
}

/* The words as they are, and with emoji by each of their names: what fits best counts. */
static bqb_status measure_words(bqb_parts *p, bqb_catalogue *c, bqb_err *err) {
    size_t names = 0;
    bqb_buf named = {.max = 8 << 20};
    bqb_status s = bqb_lexical(&p->words, &p->n_words, c, p->q->text, err);
    if (!s) s = bqb_emoji_words(&named, p->q->text, 0, &names, err);
    for (size_t which = 0; which < names && which < MAX_NAMES && !s; which++) {
        bqb_word_hit *more = NULL;
        size_t n_more = 0;
        named.len = 0;
        s = bqb_emoji_words(&named, p->q->text, which, NULL, err);
        if (!s) s = bqb_lexical(&more, &n_more, c, named.data, err);
        if (!s) s = merge_words(p, more, n_more, err);
        free(more);
    }
    bqb_buf_free(&named);
    return s;
}

bqb_status bqb_parts_open(bqb_parts **out, bqb_catalogue *c, const bqb_search_query *q, bqb_err *err) {
    *out = NULL;
    if (q->n_unlike > BQB_MAX_UNLIKE)
        return bqb_fail(err, BQB_EINVAL, "%zu things to be unlike; %d are possible", q->n_unlike, BQB_MAX_UNLIKE);
    bqb_parts *p = bqb_calloc(1, sizeof *p);
    if (!p) return bqb_fail_nomem(err, "search", sizeof *p);
    p->q = q;
    p->trust = 1;
    bqb_status s = bqb_filter(&p->set, &p->all, c, q->emotion, q->style, q->animated, err);
    if (!s && q->n_not_words) s = bqb_filter_with_words(&p->without, c, q->not_words, q->n_not_words, err);
    if (!s && (q->text_vec || q->image_vec)) s = measure_vectors(p, c, err);
    if (!s && q->text && *q->text) s = measure_words(p, c, err);
    if (s) {
        bqb_parts_close(p);
        return s;
    }
    *out = p;
    return BQB_OK;
}

void bqb_parts_close(bqb_parts *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_lines; i++) {
        free(p->line[i].score);
        free(p->line[i].doubt);
    }
    bqb_vectors_close(p->pictures);
    bqb_vectors_close(p->texts);
    bqb_id_set_free(&p->set);
    bqb_id_set_free(&p->without);
    free(p->text_row);
    free(p->allow);
    free(p->allow_texts);
    free(p->words);
    free(p);
}

const bqb_vectors *bqb_parts_vectors(const bqb_parts *p) { return p->pictures; }
double bqb_parts_trust(const bqb_parts *p) { return p->trust; }
size_t bqb_parts_passed(const bqb_parts *p) { return p->passed; }

bqb_spread bqb_parts_spread(const bqb_parts *p, bqb_part part) {
    for (size_t i = 0; i < p->n_lines; i++)
        if (p->line[i].part == part) return p->line[i].spread;
    return (bqb_spread){0};
}

/* ---- weighing ---- */

/* The row of a line that belongs to a row of the pictures, SIZE_MAX where the sticker has none that passes. */
static size_t line_row(const line *l, size_t row) {
    if (row == SIZE_MAX) return row;
    if (l->row_of) row = l->row_of[row];
    return row != SIZE_MAX && l->score[row] > -INFINITY ? row : SIZE_MAX;
}

/* Of several things to be unlike, the one that costs most. */
static void take(bqb_reason *to, bqb_reason r) {
    if (!to->known || r.gain < to->gain || (r.gain <= to->gain && r.z > to->z)) *to = r;
}

/* All parts of one sticker. exact: by bqb_scan_row, else as scanned, with *doubt how far the sum may be off. */
static void weigh(const bqb_parts *p, bqb_entrant *e, double words, bool exact, double *doubt) {
    double unlike_doubt = 0;
    memset(e->reason, 0, sizeof e->reason);
    *doubt = 0;
    for (size_t i = 0; i < p->n_lines; i++) {
        const line *l = &p->line[i];
        e->reason[l->part].asked = true;
        size_t row = line_row(l, e->row);
        if (row == SIZE_MAX) continue;
        double cosine = (double)(exact ? bqb_scan_row(l->v, row, l->query) : l->score[row]);
        take(&e->reason[l->part], bqb_fusion_reason(l->part, cosine, &l->spread, l->trust));
        double off = l->trust * fabs(bqb_fusion_weight(l->part)) * (double)l->doubt[row] / (l->spread.sd > 0.01 ? l->spread.sd : 0.01);
        if (l->part != BQB_PART_UNLIKE) *doubt += off;
        else if (off > unlike_doubt) unlike_doubt = off;
    }
    *doubt += unlike_doubt;
    if (p->q->text && *p->q->text) e->reason[BQB_PART_WORDS] = bqb_fusion_reason(BQB_PART_WORDS, words, NULL, 1);
    if (bqb_parts_picture_alone(p->q)) {
        e->sum = e->reason[BQB_PART_LIKE].raw;
        *doubt = e->row == SIZE_MAX ? 0 : (double)p->line[0].doubt[e->row];
        return;
    }
    e->sum = 0;
    for (int part = 0; part < BQB_PARTS; part++) e->sum += e->reason[part].gain;
}

static int by_sum(const void *a, const void *b) {
    const bqb_entrant *x = a, *y = b;
    if (x->sum != y->sum) return x->sum > y->sum ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

typedef struct {
    bqb_entrant *e;
    size_t n, cap;
} entrants;

static bqb_status enter(const bqb_parts *p, entrants *list, bqb_sticker_id id, size_t row, double words, bqb_err *err) {
    double doubt;
    bqb_entrant *e = bqb_grow(list->e, list->n, &list->cap, sizeof *e, 256);
    if (!e) return bqb_fail_nomem(err, "results", (list->n + 1) * sizeof *e);
    list->e = e;
    e = &list->e[list->n++];
    *e = (bqb_entrant){.id = id, .row = row};
    weigh(p, e, words, true, &doubt);
    return BQB_OK;
}

bool bqb_parts_passes(const bqb_parts *p, bqb_sticker_id id) {
    return id != p->q->except && (p->all || bqb_id_set_has(&p->set, id)) && !bqb_id_set_has(&p->without, id);
}

/* Stickers that have words but no vector. */
static bqb_status enter_words(const bqb_parts *p, entrants *list, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < p->n_words && !s; i++)
        if ((!p->pictures || bqb_vectors_row(p->pictures, p->words[i].id) == SIZE_MAX) && bqb_parts_passes(p, p->words[i].id))
            s = enter(p, list, p->words[i].id, SIZE_MAX, p->words[i].score, err);
    return s;
}

/* What k of n numbers reach at the least, -infinity when there are fewer. x changes its order. */
static double kth(double *x, size_t n, size_t k) {
    if (n < k || !k) return -INFINITY;
    size_t lo = 0, hi = n; /* the k-th largest is in here */
    while (hi - lo > 1) {
        double pivot = x[lo + (hi - lo) / 2];
        size_t above = lo, i = lo, below = hi; /* larger ones, equal ones, smaller ones */
        while (i < below) {
            double t = x[i];
            if (t > pivot) {
                x[i++] = x[above];
                x[above++] = t;
            } else if (t < pivot) {
                x[i] = x[--below];
                x[below] = t;
            } else i++;
        }
        if (k <= above) hi = above;
        else if (k <= below) return pivot;
        else lo = below;
    }
    return x[lo];
}

/* Every sticker as scanned; those that might be among the k best, given what rounding may have cost, enter. */
static bqb_status enter_rows(const bqb_parts *p, entrants *list, size_t k, bqb_err *err) {
    const bqb_vectors *v = p->pictures;
    double *sum = bqb_calloc(v->n + 1, sizeof *sum), *doubt = bqb_calloc(v->n + 1, sizeof *doubt);
    double *least = bqb_calloc(v->n + 1, sizeof *least), *words = bqb_calloc(v->n + 1, sizeof *words);
    bqb_status s = sum && doubt && least && words ? BQB_OK : bqb_fail_nomem(err, "results", v->n * sizeof *sum);
    size_t n = 0;
    for (size_t row = 0, w = 0; row < v->n && !s; row++) {
        bqb_entrant e = {.id = v->id[row], .row = row};
        while (w < p->n_words && p->words[w].id < e.id) w++;
        if (w < p->n_words && p->words[w].id == e.id) words[row] = p->words[w].score;
        sum[row] = -INFINITY;
        if (e.id == p->q->except || line_row(&p->line[0], row) == SIZE_MAX) continue;
        weigh(p, &e, words[row], false, &doubt[row]);
        sum[row] = e.sum;
        least[n++] = e.sum - doubt[row] - 1e-9;
    }
    double bar = s ? 0 : kth(least, n, k);
    for (size_t row = 0; row < v->n && !s; row++)
        if (sum[row] > -INFINITY && sum[row] + doubt[row] + 1e-9 >= bar) s = enter(p, list, v->id[row], row, words[row], err);
    free(sum);
    free(doubt);
    free(least);
    free(words);
    return s;
}

bqb_status bqb_parts_best(bqb_parts *p, bqb_entrant **out, size_t *n, size_t k, bqb_err *err) {
    entrants list = {0};
    *out = NULL;
    *n = 0;
    bqb_status s = p->n_lines ? enter_rows(p, &list, k, err) : BQB_OK;
    if (!s) s = enter_words(p, &list, err);
    if (s) {
        free(list.e);
        return s;
    }
    if (list.n) qsort(list.e, list.n, sizeof *list.e, by_sum);
    *out = list.e;
    *n = p->n_lines && list.n > k ? k : list.n;
    return BQB_OK;
}
