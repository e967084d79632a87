/* Asking with a MUGE texts file (SPLIT_texts.jsonl): each text once, under its
 * own id, and every picture that it names is right. Source:
 * github.com/OFA-Sys/Chinese-CLIP, README. */
#ifndef BQB_TRAIN_MUGE_ASK_H
#define BQB_TRAIN_MUGE_ASK_H

#include "train/evaluate.h"

typedef struct {
    bqb_ask_result r;   /* n, text, place, top, to_image (over the judged); nothing else */
    char **id;          /* [n] */
    size_t *first;      /* [n+1] into right */
    uint32_t *right;    /* gallery items, rising, each once; none for a text of a test split */
    size_t n_judged;    /* texts with a right picture in the gallery; r.place means nothing for others */
    size_t n_lost, n_broken; /* named pictures that are not in the gallery; lines left out */
    bqb_buf notes;      /* the first broken lines, for people */
} bqb_muge_ask;

/* BQB_EFORMAT: no text in the file. */
bqb_status bqb_muge_ask_run(bqb_muge_ask *a, const char *path, bqb_clip *m, const bqb_gallery *g,
                            bqb_progress_fn progress, void *ctx, bqb_err *err);
void bqb_muge_ask_free(bqb_muge_ask *a);

/* Its two halves; q [n,D]. a is freed by whoever collected, also after an error. */
bqb_status bqb_muge_ask_collect(bqb_muge_ask *a, const char *path, const bqb_gallery *g, bqb_err *err);
bqb_status bqb_muge_ask_measure(bqb_muge_ask *a, const bqb_gallery *g, const float *q, int threads,
                                bqb_progress_fn progress, void *ctx, bqb_err *err);

#endif
