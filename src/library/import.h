/* Bringing stickers in: read, hash, decode, embed, and commit in small steps.
 *
 * Import may be killed at any moment and run again: whatever was committed
 * stays, whatever was not is done then. What is unchanged (same path, size and
 * time of change) is not read again. Under the folders that are named, files
 * that are gone are marked missing: they are not shown, and come back when the
 * file does. A file whose content changed is the new sticker; where content turns
 * up under a new path and an old path of it is gone, it has moved: the old path
 * is forgotten, and nothing is decoded or encoded. Imports that run at once take
 * turns, a batch each (turns.h), and none repeats what another did. */
#ifndef BQB_LIBRARY_IMPORT_H
#define BQB_LIBRARY_IMPORT_H

#include "library/catalogue.h"
#include "library/turns.h"
#include "library/walk.h"
#include "model/clip.h"

/* Whoever turns pictures into vectors. encode: rgb [N,3,R,R,3] -> out [N,dim] unit rows. */
typedef struct {
    const char *id; /* 64 hex digits: which model */
    size_t dim, resolution;
    void *ctx;
    bqb_status (*encode)(void *ctx, float *out, const uint8_t *rgb, size_t N, bqb_err *err);
} bqb_embedder;

/* m needs its image tower; borrowed. */
bqb_embedder bqb_embedder_of_clip(bqb_clip *m);

typedef struct {
    size_t found;     /* files looked at */
    size_t added;     /* new stickers */
    size_t already;   /* files that the library knew, or whose content it had */
    size_t changed;   /* of added and already: files whose content was another before */
    size_t annotated; /* of already: with something new said of them */
    size_t embedded;  /* stickers that got a vector, also of earlier imports */
    size_t moved;     /* of added and already: files under a new path whose old one is gone */
    size_t returned;  /* files that had been missing */
    size_t gone;      /* files newly marked missing */
    size_t skipped;   /* bad files, folders, lines: each told to skip() */
    size_t damaged;   /* of skipped: databases and archives that could not be read to their end */
    size_t damaged_archives; /* of damaged: zip archives */
    size_t near_copies; /* new stickers that are near copies of others (likeness.h) */
    size_t settling;  /* files that `settled` held back */
    size_t others;    /* files in folders that are no pictures, and say nothing of any */
} bqb_import_report;

/* What became of one file. COPY: the library has its content under another path, too. WORDS: something
 * new is said of it. */
typedef enum {
    BQB_FILE_SAME, BQB_FILE_ADDED, BQB_FILE_COPY, BQB_FILE_CHANGED, BQB_FILE_MOVED, BQB_FILE_RETURNED, BQB_FILE_GONE,
    BQB_FILE_WORDS
} bqb_file_change;

/* Told of every file but the unchanged ones once that is committed; from: the old path of a moved one, else NULL. */
typedef void (*bqb_change_fn)(void *ctx, bqb_file_change what, const char *path, const char *from);

/* May this file be read now? false: it is left out, as if it were unchanged (st is its stat). */
struct stat;
typedef bool (*bqb_settled_fn)(void *ctx, const char *path, const struct stat *st);

/* A table names this picture, and it is not there. */
typedef void (*bqb_absent_fn)(void *ctx, const char *path);

typedef struct {
    const bqb_embedder *embedder;  /* NULL: stickers get no vectors now */
    int threads;                   /* for reading and decoding; 0 = all processors */
    const char *const *within;     /* NULL, or folders that are watched: paths are then taken as by bqb_walk_again */
    size_t n_within;
    bool only_these;               /* earlier imports' stickers without a vector are left to others */
    bqb_skipped_fn skip;           /* these may be NULL */
    bqb_progress_fn progress;
    bqb_waiting_fn waiting;        /* another import has the turn */
    bqb_change_fn change;
    bqb_absent_fn absent;          /* NULL: these are told to skip */
    bqb_settled_fn settled;
    bqb_folder_fn folder;          /* of the walk, with within */
    void *ctx;                     /* for all of them */
} bqb_import_options;

/* Import every path (bqb_walk_new), then give a vector to whatever sticker of the
 * library has none of this model. report is filled even on failure.
 * Errors: BQB_ECANCEL, of the catalogue, of the embedder; bad files are no errors. */
bqb_status bqb_library_import(bqb_catalogue *c, const char *const *paths, size_t n, const bqb_import_options *o,
                              bqb_import_report *report, bqb_err *err);

#endif
