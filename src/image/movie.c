#include "image/movie.h"

#include <stdlib.h>

bqb_status bqb_movie_read(bqb_movie *m, uint8_t *rgba, size_t frame, int timeout_ms, bqb_err *err) {
    bqb_status s = BQB_OK;
    bqb_apart_limits limits = {.bytes = m->width * m->height * 4, .timeout_ms = timeout_ms};
    if (!m->apart) s = bqb_apart_start(&m->apart, m->fn, m->state, &limits, err);
    return s ? s : bqb_apart_frame(m->apart, rgba, frame, err);
}

void bqb_movie_close(bqb_movie *m) {
    bqb_apart_stop(m->apart);
    if (m->free_state) m->free_state(m->state);
    free(m->delay_ms);
    *m = (bqb_movie){0};
}
