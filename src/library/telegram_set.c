#include "library/telegram_set.h"

#include "base/data.h"
#include "base/utf8.h"
#include "file/json.h"
#include "file/lines.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_ITEMS = 200000, MAX_LINE = 1 << 16, MAX_TEXT = 512, MAX_STEM = 200, MAX_EMOJI = 20, MAX_STICKERS = 2000 };

const char *const bqb_telegram_extensions[] = {".webp", ".tgs", ".webm", ".png", ".gif", NULL};

/* An emoji's meaning; the emoji without what only changes its looks. */
typedef struct {
    char emoji[48], name[96];
    bool emotion; /* name is an emotion, else an everyday name */
} meaning;

typedef struct {
    meaning *item;
    size_t n, cap;
} dictionary;

/* Without variation selectors and skin colours. False when it does not fit. */
static bool plain(char *out, size_t room, const char *s, size_t n) {
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += bqb_utf8_next(s + i, n - i, &cp, NULL);
        if (cp == 0xFE0F || cp == 0xFE0E || (cp >= 0x1F3FB && cp <= 0x1F3FF)) continue;
        if (m + 5 > room) return false;
        m += bqb_utf8_put(out + m, cp);
    }
    out[m] = 0;
    return m > 0;
}

static bqb_status learn(dictionary *d, const char *emoji, size_t n_emoji, const char *name, size_t n_name, bool emotion, bqb_err *err) {
    meaning *items = bqb_grow(d->item, d->n, &d->cap, sizeof *items, 1024);
    if (!items) return bqb_fail_nomem(err, "emoji", 2 * d->cap * sizeof *items);
    d->item = items;
    meaning *x = &items[d->n];
    if (!plain(x->emoji, sizeof x->emoji, emoji, n_emoji) || !n_name || n_name >= sizeof x->name) return BQB_OK;
    memcpy(x->name, name, n_name);
    x->name[n_name] = 0;
    x->emotion = emotion;
    d->n++;
    return BQB_OK;
}

/* aliases.tsv: emoji, names. emotions.tsv: name, …, emoji as its last column. A table that is not there teaches nothing. */
static bqb_status learn_table(dictionary *d, const char *table, bool emotion, bqb_err *err) {
    char *path;
    bqb_lines *lines;
    const char *line;
    size_t n;
    if (bqb_data_path(&path, table, NULL)) return BQB_OK;
    bqb_status s = bqb_lines_open(&lines, path, MAX_LINE, NULL);
    free(path);
    if (s) return BQB_OK;
    while (!s && !bqb_lines_next(lines, &line, &n, NULL) && line) {
        const char *tab = memchr(line, '\t', n), *last = line + n;
        if (!tab || *line == '#') continue;
        if (!emotion) {
            s = learn(d, line, (size_t)(tab - line), tab + 1, strcspn(tab + 1, "|\t"), false, err);
            continue;
        }
        while (last[-1] != '\t') last--;
        for (size_t len; *last && !s; last += len + (last[len] == '|')) {
            len = strcspn(last, "|");
            if (len) s = learn(d, last, len, line, (size_t)(tab - line), true, err);
            else if (!last[len]) break;
        }
    }
    bqb_lines_close(lines);
    return s;
}

static const char *meaning_of(const dictionary *d, const char *emoji, bool emotion) {
    for (size_t i = 0; i < d->n; i++)
        if (d->item[i].emotion == emotion && !strcmp(d->item[i].emoji, emoji)) return d->item[i].name;
    return NULL;
}

/* The length of the longest known emoji that text begins with, as many bytes; 0: none. */
static size_t known(const dictionary *d, const char *text) {
    size_t best = 0;
    for (size_t i = 0; i < d->n; i++) {
        size_t n = strlen(d->item[i].emoji);
        if (n > best && !strncmp(text, d->item[i].emoji, n)) best = n;
    }
    return best;
}

/* "😂" becomes "😂 破涕为笑", and 大笑 as emotion. */
static void describe(const dictionary *d, char caption[MAX_TEXT], const char **emotion, const char *text) {
    char emoji[MAX_EMOJI * 5];
    *emotion = NULL;
    caption[0] = 0;
    size_t length = strlen(text);
    if (!plain(emoji, sizeof emoji, text, length)) return;
    strcpy(caption, emoji);
    for (size_t at = 0; emoji[at];) {
        uint32_t cp;
        char one[sizeof emoji];
        size_t n = known(d, emoji + at), end = strlen(caption);
        if (n) {
            memcpy(one, emoji + at, n);
            one[n] = 0;
            const char *name = meaning_of(d, one, false);
            if (name && end + strlen(name) + 2 < MAX_TEXT) {
                caption[end] = ' ';
                strcpy(caption + end + 1, name);
            }
            if (!*emotion) *emotion = meaning_of(d, one, true);
        } else n = bqb_utf8_next(emoji + at, strlen(emoji + at), &cp, NULL);
        at += n;
    }
}

/* Ids are letters, digits, - and _: anything else is no name of a file. */
static bool is_stem(const char *s) {
    size_t n = strlen(s);
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_') return false;
    return n && n <= MAX_STEM;
}

static bqb_status tell(const dictionary *d, const json_t *sticker, bqb_telegram_fn fn, void *ctx, bqb_err *err) {
    static const char *const ids[] = {"file_unique_id", "file_id"};
    char caption[MAX_TEXT];
    bqb_annotation note = {{0}};
    const char *emoji = json_string_value(json_object_get(sticker, "emoji"));
    bqb_status s = BQB_OK;
    if (!emoji || !*emoji) return BQB_OK;
    describe(d, caption, &note.field[BQB_EMOTION], emoji);
    note.field[BQB_CAPTION] = caption;
    for (size_t i = 0; i < 2 && !s; i++) {
        const char *stem = json_string_value(json_object_get(sticker, ids[i]));
        if (stem && is_stem(stem) && *caption) s = fn(ctx, stem, &note, err);
    }
    return s;
}

bqb_status bqb_telegram_set_each(const char *json, size_t n, bqb_telegram_fn fn, void *ctx, bqb_err *err) {
    json_t *top;
    dictionary d = {0};
    size_t i;
    const json_t *sticker;
    bqb_status s = bqb_json_parse(&top, json, n, MAX_DEPTH, MAX_ITEMS, err);
    if (s) return s;
    const json_t *result = json_object_get(top, "result"), *list = json_object_get(result ? result : top, "stickers");
    if (!json_is_array(list)) s = bqb_fail(err, BQB_EFORMAT, "it has no array \"stickers\": no sticker set");
    if (!s && json_array_size(list) > MAX_STICKERS)
        s = bqb_fail(err, BQB_ELIMIT, "%zu stickers, a set may have %d", json_array_size(list), MAX_STICKERS);
    if (!s) s = learn_table(&d, "aliases.tsv", false, err);
    if (!s) s = learn_table(&d, "emotions.tsv", true, err);
    if (!s)
        json_array_foreach(list, i, sticker)
            if ((s = tell(&d, sticker, fn, ctx, err))) break;
    free(d.item);
    json_decref(top);
    return s;
}
