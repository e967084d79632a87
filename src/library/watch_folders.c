#define _GNU_SOURCE
#include "library/watch_folders.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

bqb_status bqb_watched_open(bqb_watched_folders *w, size_t max, bqb_err *err) {
    *w = (bqb_watched_folders){.max = max, .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (w->fd >= 0) return BQB_OK;
    if (errno == EMFILE)
        return bqb_fail(err, BQB_ELIMIT, "no more programs may watch folders: raise fs.inotify.max_user_instances "
                        "(sudo sysctl fs.inotify.max_user_instances=512)");
    return bqb_fail_errno(err, "inotify");
}

void bqb_watched_close(bqb_watched_folders *w) {
    if (w->fd > 0) close(w->fd);
    for (size_t i = 0; i < w->n; i++) free(w->item[i].path);
    free(w->item);
    *w = (bqb_watched_folders){0};
}

/* Where the number is or would be. */
static size_t place_of(const bqb_watched_folders *w, int number) {
    size_t lo = 0, hi = w->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (w->item[mid].number < number) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static bqb_status too_many(const bqb_watched_folders *w, bqb_err *err) {
    return bqb_fail(err, BQB_ELIMIT, "%zu folders are watched, and the system allows no more: raise fs.inotify.max_user_watches "
                    "(sudo sysctl fs.inotify.max_user_watches=524288)", w->n);
}

bqb_status bqb_watched_add(bqb_watched_folders *w, const char *path, bqb_err *err) {
    if (w->max && w->n >= w->max) return too_many(w, err);
    struct stat st;
    int number = inotify_add_watch(w->fd, path, IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK);
    if (number < 0 && errno == ENOSPC) return too_many(w, err);
    if (number < 0 && errno == ENOMEM) return bqb_fail_nomem(err, path, 1);
    if (number < 0 || stat(path, &st)) return BQB_OK;
    size_t i = place_of(w, number);
    char *copy = bqb_strdup(path);
    bqb_watched_folder *items = copy ? bqb_grow(w->item, w->n, &w->cap, sizeof *items, 64) : NULL;
    if (!items) {
        free(copy);
        return bqb_fail_nomem(err, path, strlen(path));
    }
    w->item = items;
    if (i < w->n && items[i].number == number) free(items[i].path);
    else {
        memmove(items + i + 1, items + i, (w->n - i) * sizeof *items);
        w->n++;
    }
    items[i] = (bqb_watched_folder){.number = number, .path = copy, .dev = st.st_dev, .ino = st.st_ino};
    return BQB_OK;
}

const bqb_watched_folder *bqb_watched_find(const bqb_watched_folders *w, int number) {
    size_t i = place_of(w, number);
    return i < w->n && w->item[i].number == number ? &w->item[i] : NULL;
}

void bqb_watched_forget(bqb_watched_folders *w, int number) {
    size_t i = place_of(w, number);
    if (i == w->n || w->item[i].number != number) return;
    free(w->item[i].path);
    memmove(w->item + i, w->item + i + 1, (w->n - i - 1) * sizeof *w->item);
    w->n--;
}

void bqb_watched_remove(bqb_watched_folders *w, const char *path) {
    size_t len = strlen(path), m = 0;
    if (len == 1) len = 0; /* "/": everything */
    for (size_t i = 0; i < w->n; i++) {
        const char *p = w->item[i].path;
        if (strncmp(p, path, len) || (p[len] && p[len] != '/')) {
            w->item[m++] = w->item[i];
            continue;
        }
        inotify_rm_watch(w->fd, w->item[i].number);
        free(w->item[i].path);
    }
    w->n = m;
}
