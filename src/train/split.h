/* A data set cut into train, valid and test, so that nothing leaks from one
 * into another: copies are taken out, kin stay on one side (train/copies.h). */
#ifndef BQB_TRAIN_SPLIT_H
#define BQB_TRAIN_SPLIT_H

#include "train/copies.h"

typedef enum { BQB_TRAIN_SIDE, BQB_VALID_SIDE, BQB_TEST_SIDE, BQB_SIDES } bqb_side;
const char *bqb_side_name(bqb_side side); /* "train" "valid" "test" */

/* Which side each kept sticker goes to: side out [n], BQB_SIDES for what is not
 * kept. share [BQB_SIDES] adds up to 1. A function of the seed, the pictures'
 * bytes and their emotions, not of the stickers' order: every emotion is shared
 * out like the whole, as closely as kin allow. Errors: BQB_ENOMEM. */
bqb_status bqb_split_sides(uint8_t *side, const bqb_dataset *ds, const bqb_copies *c, const double share[BQB_SIDES],
                           uint64_t seed, bqb_err *err);

typedef enum { BQB_SPLIT_REFER, BQB_SPLIT_COPY, BQB_SPLIT_LINK } bqb_split_pictures;

typedef struct {
    const char *out;
    double share[BQB_SIDES];  /* adds up to 1; a side of 0 is not written */
    uint64_t seed;
    bqb_split_pictures pictures; /* how the tables get at them: as they lie, copied, or linked (hard) */
    bool keep_near;           /* take only exact copies out */
    int threads;              /* 0: all processors */
    bqb_progress_fn progress; /* may be NULL */
    void *ctx;
} bqb_split_options;

typedef struct {
    size_t stickers;          /* that the data set has */
    size_t exact, near, unreadable; /* of them left out, and why */
    size_t kin;               /* stickers that were kept on one side with others */
    size_t n[BQB_SIDES], queries[BQB_SIDES];
    size_t copied;            /* pictures */
    bqb_buf notes;            /* lines for people: what could not be read; free with bqb_buf_free */
} bqb_split_report;

/* Write OUT/SIDE/captions.tsv (and queries.tsv where there are queries),
 * OUT/left-out.tsv (file, kept, reason: exact, near or unreadable) and OUT/split.json. Tables
 * name pictures relative to themselves; those inside other files, and all where
 * asked, are put into OUT/SIDE/images first. OUT is made; it may not hold a
 * split yet (BQB_EINVAL). Stopped or failed, it holds no tables and the same
 * call can be made again. */
bqb_status bqb_split(const bqb_dataset *ds, const bqb_split_options *o, bqb_split_report *report, bqb_err *err);

#endif
