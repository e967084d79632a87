#define _GNU_SOURCE
#include "draw_scene.h"
#include "library_help.h"
#include "test.h"

#include "image/decode.h"
#include "image/resample.h"
#include "library/likeness.h"
#include "search/folding.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bqb_err err;
static uint8_t a[SCENE * SCENE * 3], b[3 * SCENE * SCENE * 3];

/* Dark band with light bars for words over the lowest quarter. */
static void write_band(uint8_t *rgb, size_t every) {
    for (size_t y = SCENE * 3 / 4; y < SCENE; y++)
        for (size_t x = 0; x < SCENE; x++) memset(rgb + (y * SCENE + x) * 3, x / every % 2 ? 255 : 0, 3);
}

/* one: small.jpg again, and the animation whose first frame it is; alone; two with other words. */
static void make_set(const char *dir) {
    bqb_image_init(NULL);
    help_text(dir, "in/captions.tsv", "file\tcaption\none.png\t大图\nsmall.jpg\t小图\nmoving.gif\t动图\nalone.png\t孤单\nw1.png\t字一\nw2.png\t字二\n");
    scene_draw(a, 1, 1, -1);
    scene_save(dir, "in/one.png", a, SCENE, SCENE, 1);
    bqb_resample(b, 100, 100, a, SCENE, SCENE, 3, NULL);
    scene_save(dir, "in/small.jpg", b, 100, 100, 1);
    memcpy(b, a, sizeof a);
    scene_draw(b + sizeof a, 2, 2, -1);
    scene_draw(b + 2 * sizeof a, 3, 3, -1);
    scene_save(dir, "in/moving.gif", b, SCENE, SCENE, 3);
    scene_draw(b, 9, 9, -1);
    scene_save(dir, "in/alone.png", b, SCENE, SCENE, 1);
    scene_draw(b, 12, 12, -1);
    write_band(b, 12);
    scene_save(dir, "in/w1.png", b, SCENE, SCENE, 1);
    scene_draw(b, 12, 12, -1);
    write_band(b, 31);
    scene_save(dir, "in/w2.png", b, SCENE, SCENE, 1);
}

static bqb_catalogue *open_to_write(const char *dir) {
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    return c;
}

static bqb_sticker_id id_of(bqb_catalogue *c, const char *dir, const char *name) {
    bqb_sticker_id id = 0;
    char real[4096], *full = realpath(help_path(dir, name), real);
    CHECK_OK(bqb_find_named(&id, c, full ? full : name, &err), err);
    return id;
}

static bqb_group group(bqb_catalogue *c, const char *dir, const char *name) {
    bqb_group g = {0};
    CHECK_OK(bqb_catalogue_group_of(c, id_of(c, dir, name), &g, &err), err);
    return g;
}

/* Search by words; the names that come out, and how many stand behind the first. */
static const char *found(bqb_catalogue *c, bool apart, const char *text, size_t *folded) {
    static char out[256];
    bqb_search_results r;
    bqb_search_query q = {.text = text, .n = 10, .apart = apart};
    out[0] = 0;
    if (!CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) return out;
    size_t n = 0;
    for (size_t i = 0; i < r.n; i++) {
        const char *base = strrchr(r.item[i].path, '/') + 1;
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s", i ? " " : "", (int)strcspn(base, "."), base);
    }
    *folded = r.n ? r.item[0].folded : 0;
    bqb_search_results_free(&r);
    return out;
}

TEST(likeness_groups_what_is_one_picture) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    bqb_likeness_report again;
    make_set(dir);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK(r.added == 6 && r.near_copies == 2);
    bqb_catalogue *c = open_to_write(dir);
    if (!c) return;
    bqb_sticker_id moving = id_of(c, dir, "in/moving.gif");
    CHECK(group(c, dir, "in/moving.gif").first == moving && group(c, dir, "in/moving.gif").others == 2); /* the animation is the first */
    CHECK(group(c, dir, "in/one.png").first == moving && group(c, dir, "in/small.jpg").first == moving);
    CHECK(!group(c, dir, "in/alone.png").first && !group(c, dir, "in/w1.png").first && !group(c, dir, "in/w2.png").first);
    bqb_likeness l;
    CHECK(!bqb_catalogue_likeness_of(c, id_of(c, dir, "in/w2.png"), id_of(c, dir, "in/w1.png"), &l, &err) && l == BQB_OTHER_WORDS);
    CHECK(!bqb_catalogue_likeness_of(c, id_of(c, dir, "in/one.png"), id_of(c, dir, "in/small.jpg"), &l, &err) && l == BQB_SAME_PICTURE);
    CHECK(!bqb_catalogue_likeness_of(c, id_of(c, dir, "in/one.png"), id_of(c, dir, "in/alone.png"), &l, &err) && l == BQB_UNLIKE);
    CHECK_OK(bqb_likeness_update(&again, c, 1, NULL, NULL, &err), err);
    CHECK(!again.sketched && !again.compared); /* nothing is done twice */

    /* What is removed leaves its group; the rest groups anew. */
    CHECK(!bqb_catalogue_begin(c, &err) && !bqb_catalogue_remove(c, moving, &err) && !bqb_catalogue_commit(c, &err));
    CHECK(group(c, dir, "in/one.png").others == 1 && group(c, dir, "in/small.jpg").first == id_of(c, dir, "in/one.png"));
    bqb_catalogue_close(c);
    help_import(dir, help_path(dir, "in"), NULL, &r); /* and comes back */
    c = help_open(dir);
    if (c) CHECK(group(c, dir, "in/one.png").others == 2);
    bqb_catalogue_close(c);
}

TEST(likeness_folds_and_hides) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    size_t folded;
    make_set(dir);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    bqb_catalogue *c = open_to_write(dir);
    if (!c) return;
    const char *got = found(c, false, "小图", &folded);
    CHECK_MSG(!strcmp(got, "small") && folded == 2, "%s, %zu", got, folded);
    CHECK(strstr(found(c, true, "小图", &folded), "moving") && folded == 0); /* 图 is on all three */
    CHECK(strstr(found(c, false, "字", &folded), "w1") && strstr(found(c, false, "字", &folded), "w2")); /* other words: both */

    CHECK(!bqb_catalogue_begin(c, &err) && !bqb_catalogue_keep(c, id_of(c, dir, "in/one.png"), &err) && !bqb_catalogue_commit(c, &err));
    got = found(c, false, "小图", &folded); /* the keeper is shown in its place */
    CHECK_MSG(!strcmp(got, "one") && folded == 2, "%s, %zu", got, folded);
    CHECK(group(c, dir, "in/small.jpg").keeper == id_of(c, dir, "in/one.png"));
    CHECK(!bqb_catalogue_begin(c, &err));
    CHECK(bqb_catalogue_keep(c, id_of(c, dir, "in/alone.png"), &err) == BQB_ENOTFOUND);
    CHECK_OK(bqb_catalogue_keep(c, id_of(c, dir, "in/small.jpg"), &err), err); /* another one instead */
    CHECK(!bqb_catalogue_commit(c, &err) && !strcmp(found(c, false, "大图", &folded), "small"));

    /* A keeper whose file is gone hides nothing. */
    CHECK(!unlink(help_path(dir, "in/small.jpg")));
    bqb_catalogue_close(c);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    c = open_to_write(dir);
    if (!c) return;
    CHECK(!group(c, dir, "in/one.png").keeper && !strcmp(found(c, false, "大图", &folded), "one") && folded == 1);
    CHECK(!bqb_catalogue_begin(c, &err) && !bqb_catalogue_keep(c, id_of(c, dir, "in/one.png"), &err) && !bqb_catalogue_commit(c, &err));
    CHECK(!strcmp(found(c, false, "动图", &folded), "one"));
    CHECK(!bqb_catalogue_begin(c, &err) && !bqb_catalogue_keep_none(c, id_of(c, dir, "in/moving.gif"), &err) && !bqb_catalogue_commit(c, &err));
    CHECK(!strcmp(found(c, false, "动图", &folded), "moving"));
    bqb_catalogue_close(c);
}

static int stop_at_once(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)ctx, (void)done, (void)total;
    return !strcmp(what, "looking at pictures");
}

/* Stopped after the sketches: the next call compares. And one that cannot be decoded is asked once. */
TEST(likeness_goes_on_where_it_was_stopped) {
    const char *dir = test_tmp_dir();
    bqb_likeness_report r;
    make_set(dir);
    bqb_catalogue *c = open_to_write(dir);
    if (!c) return;
    const char *path = help_path(dir, "in/one.png"), *other = help_path(dir, "in/small.jpg"), *bad = help_path(dir, "in/captions.tsv");
    const char *const paths[3] = {path, other, bad};
    CHECK(!bqb_catalogue_begin(c, &err));
    for (int i = 0; i < 3; i++) {
        bool added;
        bqb_sticker s = {.sha256 = {(uint8_t)(i + 1)}, .size_bytes = 1, .format = "png", .width = 8, .height = 8, .frames = 1};
        CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
        CHECK_OK(bqb_catalogue_put_file(c, paths[i], &(bqb_file){.sticker = s.id, .size_bytes = 1}, &err), err);
    }
    CHECK(!bqb_catalogue_commit(c, &err));
    CHECK(bqb_likeness_update(&r, c, 1, stop_at_once, NULL, &err) == BQB_ECANCEL);
    CHECK(r.sketched == 3 && r.unreadable == 1 && !r.compared);
    CHECK_OK(bqb_likeness_update(&r, c, 1, NULL, NULL, &err), err);
    CHECK(!r.sketched && r.compared == 3 && r.same == 1 && r.copies == 1);
    bqb_catalogue_close(c);
}
