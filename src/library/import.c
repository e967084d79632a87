#define _GNU_SOURCE
#include "library/import.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "image/decode.h"
#include "image/sketch.h"
#include "library/import_gone.h"
#include "library/import_words.h"
#include "library/likeness.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORK = 32,             /* files decoded and embedded together */
    LOOK = 512,            /* files looked at in one transaction */
    MAX_FILE = 64 << 20,
};

typedef enum { UNTOUCHED, KNOWN, BAD, READY } state;

/* One file of a batch. */
typedef struct {
    const bqb_candidate *from;
    state state;
    bqb_file old, now;      /* what the catalogue knows; what the file is */
    bool was_known;
    bool has_vector;        /* nothing to encode: the content has its vector already */
    bool has_sticker;
    bool absent;            /* only a table knows it */
    bqb_sticker sticker;
    uint8_t *sketches;      /* packed, owned; NULL: left to bqb_likeness_update */
    size_t n_sketch_bytes;
    bqb_file_change change;
    char *moved_from;       /* owned */
    bqb_err why;
} job;

typedef struct {
    bqb_catalogue *c;
    const bqb_import_options *o;
    bqb_import_report *report;
    job *jobs;              /* [LOOK] */
    size_t n;
    size_t work[WORK], n_work; /* indices of jobs whose files must be read */
    uint8_t *rgb;           /* [WORK,3,R,R,3] */
    float *vec;             /* [WORK,dim] */
    size_t R, picture_size;
    int threads;
    bqb_turns *turns;
    pthread_mutex_t lock;   /* of the catalogue, while several threads read files */
    bqb_status hard;        /* a failure that ends the import, found by a thread */
    bqb_err hard_err;
} import;

static bqb_status encode_clip(void *ctx, float *out, const uint8_t *rgb, size_t N, bqb_err *err) {
    return bqb_clip_encode_images(ctx, out, rgb, N, err);
}

bqb_embedder bqb_embedder_of_clip(bqb_clip *m) {
    const bqb_clip_config *config = bqb_clip_get_config(m);
    return (bqb_embedder){.id = bqb_clip_id(m), .dim = config->embed, .resolution = config->resolution, .ctx = m,
                          .encode = encode_clip};
}

static void skip(import *im, const char *path, const char *reason) {
    im->report->skipped++;
    if (im->o->skip) im->o->skip(im->o->ctx, path, reason);
}

/* What its user calls it. */
static const char *name_of(const bqb_candidate *from) { return from->name ? from->name : from->path; }

/* ---- one file ---- */

static void set_times(bqb_file *f, const struct stat *st) {
    f->size_bytes = (uint64_t)st->st_size;
    f->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* The whole file in memory: a mapping would crash if somebody cut the file meanwhile. */
static bqb_status read_all(const char *path, uint8_t **data, size_t *size, bqb_file *f, bqb_err *err) {
    struct stat st;
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return bqb_fail(err, BQB_EIO, "%s", strerror(errno));
    bqb_status s = BQB_OK;
    if (fstat(fd, &st)) s = bqb_fail(err, BQB_EIO, "%s", strerror(errno));
    else if (!S_ISREG(st.st_mode)) s = bqb_fail(err, BQB_EFORMAT, "not a regular file");
    else if (!st.st_size) s = bqb_fail(err, BQB_EFORMAT, "the file is empty");
    else if (st.st_size > MAX_FILE)
        s = bqb_fail(err, BQB_ELIMIT, "%lld bytes, more than the %d MiB that a sticker may have",
                     (long long)st.st_size, MAX_FILE >> 20);
    else if (!(*data = malloc((size_t)st.st_size))) s = bqb_fail_nomem(err, "file", (size_t)st.st_size);
    while (!s && *size < (size_t)st.st_size) {
        ssize_t n = read(fd, *data + *size, (size_t)st.st_size - *size);
        if (n > 0) *size += (size_t)n;
        else if (n == 0) s = bqb_fail(err, BQB_EIO, "it changed while it was read");
        else if (errno != EINTR) s = bqb_fail(err, BQB_EIO, "%s", strerror(errno));
    }
    if (!s) set_times(f, &st);
    close(fd);
    if (s) {
        free(*data);
        *data = NULL;
    }
    return s;
}

/* Does the library have this content, and its vector? From any thread. */
static bqb_status recall(import *im, job *j, bqb_err *err) {
    pthread_mutex_lock(&im->lock);
    bqb_status s = bqb_catalogue_find_sha256(im->c, j->sticker.sha256, &j->sticker.id, err);
    if (s == BQB_ENOTFOUND) s = BQB_OK;
    else if (!s) {
        j->has_sticker = true;
        if (im->o->embedder)
            s = bqb_catalogue_has_embedding(im->c, j->sticker.id, im->o->embedder->id, "image", &j->has_vector, err);
    }
    pthread_mutex_unlock(&im->lock);
    return s;
}

static void hard_failure(import *im, bqb_status s, const bqb_err *err) {
    pthread_mutex_lock(&im->lock);
    if (!im->hard) {
        im->hard = s;
        im->hard_err = *err;
    }
    pthread_mutex_unlock(&im->lock);
}

/* What its vector is made of, and its sketches, from one decoding. */
static bqb_status decode(import *im, size_t k, job *j, bqb_image_info *info, const uint8_t *data, size_t size, const char *name) {
    size_t R = BQB_LOOK_FRAME;
    uint8_t *rgb = bqb_calloc(3 * R * R, 3);
    bqb_looks *looks = bqb_calloc(1, sizeof *looks);
    j->sketches = bqb_calloc(3, BQB_SKETCH_BYTES);
    bqb_status s = rgb && looks && j->sketches ? BQB_OK : bqb_fail_nomem(&j->why, name, 9 * R * R);
    const bqb_image_square squares[] = {{im->rgb + k * im->picture_size, im->R}, {rgb, R}};
    if (!s) s = bqb_image_squares(squares, 2, info, data, size, name, NULL, &j->why);
    if (!s) {
        bqb_looks_of(looks, rgb);
        j->n_sketch_bytes = bqb_sketch_all(j->sketches, looks);
    }
    free(rgb);
    free(looks);
    return s;
}

/* Worker: read, hash, and decode if its content needs it. */
static void read_one(void *ctx, size_t k, int worker) {
    (void)worker;
    import *im = ctx;
    job *j = &im->jobs[im->work[k]];
    uint8_t *data;
    size_t size;
    bqb_image_info info = {{0}, 0, 0, 0, false, 0};
    bqb_err err;
    j->state = BAD;
    if (read_all(j->from->path, &data, &size, &j->now, &j->why)) return;
    bqb_sha256_of(j->sticker.sha256, data, size);
    bqb_status s = recall(im, j, &err);
    if (s) hard_failure(im, s, &err);
    else if (j->has_sticker && (j->has_vector || !im->o->embedder)) j->state = READY;
    else {
        const char *name = bqb_path_base(name_of(j->from));
        if (im->o->embedder) s = decode(im, k, j, &info, data, size, name);
        else s = bqb_image_probe(&info, data, size, name, NULL, &j->why);
        if (!s) {
            j->state = READY;
            j->sticker.size_bytes = size;
            snprintf(j->sticker.format, sizeof j->sticker.format, "%s", info.format);
            j->sticker.width = (uint32_t)info.width;
            j->sticker.height = (uint32_t)info.height;
            j->sticker.frames = (uint32_t)info.frames;
            j->sticker.duration_ms = info.duration_ms;
        } else if (s == BQB_ENOMEM) hard_failure(im, s, &j->why);
    }
    free(data);
}

/* ---- a batch ---- */

/* Take a candidate into the batch; is there anything to read? */
static bqb_status look(import *im, const bqb_candidate *from, bqb_err *err) {
    job *j = &im->jobs[im->n];
    struct stat st;
    bqb_err why = {0};
    bool there = !stat(from->path, &st);
    bool absent = !there && errno == ENOENT && from->listed;
    if (!there) bqb_fail(&why, BQB_EIO, "%s", strerror(errno));
    else if (im->o->settled && !im->o->settled(im->o->ctx, from->path, &st)) {
        im->report->settling++;
        return BQB_OK;
    }
    bqb_status s = im->n ? BQB_OK : bqb_turns_take(im->turns, im->o->waiting, im->o->ctx, err);
    if (s) return s;
    *j = (job){.from = from, .why = why, .absent = absent};
    im->report->found++;
    s = bqb_catalogue_get_file(im->c, from->path, &j->old, &j->was_known, err);
    if (s) return s;
    if (!there) {
        j->state = BAD;
        im->n++;
        return BQB_OK;
    }
    set_times(&j->now, &st);
    if (j->was_known && j->old.size_bytes == j->now.size_bytes && j->old.mtime_ns == j->now.mtime_ns) {
        j->has_vector = true;
        if (im->o->embedder)
            s = bqb_catalogue_has_embedding(im->c, j->old.sticker, im->o->embedder->id, "image", &j->has_vector, err);
        if (s) return s;
        if (j->has_vector) {
            j->state = KNOWN;
            j->sticker.id = j->old.sticker;
        }
    }
    if (j->state == UNTOUCHED) im->work[im->n_work++] = im->n;
    im->n++;
    return BQB_OK;
}

/* Encode the pictures that were decoded; vec[k] belongs to work[k]. */
static bqb_status encode(import *im, bqb_err *err) {
    const bqb_embedder *e = im->o->embedder;
    size_t slot[WORK], n = 0;
    if (!e) return BQB_OK;
    for (size_t k = 0; k < im->n_work; k++) {
        job *j = &im->jobs[im->work[k]];
        if (j->state != READY || j->has_vector) continue;
        if (n < k) memcpy(im->rgb + n * im->picture_size, im->rgb + k * im->picture_size, im->picture_size);
        slot[n++] = k;
    }
    if (!n) return BQB_OK;
    bqb_status s = e->encode(e->ctx, im->vec, im->rgb, n, err);
    for (size_t i = n; !s && i-- > 0;) /* from the back, so that nothing is overwritten */
        if (slot[i] != i) memmove(im->vec + slot[i] * e->dim, im->vec + i * e->dim, e->dim * sizeof(float));
    return s;
}

static bool is_unit(const float *v, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)v[i] * (double)v[i];
    return fabs(sum - 1) < 0.05; /* NaN is not */
}

/* The file no longer holds what the catalogue says. */
static bqb_status forget(import *im, job *j, bqb_err *err) {
    if (!j->was_known || j->old.missing) return BQB_OK;
    bqb_file f = j->old;
    f.missing = true;
    im->report->gone++;
    j->change = BQB_FILE_GONE;
    return bqb_catalogue_put_file(im->c, j->from->path, &f, err);
}

static bqb_file_change change_of(const job *j, bool added, bool news) {
    if (j->moved_from) return BQB_FILE_MOVED;
    if (j->was_known && j->old.sticker != j->now.sticker) return BQB_FILE_CHANGED;
    if (j->was_known && j->old.missing) return BQB_FILE_RETURNED;
    if (!j->was_known) return added ? BQB_FILE_ADDED : BQB_FILE_COPY;
    return news ? BQB_FILE_WORDS : BQB_FILE_SAME;
}

/* What was found before the transaction may have been removed by another program until then. */
static bqb_status check_still_there(import *im, job *j, bqb_err *err) {
    bqb_sticker now;
    if (j->state != KNOWN && !(j->state == READY && j->has_sticker)) return BQB_OK;
    bqb_status s = bqb_catalogue_get_sticker(im->c, j->sticker.id, &now, err);
    if (s != BQB_ENOTFOUND) return s;
    j->state = BAD;
    j->was_known = false;
    bqb_fail(&j->why, BQB_ENOTFOUND, "its sticker was removed in this moment; import it again");
    return BQB_OK;
}

static bqb_status store(import *im, job *j, const float *vec, bqb_err *err) {
    bool added = false, news = false;
    bqb_status s = check_still_there(im, j, err);
    if (!s && j->state == BAD) {
        if (j->absent && im->o->absent) {
            im->report->skipped++;
            im->o->absent(im->o->ctx, j->from->path);
        } else skip(im, name_of(j->from), j->why.msg);
        return forget(im, j, err);
    }
    if (!s && j->state == READY) s = bqb_catalogue_put_sticker(im->c, &j->sticker, &added, err);
    j->now.sticker = j->sticker.id;
    bool same_sticker = j->was_known && j->old.sticker == j->now.sticker && !j->old.missing;
    bool same = same_sticker && j->old.size_bytes == j->now.size_bytes && j->old.mtime_ns == j->now.mtime_ns;
    if (!s && j->state == READY && j->sketches)
        s = bqb_catalogue_put_sketch(im->c, j->sticker.id, j->sketches, j->n_sketch_bytes, err);
    if (!s && !same) s = bqb_catalogue_replace_file(im->c, j->from->path, &j->now, err);
    if (!s && !same_sticker && !added)
        s = bqb_drop_old_paths(&j->moved_from, im->c, j->now.sticker, j->from->path, err);
    if (!s) s = bqb_import_words(&news, im->c, j->sticker.id, j->from, err);
    bool has = false; /* equal files of one batch were encoded before either was stored */
    if (!s && vec) s = bqb_catalogue_has_embedding(im->c, j->sticker.id, im->o->embedder->id, "image", &has, err);
    if (!s && vec && !has) {
        if (!is_unit(vec, im->o->embedder->dim))
            return bqb_fail(err, BQB_EFORMAT, "the model gives no unit vector for %s: its weights are damaged",
                            j->from->path);
        s = bqb_catalogue_put_embedding(im->c, j->sticker.id, im->o->embedder->id, "image", vec,
                                        im->o->embedder->dim, err);
        im->report->embedded++;
    }
    if (added) im->report->added++;
    else im->report->already++;
    if (!added && news) im->report->annotated++;
    if (j->was_known && j->old.sticker != j->now.sticker) im->report->changed++;
    if (j->was_known && j->old.missing) im->report->returned++;
    if (j->moved_from) im->report->moved++;
    j->change = change_of(j, added, news);
    return s;
}

static void tell_changes(import *im) {
    for (size_t i = 0; im->o->change && i < im->n; i++)
        if (im->jobs[i].change) im->o->change(im->o->ctx, im->jobs[i].change, im->jobs[i].from->path, im->jobs[i].moved_from);
}

static void empty_batch(import *im) {
    for (size_t i = 0; i < im->n; i++) {
        free(im->jobs[i].moved_from);
        free(im->jobs[i].sketches);
    }
    im->n = im->n_work = 0;
    bqb_turns_give(im->turns);
}

/* Read, embed and commit what the batch holds; empty it. */
static bqb_status finish_batch(import *im, bqb_err *err) {
    if (!im->n) return BQB_OK;
    bqb_parallel_for(im->n_work, im->threads, read_one, im);
    bqb_status s = im->hard;
    if (s && err) *err = im->hard_err;
    if (!s) s = encode(im, err);
    if (!s) s = bqb_catalogue_begin(im->c, err);
    if (s) {
        empty_batch(im);
        return s;
    }
    bqb_import_report before = *im->report;
    size_t k = 0;
    for (size_t i = 0; i < im->n && !s; i++) {
        const float *vec = NULL;
        if (k < im->n_work && im->work[k] == i) {
            job *j = &im->jobs[i];
            if (im->o->embedder && j->state == READY && !j->has_vector) vec = im->vec + k * im->o->embedder->dim;
            k++;
        }
        s = store(im, &im->jobs[i], vec, err);
    }
    if (!s) s = bqb_catalogue_commit(im->c, err);
    if (s) {
        bqb_catalogue_rollback(im->c);
        size_t skipped = im->report->skipped; /* these were told */
        *im->report = before;
        im->report->skipped = skipped;
    } else tell_changes(im);
    empty_batch(im);
    return s;
}

static bqb_status progress(import *im, const char *what, size_t done, size_t total, bqb_err *err) {
    if (im->o->progress && im->o->progress(im->o->ctx, what, done, total))
        return bqb_fail(err, BQB_ECANCEL, "stopped; what was imported is kept, the same command goes on from here");
    return BQB_OK;
}

static bqb_status import_candidates(import *im, const bqb_candidate *(*at)(const void *, size_t), const void *list,
                                    size_t n, const char *what, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        s = look(im, at(list, i), err);
        if (!s && (im->n == LOOK || im->n_work == WORK)) {
            s = finish_batch(im, err);
            if (!s) s = progress(im, what, i + 1, n, err);
        }
    }
    if (!s) s = finish_batch(im, err);
    if (!s && n) s = progress(im, what, n, n, err);
    return s;
}

/* ---- files that are gone, and stickers without a vector ---- */

static bqb_status mark_gone(import *im, const bqb_walk *w, const char *root, bqb_err *err) {
    size_t n = 0;
    bqb_status s = bqb_turns_take(im->turns, im->o->waiting, im->o->ctx, err);
    if (!s) s = bqb_mark_gone(&n, im->c, w, root, im->o->change, im->o->ctx, err);
    im->report->gone += n;
    bqb_turns_give(im->turns);
    return s;
}

typedef struct {
    bqb_candidate *item;
    size_t n, cap;
    const bqb_walk *walk;
} path_list;

static int collect_path(void *ctx, const char *path, const bqb_file *f) {
    path_list *l = ctx;
    if (f->missing || bqb_walk_has(l->walk, path)) return 0;
    bqb_candidate *item = bqb_grow(l->item, l->n, &l->cap, sizeof *item, 256);
    char *copy = item ? bqb_strdup(path) : NULL;
    if (item) l->item = item;
    if (!copy) return 1;
    l->item[l->n++] = (bqb_candidate){.path = copy};
    return 0;
}

static const bqb_candidate *path_list_at(const void *list, size_t i) { return &((const path_list *)list)->item[i]; }
static const bqb_candidate *walk_at(const void *list, size_t i) { return bqb_walk_at(list, i); }

static bqb_status embed_others(import *im, const bqb_walk *w, bqb_err *err) {
    path_list bare = {.walk = w};
    if (!im->o->embedder || im->o->only_these) return BQB_OK;
    bqb_status s = bqb_catalogue_each_unembedded(im->c, im->o->embedder->id, "image", collect_path, &bare, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "list of files", bare.cap * sizeof *bare.item);
    bqb_import_report before = *im->report;
    if (!s) s = import_candidates(im, path_list_at, &bare, bare.n, "embed", err);
    im->report->found = before.found; /* nobody named these */
    im->report->already = before.already;
    for (size_t i = 0; i < bare.n; i++) free(bare.item[i].path);
    free(bare.item);
    return s;
}

/* Content that is nowhere any more, now that every path has been looked at. */
static bqb_status sweep(import *im, bqb_err *err) {
    bqb_status s = bqb_catalogue_begin(im->c, err);
    if (!s) s = bqb_catalogue_remove_orphans(im->c, err);
    if (!s) s = bqb_catalogue_commit(im->c, err);
    if (s) bqb_catalogue_rollback(im->c);
    return s;
}

bqb_status bqb_library_import(bqb_catalogue *c, const char *const *paths, size_t n, const bqb_import_options *o,
                              bqb_import_report *report, bqb_err *err) {
    import im = {.c = c, .o = o, .report = report, .threads = o->threads ? o->threads : bqb_cpu_count()};
    bqb_walk *w = NULL;
    *report = (bqb_import_report){0};
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    im.R = o->embedder ? o->embedder->resolution : 1;
    im.picture_size = 3 * im.R * im.R * 3;
    im.jobs = bqb_calloc(LOOK, sizeof *im.jobs);
    im.rgb = bqb_calloc(WORK, im.picture_size);
    im.vec = bqb_calloc(WORK, (o->embedder ? o->embedder->dim : 1) * sizeof(float));
    pthread_mutex_init(&im.lock, NULL);
    if (!im.jobs || !im.rgb || !im.vec) s = bqb_fail_nomem(err, "import", WORK * im.picture_size);
    if (!s) s = bqb_turns_open(&im.turns, bqb_catalogue_dir(c), err);
    bqb_walk_request again = {.path = paths, .n = n, .within = o->within, .n_within = o->n_within,
                              .skip_dir = bqb_catalogue_dir(c), .skip = o->skip, .progress = o->progress,
                              .folder = o->folder, .ctx = o->ctx};
    if (!s && o->within) s = bqb_walk_again(&w, &again, err);
    else if (!s) s = bqb_walk_new(&w, paths, n, bqb_catalogue_dir(c), o->skip, o->progress, o->ctx, err);
    if (!s) {
        report->skipped = bqb_walk_skipped(w);
        report->damaged = bqb_walk_damaged(w);
        report->damaged_archives = bqb_walk_damaged_archives(w);
        report->others = bqb_walk_others(w);
        s = import_candidates(&im, walk_at, w, bqb_walk_count(w), "import", err);
    }
    for (size_t i = 0; !s && i < bqb_walk_roots(w); i++) s = mark_gone(&im, w, bqb_walk_root(w, i), err);
    if (!s) s = embed_others(&im, w, err);
    if (!s) s = sweep(&im, err);
    else if (s == BQB_ECANCEL) (void)sweep(&im, NULL);
    bqb_turns_close(im.turns);
    bqb_likeness_report alike = {0};
    if (!s) s = bqb_likeness_update(&alike, c, o->threads, o->progress, o->ctx, err);
    report->near_copies = alike.copies;
    bqb_walk_free(w);
    pthread_mutex_destroy(&im.lock);
    free(im.jobs);
    free(im.rgb);
    free(im.vec);
    return s;
}
