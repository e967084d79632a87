/* Synthetic stickers: any number of annotated pictures drawn from emoji, words
 * and styles. Sticker i depends on the options and i alone, so any thread may
 * draw any of them in any order. docs/synth.md says what is drawn and how. */
#ifndef BQB_IMAGE_SYNTH_H
#define BQB_IMAGE_SYNTH_H

#include "base/err.h"
#include "file/json.h"
#include "text/annotation.h"

#include <stdbool.h>

/* A combination of subject and phrase (or of subject and emotion, where there is no
 * phrase) belongs to the test side with one chance in ten, by its hash:
 * the two sides share none, whatever the seeds. */
typedef enum { BQB_SYNTH_ALL, BQB_SYNTH_TRAIN, BQB_SYNTH_TEST } bqb_synth_split;

/* Zero-initialise for the defaults. Strings are borrowed until bqb_synth_open returns. */
typedef struct {
    const char *data_dir;   /* NULL: bqb_data_path */
    const char *cldr_dir;   /* NULL: $BQB_CLDR, else /usr/share/unicode/cldr/common */
    const char *const *art; /* folders of more emoji art, by code point or English name */
    size_t n_art;
    uint64_t seed;
    bqb_synth_split split;
    bool plain; /* the subject alone on white, its plain name as caption, nothing else */
    bool words; /* a phrase alone on white, as ocr, nothing else; not with plain */
} bqb_synth_options;

typedef struct bqb_synth bqb_synth;

/* BQB_ENOTFOUND names the Debian package when a font or CLDR is missing. */
bqb_status bqb_synth_open(bqb_synth **out, const bqb_synth_options *o, bqb_err *err);
void bqb_synth_close(bqb_synth *s);

typedef struct {
    size_t subjects, phrases, emotions, styles, hands;
} bqb_synth_counts;
bqb_synth_counts bqb_synth_count(const bqb_synth *s);

/* What decides which stickers are drawn, in fresh memory; NULL when memory is out. */
json_t *bqb_synth_identity(const bqb_synth *s);

enum { BQB_SYNTH_QUERIES = 3 };

/* One sticker; owns everything. subject is the emoji ("" for words only). */
typedef struct {
    size_t width, height, frames;
    int delay_ms;
    uint8_t *rgba;      /* [frames,height,width,4], alpha not premultiplied */
    const char *ext;    /* "png" "jpg" "webp" "gif" */
    int quality;        /* for jpg and webp */
    double gif_error;   /* how far a frame may be from the first one's palette before it gets its own */
    char *field[BQB_FIELDS]; /* "" where there is none */
    char *query[BQB_SYNTH_QUERIES]; /* NULL after the last */
    size_t n_queries;
    char *subject;
} bqb_sticker;

bqb_status bqb_synth_draw(bqb_synth *s, uint64_t i, bqb_sticker *out, bqb_err *err);

/* The annotation alone, without drawing: rgba stays NULL. */
bqb_status bqb_synth_describe(bqb_synth *s, uint64_t i, bqb_sticker *out, bqb_err *err);
void bqb_sticker_free(bqb_sticker *st); /* accepts a zeroed one */

/* The file's bytes; free with free(). */
bqb_status bqb_sticker_encode(const bqb_sticker *st, void **bytes, size_t *size, bqb_err *err);

/* DIR/synth.json, which says what the set is; DIR/images/NNNNNN.ext for stickers 0 … count-1; then
 * DIR/queries.tsv and DIR/captions.tsv, each in one step: while they are missing, the set is incomplete.
 * The pictures of an earlier, interrupted run are kept when synth.json says that it drew the same set. A folder
 * with any other set is refused (BQB_EINVAL); replace: another set that bqb drew there is removed first.
 * threads 0: one a processor. */
bqb_status bqb_synth_write(bqb_synth *s, const char *dir, size_t count, bool replace, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err);

/* The first n stickers on one PNG with their captions; side 0: 160. */
bqb_status bqb_synth_sheet(bqb_synth *s, const char *path, size_t n, size_t side, bqb_err *err);

#endif
