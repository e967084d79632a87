/* A decoder in a process of its own: what it does with a hostile file, a crash,
 * a hang, gigabytes of memory, is an error here and nothing more. Forked, not
 * started anew, so that it has what its caller had in memory; it can write to no
 * file or socket that its caller has open, and ends with it. */
#ifndef BQB_IMAGE_APART_H
#define BQB_IMAGE_APART_H

#include "base/err.h"

#include <stdbool.h>

/* Runs in that process: frame `frame` (rising) as RGBA to pixels, alpha not
 * premultiplied; false when it cannot. ctx is the process's own copy. */
typedef bool (*bqb_apart_fn)(void *ctx, uint8_t *pixels, size_t frame);

typedef struct bqb_apart bqb_apart;

/* bytes: of a frame. timeout_ms: of processor time, for all frames together; memory beyond
 * that of the caller: 512 MiB and four frames. BQB_EIO when no process can be had. */
bqb_status bqb_apart_start(bqb_apart **out, bqb_apart_fn fn, void *ctx, size_t bytes, int timeout_ms, bqb_err *err);
void bqb_apart_stop(bqb_apart *a); /* accepts NULL */

/* Copies the frame to pixels. BQB_EFORMAT: refused, or the decoder crashed; BQB_ELIMIT: out of time.
 * Messages go on from "NAME: FORMAT picture". After an error only stopping makes sense. */
bqb_status bqb_apart_frame(bqb_apart *a, uint8_t *pixels, size_t frame, bqb_err *err);

#endif
