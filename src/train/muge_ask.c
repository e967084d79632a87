#include "train/muge_ask.h"

#include "file/muge.h"

#include <stdlib.h>
#include <string.h>

enum { TOP = 10, NAMED = 5 };

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    bqb_muge_ask *a;
    bqb_under_text *all; /* [n] the gallery's pictures by name */
    size_t n, cap_text, cap_id, cap_first, cap_right;
} reading;

static size_t first_of(const reading *x, const char *name) {
    size_t lo = 0, hi = x->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(x->all[mid].text, name) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static bqb_status add_right(bqb_muge_ask *a, reading *x, size_t *n, uint32_t item, bqb_err *err) {
    uint32_t *right = bqb_grow(a->right, *n, &x->cap_right, sizeof *right, 256);
    if (!right) return bqb_fail_nomem(err, "right pictures", (*n + 1) * sizeof *right);
    a->right = right;
    a->right[(*n)++] = item;
    return BQB_OK;
}

/* Room for one more text, and for where the one behind it begins. */
static bqb_status grow(bqb_muge_ask *a, reading *x, bqb_err *err) {
    char **text = bqb_grow(a->r.text, a->r.n, &x->cap_text, sizeof *text, 256);
    if (text) a->r.text = text;
    char **id = bqb_grow(a->id, a->r.n, &x->cap_id, sizeof *id, 256);
    if (id) a->id = id;
    size_t *first = bqb_grow(a->first, a->r.n + 1, &x->cap_first, sizeof *first, 256);
    if (first) a->first = first;
    if (!text || !id || !first) return bqb_fail_nomem(err, "texts", (a->r.n + 1) * sizeof *text);
    if (!a->r.n) a->first[0] = 0;
    return BQB_OK;
}

static bqb_status add_text(void *ctx, const bqb_muge_text *t, bqb_err *err) {
    reading *x = ctx;
    bqb_muge_ask *a = x->a;
    bqb_status s = grow(a, x, err);
    if (s) return s;
    size_t from = a->first[a->r.n], n = from, kept = from;
    for (size_t k = 0; k < t->n_image_ids && !s; k++) {
        size_t at = first_of(x, t->image_ids[k]);
        a->n_lost += at == x->n || strcmp(x->all[at].text, t->image_ids[k]) != 0;
        for (; at < x->n && !strcmp(x->all[at].text, t->image_ids[k]) && !s; at++)
            s = add_right(a, x, &n, x->all[at].item, err);
    }
    if (s) return s;
    if (n > from) qsort(a->right + from, n - from, sizeof *a->right, by_number);
    for (size_t k = from; k < n; k++)
        if (k == from || a->right[k] != a->right[k - 1]) a->right[kept++] = a->right[k];
    a->r.text[a->r.n] = bqb_strdup(t->text);
    a->id[a->r.n] = bqb_strdup(t->id);
    a->first[a->r.n + 1] = kept;
    a->n_judged += kept > from;
    a->r.n++;
    return a->r.text[a->r.n - 1] && a->id[a->r.n - 1] ? BQB_OK : bqb_fail_nomem(err, "text", strlen(t->text));
}

static void note_broken(void *ctx, const char *path, const char *reason) {
    (void)path;
    bqb_muge_ask *a = ((reading *)ctx)->a;
    if (++a->n_broken <= NAMED) bqb_buf_printf(&a->notes, NULL, "  %s\n", reason);
}

bqb_status bqb_muge_ask_collect(bqb_muge_ask *a, const char *path, const bqb_gallery *g, bqb_err *err) {
    *a = (bqb_muge_ask){.notes = {.max = 1 << 16}};
    reading x = {.a = a, .all = bqb_calloc(g->n, sizeof *x.all), .n = g->n};
    bqb_status s = x.all ? bqb_buf_puts(&a->notes, "", err) : bqb_fail_nomem(err, "pictures", g->n * sizeof *x.all);
    for (size_t i = 0; i < g->n && !s; i++) x.all[i] = (bqb_under_text){bqb_dataset_at(g->ds, g->sample[i])->file, (uint32_t)i};
    if (!s) bqb_sort_by_text(x.all, x.n);
    if (!s) s = bqb_muge_texts_each(path, add_text, note_broken, &x, err);
    if (!s && !a->r.n) s = bqb_fail(err, BQB_EFORMAT, "%s: no text in it", path);
    free(x.all);
    return s;
}

/* A text without a right picture is ranked, too, for its ten best: as if picture 0 were right, and then not counted. */
bqb_status bqb_muge_ask_measure(bqb_muge_ask *a, const bqb_gallery *g, const float *q, int threads,
                                bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = a->r.n, *first = bqb_calloc(n + 1, sizeof *first), k = 0;
    uint32_t *right = bqb_calloc(a->first[n] + n, sizeof *right);
    bqb_place *judged = bqb_calloc(n, sizeof *judged);
    a->r.place = bqb_calloc(n, sizeof *a->r.place);
    a->r.top = bqb_calloc(n * TOP, sizeof *a->r.top);
    bqb_status s = BQB_OK;
    if (!first || !right || !judged || !a->r.place || !a->r.top) s = bqb_fail_nomem(err, "ranks", n * sizeof *judged);
    for (size_t i = 0; i < n && !s; i++) {
        first[i] = k;
        for (size_t r = a->first[i]; r < a->first[i + 1]; r++) right[k++] = a->right[r];
        if (k == first[i]) right[k++] = 0;
        first[i + 1] = k;
    }
    if (!s)
        s = bqb_rank(a->r.place, a->r.top, TOP, q, n, g->feature, g->n, g->D, first, right, threads, progress, ctx, err);
    size_t m = 0;
    for (size_t i = 0; i < n && !s; i++)
        if (a->first[i + 1] > a->first[i]) judged[m++] = a->r.place[i];
    if (!s) a->r.to_image = bqb_recall_of(judged, m);
    free(first);
    free(right);
    free(judged);
    return s;
}

bqb_status bqb_muge_ask_run(bqb_muge_ask *a, const char *path, bqb_clip *m, const bqb_gallery *g,
                            bqb_progress_fn progress, void *ctx, bqb_err *err) {
    bqb_status s = bqb_muge_ask_collect(a, path, g, err);
    float *q = s ? NULL : bqb_alloc_aligned(a->r.n * g->D, sizeof *q);
    if (!s && !q) s = bqb_fail_nomem(err, "query features", a->r.n * g->D * sizeof *q);
    if (!s) s = bqb_embed_texts(q, m, bqb_clip_tokenizer(m), (const char *const *)a->r.text, a->r.n, progress, ctx, err);
    if (!s) s = bqb_muge_ask_measure(a, g, q, bqb_clip_threads(m), progress, ctx, err);
    free(q);
    if (s) bqb_muge_ask_free(a);
    return s;
}

void bqb_muge_ask_free(bqb_muge_ask *a) {
    for (size_t i = 0; i < a->r.n; i++) free(a->id[i]);
    bqb_ask_free(&a->r);
    free(a->id);
    free(a->first);
    free(a->right);
    bqb_buf_free(&a->notes);
    *a = (bqb_muge_ask){0};
}
