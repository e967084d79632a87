/* Emotions and styles that a model guesses for stickers, from the vectors that the
 * library has of their pictures (nothing is decoded) and from their words.
 *
 * The classes are the labels that people gave in this library, where they gave at
 * least BQB_OWN_CLASSES different ones to three stickers each; else those bqb knows
 * by itself (text/label_names.h). A class is put into words by the templates of
 * model/prompts.h. With s = exp(logit scale) of the model, the classes' chances are
 *
 *     softmax( trust · a·s · picture·class + b·s · words·class )
 *
 *   a   0.8 for a picture without words, 0.64 beside words; for styles always 0.8
 *   b   0.64; for styles 0 (words do not say how a sticker is drawn)
 * The vector of the words is the library's (library/embed_words.h) where that is of this very text, else made.
 * a and b were fitted on drawn stickers so that the chance is how often the label is right.
 *
 * trust, 0 … 1, is how well the model knows pictures like these: measured by how
 * far pictures stand out of others for their own words (bqb_familiarity;
 * 0.55 → 0, 1.45 → 1); where fewer than 30 stickers have words, by how surely it
 * tells their style (mean chance of the best; 0.7 → 0, 0.8 → 1). For styles 1: what
 * is foreign to it the bundled model knows by its look still. */
#ifndef BQB_LIBRARY_LABELLER_H
#define BQB_LIBRARY_LABELLER_H

#include "bqb.h"
#include "library/catalogue.h"
#include "model/clip.h"

enum { BQB_OWN_CLASSES = 4 };

/* What makes unit rows [n,dim] of texts; `id` names the model, `scale` is the exp of its logit scale. */
typedef struct {
    const char *id;
    size_t dim;
    double scale;
    void *ctx;
    bqb_status (*encode)(void *ctx, float *out, const char *const *texts, size_t n, bqb_err *err);
} bqb_text_embedder;
bqb_text_embedder bqb_text_embedder_of_clip(bqb_clip *m); /* borrows m, whose text tower is needed */

typedef struct {
    const bqb_text_embedder *embedder;
    double min_score; /* a guess with a smaller chance is not made, 0 … 1 */
    bqb_progress_fn progress;
    void *ctx;
} bqb_label_options;

#define BQB_LABEL_MIN_SCORE 0.6 /* the usual one */

typedef struct {
    size_t stickers;       /* asked for */
    size_t given;          /* of them left alone: a person or a table says it */
    size_t without_vector; /* left as they are: the library has no vector of this model */
    size_t labelled;       /* that have a guess of this model now */
    size_t changed;        /* stickers of which another guess, or none, was stored before */
    size_t unsure;         /* no guess reached min_score */
    size_t classes;
    bool own_classes;      /* they are the library's */
    double trust;
} bqb_label_report;

/* Guess BQB_EMOTION or BQB_STYLE for these stickers [n], or where ids is NULL for all that are shown; guesses that were stored before, whichever
 * model made them, give way. Stored with origin BQB_ZERO_SHOT and the chance, 64 stickers a transaction: what
 * is killed in between is done again, with the same outcome. What a person or a table says is never touched.
 * Errors: BQB_EINVAL (another field), BQB_ECANCEL, of the catalogue, of the embedder. */
bqb_status bqb_library_label(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bqb_field field,
                             const bqb_label_options *o, bqb_label_report *r, bqb_err *err);

#endif
