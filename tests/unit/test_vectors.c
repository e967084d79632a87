/* The cache of vectors: added to where that is enough, made again where it is not, never believed when it is not whole. */
#define _GNU_SOURCE
#include "library_help.h"
#include "test.h"

#include "file/safetensors.h"
#include "library/vectors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIM = 3 };
static bqb_err err;

static bqb_catalogue *open_library(const char *dir) {
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    return c;
}

static void vector_of(float *v, unsigned i) {
    v[0] = 0.6f;
    v[1] = i % 2 ? 0.8f : 0;
    v[2] = i % 2 ? 0 : 0.8f;
}

/* Add stickers number from … from + n - 1, each with a file and a vector. */
static bqb_sticker_id add(bqb_catalogue *c, unsigned from, unsigned n) {
    bqb_sticker s = {0};
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (unsigned i = from; i < from + n; i++) {
        bool added;
        char path[40];
        float v[DIM];
        s = (bqb_sticker){.format = "png", .frames = 1};
        memcpy(s.sha256, &i, sizeof i);
        snprintf(path, sizeof path, "/%u", i);
        vector_of(v, i);
        CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
        CHECK_OK(bqb_catalogue_put_file(c, path, &(bqb_file){.sticker = s.id}, &err), err);
        CHECK_OK(bqb_catalogue_put_embedding(c, s.id, MODEL_A, "image", v, DIM, &err), err);
    }
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    return s.id;
}

/* Which file the cache is: another after it was made again. */
static ino_t cache_file(const char *dir) {
    struct stat st = {0};
    CHECK(!stat(help_path(dir, "lib/cache/image-aaaaaaaaaaaaaaaa.vectors"), &st));
    return st.st_ino;
}

static bqb_vectors *open_vectors(bqb_catalogue *c) {
    bqb_vectors *v = NULL;
    CHECK_OK(bqb_vectors_open(&v, c, MODEL_A, "image", &err), err);
    return v;
}

static bool same(const bqb_vectors *a, const bqb_vectors *b) {
    if (a->n != b->n || a->dim != b->dim) return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->id[i] != b->id[i] || memcmp(a->f16 + i * a->dim, b->f16 + i * b->dim, a->dim * 2) ||
            memcmp(a->i8 + i * a->stride, b->i8 + i * b->stride, a->stride) || a->scale[i] != b->scale[i] || a->err[i] != b->err[i])
            return false;
    return true;
}

/* Does the cache hold what one made from nothing would? */
static void check_sound(const char *dir, bqb_catalogue *c, size_t n) {
    const char *path = help_path(dir, "lib/cache/image-aaaaaaaaaaaaaaaa.vectors");
    char kept[500];
    snprintf(kept, sizeof kept, "%s.kept", path);
    bqb_vectors *v = open_vectors(c);
    CHECK(!rename(path, kept));
    bqb_vectors *fresh = open_vectors(c);
    CHECK(!rename(kept, path));
    CHECK_MSG(v && fresh && v->n == n && same(v, fresh), "the cache is not what it should be");
    bqb_vectors_close(v);
    bqb_vectors_close(fresh);
}

TEST(vectors_are_added_to) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    add(c, 0, 10000);
    bqb_vectors *before = open_vectors(c);
    ino_t file = cache_file(dir);
    add(c, 10000, 1);
    bqb_vectors *after = open_vectors(c);
    CHECK_MSG(cache_file(dir) == file, "one more sticker made the cache anew");
    CHECK(before && after && before->n == 10000 && after->n == 10001);
    for (unsigned i = 1; i < 20; i++) add(c, 10000 + 50 * i, i == 7 ? 30 : 1);
    bqb_vectors_close(open_vectors(c));
    CHECK(cache_file(dir) == file);
    bqb_catalogue_stats t;
    CHECK_OK(bqb_catalogue_get_stats(c, &t, &err), err);
    check_sound(dir, c, (size_t)t.stickers);
    CHECK(cache_file(dir) == file);
    add(c, 30000, 2000); /* more than there is room for */
    bqb_vectors_close(open_vectors(c));
    CHECK(cache_file(dir) != file);
    bqb_vectors_close(before);
    bqb_vectors_close(after);
    bqb_catalogue_close(c);
}

TEST(vectors_are_made_again_where_adding_is_not_enough) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    float v[DIM] = {0, 0, 1};
    add(c, 0, 100);
    bqb_sticker_id last = add(c, 100, 1);
    bqb_vectors_close(open_vectors(c));
    for (int what = 0; what < 4; what++) {
        ino_t file = cache_file(dir);
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        if (what == 0) CHECK_OK(bqb_catalogue_remove(c, 5, &err), err);
        if (what == 1) CHECK_OK(bqb_catalogue_put_embedding(c, 7, MODEL_A, "image", v, DIM, &err), err);
        if (what >= 2) CHECK_OK(bqb_catalogue_put_file(c, "/100", &(bqb_file){.sticker = last, .missing = what == 2}, &err), err);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        add(c, 1000 + (unsigned)what, 1); /* and one more, which alone could be added */
        bqb_vectors_close(open_vectors(c));
        CHECK_MSG(cache_file(dir) != file, "change %d was lost", what);
        check_sound(dir, c, what == 0 ? 101 : what == 1 ? 102 : what == 2 ? 102 : 104);
    }
    bqb_catalogue_close(c);
}

/* Overwrite one number of a row in the cache's file, which only making it anew would put right. */
static void spoil(const char *dir, bqb_catalogue *c, bqb_sticker_id id, int8_t number) {
    bqb_vectors *v = open_vectors(c);
    if (!v) return;
    int fd = open(help_path(dir, "lib/cache/image-aaaaaaaaaaaaaaaa.vectors"), O_WRONLY);
    size_t head = 256, at = (size_t)((const char *)v->i8 - (const char *)v->id) + head + bqb_vectors_row(v, id) * v->stride;
    CHECK(fd >= 0 && pwrite(fd, &number, 1, (off_t)at) == 1);
    close(fd);
    bqb_vectors_close(v);
}

static int8_t first_number(bqb_catalogue *c, bqb_sticker_id id, size_t *n) {
    bqb_vectors *v = open_vectors(c);
    size_t row = v ? bqb_vectors_row(v, id) : SIZE_MAX;
    int8_t number = row == SIZE_MAX ? 0 : v->i8[row * v->stride];
    *n = v ? v->n : 0;
    bqb_vectors_close(v);
    return number;
}

/* What became of single stickers is followed: all other rows are carried over as they are. */
TEST(vectors_follow_single_stickers) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    float v[DIM] = {0, 0, 1};
    size_t n = 300, now;
    bqb_sticker bare = {.format = "png", .frames = 1, .sha256 = {7, 7, 7}};
    bool added;
    bqb_sticker_id last = add(c, 0, (unsigned)n);
    static const int more[] = {-1, 1, -1, 2, -1, 0, 1, 0};
    for (int what = 0; what < 8; what++) {
        int8_t was = first_number(c, 150, &now);
        CHECK(now == n && was != 77);
        spoil(dir, c, 150, 77);
        CHECK_OK(bqb_catalogue_begin(c, &err), err);
        if (what == 0) CHECK_OK(bqb_catalogue_remove(c, 5, &err), err);
        if (what == 1) CHECK_OK(bqb_catalogue_put_embedding(c, 7, MODEL_A, "image", v, DIM, &err), err);
        if (what == 2 || what == 3) CHECK_OK(bqb_catalogue_put_file(c, "/200", &(bqb_file){.sticker = 201, .missing = what == 2}, &err), err);
        if (what == 4) CHECK_OK(bqb_catalogue_remove(c, last, &err), err);
        if (what == 5) CHECK_OK(bqb_catalogue_remove(c, 1, &err), err);
        if (what == 6) CHECK_OK(bqb_catalogue_put_sticker(c, &bare, &added, &err), err); /* one without a vector, one behind it, */
        if (what == 7) CHECK_OK(bqb_catalogue_remove(c, last, &err), err);               /* which goes; now the first gets its own */
        if (what == 7) CHECK_OK(bqb_catalogue_put_embedding(c, bare.id, MODEL_A, "image", v, DIM, &err), err);
        CHECK_OK(bqb_catalogue_commit(c, &err), err);
        if (what == 1 || what == 3 || what == 5 || what == 6) last = add(c, 1000 + (unsigned)what, 1); /* and a new one behind all others */
        CHECK_MSG(first_number(c, 150, &now) == 77, "change %d: the cache was made anew", what);
        n += (size_t)more[what];
        CHECK_MSG(now == n, "change %d: %zu rows, expected %zu", what, now, n);
        spoil(dir, c, 150, was);
        check_sound(dir, c, n);
    }
    bqb_catalogue_close(c);
}

/* Where very many changed it is made anew. */
TEST(vectors_follow_no_crowd) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    size_t now;
    add(c, 0, 6000);
    int8_t was = first_number(c, 5500, &now);
    spoil(dir, c, 5500, 77);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (bqb_sticker_id id = 1; id <= 5000; id++) CHECK_OK(bqb_catalogue_remove(c, id, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    CHECK(first_number(c, 5500, &now) == was && now == 1000);
    bqb_catalogue_close(c);
}

TEST(vectors_changed_without_new_ones) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    bqb_sticker s = {.format = "png", .frames = 1, .sha256 = {9, 9}};
    bool added;
    add(c, 0, 10);
    bqb_vectors_close(open_vectors(c));
    ino_t file = cache_file(dir);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err); /* without a vector */
    CHECK_OK(bqb_catalogue_put_file(c, "/x", &(bqb_file){.sticker = s.id}, &err), err);
    CHECK_OK(bqb_catalogue_put_file(c, "/copy of 1", &(bqb_file){.sticker = 2}, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_vectors_close(open_vectors(c));
    CHECK(cache_file(dir) == file);
    add(c, 100, 1);
    bqb_vectors_close(open_vectors(c));
    float v[DIM] = {0, 0, 1};
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_embedding(c, s.id, MODEL_A, "image", v, DIM, &err), err); /* late: not behind the last */
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_vectors_close(open_vectors(c));
    CHECK(cache_file(dir) != file);
    check_sound(dir, c, 12);
    bqb_catalogue_close(c);
}

/* Every byte of the head, wrong: the answer is right all the same. */
TEST(vectors_of_a_damaged_cache) {
    const char *dir = test_tmp_dir();
    bqb_catalogue *c = open_library(dir);
    add(c, 0, 5);
    for (off_t at = 0; at < 256; at += 1) {
        bqb_vectors_close(open_vectors(c));
        int fd = open(help_path(dir, "lib/cache/image-aaaaaaaaaaaaaaaa.vectors"), O_RDWR);
        uint8_t b = 0;
        CHECK(pread(fd, &b, 1, at) == 1);
        b ^= 1;
        CHECK(pwrite(fd, &b, 1, at) == 1);
        close(fd);
        bqb_vectors *v = open_vectors(c);
        CHECK_MSG(v && v->n == 5, "byte %d", (int)at);
        bqb_vectors_close(v);
    }
    check_sound(dir, c, 5);
    bqb_catalogue_close(c);
}
