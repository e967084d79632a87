/* fuzz/corpus/lmdb and tests/lmdb were written by liblmdb 0.9.24 and Python's pickle. */
#include "file/lmdb.h"

#include "base/fs.h"
#include "library/lmdb_set.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *fixture(const char *name) {
    static char path[512];
    char part[200];
    snprintf(part, sizeof part, "../fuzz/corpus/lmdb/%s", name);
    snprintf(path, sizeof path, "%s", test_path(part));
    return path;
}

static const char *tmp_file(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/data.mdb", test_tmp_dir());
    return path;
}

typedef struct {
    size_t n;
    const bqb_lmdb *db;
} counted;

/* The n-th entry of "deep": key and value end in its number. */
static bqb_status check_deep(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    counted *c = ctx;
    char want_key[20], want[20];
    (void)err;
    snprintf(want_key, sizeof want_key, "key%03zu.", c->n);
    snprintf(want, sizeof want, "value%zu", c->n);
    CHECK_MSG(n == 500 && !memcmp(key, want_key, 7), "entry %zu has key %.10s", c->n, (const char *)key);
    CHECK_MSG(size == strlen(want) && !memcmp(data, want, size), "entry %zu has value %.*s", c->n, (int)size, (const char *)data);
    const uint8_t *again = NULL;
    size_t size_again = 0;
    CHECK(!bqb_lmdb_get(c->db, key, n, &again, &size_again, NULL) && again == data && size_again == size);
    /* Its neighbours in the order of keys are not there. */
    CHECK(bqb_lmdb_get(c->db, key, n - 1, &again, &size_again, NULL) == BQB_ENOTFOUND);
    c->n++;
    return BQB_OK;
}

TEST(lmdb_reads_a_tree_of_three_levels) {
    bqb_lmdb *db;
    bqb_err err;
    if (!CHECK_OK(bqb_lmdb_open(&db, fixture("deep"), &err), err)) return;
    counted c = {.db = db};
    CHECK_OK(bqb_lmdb_each(db, check_deep, &c, &err), err);
    CHECK(c.n == 60);
    const uint8_t *data;
    size_t size;
    CHECK(bqb_lmdb_get(db, "a", 1, &data, &size, &err) == BQB_ENOTFOUND && strstr(err.msg, "no key \"a\""));
    CHECK(bqb_lmdb_get(db, "zzz", 3, &data, &size, &err) == BQB_ENOTFOUND);
    CHECK(bqb_lmdb_get(db, "", 0, &data, &size, &err) == BQB_ENOTFOUND);
    bqb_lmdb_close(db);
}

static bqb_status count(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    (void)key, (void)n, (void)data, (void)size, (void)err;
    ++*(size_t *)ctx;
    return BQB_OK;
}

TEST(lmdb_reads_large_values_later_commits_and_nothing) {
    bqb_lmdb *db;
    bqb_err err;
    const uint8_t *data;
    size_t size, n = 0;
    if (CHECK_OK(bqb_lmdb_open(&db, fixture("big"), &err), err)) {
        CHECK(!bqb_lmdb_get(db, "a", 1, &data, &size, &err) && size == 6000 && data[0] == 'x' && data[5999] == 'x');
        CHECK(!bqb_lmdb_get(db, "b", 1, &data, &size, &err) && size == 0);
        CHECK(!bqb_lmdb_get(db, "c", 1, &data, &size, &err) && size == 5 && !memcmp(data, "short", 5));
        CHECK(!bqb_lmdb_get(db, "d", 1, &data, &size, &err) && size == 5000 && data[4999] == 'y');
        bqb_lmdb_close(db);
    }
    if (CHECK_OK(bqb_lmdb_open(&db, fixture("commits"), &err), err)) {
        CHECK(!bqb_lmdb_each(db, count, &n, &err) && n == 25); /* by three commits: the newest counts */
        bqb_lmdb_close(db);
    }
    if (CHECK_OK(bqb_lmdb_open(&db, fixture("empty"), &err), err)) {
        n = 0;
        CHECK(!bqb_lmdb_each(db, count, &n, &err) && n == 0);
        CHECK(bqb_lmdb_get(db, "a", 1, &data, &size, &err) == BQB_ENOTFOUND);
        bqb_lmdb_close(db);
    }
    char folder[512]; /* a damaged one is one: opening says what is wrong with it */
    snprintf(folder, sizeof folder, "%s", test_tmp_dir());
    CHECK(!bqb_is_lmdb(folder));
    CHECK(!bqb_file_write(tmp_file(), "", 0, NULL) && bqb_is_lmdb(folder) && !bqb_is_lmdb(tmp_file()));
    bqb_lmdb *none;
    bqb_err why = {0};
    CHECK(bqb_lmdb_open(&none, folder, &why) == BQB_EFORMAT && strstr(why.msg, "data.mdb: 0 bytes"));
    CHECK(bqb_is_lmdb(fixture("big")) && !bqb_is_lmdb(test_path("test.h")) && !bqb_is_lmdb(test_path("lmdb")));
}

/* The file with one byte changed, or cut: what is said of reading all of it. */
static void check_damage(const char *name, long at, int byte, bqb_status status, const char *words) {
    char *bytes;
    size_t n, entries = 0;
    bqb_err err = {0};
    bqb_lmdb *db = NULL;
    if (!CHECK_OK(bqb_file_read(&bytes, &n, fixture(name), 1 << 20, &err), err)) return;
    if (byte < 0) n = (size_t)at;
    else bytes[at] = (char)byte;
    CHECK_OK(bqb_file_write(tmp_file(), bytes, n, &err), err);
    bqb_status s = bqb_lmdb_open(&db, test_tmp_dir(), &err);
    if (!s) s = bqb_lmdb_each(db, count, &entries, &err);
    CHECK_MSG(s == status && strstr(err.msg, words) && strstr(err.msg, "data.mdb"), "%s, byte %ld: status %d, \"%s\", expected \"%s\"",
              name, at, (int)s, err.msg, words);
    bqb_lmdb_close(db);
    free(bytes);
}

/* Where the newer root of "big" is, and in it the first node. */
static void find_root(long *root, long *node) {
    char *bytes = NULL;
    bqb_err err;
    *root = *node = 0;
    if (!CHECK_OK(bqb_file_read(&bytes, NULL, fixture("big"), 1 << 20, &err), err)) return;
    long meta = bytes[144] > bytes[4096 + 144] ? 0 : 4096;
    *root = 4096L * (unsigned char)bytes[meta + 128];
    *node = *root + (unsigned char)bytes[*root + 16] + 256L * (unsigned char)bytes[*root + 17];
    free(bytes);
}

TEST(lmdb_refuses_damage) {
    long root, node;
    find_root(&root, &node);
    check_damage("big", 0, -1, BQB_EFORMAT, "no LMDB database");
    check_damage("big", 4096, -1, BQB_EFORMAT, "second page is missing");
    check_damage("big", 8192, -1, BQB_EFORMAT, "is asked for, the file has 2");
    check_damage("big", 16, 0, BQB_EFORMAT, "not an LMDB database");
    check_damage("big", 20, 9, BQB_EUNSUPPORTED, "version 9");
    check_damage("big", 41, 17, BQB_EFORMAT, "pages of");
    check_damage("big", root, 77, BQB_EFORMAT, "says that it is another");
    check_damage("big", root + 10, 1, BQB_EFORMAT, "is no leaf");
    check_damage("big", root + 13, 0xff, BQB_EFORMAT, "has a broken head");
    check_damage("big", root + 12, 16, BQB_EFORMAT, "is empty");
    check_damage("big", root + 17, 0xff, BQB_EFORMAT, "has a node outside itself");
    check_damage("big", node + 7, 0xff, BQB_EFORMAT, "has a key that goes past its end");
    check_damage("big", node + 4, 0, BQB_EFORMAT, "has a value that goes past its end");
    check_damage("big", node + 4, 2, BQB_EUNSUPPORTED, "databases or duplicates");
    check_damage("big", node + 1, 0xff, BQB_EFORMAT, "does not hold the value that it should");
    check_damage("big", node + 9 + 6, 1, BQB_EFORMAT, "has a value outside the file");
    check_damage("big", node + 8, 'c', BQB_EFORMAT, "has keys that do not rise");
    check_damage("empty", 88 + 4, 4, BQB_EUNSUPPORTED, "in an order");
}

/* A tree whose root has one child many times over: not walked again and again. */
TEST(lmdb_refuses_a_tree_that_shares_its_branches) {
    char *bytes = NULL;
    size_t n, entries = 0;
    bqb_err err = {0};
    bqb_lmdb *db = NULL;
    if (!CHECK_OK(bqb_file_read(&bytes, &n, fixture("deep"), 1 << 20, &err), err)) return;
    long meta = bytes[144] > bytes[4096 + 144] ? 0 : 4096, root = 4096L * (unsigned char)bytes[meta + 128];
    bytes[root + 18] = bytes[root + 16]; /* the second node is the first */
    bytes[root + 19] = bytes[root + 17];
    CHECK_OK(bqb_file_write(tmp_file(), bytes, n, &err), err);
    if (CHECK_OK(bqb_lmdb_open(&db, tmp_file(), &err), err))
        CHECK(bqb_lmdb_each(db, count, &entries, &err) == BQB_EFORMAT && strstr(err.msg, "keys that do not rise"));
    bqb_lmdb_close(db);
    free(bytes);
}

/* ---- the two layouts ---- */

typedef struct {
    const bqb_lmdb_set *set;
    char said[2000];
} heard;

static bqb_status hear(void *ctx, const bqb_lmdb_sticker *x, bqb_err *err) {
    heard *h = ctx;
    bqb_buf picture = {.max = 1 << 20};
    size_t at = strlen(h->said);
    bqb_status s = bqb_lmdb_set_picture(h->set, &picture, x->data, x->size, err);
    CHECK(!s && picture.len > 60);
    snprintf(h->said + at, sizeof h->said - at, "%s %02x:", x->id, s ? 0 : (unsigned char)picture.data[1]);
    for (size_t f = 0; f < BQB_FIELDS; f++) {
        at = strlen(h->said);
        if (x->note.field[f]) snprintf(h->said + at, sizeof h->said - at, " %s", x->note.field[f]);
    }
    at = strlen(h->said);
    snprintf(h->said + at, sizeof h->said - at, " %zu\n", x->n_texts);
    bqb_buf_free(&picture);
    return BQB_OK;
}

static void hear_skip(void *ctx, const char *id, bool missing, const char *reason) {
    heard *h = ctx;
    size_t at = strlen(h->said);
    (void)reason;
    snprintf(h->said + at, sizeof h->said - at, "%s %s\n", missing ? "missing" : "broken", id);
}

static void check_set(const char *name, const char *want) {
    static heard h;
    bqb_lmdb_set *set;
    bqb_err err;
    h = (heard){0};
    if (!CHECK_OK(bqb_lmdb_set_open(&set, test_path(name), &err), err)) return;
    h.set = set;
    CHECK_OK(bqb_lmdb_set_each(set, hear, hear_skip, &h, &err), err);
    CHECK_STR(h.said, want);
    bqb_lmdb_set_close(set);
}

TEST(lmdb_set_reads_chinese_clip) {
    CHECK(bqb_is_lmdb_set(test_path("lmdb/chinese_clip")) && !bqb_is_lmdb_set(test_path("lmdb")));
    check_set("lmdb/chinese_clip", "17 50: 一只猫；开心的猫；猫0；猫1；猫2；猫3；猫4；猫5；猫6 9\n"
                                   "200 49: 动起来 1\n5 d8: 绿色的方块 1\n9 50:  0\nmissing 404\n");
}

TEST(lmdb_set_reads_sticker820k_whole_and_by_list) {
    CHECK(bqb_is_lmdb_set(test_path("lmdb/sticker820k")) && bqb_is_lmdb_list(test_path("lmdb/sticker820k/train.txt")));
    CHECK(!bqb_is_lmdb_list(test_path("test.h")) && !bqb_is_lmdb_list(test_path("lmdb/sticker820k")));
    check_set("lmdb/sticker820k", "a/猫.png 50: 一只开心的猫 开心 积极 卡通 哈哈 0\n"
                                  "b.gif 49: 跳舞的人 其他/中性 其他类型   0\nc.jpg d8: 绿色    好 0\nmissing gone.png\n");
    check_set("lmdb/sticker820k/train.txt", "a/猫.png 50: 一只开心的猫 开心 积极 卡通 哈哈 0\n"
                                            "b.gif 49: 跳舞的人 其他/中性 其他类型   0\nmissing nowhere.png\n");
    check_set("lmdb/sticker820k/valid.txt", "c.jpg d8: 绿色    好 0\n");
}
