#include "library/muge_files.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "file/muge_said.h"
#include "image/sniff.h"

#include <stdlib.h>
#include <string.h>

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

/* By content, so that the same picture in two sets is one file, and no id can leave the folder. */
bqb_status bqb_keep_picture(char **path, const char *dir, const uint8_t *bytes, size_t size, bqb_err *err) {
    uint8_t sha[BQB_SHA256_SIZE];
    char hex[65];
    bqb_sha256_of(sha, bytes, size);
    bqb_hex(hex, sha, sizeof sha);
    const char *format = bqb_picture_kind_name(bqb_sniff(bytes, size));
    char *folder = bqb_asprintf("%s/files/%.2s", dir, hex);
    *path = folder ? bqb_asprintf("%s/%s.%s", folder, hex, *format ? format : "bin") : NULL;
    bqb_status s = *path ? BQB_OK : bqb_fail_nomem(err, "path", 100);
    if (!s && !bqb_is_file(*path)) {
        s = bqb_make_dirs(folder, err);
        if (!s) s = bqb_file_write(*path, bytes, size, err);
    }
    free(folder);
    return s;
}

static bqb_status read_images(const char *imgs_tsv, const char *dir, const bqb_muge_said_list *texts, bqb_muge_file_fn fn,
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
        size_t first, n = bqb_muge_said_find(texts, image.id, &first);
        s = bqb_muge_said_join(&caption, texts, first, n, err);
        if (!s) s = bqb_keep_picture(&path, dir, image.bytes, image.size, err);
        if (!s) s = fn(k->ctx, path, caption.data, err);
        free(path);
    }
    bqb_buf_free(&caption);
    bqb_muge_images_close(images);
    return s;
}

static char *swap_end(const char *path, const char *end, const char *other) {
    size_t n = strlen(path), m = strlen(end);
    if (n < m || strcmp(path + n - m, end) != 0) return NULL;
    return bqb_asprintf("%.*s%s", (int)(n - m), path, other);
}

char *bqb_muge_other_half(const char *path) {
    char *other = swap_end(path, BQB_MUGE_IMGS, BQB_MUGE_TEXTS);
    if (!other) other = swap_end(path, BQB_MUGE_TEXTS, BQB_MUGE_IMGS);
    if (other && bqb_is_file(other)) return other;
    free(other);
    return NULL;
}

bqb_status bqb_muge_files(const char *imgs_tsv, const char *dir, bqb_muge_file_fn fn, bqb_skipped_fn skipped,
                          void *ctx, bqb_err *err) {
    bqb_muge_said_list texts = {0};
    skips k = {.skipped = skipped, .ctx = ctx};
    bqb_status s = BQB_OK;
    char *jsonl = swap_end(imgs_tsv, BQB_MUGE_IMGS, BQB_MUGE_TEXTS);
    if (!jsonl) s = bqb_fail(err, BQB_EINVAL, "%s: not the name of a MUGE file", imgs_tsv);
    else if (bqb_is_file(jsonl)) s = bqb_muge_said_read(&texts, jsonl, skipped, ctx, err);
    if (!s) s = read_images(imgs_tsv, dir, &texts, fn, &k, err);
    bqb_muge_said_free(&texts);
    free(jsonl);
    return s;
}
