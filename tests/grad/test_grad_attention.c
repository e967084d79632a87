/* Attention over packed rows: forward against plain maths, backward against
 * central differences; sequences of equal lengths (computed together), of
 * different ones, and so long that their heads are computed in turns. */
#include "grad/gradcheck.h"
#include "grad/plain.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* f32: rounding of products and softmax. bf16: probabilities and score
 * gradients are rounded to 8 bits on the way, so is the result. */
static const double TOLERANCE[2] = {2e-5, 2e-2};

typedef struct {
    const char *name;
    size_t heads, hd, n, len[12];
} kind;

static const kind KINDS[] = {
    {"one", 1, 1, 1, {1}},
    {"one row each", 3, 5, 4, {1, 1, 1, 1}},
    {"equal", 3, 8, 5, {7, 7, 7, 7, 7}},
    {"falling in groups", 3, 8, 9, {9, 9, 9, 8, 8, 5, 1, 1, 1}},
    {"mixed", 2, 7, 8, {3, 16, 16, 1, 17, 3, 3, 15}},
    {"wide heads", 2, 33, 3, {5, 5, 9}},
    {"sixty-fours", 4, 16, 3, {64, 65, 63}},
    /* a slice holds 96 Ki scores: two heads of 200 rows, then the third */
    {"two turns", 3, 4, 2, {200, 200}},
    /* 320 rows are more than a slice even for one head; short neighbours on both sides */
    {"a turn each", 3, 3, 4, {2, 320, 2, 2}},
    /* many equal ones: groups of several, the last one smaller */
    {"groups", 6, 2, 12, {50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50}},
};

typedef struct {
    const kind *k;
    bqb_rows rows_asking;
    size_t rows, asked, C;
    uint32_t start[13];
    bqb_sequences seq;
} setting;

static void setting_of(setting *s, const kind *k, bqb_rows rows) {
    memset(s, 0, sizeof *s);
    s->k = k;
    s->rows_asking = rows;
    s->C = k->heads * k->hd;
    for (size_t i = 0; i < k->n; i++) s->start[i + 1] = s->start[i] + (uint32_t)k->len[i];
    s->rows = s->start[k->n];
    s->seq = (bqb_sequences){.n = k->n, .start = s->start};
    s->asked = bqb_rows_count(&s->seq, rows);
}

static bool one_asks(const setting *s) {
    return s->rows_asking == BQB_ROWS_FIRST || s->rows_asking == BQB_ROWS_LAST;
}

/* The asking rows of one head of one sequence: out[asks, hd]. Returns how many. */
static size_t plain_asking(double *out, const setting *s, const double *qkv, size_t len, size_t keys, size_t head) {
    size_t asks = one_asks(s) ? 1 : len, hd = s->k->hd;
    for (size_t a = 0; a < asks; a++)
        plain_head_row(out + a * hd, qkv, s->rows_asking == BQB_ROWS_LAST ? len - 1 : a,
                       s->rows_asking == BQB_ROWS_CAUSAL ? a + 1 : keys, s->C, s->k->heads, head);
    return asks;
}

/* out[asked,C] in double */
static void plain_forward(const setting *s, double *out, const double *qkv, const uint32_t *keys) {
    double *one = GRAD_DOUBLES(s->rows * s->k->hd);
    size_t at = 0;
    for (size_t i = 0; i < s->k->n; i++) {
        size_t len = s->k->len[i], asks = 0;
        for (size_t h = 0; h < s->k->heads; h++) {
            asks = plain_asking(one, s, qkv + s->start[i] * 3 * s->C, len, keys ? keys[i] : len, h);
            for (size_t a = 0; a < asks; a++)
                memcpy(out + (at + a) * s->C + h * s->k->hd, one + a * s->k->hd, s->k->hd * sizeof *out);
        }
        at += asks;
    }
    free(one);
}

/* A number of qkv reaches only its own head of its own sequence. */
typedef struct {
    const setting *s;
    double *qkv, *dout, *one;
    size_t sequence, head;
} part;

static double part_loss(void *ctx) {
    const part *p = ctx;
    const setting *s = p->s;
    size_t hd = s->k->hd, len = s->k->len[p->sequence];
    size_t at = one_asks(s) ? p->sequence : s->start[p->sequence];
    size_t asks = plain_asking(p->one, s, p->qkv + s->start[p->sequence] * 3 * s->C, len, len, p->head);
    double sum = 0;
    for (size_t a = 0; a < asks; a++)
        for (size_t d = 0; d < hd; d++)
            sum += p->one[a * hd + d] * p->dout[(at + a) * s->C + p->head * hd + d];
    return sum;
}

/* want [] = central differences for every `every`-th element of qkv; at[] says which. Returns how many. */
static size_t numeric_some(const setting *s, double *want, uint32_t *at, double *qkv, double *dout,
                           size_t every) {
    part p = {.s = s, .qkv = qkv, .dout = dout, .one = GRAD_DOUBLES(s->rows * s->k->hd)};
    size_t n = 0, width = 3 * s->C;
    for (size_t e = 0; e < s->rows * width; e += every) {
        size_t row = e / width;
        for (p.sequence = 0; s->start[p.sequence + 1] <= row;) p.sequence++;
        p.head = e % width % s->C / s->k->hd;
        want[n] = grad_numeric(qkv + e, part_loss, &p);
        at[n++] = (uint32_t)e;
    }
    free(p.one);
    return n;
}

static const char *const ROWS[] = {"", " first", " last", " causal"};

static void check_attention(const kind *k, bqb_rows rows, bqb_num num, bqb_rand *r) {
    setting s;
    setting_of(&s, k, rows);
    bqb_pass p;
    if (!grad_pass_open(&p, num)) return;
    size_t n_qkv = s.rows * 3 * s.C, n_out = s.asked * s.C;
    float *qkv = GRAD_FLOATS(n_qkv), *dout = GRAD_FLOATS(n_out),
          *got = GRAD_FLOATS(n_qkv > n_out ? n_qkv : n_out);
    double *wide = GRAD_DOUBLES(n_qkv), *wide_dout = GRAD_DOUBLES(n_out), *want = GRAD_DOUBLES(n_qkv);
    uint32_t *at = grad_take(n_qkv, sizeof *at);
    void *qkv_v = grad_take(n_qkv, 4), *dout_v = grad_take(n_out, 4), *out_v = grad_take(n_out, 4),
         *dqkv_v = grad_take(n_qkv, 4),
         *probs = grad_take(bqb_attention_probs(&s.seq, k->heads, rows), 4);
    grad_fill(r, qkv, wide, n_qkv, 1, num);
    grad_fill(r, dout, wide_dout, n_out, 1, num);
    grad_pack(qkv_v, qkv, n_qkv, num);
    grad_pack(dout_v, dout, n_out, num);
    char what[128];

    plain_forward(&s, want, wide, NULL);
    memset(out_v, 0xff, n_out * bqb_num_size_bytes(num)); /* NaN: every element must be written */
    bqb_attention_fwd(&p, out_v, NULL, qkv_v, &s.seq, s.C, k->heads, rows);
    grad_unpack(got, out_v, n_out, num);
    snprintf(what, sizeof what, "attention %s%s %s, nothing kept", k->name, ROWS[rows],
             num ? "bf16" : "f32");
    grad_close(what, got, want, n_out, TOLERANCE[num], 0.1);
    memset(out_v, 0xff, n_out * bqb_num_size_bytes(num));
    bqb_attention_fwd(&p, out_v, probs, qkv_v, &s.seq, s.C, k->heads, rows);
    grad_unpack(got, out_v, n_out, num);
    snprintf(what, sizeof what, "attention %s%s %s", k->name, ROWS[rows],
             num ? "bf16" : "f32");
    grad_close(what, got, want, n_out, TOLERANCE[num], 0.1);

    memset(dqkv_v, 0xff, n_qkv * bqb_num_size_bytes(num));
    bqb_attention_bwd(&p, dqkv_v, dout_v, probs, qkv_v, &s.seq, s.C, k->heads, rows);
    grad_unpack(got, dqkv_v, n_qkv, num);
    /* Long ones: a sample whose stride is no multiple of a row. */
    size_t every = s.rows > 300 ? s.rows / 4 * 2 + 1 : s.rows > 100 ? 23 : 1;
    size_t n = numeric_some(&s, want, at, wide, wide_dout, every);
    for (size_t i = 0; i < n; i++) got[i] = got[at[i]];
    snprintf(what, sizeof what, "attention gradient %s%s %s", k->name, ROWS[rows],
             num ? "bf16" : "f32");
    /* Over one row there is nothing to attend to: q and k have no gradient. */
    grad_close(what, got, want, n, TOLERANCE[num], 0.1);
    grad_pass_close(&p);
    void *all[] = {qkv, dout, got, wide, wide_dout, want, at, qkv_v, dout_v, out_v, dqkv_v, probs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

TEST(grad_attention) {
    bqb_rand r = bqb_rand_seed(8, 0);
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        for (size_t num = 0; num < grad_formats(); num++) {
            check_attention(&KINDS[i], BQB_ROWS_ALL, (bqb_num)num, &r);
            check_attention(&KINDS[i], BQB_ROWS_FIRST, (bqb_num)num, &r);
            check_attention(&KINDS[i], BQB_ROWS_LAST, (bqb_num)num, &r);
            check_attention(&KINDS[i], BQB_ROWS_CAUSAL, (bqb_num)num, &r);
        }
}

/* Forward with padding: rows beyond a sequence's keys ask, but are not seen. */
TEST(attention_leaves_out_padding) {
    static const uint32_t keys[] = {7, 3, 3, 1, 6};
    bqb_rand r = bqb_rand_seed(9, 0);
    for (size_t num = 0; num < grad_formats(); num++)
        for (size_t first = 0; first < 2; first++) {
            setting s;
            bqb_rows rows = first ? BQB_ROWS_FIRST : BQB_ROWS_ALL;
            setting_of(&s, &KINDS[2], rows);
            bqb_pass p;
            if (!grad_pass_open(&p, (bqb_num)num)) return;
            size_t n = s.rows * 3 * s.C, n_out = s.asked * s.C;
            float *x = GRAD_FLOATS(n), *got = GRAD_FLOATS(n_out);
            double *wide = GRAD_DOUBLES(n), *want = GRAD_DOUBLES(n_out);
            void *xv = grad_take(n, 4), *out = grad_take(n_out, 4);
            grad_fill(&r, x, wide, n, 1, (bqb_num)num);
            grad_pack(xv, x, n, (bqb_num)num);
            plain_forward(&s, want, wide, keys);
            s.seq.keys = keys;
            bqb_attention_fwd(&p, out, NULL, xv, &s.seq, s.C, s.k->heads, rows);
            grad_unpack(got, out, n_out, (bqb_num)num);
            grad_close("attention with padding", got, want, n_out, TOLERANCE[num], 0.1);
            /* The same without the mask must be noticed. */
            plain_forward(&s, want, wide, NULL);
            CHECK(grad_distance(got, want, n_out, 0) > 2 * TOLERANCE[num]);
            grad_pass_close(&p);
            void *all[] = {x, got, wide, want, xv, out};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
        }
}
