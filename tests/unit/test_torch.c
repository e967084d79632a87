#include "file/torch.h"

#include "base/fs.h"
#include "file/zip.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* fuzz/corpus/torch: the archives and pickles that torch.save writes (Python's
 * pickle and zipfile with stand-ins for PyTorch's classes). */
static const char *fixture(const char *name) {
    static char path[512];
    char part[200];
    snprintf(part, sizeof part, "../fuzz/corpus/torch/%s", name);
    snprintf(path, sizeof path, "%s", test_path(part));
    return path;
}

static const char *tmp_file(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/a.pt", test_tmp_dir());
    return path;
}

static void check_floats(const bqb_safetensors *st, const char *name, bqb_dtype dtype, size_t n_dims, size_t d0, size_t d1,
                         const float *want) {
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!CHECK_MSG(t != NULL, "%s is missing", name)) return;
    CHECK(t->dtype == dtype && t->n_dims == n_dims);
    CHECK(n_dims < 1 || t->dim[0] == d0);
    CHECK(n_dims < 2 || t->dim[1] == d1);
    float got[6];
    bqb_err err;
    if (!CHECK(t->n <= 6) || !CHECK_OK(bqb_tensor_to_f32(got, t, 0, t->n, &err), err)) return;
    for (size_t i = 0; i < t->n; i++)
        CHECK_MSG(got[i] == want[i], "%s[%zu] is %g, expected %g", name, i, (double)got[i], (double)want[i]);
}

static void check_checkpoint(const char *name) {
    bqb_safetensors *st;
    bqb_err err;
    if (!CHECK_OK(bqb_weights_open(&st, fixture(name), &err), err)) return;
    CHECK(bqb_safetensors_count(st) == 7); /* and nothing of the optimiser */
    check_floats(st, "a", BQB_F32, 2, 2, 3, (float[]){0, 1, 2, 3, 4, 5});
    check_floats(st, "turned", BQB_F32, 2, 3, 2, (float[]){0, 3, 1, 4, 2, 5});
    check_floats(st, "part", BQB_F32, 1, 2, 0, (float[]){4, 5});
    check_floats(st, "half", BQB_F16, 1, 4, 0, (float[]){1, -2, 0.5f, 65504});
    check_floats(st, "bf", BQB_BF16, 2, 2, 1, (float[]){1, -2});
    check_floats(st, "scale", BQB_F32, 0, 0, 0, (float[]){5});
    const bqb_tensor *ids = bqb_safetensors_find(st, "ids");
    CHECK(ids && ids->dtype == BQB_I64 && ids->n == 3);
    bqb_safetensors_close(st);
}

TEST(torch_reads_a_training_checkpoint) {
    check_checkpoint("checkpoint");
    check_checkpoint("deflated");
}

TEST(torch_reads_a_plain_state_dict) {
    bqb_safetensors *st;
    bqb_err err;
    if (!CHECK_OK(bqb_torch_open(&st, fixture("plain"), &err), err)) return;
    CHECK(bqb_safetensors_count(st) == 2);
    check_floats(st, "a", BQB_F32, 2, 2, 3, (float[]){0, 1, 2, 3, 4, 5});
    check_floats(st, "module.b", BQB_F32, 1, 2, 0, (float[]){4, 5}); /* not all names have the prefix */
    bqb_safetensors_close(st);
}

TEST(torch_refuses_what_is_unsound_or_would_run_code) {
    static const struct {
        const char *name;
        bqb_status status;
        const char *words;
    } bad[] = {
        {"evil", BQB_EUNSUPPORTED, "system at byte"},
        {"script", BQB_EUNSUPPORTED, "TorchScript"},
        {"big_endian", BQB_EUNSUPPORTED, "its byteorder is \"big\""},
        {"no_storage", BQB_EFORMAT, "the storage data/1 of tensor \"module.half\" is not in the file"},
        {"outside", BQB_EFORMAT, "\"a\" of 3 elements from 4 on goes past its storage of 6"},
        {"negative", BQB_EFORMAT, "\"a\" has no proper shape and strides"},
        {"expanded", BQB_EFORMAT, "goes past its storage"},
        {"overflow", BQB_EFORMAT, "no proper shape"},
        {"short_storage", BQB_EFORMAT, "needs 6 elements of F32, its storage data/0 has 20 bytes"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bqb_safetensors *st = NULL;
        bqb_err err = {0};
        bqb_status s = bqb_weights_open(&st, fixture(bad[i].name), &err);
        CHECK_MSG(s == bad[i].status && strstr(err.msg, bad[i].words) && strstr(err.msg, bad[i].name) && !st,
                  "%s: status %d, \"%s\"", bad[i].name, (int)s, err.msg);
        bqb_safetensors_close(st);
    }
}

TEST(torch_refuses_other_files) {
    static const uint8_t old[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    bqb_safetensors *st;
    bqb_err err = {0};
    CHECK_OK(bqb_file_write(tmp_file(), old, sizeof old, &err), err);
    CHECK(bqb_weights_open(&st, tmp_file(), &err) == BQB_EUNSUPPORTED && strstr(err.msg, "before 1.6"));
    bqb_zip_writer w = {0};
    CHECK(!bqb_zip_writer_open(&w, tmp_file(), &err) && !bqb_zip_writer_add(&w, "word/document.xml", "", 0, &err));
    CHECK_OK(bqb_zip_writer_commit(&w, &err), err);
    CHECK(bqb_weights_open(&st, tmp_file(), &err) == BQB_EFORMAT && strstr(err.msg, "no PyTorch checkpoint"));
    CHECK(!bqb_zip_writer_open(&w, tmp_file(), &err) && !bqb_zip_writer_add(&w, "x/data.pkl", "]q\x00.", 4, &err));
    CHECK_OK(bqb_zip_writer_commit(&w, &err), err);
    CHECK(bqb_weights_open(&st, tmp_file(), &err) == BQB_EFORMAT && strstr(err.msg, "holds no tensors by name (found: a list)"));
    CHECK_OK(bqb_file_write(tmp_file(), "PK\3\4", 4, &err), err);
    CHECK(bqb_weights_open(&st, tmp_file(), &err) == BQB_EFORMAT && strstr(err.msg, "cut short"));
}

TEST(torch_write_reads_back) {
    float f[6] = {1, 2, 3, 4, 5, 6};
    uint16_t h[2] = {0x3c00, 0xc000};
    int64_t i[1] = {7};
    const bqb_tensor t[] = {
        {.name = "w", .dtype = BQB_F32, .n_dims = 2, .dim = {2, 3}, .n = 6, .data = f},
        {.name = "scale", .dtype = BQB_F32, .n = 1, .data = f},
        {.name = "h", .dtype = BQB_F16, .n_dims = 1, .dim = {2}, .n = 2, .data = h},
        {.name = "none", .dtype = BQB_F32, .n_dims = 2, .dim = {0, 3}, .n = 0, .data = f},
        {.name = "i", .dtype = BQB_I64, .n_dims = 1, .dim = {1}, .n = 1, .data = i},
    };
    bqb_err err;
    bqb_safetensors *st;
    for (int k = 0; k < 2; k++) {
        const char *prefix = k ? "module." : "";
        if (!CHECK_OK(bqb_torch_write(tmp_file(), t, 5, prefix, &err), err)) return;
        if (!CHECK_OK(bqb_weights_open(&st, tmp_file(), &err), err)) return;
        CHECK(bqb_safetensors_count(st) == 5);
        check_floats(st, "w", BQB_F32, 2, 2, 3, f);
        check_floats(st, "scale", BQB_F32, 0, 0, 0, f);
        check_floats(st, "h", BQB_F16, 1, 2, 0, (float[]){1, -2});
        check_floats(st, "none", BQB_F32, 2, 0, 3, f);
        const bqb_tensor *ids = bqb_safetensors_find(st, "i");
        CHECK(ids && ids->dtype == BQB_I64 && !memcmp(ids->data, i, 8));
        CHECK(ids && (uintptr_t)ids->data % 64 == 0);
        bqb_safetensors_close(st);
    }
    bqb_tensor wrong = t[0];
    wrong.n = 5;
    CHECK(bqb_torch_write(tmp_file(), &wrong, 1, "", &err) == BQB_EINVAL);
    wrong = t[0];
    wrong.dtype = BQB_U64;
    CHECK(bqb_torch_write(tmp_file(), &wrong, 1, "", &err) == BQB_EUNSUPPORTED && strstr(err.msg, "U64"));
}
