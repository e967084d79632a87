#include "math/matmul.h"

#include "base/mem.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* oneDNN is usually built on OpenMP, whose thread count belongs to the calling
 * thread. Weak: a oneDNN built on another threading layer has no such symbol. */
extern void omp_set_num_threads(int n) __attribute__((weak));

/* A prepared product. The memory objects are made once and only pointed at
 * other data, which saves several allocations a call. */
typedef struct {
    bqb_product key;
    dnnl_primitive_t run;
    dnnl_memory_t a, b, c, bias, scratch;
    size_t scratch_bytes;
} prepared;

/* A kind of product costs 60 to 110 KB, most of it code that oneDNN writes for it. */
enum { TABLE_START = 256, TABLE_MAX = 1 << 13 };

struct bqb_gemm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    prepared **table; /* open addressing by the hash of the key */
    size_t cap, used;
    char *scratch; /* shared by all products; each would keep its own otherwise, up to megabytes a kind */
    size_t scratch_bytes;
    bqb_err failure;
};

static bqb_status fail(bqb_err *err, dnnl_status_t s, const char *what) {
    bqb_status code = s == dnnl_out_of_memory  ? BQB_ENOMEM
                      : s == dnnl_unimplemented ? BQB_EUNSUPPORTED
                                                : BQB_EINVAL;
    return bqb_fail(err, code, "oneDNN %s: %s failed with status %d", bqb_gemm_library_version(), what, (int)s);
}

bqb_status bqb_gemm_new(bqb_gemm **out, int threads, bqb_err *err) {
    *out = NULL;
    bqb_gemm *g = bqb_calloc(1, sizeof *g);
    if (!g) return bqb_fail_nomem(err, "matmul", sizeof *g);
    g->threads = threads;
    g->cap = TABLE_START;
    g->table = bqb_calloc(g->cap, sizeof *g->table);
    dnnl_status_t s = g->table ? dnnl_engine_create(&g->engine, dnnl_cpu, 0) : dnnl_out_of_memory;
    if (!s) s = dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags);
    if (s) {
        bqb_gemm_free(g);
        return fail(err, s, "starting");
    }
    *out = g;
    return BQB_OK;
}

static void prepared_free(prepared *p) {
    if (!p) return;
    if (p->run) dnnl_primitive_destroy(p->run);
    if (p->a) dnnl_memory_destroy(p->a);
    if (p->b) dnnl_memory_destroy(p->b);
    if (p->c) dnnl_memory_destroy(p->c);
    if (p->bias) dnnl_memory_destroy(p->bias);
    if (p->scratch) dnnl_memory_destroy(p->scratch);
    free(p);
}

void bqb_gemm_free(bqb_gemm *g) {
    if (!g) return;
    for (size_t i = 0; g->table && i < g->cap; i++) prepared_free(g->table[i]);
    free(g->table);
    free(g->scratch);
    if (g->stream) dnnl_stream_destroy(g->stream);
    if (g->engine) dnnl_engine_destroy(g->engine);
    free(g);
}

void bqb_gemm_enter(const bqb_gemm *g) {
    if (omp_set_num_threads) omp_set_num_threads(g->threads);
}

static dnnl_data_type_t type_of(bqb_num t) { return t == BQB_NUM_F32 ? dnnl_f32 : dnnl_bf16; }

/* Two dimensions where there is one matrix, three or four where there are many:
 * the two-dimensional kernels are faster, and oneDNN 3.7 gets transposed products
 * wrong whose outermost dimension is a needless 1. */
static int shape(dnnl_dims_t dims, dnnl_dims_t strides, const bqb_product *p, const bqb_layout *l, int64_t rows,
                 int64_t cols) {
    int n = 0;
    if (p->outer > 1) {
        dims[n] = p->outer;
        strides[n++] = l->outer;
    }
    if (p->inner > 1) {
        dims[n] = p->inner;
        strides[n++] = l->inner;
    }
    dims[n] = rows;
    strides[n++] = l->row;
    dims[n] = cols;
    strides[n++] = l->col;
    return n;
}

static dnnl_status_t post_ops(dnnl_primitive_attr_t *attr, const bqb_product *p) {
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(attr);
    if (!s) s = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!s) s = dnnl_post_ops_create(&ops);
#if DNNL_VERSION_MAJOR >= 3
    if (!s && p->accumulate) s = dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
    if (!s && p->act == BQB_ACT_QUICK_GELU) s = dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_swish, 1.702f, 0.0f);
    if (!s && p->act == BQB_ACT_GELU) s = dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_gelu_erf, 0.0f, 0.0f);
#else
    if (!s && p->accumulate) s = dnnl_post_ops_append_sum(ops, 1.0f);
    if (!s && p->act == BQB_ACT_QUICK_GELU)
        s = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_swish, 1.702f, 0.0f);
    if (!s && p->act == BQB_ACT_GELU) s = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_gelu_erf, 0.0f, 0.0f);
#endif
    if (!s) s = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    return s;
}

/* One operand: strides, or a layout of oneDNN's own choice (`any`), or one it chose before (`ready`). */
typedef struct {
    dnnl_dims_t dims, strides;
    int n;
    dnnl_data_type_t type;
    bool any;
    const bqb_packed *ready;
} described;

/* The two generations of the interface differ in what a memory descriptor is (a
 * struct, then a handle) and in how a product is described. */
#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t memory_desc;

static dnnl_status_t desc_make(memory_desc *md, const described *d);
static dnnl_status_t desc_copy(memory_desc *to, const_dnnl_memory_desc_t from) {
    return dnnl_memory_desc_clone(to, from);
}
static void desc_free(memory_desc *md) {
    if (*md) dnnl_memory_desc_destroy(*md);
}
static dnnl_status_t memory_make(dnnl_memory_t *m, memory_desc *md, dnnl_engine_t engine, void *data) {
    return dnnl_memory_create(m, *md, engine, data);
}
static size_t desc_size(memory_desc *md) { return dnnl_memory_desc_get_size(*md); }

static dnnl_status_t describe(dnnl_primitive_desc_t *pd, memory_desc md[4], bool bias, dnnl_primitive_attr_t attr,
                              dnnl_engine_t engine) {
    return dnnl_matmul_primitive_desc_create(pd, engine, md[0], md[1], bias ? md[3] : NULL, md[2], attr);
}

static dnnl_status_t reorder_make(dnnl_primitive_desc_t *pd, memory_desc *from, memory_desc *to, dnnl_engine_t engine) {
    return dnnl_reorder_primitive_desc_create(pd, *from, engine, *to, engine, NULL);
}

#else

typedef dnnl_memory_desc_t memory_desc;

static dnnl_status_t desc_make(memory_desc *md, const described *d);
static dnnl_status_t desc_copy(memory_desc *to, const dnnl_memory_desc_t *from) {
    *to = *from;
    return dnnl_success;
}
static void desc_free(memory_desc *md) { (void)md; }
static dnnl_status_t memory_make(dnnl_memory_t *m, memory_desc *md, dnnl_engine_t engine, void *data) {
    return dnnl_memory_create(m, md, engine, data);
}
static size_t desc_size(memory_desc *md) { return dnnl_memory_desc_get_size(md); }

static dnnl_status_t describe(dnnl_primitive_desc_t *pd, memory_desc md[4], bool bias, dnnl_primitive_attr_t attr,
                              dnnl_engine_t engine) {
    dnnl_matmul_desc_t desc;
    dnnl_status_t s = dnnl_matmul_desc_init(&desc, &md[0], &md[1], bias ? &md[3] : NULL, &md[2]);
    return s ? s : dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
}

static dnnl_status_t reorder_make(dnnl_primitive_desc_t *pd, memory_desc *from, memory_desc *to, dnnl_engine_t engine) {
    return dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, NULL);
}

#endif

struct bqb_packed {
    memory_desc md;
    void *data;
    bqb_num type;
    size_t N, K;
};

static dnnl_status_t desc_make(memory_desc *md, const described *d) {
#if DNNL_VERSION_MAJOR >= 3
    if (d->ready) return desc_copy(md, d->ready->md);
    if (d->any) return dnnl_memory_desc_create_with_tag(md, d->n, d->dims, d->type, dnnl_format_tag_any);
    return dnnl_memory_desc_create_with_strides(md, d->n, d->dims, d->type, d->strides);
#else
    if (d->ready) return desc_copy(md, &d->ready->md);
    if (d->any) return dnnl_memory_desc_init_by_tag(md, d->n, d->dims, d->type, dnnl_format_tag_any);
    return dnnl_memory_desc_init_by_strides(md, d->n, d->dims, d->type, d->strides);
#endif
}

static dnnl_status_t prepare(prepared *q, const bqb_gemm *g, const described d[4], dnnl_primitive_attr_t attr) {
    memory_desc md[5];
    memset(md, 0, sizeof md);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = dnnl_success;
    for (int i = 0; i < 4 && !s; i++)
        if (d[i].n) s = desc_make(&md[i], &d[i]);
    if (!s) s = describe(&pd, md, d[3].n != 0, attr, g->engine);
    if (!s) s = dnnl_primitive_create(&q->run, pd);
    if (!s) s = memory_make(&q->a, &md[0], g->engine, DNNL_MEMORY_NONE);
    if (!s) s = memory_make(&q->b, &md[1], g->engine, DNNL_MEMORY_NONE);
    if (!s) s = memory_make(&q->c, &md[2], g->engine, DNNL_MEMORY_NONE);
    if (!s && d[3].n) s = memory_make(&q->bias, &md[3], g->engine, DNNL_MEMORY_NONE);
    if (!s) s = desc_copy(&md[4], dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    if (!s && (q->scratch_bytes = desc_size(&md[4])) > 0)
        s = memory_make(&q->scratch, &md[4], g->engine, DNNL_MEMORY_NONE);
    if (pd) dnnl_primitive_desc_destroy(pd);
    for (int i = 0; i < 5; i++) desc_free(&md[i]);
    return s;
}

static void describe_all(described d[4], const bqb_product *p) {
    memset(d, 0, 4 * sizeof *d);
    d[0].n = shape(d[0].dims, d[0].strides, p, &p->a, p->M, p->K);
    d[1].n = shape(d[1].dims, d[1].strides, p, &p->b, p->K, p->N);
    d[2].n = shape(d[2].dims, d[2].strides, p, &p->c, p->M, p->N);
    d[0].type = type_of(p->a.type);
    d[1].type = type_of(p->b.type);
    d[2].type = type_of(p->c.type);
    if (p->bias) {
        d[3].n = d[2].n;
        d[3].type = dnnl_f32;
        for (int i = 0; i < d[3].n; i++) d[3].dims[i] = 1, d[3].strides[i] = p->N;
        d[3].dims[d[3].n - 1] = p->N;
        d[3].strides[d[3].n - 1] = 1;
    }
}

static dnnl_status_t build(prepared *q, const bqb_gemm *g, const bqb_product *p, const bqb_packed *w) {
    described d[4];
    describe_all(d, p);
    d[1].ready = w;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t s = post_ops(&attr, p);
    if (!s) s = prepare(q, g, d, attr);
    if (attr) dnnl_primitive_attr_destroy(attr);
    q->key = *p;
    return s;
}

static bool same_layout(const bqb_layout *x, const bqb_layout *y) {
    return x->type == y->type && x->outer == y->outer && x->inner == y->inner && x->row == y->row && x->col == y->col;
}

static bool same(const bqb_product *x, const bqb_product *y) {
    return x->outer == y->outer && x->inner == y->inner && x->M == y->M && x->N == y->N && x->K == y->K &&
           same_layout(&x->a, &y->a) && same_layout(&x->b, &y->b) && same_layout(&x->c, &y->c) && x->act == y->act &&
           x->bias == y->bias && x->accumulate == y->accumulate && x->packed == y->packed;
}

static uint64_t mix(uint64_t h, int64_t v) {
    h = (h ^ (uint64_t)v) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static uint64_t mix_layout(uint64_t h, const bqb_layout *l) {
    return mix(mix(mix(mix(mix(h, (int64_t)l->type), l->outer), l->inner), l->row), l->col);
}

static uint64_t hash(const bqb_product *p) {
    uint64_t h = mix(mix(mix(mix(mix(1, p->outer), p->inner), p->M), p->N), p->K);
    h = mix_layout(mix_layout(mix_layout(h, &p->a), &p->b), &p->c);
    return mix(h, (int64_t)p->act * 8 + p->packed * 4 + p->bias * 2 + p->accumulate);
}

static prepared **slot(prepared **table, size_t cap, const bqb_product *p) {
    size_t i = (size_t)hash(p) & (cap - 1);
    while (table[i] && !same(&table[i]->key, p)) i = (i + 1) & (cap - 1);
    return &table[i];
}

/* Keep the table at most half full; past its maximum, start it anew (a program
 * that needs so many kinds of product is not limited by preparing them). */
static bool make_room(bqb_gemm *g) {
    if (g->used * 2 < g->cap) return true;
    size_t cap = g->cap < TABLE_MAX ? g->cap * 2 : g->cap;
    prepared **table = bqb_calloc(cap, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < g->cap; i++) {
        if (!g->table[i]) continue;
        if (cap == g->cap) prepared_free(g->table[i]);
        else *slot(table, cap, &g->table[i]->key) = g->table[i];
    }
    if (cap == g->cap) g->used = 0;
    free(g->table);
    g->table = table;
    g->cap = cap;
    return true;
}

static prepared *find(bqb_gemm *g, const bqb_product *p, const bqb_packed *w, dnnl_status_t *s) {
    *s = dnnl_success;
    prepared **at = slot(g->table, g->cap, p);
    if (*at) return *at;
    *s = dnnl_out_of_memory;
    if (!make_room(g)) return NULL;
    prepared *q = bqb_calloc(1, sizeof *q);
    if (!q) return NULL;
    *s = build(q, g, p, w);
    if (*s) {
        prepared_free(q);
        return NULL;
    }
    g->used++;
    return *slot(g->table, g->cap, p) = q;
}

static dnnl_status_t lend_scratch(bqb_gemm *g, const prepared *q) {
    if (q->scratch_bytes > g->scratch_bytes) {
        free(g->scratch);
        g->scratch_bytes = 0;
        g->scratch = bqb_alloc_aligned(q->scratch_bytes, 1);
        if (!g->scratch) return dnnl_out_of_memory;
        g->scratch_bytes = q->scratch_bytes;
    }
    return dnnl_memory_set_data_handle(q->scratch, g->scratch);
}

static void run(bqb_gemm *g, const bqb_product *p, void *c, const void *a, const void *b, const bqb_packed *w,
                const float *bias) {
    if (g->failure.code || !p->M || !p->N || !p->K || !p->outer || !p->inner) return;
    dnnl_status_t s;
    prepared *q = find(g, p, w, &s);
    if (q) {
        s = dnnl_memory_set_data_handle(q->a, (void *)(uintptr_t)a);
        if (!s) s = dnnl_memory_set_data_handle(q->b, (void *)(uintptr_t)b);
        if (!s) s = dnnl_memory_set_data_handle(q->c, c);
        if (!s && p->bias) s = dnnl_memory_set_data_handle(q->bias, (void *)(uintptr_t)bias);
        if (!s && q->scratch) s = lend_scratch(g, q);
        dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, q->a}, {DNNL_ARG_WEIGHTS, q->b}, {DNNL_ARG_DST, q->c}};
        int n = 3;
        if (p->bias) args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, q->bias};
        if (q->scratch) args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, q->scratch};
        if (!s) s = dnnl_primitive_execute(q->run, g->stream, n, args);
        if (!s) s = dnnl_stream_wait(g->stream);
    }
    if (s) {
        char what[160];
        snprintf(what, sizeof what, "a %s product of %lldx[%lld,%lld]x[%lld,%lld]",
                 p->a.type == BQB_NUM_F32 ? "f32" : "bf16", (long long)(p->outer * p->inner), (long long)p->M,
                 (long long)p->K, (long long)p->K, (long long)p->N);
        fail(&g->failure, s, what);
    }
}

void bqb_gemm_run(bqb_gemm *g, const bqb_product *p, void *c, const void *a, const void *b, const float *bias) {
    run(g, p, c, a, b, NULL, bias);
}

bqb_status bqb_gemm_status(bqb_gemm *g, bqb_err *err) {
    bqb_status s = g->failure.code;
    if (s && err) *err = g->failure;
    g->failure.code = BQB_OK;
    return s;
}

static bqb_layout rows(bqb_num t, size_t row) { return (bqb_layout){.type = t, .row = (int64_t)row, .col = 1}; }

static bqb_layout cols(bqb_num t, size_t row) { return (bqb_layout){.type = t, .row = 1, .col = (int64_t)row}; }

static bqb_product one(size_t M, size_t N, size_t K) {
    return (bqb_product){.outer = 1, .inner = 1, .M = (int64_t)M, .N = (int64_t)N, .K = (int64_t)K};
}

void bqb_gemm_linear(bqb_gemm *g, void *c, bqb_num ct, const void *a, const void *w, bqb_num t, const float *bias,
                     bqb_act act, bool accumulate, size_t M, size_t N, size_t K) {
    bqb_product p = one(M, N, K);
    p.a = rows(t, K);
    p.b = cols(t, K);
    p.c = rows(ct, N);
    p.act = act;
    p.bias = bias != NULL;
    p.accumulate = accumulate;
    bqb_gemm_run(g, &p, c, a, w, bias);
}

void bqb_gemm_back(bqb_gemm *g, void *c, bqb_num ct, const void *a, const void *w, bqb_num t, bool accumulate,
                   size_t M, size_t N, size_t K) {
    bqb_product p = one(M, K, N);
    p.a = rows(t, N);
    p.b = rows(t, K);
    p.c = rows(ct, K);
    p.accumulate = accumulate;
    bqb_gemm_run(g, &p, c, a, w, NULL);
}

void bqb_gemm_outer(bqb_gemm *g, float *c, const void *a, const void *b, bqb_num t, size_t M, size_t N, size_t K) {
    bqb_product p = one(N, K, M);
    p.a = cols(t, N);
    p.b = rows(t, K);
    p.c = rows(BQB_NUM_F32, K);
    p.accumulate = true;
    bqb_gemm_run(g, &p, c, a, b, NULL);
}

void bqb_gemm_linear_packed(bqb_gemm *g, void *c, bqb_num ct, const void *a, const bqb_packed *w, const float *bias,
                            bqb_act act, bool accumulate, size_t M) {
    bqb_product p = one(M, w->N, w->K);
    p.a = rows(w->type, w->K);
    p.b = cols(w->type, w->K);
    p.c = rows(ct, w->N);
    p.act = act;
    p.bias = bias != NULL;
    p.accumulate = accumulate;
    p.packed = true;
    run(g, &p, c, a, w->data, w, bias);
}

/* What layout oneDNN would choose for B of this product. */
static dnnl_status_t choose_layout(memory_desc *chosen, const bqb_gemm *g, const described d[4],
                                   dnnl_primitive_attr_t attr) {
    memory_desc md[4];
    memset(md, 0, sizeof md);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = dnnl_success;
    for (int i = 0; i < 3 && !s; i++) s = desc_make(&md[i], &d[i]);
    if (!s) s = describe(&pd, md, false, attr, g->engine);
    if (!s) s = desc_copy(chosen, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
    if (pd) dnnl_primitive_desc_destroy(pd);
    for (int i = 0; i < 3; i++) desc_free(&md[i]);
    return s;
}

static dnnl_status_t reorder(const bqb_gemm *g, memory_desc *to, void *to_data, const described *from,
                             const void *from_data) {
    memory_desc md;
    memset(&md, 0, sizeof md);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t move = NULL;
    dnnl_memory_t in = NULL, out = NULL;
    dnnl_status_t s = desc_make(&md, from);
    if (!s) s = memory_make(&in, &md, g->engine, (void *)(uintptr_t)from_data);
    if (!s) s = memory_make(&out, to, g->engine, to_data);
    if (!s) s = reorder_make(&pd, &md, to, g->engine);
    if (!s) s = dnnl_primitive_create(&move, pd);
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, in}, {DNNL_ARG_TO, out}};
    if (!s) s = dnnl_primitive_execute(move, g->stream, 2, args);
    if (!s) s = dnnl_stream_wait(g->stream);
    if (move) dnnl_primitive_destroy(move);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (in) dnnl_memory_destroy(in);
    if (out) dnnl_memory_destroy(out);
    desc_free(&md);
    return s;
}

bqb_status bqb_gemm_pack(bqb_packed **out, bqb_gemm *g, const void *w, bqb_num t, size_t M, size_t N, size_t K,
                         bqb_err *err) {
    *out = NULL;
    bqb_packed *q = bqb_calloc(1, sizeof *q);
    if (!q) return bqb_fail_nomem(err, "weights", sizeof *q);
    q->type = t;
    q->N = N;
    q->K = K;
    bqb_product p = one(M, N, K);
    p.a = rows(t, K);
    p.b = cols(t, K);
    p.c = rows(BQB_NUM_F32, N);
    described d[4], plain;
    describe_all(d, &p);
    plain = d[1];
    d[1].any = true;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(&attr);
    if (!s) s = choose_layout(&q->md, g, d, attr);
    if (!s && !(q->data = bqb_alloc_aligned(desc_size(&q->md), 1))) s = dnnl_out_of_memory;
    if (!s) s = reorder(g, &q->md, q->data, &plain, w);
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (s) {
        bqb_packed_free(q);
        return fail(err, s, "packing weights");
    }
    *out = q;
    return BQB_OK;
}

void bqb_packed_free(bqb_packed *w) {
    if (!w) return;
    desc_free(&w->md);
    free(w->data);
    free(w);
}

bool bqb_gemm_has_bf16(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

const char *bqb_gemm_library_version(void) {
    static _Thread_local char text[32]; /* workers report failures at the same time */
    if (!text[0]) {
        const dnnl_version_t *v = dnnl_version();
        snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    }
    return text;
}
