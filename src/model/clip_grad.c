/* One training step: the batch is cut into one shard a worker, a shard into
 * pieces that are one pass each. Every piece runs forward and keeps its
 * activations; the loss joins all features; every piece runs backward into its
 * worker's gradient block; the blocks are summed in worker order, so that a step
 * is repeatable to the bit. With gradient caching the first forward keeps
 * nothing, and each piece runs forward once more just before its backward. */
#include "base/thread.h"
#include "model/clip_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    bqb_vit_saved *vit;
    bqb_text_saved *bert;
    size_t from, n; /* frames of the batch, or places in the shard's text order */
} piece;

typedef struct {
    size_t picture, end;     /* pictures of this shard */
    size_t frame, frame_end; /* their frames */
    uint32_t *order;         /* the shard's texts by length: rows of the batch */
    piece *vit, *bert;
    size_t n_vit, n_bert;
    bqb_pass pass;
} shard;

typedef struct {
    bqb_clip *m;
    const bqb_clip_batch *b;
    const uint32_t *len; /* [N] tokens of each text */
    float *frame_feature, *dframe;   /* [P,D] */
    float *text_feature, *dtext;     /* [N,D] */
    float *grad;
    shard *shard;
    size_t shards;
    bool backward;
} step;

static size_t frames_of(const bqb_clip_batch *b, size_t i) { return b->frames ? b->frames[i] : 3; }

static bool learns(const step *st, int tower) { return st->backward && !(st->m->frozen.towers & tower); }

/* Whether the first forward of a tower keeps what its backward needs. */
static bool keeps(const step *st, int tower) { return learns(st, tower) && !st->m->chunk; }

static size_t at_most(const step *st, size_t n) { return st->m->chunk && st->m->chunk < n ? st->m->chunk : n; }

/* Texts of the shard sorted by length, cut where a pass is full. Insertion sort
 * keeps it stable, and is milliseconds for thousands. */
static bool plan_texts(step *st, shard *h) {
    size_t n = h->end - h->picture, most = at_most(st, n);
    h->order = bqb_pass_take(&h->pass, n, sizeof *h->order);
    h->bert = bqb_pass_take(&h->pass, n, sizeof *h->bert);
    if (h->pass.no_memory) return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = (uint32_t)(h->picture + i);
        size_t k = i;
        for (; k > 0 && st->len[h->order[k - 1]] > st->len[row]; k--) h->order[k] = h->order[k - 1];
        h->order[k] = row;
    }
    for (size_t i = 0; i < n;) {
        piece *c = &h->bert[h->n_bert++];
        *c = (piece){.from = i};
        for (size_t rows = 0; i < n && c->n < most && (c->n == 0 || rows + st->len[h->order[i]] <= BQB_PASS_ROWS); i++) {
            rows += st->len[h->order[i]];
            c->n++;
        }
    }
    return true;
}

static bool plan_frames(step *st, shard *h) {
    const bqb_clip_config *c = &st->m->config;
    size_t grid = c->resolution / c->patch, T = 1 + (st->b->keep ? st->b->n_keep : grid * grid);
    size_t most = at_most(st, BQB_PASS_ROWS / T ? BQB_PASS_ROWS / T : 1), n = h->frame_end - h->frame;
    h->vit = bqb_pass_take(&h->pass, (n + most - 1) / most, sizeof *h->vit);
    if (!h->vit) return false;
    for (size_t i = 0; i < n; i += most)
        h->vit[h->n_vit++] = (piece){.from = h->frame + i, .n = i + most < n ? most : n - i};
    return true;
}

static void to_f32(const bqb_ops *ops, float *out, const void *x, bqb_num num, size_t n) {
    if (num == BQB_NUM_F32) memcpy(out, x, n * sizeof *out);
    else ops->from_bf16(out, x, n);
}

/* The features of a piece's frames; what backward needs is kept in the piece when `keep`. */
static void forward_frames(step *st, shard *h, piece *c, bool keep) {
    const bqb_clip *m = st->m;
    const bqb_clip_batch *b = st->b;
    bqb_pass *p = &h->pass;
    size_t R = m->config.resolution, D = m->config.embed, size = 3 * R * R;
    float *feature = st->frame_feature + c->from * D;
    bqb_vit_saved **saved = keep ? &c->vit : NULL;
    p->frozen = m->frozen.v_blocks;
    if (b->image_trunk) {
        bqb_clip_trunk_shape t = bqb_clip_image_trunk_shape(m);
        bool done = m->frozen.towers & BQB_TOWER_IMAGE;
        float *x = done ? feature : BQB_TAKE(p, c->n * t.rows * t.width);
        for (size_t f = 0; x && f < c->n; f++)
            to_f32(p->ops, x + f * t.rows * t.width, b->image_trunk[c->from + f], b->trunk, t.rows * t.width);
        if (x && !done) bqb_vit_top(p, &m->map, &m->config, feature, x, c->n, saved);
        return;
    }
    bqb_frames f = {.pixels = b->pixels ? b->pixels + c->from * size : NULL, .rgb = b->rgb ? b->rgb + c->from * size : NULL,
                    .keep = b->keep ? b->keep + c->from * b->n_keep : NULL, .n_keep = b->n_keep, .n = c->n};
    bqb_vit_fwd(p, &m->map, &m->config, feature, &f, saved, NULL);
}

static void forward_texts(step *st, shard *h, piece *c, bool keep) {
    const bqb_clip *m = st->m;
    const bqb_clip_batch *b = st->b;
    bqb_pass *p = &h->pass;
    size_t D = m->config.embed, rows = 0;
    for (size_t k = 0; k < c->n; k++) rows += st->len[h->order[c->from + k]];
    uint32_t *start = bqb_pass_take(p, c->n + 1, sizeof *start);
    int32_t *ids = bqb_pass_take(p, rows, sizeof *ids);
    float *feature = BQB_TAKE(p, c->n * D);
    if (p->no_memory) return;
    start[0] = 0;
    for (size_t k = 0; k < c->n; k++) {
        size_t row = h->order[c->from + k];
        memcpy(ids + start[k], b->ids + row * b->L, st->len[row] * sizeof *ids);
        start[k + 1] = start[k] + st->len[row];
    }
    bqb_sequences seq = {.n = c->n, .start = start};
    bqb_text_saved **saved = keep ? &c->bert : NULL;
    p->frozen = m->frozen.t_blocks;
    if (b->text_trunk) {
        size_t width = bqb_clip_text_trunk_shape(m, b->L).width;
        bool done = m->frozen.towers & BQB_TOWER_TEXT, one = m->frozen.t_blocks == m->config.t_layers;
        float *x = done ? feature : BQB_TAKE(p, (one ? c->n : rows) * width);
        for (size_t k = 0; x && k < c->n; k++)
            to_f32(p->ops, x + (one ? k : start[k]) * width, b->text_trunk[h->order[c->from + k]], b->trunk,
                   (one ? 1 : start[k + 1] - start[k]) * width);
        if (x && !done) bqb_text_top(p, &m->map, &m->config, feature, x, &seq, saved);
    } else bqb_text_fwd(p, &m->map, &m->config, feature, ids, &seq, saved, NULL);
    if (p->no_memory) return;
    for (size_t k = 0; k < c->n; k++)
        memcpy(st->text_feature + h->order[c->from + k] * D, feature + k * D, D * sizeof *feature);
}

/* Gradient caching goes the way that keeps, although nothing is: the kernels that keep
 * nothing round otherwise, and the features must be those that backward starts from. */
static void forward(void *ctx, size_t i, int worker) {
    (void)worker;
    step *st = ctx;
    shard *h = &st->shard[i];
    bqb_clip *m = st->m;
    if (bqb_worker_begin(m, &m->worker[i], &h->pass, false)) return;
    h->pass.checkpoint = m->checkpoint;
    if (plan_frames(st, h) && plan_texts(st, h)) {
        for (size_t k = 0; k < h->n_vit; k++) {
            bqb_arena_mark mark = bqb_arena_save(h->pass.arena);
            forward_frames(st, h, &h->vit[k], learns(st, BQB_TOWER_IMAGE));
            if (!keeps(st, BQB_TOWER_IMAGE)) bqb_arena_release(h->pass.arena, mark);
        }
        for (size_t k = 0; k < h->n_bert; k++) {
            bqb_arena_mark mark = bqb_arena_save(h->pass.arena);
            forward_texts(st, h, &h->bert[k], learns(st, BQB_TOWER_TEXT));
            if (!keeps(st, BQB_TOWER_TEXT)) bqb_arena_release(h->pass.arena, mark);
        }
    }
    bqb_worker_end(m, &m->worker[i], &h->pass);
}

static void backward_texts(step *st, shard *h, const piece *c) {
    size_t D = st->m->config.embed;
    float *d = BQB_TAKE(&h->pass, c->n * D);
    if (!d) return;
    for (size_t r = 0; r < c->n; r++) memcpy(d + r * D, st->dtext + h->order[c->from + r] * D, D * sizeof *d);
    h->pass.frozen = st->m->frozen.t_blocks;
    bqb_text_bwd(&h->pass, &st->m->map, &st->m->config, d, c->bert);
}

static void backward(void *ctx, size_t i, int worker) {
    (void)worker;
    step *st = ctx;
    shard *h = &st->shard[i];
    bqb_clip *m = st->m;
    bqb_worker *w = &m->worker[i];
    if (bqb_worker_begin(m, w, &h->pass, true)) return;
    h->pass.checkpoint = m->checkpoint;
    h->pass.grad = i ? w->grad : st->grad;
    for (size_t k = 0; i && k < m->n_learn; k++) memset(w->grad + m->learn[k].from, 0, m->learn[k].n * sizeof *w->grad);
    for (size_t k = 0; k < h->n_vit && learns(st, BQB_TOWER_IMAGE); k++) {
        bqb_arena_mark mark = bqb_arena_save(h->pass.arena);
        if (m->chunk) forward_frames(st, h, &h->vit[k], true);
        h->pass.frozen = m->frozen.v_blocks;
        if (!h->pass.no_memory)
            bqb_vit_bwd(&h->pass, &m->map, &m->config, st->dframe + h->vit[k].from * m->config.embed, h->vit[k].vit);
        bqb_arena_release(h->pass.arena, mark);
    }
    for (size_t k = 0; k < h->n_bert && learns(st, BQB_TOWER_TEXT); k++) {
        bqb_arena_mark mark = bqb_arena_save(h->pass.arena);
        if (m->chunk) forward_texts(st, h, &h->bert[k], true);
        if (!h->pass.no_memory) backward_texts(st, h, &h->bert[k]);
        bqb_arena_release(h->pass.arena, mark);
    }
    bqb_worker_end(m, w, &h->pass);
}

typedef struct {
    const step *st;
    bqb_run run;
    size_t per;
} gather;

static void sum_part(void *ctx, size_t i, int worker) {
    (void)worker;
    const gather *g = ctx;
    const bqb_clip *m = g->st->m;
    size_t from = i * g->per, left = g->run.n - from, n = left < g->per ? left : g->per;
    from += g->run.from;
    for (size_t k = 1; k < g->st->shards; k++) m->ops->add(g->st->grad + from, m->worker[k].grad + from, n);
}

/* The workers' gradients onto the caller's. */
static void sum_grads(step *st) {
    for (size_t k = 0; k < st->m->n_learn; k++) {
        gather g = {.st = st, .run = st->m->learn[k], .per = (size_t)1 << 18};
        bqb_parallel_for((g.run.n + g.per - 1) / g.per, st->m->threads, sum_part, &g);
    }
}

/* Pictures to shards, so that each has about as many frames. */
static void plan_shards(step *st, size_t P) {
    size_t N = st->b->N, picture = 0, frame = 0;
    for (size_t i = 0; i < st->shards; i++) {
        shard *h = &st->shard[i];
        memset(h, 0, sizeof *h);
        h->picture = picture;
        h->frame = frame;
        size_t goal = P * (i + 1) / st->shards, leave = st->shards - 1 - i;
        while (picture < N - leave && (frame < goal || picture == h->picture)) frame += frames_of(st->b, picture++);
        if (i + 1 == st->shards)
            while (picture < N) frame += frames_of(st->b, picture++);
        h->end = picture;
        h->frame_end = frame;
    }
}

/* Means over frames and unit length, the loss, and the way back to the frames. */
static void join(step *st, bqb_pass *p, float *loss, float *img_out, float *txt_out, float *logits) {
    const bqb_clip_batch *b = st->b;
    size_t N = b->N, D = st->m->config.embed;
    float *img = BQB_TAKE(p, N * D), *txt = BQB_TAKE(p, N * D), *dimg = BQB_TAKE(p, N * D),
          *dtxt = BQB_TAKE(p, N * D), *rimg = BQB_TAKE(p, N), *rtxt = BQB_TAKE(p, N);
    if (p->no_memory) return;
    const float *f = st->frame_feature;
    for (size_t i = 0; i < N; i++) {
        size_t k = frames_of(b, i);
        float part = 1.0f / (float)k;
        for (size_t d = 0; d < D; d++) img[i * D + d] = 0;
        for (size_t r = 0; r < k; r++, f += D)
            for (size_t d = 0; d < D; d++) img[i * D + d] += f[d] * part;
    }
    p->ops->l2norm_fwd(img, rimg, img, N, D);
    p->ops->l2norm_fwd(txt, rtxt, st->text_feature, N, D);
    float dscale = 0;
    bqb_pairs pairs = {.text_group = b->text_group, .image_group = b->image_group};
    bqb_contrastive(p, loss, dimg, dtxt, &dscale, logits, img, txt, &pairs, st->m->weights[st->m->map.logit_scale], N,
                    D);
    if (p->no_memory) return;
    if (img_out) memcpy(img_out, img, N * D * sizeof *img);
    if (txt_out) memcpy(txt_out, txt, N * D * sizeof *txt);
    if (!st->backward) return;
    st->grad[st->m->map.logit_scale] += dscale;
    p->ops->l2norm_bwd(dimg, dimg, img, rimg, N, D);
    p->ops->l2norm_bwd(st->dtext, dtxt, txt, rtxt, N, D);
    float *df = st->dframe;
    for (size_t i = 0; i < N; i++) {
        size_t k = frames_of(b, i);
        float part = 1.0f / (float)k;
        for (size_t r = 0; r < k; r++, df += D)
            for (size_t d = 0; d < D; d++) df[d] = dimg[i * D + d] * part;
    }
}

static bqb_status check_pictures(const bqb_clip *m, const bqb_clip_batch *b, size_t P, bqb_err *err) {
    size_t grid = m->config.resolution / m->config.patch;
    if (!b->pixels + !b->rgb + !b->image_trunk != 2)
        return bqb_fail(err, BQB_EINVAL, "a batch's pictures are needed once: as pixels, rgb or image_trunk");
    if (b->image_trunk && b->keep)
        return bqb_fail(err, BQB_EINVAL, "patches cannot be left out of pictures that start from their trunk");
    if (b->image_trunk && !bqb_clip_image_trunk_shape(m).rows)
        return bqb_fail(err, BQB_EINVAL, "pictures cannot start from their trunk: nothing of the picture tower is frozen");
    if (b->keep && (!b->n_keep || b->n_keep > grid * grid))
        return bqb_fail(err, BQB_EINVAL, "%zu kept patches of %zu", b->n_keep, grid * grid);
    for (size_t i = 0; b->keep && i < P * b->n_keep; i++)
        if (b->keep[i] >= grid * grid)
            return bqb_fail(err, BQB_EINVAL, "kept patch %u of %zu", (unsigned)b->keep[i], grid * grid);
    return BQB_OK;
}

static bqb_status check_batch(const bqb_clip *m, const bqb_clip_batch *b, size_t *P, bqb_err *err) {
    bqb_status s = bqb_check_tower(m, BQB_TOWER_IMAGE, err);
    if (!s) s = bqb_check_tower(m, BQB_TOWER_TEXT, err);
    if (s) return s;
    if (!b->N) return bqb_fail(err, BQB_EINVAL, "a batch needs at least one pair");
    for (size_t i = *P = 0; i < b->N; i++) {
        if (!frames_of(b, i)) return bqb_fail(err, BQB_EINVAL, "picture %zu of the batch has no frame", i);
        *P += frames_of(b, i);
    }
    if (b->text_trunk && !bqb_clip_text_trunk_shape(m, b->L).rows)
        return bqb_fail(err, BQB_EINVAL, "texts cannot start from their trunk: nothing of the text tower is frozen");
    return check_pictures(m, b, *P, err);
}

static bqb_status worker_grads(bqb_clip *m, size_t shards, bqb_err *err) {
    for (size_t i = 1; i < shards; i++)
        if (!m->worker[i].grad && !(m->worker[i].grad = bqb_alloc_aligned(m->map.n_floats, sizeof(float))))
            return bqb_fail_nomem(err, "gradients", m->map.n_floats * sizeof(float));
    return BQB_OK;
}

bqb_status bqb_clip_grad_full(bqb_clip *m, float *grad, float *loss, float *img, float *txt, float *logits,
                              const bqb_clip_batch *batch, bqb_err *err) {
    size_t P = 0, D = m->config.embed, N = batch->N;
    bqb_status s = check_batch(m, batch, &P, err);
    if (s) return s;
    step st = {.m = m, .b = batch, .grad = grad, .backward = grad != NULL};
    st.shards = (size_t)m->threads < N ? (size_t)m->threads : N;
    uint32_t *len = bqb_calloc(N, sizeof *len);
    st.shard = bqb_calloc(st.shards, sizeof *st.shard);
    float *block = bqb_alloc_aligned(2 * (P + N) * D, sizeof *block);
    if (!len || !st.shard || !block) s = bqb_fail_nomem(err, "batch", 2 * (P + N) * D * sizeof *block);
    if (!s) s = bqb_check_tokens(m, len, batch->ids, N, batch->L, err);
    if (!s && grad) s = worker_grads(m, st.shards, err);
    if (s) goto done;
    st.len = len;
    st.frame_feature = block;
    st.dframe = block + P * D;
    st.text_feature = block + 2 * P * D;
    st.dtext = st.text_feature + N * D;
    plan_shards(&st, P);
    bqb_parallel_for(st.shards, m->threads, forward, &st);
    s = bqb_workers_status(m, err);
    if (s) goto done;

    bqb_pass p;
    float l = 0;
    bqb_worker *wide = &m->worker[m->threads];
    if (!bqb_worker_begin(m, wide, &p, false)) {
        join(&st, &p, &l, img, txt, logits);
        bqb_worker_end(m, wide, &p);
    }
    s = bqb_workers_status(m, err);
    if (s) goto done;
    if (loss) *loss = l;
    if (grad) {
        bqb_parallel_for(st.shards, m->threads, backward, &st);
        s = bqb_workers_status(m, err);
        if (!s) sum_grads(&st);
    }
done:
    free(len);
    free(st.shard);
    free(block);
    return s;
}

bqb_status bqb_clip_grad(bqb_clip *m, float *grad, float *loss, const bqb_clip_batch *batch, bqb_err *err) {
    return bqb_clip_grad_full(m, grad, loss, NULL, NULL, NULL, batch, err);
}
