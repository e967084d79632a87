/* The inside of a bqb_catalogue, for the files that make it up. */
#ifndef BQB_LIBRARY_CATALOGUE_DB_H
#define BQB_LIBRARY_CATALOGUE_DB_H

#include "library/catalogue.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/types.h>

/* Every statement that a running catalogue uses; their text stands in catalogue.c. */
typedef enum {
    BEGIN, COMMIT, ROLLBACK, LOOK, LOOKED, BUMP, RESHAPE, KEEP_SHAPE, TOUCH, TOUCHED, TOUCHED_COUNT, TOUCHED_CLEAR, GENERATION, RESHAPED, UID,
    STICKER_ADD, STICKER_GET, STICKER_FIND, STICKER_PREFIX, STICKER_NEIGHBOURS, STICKER_DELETE, STICKER_REFRESH,
    STICKER_ORPHAN, STICKER_ORPHANS, STICKER_AFTER, FILE_GET, FILE_PUT, FILE_DROP, FILE_EACH, FILE_EACH_OF, FILE_OF,
    ANNOTATION_GET, ANNOTATION_PUT, ANNOTATION_ALL, ANNOTATION_VALUES, ANNOTATION_WITH, ANIMATED, SHOWN,
    ANNOTATION_FORGET, ANNOTATION_OF_PATH, ANNOTATION_GIVEN, ANNOTATION_ORIGINS, READING_PUT, READING_NONE, READING_GET, READING_LACKING,
    SAID, SPOKEN, MISSING, WORDS_ADD, WORDS_DELETE, WORDS_DELETE_ALL, WORDS_LENGTH, WORDS_COUNT, WORDS_MATCH, WORDS_ROWS, WORDS_SHARE,
    MODEL_ADD, EMBEDDING_PUT, EMBEDDING_HAS, EMBEDDING_ANY, EMBEDDING_GET, EMBEDDING_COUNT, EMBEDDING_EACH, EMBEDDING_AFTER, EMBEDDING_TOUCHED, EMBEDDING_LAST, EMBEDDING_LACKING,
    EMBEDDING_STALE, UNWORDED, MODEL_MAIN,
    SKETCH_PUT, SKETCH_LACKING, SKETCH_EACH, SKETCH_NEW, SKETCH_COMPARED, LIKENESS_PUT, LIKENESS_GET, LIKENESS_EACH,
    GROUP_RANK, GROUP_CLEAR, GROUP_SET, GROUP_OF, GROUP_EACH, KEEPER_PUT, KEEPER_DROP,
    STATS, STATS_FIELD,
    N_STATEMENTS
} bqb_statement;

struct bqb_catalogue {
    sqlite3 *db;
    char *dir, *path;
    sqlite3_stmt *st[N_STATEMENTS];
    bool changed; /* this transaction makes caches stale, and does not say where */
    bool touched; /* so it does, but `touched` has the stickers that it is about */
    bool added;   /* so it does, but there are only more stickers and vectors, behind all others */
    bool regroup; /* this transaction changes which stickers are near copies */
    dev_t dev;    /* the database's file, when it was opened */
    ino_t ino;
    int64_t version; /* of its schema: below BQB_CATALOGUE_VERSION only where it cannot be brought up to date */
};

/* Is there something to read? Most often nothing was ever imported (BQB_ENOTFOUND); anything else is told as it is. */
bqb_status bqb_db_check_there(const bqb_catalogue *c, bqb_err *err);

/* A file of no bytes is a library that nothing was imported into, or one that was just begun; but beside what
 * only imports leave behind it has lost them (BQB_EFORMAT), and must not be taken for a new one. SQLite, too,
 * would throw away the log beside it. */
bqb_status bqb_db_check_not_lost(const bqb_catalogue *c, bqb_err *err);

/* What is shown of this sticker, or one of its vectors, is another from this transaction on. */
bqb_status bqb_db_touch(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);

/* The error that SQLite has just given, in words for people. */
bqb_status bqb_db_fail(const bqb_catalogue *c, int rc, bqb_err *err);

/* A statement ready for its values. */
bqb_status bqb_db_prepare(bqb_catalogue *c, bqb_statement which, sqlite3_stmt **out, bqb_err *err);

/* One row, or none; the statement stays open on a row. */
bqb_status bqb_db_step(bqb_catalogue *c, sqlite3_stmt *st, bool *row, bqb_err *err);

/* To the end, with no rows wanted; the second prepares a statement without values itself. */
bqb_status bqb_db_run(bqb_catalogue *c, sqlite3_stmt *st, bqb_err *err);
bqb_status bqb_db_run_plain(bqb_catalogue *c, bqb_statement which, bqb_err *err);

/* Put the sticker's words into the index (WORDS_ADD), or take them out again
 * (WORDS_DELETE: its annotations must then be what they were). */
bqb_status bqb_db_words_put(bqb_catalogue *c, bqb_sticker_id id, bqb_statement which, bqb_err *err);

/* Take every word out of the index and put in what is believed of every sticker; inside a transaction. */
bqb_status bqb_db_words_rebuild(bqb_catalogue *c, bqb_err *err);

/* Make the groups of near copies anew from what is known of pairs; inside a transaction. */
bqb_status bqb_db_regroup(bqb_catalogue *c, bqb_err *err);

/* Give fn the ids that a statement finds. */
bqb_status bqb_db_each_id(bqb_catalogue *c, sqlite3_stmt *st, bqb_id_fn fn, void *ctx, bqb_err *err);

/* Give fn the paths that a statement finds. */
bqb_status bqb_db_each_path(bqb_catalogue *c, sqlite3_stmt *st, bqb_path_fn fn, void *ctx, bqb_err *err);

/* Binding fails only when memory is out, and then stepping sees NULL where the schema forbids it. */
static inline void bind_text(sqlite3_stmt *st, int i, const char *s) {
    sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}
static inline void bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n) {
    sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
}
static inline void bind_path(sqlite3_stmt *st, int i, const char *path) { bind_blob(st, i, path, strlen(path)); }

#endif
