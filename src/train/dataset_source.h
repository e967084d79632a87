/* The inside of a bqb_dataset, for the readers of what stickers may lie in:
 * dataset_table.c, dataset_library.c, dataset_muge.c, dataset_lmdb.c. Another kind of source is
 * a file with one such function, and a line in dataset.c that knows it. */
#ifndef BQB_TRAIN_DATASET_SOURCE_H
#define BQB_TRAIN_DATASET_SOURCE_H

#include "train/dataset.h"

#include <stdbool.h>

/* A file that has pictures inside it. read appends the bytes of the one that
 * was added with `at` and `size`; any thread. */
typedef struct {
    bqb_status (*read)(void *ctx, uint64_t at, uint64_t size, bqb_buf *out, bqb_err *err);
    void *ctx; /* kept open by bqb_dataset_own */
} bqb_dataset_box;

/* Where a picture lies: in the file `path` (box SIZE_MAX), or in a box. */
typedef struct {
    size_t box;
    uint64_t at, size;
} bqb_dataset_place;

typedef enum { BQB_LEFT_MISSING, BQB_LEFT_EMPTY, BQB_LEFT_UNNAMED, BQB_LEFT_BROKEN, BQB_LEFT_KINDS } bqb_left;

typedef struct bqb_dataset_block bqb_dataset_block;

struct bqb_dataset {
    bqb_sample *sample;
    bqb_dataset_place *place;
    size_t n, cap, place_cap;
    const char **query;
    size_t n_queries, query_cap;
    bqb_dataset_box *box;
    size_t n_boxes;
    struct {
        void *what;
        void (*end)(void *);
    } *owned;
    size_t n_owned;
    bqb_dataset_block *strings;
    bqb_buf scratch, notes;
    uint64_t hash, times;
    size_t left[BQB_LEFT_KINDS];
    size_t n_texts, n_commonest;
    const char *commonest;
};

/* What ends with the data set; on failure it is ended at once. */
bqb_status bqb_dataset_own(bqb_dataset *ds, void *what, void (*end)(void *), bqb_err *err);

/* *box is the number for bqb_dataset_add. */
bqb_status bqb_dataset_add_box(bqb_dataset *ds, bqb_dataset_box b, size_t *box, bqb_err *err);

/* A copy of n bytes of text, with a NUL, that lives as long as the data set; NULL when memory is out. */
const char *bqb_dataset_keep(bqb_dataset *ds, const char *text, size_t n);

/* Add a sticker; place NULL: the file x->path, which is looked for. What has no
 * name, no text or no file is left out and counted: *added (may be NULL) is then
 * false. Strings must live as long as the data set. */
bqb_status bqb_dataset_add(bqb_dataset *ds, const bqb_sample *x, const bqb_dataset_place *place, bool *added,
                           bqb_err *err);

/* Another short query of the sticker that was added last, or of any one while no other gets any. */
bqb_status bqb_dataset_add_query(bqb_dataset *ds, const char *query, bqb_err *err);

/* Count something left out, and name it if it is among the first few of its kind. */
void bqb_dataset_leave_out(bqb_dataset *ds, bqb_left kind, const char *name, const char *why);

/* Bytes that make this data another. */
void bqb_dataset_mix(bqb_dataset *ds, const void *bytes, size_t n);
void bqb_dataset_mix_time(bqb_dataset *ds, int64_t seconds, int64_t nanoseconds);
bqb_status bqb_dataset_mix_file(bqb_dataset *ds, const char *path, bqb_err *err);

bqb_status bqb_dataset_read_table(bqb_dataset *ds, const char *captions_tsv, bqb_err *err);
bqb_status bqb_dataset_read_library(bqb_dataset *ds, const char *dir, bqb_err *err);
bqb_status bqb_dataset_read_muge(bqb_dataset *ds, const char *imgs_tsv, bqb_err *err);
bqb_status bqb_dataset_read_lmdb(bqb_dataset *ds, const char *path, bqb_err *err);

#endif
