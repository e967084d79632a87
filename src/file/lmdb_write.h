/* Writing an LMDB database at once, for programs that read it with liblmdb: values go to the file as they come, the tree
 * of keys is built when all are there. Pages of 4,096 bytes, little-endian, one unnamed database, as if by one commit.
 * Source: the data format of lmdb.h and mdb.c, version 0.9 (MDB_DATA_VERSION 1). */
#ifndef BQB_FILE_LMDB_WRITE_H
#define BQB_FILE_LMDB_WRITE_H

#include "base/fs.h"

typedef struct bqb_lmdb_writer bqb_lmdb_writer;

/* DIR/data.mdb, which appears when it is complete; DIR is made, and a database that is there removed. */
bqb_status bqb_lmdb_writer_open(bqb_lmdb_writer **out, const char *dir, bqb_err *err);
void bqb_lmdb_writer_close(bqb_lmdb_writer *w); /* before commit: nothing stays. Accepts NULL */

/* Keys come in any order, each once. Large values are on the disk when this returns, small ones are kept in memory.
 * BQB_EINVAL: a key of 0 or more than 511 bytes; a value of 4 GiB or more. */
bqb_status bqb_lmdb_writer_put(bqb_lmdb_writer *w, const char *key, const void *data, size_t size, bqb_err *err);

/* BQB_EINVAL: a key was there twice. */
bqb_status bqb_lmdb_writer_commit(bqb_lmdb_writer *w, bqb_err *err);

#endif
