/* Walking again where something happened. */
#define _GNU_SOURCE
#include "library/walk_inner.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "library/muge_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_among(const bqb_walk *w, const char *path) {
    return bsearch(&path, w->only, w->n_only, sizeof path, by_bytes) != NULL;
}

/* Is it one of the paths that were asked for, or below one? */
static bool is_wanted(const bqb_walk *w, const char *path) {
    if (is_among(w, path)) return true;
    char *p = bqb_strdup(path);
    bool found = !p; /* out of memory: one look too many does no harm */
    for (char *slash; p && !found && (slash = strrchr(p, '/')) && slash > p;) {
        *slash = 0;
        found = is_among(w, p);
    }
    free(p);
    return found;
}

/* The folders whose tables have been read already. */
typedef struct {
    char **dir;
    size_t n, cap;
} read_tables;

static bqb_status read_table_of(bqb_walk *w, read_tables *done, const char *dir, bqb_err *err) {
    for (size_t i = 0; i < done->n; i++)
        if (!strcmp(done->dir[i], dir)) return BQB_OK;
    char **dirs = bqb_grow(done->dir, done->n, &done->cap, sizeof *dirs, 16);
    char *copy = bqb_strdup(dir);
    if (dirs) done->dir = dirs;
    if (!dirs || !copy) {
        free(copy);
        return bqb_fail_nomem(err, dir, strlen(dir));
    }
    done->dir[done->n++] = copy;
    char *table = bqb_path_join(dir, "captions.tsv");
    bqb_status s = BQB_OK;
    if (!table) s = bqb_fail_nomem(err, dir, strlen(dir));
    else if (bqb_is_file(table)) {
        w->wanted = is_wanted;
        s = bqb_walk_table(w, table, dir, err);
        w->wanted = NULL;
    }
    free(table);
    return s;
}

/* From the watched folder down to the one that path is in. */
static bqb_status read_tables_above(bqb_walk *w, const bqb_walk_request *r, read_tables *done, const char *path,
                                    bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < r->n_within && !s; i++) {
        size_t n = strlen(r->within[i]);
        if (n == 1) n = 0; /* "/" */
        if (strncmp(path, r->within[i], n) || path[n] != '/') continue;
        char *dir = bqb_strdup(path);
        if (!dir) return bqb_fail_nomem(err, path, strlen(path));
        for (const char *slash = path + n; slash && !s; slash = strchr(slash + 1, '/')) {
            size_t len = (size_t)(slash - path);
            memcpy(dir, path, len);
            dir[len ? len : 1] = 0;
            s = read_table_of(w, done, dir, err);
        }
        free(dir);
    }
    return s;
}

static bqb_status look_at(bqb_walk *w, const bqb_walk_request *r, read_tables *done, const char *path, bqb_err *err) {
    struct stat st;
    bqb_status s = BQB_OK;
    if (stat(path, &st)) {
        if (errno != ENOENT && errno != ENOTDIR) {
            bqb_walk_skip(w, path, strerror(errno));
            return BQB_OK;
        }
        s = bqb_walk_name_root(w, bqb_strdup(path), err);
        return s ? s : bqb_walk_name_root(w, bqb_asprintf("%s/", path), err);
    }
    if (S_ISDIR(st.st_mode)) {
        s = bqb_walk_name_root(w, bqb_asprintf("%s%s", path, path[1] ? "/" : ""), err);
        if (!s) s = read_tables_above(w, r, done, path, err);
        return s ? s : bqb_walk_folder(w, path, 0, err);
    }
    if (S_ISREG(st.st_mode) && !strcmp(bqb_path_base(path), "captions.tsv")) {
        char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path - 1));
        s = dir ? bqb_walk_table(w, path, *dir ? dir : "/", err) : bqb_fail_nomem(err, path, 1);
        free(dir);
        return s;
    }
    char *half = S_ISREG(st.st_mode) ? bqb_muge_other_half(path) : NULL;
    if (half) {
        s = bqb_walk_muge(w, bqb_ends_with(path, BQB_MUGE_IMGS) ? path : half, err);
        free(half);
        return s;
    }
    if (!S_ISREG(st.st_mode) || !bqb_looks_like_picture(AT_FDCWD, path)) {
        w->others++;
        return BQB_OK;
    }
    s = read_tables_above(w, r, done, path, err);
    return s ? s : bqb_walk_add(w, bqb_strdup(path), NULL, false, err);
}

bqb_status bqb_walk_again(bqb_walk **out, const bqb_walk_request *r, bqb_err *err) {
    *out = NULL;
    bqb_walk *w = bqb_walk_start(r->skip_dir, r->skip, r->progress, r->ctx);
    const char **only = bqb_calloc(r->n, sizeof *only);
    read_tables done = {0};
    bqb_status s = w && only ? BQB_OK : bqb_fail_nomem(err, "list of files", r->n * sizeof *only);
    if (!s) {
        memcpy(only, r->path, r->n * sizeof *only);
        if (r->n) qsort(only, r->n, sizeof *only, by_bytes);
        w->only = only;
        w->n_only = r->n;
        w->folder = r->folder;
    }
    for (size_t i = 0; i < r->n && !s; i++) s = look_at(w, r, &done, r->path[i], err);
    for (size_t i = 0; i < done.n; i++) free(done.dir[i]);
    free(done.dir);
    free(only);
    if (s) {
        bqb_walk_free(w);
        return s;
    }
    w->only = NULL;
    bqb_walk_sort(w);
    *out = w;
    return BQB_OK;
}
