#define _DEFAULT_SOURCE
#include "cli/pictures.h"

#include "base/mem.h"
#include "image/thumbnail.h"

#include <chafa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct cli_canvas {
    ChafaTermInfo *info;
    ChafaCanvasMode mode;
    ChafaPixelMode pixels;
    int columns, rows;           /* of the terminal */
    int cell_width, cell_height; /* of a character, in pixels */
};

/* The best of what the terminal has said it understands. */
static void choose_modes(cli_canvas *t) {
    if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_BEGIN_KITTY_IMMEDIATE_IMAGE_V1))
        t->pixels = CHAFA_PIXEL_MODE_KITTY;
    else if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_BEGIN_ITERM2_IMAGE)) t->pixels = CHAFA_PIXEL_MODE_ITERM2;
    else if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_BEGIN_SIXELS)) t->pixels = CHAFA_PIXEL_MODE_SIXELS;
    else t->pixels = CHAFA_PIXEL_MODE_SYMBOLS;
    if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_DIRECT)) t->mode = CHAFA_CANVAS_MODE_TRUECOLOR;
    else if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_256))
        t->mode = CHAFA_CANVAS_MODE_INDEXED_240;
    else if (chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_16)) t->mode = CHAFA_CANVAS_MODE_INDEXED_16;
    else t->mode = CHAFA_CANVAS_MODE_FGBG;
}

cli_canvas *cli_canvas_new(void) {
    const char *term = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || !term || !*term || !strcmp(term, "dumb")) return NULL;
    if (bqb_image_init(NULL)) return NULL;
    cli_canvas *t = bqb_calloc(1, sizeof *t);
    if (!t) return NULL;
    gchar **environment = g_get_environ();
    t->info = chafa_term_db_detect(chafa_term_db_get_default(), environment);
    g_strfreev(environment);
    choose_modes(t);
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w)) w = (struct winsize){0};
    t->columns = w.ws_col ? w.ws_col : 80;
    t->rows = w.ws_row ? w.ws_row : 24;
    t->cell_width = w.ws_xpixel && w.ws_xpixel >= w.ws_col ? w.ws_xpixel / t->columns : 8;
    t->cell_height = w.ws_ypixel && w.ws_ypixel >= w.ws_row ? w.ws_ypixel / t->rows : 16;
    return t;
}

void cli_canvas_free(cli_canvas *t) {
    if (!t) return;
    chafa_term_info_unref(t->info);
    free(t);
}

int cli_canvas_columns(const cli_canvas *t) { return t->columns; }
int cli_canvas_rows(const cli_canvas *t) { return t->rows; }

/* Copy a picture into the middle of its place at column x of the sheet. */
static void place(uint8_t *sheet, size_t sheet_width, size_t x, size_t width, size_t height, const bqb_thumbnail *p) {
    size_t left = x + (width - p->width) / 2, top = (height - p->height) / 2;
    for (size_t y = 0; y < p->height; y++)
        memcpy(sheet + ((top + y) * sheet_width + left) * 4, p->rgba + y * p->width * 4, p->width * 4);
}

static void print_sheet(cli_canvas *t, const uint8_t *sheet, size_t width, size_t height, int columns, int rows) {
    ChafaSymbolMap *symbols = chafa_symbol_map_new();
    chafa_symbol_map_add_by_tags(symbols, CHAFA_SYMBOL_TAG_BLOCK | CHAFA_SYMBOL_TAG_SPACE);
    ChafaCanvasConfig *config = chafa_canvas_config_new();
    chafa_canvas_config_set_geometry(config, columns, rows);
    chafa_canvas_config_set_cell_geometry(config, t->cell_width, t->cell_height);
    chafa_canvas_config_set_canvas_mode(config, t->mode);
    chafa_canvas_config_set_pixel_mode(config, t->pixels);
    chafa_canvas_config_set_symbol_map(config, symbols);
    ChafaCanvas *canvas = chafa_canvas_new(config);
    chafa_canvas_draw_all_pixels(canvas, CHAFA_PIXEL_RGBA8_UNASSOCIATED, sheet, (gint)width, (gint)height,
                                 (gint)(width * 4));
    GString *text = chafa_canvas_print(canvas, t->info);
    fwrite(text->str, 1, text->len, stdout);
    putchar('\n');
    g_string_free(text, TRUE);
    chafa_canvas_unref(canvas);
    chafa_canvas_config_unref(config);
    chafa_symbol_map_unref(symbols);
}

bool cli_canvas_draw(cli_canvas *t, const char *const *paths, size_t n, int columns, int rows) {
    size_t width = (size_t)columns * (size_t)t->cell_width, height = (size_t)rows * (size_t)t->cell_height;
    size_t sheet_width = width * n, picture_width = width - (size_t)t->cell_width;
    bool any = false;
    uint8_t *sheet = bqb_calloc(sheet_width * height, 4);
    if (!sheet || columns < 2) {
        free(sheet);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bqb_thumbnail p = {0};
        if (bqb_image_thumbnail_file(&p, paths[i], picture_width, height, 1, NULL, NULL)) continue;
        place(sheet, sheet_width, i * width, picture_width, height, &p);
        bqb_thumbnail_free(&p);
        any = true;
    }
    if (any) print_sheet(t, sheet, sheet_width, height, columns * (int)n, rows);
    free(sheet);
    return any;
}
