#include "text/readout.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bqb_status bqb_readout_add(bqb_readout *r, const bqb_read_line *l, bqb_err *err) {
    if (r->n == BQB_READOUT_MOST) return BQB_OK;
    bqb_read_line *p = bqb_grow(r->line, r->n, &r->cap, sizeof *p, 64);
    if (!p) return bqb_fail_nomem(err, "lines", 2 * r->cap * sizeof *p);
    r->line = p;
    r->line[r->n++] = *l;
    return BQB_OK;
}

void bqb_readout_free(bqb_readout *r) {
    free(r->line);
    *r = (bqb_readout){0};
}

/* ---- characters ---- */

bool bqb_is_cjk(uint32_t cp) {
    return (cp >= 0x2E80 && cp <= 0x2FDF) || (cp >= 0x3040 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x9FFF) ||
           (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x20000 && cp <= 0x3FFFF) || cp == 0x3007;
}

/* Letters and digits of any script, what words are made of. */
static bool is_letter(uint32_t cp) {
    if (bqb_is_cjk(cp)) return true;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND: return true;
    default: return false;
    }
}

/* One of these, in UTF-8. */
static bool is_one_of(uint32_t cp, const char *set) {
    for (size_t i = 0, n = strlen(set); i < n;) {
        uint32_t c;
        i += bqb_utf8_next(set + i, n - i, &c, NULL);
        if (c == cp) return true;
    }
    return false;
}

static bool is_punctuation(uint32_t cp) { return is_one_of(cp, "，。！？、：；…—～“”‘’（）《》!?,.:;'\"()-+%&@#~·/"); }
static bool may_begin(uint32_t cp) { return is_one_of(cp, "“‘（《\"'(#@"); }
static bool may_end(uint32_t cp) { return is_one_of(cp, "！？。…～”’）》!?.~\"')%"); }

/* ---- one line ---- */

static void take_out(bqb_read_line *l, size_t from, size_t n) {
    memmove(l->c + from, l->c + from + n, (l->n - from - n) * sizeof *l->c);
    l->n -= n;
}

/* A word of one or two Latin letters or digits beside Chinese is a stroke of the picture more often than a word. */
static void drop_strays(bqb_read_line *l) {
    bool chinese = false;
    for (size_t i = 0; i < l->n; i++) chinese = chinese || bqb_is_cjk(l->c[i].cp);
    for (size_t i = 0; chinese && i < l->n;) {
        size_t n = 0;
        double belief = 0;
        while (i + n < l->n && is_letter(l->c[i + n].cp) && !bqb_is_cjk(l->c[i + n].cp)) belief += (double)l->c[i + n++].belief;
        if (n && n <= 2 && belief < 0.85 * (double)n) take_out(l, i, n);
        else i += n ? n : 1;
    }
}

void bqb_line_clean(bqb_read_line *l) {
    for (size_t i = 0; i < l->n;) {
        uint32_t cp = l->c[i].cp;
        if (cp == ' ' || is_letter(cp) || is_punctuation(cp)) i++;
        else take_out(l, i, 1);
    }
    drop_strays(l);
    while (l->n && !is_letter(l->c[0].cp) && !may_begin(l->c[0].cp)) take_out(l, 0, 1);
    while (l->n && !is_letter(l->c[l->n - 1].cp) && !may_end(l->c[l->n - 1].cp)) l->n--;
    for (size_t i = 0; i < l->n;) { /* spaces stay between words of other scripts */
        bool keep = l->c[i].cp != ' ' || (i && i + 1 < l->n && is_letter(l->c[i - 1].cp) && is_letter(l->c[i + 1].cp) &&
                                          !bqb_is_cjk(l->c[i - 1].cp) && !bqb_is_cjk(l->c[i + 1].cp));
        if (keep) i++;
        else take_out(l, i, 1);
    }
    bool any = false;
    for (size_t i = 0; i < l->n; i++) any = any || is_letter(l->c[i].cp);
    if (!any) l->n = 0;
}

double bqb_line_belief(const bqb_read_line *l) {
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (is_letter(l->c[i].cp)) sum += (double)l->c[i].belief, n++;
    return n ? sum / (double)n : 0;
}

static size_t letters(uint32_t out[BQB_LINE_MOST], const bqb_read_line *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (is_letter(l->c[i].cp)) {
            uint32_t cp = l->c[i].cp;
            out[n++] = cp < 128 ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp;
        }
    return n;
}

double bqb_line_likeness(const bqb_read_line *a, const bqb_read_line *b) {
    uint32_t x[BQB_LINE_MOST], y[BQB_LINE_MOST];
    size_t nx = letters(x, a), ny = letters(y, b);
    uint8_t row[BQB_LINE_MOST + 1] = {0};
    if (!nx || !ny) return 0;
    for (size_t i = 0; i < nx; i++) {
        uint8_t diagonal = 0; /* row[j] of the last line */
        for (size_t j = 0; j < ny; j++) {
            uint8_t up = row[j + 1];
            row[j + 1] = x[i] == y[j] ? (uint8_t)(diagonal + 1) : up > row[j] ? up : row[j];
            diagonal = up;
        }
    }
    return 2.0 * row[ny] / (double)(nx + ny);
}

/* ---- several readings ---- */

enum { PLACES = 64, IN_PLACE = 64 };

/* Lines that lie upon each other. */
typedef struct {
    const bqb_read_line *line[IN_PLACE];
    double belief[IN_PLACE], support[IN_PLACE];
    size_t n, best;
} place;

typedef struct {
    const bqb_read_line *line;
    double belief;
} ranked;

static int by_belief(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    double p = x->belief * (double)x->line->n, q = y->belief * (double)y->line->n;
    if (p != q) return p < q ? 1 : -1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static float least(float a, float b) { return a < b ? a : b; }
static float most(float a, float b) { return a > b ? a : b; }

/* Share of the smaller of two lines' places that lies in the other. */
static float overlap(const bqb_read_line *a, const bqb_read_line *b) {
    float w = least(a->x1, b->x1) - most(a->x0, b->x0), h = least(a->y1, b->y1) - most(a->y0, b->y0);
    float area = least((a->x1 - a->x0) * (a->y1 - a->y0), (b->x1 - b->x0) * (b->y1 - b->y0));
    return w > 0 && h > 0 && area > 0 ? w * h / area : 0;
}

static void put_in_place(place *p, size_t *n_places, const ranked *r) {
    place *to = NULL;
    float best = 0.5f;
    for (size_t i = 0; i < *n_places; i++) {
        const bqb_read_line *leader = p[i].line[0];
        float o = overlap(leader, r->line);
        if (o <= best) continue;
        if (leader->frame != r->line->frame && bqb_line_likeness(leader, r->line) < 0.34) continue; /* other words at another time */
        best = o;
        to = &p[i];
    }
    if (!to) {
        if (*n_places == PLACES) return;
        to = &p[(*n_places)++];
        to->n = 0;
    }
    if (to->n == IN_PLACE) return;
    to->belief[to->n] = r->belief;
    to->line[to->n++] = r->line;
}

/* How much the other readings of the place agree with each line; the best is what they agree with most. */
static void choose(place *p) {
    p->best = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->support[i] = p->belief[i];
        for (size_t k = 0; k < p->n; k++)
            if (k != i) p->support[i] += p->belief[k] * bqb_line_likeness(p->line[i], p->line[k]);
        if (p->support[i] > p->support[p->best]) p->best = i;
    }
}

static bool has_cjk(const bqb_read_line *l) {
    for (size_t i = 0; i < l->n; i++)
        if (bqb_is_cjk(l->c[i].cp)) return true;
    return false;
}

/* Nothing but strokes, as any drawing has them. */
static bool is_strokes(const bqb_read_line *l) {
    for (size_t i = 0; i < l->n; i++)
        if (is_letter(l->c[i].cp) && !is_one_of(l->c[i].cp, "一二三丨丿乙人入八个了儿几厂")) return false;
    return true;
}

/* Is what was read there writing at all? */
static bool is_writing(const place *p) {
    const bqb_read_line *l = p->line[p->best];
    double belief = p->belief[p->best], support = p->support[p->best];
    if (!has_cjk(l)) return l->n >= 2 && belief > 0.85 && support > 2;
    if (l->n <= 3 && is_strokes(l)) return false;
    if (l->n == 1) return belief > 0.7 && support > 1.4;
    return belief > 0.3 && support > 1.2;
}

static int by_place(const void *a, const void *b) {
    const place *p = a, *q = b;
    const bqb_read_line *x = p->line[p->best], *y = q->line[q->best];
    if (x->frame != y->frame) return x->frame < y->frame ? -1 : 1;
    float mx = x->y0 + x->y1, my = y->y0 + y->y1, h = least(x->y1 - x->y0, y->y1 - y->y0);
    if (mx - my > h || my - mx > h) return mx < my ? -1 : 1;
    return x->x0 < y->x0 ? -1 : x->x0 > y->x0;
}

static bqb_status put_line(bqb_buf *out, const bqb_read_line *l, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < l->n && !s; i++) {
        char u[4];
        s = bqb_buf_append(out, u, bqb_utf8_put(u, l->c[i].cp), err);
    }
    return s;
}

static bqb_status join(bqb_merged *out, place *p, size_t n, bqb_err *err) {
    double sum = 0;
    size_t chars = 0;
    bqb_status s = bqb_buf_puts(&out->joined, "", err);
    qsort(p, n, sizeof *p, by_place);
    for (size_t i = 0; i < n && !s; i++) {
        if (!is_writing(&p[i])) continue;
        const bqb_read_line *l = p[i].line[p[i].best];
        if (out->joined.len) s = bqb_buf_puts(&out->joined, " ", err);
        if (!s) s = put_line(&out->joined, l, err);
        sum += p[i].belief[p[i].best] * (double)l->n;
        chars += l->n;
    }
    out->belief = chars ? sum / (double)chars : 0;
    return s;
}

/* ---- all lines, with weights ---- */

typedef struct {
    char *text;
    double weight;
} weighted;

static int by_text(const void *a, const void *b) {
    const weighted *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : x->weight < y->weight ? 1 : x->weight > y->weight ? -1 : 0;
}

static int by_weight(const void *a, const void *b) {
    const weighted *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? 1 : -1) : strcmp(x->text, y->text);
}

static double weight_of(const place *p, size_t i) {
    double w = p->support[i] / (p->support[i] + 1) * sqrt(p->belief[i]);
    if (!has_cjk(p->line[i])) w *= 0.5;
    return w;
}

/* Words run on from line to line: what is one line after another is one in the list, too. */
static bqb_status add_wrapped(weighted *all, size_t *count, const place *p, size_t n, bqb_err *err) {
    bqb_status s = BQB_OK;
    const place *before = NULL;
    for (size_t i = 0; i < n && !s; i++) {
        if (!is_writing(&p[i])) continue;
        const bqb_read_line *a = before ? before->line[before->best] : NULL, *b = p[i].line[p[i].best];
        if (a && a->frame == b->frame && bqb_is_cjk(a->c[a->n - 1].cp) && bqb_is_cjk(b->c[0].cp)) {
            bqb_buf text = {.max = 8 * BQB_LINE_MOST + 1};
            double wa = weight_of(before, before->best), wb = weight_of(&p[i], p[i].best);
            s = put_line(&text, a, err);
            if (!s) s = put_line(&text, b, err);
            if (!s) all[(*count)++] = (weighted){.text = text.data, .weight = wa < wb ? wa : wb};
            else bqb_buf_free(&text);
        }
        before = &p[i];
    }
    return s;
}

static bqb_status list(bqb_merged *out, const place *p, size_t n, bqb_err *err) {
    weighted *all = bqb_calloc(PLACES * (IN_PLACE + 1), sizeof *all);
    size_t count = 0, kept = 0;
    bqb_status s = all ? bqb_buf_puts(&out->all, "", err) : bqb_fail_nomem(err, "lines", PLACES * IN_PLACE * sizeof *all);
    for (size_t i = 0; i < n && !s; i++)
        for (size_t k = 0; k < p[i].n && !s; k++) {
            bqb_buf text = {.max = 4 * BQB_LINE_MOST + 1};
            s = put_line(&text, p[i].line[k], err);
            if (!s) all[count++] = (weighted){.text = text.data, .weight = weight_of(&p[i], k)};
            else bqb_buf_free(&text);
        }
    if (!s) s = add_wrapped(all, &count, p, n, err);
    if (all) qsort(all, count, sizeof *all, by_text);
    for (size_t i = 0; i < count; i++) {
        if (kept && !strcmp(all[kept - 1].text, all[i].text)) free(all[i].text);
        else all[kept++] = all[i];
    }
    if (all) qsort(all, kept, sizeof *all, by_weight);
    for (size_t i = 0; i < kept; i++) {
        if (!s && all[i].weight >= 0.05) s = bqb_buf_printf(&out->all, err, "%.2f\t%s\n", all[i].weight, all[i].text);
        free(all[i].text);
    }
    free(all);
    return s;
}

bqb_status bqb_readout_merge(bqb_merged *out, const bqb_readout *r, bqb_err *err) {
    *out = (bqb_merged){.joined = {.max = 1 << 16}, .all = {.max = 1 << 20}};
    ranked *order = bqb_calloc(r->n + 1, sizeof *order);
    place *p = bqb_calloc(PLACES, sizeof *p);
    bqb_status s = order && p ? BQB_OK : bqb_fail_nomem(err, "lines", PLACES * sizeof *p);
    size_t n = 0;
    for (size_t i = 0; i < r->n && !s; i++) order[i] = (ranked){&r->line[i], bqb_line_belief(&r->line[i])};
    if (!s) qsort(order, r->n, sizeof *order, by_belief);
    for (size_t i = 0; i < r->n && !s; i++)
        if (order[i].line->n) put_in_place(p, &n, &order[i]);
    for (size_t i = 0; i < n; i++) choose(&p[i]);
    if (!s) s = join(out, p, n, err); /* sorts the places */
    if (!s) s = list(out, p, n, err);
    free(order);
    free(p);
    if (s) bqb_merged_free(out);
    return s;
}

void bqb_merged_free(bqb_merged *m) {
    bqb_buf_free(&m->joined);
    bqb_buf_free(&m->all);
    *m = (bqb_merged){.belief = 0};
}
