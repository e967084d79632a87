/* What there is to import: pictures in folders, and the lines of captions.tsv files. */
#ifndef BQB_LIBRARY_WALK_H
#define BQB_LIBRARY_WALK_H

#include "base/err.h"
#include "library/origins.h"

#include <stdbool.h>

typedef struct {
    char *path;           /* absolute */
    bqb_annotation given; /* from a captions.tsv; borrowed from the list */
    bqb_own_cells own;    /* and what else that says; borrowed likewise */
    bool listed;          /* named by the user or a table, not just found */
    const char *name;     /* of what has a file only in the library, "/a/PACK.zip/dir/x.png"; else NULL. Borrowed */
    const void *table;    /* the captions.tsv that names it, to tell two lines of one; NULL: none */
    size_t line;          /* of that */
    uint32_t order;       /* which came first, for the same path twice */
} bqb_candidate;

typedef struct bqb_walk bqb_walk;

/* Gather the candidates of each path, absolute or relative to the working folder:
 *   a folder     every picture below it, by content where the extension does not
 *                tell; hidden files are left out, links followed, each folder
 *                visited once; a captions.tsv in a folder annotates its pictures, and so
 *                does the JSON of a Telegram set (telegram_set.h), which counts less
 *   X.tsv        what its column `file` lists, relative to its folder
 *   LMDB         a folder with the databases of Chinese-CLIP or Sticker820K, anywhere below a
 *                folder that is named, or a list of names beside Sticker820K's (lmdb_set.h):
 *                the same as with MUGE
 *   X_imgs.tsv   MUGE: its pictures are written below skip_dir first, X_texts.jsonl annotates them. Below a folder
 *                that is named only where both are there
 *   X.zip        its pictures and captions.tsv (zip_set.h), likewise. Only when it is named itself
 *   a file       itself
 * Broken things are told to skip and counted. skip_dir: the library's own folder, to stay out of, or NULL. In byte order of path, each once, a table's line before a bare find.
 * Errors: BQB_ECANCEL, BQB_ENOMEM, BQB_ELIMIT (over 16 Mi candidates). */
bqb_status bqb_walk_new(bqb_walk **out, const char *const *paths, size_t n, const char *skip_dir, bqb_skipped_fn skip,
                        bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_walk_free(bqb_walk *w);

/* Called with each folder (its path lent) before it is read. */
typedef void (*bqb_folder_fn)(void *ctx, const char *path);

/* For whoever keeps watch over folders: what there is now at paths where something happened.
 *   path     absolute: a folder is walked; a file is taken as in a walk of its folder; where
 *            nothing is any more, the path and whatever was below it become roots
 *   within   the folders that are watched, absolute: tables from there down to the path annotate it
 *   folder   may be NULL
 * Otherwise as bqb_walk_new. */
typedef struct {
    const char *const *path, *const *within;
    size_t n, n_within;
    const char *skip_dir;
    bqb_skipped_fn skip;
    bqb_progress_fn progress;
    bqb_folder_fn folder;
    void *ctx;
} bqb_walk_request;
bqb_status bqb_walk_again(bqb_walk **out, const bqb_walk_request *r, bqb_err *err);

size_t bqb_walk_count(const bqb_walk *w);
const bqb_candidate *bqb_walk_at(const bqb_walk *w, size_t i);
bool bqb_walk_has(const bqb_walk *w, const char *path);

/* The folders that were named, absolute, with a slash at the end; after bqb_walk_again also files that are
 * gone, without one. */
size_t bqb_walk_roots(const bqb_walk *w);
const char *bqb_walk_root(const bqb_walk *w, size_t i);

size_t bqb_walk_skipped(const bqb_walk *w); /* times `skip` was called */
size_t bqb_walk_damaged(const bqb_walk *w); /* of these, LMDB databases and archives that could not be read to their end */
size_t bqb_walk_damaged_archives(const bqb_walk *w); /* of these, archives */
size_t bqb_walk_others(const bqb_walk *w);  /* files in folders that are no pictures, and say nothing of any */

#endif
