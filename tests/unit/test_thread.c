/* Threads that outlive a call: many small calls, several callers, calls within calls, forks, rest. */
#define _GNU_SOURCE
#include "base/thread.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4 };

typedef struct {
    atomic_size_t sum, calls;
    atomic_int busy[WORKERS], overlaps;
} tally;

static void count_one(void *ctx, size_t i, int worker) {
    tally *t = ctx;
    if (atomic_fetch_add(&t->busy[worker], 1)) atomic_fetch_add(&t->overlaps, 1);
    atomic_fetch_add(&t->sum, i);
    atomic_fetch_add(&t->calls, 1);
    atomic_fetch_sub(&t->busy[worker], 1);
}

static bool many_calls(int threads) {
    bool good = true;
    for (size_t k = 0; k < 3000; k++) {
        tally t = {0};
        size_t n = k % 9;
        bqb_parallel_for(n, threads, count_one, &t);
        good = good && t.calls == n && t.sum == (n ? n * (n - 1) / 2 : 0) && !t.overlaps;
    }
    return good;
}

static void *call_from_a_thread(void *good) {
    *(bool *)good = many_calls(WORKERS);
    return NULL;
}

TEST(thread_small_calls_from_many_sides) {
    pthread_t id[3];
    bool good[3] = {false};
    CHECK(many_calls(2) && many_calls(WORKERS) && many_calls(1) && many_calls(0));
    for (int i = 0; i < 3; i++) CHECK(!pthread_create(&id[i], NULL, call_from_a_thread, &good[i]));
    for (int i = 0; i < 3; i++) {
        pthread_join(id[i], NULL);
        CHECK(good[i]);
    }
}

static void call_again(void *ctx, size_t i, int worker) {
    (void)worker;
    tally inner = {0};
    bqb_parallel_for(i + 1, WORKERS, count_one, &inner);
    if (inner.calls == i + 1 && !inner.overlaps) atomic_fetch_add(&((tally *)ctx)->sum, 1);
}

TEST(thread_calls_within_calls) {
    tally t = {0};
    for (int k = 0; k < 20; k++) bqb_parallel_for(40, WORKERS, call_again, &t);
    CHECK(t.sum == 800);
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

TEST(thread_idle_ones_sleep) {
    many_calls(WORKERS);
    double before = cpu_s();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    CHECK_MSG(cpu_s() - before < 0.05, "%.3f s of processor time in 0.2 s of rest", cpu_s() - before);
}

static void look_at_signals(void *ctx, size_t i, int worker) {
    (void)i;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    bool closed = sigismember(&mask, SIGINT), faults = !sigismember(&mask, SIGSEGV);
    if (worker ? !closed || !faults : closed) atomic_fetch_add((atomic_int *)ctx, 1);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

TEST(thread_signals_are_for_others) {
    atomic_int wrong = 0;
    bqb_parallel_for(40, WORKERS, look_at_signals, &wrong);
    CHECK(wrong == 0);
}

/* ThreadSanitizer allows no threads after a fork. */
#if defined(__SANITIZE_THREAD__)
enum { CHILD_WORKERS = 1 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { CHILD_WORKERS = 1 };
#else
enum { CHILD_WORKERS = WORKERS };
#endif
#else
enum { CHILD_WORKERS = WORKERS };
#endif

/* A child begins without threads, whether it was made at rest or in the middle of a call. */
static void fork_and_count(void *ctx, size_t i, int worker) {
    (void)i, (void)worker;
    pid_t child = fork();
    if (!child) {
        alarm(20);
        _exit(many_calls(CHILD_WORKERS) ? 7 : 8);
    }
    int how = 0;
    if (child > 0 && waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 7) atomic_fetch_add((atomic_int *)ctx, 1);
}

TEST(thread_children_start_anew) {
    atomic_int good = 0;
    many_calls(WORKERS);
    fork_and_count(&good, 0, 0);
    bqb_parallel_for(6, WORKERS, fork_and_count, &good);
    CHECK(good == 7);
    CHECK(many_calls(WORKERS));
}
