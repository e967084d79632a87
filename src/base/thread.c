#define _GNU_SOURCE
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { MAX_THREADS = 256, SPINS = 1000 /* looks at what is next before sleeping: 10 to 20 µs */ };

static int processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

int bqb_cpu_count(void) {
    const char *env = getenv("BQB_THREADS");
    int n = env ? atoi(env) : 0;
    if (n <= 0) n = processors();
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

/* ---- what a call shares out ---- */

typedef struct {
    bqb_parallel_fn fn;
    void *ctx;
    size_t n;
    atomic_size_t next;
} job;

static void work(job *j, int worker) {
    for (;;) {
        size_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n) return;
        j->fn(j->ctx, i, worker);
    }
}

/* ---- threads that wait for the next call ----
 *
 * One call at a time has them; a second one (from another thread, or from inside) starts threads of its
 * own. A call is a round. Who comes late finds it closed: nobody waits for a thread that has not woken up
 * yet when the work is done already, as happens with small work or a busy machine. */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    bool taken, forks_known;
    int started, asleep; /* threads 1 … started exist */
    int processors;      /* beyond their number nobody looks without sleeping */
    job *job;
    _Atomic uint64_t round; /* number, CLOSED, how many may take part, how many do */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

#define INSIDE(round) ((round) & 0xffffu)
#define WANTED(round) ((round) >> 16 & 0x7fffu)
#define CLOSED ((uint64_t)1 << 31)
#define NUMBER(round) ((round) >> 32)

static inline void breathe(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static bool enter(uint64_t round, int worker) {
    uint64_t now = atomic_load(&pool.round);
    while (NUMBER(now) == NUMBER(round) && !(now & CLOSED) && (uint64_t)worker <= WANTED(now))
        if (atomic_compare_exchange_weak(&pool.round, &now, now + 1)) return true;
    return false;
}

static void leave(void) {
    uint64_t left = atomic_fetch_sub(&pool.round, 1) - 1;
    if (INSIDE(left) || !(left & CLOSED)) return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.lock);
}

/* The round after `seen`. */
static uint64_t next_round(uint64_t seen, int worker) {
    uint64_t now;
    for (int i = 0; i < SPINS && worker < pool.processors; i++) {
        now = atomic_load(&pool.round);
        if (NUMBER(now) != NUMBER(seen)) return now;
        breathe();
    }
    pthread_mutex_lock(&pool.lock);
    pool.asleep++;
    while (now = atomic_load(&pool.round), NUMBER(now) == NUMBER(seen)) pthread_cond_wait(&pool.wake, &pool.lock);
    pool.asleep--;
    pthread_mutex_unlock(&pool.lock);
    return now;
}

static void *attend(void *arg) {
    int worker = (int)(intptr_t)arg;
    uint64_t round = 0; /* no number of a round */
    for (;;) {
        round = next_round(round, worker);
        if (!enter(round, worker)) continue;
        work(pool.job, worker);
        leave();
    }
    return NULL;
}

/* A child has only the thread that forked. */
static void forget(void) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pool.lock = lock;
    pool.wake = pool.done = cond;
    pool.taken = false;
    pool.started = pool.asleep = 0;
    atomic_store(&pool.round, 0);
}

/* Signals are for the program's own threads, which may be waiting in a read() that they should end. */
static bool start_one(int worker) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all, old;
    pthread_t id;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool started = !pthread_create(&id, NULL, attend, (void *)(intptr_t)worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (started) pthread_detach(id);
    return started;
}

/* Whether the pool is the caller's now; then a round has begun. */
static bool begin(job *j, int helpers) {
    pthread_mutex_lock(&pool.lock);
    bool mine = !pool.taken;
    if (mine) {
        if (!pool.forks_known) {
            pool.forks_known = !pthread_atfork(NULL, NULL, forget);
            pool.processors = processors();
        }
        pool.taken = true;
        while (pool.forks_known && pool.started < helpers && start_one(pool.started + 1)) pool.started++;
        pool.job = j;
        uint64_t number = NUMBER(atomic_load(&pool.round)) + 1;
        atomic_store(&pool.round, (number & 0xffffffffu ? number : 1) << 32 | (uint64_t)helpers << 16);
        if (pool.asleep) pthread_cond_broadcast(&pool.wake);
    }
    pthread_mutex_unlock(&pool.lock);
    return mine;
}

static void end(void) {
    uint64_t now = atomic_fetch_or(&pool.round, CLOSED);
    for (int i = 0; i < SPINS && INSIDE(now); i++, now = atomic_load(&pool.round)) breathe();
    pthread_mutex_lock(&pool.lock);
    while (INSIDE(atomic_load(&pool.round))) pthread_cond_wait(&pool.done, &pool.lock);
    pool.taken = false;
    pthread_mutex_unlock(&pool.lock);
}

/* ---- threads of one call ---- */

typedef struct {
    job *job;
    int worker;
} seat;

static void *sit(void *arg) {
    seat *s = arg;
    work(s->job, s->worker);
    return NULL;
}

static void work_anew(job *j, int threads) {
    pthread_t id[MAX_THREADS];
    seat seats[MAX_THREADS];
    int started = 1;
    for (; started < threads; started++) {
        seats[started] = (seat){j, started};
        if (pthread_create(&id[started], NULL, sit, &seats[started])) break;
    }
    work(j, 0);
    for (int t = 1; t < started; t++) pthread_join(id[t], NULL);
}

void bqb_parallel_for(size_t n, int threads, bqb_parallel_fn fn, void *ctx) {
    job j = {.fn = fn, .ctx = ctx, .n = n};
    atomic_init(&j.next, 0);
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if ((size_t)(threads > 0 ? threads : 1) > n) threads = (int)n;
    if (threads <= 1) work(&j, 0);
    else if (begin(&j, threads - 1)) {
        work(&j, 0);
        end();
    } else work_anew(&j, threads);
}
