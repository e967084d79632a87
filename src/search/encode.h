/* What somebody asks, as vectors. */
#ifndef BQB_SEARCH_ENCODE_H
#define BQB_SEARCH_ENCODE_H

#include "model/clip.h"

/* out [D]: the unit vector of a picture's file; m needs its image tower. Errors of the file name it. */
bqb_status bqb_encode_picture(bqb_clip *m, float *out, const char *path, bqb_err *err);

/* Strings and lists are borrowed; NULL or 0 for what is not asked. */
typedef struct {
    const char *words;               /* what is looked for, in words */
    const char *const *pictures;     /* files that the results should look like, all of them alike */
    size_t n_pictures;
    const char *const *not_words;    /* what they should not show */
    size_t n_not_words;
    const char *const *not_pictures; /* files that they should not look like */
    size_t n_not_pictures;
} bqb_question;

typedef struct {
    float *text;    /* [D] of the words, emoji by their first names; NULL: none */
    float *image;   /* [D] unit, towards the mean of the pictures; NULL: none */
    float *unlike;  /* [n_unlike,D] of the unwanted words, then pictures */
    size_t n_unlike, n_unlike_words; /* the first of them are of words */
} bqb_question_vectors;

/* text has its text tower, image its image tower (they may be one); NULL: that half of the question stays without
 * vectors. Errors of a file name it; *out is empty then. */
bqb_status bqb_encode_question(bqb_question_vectors *out, bqb_clip *text, bqb_clip *image, const bqb_question *q,
                               bqb_err *err);
void bqb_question_vectors_free(bqb_question_vectors *v);

#endif
