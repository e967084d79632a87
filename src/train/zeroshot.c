#include "train/zeroshot.h"

#include "model/prompts.h"
#include "train/rank.h"

#include <stdlib.h>
#include <string.h>

/* ---- the classes ---- */

typedef struct {
    const char *label;
    size_t count;
} class_size;

static int by_size(const void *a, const void *b) {
    const class_size *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->label, y->label);
}

static bqb_status name_classes(bqb_zeroshot *z, const class_size *c, bqb_err *err) {
    size_t C = z->n_classes;
    z->label = bqb_calloc(C, sizeof *z->label);
    z->count = bqb_calloc(C, sizeof *z->count);
    z->confusion = bqb_calloc(C * C, sizeof *z->confusion);
    z->accuracy = bqb_calloc(C, sizeof *z->accuracy);
    bool bad = !z->label || !z->count || !z->confusion || !z->accuracy;
    for (size_t k = 0; k < C && !bad; k++) {
        z->label[k] = bqb_strdup(c[k].label);
        z->count[k] = c[k].count;
        bad = !z->label[k];
    }
    return bad ? bqb_fail_nomem(err, "classes", C * C * sizeof *z->confusion) : BQB_OK;
}

static uint32_t class_of(const bqb_zeroshot *z, const char *label) {
    uint32_t k = 0;
    while (strcmp(z->label[k], label)) k++;
    return k;
}

bqb_status bqb_zeroshot_collect(bqb_zeroshot *z, bqb_field field, const bqb_gallery *g, bqb_err *err) {
    *z = (bqb_zeroshot){.field = field};
    bqb_under_text *all = bqb_calloc(g->n, sizeof *all);
    class_size *sizes = bqb_calloc(BQB_ZEROSHOT_CLASSES, sizeof *sizes);
    z->picture = bqb_calloc(g->n, sizeof *z->picture);
    z->truth = bqb_calloc(g->n, sizeof *z->truth);
    z->chosen = bqb_calloc(g->n, sizeof *z->chosen);
    bqb_status s = BQB_OK;
    if (!all || !sizes || !z->picture || !z->truth || !z->chosen) s = bqb_fail_nomem(err, "labels", g->n * sizeof *all);
    for (size_t i = 0; i < g->n && !s; i++) {
        const char *label = bqb_dataset_at(g->ds, g->sample[i])->note.field[field];
        if (!label || !*label || bqb_label_is_neutral(field, label)) {
            z->left_out++;
            continue;
        }
        z->picture[z->n] = (uint32_t)i;
        all[z->n++] = (bqb_under_text){label, (uint32_t)i};
    }
    if (!s) bqb_sort_by_text(all, z->n);
    for (size_t at = 0, end; at < z->n && !s; at = end) {
        for (end = at + 1; end < z->n && !strcmp(all[end].text, all[at].text); end++) {}
        if (z->n_classes == BQB_ZEROSHOT_CLASSES)
            s = bqb_fail(err, BQB_ELIMIT, "more than %d different labels in \"%s\": no classes", BQB_ZEROSHOT_CLASSES,
                         bqb_field_name(field));
        else sizes[z->n_classes++] = (class_size){all[at].text, end - at};
    }
    if (!s) qsort(sizes, z->n_classes, sizeof *sizes, by_size);
    if (!s) s = name_classes(z, sizes, err);
    for (size_t k = 0; k < z->n && !s; k++)
        z->truth[k] = class_of(z, bqb_dataset_at(g->ds, g->sample[z->picture[k]])->note.field[field]);
    free(all);
    free(sizes);
    return s;
}

void bqb_zeroshot_free(bqb_zeroshot *z) {
    for (size_t k = 0; z->label && k < z->n_classes; k++) free(z->label[k]);
    free(z->label);
    free(z->count);
    free(z->picture);
    free(z->truth);
    free(z->chosen);
    free(z->confusion);
    free(z->accuracy);
    *z = (bqb_zeroshot){0};
}

/* ---- measuring ---- */

static void add_up(bqb_zeroshot *z, const bqb_place *places) {
    for (size_t k = 0; k < z->n; k++) {
        double hit = bqb_place_hit(&places[k], 1);
        z->accuracy[z->truth[k]] += hit;
        z->top1 += hit;
        z->top3 += bqb_place_hit(&places[k], 3);
        z->confusion[z->truth[k] * z->n_classes + z->chosen[k]]++;
    }
    for (size_t c = 0; c < z->n_classes; c++) {
        z->accuracy[c] *= 100.0 / (double)z->count[c];
        z->macro += z->accuracy[c] / (double)z->n_classes;
    }
    z->top1 *= 100.0 / (double)z->n;
    z->top3 *= 100.0 / (double)z->n;
}

bqb_status bqb_zeroshot_measure(bqb_zeroshot *z, const bqb_gallery *g, const float *classes, int threads, bqb_err *err) {
    float *rows = bqb_alloc_aligned(z->n * g->D, sizeof *rows);
    size_t *first = bqb_calloc(z->n + 1, sizeof *first);
    bqb_place *places = bqb_calloc(z->n, sizeof *places);
    bqb_status s = BQB_OK;
    if (!rows || !first || !places) s = bqb_fail_nomem(err, "pictures", z->n * g->D * sizeof *rows);
    for (size_t k = 0; k < z->n && !s; k++)
        memcpy(rows + k * g->D, g->feature + z->picture[k] * g->D, g->D * sizeof *rows);
    for (size_t k = 0; k <= z->n && !s; k++) first[k] = k;
    if (!s)
        s = bqb_rank(places, z->chosen, 1, rows, z->n, classes, z->n_classes, g->D, first, z->truth, threads, NULL, NULL,
                     err);
    if (!s) add_up(z, places);
    free(rows);
    free(first);
    free(places);
    return s;
}

static bqb_status encode_classes(float *classes, const bqb_zeroshot *z, bqb_clip *m, size_t D, bqb_progress_fn progress,
                                 void *ctx, bqb_err *err) {
    size_t each = 0;
    char **texts;
    bqb_status s = bqb_prompts_new(&texts, &each, z->field, (const char *const *)z->label, z->n_classes, err);
    if (s) return s;
    size_t n = z->n_classes * each;
    float *feature = bqb_alloc_aligned(n * D, sizeof *feature);
    if (!feature) s = bqb_fail_nomem(err, "prompts", n * D * sizeof *feature);
    if (!s) s = bqb_embed_texts(feature, m, bqb_clip_tokenizer(m), (const char *const *)texts, n, progress, ctx, err);
    if (!s) bqb_prompts_average(classes, feature, z->n_classes, each, D);
    bqb_prompts_free(texts, n);
    free(feature);
    return s;
}

bqb_status bqb_zeroshot_run(bqb_zeroshot *z, bqb_field field, bqb_clip *m, const bqb_gallery *g,
                            bqb_progress_fn progress, void *ctx, bqb_err *err) {
    bqb_status s = bqb_zeroshot_collect(z, field, g, err);
    if (!s && z->n) {
        float *classes = bqb_alloc_aligned(z->n_classes * g->D, sizeof *classes);
        if (!classes) s = bqb_fail_nomem(err, "classes", z->n_classes * g->D * sizeof *classes);
        if (!s) s = encode_classes(classes, z, m, g->D, progress, ctx, err);
        if (!s) s = bqb_zeroshot_measure(z, g, classes, bqb_clip_threads(m), err);
        free(classes);
    }
    if (s) bqb_zeroshot_free(z);
    return s;
}
