#include "file/muge_said.h"

#include <stdlib.h>
#include <string.h>

bqb_status bqb_muge_said_add(bqb_muge_said_list *l, const char *image, const char *text, size_t order, bqb_err *err) {
    bqb_muge_said *item = bqb_grow(l->item, l->n, &l->cap, sizeof *item, 1024);
    if (!item) return bqb_fail_nomem(err, "texts", (l->n + 1) * sizeof *item);
    l->item = item;
    bqb_muge_said *t = &l->item[l->n];
    *t = (bqb_muge_said){.image = bqb_strdup(image), .text = bqb_strdup(text), .order = order};
    l->n++;
    return t->image && t->text ? BQB_OK : bqb_fail_nomem(err, "texts", strlen(text));
}

static int by_image(const void *a, const void *b) {
    const bqb_muge_said *x = a, *y = b;
    int d = strcmp(x->image, y->image);
    return d ? d : x->order < y->order ? -1 : x->order > y->order;
}

void bqb_muge_said_sort(bqb_muge_said_list *l) {
    if (l->n) qsort(l->item, l->n, sizeof *l->item, by_image);
}

typedef struct {
    bqb_muge_said_list *list;
    bqb_skipped_fn skipped;
    void *ctx;
} reading;

static bqb_status add_text(void *ctx, const bqb_muge_text *t, bqb_err *err) {
    reading *r = ctx;
    bqb_status s = BQB_OK;
    for (size_t i = 0; !s && i < t->n_image_ids; i++) s = bqb_muge_said_add(r->list, t->image_ids[i], t->text, r->list->n, err);
    return s;
}

static void pass_on(void *ctx, const char *path, const char *reason) {
    reading *r = ctx;
    if (r->skipped) r->skipped(r->ctx, path, reason);
}

bqb_status bqb_muge_said_read(bqb_muge_said_list *l, const char *path, bqb_skipped_fn skipped, void *ctx,
                              bqb_err *err) {
    reading r = {l, skipped, ctx};
    bqb_status s = bqb_muge_texts_each(path, add_text, pass_on, &r, err);
    if (!s) bqb_muge_said_sort(l);
    return s;
}

void bqb_muge_said_free(bqb_muge_said_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        free(l->item[i].image);
        free(l->item[i].text);
    }
    free(l->item);
    *l = (bqb_muge_said_list){0};
}

size_t bqb_muge_said_find(const bqb_muge_said_list *l, const char *image, size_t *first) {
    size_t lo = 0, hi = l->n, n = 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(l->item[mid].image, image) < 0) lo = mid + 1;
        else hi = mid;
    }
    while (lo + n < l->n && !strcmp(l->item[lo + n].image, image)) n++;
    *first = lo;
    return n;
}

bqb_status bqb_muge_said_join(bqb_buf *out, const bqb_muge_said_list *l, size_t first, size_t n, bqb_err *err) {
    out->len = 0;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = first; i < first + n && !s; i++) {
        const char *text = l->item[i].text;
        if (out->len + strlen(text) + sizeof "；" > out->max) break;
        if (out->len) s = bqb_buf_puts(out, "；", err);
        if (!s) s = bqb_buf_puts(out, text, err);
    }
    return s;
}
