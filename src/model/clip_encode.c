/* Encoding: pictures and texts to unit vectors, shared out over workers. */
#include "base/thread.h"
#include "image/decode.h"
#include "model/clip_internal.h"

#include <stdlib.h>
#include <string.h>

/* Damaged weights make features that are no numbers; nobody should rank by them. */
static bqb_status unit_rows(bqb_clip *m, float *out, float *rnorm, size_t N, const char *what, bqb_err *err) {
    m->ops->l2norm_fwd(out, rnorm, out, N, m->config.embed);
    for (size_t i = 0; i < N; i++)
        if (!(rnorm[i] > 0.0f && rnorm[i] < 1e12f))
            return bqb_fail(err, BQB_EFORMAT, "%s: the model gives no unit vector for %s: its weights are damaged",
                            m->dir ? m->dir : "model", what);
    return BQB_OK;
}

/* Work cut into jobs; every job is one pass. */
typedef struct {
    bqb_clip *m;
    float *feature;      /* [rows,D] */
    float *before;       /* [rows,C] frames' features before the projection; NULL: not wanted */
    size_t per_job, n;   /* rows a job, rows in all */
    const uint8_t *const *frame; /* [n] frames of [R,R,3], or NULL for texts */
    const int32_t *ids;          /* [N,L] */
    size_t L;
    const uint32_t *len, *order; /* of the texts, and the order by length */
    bool wide;
} encode_job;

static bqb_worker *worker_of(const encode_job *j, int worker) {
    return &j->m->worker[j->wide ? j->m->threads : worker];
}

static void encode_frames(void *ctx, size_t i, int worker) {
    const encode_job *j = ctx;
    bqb_clip *m = j->m;
    bqb_worker *w = worker_of(j, worker);
    bqb_pass p;
    if (bqb_worker_begin(m, w, &p, false)) return;
    p.packed = m->packed;
    size_t from = i * j->per_job, n = from + j->per_job < j->n ? j->per_job : j->n - from;
    size_t R = m->config.resolution, size = 3 * R * R;
    float *pixels = BQB_TAKE(&p, n * size);
    for (size_t k = 0; pixels && k < n; k++) bqb_image_normalise(pixels + k * size, j->frame[from + k], 1, R);
    bqb_frames f = {.pixels = pixels, .n = n};
    if (pixels) bqb_vit_features(&p, &m->map, &m->config, j->feature + from * m->config.embed,
                                 j->before ? j->before + from * m->config.v_width : NULL, &f);
    bqb_worker_end(m, w, &p);
}

/* Rows a job: at most a pass's worth, and small enough that every worker gets some. */
static size_t share(size_t n, size_t most, int threads) {
    size_t each = (n + (size_t)threads - 1) / (size_t)threads;
    if (most < 1) most = 1;
    return each < most ? (each ? each : 1) : most;
}

/* out[N,W] = mean over each picture's three frames of the distinct ones' rows; at: which of them each frame is. */
static void mean_of_frames(float *out, const float *row, uint8_t (*at)[3], size_t N, size_t W) {
    for (size_t i = 0; i < N; i++, out += W) {
        size_t distinct = 1;
        memset(out, 0, W * sizeof *out);
        for (size_t k = 0; k < 3; k++) {
            const float *from = row + at[i][k] * W;
            if (at[i][k] + 1u > distinct) distinct = at[i][k] + 1u;
            for (size_t d = 0; d < W; d++) out[d] += from[d] * (1.0f / 3.0f);
        }
        row += distinct * W;
    }
}

bqb_status bqb_clip_encode_images(bqb_clip *m, float *out, const uint8_t *rgb, size_t N, bqb_err *err) {
    return bqb_clip_image_features(m, out, NULL, rgb, N, err);
}

bqb_status bqb_clip_image_features(bqb_clip *m, float *out, float *before, const uint8_t *rgb, size_t N, bqb_err *err) {
    bqb_status s = bqb_check_tower(m, BQB_TOWER_IMAGE, err);
    if (s || !N) return s;
    size_t R = m->config.resolution, D = m->config.embed, size = 3 * R * R, grid = R / m->config.patch;
    const uint8_t **frame = bqb_calloc(N * 3, sizeof *frame);
    uint8_t(*at)[3] = bqb_calloc(N, sizeof *at); /* which distinct frame of its picture each frame is */
    float *feature = bqb_alloc_aligned(N * 3 * D, sizeof *feature);
    float *wide = before ? bqb_alloc_aligned(N * 3 * m->config.v_width, sizeof *wide) : NULL;
    float *rnorm = bqb_calloc(N, sizeof *rnorm);
    if (!frame || !at || !feature || !rnorm || (before && !wide)) {
        s = bqb_fail_nomem(err, "pictures to encode", N * 3 * (D + (before ? m->config.v_width : 0)) * sizeof *feature);
        goto done;
    }
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        const uint8_t *f[3] = {rgb + 3 * i * size, rgb + (3 * i + 1) * size, rgb + (3 * i + 2) * size};
        size_t first = n;
        for (size_t k = 0; k < 3; k++) {
            size_t d = first;
            while (d < n && memcmp(frame[d], f[k], size)) d++;
            if (d == n) frame[n++] = f[k];
            at[i][k] = (uint8_t)(d - first);
        }
    }
    s = bqb_clip_pack(m, BQB_TOWER_IMAGE, n, err);
    if (s) goto done;
    encode_job j = {.m = m, .feature = feature, .before = wide, .n = n, .frame = frame, .wide = n == 1 && bqb_worth_wide(m, BQB_TOWER_IMAGE)};
    j.per_job = share(n, BQB_PASS_ROWS / (grid * grid + 1), m->threads);
    bqb_parallel_for((n + j.per_job - 1) / j.per_job, j.wide ? 1 : m->threads, encode_frames, &j);
    s = bqb_workers_status(m, err);
    if (s) goto done;
    mean_of_frames(out, feature, at, N, D);
    if (before) mean_of_frames(before, wide, at, N, m->config.v_width);
    s = unit_rows(m, out, rnorm, N, "a picture", err);
done:
    free(frame);
    free(at);
    free(feature);
    free(wide);
    free(rnorm);
    return s;
}

static void encode_token_rows(void *ctx, size_t i, int worker) {
    const encode_job *j = ctx;
    bqb_clip *m = j->m;
    bqb_worker *w = worker_of(j, worker);
    bqb_pass p;
    if (bqb_worker_begin(m, w, &p, false)) return;
    p.packed = m->packed;
    size_t from = i * j->per_job, n = from + j->per_job < j->n ? j->per_job : j->n - from, D = m->config.embed;
    uint32_t *start = bqb_pass_take(&p, n + 1, sizeof *start);
    int32_t *ids = bqb_pass_take(&p, n * j->L, sizeof *ids);
    float *feature = BQB_TAKE(&p, n * D);
    if (!p.no_memory) {
        start[0] = 0;
        for (size_t k = 0; k < n; k++) {
            size_t row = j->order[from + k];
            memcpy(ids + start[k], j->ids + row * j->L, j->len[row] * sizeof *ids);
            start[k + 1] = start[k] + j->len[row];
        }
        bqb_sequences seq = {.n = n, .start = start};
        bqb_text_fwd(&p, &m->map, &m->config, feature, ids, &seq, NULL, NULL);
        for (size_t k = 0; !p.no_memory && k < n; k++)
            memcpy(j->feature + j->order[from + k] * D, feature + k * D, D * sizeof *feature);
    }
    bqb_worker_end(m, w, &p);
}

/* Rows in order of length (counting sort), so that neighbours share products. */
static void sort_by_length(uint32_t *order, const uint32_t *len, size_t N, uint32_t *count, size_t L) {
    for (size_t i = 0; i < N; i++) count[len[i] + 1]++;
    for (size_t k = 1; k < L + 2; k++) count[k] += count[k - 1];
    for (size_t i = 0; i < N; i++) order[count[len[i]]++] = (uint32_t)i;
}

bqb_status bqb_clip_encode_tokens(bqb_clip *m, float *out, const int32_t *ids, size_t N, size_t L, bqb_err *err) {
    bqb_status s = bqb_check_tower(m, BQB_TOWER_TEXT, err);
    if (s || !N) return s;
    uint32_t *len = bqb_calloc(N, sizeof *len), *order = bqb_calloc(N, sizeof *order),
             *count = bqb_calloc(L + 2, sizeof *count);
    float *rnorm = bqb_calloc(N, sizeof *rnorm);
    if (!len || !order || !count || !rnorm) s = bqb_fail_nomem(err, "texts to encode", N * 12);
    if (!s) s = bqb_check_tokens(m, len, ids, N, L, err);
    if (!s) s = bqb_clip_pack(m, BQB_TOWER_TEXT, N, err);
    if (!s) {
        sort_by_length(order, len, N, count, L);
        encode_job j = {.m = m, .feature = out, .n = N, .ids = ids, .L = L, .len = len, .order = order,
                    .wide = N == 1 && bqb_worth_wide(m, BQB_TOWER_TEXT)};
        j.per_job = share(N, BQB_PASS_ROWS / len[order[N - 1]], m->threads);
        bqb_parallel_for((N + j.per_job - 1) / j.per_job, j.wide ? 1 : m->threads, encode_token_rows, &j);
        s = bqb_workers_status(m, err);
    }
    if (!s) s = unit_rows(m, out, rnorm, N, "a text", err);
    free(len);
    free(order);
    free(count);
    free(rnorm);
    return s;
}

bqb_status bqb_clip_encode_texts(bqb_clip *m, float *out, const char *const *texts, size_t N, bqb_err *err) {
    if (!m->tokenizer) return bqb_fail(err, BQB_EINVAL, "the model was opened without a tokenizer");
    size_t L = m->config.context;
    int32_t *ids = bqb_calloc(N * L, sizeof *ids);
    if (!ids) return bqb_fail_nomem(err, "texts to encode", N * L * sizeof *ids);
    for (size_t i = 0; i < N; i++) bqb_tokenizer_encode(m->tokenizer, ids + i * L, L, texts[i], strlen(texts[i]));
    bqb_status s = bqb_clip_encode_tokens(m, out, ids, N, L, err);
    free(ids);
    return s;
}

bqb_status bqb_clip_trace_images(bqb_clip *m, float **rows, const float *pixels, size_t F, bqb_err *err) {
    bqb_worker *w = &m->worker[m->threads];
    bqb_trace trace = {.rows = rows};
    bqb_pass p;
    if (!bqb_worker_begin(m, w, &p, false)) {
        float *feature = BQB_TAKE(&p, F * m->config.embed);
        bqb_frames f = {.pixels = pixels, .n = F};
        if (feature) bqb_vit_fwd(&p, &m->map, &m->config, feature, &f, NULL, &trace);
        bqb_worker_end(m, w, &p);
    }
    return bqb_workers_status(m, err);
}

bqb_status bqb_clip_trace_tokens(bqb_clip *m, float **rows, const int32_t *ids, size_t N, size_t L, bqb_err *err) {
    bqb_worker *w = &m->worker[m->threads];
    bqb_trace trace = {.rows = rows};
    bqb_pass p;
    bqb_status s = BQB_OK;
    if (!bqb_worker_begin(m, w, &p, false)) {
        uint32_t *start = bqb_pass_take(&p, N + 1, sizeof *start), *keys = bqb_pass_take(&p, N, sizeof *keys);
        float *feature = BQB_TAKE(&p, N * m->config.embed);
        if (!p.no_memory) s = bqb_check_tokens(m, keys, ids, N, L, err);
        if (!p.no_memory && !s) {
            for (size_t i = 0; i <= N; i++) start[i] = (uint32_t)(i * L);
            bqb_sequences seq = {.n = N, .start = start, .keys = keys};
            bqb_text_fwd(&p, &m->map, &m->config, feature, ids, &seq, NULL, &trace);
        }
        bqb_worker_end(m, w, &p);
    }
    bqb_status failed = bqb_workers_status(m, err);
    return s ? s : failed;
}
