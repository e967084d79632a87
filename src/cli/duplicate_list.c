#include "cli/duplicate_list.h"

#include "base/mem.h"
#include "base/words.h"
#include "cli/output.h"
#include "cli/pictures.h"
#include "image/sheet.h"
#include "library/likeness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHEET_MAX = 1000, SHEET_COLUMNS = 8, CELL_COLUMNS = 24, CELL_ROWS = 10, MAX_PER_ROW = 16 };

/* ---- loading ---- */

typedef struct {
    bqb_sticker_id a, b;
} pair;

typedef struct {
    pair *item;
    size_t n, cap;
} pairs;

static int take_pair(void *ctx, bqb_sticker_id a, bqb_sticker_id b) {
    pairs *p = ctx;
    pair *grown = bqb_grow(p->item, p->n, &p->cap, sizeof *grown, 64);
    if (!grown) return 1;
    p->item = grown;
    p->item[p->n++] = (pair){a, b};
    return 0;
}

static int by_pair(const void *x, const void *y) {
    const pair *p = x, *q = y;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

static size_t n_fields(const bqb_found *f) {
    size_t n = 0;
    for (int i = 0; i < BQB_FIELDS; i++) n += *f->field[i] != 0;
    return n;
}

static int best_first(const void *x, const void *y) {
    const bqb_found *a = x, *b = y;
    uint64_t pa = (uint64_t)a->sticker.width * a->sticker.height, pb = (uint64_t)b->sticker.width * b->sticker.height;
    if ((a->sticker.frames > 1) != (b->sticker.frames > 1)) return a->sticker.frames > 1 ? -1 : 1;
    if (pa != pb) return pa > pb ? -1 : 1;
    if (n_fields(a) != n_fields(b)) return n_fields(a) > n_fields(b) ? -1 : 1;
    return a->sticker.id < b->sticker.id ? -1 : a->sticker.id > b->sticker.id;
}

/* Add a sticker to the last of the list, or to a new one when that is another's. */
static bqb_status add(cli_alikes *list, bqb_catalogue *c, bqb_sticker_id first, bqb_sticker_id id, bqb_err *err) {
    if (!list->n || list->item[list->n - 1].first != first) {
        cli_alike *grown = bqb_grow(list->item, list->n, &list->cap, sizeof *grown, 32);
        if (!grown) return bqb_fail_nomem(err, "groups", list->n * sizeof *grown);
        list->item = grown;
        list->item[list->n++] = (cli_alike){.first = first};
    }
    cli_alike *g = &list->item[list->n - 1];
    bqb_found *f = bqb_grow(g->item, g->n, &g->cap, sizeof *f, 4);
    if (!f) return bqb_fail_nomem(err, "groups", g->n * sizeof *f);
    g->item = f;
    bqb_status s = bqb_found_load(&g->item[g->n], c, id, err);
    if (s == BQB_ENOTFOUND) return BQB_OK; /* removed in this moment */
    g->n += !s;
    return s;
}

/* Put each in order, the keeper before all, and drop those of fewer than two. */
static bqb_status settle(cli_alikes *list, bqb_catalogue *c, bool keepers, bqb_err *err) {
    size_t m = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < list->n; i++) {
        cli_alike *g = &list->item[i];
        bqb_group known = {0};
        if (g->n) qsort(g->item, g->n, sizeof *g->item, best_first);
        if (keepers && g->n && !s) s = bqb_catalogue_group_of(c, g->item[0].sticker.id, &known, err);
        g->keeper = known.keeper;
        for (size_t k = 1; k < g->n && g->keeper; k++)
            if (g->item[k].sticker.id == g->keeper) {
                bqb_found f = g->item[k];
                memmove(g->item + 1, g->item, k * sizeof f);
                g->item[0] = f;
            }
        if (g->n >= 2) {
            cli_alike keep = *g;
            *g = (cli_alike){0};
            list->item[m++] = keep;
            continue;
        }
        for (size_t k = 0; k < g->n; k++) bqb_found_free(&g->item[k]);
        free(g->item);
        *g = (cli_alike){0};
    }
    list->n = m;
    return s;
}

bqb_status cli_groups_load(cli_alikes *groups, bqb_catalogue *c, bqb_err *err) {
    pairs p = {0};
    *groups = (cli_alikes){0};
    bqb_status s = bqb_catalogue_each_grouped(c, take_pair, &p, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "groups", p.n * sizeof *p.item);
    for (size_t i = 0; i < p.n && !s; i++) s = add(groups, c, p.item[i].a, p.item[i].b, err);
    free(p.item);
    return s ? s : settle(groups, c, true, err);
}

/* Who stands for a sticker: its group's keeper, its group's first, itself. */
static bqb_status stand_in(bqb_sticker_id *id, bqb_catalogue *c, bqb_err *err) {
    bqb_group g;
    bqb_status s = bqb_catalogue_group_of(c, *id, &g, err);
    if (!s && g.first) *id = g.keeper ? g.keeper : g.first;
    return s;
}

typedef struct {
    bqb_sticker_id id;
    size_t up;
} node;

static int by_id(const void *x, const void *y) {
    const node *p = x, *q = y;
    return p->id < q->id ? -1 : p->id > q->id;
}

static size_t top(node *v, size_t i) {
    while (v[i].up != i) i = v[i].up = v[v[i].up].up;
    return i;
}

static size_t place(const node *v, size_t n, bqb_sticker_id id) {
    node key = {.id = id}, *at = bsearch(&key, v, n, sizeof *v, by_id);
    return (size_t)(at - v);
}

/* What hangs together by the pairs: (the least id of it, each id), rising. */
static bqb_status connect(pairs *p, bqb_err *err) {
    node *v = bqb_calloc(2 * p->n, sizeof *v);
    size_t n = 0;
    if (!v) return bqb_fail_nomem(err, "groups", 2 * p->n * sizeof *v);
    for (size_t i = 0; i < p->n; i++) {
        v[2 * i].id = p->item[i].a;
        v[2 * i + 1].id = p->item[i].b;
    }
    if (p->n) qsort(v, 2 * p->n, sizeof *v, by_id);
    for (size_t i = 0; i < 2 * p->n; i++)
        if (!n || v[n - 1].id != v[i].id) v[n++] = v[i];
    for (size_t i = 0; i < n; i++) v[i].up = i;
    for (size_t i = 0; i < p->n; i++) {
        size_t a = top(v, place(v, n, p->item[i].a)), b = top(v, place(v, n, p->item[i].b));
        if (a < b) v[b].up = a;
        else v[a].up = b;
    }
    p->n = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++)
        if (take_pair(p, v[top(v, i)].id, v[i].id)) s = bqb_fail_nomem(err, "groups", n * sizeof *v);
    free(v);
    if (!s && p->n) qsort(p->item, p->n, sizeof *p->item, by_pair);
    return s;
}

bqb_status cli_other_words_load(cli_alikes *list, bqb_catalogue *c, bqb_err *err) {
    pairs p = {0};
    *list = (cli_alikes){0};
    bqb_status s = bqb_catalogue_each_pair(c, BQB_OTHER_WORDS, take_pair, &p, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "groups", p.n * sizeof *p.item);
    for (size_t i = 0; i < p.n && !s; i++) {
        s = stand_in(&p.item[i].a, c, err);
        if (!s) s = stand_in(&p.item[i].b, c, err);
    }
    if (!s) s = connect(&p, err);
    for (size_t i = 0; i < p.n && !s; i++) {
        bool missing = false;
        char *path = NULL;
        s = bqb_catalogue_path_of(c, p.item[i].b, &path, &missing, err);
        free(path);
        if (!s && !missing) s = add(list, c, p.item[i].a, p.item[i].b, err);
        if (s == BQB_ENOTFOUND) s = BQB_OK;
    }
    free(p.item);
    return s ? s : settle(list, c, false, err);
}

void cli_alikes_free(cli_alikes *list) {
    for (size_t i = 0; i < list->n; i++) {
        for (size_t k = 0; k < list->item[i].n; k++) bqb_found_free(&list->item[i].item[k]);
        free(list->item[i].item);
    }
    free(list->item);
    *list = (cli_alikes){0};
}

/* ---- showing ---- */

static const char *standing(const cli_alike *g, const bqb_found *f) {
    return !g->keeper ? "" : g->keeper == f->sticker.id ? "keeper" : "hidden";
}

static void describe(char *out, size_t size, const bqb_found *f) {
    int n = snprintf(out, size, "%u × %u %s", f->sticker.width, f->sticker.height, f->sticker.format);
    if (f->sticker.frames > 1) snprintf(out + n, size - (size_t)n, ", %u frames", f->sticker.frames);
}

static void draw(const cli_alike *g, cli_canvas *canvas) {
    size_t per_row = (size_t)(cli_canvas_columns(canvas) / CELL_COLUMNS);
    per_row = per_row < 1 ? 1 : per_row > MAX_PER_ROW ? MAX_PER_ROW : per_row;
    for (size_t at = 0; at < g->n; at += per_row) {
        const char *paths[MAX_PER_ROW];
        size_t n = g->n - at < per_row ? g->n - at : per_row;
        for (size_t i = 0; i < n; i++) paths[i] = g->item[at + i].path;
        cli_canvas_draw(canvas, paths, n, CELL_COLUMNS, CELL_ROWS);
    }
}

static void show_all(const cli_alikes *list, const char *what, cli_canvas *canvas) {
    for (size_t i = 0; i < list->n; i++) {
        const cli_alike *g = &list->item[i];
        printf("%s %zu: %zu stickers\n", what, i + 1, g->n);
        if (canvas) draw(g, canvas);
        for (size_t k = 0; k < g->n; k++) {
            char text[80];
            const bqb_found *f = &g->item[k];
            describe(text, sizeof text, f);
            printf("  %s  %-6s  %s  ", f->id, standing(g, f), text);
            cli_puts_safe(stdout, *f->field[BQB_CAPTION] ? f->field[BQB_CAPTION] : f->field[BQB_OCR]);
            fputs("\n    ", stdout);
            cli_puts_safe(stdout, f->path);
            putchar('\n');
        }
    }
}

void cli_alikes_show(const cli_alikes *groups, const cli_alikes *words, bool pictures) {
    cli_canvas *canvas = pictures ? cli_canvas_new() : NULL;
    show_all(groups, "group", canvas);
    show_all(words, "same picture, other words", canvas);
    if (!groups->n && !words->n) puts("no near copies");
    cli_canvas_free(canvas);
}

static json_t *list_json(const cli_alikes *list, bool keepers) {
    json_t *all = json_array();
    for (size_t i = 0; i < list->n; i++) {
        const cli_alike *g = &list->item[i];
        json_t *o = json_object(), *members = json_array();
        if (keepers) cli_json_set(o, "keeper", g->keeper ? json_string(g->item[0].id) : json_null());
        for (size_t k = 0; k < g->n; k++) {
            const bqb_found *f = &g->item[k];
            json_t *m = cli_json_found(f, 0);
            cli_json_set(m, "format", cli_json_text(f->sticker.format));
            cli_json_set(m, "width", json_integer(f->sticker.width));
            cli_json_set(m, "height", json_integer(f->sticker.height));
            cli_json_set(m, "frames", json_integer(f->sticker.frames));
            cli_json_set(m, "bytes", json_integer((json_int_t)f->sticker.size_bytes));
            if (keepers) cli_json_set(m, "hidden", json_boolean(g->keeper && g->keeper != f->sticker.id));
            json_array_append_new(members, m);
        }
        cli_json_set(o, "stickers", members);
        json_array_append_new(all, o);
    }
    return all;
}

int cli_alikes_json(const cli_alikes *groups, const cli_alikes *words) {
    json_t *o = json_object();
    cli_json_set(o, "groups", list_json(groups, true));
    cli_json_set(o, "other_words", list_json(words, false));
    return cli_json_print(o);
}

static bqb_status add_cells(bqb_sheet_cell *cell, char **caption, size_t *n, const cli_alikes *list, const char *what,
                            bqb_err *err) {
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < list->item[i].n && *n < SHEET_MAX; k++) {
            char text[80];
            const bqb_found *f = &list->item[i].item[k];
            describe(text, sizeof text, f);
            caption[*n] = bqb_asprintf("%s %zu  %s  %s\n%s", what, i + 1, f->id, standing(&list->item[i], f), text);
            if (!caption[*n]) return bqb_fail_nomem(err, "sheet", sizeof text);
            cell[*n] = (bqb_sheet_cell){.path = f->path, .caption = caption[*n]};
            ++*n;
        }
    return BQB_OK;
}

bqb_status cli_alikes_sheet(const cli_alikes *groups, const cli_alikes *words, const char *path, bqb_err *err) {
    bqb_sheet_cell *cell = bqb_calloc(SHEET_MAX, sizeof *cell);
    char **caption = bqb_calloc(SHEET_MAX, sizeof *caption), title[120];
    size_t n = 0;
    bqb_status s = cell && caption ? BQB_OK : bqb_fail_nomem(err, "sheet", SHEET_MAX * sizeof *cell);
    if (!s) s = add_cells(cell, caption, &n, groups, "group", err);
    if (!s) s = add_cells(cell, caption, &n, words, "other words", err);
    snprintf(title, sizeof title, "%zu %s of near copies, %zu %s with several words%s", groups->n,
             bqb_word(groups->n, "group", "groups"), words->n, bqb_word(words->n, "picture", "pictures"),
             n == SHEET_MAX ? " (the first of them)" : "");
    bqb_sheet_style style = {.columns = SHEET_COLUMNS, .title = title};
    if (!s) s = bqb_image_sheet(path, cell, n, &style, err);
    for (size_t i = 0; caption && i < n; i++) free(caption[i]);
    free(caption);
    free(cell);
    return s;
}
