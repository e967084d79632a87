#include "image/movie.h"

#include "base/mem.h"
#include "file/json.h"
#include "image/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef BQB_WITH_rlottie
#include <rlottie_capi.h>
#endif

enum { MAX_JSON = 16 << 20, MAX_DEPTH = 100, MAX_ITEMS = 500000, MAX_SIDE = 8192, MAX_FRAMES = 1 << 20 };

/* Unpack gzip; what follows its end is left. */
static bqb_status gunzip(bqb_buf *out, const void *data, size_t size, bqb_err *err) {
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    Bytef piece[16384];
    bqb_status s = BQB_OK;
    int r = Z_OK;
    if (inflateInit2(&zs, MAX_WBITS + 16) != Z_OK) return bqb_fail_nomem(err, "gzip", sizeof piece);
    while (!s && r == Z_OK) {
        zs.next_out = piece;
        zs.avail_out = sizeof piece;
        r = inflate(&zs, Z_NO_FLUSH);
        s = bqb_buf_append(out, piece, sizeof piece - zs.avail_out, err);
    }
    inflateEnd(&zs);
    if (!s && r != Z_STREAM_END) s = bqb_fail(err, BQB_EFORMAT, "its gzip data are damaged or cut short");
    return s;
}

/* A number of the top object, inside its bounds. */
static bqb_status take(double *out, const json_t *top, const char *key, double least, double most, bqb_err *err) {
    const json_t *v = json_object_get(top, key);
    *out = json_number_value(v);
    if (json_is_number(v) && *out >= least && *out <= most) return BQB_OK;
    return bqb_fail(err, json_is_number(v) ? BQB_ELIMIT : BQB_EFORMAT, "\"%s\" of the animation has to be a number from %g to %g", key,
                    least, most);
}

static bqb_status describe(bqb_movie *m, const json_t *top, bqb_err *err) {
    double w, h, rate, first, last;
    size_t i;
    const json_t *asset;
    bqb_status s = take(&w, top, "w", 1, MAX_SIDE, err);
    if (!s) s = take(&h, top, "h", 1, MAX_SIDE, err);
    if (!s) s = take(&rate, top, "fr", 1, 1000, err);
    if (!s) s = take(&first, top, "ip", -MAX_FRAMES, MAX_FRAMES, err);
    if (!s) s = take(&last, top, "op", first, first + MAX_FRAMES, err);
    if (!s && !json_is_array(json_object_get(top, "layers"))) s = bqb_fail(err, BQB_EFORMAT, "it has no \"layers\": no Lottie");
    if (s) return s;
    json_array_foreach(json_object_get(top, "assets"), i, asset)
        if (json_object_get(asset, "p") || json_object_get(asset, "u"))
            return bqb_fail(err, BQB_EUNSUPPORTED, "it refers to a picture, which is not looked at");
    *m = (bqb_movie){.width = (size_t)w, .height = (size_t)h, .frames = (size_t)(last - first), .alpha = true};
    if (!m->frames) m->frames = 1;
    m->delay_ms = bqb_calloc(m->frames, sizeof *m->delay_ms);
    if (!m->delay_ms) return bqb_fail_nomem(err, "animation", m->frames * sizeof *m->delay_ms);
    for (size_t f = 0; f < m->frames; f++) /* rounded so that the sum stays right */
        m->delay_ms[f] = (int)(lround((double)(f + 1) * 1000 / rate) - lround((double)f * 1000 / rate));
    return BQB_OK;
}

#ifdef BQB_WITH_rlottie
typedef struct {
    char *json;
    size_t width, height;
    Lottie_Animation *animation; /* only in the process that draws */
    uint32_t *argb;
} drawing;

static bool draw(void *ctx, uint8_t *rgba, size_t frame) {
    drawing *d = ctx;
    size_t n = d->width * d->height;
    if (!d->animation) {
        d->animation = lottie_animation_from_data(d->json, "", "/nonexistent");
        d->argb = calloc(n, sizeof *d->argb);
    }
    if (!d->animation || !d->argb) return false;
    memset(d->argb, 0, n * sizeof *d->argb);
    lottie_animation_render(d->animation, frame, d->argb, d->width, d->height, d->width * sizeof *d->argb);
    for (size_t i = 0; i < n; i++) {
        uint32_t p = d->argb[i];
        rgba[4 * i] = (uint8_t)(p >> 16);
        rgba[4 * i + 1] = (uint8_t)(p >> 8);
        rgba[4 * i + 2] = (uint8_t)p;
        rgba[4 * i + 3] = (uint8_t)(p >> 24);
    }
    bqb_alpha_unpremultiply(rgba, rgba, n);
    return true;
}

static void free_drawing(void *state) {
    drawing *d = state;
    free(d->json);
    free(d);
}

/* Takes json. */
static bqb_status prepare(bqb_movie *m, char *json, bqb_err *err) {
    drawing *d = bqb_calloc(1, sizeof *d);
    if (!d) {
        free(json);
        return bqb_fail_nomem(err, "animation", sizeof *d);
    }
    *d = (drawing){.json = json, .width = m->width, .height = m->height};
    m->fn = draw;
    m->state = d;
    m->free_state = free_drawing;
    return BQB_OK;
}
#else
static bqb_status prepare(bqb_movie *m, char *json, bqb_err *err) {
    (void)m;
    free(json);
    return bqb_fail(err, BQB_EUNSUPPORTED, "a Telegram animation (TGS), and bqb was built without librlottie, which draws them "
                                           "(Debian: librlottie-dev)");
}
#endif

bqb_status bqb_lottie_open(bqb_movie *m, const void *data, size_t size, const char *name, bqb_err *err) {
    bqb_buf json = {.max = MAX_JSON};
    json_t *top = NULL;
    *m = (bqb_movie){0};
    bqb_status s = bqb_buf_append(&json, "", 0, err);
    if (!s) s = gunzip(&json, data, size, err);
    if (!s) s = bqb_json_parse(&top, json.data, json.len, MAX_DEPTH, MAX_ITEMS, err);
    if (!s) s = describe(m, top, err);
    json_decref(top);
    if (s) bqb_buf_free(&json);
    else s = prepare(m, json.data, err);
    if (s) {
        bqb_movie_close(m);
        bqb_err_prefix(err, name);
    }
    return s;
}
