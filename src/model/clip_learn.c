/* What of a StickerCLIP learns, and the optimiser's step over that. */
#include "base/thread.h"
#include "model/clip_internal.h"

static size_t first_of(const bqb_block *b) { return b->ln1.g < b->qkv.w ? b->ln1.g : b->qkv.w; }

static size_t last_of(const bqb_block *b) {
    size_t last = b->ln2.b;
    const size_t others[] = {b->ln1.b, b->qkv.b, b->proj.b, b->fc1.b, b->fc2.b};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) last = others[i] > last ? others[i] : last;
    return last;
}

/* A tower's parameters below this offset are frozen with its lower `blocks` of `layers`. */
static size_t boundary(const bqb_block *block, size_t layers, size_t blocks) {
    if (!blocks) return 0;
    return blocks < layers ? first_of(&block[blocks]) : last_of(&block[layers - 1]) + 1;
}

static void find_learning(bqb_clip *m) {
    m->n_learn = 0;
    for (size_t i = 0; i < m->map.n_params; i++) {
        const bqb_param *p = &m->map.param[i];
        if (p->frozen) continue;
        if (i && m->n_learn && !m->map.param[i - 1].frozen) { /* goes on, over the padding between */
            bqb_run *r = &m->learn[m->n_learn - 1];
            r->n = p->offset + p->n - r->from;
        } else m->learn[m->n_learn++] = (bqb_run){p->offset, p->n};
    }
}

bqb_status bqb_clip_freeze(bqb_clip *m, const bqb_clip_frozen *frozen, bqb_err *err) {
    const bqb_clip_config *c = &m->config;
    bqb_clip_frozen f = *frozen;
    if (f.v_blocks > c->v_layers || f.t_blocks > c->t_layers)
        return bqb_fail(err, BQB_EINVAL, "%zu blocks of the %s tower cannot be frozen, it has %zu",
                        f.v_blocks > c->v_layers ? f.v_blocks : f.t_blocks,
                        f.v_blocks > c->v_layers ? "picture" : "text",
                        f.v_blocks > c->v_layers ? c->v_layers : c->t_layers);
    if (f.towers & BQB_TOWER_IMAGE) f.v_blocks = c->v_layers;
    if (f.towers & BQB_TOWER_TEXT) f.t_blocks = c->t_layers;
    m->frozen = f;
    size_t below_v = boundary(m->map.v_block, c->v_layers, f.v_blocks),
           below_t = boundary(m->map.t_block, c->t_layers, f.t_blocks);
    for (size_t i = 0; i < m->map.n_params; i++) {
        bqb_param *p = &m->map.param[i];
        int tower = m->map.names[i].tower;
        if (tower == BQB_TOWER_BOTH) continue; /* the logit scale always learns */
        p->frozen = (tower & f.towers) || p->offset < (tower == BQB_TOWER_IMAGE ? below_v : below_t);
    }
    find_learning(m);
    return BQB_OK;
}

bqb_clip_frozen bqb_clip_get_frozen(const bqb_clip *m) { return m->frozen; }

size_t bqb_clip_learning_count(const bqb_clip *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->map.n_params; i++) n += m->map.param[i].frozen ? 0 : m->map.param[i].n;
    return n;
}

void bqb_clip_save_memory(bqb_clip *m, size_t chunk, bool checkpoint) {
    m->chunk = chunk;
    m->checkpoint = checkpoint;
}

typedef struct {
    bqb_clip *m;
    const float *grad;
    float *mom, *var;
    const bqb_adamw_config *c;
    bqb_adamw_step step;
} update;

static void update_param(void *ctx, size_t i, int worker) {
    (void)worker;
    const update *u = ctx;
    const bqb_param *p = &u->m->map.param[i];
    if (p->frozen) return;
    u->m->ops->adamw(u->m->weights + p->offset, u->mom + p->offset, u->var + p->offset, u->grad + p->offset,
                     p->decay ? u->step.decay : 0, u->step.step_size, u->step.vscale, u->c->beta1, u->c->beta2, u->c->eps, p->n);
    if (u->m->half) u->m->ops->to_bf16(u->m->half + p->offset, u->m->weights + p->offset, p->n);
}

void bqb_clip_adamw(bqb_clip *m, const float *grad, float *mom, float *var, const bqb_adamw_config *c,
                    uint64_t step_number) {
    update u = {.m = m, .grad = grad, .mom = mom, .var = var, .c = c};
    u.step = bqb_adamw_step_at((double)c->lr, (double)c->weight_decay, (double)c->beta1, (double)c->beta2, step_number);
    bqb_parallel_for(m->map.n_params, m->threads, update_param, &u);
    float *scale = m->weights + m->map.logit_scale;
    if (*scale < 0.0f) *scale = 0.0f;
    if (*scale > 4.6051702f) *scale = 4.6051702f;
    m->id[0] = 0;
    bqb_clip_unpack(m);
}
