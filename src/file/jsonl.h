/* JSON Lines: one object a line. */
#ifndef BQB_FILE_JSONL_H
#define BQB_FILE_JSONL_H

#include "base/fs.h"

#include <jansson.h>

typedef struct bqb_jsonl bqb_jsonl;

bqb_status bqb_jsonl_open(bqb_jsonl **out, const char *path, bqb_err *err);
void bqb_jsonl_close(bqb_jsonl *j);

/* The object on the next line that is not blank; *value is NULL at the end of
 * the file. Borrowed until the next call. After BQB_EFORMAT or BQB_ELIMIT (a
 * line over 16 MB, 32 levels or 1 Mi items), which name file and line and have
 * the line as position, the next call goes on with the next line. */
bqb_status bqb_jsonl_next(bqb_jsonl *j, const json_t **value, bqb_err *err);

/* Number of the line that the last call was about, from 1. */
size_t bqb_jsonl_line(const bqb_jsonl *j);

/* BQB_EFORMAT "FILE: line N: WHAT", for offences that the caller finds. */
bqb_status bqb_jsonl_fail(const bqb_jsonl *j, bqb_err *err, const char *what);

/* Append one line; takes the reference to value, which may be NULL (BQB_ENOMEM).
 * Reals have 9 significant digits, enough to give an f32 back unchanged. */
bqb_status bqb_jsonl_write_take(bqb_outfile *o, json_t *value, bqb_err *err);

#endif
