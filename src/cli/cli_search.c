/* bqb search, bqb similar. */
#include "cli/cli.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/output.h"
#include "model/clip.h"
#include "search/encode.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char search_usage[] =
    "usage: bqb search [OPTION…] QUERY…\n"
    "       bqb search [OPTION…] --image FILE [QUERY…]\n\n"
    "Find stickers by what they show, what they say and what they feel. The score is 0 … 1:\n"
    "how far a sticker stands out of this library for this query (0.5: four standard\n"
    "deviations); for a picture alone it is the cosine.";

static const char similar_usage[] =
    "usage: bqb similar [OPTION…] FILE-or-ID\n\n"
    "Find stickers that look like a picture, or like a sticker of the library. The score is the cosine.";

typedef struct {
    const char *model, *image, *emotion, *style;
    size_t n;
    double fold;
    bool animated, json, no_pictures;
} search_options;

typedef struct {
    bqb_catalogue *c;
    bqb_clip *m;
    float *text_vec, *image_vec;
    char *words;
    char model_id[65];
} session;

static void session_free(session *s) {
    bqb_catalogue_close(s->c);
    bqb_clip_free(s->m);
    free(s->text_vec);
    free(s->image_vec);
    free(s->words);
}

/* The words of the command line as one text. */
static bqb_status join_words(session *s, char **argv, int n, bqb_err *err) {
    bqb_buf b = {.max = 1 << 20};
    bqb_status st = bqb_buf_append(&b, "", 0, err);
    for (int i = 1; i <= n && !st; i++) {
        if (i > 1) st = bqb_buf_append(&b, " ", 1, err);
        if (!st) st = bqb_buf_puts(&b, argv[i], err);
    }
    s->words = b.data;
    return st;
}

static bool only_space(const char *text) { return !text[strspn(text, " \t\r\n")]; }

static bqb_status encode_picture(session *s, const char *path, bqb_err *err) {
    s->image_vec = bqb_calloc(bqb_clip_get_config(s->m)->embed, sizeof(float));
    return s->image_vec ? bqb_encode_picture(s->m, s->image_vec, path, err) : bqb_fail_nomem(err, "query", 1);
}

static bqb_status encode_words(session *s, bqb_err *err) {
    s->text_vec = bqb_calloc(bqb_clip_get_config(s->m)->embed, sizeof(float));
    if (!s->text_vec) return bqb_fail_nomem(err, "query", 1);
    const char *text = s->words;
    return bqb_clip_encode_texts(s->m, s->text_vec, &text, 1, err);
}

/* Open the model if it can help: it must when it was asked for or a picture is
 * to be looked at; else the library may do with its words. */
static bqb_status open_model(session *s, const search_options *o, int towers, bqb_err *err) {
    bqb_err why;
    bool has;
    bqb_status st = bqb_clip_open(&s->m, cli_model_dir(o->model), towers, bqb_precision_best(), 0, &why);
    if ((st == BQB_EIO || st == BQB_ENOTFOUND) && !cli_model_named(o->model) && !(towers & BQB_TOWER_IMAGE)) {
        fprintf(stderr, "bqb: no model (%s): searching the words only\n", why.msg);
        return BQB_OK;
    }
    if (st) {
        if (err) *err = why;
        return st;
    }
    snprintf(s->model_id, sizeof s->model_id, "%s", bqb_clip_id(s->m));
    if ((st = bqb_catalogue_has_model(s->c, s->model_id, "image", &has, err)) || has) return st;
    char other[65];
    if ((st = bqb_catalogue_main_model(s->c, other, err))) return st;
    const char *fix = "`bqb import` with this --model makes them";
    if (towers & BQB_TOWER_IMAGE)
        return bqb_fail(err, BQB_ENOTFOUND, "the library has no vectors of this model%s; %s",
                        *other ? " (it has another's)" : "", fix);
    fprintf(stderr, "bqb: the library has no vectors of this model%s: searching the words only; %s\n",
            *other ? " (it has another's)" : "", fix);
    bqb_clip_free(s->m);
    s->m = NULL;
    return BQB_OK;
}

static int print_json(const bqb_search_results *r, const char *query, double took_ms) {
    json_t *o = json_object(), *list = json_array();
    cli_json_set(o, "query", cli_json_text(query));
    cli_json_set(o, "took_ms", json_real(took_ms));
    cli_json_set(o, "fits", r->fits == BQB_FITS_UNKNOWN ? json_null() : json_boolean(r->fits == BQB_FITS));
    for (size_t i = 0; list && i < r->n; i++) {
        json_t *f = cli_json_found(&r->item[i], i + 1);
        if (!f || json_array_append_new(list, f)) {
            json_decref(list);
            list = NULL;
        }
    }
    cli_json_set(o, "results", list);
    return cli_json_print(o);
}

static int answer(session *s, const bqb_search_query *q, const search_options *o, const char *query, double since) {
    bqb_search_results r;
    bqb_err err;
    int status = 0;
    bqb_status st = bqb_search_run(&r, s->c, q, &err);
    if (st == BQB_ENOTFOUND) fprintf(stderr, "bqb: %s\n", err.msg); /* a filter that nothing passes: an empty answer */
    else if (st) return cli_fail(&err);
    double took_ms = cli_now_ms() - since;
    if (o->json) status = print_json(&r, query, took_ms);
    else if (r.n) {
        if (r.fits == BQB_FITS_NOT) fputs("bqb: nothing in the library fits this query well; these are the nearest\n", stderr);
        cli_show_results(&r, !o->no_pictures);
    }
    else if (!st) fputs("nothing found\n", stderr);
    bqb_search_results_free(&r);
    return status;
}

static bool bad_numbers(const search_options *o, const char *command, int *status) {
    if (o->n < 1 || o->n > 10000) *status = cli_usage_error(command, "-n %zu: 1 to 10000 are possible", o->n);
    else if (o->fold < 0 || o->fold > 1) *status = cli_usage_error(command, "--fold %g: 0 to 1 are possible", o->fold);
    else return false;
    return true;
}

#define FILTER_OPTIONS(o)                                                                                       \
    {"number", 'n', CLI_SIZE, &(o).n, "N", "how many results (10)"},                                            \
    {"emotion", 0, CLI_STRING, &(o).emotion, "E", "only stickers with this emotion"},                           \
    {"style", 0, CLI_STRING, &(o).style, "S", "only stickers of this style"},                                   \
    {"animated", 0, CLI_FLAG, &(o).animated, NULL, "only animated stickers"},                                   \
    {"fold", 0, CLI_FLOAT, &(o).fold, "C", "leave out what resembles a better result by this cosine (0: nothing)"}, \
    {"model", 0, CLI_STRING, &(o).model, "DIR", "the model (default: the bundled one)"},                        \
    {"json", 0, CLI_FLAG, &(o).json, NULL, "results as JSON"},                                                  \
    {"no-pictures", 0, CLI_FLAG, &(o).no_pictures, NULL, "text only, on a terminal too"},                       \
    {"", 0, CLI_FLAG, NULL, NULL, NULL}

int cli_search(const cli_env *env, int argc, char **argv) {
    double since = cli_now_ms();
    search_options o = {.n = 10};
    int n_words, status = 1;
    const cli_option options[] = {
        {"image", 0, CLI_STRING, &o.image, "FILE", "find what looks like this picture (and, with words, fits both)"},
        FILTER_OPTIONS(o),
    };
    status = cli_parse(options, search_usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (bad_numbers(&o, argv[0], &status)) return status;

    session s = {0};
    bqb_err err;
    bqb_status st = join_words(&s, argv, n_words, &err);
    bool words = !st && !only_space(s.words);
    if (!st && !words && !o.image) {
        session_free(&s);
        return cli_usage_error(argv[0], "the query is empty");
    }
    int towers = (words ? BQB_TOWER_TEXT : 0) | (o.image ? BQB_TOWER_IMAGE : 0);
    if (!st) st = bqb_catalogue_open(&s.c, env->library, BQB_CATALOGUE_READ, &err);
    if (!st) st = open_model(&s, &o, towers, &err);
    if (!st && s.m && o.image) st = encode_picture(&s, o.image, &err);
    if (!st && s.m && words) st = encode_words(&s, &err);
    bqb_search_query q = {.text = words ? s.words : NULL, .text_vec = s.text_vec, .image_vec = s.image_vec,
                          .model = s.model_id, .emotion = o.emotion, .style = o.style, .animated = o.animated,
                          .n = o.n, .fold = o.fold};
    status = st ? cli_fail(&err) : answer(&s, &q, &o, s.words, since);
    session_free(&s);
    return status;
}

/* A sticker of the library by its own vector, without looking at it again; else a picture file. */
static bqb_status find_or_encode(session *s, const search_options *o, const char *name, bqb_sticker_id *id,
                                 bqb_err *err) {
    bqb_status st = bqb_find_named(id, s->c, name, err);
    if (st == BQB_EINVAL || st == BQB_ENOTFOUND) {
        *id = 0;
        if (!bqb_is_file(name)) return st;
    } else if (st) return st;
    if (*id && !o->model) {
        size_t dim;
        st = bqb_catalogue_get_embedding(s->c, *id, "image", s->model_id, &s->image_vec, &dim, err);
        if (st != BQB_ENOTFOUND) return st;
    }
    char *path = NULL;
    st = open_model(s, o, BQB_TOWER_IMAGE, err);
    if (!st && *id) st = bqb_catalogue_path_of(s->c, *id, &path, NULL, err);
    if (!st) st = encode_picture(s, path ? path : name, err);
    free(path);
    return st;
}

int cli_similar(const cli_env *env, int argc, char **argv) {
    double since = cli_now_ms();
    search_options o = {.n = 10};
    int n_words, status;
    const cli_option options[] = {FILTER_OPTIONS(o)};
    status = cli_parse(options, similar_usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words != 1) return cli_usage_error(argv[0], "one picture or sticker id is needed");
    if (bad_numbers(&o, argv[0], &status)) return status;

    session s = {0};
    bqb_err err;
    bqb_sticker_id id = 0;
    bqb_status st = bqb_catalogue_open(&s.c, env->library, BQB_CATALOGUE_READ, &err);
    if (!st) st = find_or_encode(&s, &o, argv[1], &id, &err);
    bqb_search_query q = {.image_vec = s.image_vec, .model = s.model_id, .except = id, .emotion = o.emotion,
                          .style = o.style, .animated = o.animated, .n = o.n, .fold = o.fold};
    status = st ? cli_fail(&err) : answer(&s, &q, &o, argv[1], since);
    session_free(&s);
    return status;
}
