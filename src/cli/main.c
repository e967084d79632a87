/* bqb COMMAND …: find the command, hand over, report what stdout could not take. */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *name;
    cli_main_fn main;
    const char *summary;
} command;

static int help(const cli_env *env, int argc, char **argv);

static const command commands[] = {
    {"import", cli_import, "add stickers: folders, captions.tsv files, pictures"},
    {"watch", cli_watch, "keep the library in step with folders"},
    {"annotate", cli_annotate, "fill in what is not known of the stickers: their words, emotions and styles"},
    {"search", cli_search, "find stickers by what they show, say or feel, or by a picture"},
    {"similar", cli_similar, "find stickers that look like a picture or a sticker of the library"},
    {"show", cli_show, "everything known about stickers"},
    {"set", cli_set, "say yourself what stickers show, say or feel"},
    {"stats", cli_stats, "what the library holds"},
    {"duplicates", cli_duplicates, "near copies: groups, and which of each is shown"},
    {"remove", cli_remove, "take stickers out of the library (files are never deleted)"},
    {"export", cli_export, "the library as a folder of pictures with a captions.tsv"},
    {"chat", cli_chat, "talk with a language model that answers with stickers"},
    {"reply", cli_reply, "the same for programs: conversations as JSON in, answers as JSON out"},
    {"embed", cli_embed, "unit vectors of texts or pictures"},
    {"split", cli_split, "cut annotated stickers into train, valid and test, without copies"},
    {"train", cli_train, "train StickerCLIP on annotated stickers"},
    {"pretrain", cli_pretrain, "train a small language model from nothing"},
    {"tune", cli_tune, "teach a language model to answer with stickers"},
    {"eval", cli_eval, "recall of a model on annotated stickers"},
    {"model", cli_model, "look into a model folder, or convert it"},
    {"synth", cli_synth, "draw an annotated set of synthetic stickers"},
    {"bench", cli_bench, "measure speed"},
    {"help", help, "explain a command"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const command *find_command(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

static void print_help(FILE *out) {
    fputs("bqb (表情包) finds the right sticker: by what it shows, what it says, what it feels.\n\n"
          "usage: bqb [-L LIBRARY] [--model DIR] COMMAND …\n\n", out);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].summary);
    }
    fputs("\n"
          "  -L, --library DIR  the library's folder (default: $BQB_LIBRARY, else $XDG_DATA_HOME/bqb,\n"
          "                     else ~/.local/share/bqb)\n"
          "      --model DIR    the model's folder (default: $BQB_MODEL, else the bundled one)\n"
          "  -h, --help         this text; `bqb COMMAND --help` for a command's own\n"
          "      --version      the version\n\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage.\n", out);
}

static int unknown_command(const char *name) {
    fputs("bqb: there is no command \"", stderr);
    cli_puts_safe(stderr, name);
    fputs("\"; `bqb --help` lists them\n", stderr);
    return 2;
}

static int help(const cli_env *env, int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name || name[0] == '-' || !strcmp(name, "help")) {
        print_help(stdout);
        return 0;
    }
    const command *c = find_command(name);
    if (!c) return unknown_command(name);
    char flag[] = "--help";
    char *args[] = {argv[1], flag, NULL};
    return c->main(env, 2, args);
}

/* Fresh memory; "" in an environment variable counts as unset, as the XDG rules say. */
static char *default_library(void) {
    const char *e = getenv("BQB_LIBRARY");
    if (e && *e) return bqb_strdup(e);
    e = getenv("XDG_DATA_HOME");
    if (e && *e == '/') return bqb_asprintf("%s/bqb", e);
    e = getenv("HOME");
    return e && *e ? bqb_asprintf("%s/.local/share/bqb", e) : bqb_strdup(""); /* not the root's: opening tells */
}

/* A result that did not arrive is a failure, however well the work went. */
static int check_stdout(int status) {
    if (fflush(stdout) || ferror(stdout)) {
        perror("bqb: standard output");
        return status ? status : 1;
    }
    return status;
}

/* The value of a global option at argv[*i]: "-L X", "-LX", "--library X" or
 * "--library=X"; NULL when argv[*i] is something else. Missing: *missing set. */
static const char *global_value(char **argv, int argc, int *i, const char *letter, const char *name,
                                bool *missing) {
    const char *a = argv[*i];
    size_t n = strlen(name);
    if (letter && !strncmp(a, letter, 2) && a[2]) return a + 2;
    if (!strncmp(a, name, n) && a[n] == '=') return a + n + 1;
    if (strcmp(a, name) && (!letter || strcmp(a, letter))) return NULL;
    if (*i + 1 < argc) return argv[++*i];
    *missing = true;
    return NULL;
}

/* A closed standard stream must not become the first file that is opened. In its place comes one that cannot do what is
 * asked of it: reading standard input then is an error that is told, and so is writing a result. */
static void hold_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(1);
}

int main(int argc, char **argv) {
    hold_standard_streams();
    setlocale(LC_CTYPE, "");
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
    const char *library = NULL;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *a = argv[i], *value;
        bool missing = false;
        if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
            print_help(stdout);
            return check_stdout(0);
        }
        if (!strcmp(a, "--version")) {
            puts("bqb " BQB_VERSION);
            return check_stdout(0);
        }
        if ((value = global_value(argv, argc, &i, "-L", "--library", &missing))) library = value;
        else if (!missing && (value = global_value(argv, argc, &i, NULL, "--model", &missing))) {
            if (setenv("BQB_MODEL", value, 1)) {
                perror("bqb");
                return 1;
            }
        } else {
            fputs(missing ? "bqb: " : "bqb: unknown option ", stderr);
            cli_puts_safe(stderr, a);
            fputs(missing ? " needs a value\n" : "; see `bqb --help`\n", stderr);
            return 2;
        }
    }
    if (i == argc) {
        print_help(stderr);
        return 2;
    }
    const command *c = find_command(argv[i]);
    if (!c) return unknown_command(argv[i]);
    if (library && !*library) {
        fputs("bqb: -L needs the name of a folder\n", stderr);
        return 2;
    }
    char *fallback = library ? NULL : default_library();
    cli_env env = {.library = library ? library : fallback};
    if (!env.library) {
        fputs("bqb: out of memory\n", stderr);
        return 1;
    }
    int status = check_stdout(c->main(&env, argc - i, argv + i));
    free(fallback);
    return status;
}
