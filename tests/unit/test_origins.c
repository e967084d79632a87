/* Who says so, in tables: written, read back, broken, and through a whole export and import. */
#include "library_help.h"
#include "test.h"

#include "base/fs.h"
#include "library/export.h"
#include "library/origins.h"
#include "library/zip_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bqb_err err;

TEST(origins_are_read_back_as_they_were_written) {
    bqb_annotated a = {.field = {"猫 和\t狗", "开心", NULL, "卡通", "哈哈"},
                       .origin = {BQB_EDITED, BQB_ZERO_SHOT, BQB_OCR_READ, BQB_GIVEN, BQB_OCR_READ},
                       .score = {1, 0.7134, 0.5, 1, 0}};
    bqb_annotation note = {{a.field[0], a.field[1], a.field[2], a.field[3], a.field[4]}};
    bqb_buf b = {.max = 1000};
    bqb_who w;
    CHECK_OK(bqb_origins_print(&b, &a, &err), err);
    CHECK_MSG(strstr(b.data, "caption=edited#") == b.data && strstr(b.data, " emotion=zero-shot:0.7134#") && strstr(b.data, " ocr=ocr:0.0#"), "%s", b.data);
    CHECK(!strstr(b.data, "style") && !strstr(b.data, "emotion_label"));
    CHECK_OK(bqb_origins_parse(&w, b.data, &note, &err), err);
    CHECK(w.origin[0] == BQB_EDITED && w.origin[1] == BQB_ZERO_SHOT && w.origin[3] == BQB_GIVEN && w.origin[4] == BQB_OCR_READ);
    CHECK(w.score[0] == 1 && w.score[1] == 0.7134 && w.score[4] == 0);

    /* A cell that somebody changed is given; blanks that a program for tables added are no change. */
    note.field[1] = "生气";
    note.field[4] = " 哈哈\r";
    CHECK_OK(bqb_origins_parse(&w, b.data, &note, &err), err);
    CHECK(w.origin[1] == BQB_GIVEN && w.score[1] == 1 && w.origin[4] == BQB_OCR_READ);
    bqb_buf_free(&b);
}

TEST(origins_that_are_broken_are_named) {
    static const struct {
        const char *cell, *says;
        int unknown; /* field whose words must not be taken; -1: none */
    } cases[] = {
        {"ocr", "FIELD=ORIGIN", -1},
        {"#=ocr", "FIELD=ORIGIN", -1},
        {"=ocr", "field has to be", -1},
        {"words=ocr", "field has to be", -1},
        {"ocr=", "who says so", BQB_OCR},
        {"ocr=robot:0.5", "who says so", BQB_OCR},
        {"ocr=ocrx", "who says so", BQB_OCR},
        {"ocr=OCR", "who says so", BQB_OCR},
        {"caption=ocr:nan", "score has to be", BQB_CAPTION},
        {"caption=ocr:-1", "score has to be", BQB_CAPTION},
        {"caption=ocr:1e999", "score has to be", BQB_CAPTION},
        {"caption=ocr:1.1", "score has to be", BQB_CAPTION},
        {"caption=ocr:", "score has to be", BQB_CAPTION},
        {"caption=ocr:.", "score has to be", BQB_CAPTION},
        {"caption=ocr:0x1", "score has to be", BQB_CAPTION},
        {"caption=ocr:0.5.5", "score has to be", BQB_CAPTION},
        {"caption=ocr:0.0000000001", "score has to be", BQB_CAPTION},
        {"style=ocr#12345", "four hexadecimal", BQB_STYLE},
        {"style=ocr#12g4", "four hexadecimal", BQB_STYLE},
        {"style=ocr#", "four hexadecimal", BQB_STYLE},
        {"style=ocr  style=given", "twice", BQB_STYLE},
    };
    bqb_annotation note = {{"a", "b", "c", "d", "e"}};
    bqb_who w;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err.msg[0] = 0;
        CHECK_MSG(bqb_origins_parse(&w, cases[i].cell, &note, &err) == BQB_EFORMAT && strstr(err.msg, cases[i].says), "%s: %s", cases[i].cell, err.msg);
        for (int f = 0; f < BQB_FIELDS; f++) CHECK_MSG(w.unknown[f] == (f == cases[i].unknown), "%s: field %d", cases[i].cell, f);
    }
    /* One broken entry does not hide the others. */
    CHECK(bqb_origins_parse(&w, "ocr=? emotion=zero-shot:0.5", &note, &err) && w.origin[BQB_EMOTION] == BQB_ZERO_SHOT && w.score[BQB_EMOTION] == 0.5);
    char *long_one = malloc(1 << 20);
    memset(long_one, 'x', 1 << 20);
    long_one[(1 << 20) - 1] = 0;
    CHECK(bqb_origins_parse(&w, long_one, &note, &err) == BQB_EFORMAT && strlen(err.msg) < 200);
    free(long_one);
}

TEST(readings_in_tables) {
    static const char *const bad[] = {"", "\n0.5\tx", "a\tb\n", "who\n0.5 x", "who\n2\tx", "who\nnan\tx", "who\n0.5\t", "who\n0.5\tx\n\n", "who\n0.5\n\tx"};
    char reader[BQB_READER_SIZE];
    const char *text;
    CHECK_OK(bqb_reading_parse(reader, &text, "tesseract 5\n0.83\t哈哈\n0.2\t喝\n", &err), err);
    CHECK_STR(reader, "tesseract 5");
    CHECK_STR(text, "0.83\t哈哈\n0.2\t喝\n");
    CHECK_OK(bqb_reading_parse(reader, &text, "tesseract 5\n", &err), err);
    CHECK_STR(text, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_MSG(bqb_reading_parse(reader, &text, bad[i], &err) == BQB_EFORMAT, "%zu", i);
    char *long_one = malloc(70000);
    memset(long_one, 'x', 70000);
    long_one[69999] = 0;
    CHECK(bqb_reading_parse(reader, &text, long_one, &err) == BQB_ELIMIT);
    long_one[300] = 0;
    CHECK(bqb_reading_parse(reader, &text, long_one, &err) == BQB_EFORMAT);
    free(long_one);
}

/* ---- through an export ---- */

static void annotate(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, const char *value, bqb_origin o, double score, const char *path) {
    bqb_annotation a = {{0}};
    a.field[f] = value;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_annotate(c, id, &a, o, score, path, NULL, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
}

static bqb_catalogue *open_to_write(const char *dir) {
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    return c;
}

/* "VALUE ORIGIN SCORE" of what is believed of a field of the first sticker. */
static const char *believed(const char *dir, bqb_field f) {
    static char said[4][200];
    static size_t turn;
    char *out = said[turn++ % 4];
    bqb_annotated a = {0};
    bqb_catalogue *c = help_open(dir);
    if (c) CHECK_OK(bqb_catalogue_get_annotation(c, 1, &a, &err), err);
    snprintf(out, 200, "%s %s %g", a.field[f] ? a.field[f] : "", a.field[f] ? bqb_origin_name(a.origin[f]) : "", a.score[f]);
    bqb_annotated_free(&a);
    bqb_catalogue_close(c);
    return out;
}

static void export_to(const char *dir, const char *to) {
    bqb_export_options o = {.force = true};
    bqb_export_report r;
    bqb_catalogue *c = help_open(dir);
    CHECK_OK(bqb_library_export(c, to, &o, &r, &err), err);
    CHECK(r.written == 1);
    bqb_catalogue_close(c);
}

/* A sticker of which everybody says something. */
static const char *make_library(void) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/小猫.png", 255, 0, 0);
    help_text(dir, "in/captions.tsv", "file\tstyle\n小猫.png\t卡通\n");
    help_import(dir, help_path(dir, "in"), NULL, &r);
    bqb_catalogue *c = open_to_write(dir);
    annotate(c, 1, BQB_OCR, "哈哈", BQB_OCR_READ, 0.83, NULL);
    annotate(c, 1, BQB_EMOTION, "开心", BQB_ZERO_SHOT, 0.71, NULL);
    annotate(c, 1, BQB_EMOTION_LABEL, "大笑", BQB_EDITED, 1, NULL);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, 1, "tesseract", "0.83\t哈哈\n0.20\t喝\\喝\n", &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
    return dir;
}

static void check_all(const char *dir) {
    CHECK_STR(believed(dir, BQB_CAPTION), "小猫 filename 1");
    CHECK_STR(believed(dir, BQB_OCR), "哈哈 ocr 0.83");
    CHECK_STR(believed(dir, BQB_EMOTION), "开心 zero-shot 0.71");
    CHECK_STR(believed(dir, BQB_EMOTION_LABEL), "大笑 edited 1");
    CHECK_STR(believed(dir, BQB_STYLE), "卡通 given 1");
    bqb_catalogue *c = help_open(dir);
    char *reader = NULL, *text = NULL;
    CHECK_OK(bqb_catalogue_get_reading(c, 1, &reader, &text, &err), err);
    CHECK_STR(reader ? reader : "", "tesseract");
    CHECK_STR(text ? text : "", "0.83\t哈哈\n0.20\t喝\\喝\n");
    free(reader);
    free(text);
    bqb_catalogue_close(c);
}

TEST(origins_survive_export_and_import) {
    const char *dir = make_library();
    char other[600], out[600];
    bqb_import_report r;
    snprintf(out, sizeof out, "%s", help_path(dir, "out"));
    snprintf(other, sizeof other, "%s", help_path(dir, "other"));
    export_to(dir, out);
    for (int round = 0; round < 2; round++) {
        help_import(other, out, NULL, &r);
        CHECK(r.skipped == 0 && r.added == !round && r.annotated == 0); /* the second time nothing is news */
        check_all(other);
    }
    /* An edit made there stands before the one that was imported; taken back, the table's comes back. */
    bqb_catalogue *c = open_to_write(other);
    annotate(c, 1, BQB_EMOTION_LABEL, "微笑", BQB_EDITED, 1, NULL);
    bqb_catalogue_close(c);
    help_import(other, out, NULL, &r);
    CHECK_STR(believed(other, BQB_EMOTION_LABEL), "微笑 edited 1");
}

TEST(origins_survive_an_export_into_the_source) {
    const char *dir = make_library();
    bqb_import_report r;
    export_to(dir, help_path(dir, "in"));
    for (int round = 0; round < 2; round++) {
        help_import(dir, help_path(dir, "in"), NULL, &r);
        CHECK(r.skipped == 0 && r.added == 0);
        check_all(dir);
    }
    /* What is read anew here is not put back by the table. */
    bqb_catalogue *c = open_to_write(dir);
    annotate(c, 1, BQB_OCR, "啦啦", BQB_OCR_READ, 0.9, NULL);
    bqb_catalogue_close(c);
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK_STR(believed(dir, BQB_OCR), "啦啦 ocr 0.9");
}

/* Words of the file's name are searched even where another caption is believed, so they have to come back, too. */
TEST(origins_keep_what_the_name_of_the_file_said) {
    const char *dir = make_library();
    char other[600], out[600];
    bqb_import_report r;
    uint64_t n = 0;
    snprintf(out, sizeof out, "%s", help_path(dir, "out"));
    snprintf(other, sizeof other, "%s", help_path(dir, "other"));
    bqb_catalogue *c = open_to_write(dir);
    annotate(c, 1, BQB_CAPTION, "橘狗", BQB_GIVEN, 1, help_path(dir, "in/小猫.png"));
    bqb_catalogue_close(c);
    export_to(dir, out);
    for (int round = 0; round < 2; round++) {
        help_import(other, out, NULL, &r);
        CHECK(r.skipped == 0 && r.annotated == 0);
        CHECK_STR(believed(other, BQB_CAPTION), "橘狗 given 1");
        c = help_open(other);
        CHECK_OK(bqb_catalogue_word_count(c, "猫", 3, &n, &err), err);
        CHECK_MSG(n == 1, "%d", (int)n);
        bqb_catalogue_close(c);
    }
    /* A name that says something itself goes before the one that it had. */
    CHECK(!rename(help_path(dir, "in/小猫.png"), help_path(dir, "in/大鸟.png")));
    help_text(dir, "in/captions.tsv", "file\tcaption\tfilename\n大鸟.png\t橘狗\t小猫\n");
    help_import(help_path(dir, "third"), help_path(dir, "in"), NULL, &r);
    c = help_open(help_path(dir, "third"));
    CHECK_OK(bqb_catalogue_word_count(c, "猫", 3, &n, &err), err);
    CHECK(n == 0);
    CHECK_OK(bqb_catalogue_word_count(c, "鸟", 3, &n, &err), err);
    CHECK(n == 1);
    bqb_catalogue_close(c);
}

/* A reader's name that no table takes, as a long message about a failure is, must not spoil the export. */
TEST(origins_leave_out_readings_that_would_be_refused) {
    const char *dir = make_library();
    char other[600], out[600], why[400];
    bqb_import_report r;
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = 0;
    snprintf(out, sizeof out, "%s", help_path(dir, "out"));
    snprintf(other, sizeof other, "%s", help_path(dir, "other"));
    bqb_catalogue *c = open_to_write(dir);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_reading(c, 1, why, "", &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_catalogue_close(c);
    export_to(dir, out);
    help_import(other, out, NULL, &r);
    CHECK(r.added == 1 && r.skipped == 0);
}

/* Who says so changes with the table: of one path only the last counts. */
TEST(origins_of_a_table_that_changes) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/IMG_1.png", 255, 0, 0);
    static const char *const said[][2] = {
        {"哈\t", "哈 given 1"}, {"哈\tocr=ocr:0.5", "哈 ocr 0.5"}, {"哈\tocr=edited", "哈 edited 1"}, {"嘿\t", "嘿 given 1"},
        {"哼\tocr=zero-shot:0.25", "哼 zero-shot 0.25"}};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        char tsv[200];
        snprintf(tsv, sizeof tsv, "file\tocr\torigins\nIMG_1.png\t%s\n", said[i][0]);
        help_text(dir, "in/captions.tsv", tsv);
        help_import(dir, help_path(dir, "in"), NULL, &r);
        CHECK_STR(believed(dir, BQB_OCR), said[i][1]);
        CHECK(r.annotated == (i > 0));
    }
}

typedef struct {
    char text[2000];
} told;

static void listen(void *ctx, const char *path, const char *reason) {
    told *t = ctx;
    (void)path;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s\n", reason);
}

TEST(origins_that_are_broken_are_told_with_their_line) {
    const char *dir = test_tmp_dir();
    help_png(dir, "in/IMG_1.png", 255, 0, 0);
    help_png(dir, "in/IMG_2.png", 0, 255, 0);
    help_text(dir, "in/captions.tsv", "\xEF\xBB\xBF" "file\tcaption\tocr\torigins\treading\r\n"
                                      "IMG_1.png\t猫\t哈\tocr=ocr:nan\t\r\n"
                                      "IMG_2.png\t狗\t嘿\tocr=ocr:0.5\tme\\n7\\tx\r\n");
    told t = {""};
    const char *path = help_path(dir, "in");
    bqb_catalogue *c = open_to_write(dir);
    bqb_import_options o = {.skip = listen, .ctx = &t};
    bqb_import_report r;
    CHECK_OK(bqb_library_import(c, &path, 1, &o, &r, &err), err);
    bqb_catalogue_close(c);
    CHECK(r.added == 2 && r.skipped == 2);
    CHECK_MSG(strstr(t.text, "line 2, origins: \"ocr=ocr:nan\": the score has to be a number from 0 to 1; its ocr is left out\n"), "%s", t.text);
    CHECK_MSG(strstr(t.text, "line 3, reading: its line 1 is not a weight"), "%s", t.text);
    CHECK_STR(believed(dir, BQB_CAPTION), "猫 given 1");
    CHECK_STR(believed(dir, BQB_OCR), "  0");
}
