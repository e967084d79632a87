/* What a file is, by its bytes, and how its animation is laid out: enough to
 * choose a decoder and to know the cost before any decoder runs. */
#ifndef BQB_IMAGE_SNIFF_H
#define BQB_IMAGE_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    BQB_PICTURE_NONE, /* nothing bqb decodes */
    BQB_PICTURE_PNG,
    BQB_PICTURE_JPEG,
    BQB_PICTURE_GIF,
    BQB_PICTURE_WEBP,
    BQB_PICTURE_AVIF,
    BQB_PICTURE_HEIC,
    BQB_PICTURE_TGS, /* Telegram: gzipped Lottie, known by the first key of its JSON */
    BQB_PICTURE_WEBM
} bqb_picture_kind;

/* The first 512 bytes are enough. */
bqb_picture_kind bqb_sniff(const uint8_t *data, size_t size);

/* "png", "jpeg" …; "" for BQB_PICTURE_NONE. */
const char *bqb_picture_kind_name(bqb_picture_kind kind);

/* What a name's extension says: 1 a picture, -1 certainly none, 0 nothing: look inside. */
int bqb_extension_says(const char *name);

/* For messages about data that is no picture: "an HTML page", "text", "a PDF". */
const char *bqb_sniff_other(const uint8_t *data, size_t size);

typedef struct {
    size_t frames; /* whole ones; 0 when not even the first is whole */
    size_t passes; /* over the pixels of a frame: the scans of a JPEG, else 1 */
    bool complete; /* the file goes to its own end mark */
} bqb_animation;

/* GIF, WebP and JPEG are walked block by block; the others count as one frame,
 * and `complete` tells whether an end mark is there (always true for AVIF and
 * HEIC). Any bytes are fine; time is linear in size. */
bqb_animation bqb_sniff_animation(bqb_picture_kind kind, const uint8_t *data, size_t size);

#endif
