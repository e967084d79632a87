/* Packs of stickers: zip archives, and what Telegram's sets say of their files. */
#define _GNU_SOURCE
#include "library/walk_inner.h"

#include "base/fs.h"
#include "base/mem.h"
#include "library/muge_files.h"
#include "library/telegram_set.h"
#include "library/zip_set.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SET = 1 << 20 };

/* ---- zip archives ---- */

typedef struct {
    bqb_walk *w;
    const char *path, *library;
} zip_reading;

static void skip_zip(void *ctx, const char *name, const char *reason) {
    zip_reading *r = ctx;
    char *full = bqb_asprintf("%s/%s", r->path, name);
    bqb_walk_skip(r->w, full ? full : r->path, reason);
    free(full);
}

static bqb_status add_zip(void *ctx, const bqb_zip_sticker *x, bqb_err *err) {
    zip_reading *r = ctx;
    bqb_annotation given = {{0}};
    char *path = NULL, *full = bqb_asprintf("%s/%s", r->path, x->name);
    const char *name = NULL;
    bqb_own_cells own = {NULL, NULL, NULL};
    bqb_status s = full ? bqb_walk_keep(r->w, &name, full, err) : bqb_fail_nomem(err, "name", strlen(x->name));
    free(full);
    for (size_t f = 0; f < BQB_FIELDS && !s; f++)
        if (x->note.field[f]) s = bqb_walk_keep(r->w, &given.field[f], x->note.field[f], err);
    if (!s && x->own.origins && *x->own.origins) s = bqb_walk_keep(r->w, &own.origins, x->own.origins, err);
    if (!s && x->own.reading && *x->own.reading) s = bqb_walk_keep(r->w, &own.reading, x->own.reading, err);
    if (!s && x->own.filename && *x->own.filename) s = bqb_walk_keep(r->w, &own.filename, x->own.filename, err);
    if (!s) s = bqb_keep_picture(&path, r->library, x->data, x->size, err);
    size_t before = r->w->n;
    if (!s) s = bqb_walk_add(r->w, path, &given, x->listed, err);
    else free(path);
    if (!s && r->w->n > before) {
        r->w->item[before].name = name;
        r->w->item[before].own = own;
    }
    return s;
}

static int zip_progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    const bqb_walk *w = ((zip_reading *)ctx)->w;
    return w->progress ? w->progress(w->ctx, what, done, total) : 0;
}

bqb_status bqb_walk_zip(bqb_walk *w, const char *path, bqb_err *err) {
    char *library;
    bqb_status s = bqb_walk_library(w, &library, path, err);
    if (!library) return s;
    zip_reading r = {.w = w, .path = path, .library = library};
    bqb_zip_reader reader = {.sticker = add_zip, .skip = skip_zip, .progress = zip_progress, .ctx = &r};
    bqb_err why = {0};
    size_t others = 0;
    s = bqb_zip_set_each(path, &reader, &others, &why);
    w->others += others;
    free(library);
    if (s == BQB_EFORMAT || s == BQB_ELIMIT) {
        bqb_walk_skip(w, path, why.msg);
        w->damaged++;
        w->damaged_archives++;
        return BQB_OK;
    }
    if (s && err) *err = why;
    return s;
}

/* ---- Telegram's sets: JSON beside the files ---- */

typedef struct {
    bqb_walk *w;
    const char *dir;
} set_reading;

static bqb_status add_set(void *ctx, const char *stem, const bqb_annotation *note, bqb_err *err) {
    set_reading *r = ctx;
    bqb_status s = BQB_OK;
    for (size_t i = 0; bqb_telegram_extensions[i] && !s; i++) {
        bqb_annotation given = {{0}};
        char *path = bqb_asprintf("%s%s%s%s", r->dir, r->dir[1] ? "/" : "", stem, bqb_telegram_extensions[i]);
        if (!path) return bqb_fail_nomem(err, stem, strlen(stem));
        if (!bqb_is_file(path)) {
            free(path);
            continue;
        }
        for (size_t f = 0; f < BQB_FIELDS && !s; f++)
            if (note->field[f]) s = bqb_walk_keep(r->w, &given.field[f], note->field[f], err);
        if (s) free(path);
        else s = bqb_walk_add(r->w, path, &given, true, err);
    }
    return s;
}

bqb_status bqb_walk_telegram(bqb_walk *w, const char *path, const char *dir, bqb_err *err) {
    char *json;
    size_t n;
    bqb_err why;
    set_reading r = {w, dir};
    bqb_status s = bqb_file_read(&json, &n, path, MAX_SET, NULL);
    if (s) {
        w->others++;
        return BQB_OK;
    }
    s = bqb_telegram_set_each(json, n, add_set, &r, &why);
    free(json);
    if (s == BQB_EFORMAT || s == BQB_ELIMIT) {
        w->others++;
        return BQB_OK;
    }
    return s ? bqb_fail(err, s, "%s", why.msg) : BQB_OK;
}
