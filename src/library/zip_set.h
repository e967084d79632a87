/* Stickers in a zip archive: pictures, and captions.tsv in any of its folders. */
#ifndef BQB_LIBRARY_ZIP_SET_H
#define BQB_LIBRARY_ZIP_SET_H

#include "library/origins.h"

#include <stdbool.h>

/* Whether a file is an archive, by its first bytes. */
bool bqb_is_zip(const char *path);

typedef struct {
    const char *name;     /* inside the archive, UTF-8; lent for the call, like the rest */
    bqb_annotation note;  /* what a captions.tsv, or a Telegram set's JSON, says; listed: one does */
    bqb_own_cells own;    /* what else the table says */
    bool listed;
    const uint8_t *data;  /* the picture's file */
    size_t size;
} bqb_zip_sticker;

typedef struct {
    /* Every picture, by content where the name does not tell; a status other than BQB_OK ends it. */
    bqb_status (*sticker)(void *ctx, const bqb_zip_sticker *x, bqb_err *err);
    /* What cannot be had: encrypted, damaged, too large, twice, with an unsafe name, not a picture, not there. May be NULL. */
    void (*skip)(void *ctx, const char *name, const char *reason);
    bqb_progress_fn progress; /* may be NULL */
    void *ctx;
} bqb_zip_reader;

/* Nothing is unpacked but into memory, an entry at a time: at most 64 MiB each,
 * and in all 64 times the archive's size (but 256 MiB at least); what is beyond is told. Hidden
 * files and macOS's __MACOSX are passed over. *others (may be NULL): files that are no pictures.
 * Errors: bqb_zip_open's; BQB_ECANCEL; of fn. */
bqb_status bqb_zip_set_each(const char *path, const bqb_zip_reader *r, size_t *others, bqb_err *err);

#endif
