#include "library_help.h"
#include "test.h"

#include "base/fs.h"
#include "library/catalogue.h"
#include "library/vectors.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static bqb_err err;

static const char *library(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/lib", test_tmp_dir());
    return path;
}

static bqb_catalogue *open_library(bqb_catalogue_mode mode) {
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, library(), mode, &err), err);
    return c;
}

/* A sticker whose hash begins with these bytes, in one file. */
static bqb_sticker_id add(bqb_catalogue *c, const char *path, uint8_t first, uint8_t second) {
    bqb_sticker s = {.size_bytes = 10, .format = "png", .width = 1, .height = 2, .frames = 1 + second % 2u};
    bool added;
    s.sha256[0] = first;
    s.sha256[31] = second;
    CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
    bqb_file f = {.sticker = s.id, .size_bytes = 10, .mtime_ns = 5};
    CHECK_OK(bqb_catalogue_put_file(c, path, &f, &err), err);
    return s.id;
}

static void annotate(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, const char *value, bqb_origin o,
                     const char *path) {
    bqb_annotation a = {{0}};
    a.field[f] = value;
    CHECK_OK(bqb_catalogue_annotate(c, id, &a, o, 0.5, path, NULL, &err), err);
}

static int count_ids(void *ctx, bqb_sticker_id id) {
    (void)id;
    ++*(int *)ctx;
    return 0;
}
static int words(bqb_catalogue *c, const char *gram) {
    int n = 0;
    CHECK_OK(bqb_catalogue_match_words(c, &(bqb_gram){gram, strlen(gram)}, 1, count_ids, &n, &err), err);
    return n;
}
static int missing(bqb_catalogue *c) {
    int n = 0;
    CHECK_OK(bqb_catalogue_each_missing(c, count_ids, &n, &err), err);
    return n;
}

TEST(catalogue_keeps_what_is_committed) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a.png", 1, 0), again = add(c, "/copy of a.png", 1, 0), b = add(c, "/b.png", 2, 1);
    CHECK(a == again);
    CHECK(a != b);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    add(c, "/lost.png", 3, 0);
    bqb_catalogue_close(c); /* not committed */

    c = open_library(BQB_CATALOGUE_READ);
    if (!c) return;
    bqb_catalogue_stats t;
    CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    CHECK(t.stickers == 2 && t.files == 3 && t.animated == 1 && t.missing == 0 && t.bytes == 20);
    bqb_sticker s;
    CHECK_OK(bqb_catalogue_get_sticker(c, b, &s, &err), err);
    CHECK(s.sha256[0] == 2 && s.width == 1 && s.height == 2 && s.frames == 2 && s.added > 0);
    CHECK_STR(s.format, "png");
    CHECK(bqb_catalogue_get_sticker(c, 99, &s, &err) == BQB_ENOTFOUND);
    char *path;
    CHECK_OK(bqb_catalogue_path_of(c, a, &path, NULL, &err), err);
    CHECK_STR(path, "/a.png");
    free(path);
    bqb_catalogue_close(c);
}

TEST(catalogue_short_ids_and_prefixes) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id one = add(c, "/1", 0xab, 0x10);
    add(c, "/2", 0xab, 0x11); /* the same but for the last digit */
    bqb_sticker_id far = add(c, "/3", 0xcd, 0);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_sticker s;
    char id[BQB_SHORT_ID_SIZE];
    CHECK_OK(bqb_catalogue_get_sticker(c, one, &s, &err), err);
    CHECK_OK(bqb_catalogue_short_id(c, s.sha256, id, &err), err);
    CHECK_MSG(strlen(id) == 64, "%s", id);
    CHECK_OK(bqb_catalogue_get_sticker(c, far, &s, &err), err);
    CHECK_OK(bqb_catalogue_short_id(c, s.sha256, id, &err), err);
    CHECK_STR(id, "cd0000000000");

    bqb_sticker_id got = 0;
    CHECK_OK(bqb_catalogue_find_prefix(c, "CD", &got, &err), err);
    CHECK(got == far);
    CHECK_OK(bqb_catalogue_find_prefix(c, "c", &got, &err), err);
    CHECK(got == far);
    CHECK(bqb_catalogue_find_prefix(c, "ab", &got, &err) == BQB_EINVAL);
    CHECK(strstr(err.msg, "several"));
    CHECK(bqb_catalogue_find_prefix(c, "cd1", &got, &err) == BQB_ENOTFOUND);
    CHECK(bqb_catalogue_find_prefix(c, "", &got, &err) == BQB_EINVAL);
    CHECK(bqb_catalogue_find_prefix(c, "xyz", &got, &err) == BQB_EINVAL);
    bqb_catalogue_close(c);
}

TEST(catalogue_files_move_and_vanish) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0), b = add(c, "/b", 2, 0);
    annotate(c, a, BQB_CAPTION, "好累", BQB_GIVEN, NULL);
    CHECK(words(c, "累") == 1);
    bqb_file f = {.sticker = b, .size_bytes = 1, .mtime_ns = 1};
    CHECK_OK(bqb_catalogue_put_file(c, "/a", &f, &err), err); /* /a now holds b */
    bqb_sticker s;
    CHECK_MSG(bqb_catalogue_get_sticker(c, a, &s, &err) == BQB_ENOTFOUND, "a sticker without a file stays");
    CHECK_MSG(words(c, "累") == 0, "the words of a removed sticker stay");

    f.missing = true;
    CHECK_OK(bqb_catalogue_put_file(c, "/a", &f, &err), err);
    bqb_catalogue_stats t;
    CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    CHECK(t.stickers == 1 && t.missing == 0 && t.files == 1);
    annotate(c, b, BQB_OCR, "下班", BQB_OCR_READ, NULL);
    CHECK(words(c, "下班") == 1);
    CHECK_OK(bqb_catalogue_put_file(c, "/b", &f, &err), err);
    CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    CHECK(t.stickers == 0 && t.missing == 1);
    CHECK_MSG(words(c, "下班") == 1 && missing(c) == 1, "a missing sticker keeps its words, and is known to be missing");
    f.missing = false;
    CHECK_OK(bqb_catalogue_put_file(c, "/b", &f, &err), err);
    CHECK(words(c, "下班") == 1 && missing(c) == 0);
    CHECK_OK(bqb_catalogue_remove(c, b, &err), err);
    CHECK(words(c, "下班") == 0);
    bqb_catalogue_close(c);
}

TEST(catalogue_believes_the_best_origin) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    annotate(c, a, BQB_CAPTION, "文件名", BQB_FROM_FILE_NAME, "/a");
    CHECK(words(c, "文件") == 1);
    annotate(c, a, BQB_CAPTION, "给的", BQB_GIVEN, "/a");
    CHECK(words(c, "给的") == 1);
    CHECK_MSG(words(c, "文件") == 1, "the file's name is not looked at any more");
    annotate(c, a, BQB_CAPTION, "又一个文件名", BQB_FROM_FILE_NAME, "/a");
    CHECK(words(c, "一个") == 1);
    annotate(c, a, BQB_EMOTION, "开心", BQB_ZERO_SHOT, NULL);
    annotate(c, a, BQB_EMOTION, "难过", BQB_GIVEN, NULL);
    CHECK_MSG(words(c, "开心") == 0 && words(c, "难过") == 1, "what is not believed is found");
    annotate(c, a, BQB_CAPTION, "人说的", BQB_EDITED, NULL);
    CHECK_MSG(words(c, "一个") == 0 && words(c, "人说") == 1, "a person's word does not replace the file's name");
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_CAPTION, BQB_EDITED, NULL, &err), err);
    CHECK(words(c, "一个") == 1 && words(c, "人说") == 0);
    bqb_annotated got;
    CHECK_OK(bqb_catalogue_get_annotation(c, a, &got, &err), err);
    CHECK_STR(got.field[BQB_CAPTION], "给的");
    CHECK(got.origin[BQB_CAPTION] == BQB_GIVEN && got.field[BQB_OCR] == NULL);
    bqb_annotated_free(&got);

    annotate(c, a, BQB_EMOTION, "开心", BQB_ZERO_SHOT, NULL);
    annotate(c, a, BQB_EMOTION, "难过", BQB_GIVEN, NULL);
    int n = 0;
    CHECK_OK(bqb_catalogue_each_with(c, BQB_EMOTION, "开心", count_ids, &n, &err), err);
    CHECK_MSG(n == 0, "a guess that the user corrected still counts");
    CHECK_OK(bqb_catalogue_each_with(c, BQB_EMOTION, "难过", count_ids, &n, &err), err);
    CHECK(n == 1);
    bqb_catalogue_close(c);
}

/* A person's word: before all files, also those that come later, until it is taken back. */
TEST(catalogue_believes_a_person_first) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    bqb_annotated got;
    bool changed;
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    annotate(c, a, BQB_EMOTION, "难过", BQB_GIVEN, "/a");
    annotate(c, a, BQB_EMOTION, "开心", BQB_EDITED, NULL);
    annotate(c, a, BQB_EMOTION, "生气", BQB_GIVEN, "/a");
    annotate(c, a, BQB_EMOTION, "惊讶", BQB_ZERO_SHOT, NULL);
    CHECK_OK(bqb_catalogue_get_annotation(c, a, &got, &err), err);
    CHECK_STR(got.field[BQB_EMOTION], "开心");
    CHECK(got.origin[BQB_EMOTION] == BQB_EDITED);
    CHECK_STR(bqb_origin_name(got.origin[BQB_EMOTION]), "edited");
    CHECK_STR(bqb_origin_name(BQB_ORIGINS), "");
    bqb_annotated_free(&got);
    CHECK(words(c, "开心") == 1 && words(c, "生气") == 0);
    int n = 0;
    CHECK_OK(bqb_catalogue_each_with(c, BQB_EMOTION, "开心", count_ids, &n, &err), err);
    CHECK(n == 1);

    CHECK_OK(bqb_catalogue_forget(c, a, BQB_EMOTION, BQB_EDITED, &changed, &err), err);
    CHECK(changed);
    CHECK_MSG(words(c, "开心") == 0 && words(c, "生气") == 1, "the index does not follow what is taken back");
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_EMOTION, BQB_EDITED, &changed, &err), err);
    CHECK(!changed);
    CHECK_OK(bqb_catalogue_get_annotation(c, a, &got, &err), err);
    CHECK_STR(got.field[BQB_EMOTION], "生气");
    bqb_annotated_free(&got);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

/* Two files with the same content: each may correct its own words, not the other's. */
TEST(catalogue_first_path_keeps_its_word) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/1", 1, 0);
    add(c, "/2", 1, 0);
    bqb_annotation an = {{"一"}};
    bool changed;
    CHECK_OK(bqb_catalogue_annotate(c, a, &an, BQB_GIVEN, 1, "/1", &changed, &err), err);
    CHECK(changed);
    CHECK_OK(bqb_catalogue_annotate(c, a, &an, BQB_GIVEN, 1, "/1", &changed, &err), err);
    CHECK(!changed);
    an.field[0] = "二";
    CHECK_OK(bqb_catalogue_annotate(c, a, &an, BQB_GIVEN, 1, "/2", &changed, &err), err);
    CHECK(!changed);
    CHECK(words(c, "一") == 1);
    CHECK_OK(bqb_catalogue_annotate(c, a, &an, BQB_GIVEN, 1, "/1", &changed, &err), err);
    CHECK(changed);
    CHECK(words(c, "一") == 0 && words(c, "二") == 1);
    bqb_file gone = {.sticker = a, .missing = true};
    CHECK_OK(bqb_catalogue_put_file(c, "/1", &gone, &err), err);
    an.field[0] = "三";
    CHECK_OK(bqb_catalogue_annotate(c, a, &an, BQB_GIVEN, 1, "/2", &changed, &err), err);
    CHECK_MSG(changed, "nobody may speak for a sticker whose first file is gone");
    bqb_catalogue_close(c);
}

TEST(catalogue_cuts_long_values_at_a_character) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    char text[6001];
    for (int i = 0; i < 2000; i++) memcpy(text + 3 * i, "好", 3);
    text[6000] = 0;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    annotate(c, a, BQB_CAPTION, text, BQB_GIVEN, NULL);
    bqb_annotated got;
    CHECK_OK(bqb_catalogue_get_annotation(c, a, &got, &err), err);
    CHECK(strlen(got.field[BQB_CAPTION]) == 4095);
    bqb_annotated_free(&got);
    bqb_catalogue_close(c);
}

/* A value is one line that no terminal obeys, whoever says it. */
TEST(catalogue_values_are_one_line) {
    static const struct {
        const char *said, *kept;
    } cases[] = {
        {"加班\t好累\r\n真的", "加班 好累 真的"}, {"\n\n一只猫 \t\n", "一只猫 "}, {"a\033[31mred\033[0m", "a [31mred [0m"},
        {"c1 \xc2\x9b""2J csi", "c1 2J csi"},      {"\xe2\x80\xa9段\xe2\x80\xae反", "段 反"},
        {"👨\xe2\x80\x8d👩 stays  as  it  is", "👨\xe2\x80\x8d👩 stays  as  it  is"}, /* a joiner steers nothing */
    };
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bqb_sticker_id id = add(c, i ? "/b" : "/a", (uint8_t)i, 1);
        bqb_annotated a;
        bool changed = true;
        annotate(c, id, BQB_CAPTION, cases[i].said, i % 2 ? BQB_GIVEN : BQB_EDITED, NULL);
        CHECK_OK(bqb_catalogue_get_annotation(c, id, &a, &err), err);
        CHECK_STR(a.field[BQB_CAPTION], cases[i].kept);
        bqb_annotated_free(&a);
        bqb_annotation again = {{0}};
        again.field[BQB_CAPTION] = cases[i].said;
        CHECK_OK(bqb_catalogue_annotate(c, id, &again, i % 2 ? BQB_GIVEN : BQB_EDITED, 0.5, NULL, &changed, &err), err);
        CHECK_MSG(!changed, "case %zu is news each time", i);
    }
    bqb_sticker_id none = add(c, "/c", 99, 1);
    bqb_annotated a;
    annotate(c, none, BQB_OCR, "\n\t\033", BQB_GIVEN, NULL);
    CHECK_OK(bqb_catalogue_get_annotation(c, none, &a, &err), err);
    CHECK(!a.field[BQB_OCR]);
    bqb_annotated_free(&a);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

TEST(catalogue_embeddings_and_vectors) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    float v[3] = {0.6f, 0, 0.8f};
    bool has;
    size_t dim, n;
    char model[65];
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0), b = add(c, "/b", 2, 0);
    CHECK_OK(bqb_catalogue_put_embedding(c, b, MODEL, "image", v, 3, &err), err);
    CHECK(bqb_catalogue_put_embedding(c, a, MODEL, "image", v, 2, &err) == BQB_EINVAL);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    CHECK_OK(bqb_catalogue_has_embedding(c, a, MODEL, "image", &has, &err), err);
    CHECK(!has);
    CHECK_OK(bqb_catalogue_has_embedding(c, b, MODEL, "image", &has, &err), err);
    CHECK(has);
    CHECK_OK(bqb_catalogue_main_model(c, model, &err), err);
    CHECK_STR(model, MODEL);
    CHECK_OK(bqb_catalogue_count_embeddings(c, MODEL, "image", &dim, &n, &err), err);
    CHECK(dim == 3 && n == 1);
    CHECK_OK(bqb_catalogue_count_embeddings(c, "other", "image", &dim, &n, &err), err);
    CHECK(dim == 0 && n == 0);

    bqb_vectors *x = NULL;
    for (int round = 0; round < 3; round++) { /* made, mapped, made again after a change */
        if (round == 2) {
            CHECK_OK(bqb_catalogue_begin(c, &err), err);
            CHECK_OK(bqb_catalogue_put_embedding(c, a, MODEL, "image", v, 3, &err), err);
            CHECK_OK(bqb_catalogue_commit(c, &err), err);
        }
        CHECK_OK(bqb_vectors_open(&x, c, MODEL, "image", &err), err);
        if (!x) break;
        CHECK(x->n == (round == 2 ? 2 : 1) && x->dim == 3 && x->stride == 64);
        CHECK(bqb_vectors_row(x, b) == (round == 2 ? 1 : 0));
        CHECK(bqb_vectors_row(x, 77) == SIZE_MAX);
        CHECK(x->i8[2] == 127 && x->i8[1] == 0);
        bqb_vectors_close(x);
    }
    bqb_catalogue_close(c);
}

/* A cache that is cut, empty or of another library is made again, not believed. */
TEST(vectors_cache_is_not_trusted) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    float v[3] = {0.6f, 0, 0.8f};
    char path[600], *good;
    size_t size;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    CHECK_OK(bqb_catalogue_put_embedding(c, a, MODEL, "image", v, 3, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_vectors *x = NULL;
    CHECK_OK(bqb_vectors_open(&x, c, MODEL, "image", &err), err);
    bqb_vectors_close(x);
    snprintf(path, sizeof path, "%s/cache/image-%.16s.vectors", library(), MODEL);
    if (!CHECK_OK(bqb_file_read(&good, &size, path, 1 << 20, &err), err)) return;
    for (int round = 0; round < 4; round++) {
        size_t n = round == 0 ? 0 : round == 1 ? size - 1 : size;
        char kept = good[20];
        if (round == 2) good[20] ^= 1;       /* another library's uid */
        if (round == 3) good[140] ^= 0x40;   /* a count that the size does not fit */
        CHECK_OK(bqb_file_write(path, good, n, &err), err);
        good[20] = kept;
        CHECK_OK(bqb_vectors_open(&x, c, MODEL, "image", &err), err);
        CHECK(x && x->n == 1 && x->id[0] == a && x->i8[2] == 127);
        bqb_vectors_close(x);
        bqb_map m;
        CHECK_OK(bqb_map_open(&m, path, &err), err);
        CHECK_MSG(m.size == size, "the cache was not made again (round %d)", round);
        bqb_map_close(&m);
    }
    free(good);
    bqb_catalogue_close(c);
}

static void run_sql(const char *sql) {
    sqlite3 *db = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/library.db", library());
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK_MSG(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* The words of a library of version 1, where 萬 is not 万. */
TEST(catalogue_brings_old_words_up_to_date) {
    for (int mode = BQB_CATALOGUE_READ; mode <= BQB_CATALOGUE_WRITE; mode++) {
        bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
        if (!c) return;
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        bqb_sticker_id a = add(c, "/a", 1, 0), b = add(c, "/b", 2, 0);
        annotate(c, a, BQB_CAPTION, "萬", BQB_GIVEN, NULL);
        annotate(c, b, BQB_CAPTION, "一", BQB_GIVEN, NULL);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        CHECK(words(c, "万") == 1 && words(c, "一") == 1);
        bqb_catalogue_close(c);
        run_sql("INSERT INTO words(words) VALUES('delete-all'); INSERT INTO words(rowid, grams) SELECT id, 'e890ac' FROM sticker"
                " WHERE sha256 < x'02'; PRAGMA user_version = 1");

        if (!(c = open_library((bqb_catalogue_mode)mode))) return;
        CHECK_MSG(words(c, "万") == 1 && words(c, "萬") == 0 && words(c, "一") == 1, "opened to %s: the old words are there",
                  mode == BQB_CATALOGUE_READ ? "read" : "write");
        bqb_catalogue_close(c);
        if (!(c = open_library(BQB_CATALOGUE_WRITE))) return;
        CHECK_OK(bqb_catalogue_begin(c, &err), err); /* what the index holds can be taken out again */
        annotate(c, a, BQB_CAPTION, "二", BQB_GIVEN, NULL);
        CHECK(words(c, "万") == 0 && words(c, "二") == 1);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        bqb_catalogue_close(c);
    }
}

TEST(catalogue_keeps_readings) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    char *reader, *text;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0), b = add(c, "/b", 2, 0), said = add(c, "/c", 3, 0);
    annotate(c, said, BQB_OCR, "好", BQB_GIVEN, NULL);
    annotate(c, b, BQB_OCR, "坏", BQB_OCR_READ, NULL);
    CHECK(bqb_catalogue_get_reading(c, a, &reader, &text, &err) == BQB_ENOTFOUND && !reader && !text);
    int n = 0;
    CHECK_OK(bqb_catalogue_each_unread(c, count_ids, &n, &err), err);
    CHECK_MSG(n == 2, "%d unread", n);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "one", "0.9\t早\n0.5\t旱\n", &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "two", "0.9\t早\n", &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, b, "two", "", &err), err);
    CHECK_OK(bqb_catalogue_each_unread(c, count_ids, &n, &err), err);
    CHECK_MSG(n == 2, "%d unread after reading both", n - 2);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);

    if (!(c = open_library(BQB_CATALOGUE_READ))) return;
    CHECK_OK(bqb_catalogue_get_reading(c, a, &reader, &text, &err), err);
    CHECK(reader && !strcmp(reader, "two") && text && !strcmp(text, "0.9\t早\n"));
    free(reader);
    free(text);
    CHECK_OK(bqb_catalogue_get_reading(c, b, &reader, &text, &err), err);
    CHECK(text && !*text);
    free(reader);
    free(text);
    bqb_catalogue_close(c);

    /* A long one is cut after a line; a reading goes with its sticker. */
    if (!(c = open_library(BQB_CATALOGUE_WRITE))) return;
    char *lines = malloc(70001);
    CHECK(lines != NULL);
    if (!lines) return;
    for (size_t i = 0; i < 70000; i++) lines[i] = i % 10 == 9 ? '\n' : 'x';
    lines[70000] = 0;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "long", lines, &err), err);
    free(lines);
    CHECK_OK(bqb_catalogue_get_reading(c, a, &reader, &text, &err), err);
    CHECK(text && strlen(text) == 65530 && text[65529] == '\n');
    free(reader);
    free(text);
    CHECK_OK(bqb_catalogue_remove(c, a, &err), err);
    CHECK(bqb_catalogue_get_reading(c, a, &reader, &text, &err) == BQB_ENOTFOUND);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

static int collect(void *ctx, const bqb_said *said) {
    bqb_buf *b = ctx;
    return bqb_buf_printf(b, NULL, "%s %s %s %.2f %.*s\n", said->whole ? "whole" : "line", bqb_field_name(said->field), bqb_origin_name(said->origin), said->belief,
                          (int)said->n_bytes, said->text) != BQB_OK;
}

static void said(bqb_catalogue *c, bqb_sticker_id id, const char *want) {
    bqb_buf b = {.max = 1 << 16};
    CHECK_OK(bqb_catalogue_each_said(c, id, collect, &b, &err), err);
    CHECK_MSG(!strcmp(b.data ? b.data : "", want), "said:\n%swanted:\n%s", b.data ? b.data : "", want);
    bqb_buf_free(&b);
}

/* The index holds every line that was read, until a person says what stands there; put in and taken out evenly. */
TEST(catalogue_indexes_readings) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "one", "0.9\t早 安\n0.2\t旱安\nno weight\n0\t没有\nnan\t没有\n\n7\t大", &err), err);
    annotate(c, a, BQB_OCR, "早安", BQB_OCR_READ, NULL);
    said(c, a, "whole ocr ocr 0.50 早安\nline ocr ocr 0.90 早 安\nline ocr ocr 0.20 旱安\nline ocr ocr 1.00 大\n");
    CHECK(words(c, "旱") == 1 && words(c, "早安") == 1 && words(c, "大") == 1 && words(c, "没") == 0);
    CHECK_MSG(words(c, "\x02早安") == 1 && words(c, "\x02早") == 0, "a whole line is not found as such");
    CHECK_OK(bqb_catalogue_put_reading(c, a, "two", "0.9\thello\n", &err), err);
    CHECK(words(c, "旱") == 0 && words(c, "hello") == 1 && words(c, "\x01" "ell") == 1);
    annotate(c, a, BQB_OCR, "晚安", BQB_GIVEN, NULL);
    CHECK(words(c, "hello") == 0 && words(c, "晚安") == 1 && words(c, "早") == 0);
    said(c, a, "whole ocr given 0.50 晚安\n");
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_OCR, BQB_GIVEN, NULL, &err), err);
    CHECK(words(c, "hello") == 1 && words(c, "晚安") == 0 && words(c, "早安") == 1);
    CHECK_OK(bqb_catalogue_remove(c, a, &err), err);
    CHECK(words(c, "hello") == 0 && words(c, "早安") == 0);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

TEST(catalogue_forgets_one_origins_word) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    bool changed = false;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    annotate(c, a, BQB_OCR, "早", BQB_OCR_READ, NULL);
    annotate(c, a, BQB_OCR, "晚", BQB_GIVEN, NULL);
    CHECK(words(c, "早") == 0 && words(c, "晚") == 1);
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_OCR, BQB_GIVEN, &changed, &err), err);
    CHECK(changed && words(c, "早") == 1 && words(c, "晚") == 0);
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_OCR, BQB_GIVEN, &changed, &err), err);
    CHECK(!changed && words(c, "早") == 1);
    CHECK_OK(bqb_catalogue_forget(c, a, BQB_OCR, BQB_OCR_READ, &changed, &err), err);
    CHECK(changed && words(c, "早") == 0);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

/* Version 3 did not index readings, and knew neither whole lines nor parts of words. */
TEST(catalogue_indexes_the_readings_of_older_libraries) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id a = add(c, "/a", 1, 0);
    annotate(c, a, BQB_OCR, "早", BQB_OCR_READ, NULL);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "one", "0.5\t旱\n", &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
    run_sql("INSERT INTO words(words) VALUES('delete-all'); INSERT INTO words(rowid, grams) SELECT id, 'e697a9' FROM sticker;"
            " DROP INDEX sticker_missing; PRAGMA user_version = 3");
    if (!(c = open_library(BQB_CATALOGUE_READ))) return;
    CHECK(words(c, "早") == 1 && words(c, "旱") == 1 && words(c, "\x02旱") == 1);
    bqb_catalogue_close(c);
    if (!(c = open_library(BQB_CATALOGUE_WRITE))) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, a, "two", "", &err), err);
    CHECK_MSG(words(c, "早") == 1 && words(c, "旱") == 0, "what was indexed anew cannot be taken out");
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
}

/* A library of version 2 has no readings; nothing else of it changes. */
TEST(catalogue_makes_room_for_readings) {
    for (int mode = BQB_CATALOGUE_READ; mode <= BQB_CATALOGUE_WRITE; mode++) {
        char *reader, *text;
        bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
        if (!c) return;
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        bqb_sticker_id a = add(c, "/a", 1, 0);
        annotate(c, a, BQB_CAPTION, "早", BQB_GIVEN, NULL);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        bqb_catalogue_close(c);
        run_sql("DROP TABLE reading; PRAGMA user_version = 2");
        if (!(c = open_library((bqb_catalogue_mode)mode))) return;
        CHECK(bqb_catalogue_get_reading(c, a, &reader, &text, &err) == BQB_ENOTFOUND);
        CHECK(words(c, "早") == 1);
        bqb_catalogue_close(c);
        if (!(c = open_library(BQB_CATALOGUE_WRITE))) return;
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        CHECK_OK(bqb_catalogue_put_reading(c, a, "one", "", &err), err);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        bqb_catalogue_close(c);
    }
}

TEST(catalogue_says_why_a_folder_is_no_library) {
    bqb_catalogue *c = NULL;
    char file[600], name[600];
    snprintf(file, sizeof file, "%s/plain", test_tmp_dir());
    CHECK_OK(bqb_file_write(file, "x", 1, &err), err);
    CHECK(bqb_catalogue_open(&c, file, BQB_CATALOGUE_READ, &err) == BQB_EIO);
    CHECK_MSG(strstr(err.msg, "plain") && strstr(err.msg, strerror(ENOTDIR)), "%s", err.msg);
    CHECK(bqb_catalogue_open(&c, file, BQB_CATALOGUE_WRITE, &err) == BQB_EIO);
    CHECK_MSG(strstr(err.msg, "plain") && strstr(err.msg, strerror(ENOTDIR)), "%s", err.msg);
    memset(name, 'x', 300);
    name[300] = 0;
    CHECK(bqb_catalogue_open(&c, name, BQB_CATALOGUE_READ, &err) == BQB_EIO);
    snprintf(name, sizeof name, "%.500s/folder/library.db", test_tmp_dir());
    CHECK_OK(bqb_make_dirs(name, &err), err);
    *strrchr(name, '/') = 0;
    CHECK(bqb_catalogue_open(&c, name, BQB_CATALOGUE_READ, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "library.db: not a regular file"), "%s", err.msg);
    CHECK(bqb_catalogue_open(&c, name, BQB_CATALOGUE_WRITE, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "library.db: not a regular file"), "%s", err.msg);
    CHECK(c == NULL);
}

TEST(catalogue_refuses_newer_foreign_and_broken_databases) {
    bqb_catalogue *c = NULL;
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_READ, &err) == BQB_ENOTFOUND);
    CHECK_MSG(!bqb_is_dir(library()), "reading made a library");
    bqb_catalogue_close(open_library(BQB_CATALOGUE_WRITE));
    bqb_catalogue_close(open_library(BQB_CATALOGUE_READ));

    run_sql("PRAGMA user_version = 99");
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_READ, &err) == BQB_EVERSION);
    CHECK(strstr(err.msg, "newer bqb") && strstr(err.msg, "library.db"));
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_WRITE, &err) == BQB_EVERSION);
    run_sql("PRAGMA user_version = 1; PRAGMA application_id = 77");
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_WRITE, &err) == BQB_EFORMAT);
    CHECK(strstr(err.msg, "another program"));

    char path[600];
    snprintf(path, sizeof path, "%s/library.db", library());
    const char junk[] = "This is certainly no database, and long enough to be looked at as one. ............";
    CHECK_OK(bqb_file_write(path, junk, sizeof junk, &err), err);
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_READ, &err) == BQB_EFORMAT);
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_WRITE, &err) == BQB_EFORMAT);
    CHECK(strstr(err.msg, "library.db"));
    CHECK_OK(bqb_file_write(path, "", 0, &err), err);
    CHECK(bqb_catalogue_open(&c, library(), BQB_CATALOGUE_READ, &err) == BQB_ENOTFOUND);
    CHECK(c == NULL);
}

/* Cut anywhere, the database gives an error or what is left, never a crash. */
TEST(catalogue_truncated_database) {
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (int i = 0; i < 60; i++) {
        char path[32];
        snprintf(path, sizeof path, "/%d", i);
        annotate(c, add(c, path, (uint8_t)i, 1), BQB_CAPTION, "一句很长很长的话", BQB_GIVEN, path);
    }
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
    char path[600], *whole;
    size_t size;
    snprintf(path, sizeof path, "%s/library.db", library());
    if (!CHECK_OK(bqb_file_read(&whole, &size, path, 1 << 24, &err), err)) return;
    int refused = 0;
    for (size_t n = 100; n < size; n += size / 23) {
        CHECK_OK(bqb_file_write(path, whole, n, &err), err);
        c = NULL;
        bqb_catalogue_stats t;
        bqb_status s = bqb_catalogue_open(&c, library(), BQB_CATALOGUE_READ, &err);
        if (!s) s = bqb_catalogue_get_stats(c, &t, &err);
        int hits = 0;
        if (!s) s = bqb_catalogue_match_words(c, &(bqb_gram){"句", 3}, 1, count_ids, &hits, &err);
        refused += s == BQB_EFORMAT;
        CHECK_MSG(!s || s == BQB_EFORMAT, "%zu of %zu bytes: %s", n, size, err.msg);
        bqb_catalogue_close(c);
    }
    CHECK(refused > 10);
    free(whole);
}

TEST(catalogue_says_when_another_is_writing) {
    bqb_catalogue *a = open_library(BQB_CATALOGUE_WRITE), *b = open_library(BQB_CATALOGUE_READ);
    if (!a || !b) return;
    CHECK_OK(bqb_catalogue_begin(a, &err), err);
    add(a, "/a", 1, 0);
    bqb_catalogue_stats t;
    CHECK_OK(bqb_catalogue_get_stats(b, &t, &err), err); /* readers go on, and see the state before */
    CHECK(t.stickers == 0);
    uint64_t before, after;
    char uid[33];
    CHECK_OK(bqb_catalogue_generation(b, &before, uid, &err), err);
    CHECK_OK(bqb_catalogue_commit(a, &err), err);
    CHECK_OK(bqb_catalogue_generation(b, &after, uid, &err), err);
    CHECK(after > before);
    CHECK_OK(bqb_catalogue_get_stats(b, &t, &err), err);
    CHECK(t.stickers == 1);
    bqb_catalogue_close(a);
    bqb_catalogue_close(b);
}

/* A database of no bytes is new only where nothing tells of stickers. */
TEST(catalogue_empty_file_beside_caches_is_a_loss) {
    static const char *const beside[] = {"cache/image-x.vectors", "files/a.png", "library.db-wal", "import.lock"};
    bqb_catalogue *c = NULL;
    char path[600];
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        help_text(library(), "library.db", "");
        help_text(library(), beside[i], "x");
        for (int mode = 0; mode < 2; mode++) {
            CHECK(bqb_catalogue_open(&c, library(), mode ? BQB_CATALOGUE_READ : BQB_CATALOGUE_WRITE, &err) == BQB_EFORMAT);
            CHECK_MSG(strstr(err.msg, "library.db: empty (0 bytes)") && strstr(err.msg, "import again"), "%s", err.msg);
            bqb_catalogue_close(c);
        }
        snprintf(path, sizeof path, "%s/%s", library(), beside[i]);
        CHECK(!unlink(path));
    }
    c = open_library(BQB_CATALOGUE_WRITE); /* empty folders tell nothing */
    bqb_catalogue_close(c);
}

TEST(catalogue_knows_that_it_was_deleted) {
    char path[600], other[600];
    snprintf(path, sizeof path, "%s/library.db", library());
    snprintf(other, sizeof other, "%s/other.db", library());
    bqb_catalogue *c = open_library(BQB_CATALOGUE_WRITE);
    if (!c) return;
    CHECK_OK(bqb_catalogue_check_place(c, &err), err);
    CHECK(!rename(path, other));
    CHECK(bqb_catalogue_check_place(c, &err) == BQB_ENOTFOUND && strstr(err.msg, "deleted or moved"));
    CHECK(bqb_catalogue_begin(c, &err) == BQB_ENOTFOUND && strstr(err.msg, "deleted or moved"));
    help_text(library(), "library.db", "");
    CHECK(bqb_catalogue_check_place(c, &err) == BQB_ENOTFOUND && strstr(err.msg, "another library"));
    CHECK(!rename(other, path));
    CHECK_OK(bqb_catalogue_check_place(c, &err), err);
    bqb_catalogue_close(c);
}
