#define _GNU_SOURCE
#include "library/walk_inner.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/words.h"
#include "file/table.h"
#include "image/sniff.h"
#include "library/lmdb_set.h"
#include "library/muge_files.h"
#include "library/zip_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_CANDIDATES = 16 << 20, MAX_DEPTH = 100, SNIFF_BYTES = 512 };

void bqb_walk_skip(bqb_walk *w, const char *path, const char *reason) {
    w->skipped++;
    if (w->skip) w->skip(w->ctx, path, reason);
}

/* Grow an array to hold one more. */
static void *room(void *array, size_t n, size_t *cap, size_t size, bqb_err *err) {
    if (n < *cap) return array;
    size_t want = *cap ? *cap * 2 : 64;
    void *p = realloc(array, want * size);
    if (!p) bqb_fail_nomem(err, "list of files", want * size);
    else *cap = want;
    return p;
}

/* Takes path. */
bqb_status bqb_walk_add(bqb_walk *w, char *path, const bqb_annotation *given, bool listed, bqb_err *err) {
    if (!path) return bqb_fail_nomem(err, "path", 1);
    if (w->wanted && !w->wanted(w, path)) {
        free(path);
        return BQB_OK;
    }
    if (w->n == MAX_CANDIDATES) {
        free(path);
        return bqb_fail(err, BQB_ELIMIT, "more than %d files to import: do it in parts", MAX_CANDIDATES);
    }
    bqb_candidate *item = room(w->item, w->n, &w->cap, sizeof *item, err);
    if (!item) {
        free(path);
        return BQB_ENOMEM;
    }
    w->item = item;
    item[w->n] = (bqb_candidate){.path = path, .listed = listed, .order = (uint32_t)w->n};
    if (given) item[w->n].given = *given;
    w->n++;
    if (w->progress && w->n % 256 == 0 && w->progress(w->ctx, "list", w->n, 0))
        return bqb_fail(err, BQB_ECANCEL, "stopped while listing files");
    return BQB_OK;
}

static size_t slot_of(const bqb_walk *w, bqb_place p) {
    uint64_t h = ((uint64_t)p.ino * 0x9E3779B97F4A7C15u) ^ (uint64_t)p.dev;
    size_t i = (size_t)(h >> 20) & (w->cap_seen - 1);
    while (w->seen[i].ino && (w->seen[i].ino != p.ino || w->seen[i].dev != p.dev)) i = (i + 1) & (w->cap_seen - 1);
    return i;
}

/* *first: this folder was not visited before. */
static bqb_status visit(bqb_walk *w, bqb_place p, bool *first, bqb_err *err) {
    if (2 * w->n_seen >= w->cap_seen) {
        bqb_place *old = w->seen;
        size_t old_cap = w->cap_seen;
        bqb_place *bigger = bqb_calloc(old_cap ? 2 * old_cap : 64, sizeof *bigger);
        if (!bigger) return bqb_fail_nomem(err, "list of folders", 2 * old_cap * sizeof *bigger);
        w->seen = bigger;
        w->cap_seen = old_cap ? 2 * old_cap : 64;
        for (size_t i = 0; i < old_cap; i++)
            if (old[i].ino) w->seen[slot_of(w, old[i])] = old[i];
        free(old);
    }
    size_t i = slot_of(w, p);
    *first = !w->seen[i].ino;
    if (*first) w->n_seen++;
    w->seen[i] = p;
    return BQB_OK;
}

/* Absolute, without "." and doubled slashes; ".." stays, for a link may stand before it. */
static char *absolute(const char *dir, const char *name) {
    char *p = bqb_path_join(dir, name);
    if (!p) return NULL;
    size_t m = 0;
    for (size_t i = 0; p[i];) {
        size_t len = strcspn(p + i, "/");
        if (len && !(len == 1 && p[i] == '.')) {
            p[m++] = '/';
            memmove(p + m, p + i, len);
            m += len;
        }
        i += len + (p[i + len] == '/');
    }
    p[m ? m : 0] = 0;
    return p;
}

bqb_status bqb_walk_table(bqb_walk *w, const char *path, const char *dir, bqb_err *err) {
    bqb_err why;
    bqb_table *t;
    bqb_status s = bqb_table_open(&t, path, &why);
    if (s == BQB_ENOMEM) {
        if (err) *err = why;
        return s;
    }
    if (s) {
        bqb_walk_skip(w, path, why.msg);
        return BQB_OK;
    }
    bqb_table **tables = realloc(w->table, (w->n_tables + 1) * sizeof *tables);
    if (!tables) {
        bqb_table_close(t);
        return bqb_fail_nomem(err, path, (w->n_tables + 1) * sizeof *tables);
    }
    w->table = tables;
    w->table[w->n_tables++] = t;
    size_t file = bqb_table_find(t, "file");
    if (file == SIZE_MAX) {
        bqb_walk_skip(w, path, "its header line has no column \"file\"");
        return BQB_OK;
    }
    char problem[BQB_TABLE_PROBLEM];
    if (bqb_table_problem(problem, t)) bqb_walk_skip(w, path, problem);
    bqb_field field[64];
    size_t n_columns = bqb_table_columns(t) < 64 ? bqb_table_columns(t) : 64;
    for (size_t c = 0; c < n_columns; c++)
        field[c] = bqb_field_parse(bqb_table_column(t, c), strlen(bqb_table_column(t, c)));
    const bqb_own_columns own = bqb_own_columns_of(t);
    for (size_t r = 0; r < bqb_table_rows(t) && !s; r++) {
        const char *name = bqb_table_cell(t, r, file);
        if (!*name) {
            char reason[80];
            snprintf(reason, sizeof reason, "line %zu names no file", bqb_table_line(t, r));
            bqb_walk_skip(w, path, reason);
            continue;
        }
        bqb_annotation given = {{0}};
        for (size_t c = 0; c < n_columns; c++)
            if (field[c] != BQB_FIELDS) given.field[field[c]] = bqb_table_cell(t, r, c);
        size_t before = w->n;
        s = bqb_walk_add(w, absolute(dir, name), &given, true, err);
        if (s || w->n == before) continue;
        bqb_candidate *item = &w->item[before];
        item->table = t;
        item->line = bqb_table_line(t, r);
        item->own = bqb_own_cells_at(t, r, &own);
        if (!bqb_own_cells_check(&item->own, &given, item->line, &why)) bqb_walk_skip(w, path, why.msg);
    }
    return s;
}

bqb_status bqb_walk_keep(bqb_walk *w, const char **to, const char *words, bqb_err *err) {
    char **captions = room(w->caption, w->n_captions, &w->cap_captions, sizeof *captions, err);
    if (!captions) return BQB_ENOMEM;
    w->caption = captions;
    char *copy = bqb_strdup(words);
    if (!copy) return bqb_fail_nomem(err, "caption", strlen(words));
    w->caption[w->n_captions++] = copy;
    *to = copy;
    return BQB_OK;
}

/* By extension, or by content where that says nothing. */
bool bqb_looks_like_picture(int dir_fd, const char *name) {
    int says = bqb_extension_says(name);
    if (says) return says > 0;
    uint8_t head[SNIFF_BYTES];
    int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return false;
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    return n > 0 && bqb_sniff(head, (size_t)n) != BQB_PICTURE_NONE;
}

/* A file in the folder dir that is no picture: it may say something of pictures, or hold them. */
static bqb_status walk_other(bqb_walk *w, const char *path, const char *dir, bqb_err *err) {
    if (!strcmp(bqb_path_base(path), "captions.tsv")) return BQB_OK; /* read before, or told */
    if (bqb_ends_with(path, ".json")) return bqb_walk_telegram(w, path, dir, err);
    char *half = bqb_muge_other_half(path);
    bqb_status s = BQB_OK;
    if (half && bqb_ends_with(path, BQB_MUGE_IMGS)) s = bqb_walk_muge(w, path, err);
    else if (!half && bqb_ends_with(path, BQB_MUGE_IMGS))
        bqb_walk_skip(w, path, "pictures without their texts (SPLIT_texts.jsonl): `bqb import` of this very file takes them");
    else if (!half) w->others++;
    free(half);
    return s;
}

bqb_status bqb_walk_folder(bqb_walk *w, const char *path, int depth, bqb_err *err) {
    bool first = true;
    struct stat st;
    DIR *d = opendir(path);
    if (!d || fstat(dirfd(d), &st)) {
        bqb_walk_skip(w, path, strerror(errno));
        if (d) closedir(d);
        return BQB_OK;
    }
    bqb_place here = {st.st_dev, st.st_ino};
    bqb_status s = visit(w, here, &first, err);
    if (s || !first || (here.ino == w->avoid.ino && here.dev == w->avoid.dev)) {
        closedir(d);
        return s;
    }
    if (w->folder) w->folder(w->ctx, path); /* before it is read: whatever comes later is seen by who watches */
    if (depth > MAX_DEPTH) {
        bqb_walk_skip(w, path, "folders are nested too deeply");
        closedir(d);
        return BQB_OK;
    }
    if (bqb_is_lmdb_set(path)) {
        closedir(d);
        return bqb_walk_lmdb(w, path, err);
    }
    char *captions = bqb_path_join(path, "captions.tsv");
    if (!captions) s = bqb_fail_nomem(err, path, 1);
    else if (bqb_is_file(captions)) s = bqb_walk_table(w, captions, path, err);
    else if (!stat(captions, &st)) bqb_walk_skip(w, captions, "not a regular file");
    free(captions);
    struct dirent *e;
    while (!s && (errno = 0, e = readdir(d))) {
        if (e->d_name[0] == '.') continue;
        char *child = bqb_path_join(path, e->d_name);
        if (!child) s = bqb_fail_nomem(err, path, 1);
        else if (fstatat(dirfd(d), e->d_name, &st, 0)) bqb_walk_skip(w, child, errno == ENOENT ? "a link to nothing" : strerror(errno));
        else if (S_ISDIR(st.st_mode)) s = bqb_walk_folder(w, child, depth + 1, err);
        else if (!S_ISREG(st.st_mode)) w->others += strcmp(e->d_name, "captions.tsv") != 0; /* that was told */
        else if (!bqb_looks_like_picture(dirfd(d), e->d_name)) s = walk_other(w, child, path, err);
        else {
            s = bqb_walk_add(w, child, NULL, false, err);
            child = NULL;
        }
        free(child);
    }
    if (!s && errno) bqb_walk_skip(w, path, strerror(errno));
    closedir(d);
    return s;
}

bqb_status bqb_walk_name_root(bqb_walk *w, char *root, bqb_err *err) {
    char **roots = root ? bqb_grow(w->root, w->n_roots, &w->cap_roots, sizeof *roots, 8) : NULL;
    if (!roots) {
        free(root);
        return bqb_fail_nomem(err, "list of folders", (w->n_roots + 1) * sizeof *roots);
    }
    w->root = roots;
    w->root[w->n_roots++] = root;
    return BQB_OK;
}

static bqb_status walk_root(bqb_walk *w, const char *path, bqb_err *err) {
    char *real = realpath(path, NULL); /* links resolved, so that one folder has one name */
    if (!real) {
        bqb_walk_skip(w, path, strerror(errno));
        return BQB_OK;
    }
    bqb_status s;
    if (bqb_is_dir(real)) {
        s = bqb_walk_name_root(w, bqb_asprintf("%s%s", real, real[1] ? "/" : ""), err);
        if (!s) s = bqb_walk_folder(w, real, 0, err);
    } else if (bqb_is_lmdb_list(real)) {
        s = bqb_walk_lmdb(w, real, err);
    } else if (bqb_ends_with(path, BQB_MUGE_IMGS)) {
        s = bqb_walk_muge(w, real, err);
    } else if (bqb_ends_with(path, ".tsv")) {
        char *slash = strrchr(real, '/');
        char *dir = bqb_strndup(real, (size_t)(slash - real));
        s = dir ? bqb_walk_table(w, real, *dir ? dir : "/", err) : bqb_fail_nomem(err, path, 1);
        free(dir);
    } else if (bqb_is_zip(real) || bqb_ends_with(path, ".zip")) {
        s = bqb_walk_zip(w, real, err);
    } else {
        s = bqb_walk_add(w, real, NULL, true, err);
        real = NULL;
    }
    free(real);
    return s;
}

static int by_path(const void *a, const void *b) {
    const bqb_candidate *x = a, *y = b;
    int d = strcmp(x->path, y->path);
    if (d) return d;
    bool xa = x->listed, ya = y->listed;
    return xa != ya ? (xa ? -1 : 1) : x->order < y->order ? -1 : x->order > y->order;
}

/* Once for all of them; no file is left out, so none is counted. */
static void tell_twice(const bqb_walk *w, const bqb_candidate *x, size_t line, size_t n) {
    char reason[200], others[80] = "";
    if (n > 1) snprintf(others, sizeof others, "; so with %zu more %s", n - 1, bqb_word(n - 1, "line", "lines"));
    snprintf(reason, sizeof reason, "lines %zu and %zu of its captions.tsv name it: the first is taken%s", x->line, line, others);
    if (w->skip) w->skip(w->ctx, x->path, reason);
}

/* Sorted, each path once. What a table says of it wins, and of two tables the first. */
void bqb_walk_sort(bqb_walk *w) {
    if (w->n) qsort(w->item, w->n, sizeof *w->item, by_path);
    size_t m = 0, twice = 0;
    const bqb_candidate *first = NULL;
    size_t line = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (!m || strcmp(w->item[m - 1].path, w->item[i].path) != 0) {
            w->item[m++] = w->item[i];
            continue;
        }
        if (w->item[i].table && w->item[i].table == w->item[m - 1].table && !twice++) {
            first = &w->item[m - 1];
            line = w->item[i].line;
        }
        free(w->item[i].path);
    }
    w->n = m;
    if (first) tell_twice(w, first, line, twice);
}

bqb_walk *bqb_walk_start(const char *skip_dir, bqb_skipped_fn skip_fn, bqb_progress_fn progress, void *ctx) {
    bqb_walk *w = bqb_calloc(1, sizeof *w);
    struct stat st;
    if (!w) return NULL;
    w->skip = skip_fn;
    w->progress = progress;
    w->ctx = ctx;
    w->library = skip_dir;
    if (skip_dir && !stat(skip_dir, &st)) w->avoid = (bqb_place){st.st_dev, st.st_ino};
    return w;
}

bqb_status bqb_walk_new(bqb_walk **out, const char *const *paths, size_t n, const char *skip_dir, bqb_skipped_fn skip_fn,
                        bqb_progress_fn progress, void *ctx, bqb_err *err) {
    *out = NULL;
    bqb_walk *w = bqb_walk_start(skip_dir, skip_fn, progress, ctx);
    if (!w) return bqb_fail_nomem(err, "list of files", sizeof *w);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) s = walk_root(w, paths[i], err);
    if (s) {
        bqb_walk_free(w);
        return s;
    }
    bqb_walk_sort(w);
    *out = w;
    return BQB_OK;
}

void bqb_walk_free(bqb_walk *w) {
    if (!w) return;
    for (size_t i = 0; i < w->n; i++) free(w->item[i].path);
    for (size_t i = 0; i < w->n_roots; i++) free(w->root[i]);
    for (size_t i = 0; i < w->n_tables; i++) bqb_table_close(w->table[i]);
    for (size_t i = 0; i < w->n_captions; i++) free(w->caption[i]);
    free(w->caption);
    free(w->item);
    free(w->root);
    free(w->table);
    free(w->seen);
    free(w);
}

size_t bqb_walk_count(const bqb_walk *w) { return w->n; }
const bqb_candidate *bqb_walk_at(const bqb_walk *w, size_t i) { return &w->item[i]; }
size_t bqb_walk_roots(const bqb_walk *w) { return w->n_roots; }
const char *bqb_walk_root(const bqb_walk *w, size_t i) { return w->root[i]; }
size_t bqb_walk_skipped(const bqb_walk *w) { return w->skipped; }
size_t bqb_walk_damaged(const bqb_walk *w) { return w->damaged; }
size_t bqb_walk_damaged_archives(const bqb_walk *w) { return w->damaged_archives; }
size_t bqb_walk_others(const bqb_walk *w) { return w->others; }

bool bqb_walk_has(const bqb_walk *w, const char *path) {
    size_t lo = 0, hi = w->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(w->item[mid].path, path);
        if (!d) return true;
        if (d < 0) lo = mid + 1;
        else hi = mid;
    }
    return false;
}
