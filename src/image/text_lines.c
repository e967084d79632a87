#include "image/text_lines.h"

#include "base/mem.h"
#include "image/resample.h"
#include "image/text_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK = 560,       /* the longer side of the picture that is looked at */
    MOST_SIDE = 4096,
    PIECES = 6000,    /* of one mask; a picture with more is all texture */
    LETTERS = 1500,   /* of these, what could be letters; the same */
    LEAST_HEIGHT = 9, /* of a line, in pixels of the picture that is looked at */
    PAD = 14,         /* white around a cut-out line */
    LONGEST = 2000,   /* pixels of a cut-out line */
};

typedef enum { LIGHT, DARK, LIGHTER, DARKER, COLOURFUL, MASKS } mask_kind;

/* One connected piece; a line is a set of pieces with the same root. */
typedef struct {
    int x0, y0, x1, y1; /* x1, y1 are outside */
    int area;
    int line; /* a root of the pieces that stand in a row with it */
} piece;

typedef struct {
    int x0, y0, x1, y1, area, pieces;
    double score;
    mask_kind kind;
    bool turned; /* found with x and y swapped: a column of letters */
} found;

typedef struct {
    size_t w, h;
    uint8_t *rgb, *gray, *soft; /* soft: the mask's picture, dark where it is set, with smooth edges */
    uint64_t *sum;              /* [h+1,w+1] of gray */
    int32_t *label;             /* [h,w] piece of each pixel, -1 outside */
    int32_t *parent;            /* of provisional labels */
    piece *p;
    size_t n;
    found best[BQB_TEXT_LINES_MOST];
    size_t n_best, most;
    bool turned; /* the picture is transposed now */
} search;

static int max3(int a, int b, int c) { return a > b ? (a > c ? a : c) : (b > c ? b : c); }
static int min3(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }
static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }
static uint8_t clamp(double v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5); }

/* ---- masks ---- */

static void sum_up(search *s) {
    size_t W = s->w + 1;
    for (size_t y = 0; y < s->h; y++) {
        uint64_t row = 0;
        for (size_t x = 0; x < s->w; x++) {
            row += s->gray[y * s->w + x];
            s->sum[(y + 1) * W + x + 1] = s->sum[y * W + x + 1] + row;
        }
    }
}

/* Mean brightness around a pixel. */
static double surroundings(const search *s, size_t x, size_t y, size_t r) {
    size_t W = s->w + 1, y0 = y > r ? y - r : 0, y1 = y + r + 1 < s->h ? y + r + 1 : s->h;
    size_t x0 = x > r ? x - r : 0, x1 = x + r + 1 < s->w ? x + r + 1 : s->w;
    return (double)(s->sum[y1 * W + x1] + s->sum[y0 * W + x0] - s->sum[y0 * W + x1] - s->sum[y1 * W + x0]) /
           (double)((y1 - y0) * (x1 - x0));
}

/* 128 is the edge of the mask; below it is inside. */
static void draw_soft(search *s, mask_kind kind) {
    size_t r = (s->w < s->h ? s->w : s->h) / 14 + 4;
    for (size_t y = 0; y < s->h; y++)
        for (size_t x = 0; x < s->w; x++) {
            const uint8_t *p = s->rgb + 3 * (y * s->w + x);
            int high = max3(p[0], p[1], p[2]), low = min3(p[0], p[1], p[2]);
            double v = 255, here = s->gray[y * s->w + x];
            switch (kind) {
            case LIGHT: v = 128 + (198 - low) * 3; break;
            case DARK: v = 128 + (high - 85) * 3; break;
            case COLOURFUL: v = 128 + (100 - (high - low)) * 3; break;
            case LIGHTER: v = 128 + (surroundings(s, x, y, r) + 28 - here) * 4; break;
            case DARKER: v = 128 + (here - surroundings(s, x, y, r) + 28) * 4; break;
            case MASKS: break;
            }
            s->soft[y * s->w + x] = clamp(v);
        }
}

/* ---- pieces ---- */

static int32_t root(int32_t *parent, int32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static void join(int32_t *parent, int32_t a, int32_t b) {
    a = root(parent, a);
    b = root(parent, b);
    if (a < b) parent[b] = a;
    else parent[a] = b;
}

static void add_pixel(piece *p, int x, int y) {
    if (x < p->x0) p->x0 = x;
    if (y < p->y0) p->y0 = y;
    if (x + 1 > p->x1) p->x1 = x + 1;
    if (y + 1 > p->y1) p->y1 = y + 1;
    p->area++;
}

/* Label the mask's pieces, eight neighbours connected; n = 0 when there are too many. */
static void find_pieces(search *s) {
    int w = (int)s->w, h = (int)s->h;
    int32_t next = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int32_t *l = &s->label[y * w + x];
            *l = -1;
            if (s->soft[y * w + x] >= 128) continue;
            const int near[4][2] = {{-1, 0}, {-1, -1}, {0, -1}, {1, -1}};
            for (int k = 0; k < 4; k++) {
                int nx = x + near[k][0], ny = y + near[k][1];
                if (nx < 0 || ny < 0 || nx >= w) continue;
                int32_t other = s->label[ny * w + nx];
                if (other < 0) continue;
                if (*l < 0) *l = other;
                else join(s->parent, *l, other);
            }
            if (*l < 0) {
                s->parent[next] = next;
                *l = next++;
            }
        }
    /* Roots are numbered in the order in which they are met; -2 - number marks them. */
    s->n = 0;
    for (int32_t i = 0; i < next; i++) {
        if (root(s->parent, i) != i) continue;
        s->n++;
    }
    if (s->n > PIECES) {
        s->n = 0;
        return;
    }
    size_t n = 0;
    for (int32_t i = 0; i < next; i++) s->parent[i] = root(s->parent, i);
    for (int32_t i = 0; i < next; i++)
        if (s->parent[i] == i) {
            s->p[n] = (piece){w, h, 0, 0, 0, (int)n};
            s->parent[i] = -2 - (int32_t)n++;
        }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int32_t *l = &s->label[y * w + x];
            if (*l < 0) continue;
            int32_t r = s->parent[*l] < 0 ? s->parent[*l] : s->parent[s->parent[*l]];
            *l = -2 - r;
            add_pixel(&s->p[*l], x, y);
        }
}

/* ---- rows of pieces ---- */

static int height_of(const piece *p) { return p->y1 - p->y0; }
static int width_of(const piece *p) { return p->x1 - p->x0; }

/* Can it be a letter, or a larger part of one? */
static bool is_letter(const search *s, const piece *p) {
    int h = height_of(p), w = width_of(p);
    return h >= 6 && h * 5 <= (int)s->h * 2 && w * 2 <= (int)s->w && w <= 5 * h && p->area * 12 >= w * h &&
           !(p->area * 20 > w * h * 19 && w * h > 400);
}

static int line_root(piece *p, int i) {
    while (p[i].line != i) i = p[i].line = p[p[i].line].line;
    return i;
}

static bool in_a_row(const piece *a, const piece *b) {
    int ha = height_of(a), hb = height_of(b), small = least(ha, hb), large = most(ha, hb);
    int upon = least(a->y1, b->y1) - most(a->y0, b->y0), gap = most(a->x0, b->x0) - least(a->x1, b->x1);
    return large * 2 <= small * 5 && upon * 10 >= small * 6 && gap * 10 <= large * 9;
}

static int by_left(const void *a, const void *b) {
    const piece *const *x = a, *const *y = b;
    return (*x)->x0 != (*y)->x0 ? ((*x)->x0 < (*y)->x0 ? -1 : 1) : *x < *y ? -1 : *x > *y;
}

/* Does the row look like a line of text, and how much? */
static double judge(const search *s, const found *f, const piece *p, int row) {
    int n = 0;
    double top = 0, top2 = 0, bottom = 0, bottom2 = 0;
    int h = f->y1 - f->y0, w = f->x1 - f->x0;
    if (h < LEAST_HEIGHT || w * 10 < h * 7 || h * 5 > (int)s->h * 2) return 0;
    for (size_t i = 0; i < s->n; i++) {
        if (p[i].line != row || height_of(&p[i]) * 10 < h * 5) continue;
        n++;
        top += p[i].y0, top2 += (double)p[i].y0 * p[i].y0;
        bottom += p[i].y1, bottom2 += (double)p[i].y1 * p[i].y1;
    }
    if (!n) return 0;
    double fill = (double)f->area / (double)(w * h), spread = 0;
    double vt = top2 / n - top / n * (top / n), vb = bottom2 / n - bottom / n * (bottom / n);
    spread = (sqrt(vt > 0 ? vt : 0) + sqrt(vb > 0 ? vb : 0)) / h;
    if (fill < 0.07 || fill > 0.75) return 0;
    double letters = (double)w / h;
    if (letters > 12) letters = 12;
    double size = (double)h / (double)s->h;
    return letters * (size > 0.12 ? 1 : 0.4 + 5 * size) / (1 + 4 * spread) * (fill > 0.15 && fill < 0.55 ? 1 : 0.6);
}

static double shared(const found *a, const found *b) {
    double w = least(a->x1, b->x1) - most(a->x0, b->x0), h = least(a->y1, b->y1) - most(a->y0, b->y0);
    double u = (double)(a->x1 - a->x0) * (a->y1 - a->y0) + (double)(b->x1 - b->x0) * (b->y1 - b->y0);
    return w > 0 && h > 0 ? w * h / (u - w * h) : 0;
}

/* Letters in rows stand below each other, too: a column is one only where no row has taken its letters. */
static bool is_taken(const search *s, const found *column) {
    for (size_t i = 0; i < s->n_best; i++) {
        const found *row = &s->best[i];
        if (row->turned || row->score < 2) continue;
        double w = least(row->x1, column->y1) - most(row->x0, column->y0), h = least(row->y1, column->x1) - most(row->y0, column->x0);
        if (w > 0 && h > 0 && w * h * 4 > (double)(column->x1 - column->x0) * (column->y1 - column->y0)) return true;
    }
    return false;
}

/* Into the list of the best, falling; of two in one place and of one kind of mask only the better. */
static void keep(search *s, const found *f) {
    size_t at = s->n_best;
    for (size_t i = 0; i < s->n_best; i++)
        if (s->best[i].turned == f->turned && shared(&s->best[i], f) > 0.7 && s->best[i].kind / 2 == f->kind / 2) {
            if (s->best[i].score >= f->score) return;
            memmove(s->best + i, s->best + i + 1, (s->n_best - i - 1) * sizeof *s->best);
            s->n_best--;
            break;
        }
    at = s->n_best;
    while (at && s->best[at - 1].score < f->score) at--;
    if (at >= s->most) return;
    if (s->n_best == s->most) s->n_best--;
    memmove(s->best + at + 1, s->best + at, (s->n_best - at) * sizeof *s->best);
    s->best[at] = *f;
    s->n_best++;
}

static void grow(found *f, const piece *p) {
    f->x0 = least(f->x0, p->x0);
    f->y0 = least(f->y0, p->y0);
    f->x1 = most(f->x1, p->x1);
    f->y1 = most(f->y1, p->y1);
    f->area += p->area;
    f->pieces++;
}

/* Small pieces (dots, single strokes) between and beside the letters of a row belong to it. */
static void take_strokes(search *s, found *f, int row) {
    for (int round = 0; round < 2; round++) {
        int h = f->y1 - f->y0, x0 = f->x0 - h, x1 = f->x1 + h, y0 = f->y0 - h / 8, y1 = f->y1 + h / 8;
        for (size_t i = 0; i < s->n; i++) {
            piece *p = &s->p[i];
            if (p->line == row || p->line == -2) continue;
            if (p->x0 < x0 || p->x1 > x1 || p->y0 < y0 || p->y1 > y1 || p->area < 4) continue;
            bool beside = p->x1 <= f->x0 || p->x0 >= f->x1;
            if (beside && width_of(p) * 3 < h && height_of(p) * 3 < h) continue; /* specks */
            p->line = row;
            grow(f, p);
        }
    }
}

static void find_rows(search *s, mask_kind kind, piece **order) {
    size_t m = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->p[i].line = (int)i;
        if (is_letter(s, &s->p[i])) order[m++] = &s->p[i];
    }
    if (m > LETTERS) return;
    qsort(order, m, sizeof *order, by_left);
    for (size_t i = 0; i < m; i++)
        for (size_t k = i + 1; k < m && order[k]->x0 - order[i]->x1 <= (int)s->h * 4 / 10; k++)
            if (in_a_row(order[i], order[k])) {
                int a = line_root(s->p, (int)(order[i] - s->p)), b = line_root(s->p, (int)(order[k] - s->p));
                s->p[a].line = b;
            }
    for (size_t i = 0; i < m; i++) line_root(s->p, (int)(order[i] - s->p));
    for (size_t i = 0; i < s->n; i++) s->p[i].line = line_root(s->p, (int)i);
    for (size_t i = 0; i < m; i++) {
        int row = order[i]->line;
        if (row != (int)(order[i] - s->p)) continue; /* once a row, at its root */
        found f = {(int)s->w, (int)s->h, 0, 0, 0, 0, 0, kind, s->turned};
        for (size_t k = 0; k < m; k++)
            if (order[k]->line == row) grow(&f, order[k]);
        if ((f.y1 - f.y0) * 5 > (int)s->h * 2) continue;
        take_strokes(s, &f, row);
        f.score = judge(s, &f, s->p, row);
        if (f.turned && (f.x1 - f.x0 < 2.5 * (f.y1 - f.y0) || is_taken(s, &f))) continue;
        if (f.score > 0.5) keep(s, &f);
    }
}

/* ---- cutting out ---- */

/* A place's own pieces on white: out [h,w] of the place. */
static void lift(uint8_t *out, const search *s, const found *f) {
    int fw = f->x1 - f->x0, fh = f->y1 - f->y0, w = (int)s->w;
    for (int y = 0; y < fh; y++)
        for (int x = 0; x < fw; x++) {
            bool inside = false; /* a piece of the place, or beside one: the smooth edge */
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++) {
                    int px = f->x0 + x + dx, py = f->y0 + y + dy;
                    if (px < f->x0 || py < f->y0 || px >= f->x1 || py >= f->y1) continue;
                    int32_t l = s->label[py * w + px];
                    if (l < 0) continue;
                    const piece *p = &s->p[l];
                    inside = inside || (p->x0 >= f->x0 && p->x1 <= f->x1 && p->y0 >= f->y0 && p->y1 <= f->y1);
                }
            out[y * fw + x] = inside ? s->soft[(f->y0 + y) * w + f->x0 + x] : 255;
        }
}

/* Where a row [h,w] of letters that are about as wide as high can be parted: at[0] = 0 … at[n] = w. */
static size_t part(int *at, size_t most_parts, const uint8_t *px, int w, int h) {
    size_t n = 0;
    int gap = 0; /* the last place without ink after at[n] */
    at[0] = 0;
    for (int x = 1; x < w; x++) {
        bool ink = false;
        for (int y = 0; y < h && !ink; y++) ink = px[y * w + x] < 128;
        if (!ink && x - at[n] >= h / 2) gap = x;
        if (x - at[n] < h * 21 / 20 || gap <= at[n] || n + 2 > most_parts) continue;
        at[++n] = gap;
    }
    at[++n] = w;
    return n;
}

/* A column that was found lying becomes a row of upright letters. Takes *px [h,w] and gives a new one. */
static bqb_status stand_up(uint8_t **px, int *w, int *h, bqb_err *err) {
    enum { PARTS = 40 };
    int at[PARTS + 1], gap = *h / 10 + 1, widest = 0;
    size_t n = part(at, PARTS, *px, *w, *h);
    for (size_t i = 0; i < n; i++) widest = most(widest, at[i + 1] - at[i]);
    int tw = (int)n * (*h + gap), th = widest;
    uint8_t *to = bqb_calloc((size_t)th, (size_t)tw);
    if (!to) return bqb_fail_nomem(err, "column", (size_t)th * (size_t)tw);
    memset(to, 255, (size_t)th * (size_t)tw);
    for (size_t i = 0; i < n; i++)
        for (int x = at[i]; x < at[i + 1]; x++)
            for (int y = 0; y < *h; y++) to[(x - at[i]) * tw + (int)i * (*h + gap) + y] = (*px)[y * *w + x];
    free(*px);
    *px = to;
    *w = tw;
    *h = th;
    return BQB_OK;
}

/* The pieces within the found place, of the mask that is labelled now, on white. */
static bqb_status cut(bqb_text_line *out, const search *s, const found *f, size_t height, bqb_err *err) {
    int fw = f->x1 - f->x0, fh = f->y1 - f->y0;
    uint8_t *from = bqb_calloc((size_t)fh, (size_t)fw), *to = NULL;
    size_t tw = 1, th = 1;
    bqb_status st = from ? BQB_OK : bqb_fail_nomem(err, "line", (size_t)fw * (size_t)fh);
    if (!st) lift(from, s, f);
    if (!st && f->turned) st = stand_up(&from, &fw, &fh, err);
    double scale = (double)height / fh;
    if (scale * fw > LONGEST) scale = (double)LONGEST / fw;
    tw = (size_t)most(1, (int)(fw * scale + 0.5));
    th = (size_t)most(1, (int)(fh * scale + 0.5));
    out->w = tw + 2 * PAD;
    out->h = th + 2 * PAD;
    if (!st && (!(to = bqb_calloc(th, tw)) || !(out->gray = bqb_calloc(out->h, out->w))))
        st = bqb_fail_nomem(err, "line", out->w * out->h);
    if (!st) st = bqb_resample(to, tw, th, from, (size_t)fw, (size_t)fh, 1, err);
    if (!st) {
        memset(out->gray, 255, out->w * out->h);
        for (size_t y = 0; y < th; y++) memcpy(out->gray + (y + PAD) * out->w + PAD, to + y * tw, tw);
        float x0 = (float)f->x0 / (float)s->w, x1 = (float)f->x1 / (float)s->w, y0 = (float)f->y0 / (float)s->h,
              y1 = (float)f->y1 / (float)s->h;
        out->x0 = f->turned ? y0 : x0;
        out->x1 = f->turned ? y1 : x1;
        out->y0 = f->turned ? x0 : y0;
        out->y1 = f->turned ? x1 : y1;
        out->score = (float)f->score;
    }
    free(from);
    free(to);
    return st;
}

static bqb_status prepare(search *s, const uint8_t *rgb, size_t w, size_t h, bqb_err *err) {
    size_t longer = w > h ? w : h;
    double scale = (double)LOOK / (double)longer;
    if (scale > 2.5) scale = 2.5;
    s->w = (size_t)((double)w * scale + 0.5);
    s->h = (size_t)((double)h * scale + 0.5);
    if (!s->w) s->w = 1;
    if (!s->h) s->h = 1;
    size_t n = s->w * s->h;
    s->rgb = bqb_calloc(n, 3);
    s->gray = bqb_calloc(n, 1);
    s->soft = bqb_calloc(n, 1);
    s->sum = bqb_calloc((s->w + 1) * (s->h + 1), sizeof *s->sum);
    s->label = bqb_calloc(n, sizeof *s->label);
    s->parent = bqb_calloc(n, sizeof *s->parent);
    s->p = bqb_calloc(PIECES, sizeof *s->p);
    if (!s->rgb || !s->gray || !s->soft || !s->sum || !s->label || !s->parent || !s->p)
        return bqb_fail_nomem(err, "picture", n * 20);
    bqb_status st = bqb_resample(s->rgb, s->w, s->h, rgb, w, h, 3, err);
    if (!st) st = bqb_text_layer_plain(s->gray, s->rgb, s->w, s->h, BQB_LAYER_GRAY, err);
    if (!st) sum_up(s);
    return st;
}

/* Swap x and y of the picture. */
static bqb_status transpose(search *s, bqb_err *err) {
    size_t w = s->w, h = s->h;
    uint8_t *rgb = bqb_calloc(w * h, 3);
    if (!rgb) return bqb_fail_nomem(err, "picture", w * h * 3);
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) memcpy(rgb + 3 * (x * h + y), s->rgb + 3 * (y * w + x), 3);
    free(s->rgb);
    s->rgb = rgb;
    s->w = h;
    s->h = w;
    s->turned = !s->turned;
    bqb_status st = bqb_text_layer_plain(s->gray, s->rgb, s->w, s->h, BQB_LAYER_GRAY, err);
    memset(s->sum, 0, (s->w + 1) * (s->h + 1) * sizeof *s->sum);
    if (!st) sum_up(s);
    return st;
}

static bool has_columns(const search *s) {
    for (size_t i = 0; i < s->n_best; i++)
        if (s->best[i].turned) return true;
    return false;
}

/* Cut out all lines of one mask, the picture lying as it did when they were found. */
static bqb_status cut_all(bqb_text_lines *out, search *s, mask_kind kind, size_t height, bqb_err *err) {
    bqb_status st = BQB_OK;
    bool drawn = false;
    for (size_t i = 0; i < s->n_best && !st; i++) {
        if (s->best[i].kind != kind || s->best[i].turned != s->turned) continue;
        if (!drawn) {
            draw_soft(s, kind);
            find_pieces(s);
        }
        drawn = true;
        st = cut(&out->line[i], s, &s->best[i], height, err);
    }
    return st;
}

bqb_status bqb_text_lines_find(bqb_text_lines *out, const uint8_t *rgb, size_t w, size_t h, size_t most_lines, size_t height,
                               bqb_err *err) {
    search s = {.most = most_lines < BQB_TEXT_LINES_MOST ? most_lines : BQB_TEXT_LINES_MOST};
    *out = (bqb_text_lines){.n = 0};
    if (!w || !h || w > MOST_SIDE || h > MOST_SIDE || !height || height > 500)
        return bqb_fail(err, BQB_EINVAL, "lines on a picture of %zu x %zu", w, h);
    piece **order = bqb_calloc(PIECES, sizeof *order);
    bqb_status st = order ? prepare(&s, rgb, w, h, err) : bqb_fail_nomem(err, "lines", PIECES * sizeof *order);
    for (int turn = 0; turn < 2 && !st; turn++) {
        if (turn) st = transpose(&s, err);
        for (int k = 0; k < MASKS && !st; k++) {
            draw_soft(&s, (mask_kind)k);
            find_pieces(&s);
            find_rows(&s, (mask_kind)k, order);
        }
    }
    out->n = st ? 0 : s.n_best;
    for (int turn = 0; turn < 2 && !st; turn++) { /* each mask once more, for its lines */
        if (!turn) st = transpose(&s, err);
        else if (has_columns(&s)) st = transpose(&s, err);
        else break;
        for (int k = 0; k < MASKS && !st; k++) st = cut_all(out, &s, (mask_kind)k, height, err);
    }
    free(order);
    free(s.rgb);
    free(s.gray);
    free(s.soft);
    free(s.sum);
    free(s.label);
    free(s.parent);
    free(s.p);
    if (st) bqb_text_lines_free(out);
    return st;
}

void bqb_text_lines_free(bqb_text_lines *l) {
    for (size_t i = 0; i < BQB_TEXT_LINES_MOST; i++) free(l->line[i].gray);
    *l = (bqb_text_lines){.n = 0};
}
