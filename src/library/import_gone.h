/* Paths whose file is gone: because it moved, or for good. */
#ifndef BQB_LIBRARY_IMPORT_GONE_H
#define BQB_LIBRARY_IMPORT_GONE_H

#include "library/import.h"

/* Only what is certainly gone: a folder that cannot be read proves nothing. */
bool bqb_is_gone(const char *path);

/* The sticker is at `here` now: paths of it that are gone are forgotten. *from: one of them, to free,
 * or NULL. Inside a transaction. */
bqb_status bqb_drop_old_paths(char **from, bqb_catalogue *c, bqb_sticker_id id, const char *here, bqb_err *err);

/* Mark as missing what the catalogue knows below root ("DIR/"; without the slash: that file alone) and is not in
 * the walk, if it is gone. Its own transaction, after which change (may be NULL) is told of each; *n counts them. */
bqb_status bqb_mark_gone(size_t *n, bqb_catalogue *c, const bqb_walk *w, const char *root, bqb_change_fn change,
                         void *ctx, bqb_err *err);

#endif
