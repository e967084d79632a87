/* Pictures that come inside a MUGE file get files of their own. */
#ifndef BQB_LIBRARY_MUGE_FILES_H
#define BQB_LIBRARY_MUGE_FILES_H

#include "base/err.h"

/* Write a picture's file to DIR/files/XX/SHA256.FORMAT, unless that is there
 * already. Free *path with free(). */
bqb_status bqb_keep_picture(char **path, const char *dir, const uint8_t *bytes, size_t size, bqb_err *err);

#define BQB_MUGE_IMGS "_imgs.tsv"
#define BQB_MUGE_TEXTS "_texts.jsonl"

/* The other file of a set: of X_imgs.tsv X_texts.jsonl, and the other way round. NULL when path is neither, or when the other
 * is not there. Free with free(). */
char *bqb_muge_other_half(const char *path);

/* Told of each picture: the file that now holds it (path is lent), and what the
 * texts say of it, joined by "；" ("" when nothing). Non-OK ends the reading. */
typedef bqb_status (*bqb_muge_file_fn)(void *ctx, const char *path, const char *caption, bqb_err *err);

/* Read SPLIT_imgs.tsv, and SPLIT_texts.jsonl beside it when it is there. Each
 * picture is written to DIR/files/XX/SHA256.FORMAT, unless that is there
 * already. Broken lines are told to skipped (may be NULL).
 * Errors: BQB_EIO (nothing to read, no room to write), BQB_ENOMEM, of fn. */
bqb_status bqb_muge_files(const char *imgs_tsv, const char *dir, bqb_muge_file_fn fn, bqb_skipped_fn skipped,
                          void *ctx, bqb_err *err);

#endif
