#include "library/zip_set.h"

#include "file/zip_name.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What came of an archive, a line each: "+ NAME caption" or "- NAME reason". */
typedef struct {
    char text[4096];
    size_t n;
    bool stop;
} story;

static bqb_status take(void *ctx, const bqb_zip_sticker *x, bqb_err *err) {
    story *t = ctx;
    const char *caption = x->note.field[BQB_CAPTION];
    snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "+ %s %s%s\n", x->name, x->listed ? "listed " : "",
             caption ? caption : "");
    if (x->own.origins && *x->own.origins) snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "  %s | %s\n", x->own.origins, x->own.reading);
    t->n++;
    CHECK(x->size > 8 && !memcmp(x->data, "\x89PNG", 4));
    return t->stop ? bqb_fail(err, BQB_EIO, "enough") : BQB_OK;
}

static void skip(void *ctx, const char *name, const char *reason) {
    story *t = ctx;
    snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "- %s %s\n", name, reason);
}

static void read_fixture(story *t, const char *name, size_t *others) {
    char part[200];
    bqb_err err = {0};
    bqb_zip_reader r = {.sticker = take, .skip = skip, .ctx = t};
    *t = (story){.n = 0};
    snprintf(part, sizeof part, "../fuzz/corpus/zip_set/%s", name);
    CHECK_OK(bqb_zip_set_each(test_path(part), &r, others, &err), err);
}

TEST(zip_set_reads_names_in_every_encoding) {
    story t;
    size_t others = 0;
    read_fixture(&t, "names", &others);
    CHECK_STR(t.text, "- 夹/captions.tsv line 4 names no file of the archive\n"
                      "+ café.png \n+ dir/win.png \n+ no ext \n+ 夹/一.png listed 说明\n+ 好累啊.png \n+ 猫猫.png \n"
                      "- 夹/no.png captions.tsv names it, but it is not in the archive\n");
    CHECK(others == 1);
}

TEST(zip_set_tells_what_it_leaves_out) {
    static const char *const told[] = {
        "- ../up.png its name would leave", "- /abs.png its name would leave", "- C:/x.png its name would leave",
        "- a/../../x.png its name would leave", "- twice.png the name is there twice", "- big.png it is left packed",
        "- bz.png it is compressed by", "- liar.png it is damaged", "- locked.png it is encrypted",
        "- text.png found text, needed a picture"};
    story t;
    size_t others;
    read_fixture(&t, "hostile", &others);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        CHECK_MSG(strstr(t.text, told[i]) != NULL, "no \"%s\" in:\n%s", told[i], t.text);
    CHECK(t.n == 1 && strstr(t.text, "+ twice.png \n"));
}

TEST(zip_set_tables_belong_to_their_folder) {
    story t;
    size_t others;
    read_fixture(&t, "table", &others);
    CHECK(t.n == 1 && strstr(t.text, "+ a/b.png listed B\n")); /* the first of two lines */
    CHECK(strstr(t.text, "- captions.tsv its header line has no column \"file\"\n") != NULL);
    CHECK(strstr(t.text, "- a/captions.tsv 1 broken line left out, the first is line 2\n") != NULL);
}

TEST(zip_set_tables_say_who_says_so) {
    story t;
    size_t others;
    read_fixture(&t, "origins", &others);
    CHECK_MSG(strstr(t.text, "+ a.png listed 猫\n  caption=ocr:0.5 | me\n0.5\t喵\n\n"), "%s", t.text);
    CHECK_MSG(strstr(t.text, "- captions.tsv line 3, origins: \"caption=who\": who says so has to be"), "%s", t.text);
}

TEST(zip_set_ends_with_its_reader) {
    story t = {.stop = true};
    bqb_zip_reader r = {.sticker = take, .skip = skip, .ctx = &t};
    bqb_err err = {0};
    CHECK(bqb_zip_set_each(test_path("../fuzz/corpus/zip_set/names"), &r, NULL, &err) == BQB_EIO && t.n == 1);
    CHECK(bqb_zip_set_each(test_path("unit/test_zip_set.c"), &r, NULL, &err) == BQB_EFORMAT);
    CHECK(bqb_is_zip(test_path("../fuzz/corpus/zip_set/names")) && !bqb_is_zip(test_path("unit/test_zip_set.c")));
}

TEST(zip_names_that_leave_the_folder) {
    static const char *const good[] = {"a", "a/b", "..a/b", "a/..b", "a.b", "..."};
    static const char *const bad[] = {"", "/a", "..", "../a", "a/..", "a/../b", "C:/a", "a\nb", "a/\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK_MSG(bqb_zip_name_is_safe(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_MSG(!bqb_zip_name_is_safe(bad[i]), "%s", bad[i]);
}
