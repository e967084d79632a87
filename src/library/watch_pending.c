#include "library/watch_pending.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a. */
static size_t slot_of(const bqb_pending *p, const char *path) {
    uint64_t h = 14695981039346656037u;
    for (const char *c = path; *c; c++) h = (h ^ (unsigned char)*c) * 1099511628211u;
    size_t i = (size_t)(h >> 16) & (p->cap - 1);
    while (p->slot[i].path && strcmp(p->slot[i].path, path)) i = (i + 1) & (p->cap - 1);
    return i;
}

static bqb_status resize(bqb_pending *p, size_t cap, bqb_err *err) {
    bqb_pending old = *p;
    bqb_pending_path *slot = bqb_calloc(cap, sizeof *slot);
    if (!slot) return bqb_fail_nomem(err, "changed files", cap * sizeof *slot);
    *p = (bqb_pending){.slot = slot, .n = old.n, .cap = cap};
    for (size_t i = 0; i < old.cap; i++)
        if (old.slot[i].path) p->slot[slot_of(p, old.slot[i].path)] = old.slot[i];
    free(old.slot);
    return BQB_OK;
}

bqb_status bqb_pending_put(bqb_pending *p, const char *path, uint64_t due_ms, bool writing, bqb_err *err) {
    if (2 * p->n >= p->cap) {
        bqb_status s = resize(p, p->cap ? 2 * p->cap : 64, err);
        if (s) return s;
    }
    bqb_pending_path *at = &p->slot[slot_of(p, path)];
    if (!at->path) {
        if (!(at->path = bqb_strdup(path))) return bqb_fail_nomem(err, path, strlen(path));
        p->n++;
    }
    at->due_ms = due_ms;
    at->writing = writing;
    return BQB_OK;
}

const bqb_pending_path *bqb_pending_find(const bqb_pending *p, const char *path) {
    if (!p->cap) return NULL;
    const bqb_pending_path *at = &p->slot[slot_of(p, path)];
    return at->path ? at : NULL;
}

uint64_t bqb_pending_next(const bqb_pending *p) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < p->cap; i++)
        if (p->slot[i].path && p->slot[i].due_ms < next) next = p->slot[i].due_ms;
    return next;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bqb_status bqb_pending_take(char ***paths, size_t *n, bqb_pending *p, uint64_t now_ms, bqb_err *err) {
    *n = 0;
    *paths = bqb_calloc(p->n + 1, sizeof **paths);
    if (!*paths) return bqb_fail_nomem(err, "changed files", p->n * sizeof **paths);
    bqb_pending rest = {0};
    bqb_status s = resize(&rest, p->cap ? p->cap : 64, err);
    if (s) {
        free(*paths);
        *paths = NULL;
        return s;
    }
    for (size_t i = 0; i < p->cap; i++) {
        if (!p->slot[i].path) continue;
        if (p->slot[i].due_ms <= now_ms) (*paths)[(*n)++] = p->slot[i].path;
        else {
            rest.slot[slot_of(&rest, p->slot[i].path)] = p->slot[i];
            rest.n++;
        }
    }
    free(p->slot);
    *p = rest;
    if (*n) qsort(*paths, *n, sizeof **paths, by_bytes);
    return BQB_OK;
}

void bqb_pending_free(bqb_pending *p) {
    for (size_t i = 0; i < p->cap; i++) free(p->slot[i].path);
    free(p->slot);
    *p = (bqb_pending){0};
}
