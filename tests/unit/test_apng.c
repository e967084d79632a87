#include "image/decode.h"

#include "test.h"
#include "unit/make_picture.h"

#include <stdlib.h>
#include <string.h>

/* A frame of an animated PNG on a gray + alpha canvas, all of one shade. */
typedef struct {
    size_t x, y, w, h;
    unsigned dispose, over;
    uint8_t shade, alpha;
} frame;

enum { W = 4, H = 2, LEAVE = 0, CLEAR = 1, PUT_BACK = 2 };

static void control(bqb_buf *b, const frame *f, size_t sequence) {
    bqb_buf c = {.max = 64};
    make_be32(&c, sequence);
    make_be32(&c, f->w);
    make_be32(&c, f->h);
    make_be32(&c, f->x);
    make_be32(&c, f->y);
    make_put(&c, (uint8_t[]){0, 3, 0, 50, (uint8_t)f->dispose, (uint8_t)f->over}, 6); /* 3/50 s = 60 ms */
    make_png_chunk(b, "fcTL", c.data, c.len);
    bqb_buf_free(&c);
}

static void data(bqb_buf *b, const frame *f, const char *type, size_t sequence) {
    bqb_buf rows = {.max = 1024}, body = {.max = 1024};
    for (size_t y = 0; y < f->h; y++) {
        make_u8(&rows, 0);
        for (size_t x = 0; x < f->w; x++) make_put(&rows, (uint8_t[]){f->shade, f->alpha}, 2);
    }
    if (type[0] == 'f') make_be32(&body, sequence);
    make_zlib(&body, rows.data, rows.len);
    make_png_chunk(b, type, body.data, body.len);
    bqb_buf_free(&rows);
    bqb_buf_free(&body);
}

/* ends[i], if wanted: the length of the file up to frame i's last byte. */
static bqb_buf animation(const frame *f, size_t n, bool hidden_default, size_t *ends) {
    bqb_buf b = {.max = 1 << 20}, head = {.max = 8};
    size_t sequence = 0;
    make_png_head(&b, W, H, 8, 4);
    make_be32(&head, n);
    make_be32(&head, 0);
    make_png_chunk(&b, "acTL", head.data, head.len);
    bqb_buf_free(&head);
    if (hidden_default) data(&b, &(frame){0, 0, W, H, 0, 0, 99, 255}, "IDAT", 0);
    for (size_t i = 0; i < n; i++) {
        control(&b, &f[i], sequence++);
        if (i || hidden_default) data(&b, &f[i], "fdAT", sequence++);
        else data(&b, &f[i], "IDAT", 0);
        if (ends) ends[i] = b.len;
    }
    make_png_chunk(&b, "IEND", "", 0);
    return b;
}

static const frame story[5] = {
    {0, 0, W, H, LEAVE, 0, 10, 255},    /* everything 10 */
    {1, 0, 2, 1, PUT_BACK, 0, 50, 128}, /* a clearer piece that goes again */
    {3, 1, 1, 1, LEAVE, 1, 110, 128},   /* half of it over the corner */
    {0, 0, 1, 2, CLEAR, 0, 200, 255},   /* the left side, cleared afterwards */
    {2, 0, 1, 1, LEAVE, 1, 77, 0},      /* nothing, blended over */
};
/* What the canvas must show: shade and alpha of its eight pixels. */
static const uint8_t want[5][W * H][2] = {
    {{10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}},
    {{10, 255}, {50, 128}, {50, 128}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}},
    {{10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {10, 255}, {60, 255}},
    {{200, 255}, {10, 255}, {10, 255}, {10, 255}, {200, 255}, {10, 255}, {10, 255}, {60, 255}},
    {{0, 0}, {10, 255}, {10, 255}, {10, 255}, {0, 0}, {10, 255}, {10, 255}, {60, 255}},
};

static void check_frame(bqb_image_reader *r, size_t i) {
    bqb_err err;
    const uint8_t *px;
    if (!CHECK_OK(bqb_image_read(r, &px, i, &err), err)) return;
    for (size_t p = 0; p < W * H; p++)
        CHECK_MSG(px[4 * p] == want[i][p][0] && px[4 * p + 2] == want[i][p][0] &&
                      px[4 * p + 3] == want[i][p][1],
                  "frame %zu pixel %zu is %d alpha %d, expected %d alpha %d", i, p, px[4 * p], px[4 * p + 3],
                  want[i][p][0], want[i][p][1]);
}

TEST(apng_draws_every_frame) {
    for (int hidden = 0; hidden < 2; hidden++) {
        bqb_buf b = animation(story, 5, hidden, NULL);
        bqb_err err;
        bqb_image_reader *r;
        if (!CHECK_OK(bqb_image_open(&r, b.data, b.len, "a.png", NULL, &err), err)) return;
        const bqb_image_info *info = bqb_image_info_of(r);
        CHECK(info->width == W && info->height == H && info->frames == 5 && info->alpha);
        CHECK(info->duration_ms == 300 && bqb_image_delay_ms(r, 4) == 60 && bqb_image_channels(r) == 4);
        CHECK_STR(info->format, "png");
        for (size_t i = 0; i < 5; i++) check_frame(r, i);
        bqb_image_close(r);
        /* Frames that are skipped leave their traces all the same. */
        if (!CHECK_OK(bqb_image_open(&r, b.data, b.len, "a.png", NULL, &err), err)) return;
        check_frame(r, 2);
        check_frame(r, 4);
        bqb_image_close(r);
        bqb_buf_free(&b);
    }
}

TEST(apng_cut_short_keeps_whole_frames) {
    size_t ends[5];
    bqb_err err;
    bqb_image_info info;
    bqb_buf b = animation(story, 5, false, ends);
    for (size_t i = 1; i < 5; i++) {
        /* A frame is known to be whole when the next chunk's 12 bytes are there. */
        if (CHECK_OK(bqb_image_probe(&info, b.data, i == 4 ? b.len : ends[i] + 38, "a.png", NULL, &err), err))
            CHECK_MSG(info.frames == i + 1, "%zu frames after frame %zu", info.frames, i);
        if (i > 1 && CHECK_OK(bqb_image_probe(&info, b.data, ends[i] - 1, "a.png", NULL, &err), err))
            CHECK_MSG(info.frames == i, "%zu frames before the end of frame %zu", info.frames, i);
    }
    bqb_buf_free(&b);
}

TEST(apng_limits_and_lies) {
    bqb_err err;
    bqb_image_info info;
    uint8_t out[3 * 8 * 8 * 3];
    bqb_buf b = animation(story, 5, false, NULL);
    bqb_image_limits few = {.max_frames = 3};
    CHECK(bqb_image_probe(&info, b.data, b.len, "a.png", &few, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "a.png: png animation of 4 frames or more, at most 3") != NULL);
    bqb_image_limits small = {.max_pixels = 7};
    CHECK(bqb_image_probe(&info, b.data, b.len, "a.png", &small, &err) == BQB_ELIMIT);
    bqb_buf_free(&b);
    /* A frame outside the canvas: the picture is what came before, here a still. */
    frame outside[2] = {story[0], story[1]};
    outside[1].x = 3;
    b = animation(outside, 2, false, NULL);
    if (CHECK_OK(bqb_image_frames(out, &info, b.data, b.len, "a.png", 8, NULL, &err), err))
        CHECK(info.frames == 1 && out[0] == 10);
    bqb_buf_free(&b);
    /* A frame whose data is too short for its size. */
    frame lie[2] = {story[0], story[1]};
    b = animation(lie, 2, false, NULL);
    char *w = b.data;
    for (size_t i = 0; i + 4 < b.len; i++)
        if (!memcmp(w + i, "fcTL", 4) && w[i + 4 + 3] == 1) w[i + 4 + 11] = 2; /* height 2, one row there */
    CHECK(bqb_image_frames(out, &info, b.data, b.len, "a.png", 8, NULL, &err) == BQB_EFORMAT);
    CHECK(strstr(err.msg, "a.png: png picture is damaged") != NULL);
    bqb_buf_free(&b);
}
