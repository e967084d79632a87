/* The tables of wordings in data/chat/: tab-separated, with a header line, after remarks that begin with #. */
#ifndef BQB_CHAT_WORDINGS_H
#define BQB_CHAT_WORDINGS_H

#include "file/table.h"

/* Open one whose first columns are these. BQB_EFORMAT names a column that is missing and a broken line. */
bqb_status bqb_wordings_open(bqb_table **t, const char *path, const char *const *columns, size_t n_columns, bqb_err *err);

#endif
