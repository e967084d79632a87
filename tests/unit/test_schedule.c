#include "test.h"

#include "train/schedule.h"

#include <math.h>

/* The reference's own run: base 1e-3, 2 steps of warm-up, 6 in all. */
static const double golden[] = {0.0005, 0.001, 0.001, 0.0008535533905932737};

static int steps_off(uint64_t warmup, uint64_t total) {
    int off = 0;
    for (uint64_t k = 0; k < 4; k++) off += fabs(bqb_schedule_lr(1e-3, k, warmup, total) - golden[k]) > 1e-15;
    return off;
}

TEST(schedule_follows_the_reference) {
    CHECK(steps_off(2, 6) == 0);
    CHECK(steps_off(1, 6) > 0); /* planted: another warm-up must not pass */
    CHECK(steps_off(2, 7) > 0); /* planted: nor another length */
}

TEST(schedule_edges) {
    CHECK(bqb_schedule_lr(1, 0, 0, 10) == 1);
    CHECK(fabs(bqb_schedule_lr(1, 5, 0, 10) - 0.5) < 1e-15);
    CHECK(bqb_schedule_lr(1, 9, 0, 10) > 0);
    CHECK(bqb_schedule_lr(1, 10, 0, 10) == 0);
    CHECK(bqb_schedule_lr(1, 3, 100, 4) == 0.04); /* shorter than its warm-up */
    CHECK(bqb_schedule_warmup(5) == 0 && bqb_schedule_warmup(45) == 4 && bqb_schedule_warmup(999) == 99);
    CHECK(bqb_schedule_warmup(1000) == 100 && bqb_schedule_warmup(UINT64_MAX) == 100);
}

TEST(vector_norm_past_every_width) {
    float v[103];
    for (size_t i = 0; i < 103; i++) v[i] = i % 2 ? 2.0f : -2.0f;
    for (size_t n = 0; n <= 103; n++) CHECK(fabs(bqb_vector_norm(v, n) - sqrt(4.0 * (double)n)) < 1e-12);
    v[57] = NAN;
    CHECK(isnan(bqb_vector_norm(v, 103)));
}
