#include "chat/sample.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    float logit;
    int32_t id;
} candidate;

struct bqb_sampler {
    bqb_sampling o;
    size_t vocab;
    bool *said, *forbidden; /* [vocab] */
    candidate *list;        /* [vocab] */
    bqb_rand rand;
};

bqb_sampling bqb_sampling_defaults(void) {
    return (bqb_sampling){.temperature = 0.7, .top_k = 20, .top_p = 0.8, .repetition = 1.05, .seed = 1};
}

bqb_status bqb_sampling_check(const bqb_sampling *s, bqb_err *err) {
    if (!(s->temperature >= 0 && s->temperature <= 10)) return bqb_fail(err, BQB_EINVAL, "temperature %g is not within 0 … 10", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1)) return bqb_fail(err, BQB_EINVAL, "top-p %g is not within 0 … 1 (0 excluded)", s->top_p);
    if (!(s->repetition >= 0.5 && s->repetition <= 10)) return bqb_fail(err, BQB_EINVAL, "repetition %g is not within 0.5 … 10", s->repetition);
    return BQB_OK;
}

bqb_status bqb_sampler_new(bqb_sampler **out, const bqb_sampling *o, size_t vocab, bqb_err *err) {
    *out = NULL;
    bqb_status st = bqb_sampling_check(o, err);
    if (st) return st;
    bqb_sampler *s = bqb_calloc(1, sizeof *s);
    if (s) {
        *s = (bqb_sampler){.o = *o, .vocab = vocab, .said = bqb_calloc(vocab, sizeof *s->said), .forbidden = bqb_calloc(vocab, sizeof *s->forbidden),
                           .list = bqb_calloc(vocab, sizeof *s->list), .rand = bqb_rand_seed(o->seed, 0)};
        if (s->said && s->forbidden && s->list) {
            *out = s;
            return BQB_OK;
        }
    }
    bqb_sampler_free(s);
    return bqb_fail_nomem(err, "sampling", vocab * sizeof(candidate));
}

void bqb_sampler_free(bqb_sampler *s) {
    if (!s) return;
    free(s->said);
    free(s->forbidden);
    free(s->list);
    free(s);
}

void bqb_sampler_saw(bqb_sampler *s, int32_t id) {
    if (id >= 0 && (size_t)id < s->vocab) s->said[id] = true;
}

void bqb_sampler_new_answer(bqb_sampler *s) {
    for (size_t i = 0; i < s->vocab; i++) s->said[i] = false;
}

void bqb_sampler_forbid(bqb_sampler *s, int32_t id, bool forbidden) {
    if (id >= 0 && (size_t)id < s->vocab) s->forbidden[id] = forbidden;
}

/* Likeliest first; of equal ones the lower id. */
static int by_logit(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Those that may be chosen, and their number. */
static size_t candidates(bqb_sampler *s, const float *logits) {
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        float z = logits[i];
        if (s->forbidden[i] || !isfinite(z)) continue;
        if (s->said[i]) z = z > 0 ? z / (float)s->o.repetition : z * (float)s->o.repetition;
        s->list[n++] = (candidate){z, (int32_t)i};
    }
    return n;
}

/* The k likeliest come first, in order; the rest stays in any. A heap of the k best, its least at the root. */
static void select_best(candidate *list, size_t n, size_t k) {
    for (size_t built = 0, i = 0; i < n; i++) {
        size_t at;
        if (built < k) {
            at = built++;
            candidate c = list[i]; /* i = at while the heap grows */
            for (; at && by_logit(&list[(at - 1) / 2], &c) < 0; at = (at - 1) / 2) list[at] = list[(at - 1) / 2];
            list[at] = c;
            continue;
        }
        if (by_logit(&list[i], &list[0]) > 0) continue;
        candidate c = list[i];
        list[i] = list[0];
        for (at = 0;;) {
            size_t child = 2 * at + 1;
            if (child >= k) break;
            if (child + 1 < k && by_logit(&list[child + 1], &list[child]) > 0) child++;
            if (by_logit(&list[child], &c) <= 0) break;
            list[at] = list[child];
            at = child;
        }
        list[at] = c;
    }
    qsort(list, k, sizeof *list, by_logit);
}

int32_t bqb_sampler_choose(bqb_sampler *s, float *logits) {
    size_t n = candidates(s, logits), k = s->o.top_k && s->o.top_k < n ? s->o.top_k : n;
    if (!n) return -1;
    if (s->o.temperature == 0) {
        candidate best = s->list[0];
        for (size_t i = 1; i < n; i++)
            if (by_logit(&s->list[i], &best) < 0) best = s->list[i];
        return best.id;
    }
    select_best(s->list, n, k);
    double sum = 0, kept = 0;
    for (size_t i = 0; i < k; i++) sum += exp((double)(s->list[i].logit - s->list[0].logit) / s->o.temperature);
    size_t last = 0;
    for (; last < k; last++) {
        kept += exp((double)(s->list[last].logit - s->list[0].logit) / s->o.temperature);
        if (kept >= s->o.top_p * sum) break;
    }
    double u = bqb_rand_unit(&s->rand) * kept;
    for (size_t i = 0; i < k; i++) {
        u -= exp((double)(s->list[i].logit - s->list[0].logit) / s->o.temperature);
        if (u < 0 || i == last) return s->list[i].id;
    }
    return s->list[0].id;
}
