#include "library/muge_files.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "file/muge.h"
#include "image/sniff.h"

#include <stdlib.h>
#include <string.h>

/* One text of one picture. Both strings are owned. */
typedef struct {
    char *image, *text;
    size_t order;
} said;

typedef struct {
    said *item;
    size_t n, cap;
} said_list;

typedef struct {
    bqb_skipped_fn skipped;
    void *ctx;
} skips;

/* A line that is broken; false when the whole reading must end. */
static bool pass_over(skips *k, const char *path, bqb_status s, const bqb_err *why) {
    if (s != BQB_EFORMAT && s != BQB_ELIMIT) return false;
    if (k->skipped) k->skipped(k->ctx, path, why->msg);
    return true;
}

static bqb_status add_said(said_list *l, const char *image, const char *text, bqb_err *err) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 1024;
        said *item = realloc(l->item, cap * sizeof *item);
        if (!item) return bqb_fail_nomem(err, "texts", cap * sizeof *item);
        l->item = item;
        l->cap = cap;
    }
    said *t = &l->item[l->n];
    *t = (said){.image = bqb_strdup(image), .text = bqb_strdup(text), .order = l->n};
    l->n++;
    return t->image && t->text ? BQB_OK : bqb_fail_nomem(err, "texts", strlen(text));
}

static int by_image(const void *a, const void *b) {
    const said *x = a, *y = b;
    int d = strcmp(x->image, y->image);
    return d ? d : x->order < y->order ? -1 : x->order > y->order;
}

static bqb_status read_texts(said_list *l, const char *path, skips *k, bqb_err *err) {
    bqb_muge_texts *texts = NULL;
    bqb_err why;
    bqb_status s = bqb_muge_texts_open(&texts, path, err);
    while (!s) {
        bqb_muge_text t;
        bqb_status line = bqb_muge_texts_next(texts, &t, &why);
        if (line && !pass_over(k, path, line, &why)) {
            if (err) *err = why;
            s = line;
        }
        if (line) continue;
        if (!t.id) break;
        for (size_t i = 0; i < t.n_image_ids && !s; i++) s = add_said(l, t.image_ids[i], t.text, err);
    }
    bqb_muge_texts_close(texts);
    if (!s && l->n) qsort(l->item, l->n, sizeof *l->item, by_image);
    return s;
}

static bqb_status caption_of(bqb_buf *out, const said_list *l, const char *image, bqb_err *err) {
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(l->item[mid].image, image) < 0) lo = mid + 1;
        else hi = mid;
    }
    out->len = 0;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (; lo < l->n && !s && !strcmp(l->item[lo].image, image); lo++) {
        if (out->len) s = bqb_buf_puts(out, "；", err);
        if (!s) s = bqb_buf_puts(out, l->item[lo].text, err);
    }
    return s;
}

/* By content, so that the same picture in two sets is one file, and no id can leave the folder. */
static bqb_status write_picture(char **path, const char *dir, const bqb_muge_image *image, bqb_err *err) {
    uint8_t sha[BQB_SHA256_SIZE];
    char hex[65];
    bqb_sha256_of(sha, image->bytes, image->size);
    bqb_hex(hex, sha, sizeof sha);
    const char *format = bqb_picture_kind_name(bqb_sniff(image->bytes, image->size));
    char *folder = bqb_asprintf("%s/files/%.2s", dir, hex);
    *path = folder ? bqb_asprintf("%s/%s.%s", folder, hex, *format ? format : "bin") : NULL;
    bqb_status s = *path ? BQB_OK : bqb_fail_nomem(err, "path", 100);
    if (!s && !bqb_is_file(*path)) {
        s = bqb_make_dirs(folder, err);
        if (!s) s = bqb_file_write(*path, image->bytes, image->size, err);
    }
    free(folder);
    return s;
}

static bqb_status read_images(const char *imgs_tsv, const char *dir, const said_list *texts, bqb_muge_file_fn fn,
                              skips *k, bqb_err *err) {
    bqb_muge_images *images = NULL;
    bqb_buf caption = {.max = 1 << 16};
    bqb_err why;
    bqb_status s = bqb_muge_images_open(&images, imgs_tsv, err);
    while (!s) {
        bqb_muge_image image;
        char *path = NULL;
        bqb_status line = bqb_muge_images_next(images, &image, &why);
        if (line && !pass_over(k, imgs_tsv, line, &why)) {
            if (err) *err = why;
            s = line;
        }
        if (line) continue;
        if (!image.id) break;
        s = caption_of(&caption, texts, image.id, err);
        if (!s) s = write_picture(&path, dir, &image, err);
        if (!s) s = fn(k->ctx, path, caption.data, err);
        free(path);
    }
    bqb_buf_free(&caption);
    bqb_muge_images_close(images);
    return s;
}

bqb_status bqb_muge_files(const char *imgs_tsv, const char *dir, bqb_muge_file_fn fn, bqb_skipped_fn skipped,
                          void *ctx, bqb_err *err) {
    static const char end[] = "_imgs.tsv";
    size_t n = strlen(imgs_tsv);
    said_list texts = {0};
    skips k = {.skipped = skipped, .ctx = ctx};
    bqb_status s = BQB_OK;
    char *jsonl = n > sizeof end - 1 ? bqb_asprintf("%.*s_texts.jsonl", (int)(n - (sizeof end - 1)), imgs_tsv) : NULL;
    if (!jsonl) s = bqb_fail(err, BQB_EINVAL, "%s: not the name of a MUGE file", imgs_tsv);
    else if (bqb_is_file(jsonl)) s = read_texts(&texts, jsonl, &k, err);
    if (!s) s = read_images(imgs_tsv, dir, &texts, fn, &k, err);
    for (size_t i = 0; i < texts.n; i++) {
        free(texts.item[i].image);
        free(texts.item[i].text);
    }
    free(texts.item);
    free(jsonl);
    return s;
}
