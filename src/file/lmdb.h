/* Reading LMDB databases: a B+tree of keys and values in one mapped file. A
 * reader of our own, because liblmdb trusts the file: a wrong page number or
 * offset in it is a bad access. Here every page, node and size is checked.
 * Source: the data format of lmdb.h and mdb.c, version 0.9 (MDB_DATA_VERSION 1). */
#ifndef BQB_FILE_LMDB_H
#define BQB_FILE_LMDB_H

#include "base/err.h"

#include <stdbool.h>

typedef struct bqb_lmdb bqb_lmdb;

/* Whether there is a database: a folder with data.mdb, damaged or not, or a file that begins as one does. */
bool bqb_is_lmdb(const char *path);

/* Open a database as its last commit left it; nothing is locked or written, so
 * it should not be written to meanwhile. Errors name the file: BQB_EIO;
 * BQB_EFORMAT; BQB_EUNSUPPORTED: of a big-endian machine, of another format
 * version, with sorted duplicates or other key orders. */
bqb_status bqb_lmdb_open(bqb_lmdb **out, const char *path, bqb_err *err);
void bqb_lmdb_close(bqb_lmdb *db);

const char *bqb_lmdb_path(const bqb_lmdb *db); /* of the file; borrowed */

/* The value of a key, borrowed until close; BQB_ENOTFOUND, BQB_EFORMAT. */
bqb_status bqb_lmdb_get(const bqb_lmdb *db, const void *key, size_t n, const uint8_t **data, size_t *size, bqb_err *err);

/* Every entry in key order; fn's first status other than BQB_OK ends it and is
 * returned. Keys and values are borrowed until close. BQB_EFORMAT: also where keys do not rise (a tree
 * that shares its branches), or values together are larger than the file. */
typedef bqb_status (*bqb_lmdb_fn)(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err);
bqb_status bqb_lmdb_each(const bqb_lmdb *db, bqb_lmdb_fn fn, void *ctx, bqb_err *err);

#endif
