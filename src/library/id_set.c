#include "library/id_set.h"

#include "base/mem.h"

#include <stdlib.h>

int bqb_id_set_add(void *set, bqb_sticker_id id) {
    bqb_id_set *s = set;
    bqb_sticker_id *grown = bqb_grow(s->id, s->n, &s->cap, sizeof *grown, 256);
    if (!grown) return 1;
    s->id = grown;
    s->id[s->n++] = id;
    return 0;
}

static int by_id(const void *a, const void *b) {
    bqb_sticker_id x = *(const bqb_sticker_id *)a, y = *(const bqb_sticker_id *)b;
    return x < y ? -1 : x > y;
}

void bqb_id_set_sort(bqb_id_set *s) {
    if (s->n) qsort(s->id, s->n, sizeof *s->id, by_id);
    size_t m = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!m || s->id[m - 1] != s->id[i]) s->id[m++] = s->id[i];
    s->n = m;
}

size_t bqb_id_set_place(const bqb_id_set *s, bqb_sticker_id id) {
    const bqb_sticker_id *at = s->n ? bsearch(&id, s->id, s->n, sizeof id, by_id) : NULL;
    return at ? (size_t)(at - s->id) : SIZE_MAX;
}

bool bqb_id_set_has(const bqb_id_set *s, bqb_sticker_id id) { return bqb_id_set_place(s, id) != SIZE_MAX; }

void bqb_id_set_free(bqb_id_set *s) {
    free(s->id);
    *s = (bqb_id_set){0};
}
