#define _GNU_SOURCE
#include "library_help.h"
#include "test.h"

#include "base/fs.h"
#include "file/base64.h"
#include "library/likeness.h"
#include "library/vectors.h"
#include "library/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bqb_err err;

static bqb_catalogue_stats stats(const char *dir) {
    bqb_catalogue_stats t = {0};
    bqb_catalogue *c = help_open(dir);
    if (c) CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    bqb_catalogue_close(c);
    return t;
}

/* The believed value of one field of the sticker at DIR/NAME; "" when there is none. */
static const char *field_of(const char *dir, const char *name, bqb_field f) {
    static char value[256];
    bqb_file file;
    bool found = false;
    bqb_annotated a = {0};
    bqb_catalogue *c = help_open(dir);
    value[0] = 0;
    if (c) CHECK_OK(bqb_catalogue_get_file(c, help_path(dir, name), &file, &found, &err), err);
    if (found) CHECK_OK(bqb_catalogue_get_annotation(c, file.sticker, &a, &err), err);
    if (a.field[f]) snprintf(value, sizeof value, "%s", a.field[f]);
    bqb_annotated_free(&a);
    bqb_catalogue_close(c);
    return value;
}

#define REPORT(r, wanted_added, wanted_already, wanted_skipped)                                                 \
    CHECK_MSG((r).added == (wanted_added) && (r).already == (wanted_already) && (r).skipped == (wanted_skipped), \
              "added %zu, already %zu, skipped %zu; expected %d, %d, %d", (r).added, (r).already, (r).skipped,   \
              wanted_added, wanted_already, wanted_skipped)

TEST(import_folder_and_again) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "in/好累.png", 255, 0, 0);
    help_png(dir, "in/deep/er/IMG_0001.png", 0, 255, 0);
    help_png(dir, "in/no extension", 0, 0, 255);
    help_png(dir, "in/.hidden.png", 9, 9, 9);
    help_text(dir, "in/notes.txt", "not a picture");
    help_text(dir, "in/broken.jpg", "not a picture either");
    help_text(dir, "in/empty.png", "");
    help_encoded = 0;
    help_import(dir, help_path(dir, "in"), &e, &r);
    REPORT(r, 3, 0, 2);
    CHECK(r.embedded == 3 && r.others == 1 && help_encoded == 3);
    CHECK_STR(field_of(dir, "in/好累.png", BQB_CAPTION), "好累");
    CHECK_STR(field_of(dir, "in/deep/er/IMG_0001.png", BQB_CAPTION), "");

    help_import(dir, help_path(dir, "in"), &e, &r);
    REPORT(r, 0, 3, 2);
    CHECK_MSG(help_encoded == 3, "unchanged files were encoded again");
    CHECK(r.annotated == 0 && r.embedded == 0 && r.changed == 0);
    bqb_catalogue_stats t = stats(dir);
    CHECK(t.stickers == 3 && t.with_embedding == 3 && t.files == 3);
}

TEST(import_unchanged_files_are_not_read) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    struct stat st;
    help_png(dir, "in/a.png", 1, 2, 3);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK(!stat(help_path(dir, "in/a.png"), &st));
    help_text(dir, "in/a.png", "x");
    CHECK(!truncate(help_path(dir, "in/a.png"), st.st_size)); /* other bytes, same size … */
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    CHECK(!utimensat(-1, help_path(dir, "in/a.png"), times, 0)); /* … and same time */
    help_import(dir, help_path(dir, "in"), NULL, &r);
    REPORT(r, 0, 1, 0);
    times[1].tv_nsec ^= 1;
    CHECK(!utimensat(-1, help_path(dir, "in/a.png"), times, 0));
    help_import(dir, help_path(dir, "in"), NULL, &r);
    REPORT(r, 0, 0, 1);
    CHECK(r.gone == 1);
    CHECK(stats(dir).stickers == 0);
}

TEST(import_changed_content_and_twins) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "in/twin.png", 255, 0, 0);
    help_import(dir, help_path(dir, "in"), &e, &r);
    REPORT(r, 1, 1, 0);
    CHECK(stats(dir).stickers == 1 && stats(dir).files == 2);
    help_png(dir, "in/a.png", 0, 250, 0);
    help_import(dir, help_path(dir, "in"), &e, &r);
    REPORT(r, 1, 1, 0);
    CHECK(r.changed == 1 && stats(dir).stickers == 2);
    help_png(dir, "in/twin.png", 0, 0, 250); /* the first content is nowhere now */
    help_import(dir, help_path(dir, "in"), &e, &r);
    CHECK(r.changed == 1 && stats(dir).stickers == 2);
}

TEST(import_files_go_and_come_back) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "in/b.png", 0, 255, 0);
    help_png(dir, "inside/c.png", 0, 0, 255); /* its folder's name begins like the other's */
    help_import(dir, help_path(dir, "in"), &e, &r);
    help_import(dir, help_path(dir, "inside"), &e, &r);
    CHECK(!rename(help_path(dir, "in/a.png"), help_path(dir, "a.png")));
    CHECK(!rename(help_path(dir, "inside/c.png"), help_path(dir, "c.png")));
    help_import(dir, help_path(dir, "in"), &e, &r);
    CHECK(r.gone == 1);
    CHECK(stats(dir).stickers == 2 && stats(dir).missing == 1);
    bqb_vectors *v = NULL;
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_vectors_open(&v, c, MODEL_A, "image", &err), err);
    CHECK_MSG(v && v->n == 2, "a missing sticker is still scanned");
    bqb_vectors_close(v);
    bqb_catalogue_close(c);
    CHECK(!rename(help_path(dir, "a.png"), help_path(dir, "in/a.png")));
    help_encoded = 0;
    help_import(dir, help_path(dir, "in"), &e, &r);
    CHECK(r.returned == 1 && stats(dir).missing == 0 && help_encoded == 0);
}

TEST(import_captions_table) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "set/img/a.png", 255, 0, 0);
    help_png(dir, "set/img/b.png", 0, 255, 0);
    help_png(dir, "set/img/unlisted.png", 0, 0, 255);
    help_text(dir, "set/captions.tsv",
              "\xef\xbb\xbf" "file\tcaption\temotion\tocr\tjunk\r\n"
              "img/a.png\t一只猫\t开心\t好累\tx\r\n"
              "./img//b.png\t一只狗\n"
              "img/none.png\t没有\n"
              "\t没有名字\n"
              "img/a.png\t后来的\n"
              "too\tmany\tcells\tin\tthis\tline\n");
    help_import(dir, help_path(dir, "set/captions.tsv"), NULL, &r);
    REPORT(r, 2, 0, 3); /* a missing file, a line without a name, and the table's broken lines */
    CHECK_STR(field_of(dir, "set/img/a.png", BQB_CAPTION), "一只猫");
    CHECK_STR(field_of(dir, "set/img/a.png", BQB_EMOTION), "开心");
    CHECK_STR(field_of(dir, "set/img/a.png", BQB_OCR), "好累");
    CHECK_STR(field_of(dir, "set/img/b.png", BQB_CAPTION), "一只狗");

    help_import(dir, help_path(dir, "set"), NULL, &r);
    REPORT(r, 1, 2, 3);
    CHECK(r.annotated == 0);
    help_text(dir, "set/captions.tsv", "file\tcaption\nimg/a.png\t另一只猫\n");
    help_import(dir, help_path(dir, "set"), NULL, &r);
    REPORT(r, 0, 3, 0);
    CHECK(r.annotated == 1);
    CHECK_STR(field_of(dir, "set/img/a.png", BQB_CAPTION), "另一只猫");
    help_text(dir, "set/captions.tsv", "caption\tocr\n一只猫\t好累\n");
    help_import(dir, help_path(dir, "set"), NULL, &r);
    REPORT(r, 0, 3, 1); /* no column "file" */
}

TEST(import_another_model_embeds_what_is_missing) {
    const char *dir = test_tmp_dir();
    bqb_embedder a = help_embedder(MODEL_A), b = help_embedder(MODEL_B);
    bqb_import_report r;
    help_png(dir, "one/a.png", 255, 0, 0);
    help_png(dir, "two/b.png", 0, 255, 0);
    help_png(dir, "three/c.png", 0, 0, 255);
    help_import(dir, help_path(dir, "one"), &a, &r);
    help_import(dir, help_path(dir, "two"), NULL, &r);
    CHECK(stats(dir).with_embedding == 1);
    help_encoded = 0;
    help_import(dir, help_path(dir, "three"), &b, &r);
    REPORT(r, 1, 0, 0);
    CHECK_MSG(r.embedded == 3 && help_encoded == 3, "%zu embedded", r.embedded);
    help_import(dir, help_path(dir, "three"), &b, &r);
    CHECK(r.embedded == 0 && help_encoded == 3);
    help_import(dir, help_path(dir, "one"), &a, &r);
    REPORT(r, 0, 1, 0);
    CHECK(r.embedded == 2);
}

TEST(import_links_loops_and_odd_files) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/a.png", 255, 0, 0);
    help_png(dir, "elsewhere/b.png", 0, 255, 0);
    CHECK(!symlink("..", help_path(dir, "in/loop")));
    CHECK(!symlink(help_path(dir, "elsewhere"), help_path(dir, "in/link")));
    CHECK(!symlink("nothing", help_path(dir, "in/dangling.png")));
    CHECK(!mkfifo(help_path(dir, "in/pipe.png"), 0600));
    help_png(dir, "in/bad \xff name.png", 0, 0, 255);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK_MSG(r.added == 3 && r.skipped == 1, "added %zu, skipped %zu", r.added, r.skipped);
    CHECK_STR(field_of(dir, "in/bad \xff name.png", BQB_CAPTION), "bad \xef\xbf\xbd name");
}

/* The library inside the folder that is imported is not imported. */
TEST(import_stays_out_of_the_library) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "a.png", 255, 0, 0);
    help_png(dir, "lib/thumbnail.png", 0, 255, 0);
    help_import(dir, dir, NULL, &r);
    REPORT(r, 1, 0, 0);
}

TEST(import_missing_path_is_skipped) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_import(dir, help_path(dir, "nowhere"), NULL, &r);
    REPORT(r, 0, 0, 1);
}

static int stop_after(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)total;
    return done >= *(uint64_t *)ctx;
}

TEST(import_stopped_keeps_what_is_done) {
    const char *dir = test_tmp_dir();
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/%u.png", i);
        help_png(dir, name, i, 100, 200);
    }
    bqb_embedder e = help_embedder(MODEL_A);
    uint64_t limit = 40;
    bqb_import_report r;
    bqb_catalogue *c = NULL;
    const char *path = help_path(dir, "in");
    bqb_import_options o = {.embedder = &e, .threads = 2, .progress = stop_after, .ctx = &limit};
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    CHECK(bqb_library_import(c, &path, 1, &o, &r, &err) == BQB_ECANCEL);
    bqb_catalogue_close(c);
    CHECK_MSG(r.added == 64, "%zu added", r.added); /* two batches */
    CHECK(stats(dir).stickers == 64);
    help_import(dir, path, &e, &r);
    REPORT(r, 36, 64, 0);
}

static int count_sketch(void *ctx, bqb_sticker_id id, const uint8_t *frames, size_t n_bytes, bool compared) {
    (void)id, (void)frames, (void)compared;
    *(size_t *)ctx += n_bytes > 0;
    return 0;
}

static int count_looks(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)total;
    if (!strcmp(what, "looking at pictures")) *(uint64_t *)ctx += done;
    return 0;
}

/* What is decoded for its vector need not be for its sketches; what has no vector still is. */
TEST(import_decodes_a_picture_once) {
    for (int with_vectors = 0; with_vectors < 2; with_vectors++) {
        const char *dir = test_tmp_dir(), *path = help_path(dir, "in");
        help_png(dir, "in/a.png", 1, 100, 200);
        help_png(dir, "in/b.png", 2, 100, 200);
        bqb_embedder e = help_embedder(MODEL_A);
        uint64_t looked = 0;
        bqb_import_report r;
        bqb_catalogue *c = NULL;
        size_t sketches = 0;
        bqb_import_options o = {.embedder = with_vectors ? &e : NULL, .progress = count_looks, .ctx = &looked};
        CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
        CHECK_OK(bqb_library_import(c, &path, 1, &o, &r, &err), err);
        CHECK_OK(bqb_catalogue_each_sketch(c, count_sketch, &sketches, &err), err);
        bqb_catalogue_close(c);
        CHECK_MSG(looked == (with_vectors ? 0 : 2) && sketches == 2, "vectors %d: %d looked at, %zu sketches", with_vectors,
                  (int)looked, sketches);
    }
}

static bqb_status encode_badly(void *ctx, float *out, const uint8_t *rgb, size_t N, bqb_err *e) {
    (void)ctx;
    (void)rgb;
    (void)e;
    for (size_t i = 0; i < 3 * N; i++) out[i] = 0;
    return BQB_OK;
}

TEST(import_refuses_vectors_that_are_none) {
    const char *dir = test_tmp_dir();
    help_png(dir, "in/a.png", 1, 1, 1);
    bqb_embedder e = help_embedder(MODEL_A);
    e.encode = encode_badly;
    bqb_import_report r;
    bqb_catalogue *c = NULL;
    const char *path = help_path(dir, "in");
    bqb_import_options o = {.embedder = &e};
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    CHECK(bqb_library_import(c, &path, 1, &o, &r, &err) == BQB_EFORMAT);
    CHECK(r.added == 0);
    bqb_catalogue_close(c);
    CHECK(stats(dir).stickers == 0);
}

/* SPLIT_imgs.tsv and SPLIT_texts.jsonl: the pictures get files inside the library. */
TEST(import_muge) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    char *png = NULL;
    size_t size;
    bqb_buf tsv = {.max = 1 << 16};
    help_png(dir, "a.png", 255, 0, 0);
    CHECK_OK(bqb_file_read(&png, &size, help_path(dir, "a.png"), 1 << 16, &err), err);
    CHECK_OK(bqb_buf_puts(&tsv, "../../x\t", &err), err); /* an id is no path */
    CHECK_OK(bqb_base64_encode(&tsv, png, size, &err), err);
    CHECK_OK(bqb_buf_puts(&tsv, "\nno tab here\n8\t!!!\n9\tbm8gcGljdHVyZQ==\n", &err), err);
    help_text(dir, "valid_imgs.tsv", tsv.data);
    help_text(dir, "valid_texts.jsonl", "{\"text_id\":1,\"text\":\"一只猫\",\"image_ids\":[\"../../x\",9]}\n{broken\n"
                                        "{\"text_id\":2,\"text\":\"睡觉\",\"image_ids\":[\"../../x\"]}\n");
    for (int round = 0; round < 2; round++) {
        help_import(dir, help_path(dir, "valid_imgs.tsv"), NULL, &r);
        REPORT(r, round == 0, round == 1, 4); /* two bad lines, a broken text, and a picture that is none */
    }
    bqb_catalogue *c = help_open(dir);
    bqb_annotated a = {0};
    CHECK_OK(bqb_catalogue_get_annotation(c, 1, &a, &err), err);
    CHECK(a.field[BQB_CAPTION] && !strcmp(a.field[BQB_CAPTION], "一只猫；睡觉"));
    bqb_annotated_free(&a);
    bqb_catalogue_close(c);
    free(png);
    bqb_buf_free(&tsv);
}

/* tests/lmdb: two pictures of the four are in both sets. */
TEST(import_lmdb) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    char set[512];
    snprintf(set, sizeof set, "%s", test_path("lmdb/sticker820k/valid.txt"));
    help_import(dir, set, NULL, &r); /* a split */
    REPORT(r, 1, 0, 0);
    snprintf(set, sizeof set, "%s", test_path("lmdb/sticker820k"));
    for (int round = 0; round < 2; round++) {
        help_import(dir, set, NULL, &r);
        REPORT(r, round ? 0 : 2, round ? 3 : 1, 1);
    }
    bqb_catalogue *c = help_open(dir);
    bqb_annotated a = {0};
    CHECK_OK(bqb_catalogue_get_annotation(c, 2, &a, &err), err);
    CHECK(a.field[BQB_CAPTION] && !strcmp(a.field[BQB_CAPTION], "一只开心的猫"));
    CHECK(a.field[BQB_EMOTION] && !strcmp(a.field[BQB_EMOTION], "开心"));
    CHECK(a.field[BQB_OCR] && !strcmp(a.field[BQB_OCR], "哈哈"));
    bqb_annotated_free(&a);
    bqb_catalogue_close(c);
    snprintf(set, sizeof set, "%s", test_path("lmdb")); /* found below a folder, like pictures */
    help_import(dir, set, NULL, &r);
    REPORT(r, 1, 3, 2);
    CHECK(r.others == 0);
    /* A damaged database is named, and the rest is imported. */
    bqb_err e;
    char *bytes;
    size_t n;
    CHECK_OK(bqb_file_read(&bytes, &n, test_path("lmdb/sticker820k/imgs/data.mdb"), 1 << 20, &e), e);
    CHECK(!bqb_make_dirs(help_path(dir, "bad/imgs"), &e) && !bqb_make_dirs(help_path(dir, "bad/infos"), &e));
    CHECK_OK(bqb_file_write(help_path(dir, "bad/imgs/data.mdb"), bytes, n, &e), e);
    CHECK_OK(bqb_file_write(help_path(dir, "bad/infos/data.mdb"), bytes, 8192, &e), e);
    free(bytes);
    help_import(dir, help_path(dir, "bad"), NULL, &r);
    REPORT(r, 0, 0, 1);
}
