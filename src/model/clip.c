/* A StickerCLIP's life: opening, saving, and who computes. Encoding is in
 * clip_encode.c, training in clip_grad.c and clip_learn.c. */
#include "base/fs.h"
#include "base/thread.h"
#include "file/safetensors.h"
#include "file/torch.h"
#include "model/clip_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bqb_precision bqb_precision_best(void) { return bqb_gemm_has_bf16() ? BQB_PREC_BF16 : BQB_PREC_F32; }

const char *bqb_precision_name(bqb_precision p) { return p == BQB_PREC_F32 ? "f32" : "bf16"; }

enum { MAX_THREADS = 256 };

static bqb_status alloc_model(bqb_clip **out, const bqb_clip_config *c, int towers, bqb_precision precision,
                              int threads, bqb_err *err) {
    *out = NULL;
    bqb_clip *m = bqb_calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, "model", sizeof *m);
    m->config = *c;
    m->towers = towers;
    m->precision = precision;
    m->threads = threads <= 0 ? bqb_cpu_count() : threads < MAX_THREADS ? threads : MAX_THREADS;
    m->ops = bqb_ops_best();
    bqb_status s = bqb_layout_new(&m->map, c, err);
    if (!s) {
        /* calloc, so that a tower that is never read costs no memory */
        m->weights = bqb_calloc(m->map.n_floats, sizeof *m->weights);
        if (precision == BQB_PREC_BF16) m->half = bqb_calloc(m->map.n_floats, sizeof *m->half);
        m->worker = bqb_calloc((size_t)m->threads + 1, sizeof *m->worker);
        m->packed = bqb_calloc(m->map.n_linear, sizeof *m->packed);
        m->learn = bqb_calloc(m->map.n_params, sizeof *m->learn);
        if (!m->weights || !m->worker || !m->packed || !m->learn || (precision == BQB_PREC_BF16 && !m->half))
            s = bqb_fail_nomem(err, "model", m->map.n_floats * sizeof *m->weights);
    }
    if (!s) s = bqb_clip_freeze(m, &(bqb_clip_frozen){0}, err);
    if (s) bqb_clip_free(m);
    else *out = m;
    return s;
}

void bqb_clip_free(bqb_clip *m) {
    if (!m) return;
    for (int i = 0; m->worker && i <= m->threads; i++) {
        bqb_gemm_free(m->worker[i].gemm);
        bqb_arena_free(m->worker[i].arena);
        free(m->worker[i].grad);
    }
    free(m->worker);
    bqb_tokenizer_close(m->tokenizer);
    bqb_clip_unpack(m);
    free(m->packed);
    free(m->learn);
    bqb_layout_free(&m->map);
    free(m->weights);
    free(m->half);
    free(m->dir);
    free(m);
}

/* A name for these weights: four mixed sums over the config and a sample of the
 * bytes (training moves every weight, so a sample tells models apart, and a
 * query need not read the other tower). Not a protection against forgery. */
typedef struct {
    uint64_t lane[4];
} fingerprint;

static void absorb(fingerprint *f, const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 4; k++) {
            uint64_t x = (f->lane[k] ^ b[i]) * (0x9e3779b97f4a7c15u + 2 * (uint64_t)k * 0x632be59bd9b4e019u);
            f->lane[k] = x ^ (x >> (23 + k));
        }
}

static void finish_id(bqb_clip *m, fingerprint *f) {
    const bqb_clip_config *c = &m->config;
    /* Value by value: the bytes between a struct's members are anybody's. */
    uint64_t sizes[] = {c->resolution, c->patch,    c->v_width,     c->v_layers, c->v_heads, c->v_mlp,  (uint64_t)c->v_act,
                        c->vocab,      c->t_width,  c->t_layers,    c->t_heads,  c->t_mlp,   (uint64_t)c->t_act,
                        c->t_types,    c->context,  c->t_positions, c->embed};
    float eps[] = {c->v_eps, c->t_eps};
    absorb(f, sizes, sizeof sizes);
    absorb(f, eps, sizeof eps);
    uint64_t causal[] = {(uint64_t)c->t_kind, c->t_eos};
    if (c->t_kind == BQB_TEXT_CAUSAL) absorb(f, causal, sizeof causal);
    for (size_t k = 0; k < 4; k++)
        snprintf(m->id + 16 * k, 17, "%016llx", (unsigned long long)f->lane[k]);
}

enum { SAMPLE_EVERY = 256 * 1024, SAMPLE_BYTES = 32 };

static void id_from_file(bqb_clip *m, const bqb_safetensors *st) {
    fingerprint f = {{1, 2, 3, 4}};
    for (size_t i = 0; i < bqb_safetensors_count(st); i++) {
        const bqb_tensor *t = bqb_safetensors_at(st, i);
        size_t size = t->n * bqb_dtype_size_bytes(t->dtype);
        absorb(&f, t->name, strlen(t->name));
        for (size_t at = 0; at < size; at += SAMPLE_EVERY)
            absorb(&f, (const char *)t->data + at, size - at < SAMPLE_BYTES ? size - at : SAMPLE_BYTES);
    }
    finish_id(m, &f);
}

/* The same as of the file that bqb_clip_save would write. */
static void id_from_block(bqb_clip *m) {
    enum { EVERY = SAMPLE_EVERY / sizeof(float), FLOATS = SAMPLE_BYTES / sizeof(float) };
    fingerprint f = {{1, 2, 3, 4}};
    for (bqb_layout_at t = {0}; bqb_layout_next(&m->map, &t);) {
        absorb(&f, t.name, strlen(t.name));
        for (size_t at = 0; at < t.n; at += EVERY)
            for (size_t e = at; e < t.n && e < at + FLOATS; e++) {
                float x = bqb_layout_element(&m->map, m->weights, &t, e);
                absorb(&f, &x, sizeof x);
            }
    }
    finish_id(m, &f);
}

const char *bqb_clip_id(bqb_clip *m) {
    if (!m->id[0]) id_from_block(m);
    return m->id;
}

static bqb_status load(bqb_clip *m, const bqb_safetensors *st, const char *name, bqb_err *err) {
    bqb_status s = bqb_layout_load(&m->map, m->weights, m->towers, st, err);
    if (s) {
        bqb_err_prefix(err, name);
        return s;
    }
    bqb_clip_weights_changed(m);
    id_from_file(m, st);
    return BQB_OK;
}

static bqb_status check_precision(bqb_precision precision, bqb_err *err) {
    if (precision == BQB_PREC_F32 || bqb_gemm_has_bf16()) return BQB_OK;
    return bqb_fail(err, BQB_EUNSUPPORTED, "this processor has no bf16 products; use f32");
}

bqb_status bqb_clip_new(bqb_clip **out, const bqb_clip_config *config, const char *weights, uint64_t seed,
                        bqb_precision precision, int threads, bqb_err *err) {
    *out = NULL;
    bqb_clip *m = NULL;
    bqb_safetensors *st = NULL;
    bqb_status s = check_precision(precision, err);
    if (!s) s = alloc_model(&m, config, BQB_TOWER_BOTH, precision, threads, err);
    if (!s && weights) {
        s = bqb_weights_open(&st, weights, err);
        if (!s) s = load(m, st, weights, err);
    } else if (!s) {
        s = bqb_layout_init(&m->map, config, m->weights, seed, err);
        if (!s) bqb_clip_weights_changed(m);
    }
    bqb_safetensors_close(st);
    if (s) bqb_clip_free(m);
    else *out = m;
    return s;
}

char *bqb_clip_vocabulary(const bqb_clip_config *c, const char *dir) {
    return bqb_tokenizer_find(dir, c->t_kind == BQB_TEXT_CAUSAL);
}

static bqb_status open_tokenizer(bqb_clip *m, const char *dir, bqb_err *err) {
    char *path = bqb_clip_vocabulary(&m->config, dir);
    if (!path) return bqb_fail_nomem(err, dir, 0);
    bool bpe = m->config.t_kind == BQB_TEXT_CAUSAL;
    bqb_status s = bqb_tokenizer_open(&m->tokenizer, path, err);
    if (!s && bqb_tokenizer_is_bpe(m->tokenizer) != bpe)
        s = bqb_fail(err, BQB_EFORMAT, "%s: holds %s, the model's text tower needs %s", path, bpe ? "WordPiece" : "byte-level BPE",
                     bpe ? "byte-level BPE" : "WordPiece");
    if (!s && bqb_tokenizer_size(m->tokenizer) > m->config.vocab)
        s = bqb_fail(err, BQB_EFORMAT, "%s: has %zu tokens, the model's embedding only %zu", path,
                     bqb_tokenizer_size(m->tokenizer), m->config.vocab);
    if (!s && m->config.t_kind == BQB_TEXT_CAUSAL && m->config.t_eos != 2 &&
        m->config.t_eos != (size_t)bqb_tokenizer_pad(m->tokenizer))
        s = bqb_fail(err, BQB_EFORMAT, "%s: texts end with token %d, by config.json's \"eos_token_id\" with %zu", path,
                     (int)bqb_tokenizer_pad(m->tokenizer), m->config.t_eos);
    free(path);
    return s;
}

bqb_status bqb_clip_open(bqb_clip **out, const char *dir, int towers, bqb_precision precision, int threads,
                         bqb_err *err) {
    *out = NULL;
    if (!bqb_is_dir(dir)) return bqb_fail(err, BQB_ENOTFOUND, "%s: no such model folder", dir);
    bqb_clip *m = NULL;
    bqb_safetensors *st = NULL;
    bqb_clip_config config;
    char *path = bqb_path_join(dir, "config.json");
    bqb_status s = path ? check_precision(precision, err) : bqb_fail_nomem(err, dir, 0);
    if (!s) s = bqb_clip_config_read(&config, path, err);
    if (!s) {
        s = alloc_model(&m, &config, towers, precision, threads, err);
        if (s == BQB_EINVAL) bqb_err_prefix(err, path);
    }
    if (!s && towers & BQB_TOWER_TEXT) s = open_tokenizer(m, dir, err);
    if (!s) s = bqb_weights_open_folder(&st, dir, err);
    if (!s) s = load(m, st, dir, err);
    if (!s && !(m->dir = bqb_strdup(dir))) s = bqb_fail_nomem(err, dir, 0);
    bqb_safetensors_close(st);
    free(path);
    if (s) bqb_clip_free(m);
    else *out = m;
    return s;
}

/* Hugging Face's config.json, with what only we need at its top level. */
static bqb_status write_config(const bqb_clip_config *c, const char *path, bqb_err *err) {
    static const char *const act[] = {"", "quick_gelu", "gelu"};
    bool causal = c->t_kind == BQB_TEXT_CAUSAL;
    const char *type = causal ? "clip" : "chinese_clip";
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, err);
    if (s) return s;
    s = bqb_outfile_printf(
        &o, err,
        "{\n  \"model_type\": \"%s\",\n  \"architectures\": [\"%s\"],\n"
        "  \"projection_dim\": %zu,\n  \"logit_scale_init_value\": 2.6592,\n  \"context_length\": %zu,\n"
        "  \"text_config\": {\n    \"model_type\": \"%s_text_model\",\n    \"vocab_size\": %zu,\n"
        "    \"hidden_size\": %zu,\n    \"num_hidden_layers\": %zu,\n    \"num_attention_heads\": %zu,\n"
        "    \"intermediate_size\": %zu,\n    \"hidden_act\": \"%s\",\n    \"max_position_embeddings\": %zu,\n"
        "    \"layer_norm_eps\": %g,\n",
        type, causal ? "CLIPModel" : "ChineseCLIPModel", c->embed, c->context, type, c->vocab, c->t_width, c->t_layers,
        c->t_heads, c->t_mlp, act[c->t_act], c->t_positions, (double)c->t_eps);
    if (!s && causal)
        s = bqb_outfile_printf(&o, err,
                               "    \"projection_dim\": %zu,\n    \"bos_token_id\": %zu,\n    \"eos_token_id\": %zu,\n"
                               "    \"pad_token_id\": %zu\n  },\n",
                               c->embed, c->t_bos, c->t_eos, c->t_pad);
    else if (!s)
        s = bqb_outfile_printf(&o, err, "    \"type_vocab_size\": %zu,\n    \"pad_token_id\": 0\n  },\n", c->t_types);
    if (!s)
        s = bqb_outfile_printf(
            &o, err,
            "  \"vision_config\": {\n    \"model_type\": \"%s_vision_model\",\n    \"projection_dim\": %zu,\n"
            "    \"hidden_size\": %zu,\n"
            "    \"num_hidden_layers\": %zu,\n    \"num_attention_heads\": %zu,\n    \"intermediate_size\": %zu,\n"
            "    \"num_channels\": 3,\n    \"image_size\": %zu,\n    \"patch_size\": %zu,\n"
            "    \"hidden_act\": \"%s\",\n    \"layer_norm_eps\": %g\n  }\n}\n",
            type, c->embed, c->v_width, c->v_layers, c->v_heads, c->v_mlp, c->resolution, c->patch, act[c->v_act],
            (double)c->v_eps);
    if (!s) s = bqb_outfile_commit(&o, err);
    bqb_outfile_abort(&o);
    return s;
}

bqb_status bqb_clip_save(const bqb_clip *m, const char *dir, bool half, const char *vocab_path, bqb_err *err) {
    if (m->towers != BQB_TOWER_BOTH) return bqb_fail(err, BQB_EINVAL, "%s: only one tower is loaded", dir);
    bqb_status s = bqb_make_dirs(dir, err);
    char *config = bqb_path_join(dir, "config.json"), *weights = bqb_path_join(dir, "model.safetensors"),
         *own = m->dir ? bqb_clip_vocabulary(&m->config, m->dir) : NULL;
    if (!vocab_path) vocab_path = own;
    if (!s && (!config || !weights)) s = bqb_fail_nomem(err, dir, 0);
    if (!s) s = write_config(&m->config, config, err);
    if (!s && vocab_path) s = bqb_tokenizer_copy(vocab_path, dir, err);
    if (!s) s = bqb_layout_save(&m->map, m->weights, weights, half, false, err);
    free(config);
    free(weights);
    free(own);
    return s;
}

const bqb_clip_config *bqb_clip_get_config(const bqb_clip *m) { return &m->config; }
const bqb_tokenizer *bqb_clip_tokenizer(const bqb_clip *m) { return m->tokenizer; }
bqb_precision bqb_clip_precision(const bqb_clip *m) { return m->precision; }
int bqb_clip_threads(const bqb_clip *m) { return m->threads; }
size_t bqb_clip_param_count(const bqb_clip *m) { return m->map.n_params; }
const bqb_param *bqb_clip_param(const bqb_clip *m, size_t i) { return &m->map.param[i]; }
size_t bqb_clip_float_count(const bqb_clip *m) { return m->map.n_floats; }
float *bqb_clip_weights(bqb_clip *m) { return m->weights; }
float *bqb_clip_logit_scale(bqb_clip *m) { return m->weights + m->map.logit_scale; }

typedef struct {
    bqb_clip *m;
    size_t per;
} refresh;

static void refresh_part(void *ctx, size_t i, int worker) {
    (void)worker;
    const refresh *r = ctx;
    size_t from = i * r->per, end = r->m->map.n_floats, n = from + r->per < end ? r->per : end - from;
    r->m->ops->to_bf16(r->m->half + from, r->m->weights + from, n);
}

/* Bring up to date the copies of what is loaded. The towers lie one after the
 * other, so a tower that is absent is a range of zeros, left alone. */
void bqb_clip_weights_changed(bqb_clip *m) {
    m->id[0] = 0;
    bqb_clip_unpack(m);
    if (!m->half) return;
    if (m->towers == BQB_TOWER_BOTH) {
        refresh r = {.m = m, .per = (size_t)1 << 20};
        bqb_parallel_for((m->map.n_floats + r.per - 1) / r.per, m->threads, refresh_part, &r);
        return;
    }
    for (size_t i = 0; i < m->map.n_params; i++)
        if (m->map.names[i].tower & m->towers)
            m->ops->to_bf16(m->half + m->map.param[i].offset, m->weights + m->map.param[i].offset, m->map.param[i].n);
}

bqb_status bqb_worker_begin(bqb_clip *m, bqb_worker *w, bqb_pass *p, bool keep_arena) {
    memset(p, 0, sizeof *p);
    int threads = w == &m->worker[m->threads] ? m->threads : 1;
    if (!w->gemm && !w->status) w->status = bqb_gemm_new(&w->gemm, threads, &w->err);
    if (!w->arena && !w->status && !(w->arena = bqb_arena_new())) w->status = bqb_fail_nomem(&w->err, "arena", 0);
    if (w->status) return w->status;
    if (!keep_arena) bqb_arena_reset(w->arena);
    bqb_gemm_enter(w->gemm);
    *p = (bqb_pass){.ops = m->ops, .gemm = w->gemm, .arena = w->arena, .num = (bqb_num)m->precision,
                    .weights = m->weights, .half = m->half};
    return BQB_OK;
}

bqb_status bqb_worker_end(bqb_clip *m, bqb_worker *w, const bqb_pass *p) {
    (void)m;
    if (!w->status) w->status = bqb_gemm_status(w->gemm, &w->err);
    if (!w->status && p->no_memory)
        w->status = bqb_fail_nomem(&w->err, "activations", bqb_arena_size_bytes(w->arena));
    return w->status;
}

bqb_status bqb_workers_status(bqb_clip *m, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int i = 0; i <= m->threads; i++) {
        bqb_worker *w = &m->worker[i];
        if (w->status && !s) {
            s = w->status;
            if (err) *err = w->err;
        }
        w->status = BQB_OK;
    }
    return s;
}

enum { PACK_FROM_ROWS = 48 };

static bqb_status pack_linear(bqb_clip *m, const bqb_linear *l, bqb_gemm *g, bqb_err *err) {
    const void *w = m->half ? (const void *)(m->half + l->w) : (const void *)(m->weights + l->w);
    return bqb_gemm_pack(&m->packed[l->number], g, w, (bqb_num)m->precision, BQB_PASS_ROWS, l->out, l->in, err);
}

bqb_status bqb_clip_pack(bqb_clip *m, int tower, size_t rows, bqb_err *err) {
    bool image = tower == BQB_TOWER_IMAGE;
    size_t layers = image ? m->config.v_layers : m->config.t_layers, *seen = &m->encoded[image ? 0 : 1];
    const bqb_block *block = image ? m->map.v_block : m->map.t_block;
    *seen += rows;
    if (*seen < PACK_FROM_ROWS || m->packed[block->qkv.number]) return BQB_OK;
    bqb_worker *w = &m->worker[m->threads];
    bqb_pass p;
    if (bqb_worker_begin(m, w, &p, false)) return bqb_workers_status(m, err);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < layers && !s; i++) {
        s = pack_linear(m, &block[i].qkv, p.gemm, err);
        if (!s) s = pack_linear(m, &block[i].proj, p.gemm, err);
        if (!s) s = pack_linear(m, &block[i].fc1, p.gemm, err);
        if (!s) s = pack_linear(m, &block[i].fc2, p.gemm, err);
    }
    return s;
}

void bqb_clip_unpack(bqb_clip *m) {
    for (size_t i = 0; m->packed && i < m->map.n_linear; i++) {
        bqb_packed_free(m->packed[i]);
        m->packed[i] = NULL;
    }
    m->encoded[0] = m->encoded[1] = 0;
}

enum { WIDE_FROM_FLOATS = 16 << 20 };

bool bqb_worth_wide(const bqb_clip *m, int tower) {
    const bqb_clip_config *c = &m->config;
    size_t C = tower == BQB_TOWER_IMAGE ? c->v_width : c->t_width, mlp = tower == BQB_TOWER_IMAGE ? c->v_mlp : c->t_mlp;
    size_t layers = tower == BQB_TOWER_IMAGE ? c->v_layers : c->t_layers;
    return m->threads > 1 && layers * C * (4 * C + 2 * mlp) >= WIDE_FROM_FLOATS;
}

bqb_status bqb_check_tower(const bqb_clip *m, int tower, bqb_err *err) {
    if (m->towers & tower) return BQB_OK;
    return bqb_fail(err, BQB_EINVAL, "the model was opened without its %s tower",
                    tower == BQB_TOWER_IMAGE ? "picture" : "text");
}

/* Tokens before the padding. */
static size_t unpadded(const int32_t *ids, size_t L, int32_t pad) {
    while (L > 1 && ids[L - 1] == pad) L--;
    return L;
}

/* Tokens up to the one that is a causal tower's feature. Published configs with 2 mean
 * the highest id, which is the end token's; Hugging Face reads them so. */
static size_t up_to_end(const int32_t *ids, size_t L, size_t end) {
    size_t best = 0;
    for (size_t i = 0; i < L; i++) {
        if (end != 2 && ids[i] == (int32_t)end) return i + 1;
        if (end == 2 && ids[i] > ids[best]) best = i;
    }
    return best + 1;
}

bqb_status bqb_check_tokens(const bqb_clip *m, uint32_t *len, const int32_t *ids, size_t N, size_t L, bqb_err *err) {
    const bqb_clip_config *c = &m->config;
    int32_t pad = m->tokenizer ? bqb_tokenizer_pad(m->tokenizer) : 0;
    if (!L || L > c->t_positions)
        return bqb_fail(err, BQB_EINVAL, "%zu tokens a text, the model has room for 1 … %zu", L, c->t_positions);
    for (size_t n = 0; n < N; n++, ids += L) {
        len[n] = (uint32_t)(c->t_kind == BQB_TEXT_CAUSAL ? up_to_end(ids, L, c->t_eos) : unpadded(ids, L, pad));
        for (size_t i = 0; i < L; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= c->vocab)
                return bqb_fail(err, BQB_EINVAL, "token id %ld is outside the vocabulary of %zu", (long)ids[i], c->vocab);
    }
    return BQB_OK;
}
