/* How far long work is, and Ctrl-C. */
#define _GNU_SOURCE
#include "cli/cli.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { QUIET_MS = 500, REDRAW_MS = 100, BAR = 24 };

static volatile sig_atomic_t interrupted;
static int alarm_pipe[2] = {-1, -1};
static volatile sig_atomic_t slow_to_stop;
static const char stopping[] = "stopping…\n";

static void on_signal(int sig) {
    (void)sig;
    int was = errno;
    interrupted = 1;
    if (slow_to_stop && write(STDERR_FILENO, stopping, sizeof stopping - 1) < 0) interrupted = 2; /* nobody listens */
    if (alarm_pipe[1] >= 0) interrupted = write(alarm_pipe[1], "", 1) ? 1 : 2; /* full: it is readable all the same */
    errno = was;
}

void cli_catch_interrupts(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    a.sa_flags = (int)SA_RESETHAND; /* the second one kills */
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

void cli_stopping_takes_time(bool takes) { slow_to_stop = takes; }

int cli_interrupt_fd(void) {
    if (alarm_pipe[0] < 0 && pipe2(alarm_pipe, O_CLOEXEC | O_NONBLOCK)) return -1;
    if (interrupted) on_signal(SIGINT); /* before there was a pipe */
    return alarm_pipe[0];
}

bool cli_interrupted(void) { return interrupted != 0; }

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void print_time(uint64_t s) {
    if (s >= 3600) fprintf(stderr, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else fprintf(stderr, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void draw_bar(const cli_progress *p, uint64_t done, uint64_t total, uint64_t elapsed_ms) {
    double rate = elapsed_ms ? (double)done * 1000.0 / (double)elapsed_ms : 0;
    fprintf(stderr, "\r%s ", p->what);
    if (total) {
        int full = (int)((double)done / (double)total * BAR);
        for (int i = 0; i < BAR; i++) fputs(i < full ? "█" : "░", stderr);
        fprintf(stderr, " %llu/%llu", (unsigned long long)done, (unsigned long long)total);
    } else fprintf(stderr, "%llu", (unsigned long long)done);
    fprintf(stderr, rate >= 10 ? "  %.0f/s" : "  %.2f/s", rate);
    if (total && done && done < total) {
        fputs("  ", stderr);
        print_time((uint64_t)((double)(total - done) / rate + 0.5));
        fputs(" left", stderr);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
}

int cli_progress_show(void *ctx, const char *what, uint64_t done, uint64_t total) {
    cli_progress *p = ctx;
    uint64_t now = now_ms();
    if (!p->what || strcmp(p->what, what)) { /* new work */
        cli_progress_end(p);
        *p = (cli_progress){.what = what, .started_ms = now};
    }
    if (done > total && total) done = total;
    uint64_t elapsed = now - p->started_ms;
    if (elapsed >= QUIET_MS) {
        if (isatty(STDERR_FILENO)) {
            if (now - p->shown_ms >= REDRAW_MS || done == total) {
                draw_bar(p, done, total, elapsed);
                p->shown_ms = now;
                p->open = true;
            }
        } else if (total && done * 10 / total > p->shown_tenth) {
            p->shown_tenth = done * 10 / total;
            fprintf(stderr, "%s: %llu/%llu (%llu %%, %.3g/s)\n", what, (unsigned long long)done,
                    (unsigned long long)total, (unsigned long long)(done * 100 / total),
                    (double)done * 1000.0 / (double)elapsed);
        }
    }
    return interrupted != 0;
}

void cli_progress_end(cli_progress *p) {
    if (p->open) fputc('\n', stderr);
    *p = (cli_progress){0};
}

void cli_progress_say(void *ctx, const char *line) {
    cli_progress *p = ctx;
    if (p->open) fputc('\n', stderr); /* the bar goes on below, its clock unchanged */
    p->open = false;
    size_t n = strlen(line);
    cli_puts_lines(stderr, line);
    if (!n || line[n - 1] != '\n') fputc('\n', stderr);
}
