#include "math/matrix.h"

#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

enum {
    FEW_ROWS = 4,            /* of x: up to here reading the weights is what costs */
    JOB_BYTES = 64 << 10,    /* of W that a thread takes at a time for few rows */
    ALONE_BYTES = 256 << 10, /* less than this is not worth a second thread */
    PART_BYTES = 512 << 10,  /* of W for many rows: what stays near a core */
    TILE_BYTES = 4 << 20,    /* of W unpacked at once for a gradient */
    SOME = 64,               /* products that wait for their bias */
    BLOCK = 64, TAIL = 16,   /* many rows of x are taken in multiples of them */
};

bqb_status bqb_multiplier_open(bqb_multiplier *m, bqb_num num, int threads, bqb_err *err) {
    *m = (bqb_multiplier){.ops = bqb_ops_best(), .rows = bqb_rows_best(), .arena = bqb_arena_new(), .num = num,
                          .threads = threads > 0 ? threads : bqb_cpu_count()};
    m->own = bqb_calloc((size_t)m->threads, sizeof *m->own);
    bqb_status s = m->arena && m->own ? bqb_gemm_new(&m->gemm, m->threads, err) : bqb_fail_nomem(err, "products", sizeof *m);
    for (int t = 0; t < m->threads && !s; t++) s = bqb_gemm_new(&m->own[t], 1, err);
    if (s) bqb_multiplier_close(m);
    return s;
}

void bqb_multiplier_close(bqb_multiplier *m) {
    for (int t = 0; m->own && t < m->threads; t++) bqb_gemm_free(m->own[t]);
    free(m->own);
    bqb_gemm_free(m->gemm);
    bqb_arena_free(m->arena);
    *m = (bqb_multiplier){0};
}

bqb_status bqb_multiplier_finish(bqb_multiplier *m, const char *what, bqb_err *err) {
    bqb_status s = bqb_gemm_status(m->gemm, err);
    for (int t = 0; t < m->threads; t++) {
        bqb_status other = bqb_gemm_status(m->own[t], s ? NULL : err);
        if (!s) s = other;
    }
    if (!s && m->no_memory) s = bqb_fail_nomem(err, what, bqb_arena_size_bytes(m->arena));
    m->no_memory = false;
    bqb_arena_reset(m->arena);
    return s;
}

static size_t row_bytes(const bqb_matrix *w) { return bqb_row_bytes(w->kind, w->cols); }

static const char *row_at(const bqb_matrix *w, size_t i) { return (const char *)w->data + i * row_bytes(w); }

void bqb_matrix_row(const bqb_multiplier *m, float *out, const bqb_matrix *w, size_t i) {
    m->rows->load[w->kind](out, row_at(w, i), w->cols);
}

static int threads_for(const bqb_multiplier *m, const bqb_matrix *w) {
    return w->rows * row_bytes(w) < ALONE_BYTES ? 1 : m->threads;
}

static void *take(bqb_multiplier *m, size_t n, size_t size) {
    void *p = m->no_memory ? NULL : bqb_arena_take(m->arena, n, size);
    if (!p) m->no_memory = true;
    return p;
}

/* What the threads share. */
typedef struct {
    bqb_multiplier *m;
    const bqb_matrix *w;
    float *y;
    const void *x; /* few rows: prepared, `step` floats apart; many: [n,cols] in m->num */
    const float *bias;
    bool accumulate;
    size_t n, step, per; /* per: rows of W that a thread takes at a time */
    const void *tail;    /* what n / BLOCK whole blocks of x leave, filled up with zeros to `tail_rows` */
    size_t whole, tail_rows;
    float *tail_y;       /* [threads,BLOCK,per] */
    char *tile;          /* [threads,per,cols] in m->num, NULL: W is in that format */
    float *scratch;      /* [threads,cols] */
} product;

/* ---- few rows ---- */

static void few_rows(void *ctx, size_t job, int worker) {
    (void)worker;
    const product *p = ctx;
    const bqb_matrix *w = p->w;
    size_t end = (job + 1) * p->per < w->rows ? (job + 1) * p->per : w->rows;
    float sum[SOME];
    for (size_t i = job * p->per; i < end;) {
        size_t k = end - i < SOME ? end - i : SOME;
        for (size_t r = 0; r < p->n; r++) {
            float *y = p->y + r * w->rows + i;
            p->m->rows->product[w->kind](sum, row_at(w, i), row_bytes(w), k, (const float *)p->x + r * p->step, w->cols);
            if (p->accumulate) p->m->ops->add(sum, y, k);
            if (p->bias) p->m->ops->add(sum, p->bias + i, k);
            memcpy(y, sum, k * sizeof *y);
        }
        i += k;
    }
}

static void multiply_few(product *p, const float *x) {
    const bqb_matrix *w = p->w;
    p->step = (bqb_row_prepared(w->cols) + 15) / 16 * 16;
    float *prepared = take(p->m, p->n * p->step, sizeof *prepared);
    if (!prepared) return;
    for (size_t r = 0; r < p->n; r++) p->m->rows->prepare[w->kind](prepared + r * p->step, x + r * w->cols, w->cols);
    p->x = prepared;
    p->per = JOB_BYTES / row_bytes(w) + 1;
    bqb_parallel_for((w->rows + p->per - 1) / p->per, threads_for(p->m, w), few_rows, p);
}

/* ---- many rows ---- */

static bool as_stored(const bqb_multiplier *m, const bqb_matrix *w) {
    bool same = m->num == BQB_NUM_F32 ? w->kind == BQB_ROW_F32 : w->kind == BQB_ROW_BF16;
    return same && (uintptr_t)w->data % bqb_num_size_bytes(m->num) == 0;
}

/* n rows of W from `first` on as oneDNN reads them. */
static void unpack(const product *p, char *out, size_t first, size_t n, int worker) {
    size_t C = p->w->cols;
    float *row = p->scratch + (size_t)worker * C;
    for (size_t i = 0; i < n; i++) {
        if (p->m->num == BQB_NUM_F32) bqb_matrix_row(p->m, (float *)(void *)out + i * C, p->w, first + i);
        else {
            bqb_matrix_row(p->m, row, p->w, first + i);
            p->m->ops->to_bf16((uint16_t *)(void *)out + i * C, row, C);
        }
    }
}

static void multiply_part(const product *p, bqb_gemm *gemm, float *y, size_t y_row, const void *x, size_t rows, const char *part, size_t first, size_t n,
                          bool accumulate) {
    int64_t C = (int64_t)p->w->cols;
    bqb_product g = {.outer = 1, .inner = 1, .M = (int64_t)rows, .N = (int64_t)n, .K = C, .a = {.type = p->m->num, .row = C, .col = 1},
                     .b = {.type = p->m->num, .row = 1, .col = C}, .c = {.row = (int64_t)y_row, .col = 1}, .bias = p->bias != NULL,
                     .accumulate = accumulate};
    bqb_gemm_run(gemm, &g, y, x, part, p->bias ? p->bias + first : NULL);
}

/* Only whole blocks of rows, and a few lengths of what is left: a kind of product costs oneDNN 100 KB and a
 * moment, and texts come in every length. */
static void many_rows(void *ctx, size_t job, int worker) {
    const product *p = ctx;
    const bqb_matrix *w = p->w;
    size_t first = job * p->per, n = w->rows - first < p->per ? w->rows - first : p->per, C = w->cols;
    const char *part = row_at(w, first);
    if (p->tile) {
        char *tile = p->tile + (size_t)worker * p->per * C * bqb_num_size_bytes(p->m->num);
        unpack(p, tile, first, n, worker);
        part = tile;
    }
    bqb_gemm *gemm = p->m->own[worker];
    bqb_gemm_enter(gemm);
    if (p->whole) multiply_part(p, gemm, p->y + first, w->rows, p->x, p->whole, part, first, n, p->accumulate);
    if (!p->tail_rows) return;
    float *tail = p->tail_y + (size_t)worker * BLOCK * p->per;
    multiply_part(p, gemm, tail, n, p->tail, p->tail_rows, part, first, n, false);
    for (size_t r = p->whole; r < p->n; r++, tail += n) {
        float *y = p->y + r * w->rows + first;
        if (p->accumulate) p->m->ops->add(y, tail, n);
        else memcpy(y, tail, n * sizeof *y);
    }
}

/* The last rows of x, in m->num, with zeros behind them. */
static void *tail_of(bqb_multiplier *m, const float *x, size_t rows, size_t filled, size_t cols) {
    size_t size = bqb_num_size_bytes(m->num);
    char *tail = take(m, filled * cols, size);
    if (!tail) return NULL;
    bqb_store(m->ops, m->num, tail, x, rows * cols);
    memset(tail + rows * cols * size, 0, (filled - rows) * cols * size);
    return tail;
}

const void *bqb_multiplier_in_num(bqb_multiplier *m, const float *x, size_t n) {
    if (m->num == BQB_NUM_F32) return x;
    uint16_t *h = take(m, n, sizeof *h);
    if (h) m->ops->to_bf16(h, x, n);
    return h;
}

static void multiply_many(product *p, const float *x) {
    bqb_multiplier *m = p->m;
    const bqb_matrix *w = p->w;
    size_t threads = (size_t)m->threads, size = bqb_num_size_bytes(m->num), share = (w->rows + threads - 1) / threads;
    p->whole = p->n / BLOCK * BLOCK;
    p->tail_rows = (p->n - p->whole + TAIL - 1) / TAIL * TAIL;
    p->x = bqb_multiplier_in_num(m, x, p->whole * w->cols);
    if (p->tail_rows) p->tail = tail_of(m, x + p->whole * w->cols, p->n - p->whole, p->tail_rows, w->cols);
    p->per = PART_BYTES / (size * w->cols) + 1;
    if (p->per > share) p->per = share;
    p->per = (p->per + 63) / 64 * 64; /* whole blocks of what oneDNN's kernels take */
    if (p->tail_rows) p->tail_y = take(m, threads * BLOCK * p->per, sizeof *p->tail_y);
    if (!as_stored(m, w)) {
        p->tile = take(m, threads * p->per * w->cols, size);
        p->scratch = take(m, threads * w->cols, sizeof *p->scratch);
    }
    if (m->no_memory) return;
    bqb_parallel_for((w->rows + p->per - 1) / p->per, m->threads, many_rows, p);
    bqb_gemm_enter(m->gemm);
}

void bqb_matrix_mul(bqb_multiplier *m, float *y, const float *x, const bqb_matrix *w, const float *bias, bool accumulate,
                    size_t n) {
    if (!n || m->no_memory) return;
    bqb_arena_mark mark = bqb_arena_save(m->arena);
    product p = {.m = m, .w = w, .y = y, .bias = bias, .accumulate = accumulate, .n = n};
    if (n <= FEW_ROWS) multiply_few(&p, x);
    else multiply_many(&p, x);
    bqb_arena_release(m->arena, mark);
}

/* ---- backwards: parts of W one after the other, each added to all of dx ---- */

static void unpack_row(void *ctx, size_t i, int worker) {
    const product *p = ctx;
    unpack(p, p->tile + i * p->w->cols * bqb_num_size_bytes(p->m->num), p->step + i, 1, worker);
}

void bqb_matrix_back(bqb_multiplier *m, float *dx, const float *dy, const bqb_matrix *w, bool accumulate, size_t n) {
    if (!n || m->no_memory) return;
    bqb_arena_mark mark = bqb_arena_save(m->arena);
    size_t size = bqb_num_size_bytes(m->num), per = as_stored(m, w) ? w->rows : TILE_BYTES / (size * w->cols) + 64;
    if (per > w->rows) per = w->rows;
    product p = {.m = m, .w = w, .per = per};
    const char *in = bqb_multiplier_in_num(m, dy, n * w->rows);
    if (!as_stored(m, w)) {
        p.tile = take(m, per * w->cols, size);
        p.scratch = take(m, (size_t)m->threads * w->cols, sizeof *p.scratch);
    }
    for (size_t first = 0; first < w->rows && !m->no_memory; first += per) {
        size_t here = w->rows - first < per ? w->rows - first : per;
        p.step = first;
        if (p.tile) bqb_parallel_for(here, threads_for(m, w), unpack_row, &p);
        bqb_product g = {.outer = 1, .inner = 1, .M = (int64_t)n, .N = (int64_t)w->cols, .K = (int64_t)here,
                         .a = {.type = m->num, .row = (int64_t)w->rows, .col = 1}, .b = {.type = m->num, .row = (int64_t)w->cols, .col = 1},
                         .c = {.row = (int64_t)w->cols, .col = 1}, .accumulate = accumulate || first > 0};
        bqb_gemm_run(m->gemm, &g, dx, in + first * size, p.tile ? p.tile : row_at(w, first), NULL);
    }
    bqb_arena_release(m->arena, mark);
}
