/* bqb export DIR: stickers as files for bqb and for other programs. */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/output.h"
#include "file/lines.h"
#include "library/export.h"
#include "search/filter.h"
#include "search/search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: bqb export [OPTION…] DIR\n\n"
    "Write stickers to DIR. A folder: images/ and captions.tsv, what `bqb import DIR` and\n"
    "`bqb train --data DIR` read. muge: SPLIT_imgs.tsv and SPLIT_texts.jsonl, for Chinese-CLIP's\n"
    "tools. clip-retrieval: img_emb/, text_emb/ (.npy, f16) and metadata/ (JSON lines);\n"
    "such a set holds no pictures, so `bqb import` does not read it.\n"
    "lmdb: SPLIT/imgs and SPLIT/pairs, Chinese-CLIP's databases. sticker820k: imgs, infos, SPLIT.txt.\n"
    "All stickers, or those that --ids or --query name and that pass the filters. Until it is\n"
    "complete, DIR holds UNFINISHED.txt; a stopped export is given again.";

enum { MAX_ID_LINE = 1 << 16, DEFAULT_FOUND = 100, MOST_FOUND = 10000 };

typedef struct {
    const char *format, *split, *query, *ids, *emotion, *style, *model;
    size_t n;
    bool animated, force, prune, json;
} export_options;

static bqb_status select_one(bqb_id_set *sel, bqb_sticker_id id, bqb_err *err) {
    return bqb_id_set_add(sel, id) ? bqb_fail_nomem(err, "list of stickers", 2 * sel->cap * sizeof id) : BQB_OK;
}

/* Each sticker once, where it is named first. */
static bqb_status without_repeats(bqb_id_set *sel, bqb_err *err) {
    bqb_id_set sorted = {.id = bqb_calloc(sel->n, sizeof *sorted.id), .n = sel->n};
    bool *taken = bqb_calloc(sel->n, sizeof *taken);
    bqb_status s = sorted.id && taken ? BQB_OK : bqb_fail_nomem(err, "list of stickers", sel->n * sizeof *sorted.id);
    if (!s && sel->n) {
        memcpy(sorted.id, sel->id, sel->n * sizeof *sorted.id);
        bqb_id_set_sort(&sorted);
        size_t m = 0;
        for (size_t i = 0; i < sel->n; i++) {
            bool *mine = taken + bqb_id_set_place(&sorted, sel->id[i]);
            if (*mine) continue;
            *mine = true;
            sel->id[m++] = sel->id[i];
        }
        sel->n = m;
    }
    bqb_id_set_free(&sorted);
    free(taken);
    return s;
}

/* Ids, or paths that the library knows, one a line. */
static bqb_status read_ids(bqb_id_set *sel, bqb_catalogue *c, const char *path, bqb_err *err) {
    bqb_lines *lines = NULL;
    bool from_stdin = !strcmp(path, "-");
    const char *line, *from = from_stdin ? "/dev/stdin" : path;
    size_t n;
    if (from_stdin && read(STDIN_FILENO, NULL, 0) < 0 && errno == EBADF) return bqb_fail_errno(err, "standard input"); /* closed: /dev/stdin would be empty */
    bqb_status s = bqb_lines_open(&lines, from, MAX_ID_LINE, err);
    while (!s && !(s = bqb_lines_next(lines, &line, &n, err)) && line) {
        bqb_sticker_id id;
        char *name = n ? bqb_strndup(line, n) : NULL;
        if (n && !name) s = bqb_fail_nomem(err, path, n);
        if (name) {
            s = bqb_find_named(&id, c, name, err);
            if (s == BQB_ENOTFOUND || s == BQB_EINVAL) {
                char where[64];
                snprintf(where, sizeof where, "--ids, line %zu", bqb_lines_number(lines));
                bqb_err_prefix(err, where);
            }
            if (!s) s = select_one(sel, id, err);
        }
        free(name);
    }
    bqb_lines_close(lines);
    return s ? s : without_repeats(sel, err);
}

/* What a query finds, best first; m may be NULL: by words alone. */
static bqb_status find(bqb_id_set *sel, bqb_catalogue *c, bqb_clip *m, const export_options *o, bqb_err *err) {
    bqb_search_results r = {0};
    float *vec = NULL;
    bool has = false;
    bqb_status s = m ? bqb_catalogue_has_model(c, bqb_clip_id(m), "image", &has, err) : BQB_OK;
    if (!s && m && !has) fputs("bqb: the library has no vectors of this model: searching the words only\n", stderr);
    if (!s && has) {
        vec = bqb_calloc(bqb_clip_get_config(m)->embed, sizeof *vec);
        s = vec ? bqb_clip_encode_texts(m, vec, &o->query, 1, err) : bqb_fail_nomem(err, "query", 1);
    }
    bqb_search_query q = {.text = o->query, .text_vec = vec, .model = has ? bqb_clip_id(m) : NULL, .emotion = o->emotion,
                          .style = o->style, .animated = o->animated, .n = o->n ? o->n : DEFAULT_FOUND};
    if (!s) s = bqb_search_run(&r, c, &q, err);
    if (!s && r.fits == BQB_FITS_NOT) fputs("bqb: nothing in the library fits this query well; these are the nearest\n", stderr);
    for (size_t i = 0; i < r.n && !s; i++) s = select_one(sel, r.item[i].sticker.id, err);
    bqb_search_results_free(&r);
    free(vec);
    return s;
}

/* The filters, over what --ids named or over everything. */
static bqb_status filter(bqb_id_set *sel, bqb_catalogue *c, const export_options *o, bool named, bqb_err *err) {
    bqb_id_set set = {0};
    bool any; /* sticker passes */
    size_t m = 0;
    bqb_status s = bqb_filter(&set, &any, c, o->emotion, o->style, o->animated, err);
    if (!s && !named) s = bqb_catalogue_list_shown(c, &sel->id, &sel->n, err);
    if (!s && !any) {
        for (size_t i = 0; i < sel->n; i++)
            if (bqb_id_set_has(&set, sel->id[i])) sel->id[m++] = sel->id[i];
        sel->n = m;
    }
    bqb_id_set_free(&set);
    return s;
}

static bqb_status choose(bqb_id_set *sel, bqb_catalogue *c, bqb_clip *m, const export_options *o, bqb_err *err) {
    if (o->query) return find(sel, c, m, o, err);
    bqb_status s = o->ids ? read_ids(sel, c, o->ids, err) : BQB_OK;
    return s ? s : filter(sel, c, o, o->ids != NULL, err);
}

/* Vectors need the model; a query can do with the words. */
static bqb_status open_model(bqb_clip **m, const export_options *o, bool must, bqb_err *err) {
    bqb_err why;
    bqb_status s = bqb_clip_open(m, cli_model_dir(o->model), BQB_TOWER_TEXT, bqb_precision_best(), 0, &why);
    if ((s == BQB_EIO || s == BQB_ENOTFOUND) && !must && !cli_model_named(o->model)) {
        fprintf(stderr, "bqb: no model (%s): searching the words only\n", why.msg);
        return BQB_OK;
    }
    if (s && err) *err = why;
    return s;
}

static int report(const bqb_export_report *r, bool json) {
    if (json) {
        json_t *o = json_object();
        cli_json_set(o, "written", json_integer((json_int_t)r->written));
        cli_json_set(o, "skipped", json_integer((json_int_t)r->skipped));
        cli_json_set(o, "removed", json_integer((json_int_t)r->images.removed));
        cli_json_set(o, "left", json_integer((json_int_t)r->images.left));
        cli_json_set(o, "others", json_integer((json_int_t)r->images.others));
        if (*r->kept_table) cli_json_set(o, "kept_table", json_string(r->kept_table));
        return cli_json_print(o);
    }
    printf("%zu written, %zu skipped\n", r->written, r->skipped);
    if (*r->kept_table) printf("the captions.tsv that was there is of no export, or was changed since: kept as %s\n", r->kept_table);
    if (r->images.removed) cli_print_count(r->images.removed, "picture of an earlier export removed", "pictures of earlier exports removed");
    if (r->images.left) cli_print_count(r->images.left, "picture of an earlier export is left in images/", "pictures of earlier exports are left in images/");
    if (r->images.others) cli_print_count(r->images.others, "other file in images/ is of no export", "other files in images/ are of no export");
    return 0;
}

static int wrong_usage(const export_options *o, bqb_export_format *format, int n_words, char **argv) {
    *format = o->format ? bqb_export_format_parse(o->format) : BQB_EXPORT_FOLDER;
    if (n_words != 1 || !*argv[1]) return cli_usage_error(argv[0], "into which folder?");
    if (*format == BQB_EXPORT_FORMATS)
        return cli_usage_error(argv[0], "--format %s: folder, muge, clip-retrieval, lmdb and sticker820k are possible", o->format);
    if (o->split && (*format == BQB_EXPORT_FOLDER || *format == BQB_EXPORT_CLIP_RETRIEVAL))
        return cli_usage_error(argv[0], "--split is for --format muge, lmdb and sticker820k");
    if (o->prune && *format != BQB_EXPORT_FOLDER) return cli_usage_error(argv[0], "--prune is for --format folder");
    if (o->ids && o->query) return cli_usage_error(argv[0], "--ids or --query, not both");
    if (o->n && !o->query) return cli_usage_error(argv[0], "-n is for --query");
    if (o->n > MOST_FOUND) return cli_usage_error(argv[0], "-n %zu: 1 to %d are possible", o->n, MOST_FOUND);
    return 0;
}

int cli_export(const cli_env *env, int argc, char **argv) {
    export_options o = {.n = 0};
    int n_words, status;
    const cli_option options[] = {
        {"format", 'f', CLI_STRING, &o.format, "F", "folder (the default), muge, clip-retrieval, lmdb or sticker820k"},
        {"split", 0, CLI_STRING, &o.split, "NAME", "muge, lmdb, sticker820k: the name of the split (train)"},
        {"ids", 0, CLI_STRING, &o.ids, "FILE", "only these: ids or paths, one a line (-: standard input)"},
        {"query", 'q', CLI_STRING, &o.query, "TEXT", "only what `bqb search TEXT` finds, best first"},
        {"number", 'n', CLI_SIZE, &o.n, "N", "with --query: how many (100)"},
        {"emotion", 0, CLI_STRING, &o.emotion, "E", "only stickers with this emotion"},
        {"style", 0, CLI_STRING, &o.style, "S", "only stickers of this style"},
        {"animated", 0, CLI_FLAG, &o.animated, NULL, "only animated stickers"},
        {"model", 0, CLI_STRING, &o.model, "DIR", "the model, for --query and clip-retrieval (default: the bundled one)"},
        {"force", 0, CLI_FLAG, &o.force, NULL, "into a folder that is not empty; what has the same name is replaced, a captions.tsv of yours kept"},
        {"prune", 0, CLI_FLAG, &o.prune, NULL, "take away what earlier exports wrote there and this one does not"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "the report as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    bqb_export_format format;
    if ((status = cli_parse(options, usage, argc, argv, &n_words)) >= 0) return status;
    if ((status = wrong_usage(&o, &format, n_words, argv))) return status;

    bqb_catalogue *c = NULL;
    bqb_clip *m = NULL;
    bqb_id_set sel = {0};
    bqb_export_report done = {0};
    bqb_err err;
    cli_screen shown = {.told = 0};
    cli_catch_interrupts();
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    if (!s && (o.query || format == BQB_EXPORT_CLIP_RETRIEVAL))
        s = open_model(&m, &o, format == BQB_EXPORT_CLIP_RETRIEVAL, &err);
    if (!s) s = choose(&sel, c, m, &o, &err);
    bqb_export_options e = {.format = format, .split = o.split, .id = sel.id, .n = sel.n, .clip = m, .force = o.force, .prune = o.prune, .left = cli_screen_left,
                            .skipped = cli_screen_skipped, .progress = cli_progress_show, .ctx = &shown};
    bool none = !s && !sel.n && (o.ids || o.query || o.emotion || o.style || o.animated);
    if (none) s = bqb_fail(&err, BQB_ENOTFOUND, "nothing to export: no sticker passes");
    if (!s) s = bqb_library_export(c, argv[1], &e, &done, &err);
    cli_progress_end(&shown.bar);
    bqb_catalogue_close(c);
    bqb_clip_free(m);
    free(sel.id);
    if (s) return cli_fail(&err);
    status = report(&done, o.json);
    return status ? status : done.skipped && !done.written;
}
