/* Near copies in a library: which stickers are the same picture, and which the same with other words.
 *
 * Of every sticker a sketch of each frame is kept (image/sketch.h). Each new one is
 * compared with all others by an index of hashes, by the sketches of those that it
 * finds, and where these say that it may be the same picture, by the files. What is
 * found of a pair is kept, so nothing is compared twice.
 *
 * Groups follow from the pairs: stickers are taken animated ones first, then
 * those with the most pixels, then the oldest; each that is in no group begins one, and all
 * of its near copies that are in none join it. So every member is a near copy of the
 * first, and a chain of small changes does not join what is different. Groups are
 * made anew in every transaction that changes them.
 *
 * One of a group may be marked its keeper: while its file is there, the others are
 * hidden in results, also those that join later. Nothing is ever deleted. */
#ifndef BQB_LIBRARY_LIKENESS_H
#define BQB_LIBRARY_LIKENESS_H

#include "image/looks.h"
#include "library/catalogue.h"

typedef enum { BQB_UNLIKE, BQB_SAME_PICTURE, BQB_OTHER_WORDS } bqb_likeness;

typedef struct {
    size_t sketched;   /* stickers that got their sketches */
    size_t unreadable; /* of these: those that cannot be decoded now, and are taken for like nothing */
    size_t compared;   /* stickers compared with all others */
    size_t copies;     /* of these: those that are near copies of another one */
    size_t same, other_words; /* pairs found */
} bqb_likeness_report;

/* Bring everything up to date: what has no sketch is looked at, what was not compared is
 * compared. Nothing to do: nothing is read. Committed in small steps; stopped at any
 * moment, the next call goes on. Stickers whose file is not there are left for later.
 * c: opened to write, outside a transaction. progress may be NULL; threads 0: all
 * processors. Errors: BQB_ECANCEL, BQB_ENOMEM, of the catalogue. */
bqb_status bqb_likeness_update(bqb_likeness_report *r, bqb_catalogue *c, int threads, bqb_progress_fn progress, void *ctx,
                               bqb_err *err);

/* --- what is known; a library that is older and cannot be written to knows nothing --- */

/* Where one sticker stands. A sticker without near copies has zeros. */
typedef struct {
    bqb_sticker_id first;  /* the first of its group; 0: in none */
    bqb_sticker_id keeper; /* who is shown for the whole group; 0: nobody was chosen, or it is missing */
    size_t others;         /* of the group, not missing */
} bqb_group;
bqb_status bqb_catalogue_group_of(bqb_catalogue *c, bqb_sticker_id id, bqb_group *g, bqb_err *err);

/* What two stickers were found to be. */
bqb_status bqb_catalogue_likeness_of(bqb_catalogue *c, bqb_sticker_id a, bqb_sticker_id b, bqb_likeness *l, bqb_err *err);

/* Each pair of one kind, a < b, rising; each member of a group that is not missing, by the group's first, rising. */
typedef int (*bqb_pair_fn)(void *ctx, bqb_sticker_id a, bqb_sticker_id b); /* non-zero stops with BQB_ECANCEL */
bqb_status bqb_catalogue_each_pair(bqb_catalogue *c, bqb_likeness kind, bqb_pair_fn fn, void *ctx, bqb_err *err);
bqb_status bqb_catalogue_each_grouped(bqb_catalogue *c, bqb_pair_fn fn, void *ctx, bqb_err *err);

/* --- changes, in a transaction --- */

/* Make it the keeper of its group instead of any other. BQB_ENOTFOUND: it has no near copies. */
bqb_status bqb_catalogue_keep(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);

/* The group that it belongs to has no keeper any more. */
bqb_status bqb_catalogue_keep_none(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);

/* frames: 0 to 3 packed sketches; stays when there is one already. */
bqb_status bqb_catalogue_put_sketch(bqb_catalogue *c, bqb_sticker_id id, const uint8_t *frames, size_t n_bytes, bqb_err *err);
bqb_status bqb_catalogue_each_unsketched(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err);

/* Each sketch, rising; frames borrowed for the call. */
typedef int (*bqb_sketch_fn)(void *ctx, bqb_sticker_id id, const uint8_t *frames, size_t n_bytes, bool compared);
bqb_status bqb_catalogue_each_sketch(bqb_catalogue *c, bqb_sketch_fn fn, void *ctx, bqb_err *err);
bqb_status bqb_catalogue_count_uncompared(bqb_catalogue *c, size_t *n, bqb_err *err);

/* Pairs whose stickers are gone meanwhile are passed over. */
bqb_status bqb_catalogue_put_pair(bqb_catalogue *c, bqb_sticker_id a, bqb_sticker_id b, bqb_likeness l, bqb_err *err);
bqb_status bqb_catalogue_set_compared(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);

#endif
