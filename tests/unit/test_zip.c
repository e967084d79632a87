#include "file/zip.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *fixture(const char *name) {
    static char path[512];
    char part[200];
    snprintf(part, sizeof part, "../fuzz/corpus/zip/%s", name);
    snprintf(path, sizeof path, "%s", test_path(part));
    return path;
}

static const char *tmp_file(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/a.zip", test_tmp_dir());
    return path;
}

static void check_entry(bqb_zip *z, const char *name, const char *want) {
    const bqb_zip_entry *e = bqb_zip_find(z, name);
    const uint8_t *data = NULL;
    bqb_err err;
    if (!CHECK_MSG(e != NULL, "entry %s is missing", name)) return;
    if (CHECK_OK(bqb_zip_data(z, e, &data, &err), err))
        CHECK(e->size == strlen(want) && !memcmp(data, want, strlen(want)));
}

/* Written by Python's zipfile, zip64 by hand and read back by it. */
TEST(zip_reads_stored_deflated_and_zip64) {
    bqb_zip *z;
    bqb_err err;
    char abc[121] = "";
    for (int i = 0; i < 40; i++) strcat(abc, "abc");
    if (CHECK_OK(bqb_zip_open(&z, fixture("plain"), &err), err)) {
        CHECK(bqb_zip_count(z) == 2 && !bqb_zip_find(z, "b"));
        CHECK_STR(bqb_zip_at(z, 0)->name, "a");
        check_entry(z, "a", "1");
        check_entry(z, "b/two", "22");
        bqb_zip_close(z);
    }
    if (CHECK_OK(bqb_zip_open(&z, fixture("deflated"), &err), err)) {
        CHECK(bqb_zip_find(z, "text")->method == 8);
        check_entry(z, "text", abc);
        check_entry(z, "text", abc);
        check_entry(z, "empty", "");
        bqb_zip_close(z);
    }
    if (CHECK_OK(bqb_zip_open(&z, fixture("wide"), &err), err)) {
        check_entry(z, "a", "sixty-four");
        bqb_zip_close(z);
    }
    if (CHECK_OK(bqb_zip_open(&z, fixture("zip64"), &err), err)) {
        check_entry(z, "w", "wide data");
        bqb_zip_close(z);
    }
    if (CHECK_OK(bqb_zip_open(&z, fixture("empty"), &err), err)) {
        CHECK(!bqb_zip_count(z));
        bqb_zip_close(z);
    }
}

TEST(zip_round_trip_is_aligned) {
    bqb_zip_writer w = {0};
    bqb_zip *z;
    bqb_err err;
    if (!CHECK_OK(bqb_zip_writer_open(&w, tmp_file(), &err), err)) return;
    CHECK_OK(bqb_zip_writer_add(&w, "folder/one", "first", 5, &err), err);
    CHECK_OK(bqb_zip_writer_add(&w, "nothing", "", 0, &err), err);
    CHECK_OK(bqb_zip_writer_add(&w, "two", "second", 6, &err), err);
    CHECK_OK(bqb_zip_writer_commit(&w, &err), err);
    bqb_zip_writer_abort(&w);
    if (!CHECK_OK(bqb_zip_open(&z, tmp_file(), &err), err)) return;
    CHECK(bqb_zip_count(z) == 3);
    check_entry(z, "folder/one", "first");
    check_entry(z, "nothing", "");
    check_entry(z, "two", "second");
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *data = NULL;
        CHECK(!bqb_zip_data(z, bqb_zip_at(z, i), &data, &err) && (uintptr_t)data % 64 == 0);
    }
    bqb_zip_close(z);
}

static void check_damage(const char *name, size_t at, int byte, const char *words) {
    char *bytes;
    size_t n;
    bqb_err err = {0};
    bqb_zip *z = NULL;
    const uint8_t *data;
    if (!CHECK_OK(bqb_file_read(&bytes, &n, fixture(name), 1 << 16, &err), err)) return;
    if (byte < 0) n = at;
    else bytes[at] = (char)byte;
    CHECK_OK(bqb_file_write(tmp_file(), bytes, n, &err), err);
    free(bytes);
    bqb_status s = bqb_zip_open(&z, tmp_file(), &err);
    for (size_t i = 0; !s && i < bqb_zip_count(z); i++) s = bqb_zip_data(z, bqb_zip_at(z, i), &data, &err);
    CHECK_MSG(s && strstr(err.msg, words) && strstr(err.msg, "a.zip"), "%s, byte %zu: status %d, \"%s\", expected \"%s\"",
              name, at, (int)s, err.msg, words);
    bqb_zip_close(z);
}

TEST(zip_refuses_damage) {
    check_damage("plain", 0, -1, "no directory at its end");
    check_damage("plain", 150, -1, "no directory at its end");
    check_damage("zip64", 200, -1, "no directory at its end");
    check_damage("zip64", 60, 'X', "entry 0 of its directory is broken");
    check_damage("zip64", 60 + 24, 0, "is not at byte");
    check_damage("zip64", 60 + 28, 0xff, "cut short");
    check_damage("zip64", 60 + 46, 'v', "has another name");
    check_damage("zip64", 60 + 46, 0, "no proper name");
    check_damage("zip64", 60 + 49, 2, "extra fields are broken");
    check_damage("zip64", 60 + 51, 1, "two sizes differ");
    check_damage("zip64", 60 + 51 + 8 + 6, 1, "goes past the end of the file");
    check_damage("zip64", 60 + 51 + 16 + 7, 1, "is not at byte");
    check_damage("zip64", 60 + 10, 12, "a method other than deflate");
    check_damage("zip64", 60 + 8, 1, "encrypted");
    check_damage("deflated", 35, 0x55, "does not inflate");
}
