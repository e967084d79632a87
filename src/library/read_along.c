#include "library/read_along.h"

#include "base/mem.h"
#include "library/annotate.h"
#include "library/embed_words.h"
#include "library/id_set.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SOME = 16,    /* stickers at a time; then it is looked whether newer ones have come */
    RETRY_S = 30, /* after a failure, unless it is woken before */
};

struct bqb_read_along {
    bqb_catalogue *c; /* the thread's, while it runs */
    const char *model_dir;
    bqb_read_along_told told;
    bqb_id_set tried; /* rising: what was read, or cannot be, is not tried again */
    bool advised;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted;        /* under the lock */
    atomic_bool stop;
};

static int stopping(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    return atomic_load(&((bqb_read_along *)ctx)->stop);
}

static void relay_read(void *ctx, const char *path, const char *words) {
    const bqb_read_along *r = ctx;
    r->told.read(r->told.ctx, path, words);
}

static void relay_skip(void *ctx, const char *path, const char *reason) {
    const bqb_read_along *r = ctx;
    r->told.skip(r->told.ctx, path, reason);
}

/* The newest that were neither read nor tried, at most SOME. */
static bqb_status choose(bqb_id_set *out, const bqb_read_along *r, bqb_err *err) {
    bqb_id_set unread = {0};
    bqb_status s = bqb_catalogue_each_unread(r->c, bqb_id_set_add, &unread, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", unread.cap * sizeof *unread.id);
    for (size_t i = unread.n; i-- > 0 && out->n < SOME && !s;)
        if (!bqb_id_set_has(&r->tried, unread.id[i]) && bqb_id_set_add(out, unread.id[i]))
            s = bqb_fail_nomem(err, "stickers", SOME * sizeof *unread.id);
    bqb_id_set_free(&unread);
    return s;
}

static void advise(bqb_read_along *r, const char *advice) {
    if (!*advice || r->advised) return;
    r->told.trouble(r->told.ctx, advice);
    r->advised = true;
}

/* Read until nothing is left. *useless: here nothing can be read, now or later. */
static bqb_status read_all(bqb_read_along *r, bool *useless, bqb_err *err) {
    bqb_status s = BQB_OK;
    bool words = false;
    while (!s && !atomic_load(&r->stop)) {
        bqb_id_set some = {0};
        bqb_read_report report = {0};
        bqb_read_options o = {.threads = 1, .skip = relay_skip, .read = relay_read, .progress = stopping, .ctx = r};
        s = choose(&some, r, err);
        bool none = !some.n;
        if (!s && !none) {
            s = bqb_library_read(r->c, some.id, some.n, &o, &report, err);
            *useless = s == BQB_EUNSUPPORTED || s == BQB_EFORMAT;
            if (!s) advise(r, o.advice);
        }
        words = words || report.words;
        for (size_t i = 0; i < some.n && !s; i++)
            if (bqb_id_set_add(&r->tried, some.id[i])) s = bqb_fail_nomem(err, "stickers", r->tried.cap * sizeof *some.id);
        if (!s) bqb_id_set_sort(&r->tried);
        bqb_id_set_free(&some);
        if (none) break;
    }
    if (words && !s && r->model_dir) s = bqb_embed_words_by(r->c, r->model_dir, stopping, r, NULL, err);
    return s;
}

/* Until it is woken or stopped, or until it is time to try again what has failed. */
static void wait_for_work(bqb_read_along *r, bool failed) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += RETRY_S;
    int e = 0;
    pthread_mutex_lock(&r->lock);
    while (!r->wanted && !atomic_load(&r->stop) && e != ETIMEDOUT)
        e = failed ? pthread_cond_timedwait(&r->changed, &r->lock, &end) : pthread_cond_wait(&r->changed, &r->lock);
    r->wanted = false;
    pthread_mutex_unlock(&r->lock);
}

static void *run(void *ctx) {
    bqb_read_along *r = ctx;
    bool useless = false, failed = false;
    while (!useless && !atomic_load(&r->stop)) {
        wait_for_work(r, failed);
        bqb_err err;
        bqb_status s = read_all(r, &useless, &err);
        failed = s && s != BQB_ECANCEL;
        if (failed) r->told.trouble(r->told.ctx, err.msg);
    }
    return NULL;
}

static void discard(bqb_read_along *r) {
    bqb_catalogue_close(r->c);
    bqb_id_set_free(&r->tried);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

bqb_status bqb_read_along_start(bqb_read_along **out, const char *library, const char *model_dir,
                                const bqb_read_along_told *told, bqb_err *err) {
    *out = NULL;
    bqb_read_along *r = bqb_calloc(1, sizeof *r);
    if (!r) return bqb_fail_nomem(err, library, sizeof *r);
    r->model_dir = model_dir;
    r->told = *told;
    atomic_init(&r->stop, false);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    bqb_status s = bqb_catalogue_open(&r->c, library, BQB_CATALOGUE_WRITE, err);
    int e = s ? 0 : pthread_create(&r->thread, NULL, run, r);
    if (e) s = bqb_fail(err, BQB_EIO, "a thread to read in: %s", strerror(e));
    if (s) discard(r);
    else *out = r;
    return s;
}

void bqb_read_along_wake(bqb_read_along *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void bqb_read_along_stop(bqb_read_along *r, size_t *left) {
    bqb_id_set unread = {0};
    *left = 0;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->stop, true);
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    if (!bqb_catalogue_each_unread(r->c, bqb_id_set_add, &unread, NULL)) *left = unread.n;
    bqb_id_set_free(&unread);
    discard(r);
}
