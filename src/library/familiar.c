#include "library/familiar.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* mean[d] of rows x[n,D] */
static void mean_row(double *mean, const float *x, size_t n, size_t D) {
    for (size_t d = 0; d < D; d++) mean[d] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < D; d++) mean[d] += (double)x[i * D + d] / (double)n;
}

static double product(const float *p, const double *p_mean, const float *t, const double *t_mean, size_t D) {
    double s = 0;
    for (size_t d = 0; d < D; d++) s += ((double)p[d] - p_mean[d]) * ((double)t[d] - t_mean[d]);
    return s;
}

double bqb_familiarity(const float *picture, const float *text, size_t n, size_t D) {
    double *mean = n < 2 ? NULL : bqb_calloc(2 * D, sizeof *mean), won = 0;
    if (!mean) return 0.5;
    mean_row(mean, picture, n, D);
    mean_row(mean + D, text, n, D);
    for (size_t i = 0; i < n; i++) {
        double own = product(picture + i * D, mean, text + i * D, mean + D, D);
        for (size_t k = 0; k < n; k++) {
            if (k == i) continue;
            double other = product(picture + i * D, mean, text + k * D, mean + D, D);
            won += own > other ? 1 : own < other ? 0 : 0.5;
        }
    }
    free(mean);
    return won / ((double)n * (double)(n - 1));
}

void bqb_softmax_f64(double *x, size_t n) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += x[i] = exp(x[i] - most);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}
