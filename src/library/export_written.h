/* Which pictures exports wrote into a folder, so that what a later one has no use for can be told from other people's files.
 *
 *   DIR/.bqb-export   a line for each: SHA-256, two spaces, images/NAME; what `sha256sum -c` reads
 *
 * and a last line for captions.tsv, as the export wrote it. A picture's line is written before its picture is, so that an export that is killed is remembered, too. The list is taken for
 * hostile: names of another form than exports give, and files that are not what it says, are nobody's. */
#ifndef BQB_LIBRARY_EXPORT_WRITTEN_H
#define BQB_LIBRARY_EXPORT_WRITTEN_H

#include "library/catalogue.h"

typedef struct bqb_written bqb_written;

/* Read DIR's list, and open it to go on with it. BQB_EIO names it. */
bqb_status bqb_written_open(bqb_written **out, const char *dir, bqb_err *err);
void bqb_written_close(bqb_written *w); /* accepts NULL */

/* This export is about to write DIR/captions.tsv: one that is there and that no export wrote, or that was changed since, is
 * renamed to captions.tsv.bak (.bak2, … where that is taken); kept (32 bytes) gets its new name, else "". */
bqb_status bqb_written_spare_table(char kept[32], const bqb_written *w, bqb_err *err);

/* This export is about to write DIR/images/NAME. */
bqb_status bqb_written_add(bqb_written *w, const char *name, const uint8_t sha256[BQB_SHA256_SIZE], bqb_err *err);

typedef struct {
    size_t removed; /* of earlier exports */
    size_t left;    /* of earlier exports: each told */
    size_t others;  /* files in images/ that no export wrote, hidden ones not counted; never touched */
} bqb_leftovers;

/* DIR/captions.tsv is complete. Look through DIR/images for what this export did not write, and write the list anew. Where `remove` is set, a picture goes
 * that an earlier export wrote, that still is what it wrote, and that is neither a file of a sticker of c nor the last copy
 * of one; why any other stays is told (left may be NULL). */
bqb_status bqb_written_finish(bqb_leftovers *out, bqb_written *w, bqb_catalogue *c, bool remove, bqb_skipped_fn left,
                              void *ctx, bqb_err *err);

#endif
