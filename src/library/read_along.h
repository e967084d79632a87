/* Reading the words of new stickers beside other work, in a thread of its own: the newest first, so that
 * what has just come does not wait behind a library that was never read. */
#ifndef BQB_LIBRARY_READ_ALONG_H
#define BQB_LIBRARY_READ_ALONG_H

#include "library/catalogue.h"

/* Called from that thread. These may not be NULL. */
typedef struct {
    void (*read)(void *ctx, const char *path, const char *words); /* committed; words "": there are none */
    bqb_skipped_fn skip;                                          /* a picture that cannot be read, once */
    void (*trouble)(void *ctx, const char *text); /* what to install (once), or why reading ends, or waits for a while */
    void *ctx;
} bqb_read_along_told;

typedef struct bqb_read_along bqb_read_along;

/* Opens the library for itself. model_dir (borrowed; may be NULL): its text tower makes the vectors of what was read.
 * Nothing is read before the first wake. Errors: of the catalogue, BQB_EIO (no thread), BQB_ENOMEM. */
bqb_status bqb_read_along_start(bqb_read_along **out, const char *library, const char *model_dir,
                                const bqb_read_along_told *told, bqb_err *err);

/* Read whatever has no reading now. Does not wait. From the thread that started it; NULL: nothing. */
void bqb_read_along_wake(bqb_read_along *r);

/* Stop after the sticker at hand and free. *left: shown stickers that have not been read. NULL: 0. */
void bqb_read_along_stop(bqb_read_along *r, size_t *left);

#endif
