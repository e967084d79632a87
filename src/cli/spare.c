#define _GNU_SOURCE
#include "cli/spare.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/json.h"
#include "file/npy.h"
#include "file/svg.h"
#include "image/drawing.h"
#include "library/catalogue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 1024, LINE_MAX_BYTES = 8 << 20, DEPTH = 8, ITEMS = 1 << 20 };

/* ---- what bqb made ---- */

static bool is_drawing(const bqb_map *m) {
    size_t head = m->size < HEAD ? m->size : HEAD;
    return bqb_drawing_is(m->data, m->size) || memmem(m->data, head, BQB_SVG_MARK, strlen(BQB_SVG_MARK)) != NULL;
}

static bool is_page(const bqb_map *m) {
    static const char mark[] = "<meta name=generator content=bqb>";
    return memmem(m->data, m->size < HEAD ? m->size : HEAD, mark, sizeof mark - 1) != NULL;
}

/* The first line is an object with these keys and no others. */
static bool has_keys(const bqb_map *m, const char *const *keys) {
    size_t most = m->size < LINE_MAX_BYTES ? m->size : LINE_MAX_BYTES, n = 0;
    const uint8_t *end = memchr(m->data, '\n', most);
    json_t *o = NULL;
    if (bqb_json_parse(&o, (const char *)m->data, end ? (size_t)(end - m->data) : most, DEPTH, ITEMS, NULL)) return false;
    bool all = json_is_object(o);
    for (; all && keys[n]; n++) all = json_object_get(o, keys[n]) != NULL;
    all = all && json_object_size(o) == n;
    json_decref(o);
    return all;
}

static bool is_predictions(const bqb_map *m) { return has_keys(m, (const char *const[]){"text_id", "image_ids", NULL}); }
static bool is_score(const bqb_map *m) { return has_keys(m, (const char *const[]){"success", "score", "scoreJson", NULL}); }
static bool is_texts(const bqb_map *m) { return has_keys(m, (const char *const[]){"text_id", "text", "image_ids", NULL}); }

static bool is_features(const bqb_map *m) {
    return has_keys(m, (const char *const[]){"image_id", "feature", NULL}) || has_keys(m, (const char *const[]){"text_id", "feature", NULL});
}

static bool begins(const bqb_map *m, const char *with) { return m->size >= strlen(with) && !memcmp(m->data, with, strlen(with)); }
static bool is_numbers(const bqb_map *m) { return begins(m, "what\tnumber\tname\n"); }
static bool is_matrix(const bqb_map *m) { return begins(m, "right\\chosen,pictures,accuracy"); }

static const struct {
    const char *what;
    bool (*is)(const bqb_map *m);
} kinds[] = {
    [CLI_DRAWING] = {"picture", is_drawing},         [CLI_PAGE] = {"page", is_page},
    [CLI_ARRAY] = {"array", NULL},                   [CLI_PREDICTIONS] = {"list of predictions", is_predictions},
    [CLI_SCORE] = {"score", is_score},               [CLI_TEXTS] = {"list of texts", is_texts},
    [CLI_FEATURES] = {"list of features", is_features}, [CLI_NUMBERS] = {"list of numbers", is_numbers},
    [CLI_MATRIX] = {"matrix", is_matrix},            [CLI_NOTHING] = {"file", NULL},
};

static bool is_made(const char *path, cli_made made) {
    bqb_map m = {0};
    bqb_npy a = {0};
    if (!bqb_is_file(path)) return false; /* a pipe must not be waited for, and a device is nothing to replace */
    if (made == CLI_ARRAY) {
        bool yes = !bqb_npy_open(&a, path, NULL);
        bqb_npy_close(&a);
        if (yes) return true;
    }
    if (bqb_map_open(&m, path, NULL)) return false;
    bool yes = !m.size || (kinds[made].is && kinds[made].is(&m)); /* an empty file holds nothing to lose */
    bqb_map_close(&m);
    return yes;
}

/* ---- what belongs to a library ---- */

static bool is_library(const char *dir) {
    char *db = bqb_path_join(dir, "library.db");
    struct stat st;
    bool yes = db && !lstat(db, &st);
    free(db);
    return yes;
}

/* By its name, and by where a link leads. */
static bool beside_library(const char *path) {
    char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path)), *real = realpath(path, NULL);
    bool yes = dir && is_library(*dir ? dir : ".");
    if (real) *strrchr(real, '/') = 0;
    yes = yes || (real && is_library(*real ? real : "/"));
    free(dir);
    free(real);
    return yes;
}

/* A library that cannot be opened knows no stickers. */
static bool is_sticker(const cli_env *env, const char *path) {
    bqb_catalogue *c = NULL;
    bqb_file f;
    bool known = false;
    char *real = realpath(path, NULL);
    if (real && !bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, NULL) && bqb_catalogue_get_file(c, real, &f, &known, NULL)) known = false;
    bqb_catalogue_close(c);
    free(real);
    return known;
}

/* ---- the rule ---- */

int cli_spare(const cli_env *env, const char *command, const char *option, const char *path, cli_made made) {
    struct stat st;
    if (!path) return -1;
    if (beside_library(path))
        return cli_usage_error(command, "--%s %s: this is the folder of a library, whose files bqb alone writes; choose another place", option, path);
    if (lstat(path, &st)) return -1;
    if (!is_made(path, made))
        return cli_usage_error(command, "--%s %s: is there and is no %s that bqb made; it is left as it is, choose another name", option, path,
                               kinds[made].what);
    if (made == CLI_DRAWING && is_sticker(env, path))
        return cli_usage_error(command, "--%s %s: is a sticker of the library; choose another name", option, path);
    return -1;
}

int cli_spare_in(const cli_env *env, const char *command, const char *option, const char *dir, const char *name, cli_made made) {
    char *path = dir ? bqb_path_join(dir, name) : NULL;
    int status = cli_spare(env, command, option, path, made);
    free(path);
    return status;
}

bool cli_made_in(const char *dir, const char *name, cli_made made) {
    char *path = bqb_path_join(dir, name);
    bool yes = path && is_made(path, made);
    free(path);
    return yes;
}

int cli_spare_folder(const char *command, const char *option, const char *dir) {
    if (!dir || !is_library(dir)) return -1;
    return cli_usage_error(command, "--%s %s: this is the folder of a library; choose another", option, dir);
}
