#include "file/safetensors.h"

#include "base/fs.h"
#include "base/mem.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *tmp_file(const char *name) {
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", test_tmp_dir(), name);
    return path[turn];
}

/* A file with this header and n_data zero bytes; declared < 0 declares the true header length. */
static const char *make_file(const char *name, const char *header, size_t n_data, int64_t declared) {
    const char *path = tmp_file(name);
    FILE *f = fopen(path, "wb");
    if (!f) return path;
    uint64_t n = declared < 0 ? strlen(header) : (uint64_t)declared;
    fwrite(&n, 8, 1, f);
    fputs(header, f);
    for (size_t i = 0; i < n_data; i++) fputc(0, f);
    fclose(f);
    return path;
}

static void refuse(const char *header, size_t n_data, bqb_status code, const char *words) {
    bqb_err err = {0};
    bqb_safetensors *st = (bqb_safetensors *)&err;
    bqb_status s = bqb_safetensors_open(&st, make_file("bad.safetensors", header, n_data, -1), &err);
    CHECK_MSG(s == code && err.code == code, "status %d, expected %d for %.80s", s, code, header);
    CHECK_MSG(strstr(err.msg, words) != NULL, "\"%s\" does not say \"%s\"", err.msg, words);
    CHECK_MSG(strstr(err.msg, "bad.safetensors") != NULL, "\"%s\" does not name the file", err.msg);
    CHECK(st == NULL);
    bqb_safetensors_close(st);
}

TEST(safetensors_round_trip) {
    float f[6] = {1, -2, 3.5f, 0, 1e-30f, -7};
    uint16_t h[3] = {0x3c00, 0x0001, 0xfc00};
    int64_t i[1] = {-5};
    uint8_t b[5] = {1, 2, 3, 4, 5};
    bqb_tensor t[] = {
        {.name = "z.bytes", .dtype = BQB_U8, .n_dims = 1, .dim = {5}, .n = 5, .data = b},
        {.name = "half", .dtype = BQB_F16, .n_dims = 2, .dim = {3, 1}, .n = 3, .data = h},
        {.name = "a\"quote\\名", .dtype = BQB_F32, .n_dims = 2, .dim = {2, 3}, .n = 6, .data = f},
        {.name = "scalar", .dtype = BQB_I64, .n = 1, .data = i},
        {.name = "empty", .dtype = BQB_F64, .n_dims = 2, .dim = {0, 7}, .n = 0},
    };
    const char *metadata[] = {"format", "pt", "名", "值", NULL};
    const char *path = tmp_file("a.safetensors");
    bqb_err err = {0};
    if (!CHECK_OK(bqb_safetensors_write(path, t, 5, metadata, &err), err)) return;
    bqb_safetensors *st;
    if (!CHECK_OK(bqb_safetensors_open(&st, path, &err), err)) return;
    CHECK(bqb_safetensors_count(st) == 5);
    for (size_t k = 1; k < 5; k++)
        CHECK(strcmp(bqb_safetensors_at(st, k - 1)->name, bqb_safetensors_at(st, k)->name) < 0);
    CHECK(bqb_safetensors_at(st, 5) == NULL && bqb_safetensors_find(st, "absent") == NULL);
    for (size_t k = 0; k < 5; k++) {
        const bqb_tensor *got = bqb_safetensors_find(st, t[k].name);
        if (!CHECK_MSG(got != NULL, "%s is lost", t[k].name)) continue;
        CHECK(got->dtype == t[k].dtype && got->n == t[k].n && got->n_dims == t[k].n_dims);
        CHECK(!memcmp(got->dim, t[k].dim, t[k].n_dims * sizeof(size_t)));
        CHECK(!t[k].n || !memcmp(got->data, t[k].data, t[k].n * bqb_dtype_size_bytes(t[k].dtype)));
        CHECK((uintptr_t)got->data % bqb_dtype_size_bytes(t[k].dtype) == 0);
    }
    CHECK_STR(bqb_safetensors_metadata(st, "名"), "值");
    CHECK(bqb_safetensors_metadata(st, "other") == NULL);
    bqb_safetensors_close(st);
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

TEST(safetensors_lying_headers) {
    refuse("{\"a\":" T("F32", "[2]", "[0,9]") "}", 9, BQB_EFORMAT, "do not fill");
    refuse("{\"a\":" T("F32", "[2]", "[0,8]") "}", 7, BQB_EFORMAT, "outside the 7 bytes");
    refuse("{\"a\":" T("F32", "[2]", "[8,0]") "}", 8, BQB_EFORMAT, "outside");
    refuse("{\"a\":" T("F32", "[2]", "[-8,0]") "}", 8, BQB_EFORMAT, "byte positions");
    refuse("{\"a\":" T("F32", "[2]", "[0,8,9]") "}", 8, BQB_EFORMAT, "byte positions");
    refuse("{\"a\":" T("F32", "[2]", "[0,8.0]") "}", 8, BQB_EFORMAT, "byte positions");
    refuse("{\"a\":" T("F32", "[2]", "[0,18446744073709551615]") "}", 8, BQB_EFORMAT, "too big");
    refuse("{\"a\":" T("F32", "[2]", "[0,9223372036854775807]") "}", 8, BQB_EFORMAT, "outside");
    refuse("{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, BQB_EFORMAT, "overflow");
    refuse("{\"a\":" T("F64", "[4611686018427387904]", "[0,0]") "}", 0, BQB_EFORMAT, "do not fill");
    refuse("{\"a\":" T("F32", "[-1]", "[0,4]") "}", 4, BQB_EFORMAT, "not a count");
    refuse("{\"a\":" T("F32", "[1.5]", "[0,4]") "}", 4, BQB_EFORMAT, "not a count");
    refuse("{\"a\":" T("F32", "7", "[0,4]") "}", 4, BQB_EFORMAT, "no shape");
    refuse("{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, BQB_ELIMIT, "9 dimensions");
    refuse("{\"a\":" T("F8_E4M3", "[4]", "[0,4]") "}", 4, BQB_EFORMAT, "F8_E4M3");
    refuse("{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, BQB_EFORMAT, "no dtype");
    refuse("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, BQB_EFORMAT, "no shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, BQB_EFORMAT, "byte positions");
    refuse("{\"a\":3}", 0, BQB_EFORMAT, "not described");
    refuse("{\"\":" T("F32", "[1]", "[0,4]") "}", 4, BQB_EFORMAT, "empty name");
    /* every byte belongs to one tensor */
    refuse("{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[2]", "[4,12]") "}", 12, BQB_EFORMAT,
           "overlap");
    refuse("{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[2]", "[0,8]") "}", 8, BQB_EFORMAT,
           "overlap");
    refuse("{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", 12, BQB_EFORMAT,
           "4 bytes before");
    refuse("{\"a\":" T("F32", "[1]", "[0,4]") "}", 5, BQB_EFORMAT, "1 bytes at the end");
    /* JSON */
    refuse("{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[4,8]") "}", 8, BQB_EFORMAT,
           "duplicate");
    refuse("{\"a\":" T("F32", "[1]", "[0,4]"), 4, BQB_EFORMAT, "invalid JSON");
    refuse("{} {}", 0, BQB_EFORMAT, "invalid JSON");
    refuse("[]", 0, BQB_EFORMAT, "not a JSON object");
    refuse("  {}", 0, BQB_EFORMAT, "not a JSON object");
    refuse("{\"a\\u0000b\":" T("F32", "[1]", "[0,4]") "}", 4, BQB_EFORMAT, "invalid JSON");
    refuse("{\"a\xff\":" T("F32", "[1]", "[0,4]") "}", 4, BQB_EFORMAT, "invalid JSON");
    refuse("{\"a\":[[[[[[[[[]]]]]]]]]}", 0, BQB_ELIMIT, "deeper");
    refuse("{\"__metadata__\":[]}", 0, BQB_EFORMAT, "__metadata__");
    refuse("{\"__metadata__\":{\"k\":1}}", 0, BQB_EFORMAT, "not a string");
}

TEST(safetensors_header_length) {
    bqb_err err = {0};
    bqb_safetensors *st;
    CHECK(bqb_safetensors_open(&st, make_file("a", "{}", 0, 3), &err) == BQB_EFORMAT && err.pos == 0);
    CHECK(strstr(err.msg, "3 bytes") != NULL);
    CHECK(bqb_safetensors_open(&st, make_file("a", "{}", 0, INT64_MAX), &err) == BQB_ELIMIT);
    CHECK(bqb_safetensors_open(&st, make_file("a", "", 0, 0), &err) == BQB_EFORMAT);
    CHECK(bqb_file_write(tmp_file("a"), "1234567", 7, NULL) == BQB_OK);
    CHECK(bqb_safetensors_open(&st, tmp_file("a"), &err) == BQB_EFORMAT);
    CHECK(bqb_file_write(tmp_file("a"), "", 0, NULL) == BQB_OK);
    CHECK(bqb_safetensors_open(&st, tmp_file("a"), &err) == BQB_EFORMAT);
    CHECK(bqb_safetensors_open(&st, tmp_file("absent"), &err) == BQB_EIO && strstr(err.msg, "absent"));
    CHECK(bqb_safetensors_open(&st, test_tmp_dir(), &err) == BQB_EFORMAT && st == NULL);
    /* The least good file, and one whose header is padded as the format's own writer pads. */
    CHECK_OK(bqb_safetensors_open(&st, make_file("a", "{}", 0, -1), &err), err);
    CHECK(st && bqb_safetensors_count(st) == 0);
    bqb_safetensors_close(st);
    CHECK_OK(bqb_safetensors_open(&st, make_file("a", "{}      ", 0, -1), &err), err);
    bqb_safetensors_close(st);
}

/* A header of 8 MB that asks jansson for a gigabyte is refused before it is parsed. */
TEST(safetensors_memory_bomb) {
    size_t n = (size_t)60 << 20;
    char *text = malloc(n + 16);
    if (!CHECK(text != NULL)) return;
    uint64_t len = n;
    memcpy(text, &len, 8);
    memcpy(text + 8, "{\"a\":[", 6);
    for (size_t i = 14; i + 3 <= n; i += 3) memcpy(text + i, "[],", 3);
    CHECK(bqb_file_write(tmp_file("bomb"), text, n + 8, NULL) == BQB_OK);
    free(text);
    bqb_err err = {0};
    bqb_safetensors *st;
    CHECK(bqb_safetensors_open(&st, tmp_file("bomb"), &err) == BQB_ELIMIT && err.pos > 8);
    CHECK(strstr(err.msg, "items") != NULL);
}

/* Data may start at any byte. */
TEST(safetensors_unaligned) {
    const char *path = tmp_file("odd");
    FILE *f = fopen(path, "wb");
    if (!CHECK(f != NULL)) return;
    const char *header = "{\"b\":" T("U8", "[1]", "[0,1]") ",\"f\":" T("F32", "[3]", "[1,13]") ",\"h\":" T(
        "F16", "[3]", "[13,19]") ",\"g\":" T("BF16", "[3]", "[19,25]") ",\"d\":" T("F64", "[3]",
                                                                                   "[25,49]") "}";
    uint64_t n = strlen(header);
    float v[3] = {1, -0.5f, 1024};
    uint16_t h[3], g[3];
    double d[3];
    for (int i = 0; i < 3; i++)
        h[i] = bqb_f32_to_f16(v[i]), g[i] = bqb_f32_to_bf16(v[i]), d[i] = (double)v[i];
    fwrite(&n, 8, 1, f);
    fputs(header, f);
    fputc(7, f);
    fwrite(v, 4, 3, f);
    fwrite(h, 2, 3, f);
    fwrite(g, 2, 3, f);
    fwrite(d, 8, 3, f);
    fclose(f);
    bqb_err err = {0};
    bqb_safetensors *st;
    if (!CHECK_OK(bqb_safetensors_open(&st, path, &err), err)) return;
    for (const char *name = "fhgd"; *name; name++) {
        const char key[2] = {*name, 0};
        float out[3] = {0};
        CHECK_OK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, key), 0, 3, &err), err);
        CHECK_MSG(!memcmp(out, v, sizeof v), "%s: %g %g %g", key, (double)out[0], (double)out[1],
                  (double)out[2]);
        CHECK_OK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, key), 2, 1, &err), err);
        CHECK(out[0] == 1024);
        CHECK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, key), 2, 2, &err) == BQB_EINVAL);
        CHECK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, key), SIZE_MAX, 2, &err) == BQB_EINVAL);
        CHECK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, key), 3, 0, &err) == BQB_OK);
    }
    float out[1];
    CHECK(bqb_tensor_to_f32(out, bqb_safetensors_find(st, "b"), 0, 1, &err) == BQB_EUNSUPPORTED);
    CHECK(strstr(err.msg, "U8") != NULL);
    bqb_safetensors_close(st);
}

TEST(safetensors_refuses_to_write) {
    float f[2] = {1, 2};
    bqb_err err = {0};
    const char *path = tmp_file("w");
    CHECK(bqb_file_write(path, "old", 3, NULL) == BQB_OK);
    bqb_tensor t[2] = {{.name = "a", .dtype = BQB_F32, .n_dims = 1, .dim = {2}, .n = 2, .data = f}};
    t[1] = t[0];
    CHECK(bqb_safetensors_write(path, t, 2, NULL, &err) == BQB_EINVAL && strstr(err.msg, "twice"));
    t[0].n = 3;
    CHECK(bqb_safetensors_write(path, t, 1, NULL, &err) == BQB_EINVAL && strstr(err.msg, "agree"));
    t[0].n = 2, t[0].name = "__metadata__";
    CHECK(bqb_safetensors_write(path, t, 1, NULL, &err) == BQB_EINVAL);
    t[0].name = "\xff";
    CHECK(bqb_safetensors_write(path, t, 1, NULL, &err) == BQB_EINVAL && strstr(err.msg, "UTF-8"));
    t[0].name = "a", t[0].data = NULL;
    CHECK(bqb_safetensors_write(path, t, 1, NULL, &err) == BQB_EINVAL);
    t[0].data = f;
    CHECK(bqb_safetensors_write("/proc/no/such/folder", t, 1, NULL, &err) == BQB_EIO);
    char *old = NULL;
    CHECK(bqb_file_read(&old, NULL, path, 100, &err) == BQB_OK && !strcmp(old, "old"));
    free(old);
    CHECK_OK(bqb_safetensors_write(path, NULL, 0, NULL, &err), err);
    bqb_safetensors *st = NULL;
    CHECK_OK(bqb_safetensors_open(&st, path, &err), err);
    bqb_safetensors_close(st);
}

static void write_shard(const char *file, const char *name, float value) {
    bqb_tensor t = {.name = name, .dtype = BQB_F32, .n = 1, .data = &value};
    bqb_err err = {0};
    CHECK_OK(bqb_safetensors_write(tmp_file(file), &t, 1, NULL, &err), err);
}

static bqb_status open_index(const char *json, bqb_err *err) {
    bqb_safetensors *st;
    CHECK(bqb_file_write(tmp_file("model.safetensors.index.json"), json, strlen(json), NULL) == BQB_OK);
    bqb_status s = bqb_safetensors_open_folder(&st, test_tmp_dir(), err);
    bqb_safetensors_close(st);
    return s;
}

TEST(safetensors_shards) {
    bqb_err err = {0};
    bqb_safetensors *st;
    CHECK(bqb_safetensors_open_folder(&st, test_tmp_dir(), &err) == BQB_ENOTFOUND);
    write_shard("1.safetensors", "a", 1);
    write_shard("2.safetensors", "b", 2);
    CHECK_OK(open_index("{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2."
                        "safetensors\"}}",
                        &err),
             err);
    CHECK(bqb_safetensors_open_folder(&st, test_tmp_dir(), &err) == BQB_OK);
    CHECK(bqb_safetensors_count(st) == 2);
    float x = 0;
    CHECK(bqb_tensor_to_f32(&x, bqb_safetensors_find(st, "b"), 0, 1, &err) == BQB_OK && x == 2);
    bqb_safetensors_close(st);
    static const struct {
        const char *json, *words;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "not a file name in this folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not a file name in this folder"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not a file name in this folder"},
        {"{\"weight_map\":{\"a\":\"\"}}", "not a file name in this folder"},
        {"{\"weight_map\":{\"a\":\"x\\\\1.safetensors\"}}", "not a file name in this folder"},
        {"{\"weight_map\":{\"a\":1}}", "not a string"},
        {"{\"weight_map\":{}}", "no tensors"},
        {"{\"weight_map\":[]}", "no weight_map"},
        {"{}", "no weight_map"},
        {"[", "invalid JSON"},
        {"{\"weight_map\":{\"b\":\"1.safetensors\"}}", "\"b\" is not in"},
        {"{\"weight_map\":{\"a\":\"3.safetensors\"}}", "3.safetensors"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_MSG(open_index(bad[i].json, &err) != BQB_OK, "%s was taken", bad[i].json);
        CHECK_MSG(strstr(err.msg, bad[i].words) != NULL, "\"%s\" does not say \"%s\"", err.msg, bad[i].words);
        CHECK_MSG(strstr(err.msg, "index.json") != NULL, "\"%s\" does not name the index", err.msg);
    }
    write_shard("2.safetensors", "a", 2);
    CHECK(open_index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}", &err) ==
          BQB_EFORMAT);
    write_shard("model.safetensors", "whole", 3);
    CHECK_OK(bqb_safetensors_open_folder(&st, test_tmp_dir(), &err), err);
    CHECK(st && bqb_safetensors_find(st, "whole") != NULL);
    bqb_safetensors_close(st);
}

static double half_value(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h >> 15 ? -v : v;
}

/* All 65,536 halves one by one; then floats at, just below and just above
 * every boundary between two neighbouring halves. */
TEST(f16_conversion_is_exact) {
    for (uint32_t h = 0; h < 65536; h++) {
        double want = half_value((uint16_t)h);
        float got = bqb_f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            if (!CHECK_MSG(isnan(got) && bqb_f32_to_f16(got) >> 10 == (h | 0x200) >> 10, "%04x", h)) return;
            continue;
        }
        if (!CHECK_MSG((double)got == want && !signbit(got) == !signbit(want), "%04x -> %g", h, (double)got))
            return;
        if (!CHECK_MSG(bqb_f32_to_f16(got) == h, "%04x comes back as %04x", h, bqb_f32_to_f16(got))) return;
    }
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = half_value((uint16_t)h), high = h == 0x7bff ? 65536 : half_value((uint16_t)(h + 1));
        float mid = (float)((low + high) / 2); /* exact: one bit more than a half has */
        uint16_t even = (uint16_t)(h & 1 ? h + 1 : h);
        if (!CHECK_MSG(bqb_f32_to_f16(mid) == even, "the tie above %04x", h)) return;
        if (!CHECK_MSG(bqb_f32_to_f16(nextafterf(mid, 0)) == h, "below the tie above %04x", h)) return;
        if (!CHECK_MSG(bqb_f32_to_f16(nextafterf(mid, 1e9f)) == h + 1, "above the tie above %04x", h)) return;
        if (!CHECK_MSG(bqb_f32_to_f16(-mid) == (even | 0x8000), "the tie below -%04x", h)) return;
    }
    CHECK(bqb_f32_to_f16(INFINITY) == 0x7c00 && bqb_f32_to_f16(-3e38f) == 0xfc00);
    CHECK(bqb_f32_to_f16(1e-40f) == 0 && bqb_f32_to_f16(-0.0f) == 0x8000);
}

TEST(bf16_conversion_is_exact) {
    for (uint32_t h = 0; h < 65536; h++) {
        float x = bqb_bf16_to_f32((uint16_t)h);
        uint16_t back = bqb_f32_to_bf16(x);
        if (!CHECK_MSG(back == (isnan(x) ? h | 0x40 : h), "%04x comes back as %04x", h, back)) return;
    }
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        uint32_t u = h << 16 | 0x8000;
        float mid;
        memcpy(&mid, &u, 4);
        if (!CHECK_MSG(bqb_f32_to_bf16(mid) == (h & 1 ? h + 1 : h), "the tie above %04x", h)) return;
        if (!CHECK_MSG(bqb_f32_to_bf16(nextafterf(mid, 0)) == h, "below the tie above %04x", h)) return;
        if (!CHECK_MSG(bqb_f32_to_bf16(nextafterf(mid, INFINITY)) == h + 1, "above the tie above %04x", h))
            return;
    }
    CHECK(bqb_f32_to_bf16(3.4e38f) == 0x7f80 && isnan(bqb_bf16_to_f32(bqb_f32_to_bf16(NAN))));
}

/* Whole tensors take the vector path: the same bits as one by one, at every length past the widest vector. */
TEST(f16_tensor_matches_scalar) {
    uint16_t h[67];
    float out[67];
    for (size_t n = 0; n <= 67; n++) {
        for (size_t i = 0; i < n; i++) h[i] = (uint16_t)(i * 977 + n * 40503u);
        bqb_tensor t = {
            .name = "t", .dtype = n & 1 ? BQB_F16 : BQB_BF16, .n_dims = 1, .dim = {n}, .n = n, .data = h};
        CHECK(bqb_tensor_to_f32(out, &t, 0, n, NULL) == BQB_OK);
        for (size_t i = 0; i < n; i++) {
            float want = n & 1 ? bqb_f16_to_f32(h[i]) : bqb_bf16_to_f32(h[i]);
            CHECK_MSG(!memcmp(&want, &out[i], 4), "%04x: %g, one by one %g", h[i], (double)out[i],
                      (double)want);
        }
    }
}
