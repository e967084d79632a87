#include "library/lmdb_set.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "file/base64.h"
#include "file/lines.h"
#include "file/lmdb.h"
#include "file/muge_said.h"
#include "file/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_MAX = 4096, PICKLE_MAX = 1 << 20, CAPTION_MAX = 1 << 16, TEXTS_MAX = 1024 /* of one picture, one by one */ };

struct bqb_lmdb_set {
    bqb_lmdb *imgs, *words; /* words: pairs or infos */
    bool chinese_clip;
    char *list; /* of names, or NULL */
};

/* DIR/NAME when there is a database; NULL otherwise. */
static char *database(const char *dir, const char *name) {
    char *path = bqb_path_join(dir, name);
    if (path && bqb_is_lmdb(path)) return path;
    free(path);
    return NULL;
}

bool bqb_is_lmdb_set(const char *dir) {
    char *imgs = database(dir, "imgs"), *pairs = imgs ? database(dir, "pairs") : NULL;
    char *infos = imgs ? database(dir, "infos") : NULL;
    bool yes = imgs && (pairs || infos);
    free(imgs);
    free(pairs);
    free(infos);
    return yes;
}

static char *folder_of(const char *path) {
    size_t n = (size_t)(bqb_path_base(path) - path);
    return n ? bqb_strndup(path, n) : bqb_strdup(".");
}

bool bqb_is_lmdb_list(const char *path) {
    char *dir = bqb_ends_with(path, ".txt") && bqb_is_file(path) ? folder_of(path) : NULL;
    char *imgs = dir ? database(dir, "imgs") : NULL, *infos = dir ? database(dir, "infos") : NULL;
    bool yes = imgs && infos;
    free(dir);
    free(imgs);
    free(infos);
    return yes;
}

void bqb_lmdb_set_close(bqb_lmdb_set *set) {
    if (!set) return;
    bqb_lmdb_close(set->imgs);
    bqb_lmdb_close(set->words);
    free(set->list);
    free(set);
}

bqb_status bqb_lmdb_set_open(bqb_lmdb_set **out, const char *path, bqb_err *err) {
    *out = NULL;
    bool list = !bqb_is_dir(path);
    bqb_lmdb_set *set = bqb_calloc(1, sizeof *set);
    char *dir = list ? folder_of(path) : bqb_strdup(path);
    char *imgs = dir ? bqb_path_join(dir, "imgs") : NULL, *pairs = dir ? bqb_path_join(dir, "pairs") : NULL;
    char *infos = dir ? bqb_path_join(dir, "infos") : NULL;
    bqb_status s = set && imgs && pairs && infos ? BQB_OK : bqb_fail_nomem(err, path, strlen(path));
    if (!s && list && !(set->list = bqb_strdup(path))) s = bqb_fail_nomem(err, path, strlen(path));
    if (!s) {
        set->chinese_clip = !list && bqb_is_lmdb(pairs);
        s = bqb_lmdb_open(&set->imgs, imgs, err);
    }
    if (!s) s = bqb_lmdb_open(&set->words, set->chinese_clip ? pairs : infos, err);
    free(dir);
    free(imgs);
    free(pairs);
    free(infos);
    if (s) bqb_lmdb_set_close(set);
    else *out = set;
    return s;
}

const char *bqb_lmdb_set_file(const bqb_lmdb_set *set, size_t i) {
    return i == 0 ? bqb_lmdb_path(set->imgs) : i == 1 ? bqb_lmdb_path(set->words) : i == 2 ? set->list : NULL;
}

bqb_status bqb_lmdb_set_picture(const bqb_lmdb_set *set, bqb_buf *out, const uint8_t *data, size_t size, bqb_err *err) {
    if (set->chinese_clip) return bqb_base64_decode(out, (const char *)data, size, err);
    return bqb_buf_append(out, data, size, err);
}

/* ---- both layouts ---- */

typedef struct {
    const bqb_lmdb_set *set;
    bqb_lmdb_sticker_fn fn;
    bqb_lmdb_skip_fn skip;
    void *ctx;
    bqb_pickle *pickle;
    /* Chinese-CLIP */
    bqb_muge_said_list said;
    bool *used; /* [said.n] */
    bqb_buf caption;
    char id[ID_MAX + 1];
} reading;

static void tell(reading *r, const char *id, bool missing, const char *reason) {
    if (r->skip) r->skip(r->ctx, id, missing, reason);
}

/* A key as text in r->id; what is none is told and passed over. */
static bool take_id(reading *r, const uint8_t *key, size_t n) {
    const char *text = (const char *)key;
    if (n && n <= ID_MAX && !memchr(key, 0, n) && bqb_utf8_check(text, n) == n) {
        memcpy(r->id, key, n);
        r->id[n] = 0;
        return true;
    }
    tell(r, "", false, "a key of the database is no text");
    return false;
}

static bool is_key(const uint8_t *key, size_t n, const char *name) { return n == strlen(name) && !memcmp(key, name, n); }

/* A value's pickle; NULL in *v when it cannot be read, which is told. */
static bqb_status unpickle(reading *r, const bqb_pickle_value **v, const char *id, const uint8_t *data, size_t size, bqb_err *err) {
    bqb_err why = {0};
    *v = NULL;
    if (size > PICKLE_MAX) {
        tell(r, id, false, "its words are a pickle of over 1 MiB");
        return BQB_OK;
    }
    bqb_status s = bqb_pickle_read(r->pickle, v, data, size, NULL, &why);
    if (s == BQB_ENOMEM) {
        if (err) *err = why;
        return s;
    }
    if (s) tell(r, id, false, why.msg);
    return BQB_OK;
}

/* ---- Chinese-CLIP ---- */

/* The text of a pair, under its picture's id. */
static bqb_status take_pair(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    reading *r = ctx;
    const bqb_pickle_value *v;
    char number[24];
    if (is_key(key, n, "num_samples") || !take_id(r, key, n)) return BQB_OK;
    bqb_status s = unpickle(r, &v, r->id, data, size, err);
    if (s || !v) return s;
    const bqb_pickle_value *image = v->kind == BQB_PICKLE_TUPLE && v->n == 3 ? v->item[0] : NULL;
    if (!image || (image->kind != BQB_PICKLE_INT && image->kind != BQB_PICKLE_STR) || v->item[2]->kind != BQB_PICKLE_STR) {
        tell(r, r->id, false, "its pair is no (image id, text id, text)");
        return BQB_OK;
    }
    snprintf(number, sizeof number, "%lld", (long long)image->i);
    return bqb_muge_said_add(&r->said, image->kind == BQB_PICKLE_INT ? number : image->text, v->item[2]->text,
                             (size_t)strtoull(r->id, NULL, 10), err);
}

static bqb_status take_image(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    reading *r = ctx;
    if (is_key(key, n, "num_images") || !take_id(r, key, n)) return BQB_OK;
    size_t first, n_texts = bqb_muge_said_find(&r->said, r->id, &first);
    const char *text[TEXTS_MAX];
    size_t most = n_texts < TEXTS_MAX ? n_texts : TEXTS_MAX;
    for (size_t i = 0; i < most; i++) text[i] = r->said.item[first + i].text;
    if (n_texts) memset(r->used + first, 1, n_texts);
    bqb_status s = bqb_muge_said_join(&r->caption, &r->said, first, n_texts, err);
    if (s) return s;
    bqb_lmdb_sticker x = {.id = r->id, .text = text, .n_texts = most, .data = data, .size = size};
    x.note.field[BQB_CAPTION] = r->caption.data;
    return r->fn(r->ctx, &x, err);
}

static bqb_status read_chinese_clip(reading *r, bqb_err *err) {
    bqb_status s = bqb_lmdb_each(r->set->words, take_pair, r, err);
    bqb_muge_said_sort(&r->said);
    if (!s && !(r->used = bqb_calloc(r->said.n, sizeof *r->used))) s = bqb_fail_nomem(err, "pairs", r->said.n);
    if (!s) s = bqb_lmdb_each(r->set->imgs, take_image, r, err);
    for (size_t i = 0; !s && i < r->said.n; i++)
        if (!r->used[i] && (!i || strcmp(r->said.item[i].image, r->said.item[i - 1].image) != 0))
            tell(r, r->said.item[i].image, true, "its picture is not in imgs, but it is in pairs");
    return s;
}

/* ---- Sticker820K ---- */

static bqb_status take_info(reading *r, const uint8_t *words, size_t n, bqb_err *err) {
    const bqb_pickle_value *v;
    bqb_lmdb_sticker x = {.id = r->id};
    bqb_err why = {0};
    bqb_status s = bqb_lmdb_get(r->set->imgs, r->id, strlen(r->id), &x.data, &x.size, &why);
    if (s == BQB_ENOTFOUND) {
        tell(r, r->id, true, "its picture is not in imgs");
        return BQB_OK;
    }
    if (s) {
        if (err) *err = why;
        return s;
    }
    s = unpickle(r, &v, r->id, words, n, err);
    if (s || !v) return s;
    if (v->kind != BQB_PICKLE_DICT) {
        tell(r, r->id, false, "its words are no dict");
        return BQB_OK;
    }
    for (size_t i = 0; i < v->n; i += 2) {
        const bqb_pickle_value *key = v->item[i], *text = v->item[i + 1];
        bqb_field f = key->kind == BQB_PICKLE_STR ? bqb_field_parse(key->text, key->n) : BQB_FIELDS;
        if (f < BQB_FIELDS && text->kind == BQB_PICKLE_STR) x.note.field[f] = text->text;
    }
    return r->fn(r->ctx, &x, err);
}

static bqb_status take_any(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    reading *r = ctx;
    return take_id(r, key, n) ? take_info(r, data, size, err) : BQB_OK;
}

static bqb_status read_list(reading *r, bqb_err *err) {
    bqb_lines *l = NULL;
    bqb_status s = bqb_lines_open(&l, r->set->list, ID_MAX, err);
    while (!s) {
        const char *line;
        const uint8_t *words;
        size_t n, size;
        bqb_err why = {0};
        s = bqb_lines_next(l, &line, &n, &why);
        if (s == BQB_ELIMIT) {
            tell(r, "", false, why.msg);
            s = BQB_OK;
            continue;
        }
        if (!s && !line) break;
        if (!s && (!n || !take_id(r, (const uint8_t *)line, n))) continue;
        if (!s) s = bqb_lmdb_get(r->set->words, r->id, n, &words, &size, &why);
        if (s == BQB_ENOTFOUND) {
            tell(r, r->id, true, "it is in the list, but not in infos");
            s = BQB_OK;
        } else if (s) {
            if (err) *err = why;
        } else s = take_info(r, words, size, err);
    }
    bqb_lines_close(l);
    return s;
}

bqb_status bqb_lmdb_set_each(const bqb_lmdb_set *set, bqb_lmdb_sticker_fn fn, bqb_lmdb_skip_fn skip, void *ctx, bqb_err *err) {
    reading *r = bqb_calloc(1, sizeof *r);
    bqb_pickle *pickle = bqb_pickle_new();
    bqb_status s = r && pickle ? BQB_OK : bqb_fail_nomem(err, "stickers", sizeof *r);
    if (!s) {
        *r = (reading){.set = set, .fn = fn, .skip = skip, .ctx = ctx, .pickle = pickle, .caption = {.max = CAPTION_MAX}};
        s = set->chinese_clip ? read_chinese_clip(r, err) : set->list ? read_list(r, err)
                                                                      : bqb_lmdb_each(set->words, take_any, r, err);
        bqb_muge_said_free(&r->said);
        bqb_buf_free(&r->caption);
        free(r->used);
    }
    bqb_pickle_free(pickle);
    free(r);
    return s;
}
