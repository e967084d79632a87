#include "chat/followup.h"

#include "base/mem.h"
#include "chat/wordings.h"
#include "text/grams.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGE = 200, MAX_UNITS = 64, MAX_STRIPPED = 4, MOST_CHARACTERS = 6, MOST_WORDS = 3 };
enum { BEFORE = BQB_FOLLOWS, AFTER };
static const char WHAT[] = "{what}";

/* A wording as units, the first n_left of them before {what}. */
typedef struct {
    int kind;
    bool open; /* has {what} */
    uint32_t *unit;
    size_t n, n_left;
    const char *what; /* the third column */
} wording;

struct bqb_followups {
    bqb_table *table;
    wording *list;
    size_t n;
};

const char *bqb_follow_name(bqb_follow_kind k) {
    static const char *const names[] = {"none", "another", "wordless", "worded", "moving", "towards", "away"};
    return (unsigned)k < BQB_FOLLOWS ? names[k] : "";
}

static int kind_of(const char *name) {
    for (int k = BQB_FOLLOW_ANOTHER; k < BQB_FOLLOWS; k++)
        if (!strcmp(name, bqb_follow_name((bqb_follow_kind)k))) return k;
    return !strcmp(name, "before") ? BEFORE : !strcmp(name, "after") ? AFTER : -1;
}

static bqb_status add_units(wording *w, bqb_units *u, const char *text, size_t n_bytes, bqb_err *err) {
    bqb_status s = bqb_units_read(u, text, n_bytes, err);
    if (s || !u->n) return s;
    uint32_t *more = realloc(w->unit, (w->n + u->n) * sizeof *more);
    if (!more) return bqb_fail_nomem(err, "a wording", u->n * sizeof *more);
    w->unit = more;
    for (size_t i = 0; i < u->n; i++) w->unit[w->n++] = u->unit[i].id;
    return BQB_OK;
}

static bqb_status add_wording(bqb_followups *f, bqb_units *u, size_t row, const char *path, bqb_err *err) {
    const char *kind = bqb_table_cell(f->table, row, 0), *text = bqb_table_cell(f->table, row, 1), *what = bqb_table_cell(f->table, row, 2);
    const char *hole = strstr(text, WHAT);
    size_t line = bqb_table_line(f->table, row);
    wording *w = &f->list[f->n];
    *w = (wording){.kind = kind_of(kind), .open = hole != NULL, .what = what};
    if (w->kind < 0) return bqb_fail(err, BQB_EFORMAT, "%s: line %zu: kind \"%s\" is unknown", path, line, kind);
    bool leans = w->kind == BQB_FOLLOW_TOWARDS || w->kind == BQB_FOLLOW_AWAY;
    if (leans ? w->open == (*what != 0) : w->open || *what)
        return bqb_fail(err, BQB_EFORMAT, "%s: line %zu: \"%s\" needs %s", path, line, text,
                        leans ? "either {what} or a third column" : "neither {what} nor a third column");
    f->n++;
    bqb_status s = add_units(w, u, text, hole ? (size_t)(hole - text) : strlen(text), err);
    w->n_left = w->n;
    if (!s && hole) s = add_units(w, u, hole + strlen(WHAT), strlen(hole) - strlen(WHAT), err);
    if (!s && !w->n) s = bqb_fail(err, BQB_EFORMAT, "%s: line %zu: \"%s\" has no words", path, line, text);
    return s;
}

bqb_status bqb_followups_open(bqb_followups **out, const char *path, bqb_err *err) {
    static const char *const columns[] = {"kind", "wording", "towards"};
    bqb_units u = {.n = 0};
    *out = NULL;
    bqb_followups *f = bqb_calloc(1, sizeof *f);
    if (!f) return bqb_fail_nomem(err, path, sizeof *f);
    bqb_status s = bqb_wordings_open(&f->table, path, columns, 3, err);
    size_t rows = s ? 0 : bqb_table_rows(f->table);
    if (!s && !(f->list = bqb_calloc(rows, sizeof *f->list))) s = bqb_fail_nomem(err, path, rows * sizeof *f->list);
    for (size_t i = 0; i < rows && !s; i++) s = add_wording(f, &u, i, path, err);
    bqb_units_free(&u);
    if (s) bqb_followups_close(f);
    else *out = f;
    return s;
}

void bqb_followups_close(bqb_followups *f) {
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) free(f->list[i].unit);
    free(f->list);
    bqb_table_close(f->table);
    free(f);
}

size_t bqb_followups_count(const bqb_followups *f) { return f->n; }

/* ---- matching ---- */

typedef struct {
    const bqb_followups *f;
    const bqb_units *u;
    const wording *best;
    size_t from, to; /* of {what} */
} matching;

static bool same(const bqb_unit *a, const uint32_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i].id != b[i]) return false;
    return true;
}

/* Few enough to name a quality: six characters, or three words. */
static bool is_short(const bqb_unit *u, size_t n) {
    size_t words = 0;
    for (size_t i = 0; i < n; i++) words += u[i].kind == BQB_UNIT_WORD;
    return n && n <= MOST_CHARACTERS && words <= MOST_WORDS;
}

static bool is_better(const matching *m, const wording *w, size_t left_open) {
    if (!m->best) return true;
    if (m->best->open != w->open) return !w->open;
    return left_open < m->to - m->from;
}

/* Units from … to-1 against every wording. */
static void try_all(matching *m, size_t from, size_t to) {
    const bqb_unit *u = m->u->unit;
    for (size_t i = 0; i < m->f->n; i++) {
        const wording *w = &m->f->list[i];
        size_t right = w->n - w->n_left;
        if (w->kind >= BQB_FOLLOWS || to - from < w->n || (!w->open && to - from != w->n)) continue;
        if (!same(u + from, w->unit, w->n_left) || !same(u + to - right, w->unit + w->n_left, right)) continue;
        size_t begin = from + w->n_left, end = to - right;
        if ((w->open && !is_short(u + begin, end - begin)) || !is_better(m, w, end - begin)) continue;
        m->best = w;
        m->from = begin;
        m->to = end;
    }
}

/* Without what may stand before and after, taken off in every way that is possible. */
static void strip(matching *m, size_t from, size_t to, int depth) {
    try_all(m, from, to);
    for (size_t i = 0; i < m->f->n && depth < MAX_STRIPPED; i++) {
        const wording *w = &m->f->list[i];
        if (w->n >= to - from) continue;
        if (w->kind == BEFORE && same(m->u->unit + from, w->unit, w->n)) strip(m, from + w->n, to, depth + 1);
        if (w->kind == AFTER && same(m->u->unit + to - w->n, w->unit, w->n)) strip(m, from, to - w->n, depth + 1);
    }
}

bqb_status bqb_followups_match(bqb_followup *out, const bqb_followups *f, const char *message, bqb_err *err) {
    bqb_units u = {.n = 0};
    *out = (bqb_followup){.kind = BQB_FOLLOW_NONE};
    size_t n = strlen(message);
    if (n > MAX_MESSAGE) return BQB_OK;
    bqb_status s = bqb_units_read(&u, message, n, err);
    matching m = {.f = f, .u = &u};
    if (!s && u.n && u.n <= MAX_UNITS) strip(&m, 0, u.n, 0);
    if (m.best) {
        out->kind = (bqb_follow_kind)m.best->kind;
        const bqb_unit *first = u.unit + m.from, *last = u.unit + m.to - 1;
        if (!m.best->open) snprintf(out->what, sizeof out->what, "%s", m.best->what);
        else if (last->start + last->n_bytes - first->start >= sizeof out->what) *out = (bqb_followup){.kind = BQB_FOLLOW_NONE};
        else snprintf(out->what, sizeof out->what, "%.*s", (int)(last->start + last->n_bytes - first->start), u.folded.data + first->start);
    }
    bqb_units_free(&u);
    return s;
}
