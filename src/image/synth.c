#include "image/synth.h"

#include "base/data.h"
#include "image/decode.h"
#include "image/synth_cue.h"
#include "image/synth_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bqb_synth {
    synth_data data;
    glyphs *glyphs;
    style_kind kind[32];
    bqb_synth_options options;
    json_t *art; /* the folders of options.art, which are not kept */
};

const synth_data *synth_data_of(const bqb_synth *s) { return &s->data; }

static plan_source source_of(const bqb_synth *s) {
    return (plan_source){&s->data, s->glyphs, s->kind, &s->options};
}

bqb_status bqb_synth_open(bqb_synth **out, const bqb_synth_options *o, bqb_err *err) {
    *out = NULL;
    bqb_synth *s = calloc(1, sizeof *s);
    if (!s) return bqb_fail_nomem(err, "synth", sizeof *s);
    s->options = *o;
    char *own_dir = NULL;
    const char *dir = o->data_dir, *cldr = o->cldr_dir, *env = getenv("BQB_CLDR");
    bqb_status st = BQB_OK;
    if (!dir) {
        st = bqb_data_path(&own_dir, "", err);
        dir = own_dir;
    }
    if (!cldr) cldr = env && *env ? env : "/usr/share/unicode/cldr/common";
    if (!st) st = synth_data_load(&s->data, dir, cldr, err);
    for (size_t i = 0; !st && i < s->data.n_styles; i++) {
        s->kind[i] = style_parse(s->data.style[i].id);
        if (s->kind[i] == STYLES)
            st = bqb_fail(err, BQB_EFORMAT, "%s/styles.tsv: no code draws the style \"%s\"", dir, s->data.style[i].id);
    }
    if (!st) st = glyphs_open(&s->glyphs, &s->data, o->art, o->n_art, err);
    s->art = json_array();
    for (size_t i = 0; !st && i < o->n_art; i++) {
        json_t *name = json_string(o->art[i]);
        if (!name) name = json_string("?"); /* not UTF-8 */
        if (json_array_append_new(s->art, name)) st = bqb_fail_nomem(err, "synth", 0);
    }
    free(own_dir);
    s->options.data_dir = s->options.cldr_dir = NULL;
    s->options.art = NULL;
    if (st) bqb_synth_close(s);
    else *out = s;
    return st;
}

void bqb_synth_close(bqb_synth *s) {
    if (!s) return;
    glyphs_close(s->glyphs);
    synth_data_free(&s->data);
    json_decref(s->art);
    free(s);
}

bqb_synth_counts bqb_synth_count(const bqb_synth *s) {
    return (bqb_synth_counts){s->data.n_subjects, s->data.n_phrases, s->data.n_emotions, s->data.n_styles, glyphs_hands(s->glyphs)};
}

/* The counts stand for the data files, whose rows are what is drawn. */
json_t *bqb_synth_identity(const bqb_synth *s) {
    static const char *const splits[] = {"all", "train", "test"};
    bqb_synth_counts n = bqb_synth_count(s);
    return json_pack("{s:s, s:o, s:s, s:b, s:b, s:O, s:I, s:I, s:I, s:I, s:I}", "bqb", BQB_VERSION, "seed",
                     json_sprintf("%llu", (unsigned long long)s->options.seed), "split", splits[s->options.split], "plain", s->options.plain, "words", s->options.words, "art", s->art, "subjects", (json_int_t)n.subjects,
                     "phrases", (json_int_t)n.phrases, "emotions", (json_int_t)n.emotions, "styles", (json_int_t)n.styles,
                     "hands", (json_int_t)n.hands);
}

void bqb_sticker_free(bqb_sticker *st) {
    free(st->rgba);
    free(st->subject);
    for (size_t f = 0; f < BQB_FIELDS; f++) free(st->field[f]);
    for (size_t q = 0; q < BQB_SYNTH_QUERIES; q++) free(st->query[q]);
    *st = (bqb_sticker){0};
}

/* ---- one sticker being drawn ---- */

typedef struct {
    bqb_synth *s;
    synth_plan p;
    canvas ground, figure, aura, words, frame;
    box picture, text;   /* where subject and words go */
    float cx, cy;        /* the figure's middle, about which it moves */
    colour tint;
    bqb_err *err;
} job;

static double between(job *j, double a, double b) { return bqb_rand_between(&j->p.rand, a, b); }
static bool chance(job *j, double p) { return bqb_rand_unit(&j->p.rand) < p; }

static void lay_out(job *j) {
    const synth_plan *p = &j->p;
    float w = (float)p->w, h = (float)p->h;
    j->picture = (box){0, 0, w, h};
    j->text = (box){0};
    if (p->phrase == SIZE_MAX) return;
    size_t len = strlen(j->s->data.phrase[p->phrase].text) / 3;
    float band = h * (float)(len <= 4 ? between(j, 0.22, 0.3) : len <= 7 ? between(j, 0.22, 0.36) : between(j, 0.3, 0.38)), m = w * 0.025F;
    bool top = chance(j, p->kind == STYLE_MEME ? 0.12 : 0.3);
    switch (p->comp) {
    case COMP_WORDS: j->text = (box){m * 3, h * 0.14F, w - m * 3, h * 0.86F}; break;
    case COMP_CORNER:
        j->text = (box){m, m, w - m, h * 0.55F};
        j->picture = chance(j, 0.5) ? (box){w * 0.4F, h * 0.47F, w, h} : (box){0, h * 0.47F, w * 0.6F, h};
        break;
    case COMP_BUBBLE:
        j->text = (box){w * 0.3F, h * 0.06F, w * 0.95F, h * 0.4F};
        j->picture = (box){0, h * 0.36F, w * 0.72F, h};
        break;
    case COMP_SIDE: {
        bool left = chance(j, 0.4);
        float side = w * 0.27F;
        j->text = left ? (box){m, m, side, h - m} : (box){w - side, m, w - m, h - m};
        j->picture = left ? (box){side, 0, w, h} : (box){0, 0, w - side, h};
        break;
    }
    default:
        j->text = top ? (box){m, m, w - m, band} : (box){m, h - band, w - m, h - m};
        j->picture = top ? (box){0, band, w, h} : (box){0, 0, w, h - band};
        break;
    }
}

/* Is the picture a head that fills its box, so that cues find its eyes? */
static bool is_head(const synth_subject *s) {
    uint32_t cp = (uint32_t)strtoul(s->key, NULL, 16);
    return s->group == GROUP_FACE || (cp >= 0x1F42D && cp <= 0x1F43C) || cp == 0x1F981 || cp == 0x1F984 || cp == 0x1F98A || cp == 0x1F993 || cp == 0x1F99D;
}

static bool is_person(const synth_subject *s) { return s->group == GROUP_PEOPLE || s->group == GROUP_ANIMAL || s->group == GROUP_ACTIVITY; }

/* Cues first to last: the first is the emotion's own sign. */
static bqb_status draw_cues(job *j, cue_stage *st, bool back, bool on_face_only, unsigned chosen) {
    const word_list *cues = &j->s->data.emotion[j->p.emotion].cues;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < cues->n && !s; i++) {
        const char *c = cues->item[i], *at = strrchr(c, '@');
        if (!(chosen >> i & 1) || !strncmp(c, "f-", 2) || !at) continue;
        bool on_face = !strncmp(at, "@eyes", 5) || !strcmp(at, "@cheeks") || !strcmp(at, "@mouth") || !strcmp(at, "@back");
        if (on_face == on_face_only) s = cue_draw(st, c, back, j->err);
    }
    return s;
}

static bqb_status draw_one(job *j, size_t subject, box area, float size, bool mirror, unsigned cues) {
    const synth_subject *sub = &j->s->data.subject[subject];
    const canvas *sprite;
    size_t hand = glyphs_has(j->s->glyphs, subject, j->p.hand) ? j->p.hand : 0;
    bqb_status s = glyphs_sprite(j->s->glyphs, subject, hand, &sprite, j->err);
    if (s) return s;
    float w = area.x1 - area.x0, h = area.y1 - area.y0;
    float scale = fminf(w * size / (float)sprite->w, h * size / (float)sprite->h);
    float cx = (area.x0 + area.x1) / 2 + (float)between(j, -0.03, 0.03) * w, cy = (area.y0 + area.y1) / 2 + (float)between(j, -0.02, 0.05) * h;
    float turn = j->s->options.plain || j->p.bare ? 0 : (float)(chance(j, 0.35) ? between(j, -0.28, 0.28) : 0);
    if (j->p.emotion != j->s->data.neutral && chance(j, 0.15)) scale *= 1.06F;
    const word_list *all = &j->s->data.emotion[j->p.emotion].cues;
    bool head = is_head(sub), shows = sub->emotions != 0, thing = !head && !is_person(sub);
    bool faced = cues && thing && all->n && chance(j, 0.7) && scale * fminf((float)sprite->w, (float)sprite->h) > 50;
    cue_stage st = {.to = &j->figure, .cx = cx, .cy = cy, .w = (float)sprite->w * scale, .h = (float)sprite->h * scale,
                    .face = (head && !shows) || faced, .tint = j->tint, .data = &j->s->data, .glyphs = j->s->glyphs, .hand = hand, .rand = &j->p.rand};
    if (cues) s = draw_cues(j, &st, true, true, cues);
    paint_copy(&j->figure, sprite, (placing){cx, cy, mirror ? -scale : scale, scale, turn, 0, 1});
    if (faced && !s) cue_face(&st, all->item[0]);
    if (cues && !s && !faced) s = draw_cues(j, &st, false, true, cues);
    st.to = &j->aura;
    if (cues && !s) s = draw_cues(j, &st, false, false, cues);
    return s;
}

static unsigned choose_cues(job *j) {
    const word_list *cues = &j->s->data.emotion[j->p.emotion].cues;
    bool shows = j->p.subject != SIZE_MAX && j->s->data.subject[j->p.subject].emotions;
    unsigned chosen = 0;
    if (j->s->options.plain || j->s->options.words || j->p.bare) return 0;
    for (size_t i = 1; i < cues->n; i++)
        if (chance(j, (shows ? 0.3 : i == 1 ? 0.9 : i == 2 ? 0.75 : 0.5))) chosen |= 1u << i;
    /* A neutral thing shows its emotion by nothing else. */
    if (!shows && cues->n > 1 && !(chosen & (chosen - 1))) chosen |= 1u << 1 | 1u << (cues->n > 2 ? 2 : 1);
    return chosen;
}

static bqb_status draw_figure(job *j) {
    synth_plan *p = &j->p;
    box a = j->picture;
    float w = a.x1 - a.x0, h = a.y1 - a.y0;
    unsigned cues = choose_cues(j);
    j->cx = (a.x0 + a.x1) / 2;
    j->cy = (a.y0 + a.y1) / 2;
    if (j->s->options.words) return BQB_OK;
    if (j->s->options.plain) return draw_one(j, p->subject, a, 0.78F, false, 0);
    switch (p->comp) {
    case COMP_WORDS: {
        box t = j->text;
        cue_stage st = {.to = &j->aura, .cx = (t.x0 + t.x1) / 2, .cy = (t.y0 + t.y1) / 2, .w = (t.x1 - t.x0) * 0.85F, .h = (t.y1 - t.y0) * 0.95F,
                        .tint = j->tint, .data = &j->s->data, .glyphs = j->s->glyphs, .rand = &p->rand};
        return draw_cues(j, &st, false, false, cues);
    }
    case COMP_TWINS: {
        bqb_status s = draw_one(j, p->subject, (box){a.x0, a.y0, a.x0 + w * 0.54F, a.y1}, 0.8F, false, cues);
        return s ? s : draw_one(j, p->subject, (box){a.x0 + w * 0.46F, a.y0, a.x1, a.y1}, 0.8F, true, cues);
    }
    case COMP_CROWD: {
        bqb_status s = BQB_OK;
        size_t n = 4 + bqb_rand_below(&p->rand, 3);
        for (size_t i = 0; i < n && !s; i++) {
            float x = a.x0 + w * (0.02F + 0.32F * (float)(i % 3)), y = a.y0 + h * (i < 3 ? 0.02F : 0.48F);
            s = draw_one(j, p->subject, (box){x, y, x + w * 0.32F, y + h * 0.5F}, 0.86F, chance(j, 0.3), i == 1 || i == 4 ? cues : 0);
        }
        return s;
    }
    case COMP_PROP: {
        bqb_status s = draw_one(j, p->subject, (box){a.x0, a.y0, a.x0 + w * 0.78F, a.y1}, 0.78F, false, cues);
        if (s || p->prop == SIZE_MAX) return s;
        return draw_one(j, p->prop, (box){a.x0 + w * 0.62F, a.y0 + h * 0.5F, a.x1 - 3, a.y1 - 3}, 0.95F, false, 0);
    }
    default: return draw_one(j, p->subject, a, (float)between(j, 0.68, 0.84), chance(j, 0.15), cues);
    }
}

static bqb_status draw_words(job *j) {
    synth_plan *p = &j->p;
    if (p->phrase == SIZE_MAX) return BQB_OK;
    word_look look = {.font = p->font, .max_size = 84};
    style_words(&look, p->kind, p->ground, j->tint, &p->rand);
    if (glyphs_font_is_brush(p->font) || p->font >= 5) look.bold = 1.2F;
    else if (chance(j, 0.3)) look.bold = 0.8F;
    if (chance(j, 0.2)) look.jumpy = 1;
    if (chance(j, 0.12)) look.arch = 14;
    if (chance(j, 0.12)) look.shear = -0.2F;
    look.vertical = p->comp == COMP_SIDE;
    if (p->comp == COMP_SIDE) look.arch = 0;
    if (p->kind == STYLE_MEME && look.fill.r < 100 && p->comp != COMP_CORNER) {
        /* the white band */
        box t = j->text;
        bool top = t.y0 < (float)p->h * 0.3F;
        look.arch = look.jumpy = 0;
        for (int y = top ? 0 : (int)t.y0 - 2; y < (top ? (int)t.y1 + 2 : p->h); y++)
            for (int x = 0; x < p->w; x++) paint_pixel(&j->words, x, y, rgb(0xFFFFFF), 1);
    }
    if (p->comp == COMP_BUBBLE) {
        box t = j->text;
        bool dark = p->kind == STYLE_NEON || p->kind == STYLE_GLITCH || p->kind == STYLE_CHALK;
        colour line = dark ? look.fill : rgb(0x2A2830), inside = dark ? rgb(0x1C1C28) : rgb(0xFFFFFF);
        for (int pass = 0; pass < 2; pass++) {
            float g = pass ? 0 : 3;
            point tail[3] = {{t.x0 + 22, t.y1 - 6}, {t.x0 + 50, t.y1 - 6}, {t.x0 + 12, t.y1 + 24}};
            paint_polygon(&j->words, tail, 3, g, pass ? inside : line);
            paint_round_box(&j->words, t.x0 - g, t.y0 - g, t.x1 + g, t.y1 + g, 24, pass ? inside : line);
        }
        look.arch = 0;
        if (!dark) look.fill = look.fill.r > 200 && look.fill.g > 180 ? rgb(0x2A2830) : look.fill, look.edge.a = 0, look.edge_width = 0;
        j->text = (box){t.x0 + 10, t.y0 + 6, t.x1 - 10, t.y1 - 6};
    }
    bqb_status s = words_draw(&j->words, j->s->glyphs, j->s->data.phrase[p->phrase].text, j->text, &look, &p->rand, NULL, j->err);
    if (s) return s;
    if (p->kind == STYLE_NEON) { /* the tube's light */
        canvas_copy(&j->frame, &j->words);
        canvas_blur(&j->frame, 4);
        canvas sharp = j->words;
        paint_over(&j->frame, &sharp);
        canvas_copy(&j->words, &j->frame);
    } else if (p->kind == STYLE_CHALK) {
        for (int y = 0; y < p->h; y++)
            for (int x = 0; x < p->w; x++)
                if (noise_at(p->seed + 77, (float)x, (float)y, 1.6F) < 0.3F) {
                    uint8_t *px = j->words.px + 4 * ((size_t)y * (size_t)p->w + (size_t)x);
                    for (int k = 0; k < 4; k++) px[k] = (uint8_t)(px[k] / 2);
                }
    }
    return BQB_OK;
}

/* A placing of a whole layer that scales and turns about (px,py), then shifts. */
static placing about(const canvas *c, float px, float py, float sx, float sy, float turn, float dx, float dy) {
    float ox = (float)c->w / 2 - px, oy = (float)c->h / 2 - py, cs = cosf(turn), sn = sinf(turn);
    return (placing){px + dx + cs * ox * sx - sn * oy * sy, py + dy + sn * ox * sx + cs * oy * sy, sx, sy, turn, 0, 1};
}

/* A layer that does not move is copied as it is. */
static void put_layer(canvas *to, const canvas *from, placing at) {
    bool still = at.alpha >= 1 && at.turn == 0 && at.sx == 1 && at.sy == 1 && at.cx == (float)from->w / 2 && at.cy == (float)from->h / 2;
    if (still) paint_over(to, from);
    else paint_copy(to, from, at);
}

static void draw_frame(job *j, int f) {
    synth_plan *p = &j->p;
    canvas_copy(&j->frame, &j->ground);
    float t = p->frames > 1 ? (float)f / (float)p->frames : 0, wave = sinf(t * 6.2831853F);
    float w = (float)p->w, h = (float)p->h, base = p->comp == COMP_CROWD || p->comp == COMP_TWINS ? 0.6F : 1;
    placing at = about(&j->figure, j->cx, j->cy, 1, 1, 0, 0, 0), aura, text = about(&j->words, w / 2, h / 2, 1, 1, 0, 0, 0);
    bool glow = true;
    switch (p->motion) {
    case MOTION_SHAKE: at = about(&j->figure, j->cx, j->cy, 1, 1, (f % 2 ? 0.05F : -0.05F) * base, f % 2 ? 6 : -6, f % 4 < 2 ? 3 : -3); break;
    case MOTION_BOUNCE: {
        float up = fabsf(sinf(t * 6.2831853F)), squash = 1 - 0.12F * (1 - up) * base;
        at = about(&j->figure, j->cx, j->picture.y1, 2 - squash, squash, 0, 0, -up * h * 0.1F * base);
        break;
    }
    case MOTION_ZOOM: at = about(&j->figure, j->cx, j->cy, 1 + 0.15F * wave, 1 + 0.15F * wave, 0, 0, 0); break;
    case MOTION_BLINK:
        glow = f % 4 < 2;
        if (!glow && p->subject != SIZE_MAX) at.alpha = 0.45F;
        if (!glow && p->subject == SIZE_MAX) text.alpha = 0.45F;
        break;
    case MOTION_SLIDE: {
        float in = t < 0.55F ? 1 - t / 0.55F : 0;
        at = about(&j->figure, j->cx, j->cy, 1, 1, 0, (p->seed & 1 ? -1 : 1) * w * 0.9F * in * in, 0);
        if (p->subject == SIZE_MAX) text = about(&j->words, w / 2, h / 2, 1, 1, 0, at.cx - w / 2, 0);
        break;
    }
    case MOTION_SPIN: at = about(&j->figure, j->cx, j->cy, 1, 1, t * 6.2831853F, 0, 0); break;
    case MOTION_SWING: at = about(&j->figure, j->cx, j->cy, 1, 1, 0.24F * wave * base, 0, 0); break;
    default: break;
    }
    aura = at;
    if (p->motion == MOTION_SPIN) aura = about(&j->aura, j->cx, j->cy, 1 + 0.08F * wave, 1 + 0.08F * wave, 0, 0, 0);
    if (p->subject == SIZE_MAX || (p->seed >> 3) % 4 == 0) {
        if (p->motion == MOTION_SHAKE) text = about(&j->words, w / 2, h / 2, 1, 1, 0, f % 2 ? 3 : -3, f % 2 ? -2 : 2);
        if (p->motion == MOTION_ZOOM) text = about(&j->words, w / 2, h / 2, 1 + 0.05F * wave, 1 + 0.05F * wave, 0, 0, 0);
        if (p->motion == MOTION_SPIN || p->motion == MOTION_SWING) text = about(&j->words, w / 2, h / 2, 1, 1, 0.05F * wave, 0, 0);
        if (p->motion == MOTION_BOUNCE) text = about(&j->words, w / 2, h / 2, 1, 1, 0, 0, 3 * wave);
    }
    put_layer(&j->frame, &j->figure, at);
    if (glow && p->motion != MOTION_NONE) put_layer(&j->frame, &j->aura, aura);
    if (p->phrase != SIZE_MAX) put_layer(&j->frame, &j->words, text);
    /* Film grain that stands still costs an animation little; a glitch must move. */
    style_frame(&j->frame, p->kind, p->seed + (p->kind == STYLE_GLITCH ? (uint32_t)f : 0));
}

static void unpremultiply(uint8_t *out, const canvas *c) {
    for (size_t i = 0, n = (size_t)c->w * (size_t)c->h; i < n; i++) {
        const uint8_t *p = c->px + 4 * i;
        unsigned a = p[3];
        for (size_t k = 0; k < 3; k++) {
            unsigned v = a == 255 ? p[k] : a ? ((unsigned)p[k] * 255 + a / 2) / a : 0;
            out[4 * i + k] = (uint8_t)(v > 255 ? 255 : v);
        }
        out[4 * i + 3] = (uint8_t)a;
    }
}

/* The hue that the emotion leans to, now and then another. */
static colour choose_tint(job *j) {
    if (chance(j, 0.2)) return colour_hsv((float)bqb_rand_below(&j->p.rand, 12) * 30, 0.5F, 0.95F);
    return j->s->data.emotion[j->p.emotion].tint;
}

static bqb_status draw(job *j, bqb_sticker *out) {
    synth_plan *p = &j->p;
    size_t size = (size_t)p->w * (size_t)p->h * 4;
    canvas *all[] = {&j->ground, &j->figure, &j->aura, &j->words, &j->frame};
    for (size_t i = 0; i < 5; i++)
        if (!canvas_new(all[i], p->w, p->h)) return bqb_fail_nomem(j->err, "sticker", size);
    j->tint = choose_tint(j);
    lay_out(j);
    bqb_status s = style_background(&j->ground, p->kind, p->ground, j->tint, p->seed, j->err);
    if (!s) s = draw_figure(j);
    if (!s && p->motion == MOTION_NONE) paint_over(&j->figure, &j->aura);
    if (!s) s = style_figure(&j->figure, p->kind, p->seed, j->err);
    if (!s && p->motion != MOTION_NONE) s = style_figure(&j->aura, p->kind, p->seed, j->err);
    if (!s) s = draw_words(j);
    if (s) return s;
    out->rgba = bqb_calloc((size_t)p->frames, size);
    if (!out->rgba) return bqb_fail_nomem(j->err, "sticker", size * (size_t)p->frames);
    for (int f = 0; f < p->frames; f++) {
        draw_frame(j, f);
        unpremultiply(out->rgba + (size_t)f * size, &j->frame);
    }
    return BQB_OK;
}

static void plan_into(const synth_plan *p, bqb_sticker *out) {
    out->width = (size_t)p->w;
    out->height = (size_t)p->h;
    out->frames = (size_t)p->frames;
    out->delay_ms = p->delay_ms;
    out->ext = p->ext;
    out->quality = p->quality;
    out->gif_error = p->motion == MOTION_SLIDE ? 3 : 60; /* what slides in is not on the first frame */
}

bqb_status bqb_synth_describe(bqb_synth *s, uint64_t i, bqb_sticker *out, bqb_err *err) {
    *out = (bqb_sticker){0};
    plan_source src = source_of(s);
    synth_plan p;
    plan_make(&p, &src, i);
    plan_into(&p, out);
    bqb_status st = plan_describe(&p, &src, out, err);
    if (st) bqb_sticker_free(out);
    return st;
}

bqb_status bqb_synth_draw(bqb_synth *s, uint64_t i, bqb_sticker *out, bqb_err *err) {
    *out = (bqb_sticker){0};
    plan_source src = source_of(s);
    job j = {.s = s, .err = err};
    plan_make(&j.p, &src, i);
    plan_into(&j.p, out);
    bqb_status st = plan_describe(&j.p, &src, out, err);
    if (!st) st = draw(&j, out);
    canvas_free(&j.ground);
    canvas_free(&j.figure);
    canvas_free(&j.aura);
    canvas_free(&j.words);
    canvas_free(&j.frame);
    if (st) bqb_sticker_free(out);
    return st;
}
