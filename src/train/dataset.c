/* Stickers from all sources in one list; what is common to the readers of them. */
#define _GNU_SOURCE
#include "train/dataset_source.h"

#include "base/utf8.h"
#include "base/words.h"
#include "library/lmdb_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMED = 5, NOTES_MAX = 1 << 16, TEXT_MAX = 1 << 24, BLOCK = 1 << 16, PICTURE_MAX = 64 << 20, SHOWN_CHARACTERS = 40 };

/* ---- what a data set owns ---- */

struct bqb_dataset_block {
    bqb_dataset_block *next;
    size_t used, size;
    char text[];
};

const char *bqb_dataset_keep(bqb_dataset *ds, const char *text, size_t n) {
    bqb_dataset_block *b = ds->strings;
    if (!b || b->size - b->used < n + 1) {
        size_t size = n + 1 > BLOCK ? n + 1 : BLOCK;
        b = malloc(sizeof *b + size);
        if (!b) return NULL;
        *b = (bqb_dataset_block){.next = ds->strings, .size = size};
        ds->strings = b;
    }
    char *to = b->text + b->used;
    memcpy(to, text, n);
    to[n] = 0;
    b->used += n + 1;
    return to;
}

bqb_status bqb_dataset_own(bqb_dataset *ds, void *what, void (*end)(void *), bqb_err *err) {
    void *grown = realloc(ds->owned, (ds->n_owned + 1) * sizeof *ds->owned);
    if (!grown) {
        end(what);
        return bqb_fail_nomem(err, "data set", (ds->n_owned + 1) * sizeof *ds->owned);
    }
    ds->owned = grown;
    ds->owned[ds->n_owned].what = what;
    ds->owned[ds->n_owned++].end = end;
    return BQB_OK;
}

bqb_status bqb_dataset_add_box(bqb_dataset *ds, bqb_dataset_box b, size_t *box, bqb_err *err) {
    bqb_dataset_box *grown = realloc(ds->box, (ds->n_boxes + 1) * sizeof *grown);
    if (!grown) return bqb_fail_nomem(err, "data set", (ds->n_boxes + 1) * sizeof *grown);
    ds->box = grown;
    *box = ds->n_boxes;
    ds->box[ds->n_boxes++] = b;
    return BQB_OK;
}

/* ---- which data this is ---- */

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) { /* FNV-1a */
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

void bqb_dataset_mix(bqb_dataset *ds, const void *bytes, size_t n) { ds->hash = hash_bytes(ds->hash, bytes, n); }

void bqb_dataset_mix_time(bqb_dataset *ds, int64_t seconds, int64_t nanoseconds) {
    int64_t time[2] = {seconds, nanoseconds};
    ds->times = hash_bytes(ds->times, time, sizeof time);
}

bqb_status bqb_dataset_mix_file(bqb_dataset *ds, const char *path, bqb_err *err) {
    bqb_map m;
    bqb_status s = bqb_map_open(&m, path, err);
    if (s) return s;
    bqb_dataset_mix(ds, m.data, m.size);
    bqb_map_close(&m);
    return BQB_OK;
}

/* ---- stickers and queries ---- */

void bqb_dataset_leave_out(bqb_dataset *ds, bqb_left kind, const char *name, const char *why) {
    if (++ds->left[kind] <= NAMED) bqb_buf_printf(&ds->notes, NULL, "  %s: %s\n", name, why);
}

static bqb_status reserve(bqb_dataset *ds, bqb_err *err) {
    bqb_sample *sample = bqb_grow(ds->sample, ds->n, &ds->cap, sizeof *sample, 1024);
    if (sample) ds->sample = sample;
    bqb_dataset_place *place = bqb_grow(ds->place, ds->n, &ds->place_cap, sizeof *place, 1024);
    if (place) ds->place = place;
    return sample && place ? BQB_OK : bqb_fail_nomem(err, "sticker list", (ds->n + 1) * (sizeof *sample + sizeof *place));
}

/* Is there a picture's file? Its size and time belong to the data. */
static bool look_at_file(bqb_dataset *ds, const char *path) {
    struct stat st;
    int bad = stat(path, &st);
    if (bad || !S_ISREG(st.st_mode)) {
        bqb_dataset_leave_out(ds, BQB_LEFT_MISSING, path, bad ? strerror(errno) : "not a regular file");
        return false;
    }
    int64_t size = (int64_t)st.st_size;
    bqb_dataset_mix(ds, &size, sizeof size);
    bqb_dataset_mix_time(ds, (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec);
    return true;
}

bqb_status bqb_dataset_add(bqb_dataset *ds, const bqb_sample *x, const bqb_dataset_place *place, bool *added,
                           bqb_err *err) {
    if (added) *added = false;
    if (!*x->file) {
        ds->left[BQB_LEFT_UNNAMED]++;
        return BQB_OK;
    }
    /* A sticker's text must not be empty: neutral labels alone describe nothing. */
    ds->scratch.len = 0;
    bqb_status s = bqb_annotation_text(&ds->scratch, &x->note, NULL, err);
    if (s) return s;
    if (!ds->scratch.len) {
        bqb_dataset_leave_out(ds, BQB_LEFT_EMPTY, x->file, "no text");
        return BQB_OK;
    }
    if (!place && !look_at_file(ds, x->path)) return BQB_OK;
    s = reserve(ds, err);
    if (s) return s;
    ds->place[ds->n] = place ? *place : (bqb_dataset_place){.box = SIZE_MAX};
    ds->sample[ds->n] = *x;
    ds->sample[ds->n++].first_query = ds->n_queries;
    if (added) *added = true;
    return BQB_OK;
}

bqb_status bqb_dataset_add_query(bqb_dataset *ds, const char *q, bqb_err *err) {
    const char **grown = bqb_grow(ds->query, ds->n_queries, &ds->query_cap, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "query list", (ds->n_queries + 1) * sizeof *grown);
    ds->query = grown;
    ds->query[ds->n_queries++] = q;
    return BQB_OK;
}

/* ---- which source it is ---- */

/* The one SPLIT_imgs.tsv of a folder: its path in *out, NULL when there is none. */
static bqb_status only_imgs(char **out, const char *dir, bqb_err *err) {
    bqb_buf names = {.max = 1 << 12};
    DIR *d = opendir(dir);
    size_t n = 0;
    *out = NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!bqb_ends_with(e->d_name, "_imgs.tsv")) continue;
        bqb_buf_printf(&names, NULL, "%s%s", n++ ? ", " : "", e->d_name);
    }
    if (d) closedir(d);
    bqb_status s = BQB_OK;
    if (n == 1 && !(*out = bqb_path_join(dir, names.data))) s = bqb_fail_nomem(err, dir, strlen(dir));
    if (n > 1) s = bqb_fail(err, BQB_EINVAL, "%s holds %zu sets; name one of them: %s", dir, n, names.data);
    bqb_buf_free(&names);
    return s;
}

/* Databases with both sides in them would train on what is to be held out. */
static bqb_status read_databases(bqb_dataset *ds, const char *dir, bqb_err *err) {
    char *train = bqb_path_join(dir, "train.txt"), *valid = bqb_path_join(dir, "valid.txt");
    bqb_status s = train && valid ? BQB_OK : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && bqb_is_lmdb_list(train) && bqb_is_lmdb_list(valid))
        s = bqb_fail(err, BQB_EINVAL, "%s holds 2 sets; name one of them: train.txt, valid.txt", dir);
    if (!s) s = bqb_dataset_read_lmdb(ds, dir, err);
    free(train);
    free(valid);
    return s;
}

static bqb_status read_folder(bqb_dataset *ds, const char *dir, bqb_err *err) {
    char *table = bqb_path_join(dir, "captions.tsv"), *db = bqb_path_join(dir, "library.db"), *imgs = NULL;
    bqb_status s = table && db ? BQB_OK : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && bqb_is_file(table)) s = bqb_dataset_read_table(ds, table, err);
    else if (!s && bqb_is_file(db)) s = bqb_dataset_read_library(ds, dir, err);
    else if (!s && bqb_is_lmdb_set(dir)) s = read_databases(ds, dir, err);
    else if (!s) {
        s = only_imgs(&imgs, dir, err);
        if (!s && imgs) s = bqb_dataset_read_muge(ds, imgs, err);
        else if (!s)
            s = bqb_fail(err, BQB_ENOTFOUND, "%s: holds no captions.tsv, no library.db, no SPLIT_imgs.tsv and no LMDB databases", dir);
    }
    free(table);
    free(db);
    free(imgs);
    return s;
}

static bqb_status read_source(bqb_dataset *ds, const char *given, bqb_err *err) {
    if (bqb_is_dir(given)) return read_folder(ds, given, err);
    if (bqb_is_lmdb_list(given)) return bqb_dataset_read_lmdb(ds, given, err);
    if (bqb_ends_with(given, "_imgs.tsv")) return bqb_dataset_read_muge(ds, given, err);
    if (!strcmp(bqb_path_base(given), "library.db")) {
        char *dir = bqb_strndup(given, (size_t)(bqb_path_base(given) - given));
        bqb_status s = dir ? bqb_dataset_read_library(ds, *dir ? dir : ".", err)
                           : bqb_fail_nomem(err, given, strlen(given));
        free(dir);
        return s;
    }
    char *imgs = bqb_asprintf("%s_imgs.tsv", given); /* `folder/train` for both files of a split */
    if (!imgs) return bqb_fail_nomem(err, given, strlen(given));
    bqb_status s = !bqb_is_file(given) && bqb_is_file(imgs) ? bqb_dataset_read_muge(ds, imgs, err)
                                                            : bqb_dataset_read_table(ds, given, err);
    free(imgs);
    return s;
}

/* ---- how many different texts ---- */

typedef struct {
    uint64_t hash;
    size_t sample;
} text_key;

static int by_hash(const void *a, const void *b) {
    const text_key *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static bqb_status count_texts(bqb_dataset *ds, bqb_err *err) {
    text_key *key = bqb_calloc(ds->n, sizeof *key);
    bqb_status s = key ? BQB_OK : bqb_fail_nomem(err, "texts", ds->n * sizeof *key);
    for (size_t i = 0; i < ds->n && !s; i++) {
        ds->scratch.len = 0;
        s = bqb_annotation_text(&ds->scratch, &ds->sample[i].note, NULL, err);
        if (!s) key[i] = (text_key){hash_bytes(0xcbf29ce484222325u, ds->scratch.data, ds->scratch.len), i};
    }
    if (!s && ds->n) qsort(key, ds->n, sizeof *key, by_hash);
    size_t most = 0;
    for (size_t i = 0, end; i < ds->n && !s; i = end) {
        for (end = i + 1; end < ds->n && key[end].hash == key[i].hash;) end++;
        ds->n_texts++;
        if (end - i > ds->n_commonest) {
            ds->n_commonest = end - i;
            most = key[i].sample;
        }
    }
    free(key);
    if (s || !ds->n) return s;
    ds->scratch.len = 0;
    s = bqb_annotation_text(&ds->scratch, &ds->sample[most].note, NULL, err);
    size_t shown = 0;
    for (size_t k = 0; !s && k < SHOWN_CHARACTERS && shown < ds->scratch.len; k++) {
        uint32_t cp;
        shown += bqb_utf8_next(ds->scratch.data + shown, ds->scratch.len - shown, &cp, NULL);
    }
    if (!s && !(ds->commonest = bqb_dataset_keep(ds, ds->scratch.data, shown)))
        s = bqb_fail_nomem(err, "texts", ds->scratch.len);
    if (!s && ds->n > 2 && 2 * ds->n_commonest >= ds->n)
        s = bqb_buf_printf(&ds->notes, err, "  %zu of %zu stickers have the same text: %s\n", ds->n_commonest, ds->n,
                           ds->commonest);
    return s;
}

/* "2 missing files, 1 broken line": what was left out, of the kinds that there are. */
static const char *left_in_words(const bqb_dataset *ds, char *text, size_t size) {
    static const char *const one[] = {"missing file", "sticker without text", "sticker without a name", "broken line"};
    static const char *const many[] = {"missing files", "stickers without text", "stickers without a name", "broken lines"};
    size_t used = 0;
    *text = 0;
    for (size_t k = 0; k < BQB_LEFT_KINDS && used < size; k++)
        if (ds->left[k])
            used += (size_t)snprintf(text + used, size - used, "%s%zu %s", used ? ", " : "", ds->left[k],
                                     bqb_word(ds->left[k], one[k], many[k]));
    return text;
}

/* ---- the whole ---- */

bqb_status bqb_dataset_open(bqb_dataset **out, const char *const *sources, size_t n_sources, bqb_err *err) {
    *out = NULL;
    if (!n_sources) return bqb_fail(err, BQB_EINVAL, "no data was given");
    bqb_dataset *ds = bqb_calloc(1, sizeof *ds);
    if (!ds) return bqb_fail_nomem(err, "data set", sizeof *ds);
    ds->notes.max = NOTES_MAX;
    ds->scratch.max = TEXT_MAX;
    ds->hash = 0xcbf29ce484222325u;
    bqb_status s = bqb_buf_puts(&ds->notes, "", err);
    for (size_t k = 0; k < n_sources && !s; k++) s = read_source(ds, sources[k], err);
    char left[256];
    bool some = bqb_dataset_left_out(ds) > 0;
    if (!s && !ds->n && some)
        s = bqb_fail(err, BQB_EFORMAT, "%s: no sticker to use (%s)", sources[0], left_in_words(ds, left, sizeof left));
    if (!s && !ds->n) s = bqb_fail(err, BQB_EFORMAT, "%s: no sticker to use: it holds none", sources[0]);
    if (!s && some) s = bqb_buf_printf(&ds->notes, err, "  left out: %s\n", left_in_words(ds, left, sizeof left));
    if (!s) s = count_texts(ds, err);
    if (s) {
        bqb_dataset_close(ds);
        return s;
    }
    *out = ds;
    return BQB_OK;
}

void bqb_dataset_close(bqb_dataset *ds) {
    if (!ds) return;
    while (ds->n_owned) {
        ds->n_owned--;
        ds->owned[ds->n_owned].end(ds->owned[ds->n_owned].what);
    }
    for (bqb_dataset_block *b = ds->strings, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(ds->owned);
    free(ds->box);
    free(ds->sample);
    free(ds->place);
    free(ds->query);
    bqb_buf_free(&ds->scratch);
    bqb_buf_free(&ds->notes);
    free(ds);
}

bqb_status bqb_dataset_picture(const bqb_dataset *ds, size_t i, bqb_picture *p, bqb_err *err) {
    const bqb_dataset_place *at = &ds->place[i];
    *p = (bqb_picture){.held = {.max = PICTURE_MAX}};
    bqb_status s;
    if (at->box == SIZE_MAX) {
        s = bqb_map_open(&p->map, ds->sample[i].path, err);
        p->data = p->map.data;
        p->size = p->map.size;
        return s;
    }
    s = ds->box[at->box].read(ds->box[at->box].ctx, at->at, at->size, &p->held, err);
    if (s) {
        bqb_picture_close(p);
        bqb_err_prefix(err, ds->sample[i].path);
        return s;
    }
    p->data = (const uint8_t *)p->held.data;
    p->size = p->held.len;
    return BQB_OK;
}

void bqb_picture_close(bqb_picture *p) {
    bqb_map_close(&p->map);
    bqb_buf_free(&p->held);
    *p = (bqb_picture){0};
}

bool bqb_dataset_is_file(const bqb_dataset *ds, size_t i) { return ds->place[i].box == SIZE_MAX; }
size_t bqb_dataset_count(const bqb_dataset *ds) { return ds->n; }
const bqb_sample *bqb_dataset_at(const bqb_dataset *ds, size_t i) { return &ds->sample[i]; }
size_t bqb_dataset_query_count(const bqb_dataset *ds) { return ds->n_queries; }
const char *bqb_dataset_query(const bqb_dataset *ds, size_t q) { return ds->query[q]; }
size_t bqb_dataset_text_count(const bqb_dataset *ds) { return ds->n_texts; }
uint64_t bqb_dataset_hash(const bqb_dataset *ds) { return ds->hash; }
uint64_t bqb_dataset_stamp(const bqb_dataset *ds) { return hash_bytes(ds->hash, &ds->times, sizeof ds->times); }
const char *bqb_dataset_notes(const bqb_dataset *ds) { return ds->notes.data; }

const char *bqb_dataset_commonest_text(const bqb_dataset *ds, size_t *n_stickers) {
    *n_stickers = ds->n_commonest;
    return ds->commonest;
}

size_t bqb_dataset_left_out(const bqb_dataset *ds) {
    size_t n = 0;
    for (size_t k = 0; k < BQB_LEFT_KINDS; k++) n += ds->left[k];
    return n;
}
