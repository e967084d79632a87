/* Databases that are written are read back, by a reader that takes nothing on trust (test_lmdb.c has liblmdb's own). */
#include "test.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/lmdb.h"
#include "file/lmdb_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;

/* The value of key i: sizes from nothing to several pages, past every boundary. */
static size_t size_of(size_t i) {
    static const size_t sizes[] = {0, 1, 2, 100, 2000, 2015, 2016, 2017, 2018, 2022, 2025, 2026, 2027, 2030, 2040, 4079, 4080, 4081, 9000};
    return sizes[i % (sizeof sizes / sizeof *sizes)];
}

static void key_of(char *key, size_t i) { snprintf(key, 32, "%zu", i); }

typedef struct {
    size_t n;
} counter;

static bqb_status count(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *e) {
    char name[32] = "";
    (void)e;
    if (n < sizeof name) memcpy(name, key, n);
    size_t i = strtoul(name, NULL, 10);
    CHECK(size == size_of(i));
    for (size_t k = 0; k < size; k++)
        if (data[k] != (uint8_t)(i + k)) {
            CHECK_MSG(false, "key %zu, byte %zu", i, k);
            break;
        }
    ((counter *)ctx)->n++;
    return BQB_OK;
}

static void write_and_read(size_t n) {
    char dir[600], key[32];
    snprintf(dir, sizeof dir, "%s/db%zu", test_tmp_dir(), n);
    bqb_lmdb_writer *w = NULL;
    uint8_t *data = malloc(9000);
    CHECK_OK(bqb_lmdb_writer_open(&w, dir, &err), err);
    for (size_t i = n; i-- > 0;) { /* not in order */
        key_of(key, i);
        for (size_t k = 0; k < size_of(i); k++) data[k] = (uint8_t)(i + k);
        CHECK_OK(bqb_lmdb_writer_put(w, key, data, size_of(i), &err), err);
    }
    CHECK(!bqb_is_lmdb(dir)); /* not before it is whole */
    CHECK_OK(bqb_lmdb_writer_commit(w, &err), err);
    bqb_lmdb_writer_close(w);
    bqb_lmdb *db = NULL;
    counter c = {0};
    CHECK_OK(bqb_lmdb_open(&db, dir, &err), err);
    CHECK_OK(bqb_lmdb_each(db, count, &c, &err), err);
    CHECK_MSG(c.n == n, "%zu of %zu", c.n, n);
    for (size_t i = 0; i < n; i += 1 + n / 50) {
        const uint8_t *found;
        size_t size;
        key_of(key, i);
        CHECK_OK(bqb_lmdb_get(db, key, strlen(key), &found, &size, &err), err);
        CHECK(size == size_of(i));
    }
    const uint8_t *found;
    size_t size;
    CHECK(bqb_lmdb_get(db, "x", 1, &found, &size, &err) == BQB_ENOTFOUND);
    bqb_lmdb_close(db);
    free(data);
}

TEST(lmdb_write_is_read_back) {
    static const size_t counts[] = {0, 1, 2, 3, 19, 200, 3000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) write_and_read(counts[i]);
}

TEST(lmdb_write_refuses_what_cannot_be) {
    char dir[600], key[600];
    snprintf(dir, sizeof dir, "%s/db", test_tmp_dir());
    bqb_lmdb_writer *w = NULL;
    memset(key, 'k', sizeof key);
    key[512] = 0;
    CHECK_OK(bqb_lmdb_writer_open(&w, dir, &err), err);
    CHECK(bqb_lmdb_writer_put(w, "", "x", 1, &err) == BQB_EINVAL);
    CHECK(bqb_lmdb_writer_put(w, key, "x", 1, &err) == BQB_EINVAL);
    key[511] = 0;
    CHECK_OK(bqb_lmdb_writer_put(w, key, "x", 1, &err), err);
    CHECK_OK(bqb_lmdb_writer_put(w, key, "y", 1, &err), err);
    CHECK(bqb_lmdb_writer_commit(w, &err) == BQB_EINVAL && strstr(err.msg, "twice"));
    bqb_lmdb_writer_close(w);
    CHECK(!bqb_is_lmdb(dir));
}
