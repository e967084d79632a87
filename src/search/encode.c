#include "search/encode.h"

#include "base/mem.h"
#include "image/decode.h"
#include "text/emoji.h"

#include <math.h>
#include <stdlib.h>

bqb_status bqb_encode_picture(bqb_clip *m, float *out, const char *path, bqb_err *err) {
    size_t R = bqb_clip_get_config(m)->resolution;
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    uint8_t *rgb = bqb_calloc(3 * R * R, 3);
    if (!rgb) return bqb_fail_nomem(err, path, 9 * R * R);
    s = bqb_image_frames_file(rgb, NULL, path, R, NULL, err);
    if (!s) s = bqb_clip_encode_images(m, out, rgb, 1, err);
    free(rgb);
    return s;
}

/* Emoji are few in any vocabulary; what they are called is words like others. */
static bqb_status encode_words(bqb_clip *m, float *out, const char *words, bqb_err *err) {
    bqb_buf b = {.max = 8 << 20};
    bqb_status s = bqb_emoji_words(&b, words, 0, NULL, err);
    const char *text = b.data;
    if (!s) s = bqb_clip_encode_texts(m, out, &text, 1, err);
    bqb_buf_free(&b);
    return s;
}

/* The direction of the mean of unit vectors; where they cancel out, the first. */
static bqb_status encode_mean(bqb_clip *m, float *out, const char *const *paths, size_t n, bqb_err *err) {
    size_t D = bqb_clip_get_config(m)->embed;
    if (n == 1) return bqb_encode_picture(m, out, paths[0], err);
    float *one = bqb_calloc(2 * D, sizeof *one);
    if (!one) return bqb_fail_nomem(err, "query", 2 * D * sizeof *one);
    float *first = one + D;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        s = bqb_encode_picture(m, one, paths[i], err);
        for (size_t d = 0; d < D && !s; d++) {
            out[d] += one[d];
            if (!i) first[d] = one[d];
        }
    }
    double sum_sq = 0;
    for (size_t d = 0; d < D; d++) sum_sq += (double)out[d] * (double)out[d];
    double length = sqrt(sum_sq);
    for (size_t d = 0; d < D; d++) out[d] = length > 1e-3 ? (float)((double)out[d] / length) : first[d];
    free(one);
    return s;
}

bqb_status bqb_encode_question(bqb_question_vectors *out, bqb_clip *text, bqb_clip *image, const bqb_question *q,
                               bqb_err *err) {
    bqb_clip *m = text ? text : image;
    *out = (bqb_question_vectors){0};
    if (!m) return BQB_OK;
    size_t D = bqb_clip_get_config(m)->embed, n_unlike = (text ? q->n_not_words : 0) + (image ? q->n_not_pictures : 0);
    bqb_status s = BQB_OK;
    bool words = text && q->words && *q->words, pictures = image && q->n_pictures;
    if (words && !(out->text = bqb_calloc(D, sizeof(float)))) s = bqb_fail_nomem(err, "query", D);
    if (!s && pictures && !(out->image = bqb_calloc(D, sizeof(float)))) s = bqb_fail_nomem(err, "query", D);
    if (!s && n_unlike && !(out->unlike = bqb_calloc(n_unlike, D * sizeof(float)))) s = bqb_fail_nomem(err, "query", D);
    if (!s && words) s = encode_words(text, out->text, q->words, err);
    if (!s && pictures) s = encode_mean(image, out->image, q->pictures, q->n_pictures, err);
    for (size_t i = 0; text && i < q->n_not_words && !s; i++)
        s = encode_words(text, out->unlike + D * out->n_unlike++, q->not_words[i], err);
    out->n_unlike_words = out->n_unlike;
    for (size_t i = 0; image && i < q->n_not_pictures && !s; i++)
        s = bqb_encode_picture(image, out->unlike + D * out->n_unlike++, q->not_pictures[i], err);
    if (s) bqb_question_vectors_free(out);
    return s;
}

void bqb_question_vectors_free(bqb_question_vectors *v) {
    free(v->text);
    free(v->image);
    free(v->unlike);
    *v = (bqb_question_vectors){0};
}
