#include "train/curve.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 900, PLOT_LEFT = 70, PLOT_RIGHT = 870, LOSS_TOP = 40, LOSS_BOTTOM = 280, RECALL_TOP = 330,
       RECALL_BOTTOM = 570, HEIGHT = 620, MAX_COLUMNS = 16, DOTS = 800, CSV_MAX = 1 << 28 };

/* Columns of numbers under a header line. */
typedef struct {
    char *text;
    char *name[MAX_COLUMNS];
    double *cell; /* [n_rows, n_columns] */
    size_t n_columns, n_rows;
} csv;

static void csv_free(csv *c) {
    free(c->text);
    free(c->cell);
    *c = (csv){0};
}

static bqb_status csv_read(csv *c, const char *dir, const char *name, bqb_err *err) {
    *c = (csv){0};
    char *path = bqb_path_join(dir, name);
    if (!path) return bqb_fail_nomem(err, name, strlen(name));
    bqb_status s = bqb_is_file(path) ? bqb_file_read(&c->text, NULL, path, CSV_MAX, err) : BQB_OK;
    free(path);
    if (s || !c->text) return s;
    size_t lines = 0;
    for (const char *p = c->text; *p; p++) lines += *p == '\n';
    char *line = c->text, *end = strchr(line, '\n');
    if (!end) return BQB_OK;
    *end = 0;
    for (char *at = line; at && c->n_columns < MAX_COLUMNS;) {
        c->name[c->n_columns++] = at;
        at = strchr(at, ',');
        if (at) *at++ = 0;
    }
    c->cell = bqb_calloc(lines, c->n_columns * sizeof *c->cell);
    if (!c->cell) return bqb_fail_nomem(err, name, lines * c->n_columns * sizeof *c->cell);
    for (line = end + 1; (end = strchr(line, '\n')); line = end + 1) {
        double *row = c->cell + c->n_rows * c->n_columns;
        char *at = line;
        size_t k = 0;
        for (; k < c->n_columns; k++) {
            char *next;
            row[k] = strtod(at, &next);
            if (next == at || (k + 1 < c->n_columns && *next != ',')) break;
            at = next + 1;
        }
        c->n_rows += k == c->n_columns; /* a broken line, such as one cut by a crash, is left out */
    }
    return BQB_OK;
}

static size_t column(const csv *c, const char *name) {
    for (size_t k = 0; k < c->n_columns; k++)
        if (!strcmp(c->name[k], name)) return k;
    return SIZE_MAX;
}

static double at(const csv *c, size_t row, size_t col) { return c->cell[row * c->n_columns + col]; }

typedef struct {
    double x_max, y_min, y_max;
    int top, bottom;
} axes;

static double place_x(const axes *a, double x) { return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * x / a->x_max; }
static double place_y(const axes *a, double y) {
    return a->bottom - (a->bottom - a->top) * (y - a->y_min) / (a->y_max - a->y_min);
}

static bqb_status draw_axes(bqb_buf *b, const axes *a, const char *title, bool name_steps, bqb_err *err) {
    bqb_status s = bqb_buf_printf(b, err, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", PLOT_LEFT, a->top - 12, title);
    double step = bqb_svg_tick(a->y_max - a->y_min);
    for (double y = ceil(a->y_min / step) * step; y <= a->y_max + 1e-9 && !s; y += step)
        s = bqb_buf_printf(b, err,
                           "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                           PLOT_LEFT, place_y(a, y), PLOT_RIGHT, PLOT_LEFT - 8, place_y(a, y) + 4, fabs(y) < 1e-9 ? 0 : y);
    step = bqb_svg_tick(a->x_max);
    for (double x = 0; x <= a->x_max && !s; x += step)
        s = bqb_buf_printf(b, err,
                           "<path d=\"M%.1f %dV%d\" stroke=\"#eee\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                           place_x(a, x), a->top, a->bottom, place_x(a, x), a->bottom + 18, x);
    if (!s && name_steps)
        s = bqb_buf_printf(b, err, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">steps</text>\n", PLOT_RIGHT, a->bottom + 36);
    return s;
}

/* Long logs are drawn as the means of at most DOTS stretches of equal length. */
static bqb_status draw_line(bqb_buf *b, const axes *a, const csv *c, const char *name, const char *colour, bqb_err *err) {
    size_t x = column(c, "step"), y = column(c, name);
    if (x == SIZE_MAX || y == SIZE_MAX || !c->n_rows) return BQB_OK;
    bqb_status s = bqb_buf_printf(b, err, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", colour);
    size_t stretch = (c->n_rows + DOTS - 1) / DOTS;
    bool begun = false;
    for (size_t i = 0; i < c->n_rows && !s; i += stretch) {
        double sx = 0, sy = 0;
        size_t n = 0;
        for (size_t k = i; k < i + stretch && k < c->n_rows; k++, n++) {
            sx += at(c, k, x);
            sy += at(c, k, y);
        }
        if (!isfinite(sx) || !isfinite(sy)) continue;
        s = bqb_buf_printf(b, err, "%c%.1f %.1f", begun ? 'L' : 'M', place_x(a, sx / (double)n), place_y(a, sy / (double)n));
        begun = true;
    }
    return s ? s : bqb_buf_puts(b, "\"/>\n", err);
}

static double largest(const csv *c, const char *name, double floor_value) {
    size_t k = column(c, name);
    for (size_t i = 0; k != SIZE_MAX && i < c->n_rows; i++)
        if (isfinite(at(c, i, k)) && at(c, i, k) > floor_value) floor_value = at(c, i, k);
    return floor_value;
}

static bqb_status draw(bqb_buf *b, const csv *log, const csv *valid, bqb_err *err) {
    static const struct {
        const char *column, *label, *colour;
    } line[] = {{"r1", "R@1", "#d62728"}, {"r5", "R@5", "#ff9f1c"}, {"r10", "R@10", "#2ca02c"}, {"mr", "MR", "#1f4e9e"}};
    double steps = largest(valid, "step", largest(log, "step", 1));
    axes loss = {steps, 0, largest(log, "loss", 1e-3) * 1.05, LOSS_TOP, LOSS_BOTTOM};
    axes recall = {steps, 0, 100, RECALL_TOP, RECALL_BOTTOM};
    int height = valid->n_rows ? HEIGHT : RECALL_TOP - 10;
    bqb_status s = bqb_svg_begin(b, WIDTH, height, err);
    if (!s) s = draw_axes(b, &loss, "Training loss", !valid->n_rows, err);
    if (!s) s = draw_line(b, &loss, log, "loss", "#1f4e9e", err);
    if (!s && valid->n_rows) s = draw_axes(b, &recall, "Held-out recall, text to picture, %", true, err);
    for (size_t k = 0; k < sizeof line / sizeof *line && valid->n_rows && !s; k++) {
        s = draw_line(b, &recall, valid, line[k].column, line[k].colour, err);
        if (!s)
            s = bqb_buf_printf(b, err, "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s %.1f</text>\n", PLOT_RIGHT - 330 + (int)k * 85,
                               RECALL_TOP - 12, line[k].colour, line[k].label,
                               at(valid, valid->n_rows - 1, column(valid, line[k].column)));
    }
    return s ? s : bqb_svg_end(b, err);
}

bqb_status bqb_curve_draw(const char *dir, bqb_err *err) {
    csv log, valid = {0};
    bqb_buf b = {.max = 1 << 22};
    bqb_status s = csv_read(&log, dir, "log.csv", err);
    if (!s) s = csv_read(&valid, dir, "valid.csv", err);
    static const char *const needed[] = {"step", "r1", "r5", "r10", "mr"};
    for (size_t k = 0; k < sizeof needed / sizeof *needed; k++)
        if (column(&valid, needed[k]) == SIZE_MAX) valid.n_rows = 0; /* a file of another kind */
    if (!s && log.n_rows) {
        char *path = bqb_path_join(dir, "curve.svg");
        s = path ? draw(&b, &log, &valid, err) : bqb_fail_nomem(err, dir, strlen(dir));
        if (!s) s = bqb_file_write(path, b.data, b.len, err);
        free(path);
    }
    csv_free(&log);
    csv_free(&valid);
    bqb_buf_free(&b);
    return s;
}
