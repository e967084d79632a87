/* bqb watch FOLDER…: keep the library in step with folders. */
#include "cli/cli.h"

#include "base/words.h"
#include "cli/importing.h"
#include "cli/output.h"
#include "library/embed_words.h"
#include "library/read_along.h"
#include "library/watch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb watch [--ocr] [--model DIR] [--json] FOLDER…\n\n"
    "Import the folders, then keep the library in step with them until Ctrl-C: new, changed, moved\n"
    "and deleted files, folders made later, captions.tsv files. A file that is being written waits\n"
    "until it is closed. A folder that vanishes is waited for; its stickers are kept and shown again\n"
    "when it is back. Other commands may use the library meanwhile; when it is deleted or replaced,\n"
    "the watch ends with status 1.\n\n"
    "A line on stderr for each change; with --json on stdout, as {\"event\",\"file\"} (event: ready,\n"
    "added, copy, changed, moved, returned, gone, words, read, skipped, absent, vanished, back, replaced,\n"
    "overflow, limit, trouble).";

typedef struct {
    cli_screen told; /* first: the progress function gets its bar */
    pthread_mutex_t lock; /* of what is printed: words are read in another thread */
    bool json, ready, waited;
    bqb_catalogue *c;
    const char *model_dir; /* NULL: without a model */
    bqb_read_along *reader; /* NULL: without --ocr */
} screen;

static int on_progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    screen *s = ctx;
    pthread_mutex_lock(&s->lock);
    int stop = cli_progress_show(s, what, done, total);
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void print_object(screen *s, json_t *o) {
    pthread_mutex_lock(&s->lock);
    (void)cli_json_print(o);
    fflush(stdout);
    pthread_mutex_unlock(&s->lock);
}

static void print_event(screen *s, const char *event, const char *path, const char *key, const char *text) {
    json_t *o = json_object();
    cli_json_set(o, "event", json_string(event));
    if (path) cli_json_path(o, path);
    if (text) cli_json_set(o, key, cli_json_text(text));
    print_object(s, o);
}

/* "WHAT PATH JOINT TEXT"; path and text may be NULL. */
static void print_line(screen *s, const char *what, const char *path, const char *joint, const char *text) {
    pthread_mutex_lock(&s->lock);
    cli_progress_end(&s->told.bar);
    fputs(what, stderr);
    if (path) {
        fputc(' ', stderr);
        cli_puts_safe(stderr, path);
    }
    if (text) {
        fputs(joint, stderr);
        cli_puts_safe(stderr, text);
    }
    fputc('\n', stderr);
    pthread_mutex_unlock(&s->lock);
}

static void on_change(void *ctx, bqb_file_change what, const char *path, const char *from) {
    static const char *const names[] = {
        [BQB_FILE_SAME] = "same",       [BQB_FILE_ADDED] = "added",       [BQB_FILE_COPY] = "copy",
        [BQB_FILE_CHANGED] = "changed", [BQB_FILE_MOVED] = "moved",       [BQB_FILE_RETURNED] = "returned",
        [BQB_FILE_GONE] = "gone",       [BQB_FILE_WORDS] = "words",
    };
    screen *s = ctx;
    if (s->json) print_event(s, names[what], path, "from", from);
    else if (s->ready) print_line(s, names[what], path, " from ", from);
}

static void on_skip(void *ctx, const char *path, const char *reason) {
    screen *s = ctx;
    if (s->json) {
        print_event(s, "skipped", path, "reason", reason);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (!s->ready) cli_screen_skipped(&s->told, path, reason);
    else {
        cli_progress_end(&s->told.bar);
        cli_tell_skipped(path, reason);
    }
    pthread_mutex_unlock(&s->lock);
}

static int on_waiting(void *ctx) {
    screen *s = ctx;
    if (!s->waited && !s->ready) print_line(s, "another bqb is importing into this library: taking turns", NULL, NULL, NULL);
    s->waited = true;
    return cli_interrupted();
}

/* ---- words that are read meanwhile ---- */

static void on_read(void *ctx, const char *path, const char *words) {
    screen *s = ctx;
    if (s->json) print_event(s, "read", path, "words", words);
    else print_line(s, "read", path, ": ", *words ? words : "no words");
}

static void on_read_skip(void *ctx, const char *path, const char *reason) {
    screen *s = ctx;
    if (s->json) print_event(s, "skipped", path, "reason", reason);
    else print_line(s, "not read", path, ": ", reason);
}

static void on_read_trouble(void *ctx, const char *text) {
    screen *s = ctx;
    if (s->json) print_event(s, "trouble", NULL, "reason", text);
    else print_line(s, "bqb: reading words", NULL, ": ", text);
}

static bqb_status start_reader(screen *s, const char *library, bqb_err *err) {
    bqb_read_along_told told = {.read = on_read, .skip = on_read_skip, .trouble = on_read_trouble, .ctx = s};
    return bqb_read_along_start(&s->reader, library, s->model_dir, &told, err);
}

static void stop_reader(screen *s, bool tell) {
    size_t left;
    bqb_read_along_stop(s->reader, &left);
    s->reader = NULL;
    if (left && tell && !s->json)
        fprintf(stderr, "%zu %s not been read yet; `bqb annotate --ocr` goes on\n", left, bqb_word(left, "sticker has", "stickers have"));
}

/* ---- what the watch tells ---- */

static void on_ready(screen *s, const bqb_import_report *r) {
    char settling[100] = "";
    s->ready = true;
    if (s->json) {
        json_t *o = cli_json_import(r);
        cli_json_set(o, "event", json_string("ready"));
        cli_json_set(o, "settling", json_integer((json_int_t)r->settling));
        print_object(s, o);
        return;
    }
    if (r->settling)
        snprintf(settling, sizeof settling, "; %zu %s just changed and %s looked at in a moment", r->settling,
                 bqb_word(r->settling, "file has", "files have"), bqb_word(r->settling, "is", "are"));
    pthread_mutex_lock(&s->lock);
    fprintf(stderr, "%zu added, %zu already there, %zu skipped%s; watching (Ctrl-C ends)\n", r->added, r->already,
            r->skipped, settling);
    pthread_mutex_unlock(&s->lock);
}

/* What new stickers say gets its vectors, too. */
static void embed_words(screen *s, const bqb_import_report *r) {
    bqb_err err;
    if (!s->model_dir || !(r->added || r->changed || r->annotated || r->returned)) return;
    bqb_status st = bqb_embed_words_by(s->c, s->model_dir, on_progress, s, NULL, &err);
    if (st && st != BQB_ECANCEL) print_line(s, "bqb:", NULL, " ", err.msg);
}

static void on_news(void *ctx, bqb_watch_news news, const char *text, const bqb_import_report *r) {
    static const struct {
        const char *event, *line;
    } names[] = {
        [BQB_WATCH_VANISHED] = {"vanished", "not there; its stickers are kept, and shown again when it is back"},
        [BQB_WATCH_BACK] = {"back", NULL},
        [BQB_WATCH_REPLACED] = {"replaced", "another folder is in its place (was a disk mounted or unmounted?)"},
        [BQB_WATCH_OVERFLOW] = {"overflow", "too much happened at once: looking at everything"},
        [BQB_WATCH_ABSENT] = {"absent", "skipped"},
        [BQB_WATCH_LIMIT] = {"limit", "; the others are looked at every 5 minutes"},
        [BQB_WATCH_TROUBLE] = {"trouble", "; trying again later"},
    };
    screen *s = ctx;
    pthread_mutex_lock(&s->lock);
    cli_progress_end(&s->told.bar);
    pthread_mutex_unlock(&s->lock);
    switch (news) {
    case BQB_WATCH_READY:
    case BQB_WATCH_ROUND:
        embed_words(s, r);
        if (news == BQB_WATCH_READY) on_ready(s, r);
        bqb_read_along_wake(s->reader);
        return;
    case BQB_WATCH_VANISHED:
    case BQB_WATCH_BACK:
    case BQB_WATCH_REPLACED:
        if (s->json) print_event(s, names[news].event, text, NULL, NULL);
        else print_line(s, names[news].event, text, ": ", names[news].line);
        return;
    case BQB_WATCH_OVERFLOW:
        if (s->json) print_event(s, names[news].event, NULL, NULL, NULL);
        else print_line(s, names[news].line, NULL, NULL, NULL);
        return;
    case BQB_WATCH_ABSENT:
        if (s->json) print_event(s, names[news].event, NULL, "reason", text);
        else print_line(s, names[news].line, text, NULL, NULL);
        return;
    case BQB_WATCH_LIMIT:
    case BQB_WATCH_TROUBLE:
        if (s->json) print_event(s, names[news].event, NULL, "reason", text);
        else print_line(s, "bqb:", text, "", names[news].line);
        return;
    }
}

int cli_watch(const cli_env *env, int argc, char **argv) {
    const char *model = NULL;
    bool ocr = false;
    screen shown = {.json = false};
    int n_folders;
    const cli_option options[] = {
        {"ocr", 0, CLI_FLAG, &ocr, NULL, "read the words on stickers beside it, the newest first"},
        {"model", 0, CLI_STRING, &model, "DIR", "the model that makes the vectors (default: the bundled one)"},
        {"json", 0, CLI_FLAG, &shown.json, NULL, "each change as a line of JSON on stdout"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_folders);
    if (status >= 0) return status;
    bool named = n_folders > 0;
    for (int i = 1; i <= n_folders; i++) named = named && *argv[i];
    if (!named) return cli_usage_error(argv[0], "which folder?");

    const char *const *folders = (const char *const *)argv + 1;
    bqb_catalogue *c = NULL;
    bqb_clip *m = NULL;
    bqb_err err;
    if (bqb_watch_check(folders, (size_t)n_folders, &err)) return cli_fail(&err); /* before a library is made for nothing */
    if ((status = cli_open_import_model(&m, model))) return status;
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_WRITE, &err);
    pthread_mutex_init(&shown.lock, NULL);
    shown.c = c;
    shown.model_dir = m ? cli_model_dir(model) : NULL;
    if (!s && ocr) s = start_reader(&shown, env->library, &err);
    if (!s) {
        bqb_embedder embedder;
        if (m) embedder = bqb_embedder_of_clip(m);
        cli_catch_interrupts();
        cli_stopping_takes_time(ocr);
        bqb_watch_options o = {
            .import = {.embedder = m ? &embedder : NULL, .skip = on_skip, .progress = on_progress,
                       .waiting = on_waiting, .change = on_change, .ctx = &shown},
            .stop_fd = cli_interrupt_fd(), .tell = on_news};
        s = bqb_library_watch(c, folders, (size_t)n_folders, &o, &err);
        stop_reader(&shown, !s);
        cli_progress_end(&shown.told.bar);
    }
    pthread_mutex_destroy(&shown.lock);
    bqb_catalogue_close(c);
    bqb_clip_free(m);
    return s ? cli_fail(&err) : 0;
}
