#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "file/base64.h"
#include "library_help.h"
#include "train/dataset.h"
#include "train/pixels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bqb_dataset *open_set(const char *path) {
    bqb_err err = {0};
    bqb_dataset *ds = NULL;
    CHECK_OK(bqb_dataset_open(&ds, &path, 1, &err), err);
    return ds;
}

TEST(dataset_reads_fields_and_queries) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 12, 0);
    bqb_dataset *ds = open_set(dir); /* the folder stands for its captions.tsv */
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 12);
    CHECK(bqb_dataset_query_count(ds) == 24);
    CHECK(bqb_dataset_left_out(ds) == 0);
    CHECK_STR(bqb_dataset_notes(ds), "");
    const bqb_sample *x = bqb_dataset_at(ds, 11); /* after 10 in the table, but before 2 in name order */
    CHECK_STR(x->file, "images/11.png");
    CHECK_STR(x->path, fixture_path(dir, "images/11.png"));
    CHECK_STR(x->note.field[BQB_CAPTION], "一个绿的方");
    CHECK_STR(x->note.field[BQB_OCR], "方11");
    CHECK(x->n_queries == 2);
    CHECK_STR(bqb_dataset_query(ds, x->first_query), "绿方");
    CHECK_STR(bqb_dataset_query(ds, x->first_query + 1), "11方");
    bqb_dataset_close(ds);
}

TEST(dataset_leaves_out_what_cannot_be_used_and_says_so) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 3, 0);
    fixture_write(dir, "captions.tsv",
                  "ocr_text\tfile\textra\n好\timages/0.png\tx\n\timages/1.png\ty\n坏\timages/none.png\tz\n"
                  "没有\t\tq\n好\timages/2.png\n");
    unlink(fixture_path(dir, "queries.tsv"));
    bqb_dataset *ds = open_set(fixture_path(dir, "captions.tsv"));
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 2);
    CHECK(bqb_dataset_left_out(ds) == 3);
    CHECK(strstr(bqb_dataset_notes(ds), "images/none.png: No such file"));
    CHECK(strstr(bqb_dataset_notes(ds), "images/1.png: no text"));
    CHECK(bqb_dataset_query_count(ds) == 0);
    bqb_dataset_close(ds);
}

TEST(dataset_leaves_guesses_of_a_table_out) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 3, 0);
    fixture_write(dir, "captions.tsv",
                  "file\tcaption\temotion\tocr\torigins\n"
                  "images/0.png\t猫\t开心\t哈\temotion=zero-shot:0.7 ocr=ocr:0.5\n"
                  "images/1.png\t狗\t生气\t\temotion=zero-shot:0.7#0000\n" /* somebody has written another: given */
                  "images/2.png\t鸟\t难过\t\temotion=zero-shot:7\n");
    unlink(fixture_path(dir, "queries.tsv"));
    bqb_dataset *ds = open_set(dir);
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 3 && !bqb_dataset_at(ds, 0)->note.field[BQB_EMOTION] && !bqb_dataset_at(ds, 2)->note.field[BQB_EMOTION]);
    CHECK_STR(bqb_dataset_at(ds, 0)->note.field[BQB_OCR], "哈");
    CHECK_STR(bqb_dataset_at(ds, 1)->note.field[BQB_EMOTION], "生气");
    CHECK(strstr(bqb_dataset_notes(ds), "captions.tsv: line 4, origins: \"emotion=zero-shot:7\": the score has to be"));
    bqb_dataset_close(ds);
}

TEST(dataset_names_a_table_that_is_none) {
    const char *dir = test_tmp_dir(), *path = fixture_path(dir, "captions.tsv");
    bqb_err err = {0};
    bqb_dataset *ds = NULL;
    CHECK(bqb_dataset_open(&ds, &path, 1, &err) == BQB_EIO && !ds);
    fixture_write(dir, "captions.tsv", "name\tcaption\na\tb\n");
    CHECK(bqb_dataset_open(&ds, &path, 1, &err) == BQB_EFORMAT && strstr(err.msg, "\"file\""));
    fixture_write(dir, "captions.tsv", "file\tcomment\na\tb\n");
    CHECK(bqb_dataset_open(&ds, &path, 1, &err) == BQB_EFORMAT && strstr(err.msg, "caption"));
    fixture_write(dir, "captions.tsv", "file\tcaption\na\tb\n");
    CHECK(bqb_dataset_open(&ds, &path, 1, &err) == BQB_EFORMAT && strstr(err.msg, "no sticker"));
    CHECK(bqb_dataset_open(&ds, &path, 0, &err) == BQB_EINVAL);
}

TEST(dataset_hash_sees_changes) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 4, 0);
    bqb_dataset *a = open_set(dir);
    fixture_set(dir, 4, 0); /* the same pictures, written anew */
    bqb_dataset *b = open_set(dir);
    fixture_write(dir, "images/2.png", "something shorter");
    bqb_dataset *c = open_set(dir);
    if (a && b && c) {
        CHECK(bqb_dataset_hash(a) == bqb_dataset_hash(b));
        CHECK(bqb_dataset_stamp(a) != bqb_dataset_stamp(b));
        CHECK(bqb_dataset_hash(a) != bqb_dataset_hash(c));
    }
    bqb_dataset_close(a);
    bqb_dataset_close(b);
    bqb_dataset_close(c);
}

/* DIR/NAME_imgs.tsv of the first n pictures of DIR/images, ids from 100; and one line that is none. */
static void write_imgs(const char *dir, const char *name, size_t n) {
    bqb_buf b = {.max = 1 << 20};
    for (size_t i = 0; i < n; i++) {
        char png[32], *bytes;
        size_t size;
        snprintf(png, sizeof png, "images/%zu.png", i);
        if (bqb_file_read(&bytes, &size, fixture_path(dir, png), 1 << 20, NULL)) abort();
        bqb_buf_printf(&b, NULL, "%zu\t", 100 + i);
        bqb_base64_encode(&b, bytes, size, NULL);
        bqb_buf_puts(&b, i ? "\n" : "\r\nno tab\n\n", NULL);
        free(bytes);
    }
    if (bqb_file_write(fixture_path(dir, name), b.data, b.len, NULL)) abort();
    bqb_buf_free(&b);
}

TEST(dataset_reads_muge) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 4, 0);
    write_imgs(dir, "valid_imgs.tsv", 4);
    fixture_write(dir, "valid_texts.jsonl",
                  "{\"text_id\": 1, \"text\": \"猫\", \"image_ids\": [100, 102]}\n{\"text_id\": 2, \"text\": \"狗\", \"image_ids\": [102]}\n"
                  "broken\n{\"text_id\": 3, \"text\": \"鸟\", \"image_ids\": [101, 999]}\n");
    char split[1024];
    snprintf(split, sizeof split, "%s/valid", dir);
    const char *names[] = {fixture_path(dir, "valid_imgs.tsv"), split};
    for (int k = 0; k < 2; k++) {
        bqb_dataset *ds = open_set(names[k]);
        if (!ds) return;
        CHECK(bqb_dataset_count(ds) == 3 && bqb_dataset_query_count(ds) == 4);
        CHECK(bqb_dataset_left_out(ds) == 4); /* two lines, a picture without a text, a text without a picture */
        CHECK(strstr(bqb_dataset_notes(ds), "999") && strstr(bqb_dataset_notes(ds), "103: no text") &&
              strstr(bqb_dataset_notes(ds), "line 2"));
        const bqb_sample *x = bqb_dataset_at(ds, 2);
        CHECK_STR(x->file, "102");
        CHECK_STR(x->note.field[BQB_CAPTION], "猫；狗");
        CHECK(x->n_queries == 2);
        CHECK_STR(bqb_dataset_query(ds, x->first_query + 1), "狗");
        CHECK(!bqb_dataset_is_file(ds, 2));
        /* Its bytes are those of the file that went in. */
        bqb_picture p;
        char *bytes;
        size_t size;
        bqb_err err = {0};
        CHECK_OK(bqb_dataset_picture(ds, 2, &p, &err), err);
        CHECK(!bqb_file_read(&bytes, &size, fixture_path(dir, "images/2.png"), 1 << 20, NULL));
        CHECK(p.size == size && !memcmp(p.data, bytes, size));
        free(bytes);
        bqb_picture_close(&p);
        bqb_dataset_close(ds);
    }
    /* A folder that holds one such set is that set; of two, one must be named. */
    char inner[1024];
    snprintf(inner, sizeof inner, "%s/images", dir);
    const char *folder = inner;
    bqb_err err = {0};
    bqb_dataset *ds = NULL;
    CHECK(bqb_dataset_open(&ds, &folder, 1, &err) == BQB_ENOTFOUND && strstr(err.msg, "library.db"));
    fixture_write(inner, "a_imgs.tsv", "7\tbm8gcGljdHVyZQ==\n");
    CHECK(bqb_dataset_open(&ds, &folder, 1, &err) == BQB_ENOTFOUND && strstr(err.msg, "a_texts.jsonl"));
    fixture_write(inner, "a_texts.jsonl", "{\"text_id\": 1, \"text\": \"猫\", \"image_ids\": [7]}\n");
    ds = open_set(folder);
    CHECK(ds && bqb_dataset_count(ds) == 1);
    bqb_dataset_close(ds);
    fixture_write(inner, "b_imgs.tsv", "7\tbm8gcGljdHVyZQ==\n");
    CHECK(bqb_dataset_open(&ds, &folder, 1, &err) == BQB_EINVAL && strstr(err.msg, "a_imgs.tsv") && strstr(err.msg, "b_imgs.tsv"));
}

TEST(dataset_reads_a_library) {
    const char *dir = test_tmp_dir();
    help_png(dir, "set/a.png", 200, 0, 0);
    help_png(dir, "set/b.png", 0, 200, 0);
    help_png(dir, "set/c.png", 0, 0, 200);
    help_text(dir, "set/captions.tsv", "file\tcaption\temotion\nset/nothing\t\t\na.png\t红\t开心\nb.png\t绿\t\nc.png\t蓝\t\n");
    bqb_import_report r;
    bqb_embedder e = help_embedder(MODEL_A);
    help_import(dir, help_path(dir, "set"), &e, &r);
    char lib[1024];
    snprintf(lib, sizeof lib, "%s/lib", dir);
    bqb_dataset *ds = open_set(lib);
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 3 && bqb_dataset_left_out(ds) == 0 && bqb_dataset_is_file(ds, 0));
    const bqb_sample *x = bqb_dataset_at(ds, 0);
    CHECK_STR(x->note.field[BQB_CAPTION], "红");
    CHECK_STR(x->note.field[BQB_EMOTION], "开心");
    CHECK(strlen(x->file) == 12 && strstr(x->path, "set/a.png"));
    uint64_t was = bqb_dataset_hash(ds);
    bqb_dataset_close(ds);
    /* A file that is gone, one that is another by now: both are named. */
    unlink(help_path(dir, "set/a.png"));
    help_text(dir, "set/b.png", "something else");
    char db[1100];
    snprintf(db, sizeof db, "%s/library.db", lib);
    ds = open_set(db);
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 1 && bqb_dataset_left_out(ds) == 2 && bqb_dataset_hash(ds) != was);
    CHECK(strstr(bqb_dataset_notes(ds), "a.png: No such file") && strstr(bqb_dataset_notes(ds), "import it again"));
    bqb_dataset_close(ds);
}

TEST(dataset_sees_one_text_for_everything) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 4, 0);
    unlink(fixture_path(dir, "queries.tsv"));
    fixture_write(dir, "captions.tsv", "file\tcaption\nimages/0.png\t猫\nimages/1.png\t狗\nimages/2.png\t猫\nimages/3.png\t猫\n");
    bqb_dataset *ds = open_set(dir);
    if (!ds) return;
    size_t n = 0;
    CHECK(bqb_dataset_text_count(ds) == 2);
    CHECK_STR(bqb_dataset_commonest_text(ds, &n), "猫");
    CHECK(n == 3 && strstr(bqb_dataset_notes(ds), "3 of 4 stickers have the same text: 猫"));
    bqb_dataset_close(ds);
}

static int count_progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    ++*(int *)ctx;
    return 0;
}

static bqb_pixels *open_pixels(const bqb_dataset *ds, const char *cache, uint64_t max, int *built) {
    bqb_err err = {0};
    bqb_pixels *px = NULL;
    bqb_pixels_options o = {.R = 16, .threads = 2, .cache_path = cache, .cache_max_bytes = max};
    *built = 0;
    CHECK_OK(bqb_pixels_open(&px, ds, &o, count_progress, built, &err), err);
    return px;
}

/* Pictures of a that differ in b. */
static size_t pictures_off(const bqb_pixels *a, const bqb_pixels *b, size_t n) {
    static uint8_t x[3 * 16 * 16 * 3], y[sizeof x];
    size_t off = 0, fx, fy;
    for (size_t i = 0; i < n; i++) {
        bqb_status s = bqb_pixels_get(a, i, x, &fx, NULL), t = bqb_pixels_get(b, i, y, &fy, NULL);
        off += s || t ? (s != 0) != (t != 0) : fx != fy || memcmp(x, y, sizeof x) != 0;
    }
    return off;
}

TEST(pixels_cache_equals_decoding_and_is_reused) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 10, 3);
    fixture_write(dir, "images/4.png", "no picture");
    bqb_dataset *ds = open_set(dir);
    if (!ds) return;
    const char *cache = fixture_path(dir, "p.cache");
    int built, again, plain;
    bqb_pixels *direct = open_pixels(ds, NULL, 0, &plain);
    bqb_pixels *first = open_pixels(ds, cache, 1 << 30, &built), *second = open_pixels(ds, cache, 1 << 30, &again);
    if (direct && first && second) {
        CHECK(built > 0 && again == 0 && plain == 0);
        CHECK(bqb_pixels_cached(first) && bqb_pixels_cached(second) && !bqb_pixels_cached(direct));
        CHECK(pictures_off(direct, first, 10) == 0);
        CHECK(pictures_off(direct, second, 10) == 0);
        CHECK(bqb_pixels_unreadable(first) == 1 && bqb_pixels_unreadable(second) == 1);
        CHECK(strstr(bqb_pixels_notes(first), "4.png") && strstr(bqb_pixels_notes(second), "4.png"));
        const uint8_t *rgb;
        CHECK(bqb_pixels_view(first, 0, &rgb) == 3 && bqb_pixels_view(first, 1, &rgb) == 1);
        CHECK(bqb_pixels_view(first, 4, &rgb) == 0);
    }
    bqb_pixels_close(first);
    bqb_pixels_close(second);

    /* Planted: one byte of the cache changed must be seen by the comparison above. */
    FILE *f = fopen(cache, "r+b");
    if (f) {
        fseek(f, 5, SEEK_SET);
        int c = fgetc(f);
        fseek(f, 5, SEEK_SET);
        fputc(c ^ 1, f);
        fclose(f);
    }
    bqb_pixels *bad = open_pixels(ds, cache, 1 << 30, &again);
    if (bad) CHECK(again == 0 && pictures_off(direct, bad, 10) == 1);
    bqb_pixels_close(bad);

    /* A cut file, a file of other data and a limit. */
    CHECK(truncate(cache, 5000) == 0);
    bqb_pixels *rebuilt = open_pixels(ds, cache, 1 << 30, &again);
    if (rebuilt) CHECK(again > 0 && pictures_off(direct, rebuilt, 10) == 0);
    bqb_pixels_close(rebuilt);
    bqb_dataset_close(ds);
    bqb_pixels_close(direct);

    fixture_set(dir, 11, 3);
    ds = open_set(dir);
    bqb_pixels *other = ds ? open_pixels(ds, cache, 1 << 30, &again) : NULL;
    if (other) CHECK(again > 0 && bqb_pixels_unreadable(other) == 0);
    bqb_pixels_close(other);
    unlink(cache);
    bqb_pixels *limited = ds ? open_pixels(ds, cache, 12 * 16 * 16 * 3, &again) : NULL;
    if (limited) CHECK(!bqb_pixels_cached(limited) && !bqb_is_file(cache)); /* 11 + 8 frames are more than 12 */
    bqb_pixels_close(limited);
    bqb_dataset_close(ds);
}

TEST(dataset_reads_lmdb_in_place) {
    char path[512];
    bqb_picture p;
    char *bytes;
    size_t size;
    bqb_err err = {0};
    snprintf(path, sizeof path, "%s", test_path("lmdb/chinese_clip"));
    bqb_dataset *ds = open_set(path);
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 3 && bqb_dataset_query_count(ds) == 11);
    CHECK(bqb_dataset_left_out(ds) == 2); /* a text without a picture, a picture without a text */
    CHECK(strstr(bqb_dataset_notes(ds), "404: its picture is not in imgs") && strstr(bqb_dataset_notes(ds), "9: no text"));
    const bqb_sample *x = bqb_dataset_at(ds, 0);
    CHECK_STR(x->file, "17");
    CHECK(x->n_queries == 9);
    CHECK_STR(bqb_dataset_query(ds, x->first_query), "一只猫");
    CHECK_STR(bqb_dataset_query(ds, x->first_query + 8), "猫6");
    CHECK(!bqb_dataset_is_file(ds, 0));
    CHECK_OK(bqb_dataset_picture(ds, 0, &p, &err), err);
    CHECK_OK(bqb_file_read(&bytes, &size, test_path("../fuzz/corpus/image/small.png"), 1 << 20, &err), err);
    CHECK(p.size == size && !memcmp(p.data, bytes, size));
    free(bytes);
    bqb_picture_close(&p);
    uint64_t hash = bqb_dataset_hash(ds);
    bqb_dataset_close(ds);
    ds = open_set(path);
    CHECK(ds && bqb_dataset_hash(ds) == hash);
    bqb_dataset_close(ds);

    /* Sticker820K: a split is named, for the databases hold both sides. */
    const char *whole = path;
    snprintf(path, sizeof path, "%s", test_path("lmdb/sticker820k"));
    CHECK(bqb_dataset_open(&ds, &whole, 1, &err) == BQB_EINVAL && strstr(err.msg, "train.txt, valid.txt"));
    snprintf(path, sizeof path, "%s", test_path("lmdb/sticker820k/train.txt"));
    ds = open_set(path);
    if (!ds) return;
    CHECK(bqb_dataset_count(ds) == 2 && bqb_dataset_left_out(ds) == 1 && bqb_dataset_hash(ds) != hash);
    x = bqb_dataset_at(ds, 0);
    CHECK_STR(x->file, "a/猫.png");
    CHECK_STR(x->note.field[BQB_CAPTION], "一只开心的猫");
    CHECK_STR(x->note.field[BQB_OCR], "哈哈");
    CHECK_OK(bqb_dataset_picture(ds, 1, &p, &err), err);
    CHECK(p.size > 3 && !memcmp(p.data, "GIF", 3));
    bqb_picture_close(&p);
    bqb_dataset_close(ds);
}
