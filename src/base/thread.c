#define _GNU_SOURCE
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MAX_THREADS = 256 };

int bqb_cpu_count(void) {
    const char *env = getenv("BQB_THREADS");
    int n = env ? atoi(env) : 0;
    if (n <= 0) {
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    }
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

typedef struct {
    bqb_parallel_fn fn;
    void *ctx;
    size_t n;
    atomic_size_t next;
} job;

typedef struct {
    job *job;
    int worker;
} seat;

static void *work(void *arg) {
    seat *s = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&s->job->next, 1);
        if (i >= s->job->n) return NULL;
        s->job->fn(s->job->ctx, i, s->worker);
    }
}

void bqb_parallel_for(size_t n, int threads, bqb_parallel_fn fn, void *ctx) {
    job j = {.fn = fn, .ctx = ctx, .n = n};
    atomic_init(&j.next, 0);
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if ((size_t)(threads > 0 ? threads : 1) > n) threads = (int)n;
    pthread_t id[MAX_THREADS];
    seat seats[MAX_THREADS];
    int started = 1;
    seats[0] = (seat){&j, 0};
    for (; started < threads; started++) {
        seats[started] = (seat){&j, started};
        if (pthread_create(&id[started], NULL, work, &seats[started])) break;
    }
    work(&seats[0]);
    for (int t = 1; t < started; t++) pthread_join(id[t], NULL);
}
