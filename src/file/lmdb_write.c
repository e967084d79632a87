#include "file/lmdb_write.h"

#include "base/little_endian.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MOST_NODE: what liblmdb allows a node on a page, so that two have room; larger values get pages of their own. */
enum {
    PAGE = 4096, PAGE_HEAD = 16, NODE_HEAD = 8, MOST_NODE = 2038, MOST_KEY = 511,
    BRANCH = 0x01, LEAF = 0x02, OVERFLOW = 0x04, META = 0x08, BIG_DATA = 0x01, INTEGER_KEY = 0x08
};

typedef struct {
    char *key;       /* its value behind it, if it is small */
    size_t n, size;
    uint64_t page;   /* of a large value, else 0 */
} entry;

/* A page of the level that was written last, and the entry whose key it begins with. */
typedef struct {
    uint64_t page;
    size_t first;
} child;

struct bqb_lmdb_writer {
    bqb_outfile out;
    entry *item;
    size_t n, cap;
    uint64_t pages, branches, leaves, overflows;
    unsigned depth;
    uint8_t page[PAGE]; /* being filled */
    size_t lower, upper;
};

bqb_status bqb_lmdb_writer_open(bqb_lmdb_writer **out, const char *dir, bqb_err *err) {
    static const uint8_t metas[2 * PAGE];
    bqb_lmdb_writer *w = *out = bqb_calloc(1, sizeof *w);
    char *path = bqb_path_join(dir, "data.mdb");
    bqb_status s = w && path ? bqb_make_dirs(dir, err) : bqb_fail_nomem(err, dir, sizeof *w);
    if (!s && unlink(path) && errno != ENOENT) s = bqb_fail_errno(err, "%s", path);
    if (!s) s = bqb_outfile_open(&w->out, path, err);
    if (!s) s = bqb_outfile_write(&w->out, metas, sizeof metas, err); /* their place */
    free(path);
    if (s) {
        bqb_lmdb_writer_close(w);
        *out = NULL;
    } else w->pages = 2;
    return s;
}

void bqb_lmdb_writer_close(bqb_lmdb_writer *w) {
    if (!w) return;
    bqb_outfile_abort(&w->out);
    for (size_t i = 0; i < w->n; i++) free(w->item[i].key);
    free(w->item);
    free(w);
}

/* A value on pages of its own. */
static bqb_status write_large(bqb_lmdb_writer *w, const void *data, size_t size, bqb_err *err) {
    static const uint8_t zeros[PAGE];
    uint8_t head[PAGE_HEAD] = {0};
    uint64_t pages = (PAGE_HEAD + (uint64_t)size + PAGE - 1) / PAGE;
    bqb_put_le(head, w->pages, 8);
    bqb_put_le(head + 10, OVERFLOW, 2);
    bqb_put_le(head + 12, pages, 4);
    bqb_status s = bqb_outfile_write(&w->out, head, sizeof head, err);
    if (!s) s = bqb_outfile_write(&w->out, data, size, err);
    if (!s) s = bqb_outfile_write(&w->out, zeros, (size_t)(pages * PAGE - PAGE_HEAD - size), err);
    w->pages += pages;
    w->overflows += pages;
    return s;
}

bqb_status bqb_lmdb_writer_put(bqb_lmdb_writer *w, const char *key, const void *data, size_t size, bqb_err *err) {
    size_t n = strlen(key);
    bool large = NODE_HEAD + n + size > MOST_NODE;
    if (!n || n > MOST_KEY) return bqb_fail(err, BQB_EINVAL, "%s: a key of %zu bytes, 1 to %d are possible", w->out.path, n, MOST_KEY);
    if (size >= UINT32_MAX) return bqb_fail(err, BQB_EINVAL, "%s: a value of %zu bytes", w->out.path, size);
    entry *items = bqb_grow(w->item, w->n, &w->cap, sizeof *items, 256);
    if (!items) return bqb_fail_nomem(err, w->out.path, 2 * w->cap * sizeof *items);
    w->item = items;
    entry e = {.n = n, .size = size, .page = large ? w->pages : 0, .key = malloc(n + 1 + (large ? 0 : size))};
    if (!e.key) return bqb_fail_nomem(err, w->out.path, n + size);
    memcpy(e.key, key, n + 1);
    if (!large && size) memcpy(e.key + n + 1, data, size);
    items[w->n++] = e;
    return large ? write_large(w, data, size, err) : BQB_OK;
}

/* ---- the tree ---- */

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int d = memcmp(x->key, y->key, x->n < y->n ? x->n : y->n);
    return d ? d : (x->n > y->n) - (x->n < y->n);
}

static void begin_page(bqb_lmdb_writer *w) {
    memset(w->page, 0, PAGE);
    w->lower = PAGE_HEAD;
    w->upper = PAGE;
}

static bool has_room(const bqb_lmdb_writer *w, size_t node) { return w->lower + 2 + ((node + 1) & ~(size_t)1) <= w->upper; }

/* Room for a node of this many bytes; the eight of its head are filled in. */
static uint8_t *add_node(bqb_lmdb_writer *w, size_t bytes, uint64_t number, unsigned flags, size_t key) {
    w->upper -= (bytes + 1) & ~(size_t)1;
    bqb_put_le(w->page + w->lower, w->upper, 2);
    w->lower += 2;
    uint8_t *node = w->page + w->upper;
    bqb_put_le(node, number, 4);
    bqb_put_le(node + 4, flags, 2);
    bqb_put_le(node + 6, key, 2);
    return node + NODE_HEAD;
}

/* Write the page, and note it as a child of the next level. */
static bqb_status end_page(bqb_lmdb_writer *w, child *level, size_t *n, size_t first, unsigned kind, bqb_err *err) {
    bqb_put_le(w->page, w->pages, 8);
    bqb_put_le(w->page + 10, kind, 2);
    bqb_put_le(w->page + 12, w->lower, 2);
    bqb_put_le(w->page + 14, w->upper, 2);
    level[(*n)++] = (child){w->pages++, first};
    ++*(kind == LEAF ? &w->leaves : &w->branches);
    return bqb_outfile_write(&w->out, w->page, PAGE, err);
}

static bqb_status write_leaves(bqb_lmdb_writer *w, child *level, size_t *n, bqb_err *err) {
    bqb_status s = BQB_OK;
    size_t first = 0;
    begin_page(w);
    for (size_t i = 0; i < w->n && !s; i++) {
        const entry *e = &w->item[i];
        size_t bytes = NODE_HEAD + e->n + (e->page ? 8 : e->size);
        if (!has_room(w, bytes)) {
            s = end_page(w, level, n, first, LEAF, err);
            begin_page(w);
            first = i;
        }
        uint8_t *at = add_node(w, bytes, e->size & 0xFFFF, 0, e->n); /* the size: its two halves, then flags */
        bqb_put_le(at - NODE_HEAD + 2, e->size >> 16, 2);
        bqb_put_le(at - NODE_HEAD + 4, e->page ? BIG_DATA : 0, 2);
        memcpy(at, e->key, e->n);
        if (e->page) bqb_put_le(at + e->n, e->page, 8);
        else if (e->size) memcpy(at + e->n, e->key + e->n + 1, e->size);
    }
    return s ? s : end_page(w, level, n, first, LEAF, err);
}

/* Pages over `n` children, in their place; the first key of each is left empty, for everything is to its right. */
static bqb_status write_branches(bqb_lmdb_writer *w, child *level, size_t *n, bqb_err *err) {
    bqb_status s = BQB_OK;
    size_t below = *n, first = 0;
    *n = 0;
    begin_page(w);
    for (size_t i = 0; i < below && !s; i++) {
        child c = level[i];
        const entry *e = &w->item[c.first];
        if (w->lower > PAGE_HEAD && !has_room(w, NODE_HEAD + e->n)) {
            s = end_page(w, level, n, first, BRANCH, err);
            begin_page(w);
        }
        bool leftmost = w->lower == PAGE_HEAD;
        if (leftmost) first = c.first;
        uint8_t *at = add_node(w, NODE_HEAD + (leftmost ? 0 : e->n), c.page & UINT32_MAX, (unsigned)(c.page >> 32) & 0xFFFF, leftmost ? 0 : e->n);
        if (!leftmost) memcpy(at, e->key, e->n);
    }
    return s ? s : end_page(w, level, n, first, BRANCH, err);
}

/* The first meta page is of an empty database, the second, newer one of what was written. */
static bqb_status write_metas(bqb_lmdb_writer *w, uint64_t root, bqb_err *err) {
    bqb_status s = BQB_OK;
    if (fseek(w->out.f, 0, SEEK_SET)) s = bqb_fail_errno(err, "%s", w->out.path);
    for (uint64_t k = 0; k < 2 && !s; k++) {
        uint8_t b[PAGE] = {0}, *empty = b + 40, *main_db = b + 88;
        bqb_put_le(b, k, 8);
        bqb_put_le(b + 10, META, 2);
        bqb_put_le(b + 16, 0xbeefc0de, 4);
        bqb_put_le(b + 20, 1, 4);
        bqb_put_le(b + 32, w->pages * PAGE, 8);
        bqb_put_le(empty, PAGE, 4);
        bqb_put_le(empty + 4, INTEGER_KEY, 2);
        bqb_put_le(empty + 40, UINT64_MAX, 8);
        bqb_put_le(main_db + 40, UINT64_MAX, 8);
        bqb_put_le(b + 136, k ? w->pages - 1 : 1, 8);
        bqb_put_le(b + 144, k, 8);
        if (k && w->n) {
            bqb_put_le(main_db + 6, w->depth, 2);
            bqb_put_le(main_db + 8, w->branches, 8);
            bqb_put_le(main_db + 16, w->leaves, 8);
            bqb_put_le(main_db + 24, w->overflows, 8);
            bqb_put_le(main_db + 32, w->n, 8);
            bqb_put_le(main_db + 40, root, 8);
        }
        s = bqb_outfile_write(&w->out, b, PAGE, err);
    }
    return s;
}

bqb_status bqb_lmdb_writer_commit(bqb_lmdb_writer *w, bqb_err *err) {
    if (w->n) qsort(w->item, w->n, sizeof *w->item, by_key);
    for (size_t i = 1; i < w->n; i++)
        if (!by_key(&w->item[i - 1], &w->item[i])) return bqb_fail(err, BQB_EINVAL, "%s: the key \"%.80s\" is there twice", w->out.path, w->item[i].key);
    child *level = bqb_calloc(w->n, sizeof *level);
    size_t n = 0;
    bqb_status s = level ? BQB_OK : bqb_fail_nomem(err, w->out.path, w->n * sizeof *level);
    if (!s && w->n) s = write_leaves(w, level, &n, err);
    for (w->depth = 1; !s && n > 1; w->depth++) s = write_branches(w, level, &n, err);
    if (!s) s = write_metas(w, w->n ? level[0].page : 0, err);
    if (!s) s = bqb_outfile_commit(&w->out, err);
    free(level);
    return s;
}
