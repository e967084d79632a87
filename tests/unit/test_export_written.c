/* What earlier exports left behind: only what is proven to be theirs is ever taken away. */
#define _GNU_SOURCE
#include "library_help.h"
#include "test.h"

#include "base/fs.h"
#include "library/export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static bqb_err err;

typedef struct {
    char text[4000];
    uint64_t stop;
} story;

static void left(void *ctx, const char *path, const char *reason) {
    story *t = ctx;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s: %s\n", bqb_path_base(path), reason);
}

static int progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)total;
    return ((story *)ctx)->stop == done;
}

/* Export these stickers of DIR/lib to DIR/out. */
static bqb_export_report export_some(const char *dir, const bqb_sticker_id *id, size_t n, bool prune, story *t, bqb_status wanted) {
    bqb_export_options o = {.id = id, .n = n, .force = true, .prune = prune, .left = left, .progress = progress, .ctx = t};
    bqb_export_report r;
    bqb_catalogue *c = help_open(dir);
    bqb_status s = bqb_library_export(c, help_path(dir, "out"), &o, &r, &err);
    CHECK_MSG(s == wanted, "%d: %s", (int)s, err.msg);
    bqb_catalogue_close(c);
    return r;
}

/* The file that sticker id has in DIR/out/images, relative to DIR; static, the fourth call from now reuses it. */
static const char *picture_of(const char *dir, bqb_sticker_id id) {
    static char name[4][120];
    static size_t turn;
    char *out = name[turn++ % 4], prefix[BQB_SHORT_ID_SIZE] = "";
    bqb_sticker s;
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_catalogue_get_sticker(c, id, &s, &err), err);
    CHECK_OK(bqb_catalogue_short_id(c, s.sha256, prefix, &err), err);
    bqb_catalogue_close(c);
    snprintf(out, sizeof name[0], "out/images/%s.png", prefix);
    return out;
}

static bool there(const char *dir, const char *name) { return access(help_path(dir, name), F_OK) == 0; }

static const char *make_library(void) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "in/b.png", 0, 255, 0);
    help_png(dir, "in/c.png", 0, 0, 255);
    help_png(dir, "in/d.png", 9, 9, 9);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    return dir;
}

static const bqb_sticker_id ids[] = {1, 2, 3, 4};

TEST(export_tells_and_removes_what_an_earlier_one_wrote) {
    const char *dir = make_library();
    story t = {.stop = 0};
    export_some(dir, ids, 4, false, &t, BQB_OK);
    help_text(dir, "out/images/mine.png", "a file of mine");
    help_text(dir, picture_of(dir, 3), "a picture that I painted over");

    bqb_export_report r = export_some(dir, ids, 1, false, &t, BQB_OK);
    CHECK(r.written == 1 && r.images.removed == 0 && r.images.left == 3 && r.images.others == 1);
    CHECK(strstr(t.text, "of an earlier export") && there(dir, picture_of(dir, 2)));

    t = (story){.stop = 0};
    r = export_some(dir, ids, 1, true, &t, BQB_OK);
    CHECK_MSG(r.images.removed == 2 && r.images.left == 1 && r.images.others == 1, "%zu removed, %zu left", r.images.removed, r.images.left);
    CHECK(strstr(t.text, "changed since"));
    CHECK(there(dir, picture_of(dir, 1)) && !there(dir, picture_of(dir, 2)) && there(dir, picture_of(dir, 3)) && !there(dir, picture_of(dir, 4)));
    CHECK(there(dir, "out/images/mine.png"));
}

/* Exports that were stopped are remembered; so is a list that ends in the middle of a line. */
TEST(export_remembers_a_stopped_one) {
    const char *dir = make_library();
    story t = {.stop = 2};
    export_some(dir, ids, 4, false, &t, BQB_ECANCEL);
    FILE *f = fopen(help_path(dir, "out/.bqb-export"), "a");
    CHECK(f && fputs("0123", f) >= 0 && !fclose(f));
    t.stop = 0;
    export_some(dir, ids + 3, 1, false, &t, BQB_OK);
    bqb_export_report r = export_some(dir, ids + 2, 1, true, &t, BQB_OK);
    CHECK_MSG(r.images.removed == 3 && !r.images.left && !r.images.others, "%zu removed, %zu left", r.images.removed, r.images.left);
}

TEST(export_never_removes_the_last_copy) {
    const char *dir = make_library();
    story t = {.stop = 0};
    export_some(dir, ids, 4, false, &t, BQB_OK);
    unlink(help_path(dir, "in/b.png"));        /* gone: the export is all there is */
    help_png(dir, "in/c.png", 1, 2, 3);        /* changed, and not yet imported again: likewise */
    bqb_import_report imported;
    bqb_export_report r;
    help_import(dir, help_path(dir, picture_of(dir, 4)), NULL, &imported); /* a file of the library */
    CHECK(imported.already == 1);
    r = export_some(dir, ids, 1, true, &t, BQB_OK);
    CHECK_MSG(r.images.removed == 0 && r.images.left == 3, "%zu removed", r.images.removed);
    CHECK(strstr(t.text, "no other file") && strstr(t.text, "from here"));
    CHECK(there(dir, picture_of(dir, 2)) && there(dir, picture_of(dir, 3)) && there(dir, picture_of(dir, 4)));
}

/* A list that somebody made up: nothing outside images/, no other names, no links. */
TEST(export_does_not_trust_its_list) {
    const char *dir = make_library();
    story t = {.stop = 0};
    char list[1200] = "";
    static const char sha[] = "c95c0f67ee48a5cdaeb8b9a1f4b32fd0d04c1d3c4fd1b9fa0b8e8fd52d1fd8dc"; /* any */
    export_some(dir, ids, 2, false, &t, BQB_OK);
    const char *second = picture_of(dir, 2);
    static const char *const names[] = {"images/../../in/a.png", "images/mine.png", "/etc/passwd", "images/", "images/abc.png", "captions.tsv", "images/0123456789ab.PNG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s  %s\n", sha, names[i]);
    }
    size_t n = strlen(list);
    snprintf(list + n, sizeof list - n, "%s  %s\nnot a line\n\n%s", sha, second + 4, sha); /* the hash of something else */
    help_text(dir, "out/.bqb-export", list);
    help_text(dir, "out/images/mine.png", "mine");
    bqb_export_report r = export_some(dir, ids, 1, true, &t, BQB_OK);
    CHECK(r.images.removed == 0 && r.images.left == 1 && r.images.others == 1);
    CHECK(there(dir, "in/a.png") && there(dir, "out/images/mine.png") && there(dir, second));

    /* A link in its place leads nowhere else. */
    CHECK(!unlink(help_path(dir, "out/.bqb-export")) && !symlink("../in/a.png", help_path(dir, "out/.bqb-export")));
    export_some(dir, ids, 1, true, &t, BQB_EIO);
    CHECK(strstr(err.msg, ".bqb-export"));
    CHECK(there(dir, "in/a.png"));
}

TEST(export_is_alone_in_its_folder) {
    const char *dir = make_library();
    story t = {.stop = 0};
    export_some(dir, ids, 2, false, &t, BQB_OK);
    int fd = open(help_path(dir, "out"), O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB));
    export_some(dir, ids, 2, false, &t, BQB_EIO);
    CHECK(strstr(err.msg, "another bqb is exporting"));
    close(fd);
    export_some(dir, ids, 2, false, &t, BQB_OK);
}
