#include "library/familiar.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

double bqb_stands_out(double x, const float *of, size_t n) {
    double sum = 0, sum_sq = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)of[i];
        sum_sq += (double)of[i] * (double)of[i];
    }
    double mean = sum / (double)n, var = sum_sq / (double)n - mean * mean;
    return var > 1e-8 ? (x - mean) / sqrt(var) : NAN;
}

static double dot(const float *x, const float *y, size_t D) {
    double s = 0;
    for (size_t d = 0; d < D; d++) s += (double)x[d] * (double)y[d];
    return s;
}

double bqb_familiarity(const float *picture, const float *text, size_t n, const float *others, size_t m, size_t D) {
    float *product = m ? bqb_calloc(m, sizeof *product) : NULL;
    double sum = 0, told = 0;
    for (size_t i = 0; product && i < n; i++) {
        for (size_t k = 0; k < m; k++) product[k] = (float)dot(others + k * D, text + i * D, D);
        double z = bqb_stands_out(dot(picture + i * D, text + i * D, D), product, m);
        if (!(z == z)) continue;
        sum += z;
        told++;
    }
    free(product);
    return told > 0 ? sum / told : 0;
}

void bqb_softmax_f64(double *x, size_t n) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += x[i] = exp(x[i] - most);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}
