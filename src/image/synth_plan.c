#include "image/synth_plan.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool chance(bqb_rand *r, double p) { return bqb_rand_unit(r) < p; }

/* ---- choosing ---- */

/* Index i with probability weight[i] / their sum. */
static size_t weighted(bqb_rand *r, const double *weight, size_t n) {
    double total = 0;
    for (size_t i = 0; i < n; i++) total += weight[i];
    double u = bqb_rand_unit(r) * total;
    for (size_t i = 0; i + 1 < n; i++)
        if ((u -= weight[i]) < 0) return i;
    return n - 1;
}

static uint64_t hash_text(uint64_t h, const char *s) {
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

bool plan_is_test(const synth_plan *p, const synth_data *d) {
    uint64_t h = hash_text(0xcbf29ce484222325u, p->subject == SIZE_MAX ? "" : d->subject[p->subject].key);
    h = p->phrase == SIZE_MAX ? hash_text(hash_text(h, "#"), d->emotion[p->emotion].name)
                              : hash_text(h, d->phrase[p->phrase].text);
    return (h ^ (h >> 32)) % 10 == 0;
}

/* A thing, animal or person that does not show an emotion by itself. */
static size_t plain_subject(bqb_rand *r, const synth_data *d) {
    static const double weight[GROUPS] = {.08, .16, .36, .16, .01, .07, .10, .06, .05};
    for (int tries = 0; tries < 64; tries++) {
        size_t g = weighted(r, weight, GROUPS);
        if (!d->n_in_group[g]) continue;
        size_t i = d->in_group[g][bqb_rand_below(r, d->n_in_group[g])];
        if (!d->subject[i].emotions) return i;
    }
    return 0;
}

/* The emotion's own faces and gestures about half of the time, fewer where it has few. */
static size_t choose_subject(bqb_rand *r, const synth_data *d, size_t emotion) {
    const synth_emotion *e = &d->emotion[emotion];
    double share = 0.06 * (double)e->faces.n;
    if (e->faces.n && chance(r, share < 0.5 ? share : 0.5)) {
        char key[96];
        synth_key(key, e->faces.item[bqb_rand_below(r, e->faces.n)]);
        size_t i = synth_data_find(d, key);
        if (i != SIZE_MAX) return i;
    }
    return plain_subject(r, d);
}

static bool on_side(const synth_plan *p, const plan_source *src) {
    bqb_synth_split side = src->options->split;
    return side == BQB_SYNTH_ALL || plan_is_test(p, src->data) == (side == BQB_SYNTH_TEST);
}

/* One of the emotions that the subject shows by itself, else neutral. */
static size_t shown_emotion(bqb_rand *r, const synth_data *d, size_t subject) {
    uint32_t shows = d->subject[subject].emotions;
    if (!shows) return d->neutral;
    size_t emotion;
    do emotion = bqb_rand_below(r, d->n_emotions);
    while (!(shows >> emotion & 1));
    return emotion;
}

static void choose_font(synth_plan *p) {
    static const double fonts[GLYPH_FONTS] = {30, 14, 10, 14, 12, 6, 5, 9};
    p->font = weighted(&p->rand, fonts, GLYPH_FONTS);
}

/* An emoticon as chat programs have them: most are faces and gestures; each has the emotion that it shows. */
static void choose_bare(synth_plan *p, const synth_data *d) {
    static const double weight[GROUPS] = {.52, .14, .09, .05, .07, .03, .05, .04, .01};
    size_t g;
    do g = weighted(&p->rand, weight, GROUPS);
    while (!d->n_in_group[g]);
    p->subject = d->in_group[g][bqb_rand_below(&p->rand, d->n_in_group[g])];
    p->phrase = SIZE_MAX;
    p->comp = COMP_SINGLE;
    p->emotion = shown_emotion(&p->rand, d, p->subject);
}

/* A subject or a phrase by itself, by the same split as the stickers that it may be seen on. */
static void choose_lesson(synth_plan *p, const plan_source *src) {
    const synth_data *d = src->data;
    bqb_rand *r = &p->rand;
    for (int tries = 0; tries < 2000; tries++) {
        if (src->options->plain) {
            p->subject = bqb_rand_below(r, d->n_subjects);
            p->emotion = shown_emotion(r, d, p->subject);
        } else {
            p->phrase = bqb_rand_below(r, d->n_phrases);
            p->emotion = d->phrase[p->phrase].emotion;
        }
        if (on_side(p, src)) break;
    }
    p->ground = GROUND_WHITE;
    if (src->options->plain) {
        p->emotion = d->neutral;
        return;
    }
    static const double where[COMPS] = {[COMP_SINGLE] = 60, [COMP_CORNER] = 15, [COMP_SIDE] = 10, [COMP_WORDS] = 15};
    p->comp = (composition)weighted(r, where, COMPS);
    choose_font(p);
}

static void choose_what(synth_plan *p, const plan_source *src) {
    const synth_data *d = src->data;
    bqb_rand *r = &p->rand;
    /* Rejection keeps both sides' distributions the same but for the split itself. */
    for (int tries = 0; tries < 2000; tries++) {
        p->bare = chance(r, 0.09);
        if (p->bare) {
            choose_bare(p, d);
            if (on_side(p, src)) return;
            continue;
        }
        p->emotion = chance(r, 0.05) ? d->neutral : bqb_rand_below(r, d->n_emotions);
        const synth_emotion *e = &d->emotion[p->emotion];
        p->subject = choose_subject(r, d, p->emotion);
        bool spoken = e->n_phrases && chance(r, p->emotion == d->neutral ? 0.5 : 0.8);
        p->phrase = spoken ? e->phrase[bqb_rand_below(r, e->n_phrases)] : SIZE_MAX;
        static const double with[COMPS] = {52, 13, 13, 6, 6, 3, 5, 3}, without[COMPS] = {62, 0, 0, 13, 13, 12, 0, 0};
        p->comp = (composition)weighted(r, spoken ? with : without, COMPS);
        if (p->comp == COMP_WORDS) p->subject = SIZE_MAX;
        if (on_side(p, src)) return;
    }
}

static void choose_how(synth_plan *p, const plan_source *src) {
    const synth_data *d = src->data;
    bqb_rand *r = &p->rand;
    double weight[32];
    for (size_t i = 0; i < d->n_styles; i++) weight[i] = d->style[i].weight;
    p->style = weighted(r, weight, d->n_styles);
    p->kind = src->kind[p->style];
    if (p->bare && chance(r, 0.7))
        for (size_t i = 0; i < d->n_styles; i++)
            if (src->kind[i] == STYLE_FLAT) p->kind = STYLE_FLAT, p->style = i;
    p->ground = style_ground(p->kind, r);
    if (p->bare && p->kind == STYLE_FLAT) p->ground = chance(r, 0.5) ? GROUND_WHITE : GROUND_CLEAR;
    p->label = bqb_rand_below(r, d->emotion[p->emotion].labels.n);
    choose_font(p);
    if ((p->kind == STYLE_INK || p->kind == STYLE_CHALK) && chance(r, 0.6)) p->font = 4;
    if (p->comp == COMP_PROP) p->prop = plain_subject(r, d);
    if (p->kind == STYLE_MEME && (p->comp == COMP_BUBBLE || p->comp == COMP_SIDE)) p->comp = COMP_SINGLE;

    static const int sizes[][2] = {{240, 240}, {240, 200}, {200, 240}, {300, 225}, {240, 180}};
    size_t size = chance(r, 0.9) ? 0 : 1 + bqb_rand_below(r, 4);
    p->w = sizes[size][0];
    p->h = sizes[size][1];
    p->motion = chance(r, 1.0 / 3) ? (motion_kind)(1 + bqb_rand_below(r, MOTIONS - 1)) : MOTION_NONE;
    p->frames = 1;
    p->quality = 60 + (int)bqb_rand_below(r, 30);
    size_t f = bqb_rand_below(r, 100);
    if (p->motion != MOTION_NONE) {
        p->frames = 4 + (int)bqb_rand_below(r, 5) + (chance(r, 0.1) ? (int)bqb_rand_below(r, 8) : 0);
        p->delay_ms = 50 + 10 * (int)bqb_rand_below(r, 12);
        bool noisy = p->kind == STYLE_GLITCH || p->kind == STYLE_PHOTO || p->kind == STYLE_RETRO || p->kind == STYLE_NEON || p->kind == STYLE_CHALK;
        p->ext = f < (noisy ? 15u : 48u) ? "gif" : "webp";
    } else if (p->ground == GROUND_CLEAR) p->ext = f < 60 ? "png" : "webp";
    else if (p->kind == STYLE_MEME) {
        p->ext = f < 85 ? "jpg" : "png";
        p->quality = 25 + (int)bqb_rand_below(r, 50);
    } else if (p->ground == GROUND_OWN && p->kind != STYLE_NEON && p->kind != STYLE_PAPERCUT) p->ext = f < 6 ? "png" : f < 64 ? "jpg" : "webp";
    else p->ext = f < 40 ? "png" : f < 75 ? "jpg" : "webp";
}

void plan_make(synth_plan *p, const plan_source *src, uint64_t i) {
    *p = (synth_plan){.subject = SIZE_MAX, .prop = SIZE_MAX, .phrase = SIZE_MAX, .w = 240, .h = 240, .frames = 1, .ext = "png"};
    p->rand = bqb_rand_seed(src->options->seed, i);
    bqb_rand *r = &p->rand;
    if (src->options->plain || src->options->words) {
        choose_lesson(p, src);
    } else {
        choose_what(p, src);
        choose_how(p, src);
    }
    p->seed = (uint32_t)bqb_rand_u64(r);
    size_t hands = glyphs_hands(src->glyphs);
    if (p->subject != SIZE_MAX)
        do p->hand = bqb_rand_below(r, hands);
        while (!glyphs_has(src->glyphs, p->subject, p->hand));
}

/* ---- describing ---- */

typedef struct {
    bqb_buf buf;
    bqb_rand *rand;
    bqb_status status;
    bqb_err *err;
} pen;

static void say(pen *p, const char *s) {
    if (!p->status) p->status = bqb_buf_puts(&p->buf, s, p->err);
}

static const char *any(bqb_rand *r, const word_list *w) { return w->n ? w->item[bqb_rand_below(r, w->n)] : ""; }

#define ONE_OF(r, ...) \
    (((const char *const[]){__VA_ARGS__})[bqb_rand_below((r), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

/* CLDR's name or an everyday one. */
static const char *name_of(bqb_rand *r, const synth_subject *s) {
    return s->aliases.n && chance(r, 0.55) ? any(r, &s->aliases) : s->name;
}

/* Names of faces are feelings (微笑); what has one is a 微笑表情. */
static const char *noun_ending(const synth_subject *s) {
    uint32_t cp = (uint32_t)strtoul(s->key, NULL, 16);
    bool smiley = s->group == GROUP_FACE && ((cp >= 0x1F600 && cp <= 0x1F640) || (cp >= 0x1F910 && cp <= 0x1F92F && cp != 0x1F916) ||
                                             (cp >= 0x1F970 && cp <= 0x1F97A) || cp == 0x1F9D0 || cp >= 0x1FAE0 || cp <= 0x263A);
    return smiley ? "表情" : "";
}

static const char *counter_of(const synth_subject *s, composition c) {
    if (c == COMP_TWINS) return s->group == GROUP_ANIMAL ? "两只" : "两个";
    if (c == COMP_CROWD) return s->group == GROUP_ANIMAL ? "一群" : "好多个";
    return s->group == GROUP_ANIMAL ? "一只" : "一个";
}

static const char *ground_words(const synth_plan *p, bqb_rand *r) {
    switch (p->ground) {
    case GROUND_WHITE: return "白色背景";
    case GROUND_CLEAR: return "透明背景";
    case GROUND_COLOUR: return "纯色背景";
    case GROUND_GRADIENT: return "渐变色背景";
    case GROUND_RAYS: return "放射线背景";
    case GROUND_DOTS: return "圆点背景";
    case GROUND_STRIPES: return "条纹背景";
    default: break;
    }
    switch (p->kind) {
    case STYLE_NEON: return "深色夜景背景";
    case STYLE_CHALK: return "绿色黑板背景";
    case STYLE_PHOTO: return ONE_OF(r, "虚化的风景背景", "模糊的实景背景");
    case STYLE_PAPERCUT: return "米黄色红框背景";
    case STYLE_INK: return "宣纸背景";
    case STYLE_RETRO: return "泛黄的老照片背景";
    case STYLE_SKETCH: return "白纸背景";
    case STYLE_WATERCOLOUR: return "晕染的水彩背景";
    case STYLE_GLITCH: return "黑色背景";
    default: return "白底";
    }
}

static const char *motion_words(motion_kind m, bqb_rand *r) {
    switch (m) {
    case MOTION_SHAKE: return ONE_OF(r, "不停地抖动", "抖个不停", "左右抖动");
    case MOTION_BOUNCE: return ONE_OF(r, "上下蹦跳", "一蹦一跳", "跳来跳去");
    case MOTION_ZOOM: return ONE_OF(r, "一会儿变大一会儿变小", "一大一小地跳动", "放大缩小");
    case MOTION_BLINK: return ONE_OF(r, "一闪一闪", "闪烁着", "不停闪动");
    case MOTION_SLIDE: return ONE_OF(r, "从旁边滑进来", "滑入画面", "从一边冲进来");
    case MOTION_SPIN: return ONE_OF(r, "转圈圈", "不停地旋转", "转来转去");
    case MOTION_SWING: return ONE_OF(r, "左右摇摆", "摇来摇去", "晃来晃去");
    default: return "";
    }
}

static void caption(pen *p, const synth_plan *pl, const synth_data *d) {
    bqb_rand *r = p->rand;
    const synth_emotion *e = &d->emotion[pl->emotion];
    const char *act = any(r, &e->acts), *style = d->style[pl->style].name;
    if (pl->subject == SIZE_MAX) {
        say(p, ONE_OF(r, "纯文字表情", "只有几个大字的表情", "大字表情"));
        say(p, "，");
        say(p, ONE_OF(r, "表达", "意思是", "心情是"));
        say(p, any(r, &e->labels));
        if (chance(r, 0.5)) say(p, "，"), say(p, ground_words(pl, r));
        if (pl->motion) say(p, "，文字"), say(p, motion_words(pl->motion, r));
        return;
    }
    const synth_subject *s = &d->subject[pl->subject];
    const char *name = name_of(r, s), *count = counter_of(s, pl->comp);
    const char *noun = noun_ending(s), *label = d->emotion[pl->emotion].labels.item[pl->label];
    bool many = pl->comp == COMP_TWINS || pl->comp == COMP_CROWD;
    if (!many && chance(r, 0.5)) count = "";
    if (pl->bare) {
        say(p, ONE_OF(r, "", "", "一个", "一张", "可爱的"));
        say(p, name), say(p, *noun ? noun : chance(r, 0.4) ? "表情" : "");
        if (pl->emotion != d->neutral) {
            if (chance(r, 0.5)) say(p, "，"), say(p, act);
            else if (chance(r, 0.5)) say(p, "，"), say(p, ONE_OF(r, "表示", "意思是", "心情是")), say(p, label);
        }
    } else switch (bqb_rand_below(r, 6)) {
    case 0:
    case 1: say(p, count), say(p, name), say(p, noun), say(p, *noun ? "，" : ""), say(p, act); break;
    case 2: say(p, count), say(p, act), say(p, "的"), say(p, name), say(p, noun); break;
    case 3: say(p, style), say(p, bqb_ends_with(style, "风") ? "的" : "风格的"), say(p, count), say(p, name), say(p, noun), say(p, "，"), say(p, act); break;
    case 4: say(p, ONE_OF(r, "画着", "画面里有", "图上是")), say(p, counter_of(s, pl->comp)), say(p, name), say(p, noun), say(p, "，"), say(p, act); break;
    default: say(p, count), say(p, name), say(p, noun), say(p, ONE_OF(r, "，表达", "，意思是", "，表示")), say(p, label), say(p, "，"), say(p, act); break;
    }
    /* A second name makes the subject easier to find by either. */
    if (s->aliases.n && chance(r, 0.35)) {
        const char *also = name == s->name ? any(r, &s->aliases) : s->name;
        if (strcmp(also, name)) say(p, "，"), say(p, also), say(p, noun);
    }
    if (pl->comp == COMP_PROP && pl->prop != SIZE_MAX) say(p, ONE_OF(r, "，旁边有", "，身边放着", "，带着")), say(p, d->subject[pl->prop].name);
    if (pl->comp == COMP_BUBBLE) say(p, ONE_OF(r, "，冒出对话框", "，正在说话", "，带着气泡对话框"));
    if (pl->comp == COMP_CORNER && chance(r, 0.5)) say(p, "，躲在画面角落");
    if (pl->motion && chance(r, 0.8)) say(p, "，"), say(p, motion_words(pl->motion, r));
    if (chance(r, 0.3)) say(p, "，"), say(p, ground_words(pl, r));
}

static void query(pen *p, const synth_plan *pl, const synth_data *d, size_t which) {
    bqb_rand *r = p->rand;
    const synth_emotion *e = &d->emotion[pl->emotion];
    const char *ask = chance(r, 0.5) ? any(r, &e->asks) : chance(r, 0.5) ? e->name : any(r, &e->labels);
    if (pl->emotion == d->neutral) ask = any(r, &d->style[pl->style].asks);
    const char *words_there = pl->phrase == SIZE_MAX ? "" : d->phrase[pl->phrase].text;
    const char *meant = pl->phrase == SIZE_MAX ? "" : chance(r, 0.4) ? words_there : any(r, &d->phrase[pl->phrase].asks);
    if (pl->subject == SIZE_MAX) {
        say(p, which == 0 ? words_there : which == 1 ? meant : ask);
        if (which && chance(r, 0.6)) say(p, which == 1 ? " 文字" : " 文字表情");
        return;
    }
    const synth_subject *s = &d->subject[pl->subject];
    const char *name = name_of(r, s);
    if (pl->bare && which < 2) { /* looked for by name */
        say(p, which ? (s->keywords.n && chance(r, 0.15) ? any(r, &s->keywords) : s->name) : s->aliases.n ? any(r, &s->aliases) : s->name);
        if (chance(r, 0.3)) say(p, chance(r, 0.5) ? " 表情" : "表情");
        return;
    }
    switch (which) {
    case 0: /* what it shows and feels */
        switch (bqb_rand_below(r, 4)) {
        case 0: say(p, ask), say(p, "的"), say(p, name); break;
        case 1: say(p, name), say(p, " "), say(p, ask); break;
        case 2: say(p, name), say(p, ask); break;
        default: say(p, ask), say(p, " "), say(p, name); break;
        }
        break;
    case 1: /* what it says */
        if (*words_there) {
            say(p, chance(r, 0.6) ? words_there : meant);
            if (chance(r, 0.45)) say(p, " "), say(p, name);
        } else {
            say(p, any(r, &d->style[pl->style].asks)), say(p, chance(r, 0.5) ? " " : ""), say(p, name);
        }
        break;
    default: /* in other words */
        if (*words_there && chance(r, 0.5)) say(p, name), say(p, " "), say(p, meant);
        else if (s->keywords.n && chance(r, 0.3)) say(p, any(r, &s->keywords)), say(p, " "), say(p, any(r, &e->asks));
        else say(p, any(r, &d->style[pl->style].asks)), say(p, " "), say(p, name), say(p, pl->emotion == d->neutral ? "" : " "), say(p, pl->emotion == d->neutral ? "" : e->name);
        break;
    }
}

static char *taken(pen *p) {
    if (!p->status && !p->buf.data) p->status = bqb_buf_puts(&p->buf, "", p->err);
    char *s = p->buf.data;
    p->buf = (bqb_buf){.max = 4096};
    return s;
}

bqb_status plan_describe(const synth_plan *pl, const plan_source *src, bqb_sticker *st, bqb_err *err) {
    const synth_data *d = src->data;
    bqb_rand r = bqb_rand_seed(pl->seed, 1); /* words and picture draw from their own sequences */
    pen p = {.buf = {.max = 4096}, .rand = &r, .err = err};
    const synth_subject *s = pl->subject == SIZE_MAX ? NULL : &d->subject[pl->subject];
    const bool words = src->options->words, plain = src->options->plain || words;
    if (!plain) caption(&p, pl, d);
    else if (s) say(&p, s->name);
    st->field[BQB_CAPTION] = taken(&p);
    say(&p, plain ? "" : d->emotion[pl->emotion].name);
    st->field[BQB_EMOTION] = taken(&p);
    say(&p, plain ? "" : d->emotion[pl->emotion].labels.item[pl->label]);
    st->field[BQB_EMOTION_LABEL] = taken(&p);
    say(&p, plain ? "" : d->style[pl->style].name);
    st->field[BQB_STYLE] = taken(&p);
    say(&p, pl->phrase == SIZE_MAX ? "" : d->phrase[pl->phrase].text);
    st->field[BQB_OCR] = taken(&p);
    say(&p, s ? s->text : "");
    st->subject = taken(&p);
    size_t n = plain ? 1 : chance(&r, 0.6) ? 3 : 2;
    for (size_t q = 0; q < n; q++) {
        if (plain) say(&p, s ? s->name : d->phrase[pl->phrase].text);
        else query(&p, pl, d, q);
        st->query[q] = taken(&p);
        bool again = false;
        for (size_t k = 0; k < q && !p.status; k++) again |= !strcmp(st->query[k], st->query[q]);
        if (again) { /* said already: the plainest true thing instead */
            say(&p, d->style[pl->style].name);
            say(&p, s ? " " : " 文字 ");
            say(&p, s ? s->name : d->emotion[pl->emotion].name);
            char *other = taken(&p);
            bqb_buf old = {.data = st->query[q]};
            bqb_buf_free(&old);
            st->query[q] = other;
        }
    }
    st->n_queries = n;
    bqb_buf_free(&p.buf);
    return p.status;
}
