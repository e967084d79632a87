/* bqb stats: a library or a data set in figures. */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "base/fs.h"
#include "cli/output.h"
#include "cli/spare.h"
#include "train/chart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: bqb stats [--data DATA] [--chart FILE] [--json]\n\n"
    "What the library holds, or what a data set does: how many stickers, how many of them move,\n"
    "sizes and formats, how long captions and the words on pictures are, which emotions and\n"
    "styles there are. DATA is a captions.tsv or its folder, the folder of another library, a\n"
    "SPLIT_imgs.tsv of MUGE, or a folder with LMDB databases.";

typedef struct {
    bool library;            /* else a data set */
    bqb_catalogue_stats lib; /* of a library */
    bqb_origin_counts by;    /* of a library */
    bqb_figures f;
} facts;

/* ---- text ---- */

static double share(size_t part, size_t all) { return all ? 100 * (double)part / (double)all : 0; }

static void print_counts(const facts *t) {
    const struct {
        const char *label; /* %s: where more than one ends in s */
        uint64_t n;
        bool always, of_library;
    } rows[] = {
        {"sticker%s", t->f.stickers, true, false},
        {"of them animated", t->f.animated, true, false},
        {"with a caption", t->f.with_field[BQB_CAPTION], true, false},
        {"with text on them", t->f.with_field[BQB_OCR], true, false},
        {"with an emotion", t->f.with_field[BQB_EMOTION], true, false},
        {"with an emotion label", t->f.with_field[BQB_EMOTION_LABEL], true, false},
        {"with a style", t->f.with_field[BQB_STYLE], true, false},
        {"short queries", t->f.queries, !t->library, false},
        {"with a vector", t->lib.with_embedding, true, true},
        {"file%s", t->lib.files, true, true},
        {"byte%s", t->f.bytes, true, false},
        {"sticker%s whose files are gone", t->lib.missing, true, true},
        {"model%s with vectors", t->lib.models, true, true},
        {"cannot be read", t->f.unreadable, t->f.unreadable > 0, false},
        {"left out", t->f.left_out, t->f.left_out > 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].always || (rows[i].of_library && !t->library)) continue;
        int stem = (int)strcspn(rows[i].label, "%");
        const char *rest = rows[i].label + stem;
        printf("%12llu  %.*s%s%s", (unsigned long long)rows[i].n, stem, rows[i].label, *rest && rows[i].n != 1 ? "s" : "", *rest ? rest + 2 : "");
        if (i > 0 && i < 7 && t->f.stickers) printf(" (%.1f %%)", share((size_t)rows[i].n, t->f.stickers));
        putchar('\n');
    }
}

/* Who is believed, field by field; fields of which nothing is said are left out. */
static void print_origins(const facts *t) {
    bool begun = false;
    for (int f = 0; f < BQB_FIELDS; f++) {
        uint64_t any = 0;
        for (int o = BQB_EDITED; o < BQB_ORIGINS; o++) any += t->by.n[f][o - BQB_EDITED];
        if (!any) continue;
        if (!begun) {
            printf("\n%-24s", "who says it");
            for (int o = BQB_EDITED; o < BQB_ORIGINS; o++) printf(" %9s", bqb_origin_name((bqb_origin)o));
            putchar('\n');
        }
        begun = true;
        printf("%-24s", bqb_field_name((bqb_field)f));
        for (int o = BQB_EDITED; o < BQB_ORIGINS; o++) printf(" %9llu", (unsigned long long)t->by.n[f][o - BQB_EDITED]);
        putchar('\n');
    }
}

static void print_numbers(const facts *t) {
    const struct {
        const char *label;
        const bqb_numbers *v;
    } rows[] = {{"caption, characters", &t->f.caption}, {"words on it, characters", &t->f.ocr}, {"short query, characters", &t->f.query},
                {"frames, animated", &t->f.frames},     {"width, pixels", &t->f.width},         {"height, pixels", &t->f.height},
                {"file, bytes", &t->f.size_bytes}};
    printf("\n%-24s %8s %10s %8s %8s %8s %8s %8s %8s %9s\n", "", "n", "mean", "min", "10 %", "25 %", "median", "75 %", "90 %", "max");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const bqb_numbers *v = rows[i].v;
        if (!v->n) continue;
        const uint64_t quantile[] = {v->min, v->p10, v->p25, v->median, v->p75, v->p90};
        printf("%-24s %8zu %10.1f", rows[i].label, v->n, v->mean);
        for (size_t k = 0; k < sizeof quantile / sizeof *quantile; k++) printf(" %8llu", (unsigned long long)quantile[k]);
        printf(" %9llu\n", (unsigned long long)v->max);
    }
}

/* Bars before the names: those are of any width. */
static void print_tally(const bqb_tally *t, const char *name, size_t stickers) {
    enum { MOST = 40, BAR = 24 };
    if (!t->n) return;
    printf("\n%s: %zu\n", name, t->n);
    for (size_t i = 0; i < t->n && i < MOST; i++) {
        printf("%12zu %6.1f %%  ", t->item[i].n, share(t->item[i].n, stickers));
        size_t full = (t->item[i].n * BAR + t->item[0].n / 2) / t->item[0].n;
        for (size_t k = 0; k < BAR; k++) fputs(k < full ? "█" : " ", stdout);
        fputs("  ", stdout);
        cli_puts_safe(stdout, t->item[i].name);
        putchar('\n');
    }
    if (t->n > MOST) printf("%12s and %zu more\n", "", t->n - MOST);
}

static void print_text(const facts *t) {
    print_counts(t);
    if (t->library) print_origins(t);
    print_numbers(t);
    print_tally(&t->f.format, "formats", t->f.stickers);
    print_tally(&t->f.label[BQB_EMOTION], "emotions", t->f.stickers);
    print_tally(&t->f.label[BQB_STYLE], "styles", t->f.stickers);
}

/* ---- JSON ---- */

static json_t *integer(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *numbers_json(const bqb_numbers *v) {
    json_t *o = json_object(), *bins = json_array();
    const struct {
        const char *key;
        uint64_t n;
    } rows[] = {{"n", v->n},     {"min", v->min}, {"p10", v->p10}, {"p25", v->p25}, {"median", v->median},
                {"p75", v->p75}, {"p90", v->p90}, {"max", v->max}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) cli_json_set(o, rows[i].key, integer(rows[i].n));
    cli_json_set(o, "mean", json_real(v->mean));
    for (size_t k = 0; k < v->n_bins; k++) {
        json_t *bin = json_object();
        bool last = k + 1 == v->n_bins;
        uint64_t from = v->bin_from + k * v->bin_width, to = from + v->bin_width - 1;
        cli_json_set(bin, "from", integer(from));
        cli_json_set(bin, "to", integer(last && v->max > to ? v->max : to));
        cli_json_set(bin, "n", integer(v->bin[k]));
        if (json_array_append_new(bins, bin)) break;
    }
    cli_json_set(o, "histogram", bins);
    return o;
}

static json_t *tally_json(const bqb_tally *t) {
    json_t *all = json_array();
    for (size_t i = 0; i < t->n; i++) {
        json_t *o = json_object();
        cli_json_set(o, "name", cli_json_text(t->item[i].name));
        cli_json_set(o, "n", integer(t->item[i].n));
        if (json_array_append_new(all, o)) break;
    }
    return all;
}

/* {"caption":{"edited":N,"given":N,…},…} */
static json_t *origins_json(const facts *t) {
    json_t *all = json_object();
    for (int f = 0; f < BQB_FIELDS; f++) {
        json_t *one = json_object();
        for (int o = BQB_EDITED; o < BQB_ORIGINS; o++)
            cli_json_set(one, bqb_origin_name((bqb_origin)o), integer(t->by.n[f][o - BQB_EDITED]));
        cli_json_set(all, bqb_field_name((bqb_field)f), one);
    }
    return all;
}

static int print_json(const facts *t) {
    const struct {
        const char *key;
        uint64_t n;
        bool of_library;
    } rows[] = {
        {"stickers", t->f.stickers, false},
        {"animated", t->f.animated, false},
        {"with_caption", t->f.with_field[BQB_CAPTION], false},
        {"with_ocr", t->f.with_field[BQB_OCR], false},
        {"with_emotion", t->f.with_field[BQB_EMOTION], false},
        {"with_emotion_label", t->f.with_field[BQB_EMOTION_LABEL], false},
        {"with_style", t->f.with_field[BQB_STYLE], false},
        {"with_embedding", t->lib.with_embedding, true},
        {"files", t->lib.files, true},
        {"bytes", t->f.bytes, false},
        {"missing", t->lib.missing, true},
        {"models", t->lib.models, true},
        {"queries", t->f.queries, false},
        {"unreadable", t->f.unreadable, false},
        {"left_out", t->f.left_out, false},
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (t->library || !rows[i].of_library) cli_json_set(o, rows[i].key, integer(rows[i].n));
    if (t->library) cli_json_set(o, "origins", origins_json(t));
    cli_json_set(o, "caption_length", numbers_json(&t->f.caption));
    cli_json_set(o, "ocr_length", numbers_json(&t->f.ocr));
    cli_json_set(o, "query_length", numbers_json(&t->f.query));
    cli_json_set(o, "frames", numbers_json(&t->f.frames));
    cli_json_set(o, "width", numbers_json(&t->f.width));
    cli_json_set(o, "height", numbers_json(&t->f.height));
    cli_json_set(o, "file_bytes", numbers_json(&t->f.size_bytes));
    cli_json_set(o, "formats", tally_json(&t->f.format));
    cli_json_set(o, "emotions", tally_json(&t->f.label[BQB_EMOTION]));
    cli_json_set(o, "emotion_labels", tally_json(&t->f.label[BQB_EMOTION_LABEL]));
    cli_json_set(o, "styles", tally_json(&t->f.label[BQB_STYLE]));
    return cli_json_print(o);
}

/* ---- where from ---- */

static int count_lost(void *ctx, const char *path, const bqb_file *f) {
    uint64_t *n = ctx;
    if (!f->missing && access(path, F_OK) && errno == ENOENT) ++*n;
    return 0;
}

/* Of what the library keeps itself, one file of each sticker: no import looks there, as one does in folders. */
static bqb_status tell_lost(bqb_catalogue *c, const char *dir, bqb_err *err) {
    uint64_t lost = 0;
    char *real = realpath(dir, NULL);
    char *files = real ? bqb_path_join(real, "files/") : NULL;
    bqb_status s = files ? bqb_catalogue_each_file(c, files, count_lost, &lost, err) : bqb_fail_errno(err, "%s", dir);
    if (!s && lost)
        fprintf(stderr, "bqb: %llu %s gone (deleted from %s): import the archive or set again\n", (unsigned long long)lost,
                lost == 1 ? "sticker whose file is" : "stickers whose files are", files);
    free(files);
    free(real);
    return s;
}

static bqb_status of_library(facts *t, const char *dir, bqb_err *err) {
    bqb_catalogue *c = NULL;
    bqb_status s = bqb_catalogue_open(&c, dir, BQB_CATALOGUE_READ, err);
    if (!s) s = bqb_catalogue_get_stats(c, &t->lib, err);
    if (!s) s = bqb_catalogue_count_origins(c, &t->by, err);
    if (!s) s = bqb_figures_of_library(&t->f, c, err);
    if (!s) s = tell_lost(c, dir, err);
    bqb_catalogue_close(c);
    t->library = true;
    return s;
}

static bqb_status of_data(facts *t, const cli_list *data, bqb_err *err) {
    bqb_dataset *ds = NULL;
    cli_progress bar = {0};
    cli_catch_interrupts();
    bqb_status s = bqb_dataset_open(&ds, data->item, data->n, err);
    if (!s) cli_tell_notes("stickers", bqb_dataset_notes(ds));
    if (!s) s = bqb_figures_of_dataset(&t->f, ds, 0, cli_progress_show, &bar, err);
    cli_progress_end(&bar);
    bqb_dataset_close(ds);
    return s;
}

int cli_stats(const cli_env *env, int argc, char **argv) {
    bool json = false;
    const char *chart = NULL, *title = NULL;
    cli_list data = {0};
    int n_words;
    const cli_option options[] = {
        {"data", 'd', CLI_LIST, &data, "DATA", "a data set instead of the library; may be repeated"},
        {"chart", 0, CLI_STRING, &chart, "FILE", "draw the figures too: an SVG, or a PNG if FILE ends in .png"},
        {"title", 0, CLI_STRING, &title, "TEXT", "what stands above the chart (the name of the library or data)"},
        {"json", 0, CLI_FLAG, &json, NULL, "as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error(argv[0], "stats takes no \"%s\"", argv[1]);
    if (title && !chart) return cli_usage_error(argv[0], "--title needs --chart");
    if ((status = cli_spare(env, argv[0], "chart", chart, CLI_DRAWING)) >= 0) return status;

    facts t = {0};
    bqb_err err = {0};
    bqb_status s = data.n ? of_data(&t, &data, &err) : of_library(&t, env->library, &err);
    if (!title) title = data.n ? data.item[0] : env->library;
    if (!s && chart) s = bqb_chart_write(chart, &t.f, title, &err);
    if (s) status = cli_fail(&err);
    else if (json) status = print_json(&t);
    else {
        print_text(&t);
        status = 0;
    }
    bqb_figures_free(&t.f);
    return status;
}
