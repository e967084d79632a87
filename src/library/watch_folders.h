/* The folders that inotify watches, by its numbers. */
#ifndef BQB_LIBRARY_WATCH_FOLDERS_H
#define BQB_LIBRARY_WATCH_FOLDERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct {
    int number;
    char *path; /* absolute, owned */
    dev_t dev;
    ino_t ino;
} bqb_watched_folder;

typedef struct {
    int fd; /* inotify's; non-blocking */
    bqb_watched_folder *item; /* rising numbers */
    size_t n, cap, max;
} bqb_watched_folders;

/* max: how many at most (0: what the system allows). Errors: BQB_ELIMIT (too many programs watch), BQB_EIO. */
bqb_status bqb_watched_open(bqb_watched_folders *w, size_t max, bqb_err *err);
void bqb_watched_close(bqb_watched_folders *w); /* accepts a zeroed one */

/* Watch a folder; one that is watched under another path gets this one. A folder that is not
 * there or may not be read is left out. Errors: BQB_ELIMIT (the message names the setting), BQB_ENOMEM. */
bqb_status bqb_watched_add(bqb_watched_folders *w, const char *path, bqb_err *err);

/* The folder of an event, or NULL: it is watched no longer. Borrowed until the next change. */
const bqb_watched_folder *bqb_watched_find(const bqb_watched_folders *w, int number);
void bqb_watched_forget(bqb_watched_folders *w, int number); /* the system has ended the watch */

/* End the watches of a folder and of everything below it. */
void bqb_watched_remove(bqb_watched_folders *w, const char *path);

#endif
