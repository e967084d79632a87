/* bqb bench --words: the match of words on a library of made-up stickers. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "library/catalogue.h"
#include "search/lexical.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHARACTERS = 3000, LINE = 8, READINGS = 12, NOISE = 8, TOGETHER = 512, QUERIES = 200 };

/* A character, as unevenly spread as in Chinese: the first makes up a twentieth, half of them nearly nothing. */
static uint32_t draw_character(bqb_rand *r) {
    return 0x4E00 + (uint32_t)(3 * (pow(CHARACTERS / 3.0 + 1, bqb_rand_unit(r)) - 1));
}

static void draw_line(uint32_t *line, size_t n, bqb_rand *r) {
    for (size_t i = 0; i < n; i++) line[i] = draw_character(r);
}

/* n characters, each with this chance of being another. */
static bqb_status put_line(bqb_buf *out, const uint32_t *line, size_t n, double wrong, bqb_rand *r, bqb_err *err) {
    char utf8[4 * LINE];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) k += bqb_utf8_put(utf8 + k, bqb_rand_unit(r) < wrong ? draw_character(r) : line[i]);
    return bqb_buf_append(out, utf8, k, err);
}

/* A sticker read a dozen ways, each fifth character wrong, and as many scraps that are no words. */
static bqb_status add_sticker(bqb_catalogue *c, size_t number, bqb_rand *r, bqb_err *err) {
    bqb_sticker sticker = {.format = "png", .width = 1, .height = 1, .frames = 1};
    bqb_buf best = {.max = 1 << 10}, all = {.max = 1 << 16};
    uint32_t line[LINE], scrap[4];
    bool added;
    memcpy(sticker.sha256, &number, sizeof number);
    bqb_file file = {.size_bytes = 1};
    char path[40];
    snprintf(path, sizeof path, "/%zu.png", number);
    draw_line(line, LINE, r);
    bqb_status s = put_line(&best, line, LINE, 0.1, r, err);
    for (int i = 0; i < READINGS && !s; i++) {
        s = bqb_buf_printf(&all, err, "%.2f\t", bqb_rand_between(r, 0.2, 1));
        if (!s) s = put_line(&all, line, LINE, 0.2, r, err);
        if (!s) s = bqb_buf_puts(&all, "\n", err);
    }
    for (int i = 0; i < NOISE && !s; i++) {
        draw_line(scrap, 4, r);
        s = bqb_buf_puts(&all, "0.1\t", err);
        if (!s) s = put_line(&all, scrap, 1 + bqb_rand_below(r, 4), 0, r, err);
        if (!s) s = bqb_buf_puts(&all, "\n", err);
    }
    bqb_annotation said = {.field = {[BQB_OCR] = best.data}};
    if (!s) s = bqb_catalogue_put_sticker(c, &sticker, &added, err);
    file.sticker = sticker.id;
    if (!s) s = bqb_catalogue_put_file(c, path, &file, err);
    if (!s) s = bqb_catalogue_annotate(c, sticker.id, &said, BQB_OCR_READ, 0.9, NULL, NULL, err);
    if (!s) s = bqb_catalogue_put_reading(c, sticker.id, "bench", all.data, err);
    bqb_buf_free(&best);
    bqb_buf_free(&all);
    return s;
}

static bqb_status fill(bqb_catalogue *c, size_t n, bqb_err *err) {
    bqb_rand r = bqb_rand_seed(5, 0);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s && !cli_interrupted();) {
        s = bqb_catalogue_begin(c, err);
        for (size_t k = 0; k < TOGETHER && i < n && !s; k++, i++) s = add_sticker(c, i, &r, err);
        if (!s) s = bqb_catalogue_commit(c, err);
    }
    return s;
}

static int by_time(const void *a, const void *b) {
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bqb_status ask(bench *b, bqb_catalogue *c, size_t characters, bqb_err *err) {
    static double took[QUERIES];
    bqb_rand r = bqb_rand_seed(6, characters);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < QUERIES && !s; i++) {
        bqb_buf query = {.max = 1 << 10};
        uint32_t line[LINE];
        bqb_word_hit *hit = NULL;
        size_t n;
        draw_line(line, characters, &r);
        s = put_line(&query, line, characters, 0, &r, err);
        double t0 = bqb_now_s();
        if (!s) s = bqb_lexical(&hit, &n, c, query.data, err);
        took[i] = bqb_now_s() - t0;
        free(hit);
        bqb_buf_free(&query);
    }
    if (s) return s;
    char what[64];
    qsort(took, QUERIES, sizeof *took, by_time);
    snprintf(what, sizeof what, "match of %zu characters: median", characters);
    bench_row(b, what, "", 1e3 * took[QUERIES / 2], "ms", 0, 0);
    snprintf(what, sizeof what, "match of %zu characters: 99 %%", characters);
    bench_row(b, what, "", 1e3 * took[QUERIES * 99 / 100], "ms", 0, 0);
    return BQB_OK;
}

bqb_status bench_words(bench *b, size_t stickers, bqb_err *err) {
    char dir[512], path[540];
    bqb_catalogue *c = NULL;
    struct stat st;
    bqb_status s = bench_folder(dir, err);
    if (s) return s;
    s = bqb_catalogue_open(&c, dir, BQB_CATALOGUE_WRITE, err);
    double t0 = bqb_now_s();
    if (!s) s = fill(c, stickers, err);
    if (!s && !cli_interrupted()) bench_row(b, "stickers with readings written", "", (double)stickers / (bqb_now_s() - t0), "/s", 0, 0);
    snprintf(path, sizeof path, "%s/library.db", dir);
    if (!s && !stat(path, &st)) bench_row(b, "library", "", (double)st.st_size / (double)stickers, "bytes a sticker", 0, 0);
    static const size_t lengths[] = {1, 2, 4, 8};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && !s && !cli_interrupted(); i++) s = ask(b, c, lengths[i], err);
    bqb_catalogue_close(c);
    static const char *const files[] = {"library.db", "library.db-wal", "library.db-shm"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
    return s;
}
