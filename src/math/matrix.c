#include "math/matrix.h"

#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

enum {
    FEW_ROWS = 4,            /* of x: up to here reading the weights is what costs */
    JOB_ROWS = 32,           /* of W that a thread takes at a time */
    ALONE_BYTES = 256 << 10, /* less than this is not worth a second thread */
    TILE_BYTES = 4 << 20,    /* of W unpacked at once */
};

static const char *row_at(const bqb_matrix *w, size_t i) {
    return (const char *)w->data + i * bqb_row_bytes(w->kind, w->cols);
}

void bqb_matrix_row(const bqb_multiplier *m, float *out, const bqb_matrix *w, size_t i) {
    m->rows->load[w->kind](out, row_at(w, i), w->cols);
}

typedef struct {
    const bqb_multiplier *m;
    const bqb_matrix *w;
    float *y;
    const float *x, *bias;
    bool accumulate;
    size_t n;
} few_job;

static void few_rows(void *ctx, size_t job, int worker) {
    (void)worker;
    const few_job *j = ctx;
    const bqb_matrix *w = j->w;
    size_t end = (job + 1) * JOB_ROWS < w->rows ? (job + 1) * JOB_ROWS : w->rows;
    for (size_t i = job * JOB_ROWS; i < end; i++)
        for (size_t r = 0; r < j->n; r++) {
            float *y = &j->y[r * w->rows + i];
            float sum = j->m->rows->dot[w->kind](row_at(w, i), j->x + r * w->cols, w->cols);
            if (j->bias) sum += j->bias[i];
            *y = j->accumulate ? *y + sum : sum;
        }
}

static int threads_for(const bqb_multiplier *m, const bqb_matrix *w) {
    return w->rows * bqb_row_bytes(w->kind, w->cols) < ALONE_BYTES ? 1 : m->threads;
}

/* Part of W as oneDNN reads it, unpacked by several threads. */
typedef struct {
    const bqb_multiplier *m;
    const bqb_matrix *w;
    size_t first, n;
    char *out;       /* [n,cols] in m->num */
    float *scratch;  /* [threads,cols] for bf16 */
} tile_job;

static void unpack_row(void *ctx, size_t i, int worker) {
    const tile_job *j = ctx;
    size_t C = j->w->cols;
    if (j->m->num == BQB_NUM_F32) {
        bqb_matrix_row(j->m, (float *)(void *)j->out + i * C, j->w, j->first + i);
        return;
    }
    float *row = j->scratch + (size_t)worker * C;
    bqb_matrix_row(j->m, row, j->w, j->first + i);
    j->m->ops->to_bf16((uint16_t *)(void *)j->out + i * C, row, C);
}

static bool as_stored(const bqb_multiplier *m, const bqb_matrix *w) {
    bool same = m->num == BQB_NUM_F32 ? w->kind == BQB_ROW_F32 : w->kind == BQB_ROW_BF16;
    return same && (uintptr_t)w->data % bqb_num_size_bytes(m->num) == 0;
}

static void *take(bqb_multiplier *m, size_t n, size_t size) {
    void *p = m->no_memory ? NULL : bqb_arena_take(m->arena, n, size);
    if (!p) m->no_memory = true;
    return p;
}

/* fn for each part of W: rows first … first+n-1, at `part` in m->num. */
typedef struct product product;
struct product {
    void (*run)(const product *p, const void *part, size_t first, size_t n);
    bqb_multiplier *m;
    const bqb_matrix *w;
    float *out;
    const void *in; /* in m->num */
    const float *bias;
    bool accumulate;
    size_t n;
};

static void each_part(const product *p) {
    bqb_multiplier *m = p->m;
    const bqb_matrix *w = p->w;
    size_t size = bqb_num_size_bytes(m->num), per = TILE_BYTES / (size * (w->cols ? w->cols : 1));
    if (as_stored(m, w)) {
        p->run(p, w->data, 0, w->rows);
        return;
    }
    if (per < 64) per = 64;
    if (per > w->rows) per = w->rows;
    tile_job j = {.m = m, .w = w, .out = take(m, per * w->cols, size),
                  .scratch = take(m, (size_t)m->threads * w->cols, sizeof(float))};
    if (m->no_memory) return;
    for (j.first = 0; j.first < w->rows; j.first += per) {
        j.n = w->rows - j.first < per ? w->rows - j.first : per;
        bqb_parallel_for(j.n, threads_for(m, w), unpack_row, &j);
        p->run(p, j.out, j.first, j.n);
    }
}

static const void *in_num(bqb_multiplier *m, const float *x, size_t n) {
    if (m->num == BQB_NUM_F32) return x;
    uint16_t *h = take(m, n, sizeof *h);
    if (h) m->ops->to_bf16(h, x, n);
    return h;
}

static bqb_product shape(const product *p, size_t M, size_t N, size_t K) {
    return (bqb_product){.outer = 1, .inner = 1, .M = (int64_t)M, .N = (int64_t)N, .K = (int64_t)K,
                         .a = {.type = p->m->num, .col = 1}, .b = {.type = p->m->num}, .c = {.col = 1}};
}

static void forward_part(const product *p, const void *part, size_t first, size_t n) {
    int64_t C = (int64_t)p->w->cols;
    bqb_product g = shape(p, p->n, n, p->w->cols);
    g.a.row = C;
    g.b.row = 1;
    g.b.col = C;
    g.c.row = (int64_t)p->w->rows;
    g.bias = p->bias != NULL;
    g.accumulate = p->accumulate;
    bqb_gemm_run(p->m->gemm, &g, p->out + first, p->in, part, p->bias ? p->bias + first : NULL);
}

static void back_part(const product *p, const void *part, size_t first, size_t n) {
    int64_t C = (int64_t)p->w->cols;
    bqb_product g = shape(p, p->n, p->w->cols, n);
    g.a.row = (int64_t)p->w->rows;
    g.b.row = C;
    g.b.col = 1;
    g.c.row = C;
    g.accumulate = p->accumulate || first > 0;
    bqb_gemm_run(p->m->gemm, &g, p->out, (const char *)p->in + first * bqb_num_size_bytes(p->m->num), part, NULL);
}

void bqb_matrix_mul(bqb_multiplier *m, float *y, const float *x, const bqb_matrix *w, const float *bias, bool accumulate,
                    size_t n) {
    if (!n || m->no_memory) return;
    if (n <= FEW_ROWS) {
        few_job j = {.m = m, .w = w, .y = y, .x = x, .bias = bias, .accumulate = accumulate, .n = n};
        bqb_parallel_for((w->rows + JOB_ROWS - 1) / JOB_ROWS, threads_for(m, w), few_rows, &j);
        return;
    }
    bqb_arena_mark mark = bqb_arena_save(m->arena);
    product p = {.run = forward_part, .m = m, .w = w, .out = y, .in = in_num(m, x, n * w->cols), .bias = bias,
                 .accumulate = accumulate, .n = n};
    if (!m->no_memory) each_part(&p);
    bqb_arena_release(m->arena, mark);
}

void bqb_matrix_back(bqb_multiplier *m, float *dx, const float *dy, const bqb_matrix *w, bool accumulate, size_t n) {
    if (!n || m->no_memory) return;
    bqb_arena_mark mark = bqb_arena_save(m->arena);
    product p = {.run = back_part, .m = m, .w = w, .out = dx, .in = in_num(m, dy, n * w->rows), .accumulate = accumulate,
                 .n = n};
    if (!m->no_memory) each_part(&p);
    bqb_arena_release(m->arena, mark);
}
