#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "base/words.h"
#include "test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- err */

TEST(err_message_and_code) {
    bqb_err err = {0};
    CHECK(bqb_fail(&err, BQB_EFORMAT, "%s: line %d", "a.tsv", 3) == BQB_EFORMAT);
    CHECK(err.code == BQB_EFORMAT && err.pos == -1);
    CHECK_STR(err.msg, "a.tsv: line 3");
    CHECK(bqb_fail_at(&err, BQB_ELIMIT, 77, "too long") == BQB_ELIMIT);
    CHECK(err.pos == 77);
    bqb_err_prefix(&err, "b.json");
    CHECK_STR(err.msg, "b.json: too long");
    CHECK(bqb_fail(NULL, BQB_EIO, "nobody listens") == BQB_EIO);
    bqb_err_prefix(NULL, "nobody");
}

TEST(err_errno_is_told) {
    bqb_err err = {0};
    errno = ENOSPC;
    CHECK(bqb_fail_errno(&err, "out.tsv") == BQB_EIO);
    CHECK(strstr(err.msg, "out.tsv: No space left") != NULL);
}

/* Names come from files: a message can neither command a terminal nor break JSON. */
TEST(err_message_is_plain_text) {
    bqb_err err = {0};
    bqb_fail(&err, BQB_EFORMAT, "tensor \"%s\"", "a\x1b[2J\n\x7f\xc2\x9b\xff" "名");
    CHECK_STR(err.msg, "tensor \"a?[2J?????名\"");
    bqb_err_prefix(&err, "\xe4\xb8\t");
    CHECK_STR(err.msg, "???: tensor \"a?[2J?????名\"");
    char text[600];
    memset(text, 'x', sizeof text);
    memcpy(text + 509, "名名", 7); /* the cut falls inside a character */
    bqb_fail(&err, BQB_EFORMAT, "%s", text);
    CHECK(strlen(err.msg) == 511 && bqb_utf8_check(err.msg, 511) == 511);
}

TEST(err_long_message_is_cut) {
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    bqb_err err = {0};
    bqb_fail(&err, BQB_EINVAL, "%s", text);
    CHECK(strlen(err.msg) == sizeof err.msg - 1);
    bqb_err_prefix(&err, "name");
    CHECK(strlen(err.msg) == sizeof err.msg - 1 && !strncmp(err.msg, "name: x", 7));
    errno = EIO;
    bqb_fail_errno(&err, "%s", text);
    CHECK(strlen(err.msg) == sizeof err.msg - 1);
}

/* ---- mem */

TEST(mem_overflowing_sizes_are_refused) {
    CHECK(bqb_calloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(bqb_alloc_aligned(SIZE_MAX / 2, 3) == NULL);
    CHECK(bqb_alloc_aligned(SIZE_MAX, 1) == NULL);
    void *p = bqb_calloc(0, 8);
    CHECK(p != NULL);
    free(p);
    p = bqb_alloc_aligned(3, 7);
    CHECK(p != NULL && (uintptr_t)p % 64 == 0);
    free(p);
}

TEST(mem_buffer_grows_to_its_maximum) {
    bqb_buf b = {.max = 1000};
    bqb_err err = {0};
    for (int i = 0; i < 100; i++) CHECK_OK(bqb_buf_printf(&b, &err, "%09d\n", i), err);
    CHECK(b.len == 1000 && b.data[1000] == 0);
    CHECK(!strncmp(b.data + 990, "000000099\n", 10));
    CHECK(bqb_buf_append(&b, "x", 1, &err) == BQB_ELIMIT);
    CHECK(bqb_buf_append(&b, "x", SIZE_MAX, &err) == BQB_ELIMIT);
    CHECK(b.len == 1000);
    CHECK_OK(bqb_buf_append(&b, "", 0, &err), err);
    bqb_buf_free(&b);
    CHECK(b.data == NULL && b.len == 0);
    CHECK_OK(bqb_buf_puts(&b, "again", &err), err);
    CHECK_STR(b.data, "again");
    bqb_buf_free(&b);
}

TEST(mem_strings) {
    char *a = bqb_strndup("abcdef", 3), *b = bqb_asprintf("%s-%d", a, 5), *c = bqb_strdup(b);
    CHECK_STR(a, "abc");
    CHECK_STR(c, "abc-5");
    free(a);
    free(b);
    free(c);
}

TEST(mem_arena_keeps_its_chunks) {
    bqb_arena *a = bqb_arena_new();
    size_t held = 0;
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 1; i < 200; i++) {
            unsigned char *p = bqb_arena_take(a, i * 331, 4);
            if (!CHECK(p != NULL)) break;
            CHECK((uintptr_t)p % 64 == 0);
            memset(p, (int)i, i * 331 * 4);
        }
        if (pass == 0) held = bqb_arena_size_bytes(a);
        CHECK(bqb_arena_size_bytes(a) == held);
        bqb_arena_reset(a);
    }
    CHECK(bqb_arena_take(a, SIZE_MAX / 2, 4) == NULL);
    bqb_arena_free(a);
    bqb_arena_free(NULL);
}

TEST(mem_arena_marks_give_back) {
    bqb_arena *a = bqb_arena_new();
    char *kept = bqb_arena_take(a, 100, 1);
    memset(kept, 7, 100);
    bqb_arena_mark mark = bqb_arena_save(a);
    void *first = bqb_arena_take(a, 5u << 20, 1);
    memset(first, 9, 5u << 20);
    bqb_arena_release(a, mark);
    char *second = bqb_arena_take(a, 64, 1);
    memset(second, 8, 64);
    CHECK(second == kept + 128); /* 100 rounded up to 128 */
    CHECK(kept[0] == 7 && kept[99] == 7);
    bqb_arena_free(a);
}

/* ---- fs */

static char *in_tmp(const char *name) { return bqb_path_join(test_tmp_dir(), name); }

TEST(fs_write_then_read) {
    bqb_err err = {0};
    char *path = in_tmp("f"), *data = NULL;
    size_t size = 0;
    CHECK_OK(bqb_file_write(path, "a\0b", 3, &err), err);
    CHECK_OK(bqb_file_read(&data, &size, path, 3, &err), err);
    CHECK(size == 3 && !memcmp(data, "a\0b", 4));
    free(data);
    CHECK(bqb_file_read(&data, &size, path, 2, &err) == BQB_ELIMIT && data == NULL);
    CHECK(strstr(err.msg, path) != NULL);
    bqb_map m;
    CHECK_OK(bqb_map_open(&m, path, &err), err);
    CHECK(m.size == 3 && !memcmp(m.data, "a\0b", 3));
    bqb_map_close(&m);
    bqb_map_close(&m);
    CHECK_OK(bqb_file_write(path, "", 0, &err), err);
    CHECK_OK(bqb_map_open(&m, path, &err), err);
    CHECK(m.size == 0);
    bqb_map_close(&m);
    free(path);
}

TEST(fs_what_is_no_file) {
    bqb_err err = {0};
    bqb_map m;
    char *data, *missing = in_tmp("missing");
    CHECK(bqb_map_open(&m, missing, &err) == BQB_EIO && strstr(err.msg, "missing: No such file"));
    CHECK(bqb_map_open(&m, test_tmp_dir(), &err) == BQB_EFORMAT);
    CHECK(bqb_map_open(&m, "/dev/null", &err) == BQB_EFORMAT);
    CHECK(bqb_file_read(&data, NULL, test_tmp_dir(), 10, &err) == BQB_EFORMAT);
    CHECK(bqb_file_read(&data, NULL, missing, 10, &err) == BQB_EIO);
    CHECK(!bqb_is_file(missing) && !bqb_is_dir(missing));
    CHECK(bqb_is_dir(test_tmp_dir()) && !bqb_is_file(test_tmp_dir()));
    free(missing);
}

TEST(map_survives_a_file_that_is_cut) {
    bqb_err err;
    bqb_map m;
    char path[600], page[3 * 4096];
    snprintf(path, sizeof path, "%s/cut", test_tmp_dir());
    memset(page, 'x', sizeof page);
    CHECK_OK(bqb_file_write(path, page, sizeof page, &err), err);
    CHECK_OK(bqb_map_open(&m, path, &err), err);
    CHECK(!truncate(path, 1));
    CHECK(m.size == sizeof page && !memcmp(m.data, page, sizeof page) && (uintptr_t)m.data % 64 == 0);
    bqb_map_close(&m);
    /* A large file is mapped, not read: here it is one hole. */
    CHECK(!truncate(path, (off_t)BQB_MAP_READ_MAX + 4096));
    CHECK_OK(bqb_map_open(&m, path, &err), err);
    CHECK(m.size == (size_t)BQB_MAP_READ_MAX + 4096 && m.data[0] == 'x' && m.data[m.size - 1] == 0);
    bqb_map_close(&m);
    CHECK(!m.data && !m.size);
}

TEST(fs_unfinished_file_leaves_the_old_one) {
    bqb_err err = {0};
    char *path = in_tmp("f"), *data = NULL;
    CHECK_OK(bqb_file_write(path, "old", 3, &err), err);
    bqb_outfile o;
    CHECK_OK(bqb_outfile_open(&o, path, &err), err);
    CHECK_OK(bqb_outfile_printf(&o, &err, "new %d", 1), err);
    char *tmp = bqb_strdup(o.tmp);
    CHECK(bqb_is_file(tmp));
    bqb_outfile_abort(&o);
    bqb_outfile_abort(&o);
    CHECK(!bqb_is_file(tmp));
    CHECK_OK(bqb_file_read(&data, NULL, path, 100, &err), err);
    CHECK_STR(data, "old");
    free(data);
    free(tmp);
    free(path);
}

TEST(fs_full_disk_is_told) {
    if (access("/dev/full", W_OK)) {
        test_skip("no /dev/full here");
        return;
    }
    bqb_err err = {0};
    bqb_outfile o = {.f = fopen("/dev/full", "w"), .path = bqb_strdup("/dev/full")};
    char block[1 << 16] = {0};
    bqb_status s = bqb_outfile_write(&o, block, sizeof block, &err);
    if (!s) s = bqb_outfile_commit(&o, &err);
    bqb_outfile_abort(&o);
    CHECK(s == BQB_EIO && strstr(err.msg, "No space left"));
}

TEST(fs_folders_and_paths) {
    bqb_err err = {0};
    char *deep = in_tmp("a/b//c/"), *file = in_tmp("f"), *below = in_tmp("f/g");
    CHECK_OK(bqb_make_dirs(deep, &err), err);
    CHECK_OK(bqb_make_dirs(deep, &err), err);
    CHECK(bqb_is_dir(deep));
    CHECK_OK(bqb_file_write(file, "x", 1, &err), err);
    CHECK(bqb_make_dirs(below, &err) == BQB_EIO);
    free(deep);
    free(file);
    free(below);
    static const char *const joined[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"a", "/b", "/b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        char *p = bqb_path_join(joined[i][0], joined[i][1]);
        CHECK_STR(p, joined[i][2]);
        free(p);
    }
    CHECK_STR(bqb_path_base("a/b.png"), "b.png");
    CHECK_STR(bqb_path_base("b.png"), "b.png");
}

/* ---- rand */

TEST(rand_matches_the_published_generator) {
    /* xoshiro256** from state 1, 2, 3, 4: the values that the authors' C code gives. */
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240u};
    bqb_rand r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) CHECK(bqb_rand_u64(&r) == want[i]);
}

TEST(rand_streams_differ_and_repeat) {
    bqb_rand a = bqb_rand_seed(1, 0), b = bqb_rand_seed(1, 0), c = bqb_rand_seed(1, 1), d = bqb_rand_seed(2, 0);
    int same_c = 0, same_d = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = bqb_rand_u64(&a);
        CHECK(x == bqb_rand_u64(&b));
        same_c += x == bqb_rand_u64(&c);
        same_d += x == bqb_rand_u64(&d);
    }
    CHECK(same_c == 0 && same_d == 0);
}

TEST(rand_distributions) {
    enum { DRAWS = 60000 };
    bqb_rand r = bqb_rand_seed(7, 7);
    int count[6] = {0};
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        count[bqb_rand_below(&r, 6)]++;
        double u = bqb_rand_unit(&r), b = bqb_rand_between(&r, -2, 3), z = bqb_rand_normal(&r);
        CHECK(u >= 0 && u < 1 && b >= -2 && b < 3);
        sum += z;
        squares += z * z;
    }
    /* Five standard deviations of a count of 10,000 are about 456. */
    for (int i = 0; i < 6; i++) CHECK_MSG(abs(count[i] - DRAWS / 6) < 460, "face %d came %d times", i, count[i]);
    CHECK(sum / DRAWS > -0.025 && sum / DRAWS < 0.025);
    CHECK(squares / DRAWS > 0.97 && squares / DRAWS < 1.03);
}

TEST(rand_shuffle_keeps_all) {
    bqb_rand r = bqb_rand_seed(3, 0);
    uint32_t v[100];
    for (uint32_t i = 0; i < 100; i++) v[i] = i;
    bqb_rand_shuffle(&r, v, 100);
    int seen[100] = {0}, moved = 0;
    for (uint32_t i = 0; i < 100; i++) {
        seen[v[i]]++;
        moved += v[i] != i;
    }
    for (int i = 0; i < 100; i++) CHECK(seen[i] == 1);
    CHECK(moved > 80);
}

/* ---- thread */

enum { PARALLEL_N = 1000, PARALLEL_WORKERS = 4 };
typedef struct {
    atomic_int done[PARALLEL_N], busy[PARALLEL_WORKERS], overlaps;
} parallel_log;

static void parallel_step(void *ctx, size_t i, int worker) {
    parallel_log *log = ctx;
    if (atomic_fetch_add(&log->busy[worker], 1)) atomic_fetch_add(&log->overlaps, 1);
    atomic_fetch_add(&log->done[i], 1);
    atomic_fetch_sub(&log->busy[worker], 1);
}

TEST(thread_every_index_once) {
    static const size_t sizes[] = {0, 1, 2, 3, PARALLEL_N};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        parallel_log log = {0};
        bqb_parallel_for(sizes[k], PARALLEL_WORKERS, parallel_step, &log);
        for (size_t i = 0; i < PARALLEL_N; i++) CHECK(log.done[i] == (i < sizes[k]));
        CHECK(log.overlaps == 0);
    }
    CHECK(bqb_cpu_count() >= 1);
}

/* ---- utf8 */

TEST(utf8_round_trip) {
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp += cp < 0x900 ? 1 : 61) {
        if (cp >= 0xD800 && cp <= 0xDFFF) continue;
        char s[4];
        uint32_t got;
        bool ok;
        size_t n = bqb_utf8_put(s, cp);
        CHECK(n == (cp < 0x80 ? 1u : cp < 0x800 ? 2u : cp < 0x10000 ? 3u : 4u));
        CHECK(bqb_utf8_next(s, n, &got, &ok) == n && ok && got == cp);
        if (n > 1) CHECK(bqb_utf8_next(s, n - 1, &got, &ok) == 1 && !ok && got == BQB_UTF8_BAD);
    }
}

TEST(utf8_bad_bytes) {
    static const char *const bad[] = {
        "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", /* lone, overlong, surrogate */
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE4\xBD"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = strlen(bad[i]);
        CHECK_MSG(bqb_utf8_check(bad[i], n) == 0, "case %zu was taken for good", i);
    }
    CHECK(bqb_utf8_check("好a\xFF", 5) == 4);
    CHECK(bqb_utf8_check("表情包", 9) == 9);
    CHECK(bqb_utf8_count("表情包\xFF!", 11) == 5);
    char s[4];
    CHECK(bqb_utf8_put(s, 0xD800) == 3 && !memcmp(s, "\xEF\xBF\xBD", 3));
    CHECK(bqb_utf8_put(s, 0x110000) == 3 && !memcmp(s, "\xEF\xBF\xBD", 3));
}

TEST(grow_doubles_and_leaves_all_as_it_was_without_memory) {
    size_t cap = 0, moves = 0, *a = NULL;
    for (size_t n = 0; n < 100; n++) {
        size_t before = cap, *grown = bqb_grow(a, n, &cap, sizeof *a, 3);
        if (!CHECK(grown && cap > n)) break;
        a = grown;
        a[n] = n * n;
        moves += cap != before;
    }
    CHECK(cap == 192 && moves == 7 && a[0] == 0 && a[99] == 99 * 99);
    CHECK(bqb_grow(a, 5, &cap, sizeof *a, 3) == a && cap == 192); /* there is room */
    size_t huge = SIZE_MAX / 4;
    CHECK(!bqb_grow(a, huge, &huge, 16, 3) && huge == SIZE_MAX / 4);
    huge = SIZE_MAX - 1;
    CHECK(!bqb_grow(a, huge, &huge, 1, 3) && huge == SIZE_MAX - 1);
    CHECK(a[99] == 99 * 99);
    free(a);
}

TEST(ends_with_in_either_case) {
    CHECK(bqb_ends_with("a/B.TSV", ".tsv") && bqb_ends_with(".tsv", ".tsv") && bqb_ends_with("卡通风", "风") && bqb_ends_with("x", ""));
    CHECK(!bqb_ends_with("tsv", ".tsv") && !bqb_ends_with("a.tsv ", ".tsv") && !bqb_ends_with("", "x") && !bqb_ends_with("卡通", "风"));
}

TEST(words_count_one_as_one) {
    CHECK_STR(bqb_word(1, "step", "steps"), "step");
    CHECK_STR(bqb_word(0, "step", "steps"), "steps");
    CHECK_STR(bqb_word(2, "step", "steps"), "steps");
}

TEST(utf8_mend_puts_one_mark_for_each_bad_byte) {
    bqb_buf b = {.max = 64};
    bqb_err err = {0};
    CHECK_OK(bqb_utf8_mend(&b, "a\344\275\001\377", 5, &err), err);
    CHECK(b.len == 11 && !memcmp(b.data, "a\357\277\275\357\277\275\001\357\277\275", 11));
    b.len = 0;
    b.max = 4;
    CHECK(bqb_utf8_mend(&b, "\377\377", 2, &err) == BQB_ELIMIT);
    bqb_buf_free(&b);
}
