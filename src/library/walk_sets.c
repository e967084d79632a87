/* Data sets whose pictures get files in the library: MUGE, and LMDB databases. */
#define _GNU_SOURCE
#include "library/walk_inner.h"

#include "base/fs.h"
#include "base/mem.h"
#include "library/lmdb_set.h"
#include "library/muge_files.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PICTURE = 64 << 20 };

bqb_status bqb_walk_library(bqb_walk *w, char **library, const char *path, bqb_err *err) {
    *library = w->library ? realpath(w->library, NULL) : NULL;
    if (w->library && !*library) return bqb_fail_errno(err, "%s", w->library);
    if (!w->library) bqb_walk_skip(w, path, "there is no library to put its pictures into");
    return BQB_OK;
}

/* A MUGE picture that now has a file. */
static bqb_status add_muge(void *ctx, const char *path, const char *caption, bqb_err *err) {
    bqb_walk *w = ctx;
    bqb_annotation given = {{0}};
    bqb_status s = bqb_walk_keep(w, &given.field[BQB_CAPTION], caption, err);
    return s ? s : bqb_walk_add(w, bqb_strdup(path), &given, true, err);
}

static void skip_muge(void *ctx, const char *path, const char *reason) { bqb_walk_skip(ctx, path, reason); }

bqb_status bqb_walk_muge(bqb_walk *w, const char *path, bqb_err *err) {
    char *library;
    bqb_status s = bqb_walk_library(w, &library, path, err);
    if (!library) return s;
    s = bqb_muge_files(path, library, add_muge, skip_muge, w, err);
    free(library);
    return s;
}

/* ---- LMDB databases: their pictures get files, too ---- */

typedef struct {
    bqb_walk *w;
    const bqb_lmdb_set *set;
    const char *path;    /* of the set, for messages */
    const char *library; /* where the files go */
    bqb_buf bytes;
} lmdb_reading;

static void skip_lmdb(void *ctx, const char *id, bool missing, const char *reason) {
    (void)missing;
    lmdb_reading *r = ctx;
    char *name = bqb_asprintf("%s:%s", r->path, id);
    bqb_walk_skip(r->w, name ? name : r->path, reason);
    free(name);
}

static bqb_status add_lmdb(void *ctx, const bqb_lmdb_sticker *x, bqb_err *err) {
    lmdb_reading *r = ctx;
    bqb_annotation given = {{0}};
    bqb_err why = {0};
    char *path = NULL;
    r->bytes.len = 0;
    bqb_status s = bqb_lmdb_set_picture(r->set, &r->bytes, x->data, x->size, &why);
    if (s == BQB_EFORMAT || s == BQB_ELIMIT) {
        skip_lmdb(r, x->id, false, why.msg);
        return BQB_OK;
    }
    if (s && err) *err = why;
    if (!s) s = bqb_keep_picture(&path, r->library, (const uint8_t *)r->bytes.data, r->bytes.len, err);
    for (size_t f = 0; f < BQB_FIELDS && !s; f++)
        if (x->note.field[f]) s = bqb_walk_keep(r->w, &given.field[f], x->note.field[f], err);
    if (s) {
        free(path);
        return s;
    }
    return bqb_walk_add(r->w, path, &given, true, err);
}

bqb_status bqb_walk_lmdb(bqb_walk *w, const char *path, bqb_err *err) {
    char *library;
    bqb_status s = bqb_walk_library(w, &library, path, err);
    if (!library) return s;
    lmdb_reading r = {.w = w, .path = path, .library = library, .bytes = {.max = MAX_PICTURE}};
    bqb_lmdb_set *set = NULL;
    bqb_err why = {0};
    s = bqb_lmdb_set_open(&set, path, &why);
    r.set = set;
    bool damaged = s && s != BQB_ENOMEM;
    if (!s) {
        s = bqb_lmdb_set_each(set, add_lmdb, skip_lmdb, &r, &why);
        damaged = s == BQB_EFORMAT || s == BQB_EUNSUPPORTED;
    }
    if (damaged) { /* what came before stays, as do other folders */
        bqb_walk_skip(w, path, why.msg);
        w->damaged++;
        s = BQB_OK;
    }
    if (s && err) *err = why;
    bqb_buf_free(&r.bytes);
    bqb_lmdb_set_close(set);
    free(library);
    return s;
}
