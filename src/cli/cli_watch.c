/* bqb watch FOLDER…: keep the library in step with folders. */
#include "cli/cli.h"

#include "cli/importing.h"
#include "cli/output.h"
#include "library/embed_words.h"
#include "library/watch.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb watch [--model DIR] [--json] FOLDER…\n\n"
    "Import the folders, then keep the library in step with them until Ctrl-C: new, changed, moved\n"
    "and deleted files, folders made later, captions.tsv files. A file that is being written waits\n"
    "until it is closed. A folder that is not there, or vanishes, is waited for; its stickers are\n"
    "kept and shown again when it is back. Other commands may use the library meanwhile.\n\n"
    "A line on stderr for each change; with --json on stdout, as {\"event\",\"file\"} (event: ready,\n"
    "added, copy, changed, moved, returned, gone, words, skipped, vanished, back, replaced, overflow, limit,\n"
    "trouble).";

typedef struct {
    cli_screen told; /* first: the progress function gets its bar */
    bool json, ready, waited;
    bqb_catalogue *c;
    const char *model_dir; /* NULL: without a model */
} screen;

static void print_event(const char *event, const char *path, const char *key, const char *text) {
    json_t *o = json_object();
    cli_json_set(o, "event", json_string(event));
    if (path) cli_json_path(o, path);
    if (text) cli_json_set(o, key, cli_json_text(text));
    (void)cli_json_print(o);
    fflush(stdout);
}

static void print_line(screen *s, const char *event, const char *path, const char *joint, const char *text) {
    cli_progress_end(&s->told.bar);
    fprintf(stderr, "%s ", event);
    cli_puts_safe(stderr, path);
    if (text) {
        fputs(joint, stderr);
        cli_puts_safe(stderr, text);
    }
    fputc('\n', stderr);
}

static void on_change(void *ctx, bqb_file_change what, const char *path, const char *from) {
    static const char *const names[] = {
        [BQB_FILE_SAME] = "same",       [BQB_FILE_ADDED] = "added",       [BQB_FILE_COPY] = "copy",
        [BQB_FILE_CHANGED] = "changed", [BQB_FILE_MOVED] = "moved",       [BQB_FILE_RETURNED] = "returned",
        [BQB_FILE_GONE] = "gone",       [BQB_FILE_WORDS] = "words",
    };
    screen *s = ctx;
    if (s->json) print_event(names[what], path, "from", from);
    else if (s->ready) print_line(s, names[what], path, " from ", from);
}

static void on_skip(void *ctx, const char *path, const char *reason) {
    screen *s = ctx;
    if (s->json) print_event("skipped", path, "reason", reason);
    else if (!s->ready) cli_screen_skipped(&s->told, path, reason);
    else {
        cli_progress_end(&s->told.bar);
        cli_tell_skipped(path, reason);
    }
}

static int on_waiting(void *ctx) {
    screen *s = ctx;
    if (!s->waited && !s->ready) fputs("another bqb is importing into this library: taking turns\n", stderr);
    s->waited = true;
    return cli_interrupted();
}

static void on_ready(screen *s, const bqb_import_report *r) {
    s->ready = true;
    if (s->json) {
        json_t *o = cli_json_import(r);
        cli_json_set(o, "event", json_string("ready"));
        (void)cli_json_print(o);
        fflush(stdout);
    } else
        fprintf(stderr, "%zu added, %zu already there, %zu skipped; watching (Ctrl-C ends)\n", r->added, r->already,
                r->skipped);
}

/* What new stickers say gets its vectors, too. */
static void embed_words(screen *s, const bqb_import_report *r) {
    bqb_err err;
    if (!s->model_dir || !(r->added || r->changed || r->annotated || r->returned)) return;
    bqb_status st = bqb_embed_words_by(s->c, s->model_dir, cli_progress_show, s, NULL, &err);
    cli_progress_end(&s->told.bar);
    if (st && st != BQB_ECANCEL) (void)cli_fail(&err);
}

static void on_news(void *ctx, bqb_watch_news news, const char *text, const bqb_import_report *r) {
    screen *s = ctx;
    cli_progress_end(&s->told.bar);
    switch (news) {
    case BQB_WATCH_READY:
        embed_words(s, r);
        on_ready(s, r);
        return;
    case BQB_WATCH_ROUND:
        embed_words(s, r);
        return;
    case BQB_WATCH_VANISHED:
        if (s->json) print_event("vanished", text, NULL, NULL);
        else print_line(s, "vanished", text, ": ", "not there; its stickers are kept, and shown again when it is back");
        return;
    case BQB_WATCH_BACK:
        if (s->json) print_event("back", text, NULL, NULL);
        else print_line(s, "back", text, NULL, NULL);
        return;
    case BQB_WATCH_REPLACED:
        if (s->json) print_event("replaced", text, NULL, NULL);
        else print_line(s, "replaced", text, ": ", "another folder is in its place (was a disk mounted or unmounted?)");
        return;
    case BQB_WATCH_OVERFLOW:
        if (s->json) print_event("overflow", NULL, NULL, NULL);
        else fputs("too much happened at once: looking at everything\n", stderr);
        return;
    case BQB_WATCH_LIMIT:
        if (s->json) print_event("limit", NULL, "reason", text);
        else fprintf(stderr, "bqb: %s; the others are looked at every 5 minutes\n", text);
        return;
    case BQB_WATCH_TROUBLE:
        if (s->json) print_event("trouble", NULL, "reason", text);
        else fprintf(stderr, "bqb: %s; trying again later\n", text);
        return;
    }
}

int cli_watch(const cli_env *env, int argc, char **argv) {
    const char *model = NULL;
    screen shown = {.json = false};
    int n_folders;
    const cli_option options[] = {
        {"model", 0, CLI_STRING, &model, "DIR", "the model that makes the vectors (default: the bundled one)"},
        {"json", 0, CLI_FLAG, &shown.json, NULL, "each change as a line of JSON on stdout"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_folders);
    if (status >= 0) return status;
    bool named = n_folders > 0;
    for (int i = 1; i <= n_folders; i++) named = named && *argv[i];
    if (!named) return cli_usage_error(argv[0], "which folder?");

    bqb_catalogue *c = NULL;
    bqb_clip *m = NULL;
    bqb_err err;
    if ((status = cli_open_import_model(&m, model))) return status;
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_WRITE, &err);
    if (!s) {
        bqb_embedder embedder;
        if (m) embedder = bqb_embedder_of_clip(m);
        shown.c = c;
        shown.model_dir = m ? cli_model_dir(model) : NULL;
        cli_catch_interrupts();
        bqb_watch_options o = {
            .import = {.embedder = m ? &embedder : NULL, .skip = on_skip, .progress = cli_progress_show,
                       .waiting = on_waiting, .change = on_change, .ctx = &shown},
            .stop_fd = cli_interrupt_fd(), .tell = on_news};
        s = bqb_library_watch(c, (const char *const *)argv + 1, (size_t)n_folders, &o, &err);
        cli_progress_end(&shown.told.bar);
    }
    bqb_catalogue_close(c);
    bqb_clip_free(m);
    return s ? cli_fail(&err) : 0;
}
