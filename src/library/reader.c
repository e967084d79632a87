#include "library/reader.h"

#include "image/decode.h"
#include "image/resample.h"
#include "image/text_layer.h"
#include "image/text_lines.h"

#include <stdlib.h>
#include <string.h>

enum {
    FRAMES = 3,
    MOST_SIDE = 1600, /* of a frame; larger ones are reduced first */
    LOOK = 48,        /* frames are compared at LOOK x LOOK */
    SAME = 20,        /* and are the same when no value differs by more */
};

/* A whole frame as one layer, or (lines) what may be lines on it, cut out, their letters `height` high. */
typedef struct {
    const char *name;
    bool lines;
    bqb_text_layer_kind layer;
    uint16_t height;
    bqb_ocr_layout layout;
} way;

static const way ways[] = {
    {"gray-600-sparse", false, BQB_LAYER_GRAY, 600, BQB_OCR_SPARSE},
    {"gray-700-page", false, BQB_LAYER_GRAY, 700, BQB_OCR_PAGE},
    {"gray-400-page", false, BQB_LAYER_GRAY, 400, BQB_OCR_PAGE},
    {"inverted-600-page", false, BQB_LAYER_INVERTED, 600, BQB_OCR_PAGE},
    {"light-600-sparse", false, BQB_LAYER_LIGHT, 600, BQB_OCR_SPARSE},
    {"light-600-page", false, BQB_LAYER_LIGHT, 600, BQB_OCR_PAGE},
    {"lines-44", true, BQB_LAYERS, 44, BQB_OCR_LINE},
    {"lines-44-raw", true, BQB_LAYERS, 44, BQB_OCR_RAW},
    {"lines-32", true, BQB_LAYERS, 32, BQB_OCR_LINE},
};
enum { WAYS = sizeof ways / sizeof *ways, LINES = 8, CUT = 44 };

size_t bqb_reader_ways(void) { return WAYS; }
const char *bqb_reader_way_name(size_t i) { return i < WAYS ? ways[i].name : ""; }

/* One frame, ready to be prepared: colours over a plain ground, at most MOST_SIDE. */
typedef struct {
    uint8_t *rgb;
    size_t w, h;
    uint8_t look[LOOK * LOOK * 3];
} frame;

static bqb_status take_frame(frame *f, const bqb_image_reader *r, const uint8_t *px, bqb_err *err) {
    const bqb_image_info *info = bqb_image_info_of(r);
    size_t C = bqb_image_channels(r), n = info->width * info->height;
    size_t most = info->width > info->height ? info->width : info->height;
    double scale = most > MOST_SIDE ? (double)MOST_SIDE / (double)most : 1;
    f->w = (size_t)((double)info->width * scale);
    f->h = (size_t)((double)info->height * scale);
    if (!f->w) f->w = 1;
    if (!f->h) f->h = 1;
    uint8_t *rgb = C == 3 ? NULL : bqb_calloc(n, 3);
    f->rgb = bqb_calloc(f->w * f->h, 3);
    bqb_status s = (rgb || C == 3) && f->rgb ? BQB_OK : bqb_fail_nomem(err, "frame", n * 4);
    for (size_t i = 0; C == 1 && !s && i < n; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = px[i];
    if (C == 4 && !s) bqb_text_lay(rgb, px, n);
    if (!s) s = bqb_resample(f->rgb, f->w, f->h, C == 3 ? px : rgb, info->width, info->height, 3, err);
    if (!s) s = bqb_resample(f->look, LOOK, LOOK, f->rgb, f->w, f->h, 3, err);
    free(rgb);
    return s;
}

static bool looks_same(const frame *a, const frame *b) {
    for (size_t i = 0; i < sizeof a->look; i++)
        if (abs(a->look[i] - b->look[i]) > SAME) return false;
    return true;
}

/* First, middle and last frame, but for those that look like an earlier one. */
static bqb_status load(frame *f, size_t *n, const void *data, size_t size, const char *name, bqb_err *err) {
    bqb_image_reader *r;
    const uint8_t *px;
    *n = 0;
    bqb_status s = bqb_image_open(&r, data, size, name, NULL, err);
    if (s) return s;
    size_t last = bqb_image_info_of(r)->frames - 1, at[FRAMES] = {0, last / 2, last};
    for (size_t i = 0; i < FRAMES && !s; i++) {
        if (i && at[i] == at[i - 1]) continue;
        s = bqb_image_read(r, &px, at[i], err);
        if (!s) s = take_frame(&f[*n], r, px, err);
        if (s) { /* what came before the damage is enough */
            if (*n && s != BQB_ENOMEM) s = BQB_OK;
            free(f[*n].rgb);
            f[*n].rgb = NULL;
            break;
        }
        bool seen = false;
        for (size_t k = 0; k < *n; k++) seen = seen || looks_same(&f[k], &f[*n]);
        if (seen) {
            free(f[*n].rgb);
            f[*n].rgb = NULL;
        } else ++*n;
    }
    bqb_image_close(r);
    return s;
}

/* Places within a layer become places within the picture. */
static void place(bqb_readout *r, size_t from, const bqb_text_layer *l) {
    float w = (float)(l->w - 2 * l->border), h = (float)(l->h - 2 * l->border);
    for (size_t i = from; i < r->n; i++) {
        bqb_read_line *line = &r->line[i];
        line->x0 = (line->x0 * (float)l->w - (float)l->border) / w;
        line->x1 = (line->x1 * (float)l->w - (float)l->border) / w;
        line->y0 = (line->y0 * (float)l->h - (float)l->border) / h;
        line->y1 = (line->y1 * (float)l->h - (float)l->border) / h;
    }
}

static bqb_status read_layer(bqb_readout *out, bqb_ocr *o, const frame *f, uint8_t n_frame, size_t w, bqb_err *err) {
    bqb_text_layer l;
    size_t from = out->n;
    bqb_status s = bqb_text_layer_new(&l, f->rgb, f->w, f->h, ways[w].layer, ways[w].height, err);
    if (!s) s = bqb_ocr_read(o, out, l.px, l.w, l.h, ways[w].layout, n_frame, (uint8_t)w, err);
    if (!s) place(out, from, &l);
    bqb_text_layer_free(&l);
    return s;
}

/* The lines were cut out for one height of letters; read them at this way's. */
static bqb_status read_line(bqb_readout *out, bqb_ocr *o, const bqb_text_line *l, uint8_t n_frame, size_t w, bqb_err *err) {
    size_t tw = l->w * ways[w].height / CUT, th = l->h * ways[w].height / CUT, from = out->n;
    uint8_t *px = NULL;
    bqb_status s = BQB_OK;
    if (ways[w].height != CUT) {
        px = bqb_calloc(th, tw);
        s = px ? bqb_resample(px, tw, th, l->gray, l->w, l->h, 1, err) : bqb_fail_nomem(err, "line", tw * th);
    }
    if (!s) s = bqb_ocr_read(o, out, px ? px : l->gray, tw, th, ways[w].layout, n_frame, (uint8_t)w, err);
    for (size_t k = from; k < out->n; k++)
        out->line[k].x0 = l->x0, out->line[k].x1 = l->x1, out->line[k].y0 = l->y0, out->line[k].y1 = l->y1;
    free(px);
    return s;
}

/* All ways that are wanted, on one frame. */
static bqb_status read_frame(bqb_readout *out, bqb_ocr *o, const frame *f, uint8_t n_frame, uint32_t which, bqb_err *err) {
    bqb_text_lines found = {.n = 0};
    bool looked = false;
    bqb_status s = BQB_OK;
    for (size_t w = 0; w < WAYS && !s; w++) {
        if (!(which >> w & 1)) continue;
        if (!ways[w].lines) s = read_layer(out, o, f, n_frame, w, err);
        else if (!looked) s = bqb_text_lines_find(&found, f->rgb, f->w, f->h, LINES, CUT, err);
        looked = looked || ways[w].lines;
        for (size_t i = 0; ways[w].lines && i < found.n && !s; i++) s = read_line(out, o, &found.line[i], n_frame, w, err);
    }
    bqb_text_lines_free(&found);
    return s;
}

bqb_status bqb_read_sticker(bqb_merged *out, bqb_readout *readout, bqb_ocr *o, const void *data, size_t size,
                            const char *name, const bqb_reader_options *options, bqb_err *err) {
    frame f[FRAMES] = {{0}};
    bqb_readout own = {0}, *r = readout ? readout : &own;
    size_t n = 0;
    uint32_t which = options && options->ways ? options->ways : UINT32_MAX;
    *out = (bqb_merged){.belief = 0};
    bqb_ocr_begin(o);
    bqb_status s = load(f, &n, data, size, name, err);
    for (size_t i = 0; i < n && !s; i++) s = read_frame(r, o, &f[i], (uint8_t)i, which, err);
    if (!s) s = bqb_readout_merge(out, r, err);
    for (size_t i = 0; i < FRAMES; i++) free(f[i].rgb);
    bqb_readout_free(&own);
    return s;
}
