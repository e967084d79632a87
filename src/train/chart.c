#include "train/chart.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "base/words.h"
#include "file/svg.h"
#include "image/svg_png.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define INK "#1f2933"
#define GRAY "#7b8794"
#define GRID "#e4e7eb"

enum { WIDTH = 1040, MARGIN = 40, GAP = 40, HEAD = 150, PANEL = 210, ROW = 21, MOST_BARS = 30, SVG_MAX = 1 << 22 };

typedef struct {
    int x, y, w, h;
} frame;

/* ---- the head: a title and the most important figures in large ---- */

static bqb_status draw_figure(bqb_buf *b, int x, const char *number, const char *name, bqb_err *err) {
    bqb_status s = bqb_svg_text(b, x, 98, BQB_SVG_START, "font-size=\"30\" font-weight=\"bold\" fill=\"" INK "\"", number, 0, err);
    return s ? s : bqb_svg_text(b, x, 120, BQB_SVG_START, "fill=\"" GRAY "\"", name, 0, err);
}

static void percent(char *out, size_t size, size_t part, size_t all) {
    snprintf(out, size, "%.1f %%", all ? 100 * (double)part / (double)all : 0.0);
}

static bqb_status draw_head(bqb_buf *b, const bqb_figures *f, const char *title, bqb_err *err) {
    char text[5][48];
    snprintf(text[0], sizeof text[0], "%zu", f->stickers);
    percent(text[1], sizeof text[1], f->animated, f->stickers);
    percent(text[2], sizeof text[2], f->with_field[BQB_OCR], f->stickers);
    snprintf(text[3], sizeof text[3], "%llu", (unsigned long long)f->caption.median);
    snprintf(text[4], sizeof text[4], "%.1f MB", (double)f->bytes / 1e6);
    static const char *const name[] = {"stickers", "animated", "with words on them", "median length of captions", "in all"};
    bqb_status s = bqb_svg_text(b, MARGIN, 42, BQB_SVG_START, "font-size=\"20\" font-weight=\"bold\" fill=\"" INK "\"", title, 70, err);
    for (int k = 0; k < 5 && !s; k++) s = draw_figure(b, MARGIN + k * 196, text[k], name[k], err);
    return s;
}

/* ---- a histogram ---- */

static bqb_status draw_title(bqb_buf *b, frame at, const char *title, const char *note, bqb_err *err) {
    bqb_status s = bqb_svg_text(b, at.x, at.y + 2, BQB_SVG_START, "font-size=\"14\" font-weight=\"bold\" fill=\"" INK "\"", title, 0, err);
    return s ? s : bqb_svg_text(b, at.x + at.w, at.y + 2, BQB_SVG_END_AT, "fill=\"" GRAY "\"", note, 0, err);
}

/* `unit` divides what stands at the axis: 1,000 for kilobytes. */
static bqb_status draw_histogram(bqb_buf *b, frame at, const bqb_numbers *v, const char *title, uint64_t unit, const char *colour,
                                 bqb_err *err) {
    char note[128];
    snprintf(note, sizeof note, "n %zu · mean %.*f · median %llu", v->n, v->mean / (double)unit < 1000 ? 1 : 0,
             v->mean / (double)unit, (unsigned long long)(v->median / unit));
    bqb_status s = draw_title(b, at, title, note, err);
    if (s || !v->n_bins) return s;
    size_t most = 1;
    for (size_t k = 0; k < v->n_bins; k++)
        if (v->bin[k] > most) most = v->bin[k];
    double left = at.x + 42, right = at.x + at.w, top = at.y + 20, bottom = at.y + at.h - 24;
    double wide = (right - left) / (double)v->n_bins, tick = fmax(bqb_svg_tick((double)most), 1), high = (double)most * 1.04;
    for (double y = 0; y <= high && !s; y += tick) {
        double py = bottom - (bottom - top) * y / high;
        char number[32];
        snprintf(number, sizeof number, "%g", y);
        s = bqb_buf_printf(b, err, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"" GRID "\"/>\n", left, py, right);
        if (!s) s = bqb_svg_text(b, left - 6, py + 4, BQB_SVG_END_AT, "font-size=\"11\" fill=\"" GRAY "\"", number, 0, err);
    }
    size_t every = (v->n_bins + 7) / 8;
    for (size_t k = 0; k < v->n_bins && !s; k++) {
        double h = (bottom - top) * (double)v->bin[k] / high;
        s = bqb_buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", left + (double)k * wide + 1,
                           bottom - h, fmin(wide - 2, 60), h, colour);
        /* Every few bins have a label, and the last where it also holds what is larger. */
        bool open = k + 1 == v->n_bins && v->max >= v->bin_from + v->n_bins * v->bin_width;
        bool crowded = v->n_bins - 1 - k < every && v->max >= v->bin_from + v->n_bins * v->bin_width;
        if (s || (!open && (k % every || crowded))) continue;
        char number[32];
        uint64_t from = (v->bin_from + k * v->bin_width) / unit;
        snprintf(number, sizeof number, "%llu%s", (unsigned long long)from, open ? "+" : "");
        s = bqb_svg_text(b, left + (double)k * wide + 1 + fmin(wide - 2, 60) / 2, bottom + 16, BQB_SVG_MIDDLE,
                         "font-size=\"11\" fill=\"" GRAY "\"", number, 0, err);
    }
    return s;
}

/* ---- labels as bars ---- */

static size_t bars_of(const bqb_tally *t) { return t->n < MOST_BARS ? t->n : MOST_BARS; }

static int bars_height(const bqb_tally *t) { return 40 + ROW * (int)(bars_of(t) + (t->n > MOST_BARS)); }

static bqb_status draw_bars(bqb_buf *b, frame at, const bqb_tally *t, const char *title, size_t stickers, const char *colour, bqb_err *err) {
    char note[64];
    snprintf(note, sizeof note, "%zu different", t->n);
    bqb_status s = draw_title(b, at, title, note, err);
    enum { NAMES = 104, NUMBERS = 92 };
    double left = at.x + NAMES, room = at.w - NAMES - NUMBERS;
    for (size_t i = 0; i < bars_of(t) && !s; i++) {
        double y = at.y + 18 + ROW * (double)i, w = room * (double)t->item[i].n / (double)t->item[0].n;
        char number[48];
        snprintf(number, sizeof number, "%zu · %.1f %%", t->item[i].n, 100 * (double)t->item[i].n / (double)(stickers ? stickers : 1));
        s = bqb_svg_text(b, left - 8, y + 12.5, BQB_SVG_END_AT, "fill=\"" INK "\"", t->item[i].name, 8, err);
        if (!s)
            s = bqb_buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>\n", left, y + 1,
                               fmax(w, 1.5), ROW - 6, colour);
        if (!s) s = bqb_svg_text(b, left + fmax(w, 1.5) + 7, y + 12.5, BQB_SVG_START, "font-size=\"11\" fill=\"" GRAY "\"", number, 0, err);
    }
    if (s || t->n <= MOST_BARS) return s;
    size_t rest = 0;
    for (size_t i = MOST_BARS; i < t->n; i++) rest += t->item[i].n;
    snprintf(note, sizeof note, "and %zu more on %zu %s", t->n - MOST_BARS, rest, bqb_word(rest, "sticker", "stickers"));
    return bqb_svg_text(b, left, at.y + 18 + ROW * MOST_BARS + 12.5, BQB_SVG_START, "fill=\"" GRAY "\"", note, 0, err);
}

/* ---- the whole ---- */

/* Panels fill two columns from the left; an empty one is left out and named at the foot. */
typedef struct {
    const char *title, *none; /* none: what no sticker has */
    const bqb_numbers *numbers;
    const bqb_tally *tally;
    uint64_t unit;
    const char *colour;
} panel;

static size_t in_panel(const panel *p) { return p->numbers ? p->numbers->n : p->tally->n; }

static bqb_status draw_panel(bqb_buf *b, frame at, const panel *p, size_t stickers, bqb_err *err) {
    if (p->numbers) return draw_histogram(b, at, p->numbers, p->title, p->unit, p->colour, err);
    return draw_bars(b, at, p->tally, p->title, stickers, p->colour, err);
}

static int panel_height(const panel *p) { return p->numbers ? PANEL + 34 : bars_height(p->tally) + 24; }

bqb_status bqb_chart_draw(bqb_buf *b, const bqb_figures *f, const char *title, bqb_err *err) {
    static const char blue[] = "#3e7cb1", orange[] = "#e08e45", green[] = "#5b9a68", purple[] = "#8b6fb0", red[] = "#c8556b";
    const panel panels[] = {{"Caption, characters", "captions", &f->caption, NULL, 1, blue},
                            {"Words on the picture, characters", "words on them", &f->ocr, NULL, 1, orange},
                            {"Frames of the animated ones", "motion", &f->frames, NULL, 1, green},
                            {"File size, kB", "files", &f->size_bytes, NULL, 1000, purple},
                            {"Emotions", "emotions", NULL, &f->label[BQB_EMOTION], 1, red},
                            {"Styles", "styles", NULL, &f->label[BQB_STYLE], 1, blue},
                            {"File formats", "formats", NULL, &f->format, 1, green}};
    enum { PANELS = sizeof panels / sizeof *panels };
    int half = (WIDTH - 2 * MARGIN - GAP) / 2, end[2] = {HEAD + 24, HEAD + 24};
    frame at[PANELS];
    char none[256] = "";
    size_t used = 0;
    for (size_t k = 0; k < PANELS; k++) {
        if (!in_panel(&panels[k])) {
            used += (size_t)snprintf(none + used, sizeof none - used, "%s%s", used ? ", " : "Not drawn, as no sticker has them: ", panels[k].none);
            continue;
        }
        int side = end[1] < end[0]; /* where there is room first */
        at[k] = (frame){side ? MARGIN + half + GAP : MARGIN, end[side], half, PANEL};
        end[side] += panel_height(&panels[k]);
    }
    int foot = end[0] > end[1] ? end[0] : end[1], height = foot + (used ? 24 : -14);
    bqb_status s = bqb_svg_begin(b, WIDTH, height, err);
    if (!s) s = draw_head(b, f, title, err);
    if (!s) s = bqb_buf_printf(b, err, "<path d=\"M%d %dH%d\" stroke=\"" GRID "\"/>\n", MARGIN, HEAD - 8, WIDTH - MARGIN);
    for (size_t k = 0; k < PANELS && !s; k++)
        if (in_panel(&panels[k])) s = draw_panel(b, at[k], &panels[k], f->stickers, err);
    if (!s && used) s = bqb_svg_text(b, MARGIN, foot + 2, BQB_SVG_START, "fill=\"" GRAY "\"", none, 0, err);
    return s ? s : bqb_svg_end(b, err);
}

bqb_status bqb_chart_write(const char *path, const bqb_figures *f, const char *title, bqb_err *err) {
    bqb_buf b = {.max = SVG_MAX};
    bqb_status s = bqb_chart_draw(&b, f, title, err);
    bool png = bqb_ends_with(path, ".png");
    if (!s) s = png ? bqb_svg_to_png(path, b.data, b.len, 2, err) : bqb_file_write(path, b.data, b.len, err);
    bqb_buf_free(&b);
    return s;
}
