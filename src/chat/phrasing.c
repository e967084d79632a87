#include "chat/phrasing.h"

#include "base/fs.h"
#include "chat/wordings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 16, LEVELS = 8 };

bqb_status bqb_phrasing_table(bqb_table **t, const char *dir, const char *name, const char *const *columns, size_t n_columns, bqb_err *err) {
    char *path = bqb_path_join(dir, name);
    *t = NULL;
    bqb_status s = path ? bqb_wordings_open(t, path, columns, n_columns, err) : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && !bqb_table_rows(*t)) s = bqb_fail(err, BQB_EFORMAT, "%s: holds no lines", path);
    free(path);
    return s;
}

/* ---- the lists ---- */

struct bqb_phrasing {
    bqb_table *table; /* name, items */
};

bqb_status bqb_phrasing_open(bqb_phrasing **out, const char *dir, bqb_err *err) {
    static const char *const columns[] = {"name", "items"};
    bqb_phrasing *w = *out = bqb_calloc(1, sizeof *w);
    if (!w) return bqb_fail_nomem(err, dir, sizeof *w);
    bqb_status s = bqb_phrasing_table(&w->table, dir, "lists.tsv", columns, 2, err);
    if (!s) return BQB_OK;
    bqb_phrasing_close(w);
    *out = NULL;
    return s;
}

void bqb_phrasing_close(bqb_phrasing *w) {
    if (!w) return;
    bqb_table_close(w->table);
    free(w);
}

/* The items of a list; a digit after the name numbers draws. NULL: there is no such list. */
static const char *list_of(const bqb_phrasing *w, const char *name, size_t n) {
    while (n && isdigit((unsigned char)name[n - 1])) n--;
    for (size_t i = 0; i < bqb_table_rows(w->table); i++) {
        const char *is = bqb_table_cell(w->table, i, 0);
        if (strlen(is) == n && !memcmp(is, name, n)) return bqb_table_cell(w->table, i, 1);
    }
    return NULL;
}

/* ---- bindings ---- */

void bqb_bindings_free(bqb_bindings *b) {
    for (size_t i = 0; i < b->n; i++) free(b->b[i].text);
    b->n = 0;
}

static const char *bound(const bqb_bindings *b, const char *name, size_t n) {
    for (size_t i = 0; i < b->n; i++)
        if (strlen(b->b[i].name) == n && !memcmp(b->b[i].name, name, n)) return b->b[i].text;
    return NULL;
}

static bqb_status bind_n(bqb_bindings *b, const char *name, size_t n, const char *text, size_t n_text, bqb_err *err) {
    size_t i = 0;
    while (i < b->n && (strlen(b->b[i].name) != n || memcmp(b->b[i].name, name, n))) i++;
    if (i == BQB_BINDINGS || n >= sizeof b->b[i].name) return bqb_fail(err, BQB_EFORMAT, "{%.*s}: the name is too long, or one too many", (int)n, name);
    char *copy = bqb_strndup(text, n_text);
    if (!copy) return bqb_fail_nomem(err, "a sentence", n_text);
    if (i < b->n) free(b->b[i].text);
    else b->n++;
    memcpy(b->b[i].name, name, n);
    b->b[i].name[n] = 0;
    b->b[i].text = copy;
    return BQB_OK;
}

bqb_status bqb_bind(bqb_bindings *b, const char *name, const char *text, bqb_err *err) { return bind_n(b, name, strlen(name), text, strlen(text), err); }

/* ---- sentences ---- */

typedef struct {
    const bqb_phrasing *w;
    bqb_bindings *b;
    bqb_rand *r;
    bqb_err *err;
} speaker;

static bqb_status say(const speaker *k, bqb_buf *out, const char *s, size_t n, size_t level);

/* Bytes up to the next | outside braces, or n. */
static size_t choice_end(const char *s, size_t n) {
    size_t depth = 0, i = 0;
    for (; i < n && (depth || s[i] != '|'); i++) {
        if (s[i] == '{') depth++;
        else if (s[i] == '}' && depth) depth--;
    }
    return i;
}

/* One of a|b|c: where it begins, and its length. */
static const char *choose(const char *s, size_t *n, bqb_rand *r) {
    size_t ways = 1;
    for (size_t at = choice_end(s, *n); at < *n; at += 1 + choice_end(s + at + 1, *n - at - 1)) ways++;
    for (size_t skip = bqb_rand_below(r, ways); skip; skip--) {
        size_t end = choice_end(s, *n) + 1;
        s += end;
        *n -= end;
    }
    *n = choice_end(s, *n);
    return s;
}

/* {name}, {name.1}: bound, or drawn now. */
static bqb_status say_name(const speaker *k, bqb_buf *out, const char *name, size_t n, size_t level) {
    size_t base = n > 2 && name[n - 2] == '.' ? n - 2 : n;
    const char *text = bound(k->b, name, base);
    bqb_status s = BQB_OK;
    if (!text) {
        const char *items = list_of(k->w, name, base);
        if (!items) return bqb_fail(k->err, BQB_EFORMAT, "{%.*s} is neither a list nor given", (int)n, name);
        size_t size = strlen(items);
        items = choose(items, &size, k->r);
        bqb_buf drawn = {.max = MAX_TEXT};
        s = say(k, &drawn, items, size, level + 1);
        if (!s) s = bind_n(k->b, name, base, drawn.data ? drawn.data : "", drawn.len, k->err);
        bqb_buf_free(&drawn);
        if (s) return s;
        text = bound(k->b, name, base);
    }
    if (base == n) return bqb_buf_puts(out, text, k->err);
    const char *cut = strchr(text, '=');
    if (!cut) return bqb_fail(k->err, BQB_EFORMAT, "{%.*s}: \"%s\" is not two", (int)n, name, text);
    return name[n - 1] == '1' ? bqb_buf_append(out, text, (size_t)(cut - text), k->err) : bqb_buf_puts(out, cut + 1, k->err);
}

static bqb_status say(const speaker *k, bqb_buf *out, const char *s, size_t n, size_t level) {
    if (level == LEVELS) return bqb_fail(k->err, BQB_EFORMAT, "templates lie more than %d deep in each other", LEVELS);
    bqb_status st = BQB_OK;
    for (size_t i = 0; i < n && !st;) {
        const char *open = memchr(s + i, '{', n - i);
        size_t plain = open ? (size_t)(open - s) - i : n - i, end = i + plain + 1, depth = 1;
        st = bqb_buf_append(out, s + i, plain, k->err);
        if (!open || st) break;
        for (; end < n && depth; end++) depth += (s[end] == '{') - (size_t)(s[end] == '}');
        if (depth) return bqb_fail(k->err, BQB_EFORMAT, "\"%.*s\": a brace is not closed", n < 100 ? (int)n : 100, s);
        size_t inside = end - 1 - (i + plain + 1);
        const char *what = open + 1;
        if (choice_end(what, inside) == inside && !memchr(what, '{', inside)) st = say_name(k, out, what, inside, level);
        else {
            what = choose(what, &inside, k->r);
            st = say(k, out, what, inside, level + 1);
        }
        i = end;
    }
    return st;
}

bqb_status bqb_phrasing_say(const bqb_phrasing *w, bqb_buf *out, const char *template, bqb_bindings *b, bqb_rand *r, bqb_err *err) {
    speaker k = {w, b, r, err};
    return say(&k, out, template, strlen(template), 0);
}
