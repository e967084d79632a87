/* The files of Chinese-CLIP and the MUGE benchmark: pictures, queries,
 * predictions, features, scores. Source: github.com/OFA-Sys/Chinese-CLIP, README.
 *
 * Ids are integers in MUGE and file names in sticker sets: here they are
 * strings, and an id that is a plain integer is written as a JSON integer. */
#ifndef BQB_FILE_MUGE_H
#define BQB_FILE_MUGE_H

#include "base/fs.h"
#include "base/mem.h"

/* ---- SPLIT_imgs.tsv: id TAB base64 of the picture's file, one a line ---- */

typedef struct bqb_muge_images bqb_muge_images;

typedef struct {
    const char *id; /* NULL at the end of the file */
    const uint8_t *bytes;
    size_t size;
    size_t line; /* from 1 */
} bqb_muge_image;

bqb_status bqb_muge_images_open(bqb_muge_images **out, const char *path, bqb_err *err);
void bqb_muge_images_close(bqb_muge_images *m);

/* The next picture, borrowed until the next call. After BQB_EFORMAT (no tab, no
 * base64, an empty id) or BQB_ELIMIT (a line over 128 MB), which name file and
 * line, the next call goes on with the next line. Blank lines are passed over. */
bqb_status bqb_muge_images_next(bqb_muge_images *m, bqb_muge_image *image, bqb_err *err);

/* ---- SPLIT_texts.jsonl: {"text_id","text","image_ids":[…]} ---- */

typedef struct bqb_muge_texts bqb_muge_texts;

typedef struct {
    const char *id; /* NULL at the end of the file */
    const char *text;
    const char *const *image_ids; /* the pictures it belongs to; none in a test split */
    size_t n_image_ids;
    size_t line;
} bqb_muge_text;

bqb_status bqb_muge_texts_open(bqb_muge_texts **out, const char *path, bqb_err *err);
void bqb_muge_texts_close(bqb_muge_texts *m);

/* The same rules as bqb_muge_images_next. */
bqb_status bqb_muge_texts_next(bqb_muge_texts *m, bqb_muge_text *text, bqb_err *err);

/* All of them in turn; fn's first status other than BQB_OK ends it. Broken lines are told to skipped
 * (may be NULL) and passed over. Errors: of the file, BQB_ENOMEM, of fn. */
typedef bqb_status (*bqb_muge_text_fn)(void *ctx, const bqb_muge_text *text, bqb_err *err);
bqb_status bqb_muge_texts_each(const char *path, bqb_muge_text_fn fn, bqb_skipped_fn skipped, void *ctx, bqb_err *err);

/* ---- writing: one line each ---- */

/* id TAB base64 of the picture's file. */
bqb_status bqb_muge_write_image(bqb_outfile *o, const char *id, const void *bytes, size_t size, bqb_err *err);

/* {"text_id":…,"text":…,"image_ids":[…]}. BQB_EINVAL: something is not UTF-8. */
bqb_status bqb_muge_write_text(bqb_outfile *o, const char *text_id, const char *text, const char *const *image_ids,
                               size_t n, bqb_err *err);

/* {"text_id":…,"image_ids":[…]}, best first. */
bqb_status bqb_muge_write_prediction(bqb_outfile *o, const char *text_id, const char *const *image_ids,
                                     size_t n, bqb_err *err);

/* {KEY:…,"feature":[…]}; key is "image_id" or "text_id". BQB_EINVAL when a number is not finite. */
bqb_status bqb_muge_write_feature(bqb_outfile *o, const char *key, const char *id, const float *feature,
                                  size_t D, bqb_err *err);

/* Append {"success":true,"score":MR,"scoreJson":{"score","mean_recall","r1","r5","r10"}}
 * without a line end. Recalls are in percent; MR is their mean. */
bqb_status bqb_muge_score(bqb_buf *out, double r1, double r5, double r10, bqb_err *err);

#endif
