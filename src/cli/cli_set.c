/* bqb set: what a person says of stickers, believed before all else. */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/named.h"
#include "cli/output.h"
#include "library/embed_words.h"
#include "library/near_values.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bqb set OPTION… ID-or-FILE…\n\n"
    "Say yourself what stickers show, say or feel. What is set here is believed before what\n"
    "files, readings and guesses say, and no import changes it. An empty value, or --clear,\n"
    "takes back what was set here before, and the next source is believed again. All stickers\n"
    "that are named are changed or, when one is not there, none; \"-\" reads names from standard\n"
    "input, one a line.";

typedef struct {
    const char *say[BQB_FIELDS]; /* NULL: leave as it is */
    bool clear[BQB_FIELDS];
    size_t changed, same;
} wish;

static bool is_blank(const char *s) { return !s[strspn(s, " \t\r\n")]; }

/* "emotion-label" as the option, or "emotion_label" as the column; "all". */
static bool clear_named(wish *w, const char *name) {
    char column[32];
    size_t n = strlen(name);
    if (n >= sizeof column) return false;
    memcpy(column, name, n + 1);
    for (char *p = column; *p; p++)
        if (*p == '-') *p = '_';
    bqb_field field = bqb_field_parse(column, n);
    for (int f = 0; f < BQB_FIELDS; f++)
        if (f == (int)field || !strcmp(name, "all")) w->clear[f] = true;
    return field != BQB_FIELDS || !strcmp(name, "all");
}

/* -1 when the options make sense, else the exit status. */
static int check(const char *command, wish *w, const cli_list *clear) {
    bool any = false;
    for (size_t i = 0; i < clear->n; i++)
        if (!clear_named(w, clear->item[i]))
            return cli_usage_error(command, "--clear %s: needs caption, emotion, emotion-label, style, ocr or all", clear->item[i]);
    for (int f = 0; f < BQB_FIELDS; f++) {
        const char *value = w->say[f], *name = bqb_field_name((bqb_field)f);
        size_t n = value ? strlen(value) : 0;
        if (value && bqb_utf8_check(value, n) != n) return cli_usage_error(command, "the %s is no UTF-8", name);
        if (n > BQB_VALUE_MAX)
            return cli_usage_error(command, "the %s has %zu bytes, %d are the most", name, n, BQB_VALUE_MAX);
        if (value && is_blank(value)) {
            w->say[f] = value = NULL;
            w->clear[f] = true;
        } else if (value && w->clear[f]) return cli_usage_error(command, "the %s cannot be both set and cleared", name);
        any = any || value || w->clear[f];
    }
    return any ? -1 : cli_usage_error(command, "nothing to set: --caption, --emotion, --emotion-label, --style, --ocr or --clear");
}

/* A label that no sticker has yet may be meant, or mistyped: name those that are nearly it. */
static void tell_new(bqb_catalogue *c, const wish *w) {
    static const bqb_field labels[] = {BQB_EMOTION, BQB_EMOTION_LABEL, BQB_STYLE};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        bqb_buf near = {.max = 400};
        bool known = true;
        const char *value = w->say[labels[i]];
        if (value && !bqb_near_values(&near, &known, c, &labels[i], 1, value, NULL) && !known && near.len) {
            fprintf(stderr, "bqb: no sticker had the %s \"", bqb_field_name(labels[i]));
            cli_puts_safe(stderr, value);
            fputs("\" before; near it: ", stderr);
            cli_puts_safe(stderr, near.data);
            fputc('\n', stderr);
        }
        bqb_buf_free(&near);
    }
}

static bqb_status set_one(wish *w, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_annotation a = {{0}};
    bool any = false;
    for (int f = 0; f < BQB_FIELDS; f++) a.field[f] = w->say[f];
    bqb_status s = bqb_catalogue_annotate(c, id, &a, BQB_EDITED, 1, NULL, &any, err);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        bool taken = false;
        if (w->clear[f]) s = bqb_catalogue_forget(c, id, (bqb_field)f, BQB_EDITED, &taken, err);
        any = any || taken;
    }
    ++*(any ? &w->changed : &w->same);
    return s;
}

static bqb_status set_all(bqb_sticker_id **ids, size_t *n, wish *w, bqb_catalogue *c, const cli_names *names,
                          bqb_err *err) {
    bqb_status s = bqb_catalogue_begin(c, err);
    if (!s) s = cli_names_find(ids, n, names, c, err);
    for (size_t i = 0; !s && i < *n; i++) s = set_one(w, c, (*ids)[i], err);
    if (!s) s = bqb_catalogue_commit(c, err);
    if (s) bqb_catalogue_rollback(c);
    return s;
}

static int report_json(const wish *w, bqb_catalogue *c, const bqb_sticker_id *ids, size_t n) {
    json_t *o = json_object(), *all = json_array();
    cli_json_set(o, "changed", json_integer((json_int_t)w->changed));
    cli_json_set(o, "unchanged", json_integer((json_int_t)w->same));
    for (size_t i = 0; i < n; i++) {
        bqb_found f = {0};
        bqb_annotated a = {0};
        bqb_err err;
        bqb_status s = bqb_found_load(&f, c, ids[i], &err);
        if (!s) s = bqb_catalogue_get_annotation(c, ids[i], &a, &err);
        json_t *one = s ? NULL : cli_json_found(&f, 0);
        if (one) cli_json_origins(one, &a);
        bqb_annotated_free(&a);
        bqb_found_free(&f);
        if (!s && !json_array_append_new(all, one)) continue;
        if (!s) bqb_fail_nomem(&err, "result", n);
        json_decref(all);
        json_decref(o);
        return cli_fail(&err);
    }
    cli_json_set(o, "results", all);
    return cli_json_print(o);
}

int cli_set(const cli_env *env, int argc, char **argv) {
    wish w = {.changed = 0};
    cli_list clear = {0};
    bool json = false;
    int n_words;
    const cli_option options[] = {
        {"caption", 0, CLI_TEXT, &w.say[BQB_CAPTION], "TEXT", "what the sticker shows"},
        {"emotion", 0, CLI_TEXT, &w.say[BQB_EMOTION], "E", "what it feels"},
        {"emotion-label", 0, CLI_TEXT, &w.say[BQB_EMOTION_LABEL], "E", "the same, more finely"},
        {"style", 0, CLI_TEXT, &w.say[BQB_STYLE], "S", "how it is drawn"},
        {"ocr", 0, CLI_TEXT, &w.say[BQB_OCR], "TEXT", "the words on it"},
        {"clear", 0, CLI_LIST, &clear, "FIELD", "take back what was set: one of these, or all; may be repeated"},
        {"json", 0, CLI_FLAG, &json, NULL, "the stickers as they are then, as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if ((status = check(argv[0], &w, &clear)) >= 0) return status;
    if (!n_words) return cli_usage_error(argv[0], "which sticker?");

    bqb_catalogue *c = NULL;
    cli_names names = {0};
    bqb_sticker_id *ids = NULL;
    size_t n = 0;
    bqb_err err;
    bqb_status s = cli_names_read(&names, argv + 1, n_words, &err);
    if (!s) s = cli_open_to_change(&c, env, &err);
    if (!s) tell_new(c, &w);
    if (!s) s = set_all(&ids, &n, &w, c, &names, &err);
    if (!s) (void)bqb_embed_words_by(c, cli_model_dir(NULL), NULL, NULL, NULL, NULL); /* what fails here the next import does */
    if (s) status = cli_fail(&err);
    else if (json) status = report_json(&w, c, ids, n);
    else {
        cli_print_count(w.changed, "sticker changed", "stickers changed");
        if (w.same) cli_print_count(w.same, "was so already", "were so already");
        status = 0;
    }
    bqb_catalogue_close(c);
    cli_names_free(&names);
    free(ids);
    return status;
}
