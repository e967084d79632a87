/* Paths at which something happened, each with the moment from which it may be looked at. */
#ifndef BQB_LIBRARY_WATCH_PENDING_H
#define BQB_LIBRARY_WATCH_PENDING_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *path;
    uint64_t due_ms;
    bool writing; /* somebody has it open, as far as is known */
} bqb_pending_path;

typedef struct {
    bqb_pending_path *slot; /* [cap] open addressing; path NULL: free */
    size_t n, cap;
} bqb_pending;

/* Put a path in, or give it another moment and state. Errors: BQB_ENOMEM. */
bqb_status bqb_pending_put(bqb_pending *p, const char *path, uint64_t due_ms, bool writing, bqb_err *err);

/* Borrowed until the next change; NULL: not in it. */
const bqb_pending_path *bqb_pending_find(const bqb_pending *p, const char *path);

/* The earliest moment; UINT64_MAX when there is none. */
uint64_t bqb_pending_next(const bqb_pending *p);

/* Take out all that are due by now, in byte order of path: *paths [*n], each to free, and the array. */
bqb_status bqb_pending_take(char ***paths, size_t *n, bqb_pending *p, uint64_t now_ms, bqb_err *err);
void bqb_pending_free(bqb_pending *p);

#endif
