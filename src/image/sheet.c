#include "image/sheet.h"

#include "base/mem.h"
#include "image/decode.h"
#include "image/drawing.h"
#include "image/resample.h"
#include "image/thumbnail.h"

#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

enum {
    GAP = 8, /* pixels between cells and around the sheet */
    LINE = 16,
    MAX_SHEET = 100 * 1000 * 1000
};

typedef struct {
    uint8_t *rgb;
    size_t width, height, side, frames, columns, caption, top;
    char *font;
} sheet;

bqb_status bqb_png_write(const char *path, const uint8_t *pixels, size_t width, size_t height, size_t C,
                         bqb_err *err) {
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    VipsImage *image = vips_image_new_from_memory(pixels, width * height * C, (int)width, (int)height, (int)C,
                                                  VIPS_FORMAT_UCHAR);
    void *png = NULL;
    size_t size = 0;
    if (image) image->Type = C == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    if (!image || vips_pngsave_buffer(image, &png, &size, NULL)) {
        vips_error_clear();
        s = bqb_fail(err, BQB_ENOMEM, "%s: cannot encode a PNG of %zu x %zu", path, width, height);
    } else s = bqb_drawing_write(path, png, size, err);
    g_free(png);
    if (image) g_object_unref(image);
    return s;
}

/* RGBA over the sheet's white, its middle at the middle of the square at (left, top). */
static void paste(sheet *sh, const uint8_t *rgba, size_t w, size_t h, size_t left, size_t top) {
    left += (sh->side - w) / 2;
    top += (sh->side - h) / 2;
    for (size_t y = 0; y < h; y++)
        bqb_alpha_over_white(sh->rgb + ((top + y) * sh->width + left) * 3, rgba + y * w * 4, w);
}

/* Dark text, cut to the box; text that cannot be drawn (no font) leaves it empty. */
static void write_text(sheet *sh, const char *text, size_t left, size_t top, size_t w, size_t h) {
    if (!text || !*text || !h) return;
    char *valid = g_utf8_make_valid(text, -1), *markup = g_markup_escape_text(valid, -1);
    VipsImage *ink = NULL;
    uint8_t *mask = NULL;
    size_t size = 0;
    /* 72 dpi makes a Pango point a pixel. */
    if (!vips_text(&ink, markup, "font", sh->font, "width", (int)w, "dpi", 72, "wrap",
                   VIPS_TEXT_WRAP_WORD_CHAR, NULL))
        mask = vips_image_write_to_memory(ink, &size);
    if (mask) {
        size_t ink_w = (size_t)vips_image_get_width(ink), rows = (size_t)vips_image_get_height(ink);
        for (size_t y = 0; y < rows && y < h; y++)
            for (size_t x = 0; x < ink_w && x < w; x++)
                memset(sh->rgb + ((top + y) * sh->width + left + x) * 3, 255 - mask[y * ink_w + x] * 7 / 8,
                       3);
    } else vips_error_clear();
    g_free(mask);
    if (ink) g_object_unref(ink);
    g_free(markup);
    g_free(valid);
}

static bqb_status draw_pixels(sheet *sh, const bqb_sheet_cell *c, size_t left, size_t top, bqb_err *err) {
    if (!c->pixels || !c->width || !c->height || (c->C != 3 && c->C != 4))
        return bqb_fail(err, BQB_EINVAL, "sheet cell of %zu x %zu pixels, %zu channels; 3 or 4 needed",
                        c->width, c->height, c->C);
    size_t longest = c->width > c->height ? c->width : c->height, n = c->width * c->height;
    size_t w = longest > sh->side ? (c->width * sh->side + longest - 1) / longest : c->width;
    size_t h = longest > sh->side ? (c->height * sh->side + longest - 1) / longest : c->height;
    uint8_t *full = bqb_alloc_aligned(n, 4), *small = bqb_alloc_aligned(w * h, 4);
    bqb_status s = full && small ? BQB_OK : bqb_fail_nomem(err, "sheet cell", n * 4);
    if (!s) {
        bqb_alpha_add(full, c->pixels, n, c->C);
        bqb_alpha_premultiply(full, full, n);
        s = bqb_resample(small, w, h, full, c->width, c->height, 4, err);
        bqb_alpha_unpremultiply(small, small, w * h);
    }
    if (!s) paste(sh, small, w, h, left, top);
    free(full);
    free(small);
    return s;
}

static bqb_status draw_cell(sheet *sh, const bqb_sheet_cell *c, size_t left, size_t top, bqb_err *err) {
    size_t width = sh->frames * sh->side;
    write_text(sh, c->caption, left, top + sh->side + 2, width, sh->caption);
    if (!c->path) return draw_pixels(sh, c, left, top, err);
    bqb_thumbnail t;
    bqb_err why;
    if (bqb_image_thumbnail_file(&t, c->path, sh->side, sh->side, sh->frames, NULL, &why)) {
        write_text(sh, why.msg, left, top, width, sh->side);
        return BQB_OK;
    }
    for (size_t f = 0; f < t.frames; f++)
        paste(sh, t.rgba + f * t.width * t.height * 4, t.width, t.height, left + f * sh->side, top);
    bqb_thumbnail_free(&t);
    return BQB_OK;
}

/* Sizes from the style; BQB_ELIMIT when the sheet would be too large. */
static bqb_status lay_out(sheet *sh, const bqb_sheet_cell *cells, size_t n, const bqb_sheet_style *style,
                          bqb_err *err) {
    bool captions = false;
    for (size_t i = 0; i < n; i++) captions |= cells[i].caption != NULL;
    sh->side = style->side ? style->side : 160;
    sh->frames = style->frames ? style->frames : 1;
    sh->columns = style->columns;
    size_t lines = style->caption_lines ? style->caption_lines : captions ? 2 : 0;
    if (!n || sh->side < 16 || sh->side > 1024 || sh->frames > 16 || sh->columns > 1000 || lines > 20)
        return bqb_fail(err, BQB_EINVAL,
                        "sheet of %zu cells, side %zu, %zu frames, %zu columns, %zu caption lines", n,
                        sh->side, sh->frames, sh->columns, lines);
    sh->caption = lines * LINE;
    sh->top = style->title ? 2 * LINE : GAP;
    size_t cell_w = sh->side * sh->frames + GAP, cell_h = sh->side + sh->caption + GAP;
    if (!sh->columns)
        while (sh->columns * sh->columns * cell_w < n * cell_h) sh->columns++;
    if (sh->columns > n) sh->columns = n;
    size_t rows = (n + sh->columns - 1) / sh->columns;
    sh->width = sh->columns * cell_w + GAP;
    sh->height = rows * cell_h + sh->top;
    if (rows > MAX_SHEET / cell_h || sh->height > MAX_SHEET / sh->width)
        return bqb_fail(err, BQB_ELIMIT,
                        "sheet of %zu cells would be %zu x %zu pixels, at most %d are written", n, sh->width,
                        sh->height, MAX_SHEET);
    return BQB_OK;
}

bqb_status bqb_image_sheet(const char *path, const bqb_sheet_cell *cells, size_t n,
                           const bqb_sheet_style *style, bqb_err *err) {
    static const bqb_sheet_style plain = {0};
    if (!style) style = &plain;
    sheet sh = {0};
    bqb_status s = bqb_image_init(err);
    if (!s) s = lay_out(&sh, cells, n, style, err);
    if (s) return s;
    sh.font = bqb_strdup(style->font ? style->font : "Noto Sans CJK SC, WenQuanYi Micro Hei, sans 11");
    sh.rgb = bqb_alloc_aligned(sh.height, sh.width * 3);
    if (!sh.rgb || !sh.font) {
        s = bqb_fail_nomem(err, path, sh.height * sh.width * 3);
        goto done;
    }
    memset(sh.rgb, 255, sh.height * sh.width * 3);
    write_text(&sh, style->title, GAP, GAP, sh.width - 2 * GAP, sh.top - GAP);
    for (size_t i = 0; i < n && !s; i++) {
        size_t left = GAP + i % sh.columns * (sh.side * sh.frames + GAP);
        size_t top = sh.top + i / sh.columns * (sh.side + sh.caption + GAP);
        s = draw_cell(&sh, &cells[i], left, top, err);
    }
    if (!s) s = bqb_png_write(path, sh.rgb, sh.width, sh.height, 3, err);
done:
    free(sh.rgb);
    free(sh.font);
    return s;
}
