#include "library/catalogue.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "file/safetensors.h"
#include "text/grams.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x62716200, /* "bqb" */
    WAIT_MS = 10000,             /* for another writer */
    MAX_VALUE = 4096,            /* bytes of one annotation; longer ones are cut at a character */
    MAX_WORDS = 1 << 20,         /* bytes of a sticker's grams */
    MAX_GRAM = 64,               /* longer runs of letters are no words */
    MAX_DIM = 65536,
};

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
typedef enum {
    BEGIN, COMMIT, ROLLBACK, BUMP, GENERATION, UID,
    STICKER_ADD, STICKER_GET, STICKER_FIND, STICKER_PREFIX, STICKER_NEIGHBOURS, STICKER_DELETE, STICKER_REFRESH,
    STICKER_ORPHAN, FILE_GET, FILE_PUT, FILE_EACH, FILE_EACH_OF, FILE_OF,
    ANNOTATION_GET, ANNOTATION_PUT, ANNOTATION_ALL, ANNOTATION_VALUES, ANNOTATION_WITH, ANIMATED, SHOWN,
    WORDS_ADD, WORDS_DELETE, WORDS_LENGTH, WORDS_COUNT, WORDS_MATCH, WORDS_ROWS,
    MODEL_ADD, EMBEDDING_PUT, EMBEDDING_HAS, EMBEDDING_ANY, EMBEDDING_GET, EMBEDDING_COUNT, EMBEDDING_EACH, EMBEDDING_LACKING, MODEL_MAIN,
    STATS, STATS_FIELD,
    N_STATEMENTS
} statement;

static const char *const sql[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [BUMP] = "UPDATE meta SET value = value + 1 WHERE key = 'generation'",
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
    [STICKER_REFRESH] = "UPDATE sticker SET missing = NOT EXISTS(SELECT 1 FROM file WHERE sticker = ?1 AND"
                        " missing = 0) WHERE id = ?1",
    [STICKER_ORPHAN] = "SELECT NOT EXISTS(SELECT 1 FROM file WHERE sticker = ?)",
    [FILE_GET] = "SELECT sticker, size_bytes, mtime_ns, missing FROM file WHERE path = ?",
    [FILE_PUT] = "INSERT INTO file(path, sticker, size_bytes, mtime_ns, missing) VALUES(?, ?, ?, ?, ?)"
                 " ON CONFLICT(path) DO UPDATE SET sticker = excluded.sticker, size_bytes = excluded.size_bytes,"
                 " mtime_ns = excluded.mtime_ns, missing = excluded.missing",
    [FILE_EACH] = "SELECT path, sticker, size_bytes, mtime_ns, missing FROM file"
                  " WHERE path >= ?1 AND (?2 IS NULL OR path < ?2) ORDER BY path",
    [FILE_EACH_OF] = "SELECT path, sticker, size_bytes, mtime_ns, missing FROM file WHERE sticker = ?"
                     " ORDER BY missing, path",
    [FILE_OF] = "SELECT path, missing FROM file WHERE sticker = ? ORDER BY missing, path LIMIT 1",
    [ANNOTATION_GET] = "SELECT a.value, a.score, a.path IS NOT NULL AND a.path <> ?4 AND EXISTS(SELECT 1 FROM file f"
                       " WHERE f.path = a.path AND f.sticker = a.sticker AND f.missing = 0), a.path IS ?4"
                       " FROM annotation a WHERE a.sticker = ?1 AND a.field = ?2 AND a.origin = ?3",
    [ANNOTATION_PUT] = "INSERT INTO annotation(sticker, field, origin, value, score, path) VALUES(?, ?, ?, ?, ?, ?)"
                       " ON CONFLICT DO UPDATE SET value = excluded.value, score = excluded.score,"
                       " path = excluded.path",
    [ANNOTATION_ALL] = "SELECT field, origin, value, score FROM annotation WHERE sticker = ?"
                       " ORDER BY field, origin DESC",
    [ANNOTATION_VALUES] = "SELECT a.value, count(*) AS n FROM annotation a JOIN sticker s ON s.id = a.sticker"
                          " WHERE a.field = ? AND s.missing = 0 AND" BELIEVED
                          " GROUP BY a.value ORDER BY n DESC, a.value",
    [ANNOTATION_WITH] = "SELECT a.sticker FROM annotation a WHERE a.field = ? AND a.value = ? AND" BELIEVED
                        " ORDER BY a.sticker",
    [ANIMATED] = "SELECT id FROM sticker WHERE frames > 1 ORDER BY id",
    [SHOWN] = "SELECT id FROM sticker WHERE missing = 0 ORDER BY id",
    [WORDS_ADD] = "INSERT INTO words(rowid, grams) VALUES(?, ?)",
    [WORDS_DELETE] = "INSERT INTO words(words, rowid, grams) VALUES('delete', ?, ?)",
    [WORDS_LENGTH] = "UPDATE sticker SET grams = ?2 WHERE id = ?1",
    [WORDS_COUNT] = "SELECT doc FROM words_count WHERE term = ?",
    [WORDS_MATCH] = "SELECT s.id, s.grams FROM words w JOIN sticker s ON s.id = w.rowid"
                    " WHERE w.words MATCH ? AND s.missing = 0 ORDER BY w.rowid",
    [WORDS_ROWS] = "SELECT coalesce(max(id), 0) FROM sticker",
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
    [EMBEDDING_LACKING] = "SELECT min(f.path), f.sticker, f.size_bytes, f.mtime_ns, 0 FROM file f"
                          " WHERE f.missing = 0 AND NOT EXISTS(SELECT 1 FROM model m JOIN embedding e"
                          " ON e.model = m.id WHERE m.name = ? AND e.kind = ? AND e.sticker = f.sticker)"
                          " GROUP BY f.sticker ORDER BY 1",
    [MODEL_MAIN] = "SELECT m.name FROM model m JOIN embedding e ON e.model = m.id GROUP BY m.id"
                   " ORDER BY count(*) DESC, m.id DESC LIMIT 1",
    [STATS] = "SELECT (SELECT count(*) FROM sticker WHERE missing = 0),"
              " (SELECT count(*) FROM sticker WHERE missing = 0 AND frames > 1),"
              " (SELECT count(*) FROM file WHERE missing = 0),"
              " (SELECT count(*) FROM sticker WHERE missing = 1),"
              " (SELECT count(DISTINCT e.sticker) FROM embedding e JOIN sticker s ON s.id = e.sticker"
              "  WHERE s.missing = 0),"
              " (SELECT count(DISTINCT model) FROM embedding),"
              " (SELECT coalesce(sum(size_bytes), 0) FROM sticker WHERE missing = 0)",
    [STATS_FIELD] = "SELECT count(DISTINCT a.sticker) FROM annotation a JOIN sticker s ON s.id = a.sticker"
                    " WHERE a.field = ? AND s.missing = 0",
};

struct bqb_catalogue {
    sqlite3 *db;
    char *dir, *path;
    sqlite3_stmt *st[N_STATEMENTS];
    bool changed; /* this transaction makes caches stale */
};

/* ---- errors and statements ---- */

static bqb_status fail_sqlite(const bqb_catalogue *c, int rc, bqb_err *err) {
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
        return bqb_fail(err, BQB_EFORMAT, "%s: damaged, or not a library (%s)", c->path, why);
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
static bqb_status prepare(bqb_catalogue *c, statement which, sqlite3_stmt **out, bqb_err *err) {
    *out = c->st[which];
    if (*out) {
        sqlite3_reset(*out);
        sqlite3_clear_bindings(*out);
        return BQB_OK;
    }
    int rc = sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (rc) return fail_sqlite(c, rc, err);
    c->st[which] = *out;
    return BQB_OK;
}

/* Binding fails only when memory is out, and then stepping sees NULL where the schema forbids it. */
static void bind_text(sqlite3_stmt *st, int i, const char *s) {
    sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}
static void bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n) {
    sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
}
static void bind_path(sqlite3_stmt *st, int i, const char *path) { bind_blob(st, i, path, strlen(path)); }

/* One row, or none; the statement stays open on a row. */
static bqb_status step(bqb_catalogue *c, sqlite3_stmt *st, bool *row, bqb_err *err) {
    int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) return BQB_OK;
    bqb_status s = rc == SQLITE_DONE ? BQB_OK : fail_sqlite(c, rc, err);
    sqlite3_reset(st);
    return s;
}

/* To the end, with no rows wanted. */
static bqb_status run(bqb_catalogue *c, sqlite3_stmt *st, bqb_err *err) {
    bool row;
    bqb_status s = step(c, st, &row, err);
    if (row) sqlite3_reset(st);
    return s;
}

static bqb_status run_plain(bqb_catalogue *c, statement which, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, which, &st, err);
    return s ? s : run(c, st, err);
}

static bqb_status exec(bqb_catalogue *c, const char *text, bqb_err *err) {
    int rc = sqlite3_exec(c->db, text, NULL, NULL, NULL);
    return rc ? fail_sqlite(c, rc, err) : BQB_OK;
}

/* A number that one query gives. */
static bqb_status pragma(bqb_catalogue *c, const char *text, int64_t *out, bqb_err *err) {
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(c->db, text, -1, &st, NULL);
    if (rc) return fail_sqlite(c, rc, err);
    bool row;
    bqb_status s = step(c, st, &row, err);
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
    if (rc) return fail_sqlite(c, rc, err);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, WAIT_MS);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return exec(c, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;", err);
}

/* Is it ours, and of a version that we know? 0: an empty database. */
static bqb_status check_version(bqb_catalogue *c, int64_t *version, bqb_err *err) {
    int64_t application, tables;
    bqb_status s = pragma(c, "PRAGMA user_version", version, err);
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

/* Switching to WAL needs the database alone and does not wait for it by itself. */
static bqb_status use_wal(bqb_catalogue *c, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int tries = 0; tries < WAIT_MS / 50; tries++) {
        int rc = sqlite3_exec(c->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xFF) != SQLITE_BUSY && (rc & 0xFF) != SQLITE_LOCKED) {
            s = rc ? fail_sqlite(c, rc, err) : BQB_OK;
            /* A kill loses nothing; a power cut may undo the last commits, which the next import repeats. */
            return s ? s : exec(c, "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000", err);
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return fail_sqlite(c, SQLITE_BUSY, err);
}

static bqb_status open_to_read(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    bqb_err first;
    bqb_status s = connect(c, c->path, SQLITE_OPEN_READONLY, &first);
    if (!s) s = check_version(c, &version, &first);
    if (s == BQB_EIO && access(c->dir, W_OK)) {
        /* WAL needs to write beside the database; nobody can change this one, so look at it as it is. */
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
    return BQB_OK;
}

static bqb_status open_to_write(bqb_catalogue *c, bqb_err *err) {
    int64_t version = 0;
    bqb_status s = bqb_make_dirs(c->dir, err);
    if (!s) s = connect(c, c->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!s) s = check_version(c, &version, err);
    if (!s) s = use_wal(c, err);
    if (!s && !version) s = create(c, err);
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
    else if (!*dir) s = bqb_fail(err, BQB_EINVAL, "the library's folder has no name");
    else if (mode == BQB_CATALOGUE_WRITE) s = open_to_write(c, err);
    else if (!bqb_is_file(c->path))
        s = bqb_fail(err, BQB_ENOTFOUND, "%s: there is no library here yet; `bqb import FOLDER` makes one", dir);
    else s = open_to_read(c, err);
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
    c->changed = false;
    return run_plain(c, BEGIN, err);
}

bqb_status bqb_catalogue_commit(bqb_catalogue *c, bqb_err *err) {
    bqb_status s = c->changed ? run_plain(c, BUMP, err) : BQB_OK;
    return s ? s : run_plain(c, COMMIT, err);
}

void bqb_catalogue_rollback(bqb_catalogue *c) {
    for (int i = 0; i < N_STATEMENTS; i++)
        if (c->st[i]) sqlite3_reset(c->st[i]);
    if (c->db && !sqlite3_get_autocommit(c->db)) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

bqb_status bqb_catalogue_generation(bqb_catalogue *c, uint64_t *generation, char uid[33], bqb_err *err) {
    sqlite3_stmt *st;
    bool row = false;
    bqb_status s = prepare(c, GENERATION, &st, err);
    if (!s) s = step(c, st, &row, err);
    if (row) *generation = (uint64_t)sqlite3_column_int64(st, 0);
    if (!s && row) {
        sqlite3_reset(st);
        s = prepare(c, UID, &st, err);
        if (!s) s = step(c, st, &row, err);
    }
    if (s) return s;
    const unsigned char *text = row ? sqlite3_column_text(st, 0) : NULL;
    if (!text || strlen((const char *)text) != 32) s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (no identity)", c->path);
    else memcpy(uid, text, 33);
    sqlite3_reset(st);
    return s;
}

/* ---- stickers ---- */

bqb_status bqb_catalogue_find_sha256(bqb_catalogue *c, const uint8_t sha256[BQB_SHA256_SIZE], bqb_sticker_id *id,
                                     bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, STICKER_FIND, &st, err);
    if (s) return s;
    bind_blob(st, 1, sha256, BQB_SHA256_SIZE);
    if ((s = step(c, st, &row, err))) return s;
    if (!row) {
        char hex[65];
        bqb_hex(hex, sha256, BQB_SHA256_SIZE);
        return bqb_fail(err, BQB_ENOTFOUND, "the library has no sticker %s", hex);
    }
    *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}

static bqb_status words_add(bqb_catalogue *c, bqb_sticker_id id, statement which, bqb_err *err);

bqb_status bqb_catalogue_put_sticker(bqb_catalogue *c, bqb_sticker *t, bool *added, bqb_err *err) {
    sqlite3_stmt *st;
    *added = false;
    bqb_status s = bqb_catalogue_find_sha256(c, t->sha256, &t->id, err);
    if (s != BQB_ENOTFOUND) return s;
    if ((s = prepare(c, STICKER_ADD, &st, err))) return s;
    t->added = (int64_t)time(NULL);
    bind_blob(st, 1, t->sha256, BQB_SHA256_SIZE);
    sqlite3_bind_int64(st, 2, (int64_t)t->size_bytes);
    bind_text(st, 3, t->format);
    sqlite3_bind_int64(st, 4, t->width);
    sqlite3_bind_int64(st, 5, t->height);
    sqlite3_bind_int64(st, 6, t->frames);
    sqlite3_bind_int64(st, 7, t->duration_ms);
    sqlite3_bind_int64(st, 8, t->added);
    if ((s = run(c, st, err))) return s;
    t->id = sqlite3_last_insert_rowid(c->db);
    *added = c->changed = true;
    return words_add(c, t->id, WORDS_ADD, err);
}

bqb_status bqb_catalogue_get_sticker(bqb_catalogue *c, bqb_sticker_id id, bqb_sticker *t, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, STICKER_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = step(c, st, &row, err))) return s;
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
    bqb_status s = prepare(c, STICKER_PREFIX, &st, err);
    if (s) return s;
    bind_blob(st, 1, low, sizeof low);
    bind_blob(st, 2, high, sizeof high);
    if ((s = step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "the library has no sticker %s", hex);
    *id = sqlite3_column_int64(st, 0);
    if ((s = step(c, st, &row, err))) return s;
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
    bqb_status s = prepare(c, STICKER_NEIGHBOURS, &st, err);
    if (s) return s;
    bind_blob(st, 1, sha256, BQB_SHA256_SIZE);
    if ((s = step(c, st, &row, err))) return s;
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
    bqb_status s = words_add(c, id, WORDS_DELETE, err);
    if (!s) s = prepare(c, STICKER_DELETE, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    c->changed = true;
    return run(c, st, err);
}

/* ---- files ---- */

bqb_status bqb_catalogue_get_file(bqb_catalogue *c, const char *path, bqb_file *f, bool *found, bqb_err *err) {
    sqlite3_stmt *st;
    *found = false;
    bqb_status s = prepare(c, FILE_GET, &st, err);
    if (s) return s;
    bind_path(st, 1, path);
    if ((s = step(c, st, found, err)) || !*found) return s;
    *f = (bqb_file){.sticker = sqlite3_column_int64(st, 0),
                    .size_bytes = (uint64_t)sqlite3_column_int64(st, 1),
                    .mtime_ns = sqlite3_column_int64(st, 2),
                    .missing = sqlite3_column_int(st, 3) != 0};
    sqlite3_reset(st);
    return BQB_OK;
}

/* Does the sticker still have files, and is one of them there? */
static bqb_status refresh(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, STICKER_REFRESH, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    return run(c, st, err);
}

static bqb_status remove_if_orphan(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, STICKER_ORPHAN, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = step(c, st, &row, err))) return s;
    bool orphan = row && sqlite3_column_int(st, 0);
    if (row) sqlite3_reset(st);
    return orphan ? bqb_catalogue_remove(c, id, err) : refresh(c, id, err);
}

bqb_status bqb_catalogue_put_file(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_err *err) {
    bqb_file old;
    bool known;
    sqlite3_stmt *st;
    bqb_status s = bqb_catalogue_get_file(c, path, &old, &known, err);
    if (s) return s;
    if ((s = prepare(c, FILE_PUT, &st, err))) return s;
    bind_path(st, 1, path);
    sqlite3_bind_int64(st, 2, f->sticker);
    sqlite3_bind_int64(st, 3, (int64_t)f->size_bytes);
    sqlite3_bind_int64(st, 4, f->mtime_ns);
    sqlite3_bind_int(st, 5, f->missing);
    if ((s = run(c, st, err))) return s;
    if (!known || old.sticker != f->sticker || old.missing != f->missing) {
        c->changed = true;
        s = refresh(c, f->sticker, err);
    }
    if (!s && known && old.sticker != f->sticker) s = remove_if_orphan(c, old.sticker, err);
    return s;
}

/* Hand the rows (path, sticker, size, mtime, missing) of st to fn. */
static bqb_status each_path(bqb_catalogue *c, sqlite3_stmt *st, bqb_path_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = step(c, st, &row, err)) && row) {
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
    bqb_status s = prepare(c, FILE_EACH, &st, err);
    if (!s) {
        bind_path(st, 1, beginning);
        if (n) bind_blob(st, 2, after, n);
        s = each_path(c, st, fn, ctx, err);
    }
    free(after);
    return s;
}

bqb_status bqb_catalogue_each_file_of(bqb_catalogue *c, bqb_sticker_id id, bqb_path_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, FILE_EACH_OF, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    return each_path(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_path_of(bqb_catalogue *c, bqb_sticker_id id, char **path, bool *missing, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *path = NULL;
    bqb_status s = prepare(c, FILE_OF, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "sticker number %lld has no file", (long long)id);
    const char *bytes = sqlite3_column_blob(st, 0);
    *path = bqb_strndup(bytes ? bytes : "", bytes ? (size_t)sqlite3_column_bytes(st, 0) : 0);
    if (missing) *missing = sqlite3_column_int(st, 1) != 0;
    sqlite3_reset(st);
    return *path ? BQB_OK : bqb_fail_nomem(err, "path", 1);
}

/* ---- annotations and words ---- */

const char *bqb_origin_name(bqb_origin o) {
    static const char *const names[BQB_ORIGINS] = {"given", "ocr", "zero-shot", "filename"};
    return o < BQB_ORIGINS ? names[o] : "";
}

bqb_status bqb_catalogue_get_annotation(bqb_catalogue *c, bqb_sticker_id id, bqb_annotated *a, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *a = (bqb_annotated){0};
    bqb_status s = prepare(c, ANNOTATION_ALL, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    while (!(s = step(c, st, &row, err)) && row) { /* the most believed comes last */
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
        a->origin[f] = origin < 0 || origin >= BQB_ORIGINS ? BQB_GIVEN : (bqb_origin)origin;
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

typedef struct {
    bqb_buf hex;
    int64_t n;
} words;

static int put_gram(void *ctx, const char *token, size_t n) {
    words *w = ctx;
    char hex[2 * MAX_GRAM + 2];
    if (n > MAX_GRAM) return 0;
    bqb_hex(hex, (const uint8_t *)token, n);
    hex[2 * n] = ' ';
    w->n++;
    return bqb_buf_append(&w->hex, hex, 2 * n + 1, NULL) != BQB_OK;
}

/* Put the sticker's words into the index, or take them out again (the text must then be the same). */
static bqb_status words_add(bqb_catalogue *c, bqb_sticker_id id, statement which, bqb_err *err) {
    bqb_annotated a;
    words w = {.hex = {.max = MAX_WORDS}};
    sqlite3_stmt *st;
    bqb_status s = bqb_catalogue_get_annotation(c, id, &a, err);
    if (s) return s;
    for (int f = 0; f < BQB_FIELDS && !s; f++)
        if (a.field[f]) s = bqb_grams(a.field[f], strlen(a.field[f]), put_gram, &w, err);
    if (!s) s = prepare(c, which, &st, err);
    if (!s) {
        sqlite3_bind_int64(st, 1, id);
        bind_text(st, 2, w.hex.data ? w.hex.data : "");
        s = run(c, st, err);
        sqlite3_clear_bindings(st);
    }
    if (!s && which == WORDS_ADD && !(s = prepare(c, WORDS_LENGTH, &st, err))) {
        sqlite3_bind_int64(st, 1, id);
        sqlite3_bind_int64(st, 2, w.n);
        s = run(c, st, err);
    }
    bqb_buf_free(&w.hex);
    bqb_annotated_free(&a);
    return s;
}

/* Length of value, cut to MAX_VALUE at a character. */
static size_t value_size(const char *value) {
    size_t n = strlen(value);
    if (n <= MAX_VALUE) return n;
    n = MAX_VALUE;
    while (n && ((unsigned char)value[n] & 0xC0) == 0x80) n--;
    return n;
}

/* Would setting this value change anything, and may path say so? */
static bqb_status is_news(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, bqb_origin origin, const char *value,
                          size_t n, double score, const char *path, bool *news, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, ANNOTATION_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, bqb_field_name(f));
    sqlite3_bind_int(st, 3, (int)origin);
    if (path) bind_path(st, 4, path);
    if ((s = step(c, st, &row, err))) return s;
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

bqb_status bqb_catalogue_annotate(bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a, bqb_origin origin,
                                  double score, const char *path, bool *changed, bqb_err *err) {
    bool news[BQB_FIELDS] = {0}, any = false;
    bqb_status s = BQB_OK;
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        const char *v = a->field[f];
        if (!v || !*v) continue;
        s = is_news(c, id, (bqb_field)f, origin, v, value_size(v), score, path, &news[f], err);
        any = any || news[f];
    }
    if (changed) *changed = any;
    if (s || !any) return s;
    s = words_add(c, id, WORDS_DELETE, err);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        sqlite3_stmt *st;
        if (!news[f]) continue;
        if ((s = prepare(c, ANNOTATION_PUT, &st, err))) break;
        sqlite3_bind_int64(st, 1, id);
        bind_text(st, 2, bqb_field_name((bqb_field)f));
        sqlite3_bind_int(st, 3, (int)origin);
        sqlite3_bind_text(st, 4, a->field[f], (int)value_size(a->field[f]), SQLITE_STATIC);
        sqlite3_bind_double(st, 5, score);
        if (path) bind_path(st, 6, path);
        s = run(c, st, err);
    }
    return s ? s : words_add(c, id, WORDS_ADD, err);
}

bqb_status bqb_catalogue_each_value(bqb_catalogue *c, bqb_field f, bqb_value_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, ANNOTATION_VALUES, &st, err);
    if (s) return s;
    bind_text(st, 1, bqb_field_name(f));
    while (!(s = step(c, st, &row, err)) && row) {
        const char *value = (const char *)sqlite3_column_text(st, 0);
        if (value && fn(ctx, value, (size_t)sqlite3_column_int64(st, 1))) {
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
    }
    sqlite3_reset(st);
    return s;
}

static bqb_status each_id(bqb_catalogue *c, sqlite3_stmt *st, bqb_id_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = step(c, st, &row, err)) && row) {
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
    bqb_status s = prepare(c, ANNOTATION_WITH, &st, err);
    if (s) return s;
    bind_text(st, 1, bqb_field_name(f));
    bind_text(st, 2, value);
    return each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_animated(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, ANIMATED, &st, err);
    return s ? s : each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_shown(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, SHOWN, &st, err);
    return s ? s : each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_word_count(bqb_catalogue *c, const char *gram, size_t n_bytes, uint64_t *n_stickers,
                                    bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    char hex[2 * MAX_GRAM + 1];
    *n_stickers = 0;
    if (!n_bytes || n_bytes > MAX_GRAM) return BQB_OK;
    bqb_hex(hex, (const uint8_t *)gram, n_bytes);
    bqb_status s = prepare(c, WORDS_COUNT, &st, err);
    if (s) return s;
    bind_text(st, 1, hex);
    if ((s = step(c, st, &row, err))) return s;
    if (row) *n_stickers = (uint64_t)sqlite3_column_int64(st, 0);
    if (row) sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_match_word(bqb_catalogue *c, const char *gram, size_t n_bytes, bqb_word_fn fn, void *ctx,
                                    bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    char quoted[2 * MAX_GRAM + 3];
    if (!n_bytes || n_bytes > MAX_GRAM) return BQB_OK;
    quoted[0] = '"';
    bqb_hex(quoted + 1, (const uint8_t *)gram, n_bytes);
    memcpy(quoted + 1 + 2 * n_bytes, "\"", 2);
    bqb_status s = prepare(c, WORDS_MATCH, &st, err);
    if (s) return s;
    bind_text(st, 1, quoted);
    while (!(s = step(c, st, &row, err)) && row) {
        if (!fn(ctx, sqlite3_column_int64(st, 0), (size_t)sqlite3_column_int64(st, 1))) continue;
        s = bqb_fail(err, BQB_ECANCEL, "stopped");
        break;
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return s;
}

bqb_status bqb_catalogue_words_rows(bqb_catalogue *c, uint64_t *n, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *n = 0;
    bqb_status s = prepare(c, WORDS_ROWS, &st, err);
    if (!s) s = step(c, st, &row, err);
    if (s) return s;
    if (row) *n = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}

/* ---- embeddings ---- */

bqb_status bqb_catalogue_put_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       const float *vec, size_t dim, bqb_err *err) {
    sqlite3_stmt *st;
    if (!dim || dim > MAX_DIM) return bqb_fail(err, BQB_EINVAL, "an embedding of %zu numbers", dim);
    uint16_t *half = bqb_calloc(dim, sizeof *half);
    if (!half) return bqb_fail_nomem(err, "embedding", dim * sizeof *half);
    for (size_t i = 0; i < dim; i++) half[i] = bqb_f32_to_f16(vec[i]);
    bqb_status s = prepare(c, MODEL_ADD, &st, err);
    if (!s) {
        bind_text(st, 1, model);
        sqlite3_bind_int64(st, 2, (int64_t)dim);
        s = run(c, st, err);
    }
    if (!s) s = prepare(c, EMBEDDING_PUT, &st, err);
    if (!s) {
        bind_text(st, 1, model);
        bind_text(st, 2, kind);
        sqlite3_bind_int64(st, 3, id);
        bind_blob(st, 4, half, dim * sizeof *half);
        sqlite3_bind_int64(st, 5, (int64_t)dim);
        s = run(c, st, err);
        if (!s && !sqlite3_changes(c->db))
            s = bqb_fail(err, BQB_EINVAL, "%s: model %.12s has vectors of another width than %zu", c->path, model, dim);
        sqlite3_clear_bindings(st);
        c->changed = true;
    }
    free(half);
    return s;
}

bqb_status bqb_catalogue_has_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       bool *has, bqb_err *err) {
    sqlite3_stmt *st;
    *has = false;
    bqb_status s = prepare(c, EMBEDDING_HAS, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    bind_text(st, 2, kind);
    sqlite3_bind_int64(st, 3, id);
    if (!(s = step(c, st, has, err)) && *has) sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_has_model(bqb_catalogue *c, const char *model, const char *kind, bool *has, bqb_err *err) {
    sqlite3_stmt *st;
    *has = false;
    bqb_status s = prepare(c, EMBEDDING_ANY, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    bind_text(st, 2, kind);
    if (!(s = step(c, st, has, err)) && *has) sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_get_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *kind, char model[65],
                                       float **vec, size_t *dim, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *vec = NULL;
    *dim = 0;
    bqb_status s = prepare(c, EMBEDDING_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, kind);
    if (*model) bind_text(st, 3, model);
    if ((s = step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "sticker number %lld has no vector", (long long)id);
    const char *name = (const char *)sqlite3_column_text(st, 0);
    const uint8_t *half = sqlite3_column_blob(st, 1);
    size_t n = (size_t)sqlite3_column_bytes(st, 1) / 2;
    if (!name || strlen(name) != 64 || !half)
        s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (the vector of sticker number %lld)", c->path, (long long)id);
    else if (!(*vec = bqb_calloc(n, sizeof(float)))) s = bqb_fail_nomem(err, "vector", n * sizeof(float));
    for (size_t i = 0; i < n && !s; i++) {
        uint16_t h;
        memcpy(&h, half + 2 * i, sizeof h);
        (*vec)[i] = bqb_f16_to_f32(h);
    }
    if (!s) {
        memcpy(model, name, 65);
        *dim = n;
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return s;
}

bqb_status bqb_catalogue_count_embeddings(bqb_catalogue *c, const char *model, const char *kind, size_t *dim,
                                          size_t *n, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *dim = *n = 0;
    bqb_status s = prepare(c, EMBEDDING_COUNT, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    bind_text(st, 2, kind);
    if ((s = step(c, st, &row, err))) return s;
    int64_t width = row ? sqlite3_column_int64(st, 0) : 0;
    int64_t count = row ? sqlite3_column_int64(st, 1) : 0;
    if (row) sqlite3_reset(st);
    if (count > 0 && (width < 1 || width > MAX_DIM))
        return bqb_fail(err, BQB_EFORMAT, "%s: damaged (model %.12s has vectors of %lld numbers)", c->path, model,
                        (long long)width);
    *n = (size_t)count;
    *dim = count ? (size_t)width : 0;
    return BQB_OK;
}

bqb_status bqb_catalogue_each_embedding(bqb_catalogue *c, const char *model, const char *kind, bqb_embedding_fn fn,
                                        void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare(c, EMBEDDING_EACH, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    bind_text(st, 2, kind);
    while (!(s = step(c, st, &row, err)) && row) {
        const void *blob = sqlite3_column_blob(st, 1);
        int64_t dim = sqlite3_column_int64(st, 2);
        if (!blob || sqlite3_column_bytes(st, 1) != dim * 2) {
            s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (the vector of sticker number %lld has %d bytes, not %lld)",
                         c->path, (long long)sqlite3_column_int64(st, 0), sqlite3_column_bytes(st, 1),
                         (long long)dim * 2);
            break;
        }
        if (!fn(ctx, sqlite3_column_int64(st, 0), blob, (size_t)dim)) continue;
        s = bqb_fail(err, BQB_ECANCEL, "stopped");
        break;
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_unembedded(bqb_catalogue *c, const char *model, const char *kind, bqb_path_fn fn,
                                         void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare(c, EMBEDDING_LACKING, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    bind_text(st, 2, kind);
    return each_path(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_main_model(bqb_catalogue *c, char model[65], bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    model[0] = 0;
    bqb_status s = prepare(c, MODEL_MAIN, &st, err);
    if (!s) s = step(c, st, &row, err);
    if (s) return s;
    const char *name = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (name && strlen(name) == 64) memcpy(model, name, 65);
    if (row) sqlite3_reset(st);
    return BQB_OK;
}

/* ---- figures ---- */

bqb_status bqb_catalogue_get_stats(bqb_catalogue *c, bqb_catalogue_stats *out, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *out = (bqb_catalogue_stats){0};
    bqb_status s = prepare(c, STATS, &st, err);
    if (!s) s = step(c, st, &row, err);
    if (s) return s;
    if (row) {
        uint64_t *const to[] = {&out->stickers, &out->animated, &out->files, &out->missing,
                                &out->with_embedding, &out->models, &out->bytes};
        for (int i = 0; i < (int)(sizeof to / sizeof *to); i++) *to[i] = (uint64_t)sqlite3_column_int64(st, i);
        sqlite3_reset(st);
    }
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        if ((s = prepare(c, STATS_FIELD, &st, err))) break;
        bind_text(st, 1, bqb_field_name((bqb_field)f));
        s = step(c, st, &row, err);
        if (!s && row) out->with_field[f] = (uint64_t)sqlite3_column_int64(st, 0);
        if (row) sqlite3_reset(st);
    }
    return s;
}
