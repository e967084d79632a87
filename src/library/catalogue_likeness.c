/* Sketches, pairs that are alike, groups and their keepers in the catalogue. */
#include "library/likeness.h"

#include "base/mem.h"
#include "library/catalogue_db.h"

#include <stdlib.h>
#include <string.h>

enum { SINCE = 5 }; /* the schema that has these tables */

bqb_status bqb_catalogue_group_of(bqb_catalogue *c, bqb_sticker_id id, bqb_group *g, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *g = (bqb_group){0};
    if (c->version < SINCE) return BQB_OK;
    bqb_status s = bqb_db_prepare(c, GROUP_OF, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = bqb_db_step(c, st, &row, err)) || !row) return s;
    *g = (bqb_group){.first = sqlite3_column_int64(st, 0),
                     .keeper = sqlite3_column_int64(st, 1),
                     .others = (size_t)sqlite3_column_int64(st, 2)};
    sqlite3_reset(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_likeness_of(bqb_catalogue *c, bqb_sticker_id a, bqb_sticker_id b, bqb_likeness *l, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *l = BQB_UNLIKE;
    if (c->version < SINCE) return BQB_OK;
    bqb_status s = bqb_db_prepare(c, LIKENESS_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, a);
    sqlite3_bind_int64(st, 2, b);
    if ((s = bqb_db_step(c, st, &row, err)) || !row) return s;
    int kind = sqlite3_column_int(st, 0);
    if (kind == BQB_SAME_PICTURE || kind == BQB_OTHER_WORDS) *l = (bqb_likeness)kind;
    sqlite3_reset(st);
    return BQB_OK;
}

static bqb_status each_pair(bqb_catalogue *c, sqlite3_stmt *st, bqb_pair_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = bqb_db_step(c, st, &row, err)) && row)
        if (fn(ctx, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1))) {
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_pair(bqb_catalogue *c, bqb_likeness kind, bqb_pair_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    if (c->version < SINCE) return BQB_OK;
    bqb_status s = bqb_db_prepare(c, LIKENESS_EACH, &st, err);
    if (s) return s;
    sqlite3_bind_int(st, 1, (int)kind);
    return each_pair(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_grouped(bqb_catalogue *c, bqb_pair_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    if (c->version < SINCE) return BQB_OK;
    bqb_status s = bqb_db_prepare(c, GROUP_EACH, &st, err);
    return s ? s : each_pair(c, st, fn, ctx, err);
}

/* Run a statement on one sticker. */
static bqb_status run_on(bqb_catalogue *c, bqb_statement which, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, which, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    return bqb_db_run(c, st, err);
}

bqb_status bqb_catalogue_keep(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_group g;
    bqb_status s = bqb_catalogue_group_of(c, id, &g, err);
    if (!s && !g.first) return bqb_fail(err, BQB_ENOTFOUND, "it has no near copies; nothing is to be hidden");
    if (!s) s = run_on(c, KEEPER_DROP, id, err);
    return s ? s : run_on(c, KEEPER_PUT, id, err);
}

bqb_status bqb_catalogue_keep_none(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) { return run_on(c, KEEPER_DROP, id, err); }

bqb_status bqb_catalogue_put_sketch(bqb_catalogue *c, bqb_sticker_id id, const uint8_t *frames, size_t n_bytes, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, SKETCH_PUT, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_blob(st, 2, n_bytes ? frames : (const uint8_t *)"", n_bytes);
    return bqb_db_run(c, st, err);
}

bqb_status bqb_catalogue_each_unsketched(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, SKETCH_LACKING, &st, err);
    return s ? s : bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_sketch(bqb_catalogue *c, bqb_sketch_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, SKETCH_EACH, &st, err);
    if (s) return s;
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        const uint8_t *frames = sqlite3_column_blob(st, 1);
        size_t n = frames ? (size_t)sqlite3_column_bytes(st, 1) : 0;
        if (fn(ctx, sqlite3_column_int64(st, 0), frames, n, sqlite3_column_int(st, 2) != 0)) {
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_count_uncompared(bqb_catalogue *c, size_t *n, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *n = 0;
    bqb_status s = bqb_db_prepare(c, SKETCH_NEW, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s || !row) return s;
    *n = (size_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_put_pair(bqb_catalogue *c, bqb_sticker_id a, bqb_sticker_id b, bqb_likeness l, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, LIKENESS_PUT, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, a);
    sqlite3_bind_int64(st, 2, b);
    sqlite3_bind_int(st, 3, (int)l);
    c->regroup |= l == BQB_SAME_PICTURE;
    return bqb_db_run(c, st, err);
}

bqb_status bqb_catalogue_set_compared(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) { return run_on(c, SKETCH_COMPARED, id, err); }

/* ---- groups ---- */

typedef struct {
    bqb_sticker_id a, b;
} pair;

typedef struct {
    bqb_sticker_id id, first;
    bool moves;
    int64_t pixels;
} member;

typedef struct {
    pair *pair; /* both ways, by a */
    size_t n_pairs, pair_cap;
    member *m; /* by id */
    size_t n, cap;
} grouping;

static int take_pair(void *ctx, bqb_sticker_id a, bqb_sticker_id b) {
    grouping *g = ctx;
    for (int way = 0; way < 2; way++) {
        pair *grown = bqb_grow(g->pair, g->n_pairs, &g->pair_cap, sizeof *grown, 64);
        if (!grown) return 1;
        g->pair = grown;
        g->pair[g->n_pairs++] = way ? (pair){b, a} : (pair){a, b};
    }
    return 0;
}

static int by_pair(const void *x, const void *y) {
    const pair *p = x, *q = y;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

static int best_first(const void *x, const void *y) {
    const member *p = x, *q = y;
    if (p->moves != q->moves) return p->moves ? -1 : 1;
    if (p->pixels != q->pixels) return p->pixels > q->pixels ? -1 : 1;
    return p->id < q->id ? -1 : p->id > q->id;
}

static int by_id(const void *x, const void *y) {
    const member *p = x, *q = y;
    return p->id < q->id ? -1 : p->id > q->id;
}

static bqb_status add_members(grouping *g, bqb_catalogue *c, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < g->n_pairs && !s; i++) {
        sqlite3_stmt *st;
        bool row;
        if (i && g->pair[i].a == g->pair[i - 1].a) continue;
        member *grown = bqb_grow(g->m, g->n, &g->cap, sizeof *grown, 64);
        if (!grown) return bqb_fail_nomem(err, "groups", g->n * sizeof *grown);
        g->m = grown;
        if ((s = bqb_db_prepare(c, GROUP_RANK, &st, err))) return s;
        sqlite3_bind_int64(st, 1, g->pair[i].a);
        if ((s = bqb_db_step(c, st, &row, err)) || !row) continue;
        g->m[g->n++] = (member){.id = g->pair[i].a, .moves = sqlite3_column_int64(st, 0) > 1, .pixels = sqlite3_column_int64(st, 1)};
        sqlite3_reset(st);
    }
    return s;
}

/* g->m is by id: where a sticker's pairs begin. */
static size_t pairs_of(const grouping *g, bqb_sticker_id id) {
    size_t lo = 0, hi = g->n_pairs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (g->pair[mid].a < id) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static bqb_status make_groups(grouping *g, bqb_err *err) {
    member *best = bqb_calloc(g->n, sizeof *best);
    if (!best) return bqb_fail_nomem(err, "groups", g->n * sizeof *best);
    if (g->n) memcpy(best, g->m, g->n * sizeof *best);
    if (g->n) qsort(best, g->n, sizeof *best, best_first);
    for (size_t i = 0; i < g->n; i++) {
        member *first = bsearch(&best[i], g->m, g->n, sizeof *g->m, by_id);
        if (first->first) continue;
        for (size_t k = pairs_of(g, first->id); k < g->n_pairs && g->pair[k].a == first->id; k++) {
            member key = {.id = g->pair[k].b}, *other = bsearch(&key, g->m, g->n, sizeof *g->m, by_id);
            if (!other || other->first) continue;
            other->first = first->id;
            first->first = first->id;
        }
    }
    free(best);
    return BQB_OK;
}

bqb_status bqb_db_regroup(bqb_catalogue *c, bqb_err *err) {
    grouping g = {0};
    bqb_status s = bqb_catalogue_each_pair(c, BQB_SAME_PICTURE, take_pair, &g, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "groups", g.n_pairs * sizeof *g.pair);
    if (!s && g.n_pairs) qsort(g.pair, g.n_pairs, sizeof *g.pair, by_pair);
    if (!s) s = add_members(&g, c, err);
    if (!s) s = make_groups(&g, err);
    if (!s) s = bqb_db_run_plain(c, GROUP_CLEAR, err);
    for (size_t i = 0; i < g.n && !s; i++) {
        sqlite3_stmt *st;
        if (!g.m[i].first || (s = bqb_db_prepare(c, GROUP_SET, &st, err))) continue;
        sqlite3_bind_int64(st, 1, g.m[i].id);
        sqlite3_bind_int64(st, 2, g.m[i].first);
        s = bqb_db_run(c, st, err);
    }
    free(g.pair);
    free(g.m);
    return s;
}
