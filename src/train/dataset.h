/* The stickers to train on or to measure with: rows of one or more captions.tsv
 * and the short queries of the queries.tsv beside each of them. */
#ifndef BQB_TRAIN_DATASET_H
#define BQB_TRAIN_DATASET_H

#include "text/annotation.h"

#include <stdint.h>

typedef struct {
    const char *file;               /* as its table names it: the sticker's id in predictions */
    const char *path;               /* to open */
    bqb_annotation note;
    size_t first_query, n_queries;  /* into bqb_dataset_query */
} bqb_sample;

typedef struct bqb_dataset bqb_dataset;

/* Read the tables (a folder stands for its captions.tsv); files are relative
 * to their table. Columns: file, and the fields by bqb_field_parse. Rows
 * without a name, without any text or whose file is not there are left out
 * and counted. BQB_EFORMAT: no "file" or no text column; no sticker left. */
bqb_status bqb_dataset_open(bqb_dataset **out, const char *const *tables, size_t n_tables, bqb_err *err);
void bqb_dataset_close(bqb_dataset *ds);

size_t bqb_dataset_count(const bqb_dataset *ds);
const bqb_sample *bqb_dataset_at(const bqb_dataset *ds, size_t i);
size_t bqb_dataset_query_count(const bqb_dataset *ds);
const char *bqb_dataset_query(const bqb_dataset *ds, size_t q);

/* Over the tables' bytes and every picture's size: the same data, wherever it
 * lies. The stamp also covers the pictures' times of change: the same files. */
uint64_t bqb_dataset_hash(const bqb_dataset *ds);
uint64_t bqb_dataset_stamp(const bqb_dataset *ds);

/* What was left out and why, as lines for people ("" when nothing was). */
size_t bqb_dataset_left_out(const bqb_dataset *ds);
const char *bqb_dataset_notes(const bqb_dataset *ds);

#endif
