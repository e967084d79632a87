#define _GNU_SOURCE
#include "library/watch.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/words.h"
#include "library/vectors.h"
#include "library/watch_folders.h"
#include "library/watch_pending.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    QUIET_MS = 300,
    OPEN_MS = 10000,
    YOUNG_MS = 2000,      /* a file found in a folder, changed that recently, may still be written */
    PATIENCE_MS = 2000,   /* a burst that does not end is imported in parts */
    GONE_MS = 1000,       /* how often a folder that vanished is looked for */
    CHECK_MS = 30000,     /* and the others, for what no event tells: a folder above was renamed */
    UNWATCHED_MS = 300000,
    NAMED = 3,            /* of the pictures that are absent */
    RETRY_MS = 5000, MAX_RETRY_MS = 300000,
};

typedef struct {
    char *path; /* absolute */
    bool there;
    dev_t dev;
    ino_t ino;
} root;

typedef struct {
    bqb_catalogue *c;
    const bqb_watch_options *o;
    bqb_watched_folders folders;
    bqb_pending pending;
    root *root;
    size_t n_roots;
    char **due;             /* the paths of this round, rising */
    size_t n_due;
    uint64_t quiet_ms, open_ms;
    uint64_t now_ms, last_event_ms, checked_ms, walked_ms, retry_ms;
    int mounts;             /* /proc/self/mountinfo: polled for changes; -1 without */
    bool ready, limited;
    bqb_buf absent;         /* the names of the first few, of this round */
    size_t n_absent;
    bqb_status hard;        /* found inside a callback */
    bqb_err hard_err;
} watch;

static uint64_t clock_ms(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell(watch *w, bqb_watch_news news, const char *text, const bqb_import_report *r) {
    if (w->o->tell) w->o->tell(w->o->import.ctx, news, text, r);
}

static bqb_status put(watch *w, const char *path, uint64_t in_ms, bool writing, bqb_err *err) {
    return bqb_pending_put(&w->pending, path, w->now_ms + in_ms, writing, err);
}

static bqb_status put_all_roots(watch *w, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < w->n_roots && !s; i++) s = put(w, w->root[i].path, 0, false, err);
    w->walked_ms = w->now_ms;
    return s;
}

/* ---- what the import asks and tells ---- */

/* The import's ctx is the caller's: these get their watch through a wrapper of it. */
typedef struct {
    watch *w;
    const bqb_import_options *o;
} relay;

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Has anything happened at this path, or at a folder that it is in? */
static bool is_due(const watch *w, const char *path) {
    char *p = bqb_strdup(path), *name = p;
    bool found = !p;
    while (!found && w->n_due) {
        found = bsearch(&name, w->due, w->n_due, sizeof name, by_bytes) != NULL;
        char *slash = strrchr(p, '/');
        if (!slash || slash == p) break;
        *slash = 0;
    }
    free(p);
    return found;
}

/* What is wrong with a table is told when it changes, not each time that a picture beside it does. */
static void relay_skip(void *ctx, const char *path, const char *reason) {
    const watch *w = ((relay *)ctx)->w;
    const bqb_import_options *o = ((relay *)ctx)->o;
    if (w->ready && !strcmp(bqb_path_base(path), "captions.tsv") && !is_due(w, path)) return;
    if (o->skip) o->skip(o->ctx, path, reason);
}

static int relay_progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    const bqb_import_options *o = ((relay *)ctx)->o;
    return o->progress ? o->progress(o->ctx, what, done, total) : 0;
}

static int relay_waiting(void *ctx) {
    const bqb_import_options *o = ((relay *)ctx)->o;
    return o->waiting ? o->waiting(o->ctx) : 0;
}

static void relay_change(void *ctx, bqb_file_change what, const char *path, const char *from) {
    const bqb_import_options *o = ((relay *)ctx)->o;
    if (o->change) o->change(o->ctx, what, path, from);
}

static void relay_absent(void *ctx, const char *path) {
    watch *w = ((relay *)ctx)->w;
    if (w->n_absent++ < NAMED) (void)bqb_buf_printf(&w->absent, NULL, "%s%s", w->absent.len ? ", " : "", path);
}

/* A table often comes before its pictures: one line for all of them, not one each. */
static void tell_absent(watch *w) {
    if (w->n_absent) {
        char *text = bqb_asprintf("%zu %s: %s%s", w->n_absent,
                                  bqb_word(w->n_absent, "picture that a table names is not there", "pictures that tables name are not there"),
                                  w->absent.len ? w->absent.data : "", w->n_absent > NAMED ? ", …" : "");
        if (text) tell(w, BQB_WATCH_ABSENT, text, NULL);
        free(text);
    }
    w->n_absent = w->absent.len = 0;
}

static void fail_later(watch *w, bqb_status s, const bqb_err *err) {
    if (w->hard) return;
    w->hard = s;
    w->hard_err = *err;
}

/* A folder is about to be read: whatever comes into it from now on makes an event. */
static void on_folder(void *ctx, const char *path) {
    watch *w = ((relay *)ctx)->w;
    bqb_err err;
    bqb_status s = bqb_watched_add(&w->folders, path, &err);
    if (s == BQB_ELIMIT && !w->limited) tell(w, BQB_WATCH_LIMIT, err.msg, NULL);
    if (s == BQB_ELIMIT) w->limited = true;
    else if (s) fail_later(w, s, &err);
}

/* A file with an event of its own has been closed; one that is merely found may still be written. */
static bool is_settled(void *ctx, const char *path, const struct stat *st) {
    watch *w = ((relay *)ctx)->w;
    bqb_err err;
    if (w->n_due && bsearch(&path, w->due, w->n_due, sizeof path, by_bytes)) return true;
    const bqb_pending_path *p = bqb_pending_find(&w->pending, path);
    if (p) return !p->writing;
    int64_t age = (int64_t)clock_ms(CLOCK_REALTIME) - (int64_t)st->st_mtim.tv_sec * 1000 - st->st_mtim.tv_nsec / 1000000;
    if (age < 0 || age >= YOUNG_MS || st->st_nlink > 1) return true;
    bqb_status s = bqb_pending_put(&w->pending, path, clock_ms(CLOCK_MONOTONIC) + YOUNG_MS, true, &err);
    if (s) fail_later(w, s, &err);
    return false;
}

/* ---- a round: import what is due ---- */

static bqb_status make_vectors(watch *w, bqb_err *err) {
    bqb_vectors *v = NULL;
    if (!w->o->import.embedder) return BQB_OK;
    bqb_status s = bqb_vectors_open(&v, w->c, w->o->import.embedder->id, "image", err);
    bqb_vectors_close(v);
    return s;
}

/* Nothing is lost by an import that failed: its paths are due again. */
static bqb_status try_later(watch *w, const bqb_err *why, bqb_err *err) {
    bqb_status s = BQB_OK;
    w->retry_ms = w->retry_ms ? 2 * w->retry_ms : RETRY_MS;
    if (w->retry_ms > MAX_RETRY_MS) w->retry_ms = MAX_RETRY_MS;
    tell(w, BQB_WATCH_TROUBLE, why->msg, NULL);
    for (size_t i = 0; i < w->n_due && !s; i++) s = put(w, w->due[i], w->retry_ms, false, err);
    return s;
}

/* A library that cannot be looked at for a moment may come back; one that was deleted does not. */
static bqb_status check_library(const watch *w, bqb_err *err) {
    bqb_err why;
    bqb_status s = bqb_catalogue_check_place(w->c, &why);
    if (s != BQB_ENOTFOUND) return BQB_OK;
    return bqb_fail(err, s, "%s", why.msg);
}

static bqb_status import_due(watch *w, bqb_err *err) {
    bqb_import_report r;
    bqb_err why = {0};
    relay wrapped = {w, &w->o->import};
    const char **within = bqb_calloc(w->n_roots, sizeof *within);
    if (!within) return bqb_fail_nomem(err, "folders", w->n_roots * sizeof *within);
    for (size_t i = 0; i < w->n_roots; i++) within[i] = w->root[i].path;
    bqb_import_options o = {.embedder = w->o->import.embedder, .threads = w->o->import.threads,
                            .within = within, .n_within = w->n_roots, .only_these = w->ready,
                            .skip = relay_skip, .progress = relay_progress, .waiting = relay_waiting,
                            .change = relay_change, .absent = relay_absent, .settled = is_settled, .folder = on_folder, .ctx = &wrapped};
    bqb_status s = bqb_library_import(w->c, (const char *const *)w->due, w->n_due, &o, &r, &why);
    free(within);
    tell_absent(w);
    if (!s && w->hard) {
        s = w->hard;
        why = w->hard_err;
    }
    bqb_status lost = check_library(w, err);
    if (lost) return lost; /* what was told is in a file that nobody will see */
    bool news = r.added || r.changed || r.returned || r.gone || r.embedded;
    if (!s && (!w->ready || news)) s = make_vectors(w, &why);
    if (!s) {
        w->retry_ms = 0;
        tell(w, w->ready ? BQB_WATCH_ROUND : BQB_WATCH_READY, "", &r);
        w->ready = true;
    }
    w->now_ms = clock_ms(CLOCK_MONOTONIC);
    if (s == BQB_EIO && w->ready) return try_later(w, &why, err);
    if (s && err) *err = why;
    return s;
}

static bqb_status play_round(watch *w, bqb_err *err) {
    bqb_status s = check_library(w, err);
    if (s) return s;
    s = bqb_pending_take(&w->due, &w->n_due, &w->pending, w->now_ms, err);
    if (!s && w->n_due) s = import_due(w, err);
    for (size_t i = 0; i < w->n_due; i++) free(w->due[i]);
    free(w->due);
    w->due = NULL;
    w->n_due = 0;
    return s;
}

/* ---- the folders themselves ---- */

/* Is each root the folder that it was? */
static bqb_status check_roots(watch *w, bqb_err *err) {
    bqb_status s = BQB_OK;
    w->checked_ms = w->now_ms;
    for (size_t i = 0; i < w->n_roots && !s; i++) {
        root *r = &w->root[i];
        struct stat st;
        bool there = !stat(r->path, &st) && S_ISDIR(st.st_mode);
        bool other = there && r->there && (st.st_dev != r->dev || st.st_ino != r->ino);
        if (there == r->there && !other) continue;
        tell(w, other ? BQB_WATCH_REPLACED : there ? BQB_WATCH_BACK : BQB_WATCH_VANISHED, r->path, NULL);
        r->there = there;
        if (there) {
            r->dev = st.st_dev;
            r->ino = st.st_ino;
        }
        bqb_watched_remove(&w->folders, r->path);
        s = put(w, r->path, 0, false, err);
    }
    return s;
}

/* Disks come and go below the roots, too. */
static bqb_status check_mounts(watch *w, bqb_err *err) {
    bqb_status s = check_roots(w, err);
    for (size_t i = 0; i < w->folders.n && !s; i++) {
        const bqb_watched_folder *f = &w->folders.item[i];
        struct stat st;
        if (!stat(f->path, &st) && st.st_dev == f->dev && st.st_ino == f->ino) continue;
        s = put(w, f->path, w->quiet_ms, false, err);
    }
    return s;
}

/* ---- events ---- */

static bqb_status take_event(watch *w, const struct inotify_event *e, bqb_err *err) {
    const bqb_watched_folder *f = bqb_watched_find(&w->folders, e->wd);
    bqb_status s;
    if (e->mask & IN_Q_OVERFLOW) {
        tell(w, BQB_WATCH_OVERFLOW, "", NULL);
        return put_all_roots(w, err);
    }
    if (!f) return BQB_OK;
    if (e->mask & IN_IGNORED) { /* deleted or unmounted */
        s = put(w, f->path, w->quiet_ms, false, err);
        bqb_watched_forget(&w->folders, e->wd);
        return s;
    }
    if (!e->len || !e->name[0] || e->name[0] == '.') return BQB_OK;
    char *path = bqb_path_join(f->path, e->name);
    if (!path) return bqb_fail_nomem(err, f->path, strlen(f->path));
    const bqb_pending_path *p = bqb_pending_find(&w->pending, path);
    struct stat st;
    uint64_t in_ms = w->quiet_ms;
    bool writing = false;
    if (e->mask & IN_ISDIR) {
        if (e->mask & (IN_MOVED_FROM | IN_DELETE)) bqb_watched_remove(&w->folders, path);
    } else if (e->mask & IN_MODIFY) writing = true;
    else if (e->mask & IN_CREATE) writing = !lstat(path, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1;
    else if (e->mask & IN_ATTRIB) writing = p && p->writing;
    if (writing) in_ms = w->open_ms;
    s = put(w, path, in_ms, writing, err);
    free(path);
    return s;
}

static bqb_status read_events(watch *w, bqb_err *err) {
    union {
        struct inotify_event first; /* for its alignment */
        char bytes[65536];
    } buffer;
    bqb_status s = BQB_OK;
    for (ssize_t n; !s && (n = read(w->folders.fd, buffer.bytes, sizeof buffer.bytes)) > 0;) {
        w->last_event_ms = w->now_ms = clock_ms(CLOCK_MONOTONIC);
        for (size_t at = 0; !s && at < (size_t)n;) {
            const struct inotify_event *e = (const void *)(buffer.bytes + at);
            s = take_event(w, e, err);
            at += sizeof *e + e->len;
        }
    }
    return s;
}

/* ---- the loop ---- */

/* When the next round may begin: something is due, and it is quiet or has not been for long. */
static uint64_t round_at(const watch *w) {
    uint64_t due = bqb_pending_next(&w->pending);
    if (due == UINT64_MAX) return due;
    uint64_t quiet = w->last_event_ms + w->quiet_ms, most = due + PATIENCE_MS;
    return due > quiet ? due : quiet < most ? quiet : most;
}

static int wait_ms(const watch *w) {
    uint64_t next = w->checked_ms + CHECK_MS, round = round_at(w);
    for (size_t i = 0; i < w->n_roots; i++)
        if (!w->root[i].there && next > w->checked_ms + GONE_MS) next = w->checked_ms + GONE_MS;
    if (round < next) next = round;
    return next > w->now_ms ? (int)(next - w->now_ms) : 0;
}

static bqb_status watch_on(watch *w, bqb_err *err) {
    bqb_status s = check_roots(w, err);
    if (!s) s = put_all_roots(w, err);
    while (!s) {
        struct pollfd fd[] = {{.fd = w->folders.fd, .events = POLLIN},
                              {.fd = w->o->stop_fd, .events = POLLIN},
                              {.fd = w->mounts, .events = POLLPRI}};
        int n = poll(fd, 3, wait_ms(w));
        if (n < 0 && errno != EINTR) return bqb_fail_errno(err, "poll");
        w->now_ms = clock_ms(CLOCK_MONOTONIC);
        if (n > 0 && fd[1].revents) return BQB_OK;
        if (n > 0 && fd[0].revents) s = read_events(w, err);
        if (!s && n > 0 && fd[2].revents) s = check_mounts(w, err);
        bool some_gone = false;
        for (size_t i = 0; i < w->n_roots; i++) some_gone |= !w->root[i].there;
        bool look = n > 0 || some_gone || w->now_ms >= w->checked_ms + CHECK_MS;
        if (!s && look) s = check_library(w, err);
        if (!s && look) s = check_roots(w, err);
        if (!s && w->limited && w->now_ms >= w->walked_ms + UNWATCHED_MS) s = put_all_roots(w, err);
        if (!s && round_at(w) <= w->now_ms) s = play_round(w, err);
    }
    return s == BQB_ECANCEL ? BQB_OK : s;
}

/* Is this a folder? */
static bqb_status stat_folder(struct stat *st, const char *path, bqb_err *err) {
    if (stat(path, st)) {
        if (errno != ENOENT) return bqb_fail_errno(err, "%s", path);
        return bqb_fail(err, BQB_EIO, "%s: no such folder; only one that vanishes while it is watched is waited for", path);
    }
    if (S_ISDIR(st->st_mode)) return BQB_OK;
    return bqb_fail(err, BQB_EINVAL, "%s: not a folder; `bqb import` takes it, but only folders are watched", path);
}

bqb_status bqb_watch_check(const char *const *folders, size_t n, bqb_err *err) {
    struct stat st;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) s = stat_folder(&st, folders[i], err);
    return s;
}

static bqb_status open_roots(watch *w, const char *const *folders, size_t n, bqb_err *err) {
    w->root = bqb_calloc(n, sizeof *w->root);
    if (!w->root) return bqb_fail_nomem(err, "folders", n * sizeof *w->root);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        bqb_status s = stat_folder(&st, folders[i], err);
        if (s) return s;
        char *path = realpath(folders[i], NULL); /* links resolved as in an import */
        if (!path) return bqb_fail_errno(err, "%s", folders[i]);
        w->root[w->n_roots++] = (root){.path = path, .there = true, .dev = st.st_dev, .ino = st.st_ino};
    }
    return BQB_OK;
}

/* Deleting the library's file, open as it is, changes the number of its links. The event has the number of no folder,
 * but wakes the loop. */
static void watch_library(watch *w) {
    char *path = bqb_path_join(bqb_catalogue_dir(w->c), "library.db");
    if (path) (void)inotify_add_watch(w->folders.fd, path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
    free(path);
}

bqb_status bqb_library_watch(bqb_catalogue *c, const char *const *folders, size_t n, const bqb_watch_options *o,
                             bqb_err *err) {
    watch w = {.c = c, .o = o, .quiet_ms = o->quiet_ms ? o->quiet_ms : QUIET_MS,
               .open_ms = o->open_ms ? o->open_ms : OPEN_MS, .now_ms = clock_ms(CLOCK_MONOTONIC), .mounts = -1, .absent = {.max = 1 << 14}};
    bqb_status s = bqb_watched_open(&w.folders, o->max_folders, err);
    if (s) return s;
    w.mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    s = open_roots(&w, folders, n, err);
    watch_library(&w);
    if (!s) s = watch_on(&w, err);
    bqb_watched_close(&w.folders);
    bqb_pending_free(&w.pending);
    bqb_buf_free(&w.absent);
    if (w.mounts >= 0) close(w.mounts);
    for (size_t i = 0; i < w.n_roots; i++) free(w.root[i].path);
    free(w.root);
    return s;
}
