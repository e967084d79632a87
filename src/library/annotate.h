/* Reading the words off the stickers of a library, and noting them.
 *
 * May be killed at any moment and run again: each sticker is committed as soon as it was read, the rest
 * is read then. What somebody said is on a sticker stays believed. Several at once
 * share the stickers: what one is reading the others pass over (locks of read.lock).
 * Tesseract runs in processes of its own, one for each thread; a picture that it crashes on, or
 * takes too long for (BQB_OCR_LIMIT_MS), is skipped, and from then on passed over
 * as one that was read. */
#ifndef BQB_LIBRARY_ANNOTATE_H
#define BQB_LIBRARY_ANNOTATE_H

#include "library/catalogue.h"

typedef struct {
    size_t asked;   /* stickers looked at */
    size_t already; /* of these: read before or by another bqb meanwhile, or somebody said what is on them */
    size_t words;   /* read now, with words */
    size_t blank;   /* read now, without */
    size_t skipped; /* whose picture is gone, changed or damaged, or brings its reader down: each told to skip() */
} bqb_read_report;

/* The functions are called from any of the threads that read, never two at once. */
typedef struct {
    bool again;              /* read also what was read before, or is given */
    int threads;             /* 0 = all processors */
    bqb_skipped_fn skip;     /* may be NULL */
    bqb_progress_fn progress; /* may be NULL */
    void (*read)(void *ctx, const char *path, const char *words); /* may be NULL; of each once it is committed, "" without words */
    void *ctx;               /* for all of them */
    char advice[200];        /* out: "" or what to install to read more */
} bqb_read_options;

/* Read these stickers [n], or where ids is NULL all that are shown. report is filled even on failure.
 * Errors: BQB_EUNSUPPORTED (nothing here to read with, or it crashes on every picture; the message says what to install),
 * BQB_EFORMAT (its language files are damaged), BQB_ECANCEL, of the catalogue. */
bqb_status bqb_library_read(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bqb_read_options *o,
                            bqb_read_report *report, bqb_err *err);

#endif
