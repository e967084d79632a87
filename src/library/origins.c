#include "library/origins.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_READING = 1 << 16, MAX_DIGITS = 9, SHOWN = 48 };

static const char blanks[] = " \t\r\n";

/* 0 … 1 in plain digits: no sign, no exponent, no word for infinity, whatever the locale. */
static bool read_share(const char *s, size_t n, double *out) {
    double value = 0, scale = 1;
    bool point = false;
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '.' && !point && i) point = true;
        else if (s[i] >= '0' && s[i] <= '9' && ++digits <= MAX_DIGITS) {
            value = value * 10 + (s[i] - '0');
            if (point) scale *= 10;
        } else return false;
    }
    *out = value / scale;
    return digits && *out <= 1;
}

/* Sixteen bits of FNV-1a over what is not blank, which programs for tables like to add and take away. */
static unsigned check_of(const char *text) {
    uint32_t h = 2166136261u;
    for (; text && *text; text++)
        if (!strchr(blanks, *text)) h = (h ^ (unsigned char)*text) * 16777619u;
    return (h >> 16 ^ h) & 0xFFFF;
}

/* ---- origins ---- */

static bqb_origin parse_origin(const char *s, size_t n) {
    int o = BQB_EDITED;
    while (o < BQB_ORIGINS && (strlen(bqb_origin_name((bqb_origin)o)) != n || memcmp(bqb_origin_name((bqb_origin)o), s, n) != 0)) o++;
    return (bqb_origin)o;
}

/* An entry s[0 … n-1]; what: what is wrong with it, or NULL. */
static bqb_field read_entry(bqb_who *w, const char *s, size_t n, const bqb_annotation *a, const char **what) {
    const char *end = s + n, *is = memchr(s, '=', n), *hash = memchr(s, '#', n);
    *what = NULL;
    if (!is || (hash && hash < is)) {
        *what = "it has to be FIELD=ORIGIN or FIELD=ORIGIN:SCORE";
        return BQB_FIELDS;
    }
    bqb_field f = bqb_field_parse(s, (size_t)(is - s));
    if (f == BQB_FIELDS) {
        *what = "the field has to be caption, emotion, emotion_label, style or ocr";
        return f;
    }
    const char *stop = hash ? hash : end, *colon = memchr(is, ':', (size_t)(stop - is)), *name = is + 1;
    bqb_origin o = parse_origin(name, (size_t)((colon ? colon : stop) - name));
    double score = 1;
    unsigned check = 0;
    if (o == BQB_ORIGINS) *what = "who says so has to be edited, given, ocr, zero-shot or filename";
    else if (colon && !read_share(colon + 1, (size_t)(stop - colon - 1), &score)) *what = "the score has to be a number from 0 to 1";
    else if (hash && end - hash != 5) *what = "the check has to be four hexadecimal digits";
    for (const char *c = hash ? hash + 1 : end; c < end && !*what; c++) {
        if (!isxdigit((unsigned char)*c)) *what = "the check has to be four hexadecimal digits";
        check = check * 16 + (unsigned)(isdigit((unsigned char)*c) ? *c - '0' : tolower((unsigned char)*c) - 'a' + 10);
    }
    if (*what) return f;
    bool changed = hash && check != check_of(a->field[f]);
    w->origin[f] = changed ? BQB_GIVEN : o;
    w->score[f] = changed ? 1 : score;
    return f;
}

bqb_status bqb_origins_parse(bqb_who *w, const char *cell, const bqb_annotation *a, bqb_err *err) {
    bool seen[BQB_FIELDS] = {0};
    bqb_status s = BQB_OK;
    *w = (bqb_who){.unknown = {0}};
    for (int f = 0; f < BQB_FIELDS; f++) {
        w->origin[f] = BQB_GIVEN;
        w->score[f] = 1;
    }
    for (const char *at = cell ? cell : ""; *(at += strspn(at, blanks));) {
        size_t n = strcspn(at, blanks);
        const char *what;
        bqb_field f = read_entry(w, at, n, a, &what);
        if (f != BQB_FIELDS && seen[f]) what = "the field is there twice";
        if (f != BQB_FIELDS) {
            seen[f] = true;
            if (what) w->unknown[f] = true;
        }
        if (what && !s)
            s = bqb_fail(err, BQB_EFORMAT, "%s: \"%.*s%s\": %s%s%s%s", BQB_ORIGINS_COLUMN, n > SHOWN ? SHOWN : (int)n, at,
                         n > SHOWN ? "…" : "", what, f == BQB_FIELDS ? "" : "; its ", f == BQB_FIELDS ? "" : bqb_field_name(f),
                         f == BQB_FIELDS ? "" : " is left out");
        at += n;
    }
    return s;
}

bqb_status bqb_origins_print(bqb_buf *out, const bqb_annotated *a, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        bqb_origin o = a->origin[f];
        double share = a->score[f] >= 0 ? fmin(a->score[f], 1) : 0; /* also when it is no number */
        int score = (int)lround(share * 10000);
        if (!a->field[f] || !*a->field[f] || (o == BQB_GIVEN && score == 10000)) continue;
        s = bqb_buf_printf(out, err, "%s%s=%s", out->len ? " " : "", bqb_field_name((bqb_field)f), bqb_origin_name(o));
        if (!s && score < 10000) {
            char digits[16];
            int n = snprintf(digits, sizeof digits, ":0.%04d", score);
            while (n > 4 && digits[n - 1] == '0') digits[--n] = 0;
            s = bqb_buf_puts(out, digits, err);
        }
        if (!s) s = bqb_buf_printf(out, err, "#%04x", check_of(a->field[f]));
    }
    return s;
}

/* ---- reading ---- */

bqb_status bqb_reading_parse(char reader[BQB_READER_SIZE], const char **text, const char *cell, bqb_err *err) {
    static const char what[] = BQB_READING_COLUMN;
    size_t n = strcspn(cell, "\n"), line = 1;
    *text = "";
    *reader = 0;
    if (strlen(cell) > MAX_READING + BQB_READER_SIZE) return bqb_fail(err, BQB_ELIMIT, "%s: %zu bytes, %d are the most", what, strlen(cell), MAX_READING);
    if (!n || n >= BQB_READER_SIZE) return bqb_fail(err, BQB_EFORMAT, "%s: it has to begin with the name of who read, of 1 to %d bytes", what, BQB_READER_SIZE - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)cell[i] < ' ') return bqb_fail(err, BQB_EFORMAT, "%s: it has to begin with the name of who read, on a line of its own", what);
    const char *lines = cell + n + (cell[n] == '\n');
    for (const char *at = lines; *at; line++) {
        size_t length = strcspn(at, "\n"), weight = strcspn(at, "\t");
        double share;
        if (weight + 1 >= length || !read_share(at, weight, &share))
            return bqb_fail(err, BQB_EFORMAT, "%s: its line %zu is not a weight from 0 to 1, a tab, and words", what, line);
        at += length + (at[length] == '\n');
    }
    memcpy(reader, cell, n);
    reader[n] = 0;
    *text = lines;
    return BQB_OK;
}

/* ---- all three ---- */

bqb_own_columns bqb_own_columns_of(const bqb_table *t) {
    return (bqb_own_columns){bqb_table_find(t, BQB_ORIGINS_COLUMN), bqb_table_find(t, BQB_READING_COLUMN), bqb_table_find(t, BQB_FILENAME_COLUMN)};
}

bqb_own_cells bqb_own_cells_at(const bqb_table *t, size_t row, const bqb_own_columns *where) {
    return (bqb_own_cells){bqb_table_cell(t, row, where->origins), bqb_table_cell(t, row, where->reading), bqb_table_cell(t, row, where->filename)};
}

bool bqb_own_cells_check(const bqb_own_cells *x, const bqb_annotation *a, size_t line, bqb_err *why) {
    bqb_who who;
    bqb_err wrong;
    char reader[BQB_READER_SIZE];
    const char *text;
    bqb_status s = bqb_origins_parse(&who, x->origins, a, &wrong);
    if (!s && x->reading && *x->reading) s = bqb_reading_parse(reader, &text, x->reading, &wrong);
    if (s) bqb_fail(why, s, "line %zu, %s", line, wrong.msg);
    return !s;
}
