/* All that a SPLIT_texts.jsonl says, by picture. */
#ifndef BQB_FILE_MUGE_SAID_H
#define BQB_FILE_MUGE_SAID_H

#include "file/muge.h"

/* A text of one picture; a text of several pictures is there once for each. */
typedef struct {
    char *image, *text;
    size_t order;
} bqb_muge_said;

typedef struct {
    bqb_muge_said *item; /* by picture (byte order), then as the file has them */
    size_t n, cap;
} bqb_muge_said_list;

/* Read the whole file into a zeroed list. Broken lines are told to skipped (may
 * be NULL) and passed over. Free the list after errors, too. */
bqb_status bqb_muge_said_read(bqb_muge_said_list *l, const char *path, bqb_skipped_fn skipped, void *ctx,
                              bqb_err *err);
void bqb_muge_said_free(bqb_muge_said_list *l);

/* The same by hand: add texts in any order, then sort. `order` is among those of one picture. */
bqb_status bqb_muge_said_add(bqb_muge_said_list *l, const char *image, const char *text, size_t order, bqb_err *err);
void bqb_muge_said_sort(bqb_muge_said_list *l);

/* Number of the texts of a picture; the first is l->item[*first]. */
size_t bqb_muge_said_find(const bqb_muge_said_list *l, const char *image, size_t *first);

/* Set out to the n texts from `first` on, joined by "；", as many as fit into it. */
bqb_status bqb_muge_said_join(bqb_buf *out, const bqb_muge_said_list *l, size_t first, size_t n, bqb_err *err);

#endif
