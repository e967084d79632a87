/* The index of words: which stickers have a gram in anything that is said of them. */
#include "library/catalogue_db.h"

#include "base/mem.h"
#include "text/grams.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_WORDS = 1 << 21, /* bytes of a sticker's grams; what is beyond is not indexed */
    MAX_GRAM = 64,       /* longer runs of letters are no words */
    MAX_QUERY = 1 << 13,
};

/* ---- what is said of a sticker ---- */

/* The lines of a reading; those that are not WEIGHT, tab, LINE are passed over. */
static int each_line(const char *text, bqb_said_fn fn, void *ctx) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *end;
        double belief = strtod(text, &end);
        if (end > text && end < text + n && *end == '\t' && belief > 0) {
            bqb_said said = {BQB_OCR, BQB_OCR_READ, belief < 1 ? belief : 1, end + 1, (size_t)(text + n - end - 1), false};
            int stop = fn(ctx, &said);
            if (stop) return stop;
        }
        text += n + (text[n] == '\n');
    }
    return 0;
}

static bqb_status each_annotation(bqb_catalogue *c, bqb_sticker_id id, bool *ocr_given, bqb_said_fn fn, void *ctx,
                                  bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_field last = BQB_FIELDS;
    int believed = BQB_EDITED;
    bqb_status s = bqb_db_prepare(c, SAID, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    while (!(s = bqb_db_step(c, st, &row, err)) && row) { /* the most believed of each field comes first */
        const char *name = (const char *)sqlite3_column_text(st, 0);
        const char *value = (const char *)sqlite3_column_text(st, 2);
        bqb_field f = name ? bqb_field_parse(name, strlen(name)) : BQB_FIELDS;
        int origin = sqlite3_column_int(st, 1);
        if (f == BQB_FIELDS || !value || origin < BQB_EDITED || origin >= BQB_ORIGINS) continue;
        if (f == last && (believed == BQB_EDITED || origin != BQB_FROM_FILE_NAME)) continue;
        if (f != last) believed = origin;
        last = f;
        if (f == BQB_OCR && origin <= BQB_GIVEN) *ocr_given = true;
        double score = sqlite3_column_double(st, 3);
        bqb_said said = {f, (bqb_origin)origin, score > 0 ? (score < 1 ? score : 1) : 0, value, strlen(value), true};
        if (fn(ctx, &said)) {
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_said(bqb_catalogue *c, bqb_sticker_id id, bqb_said_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row, ocr_given = false;
    bqb_status s = each_annotation(c, id, &ocr_given, fn, ctx, err);
    if (s || ocr_given || c->version < 3) return s; /* an old library that cannot be written has no readings */
    if ((s = bqb_db_prepare(c, READING_GET, &st, err))) return s;
    sqlite3_bind_int64(st, 1, id);
    if ((s = bqb_db_step(c, st, &row, err)) || !row) return s;
    const char *text = (const char *)sqlite3_column_text(st, 1);
    if (text && each_line(text, fn, ctx)) s = bqb_fail(err, BQB_ECANCEL, "stopped");
    sqlite3_reset(st);
    return s;
}

/* ---- writing the index ---- */

typedef struct {
    bqb_buf hex;
    bqb_units units;
    int64_t n;
    bqb_err *err;
    bqb_status status; /* why it stopped */
} words;

/* A gram as the index has it: hex, which no tokenizer splits. 0: none that is indexed. */
static size_t put_hex(char out[2 * MAX_GRAM + 1], const char *token, size_t n) {
    if (!n || n > MAX_GRAM) return 0;
    bqb_hex(out, (const uint8_t *)token, n);
    return 2 * n;
}

static int put_gram(void *ctx, bqb_gram_kind kind, size_t at, const char *token, size_t n) {
    words *w = ctx;
    char hex[2 * MAX_GRAM + 2];
    size_t k = put_hex(hex, token, n);
    (void)at;
    if (!k) return 0;
    hex[k] = ' ';
    if (kind == BQB_GRAM_UNIT || kind == BQB_GRAM_PAIR) w->n++;
    w->status = bqb_buf_append(&w->hex, hex, k + 1, w->err);
    return w->status != BQB_OK;
}

static int put_said(void *ctx, const bqb_said *said) {
    words *w = ctx;
    w->status = bqb_units_read(&w->units, said->text, said->n_bytes, w->err);
    return w->status || bqb_units_grams(&w->units, put_gram, w, NULL);
}

bqb_status bqb_db_words_put(bqb_catalogue *c, bqb_sticker_id id, bqb_statement which, bqb_err *err) {
    words w = {.hex = {.max = MAX_WORDS}, .err = err};
    sqlite3_stmt *st;
    bqb_status s = bqb_catalogue_each_said(c, id, put_said, &w, err);
    if (s == BQB_ECANCEL) s = w.status == BQB_ELIMIT ? BQB_OK : w.status; /* full: the rest is left out */
    if (!s) s = bqb_db_prepare(c, which, &st, err);
    if (!s) {
        sqlite3_bind_int64(st, 1, id);
        bind_text(st, 2, w.hex.data ? w.hex.data : "");
        s = bqb_db_run(c, st, err);
        sqlite3_clear_bindings(st);
    }
    if (!s && which == WORDS_ADD && !(s = bqb_db_prepare(c, WORDS_LENGTH, &st, err))) {
        sqlite3_bind_int64(st, 1, id);
        sqlite3_bind_int64(st, 2, w.n);
        s = bqb_db_run(c, st, err);
    }
    bqb_buf_free(&w.hex);
    bqb_units_free(&w.units);
    return s;
}

bqb_status bqb_db_words_rebuild(bqb_catalogue *c, bqb_err *err) {
    bqb_sticker_id id = 0;
    bqb_status s = bqb_db_run_plain(c, WORDS_DELETE_ALL, err);
    while (!s) {
        sqlite3_stmt *st;
        bool row;
        if ((s = bqb_db_prepare(c, STICKER_AFTER, &st, err))) break;
        sqlite3_bind_int64(st, 1, id);
        if ((s = bqb_db_step(c, st, &row, err))) break;
        id = row ? sqlite3_column_int64(st, 0) : 0; /* NULL after the last */
        sqlite3_reset(st);
        if (!id) break;
        s = bqb_db_words_put(c, id, WORDS_ADD, err);
    }
    return s;
}

/* ---- reading it ---- */

bqb_status bqb_catalogue_word_count(bqb_catalogue *c, const char *gram, size_t n_bytes, uint64_t *n_stickers,
                                    bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    char hex[2 * MAX_GRAM + 1];
    *n_stickers = 0;
    if (!put_hex(hex, gram, n_bytes)) return BQB_OK;
    bqb_status s = bqb_db_prepare(c, WORDS_COUNT, &st, err);
    if (s) return s;
    bind_text(st, 1, hex);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (row) *n_stickers = (uint64_t)sqlite3_column_int64(st, 0);
    if (row) sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_match_words(bqb_catalogue *c, const bqb_gram *gram, size_t n, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_buf query = {.max = MAX_QUERY};
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        char hex[2 * MAX_GRAM + 1];
        if (put_hex(hex, gram[i].text, gram[i].n_bytes)) s = bqb_buf_printf(&query, err, "%s\"%s\"", query.len ? " OR " : "", hex);
    }
    if (!s && query.len && !(s = bqb_db_prepare(c, WORDS_MATCH, &st, err))) {
        bind_text(st, 1, query.data);
        while (!(s = bqb_db_step(c, st, &row, err)) && row) {
            if (!fn(ctx, sqlite3_column_int64(st, 0))) continue;
            s = bqb_fail(err, BQB_ECANCEL, "stopped");
            break;
        }
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
    }
    bqb_buf_free(&query);
    return s;
}

bqb_status bqb_catalogue_each_missing(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, MISSING, &st, err);
    return s ? s : bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_words_rows(bqb_catalogue *c, uint64_t *n, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *n = 0;
    bqb_status s = bqb_db_prepare(c, WORDS_ROWS, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s) return s;
    if (row) *n = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_words_share(bqb_catalogue *c, double *share, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *share = 0;
    bqb_status s = bqb_db_prepare(c, WORDS_SHARE, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s) return s;
    if (row) *share = sqlite3_column_double(st, 0);
    sqlite3_reset(st);
    return BQB_OK;
}
