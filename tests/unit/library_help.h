/* What the tests of library and search share: small pictures and an embedder that needs no model. */
#ifndef BQB_TEST_LIBRARY_HELP_H
#define BQB_TEST_LIBRARY_HELP_H

#include "library/import.h"

/* Write an 8×8 PNG in one colour to DIR/NAME (folders are made); another colour is another sticker. */
void help_png(const char *dir, const char *name, unsigned r, unsigned g, unsigned b);
void help_text(const char *dir, const char *name, const char *text);

/* DIR/NAME in a static buffer that the fourth call from now reuses. */
const char *help_path(const char *dir, const char *name);

/* Three numbers: the colour of the first pixel, as a unit vector (black: 1, 0, 0). Counts its pictures. */
extern size_t help_encoded;
bqb_embedder help_embedder(const char *id);

/* Open DIR/lib, import the one path, close; the report out. CHECKs that all went well. */
void help_import(const char *dir, const char *path, const bqb_embedder *e, bqb_import_report *r);

bqb_catalogue *help_open(const char *dir); /* DIR/lib for reading; NULL and a failed check when it cannot */

#define MODEL_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MODEL_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#endif
