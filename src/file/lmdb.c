#include "file/lmdb.h"

#include "base/fs.h"
#include "base/little_endian.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_HEAD = 16, META_BYTES = 152, NODE_HEAD = 8,
    BRANCH = 0x01, LEAF = 0x02, OVERFLOW = 0x04, META = 0x08, KINDS = 0x6f, /* of pages; 0x10 is "dirty" */
    BIG_DATA = 0x01,                                                        /* of nodes */
    MIN_PAGE = 256, MAX_PAGE = 65536, MAX_DEPTH = 32, VERSION = 1
};
static const uint32_t MAGIC = 0xbeefc0de, MAGIC_SWAPPED = 0xdec0efbe;

struct bqb_lmdb {
    bqb_map map;
    char *path;
    size_t page_size;
    uint64_t n_pages, root;
    unsigned depth; /* 0: empty */
};

/* ---- opening ---- */

static char *file_of(const char *path) { return bqb_is_dir(path) ? bqb_path_join(path, "data.mdb") : bqb_strdup(path); }

bool bqb_is_lmdb(const char *path) {
    char *file = file_of(path);
    if (file && bqb_is_dir(path)) { /* whatever is in it: opening says what is wrong */
        bool there = bqb_is_file(file);
        free(file);
        return there;
    }
    bqb_map m = {0};
    bool yes = file && bqb_is_file(file) && !bqb_map_open(&m, file, NULL) && m.size >= META_BYTES &&
               (bqb_le(m.data + PAGE_HEAD, 4) == MAGIC || bqb_le(m.data + PAGE_HEAD, 4) == MAGIC_SWAPPED);
    bqb_map_close(&m);
    free(file);
    return yes;
}

void bqb_lmdb_close(bqb_lmdb *db) {
    if (!db) return;
    bqb_map_close(&db->map);
    free(db->path);
    free(db);
}

const char *bqb_lmdb_path(const bqb_lmdb *db) { return db->path; }

/* A meta page at b, which has META_BYTES: sound, and what it says. */
static bqb_status read_meta(const uint8_t *b, uint64_t *txn, uint64_t *root, unsigned *depth, unsigned *flags, bqb_err *err) {
    uint32_t magic = (uint32_t)bqb_le(b + 16, 4), version = (uint32_t)bqb_le(b + 20, 4);
    if (magic == MAGIC_SWAPPED) return bqb_fail(err, BQB_EUNSUPPORTED, "written on a big-endian machine");
    if (magic != MAGIC || !(bqb_le16(b + 10) & META)) return bqb_fail(err, BQB_EFORMAT, "not an LMDB database");
    if (version != VERSION)
        return bqb_fail(err, BQB_EUNSUPPORTED, "its format has version %" PRIu32 ", only %d is known", version, VERSION);
    const uint8_t *main_db = b + 88;
    *flags = (unsigned)bqb_le16(main_db + 4);
    *depth = (unsigned)bqb_le16(main_db + 6);
    *root = bqb_le(main_db + 40, 8);
    *txn = bqb_le(b + 144, 8);
    return BQB_OK;
}

static bqb_status read_metas(bqb_lmdb *db, bqb_err *err) {
    const uint8_t *b = db->map.data;
    uint64_t txn, other_txn, other_root;
    unsigned flags, other_depth, other_flags;
    if (db->map.size < META_BYTES) return bqb_fail(err, BQB_EFORMAT, "%zu bytes are no LMDB database", db->map.size);
    bqb_status s = read_meta(b, &txn, &db->root, &db->depth, &flags, err);
    if (s) return s;
    db->page_size = (size_t)bqb_le(b + 40, 4);
    if (db->page_size < MIN_PAGE || db->page_size > MAX_PAGE || db->page_size & (db->page_size - 1))
        return bqb_fail(err, BQB_EFORMAT, "pages of %zu bytes", db->page_size);
    db->n_pages = db->map.size / db->page_size;
    if (db->n_pages < 2) return bqb_fail(err, BQB_EFORMAT, "cut short: its second page is missing");
    /* The two are written in turn; the newer one counts, and one alone is enough. */
    if (!read_meta(b + db->page_size, &other_txn, &other_root, &other_depth, &other_flags, NULL) && other_txn > txn) {
        db->root = other_root;
        db->depth = other_depth;
        flags = other_flags;
    }
    if (flags) return bqb_fail(err, BQB_EUNSUPPORTED, "its keys are in an order (flags 0x%x) that is not read", flags);
    if (db->root == UINT64_MAX) db->depth = 0;
    if (db->depth > MAX_DEPTH) return bqb_fail(err, BQB_EFORMAT, "a tree of depth %u", db->depth);
    return BQB_OK;
}

bqb_status bqb_lmdb_open(bqb_lmdb **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_lmdb *db = bqb_calloc(1, sizeof *db);
    if (!db) return bqb_fail_nomem(err, path, sizeof *db);
    db->path = file_of(path);
    bqb_status s = db->path ? bqb_map_open(&db->map, db->path, err) : bqb_fail_nomem(err, path, strlen(path));
    if (!s) {
        s = read_metas(db, err);
        if (s) bqb_err_prefix(err, db->path);
    }
    if (s) bqb_lmdb_close(db);
    else *out = db;
    return s;
}

/* ---- pages and nodes ---- */

static bqb_status bad(const bqb_lmdb *db, uint64_t page, const char *what, bqb_err *err) {
    return bqb_fail_at(err, BQB_EFORMAT, (int64_t)(page * db->page_size), "%s: page %" PRIu64 " %s", db->path, page, what);
}

/* A page of the tree: a branch, or a leaf on the lowest level. */
typedef struct {
    uint64_t number;
    const uint8_t *at;
    size_t n; /* nodes */
} page;

static bqb_status open_page(const bqb_lmdb *db, page *p, uint64_t number, bool leaf, bqb_err *err) {
    *p = (page){.number = number};
    if (number < 2 || number >= db->n_pages) {
        return bqb_fail(err, BQB_EFORMAT, "%s: page %" PRIu64 " is asked for, the file has %" PRIu64, db->path, number, db->n_pages);
    }
    p->at = db->map.data + number * db->page_size;
    size_t lower = bqb_le16(p->at + 12);
    if (bqb_le(p->at, 8) != number) return bad(db, number, "says that it is another", err);
    if ((bqb_le16(p->at + 10) & KINDS) != (leaf ? LEAF : BRANCH)) return bad(db, number, leaf ? "is no leaf" : "is no branch", err);
    if (lower < PAGE_HEAD || lower > db->page_size || lower % 2) return bad(db, number, "has a broken head", err);
    p->n = (lower - PAGE_HEAD) / 2;
    if (!p->n) return bad(db, number, "is empty", err);
    return BQB_OK;
}

typedef struct {
    const uint8_t *key, *data; /* data: after the key */
    size_t n, room;            /* room: bytes from data to the end of the page */
    unsigned flags;
    uint32_t size;   /* of a leaf's value */
    uint64_t child;  /* of a branch */
} node;

static bqb_status open_node(const bqb_lmdb *db, node *x, const page *p, size_t i, bqb_err *err) {
    size_t at = bqb_le16(p->at + PAGE_HEAD + 2 * i);
    if (at < PAGE_HEAD + 2 * p->n || at + NODE_HEAD > db->page_size) return bad(db, p->number, "has a node outside itself", err);
    const uint8_t *b = p->at + at;
    size_t n = bqb_le16(b + 6), room = db->page_size - at - NODE_HEAD;
    if (n > room) return bad(db, p->number, "has a key that goes past its end", err);
    *x = (node){.key = b + NODE_HEAD, .data = b + NODE_HEAD + n, .n = n, .room = room - n, .flags = (unsigned)bqb_le16(b + 4),
                .size = (uint32_t)bqb_le(b, 4), .child = bqb_le(b, 6)};
    return BQB_OK;
}

static bqb_status value_of(const bqb_lmdb *db, const page *p, const node *x, const uint8_t **data, size_t *size, bqb_err *err) {
    *size = x->size;
    *data = x->data;
    if (!x->flags) return x->size <= x->room ? BQB_OK : bad(db, p->number, "has a value that goes past its end", err);
    if (x->flags != BIG_DATA)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: page %" PRIu64 " holds databases or duplicates inside the database, which are not read",
                        db->path, p->number);
    if (x->room < 8) return bad(db, p->number, "has a page number that goes past its end", err);
    uint64_t number = bqb_le(x->data, 8);
    if (number < 2 || number >= db->n_pages) return bad(db, p->number, "has a value outside the file", err);
    const uint8_t *first = db->map.data + number * db->page_size;
    uint64_t pages = bqb_le(first + 12, 4);
    if ((bqb_le16(first + 10) & KINDS) != OVERFLOW || bqb_le(first, 8) != number || pages > db->n_pages - number || !pages ||
        x->size > pages * db->page_size - PAGE_HEAD)
        return bad(db, number, "does not hold the value that it should", err);
    *data = first + PAGE_HEAD;
    return BQB_OK;
}

static int compare(const void *a, size_t n, const void *b, size_t m) {
    int d = n && m ? memcmp(a, b, n < m ? n : m) : 0;
    return d ? d : n < m ? -1 : n > m;
}

/* ---- looking up ---- */

/* The last node whose key is not above the wanted one; in a branch the first key
 * counts as lower than all. *exact: the key is there. */
static bqb_status search(const bqb_lmdb *db, const page *p, bool leaf, const void *key, size_t n, node *x, bool *exact, bqb_err *err) {
    size_t lo = leaf ? 0 : 1, hi = p->n;
    *exact = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        bqb_status s = open_node(db, x, p, mid, err);
        if (s) return s;
        int d = compare(x->key, x->n, key, n);
        if (!d && leaf) {
            *exact = true;
            return BQB_OK;
        }
        if (d <= 0) lo = mid + 1;
        else hi = mid;
    }
    return leaf ? BQB_OK : open_node(db, x, p, lo - 1, err);
}

bqb_status bqb_lmdb_get(const bqb_lmdb *db, const void *key, size_t n, const uint8_t **data, size_t *size, bqb_err *err) {
    uint64_t number = db->root;
    for (unsigned level = 1; level <= db->depth; level++) {
        bool leaf = level == db->depth, exact;
        page p;
        node x = {0};
        bqb_status s = open_page(db, &p, number, leaf, err);
        if (!s) s = search(db, &p, leaf, key, n, &x, &exact, err);
        if (s) return s;
        if (leaf && exact) return value_of(db, &p, &x, data, size, err);
        number = x.child;
    }
    return bqb_fail(err, BQB_ENOTFOUND, "%s: no key \"%.*s\"", db->path, n < 100 ? (int)n : 100, (const char *)key);
}

/* ---- all of it ---- */

typedef struct {
    const bqb_lmdb *db;
    bqb_lmdb_fn fn;
    void *ctx;
    uint64_t bytes; /* of values, so far */
    const uint8_t *last;
    size_t n_last;
} walk;

/* A branch that is in the tree twice ends here: its keys come again. A large
 * value may serve several keys; the sum of all sizes bounds that. */
static bqb_status give(walk *w, const page *p, size_t i, bqb_err *err) {
    const uint8_t *data;
    size_t size;
    node x;
    bqb_status s = open_node(w->db, &x, p, i, err);
    if (!s) s = value_of(w->db, p, &x, &data, &size, err);
    if (s) return s;
    if (w->last && compare(w->last, w->n_last, x.key, x.n) >= 0) return bad(w->db, p->number, "has keys that do not rise", err);
    w->last = x.key;
    w->n_last = x.n;
    w->bytes += size;
    if (w->bytes > w->db->map.size) return bad(w->db, p->number, "has a value that others have, too", err);
    return w->fn(w->ctx, x.key, x.n, data, size, err);
}

static bqb_status visit(walk *w, uint64_t number, unsigned level, bqb_err *err) {
    bool leaf = level == w->db->depth;
    page p;
    bqb_status s = open_page(w->db, &p, number, leaf, err);
    for (size_t i = 0; i < p.n && !s; i++) {
        node x = {0};
        if (leaf) s = give(w, &p, i, err);
        else {
            s = open_node(w->db, &x, &p, i, err);
            if (!s) s = visit(w, x.child, level + 1, err);
        }
    }
    return s;
}

bqb_status bqb_lmdb_each(const bqb_lmdb *db, bqb_lmdb_fn fn, void *ctx, bqb_err *err) {
    walk w = {.db = db, .fn = fn, .ctx = ctx};
    return db->depth ? visit(&w, db->root, 1, err) : BQB_OK;
}
