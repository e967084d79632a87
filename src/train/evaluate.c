#include "train/evaluate.h"

#include "base/thread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUERIES_AT_ONCE = 4, JOB = 16, PICTURES_AT_ONCE = 32, TEXTS_AT_ONCE = 64, NAMED = 5, TOP = 10 };

/* ---- ranks ---- */

/* Four dot products with one gallery row. Every score is summed in the same
 * order wherever its rows stand, so that equal rows tie exactly. */
static void dot4(float *out, const float *q, const float *g, size_t D) {
    const float *a = q, *b = q + D, *c = q + 2 * D, *d = q + 3 * D;
    float sa = 0, sb = 0, sc = 0, sd = 0;
#pragma omp simd reduction(+ : sa, sb, sc, sd)
    for (size_t k = 0; k < D; k++) {
        sa += a[k] * g[k];
        sb += b[k] * g[k];
        sc += c[k] * g[k];
        sd += d[k] * g[k];
    }
    out[0] = sa;
    out[1] = sb;
    out[2] = sc;
    out[3] = sd;
}

typedef struct {
    bqb_place *places;
    uint32_t *top;
    size_t n_top, Q, G, D;
    const float *q, *g;
    const size_t *first;
    const uint32_t *right;
    float *scores; /* [workers, QUERIES_AT_ONCE, G] */
    float *rows;   /* [workers, QUERIES_AT_ONCE, D] */
    size_t base;
} rank_job;

static bool is_right(const uint32_t *right, size_t n, uint32_t item) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (right[mid] < item) lo = mid + 1;
        else hi = mid;
    }
    return lo < n && right[lo] == item;
}

static bqb_place place_of(const float *score, size_t G, const uint32_t *right, size_t n) {
    float best = score[right[0]];
    for (size_t k = 1; k < n; k++)
        if (score[right[k]] > best) best = score[right[k]];
    bqb_place p = {0};
    for (size_t i = 0; i < G; i++) {
        if (score[i] > best) p.better++; /* never a right one */
        else if (score[i] == best) {
            if (is_right(right, n, (uint32_t)i)) p.tied_right++;
            else p.tied_wrong++;
        }
    }
    return p;
}

/* Insertion into a short list kept best first. */
static void best_of(uint32_t *top, size_t n_top, const float *score, size_t G) {
    size_t held = 0;
    for (size_t i = 0; i < G; i++) {
        if (held == n_top && score[i] <= score[top[held - 1]]) continue;
        size_t at = held < n_top ? held++ : n_top - 1;
        for (; at > 0 && score[i] > score[top[at - 1]]; at--) top[at] = top[at - 1];
        top[at] = (uint32_t)i;
    }
    for (; held < n_top; held++) top[held] = UINT32_MAX;
}

static void rank_some(void *ctx, size_t job, int worker) {
    rank_job *j = ctx;
    float *scores = j->scores + (size_t)worker * QUERIES_AT_ONCE * j->G;
    float *rows = j->rows + (size_t)worker * QUERIES_AT_ONCE * j->D;
    size_t at = j->base + job * JOB, end = at + JOB < j->Q ? at + JOB : j->Q;
    for (; at < end; at += QUERIES_AT_ONCE) {
        size_t n = end - at < QUERIES_AT_ONCE ? end - at : QUERIES_AT_ONCE;
        memset(rows, 0, QUERIES_AT_ONCE * j->D * sizeof *rows);
        memcpy(rows, j->q + at * j->D, n * j->D * sizeof *rows);
        for (size_t i = 0; i < j->G; i++) {
            float s[QUERIES_AT_ONCE];
            dot4(s, rows, j->g + i * j->D, j->D);
            for (size_t k = 0; k < n; k++) scores[k * j->G + i] = s[k];
        }
        for (size_t k = 0; k < n; k++) {
            size_t i = at + k, from = j->first[i];
            j->places[i] = place_of(scores + k * j->G, j->G, j->right + from, j->first[i + 1] - from);
            if (j->top) best_of(j->top + i * j->n_top, j->n_top, scores + k * j->G, j->G);
        }
    }
}

bqb_status bqb_rank(bqb_place *places, uint32_t *top, size_t n_top, const float *q, size_t Q, const float *g,
                    size_t G, size_t D, const size_t *first, const uint32_t *right, int threads,
                    bqb_progress_fn progress, void *ctx, bqb_err *err) {
    if (G > UINT32_MAX - 1) return bqb_fail(err, BQB_ELIMIT, "%zu items cannot be ranked", G);
    for (size_t i = 0; i < Q; i++)
        if (first[i] >= first[i + 1]) return bqb_fail(err, BQB_EINVAL, "query %zu has no right item", i);
    for (size_t k = Q ? first[0] : 0; Q && k < first[Q]; k++)
        if (right[k] >= G) return bqb_fail(err, BQB_EINVAL, "right item %u of %zu", right[k], G);
    if (threads <= 0) threads = bqb_cpu_count();
    rank_job j = {.places = places, .top = n_top ? top : NULL, .n_top = n_top, .Q = Q, .G = G, .D = D,
                  .q = q, .g = g, .first = first, .right = right};
    size_t per_worker = QUERIES_AT_ONCE * (G + D);
    j.scores = bqb_alloc_aligned((size_t)threads * per_worker, sizeof(float));
    if (!j.scores) return bqb_fail_nomem(err, "scores", (size_t)threads * per_worker * sizeof(float));
    j.rows = j.scores + (size_t)threads * QUERIES_AT_ONCE * G;
    bqb_status s = BQB_OK;
    size_t step = (size_t)threads * JOB * 8;
    for (j.base = 0; j.base < Q && !s; j.base += step) {
        size_t here = Q - j.base < step ? Q - j.base : step;
        bqb_parallel_for((here + JOB - 1) / JOB, threads, rank_some, &j);
        if (progress && progress(ctx, "ranking", j.base + here, Q))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while ranking");
    }
    free(j.scores);
    return s;
}

double bqb_place_hit(const bqb_place *p, size_t k) {
    if (p->better >= k) return 0;
    double miss = 1;
    size_t open = k - p->better, all = (size_t)p->tied_wrong + p->tied_right;
    for (size_t i = 0; i < open && miss > 0; i++) {
        if (i >= p->tied_wrong) return 1;
        miss *= (double)(p->tied_wrong - i) / (double)(all - i);
    }
    return 1 - miss;
}

double bqb_place_rank(const bqb_place *p) {
    return 1 + (double)p->better + (double)p->tied_wrong / ((double)p->tied_right + 1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bqb_recall bqb_recall_of(const bqb_place *places, size_t n) {
    bqb_recall r = {.n = n};
    if (!n) return r;
    double *rank = bqb_calloc(n, sizeof *rank);
    for (size_t i = 0; i < n; i++) {
        r.r1 += bqb_place_hit(&places[i], 1);
        r.r5 += bqb_place_hit(&places[i], 5);
        r.r10 += bqb_place_hit(&places[i], 10);
        if (rank) rank[i] = bqb_place_rank(&places[i]);
    }
    r.r1 *= 100.0 / (double)n;
    r.r5 *= 100.0 / (double)n;
    r.r10 *= 100.0 / (double)n;
    r.mr = (r.r1 + r.r5 + r.r10) / 3;
    r.median = NAN;
    if (rank) {
        qsort(rank, n, sizeof *rank, by_value);
        r.median = n % 2 ? rank[n / 2] : (rank[n / 2 - 1] + rank[n / 2]) / 2;
    }
    free(rank);
    return r;
}

/* ---- features ---- */

typedef struct {
    const bqb_pixels *px;
    uint8_t *rgb;
    size_t first, size;
    bool ok[PICTURES_AT_ONCE];
    bqb_err err[PICTURES_AT_ONCE];
} load_job;

static void load_one(void *ctx, size_t k, int worker) {
    (void)worker;
    load_job *j = ctx;
    size_t frames;
    j->ok[k] = !bqb_pixels_get(j->px, j->first + k, j->rgb + k * j->size, &frames, &j->err[k]);
}

bqb_status bqb_gallery_open(bqb_gallery *g, bqb_clip *m, const bqb_dataset *ds, const bqb_pixels *px, size_t limit,
                            bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = bqb_dataset_count(ds), R = bqb_pixels_resolution(px), D = bqb_clip_get_config(m)->embed;
    size_t want = limit && limit < n ? limit : n;
    *g = (bqb_gallery){.ds = ds, .D = D, .notes = {.max = 1 << 16}};
    load_job *j = bqb_calloc(1, sizeof *j);
    g->sample = bqb_calloc(want, sizeof *g->sample);
    g->feature = bqb_alloc_aligned(want * D, sizeof *g->feature);
    bqb_status s = bqb_buf_puts(&g->notes, "", err);
    if (j) {
        j->px = px;
        j->size = 9 * R * R;
        j->rgb = bqb_alloc_aligned(PICTURES_AT_ONCE, j->size);
    }
    if (!s && (!j || !j->rgb || !g->sample || !g->feature)) s = bqb_fail_nomem(err, "gallery", want * D * sizeof(float));
    for (size_t at = 0; at < n && g->n < want && !s; at += PICTURES_AT_ONCE) {
        size_t here = n - at < PICTURES_AT_ONCE ? n - at : PICTURES_AT_ONCE, held = 0;
        j->first = at;
        bqb_parallel_for(here, bqb_clip_threads(m), load_one, j);
        for (size_t k = 0; k < here && g->n + held < want; k++) {
            if (!j->ok[k]) {
                if (++g->n_unreadable <= NAMED) bqb_buf_printf(&g->notes, NULL, "  %s\n", j->err[k].msg);
                continue;
            }
            if (held != k) memcpy(j->rgb + held * j->size, j->rgb + k * j->size, j->size);
            g->sample[g->n + held++] = (uint32_t)(at + k);
        }
        if (held) s = bqb_clip_encode_images(m, g->feature + g->n * D, j->rgb, held, err);
        g->n += held;
        if (!s && progress && progress(ctx, "encoding pictures", g->n, want))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while encoding pictures");
    }
    if (!s && !g->n) s = bqb_fail(err, BQB_EFORMAT, "none of %zu pictures could be read", n);
    if (j) free(j->rgb);
    free(j);
    if (s) bqb_gallery_close(g);
    return s;
}

void bqb_gallery_close(bqb_gallery *g) {
    free(g->sample);
    free(g->feature);
    bqb_buf_free(&g->notes);
    *g = (bqb_gallery){0};
}

typedef struct {
    size_t length, text;
} text_order;

static int by_length(const void *a, const void *b) {
    const text_order *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

bqb_status bqb_embed_texts(float *out, bqb_clip *m, const bqb_wordpiece *wp, const char *const *texts, size_t n,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    size_t L = c->context, D = c->embed;
    text_order *order = bqb_calloc(n, sizeof *order);
    int32_t *ids = bqb_calloc(n * L, sizeof *ids), *block = bqb_calloc(TEXTS_AT_ONCE * L, sizeof *block);
    float *rows = bqb_calloc(TEXTS_AT_ONCE * D, sizeof *rows);
    bqb_status s = BQB_OK;
    if (!order || !ids || !block || !rows) s = bqb_fail_nomem(err, "tokens", n * L * sizeof *ids);
    for (size_t i = 0; i < n && !s; i++)
        order[i] = (text_order){bqb_wordpiece_encode(wp, ids + i * L, L, texts[i], strlen(texts[i])), i};
    if (!s) qsort(order, n, sizeof *order, by_length);
    for (size_t at = 0; at < n && !s; at += TEXTS_AT_ONCE) {
        size_t here = n - at < TEXTS_AT_ONCE ? n - at : TEXTS_AT_ONCE, longest = order[at + here - 1].length;
        for (size_t k = 0; k < here; k++)
            memcpy(block + k * longest, ids + order[at + k].text * L, longest * sizeof *ids);
        s = bqb_clip_encode_tokens(m, rows, block, here, longest, err);
        for (size_t k = 0; k < here && !s; k++)
            memcpy(out + order[at + k].text * D, rows + k * D, D * sizeof *rows);
        if (!s && progress && progress(ctx, "encoding texts", at + here, n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while encoding texts");
    }
    free(order);
    free(ids);
    free(block);
    free(rows);
    return s;
}

/* ---- kinds of queries ---- */

const char *bqb_ask_name(bqb_ask a) {
    if (a == BQB_ASK_FULL) return "full";
    if (a == BQB_ASK_SHORT) return "short";
    return bqb_field_name((bqb_field)a);
}

bqb_ask bqb_ask_parse(const char *name) {
    if (!strcmp(name, "full")) return BQB_ASK_FULL;
    if (!strcmp(name, "short")) return BQB_ASK_SHORT;
    bqb_field f = bqb_field_parse(name, strlen(name));
    return f < BQB_FIELDS ? (bqb_ask)f : BQB_ASKS;
}

static bqb_status add_query(bqb_ask_result *r, size_t *cap, const char *text, size_t target, bqb_err *err) {
    if (r->n == *cap) {
        *cap = *cap ? 2 * *cap : 1024;
        char **texts = realloc(r->text, *cap * sizeof *texts);
        if (texts) r->text = texts;
        uint32_t *targets = realloc(r->target, *cap * sizeof *targets);
        if (targets) r->target = targets;
        if (!texts || !targets) return bqb_fail_nomem(err, "queries", *cap * sizeof *texts);
    }
    r->text[r->n] = bqb_strdup(text);
    if (!r->text[r->n]) return bqb_fail_nomem(err, "queries", strlen(text));
    r->target[r->n++] = (uint32_t)target;
    return BQB_OK;
}

/* The queries in gallery order, so that those of one picture stand together. */
static bqb_status collect(bqb_ask_result *r, bqb_ask ask, const bqb_gallery *g, bqb_err *err) {
    bqb_buf text = {.max = 1 << 24};
    size_t cap = 0;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < g->n && !s; i++) {
        const bqb_sample *x = bqb_dataset_at(g->ds, g->sample[i]);
        if (ask == BQB_ASK_SHORT) {
            for (size_t k = 0; k < x->n_queries && !s; k++)
                s = add_query(r, &cap, bqb_dataset_query(g->ds, x->first_query + k), i, err);
            r->left_out += !x->n_queries;
            continue;
        }
        bqb_annotation a = x->note;
        for (size_t f = 0; f < BQB_FIELDS && ask != BQB_ASK_FULL; f++)
            if (f != (size_t)ask) a.field[f] = NULL;
        text.len = 0;
        s = bqb_annotation_text(&text, &a, NULL, err);
        if (!s && text.len) s = add_query(r, &cap, text.data, i, err);
        else r->left_out++;
    }
    bqb_buf_free(&text);
    return s;
}

typedef struct {
    const char *text;
    uint32_t query, target;
} same_text;

static int by_text(const void *a, const void *b) {
    const same_text *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->target > y->target) - (x->target < y->target);
}

/* Every query's own picture, each picture's own queries, and all pictures that share a query's words. */
static bqb_status measure(bqb_ask_result *r, const bqb_gallery *g, const float *q, int threads,
                          bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = r->n, n_places = n > g->n ? n : g->n;
    bqb_place *places = bqb_calloc(n_places, sizeof *places);
    size_t *first = bqb_calloc(n_places + 1, sizeof *first);
    same_text *same = bqb_calloc(n, sizeof *same);
    uint32_t *item = bqb_calloc(n, sizeof *item), *rows = bqb_calloc(n, sizeof *rows);
    float *some = NULL;
    r->top = bqb_calloc(n * TOP, sizeof *r->top);
    bqb_status s = BQB_OK;
    if (!places || !first || !same || !item || !rows || !r->top) s = bqb_fail_nomem(err, "ranks", n * sizeof *same);

    for (size_t i = 0; i <= n && !s; i++) first[i] = i;
    if (!s) s = bqb_rank(places, r->top, TOP, q, n, g->feature, g->n, g->D, first, r->target, threads, progress, ctx, err);
    if (!s) r->to_image = bqb_recall_of(places, n);

    /* Pictures to texts; a picture without a query of this kind is not asked. */
    size_t asked = 0;
    for (size_t i = 0; i < n && !s; i++) {
        item[i] = (uint32_t)i;
        if (!i || r->target[i] != r->target[i - 1]) {
            rows[asked] = r->target[i];
            first[asked++] = i;
        }
    }
    if (!s) {
        first[asked] = n;
        some = bqb_alloc_aligned(asked * g->D, sizeof *some);
        if (!some) s = bqb_fail_nomem(err, "ranks", asked * g->D * sizeof *some);
    }
    for (size_t i = 0; i < asked && !s; i++) memcpy(some + i * g->D, g->feature + rows[i] * g->D, g->D * sizeof *some);
    if (!s) s = bqb_rank(places, NULL, 0, some, asked, q, n, g->D, first, item, threads, progress, ctx, err);
    if (!s) r->to_text = bqb_recall_of(places, asked);

    /* Queries with the same words: one is asked, for all of them. */
    for (size_t i = 0; i < n && !s; i++) same[i] = (same_text){r->text[i], (uint32_t)i, r->target[i]};
    if (!s) qsort(same, n, sizeof *same, by_text);
    free(some);
    some = NULL;
    size_t groups = 0, items = 0;
    for (size_t i = 0; i < n && !s; i++) {
        bool fresh = !i || strcmp(same[i].text, same[i - 1].text) != 0;
        if (fresh) {
            rows[groups] = same[i].query;
            first[groups++] = items;
        }
        if (fresh || same[i].target != same[i - 1].target) item[items++] = same[i].target;
    }
    if (!s && groups == n) r->any = r->to_image;
    else if (!s) {
        first[groups] = items;
        some = bqb_alloc_aligned(groups * g->D, sizeof *some);
        if (!some) s = bqb_fail_nomem(err, "ranks", groups * g->D * sizeof *some);
        for (size_t i = 0; i < groups && !s; i++) memcpy(some + i * g->D, q + rows[i] * g->D, g->D * sizeof *some);
        if (!s) s = bqb_rank(places, NULL, 0, some, groups, g->feature, g->n, g->D, first, item, threads, progress, ctx, err);
        if (!s) r->any = bqb_recall_of(places, groups);
    }
    free(some);
    free(places);
    free(first);
    free(same);
    free(item);
    free(rows);
    return s;
}

bqb_status bqb_ask_run(bqb_ask_result *r, bqb_ask ask, bqb_clip *m, const bqb_wordpiece *wp, const bqb_gallery *g,
                       bqb_progress_fn progress, void *ctx, bqb_err *err) {
    *r = (bqb_ask_result){0};
    bqb_status s = collect(r, ask, g, err);
    if (!s && r->n) {
        float *q = bqb_alloc_aligned(r->n * g->D, sizeof *q);
        if (!q) s = bqb_fail_nomem(err, "query features", r->n * g->D * sizeof *q);
        if (!s) s = bqb_embed_texts(q, m, wp, (const char *const *)r->text, r->n, progress, ctx, err);
        if (!s) s = measure(r, g, q, bqb_clip_threads(m), progress, ctx, err);
        free(q);
    }
    if (s) bqb_ask_free(r);
    return s;
}

void bqb_ask_free(bqb_ask_result *r) {
    for (size_t i = 0; i < r->n; i++) free(r->text[i]);
    free(r->text);
    free(r->target);
    free(r->top);
    *r = (bqb_ask_result){0};
}
