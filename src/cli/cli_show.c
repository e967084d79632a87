/* bqb show ID…: everything known about stickers. */
#include "cli/cli.h"

#include "cli/named.h"
#include "cli/output.h"
#include "library/likeness.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "usage: bqb show [--json] ID-or-FILE…\n\n"
                            "Everything known about stickers, and who says it. ID: the first digits are enough;\n"
                            "\"-\" reads names from standard input, one a line.";

static const char *date(char out[32], int64_t seconds) {
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm)) out[0] = 0;
    return out;
}

static int add_file(void *ctx, const char *path, const bqb_file *f) {
    json_t *o = json_object();
    cli_json_path(o, path);
    cli_json_set(o, "missing", json_boolean(f->missing));
    return json_array_append_new(ctx, o);
}

static int show_json(bqb_catalogue *c, const bqb_found *f, const bqb_annotated *a, const bqb_group *g) {
    char hex[65], when[32];
    bqb_err err;
    json_t *o = cli_json_found(f, 0);
    bqb_hex(hex, f->sticker.sha256, BQB_SHA256_SIZE);
    cli_json_set(o, "sha256", json_string(hex));
    cli_json_set(o, "format", cli_json_text(f->sticker.format));
    cli_json_set(o, "width", json_integer(f->sticker.width));
    cli_json_set(o, "height", json_integer(f->sticker.height));
    cli_json_set(o, "frames", json_integer(f->sticker.frames));
    cli_json_set(o, "duration_ms", json_integer(f->sticker.duration_ms));
    cli_json_set(o, "bytes", json_integer((json_int_t)f->sticker.size_bytes));
    cli_json_set(o, "added", json_string(date(when, f->sticker.added)));
    cli_json_set(o, "missing", json_boolean(f->missing));
    cli_json_origins(o, a);
    json_t *files = json_array();
    if (bqb_catalogue_each_file_of(c, f->sticker.id, add_file, files, &err)) {
        json_decref(o);
        json_decref(files);
        return cli_fail(&err);
    }
    cli_json_set(o, "files", files);
    cli_json_set(o, "near_copies", json_integer((json_int_t)g->others));
    cli_json_set(o, "keeper", json_boolean(g->keeper == f->sticker.id));
    cli_json_set(o, "hidden", json_boolean(g->keeper && g->keeper != f->sticker.id));
    return cli_json_print(o);
}

static void show_text(const bqb_found *f, const bqb_annotated *a, const bqb_group *g) {
    char hex[65], when[32];
    bqb_hex(hex, f->sticker.sha256, BQB_SHA256_SIZE);
    printf("%-14s %s\n%-14s ", "id", hex, "file");
    cli_puts_safe(stdout, f->path);
    printf("%s\n%-14s %s, %u × %u", f->missing ? "  (missing)" : "", "picture", f->sticker.format, f->sticker.width,
           f->sticker.height);
    if (f->sticker.frames > 1)
        printf(", %u frames in %.1f s", f->sticker.frames, (double)f->sticker.duration_ms / 1000);
    printf(", %llu bytes\n%-14s %s\n", (unsigned long long)f->sticker.size_bytes, "added", date(when, f->sticker.added));
    for (int i = 0; i < BQB_FIELDS; i++) {
        if (!a->field[i]) continue;
        printf("%-14s ", bqb_field_name((bqb_field)i));
        cli_puts_safe(stdout, a->field[i]);
        printf("  (%s", bqb_origin_name(a->origin[i]));
        if (a->origin[i] == BQB_OCR_READ || a->origin[i] == BQB_ZERO_SHOT) printf(", %.2f", a->score[i]);
        puts(")");
    }
    if (g->others)
        printf("%-14s %zu%s\n", "near copies", g->others, !g->keeper ? "" : g->keeper == f->sticker.id ? "; this is the keeper, they are hidden" : "; hidden behind one of them");
}

static int show_one(bqb_catalogue *c, bqb_sticker_id id, bool json, bool picture) {
    bqb_found f = {0};
    bqb_annotated a = {0};
    bqb_err err;
    int status = 0;
    bqb_status s = bqb_found_load(&f, c, id, &err);
    if (!s) s = bqb_catalogue_get_annotation(c, id, &a, &err);
    bqb_group g;
    if (!s) s = bqb_catalogue_group_of(c, id, &g, &err);
    if (s) status = cli_fail(&err);
    else if (json) status = show_json(c, &f, &a, &g);
    else {
        if (picture && !f.missing) cli_show_picture(f.path);
        show_text(&f, &a, &g);
    }
    bqb_annotated_free(&a);
    bqb_found_free(&f);
    return status;
}

int cli_show(const cli_env *env, int argc, char **argv) {
    bool json = false, no_pictures = false;
    int n_words;
    const cli_option options[] = {
        {"json", 0, CLI_FLAG, &json, NULL, "as JSON, one object a line"},
        {"no-pictures", 0, CLI_FLAG, &no_pictures, NULL, "text only, on a terminal too"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error(argv[0], "which sticker? An id or a file is needed");

    bqb_catalogue *c = NULL;
    cli_names names = {0};
    bqb_sticker_id *ids = NULL;
    size_t n = 0;
    bqb_err err;
    bqb_status s = cli_names_read(&names, argv + 1, n_words, &err);
    if (!s) s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    if (!s) s = cli_names_find(&ids, &n, &names, c, &err);
    status = s ? cli_fail(&err) : 0;
    for (size_t i = 0; i < n && !status; i++) {
        if (i && !json) putchar('\n');
        status = show_one(c, ids[i], json, !no_pictures);
    }
    bqb_catalogue_close(c);
    cli_names_free(&names);
    free(ids);
    return status;
}
