/* Taking turns: several imports into one library share the work instead of
 * doing it twice, a batch each in turn.
 *
 * Locks on two bytes of LIBRARY/import.lock, which the system gives back when
 * a process ends, however it ends: whoever waits holds the first while it
 * waits for the second, so that turns go round. The catalogue does not depend
 * on them. Where the file system knows no locks, everybody may go at once. */
#ifndef BQB_LIBRARY_TURNS_H
#define BQB_LIBRARY_TURNS_H

#include "base/err.h"

typedef struct bqb_turns bqb_turns;

/* Errors: BQB_ENOTFOUND (there is none any more), BQB_EIO (the folder cannot be written to), BQB_ENOMEM. */
bqb_status bqb_turns_open(bqb_turns **out, const char *dir, bqb_err *err);
void bqb_turns_close(bqb_turns *t); /* gives the turn back, too */

/* Called when another has the turn, and after each signal while waiting; non-zero gives up (BQB_ECANCEL). */
typedef int (*bqb_waiting_fn)(void *ctx);

/* Wait for the turn. waiting may be NULL. */
bqb_status bqb_turns_take(bqb_turns *t, bqb_waiting_fn waiting, void *ctx, bqb_err *err);
void bqb_turns_give(bqb_turns *t);

#endif
