/* bqb duplicates: near copies in the library, and which of each group is shown. */
#include "cli/cli.h"

#include "cli/duplicate_list.h"
#include "cli/output.h"
#include "cli/spare.h"
#include "library/likeness.h"

#include <stdio.h>

static const char usage[] =
    "usage: bqb duplicates [OPTION…]\n\n"
    "List near copies: one picture saved again, in another size or format, in a border, with a\n"
    "little cut off, or a still of an animation; and, apart, the same picture with other words.\n"
    "Search shows one of a group of near copies, and folds nothing that has other words. With a\n"
    "keeper that one is shown and the others are hidden; no file is ever changed or deleted.";

typedef struct {
    cli_list keep, undo;
    bool keep_best, json, no_pictures;
    const char *sheet;
} duplicates_options;

static bool changes(const duplicates_options *o) { return o->keep.n || o->undo.n || o->keep_best; }

/* A library that cannot be written to can still be listed, by what is known. */
static bqb_status open_library(bqb_catalogue **c, bool *writable, const cli_env *env, const duplicates_options *o, bqb_err *err) {
    bqb_err why;
    bqb_status s = cli_open_to_change(c, env, &why);
    *writable = !s;
    if (s == BQB_EIO && !changes(o) && !bqb_catalogue_open(c, env->library, BQB_CATALOGUE_READ, err)) {
        fprintf(stderr, "bqb: %s: only what was found before is listed\n", why.msg);
        return BQB_OK;
    }
    if (s && err) *err = why;
    return s;
}

static bqb_status bring_up_to_date(bqb_catalogue *c, bqb_err *err) {
    bqb_likeness_report r;
    cli_progress bar = {0};
    cli_catch_interrupts();
    bqb_status s = bqb_likeness_update(&r, c, 0, cli_progress_show, &bar, err);
    cli_progress_end(&bar);
    return s;
}

static bqb_status mark(bqb_catalogue *c, const char *name, bool keep, bqb_err *err) {
    bqb_sticker_id id;
    bqb_status s = bqb_find_named(&id, c, name, err);
    if (s) return s;
    s = keep ? bqb_catalogue_keep(c, id, err) : bqb_catalogue_keep_none(c, id, err);
    if (s) bqb_err_prefix(err, name);
    return s;
}

/* Every group without a keeper gets its best. */
static bqb_status keep_best(bqb_catalogue *c, bqb_err *err) {
    cli_alikes groups;
    bqb_status s = cli_groups_load(&groups, c, err);
    for (size_t i = 0; i < groups.n && !s; i++)
        if (!groups.item[i].keeper) s = bqb_catalogue_keep(c, groups.item[i].item[0].sticker.id, err);
    cli_alikes_free(&groups);
    return s;
}

static bqb_status change(bqb_catalogue *c, const duplicates_options *o, bqb_err *err) {
    bqb_status s = bqb_catalogue_begin(c, err);
    for (size_t i = 0; i < o->undo.n && !s; i++) s = mark(c, o->undo.item[i], false, err);
    for (size_t i = 0; i < o->keep.n && !s; i++) s = mark(c, o->keep.item[i], true, err);
    if (!s && o->keep_best) s = keep_best(c, err);
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

static void print_counts(const cli_alikes *groups) {
    size_t kept = 0, hidden = 0;
    for (size_t i = 0; i < groups->n; i++) {
        kept += groups->item[i].keeper != 0;
        if (groups->item[i].keeper) hidden += groups->item[i].n - 1;
    }
    printf("%zu %s, %zu with a keeper; %zu %s hidden\n", groups->n, groups->n == 1 ? "group" : "groups", kept, hidden,
           hidden == 1 ? "sticker" : "stickers");
}

static int show(bqb_catalogue *c, const duplicates_options *o) {
    cli_alikes groups, words = {0};
    bqb_err err;
    int status = 0;
    bqb_status s = cli_groups_load(&groups, c, &err);
    if (!s) s = cli_other_words_load(&words, c, &err);
    bool some = groups.n || words.n;
    if (!s && o->sheet && some) s = cli_alikes_sheet(&groups, &words, o->sheet, &err);
    if (!s && o->sheet && !some) fputs("no near copies: no sheet is drawn\n", stderr);
    if (s) status = cli_fail(&err);
    else if (o->json) status = cli_alikes_json(&groups, &words);
    else if (changes(o)) print_counts(&groups);
    else if (!o->sheet) cli_alikes_show(&groups, &words, !o->no_pictures);
    cli_alikes_free(&groups);
    cli_alikes_free(&words);
    return status;
}

int cli_duplicates(const cli_env *env, int argc, char **argv) {
    duplicates_options o = {.json = false};
    int n_words;
    const cli_option options[] = {
        {"keep", 0, CLI_LIST, &o.keep, "ID", "show this one for its group and hide the others; may be repeated"},
        {"keep-best", 0, CLI_FLAG, &o.keep_best, NULL, "a keeper for every group that has none: animated, most pixels, most said of it"},
        {"undo", 0, CLI_LIST, &o.undo, "ID", "no keeper for the group of this one any more; may be repeated"},
        {"sheet", 0, CLI_STRING, &o.sheet, "FILE", "draw the groups on a PNG instead of listing them"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "the list as JSON"},
        {"no-pictures", 0, CLI_FLAG, &o.no_pictures, NULL, "text only, on a terminal too"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if ((status = cli_spare(env, "duplicates", "sheet", o.sheet, CLI_DRAWING)) >= 0) return status;
    if (n_words) return cli_usage_error(argv[0], "\"%s\": nothing but options is expected", argv[1]);
    bqb_catalogue *c = NULL;
    bqb_err err;
    bool writable;
    bqb_status s = open_library(&c, &writable, env, &o, &err);
    if (!s && writable) s = bring_up_to_date(c, &err);
    if (!s && changes(&o)) s = change(c, &o, &err);
    status = s ? cli_fail(&err) : show(c, &o);
    bqb_catalogue_close(c);
    return status;
}
