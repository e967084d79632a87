/* What is known of the stored formats, and choosing among the builds of rows_simd.c. */
#include "math/rows.h"

#include "math/ops.h"

#include <string.h>

static const struct {
    const char *name;
    size_t block, bytes;
} kinds[BQB_ROW_KINDS] = {
    [BQB_ROW_F32] = {"F32", 1, 4},      [BQB_ROW_F16] = {"F16", 1, 2},       [BQB_ROW_BF16] = {"BF16", 1, 2},
    [BQB_ROW_Q8_0] = {"Q8_0", 32, 34},  [BQB_ROW_Q4_K] = {"Q4_K", 256, 144}, [BQB_ROW_Q6_K] = {"Q6_K", 256, 210},
    [BQB_ROW_Q4_0] = {"Q4_0", 32, 18},  [BQB_ROW_Q5_0] = {"Q5_0", 32, 22},   [BQB_ROW_Q5_K] = {"Q5_K", 256, 176},
};

const char *bqb_row_kind_name(bqb_row_kind k) { return (unsigned)k < BQB_ROW_KINDS ? kinds[k].name : "unknown"; }
size_t bqb_row_block(bqb_row_kind k) { return kinds[k].block; }
size_t bqb_row_block_bytes(bqb_row_kind k) { return kinds[k].bytes; }
size_t bqb_row_bytes(bqb_row_kind k, size_t n) { return n / kinds[k].block * kinds[k].bytes; }
size_t bqb_row_prepared(size_t n) { return n + n / 16; } /* Q6_K wants a sum of every sixteen */

extern const bqb_rows_ops bqb_rows_generic;
#if defined(__x86_64__)
extern const bqb_rows_ops bqb_rows_avx2, bqb_rows_avx512;
static const bqb_rows_ops *const builds[] = {&bqb_rows_generic, &bqb_rows_avx2, &bqb_rows_avx512};
#else
static const bqb_rows_ops *const builds[] = {&bqb_rows_generic};
#endif

static const bqb_rows_ops *build_named(const char *name) {
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++)
        if (!strcmp(builds[i]->name, name)) return builds[i];
    return builds[0];
}

const bqb_rows_ops *bqb_rows_plain(void) { return builds[0]; }

/* Whatever set of instructions the other kernels run with. */
const bqb_rows_ops *bqb_rows_best(void) { return build_named(bqb_ops_best()->name); }

size_t bqb_rows_all(const bqb_rows_ops *out[4]) {
    const bqb_ops *all[4];
    size_t n = bqb_ops_all(all);
    for (size_t i = 0; i < n; i++) out[i] = build_named(all[i]->name);
    return n;
}
