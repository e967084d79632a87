/* The stickers to train on or to measure with, wherever they lie:
 *   a captions.tsv or its folder, with the short queries of the queries.tsv beside it
 *   a bqb library (a folder with library.db)
 *   a SPLIT_imgs.tsv of MUGE and Chinese-CLIP, with its SPLIT_texts.jsonl
 *   a folder of LMDB databases, of Chinese-CLIP or Sticker820K, or a list of names
 *   (train.txt, valid.txt) beside the latter's */
#ifndef BQB_TRAIN_DATASET_H
#define BQB_TRAIN_DATASET_H

#include "base/fs.h"
#include "text/annotation.h"

#include <stdint.h>

typedef struct {
    const char *file;               /* the sticker's id in predictions: its table's name for it, the first
                                     * digits of its SHA-256 in a library, MUGE's image id, the key in LMDB */
    const char *path;               /* to open; of a picture inside another file FILE:ID, for messages only */
    bqb_annotation note;
    size_t first_query, n_queries;  /* into bqb_dataset_query */
} bqb_sample;

typedef struct bqb_dataset bqb_dataset;

/* Read the sources. Of a table the columns are file, and the fields by
 * bqb_field_parse; files are relative to it. Of a library every sticker that is
 * shown, with what is believed of it. Of MUGE the caption is what the texts say
 * of the picture, joined by "；", and each text is a short query.
 * Stickers without a name, without any text or whose file is not there are left
 * out and counted, as are broken lines. BQB_ENOTFOUND: no source under that
 * name. BQB_EFORMAT: no "file" or no text column; no sticker left. */
bqb_status bqb_dataset_open(bqb_dataset **out, const char *const *sources, size_t n_sources, bqb_err *err);
void bqb_dataset_close(bqb_dataset *ds);

size_t bqb_dataset_count(const bqb_dataset *ds);
const bqb_sample *bqb_dataset_at(const bqb_dataset *ds, size_t i);
size_t bqb_dataset_query_count(const bqb_dataset *ds);
const char *bqb_dataset_query(const bqb_dataset *ds, size_t q);

/* The bytes of a picture's file: mapped, or taken out of the file it lies in.
 * Any thread. End it with bqb_picture_close, which accepts a zeroed one. */
typedef struct {
    const uint8_t *data;
    size_t size;
    bqb_map map;  /* one of the two holds data */
    bqb_buf held;
} bqb_picture;
bqb_status bqb_dataset_picture(const bqb_dataset *ds, size_t i, bqb_picture *p, bqb_err *err);
void bqb_picture_close(bqb_picture *p);

/* Whether the picture is a file of its own: sample->path can be opened. */
bool bqb_dataset_is_file(const bqb_dataset *ds, size_t i);

/* How many different texts the stickers have; the one that most have (its
 * beginning, for messages), and how many do. */
size_t bqb_dataset_text_count(const bqb_dataset *ds);
const char *bqb_dataset_commonest_text(const bqb_dataset *ds, size_t *n_stickers);

/* Over the tables' bytes and every picture's size: the same data, wherever it
 * lies. The stamp also covers the pictures' times of change: the same files. */
uint64_t bqb_dataset_hash(const bqb_dataset *ds);
uint64_t bqb_dataset_stamp(const bqb_dataset *ds);

/* What was left out and why, and what is odd, as lines for people ("" when there is nothing to say). */
size_t bqb_dataset_left_out(const bqb_dataset *ds);
const char *bqb_dataset_notes(const bqb_dataset *ds);

#endif
