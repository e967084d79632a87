/* The labels that bqb knows by itself: the emotions and styles of its synthetic
 * stickers (data/emotions.tsv, data/styles.tsv), without the one that says nothing. */
#ifndef BQB_TEXT_LABEL_NAMES_H
#define BQB_TEXT_LABEL_NAMES_H

#include "text/annotation.h"

/* Those of BQB_EMOTION or BQB_STYLE, *n of them; NULL and 0 for other fields. */
const char *const *bqb_label_names(bqb_field f, size_t *n);

#endif
