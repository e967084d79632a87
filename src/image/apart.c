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
    size_t bytes;
    int timeout_ms;
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

static void limit(const bqb_apart *a) {
    struct rlimit cpu, none = {0, 0};
    cpu.rlim_cur = (rlim_t)(a->timeout_ms + 999) / 1000;
    cpu.rlim_max = cpu.rlim_cur + 1;
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    rlim_t used = LIMIT_MEMORY ? used_memory() : RLIM_INFINITY;
    if (used == RLIM_INFINITY) return;
    used += EXTRA_MEMORY + 4 * (rlim_t)a->bytes;
    setrlimit(RLIMIT_AS, &(struct rlimit){used, used});
}

static _Noreturn void serve(const bqb_apart *a, int socket, bqb_apart_fn fn, void *ctx) {
    int nowhere = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    for (int fd = 0; fd < 3; fd++) dup2(nowhere, fd);
    dup2(socket, SOCKET);
    close_range(SOCKET + 1, ~0U, 0);
    limit(a);
    uint64_t frame;
    while (recv(SOCKET, &frame, sizeof frame, MSG_WAITALL) == (ssize_t)sizeof frame) {
        uint8_t done = fn(ctx, a->shared, (size_t)frame);
        if (send(SOCKET, &done, 1, MSG_NOSIGNAL) != 1 || !done) break;
    }
    _exit(0);
}

/* ---- here ---- */

bqb_status bqb_apart_start(bqb_apart **out, bqb_apart_fn fn, void *ctx, size_t bytes, int timeout_ms, bqb_err *err) {
    int pair[2] = {-1, -1};
    *out = NULL;
    bqb_apart *a = bqb_calloc(1, sizeof *a);
    if (!a) return bqb_fail_nomem(err, "process", sizeof *a);
    *a = (bqb_apart){.pid = -1, .socket = -1, .bytes = bytes, .timeout_ms = timeout_ms,
                     .end_ms = now_ms() + (int64_t)timeout_ms * WAIT_FACTOR};
    a->shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a->shared == MAP_FAILED) {
        free(a);
        return bqb_fail_nomem(err, "frame", bytes);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || (a->pid = fork()) < 0) {
        bqb_status s = bqb_fail_errno(err, "a process for a decoder");
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

/* How it ended: 0, or the signal that killed it. It is gone afterwards. */
static int end(bqb_apart *a) {
    int how = 0;
    if (a->pid <= 0) return 0;
    kill(a->pid, SIGKILL);
    while (waitpid(a->pid, &how, 0) < 0 && errno == EINTR) continue;
    a->pid = -1;
    return WIFSIGNALED(how) ? WTERMSIG(how) : 0;
}

void bqb_apart_stop(bqb_apart *a) {
    if (!a) return;
    end(a);
    if (a->socket >= 0) close(a->socket);
    munmap(a->shared, a->bytes);
    free(a);
}

static bqb_status late(const bqb_apart *a, bqb_err *err) {
    return bqb_fail(err, BQB_ELIMIT, "takes longer than %d ms to decode", a->timeout_ms);
}

bqb_status bqb_apart_frame(bqb_apart *a, uint8_t *pixels, size_t frame, bqb_err *err) {
    uint64_t ask = frame;
    uint8_t done = 0;
    struct pollfd wait = {.fd = a->socket, .events = POLLIN};
    ssize_t n = send(a->socket, &ask, sizeof ask, MSG_NOSIGNAL);
    int ready = 0;
    while (n == (ssize_t)sizeof ask) {
        int64_t left = a->end_ms - now_ms();
        ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready >= 0 || errno != EINTR) break;
    }
    if (n == (ssize_t)sizeof ask && !ready) return late(a, err);
    n = recv(a->socket, &done, 1, 0);
    if (n == 1 && done) {
        memcpy(pixels, a->shared, a->bytes);
        return BQB_OK;
    }
    if (n == 1) return bqb_fail(err, BQB_EFORMAT, "is damaged");
    /* The socket is closed, so it has ended by itself, or will at once. */
    int how = 0;
    while (waitpid(a->pid, &how, 0) < 0 && errno == EINTR) continue;
    a->pid = -1;
    int signal_number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    if (signal_number == SIGXCPU || signal_number == SIGKILL) return late(a, err);
    return signal_number ? bqb_fail(err, BQB_EFORMAT, "is damaged: its decoder ends with signal %d", signal_number)
                         : bqb_fail(err, BQB_EFORMAT, "is damaged: its decoder gives up");
}
