#include "train/memory.h"

#include "train/rank.h"

#include <stdio.h>

static double mix(uint64_t one, uint64_t most, double share) {
    return (double)one + ((double)most - (double)one) * share;
}

bqb_status bqb_memory_needed(bqb_memory_bytes *out, const bqb_clip_config *c, const bqb_memory_plan *p, bqb_err *err) {
    bqb_clip_plan plan = p->plan;
    bqb_clip_bytes most, one;
    bqb_status s = bqb_clip_train_bytes(&most, c, &plan, err);
    plan.frames = 1;
    if (!s) s = bqb_clip_train_bytes(&one, c, &plan, err);
    if (s) return s;
    /* What grows with the frames grows in proportion. */
    double share = p->plan.frames > 1 ? (p->frames - 1) / ((double)p->plan.frames - 1) : 0;
    double weights = (double)most.moments / 2, N = (double)p->plan.N, frame = 3.0 * (double)(c->resolution * c->resolution);
    out->model = (double)most.weights + (double)most.gradients + (double)most.moments + (p->average ? weights : 0);
    out->activations = mix(one.activations + one.loss, most.activations + most.loss, share);
    /* Pages of a batch that no frame comes to are never touched. */
    out->batches = 2 * N * (p->frames * frame + 8.0 * (double)p->plan.L) + (p->decoding ? 3 * N * frame : 0);
    out->total = out->model + out->activations + out->batches;
    return BQB_OK;
}

static bool fits(const bqb_clip_config *c, const bqb_memory_plan *p, double bytes) {
    bqb_memory_bytes need;
    return !bqb_memory_needed(&need, c, p, NULL) && need.total <= bytes;
}

void bqb_memory_advice(char *out, size_t size, const bqb_clip_config *c, const bqb_memory_plan *p, double bytes) {
    bqb_memory_plan other = *p;
    size_t used = 0;
    *out = 0;
    while (other.plan.N > 2 && !fits(c, &other, bytes)) other.plan.N /= 2;
    if (other.plan.N >= 2 && fits(c, &other, bytes)) used += (size_t)snprintf(out, size, " --batch %zu", other.plan.N);
    other = *p;
    other.plan.checkpoint = true;
    if (!p->plan.chunk && fits(c, &other, bytes) && used < size)
        used += (size_t)snprintf(out + used, size - used, "%s --recompute", used ? ", or" : "");
    other = *p;
    other.plan.chunk = p->plan.N;
    while (other.plan.chunk > 1 && !fits(c, &other, bytes)) other.plan.chunk /= 2;
    if (fits(c, &other, bytes) && used < size)
        snprintf(out + used, size - used, "%s --chunk %zu", used ? ", or" : "", other.plan.chunk);
}

double bqb_measure_bytes(size_t pictures, size_t texts_at_once, size_t texts, size_t D) {
    double feature = 4.0 * (double)D, answer = (double)(sizeof(bqb_place) + 10 * sizeof(uint32_t) + sizeof(char *));
    return feature * ((double)pictures + (double)texts_at_once) + answer * (double)texts;
}
