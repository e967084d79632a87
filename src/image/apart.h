/* A function in a process of its own: what a decoder or a reader does with a
 * hostile file, a crash, a hang, gigabytes of memory, is an error here and nothing
 * more. Forked, not started anew, so that it has what its caller had in memory; it
 * can write to no file or socket that its caller has open, and ends with it. */
#ifndef BQB_IMAGE_APART_H
#define BQB_IMAGE_APART_H

#include "base/err.h"

#include <stdbool.h>

/* Runs in that process: answer `ask` in the memory that both have; false when it cannot. ctx is the process's own copy.
 * Of a decoder: frame `ask` (rising) as RGBA, alpha not premultiplied. */
typedef bool (*bqb_apart_fn)(void *ctx, uint8_t *shared, size_t ask);

typedef struct bqb_apart bqb_apart;

typedef struct {
    size_t bytes;      /* of memory that both have */
    size_t extra;      /* of memory that it may take beyond its caller's, and four times the above; 0: 512 MiB */
    int timeout_ms;    /* of processor time since it began or since the last bqb_apart_renew; six times that by the clock */
    bool many_threads; /* whoever started it may end before it is asked for the last time. Without: it is killed with that thread;
                        * with: it ends by itself when its caller's process has, but not before it has answered */
} bqb_apart_limits;

/* BQB_EIO when no process can be had. */
bqb_status bqb_apart_start(bqb_apart **out, bqb_apart_fn fn, void *ctx, const bqb_apart_limits *limits, bqb_err *err);
void bqb_apart_stop(bqb_apart *a); /* accepts NULL */

/* The memory that both have [bytes], zero at first; what it holds is the process's word and no more. */
uint8_t *bqb_apart_shared(bqb_apart *a);

/* From here on the time counts anew. */
void bqb_apart_renew(bqb_apart *a);

/* Ask, and wait. After anything but DONE only stopping makes sense; signal: of CRASHED. */
typedef enum {
    BQB_APART_DONE,
    BQB_APART_REFUSED, /* it cannot */
    BQB_APART_GAVE_UP, /* it has ended, by its own will */
    BQB_APART_CRASHED,
    BQB_APART_LATE,
    BQB_APART_KILLED   /* by somebody else, or by a system that ran out of memory */
} bqb_apart_end;
bqb_apart_end bqb_apart_ask(bqb_apart *a, size_t ask, int *signal);

/* The same of a decoder: copies the frame to pixels. BQB_EFORMAT: refused, or the decoder crashed; BQB_ELIMIT: out of time,
 * or killed. Messages go on from "NAME: FORMAT picture". */
bqb_status bqb_apart_frame(bqb_apart *a, uint8_t *pixels, size_t frame, bqb_err *err);

#endif
