/* Training in `bqb bench`: how fast a step is, and how much memory it takes. */
#include "base/mem.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "train/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 40, TOP = 2 };

/* Of one sequence of T rows through the uppermost `layers` blocks: only the first
 * row of the last block is computed past its keys and values. */
static double tower_flops(double C, double M, double layers, double T) {
    double block = 2 * T * C * (4 * C + 2 * M) + 4 * T * T * C, last = 2 * T * C * 3 * C + 2 * C * (C + 2 * M) + 4 * T * C;
    return (layers - 1) * block + last;
}

static double masked_flops(const bqb_clip_config *c, double K) {
    return tower_flops((double)c->v_width, (double)c->v_mlp, (double)c->v_layers, K + 1) +
           2 * K * 3 * (double)(c->patch * c->patch) * (double)c->v_width;
}

static size_t patches(const bqb_clip_config *c) { return c->resolution / c->patch * (c->resolution / c->patch); }

double bench_image_flops(const bqb_clip_config *c) { return masked_flops(c, (double)patches(c)); }

double bench_text_flops(const bqb_clip_config *c, double T) {
    return tower_flops((double)c->t_width, (double)c->t_mlp, (double)c->t_layers, T);
}

void bench_fill(bqb_rand *r, uint8_t *rgb, size_t n_rgb, int32_t *ids, size_t n_ids, size_t vocab) {
    for (size_t i = 0; i < n_rgb; i++) rgb[i] = (uint8_t)bqb_rand_u64(r);
    for (size_t i = 0; i < n_ids; i++) ids[i] = (int32_t)(1 + bqb_rand_below(r, vocab - 1));
}

/* What a step works on. */
typedef struct {
    bqb_clip_batch b;
    float *grad, *mom, *var;
    uint8_t *rgb, *frames;
    int32_t *ids;
    uint16_t *keep;
    char *image, *text; /* trunks */
    const void **image_at, **text_at;
    size_t P;
} work;

static void work_free(work *w) {
    void *all[] = {w->grad, w->mom, w->var, w->rgb, w->frames, w->ids, w->keep, w->image, w->text, w->image_at, w->text_at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static bqb_status work_new(work *w, const bqb_clip *m, size_t pairs, size_t frames, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    size_t size = 3 * c->resolution * c->resolution, n = bqb_clip_float_count(m);
    memset(w, 0, sizeof *w);
    w->P = pairs * frames;
    w->grad = bqb_calloc(n, sizeof *w->grad);
    w->mom = bqb_calloc(n, sizeof *w->mom);
    w->var = bqb_calloc(n, sizeof *w->var);
    w->rgb = bqb_calloc(w->P, size);
    w->frames = bqb_calloc(pairs, 1);
    w->ids = bqb_calloc(pairs * TOKENS, sizeof *w->ids);
    if (!w->grad || !w->mom || !w->var || !w->rgb || !w->frames || !w->ids) {
        work_free(w);
        return bqb_fail_nomem(err, "bench", n * 12 + w->P * size);
    }
    bqb_rand r = bqb_rand_seed(2, 0);
    bench_fill(&r, w->rgb, w->P * size, w->ids, pairs * TOKENS, c->vocab);
    memset(w->frames, (int)frames, pairs);
    w->b = (bqb_clip_batch){.rgb = w->rgb, .frames = w->frames, .ids = w->ids, .N = pairs, .L = TOKENS};
    return BQB_OK;
}

static bqb_status take_step(bqb_clip *m, work *w, uint64_t step, bqb_err *err) {
    bqb_adamw_config adamw = {.lr = 1e-6f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 1e-3f};
    float loss;
    memset(w->grad, 0, bqb_clip_float_count(m) * sizeof *w->grad);
    bqb_status s = bqb_clip_grad(m, w->grad, &loss, &w->b, err);
    if (!s) bqb_clip_adamw(m, w->grad, w->mom, w->var, &adamw, step);
    return s;
}

static bqb_status time_steps(const bench *b, bqb_clip *m, work *w, const char *what, int least, double flops, bqb_err *err) {
    int num = (int)bqb_clip_precision(m);
    bench_timing t = {.least = least};
    bqb_status s = BQB_OK;
    while (!s && bench_more(&t, b->seconds)) {
        double t0 = bqb_now_s();
        s = take_step(m, w, (uint64_t)t.runs + 1, err);
        bench_took(&t, bqb_now_s() - t0);
    }
    if (!s && t.runs)
        bench_row(b, what, bqb_precision_name(bqb_clip_precision(m)), (double)w->b.N / t.best_s, "/s", flops / t.best_s, num);
    return s;
}

bqb_status bench_train(bench *b, bqb_clip *m, size_t pairs, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    work w;
    bqb_status s = work_new(&w, m, pairs, 1, err);
    if (s) return s;
    double flops = 3 * (double)pairs * (bench_image_flops(c) + bench_text_flops(c, TOKENS));
    s = time_steps(b, m, &w, "training pairs (one frame; 40 tokens)", 0, flops, err);
    work_free(&w);
    return s;
}

static bqb_status masked(bench *b, bqb_clip *m, work *w, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    size_t K = (patches(c) + 1) / 2;
    w->keep = bqb_calloc(w->P * K, sizeof *w->keep);
    if (!w->keep) return bqb_fail_nomem(err, "bench", w->P * K * sizeof *w->keep);
    for (size_t i = 0; i < w->P * K; i++) w->keep[i] = (uint16_t)(i % K * 2);
    w->b.keep = w->keep;
    w->b.n_keep = K;
    double flops = 3 * ((double)w->P * masked_flops(c, (double)K) + (double)w->b.N * bench_text_flops(c, TOKENS));
    bqb_status s = time_steps(b, m, w, "training pairs (three frames; 40 tokens; half of the patches)", 2, flops, err);
    w->b.keep = NULL;
    return s;
}

/* Only the uppermost blocks learn, first from the pixels, then from stored trunks. */
static bqb_status top_only(bench *b, bqb_clip *m, work *w, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    bqb_clip_frozen f = {.v_blocks = c->v_layers > TOP ? c->v_layers - TOP : 0, .t_blocks = c->t_layers > TOP ? c->t_layers - TOP : 0};
    if (!f.v_blocks || !f.t_blocks) return BQB_OK;
    bqb_status s = bqb_clip_freeze(m, &f, err);
    bqb_clip_trunk_shape v = bqb_clip_image_trunk_shape(m), x = bqb_clip_text_trunk_shape(m, TOKENS);
    size_t one = v.rows * v.width * 2, each = x.rows * x.width * 2;
    w->image = bqb_alloc_aligned(w->P, one);
    w->text = bqb_alloc_aligned(w->b.N, each);
    w->image_at = bqb_calloc(w->P, sizeof *w->image_at);
    w->text_at = bqb_calloc(w->b.N, sizeof *w->text_at);
    if (!s && (!w->image || !w->text || !w->image_at || !w->text_at)) s = bqb_fail_nomem(err, "bench", w->P * one + w->b.N * each);
    double T = (double)patches(c) + 1, N = (double)w->b.N, P = (double)w->P;
    double top = P * tower_flops((double)c->v_width, (double)c->v_mlp, TOP, T) +
                 N * tower_flops((double)c->t_width, (double)c->t_mlp, TOP, TOKENS);
    double all = P * bench_image_flops(c) + N * bench_text_flops(c, TOKENS);
    if (!s) s = time_steps(b, m, w, "training pairs (three frames; 40 tokens; top 2 blocks)", 2, all + 2 * top, err);
    if (!s && !cli_interrupted()) s = bqb_clip_trunk_images(m, w->image, BQB_NUM_BF16, w->rgb, w->P, err);
    if (!s && !cli_interrupted()) s = bqb_clip_trunk_tokens(m, w->text, BQB_NUM_BF16, w->ids, w->b.N, TOKENS, err);
    for (size_t i = 0; !s && i < w->P; i++) w->image_at[i] = w->image + i * one;
    for (size_t i = 0; !s && i < w->b.N; i++) w->text_at[i] = w->text + i * each;
    w->b.rgb = NULL;
    w->b.image_trunk = w->image_at;
    w->b.text_trunk = w->text_at;
    w->b.trunk = BQB_NUM_BF16;
    if (!s && !cli_interrupted())
        s = time_steps(b, m, w, "training pairs (three frames; 40 tokens; top 2 blocks from stored trunks)", 0, 3 * top, err);
    if (!s) s = bqb_clip_freeze(m, &(bqb_clip_frozen){0}, err);
    return s;
}

bqb_status bench_recipe(bench *b, bqb_clip *m, size_t pairs, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    work w;
    bqb_status s = work_new(&w, m, pairs, 3, err);
    if (s) return s;
    /* With caching, if the whole batch's activations do not fit: slower, but a figure. */
    bqb_clip_plan plan = {.N = pairs, .frames = 3, .L = TOKENS, .precision = bqb_clip_precision(m), .threads = b->threads};
    bqb_clip_bytes need;
    s = bqb_clip_train_bytes(&need, c, &plan, err);
    bool caching = (double)need.total > 0.75 * bqb_memory_there();
    char what[96];
    snprintf(what, sizeof what, "training pairs (three frames; 40 tokens%s)", caching ? "; gradient caching" : "");
    double flops = 3 * ((double)w.P * bench_image_flops(c) + (double)pairs * bench_text_flops(c, TOKENS));
    bqb_clip_save_memory(m, caching ? SIZE_MAX : 0, false);
    if (!s) s = time_steps(b, m, &w, what, 2, flops, err);
    bqb_clip_save_memory(m, 0, false);
    if (!s && !cli_interrupted()) s = masked(b, m, &w, err);
    if (!s && !cli_interrupted()) s = top_only(b, m, &w, err);
    work_free(&w);
    return s;
}

bqb_status bench_memory(bench *b, bqb_clip *m, size_t pairs, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    const char *name = bqb_precision_name(bqb_clip_precision(m));
    work w;
    bqb_status s = work_new(&w, m, pairs, 1, err);
    if (s) return s;
    bqb_clip_plan plan = {.N = pairs, .frames = 1, .L = TOKENS, .precision = bqb_clip_precision(m), .threads = b->threads};
    char what[96];
    for (int caching = 0; caching < 2 && !s; caching++) {
        bqb_clip_bytes need;
        plan.chunk = caching ? SIZE_MAX : 0;
        s = bqb_clip_train_bytes(&need, c, &plan, err);
        snprintf(what, sizeof what, "step of %zu pairs (one frame; 40 tokens; %s): estimated memory", pairs,
                 caching ? "gradient caching" : "plain");
        if (!s) bench_row(b, what, name, (double)(need.total + w.P * 3 * c->resolution * c->resolution) / 1073741824.0, "GiB", 0, 0);
    }
    bqb_clip_save_memory(m, SIZE_MAX, false);
    bench_forget_peak();
    double t0 = bqb_now_s();
    if (!s) s = take_step(m, &w, 1, err);
    if (!s) {
        snprintf(what, sizeof what, "step of %zu pairs (one frame; 40 tokens; gradient caching): peak memory", pairs);
        bench_row(b, what, name, bench_status_bytes("VmHWM") / 1073741824.0, "GiB", 0, 0);
        double flops = 4 * (double)pairs * (bench_image_flops(c) + bench_text_flops(c, TOKENS)), took = bqb_now_s() - t0;
        snprintf(what, sizeof what, "training pairs (one frame; 40 tokens; gradient caching of %zu)", pairs);
        bench_row(b, what, name, (double)pairs / took, "/s", flops / took, (int)bqb_clip_precision(m));
    }
    bqb_clip_save_memory(m, 0, false);
    work_free(&w);
    return s;
}
