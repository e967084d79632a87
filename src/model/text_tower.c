/* Which of the two text towers a model has. */
#include "model/tower.h"

static bool causal(const bqb_clip_config *c) { return c->t_kind == BQB_TEXT_CAUSAL; }

void bqb_text_fwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature,
                  const int32_t *ids, const bqb_sequences *s, bqb_text_saved **saved, const bqb_trace *trace) {
    (causal(c) ? bqb_causal_fwd : bqb_bert_fwd)(p, map, c, feature, ids, s, saved, trace);
}

void bqb_text_bwd(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, const float *dfeature,
                  const bqb_text_saved *saved) {
    (causal(c) ? bqb_causal_bwd : bqb_bert_bwd)(p, map, c, dfeature, saved);
}

void bqb_text_trunk(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *trunk, const int32_t *ids,
                    const bqb_sequences *s) {
    (causal(c) ? bqb_causal_trunk : bqb_bert_trunk)(p, map, c, trunk, ids, s);
}

void bqb_text_top(bqb_pass *p, const bqb_layout_map *map, const bqb_clip_config *c, float *feature, float *trunk,
                  const bqb_sequences *s, bqb_text_saved **saved) {
    (causal(c) ? bqb_causal_top : bqb_bert_top)(p, map, c, feature, trunk, s, saved);
}
