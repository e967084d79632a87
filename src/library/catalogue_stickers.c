/* Stickers and their files in the catalogue. */
#include "library/catalogue_db.h"
#include "library/likeness.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bqb_status bqb_catalogue_find_sha256(bqb_catalogue *c, const uint8_t sha256[BQB_SHA256_SIZE], bqb_sticker_id *id,
                                     bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, STICKER_FIND, &st, err);
    if (s) return s;
    bind_blob(st, 1, sha256, BQB_SHA256_SIZE);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (!row) {
        char hex[65];
        bqb_hex(hex, sha256, BQB_SHA256_SIZE);
        return bqb_fail(err, BQB_ENOTFOUND, "the library has no sticker %s", hex);
    }
    *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_put_sticker(bqb_catalogue *c, bqb_sticker *t, bool *added, bqb_err *err) {
    sqlite3_stmt *st;
    *added = false;
    bqb_status s = bqb_catalogue_find_sha256(c, t->sha256, &t->id, err);
    if (s != BQB_ENOTFOUND) return s;
    if ((s = bqb_db_prepare(c, STICKER_ADD, &st, err))) return s;
    t->added = (int64_t)time(NULL);
    bind_blob(st, 1, t->sha256, BQB_SHA256_SIZE);
    sqlite3_bind_int64(st, 2, (int64_t)t->size_bytes);
    bind_text(st, 3, t->format);
    sqlite3_bind_int64(st, 4, t->width);
    sqlite3_bind_int64(st, 5, t->height);
    sqlite3_bind_int64(st, 6, t->frames);
    sqlite3_bind_int64(st, 7, t->duration_ms);
    sqlite3_bind_int64(st, 8, t->added);
    if ((s = bqb_db_run(c, st, err))) return s;
    t->id = sqlite3_last_insert_rowid(c->db);
    *added = c->added = true;
    return bqb_db_words_put(c, t->id, WORDS_ADD, err);
}

bqb_status bqb_catalogue_get_sticker(bqb_catalogue *c, bqb_sticker_id id, bqb_sticker *t, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, STICKER_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "the library has no sticker number %lld", (long long)id);
    *t = (bqb_sticker){.id = id,
                       .size_bytes = (uint64_t)sqlite3_column_int64(st, 1),
                       .width = (uint32_t)sqlite3_column_int64(st, 3),
                       .height = (uint32_t)sqlite3_column_int64(st, 4),
                       .frames = (uint32_t)sqlite3_column_int64(st, 5),
                       .duration_ms = sqlite3_column_int(st, 6),
                       .added = sqlite3_column_int64(st, 7)};
    const void *sha = sqlite3_column_blob(st, 0);
    if (sha && sqlite3_column_bytes(st, 0) == BQB_SHA256_SIZE) memcpy(t->sha256, sha, BQB_SHA256_SIZE);
    const char *format = (const char *)sqlite3_column_text(st, 2);
    snprintf(t->format, sizeof t->format, "%s", format ? format : "");
    sqlite3_reset(st);
    return BQB_OK;
}

static int hex_digit(char ch) {
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
         : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

bqb_status bqb_catalogue_find_prefix(bqb_catalogue *c, const char *hex, bqb_sticker_id *id, bqb_err *err) {
    uint8_t low[BQB_SHA256_SIZE], high[BQB_SHA256_SIZE];
    size_t n = strlen(hex);
    if (!n || n > 2 * BQB_SHA256_SIZE)
        return bqb_fail(err, BQB_EINVAL, "\"%.80s\" is no sticker id: 1 to 64 hex digits are needed", hex);
    memset(low, 0, sizeof low);
    memset(high, 0xFF, sizeof high);
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(hex[i]);
        if (d < 0) return bqb_fail(err, BQB_EINVAL, "\"%.80s\" is no sticker id: 1 to 64 hex digits are needed", hex);
        int shift = i % 2 ? 0 : 4;
        low[i / 2] = (uint8_t)(low[i / 2] | d << shift);
        high[i / 2] = (uint8_t)((high[i / 2] & ~(15 << shift)) | d << shift);
    }
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, STICKER_PREFIX, &st, err);
    if (s) return s;
    bind_blob(st, 1, low, sizeof low);
    bind_blob(st, 2, high, sizeof high);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "the library has no sticker %s", hex);
    *id = sqlite3_column_int64(st, 0);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (!row) return BQB_OK;
    sqlite3_reset(st);
    return bqb_fail(err, BQB_EINVAL, "several stickers start with %s: give more digits", hex);
}

/* Hex digits that two hashes share at the start. */
static size_t common_digits(const uint8_t *a, const uint8_t *b) {
    for (size_t i = 0; i < BQB_SHA256_SIZE; i++)
        if (a[i] != b[i]) return 2 * i + ((a[i] >> 4) == (b[i] >> 4));
    return 2 * BQB_SHA256_SIZE;
}

bqb_status bqb_catalogue_short_id(bqb_catalogue *c, const uint8_t sha256[BQB_SHA256_SIZE],
                                  char out[BQB_SHORT_ID_SIZE], bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, STICKER_NEIGHBOURS, &st, err);
    if (s) return s;
    bind_blob(st, 1, sha256, BQB_SHA256_SIZE);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    size_t n = 12;
    for (int i = 0; row && i < 2; i++) {
        const void *other = sqlite3_column_blob(st, i);
        if (!other || sqlite3_column_bytes(st, i) != BQB_SHA256_SIZE) continue;
        size_t need = common_digits(sha256, other) + 1;
        if (need > n) n = need;
    }
    if (row) sqlite3_reset(st);
    bqb_hex(out, sha256, BQB_SHA256_SIZE);
    if (n < BQB_SHORT_ID_SIZE) out[n] = 0;
    return BQB_OK;
}

bqb_status bqb_catalogue_remove(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_group g;
    bqb_status s = bqb_catalogue_group_of(c, id, &g, err);
    if (!s) s = bqb_db_words_put(c, id, WORDS_DELETE, err);
    if (!s) s = bqb_db_prepare(c, STICKER_DELETE, &st, err);
    if (s) return s;
    c->regroup |= g.first > 0;
    sqlite3_bind_int64(st, 1, id);
    s = bqb_db_run(c, st, err);
    return s ? s : bqb_db_touch(c, id, err);
}

/* ---- files ---- */

bqb_status bqb_catalogue_get_file(bqb_catalogue *c, const char *path, bqb_file *f, bool *found, bqb_err *err) {
    sqlite3_stmt *st;
    *found = false;
    bqb_status s = bqb_db_prepare(c, FILE_GET, &st, err);
    if (s) return s;
    bind_path(st, 1, path);
    if ((s = bqb_db_step(c, st, found, err)) || !*found) return s;
    *f = (bqb_file){.sticker = sqlite3_column_int64(st, 0),
                    .size_bytes = (uint64_t)sqlite3_column_int64(st, 1),
                    .mtime_ns = sqlite3_column_int64(st, 2),
                    .missing = sqlite3_column_int(st, 3) != 0};
    sqlite3_reset(st);
    return BQB_OK;
}

/* Does the sticker still have files, and is one of them there? Whether it is shown may change by it. */
static bqb_status refresh(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, STICKER_REFRESH, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    s = bqb_db_run(c, st, err);
    return !s && sqlite3_changes(c->db) ? bqb_db_touch(c, id, err) : s;
}

static bqb_status remove_if_orphan(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = bqb_db_prepare(c, STICKER_ORPHAN, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    bool orphan = row && sqlite3_column_int(st, 0);
    if (row) sqlite3_reset(st);
    return orphan ? bqb_catalogue_remove(c, id, err) : BQB_OK;
}

bqb_status bqb_catalogue_remove_orphans(bqb_catalogue *c, bqb_err *err) {
    sqlite3_stmt *st;
    bool row = true;
    bqb_status s = BQB_OK;
    while (!s && row) {
        s = bqb_db_prepare(c, STICKER_ORPHANS, &st, err);
        if (!s) s = bqb_db_step(c, st, &row, err);
        if (s || !row) break;
        bqb_sticker_id id = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        s = bqb_catalogue_remove(c, id, err);
    }
    return s;
}

/* Say that path holds f; *left: the sticker that it held before, if another, else 0. */
static bqb_status hold(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_sticker_id *left, bqb_err *err) {
    bqb_file old;
    bool known;
    sqlite3_stmt *st;
    *left = 0;
    bqb_status s = bqb_catalogue_get_file(c, path, &old, &known, err);
    if (s) return s;
    if ((s = bqb_db_prepare(c, FILE_PUT, &st, err))) return s;
    bind_path(st, 1, path);
    sqlite3_bind_int64(st, 2, f->sticker);
    sqlite3_bind_int64(st, 3, (int64_t)f->size_bytes);
    sqlite3_bind_int64(st, 4, f->mtime_ns);
    sqlite3_bind_int(st, 5, f->missing);
    if ((s = bqb_db_run(c, st, err))) return s;
    if (!known || old.sticker != f->sticker || old.missing != f->missing) {
        c->added = true;
        s = refresh(c, f->sticker, err);
    }
    if (!s && known && old.sticker != f->sticker) {
        *left = old.sticker;
        s = refresh(c, old.sticker, err);
    }
    return s;
}

bqb_status bqb_catalogue_put_file(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_err *err) {
    bqb_sticker_id left;
    bqb_status s = hold(c, path, f, &left, err);
    return s || !left ? s : remove_if_orphan(c, left, err);
}

bqb_status bqb_catalogue_replace_file(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_err *err) {
    bqb_sticker_id left;
    return hold(c, path, f, &left, err);
}

bqb_status bqb_catalogue_drop_file(bqb_catalogue *c, const char *path, bqb_err *err) {
    bqb_file old;
    bool known;
    sqlite3_stmt *st;
    bqb_status s = bqb_catalogue_get_file(c, path, &old, &known, err);
    if (s || !known) return s;
    if ((s = bqb_db_prepare(c, FILE_DROP, &st, err))) return s;
    bind_path(st, 1, path);
    if ((s = bqb_db_run(c, st, err)) || old.missing) return s;
    c->added = true;
    return refresh(c, old.sticker, err);
}

/* Hand the rows (path, sticker, size, mtime, missing) of st to fn. */
bqb_status bqb_db_each_path(bqb_catalogue *c, sqlite3_stmt *st, bqb_path_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        bqb_file f = {.sticker = sqlite3_column_int64(st, 1),
                      .size_bytes = (uint64_t)sqlite3_column_int64(st, 2),
                      .mtime_ns = sqlite3_column_int64(st, 3),
                      .missing = sqlite3_column_int(st, 4) != 0};
        const char *bytes = sqlite3_column_blob(st, 0);
        char *path = bqb_strndup(bytes ? bytes : "", bytes ? (size_t)sqlite3_column_bytes(st, 0) : 0);
        if (!path) s = bqb_fail_nomem(err, "path", 1);
        else if (fn(ctx, path, &f)) s = bqb_fail(err, BQB_ECANCEL, "stopped");
        free(path);
        if (s) break;
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_file(bqb_catalogue *c, const char *beginning, bqb_path_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    size_t n = strlen(beginning);
    char *after = bqb_strndup(beginning, n); /* the first string that is past all with this beginning */
    if (!after) return bqb_fail_nomem(err, "path", n);
    while (n && (unsigned char)after[n - 1] == 0xFF) n--;
    if (n) after[n - 1]++;
    bqb_status s = bqb_db_prepare(c, FILE_EACH, &st, err);
    if (!s) {
        bind_path(st, 1, beginning);
        if (n) bind_blob(st, 2, after, n);
        s = bqb_db_each_path(c, st, fn, ctx, err);
    }
    free(after);
    return s;
}

bqb_status bqb_catalogue_each_file_of(bqb_catalogue *c, bqb_sticker_id id, bqb_path_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, FILE_EACH_OF, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    return bqb_db_each_path(c, st, fn, ctx, err);
}

/* A folder that was renamed and imported again leaves its old paths behind, so a
 * path that is there now goes before one that only was there at the last import. */
bqb_status bqb_catalogue_path_of(bqb_catalogue *c, bqb_sticker_id id, char **path, bool *missing, bqb_err *err) {
    sqlite3_stmt *st;
    bool row, found = false;
    *path = NULL;
    bqb_status s = bqb_db_prepare(c, FILE_OF, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    while (!(s = bqb_db_step(c, st, &row, err)) && row && !found) {
        const char *bytes = sqlite3_column_blob(st, 0);
        char *next = bqb_strndup(bytes ? bytes : "", bytes ? (size_t)sqlite3_column_bytes(st, 0) : 0);
        if (!next) {
            s = bqb_fail_nomem(err, "path", 1);
            break;
        }
        found = access(next, F_OK) == 0;
        if (*path && !found) {
            free(next);
            continue;
        }
        free(*path);
        *path = next;
        if (missing) *missing = sqlite3_column_int(st, 1) != 0;
    }
    if (!s && row) sqlite3_reset(st);
    if (!s && !*path) s = bqb_fail(err, BQB_ENOTFOUND, "sticker number %lld has no file", (long long)id);
    if (s) {
        sqlite3_reset(st);
        free(*path);
        *path = NULL;
    }
    return s;
}
