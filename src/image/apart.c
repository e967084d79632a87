#define _GNU_SOURCE
#include "image/apart.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET = 3, WAIT_FACTOR = 6, EXTRA_MEMORY = 512 << 20 };

typedef struct {
    uint64_t ask;
    bool renew;
} question;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMIT_MEMORY 0 /* their shadow memory is larger than any limit */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIMIT_MEMORY 0
#endif
#endif
#ifndef LIMIT_MEMORY
#define LIMIT_MEMORY 1
#endif

struct bqb_apart {
    pid_t pid;
    int socket;
    uint8_t *shared; /* [bytes], written by the process */
    bqb_apart_limits limits;
    bool renew;
    int64_t end_ms; /* when waiting ends, however busy the machine is */
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- in the process ---- */

/* Address space that is used now, in bytes. */
static rlim_t used_memory(void) {
    char text[64] = {0};
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 1) return RLIM_INFINITY;
    close(fd);
    return (rlim_t)strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Processor time from now on. */
static void limit_time(int timeout_ms) {
    struct rusage used;
    struct rlimit cpu;
    if (getrusage(RUSAGE_SELF, &used) || getrlimit(RLIMIT_CPU, &cpu)) return;
    int64_t ms = ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
    rlim_t most = (rlim_t)((ms + timeout_ms + 999) / 1000);
    cpu.rlim_cur = most < cpu.rlim_max ? most : cpu.rlim_max;
    setrlimit(RLIMIT_CPU, &cpu);
}

static void limit(const bqb_apart *a) {
    struct rlimit none = {0, 0};
    limit_time(a->limits.timeout_ms);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    rlim_t used = LIMIT_MEMORY ? used_memory() : RLIM_INFINITY;
    if (used == RLIM_INFINITY) return;
    used += (a->limits.extra ? a->limits.extra : EXTRA_MEMORY) + 4 * (rlim_t)a->limits.bytes;
    setrlimit(RLIMIT_AS, &(struct rlimit){used, used});
}

/* Its caller decides when it ends: a signal to all of a terminal or a service must not look like a crash. */
static void set_signals(bool many_threads) {
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT}, plain[] = {SIGXCPU, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all;
    if (!many_threads) prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) signal(plain[i], SIG_DFL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

static _Noreturn void serve(const bqb_apart *a, int socket, bqb_apart_fn fn, void *ctx) {
    int nowhere = open("/dev/null", O_RDWR);
    set_signals(a->limits.many_threads);
    for (int fd = 0; fd < 3; fd++) dup2(nowhere, fd);
    dup2(socket, SOCKET);
    close_range(SOCKET + 1, ~0U, 0);
    limit(a);
    question q;
    while (recv(SOCKET, &q, sizeof q, MSG_WAITALL) == (ssize_t)sizeof q) {
        if (q.renew) limit_time(a->limits.timeout_ms);
        uint8_t done = fn(ctx, a->shared, (size_t)q.ask);
        if (send(SOCKET, &done, 1, MSG_NOSIGNAL) != 1 || !done) break;
    }
    _exit(0);
}

/* ---- here ---- */

static void set_clock(bqb_apart *a) { a->end_ms = now_ms() + (int64_t)a->limits.timeout_ms * WAIT_FACTOR; }

bqb_status bqb_apart_start(bqb_apart **out, bqb_apart_fn fn, void *ctx, const bqb_apart_limits *limits, bqb_err *err) {
    int pair[2] = {-1, -1};
    *out = NULL;
    bqb_apart *a = bqb_calloc(1, sizeof *a);
    if (!a) return bqb_fail_nomem(err, "process", sizeof *a);
    *a = (bqb_apart){.pid = -1, .socket = -1, .limits = *limits};
    set_clock(a);
    a->shared = mmap(NULL, limits->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a->shared == MAP_FAILED) {
        free(a);
        return bqb_fail_nomem(err, "frame", limits->bytes);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || (a->pid = fork()) < 0) {
        bqb_status s = bqb_fail_errno(err, "a process of its own");
        if (pair[0] >= 0) close(pair[0]), close(pair[1]);
        bqb_apart_stop(a);
        return s;
    }
    if (a->pid == 0) serve(a, pair[1], fn, ctx);
    close(pair[1]);
    a->socket = pair[0];
    *out = a;
    return BQB_OK;
}

void bqb_apart_stop(bqb_apart *a) {
    if (!a) return;
    if (a->pid > 0) {
        kill(a->pid, SIGKILL);
        while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    if (a->socket >= 0) close(a->socket);
    munmap(a->shared, a->limits.bytes);
    free(a);
}

uint8_t *bqb_apart_shared(bqb_apart *a) { return a->shared; }

void bqb_apart_renew(bqb_apart *a) {
    a->renew = true;
    set_clock(a);
}

/* Is there an answer, or the end of it? false: not in time. */
static bool wait_for(const bqb_apart *a) {
    struct pollfd wait = {.fd = a->socket, .events = POLLIN};
    for (;;) {
        int64_t left = a->end_ms - now_ms();
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready >= 0 || errno != EINTR) return ready != 0;
    }
}

bqb_apart_end bqb_apart_ask(bqb_apart *a, size_t ask, int *signal_number) {
    question q;
    memset(&q, 0, sizeof q); /* what lies between its members, too */
    q.ask = ask;
    q.renew = a->renew;
    uint8_t done = 0;
    *signal_number = 0;
    a->renew = false;
    if (a->pid <= 0) return BQB_APART_GAVE_UP;
    if (send(a->socket, &q, sizeof q, MSG_NOSIGNAL) == (ssize_t)sizeof q && !wait_for(a)) return BQB_APART_LATE;
    if (recv(a->socket, &done, 1, 0) == 1) return done ? BQB_APART_DONE : BQB_APART_REFUSED;
    /* The socket is closed, so it has ended by itself, or will at once. */
    int how = 0;
    while (waitpid(a->pid, &how, 0) < 0 && errno == EINTR) continue;
    a->pid = -1;
    *signal_number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    return *signal_number == SIGXCPU ? BQB_APART_LATE : *signal_number == SIGKILL ? BQB_APART_KILLED : *signal_number ? BQB_APART_CRASHED : BQB_APART_GAVE_UP;
}

bqb_status bqb_apart_frame(bqb_apart *a, uint8_t *pixels, size_t frame, bqb_err *err) {
    int signal_number;
    switch (bqb_apart_ask(a, frame, &signal_number)) {
    case BQB_APART_DONE: memcpy(pixels, a->shared, a->limits.bytes); return BQB_OK;
    case BQB_APART_REFUSED: return bqb_fail(err, BQB_EFORMAT, "is damaged");
    case BQB_APART_GAVE_UP: return bqb_fail(err, BQB_EFORMAT, "is damaged: its decoder gives up");
    case BQB_APART_LATE: return bqb_fail(err, BQB_ELIMIT, "takes longer than %d ms to decode", a->limits.timeout_ms);
    case BQB_APART_KILLED: return bqb_fail(err, BQB_ELIMIT, "cannot be decoded: its decoder was killed");
    case BQB_APART_CRASHED: break;
    }
    return bqb_fail(err, BQB_EFORMAT, "is damaged: its decoder ends with signal %d", signal_number);
}
