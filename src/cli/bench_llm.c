/* bqb bench --llm: how fast language models read and write here, as shares of what the processor multiplies and
 * of what memory gives. Without a model three of random weights are made, one after the other, below $TMPDIR. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "model/decoder.h"
#include "model/decoder_random.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const bqb_decoder_config QWEN_HALF_B = {
    .family = BQB_QWEN2, .vocab = 151936, .width = 896, .layers = 24, .heads = 14, .kv_heads = 2, .head_dim = 64, .mlp = 4864,
    .context = 32768, .eps = 1e-6f, .rope_theta = 1e6, .rope_factor = 1, .tied = true, .bos = -1};

enum { FIRST = 8, SHORT = 32, LONG = 512, PAST = 2048, TOKENS = 8, PIECE = 256 << 10 };

typedef struct {
    bench *b;
    bqb_decoder *m;
    bqb_decoder_past *past;
    float *rows, *hidden, *logits; /* [PAST,C], [C], [V] */
    const char *format;
    int num;
} subject;

/* ---- what the weights' files give when they are only read ---- */

enum { MOST_FILES = 64 };

typedef struct {
    bqb_map map[MOST_FILES];
    size_t n, bytes;
    atomic_uint_least64_t sum; /* so that nothing is left out */
} files;

static void close_files(files *f) {
    for (size_t i = 0; i < f->n; i++) bqb_map_close(&f->map[i]);
    f->n = f->bytes = 0;
}

static bqb_status open_files(files *f, const char *path, bqb_err *err) {
    bqb_status s = BQB_OK;
    if (!bqb_is_dir(path)) {
        s = bqb_map_open(&f->map[0], path, err);
        f->n = 1;
        f->bytes = f->map[0].size;
        return s;
    }
    DIR *d = opendir(path);
    if (!d) return bqb_fail_errno(err, "%s", path);
    for (struct dirent *e; (e = readdir(d)) && f->n < MOST_FILES && !s;) {
        if (!bqb_ends_with(e->d_name, ".safetensors")) continue;
        char *file = bqb_path_join(path, e->d_name);
        s = file ? bqb_map_open(&f->map[f->n++], file, err) : bqb_fail_nomem(err, path, strlen(path));
        if (!s) f->bytes += f->map[f->n - 1].size;
        free(file);
    }
    closedir(d);
    return s;
}

typedef struct {
    const bqb_map *map;
    files *f;
} reading;

static void read_piece(void *ctx, size_t i, int worker) {
    (void)worker;
    const reading *r = ctx;
    size_t from = i * PIECE, n = r->map->size - from < PIECE ? r->map->size - from : PIECE;
    uint64_t sum[32] = {0}, x[32], all = 0;
    for (size_t k = 0; k + sizeof x <= n; k += sizeof x) {
        memcpy(x, r->map->data + from + k, sizeof x);
        for (size_t j = 0; j < 32; j++) sum[j] ^= x[j];
    }
    for (size_t j = 0; j < 32; j++) all ^= sum[j];
    atomic_fetch_xor(&r->f->sum, all);
}

static double read_all_s(files *f, int threads) {
    double t0 = bqb_now_s();
    for (size_t i = 0; i < f->n; i++) {
        reading r = {&f->map[i], f};
        bqb_parallel_for((r.map->size + PIECE - 1) / PIECE, threads, read_piece, &r);
    }
    return bqb_now_s() - t0;
}

/* ---- one model ---- */

static bqb_status take_in(subject *x, size_t n, bqb_err *err) {
    bqb_status s = bqb_decoder_run(x->m, x->past, x->hidden, true, x->rows, n, NULL, err);
    return s ? s : bqb_decoder_logits(x->m, x->logits, x->hidden, 1, err);
}

static bqb_status open_subject(subject *x, const char *path, bqb_err *err) {
    int32_t ids[PAST];
    bqb_status s = bqb_decoder_open(&x->m, path, (bqb_precision)x->num, x->b->threads, err);
    if (!s) s = bqb_decoder_fits(x->m, PAST + LONG, path, err);
    if (!s) s = bqb_decoder_past_new(&x->past, x->m, PAST + LONG, err);
    if (s) return s;
    const bqb_decoder_config *c = bqb_decoder_get_config(x->m);
    x->rows = bqb_calloc(PAST * c->width, sizeof *x->rows);
    x->hidden = bqb_calloc(c->width, sizeof *x->hidden);
    x->logits = bqb_calloc(c->vocab, sizeof *x->logits);
    if (!x->rows || !x->hidden || !x->logits) return bqb_fail_nomem(err, "bench", PAST * c->width * sizeof *x->rows);
    bqb_rand r = bqb_rand_seed(2, 0);
    bench_fill(&r, NULL, 0, ids, PAST, c->vocab);
    return bqb_decoder_embed(x->m, x->rows, ids, PAST, err);
}

static void close_subject(subject *x) {
    bqb_decoder_past_free(x->past);
    bqb_decoder_free(x->m);
    free(x->rows);
    free(x->hidden);
    free(x->logits);
}

/* Multiplications and additions of n tokens after none, and the last one's logits. */
static double flops(const bqb_decoder_config *c, double n) {
    double C = (double)c->width, Q = (double)(c->heads * c->head_dim), KV = (double)(c->kv_heads * c->head_dim), M = (double)c->mlp;
    return n * 2 * (double)c->layers * (2 * C * Q + 2 * C * KV + 3 * C * M + Q * n) + 2 * C * (double)c->vocab;
}

static bqb_status bench_prefill(subject *x, size_t n, bqb_err *err) {
    bench_timing t = {0};
    bqb_status s = BQB_OK;
    while (!s && bench_more(&t, x->b->seconds)) {
        bqb_decoder_past_cut(x->past, 0);
        double t0 = bqb_now_s();
        s = take_in(x, n, err);
        bench_took(&t, bqb_now_s() - t0);
    }
    char what[64];
    snprintf(what, sizeof what, "prefill of %zu tokens", n);
    if (!s) bench_row(x->b, what, x->format, (double)n / t.best_s, "tokens/s", flops(bqb_decoder_get_config(x->m), (double)n) / t.best_s, x->num);
    return s;
}

/* Some tokens one by one and one reading of the files, in turn. */
static bqb_status bench_decode(subject *x, files *f, size_t after, bool reading_too, bqb_err *err) {
    bench_timing token = {0}, plain = {0};
    bqb_status s = BQB_OK;
    bqb_decoder_bytes b;
    bqb_decoder_memory(&b, x->m, 1);
    bqb_decoder_past_cut(x->past, 0);
    for (size_t at = 0; at < after && !s; at += LONG) s = bqb_decoder_run(x->m, x->past, x->hidden, true, x->rows, after - at < LONG ? after - at : LONG, NULL, err);
    while (!s && bench_more(&token, x->b->seconds)) {
        bench_took(&plain, read_all_s(f, x->b->threads));
        bqb_decoder_past_cut(x->past, after);
        double t0 = bqb_now_s();
        for (int i = 0; i < TOKENS && !s; i++) s = take_in(x, 1, err);
        bench_took(&token, (bqb_now_s() - t0) / TOKENS);
    }
    if (s) return s;
    char what[64];
    double rate = (double)f->bytes / plain.best_s, used = (b.weights + b.past * (double)after) / token.best_s;
    if (reading_too) bench_row(x->b, "plain reading of the weights", x->format, rate * 1e-9, "GB/s", 0, 0);
    snprintf(what, sizeof what, "tokens one by one after %zu", after);
    bench_row_share(x->b, what, x->format, 1 / token.best_s, "tokens/s", 100 * used / rate);
    return BQB_OK;
}

static void memory_rows(subject *x, double before) {
    bqb_decoder_bytes bytes;
    bqb_decoder_memory(&bytes, x->m, PAST + LONG);
    bench_row(x->b, "peak memory", x->format, 1e-9 * bench_status_bytes("VmHWM"), "GB", 0, 0);
    bench_row(x->b, "of it not mapped", x->format, 1e-9 * (bench_status_bytes("RssAnon") - before), "GB", 0, 0);
    bench_row(x->b, "of it not mapped: estimated", x->format, (bytes.total - bytes.weights) * 1e-9, "GB", 0, 0);
}

static bqb_status bench_model(bench *b, const char *path, const char *format, int num, bqb_err *err) {
    subject x = {.b = b, .format = format, .num = num};
    files f = {0};
    bqb_status s = open_files(&f, path, err);
    if (!s) read_all_s(&f, b->threads); /* from now on all of it is in memory, where there is room */
    double bytes = (double)f.bytes * 1e-9;
    close_files(&f); /* mapped twice it would count twice */
    bench_forget_peak();
    double before = bench_status_bytes("RssAnon"), t0 = bqb_now_s();
    if (!s) s = open_subject(&x, path, err);
    if (!s) s = take_in(&x, FIRST, err);
    if (!s) {
        bench_row(b, "file", format, bytes, "GB", 0, 0);
        bench_row(b, "opened and a first token after 8", format, 1e3 * (bqb_now_s() - t0), "ms", 0, 0);
        s = bench_prefill(&x, SHORT, err);
    }
    if (!s && !cli_interrupted()) s = bench_prefill(&x, LONG, err);
    if (!s && !cli_interrupted()) s = bench_prefill(&x, PAST, err);
    if (!s && !cli_interrupted()) memory_rows(&x, before);
    if (!s) s = open_files(&f, path, err);
    if (!s && !cli_interrupted()) s = bench_decode(&x, &f, SHORT, true, err);
    if (!s && !cli_interrupted()) s = bench_decode(&x, &f, PAST, false, err);
    close_files(&f);
    close_subject(&x);
    return s;
}

/* ---- random ones ---- */

static void remove_model(const char *dir, const char *path) {
    static const char *const names[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        char *file = bqb_path_join(path, names[i]);
        if (file) unlink(file);
        free(file);
    }
    rmdir(path);
    unlink(path);
    rmdir(dir);
}

static bqb_status bench_random(bench *b, const bqb_decoder_config *c, bqb_row_kind kind, int num, bqb_err *err) {
    char dir[512], path[540];
    bqb_status s = bench_folder(dir, err);
    if (s) return s;
    snprintf(path, sizeof path, "%s/%s", dir, bqb_row_kind_name(kind));
    fprintf(stderr, "writing a model of random weights, %s\n", bqb_row_kind_name(kind));
    s = bqb_decoder_write_random(path, c, kind, err);
    if (!s && !cli_interrupted()) s = bench_model(b, path, bqb_row_kind_name(kind), num, err);
    remove_model(dir, path);
    return s;
}

bqb_status bench_llm(bench *b, const char *path, const char *config, bqb_err *err) {
    static const bqb_row_kind kinds[] = {BQB_ROW_BF16, BQB_ROW_Q8_0, BQB_ROW_Q4_K};
    int num = bqb_gemm_has_bf16() ? 1 : 0;
    bqb_decoder_config c = QWEN_HALF_B;
    bqb_status s = config ? bqb_decoder_config_read(&c, config, err) : BQB_OK;
    if (!s) s = bench_ceiling(b, (bqb_num)num, err);
    if (!s && path) return bench_model(b, path, bqb_path_base(path), num, err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !s && !cli_interrupted(); i++) s = bench_random(b, &c, kinds[i], num, err);
    return s;
}
