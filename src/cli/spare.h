/* One rule for every file that an option names to be written: what bqb did not make is never written over. */
#ifndef BQB_CLI_SPARE_H
#define BQB_CLI_SPARE_H

#include "cli/cli.h"

typedef enum {
    CLI_DRAWING,     /* a PNG with Software=bqb in it, or an SVG with bqb's comment: sheets, charts, previews */
    CLI_PAGE,        /* HTML with bqb as its generator */
    CLI_ARRAY,       /* .npy, numbers in two dimensions */
    CLI_PREDICTIONS, /* JSONL: text_id, image_ids */
    CLI_SCORE,       /* JSON: success, score, scoreJson */
    CLI_TEXTS,       /* JSONL: text_id, text, image_ids */
    CLI_FEATURES,    /* JSONL: text_id or image_id, feature */
    CLI_NUMBERS,     /* ids.tsv of eval --muge */
    CLI_MATRIX,      /* CSV of eval --confusion */
    CLI_NOTHING      /* no file but an empty one */
} cli_made;

/* May `path`, which --OPTION names, be written? -1 to go on: nothing is there, or an empty file, or one of this kind (told
 * by its content, whatever its name). Else a usage error, and 2: another file, a sticker of the library in use, anything
 * in the folder of a library. path NULL: -1. Asked before the work begins, so that nobody waits for a refusal. */
int cli_spare(const cli_env *env, const char *command, const char *option, const char *path, cli_made made);

/* The same of DIR/NAME. */
int cli_spare_in(const cli_env *env, const char *command, const char *option, const char *dir, const char *name, cli_made made);

/* Whether DIR/NAME is there and is of this kind. */
bool cli_made_in(const char *dir, const char *name, cli_made made);

/* May results go to the folder `dir`? -1 to go on; a library's own folder: a usage error, and 2. dir NULL: -1. */
int cli_spare_folder(const char *command, const char *option, const char *dir);

#endif
