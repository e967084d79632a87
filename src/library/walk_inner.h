/* The inside of a bqb_walk, for the files that make it up. */
#ifndef BQB_LIBRARY_WALK_INNER_H
#define BQB_LIBRARY_WALK_INNER_H

#include "library/walk.h"

#include "file/table.h"

#include <sys/types.h>

typedef struct {
    dev_t dev;
    ino_t ino;
} bqb_place;

struct bqb_walk {
    bqb_candidate *item;
    size_t n, cap;
    char **root;
    size_t n_roots, cap_roots;
    bqb_table **table; /* stay open: candidates borrow their cells */
    char **caption;    /* of MUGE pictures; candidates borrow them */
    size_t n_captions, cap_captions;
    const char *library;
    size_t n_tables;
    bqb_place *seen;       /* open addressing; ino 0 is free */
    size_t n_seen, cap_seen;
    bqb_place avoid;
    size_t skipped, others, damaged, damaged_archives;
    bqb_skipped_fn skip;
    bqb_progress_fn progress;
    bqb_folder_fn folder; /* may be NULL */
    void *ctx;
    bool (*wanted)(const bqb_walk *w, const char *path); /* NULL: every path may come in */
    const char **only;    /* for wanted: rising, lent */
    size_t n_only;
};

/* An empty walk; NULL when memory is out. */
bqb_walk *bqb_walk_start(const char *skip_dir, bqb_skipped_fn skip, bqb_progress_fn progress, void *ctx);

/* Tell and count what cannot be used. */
void bqb_walk_skip(bqb_walk *w, const char *path, const char *reason);

/* One more candidate, unless w->wanted says no. Takes path; NULL is BQB_ENOMEM. */
bqb_status bqb_walk_add(bqb_walk *w, char *path, const bqb_annotation *given, bool listed, bqb_err *err);

/* One more root: "DIR/", or a file that is gone. Takes it; NULL is BQB_ENOMEM. */
bqb_status bqb_walk_name_root(bqb_walk *w, char *root, bqb_err *err);

/* What a captions.tsv lists; names are relative to dir. */
bqb_status bqb_walk_table(bqb_walk *w, const char *path, const char *dir, bqb_err *err);

/* Everything below a folder that was not visited yet. */
bqb_status bqb_walk_folder(bqb_walk *w, const char *path, int depth, bqb_err *err);

/* By extension, or by content where that says nothing; name is relative to dir_fd or absolute. */
bool bqb_looks_like_picture(int dir_fd, const char *name);

/* In byte order, each path once: to be done last. */
void bqb_walk_sort(bqb_walk *w);

/* *to: a copy of words that lives as long as the list. */
bqb_status bqb_walk_keep(bqb_walk *w, const char **to, const char *words, bqb_err *err);

/* Where the pictures of such sets and archives get files: the library's folder, links resolved, to be freed. NULL with
 * BQB_OK: there is none, which was told of `path`. */
bqb_status bqb_walk_library(bqb_walk *w, char **library, const char *path, bqb_err *err);

/* A MUGE set by its SPLIT_imgs.tsv, and LMDB databases by their folder or list (walk_sets.c): their pictures get
 * files in the library. */
bqb_status bqb_walk_muge(bqb_walk *w, const char *path, bqb_err *err);
bqb_status bqb_walk_lmdb(bqb_walk *w, const char *path, bqb_err *err);

/* A zip archive: its pictures get files in the library (walk_packs.c). */
bqb_status bqb_walk_zip(bqb_walk *w, const char *path, bqb_err *err);

/* A JSON file in the folder dir: if it is a Telegram set's, its words for the files there. Else it is one of the others. */
bqb_status bqb_walk_telegram(bqb_walk *w, const char *path, const char *dir, bqb_err *err);

#endif
