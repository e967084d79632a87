/* The files of MUGE, and base64 and JSON Lines under them. An input is read as
 * pictures and as texts; reading goes on after errors and ends. */
#include "base/utf8.h"
#include "file/base64.h"
#include "file/muge.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static void check_text(const char *s) {
    if (bqb_utf8_check(s, strlen(s)) != strlen(s)) abort();
}

static void read_images(const char *path, size_t lines) {
    bqb_muge_images *m;
    bqb_muge_image image;
    if (bqb_muge_images_open(&m, path, NULL)) abort();
    for (size_t calls = 0;; calls++) {
        bqb_err err = {0};
        if (calls > lines) abort();
        if (bqb_muge_images_next(m, &image, &err)) {
            if (image.id || err.pos < 1) abort();
            continue;
        }
        if (!image.id) break;
        check_text(image.id);
        /* What was read can be written and read again. */
        bqb_buf text = {.max = 1 << 20}, again = {.max = 1 << 20};
        if (bqb_base64_encode(&text, image.bytes, image.size, NULL) ||
            bqb_base64_decode(&again, text.data, text.len, NULL) || again.len != image.size ||
            memcmp(again.data, image.bytes, image.size))
            abort();
        bqb_buf_free(&text);
        bqb_buf_free(&again);
    }
    bqb_muge_images_close(m);
}

static void read_texts(const char *path, size_t lines) {
    bqb_muge_texts *m;
    bqb_muge_text text;
    if (bqb_muge_texts_open(&m, path, NULL)) abort();
    for (size_t calls = 0;; calls++) {
        bqb_err err = {0};
        if (calls > lines) abort();
        if (bqb_muge_texts_next(m, &text, &err)) {
            if (text.id || err.pos < 1) abort();
            continue;
        }
        if (!text.id) break;
        check_text(text.id);
        check_text(text.text);
        for (size_t i = 0; i < text.n_image_ids; i++) check_text(text.image_ids[i]);
    }
    bqb_muge_texts_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    if (!path) return 0;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    read_images(path, lines);
    read_texts(path, lines);
    return 0;
}
