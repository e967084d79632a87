#include "library_help.h"

#include "base/fs.h"
#include "make_picture.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t help_encoded;

const char *help_path(const char *dir, const char *name) {
    static char paths[4][1024];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static void put_file(const char *dir, const char *name, const void *bytes, size_t n) {
    bqb_err err = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    *strrchr(path, '/') = 0;
    CHECK_OK(bqb_make_dirs(path, &err), err);
    CHECK_OK(bqb_file_write(help_path(dir, name), bytes, n, &err), err);
}

void help_text(const char *dir, const char *name, const char *text) { put_file(dir, name, text, strlen(text)); }

void help_png(const char *dir, const char *name, unsigned r, unsigned g, unsigned b) {
    bqb_buf png = {.max = 1 << 16};
    uint8_t rows[8 * (1 + 8 * 3)], *p = rows;
    for (int y = 0; y < 8; y++) {
        *p++ = 0;
        for (int x = 0; x < 8; x++) {
            *p++ = (uint8_t)r;
            *p++ = (uint8_t)g;
            *p++ = (uint8_t)b;
        }
    }
    make_png_head(&png, 8, 8, 8, 2);
    make_png_data(&png, rows, sizeof rows);
    put_file(dir, name, png.data, png.len);
    bqb_buf_free(&png);
}

static bqb_status encode(void *ctx, float *out, const uint8_t *rgb, size_t N, bqb_err *err) {
    (void)ctx;
    (void)err;
    const size_t size = 3 * 4 * 4 * 3;
    for (size_t i = 0; i < N; i++) {
        float v[3], length = 0;
        for (int k = 0; k < 3; k++) {
            v[k] = (float)rgb[i * size + (size_t)k];
            length += v[k] * v[k];
        }
        length = sqrtf(length);
        for (int k = 0; k < 3; k++) out[3 * i + (size_t)k] = length > 0 ? v[k] / length : k == 0;
    }
    help_encoded += N;
    return BQB_OK;
}

bqb_embedder help_embedder(const char *id) {
    return (bqb_embedder){.id = id, .dim = 3, .resolution = 4, .encode = encode};
}

void help_import(const char *dir, const char *path, const bqb_embedder *e, bqb_import_report *r) {
    bqb_err err = {0};
    bqb_catalogue *c = NULL;
    bqb_import_options o = {.embedder = e, .threads = 2};
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_WRITE, &err), err);
    if (c) CHECK_OK(bqb_library_import(c, &path, 1, &o, r, &err), err);
    bqb_catalogue_close(c);
}

bqb_catalogue *help_open(const char *dir) {
    bqb_err err = {0};
    bqb_catalogue *c = NULL;
    CHECK_OK(bqb_catalogue_open(&c, help_path(dir, "lib"), BQB_CATALOGUE_READ, &err), err);
    return c;
}
