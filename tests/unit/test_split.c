#include "test.h"
#include "draw_scene.h"
#include "train_fixture.h"

#include "base/sha256.h"
#include "image/decode.h"
#include "image/resample.h"
#include "train/copies.h"
#include "train/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t a[SCENE * SCENE * 3], b[3 * SCENE * SCENE * 3];

static bqb_dataset *open_set(const char *path) {
    bqb_err err = {0};
    bqb_dataset *ds = NULL;
    CHECK_OK(bqb_dataset_open(&ds, &path, 1, &err), err);
    return ds;
}

/* Nine pictures: see the table; what should become of each is in the comments. */
static void make_set(const char *dir) {
    bqb_image_init(NULL);
    mkdir(fixture_path(dir, "images"), 0777);
    scene_draw(a, 1, 1, -1);
    scene_save(dir, "images/one.png", a, SCENE, SCENE, 1);
    scene_save(dir, "images/same.png", a, SCENE, SCENE, 1);
    bqb_resample(b, 100, 100, a, SCENE, SCENE, 3, NULL);
    scene_save(dir, "images/small.jpg", b, 100, 100, 1);
    scene_draw(b, 1, 1, 3);
    scene_save(dir, "images/words.png", b, SCENE, SCENE, 1);
    memcpy(b, a, sizeof a);
    scene_draw(b + sizeof a, 2, 2, -1);
    scene_draw(b + 2 * sizeof a, 3, 3, -1);
    scene_save(dir, "images/moving.gif", b, SCENE, SCENE, 3);
    memset(b, 255, sizeof a);
    scene_save(dir, "images/blank.png", b, SCENE, SCENE, 1);
    scene_save(dir, "images/blank-small.png", b, 60, 60, 1);
    scene_draw(b, 9, 9, -1);
    scene_save(dir, "images/alone.png", b, SCENE, SCENE, 1);
    fixture_write(dir, "images/broken.png", "no picture");
    fixture_write(dir, "captions.tsv",
                  "file\tcaption\temotion\tocr\n"
                  "images/small.jpg\t小\t开心\t\n"    /* 0 near copy of one.png */
                  "images/one.png\t一\t开心\t字\n"     /* 1 kept: most fields */
                  "images/same.png\t同\t\t\n"         /* 2 exact copy of one.png */
                  "images/words.png\t话\t开心\t\n"     /* 3 kept: other words */
                  "images/moving.gif\t动\t\t\n"       /* 4 kept, kin of one.png */
                  "images/blank.png\t空\t\t\n"        /* 5 kept: nothing to compare */
                  "images/blank-small.png\t白\t\t\n"  /* 6 kept */
                  "images/alone.png\t独\t\t\n"        /* 7 kept */
                  "images/broken.png\t坏\t\t\n");      /* 8 unreadable */
    fixture_write(dir, "queries.tsv", "file\tquery\nimages/one.png\t问\nimages/moving.gif\t问\\t动\n");
}

TEST(copies_are_found_and_words_are_not_copies) {
    static const uint8_t kind[9] = {BQB_COPY_NEAR, 0, BQB_COPY_EXACT, 0, 0, 0, 0, 0, BQB_COPY_UNREADABLE};
    static const uint32_t of[9] = {1, 1, 1, 3, 4, 5, 6, 7, 8};
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    make_set(dir);
    bqb_dataset *ds = open_set(dir);
    if (!ds) return;
    for (int threads = 1; threads <= 3; threads += 2) {
        bqb_copies c;
        CHECK_OK(bqb_copies_find(&c, ds, true, dir, threads, NULL, NULL, &err), err);
        for (size_t i = 0; i < 9; i++)
            CHECK_MSG(c.item[i].kind == kind[i] && c.item[i].of == of[i], "%zu: %s of %u", i, bqb_copy_name((bqb_copy_kind)c.item[i].kind), c.item[i].of);
        CHECK(c.item[4].kin == 1 && c.item[1].kin == 1 && c.item[3].kin == 3 && c.n_kin == 2);
        CHECK(c.count[BQB_COPY_NOT] == 6 && c.count[BQB_COPY_NEAR] == 1 && c.count[BQB_COPY_EXACT] == 1);
        CHECK(strstr(c.notes.data, "broken.png") != NULL);
        bqb_copies_free(&c);
    }
    bqb_copies c;
    CHECK_OK(bqb_copies_find(&c, ds, false, dir, 2, NULL, NULL, &err), err);
    CHECK(c.count[BQB_COPY_NOT] == 7 && c.item[0].kind == BQB_COPY_NOT);
    bqb_copies_free(&c);
    CHECK(bqb_copies_find(&c, ds, true, "/nonexistent", 1, NULL, NULL, &err) == BQB_EIO);
    bqb_copies_free(&c);
    bqb_dataset_close(ds);
}

/* Sides of n stickers that are all kept; emotions by turns 甲 甲 甲 乙; two of them kin. */
static void sides_of(uint8_t *side, size_t n, uint64_t seed, bool backwards, const char *dir, bqb_copies *c) {
    static const double share[BQB_SIDES] = {0.8, 0.1, 0.1};
    bqb_buf t = {.max = 1 << 20};
    bqb_buf_puts(&t, "file\temotion\n", NULL);
    for (size_t k = 0; k < n; k++) {
        size_t i = backwards ? n - 1 - k : k;
        bqb_buf_printf(&t, NULL, "captions.tsv\t%s\n", i % 4 == 3 ? "乙" : "甲");
    }
    fixture_write(dir, "captions.tsv", "%s", t.data);
    bqb_buf_free(&t);
    bqb_dataset *ds = open_set(dir);
    if (!ds) abort();
    *c = (bqb_copies){.n = n, .item = calloc(n, sizeof *c->item)};
    for (size_t k = 0; k < n; k++) {
        size_t i = backwards ? n - 1 - k : k;
        bqb_sha256_of(c->item[k].sha256, &i, sizeof i);
        c->item[k].kin = (uint32_t)k;
    }
    bqb_err err = {0};
    CHECK_OK(bqb_split_sides(side, ds, c, share, seed, &err), err);
    bqb_dataset_close(ds);
}

TEST(split_shares_out_by_seed_and_emotion) {
    enum { N = 400 };
    static uint8_t one[N], again[N], turned[N], two[N];
    const char *dir = test_tmp_dir();
    bqb_copies c;
    sides_of(one, N, 1, false, dir, &c);
    bqb_copies_free(&c);
    sides_of(again, N, 1, false, dir, &c);
    bqb_copies_free(&c);
    sides_of(turned, N, 1, true, dir, &c);
    bqb_copies_free(&c);
    sides_of(two, N, 2, false, dir, &c);
    size_t count[2][BQB_SIDES] = {{0}}, differ = 0, off = 0;
    for (size_t i = 0; i < N; i++) {
        count[i % 4 == 3][one[i]]++;
        differ += one[i] != two[i];
        off += one[i] != again[i] || one[i] != turned[N - 1 - i];
    }
    CHECK_MSG(off == 0, "%zu stickers go elsewhere when told again or in another order", off);
    CHECK(differ > N / 10);
    CHECK(count[0][0] == 240 && count[0][1] == 30 && count[0][2] == 30);
    CHECK(count[1][0] == 80 && count[1][1] == 10 && count[1][2] == 10);
    /* Kin stay together, whatever the seed. */
    static const double share[BQB_SIDES] = {0.8, 0.1, 0.1};
    bqb_dataset *ds = open_set(dir);
    for (size_t i = 1; i < 40; i++) c.item[i].kin = 0;
    for (uint64_t seed = 0; seed < 8 && ds; seed++) {
        CHECK(!bqb_split_sides(one, ds, &c, share, seed, NULL));
        size_t n[BQB_SIDES] = {0};
        for (size_t i = 1; i < 40; i++) CHECK(one[i] == one[0]);
        for (size_t i = 0; i < N; i++) n[one[i]]++;
        CHECK(n[0] >= 319 && n[0] <= 321 && n[1] >= 39 && n[2] >= 39);
    }
    bqb_dataset_close(ds);
    bqb_copies_free(&c);
}

static int stop_at_copying(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    return !strcmp(what, ctx);
}

TEST(split_writes_tables_that_lead_to_the_pictures) {
    const char *dir = test_tmp_dir();
    char out[1024];
    bqb_err err = {0};
    make_set(dir);
    bqb_dataset *ds = open_set(dir);
    if (!ds) return;
    for (int how = BQB_SPLIT_REFER; how <= BQB_SPLIT_LINK; how++) {
        snprintf(out, sizeof out, "%s/out/%d", dir, how);
        bqb_split_options o = {.out = out, .share = {0.5, 0.5, 0}, .seed = 4, .pictures = (bqb_split_pictures)how, .threads = 2};
        bqb_split_report r;
        if (how == BQB_SPLIT_COPY) { /* stopped: nothing that looks finished, and the same call goes on */
            o.progress = stop_at_copying;
            o.ctx = (void *)(uintptr_t) "copying pictures";
            CHECK(bqb_split(ds, &o, &r, &err) == BQB_ECANCEL);
            bqb_buf_free(&r.notes);
            CHECK(!bqb_is_file(fixture_path(out, "train/captions.tsv")) && !bqb_is_file(fixture_path(out, "left-out.tsv")));
            o.progress = NULL;
        }
        CHECK_OK(bqb_split(ds, &o, &r, &err), err);
        CHECK(r.stickers == 9 && r.exact == 1 && r.near == 1 && r.unreadable == 1 && r.n[0] == 3 && r.n[1] == 3 && r.n[2] == 0);
        CHECK(r.queries[0] + r.queries[1] == 2);
        bqb_buf_free(&r.notes);
        size_t seen = 0, queries = 0;
        for (int side = 0; side < 2; side++) {
            bqb_dataset *part = open_set(fixture_path(out, bqb_side_name((bqb_side)side)));
            if (!part) continue;
            CHECK(bqb_dataset_left_out(part) == 0);
            bool one = false, moving = false;
            for (size_t i = 0; i < bqb_dataset_count(part); i++) {
                const bqb_sample *x = bqb_dataset_at(part, i);
                one |= !strcmp(x->note.field[BQB_CAPTION], "一") && !strcmp(x->note.field[BQB_OCR], "字");
                moving |= !strcmp(x->note.field[BQB_CAPTION], "动");
                queries += x->n_queries;
                if (x->n_queries && moving && !one) CHECK_STR(bqb_dataset_query(part, x->first_query), "问\t动");
                CHECK(!strncmp(x->file, how == BQB_SPLIT_REFER ? "../../../images/" : "images/", 7));
                struct stat st;
                if (how == BQB_SPLIT_LINK) CHECK(!stat(x->path, &st) && st.st_nlink == 2);
                seen++;
            }
            CHECK(one == moving);
            bqb_dataset_close(part);
        }
        CHECK(seen == 6 && queries == 2);
        CHECK(!bqb_is_dir(fixture_path(out, "test")));
        CHECK(bqb_split(ds, &o, &r, &err) == BQB_EINVAL && strstr(err.msg, "already"));
        bqb_buf_free(&r.notes);
    }
    char *text;
    CHECK(!bqb_file_read(&text, NULL, fixture_path(out, "left-out.tsv"), 1 << 16, NULL));
    CHECK(strstr(text, "images/same.png\t") && strstr(text, "one.png\texact\n") && strstr(text, "one.png\tnear\n") && strstr(text, "\t\tunreadable\n"));
    free(text);
    bqb_split_options bad = {.out = out, .share = {0.5, 0.1, 0.1}};
    bqb_split_report r;
    CHECK(bqb_split(ds, &bad, &r, &err) == BQB_EINVAL && strstr(err.msg, "0.7"));
    bqb_dataset_close(ds);
}
