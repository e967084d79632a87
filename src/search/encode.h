/* A query's picture as a vector. */
#ifndef BQB_SEARCH_ENCODE_H
#define BQB_SEARCH_ENCODE_H

#include "model/clip.h"

/* out [D]: the unit vector of a picture's file; m needs its image tower. Errors of the file name it. */
bqb_status bqb_encode_picture(bqb_clip *m, float *out, const char *path, bqb_err *err);

#endif
