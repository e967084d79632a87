/* The public interface: a thin layer over catalogue, import, towers and search. */
#include "bqb.h"

#include "base/mem.h"
#include "library/embed_words.h"
#include "library/import.h"
#include "model/clip.h"
#include "search/encode.h"
#include "search/search.h"

#include <stdlib.h>
#include <string.h>

struct bqb {
    char *library, *model;      /* folders; model may be NULL */
    bqb_catalogue *c;           /* for reading; opened when first asked */
    bqb_clip *text, *image;     /* one tower each; opened when first asked */
};

struct bqb_results {
    bqb_search_results r;
};

bqb_status bqb_open(bqb **out, const char *library_dir, const char *model_dir, bqb_err *err) {
    *out = NULL;
    if (!library_dir || !*library_dir) return bqb_fail(err, BQB_EINVAL, "the library's folder has no name");
    bqb *b = bqb_calloc(1, sizeof *b);
    if (!b) return bqb_fail_nomem(err, library_dir, sizeof *b);
    b->library = bqb_strdup(library_dir);
    b->model = model_dir ? bqb_strdup(model_dir) : NULL;
    if (!b->library || (model_dir && !b->model)) {
        bqb_close(b);
        return bqb_fail_nomem(err, library_dir, strlen(library_dir));
    }
    *out = b;
    return BQB_OK;
}

void bqb_close(bqb *b) {
    if (!b) return;
    bqb_catalogue_close(b->c);
    bqb_clip_free(b->text);
    bqb_clip_free(b->image);
    free(b->library);
    free(b->model);
    free(b);
}

static bqb_status need_tower(bqb *b, bqb_clip **tower, int which, bqb_err *err) {
    if (*tower) return BQB_OK;
    if (!b->model) return bqb_fail(err, BQB_EUNSUPPORTED, "there is no model to look at pictures and texts with");
    return bqb_clip_open(tower, b->model, which, bqb_precision_best(), 0, err);
}

static bqb_status need_catalogue(bqb *b, bqb_err *err) {
    return b->c ? BQB_OK : bqb_catalogue_open(&b->c, b->library, BQB_CATALOGUE_READ, err);
}

bqb_status bqb_import(bqb *b, const char *const *paths, size_t n, bqb_imported *out, bqb_progress_fn progress,
                      bqb_skipped_fn skipped, void *ctx, bqb_err *err) {
    bqb_catalogue *c = NULL;
    bqb_embedder embedder;
    bqb_import_report report = {0};
    bqb_import_options o = {.skip = skipped, .progress = progress, .ctx = ctx};
    bqb_status s = BQB_OK;
    *out = (bqb_imported){0};
    if (b->model && !(s = need_tower(b, &b->image, BQB_TOWER_IMAGE, err))) {
        embedder = bqb_embedder_of_clip(b->image);
        o.embedder = &embedder;
    }
    if (!s) s = bqb_catalogue_open(&c, b->library, BQB_CATALOGUE_WRITE, err);
    if (!s) s = bqb_library_import(c, paths, n, &o, &report, err);
    if (!s && b->model) s = bqb_embed_words_by(c, b->model, progress, ctx, NULL, err);
    bqb_catalogue_close(c);
    *out = (bqb_imported){.added = report.added, .already = report.already, .gone = report.gone,
                          .embedded = report.embedded, .skipped = report.skipped};
    return s;
}

bqb_status bqb_dimension(bqb *b, size_t *dim, bqb_err *err) {
    bqb_clip *m = b->text ? b->text : b->image;
    if (!m) {
        bqb_status s = need_tower(b, &b->text, BQB_TOWER_TEXT, err);
        if (s) return s;
        m = b->text;
    }
    *dim = bqb_clip_get_config(m)->embed;
    return BQB_OK;
}

bqb_status bqb_embed_text(bqb *b, const char *text, float *out, bqb_err *err) {
    bqb_status s = need_tower(b, &b->text, BQB_TOWER_TEXT, err);
    return s ? s : bqb_clip_encode_texts(b->text, out, &text, 1, err);
}

bqb_status bqb_embed_picture(bqb *b, const char *path, float *out, bqb_err *err) {
    bqb_status s = need_tower(b, &b->image, BQB_TOWER_IMAGE, err);
    return s ? s : bqb_encode_picture(b->image, out, path, err);
}

/* The picture and the pictures of a query as one list, to be freed. */
static bqb_status list_pictures(const char ***out, size_t *n, const bqb_query *q, bqb_err *err) {
    *n = 0;
    *out = bqb_calloc(q->n_pictures + 1, sizeof **out);
    if (!*out) return bqb_fail_nomem(err, "query", q->n_pictures * sizeof **out);
    if (q->picture) (*out)[(*n)++] = q->picture;
    for (size_t i = 0; i < q->n_pictures; i++) (*out)[(*n)++] = q->pictures[i];
    return BQB_OK;
}

bqb_status bqb_search(bqb *b, const bqb_query *q, bqb_results **out, bqb_err *err) {
    bqb_question_vectors v = {0};
    const char **pictures = NULL;
    bqb_question asked = {.words = q->text, .not_words = q->not_words, .n_not_words = q->n_not_words,
                          .not_pictures = q->not_pictures, .n_not_pictures = q->n_not_pictures};
    bool words = (q->text && *q->text) || q->n_not_words;
    *out = NULL;
    bqb_results *r = bqb_calloc(1, sizeof *r);
    bqb_status s = r ? need_catalogue(b, err) : bqb_fail_nomem(err, "results", sizeof *r);
    if (!s) s = list_pictures(&pictures, &asked.n_pictures, q, err);
    asked.pictures = pictures;
    bool look = asked.n_pictures || q->n_not_pictures;
    if (!s && words && b->model) s = need_tower(b, &b->text, BQB_TOWER_TEXT, err);
    if (!s && look) s = need_tower(b, &b->image, BQB_TOWER_IMAGE, err);
    if (!s) s = bqb_encode_question(&v, words ? b->text : NULL, look ? b->image : NULL, &asked, err);
    if (!s) {
        bqb_clip *m = words && b->text ? b->text : look ? b->image : NULL;
        bqb_search_query sq = {.text = q->text, .text_vec = v.text, .image_vec = v.image, .unlike_vec = v.unlike,
                               .n_unlike = v.n_unlike, .n_unlike_words = v.n_unlike_words, .not_words = q->not_words, .n_not_words = q->n_not_words,
                               .emotion = q->emotion, .style = q->style, .animated = q->animated != 0,
                               .n = q->n ? q->n : 10, .apart = q->all != 0, .fold = q->fold, .model = m ? bqb_clip_id(m) : NULL};
        s = bqb_search_run(&r->r, b->c, &sq, err);
    }
    bqb_question_vectors_free(&v);
    free(pictures);
    if (s) {
        free(r);
        return s;
    }
    *out = r;
    return BQB_OK;
}

bqb_status bqb_results_take(bqb_results **out, bqb_found *items, size_t n, bqb_err *err) {
    bqb_results *r = *out = bqb_calloc(1, sizeof *r);
    if (r && (r->r.item = bqb_calloc(n, sizeof *items))) {
        if (n) memcpy(r->r.item, items, n * sizeof *items);
        if (n) memset(items, 0, n * sizeof *items);
        r->r.n = n;
        return BQB_OK;
    }
    free(r);
    *out = NULL;
    return bqb_fail_nomem(err, "results", n * sizeof *items);
}

void bqb_results_free(bqb_results *r) {
    if (!r) return;
    bqb_search_results_free(&r->r);
    free(r);
}

size_t bqb_results_count(const bqb_results *r) { return r->r.n; }

bqb_result bqb_results_get(const bqb_results *r, size_t i) {
    if (i >= r->r.n)
        return (bqb_result){.id = "", .path = "", .caption = "", .ocr = "", .emotion = "", .emotion_label = "", .style = ""};
    const bqb_found *f = &r->r.item[i];
    return (bqb_result){.id = f->id, .path = f->path, .score = f->score, .caption = f->field[BQB_CAPTION],
                        .ocr = f->field[BQB_OCR], .emotion = f->field[BQB_EMOTION],
                        .emotion_label = f->field[BQB_EMOTION_LABEL], .style = f->field[BQB_STYLE],
                        .width = f->sticker.width, .height = f->sticker.height, .frames = f->sticker.frames, .folded = f->folded};
}
