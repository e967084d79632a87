/* bqb search --queries: many queries, one a line, by one opened model. */
#define _GNU_SOURCE
#include "cli/search_session.h"

#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is wrong with a line, or NULL. */
static const char *problem_of(const char *line, size_t n) {
    if (memchr(line, 0, n)) return "holds a zero byte";
    const char *problem = bqb_query_problem(line, n);
    if (problem) return problem;
    return line[strspn(line, " \t")] ? NULL : "the query is empty";
}

/* A line that has no answer has an object all the same, so that answers and lines stay side by side. */
static bqb_status tell_problem(const cli_search_session *s, const char *line, size_t number, const char *problem,
                               bqb_err *err) {
    if (!s->o->json) {
        fprintf(stderr, "bqb: line %zu: %s\n", number, problem);
        return BQB_OK;
    }
    json_t *o = json_object();
    cli_json_set(o, "query", cli_json_text(strlen(line) > BQB_QUERY_MAX ? "" : line));
    cli_json_set(o, "error", cli_json_text(problem));
    cli_json_set(o, "line", json_integer((json_int_t)number));
    return cli_json_print(o) ? bqb_fail(err, BQB_EIO, "standard output: the answer could not be written") : BQB_OK;
}

static bqb_status answer_line(cli_search_session *s, const char *line, size_t number, bool *failed, bqb_err *err) {
    double since = cli_now_ms();
    bqb_search_query q;
    bqb_err why;
    if (!s->o->json) {
        printf("%s# ", number > 1 ? "\n" : "");
        cli_puts_safe(stdout, line);
        putchar('\n');
        fflush(stdout); /* before what stderr may say of it */
    }
    bqb_status st = cli_search_query(s, &q, line, &why);
    if (!st) st = cli_search_answer(s, &q, line, since, &why);
    if (!st || st == BQB_EIO || st == BQB_ENOMEM) { /* of the library or the output: the next line fares no better */
        if (st && err) *err = why;
        return st;
    }
    *failed = true;
    return tell_problem(s, line, number, why.msg, err);
}

static bqb_status answer_lines(cli_search_session *s, FILE *in, const char *name, bool *failed, bqb_err *err) {
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    bqb_status st = BQB_OK;
    while (!st && (n = getline(&line, &cap, in)) >= 0) {
        if (n && line[n - 1] == '\n') n--;
        if (n && line[n - 1] == '\r') n--;
        line[n] = 0;
        const char *problem = problem_of(line, (size_t)n);
        number++;
        if (problem) *failed = true;
        st = problem ? tell_problem(s, line, number, problem, err) : answer_line(s, line, number, failed, err);
        /* Whoever asks line by line waits for the answer before asking again. */
        if (!st && fflush(stdout)) st = bqb_fail_errno(err, "standard output");
    }
    if (!st && ferror(in)) st = bqb_fail_errno(err, "%s", name);
    free(line);
    return st;
}

int cli_search_many(cli_search_session *s, const char *file) {
    bool from_stdin = !strcmp(file, "-"), failed = false;
    bqb_err err;
    bqb_status st = BQB_OK;
    FILE *in = from_stdin ? stdin : fopen(file, "r");
    if (!in) st = bqb_fail_errno(&err, "%s", file);
    if (!st) st = answer_lines(s, in, from_stdin ? "standard input" : file, &failed, &err);
    if (in && !from_stdin) fclose(in);
    return st ? cli_fail(&err) : failed;
}
