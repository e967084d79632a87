/* Synthetic stickers as files. */
#include "base/fs.h"
#include "base/thread.h"
#include "image/sheet.h"
#include "image/synth_set.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

bqb_status bqb_sticker_encode(const bqb_sticker *st, void **bytes, size_t *size, bqb_err *err) {
    size_t n = st->width * st->height * st->frames * 4;
    VipsImage *im = vips_image_new_from_memory(st->rgba, n, (int)st->width, (int)(st->height * st->frames), 4, VIPS_FORMAT_UCHAR);
    VipsImage *out = NULL;
    void *buf = NULL;
    *bytes = NULL;
    int bad = !im;
    if (!bad) {
        bool opaque = true;
        for (size_t i = 3; i < n && opaque; i += 4) opaque = st->rgba[i] == 255;
        im->Type = VIPS_INTERPRETATION_sRGB;
        bad = opaque ? vips_extract_band(im, &out, 0, "n", 3, NULL) : vips_copy(im, &out, NULL);
    }
    if (!bad && st->frames > 1) {
        int *delay = calloc(st->frames, sizeof *delay);
        if (!delay) bad = 1;
        else {
            for (size_t f = 0; f < st->frames; f++) delay[f] = st->delay_ms;
            vips_image_set_int(out, VIPS_META_PAGE_HEIGHT, (int)st->height);
            vips_image_set_array_int(out, "delay", delay, (int)st->frames);
            vips_image_set_int(out, "loop", 0);
        }
        free(delay);
    }
    if (!bad) {
        if (!strcmp(st->ext, "gif")) bad = vips_gifsave_buffer(out, &buf, size, "effort", 1, "dither", 0.0, "interpalette_maxerror", st->gif_error, NULL);
        else if (!strcmp(st->ext, "webp")) bad = vips_webpsave_buffer(out, &buf, size, "effort", 0, "Q", st->quality, NULL);
        else if (!strcmp(st->ext, "jpg")) bad = vips_jpegsave_buffer(out, &buf, size, "Q", st->quality, NULL);
        else bad = vips_pngsave_buffer(out, &buf, size, "compression", 3, NULL);
    }
    bqb_status s = BQB_OK;
    if (bad) {
        s = bqb_fail(err, BQB_EIO, "cannot encode a %s: %.200s", st->ext, vips_error_buffer());
        vips_error_clear();
    } else {
        /* glib's memory and ours may differ */
        *bytes = malloc(*size);
        if (*bytes) memcpy(*bytes, buf, *size);
        else s = bqb_fail_nomem(err, "picture", *size);
    }
    g_free(buf);
    if (out) g_object_unref(out);
    if (im) g_object_unref(im);
    return s;
}

typedef struct {
    bqb_synth *synth;
    const char *dir;
    size_t first;             /* of this batch */
    char *(*lines)[2];        /* [count]: rows of captions.tsv and queries.tsv */
    pthread_mutex_t lock;     /* of what follows */
    bqb_status status;
    bqb_err *err;
} writing;

/* A cell may not hold what separates cells. */
static bqb_status cell(bqb_buf *b, const char *s, char after, bqb_err *err) {
    bqb_status st = BQB_OK;
    for (; *s && !st; s++) st = bqb_buf_append(b, *s == '\t' || *s == '\n' || *s == '\r' ? " " : s, 1, err);
    return st ? st : bqb_buf_append(b, &after, 1, err);
}

/* Renamed when it is complete, but without a sync for every picture: after a power cut
 * it may be empty, and is then drawn again. */
static bqb_status write_picture(const writing *w, size_t i, const char *path, bqb_err *err) {
    bqb_sticker st;
    void *bytes = NULL;
    size_t size = 0;
    char *part = bqb_asprintf("%s.part", path);
    bqb_status s = part ? bqb_synth_draw(w->synth, i, &st, err) : bqb_fail_nomem(err, path, 0);
    if (!s) {
        s = bqb_sticker_encode(&st, &bytes, &size, err);
        bqb_sticker_free(&st);
    }
    if (!s) {
        FILE *f = fopen(part, "wbe");
        bool bad = !f || fwrite(bytes, 1, size, f) != size;
        if (f && fclose(f)) bad = true;
        if (bad || rename(part, path)) s = bqb_fail_errno(err, "%s", path);
        if (s) unlink(part);
    }
    free(bytes);
    free(part);
    return s;
}

static bool is_written(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode) && st.st_size > 0;
}

static bqb_status write_one(writing *w, size_t i, bqb_err *err) {
    bqb_sticker st;
    bqb_status s = bqb_synth_describe(w->synth, i, &st, err);
    if (s) return s;
    char name[64];
    bqb_buf rows = {.max = 65536}, queries = {.max = 65536};
    snprintf(name, sizeof name, "images/%06zu.%s", i, st.ext);
    char *path = bqb_path_join(w->dir, name);
    if (!path) s = bqb_fail_nomem(err, name, 0);
    else if (!is_written(path)) s = write_picture(w, i, path, err);
    if (!s) s = cell(&rows, name, '\t', err);
    for (size_t k = 0; k < BQB_FIELDS && !s; k++) s = cell(&rows, st.field[k], k + 1 < BQB_FIELDS ? '\t' : '\n', err);
    for (size_t k = 0; k < st.n_queries && !s; k++) {
        s = cell(&queries, name, '\t', err);
        if (!s) s = cell(&queries, st.query[k], '\n', err);
    }
    free(path);
    bqb_sticker_free(&st);
    w->lines[i][0] = rows.data;
    w->lines[i][1] = queries.data;
    return s;
}

static void write_worker(void *ctx, size_t k, int worker) {
    (void)worker;
    writing *w = ctx;
    pthread_mutex_lock(&w->lock);
    bool stop = w->status != BQB_OK;
    pthread_mutex_unlock(&w->lock);
    if (stop) return;
    bqb_err e = {0};
    bqb_status s = write_one(w, w->first + k, &e);
    if (!s) return;
    pthread_mutex_lock(&w->lock);
    if (!w->status) {
        w->status = s;
        if (w->err) *w->err = e;
    }
    pthread_mutex_unlock(&w->lock);
}

static bqb_status write_table(const writing *w, const char *name, const char *header, int which, size_t count, bqb_err *err) {
    char *path = bqb_path_join(w->dir, name);
    if (!path) return bqb_fail_nomem(err, name, 0);
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, err);
    if (!s) s = bqb_outfile_write(&o, header, strlen(header), err);
    for (size_t i = 0; i < count && !s; i++)
        if (w->lines[i][which]) s = bqb_outfile_write(&o, w->lines[i][which], strlen(w->lines[i][which]), err);
    if (!s) s = bqb_outfile_commit(&o, err);
    bqb_outfile_abort(&o);
    free(path);
    return s;
}

bqb_status bqb_synth_write(bqb_synth *synth, const char *dir, size_t count, bool replace, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    enum { BATCH = 64 }; /* stickers between two looks at the progress function */
    writing w = {.synth = synth, .dir = dir, .err = err};
    w.lines = bqb_calloc(count, sizeof *w.lines);
    bqb_status s = w.lines ? synth_set_claim(synth, dir, count, replace, err) : bqb_fail_nomem(err, "the rows", count);
    pthread_mutex_init(&w.lock, NULL);
    if (threads <= 0) threads = bqb_cpu_count();
    for (; !s && w.first < count; w.first += BATCH) {
        if (progress && progress(ctx, "drawing stickers", w.first, count)) s = bqb_fail(err, BQB_ECANCEL, "%s: stopped; the same command goes on from here", dir);
        size_t n = count - w.first < BATCH ? count - w.first : BATCH;
        if (!s) {
            bqb_parallel_for(n, threads, write_worker, &w);
            s = w.status;
        }
    }
    if (!s) s = write_table(&w, "queries.tsv", "file\tquery\n", 1, count, err);
    if (!s) s = write_table(&w, "captions.tsv", "file\tcaption\temotion\temotion_label\tstyle\tocr\n", 0, count, err);
    if (!s && progress) progress(ctx, "drawing stickers", count, count);
    for (size_t i = 0; w.lines && i < count; i++) {
        free(w.lines[i][0]);
        free(w.lines[i][1]);
    }
    pthread_mutex_destroy(&w.lock);
    free(w.lines);
    return s;
}

bqb_status bqb_synth_sheet(bqb_synth *s, const char *path, size_t n, size_t side, bqb_err *err) {
    bqb_sticker *st = bqb_calloc(n, sizeof *st);
    bqb_sheet_cell *cells = bqb_calloc(n, sizeof *cells);
    char *(*text) = bqb_calloc(n, sizeof *text);
    bqb_status status = st && cells && text ? BQB_OK : bqb_fail_nomem(err, path, n);
    for (size_t i = 0; i < n && !status; i++) {
        status = bqb_synth_draw(s, i, &st[i], err);
        if (status) break;
        char *const *f = st[i].field;
        text[i] = bqb_asprintf("%s [%s/%s/%s] %s", f[BQB_CAPTION], f[BQB_EMOTION], f[BQB_EMOTION_LABEL], f[BQB_STYLE], f[BQB_OCR]);
        size_t frame = st[i].frames / 2;
        cells[i] = (bqb_sheet_cell){.pixels = st[i].rgba + frame * st[i].width * st[i].height * 4, .width = st[i].width,
                                    .height = st[i].height, .C = 4, .caption = text[i]};
    }
    if (!status) {
        bqb_sheet_style look = {.side = side ? side : 160, .columns = 10, .caption_lines = 3};
        status = bqb_image_sheet(path, cells, n, &look, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (st) bqb_sticker_free(&st[i]);
        if (text) free(text[i]);
    }
    free(st);
    free(cells);
    free(text);
    return status;
}
