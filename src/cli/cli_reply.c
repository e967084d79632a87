/* bqb reply: conversations as JSON on standard input, answers as JSON on standard output. */
#include "chat/request.h"
#include "cli/chat_session.h"
#include "cli/input.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bqb reply [OPTION…] <REQUESTS\n\n"
    "Answer conversations for other programs. A request is a JSON object on a line, or on lines up\n"
    "to where its braces close:\n"
    "  {\"messages\": [{\"role\": \"user\", \"content\": \"来一张加班好累的表情\"}]}\n"
    "and its answer one line: {\"text\", \"stickers\": [{\"id\", \"file\", \"caption\", \"score\", …}], \"stopped\",\n"
    "\"took_ms\", …}, or {\"error\", …} that names the place. docs/chat.md has all keys. The model is\n"
    "loaded once, and the same request has the same answer.";

typedef struct {
    bqb_assistant *a;
    bqb_catalogue *c;
    const cli_chat_options *o;
    size_t line; /* where the request at hand begins */
    bool failed;
} replying;

static int asked_to_stop(void *ctx) {
    (void)ctx;
    return cli_interrupted();
}

static bqb_status answer_request(replying *r, bqb_request *q, bqb_answer *answer, bqb_err *err) {
    bqb_dialogue *d = NULL;
    bqb_answer_events events = {.stop = asked_to_stop};
    bqb_status s = bqb_dialogue_new(&d, r->a, r->c, &q->o, err);
    for (size_t i = 0; i < q->n_messages && !s; i++) {
        const bqb_request_message *m = &q->message[i];
        bool last = i + 1 == q->n_messages;
        bqb_message message = {.text = m->text, .picture = m->picture, .n_pictures = m->n_pictures, .pret = last && q->pret};
        if (last) s = bqb_dialogue_say(d, &message, &events, answer, err);
        else if (m->role != BQB_SYSTEM) s = bqb_dialogue_add(d, m->role, &message, m->sticker, m->n_stickers, err);
        char where[32];
        snprintf(where, sizeof where, "messages[%zu]", i);
        if (s) bqb_err_prefix(err, where);
    }
    bqb_dialogue_free(d);
    return s;
}

static json_t *sticker_json(const bqb_found *f, bool sent) {
    json_t *o = cli_json_found(f, 1);
    if (o) json_object_del(o, "rank");
    cli_json_set(o, "sent", json_boolean(sent));
    return o;
}

static json_t *answer_json(const bqb_answer *a, double took_ms) {
    json_t *o = json_object(), *list = json_array();
    cli_json_set(o, "text", cli_json_text(a->text));
    for (size_t i = 0; list && i < a->n_stickers; i++)
        if (json_array_append_new(list, sticker_json(&a->sticker[i], a->sent[i]))) {
            json_decref(list);
            list = NULL;
        }
    cli_json_set(o, "stickers", list);
    cli_json_set(o, "stopped", json_string(bqb_stopped_name(a->stopped)));
    if (a->rule) cli_json_set(o, "rule", json_string(bqb_follow_name(a->rule)));
    cli_json_set(o, "tokens", json_pack("{s:I, s:I}", "read", (json_int_t)a->n_read, "said", (json_int_t)a->n_said));
    if (a->n_forgotten) cli_json_set(o, "forgotten", json_integer((json_int_t)a->n_forgotten));
    cli_json_set(o, "took_ms", json_real(took_ms));
    return o;
}

static int print_problem(replying *r, const bqb_err *err) {
    json_t *o = json_object();
    r->failed = true;
    fflush(stdout);
    if (!o || json_object_set_new(o, "error", cli_json_text(err->msg)) || json_object_set_new(o, "line", json_integer((json_int_t)r->line)) ||
        (err->pos >= 0 && json_object_set_new(o, "position", json_integer((json_int_t)err->pos)))) {
        json_decref(o);
        return 1;
    }
    int failed = json_dumpf(o, stdout, 0);
    putchar('\n');
    json_decref(o);
    return failed != 0;
}

/* Whether standard output took the answer. */
static bool reply(replying *r, const char *text, size_t n) {
    double since = cli_now_ms();
    bqb_request q;
    bqb_answer a = {.n_sent = 0};
    bqb_err err = {.pos = -1};
    bqb_status s = bqb_request_read(&q, text, n, &r->o->d, r->c, &err);
    if (!s) s = answer_request(r, &q, &a, &err);
    int failed = s ? print_problem(r, &err) : cli_json_print(answer_json(&a, cli_now_ms() - since));
    bqb_answer_free(&a);
    bqb_request_free(&q);
    return !failed && !fflush(stdout);
}

/* ---- requests in the input ---- */

/* How deep braces are open behind a text, given how deep and whether in a string before it. */
static void follow_braces(long *depth, bool *in_string, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (*in_string && text[i] == '\\') i++;
        else if (text[i] == '"') *in_string = !*in_string;
        else if (!*in_string) *depth += text[i] == '{' || text[i] == '[' ? 1 : text[i] == '}' || text[i] == ']' ? -1 : 0;
    }
}

/* Take requests in until the input ends. A line that begins with { ends a request whose braces are open. */
static bool reply_all(replying *r, bqb_err *err) {
    bqb_buf request = {.max = BQB_REQUEST_MAX}, line = {.max = BQB_REQUEST_MAX};
    size_t number = 0;
    long depth = 0;
    bool in_string = false, going = true, refused = false, cut;
    while (going && !cli_interrupted() && cli_read_line(&line, &cut, stdin)) {
        number++;
        if (depth > 0 && line.data[0] == '{') {
            if (!refused) going = reply(r, request.data, request.len);
            depth = 0;
        }
        if (depth <= 0) {
            if (!line.data[strspn(line.data, " \t\r")]) continue;
            request.len = 0;
            depth = 0;
            refused = false;
            r->line = number;
        }
        if (!refused && (cut || bqb_buf_append(&request, line.data, line.len, NULL) || bqb_buf_append(&request, "\n", 1, NULL))) {
            bqb_fail(err, BQB_ELIMIT, "a request has at most %d bytes", BQB_REQUEST_MAX);
            refused = true;
            going = !print_problem(r, err);
        }
        in_string = false; /* no string goes past its line */
        follow_braces(&depth, &in_string, line.data, line.len);
        if (depth <= 0 && going && !refused) going = reply(r, request.data, request.len);
    }
    if (depth > 0 && going && !refused && !cli_interrupted()) going = reply(r, request.data, request.len);
    if (going && ferror(stdin) && !cli_interrupted()) {
        bqb_fail_errno(err, "standard input");
        cli_fail(err);
        r->failed = true;
    }
    bqb_buf_free(&request);
    bqb_buf_free(&line);
    return going;
}

int cli_reply(const cli_env *env, int argc, char **argv) {
    cli_chat_options o = cli_chat_defaults();
    size_t n = 1;
    int n_words, status;
    const cli_option options[] = {
        CLI_CHAT_OPTIONS(o),
        {"number", 'n', CLI_SIZE, &n, "N", "stickers to choose from wherever one is sent (1)"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error(argv[0], "requests come from standard input, not as words: %s", argv[1]);
    if (n < 1 || n > BQB_REQUEST_RESULTS) return cli_usage_error(argv[0], "-n %zu: 1 to %d are possible", n, BQB_REQUEST_RESULTS);
    if ((status = cli_chat_check(&o, argv[0])) >= 0) return status;
    o.d.choice.n = n;

    replying r = {.o = &o};
    bqb_dialogue *trial = NULL;
    bqb_err err;
    cli_catch_interrupts();
    bqb_status s = cli_chat_open(&r.a, &r.c, &o, env->library, &err);
    if (!s) s = bqb_dialogue_new(&trial, r.a, r.c, &o.d, &err); /* the options and the library, before the first request */
    bqb_dialogue_free(trial);
    if (s) status = cli_fail(&err);
    else status = reply_all(&r, &err) && !r.failed && !cli_interrupted() ? 0 : 1;
    bqb_assistant_close(r.a);
    bqb_catalogue_close(r.c);
    return status;
}
