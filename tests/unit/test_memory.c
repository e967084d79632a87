#include "test.h"

#include "train/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ViT-B/16 and BERT-base. */
static const bqb_clip_config LARGE = {.resolution = 224, .patch = 16, .v_width = 768, .v_layers = 12, .v_heads = 12, .v_mlp = 3072,
                                      .v_eps = 1e-5f, .v_act = BQB_ACT_QUICK_GELU, .vocab = 21128, .t_width = 768,
                                      .t_layers = 12, .t_heads = 12, .t_mlp = 3072, .t_positions = 512, .t_types = 2,
                                      .t_eps = 1e-12f, .t_act = BQB_ACT_GELU, .context = 64, .embed = 512};
static const bqb_memory_plan PLAN = {.plan = {.N = 512, .frames = 3, .L = 64, .precision = BQB_PREC_F32, .threads = 2}, .frames = 3};

static double total(bqb_memory_plan p) {
    bqb_memory_bytes b = {0};
    bqb_err err = {0};
    CHECK_OK(bqb_memory_needed(&b, &LARGE, &p, &err), err);
    CHECK(b.total == b.model + b.activations + b.batches && b.model > 0 && b.activations > 0 && b.batches > 0);
    return b.total;
}

TEST(memory_grows_with_what_is_asked) {
    bqb_memory_plan p = PLAN;
    double plain = total(p);
    CHECK(plain > 1e11 && plain < 1e12); /* hundreds of gigabytes: not on a desk */
    p.frames = 1;
    double stills = total(p);
    CHECK(stills < plain / 2 && stills > plain / 4);
    p = PLAN;
    p.average = true;
    CHECK(total(p) > plain && total(p) < plain + 1e9);
    p = PLAN;
    p.plan.chunk = 8;
    double cached = total(p);
    CHECK(cached < plain / 10);
    p.plan.N = 4096; /* with chunks only features and pixels grow */
    CHECK_MSG(total(p) < cached + 6e9, "%g %g", total(p), cached);
    p = PLAN;
    p.plan.checkpoint = true;
    CHECK(total(p) < plain / 3);
    p = PLAN;
    p.plan.frozen.v_blocks = 10;
    CHECK(total(p) < plain / 2);
    p.plan.frozen.v_blocks = 13;
    bqb_err err = {0};
    bqb_memory_bytes b;
    CHECK(bqb_memory_needed(&b, &LARGE, &p, &err) == BQB_EINVAL);
}

TEST(memory_advice_fits) {
    char text[160];
    bqb_memory_advice(text, sizeof text, &LARGE, &PLAN, 2e10);
    size_t batch = 0, chunk = 0;
    const char *b = strstr(text, "--batch "), *c = strstr(text, "--chunk ");
    CHECK_MSG(b && c && sscanf(b, "--batch %zu", &batch) == 1 && sscanf(c, "--chunk %zu", &chunk) == 1, "%s", text);
    bqb_memory_plan p = PLAN;
    p.plan.N = batch;
    CHECK(total(p) <= 2e10);
    p.plan.N = 2 * batch; /* planted: the next one does not */
    CHECK(total(p) > 2e10);
    p = PLAN;
    p.plan.chunk = chunk;
    CHECK(total(p) <= 2e10);
    bqb_memory_advice(text, sizeof text, &LARGE, &PLAN, 1e9); /* the weights alone need more */
    CHECK_STR(text, "");
    bqb_memory_advice(text, 5, &LARGE, &PLAN, 2e10);
    CHECK(strlen(text) < 5);
}

TEST(memory_there_is_the_least_limit) {
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE), there = bqb_memory_there();
    CHECK(there > 1e8 && there <= machine);
    struct rlimit was, is;
    if (getrlimit(RLIMIT_AS, &was)) return;
    is = was;
    is.rlim_cur = (rlim_t)(there / 2);
    if (setrlimit(RLIMIT_AS, &is)) return;
    CHECK(bqb_memory_there() == (double)is.rlim_cur);
    setrlimit(RLIMIT_AS, &was);
}

/* 100,000 pairs at D = 512: two times 2 KB each, and some 70 bytes a text. */
TEST(memory_of_measuring) {
    double bytes = bqb_measure_bytes(100000, 100000, 100000, 512);
    CHECK_MSG(bytes > 4.1e8 && bytes < 4.2e8, "%g", bytes);
    CHECK(bqb_measure_bytes(100000, 200000, 200000, 512) > 1.4 * bytes && bqb_measure_bytes(0, 0, 0, 512) == 0);
}
