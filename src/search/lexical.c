#include "search/lexical.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "search/wordfit.h"
#include "text/confusions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a line weighs that is hardly believed; the rest rises with the root of belief. Fitted: docs/library.md. */
static const double READ_LEAST = 0.5;

enum {
    CLOSE = 200,      /* so many are looked at closely */
    ENOUGH = 2000,    /* where so many are found by rarer grams ... */
    COMMON = 8000,    /* ... one that so many stickers have finds no more */
    MAX_GRAMS = 512,
    MAX_GRAM = 64,
    MAX_CONFUSED = 6, /* of each character */
    BINS = 1024,
};

/* ---- what to look for ---- */

/* A gram of the query, and others that may have been read for it. */
typedef struct {
    char text[MAX_GRAM], other[2 * MAX_CONFUSED][8];
    size_t n_bytes, n_other;
    bqb_gram_kind kind;
    double weight;
    uint64_t having; /* stickers that have the gram itself */
} lookup;

typedef struct {
    bqb_catalogue *c;
    bqb_wordfit *fit;
    lookup item[MAX_GRAMS];
    size_t n;
    uint64_t rows;
    double unit[BQB_QUERY_UNITS], pair[BQB_QUERY_UNITS], whole;
    bqb_status status;
    bqb_err *err;
} plan;

/* What may have been read for a character or, one of the two misread, for a pair. */
static void add_confused(lookup *l) {
    uint32_t cp[2] = {0, 0};
    size_t n = 0;
    for (size_t i = 0; i < l->n_bytes && n < 2; n++) i += bqb_utf8_next(l->text + i, l->n_bytes - i, &cp[n], NULL);
    for (size_t which = 0; which < n; which++) {
        bqb_confusion other[MAX_CONFUSED];
        size_t m = bqb_confusions(other, MAX_CONFUSED, cp[which]);
        for (size_t i = 0; i < m; i++) {
            char *t = l->other[l->n_other++];
            size_t k = 0;
            for (size_t j = 0; j < n; j++) k += bqb_utf8_put(t + k, j == which ? other[i].cp : cp[j]);
            t[k] = 0;
        }
    }
}

static lookup *planned(plan *p, const char *token, size_t n) {
    for (size_t i = 0; i < p->n; i++)
        if (p->item[i].n_bytes == n && !memcmp(p->item[i].text, token, n)) return &p->item[i];
    return NULL;
}

/* Each distinct gram once; how rare it is counts wherever it stands. */
static int plan_gram(void *ctx, bqb_gram_kind kind, size_t at, const char *token, size_t n) {
    plan *p = ctx;
    if (at + (kind == BQB_GRAM_PAIR) >= bqb_wordfit_count(p->fit) && kind != BQB_GRAM_WHOLE) return 0;
    lookup *l = planned(p, token, n);
    if (!l) {
        if (p->n == MAX_GRAMS || n > MAX_GRAM) return 0;
        l = &p->item[p->n++];
        *l = (lookup){.n_bytes = n, .kind = kind};
        memcpy(l->text, token, n);
        p->status = bqb_catalogue_word_count(p->c, token, n, &l->having, p->err);
        if (p->status) return 1;
        double rare = log(1 + (double)p->rows / ((double)l->having + 0.5));
        l->weight = kind == BQB_GRAM_PART ? 0.3 * rare : rare;
        bool alone = kind == BQB_GRAM_UNIT && bqb_wordfit_count(p->fit) <= 2 &&
                     bqb_wordfit_units(p->fit)->unit[at].kind == BQB_UNIT_IDEOGRAPH;
        if (kind == BQB_GRAM_PAIR || alone) add_confused(l);
    }
    if (kind == BQB_GRAM_UNIT) p->unit[at] = l->weight;
    if (kind == BQB_GRAM_UNIT) p->whole += l->weight;
    if (kind == BQB_GRAM_WHOLE) l->weight = 2 * p->whole + 1;
    return 0;
}

static int by_having(const void *a, const void *b) {
    const lookup *x = a, *y = b;
    if (x->having != y->having) return x->having < y->having ? -1 : 1;
    return x->n_bytes > y->n_bytes ? -1 : x->n_bytes < y->n_bytes;
}

static bqb_status make_plan(plan *p) {
    const bqb_units *u = bqb_wordfit_units(p->fit);
    bqb_status s = bqb_catalogue_words_rows(p->c, &p->rows, p->err);
    if (!s) s = bqb_units_grams(u, plan_gram, p, p->err);
    if (s == BQB_ECANCEL) s = p->status;
    if (s) return s;
    for (size_t i = 0; i + 1 < bqb_wordfit_count(p->fit); i++) {
        const bqb_unit *x = &u->unit[i + 1]; /* across punctuation nearness is worth less */
        p->pair[i] = (p->unit[i] + p->unit[i + 1]) / (x->gap == BQB_GAP_BREAK ? 4 : 2);
    }
    bqb_wordfit_weigh(p->fit, p->unit, p->pair);
    qsort(p->item, p->n, sizeof *p->item, by_having);
    return BQB_OK;
}

/* ---- who has it ---- */

/* Rising by id. */
typedef struct {
    bqb_word_hit *hit;
    size_t n, cap;
} hits;

static int add_hit(void *ctx, bqb_sticker_id id) {
    hits *h = ctx;
    bqb_word_hit *p = bqb_grow(h->hit, h->n, &h->cap, sizeof *p, 1024);
    if (!p) return 1;
    h->hit = p;
    h->hit[h->n++] = (bqb_word_hit){id, 0};
    return 0;
}

/* Everyone in `more` has `weight` more. scratch: memory for the sum, then that of the old one. */
static bqb_status merge(hits *all, const hits *more, double weight, hits *scratch, bqb_err *err) {
    size_t n = 0, need = all->n + more->n;
    if (need > scratch->cap) {
        bqb_word_hit *p = bqb_calloc(2 * need, sizeof *p);
        if (!p) return bqb_fail_nomem(err, "matches", 2 * need * sizeof *p);
        free(scratch->hit);
        scratch->hit = p;
        scratch->cap = 2 * need;
    }
    for (size_t i = 0, j = 0; i < all->n || j < more->n; n++) {
        bool left = i < all->n && (j == more->n || all->hit[i].id <= more->hit[j].id);
        bool right = j < more->n && (i == all->n || more->hit[j].id <= all->hit[i].id);
        scratch->hit[n] = left ? all->hit[i++] : (bqb_word_hit){more->hit[j].id, 0};
        if (right) {
            scratch->hit[n].score += weight;
            j++;
        }
    }
    hits old = *all;
    *all = (hits){scratch->hit, n, scratch->cap};
    *scratch = old;
    return BQB_OK;
}

static bqb_status gather_one(hits *all, plan *p, const bqb_gram *gram, size_t n, double weight, hits *more, hits *scratch) {
    more->n = 0;
    bqb_status s = bqb_catalogue_match_words(p->c, gram, n, add_hit, more, p->err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(p->err, "matches", more->cap * sizeof *more->hit);
    return s || !more->n ? s : merge(all, more, weight, scratch, p->err);
}

/* Rare grams first. */
static bqb_status gather(hits *all, plan *p) {
    hits more = {0}, scratch = {0};
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < p->n && !s; i++) {
        const lookup *l = &p->item[i];
        bqb_gram gram[2 * MAX_CONFUSED] = {{l->text, l->n_bytes}};
        if (l->having > COMMON && all->n >= ENOUGH) continue;
        if (l->having) s = gather_one(all, p, gram, 1, l->weight, &more, &scratch);
        for (size_t j = 0; j < l->n_other; j++) gram[j] = (bqb_gram){l->other[j], strlen(l->other[j])};
        if (l->n_other && !s) s = gather_one(all, p, gram, l->n_other, l->weight / 2, &more, &scratch);
    }
    free(scratch.hit);
    more.n = 0; /* and without those that are missing */
    if (!s) s = bqb_catalogue_each_missing(p->c, add_hit, &more, p->err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(p->err, "matches", more.cap * sizeof *more.hit);
    size_t n = 0, j = 0;
    for (size_t i = 0; i < all->n && !s; i++) {
        while (j < more.n && more.hit[j].id < all->hit[i].id) j++;
        if (j == more.n || more.hit[j].id != all->hit[i].id) all->hit[n++] = all->hit[i];
    }
    all->n = n;
    free(more.hit);
    return s;
}

/* ---- how well it fits ---- */

/* What a text weighs: by where it stands and who says so. */
static double weight_of(const bqb_said *s) {
    static const double of_field[BQB_FIELDS] = {
        [BQB_CAPTION] = 1, [BQB_EMOTION] = 0.7, [BQB_EMOTION_LABEL] = 0.7, [BQB_STYLE] = 0.6, [BQB_OCR] = 1};
    double w = of_field[s->field];
    switch (s->origin) {
    case BQB_OCR_READ: return w * (READ_LEAST + (1 - READ_LEAST) * sqrt(s->belief));
    case BQB_ZERO_SHOT: return w * 0.5;
    case BQB_FROM_FILE_NAME: return w * 0.8;
    default: return w;
    }
}

typedef struct {
    bqb_wordfit *fit;
    bqb_status status;
    bqb_err *err;
} close_look;

static int look_at(void *ctx, const bqb_said *said) {
    close_look *l = ctx;
    l->status = bqb_wordfit_add(l->fit, said->text, said->n_bytes, weight_of(said), said->whole, l->err);
    return l->status != BQB_OK;
}

/* Who is looked at closely: everyone whose weight is in a higher bin than the border, and `room` of those in it. */
typedef struct {
    double most;
    size_t border, room;
} closeness;

static size_t bin_of(const closeness *c, double weight) {
    return c->most > 0 ? (size_t)(weight / c->most * (BINS - 1)) : 0;
}

static closeness closest(const hits *all) {
    size_t bin[BINS] = {0}, n = 0;
    closeness c = {.border = BINS - 1};
    for (size_t i = 0; i < all->n; i++)
        if (all->hit[i].score > c.most) c.most = all->hit[i].score;
    for (size_t i = 0; i < all->n; i++) bin[bin_of(&c, all->hit[i].score)]++;
    while (c.border && n + bin[c.border] < CLOSE) n += bin[c.border--];
    c.room = CLOSE - n;
    return c;
}

static bqb_status judge(hits *all, plan *p) {
    closeness near = closest(all);
    double least = 1;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < all->n && !s; i++) {
        bqb_word_hit *h = &all->hit[i];
        size_t bin = bin_of(&near, h->score);
        if (bin < near.border || (bin == near.border && !near.room)) {
            h->score = -h->score; /* not looked at */
            continue;
        }
        if (bin == near.border) near.room--;
        close_look look = {p->fit, BQB_OK, p->err};
        bqb_wordfit_begin(p->fit);
        s = bqb_catalogue_each_said(p->c, h->id, look_at, &look, p->err);
        if (s == BQB_ECANCEL) s = look.status;
        h->score = bqb_wordfit_score(p->fit);
        if (h->score < least) least = h->score;
    }
    for (size_t i = 0; i < all->n && !s; i++) {
        double coarse = -all->hit[i].score / (3 * p->whole + 1);
        if (all->hit[i].score < 0) all->hit[i].score = coarse < least ? coarse : least;
    }
    return s;
}

bqb_status bqb_lexical(bqb_word_hit **out, size_t *n, bqb_catalogue *c, const char *query, bqb_err *err) {
    hits all = {0};
    *out = NULL;
    *n = 0;
    plan *p = bqb_calloc(1, sizeof *p);
    if (!p) return bqb_fail_nomem(err, "query", sizeof *p);
    p->c = c;
    p->err = err;
    bqb_status s = bqb_wordfit_new(&p->fit, query, err);
    if (!s && !(s = bqb_catalogue_look(c, err))) {
        s = make_plan(p);
        if (!s) s = gather(&all, p);
        if (!s) s = judge(&all, p);
        bqb_catalogue_looked(c);
    }
    bqb_wordfit_free(p->fit);
    free(p);
    if (s || !all.n) {
        free(all.hit);
        return s;
    }
    *out = all.hit;
    *n = all.n;
    return BQB_OK;
}
