/* What the frozen part of a tower gives, computed once for training to start from. */
#include "base/thread.h"
#include "model/clip_internal.h"

#include <stdlib.h>
#include <string.h>

bqb_clip_trunk_shape bqb_clip_image_trunk_shape(const bqb_clip *m) {
    const bqb_clip_config *c = &m->config;
    size_t grid = c->resolution / c->patch;
    if (m->frozen.towers & BQB_TOWER_IMAGE) return (bqb_clip_trunk_shape){1, c->embed};
    if (!m->frozen.v_blocks) return (bqb_clip_trunk_shape){0, 0};
    return (bqb_clip_trunk_shape){m->frozen.v_blocks < c->v_layers ? 1 + grid * grid : 1, c->v_width};
}

bqb_clip_trunk_shape bqb_clip_text_trunk_shape(const bqb_clip *m, size_t L) {
    const bqb_clip_config *c = &m->config;
    if (m->frozen.towers & BQB_TOWER_TEXT) return (bqb_clip_trunk_shape){1, c->embed};
    if (!m->frozen.t_blocks) return (bqb_clip_trunk_shape){0, 0};
    return (bqb_clip_trunk_shape){m->frozen.t_blocks < c->t_layers ? L : 1, c->t_width};
}

/* One sequence a pass: simple, and done once for all epochs. Whether other rows
 * stand beside it in a product makes no difference but in rounding. */
typedef struct {
    bqb_clip *m;
    char *out;
    bqb_num num;
    const uint8_t *rgb;
    const int32_t *ids;
    const uint32_t *len;
    size_t n, per_job, L;
    bqb_clip_trunk_shape shape;
} job;

static void store(const job *j, bqb_pass *p, size_t row, const float *x, size_t rows) {
    size_t one = j->shape.rows * j->shape.width, n = rows * j->shape.width, e = bqb_num_size_bytes(j->num);
    char *to = j->out + row * one * e;
    bqb_store(p->ops, j->num, to, x, n);
    memset(to + n * e, 0, (one - n) * e);
}

static void trunk_frames(void *ctx, size_t i, int worker) {
    const job *j = ctx;
    bqb_clip *m = j->m;
    bqb_worker *w = &m->worker[worker];
    bqb_pass p;
    if (bqb_worker_begin(m, w, &p, false)) return;
    size_t from = i * j->per_job, n = from + j->per_job < j->n ? j->per_job : j->n - from;
    size_t R = m->config.resolution, size = 3 * R * R, one = j->shape.rows * j->shape.width;
    float *x = BQB_TAKE(&p, n * one);
    bqb_frames f = {.rgb = j->rgb + from * size, .n = n};
    if (!p.no_memory) {
        p.frozen = m->frozen.v_blocks;
        if (m->frozen.towers & BQB_TOWER_IMAGE)
            bqb_vit_fwd(&p, &m->map, &m->config, x, &f, NULL, NULL);
        else bqb_vit_trunk(&p, &m->map, &m->config, x, &f);
    }
    for (size_t k = 0; !p.no_memory && k < n; k++) store(j, &p, from + k, x + k * one, j->shape.rows);
    bqb_worker_end(m, w, &p);
}

static void trunk_text(void *ctx, size_t i, int worker) {
    const job *j = ctx;
    bqb_clip *m = j->m;
    bqb_worker *w = &m->worker[worker];
    bqb_pass p;
    if (bqb_worker_begin(m, w, &p, false)) return;
    size_t rows = j->shape.rows > 1 ? j->len[i] : 1;
    float *x = BQB_TAKE(&p, rows * j->shape.width);
    uint32_t start[2] = {0, j->len[i]};
    bqb_sequences seq = {.n = 1, .start = start};
    p.frozen = m->frozen.t_blocks;
    if (p.no_memory) {
        bqb_worker_end(m, w, &p);
        return;
    }
    if (m->frozen.towers & BQB_TOWER_TEXT)
        bqb_text_fwd(&p, &m->map, &m->config, x, j->ids + i * j->L, &seq, NULL, NULL);
    else bqb_text_trunk(&p, &m->map, &m->config, x, j->ids + i * j->L, &seq);
    if (!p.no_memory) store(j, &p, i, x, rows);
    bqb_worker_end(m, w, &p);
}

bqb_status bqb_clip_trunk_images(bqb_clip *m, void *out, bqb_num num, const uint8_t *rgb, size_t F, bqb_err *err) {
    bqb_status s = bqb_check_tower(m, BQB_TOWER_IMAGE, err);
    if (s) return s;
    job j = {.m = m, .out = out, .num = num, .rgb = rgb, .n = F, .shape = bqb_clip_image_trunk_shape(m)};
    if (!j.shape.rows) return bqb_fail(err, BQB_EINVAL, "nothing of the picture tower is frozen");
    size_t grid = m->config.resolution / m->config.patch;
    j.per_job = BQB_PASS_ROWS / (grid * grid + 1);
    if (!j.per_job) j.per_job = 1;
    bqb_parallel_for((F + j.per_job - 1) / j.per_job, m->threads, trunk_frames, &j);
    return bqb_workers_status(m, err);
}

bqb_status bqb_clip_trunk_tokens(bqb_clip *m, void *out, bqb_num num, const int32_t *ids, size_t N, size_t L,
                                 bqb_err *err) {
    bqb_status s = bqb_check_tower(m, BQB_TOWER_TEXT, err);
    if (s) return s;
    job j = {.m = m, .out = out, .num = num, .ids = ids, .n = N, .L = L, .shape = bqb_clip_text_trunk_shape(m, L)};
    if (!j.shape.rows) return bqb_fail(err, BQB_EINVAL, "nothing of the text tower is frozen");
    uint32_t *len = bqb_calloc(N, sizeof *len);
    if (!len) return bqb_fail_nomem(err, "texts", N * sizeof *len);
    j.len = len;
    s = bqb_check_tokens(m, len, ids, N, L, err);
    if (!s) bqb_parallel_for(N, m->threads, trunk_text, &j);
    if (!s) s = bqb_workers_status(m, err);
    free(len);
    return s;
}
