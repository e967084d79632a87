/* bqb search, bqb similar. */
#include "cli/cli.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/output.h"
#include "cli/search_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char search_usage[] =
    "usage: bqb search [OPTION…] QUERY…\n"
    "       bqb search [OPTION…] --image FILE [QUERY…]\n"
    "       bqb search [OPTION…] --queries FILE\n\n"
    "Find stickers by what they show, what they say and what they feel. The score is 0 … 1:\n"
    "how far a sticker stands out of this library for this query (0.5: four standard\n"
    "deviations); for a picture alone it is the cosine.";

static const char similar_usage[] =
    "usage: bqb similar [OPTION…] FILE-or-ID\n\n"
    "Find stickers that look like a picture, or like a sticker of the library. The score is the cosine.";

/* The words of the command line as one text, to be freed. */
static bqb_status join_words(char **out, char **argv, int n, bqb_err *err) {
    bqb_buf b = {.max = 8 << 20}; /* more than a command line holds */
    bqb_status st = bqb_buf_append(&b, "", 0, err);
    for (int i = 1; i <= n && !st; i++) {
        if (i > 1) st = bqb_buf_append(&b, " ", 1, err);
        if (!st) st = bqb_buf_puts(&b, argv[i], err);
    }
    *out = b.data;
    return st;
}

static bool only_space(const char *text) { return !text[strspn(text, " \t\r\n")]; }

/* Words that cannot be looked for. */
static bool bad_words(const char *what, const char *text, const char *command, int *status) {
    const char *problem = text ? bqb_query_problem(text, strlen(text)) : NULL;
    if (problem) *status = cli_usage_error(command, "%s is %s", what, problem);
    return problem != NULL;
}

static bool bad_values(const cli_search_options *o, const char *command, int *status) {
    if (o->n < 1 || o->n > 10000) *status = cli_usage_error(command, "-n %zu: 1 to 10000 are possible", o->n);
    else if (o->fold < 0 || o->fold > 1) *status = cli_usage_error(command, "--fold %g: 0 to 1 are possible", o->fold);
    else if (o->by && strcmp(o->by, "words") && strcmp(o->by, "picture") && strcmp(o->by, "all"))
        *status = cli_usage_error(command, "--by %s: words, picture or all are possible", o->by);
    else if (o->by && !strcmp(o->by, "words") && (o->image.n || o->not_image.n))
        *status = cli_usage_error(command, "--by words leaves nothing to compare the picture with");
    else {
        bool bad = bad_words("--emotion", o->emotion, command, status) || bad_words("--style", o->style, command, status);
        for (size_t i = 0; i < o->not_words.n && !bad; i++) bad = bad_words("--not", o->not_words.item[i], command, status);
        return bad;
    }
    return true;
}

#define FILTER_OPTIONS(o)                                                                                       \
    {"number", 'n', CLI_SIZE, &(o).n, "N", "how many results, 1 to 10000 (10)"},                                            \
    {"emotion", 0, CLI_STRING, &(o).emotion, "E", "only stickers with this emotion"},                           \
    {"style", 0, CLI_STRING, &(o).style, "S", "only stickers of this style"},                                   \
    {"animated", 0, CLI_FLAG, &(o).animated, NULL, "only animated stickers"},                                   \
    {"all", 0, CLI_FLAG, &(o).all, NULL, "near copies, too, each as a result of its own, and hidden ones"},            \
    {"fold", 0, CLI_FLOAT, &(o).fold, "C", "leave out what resembles a better result by this cosine (0: nothing)"}, \
    {"model", 0, CLI_STRING, &(o).model, "DIR", "the model (default: the bundled one)"},                        \
    {"json", 0, CLI_FLAG, &(o).json, NULL, "results as JSON"},                                                  \
    {"no-pictures", 0, CLI_FLAG, &(o).no_pictures, NULL, "text only, on a terminal too"},                       \
    {"", 0, CLI_FLAG, NULL, NULL, NULL}

/* The answer, or why there is none; where a filter's value is unknown that is JSON, too. The exit status. */
static int answer(cli_search_session *s, const bqb_search_query *q, const char *query, double since) {
    bqb_err err;
    bqb_status st = cli_search_answer(s, q, query, since, &err);
    if (st == BQB_ENOTFOUND && s->o->json) {
        json_t *o = json_object();
        cli_json_set(o, "query", cli_json_text(query));
        cli_json_set(o, "error", cli_json_text(err.msg));
        cli_json_set(o, "results", json_array());
        (void)cli_json_print(o);
    }
    return st ? cli_fail(&err) : 0;
}

static int search(cli_search_session *s, const cli_search_options *o, const char *library, const char *text,
                  double since) {
    bool words = !only_space(text), many = o->queries != NULL;
    bqb_err err;
    bqb_search_query q;
    bqb_status st = cli_search_open(s, o, library, &err);
    int towers = ((words || many || o->not_words.n) && s->by_picture ? BQB_TOWER_TEXT : 0) |
                 (o->image.n || o->not_image.n ? BQB_TOWER_IMAGE : 0);
    if (!st && towers) st = cli_search_model(s, towers, &err);
    if (!st) st = cli_search_encode(s, &err);
    if (!st && many) return cli_search_many(s, o->queries);
    if (!st) st = cli_search_query(s, &q, words ? text : NULL, &err);
    return st ? cli_fail(&err) : answer(s, &q, text, since);
}

int cli_search(const cli_env *env, int argc, char **argv) {
    double since = cli_now_ms();
    cli_search_options o = {.n = 10};
    int n_words, status;
    const cli_option options[] = {
        {"image", 0, CLI_LIST, &o.image, "FILE", "find what looks like this picture (and, with words, fits both); repeatable"},
        {"not", 0, CLI_LIST, &o.not_words, "WORDS", "leave out what has these words, lower what looks like them; repeatable"},
        {"not-image", 0, CLI_LIST, &o.not_image, "FILE", "lower what looks like this picture; repeatable"},
        {"queries", 0, CLI_STRING, &o.queries, "FILE", "answer every line of FILE (- reads standard input)"},
        {"explain", 0, CLI_FLAG, &o.explain, NULL, "why each result stands where it does"},
        {"by", 0, CLI_STRING, &o.by, "WHAT", "rank by words, picture or all (all)"},
        FILTER_OPTIONS(o),
    };
    status = cli_parse(options, search_usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (bad_values(&o, argv[0], &status)) return status;
    if (o.queries && n_words) return cli_usage_error(argv[0], "--queries and a query on the command line");

    char *text = NULL;
    bqb_err err;
    if (join_words(&text, argv, n_words, &err)) status = cli_fail(&err);
    else if (bad_words("the query", text, argv[0], &status)) {}
    else if (only_space(text) && !o.image.n && !o.queries)
        status = cli_usage_error(argv[0], o.not_words.n   ? "--not alone finds nothing: a query or --image is needed"
                                          : o.not_image.n ? "--not-image alone finds nothing: a query or --image is needed"
                                                          : "the query is empty");
    else {
        cli_search_session s;
        status = search(&s, &o, env->library, text, since);
        cli_search_free(&s);
    }
    free(text);
    return status;
}

/* A sticker of the library by its own vector, without looking at it again; else a picture file. */
static bqb_status find_or_encode(cli_search_session *s, const char *name, bqb_sticker_id *id, bqb_err *err) {
    bqb_status st = bqb_find_named(id, s->c, name, err);
    if (st == BQB_EINVAL || st == BQB_ENOTFOUND) {
        *id = 0;
        if (!bqb_is_file(name)) return st;
    } else if (st) return st;
    if (*id && !s->o->model) {
        size_t dim;
        st = bqb_catalogue_get_embedding(s->c, *id, "image", s->model_id, &s->pictures.image, &dim, err);
        if (st != BQB_ENOTFOUND) return st;
    }
    char *path = NULL;
    st = cli_search_model(s, BQB_TOWER_IMAGE, err);
    if (!st && *id) st = bqb_catalogue_path_of(s->c, *id, &path, NULL, err);
    const char *picture = path ? path : name;
    if (!st) st = bqb_encode_question(&s->pictures, NULL, s->m, &(bqb_question){.pictures = &picture, .n_pictures = 1}, err);
    free(path);
    return st;
}

int cli_similar(const cli_env *env, int argc, char **argv) {
    double since = cli_now_ms();
    cli_search_options o = {.n = 10};
    int n_words, status;
    const cli_option options[] = {FILTER_OPTIONS(o)};
    status = cli_parse(options, similar_usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words != 1) return cli_usage_error(argv[0], "one picture or sticker id is needed");
    if (bad_values(&o, argv[0], &status)) return status;

    cli_search_session s;
    bqb_search_query q;
    bqb_err err;
    bqb_sticker_id id = 0;
    bqb_status st = cli_search_open(&s, &o, env->library, &err);
    if (!st) st = find_or_encode(&s, argv[1], &id, &err);
    if (!st) st = cli_search_query(&s, &q, NULL, &err);
    q.except = id;
    status = st ? cli_fail(&err) : answer(&s, &q, argv[1], since);
    cli_search_free(&s);
    return status;
}
