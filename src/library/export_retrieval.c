/* Vectors and metadata, laid out as clip-retrieval's `inference` lays them out.
 * Source: github.com/rom1504/clip-retrieval, README. */
#include "library/export_format.h"

#include "base/mem.h"
#include "file/json.h"
#include "file/jsonl.h"
#include "file/npy.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, MAX_TEXT = 1 << 16 };

typedef struct {
    bqb_npy_writer images, texts;
    bqb_outfile rows;
    size_t D, n;      /* texts that wait to be encoded */
    char *text[BATCH]; /* NULL: the sticker has no words */
    float *vec;       /* [BATCH,D] */
} retrieval;

/* DIR/FOLDER/NAME, its folder made, and what was there gone. */
static bqb_status place(char **path, const char *dir, const char *folder, const char *name, bqb_err *err) {
    char *in = bqb_path_join(dir, folder);
    *path = NULL;
    bqb_status s = in ? bqb_make_dirs(in, err) : bqb_fail_nomem(err, name, strlen(name));
    if (!s) s = bqb_export_clear(path, in, name, err);
    free(in);
    return s;
}

static bqb_status open_matrix(bqb_npy_writer *w, const bqb_exporter *x, const char *folder, const char *name, size_t D,
                              bqb_err *err) {
    char *path;
    bqb_status s = place(&path, x->dir, folder, name, err);
    if (!s) s = bqb_npy_writer_open(w, path, BQB_F16, D, err);
    free(path);
    return s;
}

static bqb_status check(const bqb_export_options *o, bqb_err *err) {
    return o->clip ? BQB_OK : bqb_fail(err, BQB_EINVAL, "a model is needed to write vectors");
}

static bqb_status begin(bqb_exporter *x, bqb_err *err) {
    retrieval *r = x->state = bqb_calloc(1, sizeof *r);
    char *path = NULL;
    if (!r) return bqb_fail_nomem(err, x->dir, sizeof *r);
    r->D = bqb_clip_get_config(x->o->clip)->embed;
    r->vec = bqb_calloc(BATCH, r->D * sizeof *r->vec);
    bqb_status s = r->vec ? BQB_OK : bqb_fail_nomem(err, "vectors", BATCH * r->D * sizeof *r->vec);
    if (!s) s = open_matrix(&r->images, x, "img_emb", "img_emb_0.npy", r->D, err);
    if (!s) s = open_matrix(&r->texts, x, "text_emb", "text_emb_0.npy", r->D, err);
    if (!s) s = place(&path, x->dir, "metadata", "metadata_0.jsonl", err);
    if (!s) s = bqb_outfile_open(&r->rows, path, err);
    free(path);
    return s;
}

/* Encode the texts that wait; a row of zeros for each that is missing. */
static bqb_status flush(retrieval *r, bqb_clip *clip, bqb_err *err) {
    const char *said[BATCH];
    size_t n = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < r->n; i++)
        if (r->text[i]) said[n++] = r->text[i];
    if (n) s = bqb_clip_encode_texts(clip, r->vec, said, n, err);
    for (size_t i = r->n; !s && i-- > 0;) { /* from the back: row n - 1 belongs to the last that has words */
        float *to = r->vec + i * r->D;
        if (!r->text[i]) memset(to, 0, r->D * sizeof *to);
        else if (--n != i) memmove(to, r->vec + n * r->D, r->D * sizeof *to);
    }
    if (!s) s = bqb_npy_writer_add(&r->texts, r->vec, r->n, err);
    for (size_t i = 0; i < r->n; i++) free(r->text[i]);
    r->n = 0;
    return s;
}

static json_t *describe(const bqb_export_item *item, const char *text) {
    char hex[2 * BQB_SHA256_SIZE + 1];
    const char *caption = item->note->field[BQB_CAPTION];
    bqb_hex(hex, item->sticker.sha256, BQB_SHA256_SIZE);
    json_t *o = json_pack("{s:o, s:o, s:s, s:s, s:o, s:s, s:i, s:i, s:i}", "image_path", bqb_json_text(item->path),
                          "caption", bqb_json_text(caption ? caption : ""), "id", item->id, "sha256", hex, "text",
                          bqb_json_text(text), "format", item->sticker.format, "width", (int)item->sticker.width, "height",
                          (int)item->sticker.height, "frames", (int)item->sticker.frames);
    for (int f = 0; o && f < BQB_FIELDS; f++) {
        const char *value = item->note->field[f];
        if (f == BQB_CAPTION || !value || !*value) continue;
        if (json_object_set_new(o, bqb_field_name((bqb_field)f), bqb_json_text(value))) {
            json_decref(o);
            o = NULL;
        }
    }
    return o;
}

static bqb_status add(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err) {
    retrieval *r = x->state;
    float *image = NULL;
    size_t D = 0;
    char model[65];
    bqb_annotation a = {{0}};
    bqb_buf text = {.max = MAX_TEXT};
    snprintf(model, sizeof model, "%s", bqb_clip_id(x->o->clip));
    bqb_status s = bqb_catalogue_get_embedding(x->c, item->sticker.id, "image", model, &image, &D, err);
    if (s == BQB_ENOTFOUND || (!s && D != r->D)) {
        *why = "it has no vector of this model; `bqb import` with the same --model makes it";
        free(image);
        return BQB_OK;
    }
    for (int f = 0; f < BQB_FIELDS; f++) a.field[f] = item->note->field[f];
    if (!s) s = bqb_buf_append(&text, "", 0, err);
    if (!s) s = bqb_annotation_text(&text, &a, NULL, err);
    if (!s) s = bqb_npy_writer_add(&r->images, image, 1, err);
    if (!s) s = bqb_jsonl_write_take(&r->rows, describe(item, text.data), err);
    free(image);
    if (s || !text.len) {
        bqb_buf_free(&text);
        text.data = NULL;
    }
    if (s) return s;
    r->text[r->n++] = text.data;
    return r->n == BATCH ? flush(r, x->o->clip, err) : BQB_OK;
}

static bqb_status commit(bqb_exporter *x, bqb_err *err) {
    retrieval *r = x->state;
    bqb_status s = flush(r, x->o->clip, err);
    if (!s) s = bqb_npy_writer_commit(&r->images, err);
    if (!s) s = bqb_npy_writer_commit(&r->texts, err);
    return s ? s : bqb_outfile_commit(&r->rows, err);
}

static void end(bqb_exporter *x) {
    retrieval *r = x->state;
    if (!r) return;
    for (size_t i = 0; i < r->n; i++) free(r->text[i]);
    bqb_npy_writer_abort(&r->images);
    bqb_npy_writer_abort(&r->texts);
    bqb_outfile_abort(&r->rows);
    free(r->vec);
    free(r);
}

const bqb_export_writer bqb_export_clip_retrieval = {false, false, check, begin, add, commit, end};
