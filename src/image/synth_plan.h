/* What one synthetic sticker shall be, before anything is drawn, and how it is described. */
#ifndef BQB_IMAGE_SYNTH_PLAN_H
#define BQB_IMAGE_SYNTH_PLAN_H

#include "image/synth.h"
#include "image/synth_style.h"

typedef enum { COMP_SINGLE, COMP_CORNER, COMP_BUBBLE, COMP_TWINS, COMP_PROP, COMP_CROWD, COMP_SIDE, COMP_WORDS, COMPS } composition;
typedef enum {
    MOTION_NONE, MOTION_SHAKE, MOTION_BOUNCE, MOTION_ZOOM, MOTION_BLINK, MOTION_SLIDE, MOTION_SPIN, MOTION_SWING, MOTIONS
} motion_kind;

typedef struct {
    size_t subject, prop;  /* SIZE_MAX: none */
    size_t emotion, label, style, phrase, font, hand;
    style_kind kind;
    ground_kind ground;
    composition comp;
    motion_kind motion;
    bool bare;             /* the subject as it is, nothing drawn on it */
    int w, h, frames, delay_ms, quality;
    const char *ext;
    uint32_t seed;         /* of textures */
    bqb_rand rand;         /* goes on with the drawing */
} synth_plan;

typedef struct {
    const synth_data *data;
    const glyphs *glyphs;
    const style_kind *kind; /* per style of the data */
    const bqb_synth_options *options;
} plan_source;

void plan_make(synth_plan *p, const plan_source *src, uint64_t i);
bqb_status plan_describe(const synth_plan *p, const plan_source *src, bqb_sticker *st, bqb_err *err);

/* Whether the combination belongs to the test side. */
bool plan_is_test(const synth_plan *p, const synth_data *d);

#endif
