/* Doing n independent things on several threads. */
#ifndef BQB_BASE_THREAD_H
#define BQB_BASE_THREAD_H

#include <stddef.h>

/* Processors this process may use, at least 1. $BQB_THREADS overrides it. */
int bqb_cpu_count(void);

/* Call fn(ctx, i, worker) once for every i in 0 … n-1, from at most `threads`
 * threads (the caller is worker 0), in rising order of i as workers come free.
 * Two calls with the same worker number never overlap, so that a worker may
 * own scratch memory. Returns when all are done. Where a thread cannot be
 * started, the others do its share.
 * Threads stay for the next call, asleep after some microseconds without one, with signals blocked; a call
 * while they are busy (from within, from another thread) starts its own. A child of fork() begins without any. */
typedef void (*bqb_parallel_fn)(void *ctx, size_t i, int worker);
void bqb_parallel_for(size_t n, int threads, bqb_parallel_fn fn, void *ctx);

#endif
