/* What an import says of a sticker: its table's words, each with who says so, its reading, and its file's name. */
#ifndef BQB_LIBRARY_IMPORT_WORDS_H
#define BQB_LIBRARY_IMPORT_WORDS_H

#include "library/catalogue.h"
#include "library/walk.h"

/* In a transaction. *news: something is now different. Words that a table says were read or guessed never replace
 * what this library read or guessed itself, nor an edit in a table one that was made here; a reading is taken where
 * there is none. Broken entries of a table were told by the walk: their words are passed over. */
bqb_status bqb_import_words(bool *news, bqb_catalogue *c, bqb_sticker_id id, const bqb_candidate *from, bqb_err *err);

#endif
