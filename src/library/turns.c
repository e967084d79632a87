#define _GNU_SOURCE
#include "library/turns.h"

#include "base/mem.h"
#include "library/lock_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { NEXT, WORKING }; /* the bytes: who comes next, who works */

struct bqb_turns {
    int fd;
};

bqb_status bqb_turns_open(bqb_turns **out, const char *dir, bqb_err *err) {
    *out = NULL;
    bqb_turns *t = bqb_calloc(1, sizeof *t);
    if (!t) return bqb_fail_nomem(err, dir, sizeof *t);
    bqb_status s = bqb_lock_file_open(&t->fd, dir, "import.lock", err);
    if (s) free(t);
    else *out = t;
    return s;
}

void bqb_turns_close(bqb_turns *t) {
    if (!t) return;
    close(t->fd);
    free(t);
}

static bqb_status wait_for(const bqb_turns *t, off_t byte, bool *told, bqb_waiting_fn waiting, void *ctx, bqb_err *err) {
    if (bqb_lock_byte(t->fd, byte, false)) return BQB_OK;
    for (bool again = false;; again = true) {
        if ((again || !*told) && waiting && waiting(ctx))
            return bqb_fail(err, BQB_ECANCEL, "stopped; what was imported is kept, the same command goes on from here");
        *told = true;
        if (bqb_lock_byte(t->fd, byte, true)) return BQB_OK;
    }
}

bqb_status bqb_turns_take(bqb_turns *t, bqb_waiting_fn waiting, void *ctx, bqb_err *err) {
    bool told = false;
    bqb_status s = wait_for(t, NEXT, &told, waiting, ctx, err);
    if (!s) s = wait_for(t, WORKING, &told, waiting, ctx, err);
    bqb_unlock_byte(t->fd, NEXT);
    return s;
}

void bqb_turns_give(bqb_turns *t) { bqb_unlock_byte(t->fd, WORKING); }
