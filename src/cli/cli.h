/* The bqb program: one file per subcommand, this header for what they share.
 * Exit status: 0 done, 1 failed, 2 wrong usage. stdout carries results only;
 * progress and messages go to stderr. */
#ifndef BQB_CLI_CLI_H
#define BQB_CLI_CLI_H

#include "base/err.h"

#include <stdbool.h>

/* What stands before the command: bqb [-L LIBRARY] [--model DIR] COMMAND … */
typedef struct {
    const char *library; /* -L, $BQB_LIBRARY, $XDG_DATA_HOME/bqb, ~/.local/share/bqb */
} cli_env;

/* A subcommand gets its own argv (argv[0] is its name) and returns the exit status. */
typedef int (*cli_main_fn)(const cli_env *env, int argc, char **argv);

int cli_synth(const cli_env *env, int argc, char **argv);
int cli_split(const cli_env *env, int argc, char **argv);
int cli_pretrain(const cli_env *env, int argc, char **argv);
int cli_train(const cli_env *env, int argc, char **argv);
int cli_tune(const cli_env *env, int argc, char **argv);
int cli_eval(const cli_env *env, int argc, char **argv);
int cli_embed(const cli_env *env, int argc, char **argv);
int cli_model(const cli_env *env, int argc, char **argv);
int cli_bench(const cli_env *env, int argc, char **argv);
int cli_import(const cli_env *env, int argc, char **argv);
int cli_watch(const cli_env *env, int argc, char **argv);
int cli_search(const cli_env *env, int argc, char **argv);
int cli_similar(const cli_env *env, int argc, char **argv);
int cli_annotate(const cli_env *env, int argc, char **argv);
int cli_show(const cli_env *env, int argc, char **argv);
int cli_set(const cli_env *env, int argc, char **argv);
int cli_stats(const cli_env *env, int argc, char **argv);
int cli_duplicates(const cli_env *env, int argc, char **argv);
int cli_remove(const cli_env *env, int argc, char **argv);
int cli_export(const cli_env *env, int argc, char **argv);
int cli_chat(const cli_env *env, int argc, char **argv);
int cli_reply(const cli_env *env, int argc, char **argv);

/* Options, declared as a table and parsed in one place; `--name value`,
 * `--name=value`, `-n value`, `--` ends them. --help prints `usage` and the
 * table. Unknown options and missing or unreadable values: a message, exit 2.
 * CLI_TEXT is a CLI_STRING that may be empty. */
typedef enum { CLI_FLAG, CLI_STRING, CLI_TEXT, CLI_SIZE, CLI_U64, CLI_FLOAT, CLI_LIST } cli_kind;
typedef struct {
    const char *name;  /* "seed"; "" ends the table */
    char letter;       /* 'n', or 0 */
    cli_kind kind;
    void *value;       /* bool*, const char** (twice), size_t*, uint64_t*, double*, cli_list* */
    const char *metavar, *help;
} cli_option;

typedef struct {
    const char *item[64];
    size_t n;
} cli_list;

/* Parses argv[1 …]; the words that are no options are moved to argv[1 … *n_words]
 * in order. Returns -1 to go on, else the exit status to return at once. */
int cli_parse(const cli_option *options, const char *usage, int argc, char **argv, int *n_words);

/* "bqb: MESSAGE" on stderr; returns 1. */
int cli_fail(const bqb_err *err);

/* "bqb COMMAND: MESSAGE" and a hint to --help on stderr; returns 2. */
int cli_usage_error(const char *command, const char *fmt, ...) BQB_PRINTF(2, 3);

/* A bqb_progress_fn: a bar with rate and time left on a terminal, a line per
 * 10 % elsewhere, nothing for work under half a second; asks the work to stop
 * once Ctrl-C was pressed. ctx is a zeroed cli_progress. */
typedef struct {
    const char *what;
    uint64_t started_ms, shown_ms, shown_tenth;
    bool open;
} cli_progress;
int cli_progress_show(void *ctx, const char *what, uint64_t done, uint64_t total);
void cli_progress_end(cli_progress *p); /* finish the line, before other output */
void cli_progress_say(void *ctx, const char *line); /* a line for people while the bar is shown; ctx as above */

/* Ctrl-C and SIGTERM set a flag instead of killing (a second one kills). */
void cli_catch_interrupts(void);
bool cli_interrupted(void);
void cli_stopping_takes_time(bool takes); /* "stopping…" is said at once, for work whose least piece takes seconds */
int cli_interrupt_fd(void); /* readable once one was pressed, for poll(); -1 when there can be none */

/* The model folder: `given` when not NULL, else $BQB_MODEL, else models/mini
 * beside the program, in its build tree or under its PREFIX/share/bqb. Static buffer. */
const char *cli_model_dir(const char *given);

/* The language model, a folder or a GGUF file: `given`, else $BQB_LLM, else models/mini-lm at the same places. Static buffer. */
const char *cli_llm_dir(const char *given);

/* Whether a model was asked for, by option or environment: then it must open. */
bool cli_model_named(const char *given);

#endif
