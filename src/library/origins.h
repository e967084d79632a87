/* Three columns of captions.tsv that bqb writes for itself, so that an export that is imported again is what it was:
 *
 *   origins  who says so, for every field that is not simply given: entries FIELD=ORIGIN, FIELD=ORIGIN:SCORE,
 *            each with #CHECK behind it or without, blanks between them:
 *                ocr=ocr:0.83#9d21 emotion=zero-shot:0.71#02fc caption=edited#77a0
 *            ORIGIN is a name of bqb_origin_name, SCORE 0 … 1 (1 when absent). CHECK is of the field's
 *            cell: one that somebody has changed since is no longer what was read or guessed, but given.
 *   reading  what a reader of words made out: its name, then the lines of bqb_catalogue_put_reading, as one cell
 *   filename what the name of the file that it was said, where another caption is believed: both are searched
 *
 * A table without these columns says what is given, as ever. */
#ifndef BQB_LIBRARY_ORIGINS_H
#define BQB_LIBRARY_ORIGINS_H

#include "file/table.h"
#include "library/catalogue.h"

#define BQB_ORIGINS_COLUMN "origins"
#define BQB_READING_COLUMN "reading"
#define BQB_FILENAME_COLUMN "filename"

/* Who says what, of one line. */
typedef struct {
    bqb_origin origin[BQB_FIELDS]; /* BQB_GIVEN where no entry says otherwise */
    double score[BQB_FIELDS];      /* 0 … 1 */
    bool unknown[BQB_FIELDS];      /* its entry is broken: the words must not be taken for anybody's */
} bqb_who;

/* Read a cell of `origins` (NULL is ""), whose line says `a`. *w is always filled.
 * BQB_EFORMAT: an entry is broken (the message is about the first, and says what was found and needed). */
bqb_status bqb_origins_parse(bqb_who *w, const char *cell, const bqb_annotation *a, bqb_err *err);

/* Append the cell that says who says the fields of `a`. Scores keep four digits. */
bqb_status bqb_origins_print(bqb_buf *out, const bqb_annotated *a, bqb_err *err);

/* Cut a cell of `reading` into what bqb_catalogue_put_reading takes: reader has room for size bytes, *text points
 * into the cell. BQB_EFORMAT: no name, or one that does not fit; a line that is not WEIGHT, tab, words. BQB_ELIMIT: over 64 KiB. */
enum { BQB_READER_SIZE = 200 };
bqb_status bqb_reading_parse(char reader[BQB_READER_SIZE], const char **text, const char *cell, bqb_err *err);

/* Where a table has these columns (SIZE_MAX: nowhere), and what one of its lines says in them: each NULL or "" where it says
 * nothing; borrowed from the table. */
typedef struct {
    size_t origins, reading, filename;
} bqb_own_columns;
typedef struct {
    const char *origins, *reading, *filename;
} bqb_own_cells;
bqb_own_columns bqb_own_columns_of(const bqb_table *t);
bqb_own_cells bqb_own_cells_at(const bqb_table *t, size_t row, const bqb_own_columns *where);

/* Check those of the line that says `a`. false: why says what is wrong, "line N, …". */
bool bqb_own_cells_check(const bqb_own_cells *x, const bqb_annotation *a, size_t line, bqb_err *why);

#endif
