/* Stickers by id: a list as it grows, a set once it is sorted. Zero-initialise. */
#ifndef BQB_LIBRARY_ID_SET_H
#define BQB_LIBRARY_ID_SET_H

#include "library/catalogue.h"

typedef struct {
    bqb_sticker_id *id; /* of a set: rising, each once */
    size_t n, cap;
} bqb_id_set;

/* A bqb_id_fn: append. Non-zero when memory is out, with the list as it was. */
int bqb_id_set_add(void *set, bqb_sticker_id id);

/* Make a set of the list. */
void bqb_id_set_sort(bqb_id_set *s);

/* Of a set: where the id stands, or SIZE_MAX; whether it is there. */
size_t bqb_id_set_place(const bqb_id_set *s, bqb_sticker_id id);
bool bqb_id_set_has(const bqb_id_set *s, bqb_sticker_id id);
void bqb_id_set_free(bqb_id_set *s);

#endif
