/* Importing again: what moved, what was swapped, who else imports. */
#define _GNU_SOURCE
#include "library_help.h"
#include "test.h"

#include "library/import_gone.h"
#include "library/turns.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bqb_err err;

/* How many paths does the library know below DIR/NAME? */
static int one_more(void *ctx, const char *path, const bqb_file *f) {
    (void)path;
    (void)f;
    ++*(size_t *)ctx;
    return 0;
}

static size_t known_below(const char *dir, const char *name) {
    size_t n = 0;
    bqb_catalogue *c = help_open(dir);
    if (c) CHECK_OK(bqb_catalogue_each_file(c, help_path(dir, name), one_more, &n, &err), err);
    bqb_catalogue_close(c);
    return n;
}

TEST(import_moved_folder_leaves_nothing_behind) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "old/a.png", 255, 0, 0);
    help_png(dir, "old/deep/b.png", 0, 255, 0);
    help_png(dir, "old/stays.png", 0, 0, 255);
    help_import(dir, help_path(dir, "old"), &e, &r);
    CHECK(!mkdir(help_path(dir, "new"), 0777));
    CHECK(!rename(help_path(dir, "old/a.png"), help_path(dir, "new/a.png")));
    CHECK(!rename(help_path(dir, "old/deep"), help_path(dir, "new/deep")));
    help_encoded = 0;
    help_import(dir, help_path(dir, "new"), &e, &r); /* the old folder is not named */
    CHECK_MSG(r.moved == 2 && r.added == 0 && r.already == 2 && r.gone == 0, "moved %zu, added %zu, already %zu, gone %zu",
              r.moved, r.added, r.already, r.gone);
    CHECK(help_encoded == 0);
    CHECK(known_below(dir, "new/") == 2 && known_below(dir, "old/") == 1);
}

TEST(import_copies_have_not_moved) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "a/x.png", 255, 0, 0);
    help_import(dir, help_path(dir, "a"), NULL, &r);
    help_png(dir, "b/x.png", 255, 0, 0);
    help_import(dir, help_path(dir, "b"), NULL, &r);
    CHECK(r.moved == 0 && r.already == 1);
    CHECK(known_below(dir, "a/") == 1 && known_below(dir, "b/") == 1);
}

/* Two files that change places keep their stickers, whatever is looked at first. */
TEST(import_swapped_files) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    bqb_file a, b, now;
    bool found;
    bqb_sticker t;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "in/b.png", 0, 255, 0);
    help_import(dir, help_path(dir, "in"), &e, &r);
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_catalogue_get_file(c, help_path(dir, "in/a.png"), &a, &found, &err), err);
    CHECK_OK(bqb_catalogue_get_file(c, help_path(dir, "in/b.png"), &b, &found, &err), err);
    CHECK(!renameat2(-1, help_path(dir, "in/a.png"), -1, help_path(dir, "in/b.png"), RENAME_EXCHANGE));
    struct timespec later[2] = {{.tv_sec = 2000000000}, {.tv_sec = 2000000000}};
    CHECK(!utimensat(-1, help_path(dir, "in/a.png"), later, 0));
    CHECK(!utimensat(-1, help_path(dir, "in/b.png"), later, 0));
    help_encoded = 0;
    help_import(dir, help_path(dir, "in"), &e, &r);
    CHECK_MSG(help_encoded == 0 && r.added == 0 && r.changed == 2, "encoded %zu, added %zu, changed %zu", help_encoded,
              r.added, r.changed);
    CHECK_OK(bqb_catalogue_get_file(c, help_path(dir, "in/a.png"), &now, &found, &err), err);
    CHECK(now.sticker == b.sticker);
    CHECK_OK(bqb_catalogue_get_file(c, help_path(dir, "in/b.png"), &now, &found, &err), err);
    CHECK(now.sticker == a.sticker);
    CHECK_OK(bqb_catalogue_get_sticker(c, a.sticker, &t, &err), err);
    CHECK(t.width == 8 && t.height == 8);
    bqb_catalogue_close(c);
}

TEST(import_content_that_is_nowhere_goes) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    bqb_catalogue_stats t = {0};
    help_png(dir, "in/a.png", 255, 0, 0);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    help_png(dir, "in/a.png", 0, 255, 0);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    CHECK(t.stickers == 1 && t.missing == 0);
    bqb_catalogue_close(c);
}

/* ---- what is told ---- */

static char told[1000];
static void note(void *ctx, bqb_file_change what, const char *path, const char *from) {
    (void)ctx;
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%d:%s:%s ", (int)what, strrchr(path, '/') + 1, from ? strrchr(from, '/') + 1 : "");
}

static int asked;
static bool only_settled(void *ctx, const char *path, const struct stat *st) {
    (void)ctx;
    asked++;
    return st->st_size > 0 && !strstr(path, "unsettled");
}

static void import_telling(const char *dir, bqb_import_report *r) {
    bqb_catalogue *c = NULL;
    char lib[400], in[400];
    snprintf(lib, sizeof lib, "%s/lib", dir);
    snprintf(in, sizeof in, "%s/in", dir);
    const char *paths[] = {in};
    bqb_import_options o = {.threads = 1, .change = note, .settled = only_settled};
    told[0] = 0;
    CHECK_OK(bqb_catalogue_open(&c, lib, BQB_CATALOGUE_WRITE, &err), err);
    if (c) CHECK_OK(bqb_library_import(c, paths, 1, &o, r, &err), err);
    bqb_catalogue_close(c);
}

TEST(import_tells_each_change) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "in/b.png", 0, 255, 0);
    help_png(dir, "in/b2.png", 0, 255, 0);
    help_png(dir, "in/unsettled.png", 0, 0, 255);
    import_telling(dir, &r);
    CHECK_STR(told, "1:a.png: 1:b.png: 2:b2.png: ");
    CHECK_MSG(r.found == 3 && asked == 4, "found %zu, asked %d", r.found, asked);
    import_telling(dir, &r);
    CHECK_STR(told, "");
    CHECK(!rename(help_path(dir, "in/a.png"), help_path(dir, "in/c.png")));
    CHECK(!unlink(help_path(dir, "in/b2.png")));
    help_png(dir, "in/b.png", 9, 9, 9);
    import_telling(dir, &r);
    CHECK_STR(told, "3:b.png: 4:c.png:a.png 6:b2.png: ");
    help_png(dir, "in/b2.png", 0, 255, 0);
    import_telling(dir, &r);
    CHECK_STR(told, "5:b2.png: ");
    help_text(dir, "in/captions.tsv", "file\tcaption\nc.png\t一只猫\n");
    import_telling(dir, &r);
    CHECK_STR(told, "7:c.png: ");
}

/* ---- taking turns ---- */

static int waited;
static int count_waits(void *ctx) {
    (void)ctx;
    waited++;
    return 0;
}
static int give_up(void *ctx) {
    (void)ctx;
    return 1;
}

static void *take_and_give(void *ctx) {
    bqb_turns *t = ctx;
    bqb_err e;
    if (bqb_turns_take(t, count_waits, NULL, &e)) return NULL;
    bqb_turns_give(t);
    return t;
}

TEST(turns_one_at_a_time) {
    const char *dir = test_tmp_dir();
    bqb_turns *a = NULL, *b = NULL;
    pthread_t thread;
    void *got = NULL;
    CHECK_OK(bqb_turns_open(&a, dir, &err), err);
    CHECK_OK(bqb_turns_open(&b, dir, &err), err);
    CHECK_OK(bqb_turns_take(a, give_up, NULL, &err), err); /* free: nobody is asked */
    CHECK(bqb_turns_take(b, give_up, NULL, &err) == BQB_ECANCEL);
    waited = 0;
    CHECK(!pthread_create(&thread, NULL, take_and_give, b));
    usleep(20000);
    bqb_turns_give(a);
    CHECK(!pthread_join(thread, &got));
    CHECK(got == b && waited <= 1);
    CHECK_OK(bqb_turns_take(a, give_up, NULL, &err), err);
    bqb_turns_close(a); /* an end of any kind gives it back */
    CHECK_OK(bqb_turns_take(b, give_up, NULL, &err), err);
    bqb_turns_close(b);
    CHECK(bqb_turns_open(&a, "/nowhere/at/all", &err) == BQB_ENOTFOUND);
}
