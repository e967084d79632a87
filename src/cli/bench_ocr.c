/* bqb bench --ocr: how much of the words on stickers is read, by every way of reading and by all together. */
#include "cli/bench.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "file/table.h"
#include "image/decode.h"
#include "library/reader.h"
#include "text/grams.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_WAYS = 32, JOINED = MOST_WAYS, ALL, MEASURED, MOST_CHARS = 20000, MOST_THREADS = 64, MAX_FILE = 64 << 20 };

/* Shares of the truth's characters that were read, and of the read ones that are true. */
typedef struct {
    double recall, precision;
    size_t with_text; /* stickers where anything was read */
} score;

/* One sticker's. */
typedef struct {
    double recall[MEASURED], precision[MEASURED];
    bool any[MEASURED], done, exact;
    bool blank; /* there are no words on it */
    double cpu_s;
    bqb_err why;
} result;

typedef struct {
    const bqb_table *table;
    const char *dir;
    size_t file, truth, n, rows;
    bqb_ocr *ocr[MOST_THREADS];
    result *r;      /* [n] */
    uint32_t *char_of; /* [MOST_THREADS, 2, MOST_CHARS] */
    cli_progress bar;
    atomic_size_t finished;
} work;

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The letters and characters of a text, folded and sorted. */
static size_t letters(uint32_t *out, const char *text) {
    bqb_buf folded = {.max = 1 << 20};
    size_t n = 0;
    if (bqb_text_fold(&folded, text, strlen(text), NULL)) folded.len = 0;
    for (size_t i = 0; i < folded.len && n < MOST_CHARS;) {
        uint32_t cp;
        i += bqb_utf8_next(folded.data + i, folded.len - i, &cp, NULL);
        bool latin = (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z');
        if (latin || bqb_is_cjk(cp)) out[n++] = cp;
    }
    bqb_buf_free(&folded);
    qsort(out, n, sizeof *out, by_value);
    return n;
}

/* How many are in both, each as often as in both. */
static size_t in_both(const uint32_t *a, size_t na, const uint32_t *b, size_t nb) {
    size_t n = 0;
    for (size_t i = 0, k = 0; i < na && k < nb;) {
        if (a[i] == b[k]) n++, i++, k++;
        else if (a[i] < b[k]) i++;
        else k++;
    }
    return n;
}

static void measure(result *r, int which, const uint32_t *truth, size_t n_truth, uint32_t *room, const char *text) {
    size_t n = letters(room, text), both = in_both(truth, n_truth, room, n);
    r->recall[which] = n_truth ? (double)both / (double)n_truth : 0;
    r->precision[which] = n ? (double)both / (double)n : 0;
    r->any[which] = n > 0;
    if (which == JOINED) r->exact = both == n && both == n_truth;
}

/* The lines of one way, or (way = MOST_WAYS) the texts of a merged list. */
static void text_of(bqb_buf *out, const bqb_readout *r, size_t way) {
    out->len = 0;
    bqb_buf_puts(out, "", NULL);
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->line[i].n && r->line[i].reader == way; k++) {
            char u[4];
            bqb_buf_append(out, u, bqb_utf8_put(u, r->line[i].c[k].cp), NULL);
        }
}

static void without_weights(char *list) {
    char *to = list;
    for (const char *p = list; *p;) {
        const char *tab = strchr(p, '\t'), *end = strchr(p, '\n');
        if (!tab || !end || tab > end) break;
        memmove(to, tab + 1, (size_t)(end - tab));
        to += end - tab;
        p = end + 1;
    }
    *to = 0;
}

static double cpu_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bqb_status read_one(work *w, size_t row, result *r, int worker) {
    char *path = bqb_path_join(w->dir, bqb_table_cell(w->table, row, w->file)), *data = NULL;
    size_t size;
    bqb_readout lines = {0};
    bqb_merged m = {.belief = 0};
    uint32_t *truth = w->char_of + (size_t)worker * 2 * MOST_CHARS, *room = truth + MOST_CHARS;
    bqb_status s = path ? bqb_file_read(&data, &size, path, MAX_FILE, &r->why) : bqb_fail_nomem(&r->why, "path", 1);
    if (!s && !w->ocr[worker]) s = bqb_ocr_open(&w->ocr[worker], NULL, &r->why);
    double began = cpu_now_s() + (s ? 0 : bqb_ocr_cpu_s(w->ocr[worker]));
    if (!s) s = bqb_read_sticker(&m, &lines, w->ocr[worker], data, size, path, NULL, &r->why);
    r->cpu_s = cpu_now_s() + (w->ocr[worker] ? bqb_ocr_cpu_s(w->ocr[worker]) : 0) - began;
    if (!s) {
        bqb_buf text = {.max = 1 << 22};
        size_t n = letters(truth, bqb_table_cell(w->table, row, w->truth));
        r->blank = !n;
        for (size_t k = 0; k < bqb_reader_ways() && k < MOST_WAYS; k++) {
            text_of(&text, &lines, k);
            measure(r, (int)k, truth, n, room, text.data ? text.data : "");
        }
        measure(r, JOINED, truth, n, room, m.joined.data);
        without_weights(m.all.data);
        measure(r, ALL, truth, n, room, m.all.data);
        r->done = true;
        bqb_buf_free(&text);
    }
    bqb_merged_free(&m);
    bqb_readout_free(&lines);
    free(data);
    free(path);
    return s;
}

static void work_on(void *ctx, size_t i, int worker) {
    work *w = ctx;
    if (cli_interrupted()) return;
    read_one(w, i * w->rows / w->n, &w->r[i], worker);
    size_t n = atomic_fetch_add(&w->finished, 1) + 1;
    if (!worker) cli_progress_show(&w->bar, "read", n, w->n);
}

static void print_score(const work *w, int which, const char *name) {
    score sum = {0};
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const result *r = &w->r[i];
        if (!r->done || r->blank) continue;
        n++;
        sum.recall += r->recall[which];
        if (r->any[which]) sum.precision += r->precision[which], sum.with_text++;
    }
    if (sum.with_text)
        printf("%s,%.3f,%.3f,%zu\n", name, sum.recall / (double)n, sum.precision / (double)sum.with_text, sum.with_text);
}

static bqb_status measure_all(work *w, int threads, bqb_err *err) {
    char advice[BQB_OCR_ADVICE];
    bqb_status s = bqb_ocr_open(&w->ocr[0], advice, err);
    if (s) return s;
    if (*advice) fprintf(stderr, "bqb: %s\n", advice);
    if ((s = bqb_image_init(err))) return s;
    size_t n = 0, exact = 0, blank = 0, invented = 0;
    double began = bqb_now_s(), cpu_s = 0;
    bqb_parallel_for(w->n, threads, work_on, w);
    double took = bqb_now_s() - began;
    cli_progress_end(&w->bar);
    for (size_t i = 0; i < w->n; i++) {
        const result *r = &w->r[i];
        if (r->done) {
            n++;
            cpu_s += r->cpu_s;
            exact += r->exact && !r->blank;
            blank += r->blank;
            invented += r->blank && r->any[JOINED];
        } else if (*r->why.msg) cli_tell_skipped(bqb_table_cell(w->table, i * w->rows / w->n, w->file), r->why.msg);
    }
    if (!n) return bqb_fail(err, BQB_ENOTFOUND, "no picture of the table could be read");
    printf("way,recall,precision,with text\n");
    for (size_t k = 0; k < bqb_reader_ways() && k < MOST_WAYS; k++) print_score(w, (int)k, bqb_reader_way_name(k));
    print_score(w, JOINED, "together");
    print_score(w, ALL, "all lines");
    fprintf(stderr, "%zu stickers with words, %zu read without a mistake; %zu without, on %zu of them something was read\n"
                    "%.2f a second on %d threads, %.2f s of a processor each\n",
            n - blank, exact, blank, invented, (double)n / took, threads, cpu_s / (double)n);
    return BQB_OK;
}

bqb_status bench_ocr(const char *path, size_t most, int threads, bqb_err *err) {
    work w = {.n = 0};
    bqb_table *t = NULL;
    bqb_status s = bqb_table_open(&t, path, err);
    if (s) return s;
    w.table = t;
    w.rows = bqb_table_rows(t);
    w.n = most && most < w.rows ? most : w.rows;
    w.file = bqb_table_find(t, "file");
    w.truth = bqb_table_find(t, "ocr");
    if (w.truth == SIZE_MAX) w.truth = bqb_table_find(t, "caption");
    char *dir = bqb_strndup(path, (size_t)(bqb_path_base(path) - path));
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    atomic_init(&w.finished, 0);
    w.r = bqb_calloc(w.n, sizeof *w.r);
    w.char_of = bqb_calloc((size_t)threads * 2 * MOST_CHARS, sizeof *w.char_of);
    w.dir = dir;
    if (!dir || !w.r || !w.char_of) s = bqb_fail_nomem(err, "figures", w.n * sizeof *w.r);
    else if (w.file == SIZE_MAX || w.truth == SIZE_MAX || !w.n)
        s = bqb_fail(err, BQB_EFORMAT, "%s: columns file and ocr (or caption), and a sticker, are needed", path);
    if (!s) s = measure_all(&w, threads, err);
    for (int i = 0; i < threads; i++) bqb_ocr_close(w.ocr[i]);
    free(w.r);
    free(w.char_of);
    free(dir);
    bqb_table_close(t);
    return s;
}
