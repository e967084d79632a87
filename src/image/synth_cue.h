/* What makes an emotion visible: tears, hearts, sweat, question marks, a little
 * face on a thing that has none. Cue names are those of data/emotions.tsv. */
#ifndef BQB_IMAGE_SYNTH_CUE_H
#define BQB_IMAGE_SYNTH_CUE_H

#include "image/synth_glyph.h"

/* Where the subject stands on the canvas, and what the cues may use. */
typedef struct {
    canvas *to;
    float cx, cy, w, h; /* the subject's box */
    bool face;          /* it has a face that fills the box, so cues may go on its eyes */
    colour tint;
    const synth_data *data;
    glyphs *glyphs;
    size_t hand;        /* preferred for cues that are emoji */
    bqb_rand *rand;
} cue_stage;

/* Draw CUE@PLACE. Cues for the other side of the subject (`back`) are skipped:
 * those @back are drawn when back is true, all others when it is false. */
bqb_status cue_draw(const cue_stage *st, const char *cue, bool back, bqb_err *err);

/* A small face on a faceless thing: "f-EYES-MOUTH@face". */
void cue_face(const cue_stage *st, const char *cue);

#endif
