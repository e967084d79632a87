#include "train/figures.h"

#include "base/thread.h"
#include "base/utf8.h"
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static int rising(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* 1, 2 or 5 times a power of ten, at least x. */
static uint64_t round_up(uint64_t x) {
    uint64_t ten = 1;
    while (10 * ten < x && ten < UINT64_MAX / 100) ten *= 10;
    return x <= ten ? ten : x <= 2 * ten ? 2 * ten : x <= 5 * ten ? 5 * ten : 10 * ten;
}

static uint64_t quantile(const uint64_t *v, size_t n, double p) {
    size_t i = (size_t)(p * (double)n);
    return v[i < n ? i : n - 1];
}

void bqb_numbers_of(bqb_numbers *out, uint64_t *v, size_t n) {
    *out = (bqb_numbers){.n = n};
    if (!n) return;
    qsort(v, n, sizeof *v, rising);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i];
    out->mean = sum / (double)n;
    out->min = v[0];
    out->p10 = quantile(v, n, 0.1);
    out->p25 = quantile(v, n, 0.25);
    out->median = v[(n - 1) / 2];
    out->p75 = quantile(v, n, 0.75);
    out->p90 = quantile(v, n, 0.9);
    out->max = v[n - 1];
    /* A few very large ones must not flatten the rest: they share the last bin. */
    uint64_t most = quantile(v, n, 0.99);
    out->bin_width = round_up((most - out->min) / (BQB_BINS - 1) + 1);
    out->bin_from = out->min / out->bin_width * out->bin_width;
    for (size_t i = 0; i < n; i++) {
        uint64_t k = (v[i] - out->bin_from) / out->bin_width;
        if (k > (most - out->bin_from) / out->bin_width) k = (most - out->bin_from) / out->bin_width;
        if (k >= BQB_BINS) k = BQB_BINS - 1;
        out->bin[k]++;
        if (k + 1 > out->n_bins) out->n_bins = (size_t)k + 1;
    }
}

/* ---- gathering ---- */

typedef struct {
    uint64_t *v;
    size_t n, cap;
} values;

typedef struct {
    char **v;
    size_t n, cap;
} names;

typedef struct {
    values caption, ocr, query, frames, width, height, size;
    names format, label[BQB_FIELDS];
} gathering;

static bqb_status add(values *l, uint64_t x, bqb_err *err) {
    uint64_t *grown = bqb_grow(l->v, l->n, &l->cap, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "figures", (l->n + 1) * sizeof *grown);
    l->v = grown;
    l->v[l->n++] = x;
    return BQB_OK;
}

static bqb_status add_name(names *l, const char *name, bqb_err *err) {
    char **grown = bqb_grow(l->v, l->n, &l->cap, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "figures", (l->n + 1) * sizeof *grown);
    l->v = grown;
    l->v[l->n] = bqb_strdup(name);
    return l->v[l->n++] ? BQB_OK : bqb_fail_nomem(err, "figures", strlen(name));
}

static bqb_status add_length(values *l, const char *text, bqb_err *err) { return add(l, bqb_utf8_count(text, strlen(text)), err); }

static bqb_status add_note(bqb_figures *f, gathering *g, const bqb_annotation *a, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < BQB_FIELDS && !s; k++) {
        const char *text = a->field[k];
        if (!text || !*text) continue;
        f->with_field[k]++;
        if (k == BQB_CAPTION) s = add_length(&g->caption, text, err);
        else if (k == BQB_OCR) s = add_length(&g->ocr, text, err);
        else s = add_name(&g->label[k], text, err);
    }
    f->stickers++;
    return s;
}

static bqb_status add_picture(bqb_figures *f, gathering *g, const char *format, uint64_t w, uint64_t h, uint64_t frames, uint64_t bytes,
                              bqb_err *err) {
    bqb_status s = add_name(&g->format, format, err);
    if (!s) s = add(&g->width, w, err);
    if (!s) s = add(&g->height, h, err);
    if (!s) s = add(&g->size, bytes, err);
    if (!s && frames > 1) s = add(&g->frames, frames, err);
    f->animated += frames > 1;
    f->bytes += bytes;
    return s;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int often_first(const void *a, const void *b) {
    const struct {
        char *name;
        size_t n;
    } *x = a, *y = b;
    return x->n != y->n ? x->n > y->n ? -1 : 1 : strcmp(x->name, y->name);
}

/* Takes the names over. */
static bqb_status tally(bqb_tally *t, names *l, bqb_err *err) {
    if (!l->n) return BQB_OK;
    t->item = bqb_calloc(l->n, sizeof *t->item);
    if (!t->item) return bqb_fail_nomem(err, "figures", l->n * sizeof *t->item);
    qsort(l->v, l->n, sizeof *l->v, by_name);
    for (size_t i = 0; i < l->n; i++) {
        if (t->n && !strcmp(t->item[t->n - 1].name, l->v[i])) free(l->v[i]);
        else t->item[t->n++].name = l->v[i];
        t->item[t->n - 1].n++;
    }
    l->n = 0;
    qsort(t->item, t->n, sizeof *t->item, often_first);
    return BQB_OK;
}

static bqb_status finish(bqb_figures *f, gathering *g, bqb_status s, bqb_err *err) {
    const struct {
        bqb_numbers *to;
        values *from;
    } numbers[] = {{&f->caption, &g->caption}, {&f->ocr, &g->ocr},       {&f->query, &g->query},     {&f->frames, &g->frames},
                   {&f->width, &g->width},     {&f->height, &g->height}, {&f->size_bytes, &g->size}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!s) bqb_numbers_of(numbers[i].to, numbers[i].from->v, numbers[i].from->n);
        free(numbers[i].from->v);
    }
    for (size_t k = 0; k <= BQB_FIELDS; k++) {
        names *l = k < BQB_FIELDS ? &g->label[k] : &g->format;
        if (!s) s = tally(k < BQB_FIELDS ? &f->label[k] : &f->format, l, err);
        while (l->n) free(l->v[--l->n]);
        free(l->v);
    }
    return s;
}

void bqb_figures_free(bqb_figures *f) {
    for (size_t k = 0; k <= BQB_FIELDS; k++) {
        bqb_tally *t = k < BQB_FIELDS ? &f->label[k] : &f->format;
        for (size_t i = 0; i < t->n; i++) free(t->item[i].name);
        free(t->item);
    }
    *f = (bqb_figures){0};
}

/* ---- where they come from ---- */

bqb_status bqb_figures_of_library(bqb_figures *f, bqb_catalogue *c, bqb_err *err) {
    gathering g = {0};
    bqb_sticker_id *id = NULL;
    size_t n = 0;
    *f = (bqb_figures){0};
    bqb_status s = bqb_catalogue_list_shown(c, &id, &n, err);
    for (size_t i = 0; i < n && !s; i++) {
        bqb_sticker t;
        bqb_annotated a = {0};
        bqb_annotation note = {{0}};
        s = bqb_catalogue_get_sticker(c, id[i], &t, err);
        if (!s) s = bqb_catalogue_get_annotation(c, id[i], &a, err);
        for (size_t k = 0; k < BQB_FIELDS; k++) note.field[k] = a.field[k];
        if (!s) s = add_note(f, &g, &note, err);
        if (!s) s = add_picture(f, &g, t.format, t.width, t.height, t.frames, t.size_bytes, err);
        bqb_annotated_free(&a);
    }
    free(id);
    return finish(f, &g, s, err);
}

enum { BLOCK = 256 };

typedef struct {
    const bqb_dataset *ds;
    size_t first;
    bqb_image_info info[BLOCK];
    uint64_t size[BLOCK];
    bool read[BLOCK];
} probe_job;

static void probe_one(void *ctx, size_t k, int worker) {
    (void)worker;
    probe_job *j = ctx;
    bqb_picture p;
    j->read[k] = false;
    if (bqb_dataset_picture(j->ds, j->first + k, &p, NULL)) return;
    j->size[k] = p.size;
    j->read[k] = !bqb_image_probe(&j->info[k], p.data, p.size, bqb_dataset_at(j->ds, j->first + k)->path, NULL, NULL);
    bqb_picture_close(&p);
}

bqb_status bqb_figures_of_dataset(bqb_figures *f, const bqb_dataset *ds, int threads, bqb_progress_fn progress, void *ctx,
                                  bqb_err *err) {
    gathering g = {0};
    size_t n = bqb_dataset_count(ds);
    *f = (bqb_figures){.left_out = bqb_dataset_left_out(ds), .queries = bqb_dataset_query_count(ds)};
    probe_job *j = bqb_calloc(1, sizeof *j);
    bqb_status s = j ? bqb_image_init(err) : bqb_fail_nomem(err, "figures", sizeof *j);
    for (size_t at = 0; at < n && !s; at += BLOCK) {
        size_t here = n - at < BLOCK ? n - at : BLOCK;
        j->ds = ds;
        j->first = at;
        bqb_parallel_for(here, threads ? threads : bqb_cpu_count(), probe_one, j);
        for (size_t k = 0; k < here && !s; k++) {
            const bqb_image_info *i = &j->info[k];
            s = add_note(f, &g, &bqb_dataset_at(ds, at + k)->note, err);
            if (!s && j->read[k]) s = add_picture(f, &g, i->format, i->width, i->height, i->frames, j->size[k], err);
            f->unreadable += !j->read[k];
        }
        if (!s && progress && progress(ctx, "looking at pictures", at + here, n)) s = bqb_fail(err, BQB_ECANCEL, "stopped");
    }
    for (size_t q = 0; q < f->queries && !s; q++) s = add_length(&g.query, bqb_dataset_query(ds, q), err);
    free(j);
    return finish(f, &g, s, err);
}
