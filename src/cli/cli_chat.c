/* bqb chat: a conversation in the terminal, or one message a line from elsewhere. */
#include "base/fs.h"
#include "base/utf8.h"
#include "cli/chat_session.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/pictures.h"
#include "image/decode.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: bqb chat [OPTION…]\n\n"
    "Talk with a language model that answers with stickers of the library when they are wanted.\n"
    "On a terminal a conversation, with pictures; else every line of standard input is a message.\n"
    "After a sticker, 换一张, 可爱一点的, 不要带字的, 动图 or \"another one\", \"a cuter one\", \"without\n"
    "words\" ask for another. Ctrl-C stops an answer in the middle. Lines that begin with / are\n"
    "commands; /help lists them.";

static const char commands_help[] =
    "  /image FILE   a picture, part of the next message\n"
    "  /pret [TEXT]  answer with a sticker now: to TEXT, or to the next message\n"
    "  /again        the last answer once more, otherwise\n"
    "  /reset        forget the conversation\n"
    "  /help         this text\n"
    "  /quit         the end (so is Ctrl-D)\n"
    "  //…           a message that begins with /\n";

typedef struct {
    bqb_dialogue *d;
    bool talks;      /* somebody sits at the terminal */
    cli_prompt *prompt; /* of theirs */
    cli_canvas *canvas; /* where pictures are shown; NULL: nowhere */
    bool pret_always, pret;
    bqb_map file[BQB_MESSAGE_PICTURES]; /* of the next message */
    bqb_picture picture[BQB_MESSAGE_PICTURES];
    char *name[BQB_MESSAGE_PICTURES];
    size_t n_pictures;
    bool in_line;    /* text stands on the line at hand */
    bool failed, over;
} chat;

/* ---- Ctrl-C: stops an answer, not the program ---- */

static volatile sig_atomic_t pressed;

static void on_interrupt(int sig) {
    (void)sig;
    pressed = 1;
}

static void catch_interrupts(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_interrupt; /* without SA_RESTART: reading a line ends, too */
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
}

/* ---- answers ---- */

/* Text of a model for a terminal or a file: nothing that steers a terminal but line ends and tabs. */
static void put_text(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char utf8[5] = {0};
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        utf8[bqb_utf8_put(utf8, cp)] = 0;
        if (cp == '\n' || cp == '\t') putchar((int)cp);
        else cli_puts_safe(stdout, utf8);
    }
}

static int show_text(void *ctx, const char *utf8, size_t n) {
    chat *c = ctx;
    put_text(utf8, n);
    c->in_line = utf8[n - 1] != '\n';
    fflush(stdout);
    return ferror(stdout);
}

/* Small enough for many of them in a conversation. Whether it was shown. */
static bool show_picture(chat *c, const char *path) {
    enum { COLUMNS = 32, ROWS = 12 };
    if (!c->canvas) return false;
    int columns = cli_canvas_columns(c->canvas);
    return cli_canvas_draw(c->canvas, &path, 1, columns < COLUMNS ? columns : COLUMNS, ROWS);
}

static int show_sticker(void *ctx, const bqb_found *f) {
    chat *c = ctx;
    bqb_buf words = {.max = 4096};
    if (c->in_line) putchar('\n');
    c->in_line = false;
    bool shown = show_picture(c, f->path);
    printf("[%s] ", f->id);
    if (!bqb_choice_describe(&words, f, NULL)) cli_puts_safe(stdout, words.data);
    putchar('\n');
    if (!shown) {
        fputs("    ", stdout);
        cli_puts_safe(stdout, f->path);
        putchar('\n');
    }
    bqb_buf_free(&words);
    fflush(stdout);
    return ferror(stdout);
}

static int was_pressed(void *ctx) {
    (void)ctx;
    return pressed;
}

static void tell(chat *c, const bqb_err *err) {
    fprintf(stderr, "bqb: %s\n", err->msg);
    c->failed = true;
}

static void forget_pictures(chat *c) {
    for (size_t i = 0; i < c->n_pictures; i++) {
        bqb_map_close(&c->file[i]);
        free(c->name[i]);
    }
    c->n_pictures = 0;
}

/* Say something (NULL: the last answer again) and show what comes. */
static void say(chat *c, const char *text) {
    bqb_answer_events events = {.text = show_text, .sticker = show_sticker, .stop = was_pressed, .ctx = c};
    bqb_message m = {.text = text, .picture = c->picture, .n_pictures = c->n_pictures, .pret = c->pret || c->pret_always};
    bqb_answer a;
    bqb_err err;
    pressed = 0;
    c->in_line = false;
    bqb_status s = text ? bqb_dialogue_say(c->d, &m, &events, &a, &err) : bqb_dialogue_again(c->d, &events, &a, &err);
    if (c->in_line) putchar('\n');
    if (s) {
        tell(c, &err);
        return; /* pictures and /pret stay for the next try */
    }
    if (!*a.text && !a.n_sent) putchar('\n'); /* an answer a line, also an empty one */
    if (c->talks && a.stopped == BQB_STOPPED_CANCELLED) fputs("(stopped)\n", stderr);
    if (c->talks && a.stopped == BQB_STOPPED_LENGTH) fputs("(the answer was cut: --tokens allows longer ones)\n", stderr);
    if (c->talks && a.n_forgotten) fprintf(stderr, "(the oldest %zu messages no longer fit and are forgotten)\n", a.n_forgotten);
    bqb_answer_free(&a);
    fflush(stdout);
    c->over = pressed && !c->talks; /* nobody is there to go on with */
    pressed = 0;
    if (!text) return;
    c->pret = false;
    forget_pictures(c);
}

/* ---- commands ---- */

static void attach(chat *c, const char *path) {
    bqb_err err;
    bqb_image_info info;
    size_t n = c->n_pictures;
    bqb_status s = BQB_OK;
    if (!*path) s = bqb_fail(&err, BQB_EINVAL, "/image needs a file");
    else if (n == BQB_MESSAGE_PICTURES) s = bqb_fail(&err, BQB_ELIMIT, "a message has at most %d pictures", BQB_MESSAGE_PICTURES);
    if (!s) s = bqb_image_init(&err);
    if (!s) s = bqb_map_open(&c->file[n], path, &err);
    if (!s && (s = bqb_image_probe(&info, c->file[n].data, c->file[n].size, bqb_path_base(path), NULL, &err))) bqb_map_close(&c->file[n]);
    if (!s && !(c->name[n] = bqb_strdup(bqb_path_base(path)))) {
        s = bqb_fail_nomem(&err, path, strlen(path));
        bqb_map_close(&c->file[n]);
    }
    if (s) {
        tell(c, &err);
        return;
    }
    c->picture[n] = (bqb_picture){.data = c->file[n].data, .size = c->file[n].size, .name = c->name[n]};
    c->n_pictures++;
    if (!c->talks) return;
    show_picture(c, path);
    fputs("(part of your next message)\n", stderr);
}

/* What follows the command, if the line begins with it. */
static const char *after(const char *line, const char *command) {
    size_t n = strlen(command);
    if (strncmp(line, command, n) || (line[n] && line[n] != ' ' && line[n] != '\t')) return NULL;
    return line + n + strspn(line + n, " \t");
}

/* Whether the conversation goes on. */
static bool obey(chat *c, const char *line) {
    const char *rest;
    bqb_err err;
    if ((rest = after(line, "/image"))) attach(c, rest);
    else if ((rest = after(line, "/pret"))) {
        c->pret = true;
        if (*rest) say(c, rest);
        else if (c->talks) fputs("(your next message is answered with a sticker)\n", stderr);
    } else if (after(line, "/again")) say(c, NULL);
    else if (after(line, "/reset")) {
        forget_pictures(c);
        c->pret = false;
        if (bqb_dialogue_reset(c->d, &err)) tell(c, &err);
        else if (c->talks) fputs("(a new conversation)\n", stderr);
    } else if (after(line, "/help")) fputs(commands_help, stderr);
    else if (after(line, "/quit") || after(line, "/exit")) return false;
    else {
        bqb_fail(&err, BQB_EINVAL, "there is no command %.40s; /help lists them, and // begins a message with /", line);
        tell(c, &err);
    }
    return true;
}

static bool take_line(chat *c, const char *line, size_t n, bool cut) {
    const char *problem = cut ? "the message is longer than 1 MiB" : memchr(line, 0, n) ? "the message holds a zero byte" : NULL;
    bqb_err err;
    if (problem) {
        bqb_fail(&err, BQB_EINVAL, "%s", problem);
        tell(c, &err);
        return true;
    }
    line += strspn(line, " \t\r");
    if (!*line && !c->n_pictures && !c->pret) return true;
    if (line[0] == '/' && line[1] != '/') return obey(c, line);
    say(c, line[0] == '/' ? line + 1 : line);
    return true;
}

static bool next_line(chat *c, bqb_buf *line, bool *cut) {
    if (!c->prompt) return cli_read_line(line, cut, stdin);
    fputc('\n', stderr);
    return cli_prompt_read(c->prompt, line, cut);
}

static int converse(chat *c) {
    bqb_buf line = {.max = BQB_MESSAGE_MAX};
    bool cut, again = false; /* Ctrl-C at the prompt, just now */
    for (;;) {
        errno = 0;
        if (!next_line(c, &line, &cut)) {
            if (!(pressed && c->talks && !again)) break;
            clearerr(stdin);
            pressed = 0;
            again = true;
            fputs("\n(Ctrl-C once more, Ctrl-D or /quit ends)", stderr);
            continue;
        }
        again = false;
        if (!take_line(c, line.data, line.len, cut) || c->over || ferror(stdout)) break;
    }
    if (c->talks) fputc('\n', stderr);
    bqb_buf_free(&line);
    return (c->failed || c->over) && !c->talks;
}

static void greet(const bqb_assistant *a, bqb_catalogue *c) {
    bqb_catalogue_stats stats;
    bqb_decoder_bytes bytes;
    if (bqb_catalogue_get_stats(c, &stats, NULL)) return;
    bqb_decoder_memory(&bytes, a->llm, a->window);
    fprintf(stderr, "%s, %zu tokens of conversation, %.*f MB; %llu stickers. /help lists commands, Ctrl-D ends.\n", bqb_decoder_name(a->llm), a->window,
            bytes.total < 1e7, bytes.total / 1e6, (unsigned long long)stats.stickers);
}

int cli_chat(const cli_env *env, int argc, char **argv) {
    cli_chat_options o = cli_chat_defaults();
    bool pret = false, no_pictures = false;
    int n_words, status;
    const cli_option options[] = {
        CLI_CHAT_OPTIONS(o),
        {"pret", 0, CLI_FLAG, &pret, NULL, "answer every message with a sticker"},
        {"no-pictures", 0, CLI_FLAG, &no_pictures, NULL, "text only, on a terminal too"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error(argv[0], "messages come from standard input, not as words: %s", argv[1]);
    if ((status = cli_chat_check(&o, argv[0])) >= 0) return status;

    bqb_assistant *a = NULL;
    bqb_catalogue *c = NULL;
    bqb_err err;
    chat ch = {.talks = isatty(STDIN_FILENO) && isatty(STDERR_FILENO), .canvas = no_pictures ? NULL : cli_canvas_new(), .pret_always = pret};
    bqb_status s = cli_chat_open(&a, &c, &o, env->library, &err);
    if (!s) s = bqb_dialogue_new(&ch.d, a, c, &o.d, &err);
    if (s) status = cli_fail(&err);
    else {
        if (ch.talks) greet(a, c);
        catch_interrupts();
        if (ch.talks) ch.prompt = cli_prompt_new("> ", &pressed);
        status = converse(&ch);
    }
    forget_pictures(&ch);
    cli_prompt_free(ch.prompt);
    cli_canvas_free(ch.canvas);
    bqb_dialogue_free(ch.d);
    bqb_assistant_close(a);
    bqb_catalogue_close(c);
    return status;
}
