#include "image/movie.h"

#include "base/mem.h"
#include "image/webm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef BQB_WITH_vpx
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#endif

/* How long each frame is shown: until the next begins, and the last until the end. */
static bqb_status set_delays(bqb_movie *m, const bqb_webm *w, bqb_err *err) {
    m->delay_ms = bqb_calloc(w->n, sizeof *m->delay_ms);
    if (!m->delay_ms) return bqb_fail_nomem(err, "video", w->n * sizeof *m->delay_ms);
    int64_t first = w->frame[0].time_ms, last = w->frame[w->n - 1].time_ms;
    int64_t end = w->duration_ms > 0 ? first + (int64_t)lround(w->duration_ms) : last;
    if (end <= last) end = last + (w->n > 1 ? (last - first) / (int64_t)(w->n - 1) : 0);
    for (size_t f = 0; f < w->n; f++) {
        int64_t d = (f + 1 < w->n ? w->frame[f + 1].time_ms : end) - w->frame[f].time_ms;
        m->delay_ms[f] = (int)(d < 1 ? 1 : d > 60000 ? 60000 : d);
    }
    return BQB_OK;
}

#ifdef BQB_WITH_vpx
typedef struct {
    bqb_webm w;
    const uint8_t *data;
    vpx_codec_iface_t *codec;
    vpx_codec_ctx_t colour, alpha; /* only in the process that decodes */
    bool open;
    size_t next;                   /* frame to decode next */
} film;

/* A sample of a plane at a pixel of the picture, 8 bits. */
static unsigned sample(const vpx_image_t *i, int plane, unsigned x, unsigned y) {
    if (plane == VPX_PLANE_U || plane == VPX_PLANE_V) {
        x >>= i->x_chroma_shift;
        y >>= i->y_chroma_shift;
    }
    const uint8_t *row = i->planes[plane] + (ptrdiff_t)i->stride[plane] * (ptrdiff_t)y;
    if (!(i->fmt & VPX_IMG_FMT_HIGHBITDEPTH)) return row[x];
    uint16_t wide;
    memcpy(&wide, row + 2 * (size_t)x, sizeof wide);
    return (unsigned)wide >> (i->bit_depth - 8);
}

static uint8_t clamp(double v) { return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5); }

/* One frame in RGBA. A frame may have another size than the track: then it is stretched, the nearest pixel. */
static void paint(uint8_t *rgba, size_t w, size_t h, const vpx_image_t *i, const vpx_image_t *a) {
    bool full = i->range == VPX_CR_FULL_RANGE, hd = i->cs == VPX_CS_BT_709;
    double kr = hd ? 0.2126 : i->cs == VPX_CS_BT_2020 ? 0.2627 : 0.299, kb = hd ? 0.0722 : i->cs == VPX_CS_BT_2020 ? 0.0593 : 0.114;
    double kg = 1 - kr - kb, luma = full ? 1 : 255.0 / 219, chroma = full ? 1 : 255.0 / 224, black = full ? 0 : 16;
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++, rgba += 4) {
            unsigned ix = (unsigned)(x * i->d_w / w), iy = (unsigned)(y * i->d_h / h);
            double Y = sample(i, VPX_PLANE_Y, ix, iy), U = sample(i, VPX_PLANE_U, ix, iy), V = sample(i, VPX_PLANE_V, ix, iy);
            if (i->cs == VPX_CS_SRGB) { /* the planes are G, B, R */
                rgba[0] = (uint8_t)V, rgba[1] = (uint8_t)Y, rgba[2] = (uint8_t)U;
            } else {
                double l = (Y - black) * luma, b = (U - 128) * chroma, r = (V - 128) * chroma;
                rgba[0] = clamp(l + 2 * (1 - kr) * r);
                rgba[1] = clamp(l - 2 * (1 - kb) * kb / kg * b - 2 * (1 - kr) * kr / kg * r);
                rgba[2] = clamp(l + 2 * (1 - kb) * b);
            }
            rgba[3] = a ? (uint8_t)sample(a, VPX_PLANE_Y, (unsigned)(x * a->d_w / w), (unsigned)(y * a->d_h / h)) : 255;
        }
}

/* The last picture that came out, or NULL when this frame shows none. */
static vpx_image_t *decode(vpx_codec_ctx_t *c, const uint8_t *data, size_t size, bool *good) {
    vpx_codec_iter_t iter = NULL;
    vpx_image_t *last = NULL, *i;
    if (vpx_codec_decode(c, data, (unsigned)size, NULL, 0)) *good = false;
    while ((i = vpx_codec_get_frame(c, &iter))) last = i;
    return last && last->d_w && last->d_h && (last->fmt & VPX_IMG_FMT_PLANAR) ? last : NULL;
}

static bool show(void *ctx, uint8_t *rgba, size_t frame) {
    film *f = ctx;
    vpx_codec_dec_cfg_t cfg = {.threads = 1};
    if (!f->open && (vpx_codec_dec_init(&f->colour, f->codec, &cfg, 0) || vpx_codec_dec_init(&f->alpha, f->codec, &cfg, 0))) return false;
    f->open = true;
    bool good = true;
    for (; f->next <= frame && good; f->next++) {
        const bqb_webm_frame *x = &f->w.frame[f->next];
        vpx_image_t *i = decode(&f->colour, f->data + x->at, x->size, &good), *a = NULL;
        if (x->alpha_size) a = decode(&f->alpha, f->data + x->alpha_at, x->alpha_size, &good);
        if (i) paint(rgba, f->w.width, f->w.height, i, a); /* else what was there is still to be seen */
    }
    return good;
}

static void free_film(void *state) {
    film *f = state;
    bqb_webm_free(&f->w);
    free(f);
}

/* Takes w. */
static bqb_status prepare(bqb_movie *m, bqb_webm *w, const void *data, bqb_err *err) {
    vpx_codec_iface_t *codec = !strcmp(w->codec, "V_VP9") ? vpx_codec_vp9_dx() : !strcmp(w->codec, "V_VP8") ? vpx_codec_vp8_dx() : NULL;
    film *f = codec ? bqb_calloc(1, sizeof *f) : NULL;
    if (!codec) bqb_fail(err, BQB_EUNSUPPORTED, "its video is of codec \"%s\", needed is VP8 or VP9", w->codec);
    if (!f) {
        bqb_webm_free(w);
        return codec ? bqb_fail_nomem(err, "video", sizeof *f) : BQB_EUNSUPPORTED;
    }
    *f = (film){.w = *w, .data = data, .codec = codec};
    m->fn = show;
    m->state = f;
    m->free_state = free_film;
    return BQB_OK;
}
#else
static bqb_status prepare(bqb_movie *m, bqb_webm *w, const void *data, bqb_err *err) {
    (void)m, (void)data;
    bqb_webm_free(w);
    return bqb_fail(err, BQB_EUNSUPPORTED, "a WebM video, and bqb was built without libvpx, which decodes them (Debian: libvpx-dev)");
}
#endif

bqb_status bqb_webm_open(bqb_movie *m, const void *data, size_t size, const char *name, bqb_err *err) {
    bqb_webm w;
    *m = (bqb_movie){0};
    bqb_status s = bqb_webm_parse(&w, data, size, err);
    if (!s) {
        *m = (bqb_movie){.width = w.width, .height = w.height, .frames = w.n, .alpha = w.alpha};
        s = set_delays(m, &w, err);
        if (s) bqb_webm_free(&w);
    }
    if (!s) s = prepare(m, &w, data, err);
    if (s) {
        bqb_movie_close(m);
        bqb_err_prefix(err, name);
    }
    return s;
}
