#include "library/annotate.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "image/decode.h"
#include "library/id_set.h"
#include "library/lock_file.h"
#include "library/reader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH = 8,       /* stickers that are claimed at a time, for each thread */
    MOST_THREADS = 64,
    MAX_FILE = 64 << 20,
};

/* One sticker of a batch. */
typedef struct {
    bqb_sticker_id id;
    uint8_t sha256[BQB_SHA256_SIZE];
    char *path;
    bqb_merged read;
    bqb_status status;
    bqb_err why;
    bool done, no_reader;
    bool noted; /* in the library */
    bool gone; /* from the library, meanwhile */
    bool hopeless; /* its reader came down, and would again */
} job;

typedef struct {
    bqb_catalogue *c;
    const bqb_read_options *o;
    bqb_read_report *report;
    job *jobs; /* [BATCH * threads] */
    size_t n;
    bqb_ocr *ocr[MOST_THREADS]; /* of each worker; but for the first, made when it first needs one */
    char reader[80];
    size_t finished, total;
    pthread_mutex_t lock; /* of all that follows a reading: the library, the report, what is told */
    bqb_status failed;    /* what was read could not be noted */
    bqb_err why;
    bool reads;           /* Tesseract has read a picture of this batch: one that it crashes on is to blame itself */
    atomic_bool stop;
    int threads;
    int claims; /* read.lock: who has a sticker's byte is reading it */
} work;

/* ---- reading, on several threads ---- */

static bqb_status read_file(job *j, bqb_ocr *o) {
    char *data;
    size_t size;
    uint8_t sha256[BQB_SHA256_SIZE];
    bqb_status s = bqb_file_read(&data, &size, j->path, MAX_FILE, &j->why);
    if (s) return s;
    bqb_sha256_of(sha256, data, size);
    if (memcmp(sha256, j->sha256, sizeof sha256))
        s = bqb_fail(&j->why, BQB_EFORMAT, "it has changed since it was imported: import it again");
    else {
        s = bqb_read_sticker(&j->read, NULL, o, data, size, bqb_path_base(j->path), NULL, &j->why);
        j->hopeless = s && bqb_ocr_hopeless(o);
    }
    free(data);
    return s;
}

/* ---- noting what was read ---- */

static bqb_status store(work *w, job *j, bqb_err *err) {
    bqb_annotation a = {{0}};
    bqb_sticker now;
    bqb_status there = bqb_catalogue_get_sticker(w->c, j->id, &now, err);
    if (there == BQB_ENOTFOUND) { /* removed by another bqb while it was read */
        w->report->skipped++;
        j->gone = true;
        return BQB_OK;
    }
    if (there) return there;
    if (j->status) {
        w->report->skipped++;
        return j->hopeless ? bqb_catalogue_put_unreadable(w->c, j->id, j->why.msg, err) : BQB_OK;
    }
    bqb_status s = bqb_catalogue_put_reading(w->c, j->id, w->reader, j->read.all.data, err);
    a.field[BQB_OCR] = j->read.joined.data;
    bool words = j->read.joined.len > 0;
    if (!s && words) s = bqb_catalogue_annotate(w->c, j->id, &a, BQB_OCR_READ, j->read.belief, NULL, NULL, err);
    if (!s && !words) s = bqb_catalogue_forget(w->c, j->id, BQB_OCR, BQB_OCR_READ, NULL, err);
    if (words) w->report->words++;
    else w->report->blank++;
    return s;
}

/* Note and tell one, in a transaction of its own: beside reading that costs nothing. Under the lock. */
static bqb_status note(work *w, job *j, bqb_err *err) {
    bqb_read_report before = *w->report;
    bqb_status s = bqb_catalogue_begin(w->c, err);
    if (!s) s = store(w, j, err);
    if (!s) s = bqb_catalogue_commit(w->c, err);
    if (s) {
        bqb_catalogue_rollback(w->c);
        *w->report = before;
        return s;
    }
    j->noted = true;
    if (j->gone) return BQB_OK;
    if (j->status && w->o->skip) w->o->skip(w->o->ctx, j->path, j->why.msg);
    if (!j->status && w->o->read) w->o->read(w->o->ctx, j->path, j->read.joined.len ? j->read.joined.data : "");
    return BQB_OK;
}

static bool ends_all(const job *j) { return j->status == BQB_ENOMEM || (j->status && j->no_reader); }

/* What has come out. Those that brought their reader down wait until one of the batch was read: it may not be their fault. */
static void settle(work *w, job *j, const bqb_ocr *o) {
    if (!*w->reader && o) snprintf(w->reader, sizeof w->reader, "%s", bqb_ocr_name(o));
    w->reads = w->reads || !j->status;
    if (ends_all(j)) atomic_store(&w->stop, true);
    else if (!w->failed && (w->reads || !j->hopeless)) w->failed = note(w, j, &w->why);
    if (w->failed) atomic_store(&w->stop, true);
    w->finished++;
    if (w->o->progress && w->o->progress(w->o->ctx, "read", w->finished, w->total)) atomic_store(&w->stop, true);
}

static void read_one(void *ctx, size_t i, int worker) {
    work *w = ctx;
    job *j = &w->jobs[i];
    if (atomic_load(&w->stop)) return;
    j->status = BQB_OK;
    if (!w->ocr[worker]) j->status = bqb_ocr_open(&w->ocr[worker], NULL, &j->why);
    j->no_reader = j->status != BQB_OK;
    if (!j->status) j->status = read_file(j, w->ocr[worker]);
    j->done = true;
    pthread_mutex_lock(&w->lock);
    settle(w, j, w->ocr[worker]);
    pthread_mutex_unlock(&w->lock);
}

/* A picture that cannot be read is passed over; a reader that cannot be had, or comes down on whatever it is shown, ends it all. */
static bqb_status hard_failure(const work *w, bqb_err *err) {
    size_t hopeless = 0;
    for (size_t i = 0; i < w->n; i++) hopeless += w->jobs[i].hopeless;
    if (hopeless >= BATCH && hopeless == w->n)
        return bqb_fail(err, BQB_EUNSUPPORTED, "Tesseract fails on each of %zu pictures, so it is not theirs: "
                                               "apt-get install --reinstall libtesseract5 tesseract-ocr-chi-sim", hopeless);
    for (size_t i = 0; i < w->n; i++) {
        if (!w->jobs[i].done || !ends_all(&w->jobs[i])) continue;
        if (err) *err = w->jobs[i].why;
        return w->jobs[i].status;
    }
    return BQB_OK;
}

static void empty(work *w) {
    for (size_t i = 0; i < w->n; i++) {
        free(w->jobs[i].path);
        bqb_merged_free(&w->jobs[i].read);
    }
    w->n = 0;
    if (w->claims >= 0) bqb_unlock_all(w->claims);
}

/* Read what the batch holds, noting each as it is done; empty it. */
static bqb_status finish_batch(work *w, bqb_err *err) {
    if (!w->n) return BQB_OK;
    w->reads = false;
    bqb_parallel_for(w->n, w->threads, read_one, w);
    bqb_status s = w->failed;
    if (s && err) *err = w->why;
    if (!s) s = hard_failure(w, err);
    for (size_t i = 0; i < w->n && !s; i++)
        if (w->jobs[i].done && !w->jobs[i].noted) s = note(w, &w->jobs[i], err);
    empty(w);
    if (!s && atomic_load(&w->stop))
        s = bqb_fail(err, BQB_ECANCEL, "stopped; what was read is kept, the same command goes on from here");
    return s;
}

/* Does another bqb read this one, or has it done so since we listed it? If not, it is ours until the batch is done. */
static bqb_status claim(bool *ours, work *w, bqb_sticker_id id, bqb_err *err) {
    char *reader = NULL, *text = NULL;
    *ours = bqb_lock_byte(w->claims, (off_t)id, false);
    if (!*ours || w->o->again) return BQB_OK;
    bqb_status s = bqb_catalogue_get_reading(w->c, id, &reader, &text, err);
    *ours = s == BQB_ENOTFOUND;
    if (!s) bqb_unlock_byte(w->claims, (off_t)id);
    free(reader);
    free(text);
    return s == BQB_ENOTFOUND ? BQB_OK : s;
}

static bqb_status take(work *w, bqb_sticker_id id, bqb_err *err) {
    bqb_sticker sticker;
    bool ours;
    job *j = &w->jobs[w->n];
    bqb_status s = claim(&ours, w, id, err);
    if (s || !ours) {
        w->report->already += !s;
        w->finished++;
        return s;
    }
    *j = (job){.id = id};
    s = bqb_catalogue_get_sticker(w->c, id, &sticker, err);
    if (!s) s = bqb_catalogue_path_of(w->c, id, &j->path, NULL, err);
    if (s == BQB_ENOTFOUND) { /* removed by another bqb since we listed it */
        w->report->skipped++;
        w->finished++;
        return BQB_OK;
    }
    if (s) return s;
    memcpy(j->sha256, sticker.sha256, sizeof j->sha256);
    w->n++;
    return BQB_OK;
}

/* ---- which ---- */

/* Those of ids (NULL: of all that are shown) that are to be read. */
static bqb_status choose(bqb_id_set *out, bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bool again,
                         size_t *asked, bqb_err *err) {
    bqb_id_set unread = {0};
    bqb_sticker_id *shown = NULL;
    bqb_status s = BQB_OK;
    if (!ids) s = bqb_catalogue_list_shown(c, &shown, &n, err);
    if (!s && !again) s = bqb_catalogue_each_unread(c, bqb_id_set_add, &unread, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", unread.cap * sizeof *unread.id);
    for (size_t i = 0; i < n && !s; i++) {
        bqb_sticker_id id = ids ? ids[i] : shown[i];
        if ((again || bqb_id_set_has(&unread, id)) && bqb_id_set_add(out, id)) s = bqb_fail_nomem(err, "stickers", n * sizeof *ids);
    }
    *asked = n;
    bqb_id_set_free(&unread);
    free(shown);
    return s;
}

bqb_status bqb_library_read(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bqb_read_options *o,
                            bqb_read_report *report, bqb_err *err) {
    work w = {.c = c, .o = o, .report = report, .threads = o->threads > 0 ? o->threads : bqb_cpu_count(), .claims = -1};
    bqb_id_set todo = {0};
    *report = (bqb_read_report){0};
    if (w.threads > MOST_THREADS) w.threads = MOST_THREADS;
    pthread_mutex_init(&w.lock, NULL);
    atomic_init(&w.stop, false);
    bqb_status s = bqb_ocr_open(&w.ocr[0], o->advice, err); /* can anything be read here? */
    if (!s) s = bqb_image_init(err);
    if (!s) s = bqb_lock_file_open(&w.claims, bqb_catalogue_dir(c), "read.lock", err);
    if (!s) s = choose(&todo, c, ids, n, o->again, &report->asked, err);
    report->already = s ? 0 : report->asked - todo.n;
    w.total = todo.n;
    size_t batch = BATCH * (size_t)w.threads;
    if (!s && !(w.jobs = bqb_calloc(batch, sizeof *w.jobs))) s = bqb_fail_nomem(err, "stickers", batch * sizeof *w.jobs);
    for (size_t i = 0; i < todo.n && !s; i++) {
        s = take(&w, todo.id[i], err);
        if (!s && w.n == batch) s = finish_batch(&w, err);
    }
    if (!s) s = finish_batch(&w, err);
    if (!s && todo.n && o->progress) o->progress(o->ctx, "read", todo.n, todo.n);
    empty(&w);
    for (int i = 0; i < w.threads; i++) bqb_ocr_close(w.ocr[i]);
    free(w.jobs);
    pthread_mutex_destroy(&w.lock);
    if (w.claims >= 0) close(w.claims);
    bqb_id_set_free(&todo);
    return s;
}
