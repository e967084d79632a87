/* Stickers in LMDB databases: the pictures stay there, and are taken out when they are asked for. */
#define _GNU_SOURCE
#include "train/dataset_source.h"

#include "library/lmdb_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    bqb_dataset *ds;
    const char *path;
    size_t box;
} reading;

static void close_set(void *set) { bqb_lmdb_set_close(set); }

/* `at` is the address in the mapping. */
static bqb_status read_picture(void *ctx, uint64_t at, uint64_t size, bqb_buf *out, bqb_err *err) {
    return bqb_lmdb_set_picture(ctx, out, (const uint8_t *)(uintptr_t)at, (size_t)size, err);
}

static bqb_status keep(bqb_dataset *ds, const char **to, const char *text, bqb_err *err) {
    *to = bqb_dataset_keep(ds, text, strlen(text));
    return *to ? BQB_OK : bqb_fail_nomem(err, "data set", strlen(text));
}

static void skip(void *ctx, const char *id, bool missing, const char *reason) {
    reading *r = ctx;
    bqb_dataset_leave_out(r->ds, missing ? BQB_LEFT_MISSING : BQB_LEFT_BROKEN, *id ? id : r->path, reason);
}

static bqb_status add(void *ctx, const bqb_lmdb_sticker *from, bqb_err *err) {
    reading *r = ctx;
    bqb_sample x = {0};
    char *name = bqb_asprintf("%s:%s", r->path, from->id);
    bqb_status s = name ? keep(r->ds, &x.path, name, err) : bqb_fail_nomem(err, r->path, strlen(from->id));
    free(name);
    if (!s) s = keep(r->ds, &x.file, from->id, err);
    bqb_dataset_mix(r->ds, from->id, strlen(from->id));
    for (size_t f = 0; f < BQB_FIELDS && !s; f++) {
        const char *text = from->note.field[f] ? from->note.field[f] : "";
        bqb_dataset_mix(r->ds, text, strlen(text) + 1);
        s = keep(r->ds, &x.note.field[f], text, err);
    }
    bqb_dataset_place place = {.box = r->box, .at = (uint64_t)(uintptr_t)from->data, .size = from->size};
    bqb_dataset_mix(r->ds, &place.size, sizeof place.size);
    bool added = false;
    if (!s) s = bqb_dataset_add(r->ds, &x, &place, &added, err);
    for (size_t i = 0; i < from->n_texts && added && !s; i++) {
        const char *query;
        if (!*from->text[i]) continue;
        s = keep(r->ds, &query, from->text[i], err);
        if (!s) s = bqb_dataset_add_query(r->ds, query, err);
        r->ds->sample[r->ds->n - 1].n_queries += !s;
    }
    return s;
}

bqb_status bqb_dataset_read_lmdb(bqb_dataset *ds, const char *path, bqb_err *err) {
    reading r = {.ds = ds, .path = path};
    bqb_lmdb_set *set = NULL;
    bqb_status s = bqb_lmdb_set_open(&set, path, err);
    for (size_t i = 0; !s && bqb_lmdb_set_file(set, i); i++) {
        struct stat st;
        if (!stat(bqb_lmdb_set_file(set, i), &st)) bqb_dataset_mix_time(ds, (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec);
    }
    if (!s) s = bqb_dataset_own(ds, set, close_set, err);
    if (!s) s = bqb_dataset_add_box(ds, (bqb_dataset_box){read_picture, set}, &r.box, err);
    return s ? s : bqb_lmdb_set_each(set, add, skip, &r, err);
}
