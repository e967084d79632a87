/* Stickers of a bqb library: what is shown there, with what is believed of it, but for guesses. */
#include "train/dataset_source.h"

#include "library/catalogue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bqb_status keep(bqb_dataset *ds, const char **to, const char *text, bqb_err *err) {
    *to = bqb_dataset_keep(ds, text, strlen(text));
    return *to ? BQB_OK : bqb_fail_nomem(err, "data set", strlen(text));
}

static bqb_status add_sticker(bqb_dataset *ds, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_sticker t;
    bqb_annotated a = {0};
    bqb_sample x = {0};
    char digits[BQB_SHORT_ID_SIZE], *path = NULL;
    bqb_status s = bqb_catalogue_get_sticker(c, id, &t, err);
    if (!s) s = bqb_catalogue_short_id(c, t.sha256, digits, err);
    if (!s) s = bqb_catalogue_path_of(c, id, &path, NULL, err);
    if (!s) s = bqb_catalogue_get_annotation(c, id, &a, err);
    if (!s) bqb_annotated_leave_out(&a, BQB_ZERO_SHOT);
    if (!s) s = keep(ds, &x.file, digits, err);
    if (!s) s = keep(ds, &x.path, path, err);
    for (size_t f = 0; f < BQB_FIELDS && !s; f++)
        if (a.field[f]) s = keep(ds, &x.note.field[f], a.field[f], err);
    struct stat st;
    if (!s && !stat(path, &st) && (uint64_t)st.st_size != t.size_bytes)
        bqb_dataset_leave_out(ds, BQB_LEFT_MISSING, path, "changed since it was imported (import it again)");
    else if (!s) {
        bqb_dataset_mix(ds, t.sha256, sizeof t.sha256);
        for (size_t f = 0; f < BQB_FIELDS; f++)
            bqb_dataset_mix(ds, x.note.field[f] ? x.note.field[f] : "", x.note.field[f] ? strlen(x.note.field[f]) + 1 : 1);
        s = bqb_dataset_add(ds, &x, NULL, NULL, err);
    }
    bqb_annotated_free(&a);
    free(path);
    return s;
}

bqb_status bqb_dataset_read_library(bqb_dataset *ds, const char *dir, bqb_err *err) {
    bqb_catalogue *c = NULL;
    bqb_sticker_id *id = NULL;
    size_t n = 0;
    bqb_status s = bqb_catalogue_open(&c, dir, BQB_CATALOGUE_READ, err);
    if (!s) s = bqb_catalogue_list_shown(c, &id, &n, err);
    for (size_t i = 0; i < n && !s; i++) s = add_sticker(ds, c, id[i], err);
    free(id);
    bqb_catalogue_close(c);
    return s;
}
