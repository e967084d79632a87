#include "search/folding.h"

#include "base/mem.h"
#include "file/safetensors.h"
#include "library/likeness.h"

#include <stdlib.h>

/* Cosine of two stickers' pictures. */
static double resemblance(const bqb_vectors *v, float *vec, size_t a, size_t b) {
    if (a == SIZE_MAX || b == SIZE_MAX) return 0;
    for (size_t d = 0; d < v->dim; d++) vec[d] = bqb_f16_to_f32(v->f16[a * v->dim + d]);
    return (double)bqb_scan_row(v, b, vec);
}

/* The first of the m kept ones that e resembles by q->fold; m: none. */
static bqb_status find_twin(size_t *twin, const bqb_entrant *kept, size_t m, const bqb_entrant *e, bqb_catalogue *c,
                            const bqb_vectors *v, float *vec, double least, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (*twin = 0; *twin < m && !s; ++*twin) {
        bqb_likeness l;
        if (resemblance(v, vec, e->row, kept[*twin].row) < least) continue;
        s = bqb_catalogue_likeness_of(c, e->id, kept[*twin].id, &l, err);
        if (!s && l != BQB_OTHER_WORDS) break;
    }
    return s;
}

bqb_status bqb_fold(bqb_entrant *e, size_t *n, bqb_catalogue *c, const bqb_parts *p, const bqb_search_query *q, bqb_err *err) {
    const bqb_vectors *v = q->fold > 0 ? bqb_parts_vectors(p) : NULL;
    float *vec = v ? bqb_calloc(v->dim, sizeof *vec) : NULL;
    bqb_sticker_id *group = bqb_calloc(q->n, sizeof *group);
    bqb_status s = group && (vec || !v) ? BQB_OK : bqb_fail_nomem(err, "results", q->n * sizeof *group);
    size_t m = 0;
    for (size_t i = 0; i < *n && m < q->n && !s; i++) {
        bqb_group g = {0};
        bqb_entrant x = e[i];
        size_t twin = m;
        if (!q->apart) s = bqb_catalogue_group_of(c, x.id, &g, err);
        bool shown = false;
        for (size_t k = 0; k < m && g.first && !shown; k++) shown = group[k] == g.first;
        if (s || shown) continue;
        if (g.keeper && g.keeper != x.id) { /* it stands for the others, if it may be shown at all */
            if (!bqb_parts_passes(p, g.keeper)) continue;
            x.id = g.keeper;
        }
        if (v) s = find_twin(&twin, e, m, &x, c, v, vec, q->fold, err);
        if (s) continue;
        if (twin < m) {
            e[twin].folded += 1 + g.others;
            continue;
        }
        x.folded = g.others;
        group[m] = g.first;
        e[m++] = x;
    }
    if (!s) *n = m;
    free(vec);
    free(group);
    return s;
}
