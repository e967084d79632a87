#define _GNU_SOURCE
#include "image/decode.h"
#include "image/sniff.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"
#include "unit/make_picture.h"
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { R = 16, OUT = 3 * R * R * 3, MAX_MADE = 16 << 20 };

static bqb_status decode(bqb_image_info *info, const bqb_buf *b, const char *name,
                         const bqb_image_limits *lim, bqb_err *err) {
    static uint8_t out[OUT];
    return bqb_image_frames(out, info, b->data, b->len, name, R, lim, err);
}

/* A fixture's bytes; empty with a failed check. */
static bqb_buf fixture(const char *name) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    CHECK_OK(bqb_file_read(&b.data, &b.len, test_path(name), b.max, &err), err);
    b.cap = b.len + 1;
    return b;
}

static const char *const fixtures[] = {
    "golden/images/alpha.png",           "golden/images/palette.png", "golden/images/gray.png",
    "golden/images/square.jpg",          "golden/images/cmyk.jpg",    "golden/images/animated.gif",
    "golden/images/animated_alpha.webp", "golden/images/tall.webp",   "golden/images/alpha_lossless.webp"};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

/* ---- what is not a picture ---- */

TEST(decode_names_what_it_found) {
    static const struct {
        const char *name, *bytes, *found;
    } cases[] = {
        {"empty.png", "", "nothing (0 bytes)"},
        {"notes.png", "meeting at nine\n", "text"},
        {"笔记.png", "九点开会，别忘了\n", "text"},
        {"page.gif", "<!DOCTYPE html><html><body>404</body></html>", "an HTML page"},
        {"draw.webp", "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing"},
        {"book.jpg", "%PDF-1.4\n", "a PDF"},
        {"old.png", "BM6\x03", "a BMP picture"},
        {"set.png", "PK\x03\x04", "a ZIP archive"},
        {"clip.gif", "\x1a\x45\xdf\xa3\x01\xff", "a Matroska video"},
        {"junk.gif", "\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5", "unknown binary data"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bqb_buf b = {.max = MAX_MADE};
        bqb_err err = {0};
        make_put(&b, cases[i].bytes, strlen(cases[i].bytes));
        CHECK(decode(NULL, &b, cases[i].name, NULL, &err) == BQB_EFORMAT);
        CHECK_MSG(!strncmp(err.msg, cases[i].name, strlen(cases[i].name)), "%s: %s", cases[i].name, err.msg);
        CHECK_MSG(strstr(err.msg, cases[i].found) != NULL, "%s: \"%s\" has no \"%s\"", cases[i].name, err.msg,
                  cases[i].found);
        bqb_buf_free(&b);
    }
}

TEST(decode_files_that_are_none) {
    bqb_err err;
    uint8_t out[OUT];
    CHECK(bqb_image_frames_file(out, NULL, "no/such.png", R, NULL, &err) == BQB_EIO);
    CHECK(strstr(err.msg, "no/such.png") != NULL);
    CHECK(bqb_image_frames_file(out, NULL, test_tmp_dir(), R, NULL, &err) == BQB_EFORMAT);
    /* 65 MiB that take no room. */
    char path[512];
    snprintf(path, sizeof path, "%s/big.png", test_tmp_dir());
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (!CHECK(fd >= 0 && ftruncate(fd, 65 << 20) == 0)) return;
    close(fd);
    CHECK(bqb_image_frames_file(out, NULL, path, R, NULL, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "big.png: 68157440 bytes") != NULL);
}

/* ---- limits ---- */

TEST(decode_refuses_a_png_bomb) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    make_png_head(&b, 20000, 20000, 8, 6);
    make_png_data(&b, "\0\0\0\0\0", 5);
    CHECK(decode(NULL, &b, "bomb.png", NULL, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "bomb.png: png picture of 20000 x 20000") != NULL && strstr(err.msg, "100000000"));
    bqb_buf_free(&b);
    b = (bqb_buf){.max = MAX_MADE};
    make_png_head(&b, 2000000, 1, 1, 0);
    make_png_data(&b, "", 0);
    CHECK(decode(NULL, &b, "line.png", NULL, &err) == BQB_ELIMIT);
    CHECK_MSG(strstr(err.msg, "line.png: png picture of 2000000 x 1 ") != NULL, "%s", err.msg);
    bqb_buf_free(&b);
}

/* A progressive JPEG repeats its last scan: few bytes, a lot of work. */
TEST(decode_refuses_endless_scans) {
    bqb_buf b = fixture("fixtures/images/progressive.jpg"), many = {.max = MAX_MADE};
    bqb_err err;
    if (!b.len) return;
    size_t last = b.len - 2;
    while (last > 2 && memcmp(b.data + last, "\xff\xda", 2)) last--;
    make_put(&many, b.data, last);
    for (int i = 0; i < 1000; i++) make_put(&many, b.data + last, b.len - 2 - last);
    make_put(&many, "\xff\xd9", 2);
    CHECK_OK(decode(NULL, &b, "scans.jpg", NULL, &err), err);
    CHECK(decode(NULL, &many, "scans.jpg", NULL, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "scans.jpg: jpeg picture of 16 x 12 pixels in 10") != NULL);
    bqb_buf_free(&b);
    bqb_buf_free(&many);
}

TEST(decode_refuses_too_many_frames) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_info info;
    make_gif_head(&b, 4, 4);
    for (unsigned f = 0; f < 5000; f++) make_gif_frame(&b, 4, 4, f % 128, 5);
    make_u8(&b, 0x3b);
    CHECK(decode(NULL, &b, "long.gif", NULL, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "long.gif: gif animation of 5000 frames, at most 2000") != NULL);
    bqb_image_limits more = {.max_frames = 6000}; /* and libvips has its own limit, 4,096 */
    if (CHECK_OK(decode(&info, &b, "long.gif", &more, &err), err))
        CHECK(info.frames > 4000 && info.duration_ms == 50 * (int)info.frames);
    bqb_buf_free(&b);
}

TEST(decode_refuses_too_many_pixels_in_all) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_limits lim = {.max_pixels = 100};
    make_gif_head(&b, 10, 10);
    for (unsigned f = 0; f < 10; f++) make_gif_frame(&b, 10, 10, f, 5);
    CHECK_OK(decode(NULL, &b, "sum.gif", &lim, &err), err);
    make_gif_frame(&b, 10, 10, 1, 5);
    CHECK(decode(NULL, &b, "sum.gif", &lim, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "sum.gif: gif animation of 11 frames of 10 x 10, at most 1000") != NULL);
    lim.max_pixels = 99;
    CHECK(decode(NULL, &b, "sum.gif", &lim, &err) == BQB_ELIMIT);
    bqb_buf_free(&b);
}

TEST(decode_stops_in_time) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_limits lim = {.timeout_ms = 20};
    make_gif_head(&b, 1000, 1000); /* a small file that asks for a lot of drawing */
    for (unsigned f = 0; f < 900; f++) make_gif_frame(&b, 1, 1, f % 128, 5);
    CHECK(decode(NULL, &b, "slow.gif", &lim, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "slow.gif: decoding gif of 1000 x 1000, 900 frames, took longer than 20 ms") !=
          NULL);
    bqb_buf_free(&b);
}

/* ---- damage ---- */

/* A GIF is used up to its last whole frame. */
TEST(decode_uses_whole_frames_of_a_cut_gif) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_info info;
    size_t end[4];
    make_gif_head(&b, 30, 20);
    for (unsigned f = 0; f < 4; f++) {
        make_gif_frame(&b, 30, 20, 10 * f, 20);
        end[f] = b.len;
    }
    for (size_t f = 0; f < 4; f++) {
        bqb_buf cut = {.data = b.data, .len = end[f]};
        if (CHECK_OK(decode(&info, &cut, "cut.gif", NULL, &err), err)) CHECK(info.frames == f + 1);
        cut.len--;
        bqb_status s = decode(&info, &cut, "cut.gif", NULL, &err);
        if (f) CHECK(!s && info.frames == f && info.duration_ms == (f > 1 ? 200 * (int)f : 0));
        else CHECK(s == BQB_EFORMAT && strstr(err.msg, "cut.gif: gif picture is cut short") != NULL);
    }
    /* The last whole frame is what the third place shows. */
    uint8_t out[OUT];
    CHECK_OK(bqb_image_frames(out, NULL, b.data, end[2] + 40, "cut.gif", R, NULL, &err), err);
    CHECK(out[0] == 0 && out[R * R * 3] == 10 && out[2 * R * R * 3] == 20);
    bqb_buf_free(&b);
}

/* What follows bytes that are no block is not seen; what comes before is used. */
TEST(decode_gif_up_to_stray_bytes) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_info info;
    make_gif_head(&b, 6, 6);
    make_gif_frame(&b, 6, 6, 7, 20);
    make_put(&b, "\0\0", 2);
    make_gif_frame(&b, 6, 6, 9, 20);
    make_u8(&b, 0x3b);
    if (CHECK_OK(decode(&info, &b, "stray.gif", NULL, &err), err))
        CHECK_MSG(info.frames == 1, "%zu frames", info.frames);
    bqb_buf_free(&b);
}

/* Every other format is used whole or not at all. */
TEST(decode_refuses_cut_files) {
    for (size_t i = 0; i < FIXTURES; i++) {
        bqb_buf b = fixture(fixtures[i]);
        bool gif = strstr(fixtures[i], ".gif") != NULL;
        for (size_t k = 0; k < 24; k++) {
            /* Exactly that many bytes in memory of their own, so that a sanitizer sees one too many. */
            bqb_buf cut = {.max = MAX_MADE};
            bqb_err err;
            bqb_image_info info;
            make_put(&cut, b.data, b.len * k / 24);
            char *own = malloc(cut.len ? cut.len : 1);
            if (!CHECK(own != NULL)) return;
            memcpy(own, cut.data, cut.len);
            bqb_buf exact = {.data = own, .len = cut.len};
            bqb_status s = decode(&info, &exact, "cut", NULL, &err);
            CHECK_MSG(gif ? !s || s == BQB_EFORMAT : s == BQB_EFORMAT, "%s cut to %zu bytes: %d", fixtures[i],
                      cut.len, (int)s);
            free(own);
            bqb_buf_free(&cut);
        }
        bqb_buf_free(&b);
    }
}

/* Any byte may be wrong: an answer or a refusal, and nothing on stderr. */
TEST(decode_survives_damage) {
    char path[512];
    snprintf(path, sizeof path, "%s/stderr", test_tmp_dir());
    fflush(stderr);
    int saved = dup(2), file = open(path, O_CREAT | O_RDWR, 0600);
    if (!CHECK(saved >= 0 && file >= 0)) return;
    dup2(file, 2);
    size_t refused = 0;
    bqb_rand rnd = bqb_rand_seed(820, 0);
    bqb_image_limits lim = {.max_pixels = 1 << 20, .max_frames = 50, .timeout_ms = 2000};
    for (size_t i = 0; i < FIXTURES; i++) {
        bqb_buf b = fixture(fixtures[i]);
        for (size_t k = 0; k < 30; k++) {
            char *bad = bqb_strndup(b.data, b.len);
            bqb_buf damaged = {.data = bad, .len = b.len};
            bqb_err err = {0};
            /* Half of the damage goes to the head, where it matters most. */
            for (size_t j = 0; j <= k / 4; j++)
                bad[bqb_rand_below(&rnd, j & 1 ? b.len : b.len / 20 + 30)] ^=
                    (char)(1 + bqb_rand_below(&rnd, 255));
            bqb_status s = decode(NULL, &damaged, "hurt", &lim, &err);
            CHECK_MSG(!s || (s == err.code && !strncmp(err.msg, "hurt: ", 6)), "%s: %d, \"%s\"", fixtures[i],
                      (int)s, err.msg);
            refused += s != BQB_OK;
            free(bad);
        }
        bqb_buf_free(&b);
    }
    fflush(stderr);
    dup2(saved, 2);
    off_t said = lseek(file, 0, SEEK_END);
    close(saved);
    close(file);
    CHECK_MSG(said == 0, "decoders wrote %ld bytes to stderr", (long)said);
    CHECK_MSG(refused > 50, "only %zu damaged files were refused", refused);
}

/* ---- pixels ---- */

TEST(decode_every_kind_of_png) {
    static const struct {
        unsigned bits, colour;
        uint8_t row[9]; /* filter byte and one pixel */
        size_t n;
        uint8_t white[3], dropped[3];
        bool alpha;
    } cases[] = {
        {8, 0, {0, 77}, 2, {77, 77, 77}, {77, 77, 77}, false},
        {1, 0, {0, 0x80}, 2, {255, 255, 255}, {255, 255, 255}, false},
        {16, 0, {0, 77, 200}, 3, {77, 77, 77}, {77, 77, 77}, false},
        {8, 2, {0, 1, 2, 3}, 4, {1, 2, 3}, {1, 2, 3}, false},
        {16, 2, {0, 1, 255, 2, 255, 3, 255}, 7, {1, 2, 3}, {1, 2, 3}, false},
        {8, 4, {0, 100, 51}, 3, {224, 224, 224}, {100, 100, 100}, true},
        {8, 6, {0, 255, 0, 0, 0}, 5, {255, 255, 255}, {0, 0, 0}, true},
        {16, 6, {0, 100, 9, 100, 9, 200, 9, 255, 255}, 9, {100, 100, 200}, {100, 100, 200}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int drop = 0; drop < 2; drop++) {
            bqb_buf b = {.max = MAX_MADE};
            bqb_err err;
            bqb_image_info info = {0};
            bqb_image_limits lim = {.drop_alpha = drop};
            uint8_t out[OUT];
            make_png_head(&b, 1, 1, cases[i].bits, cases[i].colour);
            make_png_chunk(&b, "gAMA", "\0\0\x27\x10", 4); /* 0.1: must not be applied */
            make_png_data(&b, cases[i].row, cases[i].n);
            bool ok = CHECK_OK(bqb_image_frames(out, &info, b.data, b.len, "one.png", R, &lim, &err), err);
            const uint8_t *want = drop ? cases[i].dropped : cases[i].white;
            if (ok)
                CHECK_MSG(!memcmp(out, want, 3) && !memcmp(out + OUT - 3, want, 3),
                          "%u bits, colour %u, drop %d: %d %d %d", cases[i].bits, cases[i].colour, drop,
                          out[0], out[1], out[2]);
            CHECK(info.alpha == cases[i].alpha && info.frames == 1 && info.duration_ms == 0);
            CHECK_STR(info.format, "png");
            bqb_buf_free(&b);
        }
}

/* Several sizes from one decoding are what each has by itself. */
TEST(decode_squares_as_one_by_one) {
    static uint8_t wide[3 * 40 * 40 * 3], alone[3 * 40 * 40 * 3];
    for (size_t i = 0; i < FIXTURES; i++)
        for (int drop = 0; drop < 2; drop++) {
            bqb_buf b = fixture(fixtures[i]);
            bqb_image_limits lim = {.drop_alpha = drop};
            uint8_t out[OUT], want[OUT];
            bqb_image_square squares[] = {{out, R}, {wide, 40}};
            bqb_err err;
            if (!b.len) return;
            CHECK_OK(bqb_image_squares(squares, 2, NULL, b.data, b.len, fixtures[i], &lim, &err), err);
            CHECK_OK(bqb_image_frames(want, NULL, b.data, b.len, fixtures[i], R, &lim, &err), err);
            CHECK_OK(bqb_image_frames(alone, NULL, b.data, b.len, fixtures[i], 40, &lim, &err), err);
            CHECK_MSG(!memcmp(out, want, OUT) && !memcmp(wide, alone, sizeof wide), "%s, drop %d", fixtures[i], drop);
            bqb_buf_free(&b);
        }
}

TEST(decode_ignores_orientation_and_profile) {
    bqb_buf b = fixture("golden/images/square.jpg"), turned = {.max = MAX_MADE};
    if (!b.len) return;
    make_put(&turned, b.data, 2);
    /* APP1: little-endian TIFF with one entry, orientation (0x112) = 6, turn right. */
    make_put(&turned,
             "\xff\xe1\0\x22"
             "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
             36);
    make_put(&turned,
             "\xff\xe2\0\x14ICC_PROFILE\0\x01\x01"
             "abcd",
             22);
    make_put(&turned, b.data + 2, b.len - 2);
    uint8_t out[OUT], want[OUT];
    bqb_err err;
    CHECK_OK(bqb_image_frames(want, NULL, b.data, b.len, "a.jpg", R, NULL, &err), err);
    CHECK_OK(bqb_image_frames(out, NULL, turned.data, turned.len, "b.jpg", R, NULL, &err), err);
    CHECK(memcmp(out, want, OUT) == 0);
    bqb_buf_free(&b);
    bqb_buf_free(&turned);
}

TEST(probe_reads_the_head_alone) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_info info;
    make_png_head(&b, 9000, 7000, 8, 2);
    make_png_data(&b, "", 0); /* not one row */
    if (CHECK_OK(bqb_image_probe(&info, b.data, b.len, "wide.png", NULL, &err), err))
        CHECK(info.width == 9000 && info.height == 7000 && info.frames == 1 && !info.alpha);
    CHECK(decode(NULL, &b, "wide.png", NULL, &err) == BQB_EFORMAT);
    bqb_buf_free(&b);
    b = fixture("golden/images/animated_alpha.webp");
    if (CHECK_OK(bqb_image_probe(&info, b.data, b.len, "a.webp", NULL, &err), err))
        CHECK(info.width == 100 && info.height == 100 && info.frames == 4 && info.alpha &&
              info.duration_ms == 400);
    CHECK_STR(info.format, "webp");
    bqb_buf_free(&b);
}

TEST(decode_avif) {
    bqb_buf b = fixture("fixtures/images/alpha.avif"); /* 16 x 12, an orange disc, its left edge half clear */
    bqb_err err;
    bqb_image_info info;
    uint8_t out[OUT];
    if (CHECK_OK(bqb_image_frames(out, &info, b.data, b.len, "a.avif", R, NULL, &err), err)) {
        CHECK_STR(info.format, "avif");
        CHECK(info.width == 16 && info.height == 12 && info.frames == 1 && info.alpha);
        const uint8_t *px = out + (R / 2 * R + R / 2) * 3;
        CHECK_MSG(px[0] > 230 && px[1] > 180 && px[1] < 220 && px[2] < 80, "middle is %d %d %d", px[0], px[1],
                  px[2]);
        CHECK(memcmp(out, out + R * R * 3, R * R * 3) == 0);
    }
    bqb_buf_free(&b);
}

TEST(reader_goes_forward_only) {
    bqb_buf b = {.max = MAX_MADE};
    bqb_err err;
    bqb_image_reader *r;
    const uint8_t *px;
    make_gif_head(&b, 3, 2);
    for (unsigned f = 0; f < 5; f++) make_gif_frame(&b, 3, 2, f, f);
    if (!CHECK_OK(bqb_image_open(&r, b.data, b.len, "r.gif", NULL, &err), err)) return;
    CHECK(bqb_image_channels(r) == 3 || bqb_image_channels(r) == 4);
    CHECK(!bqb_image_read(r, &px, 1, &err) && px[0] == 1 && px[1] == 2);
    CHECK(!bqb_image_read(r, &px, 1, &err) && px[0] == 1);
    CHECK(!bqb_image_read(r, &px, 4, &err) && px[0] == 4);
    CHECK(bqb_image_read(r, &px, 3, &err) == BQB_EINVAL);
    CHECK(bqb_image_read(r, &px, 5, &err) == BQB_EINVAL);
    CHECK(bqb_image_delay_ms(r, 0) == 100 && bqb_image_delay_ms(r, 1) == 100 &&
          bqb_image_delay_ms(r, 4) == 40);
    bqb_image_close(r);
    bqb_image_close(NULL);
    bqb_buf_free(&b);
}

/* ---- many at once ---- */

typedef struct {
    bqb_buf file[FIXTURES];
    uint8_t want[FIXTURES][OUT];
    bool wrong[160];
} crowd;

/* Whole and cut files side by side: pixels and messages must not mix. */
static void one_of_many(void *ctx, size_t i, int worker) {
    (void)worker;
    crowd *c = ctx;
    size_t k = i % FIXTURES;
    uint8_t out[OUT];
    bqb_err err = {0};
    char name[32];
    snprintf(name, sizeof name, "file%zu", i);
    bool cut = i % 3 == 0 && !strstr(fixtures[k], ".gif");
    size_t n = c->file[k].len;
    bqb_status s = bqb_image_frames(out, NULL, c->file[k].data, cut ? n / 2 : n, name, R, NULL, &err);
    if (cut) c->wrong[i] = s != BQB_EFORMAT || strncmp(err.msg, name, strlen(name)) != 0;
    else c->wrong[i] = s != BQB_OK || memcmp(out, c->want[k], OUT) != 0;
}

TEST(decode_from_many_threads) {
    crowd *c = bqb_calloc(1, sizeof *c);
    bqb_err err;
    for (size_t k = 0; k < FIXTURES; k++) {
        c->file[k] = fixture(fixtures[k]);
        CHECK_OK(bqb_image_frames(c->want[k], NULL, c->file[k].data, c->file[k].len, "x", R, NULL, &err),
                 err);
    }
    bqb_parallel_for(160, 8, one_of_many, c);
    for (size_t i = 0; i < 160; i++) CHECK_MSG(!c->wrong[i], "file %zu (%s)", i, fixtures[i % FIXTURES]);
    for (size_t k = 0; k < FIXTURES; k++) bqb_buf_free(&c->file[k]);
    free(c);
}

TEST(normalise_as_clip_does) {
    enum { N = 2, S = 5 };
    static const double mean[3] = {0.48145466, 0.4578275, 0.40821073};
    static const double std[3] = {0.26862954, 0.26130258, 0.27577711};
    uint8_t rgb[N * S * S * 3];
    float chw[N * S * S * 3];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * 37);
    bqb_image_normalise(chw, rgb, N, S);
    double worst = 0, planted = 0;
    for (size_t f = 0; f < N; f++)
        for (size_t i = 0; i < S * S; i++)
            for (size_t c = 0; c < 3; c++) {
                double want = (rgb[(f * S * S + i) * 3 + c] / 255.0 - mean[c]) / std[c];
                worst = fmax(worst, fabs(chw[(f * 3 + c) * S * S + i] - want));
                /* Planted: channels in the wrong order. */
                planted = fmax(planted, fabs(chw[(f * 3 + (c + 1) % 3) * S * S + i] - want));
            }
    CHECK_MSG(worst < 1e-6, "off by %g", worst);
    CHECK(planted > 0.1);
}
