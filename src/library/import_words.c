#include "library/import_words.h"

#include "base/fs.h"
#include "library/naming.h"
#include "library/origins.h"

#include <stdlib.h>

static bool says(const bqb_annotation *a, int f) { return a->field[f] && *a->field[f]; }

static bqb_status say(bool *news, bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a, bqb_origin o, double score,
                      const char *path, bqb_err *err) {
    bool changed = false;
    bqb_status s = bqb_catalogue_annotate(c, id, a, o, score, path, &changed, err);
    *news = *news || changed;
    return s;
}

/* What the table says; a name of its file is said by the file itself, if that has one. */
static bqb_status say_table(bool *news, bqb_catalogue *c, bqb_sticker_id id, const bqb_candidate *from, bool named, bqb_err *err) {
    bqb_annotation given = {{0}}, said = from->given;
    bqb_who who;
    bool any = false, changed = false;
    (void)bqb_origins_parse(&who, from->own.origins, &from->given, NULL);
    for (int f = 0; f < BQB_FIELDS; f++) {
        if (who.unknown[f] || (named && f == BQB_CAPTION && who.origin[f] == BQB_FROM_FILE_NAME)) said.field[f] = NULL;
        any = any || says(&said, f);
        if (who.origin[f] == BQB_GIVEN && who.score[f] >= 1) given.field[f] = said.field[f];
    }
    if (!any) return BQB_OK;
    bqb_status s = say(news, c, id, &given, BQB_GIVEN, 1, from->path, err);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        bqb_annotation one = {{0}};
        if (given.field[f] || !says(&said, f)) continue;
        one.field[f] = said.field[f];
        s = say(news, c, id, &one, who.origin[f], who.score[f], from->path, err);
    }
    if (!s) s = bqb_catalogue_retract(c, id, &said, who.origin, from->path, &changed, err);
    *news = *news || changed;
    return s;
}

static bqb_status say_reading(bool *news, bqb_catalogue *c, bqb_sticker_id id, const char *cell, bqb_err *err) {
    char reader[BQB_READER_SIZE], *old_reader, *old_text;
    const char *text;
    if (!cell || !*cell || bqb_reading_parse(reader, &text, cell, NULL)) return BQB_OK;
    bqb_status s = bqb_catalogue_get_reading(c, id, &old_reader, &old_text, err);
    free(old_reader);
    free(old_text);
    if (s != BQB_ENOTFOUND) return s;
    *news = true;
    return bqb_catalogue_put_reading(c, id, reader, text, err);
}

bqb_status bqb_import_words(bool *news, bqb_catalogue *c, bqb_sticker_id id, const bqb_candidate *from, bqb_err *err) {
    bqb_buf name = {.max = 4096};
    *news = false;
    bqb_status s = bqb_caption_of_name(&name, bqb_path_base(from->name ? from->name : from->path), err);
    if (!s) s = say_table(news, c, id, from, name.len > 0, err);
    if (!s) s = say_reading(news, c, id, from->own.reading, err);
    if (!s && (name.len || from->own.filename)) { /* its own name, and what it had before it was exported only where that is none */
        bqb_annotation a = {{0}};
        a.field[BQB_CAPTION] = name.len ? name.data : from->own.filename;
        s = say(news, c, id, &a, BQB_FROM_FILE_NAME, 1, from->path, err);
    }
    bqb_buf_free(&name);
    return s;
}
