/* Choosing the next token from a language model's logits. */
#ifndef BQB_CHAT_SAMPLE_H
#define BQB_CHAT_SAMPLE_H

#include "base/err.h"
#include "base/rand.h"

#include <stdbool.h>

typedef struct {
    double temperature; /* 0: the likeliest token; else logits are divided by it */
    size_t top_k;       /* only the k likeliest; 0: all */
    double top_p;       /* only the likeliest that together have this probability; 1: all */
    double repetition;  /* logits of tokens said already are divided by this (multiplied below 0); 1: not */
    uint64_t seed;
} bqb_sampling;

bqb_sampling bqb_sampling_defaults(void); /* 0.7, 20, 0.8, 1.05 */

/* BQB_EINVAL names what is out of its range. */
bqb_status bqb_sampling_check(const bqb_sampling *s, bqb_err *err);

typedef struct bqb_sampler bqb_sampler;
bqb_status bqb_sampler_new(bqb_sampler **out, const bqb_sampling *s, size_t vocab, bqb_err *err);
void bqb_sampler_free(bqb_sampler *s);

/* What was said: these tokens' logits are lowered. Cleared by _new_answer. */
void bqb_sampler_saw(bqb_sampler *s, int32_t id);
void bqb_sampler_new_answer(bqb_sampler *s);

/* A token that may not be chosen (special ones), or may again. */
void bqb_sampler_forbid(bqb_sampler *s, int32_t id, bool forbidden);

/* One of 0 … vocab-1 by logits [vocab], which are changed. -1: every logit is forbidden or no number. */
int32_t bqb_sampler_choose(bqb_sampler *s, float *logits);

#endif
