#include "image/synth_data.h"

#include "base/fs.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 8 << 20, MAX_SUBJECTS = 4096, MAX_PHRASES = 8192, MAX_CELLS = 8, MAX_WORDS = 64 };

/* ---- tables ---- */

typedef bqb_status (*row_fn)(synth_data *d, char **cell, bqb_err *err);

static bqb_status nomem(bqb_err *err) { return bqb_fail_nomem(err, "sticker data", 0); }

static bqb_status keep_file(synth_data *d, char **text, const char *path, bqb_err *err) {
    bqb_status s = bqb_file_read(text, NULL, path, MAX_TEXT, err);
    if (!s) d->file[d->n_files++] = *text;
    return s;
}

/* Lines of exactly `columns` cells; '#' begins a comment line. */
static bqb_status read_rows(synth_data *d, const char *dir, const char *name, size_t columns, row_fn fn,
                            bqb_err *err) {
    char *path = bqb_path_join(dir, name), *text = NULL;
    if (!path) return nomem(err);
    bqb_status s = keep_file(d, &text, path, err);
    size_t line = 0;
    for (char *p = text; !s && *p;) {
        char *cell[MAX_CELLS], *end = p + strcspn(p, "\n"), *next = end + (*end == '\n');
        size_t n = 0;
        *end = 0;
        line++;
        if (*p && *p != '#') {
            for (char *c = p; c && n < MAX_CELLS; n++) {
                cell[n] = c;
                c = strchr(c, '\t');
                if (c) *c++ = 0;
            }
            if (n != columns)
                s = bqb_fail_at(err, BQB_EFORMAT, (int64_t)line, "%s: line %zu has %zu columns, needs %zu", path,
                                line, n, columns);
            else if ((s = fn(d, cell, err)) != BQB_OK) {
                char where[64];
                snprintf(where, sizeof where, "line %zu", line);
                bqb_err_prefix(err, where);
                bqb_err_prefix(err, path);
            }
        }
        p = next;
    }
    free(path);
    return s;
}

/* Cuts s at each '|' (and at " | "), in place. */
static bqb_status split(synth_data *d, word_list *w, char *s, bqb_err *err) {
    char *item[MAX_WORDS];
    size_t n = 0;
    while (s && *s && n < MAX_WORDS) {
        char *bar = strchr(s, '|'), *end = bar ? bar : s + strlen(s);
        while (*s == ' ') s++;
        while (end > s && end[-1] == ' ') end--;
        if (end > s) item[n++] = s;
        s = bar ? bar + 1 : NULL;
        *end = 0;
    }
    *w = (word_list){bqb_arena_take(d->arena, n ? n : 1, sizeof(char *)), n};
    if (!w->item) return nomem(err);
    memcpy(w->item, item, n * sizeof *item);
    return BQB_OK;
}

static size_t find_emotion(const synth_data *d, const char *name) {
    for (size_t i = 0; i < d->n_emotions; i++)
        if (!strcmp(d->emotion[i].name, name)) return i;
    return SIZE_MAX;
}

static bqb_status add_emotion(synth_data *d, char **cell, bqb_err *err) {
    if (d->n_emotions == MAX_EMOTIONS) return bqb_fail(err, BQB_ELIMIT, "more than %d emotions", MAX_EMOTIONS);
    synth_emotion *e = &d->emotion[d->n_emotions];
    char *end;
    unsigned long tint = strtoul(cell[5], &end, 16);
    if (*end || tint > 0xffffff) return bqb_fail(err, BQB_EFORMAT, "tint \"%s\" is not RRGGBB", cell[5]);
    *e = (synth_emotion){.name = cell[0], .tint = rgb((unsigned)tint)};
    bqb_status s = split(d, &e->labels, cell[1], err);
    if (!s) s = split(d, &e->asks, cell[2], err);
    if (!s) s = split(d, &e->acts, cell[3], err);
    if (!s) s = split(d, &e->cues, cell[4], err);
    if (!s) s = split(d, &e->faces, cell[6], err);
    if (!s && (!e->labels.n || !e->asks.n || !e->acts.n))
        s = bqb_fail(err, BQB_EFORMAT, "emotion \"%s\" has no labels, queries or acts", e->name);
    if (!s && !strcmp(e->name, "其他/中性")) d->neutral = d->n_emotions;
    if (!s) d->n_emotions++;
    return s;
}

static bqb_status add_style(synth_data *d, char **cell, bqb_err *err) {
    if (d->n_styles == 32) return bqb_fail(err, BQB_ELIMIT, "more than 32 styles");
    synth_style *st = &d->style[d->n_styles];
    *st = (synth_style){.id = cell[0], .name = cell[1], .weight = strtod(cell[2], NULL)};
    if (!(st->weight > 0)) return bqb_fail(err, BQB_EFORMAT, "weight \"%s\" is not above 0", cell[2]);
    bqb_status s = split(d, &st->asks, cell[3], err);
    if (!s) d->n_styles++;
    return s;
}

static bqb_status add_phrase(synth_data *d, char **cell, bqb_err *err) {
    if (d->n_phrases == MAX_PHRASES) return bqb_fail(err, BQB_ELIMIT, "more than %d phrases", MAX_PHRASES);
    synth_phrase *p = &d->phrase[d->n_phrases];
    *p = (synth_phrase){.text = cell[1], .emotion = find_emotion(d, cell[0])};
    if (p->emotion == SIZE_MAX) return bqb_fail(err, BQB_EFORMAT, "no emotion is called \"%s\"", cell[0]);
    if (!*p->text) return bqb_fail(err, BQB_EFORMAT, "an empty phrase");
    bqb_status s = split(d, &p->asks, cell[2], err);
    if (!s) d->n_phrases++;
    return s;
}

static bqb_status add_alias(synth_data *d, char **cell, bqb_err *err) {
    char key[96];
    synth_key(key, cell[0]);
    size_t i = synth_data_find(d, key);
    if (i == SIZE_MAX) return BQB_OK; /* an emoji newer than this machine's CLDR */
    return split(d, &d->subject[i].aliases, cell[1], err);
}

/* ---- subjects ---- */

void synth_key(char key[96], const char *text) {
    size_t len = strlen(text), at = 0;
    key[0] = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        bool ok;
        i += bqb_utf8_next(text + i, len - i, &cp, &ok);
        if (!ok || at > 80) {
            key[0] = 0;
            return;
        }
        if (cp != 0xFE0F) at += (size_t)snprintf(key + at, 96 - at, "%s%x", at ? "-" : "", cp);
    }
}

size_t synth_data_find(const synth_data *d, const char *key) {
    for (size_t i = 0; i < d->n_subjects; i++)
        if (!strcmp(d->subject[i].key, key)) return i;
    return SIZE_MAX;
}

typedef struct {
    uint32_t from, to;
    int group; /* -1: not drawn */
} range;

/* The first range that holds a code point decides; what is in none is left out:
 * letters, arrows, clocks, buttons, signs, flags. */
static const range RANGES[] = {
    {0x1F595, 0x1F595, -1}, {0x1F645, 0x1F647, GROUP_PEOPLE}, {0x1F64B, 0x1F64F, GROUP_PEOPLE},
    {0x1F600, 0x1F64A, GROUP_FACE}, {0x1F90C, 0x1F90C, GROUP_PEOPLE}, {0x1F90F, 0x1F90F, GROUP_PEOPLE},
    {0x1F918, 0x1F91F, GROUP_PEOPLE}, {0x1F910, 0x1F917, GROUP_FACE}, {0x1F926, 0x1F926, GROUP_PEOPLE},
    {0x1F920, 0x1F92F, GROUP_FACE}, {0x1F930, 0x1F93E, GROUP_PEOPLE}, {0x1F970, 0x1F97A, GROUP_FACE},
    {0x1F9D0, 0x1F9D0, GROUP_FACE}, {0x1FAE0, 0x1FAE8, GROUP_FACE}, {0x2639, 0x263A, GROUP_FACE},
    {0x1F479, 0x1F47B, GROUP_FACE}, {0x1F47D, 0x1F480, GROUP_FACE}, {0x1F4A9, 0x1F4A9, GROUP_FACE},
    {0x2620, 0x2620, GROUP_OBJECT}, {0x1F31A, 0x1F31E, GROUP_FACE},
    {0x1F440, 0x1F440, GROUP_PEOPLE}, {0x1F442, 0x1F450, GROUP_PEOPLE}, {0x1F464, 0x1F478, GROUP_PEOPLE},
    {0x1F47C, 0x1F47C, GROUP_PEOPLE}, {0x1F481, 0x1F483, GROUP_PEOPLE}, {0x1F485, 0x1F487, GROUP_PEOPLE},
    {0x1F4AA, 0x1F4AA, GROUP_PEOPLE}, {0x1F574, 0x1F575, GROUP_PEOPLE}, {0x1F57A, 0x1F57A, GROUP_PEOPLE},
    {0x1F590, 0x1F590, GROUP_PEOPLE}, {0x1F596, 0x1F596, GROUP_PEOPLE}, {0x270A, 0x270D, GROUP_PEOPLE},
    {0x261D, 0x261D, GROUP_PEOPLE}, {0x1FAF0, 0x1FAF8, GROUP_PEOPLE}, {0x1FAC2, 0x1FAC5, GROUP_PEOPLE},
    {0x1F9B0, 0x1F9B3, -1}, {0x1F9B4, 0x1F9B4, GROUP_OBJECT}, {0x1F9B5, 0x1F9B9, GROUP_PEOPLE},
    {0x1F9CD, 0x1F9CF, GROUP_PEOPLE}, {0x1F9D1, 0x1F9DF, GROUP_PEOPLE}, {0x1F9CC, 0x1F9CC, GROUP_PEOPLE},
    {0x1F385, 0x1F385, GROUP_PEOPLE}, {0x1F3C2, 0x1F3C4, GROUP_ACTIVITY}, {0x1F3C7, 0x1F3C7, GROUP_ACTIVITY},
    {0x1F3CA, 0x1F3CC, GROUP_ACTIVITY}, {0x1F6B4, 0x1F6B6, GROUP_ACTIVITY}, {0x1F6A3, 0x1F6A3, GROUP_ACTIVITY},
    {0x1F6C0, 0x1F6C0, GROUP_ACTIVITY}, {0x1F6CC, 0x1F6CC, GROUP_PEOPLE},
    {0x2763, 0x2764, GROUP_HEART}, {0x1F48B, 0x1F48C, GROUP_HEART}, {0x1F48F, 0x1F48F, GROUP_HEART},
    {0x1F491, 0x1F491, GROUP_HEART}, {0x1F493, 0x1F49E, GROUP_HEART}, {0x1F5A4, 0x1F5A4, GROUP_HEART},
    {0x1F90D, 0x1F90E, GROUP_HEART}, {0x1F9E1, 0x1F9E1, GROUP_HEART}, {0x1FA75, 0x1FA77, GROUP_HEART},
    {0x1F400, 0x1F43F, GROUP_ANIMAL}, {0x1F980, 0x1F9AE, GROUP_ANIMAL}, {0x1F54A, 0x1F54A, GROUP_ANIMAL},
    {0x1F577, 0x1F578, GROUP_ANIMAL}, {0x1FAB0, 0x1FAB3, GROUP_ANIMAL}, {0x1F9AF, 0x1F9AF, GROUP_OBJECT},
    {0x1FABF, 0x1FABF, GROUP_ANIMAL}, {0x1FACE, 0x1FACF, GROUP_ANIMAL}, {0x1FABC, 0x1FABD, GROUP_ANIMAL},
    {0x1F32D, 0x1F330, GROUP_FOOD}, {0x1F33D, 0x1F33D, GROUP_FOOD}, {0x1F336, 0x1F336, GROUP_FOOD},
    {0x1F345, 0x1F37F, GROUP_FOOD}, {0x1F382, 0x1F382, GROUP_FOOD}, {0x1F950, 0x1F96F, GROUP_FOOD},
    {0x1F9C0, 0x1F9CB, GROUP_FOOD}, {0x1FAD0, 0x1FADB, GROUP_FOOD}, {0x2615, 0x2615, GROUP_FOOD},
    {0x1F300, 0x1F344, GROUP_NATURE}, {0x2600, 0x2604, GROUP_NATURE}, {0x2614, 0x2614, GROUP_NATURE},
    {0x26C4, 0x26C5, GROUP_NATURE}, {0x26C8, 0x26C8, GROUP_NATURE}, {0x2744, 0x2744, GROUP_NATURE},
    {0x2728, 0x2728, GROUP_NATURE}, {0x2B50, 0x2B50, GROUP_NATURE}, {0x26A1, 0x26A1, GROUP_NATURE},
    {0x1F4A5, 0x1F4A8, GROUP_NATURE}, {0x1F4AB, 0x1F4AB, GROUP_NATURE}, {0x1F525, 0x1F525, GROUP_NATURE},
    {0x1FAB4, 0x1FABB, GROUP_NATURE}, {0x1F490, 0x1F490, GROUP_NATURE}, {0x2618, 0x2618, GROUP_NATURE},
    {0x1F380, 0x1F3C6, GROUP_ACTIVITY}, {0x1F3CF, 0x1F3D3, GROUP_ACTIVITY}, {0x1F3F8, 0x1F3FA, GROUP_ACTIVITY},
    {0x26BD, 0x26BE, GROUP_ACTIVITY}, {0x1F93F, 0x1F93F, GROUP_ACTIVITY}, {0x1F945, 0x1F945, GROUP_ACTIVITY},
    {0x1F947, 0x1F94F, GROUP_ACTIVITY}, {0x1F9E7, 0x1F9E9, GROUP_ACTIVITY}, {0x1FA80, 0x1FA81, GROUP_ACTIVITY},
    {0x1FA83, 0x1FA85, GROUP_ACTIVITY}, {0x1F004, 0x1F004, GROUP_ACTIVITY}, {0x1F0CF, 0x1F0CF, GROUP_ACTIVITY},
    {0x26F3, 0x26F3, GROUP_ACTIVITY}, {0x26F7, 0x26F9, GROUP_ACTIVITY}, {0x1F52E, 0x1F52E, GROUP_ACTIVITY},
    {0x1F3CD, 0x1F3CE, GROUP_TRAVEL}, {0x1F3D4, 0x1F3E6, GROUP_TRAVEL}, {0x1F3E8, 0x1F3F0, GROUP_TRAVEL},
    {0x1F5FB, 0x1F5FF, GROUP_TRAVEL}, {0x1F680, 0x1F6A2, GROUP_TRAVEL}, {0x1F6A4, 0x1F6A8, GROUP_TRAVEL},
    {0x1F6B2, 0x1F6B2, GROUP_TRAVEL}, {0x1F6E4, 0x1F6E5, GROUP_TRAVEL}, {0x1F6E9, 0x1F6E9, GROUP_TRAVEL},
    {0x1F6EB, 0x1F6EC, GROUP_TRAVEL}, {0x1F6F0, 0x1F6FC, GROUP_TRAVEL}, {0x26EA, 0x26EA, GROUP_TRAVEL},
    {0x26F0, 0x26F2, GROUP_TRAVEL}, {0x26F4, 0x26F5, GROUP_TRAVEL}, {0x26FA, 0x26FA, GROUP_TRAVEL},
    {0x2708, 0x2708, GROUP_TRAVEL}, {0x1F9BC, 0x1F9BD, GROUP_TRAVEL},
    {0x1F4AF, 0x1F4AF, GROUP_OBJECT}, {0x1F4A0, 0x1F4A0, -1}, {0x1F4DB, 0x1F4DB, -1}, {0x1F4F3, 0x1F4F6, -1},
    {0x1F451, 0x1F463, GROUP_OBJECT}, {0x1F484, 0x1F484, GROUP_OBJECT}, {0x1F488, 0x1F4FF, GROUP_OBJECT},
    {0x1F50A, 0x1F50E, GROUP_OBJECT}, {0x1F510, 0x1F516, GROUP_OBJECT}, {0x1F526, 0x1F52D, GROUP_OBJECT},
    {0x1F56F, 0x1F570, GROUP_OBJECT}, {0x1F573, 0x1F573, GROUP_OBJECT}, {0x1F576, 0x1F576, GROUP_OBJECT},
    {0x1F579, 0x1F579, GROUP_OBJECT}, {0x1F587, 0x1F58D, GROUP_OBJECT}, {0x1F5A5, 0x1F5DE, GROUP_OBJECT},
    {0x1F5E1, 0x1F5E1, GROUP_OBJECT}, {0x1F5FA, 0x1F5FA, GROUP_OBJECT}, {0x1F6CB, 0x1F6CB, GROUP_OBJECT},
    {0x1F6CD, 0x1F6CF, GROUP_OBJECT}, {0x1F6D2, 0x1F6D2, GROUP_OBJECT}, {0x1F6E0, 0x1F6E1, GROUP_OBJECT},
    {0x1F6AA, 0x1F6AA, GROUP_OBJECT}, {0x1F6BD, 0x1F6BF, GROUP_OBJECT}, {0x1F6C1, 0x1F6C1, GROUP_OBJECT},
    {0x1F97B, 0x1F97F, GROUP_OBJECT}, {0x1F9BA, 0x1F9BB, GROUP_OBJECT}, {0x1F9BE, 0x1F9BF, GROUP_OBJECT},
    {0x1F9E0, 0x1F9FF, GROUP_OBJECT}, {0x1FA70, 0x1FA7C, GROUP_OBJECT}, {0x1FA82, 0x1FA82, GROUP_OBJECT},
    {0x1FA86, 0x1FAAC, GROUP_OBJECT}, {0x231A, 0x231B, GROUP_OBJECT}, {0x23F0, 0x23F3, GROUP_OBJECT},
    {0x2328, 0x2328, GROUP_OBJECT}, {0x260E, 0x260E, GROUP_OBJECT}, {0x2692, 0x2694, GROUP_OBJECT},
    {0x2696, 0x2697, GROUP_OBJECT}, {0x2699, 0x2699, GROUP_OBJECT}, {0x26B0, 0x26B1, GROUP_OBJECT},
    {0x26CF, 0x26CF, GROUP_OBJECT}, {0x26D1, 0x26D1, GROUP_OBJECT}, {0x26D3, 0x26D3, GROUP_OBJECT},
    {0x2702, 0x2702, GROUP_OBJECT}, {0x2709, 0x2709, GROUP_OBJECT}, {0x270F, 0x270F, GROUP_OBJECT},
    {0x2712, 0x2712, GROUP_OBJECT},
};

/* Among joined sequences only those that are a subject of their own: trades
 * of a person, a few animals, faces and hearts. Gender and skin variants are not. */
static int group_of(const char *key) {
    char *end;
    uint32_t first = (uint32_t)strtoul(key, &end, 16);
    if (*end) {
        bool person = !strncmp(key, "1f9d1-200d-", 11) && !strstr(key, "1f91d") && !strstr(key, "1f9b");
        static const char *const extra[] = {"1f408-200d-2b1b", "1f415-200d-1f9ba", "1f43b-200d-2744",
                                            "1f636-200d-1f32b", "1f62e-200d-1f4a8", "1f635-200d-1f4ab",
                                            "2764-200d-1f525", "2764-200d-1fa79"};
        for (size_t i = 0; i < sizeof extra / sizeof *extra && !person; i++)
            if (!strcmp(key, extra[i])) person = true;
        if (!person) return -1;
    }
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++)
        if (first >= RANGES[i].from && first <= RANGES[i].to) return RANGES[i].group;
    return -1;
}

/* CLDR leaves U+FE0F out; fonts want it after code points that are text by default. */
static char *with_selectors(synth_data *d, const char *text) {
    size_t len = strlen(text), at = 0;
    char *out = bqb_arena_take(d->arena, len * 2 + 8, 1);
    if (!out) return NULL;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += bqb_utf8_next(text + i, len - i, &cp, NULL);
        at += bqb_utf8_put(out + at, cp);
        bool text_default = (cp >= 0x2300 && cp < 0x2C00) || (cp >= 0x1F321 && cp <= 0x1F32C) || cp == 0x1F336 ||
                            (cp >= 0x1F37D && cp <= 0x1F37D) || (cp >= 0x1F396 && cp <= 0x1F39F) ||
                            (cp >= 0x1F3CB && cp <= 0x1F3CE) || (cp >= 0x1F3D4 && cp <= 0x1F3DF) ||
                            (cp >= 0x1F3F3 && cp <= 0x1F3F7) || cp == 0x1F43F || cp == 0x1F4FD ||
                            (cp >= 0x1F56F && cp <= 0x1F579) || (cp >= 0x1F587 && cp <= 0x1F590) ||
                            (cp >= 0x1F5A5 && cp <= 0x1F5FA) || (cp >= 0x1F6CB && cp <= 0x1F6CF) ||
                            (cp >= 0x1F6E0 && cp <= 0x1F6E9) || cp == 0x1F6F0 || cp == 0x1F6F3;
        if (text_default) at += bqb_utf8_put(out + at, 0xFE0F);
    }
    out[at] = 0;
    return out;
}

static void unescape(char *s) {
    static const struct { const char *name; char c; } entity[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    char *to = s;
    while (*s) {
        size_t e = 0;
        while (e < 5 && strncmp(s, entity[e].name, strlen(entity[e].name))) e++;
        if (e < 5) s += strlen(entity[e].name);
        *to++ = e < 5 ? entity[e].c : *s++;
    }
    *to = 0;
}

/* The next <annotation cp="CP" [type="tts"] …>TEXT</annotation>; cuts the text in place. */
static bool next_annotation(char **at, char **cp, bool *tts, char **text) {
    for (;;) {
        char *p = strstr(*at, "<annotation ");
        if (!p) return false;
        char *close = strchr(p, '>'), *end = close ? strstr(close, "</annotation>") : NULL;
        if (!end) return false;
        *at = end + 1;
        *close = *end = 0;
        char *c = strstr(p, "cp=\"");
        char *quote = c ? strchr(c + 4, '"') : NULL;
        if (!quote) continue;
        *tts = strstr(quote, "type=\"tts\"") != NULL;
        *quote = 0;
        *cp = c + 4;
        *text = close + 1;
        unescape(*cp);
        unescape(*text);
        return true;
    }
}

static bqb_status read_names(synth_data *d, const char *cldr_dir, const char *file, bool english, bqb_err *err) {
    char *path = bqb_path_join(cldr_dir, file), *at = NULL, *cp, *text;
    if (!path) return nomem(err);
    bqb_status s = BQB_OK;
    bool tts;
    if (!bqb_is_file(path))
        s = bqb_fail(err, BQB_ENOTFOUND, "%s: not there; the Debian package unicode-cldr-core has it", path);
    if (!s) s = keep_file(d, &at, path, err);
    while (!s && next_annotation(&at, &cp, &tts, &text)) {
        char key[96];
        synth_key(key, cp);
        int group = group_of(key);
        if (!*key || group < 0) continue;
        size_t i = synth_data_find(d, key);
        if (english) {
            if (i != SIZE_MAX && tts) d->subject[i].name_en = text;
            continue;
        }
        if (i == SIZE_MAX) {
            if (d->n_subjects == MAX_SUBJECTS) {
                s = bqb_fail(err, BQB_ELIMIT, "%s: more than %d subjects", path, MAX_SUBJECTS);
                break;
            }
            i = d->n_subjects;
            char *own = bqb_arena_take(d->arena, strlen(key) + 1, 1);
            synth_subject x = {.text = with_selectors(d, cp), .key = own, .group = (subject_group)group, .name_en = ""};
            if (!own || !x.text) {
                s = nomem(err);
                break;
            }
            strcpy(own, key);
            d->subject[d->n_subjects++] = x;
        }
        if (tts) d->subject[i].name = text;
        else s = split(d, &d->subject[i].keywords, text, err);
    }
    if (!s && !english && d->n_subjects < 200)
        s = bqb_fail(err, BQB_EFORMAT, "%s: only %zu emoji have Chinese names, needs at least 200", path,
                     d->n_subjects);
    free(path);
    return s;
}

static void drop_word(word_list *w, const char *word) {
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->item[i], word)) w->item[n++] = w->item[i];
    w->n = n;
}

/* Unnamed subjects go, names leave the keyword lists, and the indices are made. */
static bqb_status link_up(synth_data *d, bqb_err *err) {
    size_t n = 0;
    for (size_t i = 0; i < d->n_subjects; i++)
        if (d->subject[i].name && *d->subject[i].name) d->subject[n++] = d->subject[i];
    d->n_subjects = n;
    for (size_t i = 0; i < n; i++) {
        drop_word(&d->subject[i].keywords, d->subject[i].name);
        /* words of hundreds of subjects find none of them */
        static const char *const vague[] = {"脸", "表情", "动物", "人", "手"};
        for (size_t k = 0; k < sizeof vague / sizeof *vague; k++) drop_word(&d->subject[i].keywords, vague[k]);
    }
    for (size_t g = 0; g < GROUPS; g++) {
        d->in_group[g] = bqb_arena_take(d->arena, n, sizeof(uint32_t));
        if (!d->in_group[g]) return nomem(err);
        for (size_t i = 0; i < n; i++)
            if (d->subject[i].group == g) d->in_group[g][d->n_in_group[g]++] = (uint32_t)i;
    }
    for (size_t e = 0; e < d->n_emotions; e++) {
        synth_emotion *m = &d->emotion[e];
        for (size_t f = 0; f < m->faces.n; f++) {
            char key[96];
            synth_key(key, m->faces.item[f]);
            size_t i = synth_data_find(d, key);
            if (i != SIZE_MAX) d->subject[i].emotions |= 1u << e;
        }
        m->phrase = bqb_arena_take(d->arena, d->n_phrases ? d->n_phrases : 1, sizeof(uint32_t));
        if (!m->phrase) return nomem(err);
        for (size_t p = 0; p < d->n_phrases; p++)
            if (d->phrase[p].emotion == e) m->phrase[m->n_phrases++] = (uint32_t)p;
    }
    return BQB_OK;
}

bqb_status synth_data_load(synth_data *d, const char *data_dir, const char *cldr_dir, bqb_err *err) {
    *d = (synth_data){.neutral = SIZE_MAX};
    d->arena = bqb_arena_new();
    if (!d->arena) return nomem(err);
    d->subject = bqb_arena_take(d->arena, MAX_SUBJECTS, sizeof *d->subject);
    d->emotion = bqb_arena_take(d->arena, MAX_EMOTIONS, sizeof *d->emotion);
    d->style = bqb_arena_take(d->arena, 32, sizeof *d->style);
    d->phrase = bqb_arena_take(d->arena, MAX_PHRASES, sizeof *d->phrase);
    if (!d->subject || !d->emotion || !d->style || !d->phrase) return nomem(err);
    bqb_status s = read_names(d, cldr_dir, "annotations/zh.xml", false, err);
    if (!s) s = read_names(d, cldr_dir, "annotations/en.xml", true, err);
    if (!s) s = read_rows(d, data_dir, "emotions.tsv", 7, add_emotion, err);
    if (!s) s = read_rows(d, data_dir, "styles.tsv", 4, add_style, err);
    if (!s) s = read_rows(d, data_dir, "phrases.tsv", 3, add_phrase, err);
    if (!s) s = read_rows(d, data_dir, "aliases.tsv", 2, add_alias, err);
    if (!s && (d->neutral == SIZE_MAX || !d->n_styles || !d->n_phrases))
        s = bqb_fail(err, BQB_EFORMAT, "%s: needs the emotion 其他/中性, a style and a phrase", data_dir);
    if (!s) s = link_up(d, err);
    return s;
}

void synth_data_free(synth_data *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n_files; i++) free(d->file[i]);
    bqb_arena_free(d->arena);
    *d = (synth_data){0};
}
