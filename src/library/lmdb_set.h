/* Annotated pictures in LMDB databases, in the two layouts that there are:
 *   Chinese-CLIP   DIR/imgs   "ID" → base64 of the picture's file; num_images
 *                  DIR/pairs  "0", "1", … → pickled (image id, text id, text); num_samples
 *   Sticker820K    DIR/imgs   name → the picture's file
 *                  DIR/infos  name → pickled dict of the five fields
 *                  DIR/train.txt, valid.txt: the names of a split, one a line
 * Source: Chinese-CLIP's build_lmdb_dataset.py and Sticker820K's data loader. */
#ifndef BQB_LIBRARY_LMDB_SET_H
#define BQB_LIBRARY_LMDB_SET_H

#include "text/annotation.h"

#include <stdbool.h>

typedef struct bqb_lmdb_set bqb_lmdb_set;

/* Whether a folder is one of them. */
bool bqb_is_lmdb_set(const char *dir);

/* Whether a file is a list of names beside the databases of Sticker820K. */
bool bqb_is_lmdb_list(const char *path);

/* path: the folder, or a list of names in it. Errors: bqb_lmdb_open's; BQB_ENOMEM. */
bqb_status bqb_lmdb_set_open(bqb_lmdb_set **out, const char *path, bqb_err *err);
void bqb_lmdb_set_close(bqb_lmdb_set *set);

typedef struct {
    const char *id;      /* image id or name */
    bqb_annotation note; /* Chinese-CLIP: the caption is the texts, joined by "；" */
    const char *const *text; /* [n_texts] Chinese-CLIP's, one by one; lent for the call, like the rest of the strings */
    size_t n_texts;
    const uint8_t *data; /* as it lies in the database: borrowed until close */
    size_t size;
} bqb_lmdb_sticker;

/* Every sticker, with a text or without; fn's first status other than BQB_OK ends
 * it. What cannot be had is told to skip (may be NULL): a picture or its words are not there
 * (missing), or are not what they should be. Same order every time.
 * Errors: of the databases, BQB_ENOMEM, of fn. */
typedef bqb_status (*bqb_lmdb_sticker_fn)(void *ctx, const bqb_lmdb_sticker *x, bqb_err *err);
typedef void (*bqb_lmdb_skip_fn)(void *ctx, const char *id, bool missing, const char *reason);
bqb_status bqb_lmdb_set_each(const bqb_lmdb_set *set, bqb_lmdb_sticker_fn fn, bqb_lmdb_skip_fn skip, void *ctx,
                             bqb_err *err);

/* Append the bytes of a picture's file: data itself, or what its base64 stands for. Any thread. */
bqb_status bqb_lmdb_set_picture(const bqb_lmdb_set *set, bqb_buf *out, const uint8_t *data, size_t size, bqb_err *err);

/* The files that make it up: imgs, pairs or infos, and the list of names (NULL past the last). Borrowed. */
const char *bqb_lmdb_set_file(const bqb_lmdb_set *set, size_t i);

#endif
