#define _GNU_SOURCE
#include "library/likeness.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "image/near.h"
#include "image/sketch.h"
#include "library/id_set.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK = 64,        /* files looked at in one transaction */
    COMPARE = 512,    /* stickers compared in one transaction */
    HITS_MAX = 1024,  /* near hashes that are followed up, of each hash */
    SAME_MAX = 24,    /* nearest stickers whose files are looked at again */
    WORDS_MAX = 24,   /* and pairs with other words that are kept, of each sticker */
    PART_NEAR = 8,    /* bits of an upper or lower part that other words left as it was */
};

typedef struct {
    bqb_catalogue *c;
    bqb_likeness_report *r;
    int threads;
    bqb_progress_fn progress;
    void *ctx;
} update;

static bqb_status tell(const update *u, const char *what, size_t done, size_t total, bqb_err *err) {
    if (!u->progress || !u->progress(u->ctx, what, done, total)) return BQB_OK;
    return bqb_fail(err, BQB_ECANCEL, "stopped while %s; what was done is kept, and the same command goes on from here", what);
}

/* The looks of a sticker's file; BQB_EIO: it cannot be read now. */
static bqb_status read_looks(bqb_looks *l, const char *path, bqb_err *err) {
    bqb_map m;
    bqb_status s = bqb_map_open(&m, path, err);
    if (s) return s == BQB_ENOMEM ? s : BQB_EIO;
    s = bqb_looks_read(l, NULL, m.data, m.size, path, err);
    bqb_map_close(&m);
    return s;
}

/* ---- sketches ---- */

typedef struct {
    char *path; /* NULL: there is no file */
    bqb_status st;
    size_t n_bytes;
    uint8_t frames[3 * BQB_SKETCH_BYTES];
} sketching;

static void sketch_one(void *ctx, size_t i, int worker) {
    (void)worker;
    sketching *j = (sketching *)ctx + i;
    j->n_bytes = 0;
    if (!j->path) return;
    bqb_looks *l = bqb_calloc(1, sizeof *l);
    j->st = l ? read_looks(l, j->path, NULL) : BQB_ENOMEM;
    if (!j->st) j->n_bytes = bqb_sketch_all(j->frames, l);
    free(l);
}

static bqb_status store_sketches(const update *u, const bqb_sticker_id *id, const sketching *j, size_t n, bqb_err *err) {
    bqb_status s = bqb_catalogue_begin(u->c, err);
    for (size_t i = 0; i < n && !s; i++) {
        bqb_sticker there;
        if (!j[i].path || j[i].st == BQB_EIO) continue; /* not there now */
        if (j[i].st == BQB_ENOMEM) s = bqb_fail_nomem(err, "looks", sizeof(bqb_looks));
        else if (bqb_catalogue_get_sticker(u->c, id[i], &there, err)) continue; /* removed in this moment */
        else s = bqb_catalogue_put_sketch(u->c, id[i], j[i].frames, j[i].n_bytes, err);
        u->r->sketched++;
        u->r->unreadable += !j[i].n_bytes;
    }
    if (!s) s = bqb_catalogue_commit(u->c, err);
    if (s) bqb_catalogue_rollback(u->c);
    return s;
}

static bqb_status sketch_all(const update *u, bqb_err *err) {
    bqb_id_set todo = {0};
    sketching *j = bqb_calloc(LOOK, sizeof *j);
    bqb_status s = j ? bqb_catalogue_each_unsketched(u->c, bqb_id_set_add, &todo, err) : bqb_fail_nomem(err, "looks", LOOK * sizeof *j);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "list of stickers", todo.n * sizeof *todo.id);
    for (size_t at = 0; at < todo.n && !s; at += LOOK) {
        size_t n = todo.n - at < LOOK ? todo.n - at : LOOK;
        for (size_t i = 0; i < n && !s; i++) {
            j[i].st = BQB_OK;
            s = bqb_catalogue_path_of(u->c, todo.id[at + i], &j[i].path, NULL, err);
            if (s == BQB_ENOTFOUND) s = BQB_OK;
        }
        if (!s) bqb_parallel_for(n, u->threads, sketch_one, j);
        if (!s) s = store_sketches(u, todo.id + at, j, n, err);
        for (size_t i = 0; i < n; i++) {
            free(j[i].path);
            j[i].path = NULL;
        }
        if (!s) s = tell(u, "looking at pictures", at + n, todo.n, err);
    }
    bqb_id_set_free(&todo);
    free(j);
    return s;
}

/* ---- comparing ---- */

typedef struct {
    bqb_sticker_id id;
    size_t first; /* into sketch[] */
    uint8_t n;
    bool compared;
} entry;

typedef struct {
    uint32_t other, bits;
    bqb_likeness l;
    bool look; /* the files must say */
} candidate;

typedef struct {
    candidate *item;
    size_t n, cap;
} candidate_list;

typedef struct {
    const update *u;
    entry *e;
    size_t n, cap;
    bqb_sketch *sketch;
    size_t n_sketches, sketch_cap;
    bqb_near *same, *upper, *lower; /* owners: place in e[] * 4 + frame */
    uint32_t *todo;
    size_t n_todo;
    /* of the block at hand */
    const uint32_t *block;
    candidate_list *found; /* [COMPARE] */
    char **path;           /* [n] of the stickers to look at; NULL elsewhere */
    bool failed;
} comparison;

static int take_sketch(void *ctx, bqb_sticker_id id, const uint8_t *frames, size_t n_bytes, bool compared) {
    comparison *x = ctx;
    size_t n = n_bytes % BQB_SKETCH_BYTES || n_bytes > 3 * BQB_SKETCH_BYTES ? 0 : n_bytes / BQB_SKETCH_BYTES;
    entry *e = bqb_grow(x->e, x->n, &x->cap, sizeof *e, 1024);
    if (!e) return 1;
    x->e = e;
    x->e[x->n++] = (entry){.id = id, .first = x->n_sketches, .n = (uint8_t)n, .compared = compared};
    for (size_t f = 0; f < n; f++) {
        bqb_sketch *s = bqb_grow(x->sketch, x->n_sketches, &x->sketch_cap, sizeof *s, 1024);
        if (!s) return 1;
        x->sketch = s;
        bqb_sketch_unpack(&x->sketch[x->n_sketches++], frames + f * BQB_SKETCH_BYTES);
    }
    return 0;
}

static bqb_near_key key_of(const uint64_t hash[2], size_t place, size_t frame) {
    return (bqb_near_key){{hash[0], hash[1]}, (uint32_t)(4 * place + frame)};
}

static bool has_border(const bqb_sketch *s) { return memcmp(s->whole, s->inner, sizeof s->whole) != 0; }

static bqb_status make_indices(comparison *x, bqb_err *err) {
    bqb_near_key *same = bqb_calloc(2 * x->n_sketches, sizeof *same), *upper = bqb_calloc(x->n_sketches, sizeof *upper),
                 *lower = bqb_calloc(x->n_sketches, sizeof *lower);
    bqb_status s = same && upper && lower ? BQB_OK : bqb_fail_nomem(err, "hashes", 4 * x->n_sketches * sizeof *same);
    size_t n = 0, m = 0;
    for (size_t i = 0; i < x->n && !s; i++)
        for (size_t f = 0; f < x->e[i].n; f++) {
            const bqb_sketch *k = &x->sketch[x->e[i].first + f];
            if (k->flat) continue;
            same[n++] = key_of(k->whole, i, f);
            if (has_border(k)) same[n++] = key_of(k->inner, i, f);
            upper[m] = key_of(k->upper, i, f);
            lower[m++] = key_of(k->lower, i, f);
        }
    if (!s) s = bqb_near_new(&x->same, same, n, err);
    if (!s) s = bqb_near_new(&x->upper, upper, m, err);
    if (!s) s = bqb_near_new(&x->lower, lower, m, err);
    free(same);
    free(upper);
    free(lower);
    return s;
}

/* A pair is looked at once: by the newer of two that are new. */
static bool is_due(const comparison *x, uint32_t i, uint32_t other) {
    return other != i && (x->e[other].compared || other < i);
}

static candidate *candidate_for(comparison *x, candidate_list *l, uint32_t other, uint32_t bits) {
    for (size_t k = 0; k < l->n; k++)
        if (l->item[k].other == other) {
            if (bits < l->item[k].bits) l->item[k].bits = bits;
            return &l->item[k];
        }
    candidate *grown = bqb_grow(l->item, l->n, &l->cap, sizeof *grown, 8);
    if (!grown) {
        x->failed = true;
        return NULL;
    }
    l->item = grown;
    l->item[l->n] = (candidate){.other = other, .bits = bits};
    return &l->item[l->n++];
}

/* Frame by frame the same or the same with other words; a still against any frame. */
static bool other_words(const comparison *x, const entry *a, const entry *b) {
    const bqb_sketch *p = &x->sketch[a->first], *q = &x->sketch[b->first];
    bool some = false, all = true;
    for (size_t f = 0; f < a->n; f++)
        for (size_t g = 0; g < b->n; g++) {
            if (a->n == b->n && f != g) continue;
            if (a->n == b->n && p[f].flat && q[g].flat) continue;
            bool words = bqb_sketch_other_words(&p[f], &q[g]);
            some |= words;
            all &= words || bqb_sketch_may_be_same(&p[f], &q[g]);
        }
    return a->n == b->n ? some && all : some;
}

static void find_same(comparison *x, uint32_t i, candidate_list *l, bqb_near_hits *hits) {
    const entry *a = &x->e[i];
    for (size_t f = 0; f < a->n && !x->failed; f++) {
        const bqb_sketch *k = &x->sketch[a->first + f];
        hits->n = 0;
        if (k->flat) continue;
        if (bqb_near_find(x->same, k->whole, BQB_HASH_NEAR, HITS_MAX, hits, NULL)) x->failed = true;
        if (has_border(k) && bqb_near_find(x->same, k->inner, BQB_HASH_NEAR, HITS_MAX, hits, NULL)) x->failed = true;
        bqb_near_settle(hits);
        for (size_t h = 0; h < hits->n && !x->failed; h++) {
            uint32_t other = hits->item[h].owner / 4;
            const entry *b = &x->e[other];
            if (!is_due(x, i, other) || !bqb_sketch_may_be_same(k, &x->sketch[b->first + hits->item[h].owner % 4])) continue;
            candidate *c = candidate_for(x, l, other, hits->item[h].bits);
            if (c) c->look = true;
        }
    }
}

static void find_other_words(comparison *x, uint32_t i, candidate_list *l, bqb_near_hits *hits) {
    const entry *a = &x->e[i];
    size_t n = 0;
    hits->n = 0;
    for (size_t f = 0; f < a->n; f++) {
        const bqb_sketch *k = &x->sketch[a->first + f];
        if (k->flat) continue;
        if (bqb_near_find(x->upper, k->upper, PART_NEAR, HITS_MAX, hits, NULL)) x->failed = true;
        if (bqb_near_find(x->lower, k->lower, PART_NEAR, HITS_MAX, hits, NULL)) x->failed = true;
    }
    for (size_t h = 0; h < hits->n; h++) hits->item[h].owner /= 4;
    bqb_near_settle(hits);
    for (size_t h = 0; h < hits->n && n < WORDS_MAX && !x->failed; h++) {
        uint32_t other = hits->item[h].owner;
        if (!is_due(x, i, other) || !other_words(x, a, &x->e[other])) continue;
        candidate *c = candidate_for(x, l, other, hits->item[h].bits);
        if (c) c->l = BQB_OTHER_WORDS;
        n++;
    }
}

static int nearest_first(const void *p, const void *q) {
    const candidate *a = p, *b = q;
    if (a->look != b->look) return a->look ? -1 : 1;
    if (a->bits != b->bits) return a->bits < b->bits ? -1 : 1;
    return a->other < b->other ? -1 : a->other > b->other;
}

/* Worker: by hashes and sketches alone. */
static void find_one(void *ctx, size_t k, int worker) {
    (void)worker;
    comparison *x = ctx;
    candidate_list *l = &x->found[k];
    bqb_near_hits hits = {0};
    l->n = 0;
    find_same(x, x->block[k], l, &hits);
    find_other_words(x, x->block[k], l, &hits);
    free(hits.item);
    if (l->n) qsort(l->item, l->n, sizeof *l->item, nearest_first);
    for (size_t i = SAME_MAX; i < l->n; i++) l->item[i].look = false;
}

/* Worker: the files decide about those that may be the same. */
static void look_one(void *ctx, size_t k, int worker) {
    (void)worker;
    comparison *x = ctx;
    candidate_list *l = &x->found[k];
    const char *path = x->path[x->block[k]];
    if (!l->n || !l->item[0].look || !path) return;
    bqb_looks *a = bqb_calloc(2, sizeof *a), *b = a + 1;
    if (!a) {
        x->failed = true;
        return;
    }
    if (!read_looks(a, path, NULL))
        for (size_t i = 0; i < l->n && l->item[i].look; i++) {
            const char *other = x->path[l->item[i].other];
            if (other && !read_looks(b, other, NULL) && bqb_looks_same_picture(a, b)) l->item[i].l = BQB_SAME_PICTURE;
        }
    free(a);
}

static bqb_status want_path(comparison *x, uint32_t i, bqb_err *err) {
    if (x->path[i]) return BQB_OK;
    bqb_status s = bqb_catalogue_path_of(x->u->c, x->e[i].id, &x->path[i], NULL, err);
    return s == BQB_ENOTFOUND ? BQB_OK : s;
}

static bqb_status store_block(comparison *x, size_t n, bqb_err *err) {
    bqb_catalogue *c = x->u->c;
    bqb_status s = bqb_catalogue_begin(c, err);
    for (size_t k = 0; k < n && !s; k++) {
        const entry *a = &x->e[x->block[k]];
        size_t before = x->u->r->same;
        for (size_t i = 0; i < x->found[k].n && !s; i++) {
            const candidate *m = &x->found[k].item[i];
            if (m->l == BQB_UNLIKE) continue;
            s = bqb_catalogue_put_pair(c, a->id, x->e[m->other].id, m->l, err);
            if (m->l == BQB_SAME_PICTURE) x->u->r->same++;
            else x->u->r->other_words++;
        }
        if (!s) s = bqb_catalogue_set_compared(c, a->id, err);
        x->u->r->compared++;
        x->u->r->copies += x->u->r->same > before;
    }
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

static bqb_status compare_block(comparison *x, size_t n, bqb_err *err) {
    bqb_status s = BQB_OK;
    bqb_parallel_for(n, x->u->threads, find_one, x);
    for (size_t k = 0; k < n && !s && !x->failed; k++)
        for (size_t i = 0; i < x->found[k].n && x->found[k].item[i].look && !s; i++) {
            s = want_path(x, x->block[k], err);
            if (!s) s = want_path(x, x->found[k].item[i].other, err);
        }
    if (!s && !x->failed) bqb_parallel_for(n, x->u->threads, look_one, x);
    if (!s && x->failed) s = bqb_fail_nomem(err, "near copies", sizeof(bqb_looks));
    if (!s) s = store_block(x, n, err);
    for (size_t k = 0; k < n; k++) {
        free(x->path[x->block[k]]);
        x->path[x->block[k]] = NULL;
        for (size_t i = 0; i < x->found[k].n; i++) {
            free(x->path[x->found[k].item[i].other]);
            x->path[x->found[k].item[i].other] = NULL;
        }
    }
    return s;
}

static bqb_status compare_all(comparison *x, bqb_err *err) {
    x->todo = bqb_calloc(x->n, sizeof *x->todo);
    x->path = bqb_calloc(x->n, sizeof *x->path);
    x->found = bqb_calloc(COMPARE, sizeof *x->found);
    if (!x->todo || !x->path || !x->found) return bqb_fail_nomem(err, "near copies", x->n * sizeof *x->path);
    for (size_t i = 0; i < x->n; i++)
        if (!x->e[i].compared) x->todo[x->n_todo++] = (uint32_t)i;
    bqb_status s = make_indices(x, err);
    for (size_t at = 0; at < x->n_todo && !s; at += COMPARE) {
        size_t n = x->n_todo - at < COMPARE ? x->n_todo - at : COMPARE;
        x->block = x->todo + at;
        s = compare_block(x, n, err);
        if (!s) s = tell(x->u, "comparing pictures", at + n, x->n_todo, err);
    }
    return s;
}

static bqb_status compare(const update *u, bqb_err *err) {
    comparison x = {.u = u};
    size_t waiting;
    bqb_status s = bqb_catalogue_count_uncompared(u->c, &waiting, err);
    if (s || !waiting) return s;
    s = bqb_catalogue_each_sketch(u->c, take_sketch, &x, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "sketches", x.n_sketches * sizeof *x.sketch);
    if (!s && x.n > UINT32_MAX / 4) s = bqb_fail(err, BQB_ELIMIT, "%zu stickers; at most %u can be compared", x.n, UINT32_MAX / 4);
    if (!s) s = compare_all(&x, err);
    for (size_t k = 0; x.found && k < COMPARE; k++) free(x.found[k].item);
    free(x.e);
    free(x.sketch);
    bqb_near_free(x.same);
    bqb_near_free(x.upper);
    bqb_near_free(x.lower);
    free(x.todo);
    free(x.found);
    free(x.path);
    return s;
}

bqb_status bqb_likeness_update(bqb_likeness_report *r, bqb_catalogue *c, int threads, bqb_progress_fn progress, void *ctx,
                               bqb_err *err) {
    update u = {.c = c, .r = r, .threads = threads ? threads : bqb_cpu_count(), .progress = progress, .ctx = ctx};
    *r = (bqb_likeness_report){0};
    bqb_status s = bqb_image_init(err);
    if (!s) s = sketch_all(&u, err);
    return s ? s : compare(&u, err);
}
