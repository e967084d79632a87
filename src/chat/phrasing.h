/* Sentences from templates: lists of words and of templates, drawn by a random number.
 *
 * In a template {a|b|c} is one of these, each a template itself (braces nest); {name} is an item of the list of that name, the same
 * wherever {name} stands again in the same sentence or a later one of the same bindings; {name2} is another draw of it. An item "x=y"
 * is two that belong together: {name.1} and {name.2}. What the caller has bound ({want}) stands for its text as it is.
 * Tables: data/lm/. */
#ifndef BQB_CHAT_PHRASING_H
#define BQB_CHAT_PHRASING_H

#include "base/mem.h"
#include "base/rand.h"
#include "file/table.h"

/* A table below dir whose first lines may be remarks (#), with exactly these columns first. BQB_EFORMAT names what is wrong. */
bqb_status bqb_phrasing_table(bqb_table **t, const char *dir, const char *name, const char *const *columns, size_t n_columns, bqb_err *err);

typedef struct bqb_phrasing bqb_phrasing;

/* The lists of DIR/lists.tsv (name, items). */
bqb_status bqb_phrasing_open(bqb_phrasing **out, const char *dir, bqb_err *err);
void bqb_phrasing_close(bqb_phrasing *w);

/* What names stand for in one conversation. Zero-initialise; free with bqb_bindings_free. */
enum { BQB_BINDINGS = 32 };
typedef struct {
    struct {
        char name[32];
        char *text;
    } b[BQB_BINDINGS];
    size_t n;
} bqb_bindings;
void bqb_bindings_free(bqb_bindings *b);

/* A name's text, in place of an earlier one. */
bqb_status bqb_bind(bqb_bindings *b, const char *name, const char *text, bqb_err *err);

/* Append what a template says. BQB_EFORMAT: a brace that is not closed, a name that is no list and not bound, or more
 * than BQB_BINDINGS names or 8 levels. */
bqb_status bqb_phrasing_say(const bqb_phrasing *w, bqb_buf *out, const char *template, bqb_bindings *b, bqb_rand *r, bqb_err *err);

#endif
