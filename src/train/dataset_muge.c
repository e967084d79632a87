/* Stickers of SPLIT_imgs.tsv and SPLIT_texts.jsonl: the pictures stay where they
 * are, and are taken out when they are asked for. */
#define _GNU_SOURCE
#include "train/dataset_source.h"

#include "base/utf8.h"
#include "file/base64.h"
#include "file/muge_said.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CAPTION_MAX = 1 << 16, ID_MAX = 4096 };

static void close_map(void *ctx) {
    bqb_map_close(ctx);
    free(ctx);
}

static void free_said(void *ctx) {
    bqb_muge_said_free(ctx);
    free(ctx);
}

static bqb_status read_picture(void *ctx, uint64_t at, uint64_t size, bqb_buf *out, bqb_err *err) {
    const bqb_map *m = ctx;
    return bqb_base64_decode(out, (const char *)m->data + at, (size_t)size, err);
}

typedef struct {
    bqb_dataset *ds;
    const char *path; /* SPLIT_imgs.tsv */
    const bqb_muge_said_list *said;
    bool *used;       /* [said->n] its picture is there */
    size_t box;
    bqb_buf caption;
} reading;

static void tell_broken(void *ctx, const char *path, const char *reason) {
    (void)path; /* the reason begins with it */
    bqb_dataset *ds = ctx;
    if (++ds->left[BQB_LEFT_BROKEN] <= 5) bqb_buf_printf(&ds->notes, NULL, "  %s\n", reason);
}

static bqb_status add_picture(reading *r, const char *id, size_t id_bytes, bqb_dataset_place at, bqb_err *err) {
    bqb_dataset *ds = r->ds;
    bqb_sample x = {.file = bqb_dataset_keep(ds, id, id_bytes)};
    char *name = x.file ? bqb_asprintf("%s:%s", r->path, x.file) : NULL;
    if (name) x.path = bqb_dataset_keep(ds, name, strlen(name));
    free(name);
    if (!x.path) return bqb_fail_nomem(err, r->path, id_bytes);
    size_t first, n = bqb_muge_said_find(r->said, x.file, &first);
    bqb_status s = bqb_muge_said_join(&r->caption, r->said, first, n, err);
    if (!s && !(x.note.field[BQB_CAPTION] = bqb_dataset_keep(ds, r->caption.data, r->caption.len)))
        s = bqb_fail_nomem(err, r->path, r->caption.len);
    bqb_dataset_mix(ds, x.file, id_bytes);
    bqb_dataset_mix(ds, &at.size, sizeof at.size);
    bool added = false;
    if (!s) s = bqb_dataset_add(ds, &x, &at, &added, err);
    if (!s && n) memset(r->used + first, 1, n);
    for (size_t i = first; i < first + n && added && !s; i++) {
        if (!*r->said->item[i].text) continue;
        s = bqb_dataset_add_query(ds, r->said->item[i].text, err);
        ds->sample[ds->n - 1].n_queries += !s;
    }
    return s;
}

static bqb_status read_lines(reading *r, const bqb_map *m, bqb_err *err) {
    const char *text = (const char *)m->data;
    bqb_status s = BQB_OK;
    size_t line = 1;
    for (size_t at = 0, end; at < m->size && !s; at = end + 1, line++) {
        const char *stop = memchr(text + at, '\n', m->size - at);
        end = stop ? (size_t)(stop - text) : m->size;
        size_t n = end - at - (end > at && text[end - 1] == '\r');
        if (line == 1 && n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {
            at += 3;
            n -= 3;
        }
        if (!n) continue;
        const char *tab = memchr(text + at, '\t', n);
        size_t id = tab ? (size_t)(tab - text) - at : 0;
        if (!id || id > ID_MAX || memchr(text + at, 0, id) || bqb_utf8_check(text + at, id) != id) {
            char where[64];
            snprintf(where, sizeof where, "line %zu: no picture's id, tab and picture", line);
            bqb_dataset_leave_out(r->ds, BQB_LEFT_BROKEN, r->path, where);
            continue;
        }
        bqb_dataset_place place = {.box = r->box, .at = at + id + 1, .size = n - id - 1};
        s = add_picture(r, text + at, id, place, err);
    }
    return s;
}

/* Texts of pictures that are not there; each picture counts once. */
static void leave_out_missing(const reading *r) {
    for (size_t i = 0; i < r->said->n; i++)
        if (!r->used[i] && (!i || strcmp(r->said->item[i].image, r->said->item[i - 1].image)))
            bqb_dataset_leave_out(r->ds, BQB_LEFT_MISSING, r->said->item[i].image, "not in SPLIT_imgs.tsv, but in its texts");
}

static bqb_status open_images(reading *r, bqb_map **m, bqb_err *err) {
    struct stat st;
    *m = bqb_calloc(1, sizeof **m);
    if (!*m) return bqb_fail_nomem(err, r->path, sizeof **m);
    bqb_status s = bqb_map_open(*m, r->path, err);
    if (s) {
        free(*m);
        return s;
    }
    if (!stat(r->path, &st)) bqb_dataset_mix_time(r->ds, (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec);
    s = bqb_dataset_own(r->ds, *m, close_map, err);
    return s ? s : bqb_dataset_add_box(r->ds, (bqb_dataset_box){read_picture, *m}, &r->box, err);
}

bqb_status bqb_dataset_read_muge(bqb_dataset *ds, const char *imgs_tsv, bqb_err *err) {
    size_t n = strlen(imgs_tsv) - strlen("_imgs.tsv");
    char *jsonl = bqb_asprintf("%.*s_texts.jsonl", (int)n, imgs_tsv);
    bqb_muge_said_list *said = bqb_calloc(1, sizeof *said);
    if (!jsonl || !said) {
        free(jsonl);
        free(said);
        return bqb_fail_nomem(err, imgs_tsv, strlen(imgs_tsv));
    }
    reading r = {.ds = ds, .path = imgs_tsv, .said = said, .caption = {.max = CAPTION_MAX}};
    bqb_map *m = NULL;
    bqb_status s = bqb_dataset_own(ds, said, free_said, err);
    if (!s) s = open_images(&r, &m, err);
    if (!s && !bqb_is_file(jsonl))
        s = bqb_fail(err, BQB_ENOTFOUND, "%s: is not there; it says what the pictures of %s mean", jsonl,
                     bqb_path_base(imgs_tsv));
    if (!s) s = bqb_dataset_mix_file(ds, jsonl, err);
    if (!s) s = bqb_muge_said_read(said, jsonl, tell_broken, ds, err);
    if (!s && !(r.used = bqb_calloc(said->n, sizeof *r.used))) s = bqb_fail_nomem(err, jsonl, said->n);
    if (!s) s = read_lines(&r, m, err);
    if (!s) leave_out_missing(&r);
    bqb_buf_free(&r.caption);
    free(r.used);
    free(jsonl);
    return s;
}
