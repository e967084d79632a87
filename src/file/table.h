/* captions.tsv: a header line that names the columns, then one line a sticker. */
#ifndef BQB_FILE_TABLE_H
#define BQB_FILE_TABLE_H

#include "base/fs.h"

typedef struct bqb_table bqb_table;

/* Read a tab-separated file with a header line. A UTF-8 byte order mark and \r
 * are dropped; `\t`, `\n`, `\\` escapes in cells are undone; a line with more
 * cells than the header, or with invalid UTF-8, is counted as broken and left
 * out; missing trailing cells are empty. At most 1 GiB and 16 Mi lines. */
bqb_status bqb_table_open(bqb_table **out, const char *path, bqb_err *err);

/* The same of bytes, which are copied; name is for messages. */
bqb_status bqb_table_parse(bqb_table **out, const char *bytes, size_t n, const char *name, bqb_err *err);
void bqb_table_close(bqb_table *t);

size_t bqb_table_rows(const bqb_table *t);
size_t bqb_table_columns(const bqb_table *t);
const char *bqb_table_column(const bqb_table *t, size_t c);            /* its name */
size_t bqb_table_find(const bqb_table *t, const char *name);           /* SIZE_MAX when absent */
const char *bqb_table_cell(const bqb_table *t, size_t row, size_t c);  /* "" when absent; borrowed */
size_t bqb_table_line(const bqb_table *t, size_t row);                 /* its line in the file, from 1 */
size_t bqb_table_broken(const bqb_table *t);                           /* lines left out */
size_t bqb_table_broken_line(const bqb_table *t);                      /* the first of them, 0 if none */

/* "3 broken lines left out, the first is line 7"; NULL where none is. */
enum { BQB_TABLE_PROBLEM = 120 };
const char *bqb_table_problem(char out[BQB_TABLE_PROBLEM], const bqb_table *t);

/* Write a cell as bqb_table_open reads it back, but for \r, which becomes a space. */
bqb_status bqb_table_write_cell(bqb_outfile *o, const char *text, bqb_err *err);

#endif
