/* Files: mapped for reading, replaced in one step for writing. */
#ifndef BQB_BASE_FS_H
#define BQB_BASE_FS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

/* A file's bytes, read-only, at an address divisible by 64. Regular files only; an empty file has size 0.
 * Up to BQB_MAP_READ_MAX bytes, as pictures and tables are, are read: whatever happens to the file later, they stay.
 * A larger one is mapped, so that only what is looked at costs time: whoever cuts it then kills the process that
 * looks at what was cut (SIGBUS); replacing it by rename is harmless. */
enum { BQB_MAP_READ_MAX = 8 << 20 };
typedef struct {
    const uint8_t *data;
    size_t size;
} bqb_map;

bqb_status bqb_map_open(bqb_map *m, const char *path, bqb_err *err);
void bqb_map_close(bqb_map *m); /* accepts a zeroed map; sets it to zero */

/* The whole file, with a NUL after it; BQB_ELIMIT when it is larger than max.
 * Regular files only. Free *data with free(). size may be NULL. */
bqb_status bqb_file_read(char **data, size_t *size, const char *path, size_t max, bqb_err *err);

/* A file that appears only when it is complete: written to PATH.tmp.PID in the
 * same folder, then synced and renamed over PATH. */
typedef struct {
    FILE *f;
    char *path, *tmp;
} bqb_outfile;

bqb_status bqb_outfile_open(bqb_outfile *o, const char *path, bqb_err *err);
bqb_status bqb_outfile_write(bqb_outfile *o, const void *bytes, size_t n, bqb_err *err);
bqb_status bqb_outfile_printf(bqb_outfile *o, bqb_err *err, const char *fmt, ...) BQB_PRINTF(3, 4);
bqb_status bqb_outfile_commit(bqb_outfile *o, bqb_err *err); /* on failure the old file stays, too */
void bqb_outfile_abort(bqb_outfile *o); /* after commit, or zeroed: does nothing */

/* The three steps in one. */
bqb_status bqb_file_write(const char *path, const void *bytes, size_t n, bqb_err *err);

/* The same without waiting for the disk, for many files: whoever writes them syncs once, at the end. */
bqb_status bqb_file_write_later(const char *path, const void *bytes, size_t n, bqb_err *err);

bool bqb_is_dir(const char *path);
bool bqb_is_file(const char *path);

/* mkdir -p */
bqb_status bqb_make_dirs(const char *path, bqb_err *err);

/* DIR/NAME in fresh memory (NAME alone when it is absolute or DIR is empty); NULL when memory is out. */
char *bqb_path_join(const char *dir, const char *name);

/* The part of path after its last slash; borrowed from path. */
const char *bqb_path_base(const char *path);

#endif
