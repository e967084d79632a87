#include "search/wordfit.h"

#include "base/mem.h"
#include "text/confusions.h"

#include <stdlib.h>
#include <string.h>

/* Fitted: docs/library.md. */
static const double LINE_SHARE = 0.1, TEXT_SHARE = 0.05; /* of the best line, of the best whole text, in the score */
static const double CONFUSED_LEAST = 0.3, CONFUSED_MOST = 0.6; /* a character that reading takes for another */
static const double BROKEN_PAIR = 0.5; /* a pair with one unit too many, too few or another */

enum { MAX_Q = BQB_QUERY_UNITS, SLOTS = 2048, MAX_CONFUSED = 8, MAX_ENTRIES = MAX_Q * (1 + MAX_CONFUSED) };

/* The ids that fit a unit of the query, hashed by id; entries with one id are chained. */
typedef struct {
    uint32_t id;
    int16_t next; /* in the chain, -1 at its end */
    uint8_t at;
    float fit;
} entry;

struct bqb_wordfit {
    bqb_units query, line;
    size_t n;
    double unit_weight[MAX_Q], pair_weight[MAX_Q], whole;
    entry entries[MAX_ENTRIES];
    size_t n_entries;
    int16_t slot[SLOTS];
    bool has_words;
    double unit[MAX_Q], pair[MAX_Q], best_line, best_text;
};

static size_t slot_of(uint32_t id) { return (id * 2654435761u) >> 21; }

static void add_entry(bqb_wordfit *f, uint32_t id, size_t at, double fit) {
    if (f->n_entries == MAX_ENTRIES) return;
    size_t s = slot_of(id);
    f->entries[f->n_entries] = (entry){id, f->slot[s], (uint8_t)at, (float)fit};
    f->slot[s] = (int16_t)f->n_entries++;
}

bqb_status bqb_wordfit_new(bqb_wordfit **out, const char *query, bqb_err *err) {
    bqb_wordfit *f = *out = bqb_calloc(1, sizeof *f);
    if (!f) return bqb_fail_nomem(err, "query", sizeof *f);
    bqb_status s = bqb_units_read(&f->query, query, strlen(query), err);
    if (s) {
        bqb_wordfit_free(f);
        *out = NULL;
        return s;
    }
    f->n = f->query.n < MAX_Q ? f->query.n : MAX_Q;
    for (size_t i = 0; i < SLOTS; i++) f->slot[i] = -1;
    for (size_t i = 0; i < f->n; i++) {
        const bqb_unit *u = &f->query.unit[i];
        bqb_confusion other[MAX_CONFUSED];
        add_entry(f, u->id, i, 1);
        if (u->kind == BQB_UNIT_WORD) f->has_words = true;
        if (u->kind != BQB_UNIT_IDEOGRAPH) continue;
        size_t k = bqb_confusions(other, MAX_CONFUSED, u->id);
        for (size_t j = 0; j < k; j++)
            add_entry(f, other[j].cp, i, CONFUSED_LEAST + (CONFUSED_MOST - CONFUSED_LEAST) * other[j].share);
    }
    return BQB_OK;
}

void bqb_wordfit_free(bqb_wordfit *f) {
    if (!f) return;
    bqb_units_free(&f->query);
    bqb_units_free(&f->line);
    free(f);
}

const bqb_units *bqb_wordfit_units(const bqb_wordfit *f) { return &f->query; }
size_t bqb_wordfit_count(const bqb_wordfit *f) { return f->n; }

void bqb_wordfit_weigh(bqb_wordfit *f, const double *unit, const double *pair) {
    f->whole = 0;
    for (size_t i = 0; i < f->n; i++) f->whole += f->unit_weight[i] = unit[i];
    for (size_t i = 0; i + 1 < f->n; i++) f->whole += f->pair_weight[i] = pair[i];
}

void bqb_wordfit_begin(bqb_wordfit *f) {
    memset(f->unit, 0, sizeof f->unit);
    memset(f->pair, 0, sizeof f->pair);
    f->best_line = f->best_text = 0;
}

static void raise(double *x, double to) {
    if (to > *x) *x = to;
}

/* Dice's coefficient of the words' pairs of bytes, squared; 0 where that means little. */
static double spelt_alike(const char *a, size_t na, const char *b, size_t nb) {
    size_t same = 0;
    uint64_t used = 0;
    if (na < 3 || nb < 3 || na > 60 || nb > 60) return 0;
    for (size_t i = 0; i < na; i++)
        if (a[i] >= '0' && a[i] <= '9') return 0;
    for (size_t i = 0; i + 1 < na; i++)
        for (size_t j = 0; j + 1 < nb; j++)
            if (!(used >> j & 1) && a[i] == b[j] && a[i + 1] == b[j + 1]) {
                used |= (uint64_t)1 << j;
                same++;
                break;
            }
    double dice = 2.0 * (double)same / (double)(na + nb - 2);
    return dice >= 0.5 ? dice * dice : 0;
}

/* How well the text's unit fits each of the query's; false: none. */
static bool fits(const bqb_wordfit *f, const bqb_unit *u, double *fit) {
    bool any = false;
    memset(fit, 0, f->n * sizeof *fit);
    for (int16_t k = f->slot[slot_of(u->id)]; k >= 0; k = f->entries[k].next) {
        const entry *e = &f->entries[k];
        if (e->id != u->id) continue;
        raise(&fit[e->at], (double)e->fit);
        any = true;
    }
    if (u->kind != BQB_UNIT_WORD || !f->has_words) return any;
    for (size_t i = 0; i < f->n; i++) {
        const bqb_unit *q = &f->query.unit[i];
        if (q->kind != BQB_UNIT_WORD || fit[i] > 0) continue;
        fit[i] = spelt_alike(f->query.folded.data + q->start, q->n_bytes, f->line.folded.data + u->start, u->n_bytes);
        any = any || fit[i] > 0;
    }
    return any;
}

static double least(double a, double b) { return a < b ? a : b; }

/* now, before, earlier: the fits of a unit of the text and of the two before it. */
static void raise_pairs(double *pair, size_t n, const double *now, const double *before, const double *earlier) {
    for (size_t i = 1; i < n; i++) {
        if (!(now[i] > 0)) continue;
        raise(&pair[i - 1], least(before[i - 1], now[i]));
        raise(&pair[i - 1], BROKEN_PAIR * least(earlier[i - 1], now[i])); /* one too many here */
        if (i < 2) continue;
        double skipped = BROKEN_PAIR * least(before[i - 2], now[i]), other = BROKEN_PAIR * least(earlier[i - 2], now[i]);
        double x = skipped > other ? skipped : other; /* one is missing here, or is another */
        raise(&pair[i - 2], x);
        raise(&pair[i - 1], x);
    }
}

static double cover(const bqb_wordfit *f, const double *unit, const double *pair) {
    double sum = 0;
    for (size_t i = 0; i < f->n; i++) sum += f->unit_weight[i] * unit[i];
    for (size_t i = 0; i + 1 < f->n; i++) sum += f->pair_weight[i] * pair[i];
    return f->whole > 0 ? sum / f->whole : 0;
}

bqb_status bqb_wordfit_add(bqb_wordfit *f, const char *text, size_t n_bytes, double weight, bool whole, bqb_err *err) {
    double fit[3][MAX_Q] = {{0}}, unit[MAX_Q] = {0}, pair[MAX_Q] = {0}, filled = 0;
    bool any = false;
    bqb_status s = bqb_units_read(&f->line, text, n_bytes, err);
    if (s || !(weight > 0)) return s;
    for (size_t j = 0; j < f->line.n; j++) {
        double *now = fit[j % 3], best = 0;
        if (!fits(f, &f->line.unit[j], now)) continue;
        any = true;
        for (size_t i = 0; i < f->n; i++) {
            raise(&unit[i], now[i]);
            raise(&best, now[i]);
        }
        filled += best;
        raise_pairs(pair, f->n, now, fit[(j + 2) % 3], fit[(j + 1) % 3]);
    }
    if (!any) return BQB_OK;
    for (size_t i = 0; i < f->n; i++) {
        raise(&f->unit[i], weight * unit[i]);
        raise(&f->pair[i], weight * pair[i]);
    }
    double line = weight * cover(f, unit, pair) * filled / (double)f->line.n;
    raise(&f->best_line, line);
    if (whole) raise(&f->best_text, line);
    return BQB_OK;
}

double bqb_wordfit_score(const bqb_wordfit *f) {
    return (1 - LINE_SHARE - TEXT_SHARE) * cover(f, f->unit, f->pair) + LINE_SHARE * f->best_line + TEXT_SHARE * f->best_text;
}
