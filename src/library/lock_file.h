/* Locks between processes: bytes of an empty file in the library's folder. The system gives them back when a process
 * dies. They belong to the open file: two threads that each open it lock each other out, too. */
#ifndef BQB_LIBRARY_LOCK_FILE_H
#define BQB_LIBRARY_LOCK_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* DIR/NAME, made where it is missing; close it with close(), which gives every lock back. Errors: BQB_ENOTFOUND (no DIR: the library
 * was deleted), BQB_EIO, BQB_ENOMEM. */
bqb_status bqb_lock_file_open(int *fd, const char *dir, const char *name, bqb_err *err);

/* false: somebody else has this byte; with `wait`: a signal came while it was waited for. Where the file system knows no
 * locks everybody has every byte. */
bool bqb_lock_byte(int fd, off_t byte, bool wait);
void bqb_unlock_byte(int fd, off_t byte);
void bqb_unlock_all(int fd);

#endif
