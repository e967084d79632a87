/* What is said of stickers: annotations. The index of their words: catalogue_index.c. */
#include "library/catalogue_db.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "library/id_set.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *bqb_origin_name(bqb_origin o) {
    static const char *const names[] = {"edited", "given", "ocr", "zero-shot", "filename"};
    return o >= BQB_EDITED && o < BQB_ORIGINS ? names[o - BQB_EDITED] : "";
}

bqb_status bqb_catalogue_get_annotation(bqb_catalogue *c, bqb_sticker_id id, bqb_annotated *a, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *a = (bqb_annotated){0};
    bqb_status s = bqb_db_prepare(c, ANNOTATION_ALL, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    while (!(s = bqb_db_step(c, st, &row, err)) && row) { /* the most believed comes last */
        const char *name = (const char *)sqlite3_column_text(st, 0);
        const char *value = (const char *)sqlite3_column_text(st, 2);
        bqb_field f = name ? bqb_field_parse(name, strlen(name)) : BQB_FIELDS;
        if (f == BQB_FIELDS || !value) continue;
        free(a->field[f]);
        a->field[f] = bqb_strdup(value);
        if (!a->field[f]) {
            s = bqb_fail_nomem(err, "annotation", 1);
            break;
        }
        int origin = sqlite3_column_int(st, 1);
        a->origin[f] = origin < BQB_EDITED || origin >= BQB_ORIGINS ? BQB_GIVEN : (bqb_origin)origin;
        a->score[f] = sqlite3_column_double(st, 3);
    }
    sqlite3_reset(st);
    if (s) bqb_annotated_free(a);
    return s;
}

void bqb_annotated_free(bqb_annotated *a) {
    for (int f = 0; f < BQB_FIELDS; f++) free(a->field[f]);
    *a = (bqb_annotated){0};
}

/* A value as it is kept: one line, cut to BQB_VALUE_MAX at a character; out->len 0: nothing is left of it. */
static bqb_status tidy(bqb_buf *out, const char *value, bqb_err *err) {
    bool gap = false;
    out->len = 0;
    out->max = BQB_VALUE_MAX + 8;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0, n = strlen(value); i < n && !s;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(value + i, n - i, &cp, NULL);
        if (bqb_is_control(cp)) {
            gap = true;
            continue;
        }
        size_t len = bqb_utf8_put(utf8, cp);
        gap = gap && out->len && out->data[out->len - 1] != ' ' && cp != ' ';
        if (out->len + len + gap > BQB_VALUE_MAX) break;
        if (gap) s = bqb_buf_append(out, " ", 1, err);
        if (!s) s = bqb_buf_append(out, utf8, len, err);
        gap = false;
    }
    return s;
}

/* Would setting this value change anything, and may path say so? */
static bqb_status is_news(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, bqb_origin origin, const char *value,
                          size_t n, double score, const char *path, bool *news, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, bqb_field_name(f));
    sqlite3_bind_int(st, 3, (int)origin);
    if (path) bind_path(st, 4, path);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    *news = true;
    if (!row) return BQB_OK;
    const char *old = (const char *)sqlite3_column_text(st, 0);
    bool same = old && strlen(old) == n && !memcmp(old, value, n) && sqlite3_column_double(st, 1) == score &&
                sqlite3_column_int(st, 3);
    bool others = path && sqlite3_column_int(st, 2);
    *news = !same && !others;
    sqlite3_reset(st);
    return BQB_OK;
}

/* What the vector of its words is made of (embed_words.h): the words believed to stand on it, else its caption, else "". */
static bqb_status spoken(bqb_buf *out, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *out = (bqb_buf){.max = 1 << 20};
    bqb_status s = bqb_db_prepare(c, SPOKEN, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    const char *value = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    s = bqb_buf_puts(out, value ? value : "", err);
    if (row) sqlite3_reset(st);
    return s;
}

/* It says something else than it did before: the vector of that is no longer its own. */
static bqb_status drop_stale_vector(bqb_catalogue *c, bqb_sticker_id id, const bqb_buf *before, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_buf now;
    bqb_status s = spoken(&now, c, id, err);
    bool same = !s && now.len == before->len && !memcmp(now.data, before->data, now.len);
    bqb_buf_free(&now);
    if (s || same) return s;
    if ((s = bqb_db_prepare(c, EMBEDDING_STALE, &st, err))) return s;
    sqlite3_bind_int64(st, 1, id);
    s = bqb_db_run(c, st, err);
    return !s && sqlite3_changes(c->db) ? bqb_db_touch(c, id, err) : s;
}

static bqb_status annotate(bqb_catalogue *c, bqb_sticker_id id, const bqb_buf *value, bqb_origin origin, double score,
                           const char *path, bool *changed, bqb_err *err) {
    bool news[BQB_FIELDS] = {0}, any = false;
    bqb_status s = BQB_OK;
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        if (!value[f].len) continue;
        s = is_news(c, id, (bqb_field)f, origin, value[f].data, value[f].len, score, path, &news[f], err);
        any = any || news[f];
    }
    if (changed) *changed = any;
    if (s || !any) return s;
    bqb_buf before = {0};
    bool words = news[BQB_CAPTION] || news[BQB_OCR];
    if (words) s = spoken(&before, c, id, err);
    if (!s) s = bqb_db_words_put(c, id, WORDS_DELETE, err);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        sqlite3_stmt *st;
        if (!news[f]) continue;
        if ((s = bqb_db_prepare(c, ANNOTATION_PUT, &st, err))) break;
        sqlite3_bind_int64(st, 1, id);
        bind_text(st, 2, bqb_field_name((bqb_field)f));
        sqlite3_bind_int(st, 3, (int)origin);
        sqlite3_bind_text(st, 4, value[f].data, (int)value[f].len, SQLITE_STATIC);
        sqlite3_bind_double(st, 5, score);
        if (path) bind_path(st, 6, path);
        s = bqb_db_run(c, st, err);
    }
    if (!s && words) s = drop_stale_vector(c, id, &before, err);
    bqb_buf_free(&before);
    return s ? s : bqb_db_words_put(c, id, WORDS_ADD, err);
}

bqb_status bqb_catalogue_annotate(bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a, bqb_origin origin,
                                  double score, const char *path, bool *changed, bqb_err *err) {
    bqb_buf value[BQB_FIELDS] = {{0}};
    bqb_status s = BQB_OK;
    for (int f = 0; f < BQB_FIELDS && !s; f++)
        if (a->field[f]) s = tidy(&value[f], a->field[f], err);
    if (!s) s = annotate(c, id, value, origin, score, path, changed, err);
    for (int f = 0; f < BQB_FIELDS; f++) bqb_buf_free(&value[f]);
    return s;
}

bqb_status bqb_catalogue_forget(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, bqb_origin origin, bool *changed,
                                bqb_err *err) {
    sqlite3_stmt *st;
    bool there;
    if (changed) *changed = false;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, bqb_field_name(f));
    sqlite3_bind_int(st, 3, (int)origin);
    if ((s = bqb_db_step(c, st, &there, err)) || !there) return s;
    sqlite3_reset(st);
    bqb_buf before = {0};
    bool words = f == BQB_CAPTION || f == BQB_OCR;
    if (words) s = spoken(&before, c, id, err);
    if (!s) s = bqb_db_words_put(c, id, WORDS_DELETE, err);
    if (!s) s = bqb_db_prepare(c, ANNOTATION_FORGET, &st, err);
    if (!s) {
        sqlite3_bind_int64(st, 1, id);
        bind_text(st, 2, bqb_field_name(f));
        sqlite3_bind_int(st, 3, (int)origin);
        s = bqb_db_run(c, st, err);
    }
    if (!s && words) s = drop_stale_vector(c, id, &before, err);
    bqb_buf_free(&before);
    if (!s) s = bqb_db_words_put(c, id, WORDS_ADD, err);
    if (!s && changed) *changed = true;
    return s;
}

bqb_status bqb_catalogue_retract(bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a,
                                 const bqb_origin origin[BQB_FIELDS], const char *path, bool *changed, bqb_err *err) {
    sqlite3_stmt *st;
    bool row, old[BQB_FIELDS][BQB_ORIGINS - BQB_EDITED] = {{0}};
    *changed = false;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_OF_PATH, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_path(st, 2, path);
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        bqb_field f = name ? bqb_field_parse(name, strlen(name)) : BQB_FIELDS;
        int o = sqlite3_column_int(st, 1);
        if (f != BQB_FIELDS && o >= BQB_EDITED && o < BQB_ORIGINS) old[f][o - BQB_EDITED] = true;
    }
    for (int f = 0; f < BQB_FIELDS; f++)
        for (int o = BQB_EDITED; o < BQB_ORIGINS && !s; o++) {
            bool gone = false;
            if (!old[f][o - BQB_EDITED] || (int)origin[f] == o || !a->field[f] || !*a->field[f]) continue;
            s = bqb_catalogue_forget(c, id, (bqb_field)f, (bqb_origin)o, &gone, err);
            *changed = *changed || gone;
        }
    return s;
}

bqb_status bqb_catalogue_each_value(bqb_catalogue *c, bqb_field f, bqb_value_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_VALUES, &st, err);
    if (s) return s;
    bind_text(st, 1, bqb_field_name(f));
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        const char *value = (const char *)sqlite3_column_text(st, 0);
        if (value && fn(ctx, value, (size_t)sqlite3_column_int64(st, 1))) {
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_db_each_id(bqb_catalogue *c, sqlite3_stmt *st, bqb_id_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        if (!fn(ctx, sqlite3_column_int64(st, 0))) continue;
        s = bqb_fail(err, BQB_ECANCEL, "stopped");
        break;
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_with(bqb_catalogue *c, bqb_field f, const char *value, bqb_id_fn fn, void *ctx,
                                   bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, ANNOTATION_WITH, &st, err);
    if (s) return s;
    bind_text(st, 1, bqb_field_name(f));
    bind_text(st, 2, value);
    return bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_animated(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, ANIMATED, &st, err);
    return s ? s : bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_shown(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, SHOWN, &st, err);
    return s ? s : bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_list_shown(bqb_catalogue *c, bqb_sticker_id **ids, size_t *n, bqb_err *err) {
    bqb_id_set all = {0};
    bqb_status s = bqb_catalogue_each_shown(c, bqb_id_set_add, &all, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", all.cap * sizeof *all.id);
    if (s) bqb_id_set_free(&all);
    *ids = all.id;
    *n = all.n;
    return s;
}
