#define _DEFAULT_SOURCE
/* Telegram's animations: what is drawn, what is decoded, what is refused, and that a decoder's end is not ours. */
#include "image/apart.h"
#include "image/decode.h"
#include "image/movie.h"
#include "image/sniff.h"
#include "image/thumbnail.h"
#include "make_webm.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* ---- TGS ---- */

/* A red disc of diameter 24 that goes from (16,32) to (48,32) in 60 frames of 64×64. %s: more of the top object. */
static const char disc[] =
    "{\"tgs\":1,\"v\":\"5.5.2\",\"fr\":60,\"ip\":0,\"op\":60,\"w\":64,\"h\":64,%s\"layers\":[{\"ddd\":0,\"ind\":1,\"ty\":4,\"sr\":1,"
    "\"ks\":{\"o\":{\"a\":0,\"k\":100},\"r\":{\"a\":0,\"k\":0},\"p\":{\"a\":1,\"k\":[{\"i\":{\"x\":[1],\"y\":[1]},\"o\":{\"x\":[0],\"y\":[0]},"
    "\"t\":0,\"s\":[16,32,0]},{\"t\":59,\"s\":[48,32,0]}]},\"a\":{\"a\":0,\"k\":[0,0,0]},\"s\":{\"a\":0,\"k\":[100,100,100]}},\"ao\":0,"
    "\"shapes\":[{\"ty\":\"gr\",\"it\":[{\"d\":1,\"ty\":\"el\",\"s\":{\"a\":0,\"k\":[24,24]},\"p\":{\"a\":0,\"k\":[0,0]}},"
    "{\"ty\":\"fl\",\"c\":{\"a\":0,\"k\":[1,0,0,1]},\"o\":{\"a\":0,\"k\":100},\"r\":1},{\"ty\":\"tr\",\"p\":{\"a\":0,\"k\":[0,0]},"
    "\"a\":{\"a\":0,\"k\":[0,0]},\"s\":{\"a\":0,\"k\":[100,100]},\"r\":{\"a\":0,\"k\":0},\"o\":{\"a\":0,\"k\":100}}]}],"
    "\"ip\":0,\"op\":60,\"st\":0,\"bm\":0}]}";

static size_t gzip(uint8_t *out, size_t room, const char *text) {
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)strlen(text), .next_out = out, .avail_out = (uInt)room};
    if (deflateInit2(&zs, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&zs, Z_FINISH) != Z_STREAM_END) abort();
    deflateEnd(&zs);
    return room - zs.avail_out;
}

static size_t make_disc(uint8_t *out, size_t room, const char *more) {
    char text[4096];
    snprintf(text, sizeof text, disc, more);
    return gzip(out, room, text);
}

static const uint8_t *at(const uint8_t *px, size_t w, size_t C, size_t x, size_t y) { return px + (y * w + x) * C; }

TEST(tgs_is_drawn_on_white) {
    uint8_t tgs[4096], rgb[3 * 32 * 32 * 3];
    size_t n = make_disc(tgs, sizeof tgs, "");
    bqb_image_info info;
    bqb_err err;
    CHECK(bqb_sniff(tgs, n) == BQB_PICTURE_TGS);
    bqb_status s = bqb_image_frames(rgb, &info, tgs, n, "a.tgs", 32, NULL, &err);
#ifndef BQB_WITH_rlottie
    CHECK(s == BQB_EUNSUPPORTED && strstr(err.msg, "Debian: librlottie-dev"));
    return;
#else
    if (!CHECK_OK(s, err)) return;
    CHECK(info.width == 64 && info.height == 64 && info.frames == 60 && info.alpha && info.duration_ms == 1000);
    CHECK_STR(info.format, "tgs");
    static const size_t centre[3] = {8, 16, 24};
    for (size_t f = 0; f < 3; f++)
        for (size_t k = 0; k < 3; k++) {
            const uint8_t *p = at(rgb + f * sizeof rgb / 3, 32, 3, centre[k], 16), *corner = at(rgb + f * sizeof rgb / 3, 32, 3, 1, 1);
            bool red = p[0] > 240 && p[1] < 15 && p[2] < 15, white = p[0] > 240 && p[1] > 240 && p[2] > 240;
            CHECK_MSG(k == f ? red : white || k != f + 1, "frame %zu, place %zu: %d %d %d", f, k, p[0], p[1], p[2]);
            CHECK(corner[0] == 255 && corner[1] == 255 && corner[2] == 255);
        }
    bqb_thumbnail t;
    if (!CHECK_OK(bqb_image_thumbnail(&t, tgs, n, "a.tgs", 16, 16, 4, NULL, &err), err)) return;
    CHECK(t.frames == 4 && t.width == 16 && t.delay_ms[0] + t.delay_ms[1] + t.delay_ms[2] + t.delay_ms[3] == 1000);
    CHECK(at(t.rgba, 16, 4, 0, 0)[3] == 0 && at(t.rgba, 16, 4, 4, 8)[3] == 255);
    bqb_thumbnail_free(&t);
#endif
}

static void refused(const void *data, size_t n, bqb_status status, const char *why) {
    bqb_movie m;
    bqb_err err = {0};
    bqb_status s = bqb_lottie_open(&m, data, n, "x.tgs", &err);
    CHECK_MSG(s == status && strstr(err.msg, why) && !strncmp(err.msg, "x.tgs: ", 7), "%d \"%s\", expected %d \"%s\"", s, err.msg, status, why);
    bqb_movie_close(&m);
}

TEST(tgs_that_is_none_is_refused) {
    static const struct {
        const char *more;
        bqb_status status;
        const char *why;
    } cases[] = {
        {"\"assets\":[{\"id\":\"a\",\"u\":\"/etc/\",\"p\":\"passwd\"}],", BQB_EUNSUPPORTED, "refers to a picture"},
        {"\"assets\":[{\"id\":\"a\",\"e\":1,\"p\":\"data:image/png;base64,AA\"}],", BQB_EUNSUPPORTED, "refers to a picture"},
        {"\"w\":5,", BQB_EFORMAT, "duplicate"},
    };
    uint8_t tgs[8192];
    char deep[600];
    size_t n = make_disc(tgs, sizeof tgs, "");
    refused(tgs, n - 20, BQB_EFORMAT, "cut short");
    refused(tgs, gzip(tgs, sizeof tgs, "{\"tgs\":1}"), BQB_EFORMAT, "\"w\" of the animation");
    refused(tgs, gzip(tgs, sizeof tgs, "{\"w\":9000,\"h\":1,\"fr\":1,\"ip\":0,\"op\":1,\"layers\":[]}"), BQB_ELIMIT, "1 to 8192");
    refused(tgs, gzip(tgs, sizeof tgs, "{\"w\":9,\"h\":9,\"fr\":1,\"ip\":5,\"op\":1,\"layers\":[]}"), BQB_ELIMIT, "\"op\"");
    refused(tgs, gzip(tgs, sizeof tgs, "{\"w\":9,\"h\":9,\"fr\":1,\"ip\":0,\"op\":1}"), BQB_EFORMAT, "no \"layers\"");
    refused(tgs, gzip(tgs, sizeof tgs, "{\"v\""), BQB_EFORMAT, "invalid JSON");
    strcpy(deep, "{\"v\":");
    memset(deep + 5, '[', 500);
    deep[505] = 0;
    refused(tgs, gzip(tgs, sizeof tgs, deep), BQB_ELIMIT, "deeper than 100");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        n = make_disc(tgs, sizeof tgs, cases[i].more);
        refused(tgs, n, cases[i].status, cases[i].why);
    }
    n = gzip(tgs, sizeof tgs, "a text that was packed");
    CHECK(bqb_sniff(tgs, n) == BQB_PICTURE_NONE);
}

/* ---- WebM ---- */

#ifdef BQB_WITH_vpx
TEST(webm_is_decoded_with_alpha) {
    for (int k = 0; k < 4; k++) {
        bool alpha = k & 1;
        bqb_buf b = {.max = 1 << 20};
        uint8_t rgb[3 * 8 * 8 * 3];
        bqb_image_info info;
        bqb_err err;
        make_webm(&b, 4, alpha, k & 2);
        CHECK(bqb_sniff((const uint8_t *)b.data, b.len) == BQB_PICTURE_WEBM);
        if (CHECK_OK(bqb_image_frames(rgb, &info, b.data, b.len, "a.webm", 8, NULL, &err), err)) {
            CHECK_MSG(info.width == 32 && info.height == 24 && info.frames == 4 && info.alpha == alpha && info.duration_ms == 160,
                      "%zux%zu, %zu frames, %d ms", info.width, info.height, info.frames, info.duration_ms);
            static const size_t frame[3] = {0, 1, 3};
            for (size_t f = 0; f < 3; f++) {
                int want = (int)((60.0 + 40.0 * (double)frame[f] - 16) * 255 / 219 + 0.5);
                int right = *at(rgb + f * 192, 8, 3, 6, 4), left = *at(rgb + f * 192, 8, 3, 1, 4);
                CHECK_MSG(abs(right - want) <= 4, "frame %zu: %d, expected %d", f, right, want);
                CHECK_MSG(abs(left - (alpha ? 255 : want)) <= 4, "frame %zu, left: %d", f, left);
            }
        }
        bqb_buf_free(&b);
    }
}

TEST(webm_that_is_cut_has_the_frames_before) {
    bqb_buf b = {.max = 1 << 20};
    bqb_image_info info;
    bqb_err err;
    make_webm(&b, 4, false, false);
    CHECK_OK(bqb_image_probe(&info, b.data, b.len - 3, "a.webm", NULL, &err), err);
    CHECK(info.frames == 3);
    CHECK(bqb_image_probe(&info, b.data, 120, "a.webm", NULL, &err) == BQB_EFORMAT && strstr(err.msg, "a.webm: "));
    bqb_image_limits few = {.max_frames = 3};
    CHECK(bqb_image_probe(&info, b.data, b.len, "a.webm", &few, &err) == BQB_ELIMIT);
    bqb_buf_free(&b);
}
#endif

/* ---- a process of its own ---- */

static bool misbehave(void *ctx, uint8_t *pixels, size_t frame) {
    const char *how = ctx;
    if (*how == 'c') raise(SIGABRT); /* which no sanitizer takes for itself */
    while (*how == 'h') pixels[0]++;
    if (*how == 'f') return false;
    if (*how == 'e') _exit(0);
    if (*how == 'k') raise(SIGKILL);
    if (*how == 's') usleep(200000);
    if (*how == 't') raise(SIGTERM); /* as everything of a terminal or a service gets it */
    pixels[0] = (uint8_t)(frame + 1);
    return true;
}

static void apart(const char *how, bqb_status status, const char *why) {
    bqb_apart *a;
    bqb_err err = {0};
    uint8_t pixel[4] = {0};
    const bqb_apart_limits limits = {.bytes = 4, .timeout_ms = 300};
    if (!CHECK_OK(bqb_apart_start(&a, misbehave, (void *)(uintptr_t)how, &limits, &err), err)) return;
    bqb_status s = bqb_apart_frame(a, pixel, 6, &err);
    CHECK_MSG(s == status && (!s || strstr(err.msg, why)), "%s: %d \"%s\"", how, s, err.msg);
    CHECK(s || pixel[0] == 7);
    bqb_apart_stop(a);
}

TEST(apart_decoder_ends_alone) {
    apart("gives", BQB_OK, "");
    apart("fails", BQB_EFORMAT, "is damaged");
    apart("crashes", BQB_EFORMAT, "ends with signal 6");
    apart("exits", BQB_EFORMAT, "is damaged");
    apart("hangs", BQB_ELIMIT, "longer than 300 ms");
    apart("killed", BQB_ELIMIT, "was killed");
    apart("terminated", BQB_OK, "");
}

/* The time of each question counts for itself when it is renewed, else all together. */
TEST(apart_time_can_begin_anew) {
    for (int renewed = 0; renewed < 2; renewed++) {
        bqb_apart *a;
        bqb_err err = {0};
        const bqb_apart_limits limits = {.bytes = 4, .timeout_ms = 100};
        bqb_apart_end end = BQB_APART_DONE;
        int asked, signal_number;
        if (!CHECK_OK(bqb_apart_start(&a, misbehave, "slow", &limits, &err), err)) return;
        for (asked = 0; asked < 6 && end == BQB_APART_DONE; asked++) {
            if (renewed) bqb_apart_renew(a);
            end = bqb_apart_ask(a, 0, &signal_number);
        }
        CHECK_MSG(end == (renewed ? BQB_APART_DONE : BQB_APART_LATE), "renewed %d: %d after %d", renewed, (int)end, asked);
        bqb_apart_stop(a);
    }
}

typedef struct {
    bqb_apart *a;
    bqb_apart_limits limits;
} starting;

static void *start_and_end(void *ctx) {
    starting *s = ctx;
    int signal_number;
    if (!bqb_apart_start(&s->a, misbehave, "gives", &s->limits, NULL)) bqb_apart_ask(s->a, 0, &signal_number);
    return NULL;
}

/* A process that one thread started can be asked by the next, unless it is to end with the first. */
TEST(apart_outlives_the_thread_that_started_it) {
    for (int outlives = 0; outlives < 2; outlives++) {
        starting s = {.limits = {.bytes = 4, .timeout_ms = 10000, .many_threads = outlives}};
        pthread_t t;
        int signal_number;
        if (!CHECK(!pthread_create(&t, NULL, start_and_end, &s))) return;
        pthread_join(t, NULL);
        if (!CHECK(s.a)) return;
        usleep(outlives ? 0 : 200000);
        bqb_apart_end end = bqb_apart_ask(s.a, 0, &signal_number);
        CHECK_MSG(end == (outlives ? BQB_APART_DONE : BQB_APART_KILLED), "outlives %d: %d", outlives, (int)end);
        bqb_apart_stop(s.a);
    }
}
