/* WebM files taken apart: which bytes are which frame of the first video track.
 * Source: RFC 8794 (EBML), RFC 9559 (Matroska). */
#ifndef BQB_IMAGE_WEBM_H
#define BQB_IMAGE_WEBM_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    size_t at, size;             /* of the coded frame */
    size_t alpha_at, alpha_size; /* of its alpha, coded as a picture of its own; size 0: none */
    int64_t time_ms;
} bqb_webm_frame;

typedef struct {
    size_t width, height;
    char codec[16];  /* "V_VP9" */
    bool alpha;      /* some frame has it */
    double duration_ms; /* 0 when it is not said */
    bqb_webm_frame *frame; /* [n], in file order; inside the file */
    size_t n;
} bqb_webm;

/* A file that is cut gives the frames before the cut. BQB_EFORMAT: no video track,
 * not one frame, broken elements; BQB_EUNSUPPORTED: laced or encoded blocks; BQB_ELIMIT: over 65,536 frames. */
bqb_status bqb_webm_parse(bqb_webm *w, const uint8_t *data, size_t size, bqb_err *err);
void bqb_webm_free(bqb_webm *w); /* accepts a zeroed one */

#endif
