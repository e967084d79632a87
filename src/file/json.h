/* Reading JSON from hostile bytes: jansson behind limits on depth and size. */
#ifndef BQB_FILE_JSON_H
#define BQB_FILE_JSON_H

#include "base/err.h"

#include <jansson.h>

/* Parse n bytes that hold one object. Refused before anything is allocated:
 * more than max_depth nested containers, or more than max_items values and
 * keys, so that memory stays below about 250 bytes an item. Refused by
 * jansson: duplicate keys, invalid UTF-8, a NUL in a string, bytes after the end.
 * Errors: BQB_EFORMAT or BQB_ELIMIT with the byte position; BQB_ENOMEM.
 * Free *out with json_decref. Any thread. */
bqb_status bqb_json_parse(json_t **out, const char *text, size_t n, size_t max_depth, size_t max_items,
                          bqb_err *err);

/* The same for a whole file of at most max_bytes; messages begin with its path. */
bqb_status bqb_json_read(json_t **out, const char *path, size_t max_bytes, size_t max_depth, size_t max_items,
                         bqb_err *err);

/* A string of any bytes: what is no UTF-8 becomes U+FFFD. NULL when memory is out. */
json_t *bqb_json_text(const char *text);

#endif
