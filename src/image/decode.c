#include "image/decode.h"

#include "base/fs.h"
#include "base/mem.h"
#include "image/apng.h"
#include "image/movie.h"
#include "image/resample.h"
#include "image/sniff.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vips/vips.h>

enum {
    MAX_PIXELS = 100 * 1000 * 1000,
    MAX_FRAMES = 2000,
    TIMEOUT_MS = 10000,
    MAX_FILE = 64 << 20,
    TOTAL_FACTOR = 10, /* all frames together may have this many times max_pixels */
    MAX_SCANS = 100,   /* of a JPEG; each may be a few bytes that cost a walk over the whole picture */
    MAX_DELAY_MS = 60000,
    STRIP = 64 /* rows asked of libvips at once: between them the clock is looked at */
};

struct bqb_image_reader {
    char *name;
    VipsImage *image; /* all frames below each other */
    VipsRegion *region;
    bqb_image_info info;
    bqb_picture_kind kind;
    bqb_animation animation;
    bqb_apng apng;           /* apng.frame set: frames come from here, image is NULL */
    uint8_t *canvas, *under; /* of the APNG */
    bqb_movie movie;         /* movie.fn set: frames come from here, image is NULL */
    size_t C;
    uint8_t *pixels;
    size_t frame; /* which one pixels holds; SIZE_MAX at first, and SIZE_MAX + 1 is frame 0 */
    int timeout_ms;
    int64_t used_ms, since_ms; /* processor time of earlier calls; of the thread when this call began */
};

/* ---- libvips, started once ---- */

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static int init_failed;

/* Decoder warnings would go to the terminal of whoever uses the library. */
static void drop_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer ctx) {
    (void)domain, (void)level, (void)message, (void)ctx;
}

static void init(void) {
    init_failed = vips_init("bqb");
    if (init_failed) return;
    g_log_set_handler("VIPS", G_LOG_LEVEL_MASK, drop_log, NULL);
    /* We call the loader that the bytes ask for and no other; the block is a
     * second fence. Our own SVG art is drawn by this process, too. */
    vips_block_untrusted_set(TRUE);
    vips_operation_block_set("VipsForeignLoadSvg", FALSE);
    vips_cache_set_max(0);
    vips_concurrency_set(1);
}

bqb_status bqb_image_init(bqb_err *err) {
    pthread_once(&init_once, init);
    return init_failed ? bqb_fail(err, BQB_EUNSUPPORTED, "libvips cannot be started") : BQB_OK;
}

/* ---- opening ---- */

/* This thread's processor time, which a busy machine does not stretch. */
static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t left_ms(const bqb_image_reader *r) {
    return r->timeout_ms - r->used_ms - (now_ms() - r->since_ms);
}

/* libvips keeps one error text for all threads, so what it holds may be about
 * another picture: our messages are made from what we know, and its text goes. */
static bqb_status damaged(const bqb_image_reader *r, bqb_err *err) {
    vips_error_clear();
    return bqb_fail(err, BQB_EFORMAT, "%s: %s picture is %s", r->name, r->info.format,
                    r->animation.complete ? "damaged" : "cut short");
}

static VipsImage *load(const bqb_image_reader *r, const void *data, size_t size) {
    VipsImage *image = NULL;
    void *buf = (void *)(uintptr_t)data; /* libvips only reads it */
    int failed = -1;
    switch (r->kind) {
    case BQB_PICTURE_PNG:
        failed = vips_pngload_buffer(buf, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                     VIPS_FAIL_ON_TRUNCATED, NULL);
        break;
    case BQB_PICTURE_JPEG:
        failed = vips_jpegload_buffer(buf, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                      VIPS_FAIL_ON_TRUNCATED, NULL);
        break;
    case BQB_PICTURE_GIF:
        /* The frames we ask for are known to be whole, the rest may be missing. */
        failed =
            vips_gifload_buffer(buf, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "n", -1, "fail_on",
                                r->animation.complete ? VIPS_FAIL_ON_TRUNCATED : VIPS_FAIL_ON_NONE, NULL);
        break;
    case BQB_PICTURE_WEBP:
        failed = vips_webpload_buffer(buf, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "n", -1, "fail_on",
                                      VIPS_FAIL_ON_TRUNCATED, NULL);
        break;
    case BQB_PICTURE_AVIF:
    case BQB_PICTURE_HEIC:
        failed = vips_heifload_buffer(buf, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                      VIPS_FAIL_ON_TRUNCATED, NULL);
        break;
    case BQB_PICTURE_TGS:
    case BQB_PICTURE_WEBM:
    case BQB_PICTURE_NONE:
        break;
    }
    return failed ? NULL : image;
}

/* Bands and format that we know how to turn into 8-bit gray, RGB or RGBA. */
static bool choose_channels(bqb_image_reader *r) {
    int bands = vips_image_get_bands(r->image);
    VipsBandFormat format = vips_image_get_format(r->image);
    if (format != VIPS_FORMAT_UCHAR && format != VIPS_FORMAT_USHORT) return false;
    bool cmyk = vips_image_get_interpretation(r->image) == VIPS_INTERPRETATION_CMYK;
    if (bands < 1 || bands > 4 || (cmyk && bands != 4)) return false;
    r->info.alpha = !cmyk && (bands == 2 || bands == 4);
    r->C = r->info.alpha ? 4 : bands == 1 ? 1 : 3;
    return true;
}

static bqb_status check_limits(const bqb_image_reader *r, size_t max_pixels, bqb_err *err) {
    const bqb_image_info *i = &r->info;
    if (i->width > BQB_RESAMPLE_SIDE || i->height > BQB_RESAMPLE_SIDE)
        return bqb_fail(err, BQB_ELIMIT, "%s: %s picture of %zu x %zu pixels, a side may have at most %d",
                        r->name, i->format, i->width, i->height, BQB_RESAMPLE_SIDE);
    if (i->width > max_pixels / i->height)
        return bqb_fail(err, BQB_ELIMIT, "%s: %s picture of %zu x %zu pixels, at most %zu pixels are decoded",
                        r->name, i->format, i->width, i->height, max_pixels);
    if (r->animation.passes > MAX_SCANS ||
        i->width * i->height > max_pixels * TOTAL_FACTOR / r->animation.passes)
        return bqb_fail(
            err, BQB_ELIMIT,
            "%s: %s picture of %zu x %zu pixels in %zu scans, at most %d scans and %zu pixels are decoded",
            r->name, i->format, i->width, i->height, r->animation.passes, MAX_SCANS,
            max_pixels * TOTAL_FACTOR);
    if (i->width * i->height > max_pixels * TOTAL_FACTOR / i->frames)
        return bqb_fail(err, BQB_ELIMIT,
                        "%s: %s animation of %zu frames of %zu x %zu, at most %zu pixels are decoded",
                        r->name, i->format, i->frames, i->width, i->height, max_pixels * TOTAL_FACTOR);
    return BQB_OK;
}

static bqb_status describe(bqb_image_reader *r, const void *data, size_t size, bqb_err *err) {
    bqb_image_info *i = &r->info;
    r->image = load(r, data, size);
    if (!r->image) return damaged(r, err);
    i->width = (size_t)vips_image_get_width(r->image);
    i->height = (size_t)vips_image_get_page_height(r->image);
    i->frames = (size_t)vips_image_get_height(r->image) / i->height;
    /* A cut GIF has one more, half drawn. */
    if (i->frames > r->animation.frames) i->frames = r->animation.frames;
    if (choose_channels(r)) return BQB_OK;
    return bqb_fail(err, BQB_EUNSUPPORTED, "%s: %s picture with %d bands of type %s", r->name, i->format,
                    vips_image_get_bands(r->image),
                    vips_enum_nick(VIPS_TYPE_BAND_FORMAT, (int)vips_image_get_format(r->image)));
}

static void describe_apng(bqb_image_reader *r) {
    const bqb_apng *a = &r->apng;
    r->info.width = a->width;
    r->info.height = a->height;
    r->info.frames = a->n;
    r->info.alpha = a->alpha;
    r->C = 4;
}

static bqb_status describe_movie(bqb_image_reader *r, const void *data, size_t size, bqb_err *err) {
    bqb_movie *m = &r->movie;
    bqb_status s = r->kind == BQB_PICTURE_TGS ? bqb_lottie_open(m, data, size, r->name, err) : bqb_webm_open(m, data, size, r->name, err);
    if (s) return s;
    r->info.width = m->width;
    r->info.height = m->height;
    r->info.frames = m->frames;
    r->info.alpha = m->alpha;
    r->C = 4;
    return BQB_OK;
}

static bqb_status open_reader(bqb_image_reader *r, const void *data, size_t size, const char *name,
                              const bqb_image_limits *lim, bqb_err *err) {
    size_t max_pixels = lim && lim->max_pixels ? lim->max_pixels : MAX_PIXELS;
    size_t max_frames = lim && lim->max_frames ? lim->max_frames : MAX_FRAMES;
    if (max_pixels > SIZE_MAX / TOTAL_FACTOR) max_pixels = SIZE_MAX / TOTAL_FACTOR;
    r->timeout_ms = lim && lim->timeout_ms > 0 ? lim->timeout_ms : TIMEOUT_MS;
    r->since_ms = now_ms();
    r->frame = SIZE_MAX;
    r->name = bqb_strdup(name);
    if (!r->name) return bqb_fail_nomem(err, name, strlen(name));
    if (size > MAX_FILE)
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu bytes, at most %d are read", name, size, MAX_FILE);
    r->kind = bqb_sniff(data, size);
    if (r->kind == BQB_PICTURE_NONE)
        return bqb_fail(err, BQB_EFORMAT, "%s: found %s, needed a picture (PNG, JPEG, GIF, WebP, AVIF, TGS or WebM)",
                        name, bqb_sniff_other(data, size));
    strcpy(r->info.format, bqb_picture_kind_name(r->kind));
    r->animation = bqb_sniff_animation(r->kind, data, size);
    if (!r->animation.frames)
        return bqb_fail(err, BQB_EFORMAT, "%s: %s picture is cut short: not one whole frame in %zu bytes",
                        name, r->info.format, size);
    bqb_status s = BQB_OK;
    bool movie = r->kind == BQB_PICTURE_TGS || r->kind == BQB_PICTURE_WEBM;
    if (movie && (s = describe_movie(r, data, size, err))) return s;
    if (movie) r->animation.frames = r->info.frames;
    bool apng = r->kind == BQB_PICTURE_PNG && bqb_apng_parse(&r->apng, data, size, max_frames);
    if (r->animation.frames > max_frames || r->apng.n > max_frames)
        return bqb_fail(err, BQB_ELIMIT, "%s: %s animation of %zu frames%s, at most %zu are decoded", name,
                        r->info.format, r->apng.n > max_frames ? r->apng.n : r->animation.frames,
                        r->apng.n > max_frames ? " or more" : "", max_frames);
    if (apng) describe_apng(r);
    else if (!movie) s = describe(r, data, size, err);
    if (s) return s;
    for (size_t f = 0; f < r->info.frames; f++) r->info.duration_ms += bqb_image_delay_ms(r, f);
    return check_limits(r, max_pixels, err);
}

bqb_status bqb_image_open(bqb_image_reader **out, const void *data, size_t size, const char *name,
                          const bqb_image_limits *lim, bqb_err *err) {
    *out = NULL;
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    bqb_image_reader *r = bqb_calloc(1, sizeof *r);
    if (!r) return bqb_fail_nomem(err, name, sizeof *r);
    s = open_reader(r, data, size, name, lim, err);
    r->used_ms = now_ms() - r->since_ms;
    if (s) bqb_image_close(r);
    else *out = r;
    return s;
}

void bqb_image_close(bqb_image_reader *r) {
    if (!r) return;
    if (r->region) g_object_unref(r->region);
    if (r->image) g_object_unref(r->image);
    bqb_apng_free(&r->apng);
    bqb_movie_close(&r->movie);
    free(r->canvas);
    free(r->under);
    free(r->pixels);
    free(r->name);
    free(r);
}

const bqb_image_info *bqb_image_info_of(const bqb_image_reader *r) { return &r->info; }

size_t bqb_image_channels(const bqb_image_reader *r) { return r->C; }

int bqb_image_delay_ms(const bqb_image_reader *r, size_t frame) {
    int *delay, n, ms = 0;
    if (r->info.frames < 2 || frame >= r->info.frames) return 0;
    if (r->movie.fn) return r->movie.delay_ms[frame];
    if (r->apng.frame) ms = r->apng.frame[frame].delay_ms;
    else if (vips_image_get_typeof(r->image, "delay") &&
             !vips_image_get_array_int(r->image, "delay", &delay, &n) && frame < (size_t)n)
        ms = delay[frame];
    return ms <= 10 ? 100 : ms < MAX_DELAY_MS ? ms : MAX_DELAY_MS;
}

/* ---- pixels ---- */

/* One row of what the loader gives to 8-bit C channels. 16-bit samples keep
 * their high byte. CMYK is the plain product, no colour profile, as the
 * reference does. */
static void convert_row(uint8_t *out, const uint8_t *in, size_t width, size_t bands, bool wide, bool cmyk) {
    size_t C = cmyk ? 3 : bands == 2 ? 4 : bands;
    if (!wide && bands == C) {
        memcpy(out, in, width * C);
        return;
    }
    for (size_t x = 0; x < width; x++, out += C) {
        uint8_t px[4] = {0};
        for (size_t b = 0; b < bands; b++)
            if (wide) {
                uint16_t v;
                memcpy(&v, in + (x * bands + b) * 2, 2);
                px[b] = (uint8_t)(v >> 8);
            } else px[b] = in[x * bands + b];
        if (cmyk)
            for (size_t c = 0; c < 3; c++) out[c] = (uint8_t)(255 - px[3] - bqb_mul255(px[c], 255u - px[3]));
        else if (bands == 2) out[0] = out[1] = out[2] = px[0], out[3] = px[1];
        else memcpy(out, px, C);
    }
}

static bqb_status late(const bqb_image_reader *r, bqb_err *err) {
    return bqb_fail(err, BQB_ELIMIT, "%s: decoding %s of %zu x %zu, %zu frames, took longer than %d ms",
                    r->name, r->info.format, r->info.width, r->info.height, r->info.frames, r->timeout_ms);
}

/* Rows [row, row+n) of the tall picture; converted into out unless it is NULL. */
static bqb_status take_rows(bqb_image_reader *r, uint8_t *out, size_t row, size_t n, bqb_err *err) {
    VipsRect rect = {0, (int)row, (int)r->info.width, (int)n};
    if (vips_region_prepare(r->region, &rect)) return damaged(r, err);
    bool wide = vips_image_get_format(r->image) == VIPS_FORMAT_USHORT;
    bool cmyk = vips_image_get_interpretation(r->image) == VIPS_INTERPRETATION_CMYK;
    size_t bands = (size_t)vips_image_get_bands(r->image);
    /* VIPS_REGION_ADDR warns under -Wsign-conversion; this is what it computes. */
    const uint8_t *in = r->region->data + (rect.top - r->region->valid.top) * r->region->bpl;
    for (size_t y = 0; out && y < n; y++, in += r->region->bpl)
        convert_row(out + y * r->info.width * r->C, in, r->info.width, bands, wide, cmyk);
    return left_ms(r) < 0 ? late(r, err) : BQB_OK;
}

static bqb_status read_vips(bqb_image_reader *r, size_t frame, bqb_err *err) {
    const bqb_image_info *i = &r->info;
    if (!r->region) r->region = vips_region_new(r->image);
    if (!r->region) return bqb_fail_nomem(err, r->name, i->width * STRIP);
    /* Each skipped frame is touched, so that one call never decodes many and the clock is seen. */
    bqb_status s = BQB_OK;
    for (size_t f = r->frame + 1; f < frame && !s; f++) s = take_rows(r, NULL, f * i->height, 1, err);
    for (size_t y = 0; y < i->height && !s; y += STRIP) {
        size_t n = i->height - y < STRIP ? i->height - y : STRIP;
        s = take_rows(r, r->pixels + y * i->width * r->C, frame * i->height + y, n, err);
    }
    return s;
}

/* Draw one frame of an APNG, which is a PNG of its own, on the canvas. */
static bqb_status draw_apng(bqb_image_reader *r, size_t frame, bqb_err *err) {
    int64_t left = left_ms(r);
    if (left <= 0) return late(r, err);
    bqb_image_limits lim = {.max_pixels = SIZE_MAX, .timeout_ms = (int)left};
    bqb_buf png = {.max = MAX_FILE};
    bqb_image_reader *one = NULL;
    const uint8_t *px;
    bqb_status s = bqb_apng_extract(&png, &r->apng, frame, err);
    if (!s) s = bqb_image_open(&one, png.data, png.len, r->name, &lim, err);
    if (!s) s = bqb_image_read(one, &px, 0, err);
    if (!s) {
        size_t n = one->info.width * one->info.height;
        uint8_t *rgba = bqb_alloc_aligned(n, 4);
        if (rgba) {
            bqb_alpha_add(rgba, px, n, one->C);
            bqb_apng_draw(r->canvas, r->under, &r->apng, frame, rgba);
        } else s = bqb_fail_nomem(err, r->name, n * 4);
        free(rgba);
    }
    bqb_image_close(one);
    bqb_buf_free(&png);
    return s;
}

static bqb_status read_apng(bqb_image_reader *r, size_t frame, bqb_err *err) {
    size_t rows = r->info.height, row_bytes = r->info.width * 4;
    if (!r->canvas) r->canvas = bqb_calloc(rows, row_bytes);
    if (!r->under) r->under = bqb_calloc(rows, row_bytes);
    if (!r->canvas || !r->under) return bqb_fail_nomem(err, r->name, rows * row_bytes);
    bqb_status s = BQB_OK;
    for (size_t f = r->frame + 1; f <= frame && !s; f++) s = draw_apng(r, f, err);
    if (!s) memcpy(r->pixels, r->canvas, rows * row_bytes);
    return s;
}

static bqb_status read_movie(bqb_image_reader *r, size_t frame, bqb_err *err) {
    char name[32];
    bqb_status s = bqb_movie_read(&r->movie, r->pixels, frame, r->timeout_ms, err);
    if (!s) return s;
    snprintf(name, sizeof name, "%s picture", r->info.format);
    bqb_err_prefix(err, name);
    bqb_err_prefix(err, r->name);
    return s;
}

bqb_status bqb_image_read(bqb_image_reader *r, const uint8_t **pixels, size_t frame, bqb_err *err) {
    const bqb_image_info *i = &r->info;
    *pixels = NULL;
    if (frame >= i->frames || (r->frame != SIZE_MAX && frame < r->frame))
        return bqb_fail(err, BQB_EINVAL, "%s: frame %zu asked for; there are %zu, read in rising order",
                        r->name, frame, i->frames);
    if (frame != r->frame) {
        if (!r->pixels) r->pixels = bqb_alloc_aligned(i->height, i->width * r->C);
        if (!r->pixels) return bqb_fail_nomem(err, r->name, i->height * i->width * r->C);
        r->since_ms = now_ms();
        bqb_status s = r->movie.fn      ? read_movie(r, frame, err)
                       : r->apng.frame ? read_apng(r, frame, err)
                                       : read_vips(r, frame, err);
        r->used_ms += now_ms() - r->since_ms;
        if (s) return s;
        r->frame = frame;
    }
    *pixels = r->pixels;
    return BQB_OK;
}

bqb_status bqb_image_probe(bqb_image_info *info, const void *data, size_t size, const char *name,
                           const bqb_image_limits *lim, bqb_err *err) {
    bqb_image_reader *r;
    bqb_status s = bqb_image_open(&r, data, size, name, lim, err);
    if (!s) *info = r->info;
    bqb_image_close(r);
    return s;
}

/* ---- the tower's three frames ---- */

/* Make a frame ready for squash, in place: white goes under it, or, where alpha is dropped, alpha weights its colours. */
static void prepare(const bqb_image_reader *r, uint8_t *pixels, bool drop_alpha) {
    size_t n = r->info.width * r->info.height;
    if (r->C == 4 && drop_alpha) bqb_alpha_premultiply(pixels, pixels, n);
    else if (r->C == 4) bqb_alpha_over_white(pixels, pixels, n);
}

/* Squash one prepared frame to R×R RGB; what is left of alpha goes. */
static bqb_status squash(uint8_t *rgb, const bqb_image_reader *r, const uint8_t *pixels, size_t R, bool drop_alpha,
                         bqb_err *err) {
    size_t w = r->info.width, h = r->info.height, C = r->C;
    bqb_status s;
    if (C == 1) {
        s = bqb_resample(rgb, R, R, pixels, w, h, 1, err);
        for (size_t i = R * R; !s && i-- > 0;) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = rgb[i];
        return s;
    }
    if (C == 3 || !drop_alpha) return bqb_resample(rgb, R, R, pixels, w, h, 3, err);
    uint8_t *rgba = bqb_alloc_aligned(R * R, 4);
    if (!rgba) return bqb_fail_nomem(err, r->name, R * R * 4);
    s = bqb_resample(rgba, R, R, pixels, w, h, 4, err);
    bqb_alpha_unpremultiply(rgba, rgba, R * R);
    if (!s) bqb_alpha_drop(rgb, rgba, R * R);
    free(rgba);
    return s;
}

static bqb_status three_frames(const bqb_image_square *square, size_t n_squares, bqb_image_reader *r, bool drop_alpha,
                               bqb_err *err) {
    size_t n = r->info.frames, wanted[3] = {0, (n - 1) / 2, n - 1};
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < 3 && !s; k++) {
        bool again = k && wanted[k] == wanted[k - 1];
        const uint8_t *pixels;
        if (!again) s = bqb_image_read(r, &pixels, wanted[k], err);
        if (!again && !s) prepare(r, r->pixels, drop_alpha);
        for (size_t i = 0; i < n_squares && !s; i++) {
            size_t size = square[i].R * square[i].R * 3;
            uint8_t *out = square[i].rgb + k * size;
            if (again) memcpy(out, out - size, size);
            else s = squash(out, r, r->pixels, square[i].R, drop_alpha, err);
        }
    }
    return s;
}

bqb_status bqb_image_squares(const bqb_image_square *square, size_t n, bqb_image_info *info, const void *data, size_t size,
                             const char *name, const bqb_image_limits *lim, bqb_err *err) {
    bqb_image_reader *r;
    bqb_status s = bqb_image_open(&r, data, size, name, lim, err);
    if (!s) s = three_frames(square, n, r, lim && lim->drop_alpha, err);
    if (!s && info) *info = r->info;
    bqb_image_close(r);
    return s;
}

bqb_status bqb_image_frames(uint8_t *rgb, bqb_image_info *info, const void *data, size_t size,
                            const char *name, size_t R, const bqb_image_limits *lim, bqb_err *err) {
    return bqb_image_squares(&(bqb_image_square){rgb, R}, 1, info, data, size, name, lim, err);
}

bqb_status bqb_image_frames_file(uint8_t *rgb, bqb_image_info *info, const char *path, size_t R,
                                 const bqb_image_limits *lim, bqb_err *err) {
    bqb_map m;
    bqb_status s = bqb_map_open(&m, path, err);
    if (!s) s = bqb_image_frames(rgb, info, m.data, m.size, path, R, lim, err);
    bqb_map_close(&m);
    return s;
}

void bqb_image_normalise(float *chw, const uint8_t *rgb, size_t n, size_t R) {
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    float value[3][256];
    for (size_t c = 0; c < 3; c++)
        for (size_t v = 0; v < 256; v++) value[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
    for (size_t f = 0; f < n; f++)
        for (size_t i = 0; i < R * R; i++)
            for (size_t c = 0; c < 3; c++)
                chw[(f * 3 + c) * R * R + i] = value[c][rgb[(f * R * R + i) * 3 + c]];
}
