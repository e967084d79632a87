/* Watching: the tables it keeps, and what a walk of changed paths finds. The whole is tests/e2e/watch.sh. */
#define _GNU_SOURCE
#include "library_help.h"
#include "test.h"

#include "library/read_along.h"
#include "library/watch.h"
#include "library/watch_folders.h"
#include "library/watch_pending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bqb_err err;

TEST(pending_paths) {
    bqb_pending p = {0};
    char **due, name[20];
    size_t n;
    CHECK(bqb_pending_next(&p) == UINT64_MAX && !bqb_pending_find(&p, "/a"));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/%d", i);
        CHECK_OK(bqb_pending_put(&p, name, (uint64_t)(i < 10 ? 5000 : 1000 + i), i == 3, &err), err);
    }
    CHECK_OK(bqb_pending_put(&p, "/500", 900, false, &err), err); /* again: another moment */
    CHECK(p.n == 1000 && bqb_pending_next(&p) == 900);
    CHECK(bqb_pending_find(&p, "/3") && bqb_pending_find(&p, "/3")->writing);
    CHECK_OK(bqb_pending_take(&due, &n, &p, 4999, &err), err);
    CHECK(n == 990 && p.n == 10);
    for (size_t i = 1; i < n; i++) CHECK(strcmp(due[i - 1], due[i]) < 0);
    CHECK(bqb_pending_next(&p) == 5000 && !bqb_pending_find(&p, "/500") && bqb_pending_find(&p, "/9"));
    for (size_t i = 0; i < n; i++) free(due[i]);
    free(due);
    bqb_pending_free(&p);
}

TEST(watched_folders_and_their_limit) {
    const char *dir = test_tmp_dir();
    bqb_watched_folders w;
    help_text(dir, "a/b/x", "x");
    help_text(dir, "ab/x", "x");
    CHECK_OK(bqb_watched_open(&w, 4, &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "a"), &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "a/b"), &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "ab"), &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "none"), &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "ab/x"), &err), err); /* no folder */
    CHECK(w.n == 3);
    int number = w.item[1].number;
    CHECK(bqb_watched_find(&w, number) && !strcmp(bqb_watched_find(&w, number)->path, help_path(dir, "a/b")));
    CHECK(!bqb_watched_find(&w, number + 100));
    CHECK(!rename(help_path(dir, "a"), help_path(dir, "c")));
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "c/b"), &err), err); /* the same under another path */
    CHECK(w.n == 3 && !strcmp(bqb_watched_find(&w, number)->path, help_path(dir, "c/b")));
    bqb_watched_remove(&w, help_path(dir, "a"));
    CHECK_MSG(w.n == 2, "%zu left: a folder whose name begins alike went, too, or one that moved away", w.n);
    bqb_watched_close(&w);
    CHECK_OK(bqb_watched_open(&w, 1, &err), err);
    CHECK_OK(bqb_watched_add(&w, help_path(dir, "c"), &err), err);
    CHECK(bqb_watched_add(&w, help_path(dir, "ab"), &err) == BQB_ELIMIT && strstr(err.msg, "fs.inotify.max_user_watches"));
    bqb_watched_close(&w);
}

/* ---- walking again ---- */

static size_t folders_seen;
static void see_folder(void *ctx, const char *path) {
    (void)ctx;
    (void)path;
    folders_seen++;
}

TEST(walk_of_changed_paths) {
    const char *dir = test_tmp_dir();
    bqb_walk *w = NULL;
    char root[400], a[400], sub[400], gone[400], text[400];
    help_png(dir, "in/sub/a.png", 1, 2, 3);
    help_png(dir, "in/sub/b.png", 1, 2, 3);
    help_png(dir, "in/sub/c/d.png", 1, 2, 3);
    help_text(dir, "in/text.txt", "x");
    help_text(dir, "captions.tsv", "file\tcaption\nin/sub/a.png\t不该看\n");
    help_text(dir, "in/captions.tsv", "file\tcaption\nsub/a.png\t甲\nsub/b.png\t乙\nsub/c/d.png\t丁\n");
    snprintf(root, sizeof root, "%s/in", dir);
    snprintf(a, sizeof a, "%s/in/sub/a.png", dir);
    snprintf(sub, sizeof sub, "%s/in/sub/c", dir);
    snprintf(gone, sizeof gone, "%s/in/gone", dir);
    snprintf(text, sizeof text, "%s/in/text.txt", dir);
    const char *paths[] = {text, gone, sub, a}, *within[] = {root};
    bqb_walk_request r = {.path = paths, .n = 4, .within = within, .n_within = 1, .folder = see_folder};
    folders_seen = 0;
    CHECK_OK(bqb_walk_again(&w, &r, &err), err);
    CHECK(w && bqb_walk_count(w) == 2);
    if (!w || bqb_walk_count(w) != 2) return;
    CHECK_STR(bqb_walk_at(w, 0)->path, a);
    CHECK_STR(bqb_walk_at(w, 0)->given.field[BQB_CAPTION], "甲");
    CHECK_STR(bqb_walk_at(w, 1)->given.field[BQB_CAPTION], "丁");
    CHECK(bqb_walk_others(w) == 1 && folders_seen == 1);
    CHECK(bqb_walk_roots(w) == 3); /* the one that is gone, twice: as a file, as a folder; and the folder */
    CHECK_STR(bqb_walk_root(w, 0), gone);
    bqb_walk_free(w);
}

/* ---- the whole, with fewer folders than there are ---- */

static atomic_int ready, limits, rounds;
static void count_news(void *ctx, bqb_watch_news news, const char *text, const bqb_import_report *r) {
    (void)ctx;
    (void)r;
    if (news == BQB_WATCH_READY) ready++;
    if (news == BQB_WATCH_ROUND) rounds++;
    if (news == BQB_WATCH_LIMIT && strstr(text, "max_user_watches")) limits++;
}

typedef struct {
    const char *lib, *in;
    int stop;
    bqb_embedder e;
    bqb_status status;
    bqb_err err;
} watching;

static void *watch_until(void *ctx) {
    watching *w = ctx;
    bqb_catalogue *c = NULL;
    bqb_watch_options o = {.import = {.embedder = &w->e, .threads = 1}, .stop_fd = w->stop, .tell = count_news,
                           .max_folders = 1, .quiet_ms = 20};
    w->status = bqb_catalogue_open(&c, w->lib, BQB_CATALOGUE_WRITE, &w->err);
    if (!w->status) w->status = bqb_library_watch(c, &w->in, 1, &o, &w->err);
    bqb_catalogue_close(c);
    return NULL;
}

static void wait_for(atomic_int *count, int n) {
    for (int i = 0; i < 3000 && *count < n; i++) usleep(10000);
    CHECK_MSG(*count >= n, "%d, expected %d", (int)*count, n);
}

TEST(watch_tells_its_limit_and_goes_on) {
    const char *dir = test_tmp_dir();
    char lib[400], in[400];
    pthread_t thread;
    snprintf(lib, sizeof lib, "%s/lib", dir);
    snprintf(in, sizeof in, "%s/in", dir);
    help_png(dir, "in/a.png", 1, 2, 3);
    help_png(dir, "in/sub/b.png", 3, 2, 1);
    watching w = {.lib = lib, .in = in, .stop = eventfd(0, 0), .e = help_embedder(MODEL_A)};
    ready = limits = rounds = 0;
    CHECK(!pthread_create(&thread, NULL, watch_until, &w));
    wait_for(&ready, 1);
    CHECK(limits == 1);
    help_png(dir, "in/c.png", 200, 2, 1);
    wait_for(&rounds, 1);
    CHECK(write(w.stop, &(uint64_t){1}, 8) == 8);
    pthread_join(thread, NULL);
    CHECK_OK(w.status, w.err);
    close(w.stop);
}

TEST(watch_refuses_what_is_no_folder) {
    const char *dir = test_tmp_dir();
    help_text(dir, "file", "x");
    char file[400], none[400];
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(none, sizeof none, "%s/none", dir);
    const char *good[] = {dir, dir}, *one[] = {dir, none}, *two[] = {file};
    CHECK_OK(bqb_watch_check(good, 2, &err), err);
    CHECK(bqb_watch_check(one, 2, &err) == BQB_EIO && strstr(err.msg, "none: no such folder"));
    CHECK(bqb_watch_check(two, 1, &err) == BQB_EINVAL && strstr(err.msg, "not a folder"));
}

/* ---- words that are read beside it: here nothing can be read (tests/e2e/watch.sh has the rest) ---- */

static atomic_int troubles, readings;
static void count_trouble(void *ctx, const char *text) {
    (void)ctx;
    if (strstr(text, "apt-get install")) troubles++;
}
static void count_reading(void *ctx, const char *path, const char *words) {
    (void)ctx;
    (void)path;
    (void)words;
    readings++;
}

TEST(read_along_says_once_what_is_missing) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    char lib[400];
    size_t left = 9;
    help_png(dir, "in/a.png", 1, 2, 3);
    help_png(dir, "in/b.png", 200, 2, 3);
    help_text(dir, "tess/none", "");
    help_import(dir, help_path(dir, "in"), &e, &r);
    snprintf(lib, sizeof lib, "%s/lib", dir);
    CHECK(!setenv("TESSDATA_PREFIX", help_path(dir, "tess"), 1));
    bqb_read_along_told told = {.read = count_reading, .skip = NULL, .trouble = count_trouble};
    bqb_read_along *a = NULL;
    troubles = readings = 0;
    CHECK_OK(bqb_read_along_start(&a, lib, NULL, &told, &err), err);
    CHECK(troubles == 0); /* not before it is asked */
    bqb_read_along_wake(a);
    wait_for(&troubles, 1);
    bqb_read_along_wake(a);
    bqb_read_along_stop(a, &left);
    CHECK(left == 2 && troubles == 1 && readings == 0);
    CHECK(!unsetenv("TESSDATA_PREFIX"));
    bqb_read_along_wake(NULL);
    bqb_read_along_stop(NULL, &left);
    CHECK(left == 0);
    CHECK(bqb_read_along_start(&a, help_path(dir, "in/a.png"), NULL, &told, &err) && !a);
}
