/* What readers of words on pictures made out, line by line. */
#include "library/catalogue_db.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_READING = 1 << 16 };

/* Length of text, cut to MAX_READING after a line. */
static size_t reading_size(const char *text) {
    size_t n = strlen(text);
    if (n <= MAX_READING) return n;
    for (n = MAX_READING; n && text[n - 1] != '\n';) n--;
    return n;
}

bqb_status bqb_catalogue_put_reading(bqb_catalogue *c, bqb_sticker_id id, const char *reader, const char *text,
                                     bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_words_put(c, id, WORDS_DELETE, err);
    if (!s) s = bqb_db_prepare(c, READING_PUT, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, reader);
    sqlite3_bind_text(st, 3, text, (int)reading_size(text), SQLITE_STATIC);
    s = bqb_db_run(c, st, err);
    sqlite3_clear_bindings(st);
    return s ? s : bqb_db_words_put(c, id, WORDS_ADD, err);
}

bqb_status bqb_catalogue_put_unreadable(bqb_catalogue *c, bqb_sticker_id id, const char *why, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, READING_NONE, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, why);
    s = bqb_db_run(c, st, err);
    sqlite3_clear_bindings(st);
    return s;
}

bqb_status bqb_catalogue_get_reading(bqb_catalogue *c, bqb_sticker_id id, char **reader, char **text, bqb_err *err) {
    sqlite3_stmt *st;
    bool row = false;
    *reader = *text = NULL;
    bqb_status s = BQB_OK;
    if (c->version >= 3) { /* an older library, on a disk that nobody may write to, has no such table */
        s = bqb_db_prepare(c, READING_GET, &st, err);
        if (s) return s;
        sqlite3_bind_int64(st, 1, id);
        s = bqb_db_step(c, st, &row, err);
    }
    if (s) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "%s: sticker %lld was never read", c->path, (long long)id);
    const char *who = (const char *)sqlite3_column_text(st, 0), *what = (const char *)sqlite3_column_text(st, 1);
    *reader = bqb_strdup(who ? who : "");
    *text = bqb_strdup(what ? what : "");
    sqlite3_reset(st);
    if (*reader && *text) return BQB_OK;
    free(*reader);
    free(*text);
    *reader = *text = NULL;
    return bqb_fail_nomem(err, "reading", MAX_READING);
}

bqb_status bqb_catalogue_each_unread(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, READING_LACKING, &st, err);
    return s ? s : bqb_db_each_id(c, st, fn, ctx, err);
}
