/* Taking a library out again, in the form that import reads. */
#ifndef BQB_LIBRARY_EXPORT_H
#define BQB_LIBRARY_EXPORT_H

#include "library/catalogue.h"

typedef struct {
    size_t written; /* stickers */
    size_t skipped; /* stickers whose file could not be read: each told to skipped() */
} bqb_export_report;

/* Copy every sticker that is not missing to DIR/images/ID.FORMAT and write
 * DIR/captions.tsv with what is believed of it. DIR is made; it may not hold a
 * captions.tsv yet (BQB_EINVAL). skipped and progress may be NULL. */
bqb_status bqb_library_export(bqb_catalogue *c, const char *dir, bqb_skipped_fn skipped, bqb_progress_fn progress,
                              void *ctx, bqb_export_report *report, bqb_err *err);

#endif
