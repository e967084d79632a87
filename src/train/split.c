#include "train/split.h"

#include <stdlib.h>
#include <string.h>

const char *bqb_side_name(bqb_side side) {
    static const char *const names[BQB_SIDES] = {"train", "valid", "test"};
    return (unsigned)side < BQB_SIDES ? names[side] : "";
}

/* Kin go together: a group is a number of kept stickers. */
typedef struct {
    const char *emotion;
    uint64_t place; /* random, by seed and content */
    uint32_t kin, n;
    size_t n_emotion;
} group;

static uint64_t scatter(uint64_t seed, const uint8_t sha256[32]) { /* splitmix64's mixing */
    uint64_t x;
    memcpy(&x, sha256, sizeof x);
    x += seed * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int by_emotion(const void *a, const void *b) {
    const group *x = a, *y = b;
    int c = strcmp(x->emotion, y->emotion);
    return c ? c : x->place < y->place ? -1 : x->place > y->place;
}

/* Large groups first, so that small ones can even out; then frequent emotions; then by chance. */
static int in_turn(const void *a, const void *b) {
    const group *x = a, *y = b;
    bool big_x = x->n > 1, big_y = y->n > 1;
    if (big_x != big_y) return big_x ? -1 : 1;
    if (big_x && x->n != y->n) return x->n > y->n ? -1 : 1;
    if (x->n_emotion != y->n_emotion) return x->n_emotion > y->n_emotion ? -1 : 1;
    return by_emotion(a, b);
}

bqb_status bqb_split_sides(uint8_t *side, const bqb_dataset *ds, const bqb_copies *c, const double share[BQB_SIDES],
                           uint64_t seed, bqb_err *err) {
    group *g = bqb_calloc(c->n, sizeof *g);
    uint32_t *number = bqb_calloc(c->n, sizeof *number);
    size_t n = 0;
    if (!g || !number) {
        free(g);
        free(number);
        return bqb_fail_nomem(err, "split", c->n * (sizeof *g + sizeof *number));
    }
    for (uint32_t i = 0; i < c->n; i++) {
        const bqb_copy *x = &c->item[i];
        if (x->kind != BQB_COPY_NOT) continue;
        if (x->kin == i) number[i] = (uint32_t)n++; /* the first of its kin comes first */
        group *to = &g[number[x->kin]];
        uint64_t place = scatter(seed, x->sha256);
        if (!to->n || place < to->place) {
            const char *emotion = bqb_dataset_at(ds, i)->note.field[BQB_EMOTION];
            to->place = place;
            to->emotion = emotion ? emotion : "";
            to->kin = x->kin;
        }
        to->n++;
    }
    qsort(g, n, sizeof *g, by_emotion);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && !strcmp(g[end].emotion, g[i].emotion);) end++;
        for (size_t k = i; k < end; k++) g[k].n_emotion = end - i;
    }
    qsort(g, n, sizeof *g, in_turn);
    /* Each goes where most is lacking of what that side should have by now. */
    double has[BQB_SIDES] = {0}, seen = 0;
    for (size_t k = 0; k < n; k++) {
        size_t best = 0;
        seen += g[k].n;
        for (size_t s = 1; s < BQB_SIDES; s++)
            if (share[s] > 0 && seen * share[s] - has[s] > seen * share[best] - has[best]) best = s;
        has[best] += g[k].n;
        number[g[k].kin] = (uint32_t)best;
    }
    for (uint32_t i = 0; i < c->n; i++)
        side[i] = c->item[i].kind == BQB_COPY_NOT ? (uint8_t)number[c->item[i].kin] : (uint8_t)BQB_SIDES;
    free(g);
    free(number);
    return BQB_OK;
}
