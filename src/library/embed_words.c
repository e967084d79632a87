#include "library/embed_words.h"

#include "base/mem.h"
#include "library/id_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 64, COMMIT_EACH = 512 };

static bool is_unit(const float *v, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)v[i] * (double)v[i];
    return fabs(sum - 1) < 0.05; /* NaN is not */
}

const char *bqb_spoken(const bqb_annotated *a) {
    const char *ocr = a->field[BQB_OCR], *text = ocr && *ocr ? ocr : a->field[BQB_CAPTION];
    return text && *text ? text : NULL;
}

/* The texts of some stickers, *n of those asked for having one; ids are moved together with them. */
static bqb_status load_texts(bqb_catalogue *c, bqb_sticker_id *id, char **text, size_t *n, bqb_err *err) {
    size_t kept = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < *n && !s; i++) {
        bqb_annotated a;
        s = bqb_catalogue_get_annotation(c, id[i], &a, err);
        if (s) break;
        const char *spoken = bqb_spoken(&a);
        if (spoken && !(text[kept] = bqb_strdup(spoken))) s = bqb_fail_nomem(err, "words", strlen(spoken));
        else if (spoken) id[kept++] = id[i];
        bqb_annotated_free(&a);
    }
    *n = kept;
    return s;
}

static bqb_status embed_some(bqb_catalogue *c, const bqb_text_embedder *e, bqb_sticker_id *id, size_t n, float *vec,
                             size_t *done, bqb_err *err) {
    char *text[TOGETHER];
    bqb_status s = load_texts(c, id, text, &n, err);
    if (!s && n) s = e->encode(e->ctx, vec, (const char *const *)text, n, err);
    for (size_t i = 0; i < n && !s; i++) {
        if (!is_unit(vec + i * e->dim, e->dim))
            s = bqb_fail(err, BQB_EFORMAT, "the model gives no unit vector for \"%.60s\": its weights are damaged", text[i]);
        else s = bqb_catalogue_put_embedding(c, id[i], e->id, BQB_KIND_TEXT, vec + i * e->dim, e->dim, err);
        if (!s) ++*done;
    }
    for (size_t i = 0; i < n; i++) free(text[i]);
    return s;
}

static bqb_status embed_all(bqb_catalogue *c, const bqb_text_embedder *e, const bqb_id_set *list, bqb_progress_fn progress,
                            void *ctx, size_t *n, bqb_err *err) {
    float *vec = bqb_calloc(TOGETHER, e->dim * sizeof *vec);
    if (!vec) return bqb_fail_nomem(err, "vectors", TOGETHER * e->dim * sizeof *vec);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < list->n && !s;) {
        size_t end = i + COMMIT_EACH < list->n ? i + COMMIT_EACH : list->n, done = 0;
        s = bqb_catalogue_begin(c, err);
        for (; i < end && !s; i += TOGETHER)
            s = embed_some(c, e, list->id + i, end - i < TOGETHER ? end - i : TOGETHER, vec, &done, err);
        i = end;
        if (!s) s = bqb_catalogue_commit(c, err);
        if (s) bqb_catalogue_rollback(c);
        else *n += done;
        if (!s && progress && progress(ctx, "words", i, list->n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped; what was done is kept, the same command goes on from here");
    }
    free(vec);
    return s;
}

bqb_status bqb_embed_words(bqb_catalogue *c, const bqb_text_embedder *e, bqb_progress_fn progress, void *ctx, size_t *n,
                           bqb_err *err) {
    bqb_id_set list = {0};
    size_t done = 0;
    bqb_status s = bqb_catalogue_each_unworded(c, e->id, bqb_id_set_add, &list, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", list.cap * sizeof *list.id);
    if (!s && list.n) s = embed_all(c, e, &list, progress, ctx, &done, err);
    bqb_id_set_free(&list);
    if (n) *n = done;
    return s;
}

static int found_one(void *ctx, bqb_sticker_id id) {
    (void)id;
    *(bool *)ctx = true;
    return 1;
}

bqb_status bqb_embed_words_by(bqb_catalogue *c, const char *model_dir, bqb_progress_fn progress, void *ctx, size_t *n,
                              bqb_err *err) {
    char main_model[65];
    bqb_clip *m = NULL;
    bool lacking = false, ours = false;
    if (n) *n = 0;
    bqb_status s = bqb_catalogue_main_model(c, main_model, err);
    if (s || !*main_model) return s; /* no vectors at all: nothing to stand beside */
    s = bqb_catalogue_each_unworded(c, main_model, found_one, &lacking, err);
    if (s == BQB_ECANCEL) s = BQB_OK;
    if (s || !lacking) return s;
    s = bqb_clip_open(&m, model_dir, BQB_TOWER_TEXT, bqb_precision_best(), 0, err);
    if (s && s != BQB_ENOMEM) return BQB_OK; /* no words can be asked of it either */
    if (!s) s = bqb_catalogue_has_model(c, bqb_clip_id(m), "image", &ours, err);
    if (!s && ours) {
        bqb_text_embedder e = bqb_text_embedder_of_clip(m);
        s = bqb_embed_words(c, &e, progress, ctx, n, err);
    }
    bqb_clip_free(m);
    return s;
}
