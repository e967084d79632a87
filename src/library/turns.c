#define _GNU_SOURCE
#include "library/turns.h"

#include "base/fs.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { NEXT, WORKING }; /* the bytes: who comes next, who works */

struct bqb_turns {
    int fd;
};

/* Locks of the open file, not of the process: two threads with a bqb_turns each take turns, too. */
static int lock(const bqb_turns *t, int command, short type, off_t byte) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(t->fd, command, &l);
}

bqb_status bqb_turns_open(bqb_turns **out, const char *dir, bqb_err *err) {
    *out = NULL;
    bqb_turns *t = bqb_calloc(1, sizeof *t);
    char *path = bqb_path_join(dir, "import.lock");
    bqb_status s = t && path ? BQB_OK : bqb_fail_nomem(err, dir, sizeof *t);
    if (!s && (t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666)) < 0)
        s = bqb_fail_errno(err, "%s", path);
    free(path);
    if (s) free(t);
    else *out = t;
    return s;
}

void bqb_turns_close(bqb_turns *t) {
    if (!t) return;
    close(t->fd);
    free(t);
}

static bool is_taken(int e) { return e == EAGAIN || e == EACCES || e == EINTR; }

static bqb_status wait_for(const bqb_turns *t, off_t byte, bool *told, bqb_waiting_fn waiting, void *ctx, bqb_err *err) {
    if (!lock(t, F_OFD_SETLK, F_WRLCK, byte) || !is_taken(errno)) return BQB_OK;
    for (bool again = false;; again = true) {
        if ((again || !*told) && waiting && waiting(ctx))
            return bqb_fail(err, BQB_ECANCEL, "stopped; what was imported is kept, the same command goes on from here");
        *told = true;
        if (!lock(t, F_OFD_SETLKW, F_WRLCK, byte) || !is_taken(errno)) return BQB_OK;
    }
}

bqb_status bqb_turns_take(bqb_turns *t, bqb_waiting_fn waiting, void *ctx, bqb_err *err) {
    bool told = false;
    bqb_status s = wait_for(t, NEXT, &told, waiting, ctx, err);
    if (!s) s = wait_for(t, WORKING, &told, waiting, ctx, err);
    (void)lock(t, F_OFD_SETLK, F_UNLCK, NEXT);
    return s;
}

void bqb_turns_give(bqb_turns *t) { (void)lock(t, F_OFD_SETLK, F_UNLCK, WORKING); }
