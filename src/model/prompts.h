/* Labels put into words, for zero-shot classification: a few templates a field,
 * whose features are averaged. Source: CLIP, arXiv:2103.00020, 3.1.4. */
#ifndef BQB_MODEL_PROMPTS_H
#define BQB_MODEL_PROMPTS_H

#include "base/mem.h"
#include "text/annotation.h"

/* Append template k of a field with the label in it; false when there is no such template. */
bool bqb_prompt(bqb_buf *out, bqb_field field, size_t k, const char *label);

/* Every template of every label, [n * *each], those of one label together. Free with bqb_prompts_free. */
bqb_status bqb_prompts_new(char ***texts, size_t *each, bqb_field field, const char *const *labels, size_t n,
                           bqb_err *err);
void bqb_prompts_free(char **texts, size_t n_texts);

/* The classes [n,D], unit rows: the mean of each label's features [n * each,D], of unit length again. */
void bqb_prompts_average(float *classes, const float *features, size_t n, size_t each, size_t D);

#endif
