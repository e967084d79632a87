#include "cli/output.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/pictures.h"
#include "file/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

static void put_safe(FILE *out, const char *text, bool lines) {
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        bool bad = bqb_is_control(cp) && !(lines && cp == '\n');
        fwrite(utf8, 1, bqb_utf8_put(utf8, bad ? BQB_UTF8_BAD : cp), out);
    }
}

void cli_puts_safe(FILE *out, const char *text) { put_safe(out, text, false); }
void cli_puts_lines(FILE *out, const char *text) { put_safe(out, text, true); }

void cli_tell_notes(const char *what, const char *notes) {
    if (!*notes) return;
    fprintf(stderr, "%s:\n", what);
    cli_puts_lines(stderr, notes);
}

/* The reason without the name that it begins with, when that is the file's. */
static const char *without_name(const char *reason, const char *name) {
    size_t n = strlen(name);
    return n && !strncmp(reason, name, n) && !strncmp(reason + n, ": ", 2) ? reason + n + 2 : reason;
}

static void tell(const char *what, const char *path, const char *reason) {
    fprintf(stderr, "%s ", what);
    cli_puts_safe(stderr, path);
    fputs(": ", stderr);
    cli_puts_safe(stderr, without_name(without_name(reason, path), bqb_path_base(path)));
    fputc('\n', stderr);
}

void cli_tell_skipped(const char *path, const char *reason) { tell("skipped", path, reason); }

enum { MOST_REASONS = 50 };

static void tell_first(cli_screen *s, const char *what, const char *path, const char *reason) {
    cli_progress_end(&s->bar);
    if (++s->told > MOST_REASONS) return;
    tell(what, path, reason);
    if (s->told == MOST_REASONS) fprintf(stderr, "%s more, which are only counted\n", what);
}

void cli_screen_skipped(void *screen, const char *path, const char *reason) { tell_first(screen, "skipped", path, reason); }
void cli_screen_left(void *screen, const char *path, const char *reason) { tell_first(screen, "left", path, reason); }

void cli_print_count(size_t n, const char *one, const char *many) { printf("%zu %s\n", n, n == 1 ? one : many); }

json_t *cli_json_text(const char *text) { return bqb_json_text(text); }

static const char out_of_memory[] = "out of memory"; /* a key that nothing else has */

bool cli_json_whole(const json_t *object) { return !json_object_get(object, out_of_memory); }

void cli_json_set(json_t *object, const char *key, json_t *value) {
    if (!object || !value || json_object_set_new(object, key, value))
        if (object) json_object_set_new(object, out_of_memory, json_true());
}

void cli_json_path(json_t *object, const char *path) {
    size_t n = strlen(path);
    cli_json_set(object, "file", cli_json_text(path));
    if (bqb_utf8_check(path, n) == n) return;
    char *hex = malloc(2 * n + 1);
    if (hex) bqb_hex(hex, (const uint8_t *)path, n);
    cli_json_set(object, "file_bytes", hex ? json_string(hex) : NULL);
    free(hex);
}

/* jansson escapes the control characters of ASCII alone; outside of strings there are only line ends. */
void cli_puts_json(const char *json) {
    for (size_t i = 0, n = strlen(json); i < n;) {
        uint32_t cp;
        size_t len = bqb_utf8_next(json + i, n - i, &cp, NULL);
        if (bqb_is_control(cp) && cp != '\n') printf("\\u%04x", (unsigned)cp);
        else fwrite(json + i, 1, len, stdout);
        i += len;
    }
    putchar('\n');
}

int cli_json_print(json_t *object) {
    char *text = object ? json_dumps(object, JSON_REAL_PRECISION(6)) : NULL;
    bool failed = !text || !cli_json_whole(object);
    if (!failed) cli_puts_json(text);
    free(text);
    json_decref(object);
    if (failed) fputs("bqb: the result could not be written\n", stderr);
    return failed ? 1 : 0;
}

json_t *cli_json_found(const bqb_found *f, size_t rank) {
    json_t *o = json_object();
    const char *label = f->field[BQB_EMOTION_LABEL], *emotion = f->field[BQB_EMOTION];
    if (rank) cli_json_set(o, "rank", json_integer((json_int_t)rank));
    cli_json_set(o, "id", json_string(f->id));
    cli_json_path(o, f->path);
    if (rank) cli_json_set(o, "score", json_real(f->score));
    cli_json_set(o, "caption", cli_json_text(f->field[BQB_CAPTION]));
    cli_json_set(o, "ocr", cli_json_text(f->field[BQB_OCR]));
    cli_json_set(o, "emotion", cli_json_text(*emotion ? emotion : label));
    if (*label) cli_json_set(o, "emotion_label", cli_json_text(label));
    cli_json_set(o, "style", cli_json_text(f->field[BQB_STYLE]));
    cli_json_set(o, "animated", json_boolean(f->sticker.frames > 1));
    if (rank) cli_json_set(o, "folded", json_integer((json_int_t)f->folded));
    return o;
}

void cli_json_origins(json_t *object, const bqb_annotated *a) {
    json_t *origin = json_object(), *confidence = json_object();
    for (int f = 0; f < BQB_FIELDS; f++) {
        if (!a->field[f]) continue;
        cli_json_set(origin, bqb_field_name((bqb_field)f), json_string(bqb_origin_name(a->origin[f])));
        cli_json_set(confidence, bqb_field_name((bqb_field)f), json_real(a->score[f]));
    }
    cli_json_set(object, "origin", origin);
    cli_json_set(object, "confidence", confidence);
}

bqb_status cli_open_to_change(bqb_catalogue **c, const cli_env *env, bqb_err *err) {
    bqb_status s = bqb_catalogue_open(c, env->library, BQB_CATALOGUE_READ, err);
    bqb_catalogue_close(*c);
    *c = NULL;
    return s ? s : bqb_catalogue_open(c, env->library, BQB_CATALOGUE_WRITE, err);
}

double cli_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void print_words(const bqb_found *f) {
    const char *between = "";
    for (int i = 0; i < BQB_FIELDS; i++) {
        if (!*f->field[i]) continue;
        fputs(between, stdout);
        cli_puts_safe(stdout, f->field[i]);
        between = " · ";
    }
}

/* As much of text as fits into `columns`, then spaces up to there. */
static void print_cell(const char *text, int columns) {
    int used = 0;
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        if (bqb_is_control(cp)) cp = BQB_UTF8_BAD;
        int width = utf8proc_charwidth((utf8proc_int32_t)cp);
        if (used + width >= columns) break;
        fwrite(utf8, 1, bqb_utf8_put(utf8, cp), stdout);
        used += width;
    }
    printf("%*s", columns - used, "");
}

/* What to print under a picture: what it says, else what it shows, else its file's name. */
static const char *title(const bqb_found *f) {
    if (*f->field[BQB_CAPTION]) return f->field[BQB_CAPTION];
    if (*f->field[BQB_OCR]) return f->field[BQB_OCR];
    return bqb_path_base(f->path);
}

enum { CELL_COLUMNS = 24, CELL_ROWS = 10, MAX_PER_ROW = 16 };

static void show_grid(const bqb_search_results *r, cli_canvas *canvas) {
    size_t per_row = (size_t)(cli_canvas_columns(canvas) / CELL_COLUMNS);
    per_row = per_row < 1 ? 1 : per_row > MAX_PER_ROW ? MAX_PER_ROW : per_row;
    for (size_t first = 0; first < r->n; first += per_row) {
        size_t n = r->n - first < per_row ? r->n - first : per_row;
        const char *paths[MAX_PER_ROW];
        for (size_t i = 0; i < n; i++) paths[i] = r->item[first + i].path;
        cli_canvas_draw(canvas, paths, n, CELL_COLUMNS, CELL_ROWS);
        for (size_t i = 0; i < n; i++) {
            char line[128];
            const bqb_found *f = &r->item[first + i];
            int used = snprintf(line, sizeof line, "%zu  %.2f  %.12s", first + i + 1, f->score, f->id);
            if (f->folded) snprintf(line + used, sizeof line - (size_t)used, " +%zu", f->folded);
            print_cell(line, CELL_COLUMNS);
        }
        putchar('\n');
        for (size_t i = 0; i < n; i++) print_cell(title(&r->item[first + i]), CELL_COLUMNS);
        fputs("\n\n", stdout);
    }
}

void cli_show_line(const bqb_found *f, size_t rank) {
    printf("%2zu  %.3f  %s  ", rank, f->score, f->id);
    print_words(f);
    fputs("\n    ", stdout);
    cli_puts_safe(stdout, f->path);
    if (f->folded) printf("  (and %zu near %s)", f->folded, f->folded == 1 ? "copy" : "copies");
    putchar('\n');
}

static void show_list(const bqb_search_results *r) {
    for (size_t i = 0; i < r->n; i++) cli_show_line(&r->item[i], i + 1);
}

void cli_show_results(const bqb_search_results *r, bool pictures) {
    cli_canvas *canvas = pictures && r->n ? cli_canvas_new() : NULL;
    if (canvas) show_grid(r, canvas);
    else show_list(r);
    cli_canvas_free(canvas);
}

bool cli_show_picture(const char *path) {
    cli_canvas *canvas = cli_canvas_new();
    if (!canvas) return false;
    int columns = cli_canvas_columns(canvas), rows = cli_canvas_rows(canvas) / 2;
    columns = columns > 60 ? 60 : columns;
    rows = rows < 6 ? 6 : rows > 24 ? 24 : rows;
    bool shown = cli_canvas_draw(canvas, &path, 1, columns, rows);
    cli_canvas_free(canvas);
    return shown;
}
