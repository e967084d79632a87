#include "image/synth_glyph.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "image/decode.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

enum { MAX_HANDS = 16, SPRITE_SIDE = 160, LETTER_SLOTS = 65536, MAX_DEPTH = 4 };

static const char EMOJI_FONT[] = "Noto Color Emoji 109";
static const char *const FONTS[GLYPH_FONTS] = {
    "Noto Sans CJK SC Bold", "WenQuanYi Zen Hei", "Noto Serif CJK SC Bold", "WenQuanYi Micro Hei",
    "AR PL UKai CN",         "Noto Sans CJK SC",  "AR PL UMing CN",         "Noto Sans CJK JP Bold"};

typedef struct {
    uint32_t id; /* font << 24 | code point, 0 = free */
    letter *letter;
} letter_slot;

struct glyphs {
    const synth_data *data;
    size_t n_hands;
    char **path[MAX_HANDS];            /* [hand][subject]; NULL where the hand lacks it */
    _Atomic(canvas *) *sprite[MAX_HANDS]; /* the same */
    letter_slot *slot;
    size_t n_letters;
    pthread_mutex_t lock;              /* slots, and libvips' text drawing */
    bool lock_ready;
};

static bqb_status vips_failed(bqb_err *err, const char *what) {
    char reason[256];
    snprintf(reason, sizeof reason, "%s", vips_error_buffer());
    vips_error_clear();
    reason[strcspn(reason, "\n")] = 0;
    return bqb_fail(err, BQB_EFORMAT, "%s: %s", what, reason);
}

/* Takes im. Any image -> premultiplied canvas cut to its ink. */
static bqb_status canvas_of_image(canvas *c, VipsImage *im, const char *name, bqb_err *err) {
    VipsImage *srgb = NULL, *rgba = NULL;
    bqb_status s = BQB_OK;
    uint8_t *px = NULL;
    size_t size = 0;
    canvas whole = {0};
    *c = (canvas){0};
    if (vips_colourspace(im, &srgb, VIPS_INTERPRETATION_sRGB, NULL) ||
        (vips_image_hasalpha(srgb) ? vips_copy(srgb, &rgba, NULL) : vips_addalpha(srgb, &rgba, NULL)) ||
        !(px = vips_image_write_to_memory(rgba, &size))) {
        s = vips_failed(err, name);
        goto done;
    }
    if (rgba->Bands != 4 || size != (size_t)rgba->Xsize * (size_t)rgba->Ysize * 4) {
        s = bqb_fail(err, BQB_EFORMAT, "%s: %d bands, needs 4 of 8 bits", name, rgba->Bands);
        goto done;
    }
    for (size_t i = 0; i < size; i += 4)
        for (size_t k = 0; k < 3; k++) px[i + k] = (uint8_t)((px[i + k] * px[i + 3] + 127) / 255);
    whole = (canvas){rgba->Xsize, rgba->Ysize, px};
    int x0, y0, x1, y1;
    canvas_bounds(&whole, &x0, &y0, &x1, &y1);
    if (x1 <= x0 || y1 <= y0) {
        s = bqb_fail(err, BQB_EFORMAT, "%s: is empty", name);
        goto done;
    }
    if (!canvas_new(c, x1 - x0, y1 - y0)) {
        s = bqb_fail_nomem(err, name, size);
        goto done;
    }
    for (int y = 0; y < c->h; y++)
        memcpy(c->px + 4 * (size_t)y * (size_t)c->w,
               px + 4 * ((size_t)(y + y0) * (size_t)whole.w + (size_t)x0), 4 * (size_t)c->w);
done:
    g_free(px);
    if (rgba) g_object_unref(rgba);
    if (srgb) g_object_unref(srgb);
    g_object_unref(im);
    return s;
}

static bqb_status draw_emoji(canvas *c, const char *text, bqb_err *err) {
    VipsImage *im;
    *c = (canvas){0};
    if (vips_text(&im, text, "font", EMOJI_FONT, "rgba", TRUE, "dpi", 72, NULL)) return vips_failed(err, "emoji");
    return canvas_of_image(c, im, text, err);
}

static bqb_status load_art(canvas *c, const char *path, bqb_err *err) {
    VipsImage *im;
    *c = (canvas){0};
    if (vips_thumbnail(path, &im, SPRITE_SIDE, "height", SPRITE_SIDE, NULL)) return vips_failed(err, path);
    return canvas_of_image(c, im, path, err);
}

static bqb_status draw_letter(letter *l, size_t font, uint32_t cp, bqb_err *err) {
    char text[8] = {0}, spec[64];
    text[bqb_utf8_put(text, cp)] = 0;
    /* libvips reads its text as markup. */
    const char *shown = cp == '&' ? "&amp;" : cp == '<' ? "&lt;" : cp == '>' ? "&gt;" : text;
    snprintf(spec, sizeof spec, "%s %d", FONTS[font], GLYPH_EM);
    *l = (letter){.advance = cp < 0x2E80 ? GLYPH_EM * 0.34F : GLYPH_EM};
    if (cp == ' ') return BQB_OK;
    VipsImage *im;
    if (vips_text(&im, shown, "font", spec, "dpi", 72, NULL)) return vips_failed(err, spec);
    size_t size;
    uint8_t *px = vips_image_write_to_memory(im, &size);
    bqb_status s = BQB_OK;
    if (!px || im->Bands != 1) s = vips_failed(err, spec);
    else if (!mask_new(&l->ink, im->Xsize, im->Ysize)) s = bqb_fail_nomem(err, spec, size);
    else {
        memcpy(l->ink.px, px, size);
        l->x = (float)im->Xoffset;
        l->y = (float)im->Yoffset;
        if (cp < 0x2E80) {
            l->advance = (float)im->Xsize + GLYPH_EM * 0.06F;
            l->x = GLYPH_EM * 0.03F;
        }
    }
    g_free(px);
    g_object_unref(im);
    return s;
}

/* Without its font, text comes out in another one: emoji lose their colours,
 * and the one-stroke character becomes the box that stands for a missing letter. */
static bqb_status check_fonts(glyphs *g, bqb_err *err) {
    canvas c;
    bool coloured = false;
    if (draw_emoji(&c, "\xF0\x9F\x98\x80", NULL) == BQB_OK)
        for (size_t i = 0, n = (size_t)c.w * (size_t)c.h; i < n && !coloured; i++)
            coloured = c.px[4 * i] > c.px[4 * i + 2] + 60;
    canvas_free(&c);
    if (!coloured)
        return bqb_fail(err, BQB_ENOTFOUND,
                        "no colour emoji font: \"Noto Color Emoji\" is in the Debian package fonts-noto-color-emoji");
    const letter *one;
    bqb_status s = glyphs_letter(g, 0, 0x4E00, &one, err);
    if (!s && one->ink.h * 3 > one->ink.w)
        s = bqb_fail(err, BQB_ENOTFOUND,
                     "no Chinese font: \"Noto Sans CJK SC\" is in the Debian package fonts-noto-cjk");
    return s;
}

/* "grinning-face" from "grinning face", "😀 Grinning_Face" …: letters and digits, one '-' between words. */
static void slug(char *out, size_t size, const char *name) {
    size_t n = 0;
    for (; *name && n + 2 < size; name++) {
        unsigned char c = (unsigned char)*name;
        if (c == '\'') continue;
        if (c < 0x80 && isalnum(c)) out[n++] = (char)tolower(c);
        else if (n && out[n - 1] != '-') out[n++] = '-';
    }
    while (n && out[n - 1] == '-') n--;
    out[n] = 0;
}

static bool is_code_name(const char *s) {
    size_t digits = 0;
    for (; *s; s++) {
        if (*s == '-') digits = 0;
        else if (!isxdigit((unsigned char)*s) || ++digits > 6) return false;
    }
    return digits >= 4;
}

/* The subject that a file name means, SIZE_MAX when none. */
static size_t subject_of_file(const glyphs *g, char (*slugs)[64], const char *file) {
    char base[256];
    snprintf(base, sizeof base, "%s", file);
    char *dot = strrchr(base, '.');
    if (!dot || (strcmp(dot, ".svg") && strcmp(dot, ".png") && strcmp(dot, ".webp"))) return SIZE_MAX;
    *dot = 0;
    char *p = strncmp(base, "emoji_u", 7) ? base : base + 7;
    for (char *c = p; *c; c++) *c = (char)(*c == '_' ? '-' : tolower((unsigned char)*c));
    if (is_code_name(p)) {
        char *sel;
        while ((sel = strstr(p, "-fe0f")) != NULL) memmove(sel, sel + 5, strlen(sel + 5) + 1);
        return synth_data_find(g->data, p);
    }
    char *suffix = strstr(p, "-default");
    if (suffix && !suffix[8]) *suffix = 0;
    for (size_t i = 0; i < g->data->n_subjects; i++)
        if (!strcmp(slugs[i], p)) return i;
    return SIZE_MAX;
}

static bqb_status add_hand(glyphs *g, bqb_err *err) {
    size_t n = g->data->n_subjects;
    if (g->n_hands == MAX_HANDS) return bqb_fail(err, BQB_ELIMIT, "more than %d hands of emoji art", MAX_HANDS - 1);
    g->path[g->n_hands] = bqb_calloc(n, sizeof(char *));
    g->sprite[g->n_hands] = bqb_calloc(n, sizeof *g->sprite[0]);
    g->n_hands++;
    return g->path[g->n_hands - 1] && g->sprite[g->n_hands - 1] ? BQB_OK : bqb_fail_nomem(err, "emoji art", n);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* Each folder with pictures of subjects is a hand; folders below it are looked into too. */
static bqb_status scan_art(glyphs *g, char (*slugs)[64], const char *dir, int depth, bqb_err *err) {
    struct dirent **entry;
    int n = scandir(dir, &entry, NULL, by_name);
    if (n < 0) return bqb_fail_errno(err, "%s", dir);
    bqb_status s = BQB_OK;
    bool mine = false;
    for (int i = 0; i < n && !s; i++) {
        if (entry[i]->d_name[0] == '.') continue;
        char *path = bqb_path_join(dir, entry[i]->d_name);
        if (!path) s = bqb_fail_nomem(err, dir, 0);
        else if (bqb_is_dir(path)) {
            if (depth < MAX_DEPTH && strcmp(entry[i]->d_name, "node_modules")) s = scan_art(g, slugs, path, depth + 1, err);
        } else {
            size_t subject = subject_of_file(g, slugs, entry[i]->d_name);
            if (subject != SIZE_MAX) {
                if (!mine) s = add_hand(g, err);
                mine = true;
                if (!s && !g->path[g->n_hands - 1][subject]) {
                    g->path[g->n_hands - 1][subject] = path;
                    path = NULL;
                }
            }
        }
        free(path);
    }
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    return s;
}

bqb_status glyphs_open(glyphs **out, const synth_data *d, const char *const *art, size_t n_art, bqb_err *err) {
    *out = NULL;
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    glyphs *g = calloc(1, sizeof *g);
    char(*slugs)[64] = bqb_calloc(d->n_subjects, sizeof *slugs);
    if (!g || !slugs) {
        s = bqb_fail_nomem(err, "glyphs", sizeof *g);
        goto done;
    }
    g->data = d;
    g->lock_ready = !pthread_mutex_init(&g->lock, NULL);
    g->slot = bqb_calloc(LETTER_SLOTS, sizeof *g->slot);
    if (!g->lock_ready || !g->slot) {
        s = bqb_fail_nomem(err, "letters", LETTER_SLOTS);
        goto done;
    }
    s = add_hand(g, err);
    if (!s) s = check_fonts(g, err);
    for (size_t i = 0; i < d->n_subjects; i++) slug(slugs[i], sizeof *slugs, d->subject[i].name_en);
    for (size_t a = 0; a < n_art && !s; a++) {
        /* The user named this folder: its SVG may be read. */
        vips_operation_block_set("VipsForeignLoadSvg", FALSE);
        size_t before = g->n_hands;
        s = scan_art(g, slugs, art[a], 0, err);
        if (!s && g->n_hands == before)
            s = bqb_fail(err, BQB_ENOTFOUND, "%s: no emoji art (files such as 1f600.svg or grinning-face.svg)", art[a]);
    }
done:
    free(slugs);
    if (s) glyphs_close(g);
    else *out = g;
    return s;
}

void glyphs_close(glyphs *g) {
    if (!g) return;
    for (size_t h = 0; h < g->n_hands; h++)
        for (size_t i = 0; i < g->data->n_subjects; i++) {
            if (g->path[h]) free(g->path[h][i]);
            canvas *c = g->sprite[h] ? atomic_load(&g->sprite[h][i]) : NULL;
            if (c) canvas_free(c);
            free(c);
        }
    for (size_t h = 0; h < g->n_hands; h++) {
        free(g->path[h]);
        free((void *)g->sprite[h]);
    }
    for (size_t i = 0; g->slot && i < LETTER_SLOTS; i++)
        if (g->slot[i].letter) {
            mask_free(&g->slot[i].letter->ink);
            free(g->slot[i].letter);
        }
    free(g->slot);
    if (g->lock_ready) pthread_mutex_destroy(&g->lock);
    free(g);
}

size_t glyphs_hands(const glyphs *g) { return g->n_hands; }
bool glyphs_has(const glyphs *g, size_t subject, size_t hand) { return hand == 0 || g->path[hand][subject]; }
bool glyphs_font_is_brush(size_t font) { return font == 4; }

bqb_status glyphs_sprite(glyphs *g, size_t subject, size_t hand, const canvas **out, bqb_err *err) {
    canvas *c = atomic_load(&g->sprite[hand][subject]);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c) return bqb_fail_nomem(err, "sprite", sizeof *c);
        bqb_status s = BQB_EFORMAT;
        if (hand && g->path[hand][subject]) s = load_art(c, g->path[hand][subject], NULL);
        if (s) {
            pthread_mutex_lock(&g->lock);
            s = draw_emoji(c, g->data->subject[subject].text, err);
            pthread_mutex_unlock(&g->lock);
        }
        if (s) {
            free(c);
            return s;
        }
        /* Two threads may draw the same sprite; the first to finish wins. */
        canvas *first = NULL;
        if (!atomic_compare_exchange_strong(&g->sprite[hand][subject], &first, c)) {
            canvas_free(c);
            free(c);
            c = first;
        }
    }
    *out = c;
    return BQB_OK;
}

bqb_status glyphs_letter(glyphs *g, size_t font, uint32_t cp, const letter **out, bqb_err *err) {
    uint32_t id = (uint32_t)((font + 1) << 24 | cp);
    bqb_status s = BQB_OK;
    pthread_mutex_lock(&g->lock);
    size_t at = (id * 0x9e3779b1u) >> 16;
    while (g->slot[at].id && g->slot[at].id != id) at = (at + 1) % LETTER_SLOTS;
    if (!g->slot[at].id) {
        letter *l = calloc(1, sizeof *l);
        if (!l || g->n_letters >= LETTER_SLOTS / 2) s = bqb_fail_nomem(err, "letters", LETTER_SLOTS);
        else s = draw_letter(l, font, cp, err);
        if (s) free(l);
        else {
            g->slot[at] = (letter_slot){id, l};
            g->n_letters++;
        }
    }
    *out = s ? NULL : g->slot[at].letter;
    pthread_mutex_unlock(&g->lock);
    return s;
}
