/* The library's database: its schema and statements, opening, transactions. What is
 * kept in it: catalogue_stickers.c, catalogue_words.c, catalogue_index.c, catalogue_readings.c, catalogue_vectors.c. */
#include "library/catalogue_db.h"

#include "base/fs.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x62716200, /* "bqb" */
    WAIT_MS = 10000,             /* for another writer */
    MOST_TOUCHED = 4096,         /* more are not worth telling apart */
};

#define ADDED /* in versions 3 to 6 */ \
    "CREATE TABLE IF NOT EXISTS reading(" \
    " sticker INTEGER PRIMARY KEY REFERENCES sticker ON DELETE CASCADE, reader TEXT NOT NULL, text TEXT NOT NULL);" \
    "CREATE INDEX IF NOT EXISTS sticker_missing ON sticker(id) WHERE missing = 1;" \
    /* frames: sketches; compared: with all that are compared; first: the first of its group, 0 outside of groups */ \
    "CREATE TABLE IF NOT EXISTS sketch(" \
    " sticker INTEGER PRIMARY KEY REFERENCES sticker ON DELETE CASCADE, frames BLOB NOT NULL," \
    " compared INTEGER NOT NULL DEFAULT 0, first INTEGER NOT NULL DEFAULT 0);" \
    "CREATE INDEX IF NOT EXISTS sketch_new ON sketch(sticker) WHERE compared = 0;" \
    "CREATE INDEX IF NOT EXISTS sketch_first ON sketch(first) WHERE first > 0;" \
    "CREATE TABLE IF NOT EXISTS likeness(" /* a < b */ \
    " a INTEGER NOT NULL REFERENCES sticker ON DELETE CASCADE, b INTEGER NOT NULL REFERENCES sticker ON DELETE CASCADE," \
    " kind INTEGER NOT NULL, PRIMARY KEY(a, b)) WITHOUT ROWID;" \
    "CREATE INDEX IF NOT EXISTS likeness_b ON likeness(b);" \
    "CREATE TABLE IF NOT EXISTS keeper(sticker INTEGER PRIMARY KEY REFERENCES sticker ON DELETE CASCADE);" \
    /* generation: of the last change of this sticker or its vectors, for caches; the sticker may be gone */ \
    "CREATE TABLE IF NOT EXISTS touched(sticker INTEGER PRIMARY KEY, generation INTEGER NOT NULL);"

/* `missing` in sticker is "none of its files is there"; it is derived, and kept
 * because every search asks for it. `words` is contentless: its rows are taken
 * out by giving the same text again, so annotations change only through
 * bqb_catalogue_annotate. Grams are stored in hex, which no tokenizer splits. */
static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('generation', 1), ('uid', lower(hex(randomblob(16))));"
    "CREATE TABLE sticker("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " sha256 BLOB NOT NULL UNIQUE CHECK(typeof(sha256) = 'blob' AND length(sha256) = 32),"
    " size_bytes INTEGER NOT NULL, format TEXT NOT NULL,"
    " width INTEGER NOT NULL, height INTEGER NOT NULL, frames INTEGER NOT NULL, duration_ms INTEGER NOT NULL,"
    " added INTEGER NOT NULL, missing INTEGER NOT NULL DEFAULT 0, grams INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX sticker_animated ON sticker(id) WHERE frames > 1;"
    "CREATE TABLE file("
    " path BLOB PRIMARY KEY,"
    " sticker INTEGER NOT NULL REFERENCES sticker ON DELETE CASCADE,"
    " size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, missing INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE INDEX file_sticker ON file(sticker);"
    "CREATE TABLE annotation("
    " sticker INTEGER NOT NULL REFERENCES sticker ON DELETE CASCADE,"
    " field TEXT NOT NULL, origin INTEGER NOT NULL, value TEXT NOT NULL, score REAL NOT NULL, path BLOB,"
    " PRIMARY KEY(sticker, field, origin)) WITHOUT ROWID;"
    "CREATE INDEX annotation_value ON annotation(field, value);"
    ADDED
    "CREATE TABLE model(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL);"
    "CREATE TABLE embedding("
    " id INTEGER PRIMARY KEY, model INTEGER NOT NULL REFERENCES model, kind TEXT NOT NULL,"
    " sticker INTEGER NOT NULL REFERENCES sticker ON DELETE CASCADE,"
    " vector BLOB NOT NULL, UNIQUE(model, kind, sticker));" /* by rowid: a kilobyte does not fit into an index page */
    "CREATE INDEX embedding_sticker ON embedding(sticker);"
    "CREATE VIRTUAL TABLE words USING fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii');"
    "CREATE VIRTUAL TABLE words_count USING fts5vocab('words', 'row');";

#define BELIEVED                                                                                                \
    " NOT EXISTS(SELECT 1 FROM annotation b WHERE b.sticker = a.sticker AND b.field = a.field AND b.origin < a.origin)"

/* Every statement, prepared when first used and kept. */

static const char *const sql[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [LOOK] = "SAVEPOINT look",
    [LOOKED] = "RELEASE look",
    [BUMP] = "UPDATE meta SET value = value + 1 WHERE key = 'generation'",
    [RESHAPE] = "INSERT OR REPLACE INTO meta SELECT 'reshaped', value FROM meta WHERE key = 'generation'",
    [KEEP_SHAPE] = "INSERT OR IGNORE INTO meta SELECT 'reshaped', value FROM meta WHERE key = 'generation'",
    [TOUCH] = "INSERT OR REPLACE INTO touched SELECT ?, value + 1 FROM meta WHERE key = 'generation'",
    [TOUCHED] = "SELECT sticker FROM touched WHERE generation > ? ORDER BY sticker",
    [TOUCHED_COUNT] = "SELECT count(*) FROM touched",
    [TOUCHED_CLEAR] = "DELETE FROM touched",
    [RESHAPED] = "SELECT value FROM meta WHERE key = 'reshaped'",
    [GENERATION] = "SELECT value FROM meta WHERE key = 'generation'",
    [UID] = "SELECT value FROM meta WHERE key = 'uid'",
    [STICKER_ADD] = "INSERT INTO sticker(sha256, size_bytes, format, width, height, frames, duration_ms, added)"
                    " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [STICKER_GET] = "SELECT sha256, size_bytes, format, width, height, frames, duration_ms, added"
                    " FROM sticker WHERE id = ?",
    [STICKER_FIND] = "SELECT id FROM sticker WHERE sha256 = ?",
    [STICKER_PREFIX] = "SELECT id FROM sticker WHERE sha256 BETWEEN ? AND ? LIMIT 2",
    [STICKER_NEIGHBOURS] = "SELECT (SELECT max(sha256) FROM sticker WHERE sha256 < ?1),"
                           " (SELECT min(sha256) FROM sticker WHERE sha256 > ?1)",
    [STICKER_DELETE] = "DELETE FROM sticker WHERE id = ?",
    [STICKER_REFRESH] = "UPDATE sticker SET missing = NOT missing WHERE id = ?1 AND missing <> (NOT EXISTS("
                        "SELECT 1 FROM file WHERE sticker = ?1 AND missing = 0))",
    [STICKER_ORPHAN] = "SELECT NOT EXISTS(SELECT 1 FROM file WHERE sticker = ?)",
    [STICKER_ORPHANS] = "SELECT id FROM sticker s WHERE missing = 1 AND NOT EXISTS(SELECT 1 FROM file f"
                        " WHERE f.sticker = s.id) LIMIT 1",
    [STICKER_AFTER] = "SELECT min(id) FROM sticker WHERE id > ?",
    [FILE_GET] = "SELECT sticker, size_bytes, mtime_ns, missing FROM file WHERE path = ?",
    [FILE_PUT] = "INSERT INTO file(path, sticker, size_bytes, mtime_ns, missing) VALUES(?, ?, ?, ?, ?)"
                 " ON CONFLICT(path) DO UPDATE SET sticker = excluded.sticker, size_bytes = excluded.size_bytes,"
                 " mtime_ns = excluded.mtime_ns, missing = excluded.missing",
    [FILE_DROP] = "DELETE FROM file WHERE path = ?",
    [FILE_EACH] = "SELECT path, sticker, size_bytes, mtime_ns, missing FROM file"
                  " WHERE path >= ?1 AND (?2 IS NULL OR path < ?2) ORDER BY path",
    [FILE_EACH_OF] = "SELECT path, sticker, size_bytes, mtime_ns, missing FROM file WHERE sticker = ?"
                     " ORDER BY missing, path",
    [FILE_OF] = "SELECT path, missing FROM file WHERE sticker = ? ORDER BY missing, path",
    [ANNOTATION_GET] = "SELECT a.value, a.score, (a.path IS NULL AND a.origin IN (-1, 1, 2)) OR (a.path <> ?4 AND EXISTS("
                       "SELECT 1 FROM file f WHERE f.path = a.path AND f.sticker = a.sticker AND f.missing = 0)), a.path IS ?4"
                       " FROM annotation a WHERE a.sticker = ?1 AND a.field = ?2 AND a.origin = ?3",
    [ANNOTATION_PUT] = "INSERT INTO annotation(sticker, field, origin, value, score, path) VALUES(?, ?, ?, ?, ?, ?)"
                       " ON CONFLICT DO UPDATE SET value = excluded.value, score = excluded.score,"
                       " path = excluded.path",
    [ANNOTATION_ALL] = "SELECT field, origin, value, score FROM annotation WHERE sticker = ?"
                       " ORDER BY field, origin DESC",
    [ANNOTATION_VALUES] = "SELECT a.value, count(*) AS n FROM annotation a JOIN sticker s ON s.id = a.sticker"
                          " WHERE a.field = ? AND s.missing = 0 AND" BELIEVED
                          " GROUP BY a.value ORDER BY n DESC, a.value",
    [ANNOTATION_GIVEN] = "SELECT a.value, count(*) AS n FROM annotation a JOIN sticker s ON s.id = a.sticker"
                         " WHERE a.field = ? AND a.origin <= 0 AND s.missing = 0 AND" BELIEVED
                         " GROUP BY a.value ORDER BY n DESC, a.value",
    [ANNOTATION_ORIGINS] = "SELECT a.field, a.origin, count(*) FROM annotation a JOIN sticker s ON s.id = a.sticker"
                           " WHERE s.missing = 0 AND" BELIEVED " GROUP BY a.field, a.origin",
    [ANNOTATION_WITH] = "SELECT a.sticker FROM annotation a WHERE a.field = ? AND a.value = ? AND" BELIEVED
                        " ORDER BY a.sticker",
    [ANNOTATION_FORGET] = "DELETE FROM annotation WHERE sticker = ? AND field = ? AND origin = ?",
    [ANNOTATION_OF_PATH] = "SELECT field, origin FROM annotation WHERE sticker = ? AND path = ? AND origin <> 3",
    [READING_PUT] = "INSERT INTO reading(sticker, reader, text) VALUES(?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET reader = excluded.reader, text = excluded.text",
    [READING_NONE] = "INSERT INTO reading(sticker, reader, text) VALUES(?, ?, '') ON CONFLICT DO NOTHING",
    [READING_GET] = "SELECT reader, text FROM reading WHERE sticker = ?",
    [READING_LACKING] = "SELECT id FROM sticker s WHERE missing = 0 AND NOT EXISTS(SELECT 1 FROM reading r"
                        " WHERE r.sticker = s.id) AND NOT EXISTS(SELECT 1 FROM annotation a WHERE a.sticker = s.id"
                        " AND a.field = 'ocr' AND a.origin = 0) ORDER BY id",
    [ANIMATED] = "SELECT id FROM sticker WHERE frames > 1 ORDER BY id",
    [SHOWN] = "SELECT id FROM sticker WHERE missing = 0 ORDER BY id",
    [WORDS_ADD] = "INSERT INTO words(rowid, grams) VALUES(?, ?)",
    [WORDS_DELETE] = "INSERT INTO words(words, rowid, grams) VALUES('delete', ?, ?)",
    [WORDS_DELETE_ALL] = "INSERT INTO words(words) VALUES('delete-all')",
    [WORDS_LENGTH] = "UPDATE sticker SET grams = ?2 WHERE id = ?1",
    [WORDS_COUNT] = "SELECT doc FROM words_count WHERE term = ?",
    [SAID] = "SELECT field, origin, value, score FROM annotation WHERE sticker = ? ORDER BY field, origin",
    [SPOKEN] = "SELECT value FROM annotation WHERE sticker = ? AND field IN ('caption', 'ocr')"
               " ORDER BY field DESC, origin LIMIT 1",
    [MISSING] = "SELECT id FROM sticker WHERE missing = 1 ORDER BY id",
    [WORDS_MATCH] = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid",
    [WORDS_ROWS] = "SELECT coalesce(max(id), 0) FROM sticker",
    [WORDS_SHARE] = "SELECT coalesce(avg(grams > 0), 0) FROM sticker WHERE missing = 0",
    [MODEL_ADD] = "INSERT INTO model(name, dim) VALUES(?, ?) ON CONFLICT DO NOTHING",
    [EMBEDDING_PUT] = "INSERT INTO embedding(model, kind, sticker, vector)"
                      " SELECT id, ?2, ?3, ?4 FROM model WHERE name = ?1 AND dim = ?5"
                      " ON CONFLICT(model, kind, sticker) DO UPDATE SET vector = excluded.vector",
    [EMBEDDING_HAS] = "SELECT 1 FROM embedding e JOIN model m ON m.id = e.model"
                      " WHERE m.name = ? AND e.kind = ? AND e.sticker = ?",
    [EMBEDDING_ANY] = "SELECT 1 FROM model m WHERE m.name = ?1 AND EXISTS(SELECT 1 FROM embedding e"
                      " WHERE e.model = m.id AND e.kind = ?2)",
    [EMBEDDING_GET] = "SELECT m.name, e.vector FROM embedding e JOIN model m ON m.id = e.model"
                      " WHERE e.sticker = ?1 AND e.kind = ?2 AND (?3 IS NULL OR m.name = ?3) ORDER BY m.id DESC LIMIT 1",
    [EMBEDDING_COUNT] = "SELECT m.dim, count(*) FROM model m JOIN embedding e ON e.model = m.id"
                        " JOIN sticker s ON s.id = e.sticker WHERE m.name = ? AND e.kind = ? AND s.missing = 0",
    [EMBEDDING_EACH] = "SELECT e.sticker, e.vector, m.dim FROM model m JOIN embedding e ON e.model = m.id"
                       " JOIN sticker s ON s.id = e.sticker WHERE m.name = ? AND e.kind = ? AND s.missing = 0"
                       " ORDER BY e.sticker",
    [EMBEDDING_AFTER] = "SELECT e.sticker, e.vector, m.dim FROM model m JOIN embedding e ON e.model = m.id"
                        " JOIN sticker s ON s.id = e.sticker WHERE m.name = ? AND e.kind = ? AND e.sticker > ?"
                        " AND s.missing = 0 ORDER BY e.sticker",
    [EMBEDDING_TOUCHED] = "SELECT e.sticker, e.vector, m.dim FROM touched t JOIN model m JOIN embedding e ON e.model = m.id"
                          " AND e.sticker = t.sticker JOIN sticker s ON s.id = e.sticker WHERE m.name = ? AND e.kind = ?"
                          " AND t.generation > ? AND s.missing = 0 ORDER BY e.sticker",
    [EMBEDDING_LAST] = "SELECT max(coalesce((SELECT max(e.sticker) FROM embedding e WHERE e.model = (SELECT id FROM model"
                       " WHERE name = ?) AND e.kind = ?), 0), coalesce((SELECT max(sticker) FROM touched), 0))",
    [EMBEDDING_LACKING] = "SELECT min(f.path), f.sticker, f.size_bytes, f.mtime_ns, 0 FROM file f"
                          " WHERE f.missing = 0 AND f.sticker IN(SELECT s.id FROM sticker s WHERE s.missing = 0 AND"
                          " NOT EXISTS(SELECT 1 FROM embedding e WHERE e.model = (SELECT id FROM model WHERE name = ?)"
                          " AND e.kind = ? AND e.sticker = s.id)) GROUP BY f.sticker ORDER BY 1",
    [EMBEDDING_STALE] = "DELETE FROM embedding WHERE sticker = ? AND kind = 'text'",
    [UNWORDED] = "SELECT s.id FROM sticker s WHERE s.missing = 0 AND NOT EXISTS(SELECT 1 FROM embedding e"
                 " WHERE e.model = (SELECT id FROM model WHERE name = ?) AND e.kind = 'text' AND e.sticker = s.id)"
                 " AND EXISTS(SELECT 1 FROM annotation a WHERE a.sticker = s.id AND a.field IN ('caption', 'ocr'))"
                 " ORDER BY s.id",
    [MODEL_MAIN] = "SELECT m.name FROM model m JOIN embedding e ON e.model = m.id GROUP BY m.id"
                   " ORDER BY count(*) DESC, m.id DESC LIMIT 1",
    [SKETCH_PUT] = "INSERT INTO sketch(sticker, frames) VALUES(?, ?) ON CONFLICT(sticker) DO NOTHING",
    [SKETCH_LACKING] = "SELECT id FROM sticker s WHERE missing = 0 AND NOT EXISTS(SELECT 1 FROM sketch k"
                       " WHERE k.sticker = s.id) ORDER BY id",
    [SKETCH_EACH] = "SELECT sticker, frames, compared FROM sketch ORDER BY sticker",
    [SKETCH_NEW] = "SELECT count(*) FROM sketch WHERE compared = 0",
    [SKETCH_COMPARED] = "UPDATE sketch SET compared = 1 WHERE sticker = ?",
    [LIKENESS_PUT] = "INSERT INTO likeness(a, b, kind) SELECT min(?1, ?2), max(?1, ?2), ?3"
                     " WHERE EXISTS(SELECT 1 FROM sticker WHERE id = ?1) AND EXISTS(SELECT 1 FROM sticker WHERE id = ?2)"
                     " ON CONFLICT(a, b) DO UPDATE SET kind = excluded.kind",
    [LIKENESS_GET] = "SELECT kind FROM likeness WHERE a = min(?1, ?2) AND b = max(?1, ?2)",
    [LIKENESS_EACH] = "SELECT a, b FROM likeness WHERE kind = ? ORDER BY a, b",
    [GROUP_RANK] = "SELECT frames, width * height FROM sticker WHERE id = ?",
    [GROUP_CLEAR] = "UPDATE sketch SET first = 0 WHERE first > 0",
    [GROUP_SET] = "UPDATE sketch SET first = ?2 WHERE sticker = ?1",
    [GROUP_OF] = "SELECT k.first, (SELECT p.sticker FROM sketch g JOIN keeper p ON p.sticker = g.sticker"
                 "  JOIN sticker t ON t.id = g.sticker WHERE g.first = k.first AND g.first > 0 AND t.missing = 0"
                 "  ORDER BY p.sticker LIMIT 1),"
                 " (SELECT count(*) FROM sketch g JOIN sticker t ON t.id = g.sticker"
                 "  WHERE g.first = k.first AND g.first > 0 AND t.missing = 0 AND g.sticker <> k.sticker)"
                 " FROM sketch k WHERE k.sticker = ?",
    [GROUP_EACH] = "SELECT k.first, k.sticker FROM sketch k JOIN sticker t ON t.id = k.sticker"
                   " WHERE k.first > 0 AND t.missing = 0 ORDER BY k.first, k.sticker",
    [KEEPER_PUT] = "INSERT INTO keeper(sticker) VALUES(?) ON CONFLICT(sticker) DO NOTHING",
    [KEEPER_DROP] = "DELETE FROM keeper WHERE sticker IN (SELECT g.sticker FROM sketch k JOIN sketch g ON g.first = k.first"
                    " AND g.first > 0 WHERE k.sticker = ?1) OR sticker = ?1",
    [STATS] = "SELECT (SELECT count(*) FROM sticker WHERE missing = 0),"
              " (SELECT count(*) FROM sticker WHERE missing = 0 AND frames > 1),"
              " (SELECT count(*) FROM file WHERE missing = 0),"
              " (SELECT count(*) FROM sticker WHERE missing = 1),"
              " (SELECT count(*) FROM sticker s WHERE s.missing = 0 AND EXISTS(SELECT 1 FROM embedding e"
              "  WHERE e.sticker = s.id)),"
              " (SELECT count(*) FROM model m WHERE EXISTS(SELECT 1 FROM embedding e WHERE e.model = m.id)),"
              " (SELECT coalesce(sum(size_bytes), 0) FROM sticker WHERE missing = 0)",
    [STATS_FIELD] = "SELECT count(*) FROM sticker s WHERE s.missing = 0 AND EXISTS(SELECT 1 FROM annotation a"
                    " WHERE a.sticker = s.id AND a.field = ?)",
};

/* ---- errors and statements ---- */

bqb_status bqb_db_fail(const bqb_catalogue *c, int rc, bqb_err *err) {
    const char *why = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    switch (rc & 0xFF) {
    case SQLITE_FULL:
        return bqb_fail(err, BQB_EIO, "%s: the disk is full", c->path);
    case SQLITE_IOERR: {
        int e = c->db ? sqlite3_system_errno(c->db) : 0;
        if (e == ENOSPC || e == EDQUOT) return bqb_fail(err, BQB_EIO, "%s: the disk is full", c->path);
        if (rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_SHMSIZE)
            return bqb_fail(err, BQB_EIO, "%s: cannot be written (is the disk full?): %s", c->path, e ? strerror(e) : why);
        return bqb_fail(err, BQB_EIO, "%s: %s%s%s", c->path, why, e ? ": " : "", e ? strerror(e) : "");
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return bqb_fail(err, BQB_EIO, "%s: another bqb is writing to it (waited %d seconds)", c->path, WAIT_MS / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return bqb_fail(err, BQB_EFORMAT, "%s: damaged, or not a library (%s). Your pictures are untouched: move this file "
                        "away and import again, or save what can be saved with `sqlite3 FILE .recover`", c->path, why);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return bqb_fail(err, BQB_EIO, "%s: %s (is the folder writable?)", c->path, why);
    case SQLITE_NOMEM:
        return bqb_fail(err, BQB_ENOMEM, "%s: out of memory", c->path);
    case SQLITE_TOOBIG:
        return bqb_fail(err, BQB_ELIMIT, "%s: %s", c->path, why);
    default:
        return bqb_fail(err, BQB_EFORMAT, "%s: %s", c->path, why);
    }
}

/* A statement ready for its values. */
bqb_status bqb_db_prepare(bqb_catalogue *c, bqb_statement which, sqlite3_stmt **out, bqb_err *err) {
    *out = c->st[which];
    if (*out) {
        sqlite3_reset(*out);
        sqlite3_clear_bindings(*out);
        return BQB_OK;
    }
    int rc = sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (rc) return bqb_db_fail(c, rc, err);
    c->st[which] = *out;
    return BQB_OK;
}

/* One row, or none; the statement stays open on a row. */
bqb_status bqb_db_step(bqb_catalogue *c, sqlite3_stmt *st, bool *row, bqb_err *err) {
    int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) return BQB_OK;
    bqb_status s = rc == SQLITE_DONE ? BQB_OK : bqb_db_fail(c, rc, err);
    sqlite3_reset(st);
    return s;
}

/* To the end, with no rows wanted. */
bqb_status bqb_db_run(bqb_catalogue *c, sqlite3_stmt *st, bqb_err *err) {
    bool row;
    bqb_status s = bqb_db_step(c, st, &row, err);
    if (row) sqlite3_reset(st);
    return s;
}

bqb_status bqb_db_run_plain(bqb_catalogue *c, bqb_statement which, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, which, &st, err);
    return s ? s : bqb_db_run(c, st, err);
}

static bqb_status exec(bqb_catalogue *c, const char *text, bqb_err *err) {
    int rc = sqlite3_exec(c->db, text, NULL, NULL, NULL);
    return rc ? bqb_db_fail(c, rc, err) : BQB_OK;
}

/* A number that one query gives. */
static bqb_status pragma(bqb_catalogue *c, const char *text, int64_t *out, bqb_err *err) {
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(c->db, text, -1, &st, NULL);
    if (rc) return bqb_db_fail(c, rc, err);
    bool row;
    bqb_status s = bqb_db_step(c, st, &row, err);
    *out = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return s;
}

/* ---- opening ---- */

/* file:PATH?immutable=1 with everything but plain characters escaped. */
static char *immutable_uri(const char *path) {
    bqb_buf b = {.max = 1 << 16};
    bqb_status s = bqb_buf_puts(&b, "file:", NULL);
    for (; *path && !s; path++) {
        unsigned char ch = (unsigned char)*path;
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
                     strchr("/._-", ch);
        s = plain ? bqb_buf_append(&b, path, 1, NULL) : bqb_buf_printf(&b, NULL, "%%%02X", ch);
    }
    if (!s) s = bqb_buf_puts(&b, "?immutable=1", NULL);
    if (s) bqb_buf_free(&b);
    return b.data;
}

static bqb_status connect(bqb_catalogue *c, const char *name, int flags, bqb_err *err) {
    sqlite3_close(c->db);
    c->db = NULL;
    int rc = sqlite3_open_v2(name, &c->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc) return bqb_db_fail(c, rc, err);
    struct stat st;
    if (stat(c->path, &st)) return bqb_fail_errno(err, "%s", c->path);
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, WAIT_MS);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return exec(c, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;", err);
}

/* Is it ours, and of a version that we know? 0: an empty database. */
static bqb_status check_version(bqb_catalogue *c, int64_t *version, bqb_err *err) {
    int64_t application, tables;
    bqb_status s = pragma(c, "PRAGMA user_version", version, err);
    c->version = *version;
    if (!s) s = pragma(c, "PRAGMA application_id", &application, err);
    if (!s) s = pragma(c, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (s) return s;
    if (!*version && !application && !tables) return BQB_OK;
    if (application != APPLICATION_ID)
        return bqb_fail(err, BQB_EFORMAT, "%s: a database of another program, not a bqb library", c->path);
    if (*version > BQB_CATALOGUE_VERSION)
        return bqb_fail(err, BQB_EVERSION, "%s: written by a newer bqb (version %lld; this one reads up to %d)", c->path,
                        (long long)*version, BQB_CATALOGUE_VERSION);
    if (*version < 1)
        return bqb_fail(err, BQB_EFORMAT, "%s: damaged (version %lld)", c->path, (long long)*version);
    return BQB_OK;
}

/* Two processes may get here at once: one makes the tables, the other finds them. */
static bqb_status create(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    bqb_status s = exec(c, "BEGIN IMMEDIATE", err);
    if (!s) s = check_version(c, &version, err);
    if (!s && !version) {
        char ids[100];
        s = exec(c, schema, err);
        snprintf(ids, sizeof ids, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
                 BQB_CATALOGUE_VERSION);
        if (!s) s = exec(c, ids, err);
    }
    if (!s) s = exec(c, "COMMIT", err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

/* Bring an older library up to date, all of it or nothing. */
static bqb_status upgrade(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    bqb_status s = bqb_catalogue_begin(c, err);
    if (!s) s = check_version(c, &version, err);
    if (!s && version < BQB_CATALOGUE_VERSION) { /* no other process was quicker */
        char set[60];
        s = exec(c, ADDED, err);
        if (!s && version < 4) s = bqb_db_words_rebuild(c, err);
        snprintf(set, sizeof set, "PRAGMA user_version = %d", BQB_CATALOGUE_VERSION);
        if (!s) s = exec(c, set, err);
    }
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

/* Switching to WAL needs the database alone and does not wait for it by itself. */
static bqb_status use_wal(bqb_catalogue *c, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int tries = 0; tries < WAIT_MS / 50; tries++) {
        int rc = sqlite3_exec(c->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xFF) != SQLITE_BUSY && (rc & 0xFF) != SQLITE_LOCKED) {
            s = rc ? bqb_db_fail(c, rc, err) : BQB_OK;
            /* A kill loses nothing; a power cut may undo the last commits, which the next import repeats. */
            return s ? s : exec(c, "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000", err);
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return bqb_db_fail(c, SQLITE_BUSY, err);
}

/* No room for the index of a log, and no log either: what is in the database is all there is. */
static bool is_whole_on_full_disk(const bqb_catalogue *c) {
    int e = sqlite3_system_errno(c->db), rc = sqlite3_extended_errcode(c->db);
    struct stat st;
    if (e != ENOSPC && e != EDQUOT && (rc & 0xFF) != SQLITE_FULL && rc != SQLITE_IOERR_SHMSIZE) return false;
    char *name = bqb_asprintf("%s-wal", c->path);
    bool whole = name && (stat(name, &st) ? errno == ENOENT : !st.st_size);
    free(name);
    return whole;
}

static bqb_status open_to_read(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    bqb_err first;
    bqb_status s = connect(c, c->path, SQLITE_OPEN_READONLY, &first);
    if (!s) s = check_version(c, &version, &first);
    if (s == BQB_EIO && (access(c->dir, W_OK) || is_whole_on_full_disk(c))) {
        /* WAL needs to write beside the database; nobody can change this one, or has room to, so look at it as it is. */
        char *uri = immutable_uri(c->path);
        if (!uri) return bqb_fail_nomem(err, c->path, strlen(c->path));
        s = connect(c, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, &first);
        if (!s) s = check_version(c, &version, &first);
        free(uri);
    }
    if (s) {
        if (err) *err = first;
        return s;
    }
    if (!version) return bqb_fail(err, BQB_ENOTFOUND, "%s: an empty library; `bqb import FOLDER` fills it", c->dir);
    if (version < BQB_CATALOGUE_VERSION && !access(c->dir, W_OK) && !access(c->path, W_OK)) {
        bqb_catalogue *w;
        if (!bqb_catalogue_open(&w, c->dir, BQB_CATALOGUE_WRITE, NULL)) bqb_catalogue_close(w);
        return check_version(c, &version, err);
    }
    return BQB_OK;
}

static bqb_status open_to_write(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    struct stat st;
    bqb_status s = bqb_make_dirs(c->dir, err);
    if (!s && !stat(c->path, &st) && !S_ISREG(st.st_mode)) s = bqb_fail(err, BQB_EFORMAT, "%s: not a regular file", c->path);
    if (!s) s = bqb_db_check_not_lost(c, err);
    if (!s) s = connect(c, c->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!s) s = check_version(c, &version, err);
    if (!s) s = use_wal(c, err);
    if (!s && !version) s = create(c, err);
    if (!s && version && version < BQB_CATALOGUE_VERSION) s = upgrade(c, err);
    c->version = BQB_CATALOGUE_VERSION;
    return s;
}

bqb_status bqb_catalogue_open(bqb_catalogue **out, const char *dir, bqb_catalogue_mode mode, bqb_err *err) {
    *out = NULL;
    bqb_catalogue *c = bqb_calloc(1, sizeof *c);
    if (!c) return bqb_fail_nomem(err, dir, sizeof *c);
    bqb_status s;
    c->dir = bqb_strdup(dir);
    c->path = bqb_path_join(dir, "library.db");
    if (!c->dir || !c->path) s = bqb_fail_nomem(err, dir, strlen(dir));
    else if (!*dir) s = bqb_fail(err, BQB_EINVAL, "no library is named: -L, $BQB_LIBRARY or $HOME is needed");
    else if (mode == BQB_CATALOGUE_WRITE) s = open_to_write(c, err);
    else {
        s = bqb_db_check_there(c, err);
        if (!s) s = open_to_read(c, err);
    }
    if (s) {
        bqb_catalogue_close(c);
        return s;
    }
    *out = c;
    return BQB_OK;
}

void bqb_catalogue_close(bqb_catalogue *c) {
    if (!c) return;
    for (int i = 0; i < N_STATEMENTS; i++) sqlite3_finalize(c->st[i]);
    sqlite3_close(c->db);
    free(c->dir);
    free(c->path);
    free(c);
}

const char *bqb_catalogue_dir(const bqb_catalogue *c) { return c->dir; }

/* ---- transactions ---- */

bqb_status bqb_catalogue_begin(bqb_catalogue *c, bqb_err *err) {
    c->changed = c->touched = c->added = c->regroup = false;
    bqb_status s = bqb_catalogue_check_place(c, err);
    return s ? s : bqb_db_run_plain(c, BEGIN, err);
}

bqb_status bqb_db_touch(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, TOUCH, &st, err);
    if (s) return s;
    c->touched = true;
    sqlite3_bind_int64(st, 1, id);
    return bqb_db_run(c, st, err);
}

/* Where very many were touched it is no use to know which. */
static bqb_status forget_touched(bqb_catalogue *c, bqb_err *err) {
    sqlite3_stmt *st;
    bool row = false;
    bqb_status s = c->touched ? bqb_db_prepare(c, TOUCHED_COUNT, &st, err) : BQB_OK;
    if (!s && c->touched) s = bqb_db_step(c, st, &row, err);
    if (row) {
        if (sqlite3_column_int64(st, 0) > MOST_TOUCHED) c->changed = true;
        sqlite3_reset(st);
    }
    return !s && c->changed ? bqb_db_run_plain(c, TOUCHED_CLEAR, err) : s;
}

bqb_status bqb_catalogue_commit(bqb_catalogue *c, bqb_err *err) {
    bqb_status s = c->regroup ? bqb_db_regroup(c, err) : BQB_OK;
    if (!s && (c->changed || c->touched || c->added)) {
        s = forget_touched(c, err);
        if (!s) s = bqb_db_run_plain(c, BUMP, err);
        if (!s) s = bqb_db_run_plain(c, c->changed ? RESHAPE : KEEP_SHAPE, err);
    }
    return s ? s : bqb_db_run_plain(c, COMMIT, err);
}

void bqb_catalogue_rollback(bqb_catalogue *c) {
    for (int i = 0; i < N_STATEMENTS; i++)
        if (c->st[i]) sqlite3_reset(c->st[i]);
    if (c->db && !sqlite3_get_autocommit(c->db)) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

bqb_status bqb_catalogue_look(bqb_catalogue *c, bqb_err *err) { return bqb_db_run_plain(c, LOOK, err); }

void bqb_catalogue_looked(bqb_catalogue *c) { bqb_db_run_plain(c, LOOKED, NULL); }

bqb_status bqb_catalogue_generation(bqb_catalogue *c, uint64_t *generation, char uid[33], bqb_err *err) {
    sqlite3_stmt *st;
    bool row = false;
    bqb_status s = bqb_db_prepare(c, GENERATION, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (row) *generation = (uint64_t)sqlite3_column_int64(st, 0);
    if (!s && row) {
        sqlite3_reset(st);
        s = bqb_db_prepare(c, UID, &st, err);
        if (!s) s = bqb_db_step(c, st, &row, err);
    }
    if (s) return s;
    const unsigned char *text = row ? sqlite3_column_text(st, 0) : NULL;
    if (!text || strlen((const char *)text) != 32) s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (no identity)", c->path);
    else memcpy(uid, text, 33);
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_reshaped(bqb_catalogue *c, uint64_t *generation, bqb_err *err) {
    sqlite3_stmt *st;
    bool row = false;
    *generation = UINT64_MAX;
    bqb_status s = bqb_db_prepare(c, RESHAPED, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (row) *generation = (uint64_t)sqlite3_column_int64(st, 0);
    if (row) sqlite3_reset(st);
    return s;
}
