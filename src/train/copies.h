/* Which stickers of a data set are the same picture.
 *
 * Exact copies have the same bytes (SHA-256). Near copies look the same in every
 * frame and have the same words on them (image/fingerprint.h): the same picture
 * with other words is another sticker. Of copies one is kept: that with the most
 * fields, then the most pixels, then the first. Pictures are taken in that
 * order, and each is compared with those that are kept: so no two kept ones are
 * copies, and a chain of small changes does not swallow what is different.
 * An animation and a still of it, or two animations that share a picture, are
 * no copies but kin: both are kept, and belong on one side of a split. */
#ifndef BQB_TRAIN_COPIES_H
#define BQB_TRAIN_COPIES_H

#include "train/dataset.h"

typedef enum { BQB_COPY_NOT, BQB_COPY_EXACT, BQB_COPY_NEAR, BQB_COPY_UNREADABLE, BQB_COPY_KINDS } bqb_copy_kind;
const char *bqb_copy_name(bqb_copy_kind k); /* "" "exact" "near" "unreadable" */

typedef struct {
    uint8_t sha256[32];
    char format[8]; /* by content */
    uint32_t of;    /* the sticker that is kept for it; itself when it is kept, or cannot be read */
    uint32_t kin;   /* of a kept one: the first of those that belong on one side with it */
    uint8_t kind;   /* bqb_copy_kind */
} bqb_copy;

typedef struct {
    size_t n, count[BQB_COPY_KINDS], n_kin; /* n_kin: kept ones that have kin */
    bqb_copy *item;                         /* [n] by number in the data set */
    bqb_buf notes;                          /* the first unreadable ones, as lines for people */
} bqb_copies;

/* scratch: a folder for a file that has no name and is gone afterwards, 5 kB a
 * frame. near false: exact copies only. threads 0: all processors. Free the
 * result after errors, too. Errors: BQB_ECANCEL, BQB_EIO, BQB_ENOMEM. */
bqb_status bqb_copies_find(bqb_copies *c, const bqb_dataset *ds, bool near, const char *scratch, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_copies_free(bqb_copies *c);

#endif
