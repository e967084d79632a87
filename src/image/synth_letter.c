#include "image/synth_letter.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const letter *glyph[WORDS_MAX];
    uint32_t cp[WORDS_MAX];
    size_t n;
    size_t line_start[8], n_lines; /* letter indices */
} layout;

/* Letters of one Latin word stay together; closing marks do not begin a line. */
static bool may_break(const layout *l, size_t at) {
    static const uint32_t closing[] = {0xFF01, 0xFF1F, 0x3002, 0xFF0C, 0x2026, '!', '?', '~', 0xFF5E};
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++)
        if (l->cp[at] == closing[i]) return false;
    return !(l->cp[at] < 0x80 && l->cp[at - 1] < 0x80);
}

static float line_width(const layout *l, size_t from, size_t to) {
    float w = 0;
    for (size_t i = from; i < to; i++) w += l->glyph[i]->advance;
    return w;
}

/* Into n lines of about equal width; returns the widest, at GLYPH_EM. */
static float break_lines(layout *l, size_t n) {
    float total = line_width(l, 0, l->n), so_far = 0, widest = 0;
    l->n_lines = 1;
    l->line_start[0] = 0;
    for (size_t i = 0; i < l->n; i++) {
        float target = total * (float)l->n_lines / (float)n;
        if (i && l->n_lines < n && so_far + l->glyph[i]->advance / 2 > target && may_break(l, i)) l->line_start[l->n_lines++] = i;
        so_far += l->glyph[i]->advance;
    }
    for (size_t k = 0; k < l->n_lines; k++)
        widest = fmaxf(widest, line_width(l, l->line_start[k], k + 1 < l->n_lines ? l->line_start[k + 1] : l->n));
    return widest;
}

static float fit(layout *l, float w, float h, const word_look *look, size_t *lines) {
    float best = 0;
    for (size_t n = 1; n <= 4 && n <= l->n; n++) {
        float widest = break_lines(l, n), size = fminf(w * GLYPH_EM / widest, h / ((float)n * 1.1F));
        if (size > best * 1.08F) {
            best = size;
            *lines = n;
        }
    }
    break_lines(l, *lines);
    return fminf(best, look->max_size);
}

/* Fill, edge and shadow follow from the distance to the letters' ink. */
static bqb_status ink_words(canvas *to, const mask *m, const word_look *look, bqb_err *err) {
    size_t n = (size_t)m->w * (size_t)m->h;
    float *dist = malloc(n * sizeof *dist), reach = look->edge_width + look->bold + 4;
    if (!dist) return bqb_fail_nomem(err, "words", n);
    mask_distance(dist, m, reach);
    int off = (int)(look->edge_width * 0.5F + 2);
    for (int pass = 0; pass < 3; pass++) {
        colour k = pass == 0 ? look->shadow : pass == 1 ? look->edge : look->fill;
        float grow = pass == 2 ? look->bold : look->bold + look->edge_width;
        if (!k.a) continue;
        for (int y = 0; y < m->h; y++)
            for (int x = 0; x < m->w; x++) {
                int u = x - (pass == 0 ? off : 0), v = y - (pass == 0 ? off : 0);
                if (u < 0 || v < 0) continue;
                size_t i = (size_t)v * (size_t)m->w + (size_t)u;
                float cover = grow > 0 ? grow + 0.5F - dist[i] : 0;
                if (cover < 0) continue;
                cover = fmaxf(fminf(cover, 1), (float)m->px[i] / 255);
                if (cover > 0.01F) paint_pixel(to, x, y, k, cover);
            }
    }
    free(dist);
    return BQB_OK;
}

bqb_status words_draw(canvas *to, glyphs *g, const char *text, box area, const word_look *look,
                      bqb_rand *rand, float *size_out, bqb_err *err) {
    layout l = {0};
    size_t len = strlen(text), lines = 1;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < len && l.n < WORDS_MAX && !s; l.n++) {
        i += bqb_utf8_next(text + i, len - i, &l.cp[l.n], NULL);
        s = glyphs_letter(g, look->font, l.cp[l.n], &l.glyph[l.n], err);
    }
    const letter *middle;
    if (!s) s = glyphs_letter(g, look->font, 0x56FD, &middle, err);
    if (s || !l.n) return s;
    float mid_y = middle->y + (float)middle->ink.h / 2;
    float pad = look->edge_width + look->bold, w = area.x1 - area.x0 - 2 * pad, h = area.y1 - area.y0 - 2 * pad;
    mask ink;
    if (!mask_new(&ink, to->w, to->h)) return bqb_fail_nomem(err, "words", (size_t)to->w * (size_t)to->h);
    float size, cx = (area.x0 + area.x1) / 2, cy = (area.y0 + area.y1) / 2;
    if (look->vertical) {
        size = fminf(fminf(w, h / ((float)l.n * 1.02F)), look->max_size);
        lines = l.n;
        l.n_lines = 0;
    } else size = fit(&l, w, h - fabsf(look->arch), look, &lines);
    float scale = size / GLYPH_EM;
    for (size_t k = 0; k < lines; k++) {
        size_t from = look->vertical ? k : l.line_start[k];
        size_t to_i = look->vertical ? k + 1 : k + 1 < l.n_lines ? l.line_start[k + 1] : l.n;
        float width = line_width(&l, from, to_i) * scale, pen = cx - width / 2;
        float y = cy + ((float)k - ((float)(look->vertical ? lines : l.n_lines) - 1) / 2) * size * (look->vertical ? 1.02F : 1.1F);
        for (size_t i = from; i < to_i; i++) {
            const letter *c = l.glyph[i];
            float bx = pen + (c->x + (float)c->ink.w / 2) * scale, t = width > 0 ? (bx - cx) / (width / 2) : 0;
            placing at = {bx, y + (c->y + (float)c->ink.h / 2 - mid_y) * scale + look->arch * (t * t - 0.4F), scale, scale,
                          look->arch / (w > 1 ? w : 1) * t * 3, look->shear, 1};
            at.turn += look->jumpy * (float)bqb_rand_between(rand, -0.22, 0.22);
            at.cy += look->jumpy * size * (float)bqb_rand_between(rand, -0.1, 0.1);
            if (c->ink.px) mask_add(&ink, &c->ink, at);
            pen += c->advance * scale;
        }
    }
    s = ink_words(to, &ink, look, err);
    mask_free(&ink);
    if (size_out) *size_out = size;
    return s;
}
