#include "test.h"
#include "make_picture.h"

#include "image/decode.h"
#include "library/annotate.h"
#include "library/ocr.h"
#include "library/reader.h"

#include <stdlib.h>
#include <string.h>

static bqb_err err;

/* Where Tesseract is not installed there is nothing to test; with $CI set that is a failure by itself. */
static bqb_ocr *open_reader(void) {
    bqb_ocr *o = NULL;
    char advice[BQB_OCR_ADVICE];
    bqb_status s = bqb_ocr_open(&o, advice, &err);
    if (s == BQB_EUNSUPPORTED || *advice) {
        bqb_ocr_close(o);
        test_skip(s ? err.msg : advice);
        return NULL;
    }
    CHECK_OK(s, err);
    return o;
}

TEST(reader_finds_nothing_on_tiny_and_plain_pictures) {
    bqb_ocr *o = open_reader();
    if (!o) return;
    CHECK_OK(bqb_image_init(&err), err);
    static const size_t sizes[][2] = {{1, 1}, {200, 1}, {1, 200}, {64, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static uint8_t rows[65000];
        size_t w = sizes[i][0], h = sizes[i][1];
        bqb_buf b = {.max = 1 << 20};
        bqb_merged m;
        memset(rows, 0, sizeof rows);
        make_png_head(&b, w, h, 8, 0);
        make_png_data(&b, rows, h * (w + 1));
        CHECK_OK(bqb_read_sticker(&m, NULL, o, b.data, b.len, "plain.png", NULL, &err), err);
        CHECK_MSG(m.joined.data && !*m.joined.data, "%zu x %zu: read \"%s\"", w, h, m.joined.data);
        bqb_merged_free(&m);
        bqb_buf_free(&b);
    }
    bqb_merged m;
    CHECK(bqb_read_sticker(&m, NULL, o, "no picture", 10, "x.png", NULL, &err) == BQB_EFORMAT);
    bqb_ocr_close(o);
}
