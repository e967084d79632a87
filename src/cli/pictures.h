/* Pictures in a terminal: sixel, kitty, iTerm2, or characters, by libchafa. */
#ifndef BQB_CLI_PICTURES_H
#define BQB_CLI_PICTURES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_canvas cli_canvas;

/* What the terminal on stdout can show; NULL when it is none, or one without colours and cursor ("dumb"). */
cli_canvas *cli_canvas_new(void);
void cli_canvas_free(cli_canvas *t);

int cli_canvas_columns(const cli_canvas *t);
int cli_canvas_rows(const cli_canvas *t);

/* Draw pictures side by side, each in `columns` × `rows` character cells (one
 * column stays free at its right), and end the line. What cannot be decoded
 * leaves its place empty. Whether anything was drawn. */
bool cli_canvas_draw(cli_canvas *t, const char *const *paths, size_t n, int columns, int rows);

#endif
