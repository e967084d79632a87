#include "library/import_gone.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool bqb_is_gone(const char *path) {
    struct stat st;
    return stat(path, &st) && (errno == ENOENT || errno == ENOTDIR);
}

typedef struct {
    const char *except;    /* a path that is there */
    const bqb_walk *walk;  /* so are these; may be NULL */
    bool missing;          /* those marked missing before are wanted, too */
    char **path;           /* owned */
    bqb_file *file;
    size_t n, cap, cap_file;
} gone_list;

static int take_if_gone(void *ctx, const char *path, const bqb_file *f) {
    gone_list *l = ctx;
    if ((f->missing && !l->missing) || (l->except && !strcmp(path, l->except))) return 0;
    if ((l->walk && bqb_walk_has(l->walk, path)) || !bqb_is_gone(path)) return 0;
    char **paths = bqb_grow(l->path, l->n, &l->cap, sizeof *paths, 64);
    if (paths) l->path = paths;
    bqb_file *files = bqb_grow(l->file, l->n, &l->cap_file, sizeof *files, 64);
    if (files) l->file = files;
    char *copy = paths && files ? bqb_strdup(path) : NULL;
    if (!copy) return 1;
    l->path[l->n] = copy;
    l->file[l->n++] = *f;
    return 0;
}

static void gone_list_free(gone_list *l) {
    for (size_t i = 0; i < l->n; i++) free(l->path[i]);
    free(l->path);
    free(l->file);
}

bqb_status bqb_drop_old_paths(char **from, bqb_catalogue *c, bqb_sticker_id id, const char *here, bqb_err *err) {
    gone_list old = {.except = here, .missing = true};
    *from = NULL;
    bqb_status s = bqb_catalogue_each_file_of(c, id, take_if_gone, &old, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "list of files", old.cap * sizeof *old.file);
    for (size_t i = 0; i < old.n && !s; i++) s = bqb_catalogue_drop_file(c, old.path[i], err);
    if (!s && old.n) {
        *from = old.path[0];
        old.path[0] = NULL;
    }
    gone_list_free(&old);
    return s;
}

bqb_status bqb_mark_gone(size_t *n, bqb_catalogue *c, const bqb_walk *w, const char *root, bqb_change_fn change,
                         void *ctx, bqb_err *err) {
    gone_list gone = {.walk = w};
    bqb_file f;
    bool known = false;
    size_t len = strlen(root);
    bqb_status s;
    *n = 0;
    if (len && root[len - 1] == '/') s = bqb_catalogue_each_file(c, root, take_if_gone, &gone, err);
    else {
        s = bqb_catalogue_get_file(c, root, &f, &known, err);
        if (!s && known && take_if_gone(&gone, root, &f)) s = BQB_ECANCEL;
    }
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "list of files", gone.cap * sizeof *gone.file);
    if (!s && gone.n) {
        s = bqb_catalogue_begin(c, err);
        for (size_t i = 0; i < gone.n && !s; i++) {
            gone.file[i].missing = true;
            s = bqb_catalogue_put_file(c, gone.path[i], &gone.file[i], err);
        }
        if (!s) s = bqb_catalogue_commit(c, err);
        if (s) bqb_catalogue_rollback(c);
    }
    for (size_t i = 0; !s && change && i < gone.n; i++) change(ctx, BQB_FILE_GONE, gone.path[i], NULL);
    if (!s) *n = gone.n;
    gone_list_free(&gone);
    return s;
}
