/* How results are written: as JSON, as lines, as pictures in the terminal. */
#ifndef BQB_CLI_OUTPUT_H
#define BQB_CLI_OUTPUT_H

#include "cli/cli.h"
#include "library/catalogue.h"
#include "search/search.h"

#include <jansson.h>
#include <stdio.h>

/* Text for a terminal or a log: control characters and bytes that are no UTF-8
 * come out as U+FFFD, so that no caption and no file name can steer a terminal. */
void cli_puts_safe(FILE *out, const char *text);
void cli_puts_lines(FILE *out, const char *text); /* line ends stay */

/* On stderr "WHAT:" and notes, lines about files; nothing where there are none (""). */
void cli_tell_notes(const char *what, const char *notes);

/* A line on stderr: "skipped PATH: REASON". A name of the file with which the reason begins is not said twice. */
void cli_tell_skipped(const char *path, const char *reason);

/* Progress on a terminal, between lines about what was left out: the first 50 are told. */
typedef struct {
    cli_progress bar; /* first: the progress function gets this address */
    size_t told;
} cli_screen;
void cli_screen_skipped(void *screen, const char *path, const char *reason);
void cli_screen_left(void *screen, const char *path, const char *reason); /* "left PATH: REASON", counted with the others */

/* A line on stdout: the number and what there is one of, or many. */
void cli_print_count(size_t n, const char *one, const char *many);

/* A JSON string of any bytes; those that are no UTF-8 become U+FFFD. NULL when memory is out. */
json_t *cli_json_text(const char *text);

/* Take `value` into `object`; a NULL of either is carried on, so that memory is checked once, at the end. */
void cli_json_set(json_t *object, const char *key, json_t *value);

/* "file", and "file_bytes" (hex) when the path is no UTF-8. */
void cli_json_path(json_t *object, const char *path);

bool cli_json_whole(const json_t *object); /* false: memory was out while it was built */

/* JSON and a line end on stdout; what might steer a terminal stands there as \uXXXX. */
void cli_puts_json(const char *json);

/* Write and free one JSON object so; the exit status. */
int cli_json_print(json_t *object);

/* {"rank","id","file","score","caption","ocr","emotion","style"}, and what else there is to say. */
json_t *cli_json_found(const bqb_found *f, size_t rank);

/* "origin" and "confidence": who says each field that there is, and how sure that is (0 … 1). */
void cli_json_origins(json_t *object, const bqb_annotated *a);

/* Open the library to change it; one that is not there is an error (BQB_ENOTFOUND), not made. */
bqb_status cli_open_to_change(bqb_catalogue **c, const cli_env *env, bqb_err *err);

/* Milliseconds since some moment; for differences. */
double cli_now_ms(void);

/* Results on stdout: rows of pictures where it is a terminal (and `pictures`), lines of text otherwise. */
void cli_show_results(const bqb_search_results *r, bool pictures);

/* One result as lines of text: rank, score, id, what is said of it; its path. */
void cli_show_line(const bqb_found *f, size_t rank);

/* One picture, as large as is pleasant. Whether it was shown. */
bool cli_show_picture(const char *path);

#endif
