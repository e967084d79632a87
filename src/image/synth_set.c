#include "image/synth_set.h"

#include "base/fs.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_MAX = 1 << 16, DEPTH = 4, ITEMS = 1000 };

static const char *const tables[] = {"captions.tsv", "queries.tsv"};

static bool is_there(const char *dir, const char *name) {
    char *path = bqb_path_join(dir, name);
    bool there = path && !access(path, F_OK);
    free(path);
    return there;
}

/* NNNNNN.ext, as this program names them, and what it had not finished of them. */
static bool is_ours(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits >= 6 && name[digits] == '.' && strlen(name + digits) <= sizeof ".webp.part";
}

static bqb_status remove_one(const char *dir, const char *name, bqb_err *err) {
    char *path = bqb_path_join(dir, name);
    bqb_status s = BQB_OK;
    if (!path) s = bqb_fail_nomem(err, name, strlen(name));
    else if (unlink(path) && errno != ENOENT) s = bqb_fail_errno(err, "%s", path);
    free(path);
    return s;
}

/* captions.tsv first: from then on the old set is an unfinished one. */
static bqb_status remove_set(const char *dir, const char *images, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !s; i++) s = remove_one(dir, tables[i], err);
    DIR *d = s ? NULL : opendir(images);
    if (!s && !d && errno != ENOENT) s = bqb_fail_errno(err, "%s", images);
    for (struct dirent *e; d && !s && (e = readdir(d));)
        if (is_ours(e->d_name)) s = remove_one(images, e->d_name, err);
    if (d) closedir(d);
    return s;
}

/* "seed \"1\", now \"2\"; count 40, now 50": what the set that is there was drawn with, and what is asked for. */
static bqb_status tell_difference(bqb_buf *b, const json_t *have, json_t *want, bqb_err *err) {
    const char *key;
    json_t *value;
    bqb_status s = BQB_OK;
    json_object_foreach(want, key, value) {
        json_t *other = json_object_get(have, key);
        if (s || json_equal(value, other)) continue;
        char *is = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT) : bqb_strdup("unknown");
        char *now = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        s = is && now ? bqb_buf_printf(b, err, "%s%s %s, now %s", b->len ? "; " : "", key, is, now) : bqb_fail_nomem(err, key, 0);
        free(is);
        free(now);
    }
    return s;
}

/* *same: dir holds this very set. Otherwise it holds none, or one that may be replaced. */
static bqb_status examine(const char *dir, const char *record, json_t *want, bool replace, bool *same, bqb_err *err) {
    *same = false;
    if (!is_there(dir, "synth.json")) {
        const char *found = is_there(dir, tables[0]) ? tables[0] : is_there(dir, tables[1]) ? tables[1] : is_there(dir, "images") ? "images" : NULL;
        if (!found) return BQB_OK;
        return bqb_fail(err, BQB_EINVAL, "%s: there is %s, but no synth.json that says which set it is; give a folder of its own", dir, found);
    }
    json_t *have = NULL;
    bqb_status s = bqb_json_read(&have, record, RECORD_MAX, DEPTH, ITEMS, err);
    if (s == BQB_EFORMAT && replace) return BQB_OK;
    if (s) return s;
    *same = json_equal(have, want);
    if (!*same && !replace) {
        bqb_buf b = {.max = RECORD_MAX * 4};
        s = tell_difference(&b, have, want, err);
        if (!s)
            s = bqb_fail(err, BQB_EINVAL, "%s: holds another set (%s); give a folder of its own, or --force to replace it", dir,
                         b.len ? b.data : "of another kind");
        bqb_buf_free(&b);
    }
    json_decref(have);
    return s;
}

bqb_status synth_set_claim(const bqb_synth *s, const char *dir, size_t count, bool replace, bqb_err *err) {
    char *images = bqb_path_join(dir, "images"), *record = bqb_path_join(dir, "synth.json"), *text = NULL;
    json_t *want = bqb_synth_identity(s);
    bool same = false;
    bqb_status st = BQB_OK;
    if (!images || !record || !want || json_object_set_new(want, "count", json_integer((json_int_t)count))) st = bqb_fail_nomem(err, dir, 0);
    if (!st) st = examine(dir, record, want, replace, &same, err);
    if (!st && !same) {
        st = bqb_make_dirs(dir, err);
        if (!st) st = remove_set(dir, images, err);
        text = json_dumps(want, JSON_INDENT(1));
        if (!st && !text) st = bqb_fail_nomem(err, record, 0);
        if (!st) st = bqb_file_write(record, text, strlen(text), err);
    }
    if (!st) st = bqb_make_dirs(images, err);
    free(text);
    free(images);
    free(record);
    json_decref(want);
    return st;
}
