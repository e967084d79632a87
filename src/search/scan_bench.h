/* How fast the scan is on this machine, with random vectors. */
#ifndef BQB_SEARCH_SCAN_BENCH_H
#define BQB_SEARCH_SCAN_BENCH_H

#include "base/err.h"

typedef struct {
    double plain_s;  /* one query by bqb_scan_plain: the best of the runs */
    double fast_s;   /* by bqb_scan */
    double bytes;    /* that bqb_scan reads at least: one byte a number */
    int same;        /* the two gave the same ten hits */
} bqb_scan_figures;

/* n random unit rows of dim numbers (3 n dim bytes of memory, twice while they
 * are made), `runs` queries each. threads 0: all processors. */
bqb_status bqb_scan_bench(bqb_scan_figures *out, size_t n, size_t dim, int runs, int threads, bqb_err *err);

#endif
