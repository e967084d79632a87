/* Stored rows and products with them: the formats against hand-made blocks, the fast
 * builds against the plain one, few rows against many, forward against backward. */
#include "math/matrix.h"
#include "math/rows.h"
#include "math/ops.h"
#include "base/rand.h"
#include "file/safetensors.h"
#include "test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1024 };

static void put_f16(uint8_t *to, float x) {
    uint16_t h = bqb_f32_to_f16(x);
    memcpy(to, &h, 2);
}

/* Random bytes, but scales that are reasonable numbers. */
static void fill_row(uint8_t *row, bqb_row_kind k, size_t n, bqb_rand *r) {
    size_t bytes = bqb_row_bytes(k, n);
    for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)bqb_rand_below(r, 256);
    for (size_t i = 0; i < n && k <= BQB_ROW_BF16; i++) {
        float x = (float)bqb_rand_normal(r);
        uint16_t b = bqb_f32_to_bf16(x);
        if (k == BQB_ROW_F32) memcpy(row + 4 * i, &x, 4);
        else if (k == BQB_ROW_F16) put_f16(row + 2 * i, x);
        else memcpy(row + 2 * i, &b, 2);
    }
    for (uint8_t *b = row; k > BQB_ROW_BF16 && b < row + bytes; b += bqb_row_block_bytes(k)) {
        put_f16(b + (k == BQB_ROW_Q6_K ? 208 : 0), 0.01f);
        if (k == BQB_ROW_Q4_K || k == BQB_ROW_Q5_K) put_f16(b + 2, 0.02f);
    }
}

TEST(rows_unpack_what_the_formats_say) {
    const bqb_rows_ops *plain = bqb_rows_plain();
    float out[256];
    uint8_t q8[34] = {0}, q4[144] = {0}, q6[210] = {0};
    put_f16(q8, 0.5f);
    q8[2] = 3;
    q8[33] = (uint8_t)-100;
    plain->load[BQB_ROW_Q8_0](out, q8, 32);
    CHECK(out[0] == 1.5f && out[1] == 0 && out[31] == -50);

    /* Q4_K: factors 0 … 3 lie whole in the first eight bytes, 4 … 7 in nibbles and their two upper bits there. */
    put_f16(q4, 1);
    put_f16(q4 + 2, 2);
    q4[4 + 0] = 5 | 1 << 6;  /* factor 0; upper bits of factor 4 */
    q4[4 + 4] = 7 | 2 << 6;  /* minimum 0; upper bits of minimum 4 */
    q4[4 + 8] = 9 | 11 << 4; /* lower bits of factor and minimum 4 */
    q4[4 + 1] = 3;
    q4[16] = 0x4a;           /* numbers 0 and 32 */
    q4[16 + 64] = 0x06;      /* numbers 128 and 160 */
    plain->load[BQB_ROW_Q4_K](out, q4, 256);
    CHECK(out[0] == 5 * 10 - 14 && out[1] == -14 && out[32] == 3 * 4 && out[33] == 0);
    CHECK(out[128] == (16 + 9) * 6 - 2 * (32 + 11) && out[160] == 0);

    /* Q6_K: four lower bits, two upper ones, less 32; sixteen numbers share a factor. */
    put_f16(q6 + 208, 0.5f);
    for (int i = 0; i < 16; i++) q6[192 + i] = (uint8_t)(i - 3);
    q6[0] = 0x21;            /* numbers 0 and 64 of the first half */
    q6[128] = 0x39;          /* their upper bits: 1 (0), 2 (32), 3 (64), 0 (96) */
    q6[64 + 32] = 0xf0;      /* numbers 32 and 96 of the second half */
    plain->load[BQB_ROW_Q6_K](out, q6, 256);
    CHECK(out[0] == 0.5f * -3 * (0x11 - 32) && out[64] == 0.5f * 1 * (0x32 - 32) && out[32] == 0.5f * -1 * (0x20 - 32));
    CHECK(out[16] == 0.5f * -2 * -32 && out[128 + 96] == 0.5f * (14 - 3) * (15 - 32) && out[128 + 32] == 0.5f * (10 - 3) * -32);

    /* Q4_0 and Q5_0: the upper bits of the bytes are the second half; Q5_K has the fifth bits of a pair of factors side by side. */
    uint8_t q40[18] = {0}, q50[22] = {0}, q5[176] = {0};
    put_f16(q40, 0.5f);
    q40[2] = 0x3f;           /* numbers 0 and 16 */
    plain->load[BQB_ROW_Q4_0](out, q40, 32);
    CHECK(out[0] == 0.5f * (15 - 8) && out[16] == 0.5f * (3 - 8) && out[1] == -4);
    put_f16(q50, 2);
    q50[2] = 0x02;           /* fifth bit of number 1 */
    q50[4] = 0x01;           /* of number 16 */
    q50[6] = 0x4a;
    q50[7] = 0x03;
    plain->load[BQB_ROW_Q5_0](out, q50, 32);
    CHECK(out[0] == 2 * (10 - 16) && out[16] == 2 * (4 + 16 - 16) && out[1] == 2 * (3 + 16 - 16) && out[17] == -32);
    memcpy(q5, q4, 16);
    q5[48] = 0x4a;           /* as in Q4_K */
    q5[48 + 64] = 0x06;
    q5[16] = 0x12;           /* fifth bits of number 32, of number 128 */
    plain->load[BQB_ROW_Q5_K](out, q5, 256);
    CHECK(out[0] == 5 * 10 - 14 && out[32] == 3 * (4 + 16) && out[33] == 0);
    CHECK(out[128] == (16 + 9) * (6 + 16) - 2 * (32 + 11) && out[160] == 0);

    /* Every half-precision number. */
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t half = (uint16_t)h;
        float got, want = bqb_f16_to_f32(half);
        plain->load[BQB_ROW_F16](&got, &half, 1);
        if (!CHECK(isnan(want) ? isnan(got) : !memcmp(&got, &want, 4))) break;
    }
}

TEST(rows_of_all_builds_agree) {
    const bqb_rows_ops *all[4];
    bqb_rand r = bqb_rand_seed(3, 0);
    uint8_t *row = malloc(4 * N + 1);
    float x[N], want[N], got[N];
    for (size_t i = 0; i < N; i++) x[i] = (float)bqb_rand_normal(&r);
    for (size_t b = 0, n_all = bqb_rows_all(all); b < n_all; b++)
        for (bqb_row_kind k = 0; k < BQB_ROW_KINDS; k++)
            for (size_t odd = 0; odd < 2; odd++) { /* rows may lie anywhere */
                size_t n = k <= BQB_ROW_BF16 ? 301 : N - bqb_row_block(k);
                fill_row(row + odd, k, n, &r);
                bqb_rows_plain()->load[k](want, row + odd, n);
                all[b]->load[k](got, row + odd, n);
                double sum = 0, size = 0, worst = 0;
                for (size_t i = 0; i < n; i++) {
                    sum += (double)want[i] * (double)x[i];
                    size += fabs((double)want[i] * (double)x[i]);
                    worst = fmax(worst, fabs((double)want[i] - (double)got[i]) / (1e-6 + fabs((double)want[i])));
                }
                CHECK_MSG(worst < 1e-5, "%s %s: loads differ by %g", all[b]->name, bqb_row_kind_name(k), worst);
                double dot = (double)all[b]->dot[k](row + odd, x, n);
                CHECK_MSG(fabs(dot - sum) < 1e-6 * size, "%s %s: dot %g, expected %g", all[b]->name, bqb_row_kind_name(k), dot, sum);
                memcpy(got, x, sizeof got);
                all[b]->add[k](got, 0.5f, row + odd, n);
                for (size_t i = 0; i < n; i++)
                    if (!CHECK(fabs((double)got[i] - ((double)x[i] + 0.5 * (double)want[i])) < 1e-5 * (1 + fabs((double)want[i])))) break;
            }
    free(row);
}

/* Products of several rows against sums in f64, at lengths around every vector's width. */
TEST(rows_products_agree) {
    const bqb_rows_ops *all[4];
    bqb_rand r = bqb_rand_seed(4, 0);
    enum { ROWS = 5 };
    uint8_t *rows = malloc(4 * ROWS * N);
    float x[N], p[N + N / 16], w[N], out[ROWS];
    for (size_t i = 0; i < N; i++) x[i] = (float)bqb_rand_normal(&r);
    for (size_t b = 0, n_all = bqb_rows_all(all); b < n_all; b++)
        for (bqb_row_kind k = 0; k < BQB_ROW_KINDS; k++)
            for (size_t n = bqb_row_block(k); n <= N; n += k <= BQB_ROW_BF16 ? 1 + n / 7 : bqb_row_block(k)) {
                size_t bytes = bqb_row_bytes(k, n);
                for (size_t i = 0; i < ROWS; i++) fill_row(rows + i * bytes, k, n, &r);
                all[b]->prepare[k](p, x, n);
                all[b]->product[k](out, rows, bytes, ROWS, p, n);
                int noticed = 0;
                for (size_t i = 0; i < ROWS; i++) {
                    double sum = 0, size = 1e-9;
                    bqb_rows_plain()->load[k](w, rows + i * bytes, n);
                    for (size_t c = 0; c < n; c++) {
                        sum += (double)w[c] * (double)x[c];
                        size += fabs((double)w[c] * (double)x[c]);
                    }
                    CHECK_MSG(fabs((double)out[i] - sum) < 1e-6 * size, "%s %s %zu: row %zu is %g, expected %g", all[b]->name,
                              bqb_row_kind_name(k), n, i, (double)out[i], sum);
                    /* Planted fault: one bit of one number. */
                    rows[i * bytes + bqb_row_block_bytes(k) / 2] ^= 0x10;
                    float other;
                    all[b]->product[k](&other, rows + i * bytes, bytes, 1, p, n);
                    noticed += fabs((double)other - sum) > 1e-6 * size;
                }
                CHECK_MSG(noticed >= ROWS - 1, "%s %s %zu: wrong bits go unnoticed", all[b]->name, bqb_row_kind_name(k), n);
            }
    free(rows);
}

TEST(rows_sums_of_rows) {
    const bqb_rows_ops *all[4];
    bqb_rand r = bqb_rand_seed(6, 0);
    enum { ROWS = 9, STEP = 150 };
    float a[ROWS], y[STEP], row[STEP];
    uint8_t rows[ROWS * 4 * STEP];
    for (size_t i = 0; i < ROWS; i++) a[i] = (float)bqb_rand_normal(&r);
    for (bqb_row_kind k = BQB_ROW_F32; k <= BQB_ROW_BF16; k += 2) {
        size_t step = bqb_row_bytes(k, STEP);
        for (size_t i = 0; i < ROWS; i++) fill_row(rows + i * step, k, STEP, &r);
        for (size_t b = 0, n_all = bqb_rows_all(all); b < n_all; b++)
            for (size_t n = 1; n <= STEP; n += 1 + n / 9)
                for (size_t count = 0; count <= ROWS; count += ROWS) {
                    double want[STEP] = {0}, worst = 0;
                    for (size_t i = 0; i < count; i++) {
                        bqb_rows_plain()->load[k](row, rows + i * step, n);
                        for (size_t c = 0; c < n; c++) want[c] += (double)a[i] * (double)row[c];
                    }
                    all[b]->mix[k](y, a, rows, step, count, n);
                    for (size_t c = 0; c < n; c++) worst = fmax(worst, fabs((double)y[c] - want[c]));
                    CHECK_MSG(worst < 1e-5, "%s %s %zu x %zu: differs by %g", all[b]->name, bqb_row_kind_name(k), count, n, worst);
                }
    }
}

TEST(rows_norm_and_gate) {
    const bqb_rows_ops *all[4];
    float x[2][7] = {{1, 2, 3, 4, 5, 6, 7}, {-1, 0, 1, 0, 2, -3, 30}}, g[7] = {1, 2, 1, 1, 0.5f, 1, -1}, y[14], u[14];
    for (size_t b = 0, n = bqb_rows_all(all); b < n; b++) {
        all[b]->rmsnorm(y, x[0], g, 0.25f, 2, 7);
        for (size_t i = 0; i < 14; i++) {
            double sum = 0;
            for (size_t c = 0; c < 7; c++) sum += (double)x[i / 7][c] * (double)x[i / 7][c];
            double want = (double)x[i / 7][i % 7] * (double)g[i % 7] / sqrt(sum / 7 + 0.25);
            CHECK(fabs((double)y[i] - want) < 1e-6 * (1 + fabs(want)));
            u[i] = (float)i - 5;
        }
        float gate[14];
        memcpy(gate, x, sizeof gate);
        all[b]->silu_mul(gate, u, 14);
        for (size_t i = 0; i < 14; i++) {
            double z = (double)x[i / 7][i % 7], want = z / (1 + exp(-z)) * (double)u[i];
            CHECK(fabs((double)gate[i] - want) < 1e-5 * (1 + fabs(want)));
        }
    }
}

/* y, and the gradient of the input, of every format in both ways of multiplying. */
static double check_matrix(bqb_row_kind kind, bqb_num num, size_t n, size_t rows, size_t cols) {
    bqb_rand r = bqb_rand_seed(5, kind);
    bqb_err err = {0};
    double forward = HUGE_VAL;
    size_t bytes = bqb_row_bytes(kind, cols);
    uint8_t *data = malloc(rows * bytes);
    float *w = malloc(rows * cols * sizeof *w), *x = malloc(n * cols * sizeof *x), *dy = malloc(n * rows * sizeof *dy);
    float *y = malloc(n * rows * sizeof *y), *dx = malloc(n * cols * sizeof *dx), *bias = malloc(rows * sizeof *bias);
    for (size_t i = 0; i < rows; i++) {
        fill_row(data + i * bytes, kind, cols, &r);
        bqb_rows_plain()->load[kind](w + i * cols, data + i * bytes, cols);
        bias[i] = (float)bqb_rand_normal(&r);
    }
    for (size_t i = 0; i < n * cols; i++) x[i] = (float)bqb_rand_normal(&r), dx[i] = 1;
    for (size_t i = 0; i < n * rows; i++) dy[i] = (float)bqb_rand_normal(&r), y[i] = 2;
    bqb_matrix m = {.kind = kind, .rows = rows, .cols = cols, .data = data};
    bqb_multiplier t = {0};
    if (CHECK_OK(bqb_multiplier_open(&t, num, 2, &err), err)) {
        bqb_gemm_enter(t.gemm);
        bqb_matrix_mul(&t, y, x, &m, bias, true, n);
        bqb_matrix_back(&t, dx, dy, &m, true, n);
        CHECK_OK(bqb_multiplier_finish(&t, "a test", &err), err);
        double worst = 0, tolerance = num == BQB_NUM_F32 || n <= 4 ? 1e-6 : 5e-3, back = 0;
        for (size_t i = 0; i < n * rows; i++) {
            double sum = 2 + (double)bias[i % rows], size = 1;
            for (size_t k = 0; k < cols; k++) {
                double p = (double)x[i / rows * cols + k] * (double)w[i % rows * cols + k];
                sum += p;
                size += fabs(p);
            }
            worst = fmax(worst, fabs((double)y[i] - sum) / size);
        }
        for (size_t i = 0; i < n * cols; i++) {
            double sum = 1, size = 1;
            for (size_t k = 0; k < rows; k++) {
                double p = (double)dy[i / cols * rows + k] * (double)w[k * cols + i % cols];
                sum += p;
                size += fabs(p);
            }
            back = fmax(back, fabs((double)dx[i] - sum) / size);
        }
        forward = worst;
        CHECK_MSG(worst < tolerance, "%s, %zu rows: forward differs by %g", bqb_row_kind_name(kind), n, worst);
        CHECK_MSG(back < (num == BQB_NUM_F32 ? 1e-5 : 2e-2), "%s, %zu rows: backward differs by %g", bqb_row_kind_name(kind), n, back);
    }
    bqb_multiplier_close(&t);
    free(data), free(w), free(x), free(dy), free(y), free(dx), free(bias);
    return forward;
}

TEST(matrix_products_of_all_formats) {
    bqb_num most = bqb_gemm_has_bf16() ? BQB_NUM_BF16 : BQB_NUM_F32;
    for (bqb_num num = BQB_NUM_F32; num <= most; num++)
        for (bqb_row_kind k = 0; k < BQB_ROW_KINDS; k++) {
            double one = check_matrix(k, num, 1, 70, 512), wide = check_matrix(k, num, 1, 33, 4864);
            check_matrix(k, num, 3, 33, 256);
            check_matrix(k, num, 64, 70, 256);
            check_matrix(k, num, 133, 70, 256);
            double many = check_matrix(k, num, 17, 70, 512), both = check_matrix(k, num, 40, 33, 4864);
            printf("  %-5s largest error of products as a share of the sum of their sizes: a row %.1e, many rows in %s %.1e\n", bqb_row_kind_name(k),
                   fmax(one, wide), num ? "bf16" : "f32", fmax(many, both));
        }
    check_matrix(BQB_ROW_BF16, BQB_NUM_F32, 6, 4500, 512); /* several parts, the last one short */
}
