/* Keeping a library in step with folders, by inotify.
 *
 * What happens below the folders is gathered until it is quiet, and then
 * imported (import.h): only the paths at which something happened are looked
 * at. A file that is being written waits until it is closed, or until nothing
 * was written to it for open_ms. Whatever inotify cannot tell (its queue ran
 * over, a disk was mounted, a folder vanished or came back) makes the folder
 * be walked as a whole. */
#ifndef BQB_LIBRARY_WATCH_H
#define BQB_LIBRARY_WATCH_H

#include "library/import.h"

typedef enum {
    BQB_WATCH_READY,    /* the first import is done, everything is watched; report->settling files are still to come */
    BQB_WATCH_ROUND,    /* what happened is in the library */
    BQB_WATCH_VANISHED, /* text: a folder that is not there (any more); its stickers are kept as missing */
    BQB_WATCH_BACK,     /* text: a folder that is there again */
    BQB_WATCH_REPLACED, /* text: a folder in whose place there is another (a disk was mounted, or is no longer) */
    BQB_WATCH_OVERFLOW, /* too much happened at once: everything is looked at */
    BQB_WATCH_ABSENT,   /* text: how many pictures tables name that are not there, and the first few */
    BQB_WATCH_LIMIT,    /* text: why not all folders can be watched; they are walked every few minutes */
    BQB_WATCH_TROUBLE,  /* text: why nothing can be imported now; tried again later */
} bqb_watch_news;

/* report: of the import that ended, with READY and ROUND; text "" there. */
typedef void (*bqb_watch_fn)(void *ctx, bqb_watch_news news, const char *text, const bqb_import_report *report);

typedef struct {
    bqb_import_options import; /* embedder, threads, skip, progress, waiting, change: as with every import; ctx theirs */
    int stop_fd;               /* readable: end; -1: never */
    bqb_watch_fn tell;         /* with import.ctx */
    size_t max_folders;        /* watched at most; 0: what the system allows */
    uint64_t quiet_ms;         /* 0: 300; how long nothing happens before an import */
    uint64_t open_ms;          /* 0: 10,000; how long a file that nobody closes is left alone */
} bqb_watch_options;

/* Can these be watched? Errors: BQB_EINVAL (a file), BQB_EIO (not there, or not to be looked at), with the name. */
bqb_status bqb_watch_check(const char *const *folders, size_t n, bqb_err *err);

/* Until stop_fd is readable or progress asks to stop; then BQB_OK. A folder that vanishes is waited for; all must be
 * there at first. Errors: those of bqb_watch_check, BQB_ELIMIT (inotify), BQB_ENOTFOUND (the library was deleted or
 * replaced meanwhile: what happens can be kept nowhere), and those of an import that waiting does not mend. */
bqb_status bqb_library_watch(bqb_catalogue *c, const char *const *folders, size_t n, const bqb_watch_options *o,
                             bqb_err *err);

#endif
