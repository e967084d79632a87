/* The databases of Chinese-CLIP (SPLIT/imgs, SPLIT/pairs) and of Sticker820K (imgs, infos, SPLIT.txt), as lmdb_set.h reads them. */
#include "library/export_format.h"

#include "base/little_endian.h"
#include "base/mem.h"
#include "file/base64.h"
#include "file/lmdb_write.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PICTURE = 128 << 20 };

typedef struct {
    bqb_lmdb_writer *imgs, *words; /* words: pairs or infos */
    bqb_outfile names;             /* Sticker820K: the split's */
    bqb_buf b;
    size_t n, n_texts;
} lmdb;

static const char *split_of(const bqb_exporter *x) { return x->o->split ? x->o->split : "train"; }

static bqb_status open_part(bqb_lmdb_writer **w, const char *dir, const char *name, bqb_err *err) {
    char *path = bqb_path_join(dir, name);
    bqb_status s = path ? bqb_lmdb_writer_open(w, path, err) : bqb_fail_nomem(err, name, strlen(name));
    free(path);
    return s;
}

static bqb_status begin_in(bqb_exporter *x, const char *dir, const char *words, bqb_err *err) {
    lmdb *d = x->state = bqb_calloc(1, sizeof *d);
    if (!d) return bqb_fail_nomem(err, x->dir, sizeof *d);
    d->b.max = MAX_PICTURE;
    bqb_status s = open_part(&d->imgs, dir, "imgs", err);
    return s ? s : open_part(&d->words, dir, words, err);
}

static bqb_status begin_pairs(bqb_exporter *x, bqb_err *err) {
    char *dir = bqb_path_join(x->dir, split_of(x));
    bqb_status s = dir ? begin_in(x, dir, "pairs", err) : bqb_fail_nomem(err, x->dir, 1);
    free(dir);
    return s;
}

static bqb_status begin_infos(bqb_exporter *x, bqb_err *err) {
    char name[80];
    bqb_status s = begin_in(x, x->dir, "infos", err);
    snprintf(name, sizeof name, "%s.txt", split_of(x));
    return s ? s : bqb_export_open(&((lmdb *)x->state)->names, x->dir, name, err);
}

/* ---- pickles, protocol 2 ---- */

static bqb_status start(bqb_buf *b, bqb_err *err) {
    b->len = 0;
    return bqb_buf_append(b, "\x80\x02", 2, err);
}

static bqb_status put_number(bqb_buf *b, char opcode, size_t v, bqb_err *err) {
    uint8_t bytes[5] = {(uint8_t)opcode};
    bqb_put_le(bytes + 1, v, 4);
    return bqb_buf_append(b, bytes, sizeof bytes, err);
}

static bqb_status put_text(bqb_buf *b, const char *text, bqb_err *err) {
    bqb_status s = put_number(b, 'X', strlen(text), err);
    return s ? s : bqb_buf_append(b, text, strlen(text), err);
}

/* ---- one sticker ---- */

/* One text a picture, as with MUGE; ids are numbers, for Chinese-CLIP takes no others. */
static bqb_status add_pair(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err) {
    lmdb *d = x->state;
    char id[24];
    const char *text = bqb_export_one_text(item->note);
    (void)why;
    if (d->n > INT32_MAX) return bqb_fail(err, BQB_ELIMIT, "more pictures than such a database can number");
    snprintf(id, sizeof id, "%zu", d->n);
    d->b.len = 0;
    bqb_status s = bqb_base64_encode(&d->b, item->bytes, item->size, err);
    if (!s) s = bqb_lmdb_writer_put(d->imgs, id, d->b.data, d->b.len, err);
    if (!s && text) {
        char key[24];
        snprintf(key, sizeof key, "%zu", d->n_texts);
        s = start(&d->b, err);
        if (!s) s = put_number(&d->b, 'J', d->n, err); /* the image's id, the text's, the text; a tuple of three */
        if (!s) s = put_number(&d->b, 'J', d->n_texts, err);
        if (!s) s = put_text(&d->b, text, err);
        if (!s) s = bqb_buf_append(&d->b, "\x87.", 2, err);
        if (!s) s = bqb_lmdb_writer_put(d->words, key, d->b.data, d->b.len, err);
        d->n_texts++;
    }
    d->n++;
    return s;
}

static bqb_status add_info(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err) {
    static const struct {
        const char *key;
        bqb_field field;
    } keys[] = {{"caption", BQB_CAPTION}, {"emotion_class", BQB_EMOTION}, {"emotion_label", BQB_EMOTION_LABEL},
                {"style_class", BQB_STYLE}, {"ocr_text", BQB_OCR}};
    lmdb *d = x->state;
    const char *name = item->name;
    (void)why;
    bqb_status s = bqb_lmdb_writer_put(d->imgs, name, item->bytes, item->size, err);
    if (!s) s = start(&d->b, err);
    if (!s) s = bqb_buf_append(&d->b, "}(", 2, err); /* an empty dict, a mark; keys and values; put them in */
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !s; i++) {
        const char *value = item->note->field[keys[i].field];
        s = put_text(&d->b, keys[i].key, err);
        if (!s) s = put_text(&d->b, value ? value : "", err);
    }
    if (!s) s = bqb_buf_append(&d->b, "u.", 2, err);
    if (!s) s = bqb_lmdb_writer_put(d->words, name, d->b.data, d->b.len, err);
    return s ? s : bqb_outfile_printf(&d->names, err, "%s\n", name);
}

/* ---- the end ---- */

static bqb_status put_count(bqb_lmdb_writer *w, const char *key, size_t n, bqb_err *err) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%zu", n);
    return bqb_lmdb_writer_put(w, key, digits, (size_t)length, err);
}

/* The words last: without them there is no set. */
static bqb_status commit_pairs(bqb_exporter *x, bqb_err *err) {
    lmdb *d = x->state;
    bqb_status s = put_count(d->imgs, "num_images", d->n, err);
    if (!s) s = put_count(d->words, "num_samples", d->n_texts, err);
    if (!s) s = bqb_lmdb_writer_commit(d->imgs, err);
    return s ? s : bqb_lmdb_writer_commit(d->words, err);
}

static bqb_status commit_infos(bqb_exporter *x, bqb_err *err) {
    lmdb *d = x->state;
    bqb_status s = bqb_lmdb_writer_commit(d->imgs, err);
    if (!s) s = bqb_lmdb_writer_commit(d->words, err);
    return s ? s : bqb_outfile_commit(&d->names, err);
}

static void end(bqb_exporter *x) {
    lmdb *d = x->state;
    if (!d) return;
    bqb_lmdb_writer_close(d->imgs);
    bqb_lmdb_writer_close(d->words);
    bqb_outfile_abort(&d->names);
    bqb_buf_free(&d->b);
    free(d);
}

const bqb_export_writer bqb_export_pairs = {true, false, bqb_export_check_split, begin_pairs, add_pair, commit_pairs, end};
const bqb_export_writer bqb_export_infos = {true, false, bqb_export_check_split, begin_infos, add_info, commit_infos, end};
