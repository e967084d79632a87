#define _GNU_SOURCE
#include "library/export_written.h"

#include "base/fs.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAME = 80, MAX_LIST = 256 << 20, MAX_FILE = 64 << 20, HEX = 2 * BQB_SHA256_SIZE };
static const char list_name[] = ".bqb-export", folder[] = "images/", table[] = "captions.tsv";

typedef struct {
    char name[MAX_NAME], sha256[HEX + 1];
} picture;

typedef struct {
    picture *item; /* in name order once it is sorted */
    size_t n, cap;
} pictures;

struct bqb_written {
    char *dir, *path;
    int fd; /* of the list; lines are added */
    pictures old, now;
    char table[HEX + 1]; /* SHA-256 of captions.tsv as the last export wrote it, or "" */
};

/* "ab12….png": hexadecimal digits, a point, a short extension. No other name was ever written. */
static bool is_our_name(const char *name, size_t n) {
    size_t digits = strspn(name, "0123456789abcdef");
    size_t end = digits + 1 + strspn(name + digits + (digits < n), "0123456789abcdefghijklmnopqrstuvwxyz");
    return digits >= 12 && digits <= HEX && name[digits] == '.' && end == n && n > digits + 1 && n < MAX_NAME;
}

static bqb_status add(pictures *p, const char *name, size_t n, const char *sha256, bqb_err *err) {
    picture *items = bqb_grow(p->item, p->n, &p->cap, sizeof *items, 256);
    if (!items) return bqb_fail_nomem(err, list_name, 2 * p->cap * sizeof *items);
    p->item = items;
    picture *x = &items[p->n++];
    *x = (picture){.name = ""};
    memcpy(x->name, name, n);
    memcpy(x->sha256, sha256, HEX);
    return BQB_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const picture *)a)->name, ((const picture *)b)->name); }

static const picture *find(const pictures *p, const char *name) {
    picture key = {.name = ""};
    size_t n = strlen(name);
    if (n >= MAX_NAME || !p->n) return NULL;
    memcpy(key.name, name, n);
    return bsearch(&key, p->item, p->n, sizeof key, by_name);
}

/* ---- the list ---- */

/* A line of the list, if it is one that exports write. */
static bqb_status take_line(bqb_written *w, const char *line, size_t n, bqb_err *err) {
    static const char digits[] = "0123456789abcdef";
    size_t head = HEX + 2, in = sizeof folder - 1;
    char name[MAX_NAME] = "";
    if (n <= head || strspn(line, digits) != HEX || memcmp(line + HEX, "  ", 2) != 0) return BQB_OK;
    const char *path = line + head;
    size_t length = n - head;
    if (length == sizeof table - 1 && !memcmp(path, table, length)) memcpy(w->table, line, HEX);
    if (length <= in || length - in >= MAX_NAME || memcmp(path, folder, in) != 0) return BQB_OK;
    memcpy(name, path + in, length - in);
    return is_our_name(name, strlen(name)) ? add(&w->old, name, strlen(name), line, err) : BQB_OK;
}

static bqb_status read_list(bqb_written *w, bool *ends_with_line, bqb_err *err) {
    char *text;
    size_t size;
    *ends_with_line = true;
    bqb_status s = bqb_file_read(&text, &size, w->path, MAX_LIST, err);
    if (s) return s;
    for (const char *at = text; *at && !s;) {
        size_t n = strcspn(at, "\n");
        s = take_line(w, at, n, err);
        at += n;
        *ends_with_line = *at == '\n';
        at += *at == '\n';
    }
    free(text);
    if (!s && w->old.n) qsort(w->old.item, w->old.n, sizeof *w->old.item, by_name);
    return s;
}

static bqb_status write_line(bqb_written *w, const char *line, bqb_err *err) {
    size_t n = strlen(line);
    for (ssize_t done; n; line += done, n -= (size_t)done) {
        done = write(w->fd, line, n);
        if (done < 0 && errno == EINTR) done = 0;
        else if (done < 0) return bqb_fail_errno(err, "%s", w->path);
    }
    return BQB_OK;
}

bqb_status bqb_written_open(bqb_written **out, const char *dir, bqb_err *err) {
    struct stat st;
    bool whole = true;
    bqb_written *w = *out = bqb_calloc(1, sizeof *w);
    if (!w) return bqb_fail_nomem(err, dir, sizeof *w);
    w->fd = -1;
    w->dir = bqb_strdup(dir);
    w->path = bqb_path_join(dir, list_name);
    bqb_status s = w->dir && w->path ? BQB_OK : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && !lstat(w->path, &st)) {
        if (S_ISREG(st.st_mode)) s = read_list(w, &whole, err);
        else s = bqb_fail(err, BQB_EIO, "%s: it is no file; take it away", w->path);
    }
    if (!s && (w->fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666)) < 0)
        s = bqb_fail_errno(err, "%s", w->path);
    if (!s && !whole) s = write_line(w, "\n", err);
    if (!s) return BQB_OK;
    bqb_written_close(w);
    *out = NULL;
    return s;
}

void bqb_written_close(bqb_written *w) {
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    free(w->old.item);
    free(w->now.item);
    free(w->path);
    free(w->dir);
    free(w);
}

bqb_status bqb_written_add(bqb_written *w, const char *name, const uint8_t sha256[BQB_SHA256_SIZE], bqb_err *err) {
    char hex[HEX + 1], line[HEX + sizeof folder + MAX_NAME + 8];
    bqb_hex(hex, sha256, BQB_SHA256_SIZE);
    bqb_status s = add(&w->now, name, strlen(name) < MAX_NAME ? strlen(name) : MAX_NAME - 1, hex, err);
    if (s || find(&w->old, name)) return s; /* listed already */
    snprintf(line, sizeof line, "%s  %s%s\n", hex, folder, w->now.item[w->now.n - 1].name);
    return write_line(w, line, err);
}

/* The content of a file, also as hexadecimal digits; false when it is none or cannot be read. */
static bool hash_file(uint8_t sha256[BQB_SHA256_SIZE], char hex[HEX + 1], const char *path) {
    char *bytes;
    size_t size;
    if (bqb_file_read(&bytes, &size, path, MAX_FILE, NULL)) return false;
    bqb_sha256_of(sha256, bytes, size);
    free(bytes);
    bqb_hex(hex, sha256, BQB_SHA256_SIZE);
    return true;
}

/* Is this the content of a file? */
static bool holds(const char *path, const char hex[HEX + 1]) {
    uint8_t sha256[BQB_SHA256_SIZE];
    char found[HEX + 1];
    return hash_file(sha256, found, path) && !strcmp(found, hex);
}

/* 0, or -1 and errno: EEXIST when `to` is there. Not every file system can do both in one step. */
static int rename_to_new(const char *from, const char *to) {
    struct stat st;
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (lstat(to, &st)) return rename(from, to);
    errno = EEXIST;
    return -1;
}

bqb_status bqb_written_spare_table(char kept[32], const bqb_written *w, bqb_err *err) {
    struct stat st;
    char *path = bqb_path_join(w->dir, table), *to = NULL;
    bqb_status s = path ? BQB_OK : bqb_fail_nomem(err, w->dir, 1);
    *kept = 0;
    bool spare = !s && !lstat(path, &st) && !(S_ISREG(st.st_mode) && (!st.st_size || holds(path, w->table)));
    for (unsigned i = 1; spare && !s && !*kept; i++) {
        snprintf(kept, 32, i > 1 ? "%s.bak%u" : "%s.bak", table, i);
        free(to);
        if (!(to = bqb_path_join(w->dir, kept))) s = bqb_fail_nomem(err, w->dir, 1);
        else if (!rename_to_new(path, to)) break;
        else if (errno != EEXIST) s = bqb_fail_errno(err, "%s", path);
        *kept = 0;
    }
    free(to);
    free(path);
    return s;
}

static bqb_status write_list(const bqb_written *w, const pictures *kept, bqb_err *err) {
    const pictures *part[] = {&w->now, kept};
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, w->path, err);
    for (size_t k = 0; k < 2 && !s; k++)
        for (size_t i = 0; i < part[k]->n && !s; i++)
            s = bqb_outfile_printf(&o, err, "%s  %s%s\n", part[k]->item[i].sha256, folder, part[k]->item[i].name);
    uint8_t sha256[BQB_SHA256_SIZE];
    char hex[HEX + 1], *captions = bqb_path_join(w->dir, table);
    if (!s && captions && hash_file(sha256, hex, captions)) s = bqb_outfile_printf(&o, err, "%s  %s\n", hex, table);
    free(captions);
    if (!s) s = bqb_outfile_commit(&o, err);
    bqb_outfile_abort(&o);
    return s;
}

/* ---- what is left ---- */

/* Where else a sticker is. The file itself is known by device and number, for a path may lead through links. */
typedef struct {
    const struct stat *st;
    const char *sha256;
    bool same, elsewhere;
} comparison;

static int compare(void *ctx, const char *path, const bqb_file *f) {
    comparison *k = ctx;
    struct stat st;
    (void)f;
    if (stat(path, &st)) return 0;
    if (st.st_ino == k->st->st_ino && st.st_dev == k->st->st_dev) k->same = true;
    else if (!k->elsewhere) k->elsewhere = holds(path, k->sha256);
    return k->same;
}

/* *why: NULL when nothing speaks against taking it away. */
static bqb_status look_at(const char **why, const picture *x, const char *path, bqb_catalogue *c, bqb_err *err) {
    struct stat st;
    char hex[HEX + 1];
    uint8_t sha256[BQB_SHA256_SIZE];
    bqb_sticker_id id;
    comparison k = {.st = &st, .sha256 = x->sha256};
    *why = "it was changed since an earlier export wrote it";
    if (lstat(path, &st) || !S_ISREG(st.st_mode) || !hash_file(sha256, hex, path) || strcmp(hex, x->sha256) != 0) return BQB_OK;
    *why = NULL;
    bqb_status s = bqb_catalogue_find_sha256(c, sha256, &id, err);
    if (s == BQB_ENOTFOUND) return BQB_OK;
    if (!s) s = bqb_catalogue_each_file_of(c, id, compare, &k, err);
    if (s == BQB_ECANCEL && k.same) s = BQB_OK;
    if (k.same) *why = "this library has its sticker from here";
    else if (!k.elsewhere) *why = "this library has no other file of its sticker";
    return s;
}

static bqb_status finish_one(bqb_leftovers *out, pictures *kept, const picture *x, const char *path, bqb_catalogue *c, bool remove,
                             bqb_skipped_fn left, void *ctx, bqb_err *err) {
    const char *why = "it is of an earlier export";
    bqb_status s = remove ? look_at(&why, x, path, c, err) : BQB_OK;
    if (s) return s;
    if (!why && !unlink(path)) {
        out->removed++;
        return BQB_OK;
    }
    if (!why) why = strerror(errno);
    out->left++;
    if (left) left(ctx, path, why);
    return add(kept, x->name, strlen(x->name), x->sha256, err);
}

bqb_status bqb_written_finish(bqb_leftovers *out, bqb_written *w, bqb_catalogue *c, bool remove, bqb_skipped_fn left,
                              void *ctx, bqb_err *err) {
    char *images = bqb_path_join(w->dir, "images");
    pictures kept = {0};
    bqb_status s = images ? BQB_OK : bqb_fail_nomem(err, w->dir, 1);
    DIR *d = images ? opendir(images) : NULL;
    *out = (bqb_leftovers){0};
    if (!s && !d) s = bqb_fail_errno(err, "%s", images);
    if (w->now.n) qsort(w->now.item, w->now.n, sizeof *w->now.item, by_name);
    for (struct dirent *e; !s && (e = readdir(d));) {
        if (*e->d_name == '.' || find(&w->now, e->d_name)) continue;
        const picture *x = find(&w->old, e->d_name);
        if (!x) {
            out->others++;
            continue;
        }
        char *path = bqb_path_join(images, e->d_name);
        s = path ? finish_one(out, &kept, x, path, c, remove, left, ctx, err) : bqb_fail_nomem(err, images, 1);
        free(path);
    }
    if (d) closedir(d);
    if (!s) s = write_list(w, &kept, err);
    free(kept.item);
    free(images);
    return s;
}
