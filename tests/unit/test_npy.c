#include "file/npy.h"

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tmp_file(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/a.npy", test_tmp_dir());
    return path;
}

TEST(npy_round_trip) {
    float x[6] = {1, -2.5f, 3, 1e-3f, 65504, -0.0f}, y[6];
    for (int half = 0; half < 2; half++) {
        bqb_err err = {0};
        bqb_npy a;
        if (!CHECK_OK(bqb_npy_write(tmp_file(), half ? BQB_F16 : BQB_F32, x, 2, 3, &err), err)) return;
        if (!CHECK_OK(bqb_npy_open(&a, tmp_file(), &err), err)) return;
        CHECK(a.N == 2 && a.D == 3 && a.x.n == 6 && a.x.dtype == (half ? BQB_F16 : BQB_F32));
        CHECK_OK(bqb_npy_rows(y, &a, 0, 2, &err), err);
        for (int i = 0; i < 6; i++) CHECK(half ? fabsf(y[i] - x[i]) <= fabsf(x[i]) * 5e-4f : y[i] == x[i]);
        CHECK_OK(bqb_npy_rows(y, &a, 1, 1, &err), err);
        CHECK(fabsf(y[0] - 1e-3f) < 1e-6f);
        CHECK(bqb_npy_rows(y, &a, 1, 2, &err) == BQB_EINVAL &&
              bqb_npy_rows(y, &a, SIZE_MAX, 2, &err) == BQB_EINVAL);
        CHECK((uintptr_t)a.x.data % 64 == 0);
        bqb_npy_close(&a);
    }
}

/* The bytes that numpy.save writes for such an array. */
TEST(npy_bytes) {
    bqb_err err = {0};
    char *bytes = NULL, want[129];
    size_t n;
    float x[2] = {1, 2};
    CHECK_OK(bqb_npy_write(tmp_file(), BQB_F32, x, 1, 2, &err), err);
    if (!CHECK_OK(bqb_file_read(&bytes, &n, tmp_file(), 1000, &err), err)) return;
    snprintf(want, sizeof want, "%-117s\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }");
    CHECK(n == 136 && !memcmp(bytes, "\x93NUMPY\x01\x00\x76\x00", 10));
    CHECK(n == 136 && !memcmp(bytes + 10, want, 118) && !memcmp(bytes + 128, "\0\0\x80\x3f\0\0\0\x40", 8));
    free(bytes);
}

TEST(npy_rows_one_by_one) {
    bqb_err err = {0};
    bqb_npy_writer w;
    bqb_npy a;
    float row[5000], y[5000];
    if (!CHECK_OK(bqb_npy_writer_open(&w, tmp_file(), BQB_F16, 5000, &err), err)) return;
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < 5000; i++) row[i] = (float)(r * 7 + i % 100);
        CHECK_OK(bqb_npy_writer_add(&w, row, 1, &err), err);
    }
    CHECK(!bqb_is_file(tmp_file()));
    CHECK_OK(bqb_npy_writer_commit(&w, &err), err);
    if (!CHECK_OK(bqb_npy_open(&a, tmp_file(), &err), err)) return;
    CHECK(a.N == 3 && a.D == 5000);
    CHECK_OK(bqb_npy_rows(y, &a, 2, 1, &err), err);
    CHECK(!memcmp(y, row, sizeof y));
    bqb_npy_close(&a);
    /* Nothing replaces the file when writing is given up. */
    if (!CHECK_OK(bqb_npy_writer_open(&w, tmp_file(), BQB_F32, 1, &err), err)) return;
    CHECK_OK(bqb_npy_writer_add(&w, row, 1, &err), err);
    CHECK(bqb_npy_writer_add(&w, row, SIZE_MAX, &err) == BQB_EINVAL);
    bqb_npy_writer_abort(&w);
    bqb_npy_writer_abort(&w);
    CHECK_OK(bqb_npy_open(&a, tmp_file(), &err), err);
    CHECK(a.N == 3);
    bqb_npy_close(&a);
    CHECK(bqb_npy_writer_open(&w, tmp_file(), BQB_U8, 1, &err) == BQB_EINVAL);
    CHECK(bqb_npy_writer_open(&w, "/nonexistent/a.npy", BQB_F32, 1, &err) == BQB_EIO);
}

/* A file of the given version and dict, and n_data zero bytes. */
static bqb_status open_made(int version, const char *dict, size_t n_data, bqb_npy *a, bqb_err *err) {
    FILE *f = fopen(tmp_file(), "wb");
    if (!CHECK(f != NULL)) return BQB_EIO;
    size_t n = strlen(dict);
    unsigned char h[6] = {(unsigned char)version, 0, (unsigned char)n, (unsigned char)(n >> 8), 0, 0};
    fwrite("\x93NUMPY", 1, 6, f);
    fwrite(h, 1, version == 1 ? 4 : 6, f);
    fputs(dict, f);
    for (size_t i = 0; i < n_data; i++) fputc(0, f);
    fclose(f);
    return bqb_npy_open(a, tmp_file(), err);
}

#define GOOD "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"

TEST(npy_reads_what_others_write) {
    static const char *const dicts[] = {
        GOOD "\n",
        GOOD,
        "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}   \n",
        "{'fortran_order': False, 'shape': (2, 3,), 'descr': '<f4'}",
    };
    bqb_err err = {0};
    bqb_npy a;
    for (int version = 1; version <= 3; version++)
        for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++) {
            bqb_status s = open_made(version, dicts[i], 24, &a, &err);
            if (strstr(dicts[i], "3,)")) { /* Python reads it, numpy never writes it */
                CHECK(s == BQB_OK || s == BQB_EFORMAT);
            } else CHECK_MSG(s == BQB_OK && a.N == 2 && a.D == 3, "%s: %s", dicts[i], err.msg);
            bqb_npy_close(&a);
        }
    CHECK_OK(open_made(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (0, 512), }", 0, &a, &err), err);
    CHECK(a.N == 0 && a.D == 512);
    bqb_npy_close(&a);
}

TEST(npy_refuses) {
    static const struct {
        const char *dict;
        size_t n_data;
        bqb_status code;
        const char *words;
    } bad[] = {
        {GOOD, 23, BQB_EFORMAT, "23 bytes of data"},
        {GOOD, 25, BQB_EFORMAT, "25 bytes of data"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", 48, BQB_EUNSUPPORTED, "'<f8'"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24, BQB_EUNSUPPORTED, "'>f4'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", 24, BQB_EUNSUPPORTED, "'|O'"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, BQB_EUNSUPPORTED, "Fortran"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 24, BQB_EUNSUPPORTED, "two dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, BQB_EUNSUPPORTED, "two dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 1, 1), }", 24, BQB_EUNSUPPORTED,
         "two dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, BQB_EFORMAT,
         "0 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 1), }", 0, BQB_EFORMAT,
         "0 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }", 0, BQB_EFORMAT,
         "dict"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", 24, BQB_EFORMAT, "dict"},
        {"{'descr': '<f4', 'fortran_order': False, }", 24, BQB_EFORMAT, "dict"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, BQB_EFORMAT,
         "dict"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", 24, BQB_EFORMAT, "dict"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", 24, BQB_EFORMAT, "dict"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", 24, BQB_EFORMAT, "dict"},
        {"{'descr': '<f4", 24, BQB_EFORMAT, "dict"},
        {"{'descr': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'fortran_order'", 24, BQB_EFORMAT, "dict"},
        {"__import__('os').system('true')", 24, BQB_EFORMAT, "dict"},
        {"", 24, BQB_EFORMAT, "dict"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bqb_err err = {0};
        bqb_npy a;
        CHECK_MSG(open_made(1, bad[i].dict, bad[i].n_data, &a, &err) == bad[i].code, "%s: %s", bad[i].dict,
                  err.msg);
        CHECK_MSG(strstr(err.msg, bad[i].words) && strstr(err.msg, "a.npy"), "\"%s\" for %s", err.msg,
                  bad[i].dict);
        CHECK(a.map.data == NULL && a.N == 0);
    }
    bqb_err err = {0};
    bqb_npy a;
    CHECK(open_made(4, GOOD, 24, &a, &err) == BQB_EFORMAT && strstr(err.msg, "version 4"));
    CHECK(open_made(0, GOOD, 24, &a, &err) == BQB_EFORMAT);
    static const char *const cut[] = {"",
                                      "\x93NUM",
                                      "\x93NUMPY\x01",
                                      "\x93NUMPY\x01\x01\x76\x01",
                                      "\x93NUMPY\x02\x01\x76\x01",
                                      "PK\3\4aaaaaaaaa"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        CHECK(bqb_file_write(tmp_file(), cut[i], strlen(cut[i]), NULL) == BQB_OK);
        CHECK_MSG(bqb_npy_open(&a, tmp_file(), &err) == BQB_EFORMAT, "%zu", i);
    }
    CHECK(bqb_file_write(tmp_file(), "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14, NULL) == BQB_OK);
    CHECK(bqb_npy_open(&a, tmp_file(), &err) == BQB_ELIMIT);
}
