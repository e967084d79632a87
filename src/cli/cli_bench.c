/* bqb bench: how fast the engine is here, as shares of what the processor can
 * multiply. CSV on stdout, so that runs can be compared. */
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "file/safetensors.h"
#include "math/matmul.h"
#include "model/clip.h"
#include "search/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_RUNS = 3, MAX_RUNS = 50 };

bool bench_more(const bench_timing *t, double seconds) {
    int least = t->least ? t->least : MIN_RUNS;
    return !cli_interrupted() && (t->runs < least || (t->spent_s < seconds && t->runs < MAX_RUNS));
}

void bench_took(bench_timing *t, double s) {
    if (!t->runs || s < t->best_s) t->best_s = s;
    t->spent_s += s;
    t->runs++;
}

double bench_status_bytes(const char *key) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    double kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), ": %lf", &kb) == 1) break;
    if (f) fclose(f);
    return kb * 1024;
}

void bench_forget_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

bqb_status bench_folder(char dir[512], bqb_err *err) {
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, 512, "%s/bqb-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(dir) ? BQB_OK : bqb_fail_errno(err, "%s", dir);
}

static void machine_name(char *out, size_t size) {
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10)) continue;
        snprintf(out, size, "%s", colon + 2);
        out[strcspn(out, "\n,")] = 0;
        break;
    }
    if (f) fclose(f);
}

void bench_row(const bench *b, const char *what, const char *precision, double value, const char *unit, double flops,
               int num) {
    printf("%s,%d,%s,%s,%.4g,%s,", b->machine, b->threads, what, precision, value, unit);
    if (flops > 0 && b->ceiling[num] > 0) printf("%.1f,%.1f\n", flops * 1e-9, 100.0 * flops / b->ceiling[num]);
    else printf(",\n");
    fflush(stdout);
}

void bench_row_share(const bench *b, const char *what, const char *precision, double value, const char *unit, double percent) {
    printf("%s,%d,%s,%s,%.4g,%s,,%.1f\n", b->machine, b->threads, what, precision, value, unit, percent);
    fflush(stdout);
}

/* The ceiling: every thread on its own product of the MLP's shape. */
typedef struct {
    bqb_gemm *gemm[64];
    void *a, *w;
    float *c;
    bqb_num num;
} peak;

enum { PEAK_M = 1576, PEAK_N = 3072, PEAK_K = 768 };

static void peak_one(void *ctx, size_t i, int worker) {
    (void)worker;
    const peak *p = ctx;
    bqb_gemm_enter(p->gemm[i]);
    for (int k = 0; k < 4; k++)
        bqb_gemm_linear(p->gemm[i], p->c + i * PEAK_M * PEAK_N, BQB_NUM_F32, p->a, p->w, p->num, NULL, BQB_ACT_NONE,
                        false, PEAK_M, PEAK_N, PEAK_K);
}

bqb_status bench_ceiling(bench *b, bqb_num num, bqb_err *err) {
    peak p = {.num = num};
    size_t n = (size_t)(b->threads < 64 ? b->threads : 64);
    bqb_status s = BQB_OK;
    p.a = bqb_calloc(PEAK_M * PEAK_K, 4);
    p.w = bqb_calloc(PEAK_N * PEAK_K, 4);
    p.c = bqb_calloc(n * PEAK_M * PEAK_N, sizeof *p.c);
    if (!p.a || !p.w || !p.c) s = bqb_fail_nomem(err, "bench", n * PEAK_M * PEAK_N * 4);
    for (size_t i = 0; i < n && !s; i++) s = bqb_gemm_new(&p.gemm[i], 1, err);
    bench_timing t = {0};
    if (!s) bqb_parallel_for(n, b->threads, peak_one, &p);
    while (!s && bench_more(&t, b->seconds)) {
        double t0 = bqb_now_s();
        bqb_parallel_for(n, b->threads, peak_one, &p);
        bench_took(&t, bqb_now_s() - t0);
    }
    for (size_t i = 0; i < n && !s; i++) s = bqb_gemm_status(p.gemm[i], err);
    if (!s) {
        b->ceiling[num] = 4.0 * (double)n * 2.0 * PEAK_M * PEAK_N * PEAK_K / t.best_s;
        bench_row(b, "matmul ceiling", num ? "bf16" : "f32", b->ceiling[num] * 1e-9, "GFLOP/s", 0, (int)num);
    }
    for (size_t i = 0; i < n; i++) bqb_gemm_free(p.gemm[i]);
    free(p.a);
    free(p.w);
    free(p.c);
    return s;
}

static const bqb_clip_config VIT_B16 = {
    .resolution = 224, .patch = 16, .v_width = 768, .v_layers = 12, .v_heads = 12, .v_mlp = 3072, .v_eps = 1e-5f,
    .v_act = BQB_ACT_QUICK_GELU, .vocab = 21128, .t_width = 768, .t_layers = 12, .t_heads = 12, .t_mlp = 3072,
    .t_positions = 512, .t_types = 2, .t_eps = 1e-12f, .t_act = BQB_ACT_GELU, .context = 64, .embed = 512};

enum { IMAGES = 32, TEXTS = 128, TEXT_TOKENS = 24, QUERY_TOKENS = 12, PAIRS = 16 };

static bqb_status bench_encode(bench *b, bqb_clip *m, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    size_t R = c->resolution, size = 3 * R * R;
    int num = (int)bqb_clip_precision(m);
    const char *name = bqb_precision_name(bqb_clip_precision(m));
    uint8_t *rgb = bqb_calloc(IMAGES * 3, size);
    int32_t *ids = bqb_calloc(TEXTS * TEXT_TOKENS, sizeof *ids);
    float *out = bqb_calloc(TEXTS * c->embed, sizeof *out);
    bqb_status s = rgb && ids && out ? BQB_OK : bqb_fail_nomem(err, "bench", IMAGES * 3 * size);
    if (!s) {
        bqb_rand r = bqb_rand_seed(1, 0);
        bench_fill(&r, rgb, IMAGES * 3 * size, ids, TEXTS * TEXT_TOKENS, c->vocab);
        for (size_t i = 0; i < IMAGES; i++)
            for (size_t k = 1; k < 3; k++) memcpy(rgb + (3 * i + k) * size, rgb + 3 * i * size, size);
    }
    bench_timing image = {0}, text = {0}, query = {0};
    while (!s && bench_more(&image, b->seconds)) {
        double t0 = bqb_now_s();
        s = bqb_clip_encode_images(m, out, rgb, IMAGES, err);
        bench_took(&image, bqb_now_s() - t0);
    }
    while (!s && bench_more(&text, b->seconds)) {
        double t0 = bqb_now_s();
        s = bqb_clip_encode_tokens(m, out, ids, TEXTS, TEXT_TOKENS, err);
        bench_took(&text, bqb_now_s() - t0);
    }
    while (!s && bench_more(&query, b->seconds)) {
        double t0 = bqb_now_s();
        s = bqb_clip_encode_tokens(m, out, ids, 1, QUERY_TOKENS, err);
        bench_took(&query, bqb_now_s() - t0);
    }
    if (!s) {
        bench_row(b, "stills", name, IMAGES / image.best_s, "/s", IMAGES * bench_image_flops(c) / image.best_s, num);
        bench_row(b, "texts of 24 tokens", name, TEXTS / text.best_s, "/s", TEXTS * bench_text_flops(c, TEXT_TOKENS) / text.best_s,
            num);
        bench_row(b, "one query of 12 tokens", name, 1e3 * query.best_s, "ms", bench_text_flops(c, QUERY_TOKENS) / query.best_s,
            num);
    }
    free(rgb);
    free(ids);
    free(out);
    return s;
}

enum { SCAN_DIM = 512, SCAN_BEST = 24 };

/* Random unit rows: every row is as far from the query as any, which is the worst case for pruning. */
static bqb_status bench_scan(bench *b, size_t rows, bqb_err *err) {
    int64_t *id = bqb_calloc(rows, sizeof *id);
    uint16_t *f16 = bqb_calloc(rows * SCAN_DIM, sizeof *f16);
    float query[SCAN_DIM];
    bqb_vectors *v = NULL;
    bqb_status s = id && f16 ? BQB_OK : bqb_fail_nomem(err, "bench", rows * SCAN_DIM * 2);
    bqb_rand r = bqb_rand_seed(3, 0);
    const float small = 1.7320508f / 22.627417f; /* uniform in ±sqrt(3/512): length 1 on average */
    for (size_t i = 0; !s && i < rows * SCAN_DIM; i++)
        f16[i] = bqb_f32_to_f16(small * (float)(int32_t)bqb_rand_u64(&r) * 0x1p-31f);
    for (size_t i = 0; !s && i < rows; i++) id[i] = (int64_t)i + 1;
    for (size_t i = 0; i < SCAN_DIM; i++) query[i] = small * (float)bqb_rand_between(&r, -1, 1);
    if (!s) s = bqb_vectors_new(&v, id, f16, rows, SCAN_DIM, err);
    free(id);
    free(f16);
    bqb_hit hit[SCAN_BEST];
    size_t n;
    bench_timing plain = {0}, fast = {0};
    while (!s && bench_more(&plain, b->seconds / 4)) {
        double t0 = bqb_now_s();
        bqb_scan_plain(hit, SCAN_BEST, NULL, v, query, NULL);
        bench_took(&plain, bqb_now_s() - t0);
    }
    while (!s && bench_more(&fast, b->seconds)) {
        double t0 = bqb_now_s();
        s = bqb_scan(hit, SCAN_BEST, &n, NULL, v, query, NULL, b->threads, err);
        bench_took(&fast, bqb_now_s() - t0);
    }
    if (!s) {
        char what[64];
        snprintf(what, sizeof what, "exact scan of %zu x %d plain", rows, SCAN_DIM);
        bench_row(b, what, "f16", 1e3 * plain.best_s, "ms", 0, 0);
        snprintf(what, sizeof what, "exact scan of %zu x %d", rows, SCAN_DIM);
        bench_row(b, what, "int8+f16", 1e3 * fast.best_s, "ms", 0, 0);
    }
    bqb_vectors_close(v);
    return s;
}

int cli_bench(const cli_env *env, int argc, char **argv) {
    (void)env;
    const char *config = NULL, *ocr = NULL, *tune = NULL;
    size_t stickers = 0, threads = 0, pairs = SIZE_MAX, scan = 820000, memory = 0, words = 0;
    double seconds = 2;
    bool recipe = false, llm = false;
    const cli_option options[] = {
        {"config", 0, CLI_STRING, &config, "FILE", "config.json of the shapes to run (default: ViT-B/16 + BERT-base; of --llm Qwen2.5-0.5B)"},
        {"batch", 0, CLI_SIZE, &pairs, "N", "pairs in a training step (default 16; 64 of --recipe)"},
        {"recipe", 0, CLI_FLAG, &recipe, NULL, "instead: training with three frames, masked, frozen; minutes"},
        {"memory", 0, CLI_SIZE, &memory, "N", "instead: memory of a gradient-cached step of N pairs"},
        {"words", 0, CLI_SIZE, &words, "N", "instead: the match of words among N made-up stickers"},
        {"scan", 0, CLI_SIZE, &scan, "N", "stickers to scan; 0: none (default 820000)"},
        {"ocr", 0, CLI_STRING, &ocr, "TABLE", "instead: how well words are read; TABLE has file and ocr (or caption), the truth"},
        {"llm", 0, CLI_FLAG, &llm, NULL, "instead: language models; of MODEL, or of random weights (up to 1.1 GB below $TMPDIR)"},
        {"stickers", 0, CLI_SIZE, &stickers, "N", "of --ocr, evenly spread; 0: all (default)"},
        {"tune", 0, CLI_STRING, &tune, "LLM", "instead: special-token tuning of this language model"},
        {"threads", 0, CLI_SIZE, &threads, "N", "processors to use (default: all)"},
        {"seconds", 0, CLI_FLOAT, &seconds, "S", "how long each figure may take (default 2)"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, "usage: bqb bench [OPTION…]\n       bqb bench --llm [MODEL] [OPTION…]\n\nMeasure the engine with random weights; CSV.", argc,
                                    argv, &n_words);
    if (status >= 0) return status;
    if (n_words > llm) return cli_usage_error("bench", "unexpected argument \"%s\"", argv[n_words]);
    if (threads > 256) return cli_usage_error("bench", "--threads is at most 256");
    if (scan > 100000000) return cli_usage_error("bench", "--scan is at most 100000000");
    if (pairs == SIZE_MAX) pairs = recipe ? 64 : PAIRS;
    if (!pairs || pairs > 4096) return cli_usage_error("bench", "--batch is 1 … 4096");
    if (memory > 65536) return cli_usage_error("bench", "--memory is at most 65536");
    if (words > 100000000) return cli_usage_error("bench", "--words is at most 100000000");
    bench b = {.threads = threads ? (int)threads : bqb_cpu_count(), .seconds = seconds};
    machine_name(b.machine, sizeof b.machine);
    bqb_clip_config c = VIT_B16;
    bqb_err err;
    if (config && !llm && bqb_clip_config_read(&c, config, &err)) return cli_fail(&err);
    cli_catch_interrupts();
    if (ocr) return bench_ocr(ocr, stickers, b.threads, &err) ? cli_fail(&err) : cli_interrupted();
    printf("machine,threads,what,precision,value,unit,gflops_per_s,percent_of_ceiling\n");
    if (tune) return bench_tune(&b, tune, bqb_precision_best(), &err) ? cli_fail(&err) : cli_interrupted() ? 1 : 0;
    if (llm) return bench_llm(&b, n_words ? argv[1] : NULL, config, &err) ? cli_fail(&err) : cli_interrupted() ? 1 : 0;
    if (words) return bench_words(&b, words, &err) ? cli_fail(&err) : cli_interrupted() ? 1 : 0;
    int last = bqb_gemm_has_bf16() ? 1 : 0;
    for (int num = memory && !recipe ? last : 0; num <= last && !cli_interrupted(); num++) {
        bqb_clip *m = NULL;
        bqb_status s = bench_ceiling(&b, (bqb_num)num, &err);
        if (!s) s = bqb_clip_new(&m, &c, NULL, 1, (bqb_precision)num, b.threads, &err);
        if (!s && recipe) s = bench_recipe(&b, m, pairs, &err);
        if (!s && memory && num == last) s = bench_memory(&b, m, memory, &err);
        if (!s && !recipe && !memory) s = bench_encode(&b, m, &err);
        if (!s && !recipe && !memory) s = bench_train(&b, m, pairs, &err);
        bqb_clip_free(m);
        if (s) return cli_fail(&err);
    }
    if (!recipe && !memory && scan && !cli_interrupted() && bench_scan(&b, scan, &err)) return cli_fail(&err);
    return cli_interrupted() ? 1 : 0;
}
